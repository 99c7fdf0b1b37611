//! A comparison proves nothing about what was never asked: every fate a request can have comes up.

use std::collections::{BTreeMap, BTreeSet};

use ledger::apply::State;
use ledger::{Body, Change, Dropped, Invalid, Posted, Refusal, RowKind};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::play::{Desk, well_formed};
use crate::requests::{Asked, any_story};

#[test]
fn random_stories_meet_every_fate() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::<String, u32>::new();
    for _ in 0..400 {
        let (state, story) = any_story().new_tree(&mut runner).unwrap().current();
        fates(state, &story, |fate| *met.entry(fate).or_default() += 1);
    }
    let rare: Vec<_> = wanted().into_iter().filter(|fate| met.get(fate).is_none_or(|times| *times < 3)).collect();
    assert!(rare.is_empty(), "met fewer than three times: {rare:?}, of {met:?}");
}

fn wanted() -> BTreeSet<String> {
    const BODIES: [&str; 9] = [
        "transaction",
        "opened",
        "opened by a transaction",
        "frozen",
        "limits changed",
        "allowance changed",
        "closed",
        "clock moved",
        "abandoned",
    ];
    const DUES: [&str; 5] = ["due: hold", "due: lots", "due: refilled", "due: taken back", "due: period"];
    const TURNS: [&str; 4] = ["claim used up", "group kept", "fallback kept", "fallback dropped"];
    const ROWS: [&str; 14] = [
        "Move",
        "Hold",
        "Capture",
        "Void",
        "Expire",
        "refund",
        "owing",
        "rate",
        "lots taken",
        "lots earned",
        "lots passed on",
        "lots captured",
        "repaid at once",
        "debt paid",
    ];
    const REFUSALS: [&str; 9] =
        ["Floor", "Ceiling", "Frozen", "Overflow", "Closed", "HoldEnded", "HoldExceeded", "RefundExceeded", "NotEmpty"];
    const FAULTS: [&str; 17] = [
        "Empty",
        "TooMany",
        "Amount",
        "SameAccount",
        "UnknownAccount",
        "UnknownAsset",
        "AssetMismatch",
        "Limits",
        "AccountExists",
        "Companion",
        "EffectiveDate",
        "NotThatRow",
        "Dates",
        "Rate",
        "Nature",
        "Clock",
        "NothingDue",
    ];
    let names = BODIES.iter().chain(&DUES).chain(&TURNS).chain(&ROWS).chain(&REFUSALS).chain(&FAULTS);
    let dropped =
        REFUSALS.iter().filter(|refusal| **refusal != "NotEmpty").map(|refusal| format!("dropped: {refusal}"));
    names.map(|name| (*name).to_owned()).chain(dropped).chain(["ClaimSpent".to_owned()]).collect()
}

fn fates(state: State, story: &[Asked], mut met: impl FnMut(String)) {
    let mut desk = Desk::new(state);
    for asked in story {
        let requests = desk.asked(asked);
        let invalid = requests.iter().filter_map(|request| request.check().err());
        let before = desk.clone();
        let applied = desk.commit(&well_formed(&requests), asked.now_us);
        let declined = applied.answers.iter().filter_map(|answer| answer.clone().err());
        invalid.chain(declined).for_each(|fault| met(name_of(&fault)));
        for record in &applied.records {
            body(&record.body, &mut met);
            record.body.transfers().iter().for_each(|row| of_row(&before, row, &mut met));
        }
    }
}

