//! What goes in one piece: one request as itself, or several with what binds them, and what they are answered.
//!
//! Several are a list of the forms they would have alone, behind a version of its own: a release that knows no such list
//! answers as it does to any form that is not its own, with one `not-leader`, and that stands for all of them.

use std::sync::Arc;

use super::{answer_from_bytes, answer_to_bytes};
use crate::canonical::{Reader, Writer};
use crate::{Answer, Answers, JournalError, Request};

/// The version of a list of linked requests, or of answers.
const LINKED: u8 = 3;
/// The version of a list of requests that are done one after the other.
const IN_ORDER: u8 = 4;

/// What binds requests that go in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// All of them happen or none does.
    Linked,
    /// Each happens or not by itself, in this order with nothing between.
    InOrder,
}

/// Requests as they are forwarded: one as itself, whatever would bind it to others.
#[must_use]
pub fn requests_to_bytes(requests: &[Arc<Request>], bond: Bond) -> Vec<u8> {
    match (requests, bond) {
        ([alone], _) => alone.to_bytes(),
        (linked, Bond::Linked) => list(LINKED, linked, |request| request.to_bytes()),
        (ordered, Bond::InOrder) => list(IN_ORDER, ordered, |request| request.to_bytes()),
    }
}

/// Reads what [`requests_to_bytes`] wrote; none for anything else. They are still to be checked.
#[must_use]
pub fn requests_from_bytes(bytes: &[u8]) -> Option<(Vec<Arc<Request>>, Bond)> {
    let request = |bytes: &[u8]| Request::from_bytes(bytes).map(Arc::new);
    match *bytes.first()? {
        LINKED => Some((read_list(LINKED, bytes, request)?, Bond::Linked)),
        IN_ORDER => Some((read_list(IN_ORDER, bytes, request)?, Bond::InOrder)),
        _ => Some((vec![request(bytes)?], Bond::InOrder)),
    }
}

/// What requests that came in one piece are answered, as it goes back.
#[must_use]
pub fn answers_to_bytes(answers: &[Result<Answer, JournalError>]) -> Vec<u8> {
    match answers {
        [alone] => answer_to_bytes(alone),
        many => list(LINKED, many, answer_to_bytes),
    }
}

/// Reads what [`answers_to_bytes`] wrote to so many requests; none for anything else.
#[must_use]
pub fn answers_from_bytes(bytes: &[u8], asked: usize) -> Option<Answers> {
    if bytes.first() == Some(&LINKED) {
        return read_list(LINKED, bytes, answer_from_bytes).filter(|answers| answers.len() == asked);
    }
    let answer = answer_from_bytes(bytes)?;
    match answer {
        Err(JournalError::NotLeader { .. }) => Some(vec![answer; asked]),
        answer => (asked == 1).then(|| vec![answer]),
    }
}

fn list<T>(version: u8, parts: &[T], form: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut out = Writer::default();
    out.u8(version).list(parts, |out, part| _ = out.bytes(&form(part)));
    out.into_bytes()
}

/// Two parts at least: one has a form of its own.
fn read_list<T>(version: u8, bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    let bytes = &mut Reader::new(bytes);
    let parts = if bytes.u8()? == version { bytes.list(|bytes| read(bytes.bytes()?))? } else { return None };
    (bytes.is_empty() && parts.len() > 1).then_some(parts)
}
