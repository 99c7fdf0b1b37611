//! The cookies of pages: a session's, one for each tenant and each side, and the language that somebody chose.
//!
//! All are `__Host-`: of this host alone, from a secure page, for all of its addresses, so that no other host of the domain
//! can put one there, and so their path is `/`: a person's session and an operator's differ by name. A browser takes `http://localhost` for secure (Chromium and Firefox do, Safari does not).

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use chrono::TimeDelta;

use super::ask::Side;
use crate::platform::keyring::{Kind, Token};
use crate::platform::text::Lang;

const LANGUAGE: &str = "__Host-tessera-lang";
const YEAR: TimeDelta = TimeDelta::days(365);

/// The session's cookie of a tenant. A slug has letters, digits and hyphens only, so no tenant's is another side's.
fn session_name(side: Side, slug: &str) -> String {
    match side {
        Side::My => format!("__Host-tessera-{slug}"),
        Side::Staff => format!("__Host-tessera_staff-{slug}"),
    }
}

/// The token that a request brings for a tenant.
pub(super) fn session(headers: &HeaderMap, side: Side, slug: &str) -> Option<Token> {
    let token = find(headers, &session_name(side, slug)).and_then(Token::parse)?;
    (token.kind() == Kind::Access).then_some(token)
}

/// Keeps a session's token in the browser.
pub(super) fn keep_session(side: Side, slug: &str, token: &Token, lasts: TimeDelta) -> Option<HeaderValue> {
    write(&session_name(side, slug), token.reveal(), lasts, "Strict")
}

/// Has the browser forget it.
pub(super) fn forget_session(side: Side, slug: &str) -> Option<HeaderValue> {
    write(&session_name(side, slug), "", TimeDelta::zero(), "Strict")
}

/// The language that was chosen.
pub(super) fn language(headers: &HeaderMap) -> Option<Lang> {
    find(headers, LANGUAGE).and_then(Lang::from_tag)
}

/// Keeps the language. It is no secret, and is to be there when somebody comes from another site too.
pub(super) fn keep_language(lang: Lang) -> Option<HeaderValue> {
    write(LANGUAGE, lang.tag(), YEAR, "Lax")
}

/// The value of a cookie that came once; what came twice is nobody's.
fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut values = all.filter_map(|pair| pair.trim().split_once('=')).filter(|(key, _)| *key == name);
    let (Some((_, value)), None) = (values.next(), values.next()) else { return None };
    Some(value)
}

fn write(name: &str, value: &str, lasts: TimeDelta, same_site: &str) -> Option<HeaderValue> {
    let seconds = lasts.num_seconds().max(0);
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={same_site}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ids::Ids;

    fn request(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        headers
    }

    #[test]
    fn a_session_is_of_its_tenant_alone_and_comes_once() {
        let token = Token::generate(Kind::Access, &Ids::system());
        let cookie = format!("a=b; __Host-tessera-acme={}", token.reveal());
        assert_eq!(session(&request(&[&cookie]), Side::My, "acme").unwrap().reveal(), token.reveal());
        assert!(session(&request(&[&cookie]), Side::My, "other").is_none());
        assert!(session(&request(&[&cookie, &cookie]), Side::My, "acme").is_none(), "twice");
        assert!(session(&request(&[&cookie]), Side::Staff, "acme").is_none(), "of its side");
        // No slug makes a person's cookie an operator's.
        let cookie = format!("__Host-tessera-staff-acme={}", token.reveal());
        assert!(session(&request(&[&cookie]), Side::Staff, "acme").is_none());
        let cookie = format!("__Host-tessera_staff-acme={}", token.reveal());
        assert!(session(&request(&[&cookie]), Side::Staff, "acme").is_some());
        let key = Token::generate(Kind::Key, &Ids::system());
        let cookie = format!("__Host-tessera-acme={}", key.reveal());
        assert!(session(&request(&[&cookie]), Side::My, "acme").is_none(), "a machine's key is no session");
    }

    #[test]
    fn a_session_is_kept_where_no_script_and_no_other_site_reaches_it() {
        let token = Token::generate(Kind::Access, &Ids::system());
        let kept = keep_session(Side::My, "acme", &token, TimeDelta::hours(12)).unwrap();
        let text = kept.to_str().unwrap();
        assert!(text.starts_with("__Host-tessera-acme=tsa_"), "{text}");
        assert!(text.ends_with("; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"), "{text}");
        assert!(forget_session(Side::My, "acme").unwrap().to_str().unwrap().contains("=; Path=/; Max-Age=0; "));
    }

    #[test]
    fn the_language_chosen_is_one_of_ours() {
        assert_eq!(language(&request(&["__Host-tessera-lang=it"])), Some(Lang::It));
        assert_eq!(language(&request(&["__Host-tessera-lang=xx"])), None);
    }
}
