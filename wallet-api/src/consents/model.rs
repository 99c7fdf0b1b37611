//! Purposes, texts, and what a person said of them.

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use crate::platform::problem::{Describe, Problem};
use crate::platform::text::Lang;

/// Longest text, in bytes.
pub const MAX_TEXT: usize = 20_000;

/// What somebody is asked to agree to, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentText {
    /// What for.
    pub purpose: String,
    /// From one on.
    pub version: i32,
    /// In which language.
    pub locale: Lang,
    /// The words.
    pub words: String,
    /// SHA-256 of the words in UTF-8.
    pub digest: [u8; 32],
}

/// SHA-256 of a text's words.
#[must_use]
pub fn digest_of(words: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest(&SHA256, words.as_bytes()).as_ref()) {
        *to = *from;
    }
    bytes
}

/// Where a person said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// In the app.
    App,
    /// On our pages.
    Page,
}

impl Channel {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::App => 0,
            Self::Page => 1,
        }
    }

    /// Of its number; the table's check allows these only.
    #[must_use]
    pub const fn of(number: i16) -> Self {
        if number == 0 { Self::App } else { Self::Page }
    }

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Page => "page",
        }
    }
}

/// One time a person agreed, or took it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Of the person, from one on.
    pub number: i32,
    /// What for.
    pub purpose: String,
    /// True when they agreed.
    pub is_granted: bool,
    /// To which version of its text.
    pub version: i32,
    /// In which language it was shown.
    pub locale: Lang,
    /// SHA-256 of what was shown.
    pub digest: [u8; 32],
    /// Where.
    pub channel: Channel,
    /// In which session.
    pub session: Uuid,
    /// The audit log's entry of it.
    pub audit_seq: i64,
    /// When.
    pub at: DateTime<Utc>,
}

/// Who says something, where and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saying {
    /// The person.
    pub person: Uuid,
    /// In which session.
    pub session: Uuid,
    /// Where.
    pub channel: Channel,
}

/// A text that was shown: what is agreed to, to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its version.
    pub version: i32,
    /// In which language.
    pub locale: Lang,
    /// SHA-256 of what was shown.
    pub digest: [u8; 32],
}

/// Why nothing was written down.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// Nothing is asked for this purpose.
    #[error("no such purpose")]
    UnknownPurpose,
    /// What was shown is not what is asked now.
    #[error("another text is asked now")]
    TextChanged,
    /// The name of the purpose, or one of the texts, cannot be one.
    #[error("a text cannot be kept")]
    Text,
    /// The person has no account any more.
    #[error("no such person")]
    UnknownPerson,
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for ConsentError {
    fn describe(&self) -> Problem {
        match self {
            Self::UnknownPurpose => {
                let detail = "List what can be agreed to, and use one of its purposes.";
                Problem::new(404, "purpose-unknown", "Nothing is asked for this purpose", detail)
            }
            Self::TextChanged => {
                let detail = "Show the text that is in force now, and send its version and hash.";
                Problem::new(409, "consent-text-changed", "Another text is asked now", detail)
            }
            Self::Text => {
                let detail =
                    "A purpose is 1 to 40 of a-z, 0-9 and _; its text has 1 to 20000 bytes, in Italian and in English.";
                Problem::new(422, "consent-text-invalid", "The text cannot be kept", detail)
            }
            Self::UnknownPerson => {
                let detail = "The customer has not signed up, or the id is another's.";
                Problem::new(404, "person-unknown", "There is no such person", detail)
            }
            Self::Database(error) => error.describe(),
        }
    }
}

/// Whether this can name a purpose: 1 to 40 of `a-z`, `0-9` and `_`, the first a letter.
#[must_use]
pub fn is_purpose(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_short_word() {
        assert!(["a", "marketing", "p2_x", &"x".repeat(40)].into_iter().all(is_purpose));
        assert!(["", "A", "2a", "a-b", "_a", "a b", "è", &"x".repeat(41)].into_iter().all(|bad| !is_purpose(bad)));
    }
}
