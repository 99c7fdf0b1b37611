//! Events: what happened, as followers and hooks are told.
//!
//! An event of the journal is named by where it stands (journal, fork, seq, ordinal), so that whoever tells it twice
//! tells it under one id. Its data comes from immutable rows only. Not here: how it is delivered.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::ids::derived;

/// Something that happened, at one place of a tenant's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The tenant, which is also its journal.
    pub tenant: i64,
    /// The journal's line of history.
    pub fork: Uuid,
    /// The record it comes from.
    pub seq: i64,
    /// Which of that record's events, from zero.
    pub ordinal: i32,
    /// `payment.cleared.v1`: lower case, dotted, versioned.
    pub kind: &'static str,
    /// Whom it is about: `customer/<id>`.
    pub subject: String,
    /// When it counts.
    pub occurred: DateTime<Utc>,
    /// When it was recorded.
    pub recorded: DateTime<Utc>,
    /// What there is to say: ids and amounts, no personal data.
    pub data: Value,
}

impl Event {
    /// Its id, the same for ever: a function of where it stands and what it is.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let place = (self.tenant.to_be_bytes(), self.seq.to_be_bytes(), self.ordinal.to_be_bytes());
        derived("event", &[&place.0, self.fork.as_bytes(), &place.1, &place.2, self.kind.as_bytes()])
    }
}
