//! Four eyes: one person asks for something, and another confirms it before it is done.
//!
//! Promise: whoever asked cannot confirm, by whatever role, session or key of theirs ([`Caller::eyes`]); what is confirmed is
//! to the letter what was asked, once, within [`STANDS`]; both are in the audit log, and so is a try with the same eyes.
//! Both functions join their caller's transaction, which does the thing itself after [`confirm`]: a refusal is a value, to be
//! committed. Not here: what takes four eyes, which its slice says; corrections of the books, which have their own.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use ring::digest;
use uuid::Uuid;

use crate::platform::audit::{self, Action, Entry, Fact, Object};
use crate::platform::ids::Ids;
use crate::platform::keyring::Caller;
use crate::platform::problem::{Describe, Problem};

/// How long a request can be confirmed.
pub const STANDS: TimeDelta = TimeDelta::days(7);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The act, as the audit log will call it when it is done.
    pub act: Action,
    /// To what.
    pub object: Object,
    /// All else that was asked for, in canonical bytes: a reason, an amount. Another is another request.
    pub terms: &'a [u8],
}

/// Why it is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EyesError {
    /// Nobody asked for this under the id.
    #[error("nobody asked for this")]
    Unknown,
    /// Whoever asked would confirm.
    #[error("whoever asked may not confirm")]
    SameEyes,
    /// It was confirmed before, or its time is over.
    #[error("it was confirmed before, or its time is over")]
    Over,
}

impl Describe for EyesError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unknown => {
                Problem::new(404, "request-for-eyes-unknown", "Nobody asked for this", "Ask first, then confirm.")
            }
            Self::SameEyes => {
                let remedy = "Four eyes: have somebody else confirm it.";
                Problem::new(403, "same-eyes", "Who proposed it may not decide it", remedy)
            }
            Self::Over => {
                let remedy = "It was confirmed before, or nobody did in time: ask again.";
                Problem::new(409, "request-for-eyes-over", "There is nothing to confirm any more", remedy)
            }
        }
    }
}

/// Notes what somebody asks for; gives the id to confirm it by.
///
/// # Errors
/// The database's.
pub fn ask(conn: &mut PgConnection, ids: &Ids, now: DateTime<Utc>, by: &Caller, wish: &Wish<'_>) -> QueryResult<Uuid> {
    let (id, tenant) = (ids.uuid_v7(now), by.tenant.id);
    store::insert(conn, tenant, id, &Asked::of(wish), by.eyes(), (now, now + STANDS))?;
    audit::append(conn, &entry(by, Action::EyesAsked, id, wish), now)?;
    Ok(id)
}

/// Confirms what another asked for: from here on the caller may do it, in this transaction.
///
/// # Errors
/// The database's. A refusal is no error.
pub fn confirm(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &Caller,
    id: Uuid,
    wish: &Wish<'_>,
) -> QueryResult<Result<(), EyesError>> {
    let (tenant, asked) = (by.tenant.id, Asked::of(wish));
    // The update matches an open request of another only: of two at once, the second finds it decided.
    let is_confirmed = store::decide(conn, tenant, id, &asked, (by.eyes(), now))?;
    if is_confirmed {
        audit::append(conn, &entry(by, Action::EyesConfirmed, id, wish), now)?;
        return Ok(Ok(()));
    }
    let refused = match store::asked_by(conn, tenant, id, &asked)? {
        None => EyesError::Unknown,
        Some(eyes) if eyes == by.eyes() => {
            audit::append(conn, &entry(by, Action::EyesConfirmed, id, wish).refused(), now)?;
            EyesError::SameEyes
        }
        Some(_) => EyesError::Over,
    };
    Ok(Err(refused))
}

fn entry(by: &Caller, action: Action, id: Uuid, wish: &Wish<'_>) -> Entry {
    let entry = Entry::done(by.tenant.id, by.actor, action, wish.object.clone());
    let entry = entry.with("request", Fact::Id(id)).with("act", Fact::Word(wish.act.word()));
    if let Object::Person(person) = wish.object { entry.about(person) } else { entry }
}

/// A wish as the table has it.
struct Asked {
    act: &'static str,
    object: String,
    fingerprint: Vec<u8>,
}

impl Asked {
    fn of(wish: &Wish<'_>) -> Self {
        let object = format!("{}:{}", wish.object.kind(), wish.object.id());
        let fingerprint = digest::digest(&digest::SHA256, wish.terms).as_ref().to_vec();
        Self { act: wish.act.word(), object, fingerprint }
    }
}

#[cfg(test)]
mod tests;
