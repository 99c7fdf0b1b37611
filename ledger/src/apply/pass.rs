//! One pass over a batch: what is asked, in order, each seeing what those before it did.

use uuid::Uuid;

use super::draft::{Draft, Moment};
use super::working::{Log, Mark, NewLink, Working};
use super::{Applied, Found, Link, Map, Set, State};
use crate::{
    Account, AccountId, Body, Claim, Command, Dropped, Group, How, Invalid, LegRef, Nature, NewAccount, Original,
    Posted, Record, Refusal, Request, RowKind, Transfer,
};

/// One pass over a batch: the committed state below, what the batch did so far above.
pub(super) struct Pass<'a> {
    pub(super) state: &'a State,
    pub(super) spent: Map<Claim, i64>,
    pub(super) working: Working,
    pub(super) holds_until: &'a Map<AccountId, i64>,
    pub(super) opened: Map<Uuid, AccountId>,
    /// Accounts on which more is due than this batch writes down.
    pub(super) unfinished: Set<AccountId>,
    pub(super) applied: Applied,
    pub(super) now_us: i64,
    /// A request of this batch moves back what an earlier one of it posts.
    pub(super) keeps_rows: bool,
}

/// Why a request does not happen.
pub(super) enum Decline {
    Invalid(Invalid),
    Refused(Refusal),
}

impl From<Invalid> for Decline {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Refusal> for Decline {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<'a> Pass<'a> {
    pub(super) fn of(state: &'a State, found: &'a Found, now_us: i64) -> Self {
        let State { seq, last_us, clock_offset_us, .. } = *state;
        Self {
            state,
            spent: found.claims.clone(),
            working: Working::of(found),
            holds_until: &found.holds_until,
            opened: Map::default(),
            unfinished: Set::default(),
            applied: Applied { seq, last_us, clock_offset_us, ..Applied::default() },
            now_us,
            keeps_rows: false,
        }
    }

    pub(super) fn decide(&mut self, request: &Request) -> Result<usize, Invalid> {
        match self.bring_due_of(&request.command).and_then(|()| self.command(request)) {
            Ok(index) => Ok(index),
            Err(Decline::Invalid(invalid)) => Err(invalid),
            Err(Decline::Refused(refusal)) => {
                Ok(self.record(request, command_id(&request.command), Body::Refused { refusal }))
            }
        }
    }

    /// Writes what is due on the accounts that a request is about.
    fn bring_due_of(&mut self, command: &Command) -> Result<(), Decline> {
        for transfer in command.transfers() {
            self.bring_up_to_date(transfer.debit)?;
            self.bring_up_to_date(transfer.credit)?;
        }
        if let Command::Change { account, .. } = command {
            self.bring_up_to_date(*account)?;
        }
        Ok(())
    }

    fn command(&mut self, request: &Request) -> Result<usize, Decline> {
        match &request.command {
            Command::Transact { id, open, transfers, groups, claim } => {
                self.transact(request, *id, open, transfers, groups, *claim)
            }
            Command::Open(account) => self.open(request, account),
            Command::Freeze { account, debits, credits } => self.freeze(request, *account, *debits, *credits),
            Command::MoveClock { by_us } => self.move_clock(request, *by_us),
            Command::Change { account, change } => self.change(request, *account, *change),
            Command::Sweep { account } => self.sweep(*account),
            Command::Abandon => Ok(self.record(request, request.key.key, Body::Abandoned)),
        }
    }

    fn transact(
        &mut self,
        request: &Request,
        id: Uuid,
        open: &[NewAccount],
        transfers: &[Transfer],
        groups: &[Group],
        claim: Option<Claim>,
    ) -> Result<usize, Decline> {
        let mut draft = Draft::default();
        for account in open {
            self.draft_opening(&mut draft, account)?;
        }
        for (leg, transfer) in (0..).zip(transfers.iter().chain(groups.iter().flat_map(Group::every))) {
            self.draft_transfer_accounts(&mut draft, transfer, leg)?;
        }
        if let Some(seq) = claim.and_then(|claim| self.spent.get(&claim)) {
            return Err(Refusal::ClaimSpent { seq: *seq }.into());
        }
        let at = Moment { now_us: self.now_us, effective_us: request.effective_us.unwrap_or(self.now_us) };
        match post(&mut draft, &mut self.working, transfers, groups, at) {
            Ok(dropped) => Ok(self.keep(request, id, draft, dropped, claim)),
            Err(decline) => {
                self.working.undo(&mut draft.log, Mark::default());
                Err(decline)
            }
        }
    }

