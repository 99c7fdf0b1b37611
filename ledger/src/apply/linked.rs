//! Linked requests: a batch of which all happen or none, each under a key and a record of its own.
//!
//! They are applied like any batch, one after the other, and what came out is judged as a whole. When one of them fails, what
//! the others did before it never was. So the one that failed is decided again, alone and on the books as they stand: if they
//! refuse it too, that refusal is all that is written, and its key is spent as it would be alone; if only the rest of its
//! batch stood in its way, nothing is written. The keys of the others stay free either way. Pure, like all of
//! [`apply`](super).

use super::Applied;
use crate::{Answer, Body, Invalid, JournalError, Record};

/// The place of the first request that does not happen, if there is one.
#[must_use]
pub fn fails_at(applied: &Applied) -> Option<usize> {
    let refused = |index: &usize| applied.records.get(*index).is_none_or(is_refusal);
    applied.answers.iter().position(|answer| answer.as_ref().map_or(true, refused))
}

/// Whether a request that failed in its batch is refused alone as well: `alone` is what it came to on the books as they stand.
#[must_use]
pub fn is_refused(alone: &Applied) -> bool {
    matches!(alone.answers.as_slice(), [Ok(index)] if alone.records.get(*index).is_some_and(is_refusal))
}

/// Whether more is due on an account of a request than was written down, also when it is alone.
#[must_use]
pub fn is_due(alone: &Applied) -> bool {
    matches!(alone.answers.as_slice(), [Err(Invalid::StillDue { .. })])
}

/// The answers of a batch that need not be tried, because of what its keys did before: none when all of them are new.
///
/// All used: each its own answer again. Some used: those are told what became of them, and the others that they cannot
/// be done together any more.
pub fn already(replays: &mut Vec<Option<Result<Answer, JournalError>>>) -> Option<Vec<Result<Answer, JournalError>>> {
    let stands_in_the_way = |replay: &Option<Result<Answer, JournalError>>| match replay {
        None => false,
        Some(Ok(answer)) => is_refusal(&answer.record),
        Some(Err(_)) => true,
    };
    let used = replays.iter().position(Option::is_some)?;
    let place = replays.iter().position(stands_in_the_way).unwrap_or(used);
    let replays = std::mem::take(replays).into_iter();
    Some(replays.map(|replay| replay.unwrap_or(Err(JournalError::Linked { place }))).collect())
}

fn is_refusal(record: &Record) -> bool {
    matches!(record.body, Body::Refused { .. })
}
