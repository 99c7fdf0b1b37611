//! What nodes tell each other: that something they may hold in memory has changed.
//!
//! News says only what to look up again, never what it is now: whoever lies to us makes us ask the database, no more.
//! As text: `1 key <prefix>`, `1 access <prefix>`, `1 config <tenant>` or `1 hooks <tenant>`; all else is not for us and is passed over.

use std::fmt;

/// Longest news, in bytes.
const LONGEST: usize = 64;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The API key with this prefix.
    Key(String),
    /// The access token with this prefix.
    Access(String),
    /// The configuration of this tenant: programmes, campaigns, merchants.
    Config(i64),
    /// This tenant has hooks to send that no journal tells of: a test, a replay.
    Hooks(i64),
}

impl News {
    /// Reads news, or passes over what is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST)?;
        match text.strip_prefix("1 ")?.split_once(' ')? {
            ("key", prefix) if is_prefix(prefix) => Some(Self::Key(prefix.to_owned())),
            ("access", prefix) if is_prefix(prefix) => Some(Self::Access(prefix.to_owned())),
            ("config", tenant) => tenant.parse().ok().map(Self::Config),
            ("hooks", tenant) => tenant.parse().ok().map(Self::Hooks),
            _ => None,
        }
    }
}

fn is_prefix(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(prefix) => write!(f, "1 key {prefix}"),
            Self::Access(prefix) => write!(f, "1 access {prefix}"),
            Self::Config(tenant) => write!(f, "1 config {tenant}"),
            Self::Hooks(tenant) => write!(f, "1 hooks {tenant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_read_as_it_was_written_and_nothing_else_is_news() {
        let prefix = || "0123456789ab".to_owned();
        for news in [News::Key(prefix()), News::Access(prefix()), News::Config(7), News::Config(-7), News::Hooks(7)] {
            assert_eq!(News::parse(news.to_string().as_bytes()), Some(news));
        }
        let long = format!("1 key {}", "a".repeat(LONGEST));
        let bad = ["", "1", "1 key", "1 key ", "1 key xyz", "1 config x", "2 config 1", "1 else 1", "1 key a b", &long];
        for bad in bad {
            assert_eq!(News::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(News::parse(&[0xFF, 0xFE]), None);
    }
}
