//! Apply: what a batch of requests does to exact balances. Pure: no clock, no database, no randomness.
//!
//! `apply(state, batch, now)` looks only at its arguments and changes none of them: the new balances come back beside
//! the records and are published after the commit, so a batch that could not be committed leaves no trace. Requests are
//! decided in order, each seeing what those before it did. The caller has made sure that every account a batch names is
//! in `state` if it exists, that each request passed [`Request::check`], that no idempotency key of the batch was used before, and tells which claims were.
//!
//! Order inside a request: structural errors refuse the whole and are no records; then the claim; then the mandatory
//! transfers in the order listed; then each optional group, kept or dropped as one (JOURNAL 5, 6, 10, 11).
//! Not here yet: expiries due, holds, lots, declared fallbacks of a group.

pub mod linked;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use uuid::Uuid;

use crate::{
    Account, AccountId, Asset, AssetId, Body, Claim, Command, Dropped, Group, Invalid, Limits, NewAccount, Posted,
    Record, Refusal, Request, RowKind, Side, Transfer,
};

/// The version of these rules and of the record's form. A head of another version is not led.
pub const VERSION: i32 = 1;

/// A map with a fast hash; its order is never looked at.
pub type Map<K, V> = HashMap<K, V, RandomState>;

/// Committed balances and terms of the accounts in memory.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// The last seq committed.
    pub seq: i64,
    /// The time of the last record, microseconds since 1970.
    pub last_us: i64,
    /// How far a sandbox clock is ahead.
    pub clock_offset_us: i64,
    /// Only sandbox clocks move.
    pub sandbox: bool,
    /// Assets of the journal.
    pub assets: Map<AssetId, Asset>,
    /// Accounts by number.
    pub accounts: Map<AccountId, Account>,
    /// Numbers by public id.
    pub by_public_id: Map<Uuid, AccountId>,
}

impl State {
    /// The account of this public id, if it is in memory.
    #[must_use]
    pub fn account(&self, public_id: Uuid) -> Option<&Account> {
        self.accounts.get(self.by_public_id.get(&public_id)?)
    }

    /// Makes a committed batch the state.
    pub fn publish(&mut self, applied: &Applied) {
        self.seq = applied.seq;
        self.last_us = applied.last_us;
        self.clock_offset_us = applied.clock_offset_us;
        for account in applied.changed.values() {
            if self.accounts.insert(account.id, *account).is_none() {
                self.by_public_id.insert(account.public_id, account.id);
            }
        }
    }
}

/// What a batch does, not yet true.
#[derive(Debug, Default)]
pub struct Applied {
    /// In seq order, the first being one after the state's.
    pub records: Vec<Record>,
    /// For each request, the record that answers it, as an index into `records`, or why it is not a request.
    pub answers: Vec<Result<usize, Invalid>>,
    /// Accounts opened or changed, as they are after the batch.
    pub changed: Map<AccountId, Account>,
    /// Claims used up, with the seq that did.
    pub claims: Vec<(Claim, i64)>,
    /// The last seq of the batch.
    pub seq: i64,
    /// The time of the batch.
    pub last_us: i64,
    /// The sandbox offset after the batch.
    pub clock_offset_us: i64,
}

/// Decides a batch. `now_us` is the database's time; `spent` are the claims of the batch that were used up before it.
#[must_use]
pub fn apply(state: &State, batch: &[&Request], now_us: i64, spent: &Map<Claim, i64>) -> Applied {
    let now_us = now_us.saturating_add(state.clock_offset_us).max(state.last_us);
    let mut pass = Pass {
        state,
        spent: spent.clone(),
        opened: Map::default(),
        applied: Applied {
            seq: state.seq,
            last_us: state.last_us,
            clock_offset_us: state.clock_offset_us,
            records: Vec::with_capacity(batch.len()),
            answers: Vec::with_capacity(batch.len()),
            ..Applied::default()
        },
        now_us,
    };
    for request in batch {
        let answer = pass.decide(request);
        pass.applied.answers.push(answer);
    }
    pass.applied
}

/// One pass over a batch: the committed state below, what the batch did so far above.
struct Pass<'a> {
    state: &'a State,
    spent: Map<Claim, i64>,
    opened: Map<Uuid, AccountId>,
    applied: Applied,
    now_us: i64,
}

