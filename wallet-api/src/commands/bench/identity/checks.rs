//! What it takes to let somebody in: a token alone, and with its device's proof. In this process, nothing asked of a database.

use std::time::Instant;

use anyhow::Context as _;
use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::commands::bench::histogram::Histogram;
use crate::identity;
use crate::identity::devices::proof::{Asked, Judge};
use crate::platform::clock::Clock;
use crate::platform::db::Db;
use crate::platform::ids::Ids;
use crate::platform::keyring::{Keyring, Token};

/// Checks that are timed.
const TOKENS: u64 = 200_000;
const PROOFS: u32 = 20_000;
/// The request that proofs are over.
const ORIGIN: &str = "http://localhost:8080";
const PATH: &str = "/v1/me/payments";

/// 99th percentiles, microseconds.
pub(super) struct Checks {
    pub(super) token_us: u32,
    pub(super) proof_us: u32,
}

/// Times checks of a token that is fresh, and of the same with proofs, each of which is good once.
pub(super) async fn checks(url: &str, token: &str) -> anyhow::Result<Checks> {
    let keyring = Keyring::new(Db::open(url, 1)?, Clock::System, identity::directory());
    let parsed = Token::parse(token).context("no token")?;
    let mut tokens = Histogram::default();
    while tokens.count() < TOKENS {
        let began = Instant::now();
        let is_known = is_known(&keyring, token);
        let took = began.elapsed();
        if is_known {
            tokens.record(took);
        } else {
            // A second went by: the database is asked whether it is still good, which is not what is timed.
            let_in(&keyring, &parsed).await?;
        }
    }
    let (judge, origins) = (Judge::new(&Ids::system()), [ORIGIN.to_owned()]);
    let proofs = make_proofs(&judge, token)?;
    let mut times = Histogram::default();
    for proof in &proofs {
        if !is_known(&keyring, token) {
            let_in(&keyring, &parsed).await?;
        }
        let began = Instant::now();
        let is_known = is_known(&keyring, token);
        let asked = Asked { method: "POST", origins: &origins, path: PATH, access: Some(&parsed), nonces: None };
        let judged = judge.judge(proof, asked, Clock::System.now());
        let took = began.elapsed();
        anyhow::ensure!(judged.is_ok(), "a proof was refused: the figures are void");
        if is_known {
            times.record(took);
        }
    }
    Ok(Checks { token_us: tokens.quantile_us(990), proof_us: times.quantile_us(990) })
}

fn is_known(keyring: &Keyring, token: &str) -> bool {
    Token::parse(token).and_then(|token| keyring.known(&token)).is_some_and(|known| known.is_ok())
}

async fn let_in(keyring: &Keyring, token: &Token) -> anyhow::Result<()> {
    let admitted = keyring.admit(token).await;
    admitted.map(drop).map_err(|problem| anyhow::anyhow!("the token is not let in: {}", problem.code()))
}

/// Proofs of one device, as RFC 9449 writes them.
fn make_proofs(judge: &Judge, token: &str) -> anyhow::Result<Vec<String>> {
    let random = SystemRandom::new();
    let broken = |_no_more| anyhow::anyhow!("no key can be made");
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(broken)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random)?;
    let point = key.public_key().as_ref().split_at_checked(1).and_then(|(_four, point)| point.split_at_checked(32));
    let (x, y) = point.context("a key without a point")?;
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
    let header = encode(json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}).to_string().as_bytes());
    let (now, hash) = (Clock::System.now(), digest::digest(&digest::SHA256, token.as_bytes()));
    let proof = |number: u32| {
        let claims = json!({"jti": number.to_string(), "htm": "POST", "htu": format!("{ORIGIN}{PATH}"),
            "iat": now.timestamp(), "nonce": judge.nonce(now), "ath": encode(hash.as_ref())});
        let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let signature = key.sign(&random, signed.as_bytes()).map_err(broken)?;
        Ok(format!("{signed}.{}", encode(signature.as_ref())))
    };
    (0..PROOFS).map(proof).collect()
}
