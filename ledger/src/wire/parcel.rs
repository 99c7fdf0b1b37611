//! What goes in one piece: one request as itself, or several that happen all or not at all, and what they are answered.
//!
//! Several are a list of the forms they would have alone, behind a version of its own: a release that knows no such list
//! answers as it does to any form that is not its own, with one `not-leader`, and that stands for all of them.

use std::sync::Arc;

use super::{answer_from_bytes, answer_to_bytes};
use crate::canonical::{Reader, Writer};
use crate::{Answer, Answers, JournalError, Request};

/// The version of a list, of requests or of answers.
const LINKED: u8 = 3;

/// Requests as they are forwarded: one by itself, several linked.
#[must_use]
pub fn requests_to_bytes(requests: &[Arc<Request>]) -> Vec<u8> {
    match requests {
        [alone] => alone.to_bytes(),
        linked => list(linked, |request| request.to_bytes()),
    }
}

/// Reads what [`requests_to_bytes`] wrote; none for anything else. They are still to be checked.
#[must_use]
pub fn requests_from_bytes(bytes: &[u8]) -> Option<Vec<Arc<Request>>> {
    match *bytes.first()? {
        LINKED => read_list(bytes, |bytes| Request::from_bytes(bytes).map(Arc::new)),
        _ => Request::from_bytes(bytes).map(|alone| vec![Arc::new(alone)]),
    }
}

/// What requests that came in one piece are answered, as it goes back.
#[must_use]
pub fn answers_to_bytes(answers: &[Result<Answer, JournalError>]) -> Vec<u8> {
    match answers {
        [alone] => answer_to_bytes(alone),
        linked => list(linked, answer_to_bytes),
    }
}

/// Reads what [`answers_to_bytes`] wrote to so many requests; none for anything else.
#[must_use]
pub fn answers_from_bytes(bytes: &[u8], asked: usize) -> Option<Answers> {
    if bytes.first() == Some(&LINKED) {
        return read_list(bytes, answer_from_bytes).filter(|answers| answers.len() == asked);
    }
    let answer = answer_from_bytes(bytes)?;
    match answer {
        Err(JournalError::NotLeader { .. }) => Some(vec![answer; asked]),
        answer => (asked == 1).then(|| vec![answer]),
    }
}

fn list<T>(parts: &[T], form: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut out = Writer::default();
    out.u8(LINKED).list(parts, |out, part| _ = out.bytes(&form(part)));
    out.into_bytes()
}

/// Two parts at least: one has a form of its own.
fn read_list<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    let bytes = &mut Reader::new(bytes);
    let parts = if bytes.u8()? == LINKED { bytes.list(|bytes| read(bytes.bytes()?))? } else { return None };
    (bytes.is_empty() && parts.len() > 1).then_some(parts)
}
