//! A story on both books, side by side.

use std::collections::BTreeMap;

use ledger::apply::{Applied, Link, Standing, State};
use ledger::{AccountId, LegRef, Lot, Record, Request};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use uuid::Uuid;

use crate::model::{Fate, Model, Outcome, Page, Pending, Stock, faults_of_form};
use crate::play::{Desk, accounts, answered, well_formed};
use crate::requests::{Asked, tell};

/// Plays a story on both books and tells how many requests it was, or what was asked until they differed.
pub fn compare(state: State, story: &[Asked]) -> Result<usize, TestCaseError> {
    let (mut model, mut desk) = (Model::of(&state), Desk::new(state));
    let (mut steps, mut told) = (0, String::new());
    for asked in story {
        let requests = desk.asked(asked);
        steps += requests.len();
        told += &tell(&requests, asked.now_us);
        let compared = compare_batch(&mut model, &mut desk, &requests, asked.now_us);
        compared.map_err(|why| TestCaseError::fail(format!("{why}\n{told}")))?;
    }
    Ok(steps)
}

fn compare_batch(model: &mut Model, desk: &mut Desk, requests: &[Request], now_us: i64) -> Result<(), TestCaseError> {
    for request in requests {
        let (faults, checked) = (faults_of_form(request), request.check());
        prop_assert_eq!(faults.is_empty(), checked.is_ok(), "{:?} of {:?}", faults, request);
        prop_assert!(checked.err().is_none_or(|fault| faults.contains(&fault)));
    }
    let requests = well_formed(requests);
    let applied = desk.commit(&requests, now_us);
    let expected = model.batch(&requests, now_us);
    same_records(&applied.records, &expected.records)?;
    prop_assert_eq!(&applied.links, &links(&expected.records));
    same_answers(&applied, &expected)?;
    same_books(desk, model)
}

/// Says which is the first that differs, and no more.
fn same_records(written: &[Record], expected: &[Record]) -> Result<(), TestCaseError> {
    let brief = |record: Option<&Record>| record.map(|record| Record { meta: Vec::new(), ..record.clone() });
    for place in 0..written.len().max(expected.len()) {
        let (one, other) = (written.get(place), expected.get(place));
        prop_assert!(one == other, "apply wrote {:?}\nthe model {:?}", brief(one), brief(other));
    }
    Ok(())
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

/// The rows that build on earlier ones, in order.
fn links(records: &[Record]) -> Vec<Link> {
    let rows = records.iter().flat_map(|record| record.body.transfers().iter().map(|row| (record.seq, row)));
    let link = |(seq, row): (i64, &ledger::Posted)| {
        let by = LegRef { seq, leg: row.leg };
        Some(Link { of: row.of()?, by, kind: row.kind, minor: row.amount.minor })
    };
    rows.filter_map(link).collect()
}

fn same_books(desk: &Desk, model: &Model) -> Result<(), TestCaseError> {
    let State { seq, last_us, clock_offset_us, .. } = desk.state;
    prop_assert_eq!((seq, last_us, clock_offset_us), (model.seq, model.last_us, model.offset_us));
    let mut pages: BTreeMap<Uuid, Page> =
        accounts(&desk.state).into_iter().map(|(id, account)| (id, Page::of(&account))).collect();
    for page in pages.values_mut() {
        let standing = |(lot, Standing { remaining, held }): (Lot, Standing)| {
            (lot, Stock { remaining: remaining.into(), held: held.into() })
        };
        page.lots = desk.lots_of(AccountId(page.number)).into_iter().map(standing).collect();
    }
    prop_assert_eq!(&pages, &model.accounts);
    let claims: BTreeMap<Uuid, i64> = desk.claims.iter().map(|(claim, seq)| (claim.0, *seq)).collect();
    prop_assert_eq!(&claims, &model.claims);
    prop_assert_eq!(&pending(desk), &model.holds);
    let moved_back = model.rows.iter().filter(|(_, past)| past.refunded > 0);
    prop_assert!(
        moved_back
            .map(|(place, past)| (*place, past.refunded))
            .eq(desk.refunded.iter().map(|(place, minor)| (*place, i128::from(*minor))))
    );
    Ok(())
}

fn pending(desk: &Desk) -> BTreeMap<LegRef, Pending> {
    let public = |id: AccountId| desk.state.accounts[&id].public_id;
    let holds = desk.holds.iter().map(|(place, hold)| {
        let pending = Pending {
            debit: public(hold.debit),
            credit: public(hold.credit),
            amount: hold.amount,
            remaining: hold.remaining.into(),
            expires_us: hold.expires_us,
            pieces: hold.lots.clone(),
        };
        (*place, pending)
    });
    holds.collect()
}
