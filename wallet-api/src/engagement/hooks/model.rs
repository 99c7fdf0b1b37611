//! Endpoints, deliveries and attempts as the slice speaks of them, and its refusals.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::guard::Refusal;
use super::sign::Secret;
use crate::platform::problem::{Describe, FieldError, Problem};

/// Most endpoints a tenant may have enabled at once. Each costs memory and connections while it does not answer.
pub const MAX_ENDPOINTS: i64 = 100;
/// Most types an endpoint may name.
const MAX_TYPES: usize = 50;
/// Longest name of a type, in bytes.
const MAX_TYPE_BYTES: usize = 100;
/// Stands for every type.
const ALL: &str = "*";

/// The types an endpoint wants to be told: names such as `payment.cleared.v1`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypes(Vec<String>);

impl EventTypes {
    /// The types, when there are 1 to 50, each `*` or lower-case words with dots, up to 100 characters.
    ///
    /// # Errors
    /// [`HookError::EventTypes`].
    pub fn parse(types: Vec<String>) -> Result<Self, HookError> {
        let good = (1..=MAX_TYPES).contains(&types.len()) && types.iter().all(|name| name == ALL || is_type(name));
        if good { Ok(Self(types)) } else { Err(HookError::EventTypes) }
    }

    /// Types that were stored, and so were checked once.
    pub(super) fn stored(types: Vec<String>) -> Self {
        Self(types)
    }

    /// Whether events of this type are among them.
    #[must_use]
    pub fn include(&self, kind: &str) -> bool {
        self.0.iter().any(|name| name == ALL || name == kind)
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

fn is_type(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    name.len() <= MAX_TYPE_BYTES && name.contains('.') && name.split('.').all(is_word)
}

/// An endpoint as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// Where hooks are sent.
    pub url: String,
    /// What it is told.
    pub event_types: EventTypes,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// Since when nothing is sent any more, and why: `requested` or `gone`.
    pub disabled: Option<(DateTime<Utc>, String)>,
}

/// An endpoint to add.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Its id.
    pub id: Uuid,
    /// Where to send: checked by the guard.
    pub url: String,
    /// What to tell it.
    pub event_types: EventTypes,
    /// What its hooks are signed with.
    pub secret: Secret,
}

/// Why an endpoint is told no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisableReason {
    /// Its tenant asked for it.
    Requested,
    /// The receiver answered 410.
    Gone,
}

impl DisableReason {
    /// Its stable name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Gone => "gone",
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Not there yet; another attempt follows.
    Pending,
    /// The receiver took it.
    Delivered,
    /// Every attempt failed; no other follows.
    Failed,
    /// The endpoint was disabled before it took it.
    Gone,
}

impl DeliveryStatus {
    /// Its number in the table.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Delivered => 1,
            Self::Failed => 2,
            Self::Gone => 3,
        }
    }

    /// The status of a number; a number that the table's check refuses reads as gone.
    #[must_use]
    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Pending,
            1 => Self::Delivered,
            2 => Self::Failed,
            _ => Self::Gone,
        }
    }
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The journal's record.
    pub seq: i64,
    /// Which of its events.
    pub ordinal: i32,
    /// The CloudEvents id.
    pub event: Uuid,
    /// The event's type.
    pub kind: String,
    /// How far it is.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempts: i32,
    /// When the next is made, at the earliest; none when no other follows.
    pub next_at: Option<DateTime<Utc>>,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
}

/// One attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptMade {
    /// Which, from 1.
    pub attempt: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// The HTTP status, if an answer came.
    pub status: Option<i32>,
    /// Why it failed, by its stable name; none when it did not.
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// The beginning of the answer, if it failed.
    pub response: Option<String>,
}

/// Why something asked of this slice did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Hooks may not go there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not a list of types.
    #[error("event types are not 1 to 50 of `*` or names such as payment.cleared.v1")]
    EventTypes,
    /// The tenant has [`MAX_ENDPOINTS`] already.
    #[error("the tenant has {MAX_ENDPOINTS} endpoints enabled")]
    TooMany,
    /// The tenant has no such endpoint, or the endpoint no such delivery.
    #[error("no such endpoint or delivery")]
    Unknown,
    /// The journal could not be asked where it stands.
    #[error(transparent)]
    Journal(#[from] ledger::StoreError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for HookError {
    fn describe(&self) -> Problem {
        match self {
            Self::Refused(refusal) => {
                let remedy = "See errors for the reason, and register another address.";
                Problem::new(422, "endpoint-refused", "Hooks may not go there", remedy).errors([FieldError::new(
                    "/url",
                    refused_code(refusal),
                    refusal.to_string(),
                )])
            }
            Self::EventTypes => {
                let names = "1 to 50 names such as payment.cleared.v1, or * for all.";
                Problem::new(
                    422,
                    "body-invalid",
                    "The body is not what is asked for here",
                    "See errors for the place and the mistake.",
                )
                .errors([FieldError::new("/event_types", "invalid", names)])
            }
            Self::TooMany => {
                Problem::new(409, "endpoints-too-many", "There are too many endpoints", "Disable one first.")
                    .with("most", MAX_ENDPOINTS)
            }
            Self::Unknown => crate::platform::http::not_found(),
            Self::Journal(error) => Problem::internal(error),
            Self::Database(error) => error.describe(),
        }
    }
}

fn refused_code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed",
        Refusal::Scheme => "not-https",
        Refusal::UserInfo => "user-info",
        Refusal::Fragment => "fragment",
        Refusal::DisguisedHost => "disguised-host",
        Refusal::Port(_) => "port",
        Refusal::Unresolved => "unresolved",
        Refusal::NotPublic { .. } => "not-public",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> Result<EventTypes, HookError> {
        EventTypes::parse(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn an_endpoint_is_told_the_types_it_named_and_a_star_means_all() {
        let some = types(&["payment.cleared.v1", "cashback.accrued.v1"]).unwrap();
        assert!(some.include("payment.cleared.v1") && some.include("cashback.accrued.v1"));
        assert!(!some.include("payment.cleared.v10") && !some.include("payment.cleared"));
        assert!(types(&["*"]).unwrap().include("anything.at.all"));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        assert!(types(&["payment.cleared.v1"; 50]).is_ok());
        for bad in [vec![], vec!["payment.cleared.v1"; 51], vec!["**"], vec!["payment.*"], vec!["Payment.cleared"]] {
            assert!(types(&bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "payment", "payment..v1", "payment.cleared.", "a. b", &format!("a.{}", "x".repeat(99))] {
            assert!(types(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_status_comes_back_from_its_number() {
        for status in [DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Failed, DeliveryStatus::Gone]
        {
            assert_eq!(DeliveryStatus::from_code(status.code()), status);
        }
    }
}
