//! Endpoints, deliveries and attempts as the slice speaks of them, and its refusals.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::guard::Refusal;
use super::send::ShakeError;
use super::sign::Secret;
pub use crate::platform::events::MAX_DEPTH;
use crate::platform::events::looped;
use crate::platform::problem::{Describe, FieldError, Problem};

/// Most endpoints a tenant may have enabled at once. Each costs memory and connections while it does not answer.
pub const MAX_ENDPOINTS: i64 = 100;
/// Most secrets of an endpoint that were replaced and still sign.
pub const MAX_OLD_SECRETS: i16 = 4;
/// Most replays of an endpoint that are under way at once.
pub const MAX_REPLAYS: i64 = 5;
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
    /// For an ordered one: attempts at one event before the next of its subject goes.
    pub ordered: Option<i16>,
    /// What its hooks are for: of people, only those are told of who agree to it.
    pub purpose: Option<String>,
    /// Until when each of the secrets that were replaced still signs, newest first.
    pub old_until: Vec<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// The first failure since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Since when nothing is sent any more, and why: `requested`, `gone` or `failing`.
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
    /// Events of one subject one by one: attempts at one before the next goes, 1 to 10. None: in any order.
    pub ordered: Option<i16>,
    /// What its hooks are for: of people, only those are told of who agree to it. None: what is told needs no consent.
    pub purpose: Option<String>,
}

/// Why an endpoint is told no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisableReason {
    /// Its tenant asked for it.
    Requested,
    /// The receiver answered 410.
    Gone,
    /// Nothing but failures for days.
    Failing,
}

impl DisableReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Requested, Self::Gone, Self::Failing];

    /// Its stable name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Gone => "gone",
            Self::Failing => "failing",
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
    /// The person whom it is about withdrew their consent before it was sent.
    Withheld,
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
            Self::Withheld => 4,
        }
    }

    /// The status of a number; a number that the table's check refuses reads as gone.
    #[must_use]
    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Pending,
            1 => Self::Delivered,
            2 => Self::Failed,
            4 => Self::Withheld,
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
    /// The receiver did not agree when it was asked.
    #[error(transparent)]
    Handshake(#[from] ShakeError),
    /// Not a list of types.
    #[error("event types are not 1 to 50 of `*` or names such as payment.cleared.v1")]
    EventTypes,
    /// The tenant has [`MAX_ENDPOINTS`] already.
    #[error("the tenant has {MAX_ENDPOINTS} endpoints enabled")]
    TooMany,
    /// Asked of an endpoint that is disabled.
    #[error("the endpoint is disabled")]
    Disabled,
    /// A secret was replaced [`MAX_OLD_SECRETS`] times, and all of them still sign.
    #[error("{MAX_OLD_SECRETS} secrets that were replaced still sign")]
    TooManySecrets,
    /// The endpoint has [`MAX_REPLAYS`] replays under way.
    #[error("the endpoint has {MAX_REPLAYS} replays under way")]
    TooManyReplays,
    /// A hook led to this call, and so many to that one, that it looks like a loop.
    #[error("{MAX_DEPTH} hooks led to this call, one after the other")]
    Loop,
    /// Something in the body is out of its bounds.
    #[error("{pointer}: {words}")]
    Invalid {
        /// Where.
        pointer: &'static str,
        /// What is asked for.
        words: &'static str,
    },
    /// The tenant has no such endpoint, or the endpoint no such delivery or replay.
    #[error("no such endpoint, delivery or replay")]
    Unknown,
    /// The catalogue has no such type.
    #[error("no such event type")]
    NoSuchType,
    /// An event could not be written as JSON.
    #[error("event cannot be written as JSON")]
    Body(#[from] serde_json::Error),
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
            Self::Handshake(error) => {
                let remedy = "See errors for the reason, and register another address.";
                Problem::new(422, "endpoint-refused", "Hooks may not go there", remedy).errors([FieldError::new(
                    "/url",
                    "handshake",
                    error.to_string(),
                )])
            }
            Self::EventTypes => invalid("/event_types", "1 to 50 names such as payment.cleared.v1, or * for all."),
            Self::Invalid { pointer, words } => invalid(pointer, words),
            Self::Disabled => {
                Problem::new(409, "endpoint-disabled", "The endpoint is disabled", "Enable it first, then ask again.")
            }
            Self::TooManySecrets => {
                let remedy = "Wait until one of them expires, or end them all with overlap_s 0.";
                Problem::new(409, "secrets-too-many", "Too many secrets are in force", remedy)
                    .with("most", MAX_OLD_SECRETS)
            }
            Self::TooManyReplays => {
                let remedy = "Wait until one has ended, or cancel one.";
                Problem::new(409, "replays-too-many", "There are too many replays", remedy).with("most", MAX_REPLAYS)
            }
            Self::Loop => looped(),
            Self::TooMany => {
                Problem::new(409, "endpoints-too-many", "There are too many endpoints", "Disable one first.")
                    .with("most", MAX_ENDPOINTS)
            }
            Self::Unknown => crate::platform::http::not_found(),
            Self::NoSuchType => {
                let remedy = "GET /v1/event-types lists them all.";
                Problem::new(404, "event-type-unknown", "There is no such event type", remedy)
            }
            Self::Body(error) => Problem::internal(error),
            Self::Journal(error) => Problem::internal(error),
            Self::Database(error) => error.describe(),
        }
    }
}

fn invalid(pointer: &'static str, words: &'static str) -> Problem {
    let (title, detail) = ("The body is not what is asked for here", "See errors for the place and the mistake.");
    Problem::new(422, "body-invalid", title, detail).errors([FieldError::new(pointer, "invalid", words)])
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
        let ended = [DeliveryStatus::Delivered, DeliveryStatus::Failed, DeliveryStatus::Gone, DeliveryStatus::Withheld];
        for status in ended.into_iter().chain([DeliveryStatus::Pending]) {
            assert_eq!(DeliveryStatus::from_code(status.code()), status);
        }
    }
}
