//! What tenants and keys are made from, and why they are refused.

use chrono_tz::Tz;
use diesel::result::{DatabaseErrorKind, Error as SqlError};

use crate::platform::keyring::{Scope, Token};
use crate::platform::problem::{Describe, Problem};
use crate::platform::text::Lang;

/// A tenant to be.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// 1 to 63 of `a-z`, `0-9` and inner `-`; for good.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Play money and a clock that can be moved; for good.
    pub sandbox: bool,
    /// Where its days begin and end.
    pub zone: Tz,
    /// The language it writes to its customers in.
    pub locale: Lang,
}

/// A key to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose.
    pub tenant: i64,
    /// What it is for, in words.
    pub name: String,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// The client it belongs to; none makes a new client.
    pub client: Option<i64>,
}

/// A key that was made. It cannot be read again.
#[derive(Debug)]
pub struct CreatedKey {
    /// Its number within the tenant.
    pub id: i64,
    /// Whom it acts for.
    pub client: i64,
    /// The key itself.
    pub key: Token,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The slug cannot be one.
    #[error("a slug is 1 to 63 of a-z, 0-9 and, inside, -")]
    Slug,
    /// Another tenant has the slug.
    #[error("another tenant has this slug")]
    SlugTaken,
    /// Another tenant has the number, or the slug.
    #[error("another tenant has this number or this slug")]
    NumberTaken,
    /// A name of no letters.
    #[error("the name is missing")]
    NameMissing,
    /// A key that could do nothing.
    #[error("a key needs at least one scope")]
    NoScopes,
    /// A key that would be a person.
    #[error("{0} is a person's, in a session of theirs, and never a key's")]
    PeoplesScope(Scope),
    /// No such tenant.
    #[error("no such tenant")]
    UnknownTenant,
    /// The tenant has no such client.
    #[error("the tenant has no such client")]
    UnknownClient,
    /// The tenant has no such key.
    #[error("the tenant has no such key")]
    UnknownKey,
    /// The database failed.
    #[error("database call failed")]
    Database(#[source] SqlError),
}

impl From<SqlError> for IdentityError {
    fn from(error: SqlError) -> Self {
        // The one foreign key here is a key's tenant.
        if matches!(error, SqlError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) {
            return Self::UnknownTenant;
        }
        Self::Database(error)
    }
}

impl Describe for IdentityError {
    fn describe(&self) -> Problem {
        match self {
            Self::Slug => {
                Problem::new(422, "slug-invalid", "This cannot be a slug", "Use 1 to 63 of a-z, 0-9 and, inside, -.")
            }
            Self::SlugTaken => Problem::new(409, "slug-taken", "The slug is taken", "Choose another."),
            Self::NumberTaken => Problem::new(
                409,
                "number-taken",
                "The number or the slug is taken",
                "Use a database without that tenant.",
            ),
            Self::NameMissing => Problem::new(422, "name-missing", "The name is missing", "Give it one."),
            Self::NoScopes => {
                Problem::new(422, "scopes-missing", "The key could do nothing", "Name at least one scope.")
            }
            Self::PeoplesScope(scope) => {
                let remedy = "Leave it out: people sign in.";
                Problem::new(422, "scope-of-people", "No key can have this scope", remedy).with("scope", scope.word())
            }
            Self::UnknownTenant => Problem::new(404, "tenant-unknown", "There is no such tenant", "Check its slug."),
            Self::UnknownClient => {
                Problem::new(404, "client-unknown", "There is no such client", "Leave it out to make a new one.")
            }
            Self::UnknownKey => Problem::new(404, "key-unknown", "There is no such key", "Check its prefix."),
            Self::Database(error) => error.describe(),
        }
    }
}

impl NewTenant {
    pub(super) fn check(&self) -> Result<(), IdentityError> {
        if !is_slug(&self.slug) {
            return Err(IdentityError::Slug);
        }
        if self.name.trim().is_empty() {
            return Err(IdentityError::NameMissing);
        }
        Ok(())
    }
}

impl NewKey {
    pub(super) fn check(&self) -> Result<(), IdentityError> {
        if self.name.trim().is_empty() {
            return Err(IdentityError::NameMissing);
        }
        if self.scopes.is_empty() {
            return Err(IdentityError::NoScopes);
        }
        if let Some(scope) = self.scopes.iter().find(|scope| scope.is_of_people()) {
            return Err(IdentityError::PeoplesScope(*scope));
        }
        Ok(())
    }
}

/// The rule of the table's check: also what a DNS label allows.
pub(super) fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_dns_label_in_lower_case() {
        for good in ["a", "acea-2", "0", &"x".repeat(63)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "è", "a.b", "a b", &"x".repeat(64)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
