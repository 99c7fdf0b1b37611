//! Requests of which all happen or none, on the model.
//!
//! They are played one after another, like any. When one of them does not happen, it is as if none had been played. Then that
//! one is played alone: if the books refuse it as well, that is written down; what is no request leaves nothing. Of keys that
//! were used before, whoever asks is told what became of them, and what is new beside them is not done.

use std::collections::BTreeMap;

use ledger::{Body, Command, Invalid, Record, Request};
use uuid::Uuid;

use super::fold::Fold;
use super::history::{Told, Write};
use super::seen::Books;
use crate::model::{Fate, Model, Outcome, faults_of_form};

/// What becomes of requests that stand together when none of their keys was used.
pub enum Joint {
    Done(Outcome),
    /// The one at this place was refused, alone as well; that, and what was due before it, is written.
    Refused(usize, Outcome),
    /// The one at this place is no request, for one of these reasons; none where only those before it stand in its way.
    Declined(usize, Vec<Invalid>),
}

/// Plays them, and leaves the model as the books are then.
pub fn play(model: &mut Model, requests: &[Request], now_us: i64) -> Joint {
    let mut trial = model.clone();
    let outcome = trial.batch(requests, now_us);
    for (place, fate) in outcome.fates.iter().enumerate() {
        let seq = match fate {
            Fate::NotARequest(faults) => return Joint::Declined(place, faults.clone()),
            Fate::Answered(seq) => *seq,
        };
        let record = &outcome.records[usize::try_from(seq - model.seq - 1).unwrap()];
        if is_refusal(record) {
            let mut trial = model.clone();
            let alone = trial.batch(&requests[place..=place], now_us);
            if !matches!(alone.fates[0], Fate::Answered(_)) || !alone.records.last().is_some_and(is_refusal) {
                return Joint::Declined(place, Vec::new());
            }
            *model = trial;
            return Joint::Refused(place, alone);
        }
    }
    *model = trial;
    Joint::Done(outcome)
}

const fn is_refusal(record: &Record) -> bool {
    matches!(record.body, Body::Refused { .. })
}

/// Where keys lead, and the fingerprint they were used with.
pub type Used = BTreeMap<Uuid, (i64, Uuid)>;

/// Whether those who wrote nothing were told what they are told when the books stand so, at this time.
pub fn is_so(books: Books<'_>, used: &Used, ask: &[Write], us: i64) -> bool {
    if let Some(place) = badly_formed(ask) {
        let faults = faults_of_form(&ask[place].request);
        return stands_in_the_way(ask, place, |told| match told {
            Told::Invalid(fault) => fault.is_one_of(&faults),
            Told::Reused => faults.is_empty(),
            _ => false,
        });
    }
    let before: Vec<_> = ask.iter().map(|write| became(books, used, &write.request)).collect();
    if before.iter().any(Option::is_some) {
        return is_again(books.fold, ask, &before);
    }
    let requests: Vec<_> = ask.iter().map(|write| write.request.clone()).collect();
    match play(&mut books.model.clone(), &requests, us) {
        Joint::Declined(place, faults) => stands_in_the_way(ask, place, |told| match told {
            Told::Invalid(fault) => fault.is_one_of(&faults),
            Told::Linked(by) => faults.is_empty() && *by == place,
            _ => false,
        }),
        // That would have been written down.
        Joint::Done(_) | Joint::Refused(..) => false,
    }
}

/// The first that is seen to be no request by itself, or to come twice.
fn badly_formed(ask: &[Write]) -> Option<usize> {
    let is_second = |place: usize| {
        let key = ask[place].request.key.key;
        ask[..place].iter().any(|before| before.request.key.key == key)
    };
    (0..ask.len()).find(|place| !faults_of_form(&ask[*place].request).is_empty() || is_second(*place))
}

fn stands_in_the_way(ask: &[Write], place: usize, own: impl Fn(&Told) -> bool) -> bool {
    ask.iter().enumerate().all(|(at, write)| match &write.told {
        Told::Silent => true,
        told if at == place => own(told),
        told => matches!(told, Told::Linked(by) if *by == place),
    })
}

/// What became of a request whose key was used.
#[derive(PartialEq, Eq)]
enum Became {
    Answered(i64),
    GivenUp(i64),
    Reused,
}

fn became(books: Books<'_>, used: &Used, request: &Request) -> Option<Became> {
    let (seq, fingerprint) = *used.get(&request.key.key).filter(|(seq, _)| *seq <= books.model.seq)?;
    let given_up = record(books.fold, seq).body == Body::Abandoned;
    Some(match request.command {
        Command::Abandon => Became::Answered(seq),
        _ if given_up => Became::GivenUp(seq),
        _ if fingerprint == request.key.fingerprint => Became::Answered(seq),
        _ => Became::Reused,
    })
}

fn record(fold: &Fold, seq: i64) -> &Record {
    &fold.records[usize::try_from(seq - 1).unwrap()]
}

/// Each is told what became of it, and those that are new that they cannot be done with the others any more.
fn is_again(fold: &Fold, ask: &[Write], before: &[Option<Became>]) -> bool {
    let failed = |became: &Option<Became>| match became {
        None => false,
        Some(Became::Answered(seq)) => matches!(record(fold, *seq).body, Body::Refused { .. }),
        Some(Became::GivenUp(_) | Became::Reused) => true,
    };
    let first = before.iter().position(failed).or_else(|| before.iter().position(Option::is_some));
    ask.iter().zip(before).all(|(write, became)| match (&write.told, became) {
        (Told::Silent, _) => true,
        (Told::Linked(by), None) => Some(*by) == first,
        (Told::Answered { record, replayed: true }, Some(became)) => *became == Became::Answered(record.seq),
        (Told::GivenUp(seq), Some(became)) => *became == Became::GivenUp(*seq),
        (Told::Reused, Some(became)) => *became == Became::Reused,
        _ => false,
    })
}
