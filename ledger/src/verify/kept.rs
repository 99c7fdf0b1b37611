//! Holds and lots as verify derives them: what a row says beside two balances, given all rows before it.

use std::collections::BTreeMap;

use super::rows::{HoldRow, LotRow};
use super::{Broken, Check, broken};
use crate::apply::Map;
use crate::{AccountId, LegRef, Lot, More, NEVER, Piece, Posted, RowKind};

/// What is kept beside balances, so far.
#[derive(Default)]
pub(super) struct Kept {
    open: Map<LegRef, OpenHold>,
    lots: Map<AccountId, Lots>,
}

/// The lots of an account, and what they add up to.
#[derive(Default)]
struct Lots {
    each: BTreeMap<Lot, Left>,
    sum: Left,
}

struct OpenHold {
    stored: HoldRow,
    remaining: i64,
    pinned: Vec<Piece>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Left {
    remaining: i64,
    held: i64,
}

/// A row in its place: whose lots it may touch, and when it was recorded.
pub(super) struct Row<'a> {
    pub(super) seq: i64,
    pub(super) now_us: i64,
    pub(super) posted: &'a Posted,
    pub(super) debit_keeps_lots: bool,
    pub(super) credit_keeps_lots: bool,
    /// What the credit account owed before.
    pub(super) credit_debt: i64,
    /// Time's own: expired holds and lots.
    pub(super) due: bool,
}

impl Kept {
    /// Takes one row, with the hold stored for it if it opens one.
    pub(super) fn row(&mut self, row: &Row<'_>, stored: Option<HoldRow>) -> Result<(), Broken> {
        let none = More::default();
        let more = row.posted.more.as_deref().unwrap_or(&none);
        match (row.posted.kind, stored) {
            (RowKind::Hold, Some(stored)) => self.hold(row, more, stored),
            (RowKind::Hold, None) => Err(broken(Check::Holds, row.seq, "a hold has no row of its own")),
            (_, Some(_)) => Err(broken(Check::Holds, row.seq, "a hold is stored that no row opened")),
            (RowKind::Move, None) => self.moved(row, more),
            (RowKind::Capture, None) => self.captured(row, more),
            (RowKind::Void | RowKind::Expire, None) => self.released(row, more),
        }
    }

    fn hold(&mut self, row: &Row<'_>, more: &More, stored: HoldRow) -> Result<(), Broken> {
        let Posted { leg, amount, debit, credit, .. } = row.posted;
        let said = (LegRef { seq: row.seq, leg: *leg }, debit.account, credit.account, amount.asset, amount.minor);
        let found = (stored.place, stored.debit, stored.credit, stored.asset, stored.amount);
        if said != found || more.expires_us.unwrap_or(NEVER) != stored.expires_us {
            return Err(broken(Check::Holds, row.seq, "the hold stored is not the row's"));
        }
        self.spendable(row, &more.debit_lots)?;
        self.shift(row, &more.debit_lots, amount.minor, |left, minor| left.held = left.held.saturating_add(minor))?;
        let remaining = amount.minor;
        self.open.insert(stored.place, OpenHold { stored, remaining, pinned: more.debit_lots.clone() });
        Ok(())
    }

    /// Takes `minor` off the open hold a row is about, and says which of its lots those are.
    fn end(&mut self, row: &Row<'_>, more: &More, all: bool) -> Result<Vec<Piece>, Broken> {
        let fails = |what: &str| broken(Check::Holds, row.seq, format!("leg {}: {what}", row.posted.leg));
        let of = more.of.ok_or_else(|| fails("it names no hold"))?;
        let hold = self.open.get_mut(&of).ok_or_else(|| fails("its hold is not open"))?;
        let sides = (row.posted.debit.account, row.posted.credit.account);
        let minor = row.posted.amount.minor;
        let rest = hold.remaining.saturating_sub(minor);
        if sides != (hold.stored.debit, hold.stored.credit) || rest < 0 || (all && rest != 0) {
            return Err(fails("it is not what is left of its hold"));
        }
        let in_time = row.now_us < hold.stored.expires_us;
        if in_time == (row.posted.kind == RowKind::Expire) {
            return Err(fails("it comes before or after its hold's time"));
        }
        let before = hold.stored.amount.saturating_sub(hold.remaining);
        let pieces = units(&hold.pinned, before, minor);
        hold.remaining = rest;
        if rest == 0 {
            let stored = hold.stored.remaining;
            self.open.remove(&of);
            if stored != 0 {
                return Err(broken(Check::Holds, of.seq, format!("{stored} are said to be left of a hold that ended")));
            }
        }
        Ok(pieces)
    }

