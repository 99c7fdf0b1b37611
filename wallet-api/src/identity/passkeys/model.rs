//! What passkeys are, and why there is none.

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::problem::{Describe, Problem};
use crate::platform::webauthn::{Fault, PublicKey, Registered};

/// Whose a passkey is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Of what kind.
    pub kind: HolderKind,
    /// Who: the customer's id, or the operator's. It is the user handle that the authenticator keeps.
    pub id: Uuid,
}

/// Who has passkeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HolderKind {
    /// A customer.
    Person,
    /// Somebody who works for the tenant.
    Operator,
}

impl Holder {
    /// A customer.
    #[must_use]
    pub const fn person(id: Uuid) -> Self {
        Self { kind: HolderKind::Person, id }
    }

    /// Somebody who works for the tenant.
    #[must_use]
    pub const fn operator(id: Uuid) -> Self {
        Self { kind: HolderKind::Operator, id }
    }
}

impl HolderKind {
    /// Its word in the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Operator => "operator",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Person, Self::Operator].into_iter().find(|kind| kind.word() == word)
    }
}

/// A passkey to be, as the holder's device will show it.
#[derive(Debug, Clone, Copy)]
pub struct NewPasskey<'a> {
    /// Whose.
    pub holder: Holder,
    /// The account's name: an e-mail address, say.
    pub user_name: &'a str,
    /// The holder's name.
    pub display_name: &'a str,
}

/// A ceremony that began.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Names it when it ends.
    pub challenge: Uuid,
    /// For the browser: `{"publicKey": …}`.
    pub options: Value,
    /// From when on an answer is refused.
    pub expires_at: DateTime<Utc>,
}

/// A credential on file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its id with us.
    pub id: Uuid,
    /// Whose it is.
    pub holder: Holder,
    /// Its id with its authenticator.
    pub credential_id: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// The last signature counter.
    pub counter: u32,
    /// It may be synced to other devices.
    pub backup_eligible: bool,
    /// It is synced.
    pub backed_up: bool,
    /// The authenticator's model, as claimed.
    pub aaguid: Uuid,
    /// What its holder calls it.
    pub name: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was used last.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was locked, because its counter went back.
    pub locked_at: Option<DateTime<Utc>>,
    /// When its holder ended it.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Passkey {
    pub(super) fn registered(
        id: Uuid,
        holder: Holder,
        name: String,
        registered: Registered,
        now: DateTime<Utc>,
    ) -> Self {
        let Registered { credential_id, key, aaguid, counter, backup_eligible, backed_up } = registered;
        Self {
            id,
            holder,
            credential_id,
            key,
            counter,
            backup_eligible,
            backed_up,
            aaguid: Uuid::from_bytes(aaguid),
            name,
            created_at: now,
            last_used_at: None,
            locked_at: None,
            revoked_at: None,
        }
    }

    /// Whether it may be used.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.locked_at.is_none() && self.revoked_at.is_none()
    }
}

/// Somebody who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub holder: Holder,
    /// By which passkey.
    pub passkey: Uuid,
    /// It may be synced to other devices: no proof of the device.
    pub synced: bool,
}

/// Why a ceremony does not begin.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The holder has as many as one may have.
    #[error("the holder has as many passkeys as one may have")]
    TooMany,
    /// The library refuses to begin.
    #[error("the ceremony cannot begin")]
    Library(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// What the database says.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for PasskeyError {
    fn describe(&self) -> Problem {
        match self {
            Self::TooMany => {
                Problem::new(409, "too-many-passkeys", "There are too many passkeys", "Remove one that is not used.")
            }
            Self::Library(_) => Problem::internal(self),
            Self::Database(error) => error.describe(),
        }
    }
}

/// An answer that was not taken. Its sender is told the same whatever was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the passkey was not accepted")]
pub struct Refused(Fault);

impl Refused {
    pub(super) fn because(fault: Fault) -> Self {
        tracing::info!(%fault, "a passkey's answer was refused");
        Self(fault)
    }

    /// What was wrong: for alerts and tests, never for the sender.
    #[must_use]
    pub const fn fault(self) -> Fault {
        self.0
    }
}

impl Describe for Refused {
    fn describe(&self) -> Problem {
        let detail = "Begin again and use a passkey that you registered here.";
        Problem::new(403, "passkey-refused", "The passkey was not accepted", detail)
    }
}

/// Credentials as options name them (Level 3, §5.8.3).
pub(in crate::identity) fn descriptors(ids: &[Vec<u8>]) -> Value {
    let one = |id: &Vec<u8>| serde_json::json!({"type": "public-key", "id": BASE64URL_NOPAD.encode(id)});
    ids.iter().map(one).collect()
}
