//! Secrets: read from files of their own, and shown without what is secret in them.

use std::path::Path;

use super::file;

/// Longest secret, in bytes.
const MOST_BYTES: u64 = 64 * 1024;
/// Addresses whose host and path are no secret; elsewhere a path may be one.
const SHOWN: [&str; 6] = ["postgres", "postgresql", "redis", "rediss", "smtp", "smtps"];
/// What is printed instead of a secret.
const HIDDEN: &str = "<secret>";

/// The secret that a file holds, without the end of its line; else what is wrong.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let text = file::read(path, MOST_BYTES).map_err(|error| format!("cannot be read: {error}"))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(secret.to_owned())
}

/// What may be shown of a secret: of a database's, Redis's or mail server's address all but the password and the parameters, else nothing.
#[must_use]
pub fn redact(secret: &str) -> String {
    let Ok(url) = url::Url::parse(secret) else { return HIDDEN.to_owned() };
    if !SHOWN.contains(&url.scheme()) {
        return HIDDEN.to_owned();
    }
    let user = match (url.username(), url.password()) {
        ("", None) => String::new(),
        (user, None) => format!("{user}@"),
        (user, Some(_)) => format!("{user}:***@"),
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let parameters = if url.query().is_some() { "?***" } else { "" };
    format!("{}://{user}{}{port}{}{parameters}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_all_but_password_and_parameters_is_shown() {
        for (secret, shown) in [
            ("postgres://app:hunter2@db:5433/tessera?sslmode=require", "postgres://app:***@db:5433/tessera?***"),
            ("postgresql://app@db/tessera", "postgresql://app@db/tessera"),
            ("postgresql:///tessera?host=/run&password=hunter2", "postgresql:///tessera?***"),
            ("rediss://:hunter2@cache/0", "rediss://:***@cache/0"),
            ("host=db password=hunter2", HIDDEN),
            ("https://example.com/services/hunter2", HIDDEN),
            ("tsk_abc_hunter2", HIDDEN),
            ("", HIDDEN),
        ] {
            assert_eq!(redact(secret), shown);
        }
    }

    #[test]
    fn a_secret_is_its_file_without_the_end_of_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, " pass word \r\n").unwrap();
        assert_eq!(read(&path).unwrap(), " pass word ");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read(&path).unwrap_err(), "is empty");
    }
}
