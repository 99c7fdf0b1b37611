//! The two cookies of pages: the session's, one for each tenant, and the language that somebody chose.
//!
//! Both are `__Host-`: of this host alone, from a secure page, for all of its addresses, so that no other host of the domain
//! can put one there. A browser takes `http://localhost` for secure (Chromium and Firefox do, Safari does not).

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use chrono::TimeDelta;

use crate::platform::keyring::{Kind, Token};
use crate::platform::text::Lang;

const LANGUAGE: &str = "__Host-tessera-lang";
const YEAR: TimeDelta = TimeDelta::days(365);

/// The session's cookie of a tenant. A slug has letters, digits and hyphens only.
fn session_name(slug: &str) -> String {
    format!("__Host-tessera-{slug}")
}

/// The token that a request brings for a tenant.
pub(super) fn session(headers: &HeaderMap, slug: &str) -> Option<Token> {
    let token = find(headers, &session_name(slug)).and_then(Token::parse)?;
    (token.kind() == Kind::Access).then_some(token)
}

/// Keeps a session's token in the browser.
pub(super) fn keep_session(slug: &str, token: &Token, lasts: TimeDelta) -> Option<HeaderValue> {
    write(&session_name(slug), token.reveal(), lasts, "Strict")
}

/// Has the browser forget it.
pub(super) fn forget_session(slug: &str) -> Option<HeaderValue> {
    write(&session_name(slug), "", TimeDelta::zero(), "Strict")
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
        assert_eq!(session(&request(&[&cookie]), "acme").unwrap().reveal(), token.reveal());
        assert!(session(&request(&[&cookie]), "other").is_none());
        assert!(session(&request(&[&cookie, &cookie]), "acme").is_none(), "twice");
        let key = Token::generate(Kind::Key, &Ids::system());
        let cookie = format!("__Host-tessera-acme={}", key.reveal());
        assert!(session(&request(&[&cookie]), "acme").is_none(), "a machine's key is no session");
    }

    #[test]
    fn a_session_is_kept_where_no_script_and_no_other_site_reaches_it() {
        let token = Token::generate(Kind::Access, &Ids::system());
        let kept = keep_session("acme", &token, TimeDelta::hours(12)).unwrap();
        let text = kept.to_str().unwrap();
        assert!(text.starts_with("__Host-tessera-acme=tsa_"), "{text}");
        assert!(text.ends_with("; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"), "{text}");
        assert!(forget_session("acme").unwrap().to_str().unwrap().contains("=; Path=/; Max-Age=0; "));
    }

    #[test]
    fn the_language_chosen_is_one_of_ours() {
        assert_eq!(language(&request(&["__Host-tessera-lang=it"])), Some(Lang::It));
        assert_eq!(language(&request(&["__Host-tessera-lang=xx"])), None);
    }
}
