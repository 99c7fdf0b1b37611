//! A transaction being tried: its accounts as they would be, its rows as they would read.

use uuid::Uuid;

use super::Map;
use super::pass::Decline;
use super::working::{LOTS, Log, Mark, NewLink, Working};
use crate::lot::{NEVER, slice, total};
use crate::{
    Account, Dropped, Group, Hold, How, Invalid, LegRef, Lot, More, Nature, NewAccount, Piece, Posted, Refusal,
    RowKind, Side, Transfer,
};

/// When a transaction is decided, and when it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now_us: i64,
    pub(super) effective_us: i64,
}

#[derive(Default)]
pub(super) struct Draft {
    pub(super) opened: Vec<NewAccount>,
    pub(super) accounts: Vec<Account>,
    /// Where they are; empty while they are so few that a scan beats a map.
    places: Map<Uuid, usize>,
    pub(super) posted: Vec<Posted>,
    pub(super) log: Log,
    pub(super) leg: i32,
}

/// Accounts of a draft that are looked through one by one.
const SCANNED: usize = 32;

/// Where a draft can go back to.
struct Stage {
    accounts: Vec<Account>,
    posted: usize,
    log: Mark,
    leg: i32,
}

/// What a debit takes from an account's lots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// Only what can be spent now.
    Active,
    /// Also what cannot be spent yet, or no longer: all there is.
    Any,
}

impl Draft {
    pub(super) fn account(&self, public_id: Uuid) -> Option<&Account> {
        self.accounts.get(self.place(public_id)?)
    }

    /// Brings an account in that is not in it yet.
    pub(super) fn add(&mut self, account: Account) {
        self.accounts.push(account);
        if self.accounts.len() > SCANNED {
            let known = self.places.len();
            let new = self.accounts.iter().enumerate().skip(known);
            self.places.extend(new.map(|(place, account)| (account.public_id, place)));
        }
    }

    fn place(&self, public_id: Uuid) -> Option<usize> {
        if self.places.is_empty() {
            self.accounts.iter().position(|account| account.public_id == public_id)
        } else {
            self.places.get(&public_id).copied()
        }
    }

    fn standing(&self, public_id: Uuid) -> Result<Account, Decline> {
        // Both accounts of every transfer were brought in before the first was posted.
        self.account(public_id).copied().ok_or(Invalid::UnknownAccount { account: public_id }.into())
    }

    /// Goes on to the next leg.
    pub(super) fn end_leg(&mut self) {
        self.pass_over(1);
    }

    pub(super) fn set(&mut self, account: Account) -> Side {
        let Account { id, public_id, balance, held, version, .. } = account;
        if let Some(one) = self.place(public_id).and_then(|place| self.accounts.get_mut(place)) {
            *one = account;
        }
        Side { account: id, public_id, balance, held, version }
    }

