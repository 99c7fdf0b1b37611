//! What a contact is, how it is written, and why one is refused.

use std::fmt;

use chrono::{DateTime, Utc};
use diesel::result::Error as SqlError;
use url::Host;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::platform::post::{Letter, Mail};
use crate::platform::problem::{Describe, Problem};
use crate::platform::vault::VaultError;

/// Longest mail address (RFC 5321, section 4.5.3.1.3), and what may stand before its `@`.
const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL: usize = 64;
/// Digits of a phone number with its country's code: the most of E.164, and fewer than any country has.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Of what kind a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A mail address.
    Email,
    /// A phone number.
    Phone,
}

impl Kind {
    /// Its word in the table and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    pub(in crate::identity) fn from_word(word: &str) -> Self {
        // The tables' checks allow these two only.
        if word == Self::Phone.word() { Self::Phone } else { Self::Email }
    }
}

/// A contact, written in one way only: what is equal is equal to the letter. It shows nothing of itself but by
/// [`reveal`](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    kind: Kind,
    value: Zeroizing<String>,
}

impl Contact {
    /// A mail address: in lower case, its domain as the name system has it (`xn--…`). Only what is allowed without quotes before
    /// the `@` (RFC 5322, `dot-atom`), which is all that providers give out.
    ///
    /// # Errors
    /// [`ContactError::Email`].
    pub fn email(text: &str) -> Result<Self, ContactError> {
        let wrong = || ContactError::Email;
        let (local, domain) = text.trim().rsplit_once('@').ok_or_else(wrong)?;
        let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
        let Ok(Host::Domain(domain)) = Host::parse(domain) else { return Err(wrong()) };
        if local.len() > LONGEST_LOCAL || !local.split('.').all(is_atom) || domain.ends_with('.') {
            return Err(wrong());
        }
        let value = Zeroizing::new(format!("{}@{domain}", local.to_ascii_lowercase()));
        // Whoever sends it must take it too.
        if value.len() > LONGEST_EMAIL || !Mail::can_go_to(&value) {
            return Err(wrong());
        }
        Ok(Self { kind: Kind::Email, value })
    }

    /// A phone number with its country's code, as E.164 writes it: `+390612345678`. Spaces and hyphens between digits are left out.
    ///
    /// # Errors
    /// [`ContactError::Phone`].
    pub fn phone(text: &str) -> Result<Self, ContactError> {
        let digits = text.trim().strip_prefix('+').ok_or(ContactError::Phone)?;
        let digits: String = digits.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if !is_number || !PHONE_DIGITS.contains(&digits.len()) {
            return Err(ContactError::Phone);
        }
        Ok(Self { kind: Kind::Phone, value: Zeroizing::new(format!("+{digits}")) })
    }

    /// As it was kept.
    pub(in crate::identity) fn kept(kind: Kind, value: &str) -> Self {
        Self { kind, value: Zeroizing::new(value.to_owned()) }
    }

    /// Of what kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The contact itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// Whether anything can be sent there.
    ///
    /// # Errors
    /// [`ContactError::PhoneNotSet`] of a phone number.
    pub const fn can_be_reached(&self) -> Result<(), ContactError> {
        match self.kind {
            Kind::Email => Ok(()),
            Kind::Phone => Err(ContactError::PhoneNotSet),
        }
    }

    /// A letter to it. What brings text messages one day stands beside this.
    ///
    /// # Errors
    /// [`ContactError::PhoneNotSet`] of a phone number.
    pub fn mail(&self, letter: Letter) -> Result<Mail, ContactError> {
        self.can_be_reached()?;
        Mail::new(&self.value, letter).map_err(|_no_address| ContactError::Email)
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({}, ..)", self.kind.word())
    }
}

/// RFC 5322, section 3.2.3.
const fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

/// A contact of a person.
#[derive(Debug, Clone)]
pub struct Proved {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub person: Uuid,
    /// The contact.
    pub contact: Contact,
    /// When they proved it.
    pub proved_at: DateTime<Utc>,
}

/// Why there is no such contact.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// It is no mail address.
    #[error("no mail address")]
    Email,
    /// It is no phone number.
    #[error("no phone number")]
    Phone,
    /// Nothing sends text messages.
    #[error("nothing sends text messages")]
    PhoneNotSet,
    /// It is somebody's.
    #[error("the contact is somebody's")]
    Taken,
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] SqlError),
}

impl Describe for ContactError {
    fn describe(&self) -> Problem {
        match self {
            Self::Email => {
                Problem::new(422, "mail-address-invalid", "This is no mail address", "Write it as name@example.org.")
            }
            Self::Phone => {
                let remedy = "Write it with its country's code, as in +390612345678.";
                Problem::new(422, "phone-invalid", "This is no phone number", remedy)
            }
            Self::PhoneNotSet => {
                let remedy = "Use a mail address: nothing sends text messages here yet.";
                Problem::new(503, "phone-not-set", "No text message leaves here", remedy)
            }
            Self::Taken => {
                let remedy = "There is a wallet with this contact: sign in to it, or recover it.";
                Problem::new(409, "contact-taken", "The contact is in use", remedy)
            }
            Self::Vault(error) => error.describe(),
            Self::Database(error) => error.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_one_contact_however_it_is_written() {
        for (written, kept) in [
            ("anna@example.org", "anna@example.org"),
            (" Anna@Example.ORG ", "anna@example.org"),
            ("a.b+c@caff\u{e8}.example", "a.b+c@xn--caff-8oa.example"),
        ] {
            assert_eq!(Contact::email(written).unwrap().reveal(), kept, "{written}");
        }
        assert_eq!(format!("{:?}", Contact::email("anna@example.org").unwrap()), "Contact(email, ..)");
        let long = format!("{}@example.org", "a".repeat(65));
        for wrong in [
            "",
            "anna",
            "@example.org",
            "anna@",
            "a@b@c@",
            ".a@example.org",
            "a..b@example.org",
            "a b@example.org",
            "\"a\"@example.org",
            "anna@127.0.0.1",
            "anna@[::1]",
            "Anna <anna@example.org>",
            "a@example.org,b@example.org",
            "a@example.org\r\nBcc: b@example.org",
            "\u{e0}nna@example.org",
            long.as_str(),
        ] {
            assert!(matches!(Contact::email(wrong), Err(ContactError::Email)), "{wrong}");
        }
    }

    #[test]
    fn a_phone_number_is_read_as_e164_and_cannot_be_reached_yet() {
        let phone = Contact::phone("+39 06 1234-5678").unwrap();
        assert_eq!(phone.reveal(), "+390612345678");
        let letter = Letter::written(crate::platform::text::Lang::En, "code", &[]);
        assert!(matches!(phone.mail(letter), Err(ContactError::PhoneNotSet)));
        for wrong in ["", "0612345678", "+0612345678", "+39", "+39061234567890123", "+39x612345678"] {
            assert!(matches!(Contact::phone(wrong), Err(ContactError::Phone)), "{wrong}");
        }
    }
}
