//! `Idempotency-Key` (IETF httpapi draft-07): the client's name for one intent, so that asking twice does it once.
//!
//! The journal keeps 16 bytes of it for ever, within the calling client (JOURNAL 5), and 16 bytes of fingerprint of the
//! request it was first used for. Both are HMACs under the tenant's secret unless the key is a UUID: what a client puts
//! into a key or a body cannot be read from the books. Not here: what a second use is answered (payments).

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Ready, ready};
use uuid::Uuid;

use crate::platform::keyring::TenantSecret;
use crate::platform::problem::Problem;

/// A client's key: an extractor, so a route that takes one refuses requests without one.
#[derive(Debug, Clone, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 255, pattern = r#"^(?!""$)[!-~]+$"#)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key, when it is 1 to 255 visible ASCII characters; the quotes that the draft puts around it do not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let valid = (1..=255).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(bare.to_owned()))
    }

    /// The same for a key that stands in an address.
    ///
    /// # Errors
    /// 400 `idempotency-key-invalid`.
    pub fn in_path(text: &str) -> Result<Self, Problem> {
        Self::parse(text).ok_or_else(invalid)
    }

    /// What the journal keeps of it: the UUID it is, else the first 16 bytes of an HMAC.
    #[must_use]
    pub fn bytes16(&self, secret: &TenantSecret) -> [u8; 16] {
        match Uuid::try_parse(&self.0) {
            Ok(uuid) => uuid.into_bytes(),
            Err(_no_uuid) => secret.sign16("idempotency-key", &[self.0.as_bytes()]),
        }
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = req.headers().get_all("idempotency-key");
        ready(match (values.next(), values.next()) {
            (None, _) => Err(missing()),
            (Some(value), None) => value.to_str().ok().and_then(Self::parse).ok_or_else(invalid),
            (Some(_), Some(_)) => Err(invalid()),
        })
    }
}

fn missing() -> Problem {
    let remedy = "Send an Idempotency-Key header, a new UUID for each intent, and repeat it when you retry.";
    Problem::new(400, "idempotency-key-missing", "The Idempotency-Key is missing", remedy)
}

fn invalid() -> Problem {
    let remedy = "Send one Idempotency-Key header of 1 to 255 visible ASCII characters, best a UUID.";
    Problem::new(400, "idempotency-key-invalid", "The Idempotency-Key cannot be one", remedy)
}

/// What tells one request from another under the same key: an HMAC over method, path and canonical body.
///
/// `path` is the request's path without query; `canonical_body` comes from [`Json::canonical`](super::Json::canonical).
#[must_use]
pub fn fingerprint(secret: &TenantSecret, method: &Method, path: &str, canonical_body: &[u8]) -> [u8; 16] {
    secret.sign16("request", &[method.as_str().as_bytes(), path.as_bytes(), canonical_body])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_kept_as_it_is_and_all_else_as_an_hmac_under_the_tenants_secret() {
        let (ours, theirs) = (TenantSecret::new(&[1; 32]), TenantSecret::new(&[2; 32]));
        let uuid = Uuid::from_u128(7);
        let key = IdempotencyKey::parse(&uuid.to_string()).unwrap();
        assert_eq!(key.bytes16(&ours), uuid.into_bytes());
        let key = IdempotencyKey::parse("order 42".replace(' ', "-").as_str()).unwrap();
        assert_ne!(key.bytes16(&ours), key.bytes16(&theirs));
        assert_eq!(key.bytes16(&ours), IdempotencyKey::parse("\"order-42\"").unwrap().bytes16(&ours));
    }

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        for good in ["a", "~", &"x".repeat(255)] {
            assert!(IdempotencyKey::parse(good).is_some(), "{good}");
        }
        for bad in ["", "\"\"", "a b", "è", "a\t", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn method_path_and_body_all_count_and_do_not_run_into_each_other() {
        let secret = TenantSecret::new(&[1; 32]);
        let of = |method: Method, path: &str, body: &[u8]| fingerprint(&secret, &method, path, body);
        let one = of(Method::POST, "/v1/payments", b"{}");
        assert_eq!(one, of(Method::POST, "/v1/payments", b"{}"));
        assert_ne!(one, of(Method::PUT, "/v1/payments", b"{}"));
        assert_ne!(one, of(Method::POST, "/v1/payment", b"s{}"));
        assert_ne!(one, of(Method::POST, "/v1/payments", b"{ }"));
    }
}