    fn captured(&mut self, row: &Row<'_>, more: &More) -> Result<(), Broken> {
        let pieces = self.end(row, more, false)?;
        if pieces != more.debit_lots {
            return Err(broken(Check::Lots, row.seq, "a capture takes other lots than its hold pinned"));
        }
        self.shift(row, &pieces, row.posted.amount.minor, |left, minor| {
            left.remaining = left.remaining.saturating_sub(minor);
            left.held = left.held.saturating_sub(minor);
        })?;
        self.given(row, more)
    }

    fn released(&mut self, row: &Row<'_>, more: &More) -> Result<(), Broken> {
        let pieces = self.end(row, more, true)?;
        if pieces != more.debit_lots || row.due != (row.posted.kind == RowKind::Expire) {
            return Err(broken(Check::Lots, row.seq, "it gives back other lots than its hold pinned"));
        }
        self.shift(row, &pieces, row.posted.amount.minor, |left, minor| left.held = left.held.saturating_sub(minor))?;
        let repaid = more.repaid.iter().fold(0, |sum: i64, piece| sum.saturating_add(piece.minor));
        self.shift(row, &more.repaid, repaid, |left, minor| left.remaining = left.remaining.saturating_sub(minor))
    }

    fn moved(&mut self, row: &Row<'_>, more: &More) -> Result<(), Broken> {
        if !row.due && !more.owing && more.of.is_none() {
            self.spendable(row, &more.debit_lots)?;
        }
        let taken = more.debit_lots.iter().fold(0, |sum: i64, piece| sum.saturating_add(piece.minor));
        let lacking = row.debit_keeps_lots && taken < row.posted.amount.minor;
        if lacking && !more.owing {
            return Err(broken(Check::Lots, row.seq, "it takes fewer lots than it moves"));
        }
        self.shift(row, &more.debit_lots, taken, |left, minor| left.remaining = left.remaining.saturating_sub(minor))?;
        self.given(row, more)
    }

    /// Lots that reach the credit account: the amount, less what it owed.
    fn given(&mut self, row: &Row<'_>, more: &More) -> Result<(), Broken> {
        let sum = more.credit_lots.iter().fold(0, |sum: i64, piece| sum.saturating_add(piece.minor));
        let kept = row.posted.amount.minor.saturating_sub(row.credit_debt).max(0);
        let wanted = if row.credit_keeps_lots { kept } else { 0 };
        if sum != wanted {
            return Err(broken(Check::Lots, row.seq, format!("lots of {sum} reach the account, not of {wanted}")));
        }
        let account = row.posted.credit.account;
        for Piece { lot, minor } in &more.credit_lots {
            let lots = self.lots.entry(account).or_default();
            let left = lots.each.entry(*lot).or_default();
            left.remaining = left.remaining.saturating_add(*minor);
            lots.sum.remaining = lots.sum.remaining.saturating_add(*minor);
        }
        Ok(())
    }

    /// Nothing that would expire earlier, and could have been spent, is left untouched.
    fn spendable(&self, row: &Row<'_>, pieces: &[Piece]) -> Result<(), Broken> {
        let Some(last) = pieces.last() else { return Ok(()) };
        let early =
            pieces.iter().any(|piece| piece.lot.activates_us > row.now_us || piece.lot.expires_us <= row.now_us);
        let account = self.lots.get(&row.posted.debit.account);
        let mut before = account.into_iter().flat_map(|lots| lots.each.range(..last.lot));
        let passed = before.any(|(lot, left)| {
            let taken = pieces.iter().find(|piece| piece.lot == *lot).map_or(0, |piece| piece.minor);
            let can = lot.activates_us <= row.now_us && lot.expires_us > row.now_us;
            can && left.remaining.saturating_sub(left.held) > taken
        });
        if early || passed {
            return Err(broken(Check::Lots, row.seq, "it takes lots out of their order, or out of their time"));
        }
        Ok(())
    }