    /// Posts each group whole, or its fallback whole, or leaves it out and says why.
    pub(super) fn post_groups(
        &mut self,
        groups: &[Group],
        working: &mut Working,
        at: Moment,
    ) -> Result<Vec<Dropped>, Decline> {
        let mut dropped = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            if let Err(refusal) = self.post_all(&group.transfers, working, at)? {
                dropped.push(Dropped { group: i32::try_from(index).unwrap_or(i32::MAX), refusal });
                // A fallback that is refused too leaves the group out; the first reason stands.
                _ = self.post_all(&group.fallback, working, at)?;
            } else {
                self.pass_over(group.fallback.len());
            }
        }
        Ok(dropped)
    }

    /// Posts these, all or none; the legs are used up either way.
    fn post_all(
        &mut self,
        transfers: &[Transfer],
        working: &mut Working,
        at: Moment,
    ) -> Result<Result<(), Refusal>, Decline> {
        let before =
            Stage { accounts: self.accounts.clone(), posted: self.posted.len(), log: self.log.mark(), leg: self.leg };
        match transfers.iter().try_for_each(|transfer| self.post(transfer, working, at)) {
            Ok(()) => Ok(Ok(())),
            Err(Decline::Refused(refusal)) => {
                working.undo(&mut self.log, before.log);
                self.posted.truncate(before.posted);
                (self.accounts, self.leg) = (before.accounts, before.leg);
                self.pass_over(transfers.len());
                Ok(Err(refusal))
            }
            Err(invalid @ Decline::Invalid(_)) => Err(invalid),
        }
    }

    fn pass_over(&mut self, legs: usize) {
        self.leg = self.leg.saturating_add(i32::try_from(legs).unwrap_or(i32::MAX));
    }

    /// Posts one transfer as the next leg.
    pub(super) fn post(&mut self, transfer: &Transfer, working: &mut Working, at: Moment) -> Result<(), Decline> {
        match transfer.how {
            How::Move => self.post_move(transfer, false, None, working, at)?,
            How::Owing => self.post_move(transfer, true, None, working, at)?,
            How::UpTo => self.post_up_to(transfer, working, at)?,
            How::Hold { expires_us } => self.post_hold(transfer, expires_us.unwrap_or(NEVER), working, at)?,
            How::Capture { hold } => self.post_capture(transfer, hold, working, at)?,
            How::Void { hold } => self.post_void(transfer, hold, working)?,
            How::Refund { of, owing } => self.post_refund(transfer, of, owing, working, at)?,
        }
        self.end_leg();
        Ok(())
    }

    /// Moves value at once. Of a refund, `original` is the row that is moved back.
    fn post_move(
        &mut self,
        transfer: &Transfer,
        owing: bool,
        original: Option<(LegRef, &Restored)>,
        working: &mut Working,
        at: Moment,
    ) -> Result<(), Decline> {
        let minor = transfer.amount.minor;
        let (payer, payee) = (self.standing(transfer.debit)?, self.standing(transfer.credit)?);
        let paid = if owing { payer.debit_owing(minor)? } else { payer.debit(minor)? };
        let debit_lots = if payer.nature.keeps_lots() {
            let take = if owing || original.is_some() { Take::Any } else { Take::Active };
            let first = original.map_or(&[][..], |(_, restored)| restored.preferred.as_slice());
            let taken = self.take(&payer, minor, take, first, working, at)?;
            if total(&taken) < minor && !owing {
                return Err(Refusal::Floor { account: payer.public_id }.into());
            }
            taken
        } else {
            Vec::new()
        };
        let debit = self.set(paid);
        let received = payee.credit(minor)?;
        let brought = original.map_or(debit_lots.as_slice(), |(_, restored)| restored.lots.as_slice());
        // Of what is moved back, what was owed comes first, as it was taken last: it repays that, and not the lots.
        let new_first = original.is_some();
        let (received, credit_lots) = self.give(&payee, received, (brought, new_first), transfer, working, at);
        let credit = self.set(received);
        let of = original.map(|(of, _)| of);
        let more = More { of, debit_lots, credit_lots, rate: transfer.rate, owing, ..More::default() };
        self.push(transfer, RowKind::Move, minor, (debit, credit), more);
        Ok(())
    }

    fn push(&mut self, transfer: &Transfer, kind: RowKind, minor: i64, sides: (Side, Side), more: More) {
        let amount = crate::Amount { minor, ..transfer.amount };
        if let Some(of) = more.of {
            self.log.links.push(NewLink { of, leg: self.leg, kind, minor });
        }
        self.posted.push(Posted { leg: self.leg, kind, amount, debit: sides.0, credit: sides.1, more: more.boxed() });
    }

    /// Takes lots for `minor`, `first` these if they are still there, then the earliest-expiring. What is missing, is
    /// missing from the pieces.
    fn take(
        &mut self,
        payer: &Account,
        minor: i64,
        take: Take,
        first: &[Piece],
        working: &mut Working,
        at: Moment,
    ) -> Result<Vec<Piece>, Decline> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut left = minor;
        let page = working.page(payer.id);
        let free = |lot: &Lot| {
            let standing = page.and_then(|page| page.lots.get(lot)).copied().unwrap_or_default();
            standing.remaining.saturating_sub(standing.held)
        };
        let in_order = page.into_iter().flat_map(|page| page.lots.keys());
        let now = |lot: &&Lot| lot.activates_us <= at.now_us && lot.expires_us > at.now_us;
        let usable = in_order.filter(|lot| take == Take::Any || now(lot));
        let first = first.iter().map(|piece| (&piece.lot, piece.minor));
        let (preferred, mut all) = (first.len(), first.chain(usable.map(|lot| (lot, NEVER))));
        for (lot, most) in &mut all {
            // Only what was preferred can come up twice.
            let before = pieces.iter().take(preferred).find(|piece| piece.lot == *lot).map_or(0, |piece| piece.minor);
            let part = free(lot).saturating_sub(before).min(most).min(left);
            if part > 0 {
                pieces.push(Piece { lot: *lot, minor: part });
                left = left.saturating_sub(part);
            }
            if left == 0 {
                break;
            }
        }
        let more_behind = left > 0 && page.is_some_and(|page| !page.is_whole());
        if more_behind || pieces.len() > LOTS {
            return Err(self.too_many_lots(payer, working));
        }
        working.change_pieces(&mut self.log, payer.id, &pieces, (-1, 0));
        Ok(pieces)
    }

    /// More lots than were looked up: too many for one transaction, or, where others of its batch have taken of them, for now.
    fn too_many_lots(&self, payer: &Account, working: &Working) -> Decline {
        let account = payer.public_id;
        if working.is_shared(&self.log, payer.id) {
            return Invalid::StillDue { account }.into();
        }
        Invalid::TooManyLots { account }.into()
    }

    /// Gives an account that keeps lots what was `brought`, and the rest of the amount as a new lot, behind that or before
    /// it; what it owes comes off the front.
    fn give(
        &mut self,
        payee: &Account,
        received: Account,
        (brought, new_first): (&[Piece], bool),
        transfer: &Transfer,
        working: &mut Working,
        at: Moment,
    ) -> (Account, Vec<Piece>) {
        if !payee.nature.keeps_lots() {
            return (received, Vec::new());
        }
        let minor = received.balance.saturating_sub(payee.balance);
        let mut pieces = brought.to_vec();
        let rest = minor.saturating_sub(total(brought));
        if rest > 0 {
            let lot = Lot::of(transfer.lot.unwrap_or_default(), at.effective_us);
            pieces.insert(if new_first { 0 } else { pieces.len() }, Piece { lot, minor: rest });
        }
        let given = slice(&pieces, payee.debt(), NEVER);
        working.change_pieces(&mut self.log, payee.id, &given, (1, 0));
        (given.iter().fold(received, |account, piece| account.due_at(piece.lot.expires_us)), given)
    }

    fn post_up_to(&mut self, transfer: &Transfer, working: &mut Working, at: Moment) -> Result<(), Decline> {
        let (payer, payee) = (self.standing(transfer.debit)?, self.standing(transfer.credit)?);
        let above_floor = payer.floor.map(|floor| payer.available().map(|available| available.saturating_sub(floor)));
        let above_floor = above_floor.transpose()?;
        let below_ceiling = payee.ceiling.map(|ceiling| ceiling.saturating_sub(payee.balance));
        let in_lots = payer.nature.keeps_lots().then(|| {
            let page = working.page(payer.id);
            let lots = page.into_iter().flat_map(|page| &page.lots);
            let usable = lots.filter(|(lot, _)| lot.expires_us > at.now_us && lot.activates_us <= at.now_us);
            usable.fold(0_i64, |sum, (_, s)| sum.saturating_add(s.remaining.saturating_sub(s.held)))
        });
        let allowed = [above_floor, below_ceiling].into_iter().flatten().fold(transfer.amount.minor, i64::min);
        if in_lots.is_some_and(|found| found < allowed) && working.page(payer.id).is_some_and(|page| !page.is_whole()) {
            return Err(self.too_many_lots(&payer, working));
        }
        let minor = in_lots.unwrap_or(allowed).min(allowed);
        if minor <= 0 {
            return Ok(());
        }
        let amount = crate::Amount { minor, ..transfer.amount };
        self.post_move(&Transfer { amount, ..*transfer }, false, None, working, at)
    }

    fn post_hold(
        &mut self,
        transfer: &Transfer,
        expires_us: i64,
        working: &mut Working,
        at: Moment,
    ) -> Result<(), Decline> {
        if expires_us <= at.now_us {
            return Err(Invalid::Dates { leg: self.leg }.into());
        }
        let minor = transfer.amount.minor;
        let (payer, payee) = (self.standing(transfer.debit)?, self.standing(transfer.credit)?);
        let held = payer.hold(minor)?.due_at(expires_us);
        let mut lots = Vec::new();
        if payer.nature.keeps_lots() {
            lots = self.take(&payer, minor, Take::Active, &[], working, at)?;
            if total(&lots) < minor {
                return Err(Refusal::Floor { account: payer.public_id }.into());
            }
            // Pinned, not gone.
            working.change_pieces(&mut self.log, payer.id, &lots, (1, 1));
        }
        let debit = self.set(held);
        payee.lets_in()?;
        let credit = self.set(payee.touched()?);
        let hold = Hold {
            debit: payer.id,
            credit: payee.id,
            amount: transfer.amount,
            remaining: minor,
            expires_us,
            lots: lots.clone(),
        };
        self.log.holds.push((self.leg, hold));
        let expires_us = Some(expires_us).filter(|us| *us < NEVER);
        let more = More { expires_us, debit_lots: lots, ..More::default() };
        self.push(transfer, RowKind::Hold, minor, (debit, credit), more);
        Ok(())
    }

    fn post_capture(
        &mut self,
        transfer: &Transfer,
        of: LegRef,
        working: &mut Working,
        at: Moment,
    ) -> Result<(), Decline> {
        let hold = open_hold(working, of)?;
        let minor = transfer.amount.minor;
        if minor > hold.remaining {
            return Err(Refusal::HoldExceeded { hold: of }.into());
        }
        let (payer, payee) = (self.standing(transfer.debit)?, self.standing(transfer.credit)?);
        let debit_lots = slice(&hold.lots, hold.amount.minor.saturating_sub(hold.remaining), minor);
        working.change_pieces(&mut self.log, payer.id, &debit_lots, (-1, -1));
        working.end_hold(&mut self.log, of, minor);
        let debit = self.set(payer.capture(minor)?);
        let received = payee.credit(minor)?;
        let (received, credit_lots) = self.give(&payee, received, (&debit_lots, false), transfer, working, at);
        let credit = self.set(received);
        let more = More { of: Some(of), debit_lots, credit_lots, ..More::default() };
        self.push(transfer, RowKind::Capture, minor, (debit, credit), more);
        Ok(())
    }

    fn post_void(&mut self, transfer: &Transfer, of: LegRef, working: &mut Working) -> Result<(), Decline> {
        open_hold(working, of)?;
        self.release(transfer, of, RowKind::Void, working)
    }

    /// Gives back what is left of a hold, voided or expired: its lots too, less what the account owes.
    pub(super) fn release(
        &mut self,
        transfer: &Transfer,
        of: LegRef,
        kind: RowKind,
        working: &mut Working,
    ) -> Result<(), Decline> {
        let hold = working.holds.get(&of).cloned().ok_or(Invalid::NotThatRow { of })?;
        let minor = hold.remaining;
        let (payer, payee) = (self.standing(transfer.debit)?, self.standing(transfer.credit)?);
        let debit_lots = slice(&hold.lots, hold.amount.minor.saturating_sub(minor), minor);
        let repaid = slice(&debit_lots, 0, payer.debt());
        let kept = slice(&debit_lots, total(&repaid), NEVER);
        working.change_pieces(&mut self.log, payer.id, &debit_lots, (0, -1));
        working.change_pieces(&mut self.log, payer.id, &repaid, (-1, 0));
        working.end_hold(&mut self.log, of, minor);
        let released = payer.release(minor)?;
        let debit = self.set(kept.iter().fold(released, |account, piece| account.due_at(piece.lot.expires_us)));
        let credit = self.set(payee.touched()?);
        let more = More { of: Some(of), debit_lots, repaid, ..More::default() };
        self.push(transfer, kind, minor, (debit, credit), more);
        Ok(())
    }

    fn post_refund(
        &mut self,
        transfer: &Transfer,
        of: LegRef,
        owing: bool,
        working: &mut Working,
        at: Moment,
    ) -> Result<(), Decline> {
        let original = working.rows.get(&of).cloned().ok_or_else(|| working.lacks(of))?;
        let (whole, minor) = (original.posted.amount.minor, transfer.amount.minor);
        let left = whole.saturating_sub(original.refunded);
        if minor > left {
            return Err(Refusal::RefundExceeded { of }.into());
        }
        let payee = self.standing(transfer.credit)?;
        if let Nature::Quota { period, calendar, .. } = payee.nature {
            // What was used of a period that is over comes back to nobody.
            if original.recorded_us < period.around(calendar, at.now_us).0 {
                return Ok(());
            }
        }
        // Moved back from the end: what was spent first stays spent longest.
        let grace_us = match payee.nature {
            Nature::Lots { grace_us, .. } => grace_us,
            Nature::Plain | Nature::Quota { .. } => 0,
        };
        let mut lots = slice(original.posted.debit_lots(), left.saturating_sub(minor), minor);
        lots.iter_mut().for_each(|piece| piece.lot = piece.lot.given_back(at.now_us, grace_us));
        let restored = Restored { preferred: original.posted.credit_lots().to_vec(), lots };
        self.post_move(transfer, owing, Some((of, &restored)), working, at)?;
        working.refund(&mut self.log, of, minor);
        Ok(())
    }
}

/// The lots of a row that is moved back.
struct Restored {
    /// Those it gave: taken first.
    preferred: Vec<Piece>,
    /// Those it took, as far as they come back now.
    lots: Vec<Piece>,
}

/// The hold of this row, as far as something is left of it.
fn open_hold(working: &Working, of: LegRef) -> Result<Hold, Decline> {
    let hold = working.holds.get(&of).cloned().ok_or(Invalid::NotThatRow { of })?;
    if hold.remaining == 0 { Err(Refusal::HoldEnded { hold: of }.into()) } else { Ok(hold) }
}
