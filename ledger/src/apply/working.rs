//! What a batch works on beside accounts: holds, rows to be moved back, lots. Every change is logged, so that a request or
//! a group that is refused half way is taken back whole.

use std::collections::BTreeMap;

use super::{Found, Map};
use crate::{AccountId, Archived, Hold, Invalid, LegRef, Lot, Original, Piece, RowKind};

/// Lots at most in one transaction, and loaded of one account at a time.
pub const LOTS: usize = 1_000;

/// So much of a lot is on an account, and so much of that is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// All of it.
    pub remaining: i64,
    /// The part that holds have pinned.
    pub held: i64,
}

/// Lots of an account, earliest-expiring first.
#[derive(Debug, Clone, Default)]
pub struct LotPage {
    /// Those that were loaded, and those earned since.
    pub lots: BTreeMap<Lot, Standing>,
    /// The last one loaded, when there are more behind it.
    pub upto: Option<Lot>,
    /// What the batch has taken of it so far, given back taken off.
    taken: i64,
}

impl LotPage {
    /// Lots in order, whole or not: an account may have more when it has as many as were looked up.
    #[must_use]
    pub fn loaded(lots: BTreeMap<Lot, Standing>, most: usize) -> Self {
        let upto = lots.keys().next_back().copied().filter(|_| lots.len() >= most);
        Self { lots, upto, taken: 0 }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.upto.is_none()
    }
}

impl Standing {
    /// What such a change takes of what is free.
    const fn takes(self) -> i64 {
        self.held.saturating_sub(self.remaining)
    }
}

/// Changes of one request, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) lots: Vec<(AccountId, Lot, Standing)>,
    pub(super) ended: Vec<(LegRef, i64)>,
    pub(super) refunded: Vec<(LegRef, i64)>,
    pub(super) links: Vec<NewLink>,
    pub(super) holds: Vec<(i32, Hold)>,
}

/// A row that builds on an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewLink {
    pub(super) of: LegRef,
    pub(super) leg: i32,
    pub(super) kind: RowKind,
    pub(super) minor: i64,
}

/// How far a log had come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    lots: usize,
    ended: usize,
    refunded: usize,
    links: usize,
    holds: usize,
}

impl Log {
    /// What the request has taken of an account's lots so far, up to this one, given back taken off.
    fn taken(&self, account: AccountId, upto: Lot) -> i64 {
        let theirs = self.lots.iter().filter(|(of, lot, _)| *of == account && *lot <= upto);
        theirs.fold(0, |sum, (.., change)| sum.saturating_add(change.takes()))
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            lots: self.lots.len(),
            ended: self.ended.len(),
            refunded: self.refunded.len(),
            links: self.links.len(),
            holds: self.holds.len(),
        }
    }
}

/// The batch's view of what it found, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Working {
    pub(super) holds: Map<LegRef, Hold>,
    pub(super) rows: Map<LegRef, Original>,
    away: Map<i64, Archived>,
    lots: Map<AccountId, LotPage>,
}

impl Working {
    pub(super) fn of(found: &Found) -> Self {
        let Found { holds, rows, away, lots, .. } = found;
        Self { holds: holds.clone(), rows: rows.clone(), away: away.clone(), lots: lots.clone() }
    }

    /// Why there is no such row to be moved back.
    pub(super) fn lacks(&self, of: LegRef) -> Invalid {
        let away = self.away.get(&of.seq).filter(|_| !self.rows.contains_key(&of));
        away.map_or(Invalid::NotThatRow { of }, |range| Invalid::Archived(*range))
    }

    /// An account opened in this batch has no lots but those the batch gives it.
    pub(super) fn opened(&mut self, account: AccountId) {
        self.lots.entry(account).or_default();
    }

    pub(super) fn page(&self, account: AccountId) -> Option<&LotPage> {
        self.lots.get(&account)
    }

    /// Whether there are more lots behind those that were looked up, of which other requests than the one of this log have taken.
    pub(super) fn is_shared(&self, log: &Log, account: AccountId) -> bool {
        let page = self.page(account);
        page.and_then(|page| Some((page, page.upto?))).is_some_and(|(page, upto)| page.taken > log.taken(account, upto))
    }

    /// Changes a lot by `change`.
    pub(super) fn change_lot(&mut self, log: &mut Log, account: AccountId, lot: Lot, change: Standing) {
        self.shift_lot(account, lot, change);
        log.lots.push((account, lot, change));
    }

    /// Changes each of these pieces' lots: `remaining` and `held` say by which multiple of the piece.
    pub(super) fn change_pieces(
        &mut self,
        log: &mut Log,
        account: AccountId,
        pieces: &[Piece],
        (remaining, held): (i64, i64),
    ) {
        for Piece { lot, minor } in pieces {
            let by = |times: i64| minor.saturating_mul(times);
            self.change_lot(log, account, *lot, Standing { remaining: by(remaining), held: by(held) });
        }
    }

    fn shift_lot(&mut self, account: AccountId, lot: Lot, change: Standing) {
        let Some(page) = self.lots.get_mut(&account) else { return };
        // What lies behind the page is not known here, so nothing is said of it.
        if page.upto.is_some_and(|upto| lot > upto) {
            return;
        }
        page.taken = page.taken.saturating_add(change.takes());
        let standing = page.lots.entry(lot).or_default();
        standing.remaining = standing.remaining.saturating_add(change.remaining);
        standing.held = standing.held.saturating_add(change.held);
        if *standing == Standing::default() {
            page.lots.remove(&lot);
        }
    }

    /// Takes `minor` off what is left of a hold.
    pub(super) fn end_hold(&mut self, log: &mut Log, hold: LegRef, minor: i64) {
        self.shift_hold(hold, minor);
        log.ended.push((hold, minor));
    }

    fn shift_hold(&mut self, hold: LegRef, minor: i64) {
        if let Some(hold) = self.holds.get_mut(&hold) {
            hold.remaining = hold.remaining.saturating_sub(minor);
        }
    }

    /// Counts `minor` of a row as moved back.
    pub(super) fn refund(&mut self, log: &mut Log, of: LegRef, minor: i64) {
        self.shift_refund(of, minor);
        log.refunded.push((of, minor));
    }

    fn shift_refund(&mut self, of: LegRef, minor: i64) {
        if let Some(row) = self.rows.get_mut(&of) {
            row.refunded = row.refunded.saturating_add(minor);
        }
    }

    /// Takes back what was logged since the mark.
    pub(super) fn undo(&mut self, log: &mut Log, mark: Mark) {
        let Mark { lots, ended, refunded, links, holds } = mark;
        for (account, lot, change) in log.lots.split_off(lots) {
            let back = Standing { remaining: change.remaining.saturating_neg(), held: change.held.saturating_neg() };
            self.shift_lot(account, lot, back);
        }
        log.ended.split_off(ended).into_iter().for_each(|(hold, minor)| self.shift_hold(hold, minor.saturating_neg()));
        let refunds = log.refunded.split_off(refunded);
        refunds.into_iter().for_each(|(of, minor)| self.shift_refund(of, minor.saturating_neg()));
        log.links.truncate(links);
        log.holds.truncate(holds);
    }
}
