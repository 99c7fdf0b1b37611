//! What time brings about: holds and lots that have expired, periods that are over.
//!
//! It is written down when a request next touches the account, as a record of its own ahead of the request's, whatever
//! becomes of the request; until then reads take it off. No rule forbids it: a frozen or closed account's points expire
//! like any other's. A thousand holds and a thousand lots at a time: while there are more, what is asked of the account is to be
//! asked again, for nobody is to be refused for what is held no more.

use uuid::Uuid;

use super::draft::Draft;
use super::pass::{Decline, Pass};
use super::working::{Mark, Standing, Working};
use crate::lot::{NEVER, total};
use crate::{
    Account, Amount, Body, Hold, Invalid, LegRef, Lot, More, Nature, Piece, Posted, Record, Refusal, RowKind, Side,
    Transfer,
};

impl Pass<'_> {
    /// Writes what is due on an account. Nothing is decided on it while more may be due than was looked up, as long as asking again
    /// finds less: lots that holds have pinned stay where they are when they expire, and are due to nobody.
    pub(super) fn bring_up_to_date(&mut self, public_id: Uuid) -> Result<(), Decline> {
        let before = self.applied.records.len();
        self.bring_due(public_id)?;
        let Some(id) = self.account(public_id).map(|account| account.id) else { return Ok(()) };
        let is_over = |us: i64| us <= self.now_us;
        let holds = self.holds_until.get(&id).copied().is_some_and(is_over);
        let lots = self.working.page(id).and_then(|page| page.upto).is_some_and(|lot| is_over(lot.expires_us));
        if holds || (lots && self.applied.records.len() > before) {
            self.unfinished.insert(id);
        }
        if self.unfinished.contains(&id) { Err(Invalid::StillDue { account: public_id }.into()) } else { Ok(()) }
    }

    /// Writes what is due on an account, if anything is.
    pub(super) fn bring_due(&mut self, public_id: Uuid) -> Result<(), Decline> {
        let Some(account) = self.account(public_id).copied() else { return Ok(()) };
        // Lots that were not loaded, because nothing was due before this batch, wait for the next.
        let loaded = !account.nature.keeps_lots() || self.working.page(account.id).is_some();
        if account.next_due_us > self.now_us || !loaded {
            return Ok(());
        }
        let mut draft = Draft::default();
        match self.draft_due(&mut draft, &account) {
            Ok(period_us) => {
                self.keep_due(public_id, draft, account.period_us, period_us);
                Ok(())
            }
            Err(decline) => {
                self.working.undo(&mut draft.log, Mark::default());
                Err(decline)
            }
        }
    }

    /// Drafts what is due on an account, and says where its period ends from here on.
    fn draft_due(&mut self, draft: &mut Draft, account: &Account) -> Result<i64, Decline> {
        let public_id = account.public_id;
        self.draft_account(draft, public_id)?;
        if let Some(counterpart) = account.nature.counterpart() {
            self.draft_account(draft, counterpart)?;
        }
        for (place, hold) in self.expired_holds(account) {
            if let Some(other) = self.by_number(hold.credit) {
                self.draft_account(draft, other)?;
                let transfer = Transfer::moving(public_id, other, Amount { minor: hold.remaining, ..hold.amount });
                draft.release(&transfer, place, RowKind::Expire, &mut self.working)?;
                draft.end_leg();
            }
        }
        match account.nature {
            Nature::Plain => Ok(0),
            Nature::Lots { breakage, .. } => {
                draft.expire_lots(public_id, breakage, &mut self.working, self.now_us)?;
                Ok(0)
            }
            Nature::Quota { pool, allowance, period, calendar } => {
                if account.period_us <= self.now_us {
                    draft.shift(public_id, pool, allowance.saturating_sub(account.balance), More::default())?;
                }
                Ok(period.around(calendar, self.now_us).1)
            }
        }
    }

    /// Writes what is due, because somebody asked for that alone.
    pub(super) fn sweep(&mut self, account: Uuid) -> Result<usize, Decline> {
        let before = self.applied.records.len();
        if self.account(account).is_none() {
            return Err(Invalid::UnknownAccount { account }.into());
        }
        self.bring_due(account)?;
        if self.applied.records.len() == before {
            return Err(Invalid::NothingDue { account }.into());
        }
        Ok(before)
    }

    /// The difference that a changed allowance makes to what is left of the present period; none when it makes none.
    pub(super) fn draft_adjustment(&self, account: &Account, difference: i64) -> Result<Option<Draft>, Decline> {
        let Some(pool) = account.nature.counterpart().filter(|_| difference != 0) else { return Ok(None) };
        let mut draft = Draft::default();
        self.draft_account(&mut draft, account.public_id)?;
        self.draft_account(&mut draft, pool)?;
        draft.shift(account.public_id, pool, difference, More::default())?;
        Ok(Some(draft))
    }

    /// Writes that difference, after the change itself: `changed` is the account under its new rules.
    pub(super) fn keep_adjustment(&mut self, changed: &Account, mut draft: Draft) {
        for account in draft.accounts.iter_mut().filter(|account| account.id == changed.id) {
            account.nature = changed.nature;
        }
        self.keep_due(changed.public_id, draft, 0, changed.period_us);
    }

    /// Holds on this account whose time is over, the earliest first.
    fn expired_holds(&self, account: &Account) -> Vec<(LegRef, Hold)> {
        let open = self.working.holds.iter().filter(|(_, hold)| hold.debit == account.id && hold.remaining > 0);
        let mut expired: Vec<(LegRef, Hold)> = open
            .filter(|(_, hold)| hold.expires_us <= self.now_us)
            .map(|(place, hold)| (*place, hold.clone()))
            .collect();
        expired.sort_unstable_by_key(|(place, hold)| (hold.expires_us, *place));
        expired
    }

    fn keep_due(&mut self, public_id: Uuid, mut draft: Draft, before_us: i64, period_us: i64) {
        let next_due_us = self.next_due(&draft, public_id, period_us);
        for account in draft.accounts.iter_mut().filter(|account| account.public_id == public_id) {
            (account.next_due_us, account.period_us) = (next_due_us, period_us);
        }
        let transfers = std::mem::take(&mut draft.posted);
        let says = !transfers.is_empty() || period_us != before_us;
        self.keep_state(draft, self.applied.seq.saturating_add(1));
        if says {
            let body = Body::Due { account: public_id, period_us, transfers };
            let (id, effective_us) = (public_id, self.now_us);
            self.push_record(|seq, recorded_us| Record { seq, id, recorded_us, effective_us, body, meta: Vec::new() });
        }
    }

    /// When something next falls due on an account, as far as was loaded: too early is corrected at the next touch.
    fn next_due(&self, draft: &Draft, public_id: Uuid, period_us: i64) -> i64 {
        let Some(account) = draft.account(public_id) else { return NEVER };
        let is_new = account.held == 0 || account.id.0 > self.state.seq;
        let Some(known_us) = self.holds_until.get(&account.id).copied().or(is_new.then_some(NEVER)) else {
            return self.now_us;
        };
        let open = self.working.holds.values().filter(|hold| hold.debit == account.id && hold.remaining > 0);
        let hold_us = open.map(|hold| hold.expires_us).min().unwrap_or(NEVER).min(known_us);
        let page = self.working.page(account.id);
        let free =
            page.into_iter().flat_map(|page| &page.lots).find(|(_, standing)| standing.remaining > standing.held);
        let behind = page.and_then(|page| page.upto).map(|lot| lot.expires_us);
        let lot_us = free.map(|(lot, _)| lot.expires_us).or(behind).unwrap_or(NEVER);
        let period_us = if period_us > 0 { period_us } else { NEVER };
        hold_us.min(lot_us).min(period_us)
    }
}