/// Why a request does not happen.
enum Decline {
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

impl Pass<'_> {
    fn decide(&mut self, request: &Request) -> Result<usize, Invalid> {
        let decided = match &request.command {
            Command::Transact { id, open, transfers, groups, claim } => {
                self.transact(request, *id, open, transfers, groups, *claim)
            }
            Command::Open(account) => self.open(request, account),
            Command::Freeze { account, debits, credits } => self.freeze(request, *account, *debits, *credits),
            Command::MoveClock { by_us } => self.move_clock(request, *by_us),
            Command::Abandon => Ok(self.record(request, request.key.key, Body::Abandoned)),
        };
        match decided {
            Ok(index) => Ok(index),
            Err(Decline::Invalid(invalid)) => Err(invalid),
            Err(Decline::Refused(refusal)) => {
                Ok(self.record(request, command_id(&request.command), Body::Refused { refusal }))
            }
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
        for transfer in transfers.iter().chain(groups.iter().flat_map(|group| &group.transfers)) {
            self.draft_transfer_accounts(&mut draft, transfer)?;
        }
        if let Some(seq) = claim.and_then(|claim| self.spent.get(&claim)) {
            return Err(Refusal::ClaimSpent { seq: *seq }.into());
        }
        for transfer in transfers {
            draft.post(transfer)?;
        }
        let dropped = draft.post_groups(groups);
        Ok(self.keep(request, id, draft, dropped, claim))
    }

    /// Brings an account to be opened into the draft, under the seq its own record will have.
    fn draft_opening(&self, draft: &mut Draft, new: &NewAccount) -> Result<(), Decline> {
        if let Some(account) = draft.account(new.public_id).or_else(|| self.account(new.public_id)) {
            let same = account.has_terms_of(new);
            return if same { Ok(()) } else { Err(Invalid::AccountExists { account: new.public_id }.into()) };
        }
        if !self.state.assets.contains_key(&new.asset) {
            return Err(Invalid::UnknownAsset.into());
        }
        let place = i64::try_from(draft.opened.len()).unwrap_or(i64::MAX);
        let id = AccountId(self.applied.seq.saturating_add(1).saturating_add(place));
        draft.opened.push(new.clone());
        draft.accounts.push(Account::opened(new, id));
        Ok(())
    }

    /// Brings both accounts of a transfer into the draft.
    fn draft_transfer_accounts(&self, draft: &mut Draft, transfer: &Transfer) -> Result<(), Decline> {
        for public_id in [transfer.debit, transfer.credit] {
            if draft.account(public_id).is_none() {
                let account = self.account(public_id).ok_or(Invalid::UnknownAccount { account: public_id })?;
                draft.accounts.push(*account);
            }
            if draft.account(public_id).is_some_and(|account| account.asset != transfer.amount.asset) {
                return Err(Invalid::AssetMismatch { account: public_id }.into());
            }
        }
        Ok(())
    }

    /// The account as the batch has left it so far.
    fn account(&self, public_id: Uuid) -> Option<&Account> {
        let id = self.opened.get(&public_id).or_else(|| self.state.by_public_id.get(&public_id))?;
        self.applied.changed.get(id).or_else(|| self.state.accounts.get(id))
    }

    /// Makes an accepted draft part of the batch: a record for each account opened, then the transaction's.
    fn keep(
        &mut self,
        request: &Request,
        id: Uuid,
        draft: Draft,
        dropped: Vec<Dropped>,
        claim: Option<Claim>,
    ) -> usize {
        let opens = i64::try_from(draft.opened.len()).unwrap_or(i64::MAX);
        let seq = self.applied.seq.saturating_add(opens).saturating_add(1);
        for account in &draft.opened {
            self.record_opening(request, account, seq);
        }
        for account in draft.accounts {
            self.applied.changed.insert(account.id, account);
        }
        if let Some(claim) = claim {
            self.spent.insert(claim, seq);
            self.applied.claims.push((claim, seq));
        }
        let companions = request.companions_digest();
        self.record(request, id, Body::Transaction { transfers: draft.posted, dropped, claim, companions })
    }

    fn open(&mut self, request: &Request, new: &NewAccount) -> Result<usize, Decline> {
        if self.account(new.public_id).is_some() {
            return Err(Invalid::AccountExists { account: new.public_id }.into());
        }
        let mut draft = Draft::default();
        self.draft_opening(&mut draft, new)?;
        for account in draft.accounts {
            self.applied.changed.insert(account.id, account);
        }
        Ok(self.record_opening(request, new, 0))
    }

    fn record_opening(&mut self, request: &Request, account: &NewAccount, by: i64) -> usize {
        let asset = self.state.assets.get(&account.asset).cloned();
        let asset = asset.unwrap_or(Asset { id: account.asset, code: String::new(), scale: 0 });
        let body = Body::Opened { account: account.clone(), asset, by };
        let index = self.record(request, account.public_id, body);
        self.opened.insert(account.public_id, AccountId(self.applied.seq));
        index
    }

    fn freeze(&mut self, request: &Request, account: Uuid, debits: bool, credits: bool) -> Result<usize, Decline> {
        let found = *self.account(account).ok_or(Invalid::UnknownAccount { account })?;
        let frozen = Account { debits_frozen: debits, credits_frozen: credits, ..found };
        self.applied.changed.insert(frozen.id, frozen);
        Ok(self.record(request, account, Body::Frozen { account, debits, credits }))
    }

    fn move_clock(&mut self, request: &Request, by_us: i64) -> Result<usize, Decline> {
        let offset_us = self.applied.clock_offset_us.checked_add(by_us).filter(|_| self.state.sandbox);
        // The clock may reach the end of the year 9999 and no further, like every date.
        let ahead = |offset: &i64| offset.checked_sub(self.state.clock_offset_us)?.checked_add(self.now_us);
        let within = |offset: &i64| ahead(offset).is_some_and(|now| now <= Limits::LATEST_US);
        let offset_us = offset_us.filter(within).ok_or(Invalid::Clock)?;
        self.applied.clock_offset_us = offset_us;
        Ok(self.record(request, request.key.key, Body::ClockMoved { offset_us }))
    }

    /// Gives a record the next seq, and returns its index.
    fn record(&mut self, request: &Request, id: Uuid, body: Body) -> usize {
        self.applied.seq = self.applied.seq.saturating_add(1);
        self.applied.last_us = self.now_us;
        self.applied.records.push(Record {
            seq: self.applied.seq,
            id,
            recorded_us: self.now_us,
            effective_us: request.effective_us.unwrap_or(self.now_us),
            body,
            meta: request.meta.clone(),
        });
        self.applied.records.len().saturating_sub(1)
    }
}

fn command_id(command: &Command) -> Uuid {
    match command {
        Command::Transact { id, .. } => *id,
        Command::Open(account) => account.public_id,
        Command::Freeze { account, .. } => *account,
        Command::MoveClock { .. } | Command::Abandon => Uuid::nil(),
    }
}

/// A transaction being tried: its accounts as they would be, its rows as they would read.
#[derive(Default, Clone)]
struct Draft {
    opened: Vec<NewAccount>,
    // A handful per transaction: a scan beats a map.
    accounts: Vec<Account>,
    posted: Vec<Posted>,
    leg: i32,
}

impl Draft {
    fn account(&self, public_id: Uuid) -> Option<&Account> {
        self.accounts.iter().find(|account| account.public_id == public_id)
    }

