//! 26 to 29 for linked requests: each with a key and a record of its own, and all or none of them.

use ledger::apply::{Applied, linked};
use ledger::{Claim, Command, Invalid, LegRef, Refusal, Request};
use uuid::Uuid;

use super::{capturing, desk, holding, refunding, refusal};
use crate::requests::{CAPPED, NOBODY, NOW, SETTLEMENT, WALLET, transaction, transfer};

/// What the writer would commit of a batch that stands or falls as one.
fn linked_batch(batch: &[Request]) -> (Option<usize>, Applied) {
    let desk = desk();
    let applied = desk.decide(batch, NOW);
    let Some(place) = linked::fails_at(&applied) else { return (None, applied) };
    let alone = desk.decide(&batch[place..=place], NOW);
    let (nothing, why) = (Applied { seq: desk.state.seq, ..Applied::default() }, applied.answers[place].clone());
    let left = match why {
        Err(invalid) => Applied { answers: vec![Err(invalid)], ..nothing },
        Ok(_) if linked::is_refused(&alone) => alone,
        Ok(_) => nothing,
    };
    (Some(place), left)
}

fn good(number: u128) -> Request {
    transaction(number, vec![transfer(SETTLEMENT, WALLET, 5)])
}

fn refused(number: u128) -> Request {
    transaction(number, vec![transfer(SETTLEMENT, WALLET, 7), transfer(SETTLEMENT, CAPPED, 1_001)])
}

#[test]
fn case_26_a_linked_batch_that_fails_at_any_place_is_one_refusal_and_nothing_else() {
    for place in 0..3 {
        let mut batch = vec![good(1), good(2), good(3)];
        batch[place] = refused(9);
        let (failed, left) = linked_batch(&batch);
        assert_eq!(failed, Some(place));
        let first = desk().state.seq + 1;
        assert_eq!((left.seq, left.records.len(), left.records[0].seq), (first, 1, first));
        assert_eq!(refusal(&left.records[0]), Some(Refusal::Ceiling { account: CAPPED }));
        assert_eq!(left.answers, [Ok(0)]);
        assert!(left.changed.is_empty() && left.claims.is_empty());
        // As if the refused one had been asked alone.
        let mut after = desk();
        after.state.publish(&left);
        assert_eq!(after.state.account(WALLET), desk().state.account(WALLET));
    }
}

/// A refusal points at the row it is about. That must be in the books, and be older than the refusal.
#[test]
fn case_26_a_row_of_the_batch_itself_that_is_moved_back_twice_leaves_nothing() {
    let first = LegRef { seq: desk().state.seq + 1, leg: 0 };
    let back = |number, minor| transaction(number, vec![refunding(transfer(WALLET, SETTLEMENT, minor), first, false)]);
    let (failed, left) = linked_batch(&[good(1), back(2, 5), back(3, 1)]);
    assert_eq!((failed, left.records.len(), left.answers.len()), (Some(2), 0, 0));
    let held = transaction(1, vec![holding(transfer(SETTLEMENT, WALLET, 5), None)]);
    let captured = |number, minor| transaction(number, vec![capturing(transfer(SETTLEMENT, WALLET, minor), first)]);
    let (failed, left) = linked_batch(&[held.clone(), captured(2, 6)]);
    assert_eq!((failed, left.records.len(), left.answers.len()), (Some(1), 0, 0));
    let (failed, applied) = linked_batch(&[held, captured(2, 5)]);
    assert_eq!((failed, applied.records.len()), (None, 2), "what the batch itself bears is done");
}

#[test]
fn case_26_what_is_no_request_leaves_not_even_a_record() {
    let batch = [good(1), transaction(2, vec![transfer(SETTLEMENT, NOBODY, 1)])];
    let (failed, left) = linked_batch(&batch);
    assert_eq!(failed, Some(1));
    assert!(left.records.is_empty() && left.changed.is_empty());
    assert_eq!(left.answers, [Err(Invalid::UnknownAccount { account: NOBODY })]);
    assert_eq!(left.seq, desk().state.seq);
}

#[test]
fn case_27_a_linked_request_may_need_what_the_one_before_it_did() {
    let batch =
        [transaction(1, vec![transfer(SETTLEMENT, CAPPED, 10)]), transaction(2, vec![transfer(CAPPED, WALLET, 10)])];
    let (failed, applied) = linked_batch(&batch);
    assert_eq!((failed, applied.records.len()), (None, 2));
    // The books as they stand refuse it as well.
    let spent = [batch[1].clone(), batch[0].clone()];
    let (failed, left) = linked_batch(&spent);
    assert_eq!((failed, refusal(&left.records[0])), (Some(0), Some(Refusal::Floor { account: CAPPED })));
}

/// What the batch did before it never was: a refusal that followed from it would be one of books that never were.
#[test]
fn case_27_what_only_the_items_before_it_stand_in_the_way_of_leaves_nothing() {
    let emptied = transfer(WALLET, SETTLEMENT, 100);
    let filled = transfer(SETTLEMENT, CAPPED, 990);
    for (first, then) in [(emptied, transfer(WALLET, SETTLEMENT, 10)), (filled, transfer(SETTLEMENT, CAPPED, 20))] {
        let (failed, left) = linked_batch(&[transaction(1, vec![first]), transaction(2, vec![then])]);
        assert_eq!((failed, left.records.len(), left.answers.len()), (Some(1), 0, 0));
    }
}

/// A refusal points at what spent the claim. That must be in the books.
#[test]
fn case_28_two_of_one_batch_that_make_one_claim_leave_nothing() {
    let claiming = |number| {
        let mut asked = good(number);
        if let Command::Transact { claim, .. } = &mut asked.command {
            *claim = Some(Claim(Uuid::from_u128(5)));
        }
        asked
    };
    let (failed, left) = linked_batch(&[claiming(1), claiming(2)]);
    assert_eq!((failed, left.records.len(), left.answers.len()), (Some(1), 0, 0));
}

#[test]
fn case_29_an_empty_linked_batch_fails_nowhere() {
    let (failed, applied) = linked_batch(&[]);
    assert_eq!((failed, applied.records.len()), (None, 0));
}