    /// Changes the debit account's lots by these pieces, which are `minor` together if it keeps lots, and none if not.
    fn shift(
        &mut self,
        row: &Row<'_>,
        pieces: &[Piece],
        minor: i64,
        change: impl Fn(&mut Left, i64),
    ) -> Result<(), Broken> {
        let account = row.posted.debit.account;
        let fails = |what: &str| broken(Check::Lots, row.seq, format!("account {}: {what}", account.0));
        let sum = pieces.iter().fold(0, |sum: i64, piece| sum.saturating_add(piece.minor));
        if sum != if row.debit_keeps_lots { minor } else { 0 } {
            return Err(fails("the lots are not the amount"));
        }
        for Piece { lot, minor } in pieces {
            let lots = self.lots.entry(account).or_default();
            let left = lots.each.get_mut(lot).ok_or_else(|| fails("it has no such lot"))?;
            change(left, *minor);
            change(&mut lots.sum, *minor);
            let Left { remaining, held } = *left;
            if *minor <= 0 || held < 0 || remaining < held {
                return Err(fails("more is taken of a lot than there is"));
            }
            if remaining == 0 {
                lots.each.remove(lot);
            }
        }
        Ok(())
    }

    /// The lots of an account add up to what it has, or holds (I7, I8).
    pub(super) fn check_sums(&self, seq: i64, account: AccountId, balance: i64, held: i64) -> Result<(), Broken> {
        let sum = self.lots.get(&account).map_or(Left::default(), |lots| lots.sum);
        if sum == (Left { remaining: balance.max(held), held }) {
            return Ok(());
        }
        let what = format!("account {}: lots of {} stand beside a balance of {balance}", account.0, sum.remaining);
        Err(broken(Check::Lots, seq, what))
    }

    /// What is left of the holds that are open is what is stored.
    pub(super) fn check_open_holds(&self) -> Result<(), Broken> {
        let mut wrong: Vec<&OpenHold> =
            self.open.values().filter(|hold| hold.remaining != hold.stored.remaining).collect();
        wrong.sort_by_key(|hold| hold.stored.place);
        match wrong.first() {
            Some(hold) => {
                let (seq, stored) = (hold.stored.place.seq, hold.stored.remaining);
                Err(broken(Check::Holds, seq, format!("{} are left of the hold, not {stored}", hold.remaining)))
            }
            None => Ok(()),
        }
    }

    /// Holds a stored lot against the one derived, which is then done with.
    pub(super) fn check_lot(&mut self, row: &LotRow) -> Result<(), Broken> {
        let derived = self.lots.get_mut(&row.account).and_then(|lots| lots.each.remove(&row.lot)).unwrap_or_default();
        if (derived == Left { remaining: row.remaining, held: row.held }) {
            return Ok(());
        }
        let what = format!("account {}: a lot of {} is stored as {}", row.account.0, derived.remaining, row.remaining);
        Err(broken(Check::Lots, row.account.0, what))
    }

    /// Every lot derived was stored.
    pub(super) fn check_no_lot_is_left(&self) -> Result<(), Broken> {
        let mut left: Vec<&AccountId> =
            self.lots.iter().filter(|(_, lots)| !lots.each.is_empty()).map(|(id, _)| id).collect();
        left.sort();
        match left.first() {
            Some(account) => Err(broken(Check::Lots, account.0, format!("account {}: a lot is not stored", account.0))),
            None => Ok(()),
        }
    }
}

/// The units from `skip` on, `take` of them, of a row of pieces.
fn units(pieces: &[Piece], skip: i64, take: i64) -> Vec<Piece> {
    let (mut at, end) = (0_i64, skip.saturating_add(take));
    let mut part = Vec::new();
    for piece in pieces {
        let (from, upto) = (at.max(skip), at.saturating_add(piece.minor).min(end));
        if upto > from {
            part.push(Piece { lot: piece.lot, minor: upto.saturating_sub(from) });
        }
        at = at.saturating_add(piece.minor);
    }
    part
}
