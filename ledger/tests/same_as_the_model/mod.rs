//! The state machine: whatever is asked, `apply` and the model write the same books.

use std::collections::{BTreeMap, BTreeSet};

use ledger::apply::{Applied, State};
use ledger::{Account, Body, Dropped, Refusal};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestRunner};
use uuid::Uuid;

use crate::model::{Fate, Model, Outcome, Page, faults_of_form};
use crate::play::{Desk, accounts, answered, stories, well_formed};
use crate::requests::{Asked, any_story};

proptest! {
    #![proptest_config(stories(512))]

    /// Record by record, answer by answer, balance by balance, after every batch.
    #[test]
    fn apply_writes_what_the_model_writes((state, story) in any_story()) {
        let mut model = Model::of(&state);
        let mut desk = Desk::new(state);
        for asked in story {
            for request in &asked.requests {
                let (faults, checked) = (faults_of_form(request), request.check());
                prop_assert_eq!(faults.is_empty(), checked.is_ok());
                prop_assert!(checked.err().is_none_or(|fault| faults.contains(&fault)));
            }
            let requests = well_formed(&asked.requests);
            let applied = desk.commit(&requests, asked.now_us);
            let expected = model.batch(&requests, asked.now_us);
            prop_assert_eq!(&applied.records, &expected.records);
            same_answers(&applied, &expected)?;
            same_books(&desk, &model)?;
        }
    }
}

fn same_answers(applied: &Applied, expected: &Outcome) -> Result<(), TestCaseError> {
    prop_assert_eq!(applied.answers.len(), expected.fates.len());
    for ((answer, seq), fate) in applied.answers.iter().zip(answered(applied)).zip(&expected.fates) {
        match fate {
            Fate::Answered(expected) => prop_assert_eq!(seq, Some(*expected)),
            Fate::NotARequest(faults) => {
                let fault = answer.as_ref().err();
                prop_assert!(fault.is_some_and(|fault| faults.contains(fault)), "{answer:?} is not one of {faults:?}");
            }
        }
    }
    Ok(())
}

fn same_books(desk: &Desk, model: &Model) -> Result<(), TestCaseError> {
    let State { seq, last_us, clock_offset_us, .. } = desk.state;
    prop_assert_eq!((seq, last_us, clock_offset_us), (model.seq, model.last_us, model.offset_us));
    let pages: BTreeMap<Uuid, Page> =
        accounts(&desk.state).into_iter().map(|(id, account)| (id, page(account))).collect();
    prop_assert_eq!(&pages, &model.accounts);
    let claims: BTreeMap<Uuid, i64> = desk.claims.iter().map(|(claim, seq)| (claim.0, *seq)).collect();
    prop_assert_eq!(&claims, &model.claims);
    Ok(())
}

fn page(account: Account) -> Page {
    let Account { id, public_id, asset, normal_side, owner, floor, ceiling, .. } = account;
    Page {
        number: id.0,
        terms: ledger::NewAccount { public_id, asset, normal_side, owner, floor, ceiling },
        debits_frozen: account.debits_frozen,
        credits_frozen: account.credits_frozen,
        balance: account.balance.into(),
        held: account.held.into(),
        rows: account.version,
    }
}

/// A comparison proves nothing about what was never asked: every fate a request can have comes up.
#[test]
fn random_stories_meet_every_fate() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::<&str, u32>::new();
    for _ in 0..300 {
        let (state, story) = any_story().new_tree(&mut runner).unwrap().current();
        fates(state, &story, |fate| *met.entry(fate).or_default() += 1);
    }
    let wanted = BTreeSet::from([
        "transaction",
        "opened",
        "opened by a transaction",
        "frozen",
        "clock moved",
        "abandoned",
        "claim used up",
        "group kept",
        "group dropped",
        "floor",
        "ceiling",
        "side frozen",
        "overflow",
        "claim spent",
        "dropped: floor",
        "dropped: ceiling",
        "dropped: side frozen",
        "dropped: overflow",
        "Empty",
        "TooMany",
        "Amount",
        "SameAccount",
        "UnknownAccount",
        "UnknownAsset",
        "AssetMismatch",
        "Limits",
        "AccountExists",
        "EffectiveDate",
        "Clock",
    ]);
    let rare: Vec<_> = wanted.iter().filter(|fate| met.get(*fate).is_none_or(|times| *times < 5)).collect();
    assert!(rare.is_empty(), "met fewer than five times: {rare:?}, of {met:?}");
}

fn fates(state: State, story: &[Asked], mut met: impl FnMut(&'static str)) {
    let mut desk = Desk::new(state);
    for asked in story {
        let invalid = asked.requests.iter().filter_map(|request| request.check().err());
        let applied = desk.commit(&well_formed(&asked.requests), asked.now_us);
        let declined = applied.answers.iter().filter_map(|answer| answer.clone().err());
        invalid.chain(declined).for_each(|fault| met(name_of_fault(&fault)));
        for record in &applied.records {
            match &record.body {
                Body::Transaction { dropped, claim, transfers, .. } => {
                    met("transaction");
                    claim.iter().for_each(|_| met("claim used up"));
                    for Dropped { refusal, .. } in dropped {
                        met("group dropped");
                        met(name_of_refusal(refusal, true));
                    }
                    if dropped.is_empty() && transfers.len() > 6 {
                        met("group kept");
                    }
                }
                Body::Opened { by: 0, .. } => met("opened"),
                Body::Opened { .. } => met("opened by a transaction"),
                Body::Frozen { .. } => met("frozen"),
                Body::Refused { refusal } => met(name_of_refusal(refusal, false)),
                Body::ClockMoved { .. } => met("clock moved"),
                Body::Abandoned => met("abandoned"),
            }
        }
    }
}

fn name_of_refusal(refusal: &Refusal, dropped: bool) -> &'static str {
    match (refusal, dropped) {
        (Refusal::Floor { .. }, false) => "floor",
        (Refusal::Ceiling { .. }, false) => "ceiling",
        (Refusal::Frozen { .. }, false) => "side frozen",
        (Refusal::Overflow { .. }, false) => "overflow",
        (Refusal::Floor { .. }, true) => "dropped: floor",
        (Refusal::Ceiling { .. }, true) => "dropped: ceiling",
        (Refusal::Frozen { .. }, true) => "dropped: side frozen",
        (Refusal::Overflow { .. }, true) => "dropped: overflow",
        (Refusal::ClaimSpent { .. }, _) => "claim spent",
    }
}

fn name_of_fault(fault: &ledger::Invalid) -> &'static str {
    use ledger::Invalid;
    match fault {
        Invalid::Empty => "Empty",
        Invalid::TooMany { .. } => "TooMany",
        Invalid::Amount { .. } => "Amount",
        Invalid::SameAccount { .. } => "SameAccount",
        Invalid::UnknownAccount { .. } => "UnknownAccount",
        Invalid::UnknownAsset => "UnknownAsset",
        Invalid::AssetMismatch { .. } => "AssetMismatch",
        Invalid::Limits { .. } => "Limits",
        Invalid::AccountExists { .. } => "AccountExists",
        Invalid::Companion { .. } => "Companion",
        Invalid::EffectiveDate => "EffectiveDate",
        Invalid::Clock => "Clock",
    }
}
