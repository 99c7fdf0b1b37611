//! The laws, each by itself, over random stories: what must hold whatever `apply` and the model agree on.

mod batches;
mod fold;
mod rules;

use std::collections::BTreeMap;

use ledger::{AccountId, Body, Posted, RowKind, Side};
use proptest::prelude::*;

use crate::play::{Step, play, stories, sums};
use crate::requests::any_story;
use fold::Fold;

proptest! {
    #![proptest_config(stories(40))]

    /// What leaves one account reaches the other, of the same asset: debits equal credits in every row, and what is set
    /// aside changes by the row's kind and amount.
    #[test]
    fn i1_debits_equal_credits((state, story) in any_story()) {
        for Step { before, applied, after, .. } in play(state, &story) {
            let accounts = before.state.accounts.values();
            let mut known: BTreeMap<AccountId, (i64, i64)> = accounts.map(|a| (a.id, (a.balance, a.held))).collect();
            for posted in applied.records.iter().flat_map(|record| record.body.transfers()) {
                let minor = posted.amount.minor;
                prop_assert!(minor > 0);
                prop_assert_ne!(posted.debit.account, posted.credit.account);
                let mut change = |side: &Side| {
                    let (balance, held) = known.insert(side.account, (side.balance, side.held)).unwrap_or_default();
                    (side.balance - balance, side.held - held)
                };
                let (debit, credit) = match posted.kind {
                    RowKind::Move => ((-minor, 0), minor),
                    RowKind::Hold => ((0, minor), 0),
                    RowKind::Capture => ((-minor, -minor), minor),
                    RowKind::Void | RowKind::Expire => ((0, -minor), 0),
                };
                prop_assert_eq!(change(&posted.debit), debit);
                prop_assert_eq!(change(&posted.credit), (credit, 0));
                for side in [posted.debit, posted.credit] {
                    prop_assert_eq!(after.state.accounts[&side.account].asset, posted.amount.asset);
                    prop_assert_eq!(after.state.accounts[&side.account].public_id, side.public_id);
                }
            }
        }
    }

    /// Per asset, all balances add up to what they added up to before.
    #[test]
    fn i2_conservation((state, story) in any_story()) {
        for Step { before, after, .. } in play(state, &story) {
            let was = sums(&before.state);
            for (asset, sum) in sums(&after.state) {
                prop_assert_eq!(sum, was.get(&asset).copied().unwrap_or(0));
            }
        }
    }

    /// The records alone give the books, holds and lots: who replays them from the first state ends at the last (I3, I12).
    #[test]
    fn i3_the_books_are_the_fold_of_their_records((state, story) in any_story()) {
        let mut fold = Fold::of(&state);
        for Step { applied, after, .. } in play(state, &story) {
            applied.records.iter().for_each(|record| fold.take(record));
            fold.is(&after)?;
        }
    }

    /// Seqs go up by one from record to record, versions by one from row to row of an account, legs rise.
    #[test]
    fn i4_seqs_and_versions_are_dense((state, story) in any_story()) {
        let mut seq = state.seq;
        let mut versions: BTreeMap<AccountId, i64> = state.accounts.values().map(|a| (a.id, a.version)).collect();
        for Step { applied, after, .. } in play(state, &story) {
            for record in &applied.records {
                seq += 1;
                prop_assert_eq!(record.seq, seq);
                let rows = record.body.transfers();
                prop_assert!(rows.is_sorted_by(|one, next| one.leg < next.leg));
                // Time's own rows leave no gap: nothing of them is ever dropped.
                let gapless = rows.last().is_none_or(|last| usize::try_from(last.leg).unwrap() + 1 == rows.len());
                let due = matches!(record.body, Body::Due { .. });
                prop_assert!(gapless || !due);
                for side in rows.iter().flat_map(|posted| [posted.debit, posted.credit]) {
                    let version = versions.entry(side.account).or_default();
                    *version += 1;
                    prop_assert_eq!(side.version, *version);
                }
            }
            prop_assert_eq!((applied.seq, after.state.seq), (seq, seq));
        }
    }

    /// What is captured, given back and left of a hold is what was held, and what is left of an account's holds is what
    /// it holds.
    #[test]
    fn i6_holds_add_up((state, story) in any_story()) {
        let mut gone = BTreeMap::new();
        for Step { applied, after, .. } in play(state, &story) {
            for link in applied.links.iter().filter(|link| link.kind != RowKind::Move) {
                *gone.entry(link.of).or_insert(0) += link.minor;
            }
            let mut held: BTreeMap<AccountId, i64> = after.state.accounts.keys().map(|id| (*id, 0)).collect();
            for (place, hold) in &after.holds {
                prop_assert!(hold.remaining >= 0);
                prop_assert_eq!(hold.remaining + gone.get(place).copied().unwrap_or(0), hold.amount.minor);
                *held.entry(hold.debit).or_default() += hold.remaining;
            }
            prop_assert!(held.iter().all(|(id, held)| after.state.accounts[id].held == *held));
        }
    }

    /// Lots are the balance, debt taken off, and what is pinned of them is what is held.
    #[test]
    fn i7_lots_add_up_to_the_balance((state, story) in any_story()) {
        for Step { after, .. } in play(state, &story) {
            for account in after.state.accounts.values() {
                let lots = after.lots_of(account.id);
                prop_assert!(lots.values().all(|lot| 0 <= lot.held && lot.held <= lot.remaining));
                let sum = lots.values().fold((0, 0), |sum, lot| (sum.0 + lot.remaining, sum.1 + lot.held));
                let keeps = account.nature.keeps_lots();
                let expected = if keeps { (account.balance.max(account.held), account.held) } else { (0, 0) };
                prop_assert_eq!(sum, expected, "{:?}", account);
            }
        }
    }

    /// Debt and lots that could be spent never stand side by side.
    #[test]
    fn i8_who_owes_has_nothing_to_spend((state, story) in any_story()) {
        for Step { after, .. } in play(state, &story) {
            for account in after.state.accounts.values().filter(|account| account.nature.keeps_lots()) {
                let free = after.lots_of(account.id).values().any(|lot| lot.remaining > lot.held);
                prop_assert!(!free || account.balance > account.held, "{:?}", account);
            }
        }
    }

    /// What was moved back of a row is never more than the row.
    #[test]
    fn i9_no_row_is_moved_back_twice((state, story) in any_story()) {
        for Step { after, .. } in play(state, &story) {
            for (place, minor) in &after.refunded {
                let (row, _) = &after.rows[place];
                let moved = row.kind == RowKind::Capture || row.kind == RowKind::Move && row.of().is_none();
                prop_assert!(moved && *minor <= row.amount.minor, "{:?}", row);
            }
        }
    }

    /// A refund goes between the accounts of its row, the other way round.
    #[test]
    fn i9_a_refund_goes_back_where_it_came_from((state, story) in any_story()) {
        for Step { applied, after, .. } in play(state, &story) {
            for row in applied.records.iter().flat_map(|record| record.body.transfers()) {
                let Some(of) = row.of().filter(|_| row.kind == RowKind::Move) else { continue };
                let Posted { debit, credit, amount, .. } = &after.rows[&of].0;
                prop_assert_eq!((debit.account, credit.account), (row.credit.account, row.debit.account));
                prop_assert_eq!(amount.asset, row.amount.asset);
            }
        }
    }
}
