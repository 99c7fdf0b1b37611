//! `Allow`: what can be done at an address, told with every 405 (RFC 9110, section 15.5.6).
//!
//! Routes made by attribute macros guard the whole resource, so actix knows the address and not its methods. They are
//! taken from the OpenAPI document; an address that it does not have, such as `/livez`, is there to be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{ALLOW, HeaderMap, HeaderValue};

/// The methods of each address, by its pattern. Put it into the app's data as it is.
#[derive(Debug, Clone, Default)]
pub struct Methods(Arc<BTreeMap<String, HeaderValue>>);

impl Methods {
    /// Of these methods at these addresses; an address may come several times.
    #[must_use]
    pub fn of<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (pattern, method) in all {
            words.entry(pattern.to_owned()).or_default().push(method);
        }
        let value =
            |(pattern, words): (String, Vec<&str>)| Some((pattern, HeaderValue::from_str(&words.join(", ")).ok()?));
        Self(Arc::new(words.into_iter().filter_map(value).collect()))
    }

    fn at(&self, pattern: &str) -> HeaderValue {
        self.0.get(pattern).cloned().unwrap_or(HeaderValue::from_static("GET"))
    }
}

/// Adds to a 405 what can be done there instead.
pub(super) fn tell(req: &HttpRequest, headers: &mut HeaderMap) {
    let Some(pattern) = req.resource_map().match_pattern(req.path()) else { return };
    let methods = req.app_data::<Methods>().cloned().unwrap_or_default();
    headers.insert(ALLOW, methods.at(&pattern));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_of_its_methods_and_one_that_nobody_lists_is_read() {
        let methods = Methods::of([("/a/{id}", "GET"), ("/b", "POST"), ("/a/{id}", "DELETE")]);
        assert_eq!(
            (methods.at("/a/{id}"), methods.at("/b")),
            ("GET, DELETE".parse().unwrap(), "POST".parse().unwrap())
        );
        assert_eq!(methods.at("/livez"), "GET");
    }
}