    /// Brings an account to be opened into the draft, under the seq its own record will have.
    pub(super) fn draft_opening(&mut self, draft: &mut Draft, new: &NewAccount) -> Result<(), Decline> {
        if let Some(account) = draft.account(new.public_id).or_else(|| self.account(new.public_id)) {
            let same = account.has_terms_of(new);
            return if same { Ok(()) } else { Err(Invalid::AccountExists { account: new.public_id }.into()) };
        }
        if !self.state.assets.contains_key(&new.asset) {
            return Err(Invalid::UnknownAsset.into());
        }
        let place = i64::try_from(draft.opened.len()).unwrap_or(i64::MAX);
        if let Some(other) = new.nature.counterpart() {
            let found = draft.account(other).or_else(|| self.account(other));
            let fits = found.is_some_and(|account| account.asset == new.asset && account.nature == Nature::Plain);
            if !fits {
                return Err(Invalid::Nature { account: new.public_id }.into());
            }
        }
        let id = AccountId(self.applied.seq.saturating_add(1).saturating_add(place));
        self.working.opened(id);
        draft.opened.push(new.clone());
        draft.add(Account::opened(new, id));
        Ok(())
    }

    /// Brings both accounts of a transfer into the draft, and sees that what it builds on is of its kind.
    fn draft_transfer_accounts(&self, draft: &mut Draft, transfer: &Transfer, leg: i32) -> Result<(), Decline> {
        for public_id in [transfer.debit, transfer.credit] {
            self.draft_account(draft, public_id)?;
            if draft.account(public_id).is_some_and(|account| account.asset != transfer.amount.asset) {
                return Err(Invalid::AssetMismatch { account: public_id }.into());
            }
        }
        // The first period of an allowance begins when it is first touched, which is after its opening.
        let begun = |public_id| !draft.opened.iter().any(|new| new.public_id == public_id && is_quota(new.nature));
        if let Some(account) = [transfer.debit, transfer.credit].into_iter().find(|id| !begun(*id)) {
            return Err(Invalid::Nature { account }.into());
        }
        let keeps_lots = draft.account(transfer.credit).is_some_and(|account| account.nature.keeps_lots());
        if transfer.lot.is_some() && !keeps_lots {
            return Err(Invalid::Dates { leg }.into());
        }
        match transfer.refers_to() {
            Some(of) if !self.is_of_its_kind(draft, transfer, of) => Err(match transfer.how {
                How::Refund { .. } => self.working.lacks(of).into(),
                How::Move | How::UpTo | How::Owing | How::Hold { .. } | How::Capture { .. } | How::Void { .. } => {
                    Invalid::NotThatRow { of }.into()
                }
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn draft_account(&self, draft: &mut Draft, public_id: Uuid) -> Result<(), Decline> {
        if draft.account(public_id).is_none() {
            let account = self.account(public_id).ok_or(Invalid::UnknownAccount { account: public_id })?;
            draft.add(*account);
        }
        Ok(())
    }

    /// Whether a transfer is between the accounts of the row it builds on, and that row is one that can be.
    fn is_of_its_kind(&self, draft: &Draft, transfer: &Transfer, of: LegRef) -> bool {
        let number = |public_id| draft.account(public_id).map(|account| account.id);
        let sides = (number(transfer.debit), number(transfer.credit));
        match transfer.how {
            How::Capture { .. } | How::Void { .. } => {
                self.working.holds.get(&of).is_some_and(|hold| sides == (Some(hold.debit), Some(hold.credit)))
            }
            How::Refund { .. } => self.working.rows.get(&of).is_some_and(|Original { posted, .. }| {
                let moved = match posted.kind {
                    RowKind::Move => posted.of().is_none(),
                    RowKind::Capture => true,
                    RowKind::Hold | RowKind::Void | RowKind::Expire => false,
                };
                moved && sides == (Some(posted.credit.account), Some(posted.debit.account))
            }),
            How::Move | How::UpTo | How::Owing | How::Hold { .. } => true,
        }
    }

    /// The public id of a number.
    pub(super) fn by_number(&self, id: AccountId) -> Option<Uuid> {
        let account = self.applied.changed.get(&id).or_else(|| self.state.accounts.get(&id))?;
        Some(account.public_id)
    }

    /// The account as the batch has left it so far.
    pub(super) fn account(&self, public_id: Uuid) -> Option<&Account> {
        let id = self.opened.get(&public_id).or_else(|| self.state.by_public_id.get(&public_id))?;
        self.applied.changed.get(id).or_else(|| self.state.accounts.get(id))
    }

    /// Makes an accepted draft part of the batch: a record for each account opened, then the transaction's.
    fn keep(
        &mut self,
        request: &Request,
        id: Uuid,
        mut draft: Draft,
        dropped: Vec<Dropped>,
        claim: Option<Claim>,
    ) -> usize {
        let opens = i64::try_from(draft.opened.len()).unwrap_or(i64::MAX);
        let seq = self.applied.seq.saturating_add(opens).saturating_add(1);
        for account in &draft.opened {
            self.record_opening(request, account, seq);
        }
        let companions = request.companions_digest();
        let transfers = std::mem::take(&mut draft.posted);
        if self.keeps_rows {
            self.keep_rows(&transfers, seq);
        }
        self.keep_state(draft, seq);
        if let Some(claim) = claim {
            self.spent.insert(claim, seq);
            self.applied.claims.push((claim, seq));
        }
        self.record(request, id, Body::Transaction { transfers, dropped, claim, companions })
    }

    /// Makes rows ones that a later request of the batch can move back.
    fn keep_rows(&mut self, transfers: &[Posted], seq: i64) {
        for posted in transfers {
            let original = Original { posted: posted.clone(), recorded_us: self.now_us, refunded: 0 };
            self.working.rows.insert(LegRef { seq, leg: posted.leg }, original);
        }
    }

    /// Makes what a draft changed part of the batch; `seq` is its record's.
    pub(super) fn keep_state(&mut self, draft: Draft, seq: i64) {
        for account in draft.accounts {
            self.applied.changed.insert(account.id, account);
        }
        let Log { lots, ended, links, holds, refunded: _ } = draft.log;
        for (account, lot, change) in lots {
            let sum = self.applied.lots.entry((account, lot)).or_default();
            sum.remaining = sum.remaining.saturating_add(change.remaining);
            sum.held = sum.held.saturating_add(change.held);
        }
        for (leg, hold) in holds {
            let place = LegRef { seq, leg };
            self.applied.holds.insert(place, hold.clone());
            self.working.holds.insert(place, hold);
        }
        for (place, _) in ended {
            let remaining = self.working.holds.get(&place).map_or(0, |hold| hold.remaining);
            match self.applied.holds.get_mut(&place) {
                Some(opened) => opened.remaining = remaining,
                None => _ = self.applied.ended.insert(place, remaining),
            }
        }
        let link = |NewLink { of, leg, kind, minor }| Link { of, by: LegRef { seq, leg }, kind, minor };
        self.applied.links.extend(links.into_iter().map(link));
    }

    /// Gives a record the next seq, and returns its index.
    pub(super) fn record(&mut self, request: &Request, id: Uuid, body: Body) -> usize {
        let (meta, effective_us) = (request.meta.clone(), request.effective_us.unwrap_or(self.now_us));
        self.push_record(|seq, recorded_us| Record { seq, id, recorded_us, effective_us, body, meta })
    }

    pub(super) fn push_record(&mut self, record: impl FnOnce(i64, i64) -> Record) -> usize {
        self.applied.seq = self.applied.seq.saturating_add(1);
        self.applied.last_us = self.now_us;
        self.applied.records.push(record(self.applied.seq, self.now_us));
        self.applied.records.len().saturating_sub(1)
    }
}

/// Posts the mandatory transfers, then the groups.
fn post(
    draft: &mut Draft,
    working: &mut Working,
    transfers: &[Transfer],
    groups: &[Group],
    at: Moment,
) -> Result<Vec<Dropped>, Decline> {
    transfers.iter().try_for_each(|transfer| draft.post(transfer, working, at))?;
    draft.post_groups(groups, working, at)
}

const fn is_quota(nature: Nature) -> bool {
    matches!(nature, Nature::Quota { .. })
}

fn command_id(command: &Command) -> Uuid {
    match command {
        Command::Transact { id, .. } => *id,
        Command::Open(account) => account.public_id,
        Command::Freeze { account, .. } | Command::Change { account, .. } | Command::Sweep { account } => *account,
        Command::MoveClock { .. } | Command::Abandon => Uuid::nil(),
    }
}
