//! What told records come to beside themselves: rules of accounts, holds, links, lots, claims. They were held against the
//! laws of the books before, so nothing is decided here.

use crate::apply::{Applied, Link, Map, Standing};
use crate::lot::NEVER;
use crate::{Account, AccountId, Body, Change, Hold, LegRef, Nature, Piece, Posted, Record, RowKind, Side};
use uuid::Uuid;

/// The books as told so far. Grows with accounts and open holds, never with the history.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) accounts: Map<AccountId, Account>,
    pub(super) by_public_id: Map<Uuid, AccountId>,
    /// What is left of open holds.
    holds: Map<LegRef, i64>,
    offset_us: i64,
}

impl Fold {
    /// Names the account that a record opens, so that the next records of its batch can be read.
    pub(super) fn learn(&mut self, record: &Record) {
        if let Body::Opened { account, .. } = &record.body {
            self.by_public_id.insert(account.public_id, AccountId(record.seq));
        }
    }

    /// What a batch of records does.
    pub(super) fn batch(&mut self, records: Vec<Record>) -> Applied {
        let mut applied = Applied { clock_offset_us: self.offset_us, ..Applied::default() };
        for record in &records {
            self.record(&mut applied, record);
        }
        self.offset_us = applied.clock_offset_us;
        applied.seq = records.last().map_or(0, |record| record.seq);
        applied.last_us = records.last().map_or(0, |record| record.recorded_us);
        applied.records = records;
        applied
    }

    fn record(&mut self, applied: &mut Applied, record: &Record) {
        match &record.body {
            Body::Opened { account, .. } => {
                let opened = Account::opened(account, AccountId(record.seq));
                self.accounts.insert(opened.id, opened);
                applied.changed.insert(opened.id, opened);
            }
            Body::Frozen { account, debits, credits } => self.change(applied, *account, |account| {
                (account.debits_frozen, account.credits_frozen) = (*debits, *credits);
            }),
            Body::Changed { account, change } => self.change(applied, *account, |account| changed(account, change)),
            Body::Due { account, period_us, .. } => {
                self.change(applied, *account, |account| account.period_us = *period_us);
            }
            Body::Transaction { claim, .. } => applied.claims.extend(claim.map(|claim| (claim, record.seq))),
            Body::ClockMoved { offset_us } => applied.clock_offset_us = *offset_us,
            Body::Refused { .. } | Body::Abandoned => {}
        }
        for posted in record.body.transfers() {
            self.row(applied, record.seq, posted);
        }
    }

    fn change(&mut self, applied: &mut Applied, public_id: Uuid, change: impl FnOnce(&mut Account)) {
        let account = self.by_public_id.get(&public_id).and_then(|id| self.accounts.get_mut(id));
        if let Some(account) = account {
            change(account);
            applied.changed.insert(account.id, *account);
        }
    }

    fn row(&mut self, applied: &mut Applied, seq: i64, posted: &Posted) {
        for Side { public_id, balance, held, version, .. } in [posted.debit, posted.credit] {
            self.change(applied, public_id, |account| {
                (account.balance, account.held, account.version) = (balance, held, version);
            });
        }
        let by = LegRef { seq, leg: posted.leg };
        if posted.kind == RowKind::Hold {
            self.opens(applied, by, posted);
        } else if let Some(of) = posted.of() {
            applied.links.push(Link { of, by, kind: posted.kind, minor: posted.amount.minor });
            if posted.kind != RowKind::Move {
                self.ends(applied, of, posted.amount.minor);
            }
        }
        lots(applied, posted);
    }

    fn opens(&mut self, applied: &mut Applied, place: LegRef, posted: &Posted) {
        let Posted { amount, debit, credit, .. } = posted;
        let expires_us = posted.more.as_ref().and_then(|more| more.expires_us).unwrap_or(NEVER);
        let lots = posted.debit_lots().to_vec();
        let (debit, credit, remaining) = (debit.account, credit.account, amount.minor);
        self.holds.insert(place, remaining);
        applied.holds.insert(place, Hold { debit, credit, amount: *amount, remaining, expires_us, lots });
    }

    fn ends(&mut self, applied: &mut Applied, of: LegRef, minor: i64) {
        let Some(left) = self.holds.get_mut(&of) else { return };
        *left = left.saturating_sub(minor);
        let remaining = *left;
        if remaining == 0 {
            self.holds.remove(&of);
        }
        match applied.holds.get_mut(&of) {
            Some(opened) => opened.remaining = remaining,
            None => _ = applied.ended.insert(of, remaining),
        }
    }
}

fn changed(account: &mut Account, change: &Change) {
    match (change, &mut account.nature) {
        (Change::Limits { floor, ceiling }, _) => (account.floor, account.ceiling) = (*floor, *ceiling),
        (Change::Allowance { minor }, Nature::Quota { allowance, .. }) => *allowance = *minor,
        (Change::Allowance { .. }, Nature::Plain | Nature::Lots { .. }) => {}
        (Change::Closed { closed }, _) => account.closed = *closed,
    }
}

/// By how much a row changes the lots of its two accounts.
fn lots(applied: &mut Applied, posted: &Posted) {
    let (debit, credit) = (posted.debit.account, posted.credit.account);
    let (remaining, held) = match posted.kind {
        RowKind::Move => (-1, 0),
        RowKind::Hold => (0, 1),
        RowKind::Capture => (-1, -1),
        RowKind::Void | RowKind::Expire => (0, -1),
    };
    change_lots(applied, debit, posted.debit_lots(), remaining, held);
    change_lots(applied, credit, posted.credit_lots(), 1, 0);
    let repaid = posted.more.as_ref().map_or(&[][..], |more| &more.repaid);
    change_lots(applied, debit, repaid, -1, 0);
}

fn change_lots(applied: &mut Applied, account: AccountId, pieces: &[Piece], remaining: i64, held: i64) {
    for Piece { lot, minor } in pieces {
        let standing: &mut Standing = applied.lots.entry((account, *lot)).or_default();
        standing.remaining = standing.remaining.saturating_add(minor.saturating_mul(remaining));
        standing.held = standing.held.saturating_add(minor.saturating_mul(held));
    }
}