fn body(body: &Body, met: &mut impl FnMut(String)) {
    let name = match body {
        Body::Transaction { dropped, claim, transfers, .. } => {
            claim.iter().for_each(|_| met("claim used up".into()));
            for Dropped { refusal, .. } in dropped {
                met(format!("dropped: {}", name_of(refusal)));
            }
            // Four mandatory transfers at most.
            match (dropped.is_empty(), transfers.iter().any(|row| row.leg > 4)) {
                (true, true) => met("group kept".into()),
                (false, true) => met("fallback kept".into()),
                (false, false) => met("fallback dropped".into()),
                (true, false) => {}
            }
            "transaction"
        }
        Body::Opened { by: 0, .. } => "opened",
        Body::Opened { .. } => "opened by a transaction",
        Body::Frozen { .. } => "frozen",
        Body::Changed { change: Change::Limits { .. }, .. } => "limits changed",
        Body::Changed { change: Change::Allowance { .. }, .. } => "allowance changed",
        Body::Changed { change: Change::Closed { .. }, .. } => "closed",
        Body::Due { transfers, .. } if transfers.is_empty() => "due: period",
        Body::Due { account, transfers, .. } => return transfers.iter().for_each(|row| met(due(*account, row).into())),
        Body::Refused { refusal } => return met(name_of(refusal)),
        Body::ClockMoved { .. } => "clock moved",
        Body::Abandoned => "abandoned",
    };
    met(name.to_owned());
}

fn due(account: uuid::Uuid, row: &Posted) -> &'static str {
    if row.kind == RowKind::Expire {
        "due: hold"
    } else if !row.debit_lots().is_empty() {
        "due: lots"
    } else if row.credit.public_id == account {
        "due: refilled"
    } else {
        "due: taken back"
    }
}

fn of_row(before: &Desk, row: &Posted, met: &mut impl FnMut(String)) {
    let refund = row.kind == RowKind::Move && row.of().is_some();
    met(name_of(&row.kind));
    let Some(more) = &row.more else { return };
    let (taken, kept) = (!row.debit_lots().is_empty(), !row.credit_lots().is_empty());
    let keeps = |id| before.state.accounts.get(&id).is_some_and(|account| account.nature.keeps_lots());
    let turns = [
        ("refund", refund),
        ("owing", more.owing),
        ("rate", more.rate.is_some()),
        ("lots taken", taken && row.kind == RowKind::Move),
        ("lots earned", kept && !taken),
        ("lots passed on", kept && taken),
        ("lots captured", taken && row.kind == RowKind::Capture),
        ("repaid at once", !more.repaid.is_empty()),
        ("debt paid", keeps(row.credit.account) && ledger::total(row.credit_lots()) < row.amount.minor),
    ];
    turns.into_iter().filter(|(_, is)| *is).for_each(|(name, _)| met(name.to_owned()));
}

/// The name of a variant.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Each of these is met above, or cannot be: a new one does not compile until somebody looks.
#[expect(dead_code, reason = "for the compiler")]
fn all_are_known(refusal: Refusal, fault: Invalid) {
    match refusal {
        Refusal::Floor { .. } | Refusal::Ceiling { .. } | Refusal::Frozen { .. } | Refusal::Overflow { .. } => {}
        Refusal::Closed { .. } | Refusal::NotEmpty { .. } | Refusal::HoldEnded { .. } => {}
        Refusal::HoldExceeded { .. } | Refusal::RefundExceeded { .. } | Refusal::ClaimSpent { .. } => {}
    }
    match fault {
        Invalid::Empty | Invalid::TooMany { .. } | Invalid::Amount { .. } | Invalid::SameAccount { .. } => {}
        Invalid::UnknownAccount { .. } | Invalid::UnknownAsset | Invalid::AssetMismatch { .. } => {}
        Invalid::Limits { .. } | Invalid::AccountExists { .. } | Invalid::Companion { .. } => {}
        Invalid::EffectiveDate | Invalid::NotThatRow { .. } | Invalid::Dates { .. } | Invalid::Rate { .. } => {}
        Invalid::Nature { .. } | Invalid::Clock | Invalid::NothingDue { .. } => {}
        // Need more lots or holds than random stories have.
        Invalid::TooManyLots { .. } | Invalid::StillDue { .. } => {}
        // Stories have no database that rows could leave.
        Invalid::Archived(_) => {}
    }
}
