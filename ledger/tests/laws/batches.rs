//! What a batch is: answers one for one, refusals that leave no trace, and nothing that hangs on where it is cut.

use std::collections::BTreeMap;

use ledger::apply::Applied;
use ledger::{Body, Claim, Command, Record, Refusal, RowKind};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::fold::Fold;
use crate::play::{Desk, Step, accounts, answered, play, stories};
use crate::requests::any_story;

proptest! {
    #![proptest_config(stories(40))]

    /// Asked one by one: a request that is refused or is none leaves accounts, holds, lots, links and claims as they were
    /// but for what was due anyway.
    #[test]
    fn i11_a_refusal_changes_nothing((state, story) in any_story()) {
        let mut desk = Desk::new(state);
        for asked in story {
            for request in desk.well_formed(&asked) {
                let before = desk.clone();
                let applied = desk.commit(std::slice::from_ref(&request), asked.now_us);
                if happened(&applied, &applied.answers[0]) {
                    continue;
                }
                let mut expected = Fold::at(&before);
                for record in &applied.records {
                    let (due, refused) =
                        (matches!(record.body, Body::Due { .. }), matches!(record.body, Body::Refused { .. }));
                    prop_assert!(due || refused && applied.answers[0].is_ok(), "{:?} of what did not happen", record);
                    if due {
                        expected.take(record);
                    }
                }
                expected.is(&desk)?;
                prop_assert_eq!(&desk.claims, &before.claims);
                prop_assert_eq!(&desk.refunded, &before.refunded);
                prop_assert!(applied.links.iter().all(|link| link.kind == RowKind::Expire));
                prop_assert_eq!(desk.state.clock_offset_us, before.state.clock_offset_us);
            }
        }
    }

    /// A request that is none leaves no record of its own, one that is refused leaves exactly its refusal, and what was
    /// due stands right before who made it happen.
    #[test]
    fn i13_one_record_answers_one_request((state, story) in any_story()) {
        for Step { requests, applied, .. } in play(state, &story) {
            prop_assert_eq!(applied.answers.len(), requests.len());
            let answers: Vec<i64> = answered(&applied).into_iter().flatten().collect();
            prop_assert!(answers.is_sorted_by(|one, next| one < next), "two requests share a record");
            for record in &applied.records {
                let answered_by = match &record.body {
                    Body::Opened { by, .. } if *by != 0 => *by,
                    Body::Due { .. } => continue,
                    Body::Opened { .. } | Body::Transaction { .. } | Body::Frozen { .. } | Body::Changed { .. }
                    | Body::Refused { .. } | Body::ClockMoved { .. } | Body::Abandoned => record.seq,
                };
                prop_assert!(answered_by >= record.seq && answers.contains(&answered_by), "{record:?} answers nobody");
            }
        }
    }

    /// A claim is used up by one transaction at most; who comes after is told which.
    #[test]
    fn a_claim_is_used_up_once((state, story) in any_story()) {
        let mut used: BTreeMap<Claim, i64> = BTreeMap::new();
        for Step { requests, applied, .. } in play(state, &story) {
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Command::Transact { claim: Some(claim), .. } = &request.command else { continue };
                let Ok(record) = answer.as_ref().map(|index| &applied.records[*index]) else { continue };
                match &record.body {
                    Body::Transaction { claim: recorded, .. } => {
                        prop_assert_eq!(recorded, &Some(*claim));
                        prop_assert_eq!(used.insert(*claim, record.seq), None);
                    }
                    Body::Refused { refusal: Refusal::ClaimSpent { seq } } => {
                        prop_assert_eq!(used.get(claim), Some(seq));
                    }
                    // What is due is refused for before the claim is looked at.
                    Body::Refused { refusal: Refusal::Overflow { .. } } => {}
                    Body::Refused { .. } => prop_assert!(!used.contains_key(claim)),
                    Body::Opened { .. } | Body::Frozen { .. } | Body::Changed { .. } | Body::Due { .. }
                    | Body::ClockMoved { .. } | Body::Abandoned => {
                        prop_assert!(false, "{:?} answers a transaction", record);
                    }
                }
            }
        }
    }

    /// One time per batch, never before the last, and what counts at no other time counts then.
    #[test]
    fn time_never_goes_back((state, story) in any_story()) {
        let mut last_us = state.last_us;
        for Step { requests, applied, .. } in play(state, &story) {
            let Some(first) = applied.records.first() else { continue };
            prop_assert!(first.recorded_us >= last_us);
            last_us = first.recorded_us;
            prop_assert!(applied.records.iter().all(|record| record.recorded_us == last_us));
            let mut dues = applied.records.iter().filter(|record| matches!(record.body, Body::Due { .. }));
            prop_assert!(dues.all(|record| record.effective_us == last_us && record.meta.is_empty()));
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Ok(index) = answer else { continue };
                let record = &applied.records[*index];
                // What is due counts when it is written, whoever asked.
                let asked = request.effective_us.filter(|_| !matches!(record.body, Body::Due { .. }));
                prop_assert_eq!(record.effective_us, asked.unwrap_or(last_us));
            }
        }
    }

    /// A batch that was decided and could not be committed is as if it had never been.
    #[test]
    fn an_unpublished_batch_leaves_no_trace((state, story) in any_story()) {
        let (mut steady, mut shaky) = (Desk::new(state.clone()), Desk::new(state));
        for (place, asked) in story.iter().enumerate() {
            // What is lost is another batch than the one that follows.
            let lost = &story[(place + 1) % story.len()];
            shaky.decide(&shaky.well_formed(lost), lost.now_us + 1_000);
            let requests = steady.well_formed(asked);
            same(&shaky.commit(&requests, asked.now_us), &steady.commit(&requests, asked.now_us))?;
        }
        prop_assert_eq!(accounts(&shaky.state), accounts(&steady.state));
    }

    /// The same requests in one batch or in several lead to the same records, but for the time they carry. A clock that
    /// moves counts from the next batch on, so here none does.
    #[test]
    fn splitting_a_batch_changes_nothing((state, story) in any_story(), size in 1..5_usize) {
        let (mut whole, mut split) = (Desk::new(state.clone()), Desk::new(state));
        for asked in story {
            let mut requests = whole.well_formed(&asked);
            requests.retain(|request| !matches!(request.command, Command::MoveClock { .. }));
            let at_once = whole.commit(&requests, asked.now_us);
            let mut records = Vec::new();
            let mut answers = Vec::new();
            for part in requests.chunks(size) {
                let applied = split.commit(part, asked.now_us);
                answers.extend(applied.answers.iter().map(|answer| answer.as_ref().err().cloned()));
                records.extend(applied.records);
            }
            prop_assert_eq!(&at_once.records, &records);
            prop_assert_eq!(at_once.answers.into_iter().map(Result::err).collect::<Vec<_>>(), answers);
            Fold::at(&whole).is(&split)?;
            prop_assert_eq!((&whole.claims, &whole.refunded), (&split.claims, &split.refunded));
        }
    }

    /// The same state and batch give the same records and balances, each time.
    #[test]
    fn apply_is_deterministic((state, story) in any_story()) {
        let mut desk = Desk::new(state);
        for asked in story {
            let requests = desk.well_formed(&asked);
            let once = desk.decide(&requests, asked.now_us);
            // A copy of the maps hashes anew: their order must not show.
            same(&once, &desk.clone().decide(&requests, asked.now_us))?;
            desk.commit(&requests, asked.now_us);
        }
    }
}

/// True when the request did what it asked.
fn happened(applied: &Applied, answer: &Result<usize, ledger::Invalid>) -> bool {
    answer.as_ref().is_ok_and(|index| !matches!(applied.records[*index].body, Body::Refused { .. }))
}

fn same(one: &Applied, other: &Applied) -> Result<(), TestCaseError> {
    let first = |applied: &Applied, place: usize| -> Option<Record> { applied.records.get(place).cloned() };
    for place in 0..one.records.len().max(other.records.len()) {
        prop_assert_eq!(first(one, place), first(other, place));
    }
    prop_assert_eq!(&one.answers, &other.answers);
    prop_assert_eq!(&one.claims, &other.claims);
    prop_assert_eq!(one.changed.iter().collect::<BTreeMap<_, _>>(), other.changed.iter().collect());
    prop_assert_eq!((&one.holds, &one.ended), (&other.holds, &other.ended));
    prop_assert_eq!((&one.links, &one.lots), (&other.links, &other.lots));
    prop_assert_eq!((one.seq, one.last_us, one.clock_offset_us), (other.seq, other.last_us, other.clock_offset_us));
    Ok(())
}
