//! What operators are, and why there is none.

use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as SqlError};
use uuid::Uuid;

use super::Hours;
use crate::identity::passkeys::PasskeyError;
use crate::platform::keyring::{Role, Token};
use crate::platform::problem::{Describe, Problem};
use crate::platform::vault::VaultError;

/// A role to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRole {
    /// Which.
    pub role: Role,
    /// The merchant or biller that it is bound to.
    pub merchant: Option<Uuid>,
    /// When it is in force; none is always.
    pub hours: Option<Hours>,
}

/// A role that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRole {
    /// Its id.
    pub id: Uuid,
    /// The role.
    pub role: NewRole,
    /// Since when.
    pub granted_at: DateTime<Utc>,
}

/// Somebody to be invited.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// Their name.
    pub name: String,
    /// Their address: one operator of the tenant has it.
    pub email: String,
    /// Their first role; none when they are there and only lost their passkey.
    pub role: Option<NewRole>,
}

/// Somebody who was invited. The invitation cannot be read again.
#[derive(Debug)]
pub struct Invited {
    /// Who.
    pub operator: Uuid,
    /// Their invitation.
    pub invitation: Token,
    /// Until when it is good.
    pub until: DateTime<Utc>,
    /// Access tokens that ended with it.
    pub ended: Vec<String>,
}

/// Somebody who works for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Who.
    pub id: Uuid,
    /// Their number.
    pub number: i64,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their roles.
    pub roles: Vec<HeldRole>,
    /// When they left.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No such operator, or they left.
    #[error("the tenant has no such operator")]
    Unknown,
    /// A name of no letters, or too long.
    #[error("a name has 1 to 200 characters")]
    Name,
    /// No address.
    #[error("this is no mail address")]
    Email,
    /// A new operator without a role.
    #[error("somebody new needs a role")]
    NoRole,
    /// A role that is bound to a merchant was given none, or one that is not was given one.
    #[error("{} {}", .0.word(), if .0.is_bound() { "is always of one merchant: name it" } else { "is never of one merchant" })]
    Bound(Role),
    /// No such merchant.
    #[error("the tenant has no such merchant")]
    UnknownMerchant,
    /// They do not have the role.
    #[error("they do not have this role")]
    RoleNotHeld,
    /// The passkey's ceremony cannot begin.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[source] SqlError),
}

impl From<SqlError> for OperatorError {
    fn from(error: SqlError) -> Self {
        // Of what is written here only a merchant comes from outside without having been looked up.
        if matches!(error, SqlError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) {
            return Self::UnknownMerchant;
        }
        Self::Database(error)
    }
}

impl Describe for OperatorError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unknown => {
                Problem::new(404, "operator-unknown", "There is no such operator", "Check the id or the address.")
            }
            Self::Name => Problem::new(422, "name-missing", "The name is missing", "Give it one."),
            Self::Email => {
                Problem::new(422, "mail-address-invalid", "This is no mail address", "Write it as name@example.org.")
            }
            Self::NoRole | Self::Bound(_) | Self::RoleNotHeld => {
                let remedy = "Shop staff, billers and merchants are always of one merchant, the others never.";
                Problem::new(422, "role-invalid", "This role cannot be given or ended so", remedy)
            }
            Self::UnknownMerchant => {
                Problem::new(404, "merchant-unknown", "There is no such merchant", "Check the merchant's id.")
            }
            Self::Passkey(error) => error.describe(),
            Self::Vault(error) => error.describe(),
            Self::Database(error) => error.describe(),
        }
    }
}

impl NewRole {
    pub(super) fn check(&self) -> Result<(), OperatorError> {
        let fits = self.role.is_bound() == self.merchant.is_some();
        if fits { Ok(()) } else { Err(OperatorError::Bound(self.role)) }
    }
}

impl NewOperator {
    /// The name and the address as they are kept.
    pub(super) fn check(&self) -> Result<(String, String), OperatorError> {
        let (name, email) = (self.name.trim().to_owned(), self.email.trim().to_lowercase());
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(OperatorError::Name);
        }
        let is_address = email.len() <= 254
            && email.bytes().all(|byte| byte.is_ascii_graphic())
            && email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        if !is_address {
            return Err(OperatorError::Email);
        }
        if let Some(role) = &self.role {
            role.check()?;
        }
        Ok((name, email))
    }
}
