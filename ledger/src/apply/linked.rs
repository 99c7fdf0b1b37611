//! Linked requests: a batch of which all happen or none, each under a key and a record of its own.
//!
//! They are applied like any batch, one after the other, and what came out is judged as a whole. When one of them is
//! refused by an account's state, that refusal is all that is written: the key of the refused one is spent, as it would be
//! alone, and those of the others stay free. Whoever sends the same batch again meets the same refusal; the others can
//! be sent without it. Pure, like all of [`apply`](super).

use super::{Applied, State};
use crate::{Answer, Body, JournalError, Record, Refusal};

/// The place of the first request that does not happen, if there is one.
#[must_use]
pub fn fails_at(applied: &Applied) -> Option<usize> {
    let refused = |index: &usize| applied.records.get(*index).is_none_or(is_refusal);
    applied.answers.iter().position(|answer| answer.as_ref().map_or(true, refused))
}

/// What is left of a batch that fails at `place`: the refusal there, as the one record after the state's. Nothing at all
/// for what is no request, nor for one that only the batch itself stood in the way of: a claim that two of it make, a row of it
/// that is moved back twice.
#[must_use]
pub fn only(state: &State, applied: Applied, place: usize) -> Applied {
    let Applied { mut records, answers, .. } = applied;
    let mut left = Applied {
        seq: state.seq,
        last_us: state.last_us,
        clock_offset_us: state.clock_offset_us,
        ..Applied::default()
    };
    match answers.into_iter().nth(place) {
        Some(Ok(index)) if records.get(index).is_some_and(|record| !is_rivalry(record, state.seq)) => {
            let record = records.swap_remove(index);
            (left.seq, left.last_us) = (state.seq.saturating_add(1), record.recorded_us);
            left.records.push(Record { seq: left.seq, ..record });
            left.answers.push(Ok(0));
        }
        Some(Err(invalid)) => left.answers.push(Err(invalid)),
        Some(Ok(_)) | None => {}
    }
    left
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

/// Refused for what another request of the same batch would have done, after the seq that stands.
fn is_rivalry(record: &Record, stands: i64) -> bool {
    let Body::Refused { refusal } = &record.body else { return false };
    match refusal {
        Refusal::ClaimSpent { seq } => *seq > stands,
        Refusal::HoldEnded { hold: of } | Refusal::HoldExceeded { hold: of } | Refusal::RefundExceeded { of } => {
            of.seq > stands
        }
        Refusal::Floor { .. }
        | Refusal::Ceiling { .. }
        | Refusal::Frozen { .. }
        | Refusal::Overflow { .. }
        | Refusal::Closed { .. }
        | Refusal::NotEmpty { .. } => false,
    }
}

fn is_refusal(record: &Record) -> bool {
    matches!(record.body, Body::Refused { .. })
}
