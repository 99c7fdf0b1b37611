//! Decides from a connection URL whether what is said to the database can be overheard.
//!
//! A unix socket and the loopback address are local. Anything else must ask libpq for encryption in so many words:
//! `sslmode=prefer`, the default, falls back to plain text without a sound. What cannot be read counts as plain text.
//! Source: the PostgreSQL manual, "Connection Strings" and "Protection Provided in Different Modes".

use std::net::IpAddr;

/// How a connection to the database travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// It does not leave this machine.
    Local,
    /// Encrypted, and the server's certificate is checked.
    Verified,
    /// Encrypted, but any server that answers is believed (`sslmode=require`).
    Encrypted,
    /// Readable on the way.
    Plaintext,
}

impl Transport {
    /// Reads a libpq connection URL or `key=value` string; `defaults` is what [`environment`] says.
    #[must_use]
    pub fn of(url: &str, defaults: &[(String, String)]) -> Self {
        let given = parameters(url);
        // In libpq the last value counts, and an empty one counts for nothing.
        let named = |key: &str| {
            let all = given.iter().rev().chain(defaults).filter(|(_, value)| !value.is_empty());
            all.filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).next()
        };
        // An address wins over a host name, entry by entry, and a service file may name any host: all must be local.
        let hosts = [named("host"), named("hostaddr")];
        if hosts.into_iter().flatten().flat_map(|list| list.split(',')).all(is_local) && named("service").is_none() {
            return Self::Local;
        }
        match named("sslmode") {
            Some("verify-ca" | "verify-full") => Self::Verified,
            Some("require") => Self::Encrypted,
            Some(_) | None => Self::Plaintext,
        }
    }
}

/// What libpq takes from the environment where a URL is silent.
pub(super) fn environment() -> Vec<(String, String)> {
    let named = [("PGHOST", "host"), ("PGHOSTADDR", "hostaddr"), ("PGSERVICE", "service"), ("PGSSLMODE", "sslmode")];
    named.iter().filter_map(|(variable, name)| Some(((*name).to_owned(), std::env::var(variable).ok()?))).collect()
}

/// Whether a host is this machine; an empty one means the default unix socket, `@` an abstract one.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.is_empty()
        || host.starts_with(['/', '@'])
        || host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Adds a parameter to a connection URL or `key=value` string; it wins over an earlier one of the same name.
pub(super) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    match (after_scheme(url), url.contains('?')) {
        (Some(_), true) => format!("{url}&{name}={value}"),
        (Some(_), false) => format!("{url}?{name}={value}"),
        (None, _) => format!("{url} {name}={value}"),
    }
}

fn after_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"))
}

fn parameters(url: &str) -> Vec<(String, String)> {
    match after_scheme(url) {
        Some(rest) => url_parameters(rest),
        None => word_parameters(url),
    }
}

/// Reads `[user[:password]@][host[:port][,...]][/database][?name=value[&...]]`.
fn url_parameters(rest: &str) -> Vec<(String, String)> {
    // As libpq does: what stands before the first @ is the user, even with a question mark in it.
    let before_slash = rest.split('/').next().unwrap_or_default();
    let place = if before_slash.contains('@') { rest.split_once('@').map_or(rest, |(_, place)| place) } else { rest };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let hosts = place.split('/').next().unwrap_or_default();
    let hosts: Vec<String> = hosts.split(',').map(|host| decoded(without_port(host))).collect();
    let hosts = hosts.join(",");
    let named = std::iter::once(("host".to_owned(), hosts));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    named.chain(pairs.map(|(name, value)| (decoded(name), decoded(value)))).collect()
}

/// Cuts `:5432` off a host; an IPv6 address stands in brackets and has colons of its own.
fn without_port(host: &str) -> &str {
    match host.find(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Reads `name = value` words; a value in single quotes may hold blanks, a backslash takes the next character as it is.
fn word_parameters(text: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = first_value(after.trim_start());
        found.push((name.trim().to_owned(), value));
        rest = after.trim_start();
    }
    found
}

fn first_value(text: &str) -> (String, &str) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return (value, text.get(at.saturating_add(1)..).unwrap_or_default()),
            blank if !quoted && blank.is_whitespace() => return (value, text.get(at..).unwrap_or_default()),
            other => value.push(other),
        }
    }
    (value, "")
}

/// Undoes `%XX`; a broken one stays as it is, which makes no host local.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for url in [
            "postgresql://app@/books?host=%2Frun%2Ftessera",
            "postgres://app:p%40ss@localhost:5432/books",
            "postgresql://127.0.0.2/books",
            "postgresql://app@[::1]:5432/books",
            "postgresql://%2Frun%2Fpostgresql/books",
            "postgresql:///books",
            "host=/run dbname=books",
            "host = 'localhost' password='a b\\' host=evil.example' dbname=books",
            "dbname=books",
        ] {
            assert_eq!(Transport::of(url, &[]), Transport::Local, "{url}");
        }
    }

    #[test]
    fn a_remote_database_without_tls_is_plain_text_however_it_is_written() {
        for url in [
            "postgresql://app@db.example/books",
            "postgresql://db.example:5432/books?sslmode=prefer",
            "postgresql://localhost,db.example/books",
            "postgresql://localhost/books?host=db.example",
            "postgresql://localhost/books?hostaddr=192.0.2.7",
            "postgresql://localhost@db.example/books",
            "postgresql://localhost?x@db.example/books",
            "postgresql://localhost:x/@db.example/books?host=db.example",
            "postgresql://localhost/books?service=elsewhere",
            "postgresql://db.example/books?sslmode=require&sslmode=disable",
            "postgresql://127.0.0.1.db.example/books",
            "host=db.example dbname=books",
            "host=localhost host=db.example",
            "dbname=books service=elsewhere",
        ] {
            assert_eq!(Transport::of(url, &[]), Transport::Plaintext, "{url}");
        }
        let elsewhere = |name: &str| vec![(name.to_owned(), "db.example".to_owned())];
        assert_eq!(Transport::of("dbname=books", &elsewhere("host")), Transport::Plaintext);
        assert_eq!(Transport::of("postgresql:///books?host=", &elsewhere("host")), Transport::Plaintext);
        assert_eq!(Transport::of("postgresql://localhost/books", &elsewhere("host")), Transport::Local);
        assert_eq!(Transport::of("postgresql://localhost/books", &elsewhere("hostaddr")), Transport::Plaintext);
        assert_eq!(Transport::of("postgresql://localhost/books", &elsewhere("service")), Transport::Plaintext);
    }

    #[test]
    fn a_certificate_is_checked_only_when_asked_for() {
        let remote = |query: &str| Transport::of(&format!("postgresql://db.example/books?{query}"), &[]);
        assert_eq!(remote("sslmode=require"), Transport::Encrypted);
        assert_eq!(remote("sslmode=verify-ca"), Transport::Verified);
        assert_eq!(remote("application_name=x&sslmode=verify-full"), Transport::Verified);
        assert_eq!(Transport::of("host=db.example sslmode=verify-full", &[]), Transport::Verified);
    }

    #[test]
    fn a_parameter_is_added_in_the_manner_of_the_string() {
        assert_eq!(with_parameter("postgresql:///b", "t", "5"), "postgresql:///b?t=5");
        assert_eq!(with_parameter("postgres:///b?a=1", "t", "5"), "postgres:///b?a=1&t=5");
        assert_eq!(with_parameter("dbname=b", "t", "5"), "dbname=b t=5");
    }
}
