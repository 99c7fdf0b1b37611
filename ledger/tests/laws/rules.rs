//! What the rules of an account let through, row by row.

use ledger::{Body, Command, Group, How, NEVER, Piece, Posted, Record, Refusal, RowKind, Transfer};
use proptest::prelude::*;

use super::fold::Fold;
use crate::play::{Step, play, stories};
use crate::requests::any_story;

proptest! {
    #![proptest_config(stories(40))]

    /// No row takes an account below its floor, above its ceiling, or through a freeze or a closing in force at that row,
    /// but for what time brings about, a hold given back, and what the caller allows to be owed.
    #[test]
    fn i5_no_floor_is_ever_passed((state, story) in any_story()) {
        let mut rules = Fold::of(&state);
        for Step { applied, .. } in play(state, &story) {
            for record in &applied.records {
                if matches!(record.body, Body::Transaction { .. }) {
                    for row in record.body.transfers() {
                        within(&rules, row)?;
                    }
                }
                rules.take(record);
            }
        }
    }

    /// Nothing is captured of a hold whose time has come, swept or not, and no unit is spent before or after its time: only
    /// what must be paid even into debt may be met with units that have just come back expired, until time takes them.
    #[test]
    fn what_has_expired_is_gone_at_once((state, story) in any_story()) {
        for Step { applied, after, .. } in play(state, &story) {
            let records = applied.records.iter();
            for (record, row) in records.flat_map(|record| record.body.transfers().iter().map(move |row| (record, row))) {
                let (now_us, owing) = (record.recorded_us, row.more.as_ref().is_some_and(|more| more.owing));
                let time = matches!(record.body, Body::Due { .. });
                match (row.kind, row.of()) {
                    (RowKind::Capture | RowKind::Void, Some(hold)) => prop_assert!(after.holds[&hold].expires_us > now_us),
                    (RowKind::Expire, Some(hold)) => prop_assert!(after.holds[&hold].expires_us <= now_us),
                    (RowKind::Move, None) | (RowKind::Hold, _) => {
                        for lot in row.debit_lots().iter().map(|piece| piece.lot) {
                            let (expired, active) = (lot.expires_us <= now_us, lot.activates_us <= now_us);
                            let came = record.body.transfers().iter().take_while(|earlier| earlier.leg < row.leg);
                            let just_came = came.flat_map(freed).any(|piece| piece.lot == lot);
                            let allowed = if time { expired } else { owing || active && !expired };
                            prop_assert!(allowed);
                            prop_assert!(!expired || time || just_came);
                        }
                    }
                    (RowKind::Move, Some(_)) => {}
                    (RowKind::Capture | RowKind::Void | RowKind::Expire, None) => prop_assert!(false, "of nothing"),
                }
            }
        }
    }

    /// Memory never believes that something falls due later than it does, and never leaves it undone on who is touched.
    #[test]
    fn what_is_due_is_known_and_done((state, story) in any_story()) {
        for Step { requests, applied, after, .. } in play(state, &story) {
            for account in after.state.accounts.values() {
                prop_assert!(account.next_due_us <= after.next_due(account), "{:?}", account);
            }
            // Whoever the last request names has nothing left that was due when it came.
            let (Some(last), Some(record)) = (requests.last(), applied.records.last()) else { continue };
            let overflow = matches!(record.body, Body::Refused { refusal: Refusal::Overflow { .. } });
            if let Command::Change { account, .. } = last.command
                && let Some(account) = after.state.account(account)
            {
                prop_assert!(overflow || after.next_due(account) > record.recorded_us || applied.answers.last().unwrap().is_err());
            }
        }
    }

    /// A group is in the books whole or not at all, or its fallback is, and each that is missing has its reason on record.
    #[test]
    fn a_group_is_kept_whole_or_dropped_whole((state, story) in any_story()) {
        for Step { requests, applied, .. } in play(state, &story) {
            for (request, answer) in requests.iter().zip(&applied.answers) {
                let Command::Transact { transfers, groups, .. } = &request.command else { continue };
                let Ok(Record { body: Body::Transaction { transfers: posted, dropped, .. }, .. }) =
                    answer.as_ref().map(|index| &applied.records[*index]) else { continue };
                let mut rest = posted.as_slice();
                prop_assert!(takes(&mut rest, transfers, 0));
                let mut leg = i32::try_from(transfers.len()).unwrap();
                for (index, Group { transfers, fallback }) in (0_i32..).zip(groups) {
                    let second = leg + i32::try_from(transfers.len()).unwrap();
                    if dropped.iter().all(|drop| drop.group != index) {
                        prop_assert!(takes(&mut rest, transfers, leg));
                    } else {
                        let fell_back = rest.first().is_some_and(|row| {
                            second <= row.leg && row.leg < second + i32::try_from(fallback.len()).unwrap()
                        });
                        prop_assert!(!fell_back || takes(&mut rest, fallback, second));
                    }
                    leg = second + i32::try_from(fallback.len()).unwrap();
                }
                prop_assert!(rest.is_empty());
                prop_assert!(dropped.is_sorted_by(|one, next| one.group < next.group));
            }
        }
    }
}

/// The lots that a row gave an account, or gave back to it.
fn freed(row: &Posted) -> &[Piece] {
    if row.kind == RowKind::Void { row.debit_lots() } else { row.credit_lots() }
}

/// Takes the rows of these transfers off the front; those that may be nothing may be missing.
fn takes(rows: &mut &[Posted], transfers: &[Transfer], first_leg: i32) -> bool {
    (first_leg..).zip(transfers).all(|(leg, asked)| {
        let may_be_nothing = matches!(asked.how, How::UpTo | How::Refund { .. });
        let Some((row, rest)) = rows.split_first().filter(|(row, _)| row.leg == leg) else { return may_be_nothing };
        *rows = rest;
        let accounts = (row.debit.public_id, row.credit.public_id) == (asked.debit, asked.credit);
        let amount = match asked.how {
            How::UpTo => row.amount.minor <= asked.amount.minor,
            How::Void { .. } => asked.amount.minor == 0,
            How::Move | How::Owing | How::Hold { .. } | How::Capture { .. } | How::Refund { .. } => {
                row.amount == asked.amount
            }
        };
        accounts && amount && row.of() == asked.refers_to()
    })
}

/// Whether the accounts of a row, by the rules as they were before its transaction, let it through.
fn within(rules: &Fold, row: &Posted) -> Result<(), TestCaseError> {
    let (payer, payee) = (&rules.accounts[&row.debit.public_id], &rules.accounts[&row.credit.public_id]);
    let available = i128::from(row.debit.balance) - i128::from(row.debit.held);
    let owing = row.more.as_ref().is_some_and(|more| more.owing);
    if matches!(row.kind, RowKind::Move | RowKind::Hold) && !owing {
        prop_assert!(payer.floor.is_none_or(|floor| available >= floor.into()));
    }
    if matches!(row.kind, RowKind::Move | RowKind::Capture) {
        prop_assert!(payee.ceiling.is_none_or(|ceiling| row.credit.balance <= ceiling));
    }
    if row.kind != RowKind::Void {
        prop_assert!(!payer.debits_frozen && !payee.credits_frozen && !payer.closed && !payee.closed);
    }
    let expires_us = row.more.as_ref().and_then(|more| more.expires_us);
    prop_assert!(expires_us.is_none_or(|us| row.kind == RowKind::Hold && us < NEVER));
    Ok(())
}
