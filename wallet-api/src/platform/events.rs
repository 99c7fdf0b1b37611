//! Events: what happened, as followers and hooks are told.
//!
//! An event of the journal is named by where it stands (journal, fork, seq, ordinal), so that whoever tells it twice
//! tells it under one id. Its data comes from immutable rows only. What is asked because of a hook carries the hook's
//! depth on ([`Depth`]), so that a loop of calls and hooks ends. Not here: how it is delivered.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::ids::derived;
use super::problem::Problem;

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
    /// How many hooks led to it, one after the other.
    pub depth: i16,
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

/// The header in which a hook says how many led to it, itself included, and a call because of it hands that on.
pub const DEPTH_HEADER: &str = "tessera-hook-depth";

/// How many hooks may lead to a call, one after the other (E68).
pub const MAX_DEPTH: i16 = 8;

/// How many hooks led to a call, as whoever makes it says: an extractor, which refuses what looks like a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth(pub i16);

/// 409 `hook-loop`.
#[must_use]
pub fn looped() -> Problem {
    let remedy = "Do not answer a hook with what raises the same hook again.";
    Problem::new(409, "hook-loop", "This looks like a loop of hooks", remedy).with("most", MAX_DEPTH)
}

impl FromRequest for Depth {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let said = req.headers().get(DEPTH_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let depth = said.unwrap_or(0);
        ready(if (0..=MAX_DEPTH).contains(&depth) { Ok(Self(depth)) } else { Err(looped()) })
    }
}