    fn post(&mut self, transfer: &Transfer) -> Result<(), Refusal> {
        let minor = transfer.amount.minor;
        let debit = self.update(transfer.debit, |account| account.debit(minor))?;
        let credit = self.update(transfer.credit, |account| account.credit(minor))?;
        self.posted.push(Posted { leg: self.leg, kind: RowKind::Move, amount: transfer.amount, debit, credit });
        self.leg = self.leg.saturating_add(1);
        Ok(())
    }

    fn update(
        &mut self,
        public_id: Uuid,
        change: impl FnOnce(Account) -> Result<Account, Refusal>,
    ) -> Result<Side, Refusal> {
        let missing = Refusal::Frozen { account: public_id };
        let account = self.accounts.iter_mut().find(|account| account.public_id == public_id).ok_or(missing)?;
        *account = change(*account)?;
        let Account { id, balance, held, version, .. } = *account;
        Ok(Side { account: id, public_id, balance, held, version })
    }

    /// Posts each group whole, or leaves it out whole and says why.
    fn post_groups(&mut self, groups: &[Group]) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let before = (self.accounts.clone(), self.posted.len(), self.leg);
            let posted = group.transfers.iter().try_for_each(|transfer| self.post(transfer));
            if let Err(refusal) = posted {
                self.accounts = before.0;
                self.posted.truncate(before.1);
                let size = i32::try_from(group.transfers.len()).unwrap_or(i32::MAX);
                self.leg = before.2.saturating_add(size);
                dropped.push(Dropped { group: i32::try_from(index).unwrap_or(i32::MAX), refusal });
            }
        }
        dropped
    }
}
