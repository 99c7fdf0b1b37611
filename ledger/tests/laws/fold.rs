//! What the records say, taken at their word: books made of nothing else.

use std::collections::BTreeMap;

use ledger::apply::{Standing, State};
use ledger::{Account, AccountId, Body, Change, LegRef, Lot, Nature, Piece, Posted, Record, RowKind};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use uuid::Uuid;

use crate::play::{Desk, accounts};

/// Accounts, what is left of holds, and lots.
#[derive(Clone)]
pub struct Fold {
    pub accounts: BTreeMap<Uuid, Account>,
    pub holds: BTreeMap<LegRef, i64>,
    pub lots: BTreeMap<(AccountId, Lot), Standing>,
}

impl Fold {
    pub fn of(state: &State) -> Self {
        Self { accounts: accounts(state), holds: BTreeMap::new(), lots: BTreeMap::new() }
    }

    pub fn at(desk: &Desk) -> Self {
        let holds = desk.holds.iter().map(|(place, hold)| (*place, hold.remaining)).collect();
        Self { accounts: accounts(&desk.state), holds, lots: desk.lots.clone() }
    }

    pub fn is(&self, desk: &Desk) -> Result<(), TestCaseError> {
        let other = Self::at(desk);
        prop_assert_eq!(&self.accounts, &other.accounts);
        prop_assert_eq!(&self.holds, &other.holds);
        prop_assert_eq!(&self.lots, &other.lots);
        Ok(())
    }

    pub fn take(&mut self, record: &Record) {
        for row in record.body.transfers() {
            self.row(LegRef { seq: record.seq, leg: row.leg }, row);
        }
        match &record.body {
            Body::Opened { account: new, .. } => {
                let account = Account {
                    id: AccountId(record.seq),
                    public_id: new.public_id,
                    asset: new.asset,
                    normal_side: new.normal_side,
                    owner: new.owner,
                    floor: new.floor,
                    ceiling: new.ceiling,
                    debits_frozen: false,
                    credits_frozen: false,
                    closed: false,
                    nature: new.nature,
                    period_us: 0,
                    next_due_us: 0,
                    balance: 0,
                    held: 0,
                    version: 0,
                };
                assert_eq!(self.accounts.insert(new.public_id, account), None);
            }
            Body::Frozen { account, debits, credits } => {
                let account = self.account(*account);
                (account.debits_frozen, account.credits_frozen) = (*debits, *credits);
            }
            Body::Changed { account, change } => self.change(*account, *change),
            Body::Due { account, period_us, .. } => self.account(*account).period_us = *period_us,
            Body::Transaction { .. } | Body::Refused { .. } | Body::ClockMoved { .. } | Body::Abandoned => {}
        }
    }

    fn account(&mut self, public_id: Uuid) -> &mut Account {
        self.accounts.get_mut(&public_id).unwrap()
    }

    fn change(&mut self, account: Uuid, change: Change) {
        let account = self.account(account);
        match (change, &mut account.nature) {
            (Change::Limits { floor, ceiling }, _) => (account.floor, account.ceiling) = (floor, ceiling),
            (Change::Allowance { minor }, Nature::Quota { allowance, .. }) => *allowance = minor,
            (Change::Allowance { .. }, nature) => panic!("{nature:?} has no allowance"),
            (Change::Closed { closed }, _) => account.closed = closed,
        }
    }

    fn row(&mut self, at: LegRef, row: &Posted) {
        for side in [row.debit, row.credit] {
            let account = self.account(side.public_id);
            (account.balance, account.held, account.version) = (side.balance, side.held, side.version);
        }
        let debit = row.debit.account;
        match row.kind {
            RowKind::Move => self.lots(debit, row.debit_lots(), -1, 0),
            RowKind::Hold => {
                self.holds.insert(at, row.amount.minor);
                self.lots(debit, row.debit_lots(), 0, 1);
            }
            RowKind::Capture => {
                *self.holds.get_mut(&row.of().unwrap()).unwrap() -= row.amount.minor;
                self.lots(debit, row.debit_lots(), -1, -1);
            }
            RowKind::Void | RowKind::Expire => {
                assert_eq!(self.holds.insert(row.of().unwrap(), 0), Some(row.amount.minor), "all there is");
                self.lots(debit, row.debit_lots(), 0, -1);
                self.lots(debit, row.more.as_ref().map_or(&[], |more| &more.repaid), -1, 0);
            }
        }
        self.lots(row.credit.account, row.credit_lots(), 1, 0);
    }

    fn lots(&mut self, account: AccountId, pieces: &[Piece], remaining: i64, held: i64) {
        for piece in pieces {
            assert!(piece.minor > 0, "no piece is empty");
            let standing = self.lots.entry((account, piece.lot)).or_default();
            standing.remaining += piece.minor * remaining;
            standing.held += piece.minor * held;
        }
        self.lots.retain(|_, standing| *standing != Standing::default());
    }
}