impl Draft {
    /// Posts what has expired to breakage.
    fn expire_lots(
        &mut self,
        public_id: Uuid,
        breakage: Uuid,
        working: &mut Working,
        now_us: i64,
    ) -> Result<(), Decline> {
        let Some(account) = self.account(public_id).copied() else { return Ok(()) };
        let lots = working.page(account.id).into_iter().flat_map(|page| &page.lots);
        let expired = lots.take_while(|(lot, _)| lot.expires_us <= now_us);
        let free = |(lot, standing): (&Lot, &Standing)| Piece {
            lot: *lot,
            minor: standing.remaining.saturating_sub(standing.held),
        };
        let debit_lots: Vec<Piece> = expired.map(free).filter(|piece| piece.minor > 0).collect();
        let minor = total(&debit_lots);
        working.change_pieces(&mut self.log, account.id, &debit_lots, (-1, 0));
        self.shift(public_id, breakage, minor.saturating_neg(), More { debit_lots, ..More::default() })
    }

    /// Changes an account's balance by `change` against another's, whatever their rules; nothing for zero.
    fn shift(&mut self, account: Uuid, other: Uuid, change: i64, more: More) -> Result<(), Decline> {
        if change == 0 {
            return Ok(());
        }
        let (debit, credit) = if change < 0 { (account, other) } else { (other, account) };
        let minor = change.checked_abs().ok_or(Refusal::Overflow { account })?;
        let sides = [(debit, minor.saturating_neg()), (credit, minor)];
        let moved = sides.map(|(id, change)| self.account(id).map(|account| account.brought(change)));
        let [Some(debit), Some(credit)] = moved else { return Err(Refusal::Overflow { account }.into()) };
        let (debit, credit) = (debit?, credit?);
        let amount = Amount::new(minor, debit.asset);
        let (debit, credit): (Side, Side) = (self.set(debit), self.set(credit));
        self.posted.push(Posted { leg: self.leg, kind: RowKind::Move, amount, debit, credit, more: more.boxed() });
        Ok(())
    }
}
