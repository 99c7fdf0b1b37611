//! Apply: what a batch of requests does to exact balances. Pure: no clock, no database, no randomness.
//!
//! `apply(state, batch, now)` looks only at its arguments and changes none of them: the new balances come back beside
//! the records and are published after the commit, so a batch that could not be committed leaves no trace. Requests are
//! decided in order, each seeing what those before it did. The caller has made sure that every account a batch names is
//! in `state` if it exists, that each request passed [`Request::check`], that no idempotency key of the batch was used
//! before, and tells what else it found: claims, holds, rows to be moved back, lots ([`Found`]).
//!
//! Order inside a request: what is due on its accounts (`due`); structural errors refuse the whole and are no records;
//! then the claim; then the mandatory transfers in the order listed; then each optional group, kept, replaced by its
//! fallback or dropped as one (JOURNAL 5, 6, 10, 11).

mod draft;
mod due;
mod working;

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;
use uuid::Uuid;

use draft::{Draft, Moment};
pub use working::{LOTS, LotPage, Standing};
use working::{Log, NewLink, Working};

use crate::{
    Account, AccountId, Asset, AssetId, Body, Change, Claim, Command, Dropped, Group, Hold, How, Invalid, LegRef,
    Limits, Lot, Nature, NewAccount, Original, Posted, Record, Refusal, Request, RowKind, Transfer,
};

/// The version of these rules. A head of a later one is not led; one of an earlier is raised to it.
pub const VERSION: i32 = 2;

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

/// What the database holds of what a batch refers to, beside accounts.
#[derive(Debug, Default, Clone)]
pub struct Found {
    /// Claims of the batch that were used up before it, and where.
    pub claims: Map<Claim, i64>,
    /// Holds the batch captures or voids, and all that are open on accounts with something due.
    pub holds: Map<LegRef, Hold>,
    /// Rows the batch moves back.
    pub rows: Map<LegRef, Original>,
    /// Accounts of which every open hold is among them.
    pub all_holds: HashSet<AccountId, RandomState>,
    /// Lots of accounts that are debited, or have something due.
    pub lots: Map<AccountId, LotPage>,
}

/// A row that captures, gives back or moves back an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The earlier row.
    pub of: LegRef,
    /// The row that builds on it.
    pub by: LegRef,
    /// What sort of row that is: a move is a refund.
    pub kind: RowKind,
    /// How much of it.
    pub minor: i64,
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
    /// Holds opened, as they are after the batch.
    pub holds: BTreeMap<LegRef, Hold>,
    /// What is left of holds opened before.
    pub ended: BTreeMap<LegRef, i64>,
    /// Rows that build on earlier ones, in order.
    pub links: Vec<Link>,
    /// By how much lots changed.
    pub lots: BTreeMap<(AccountId, Lot), Standing>,
    /// The last seq of the batch.
    pub seq: i64,
    /// The time of the batch.
    pub last_us: i64,
    /// The sandbox offset after the batch.
    pub clock_offset_us: i64,
}

/// The time a batch is decided at, microseconds since 1970: the database's, never before the last record's.
#[must_use]
pub fn batch_time(state: &State, now_us: i64) -> i64 {
    now_us.saturating_add(state.clock_offset_us).max(state.last_us)
}

/// Decides a batch. `now_us` is the database's time; `found` is what it holds of what the batch refers to.
#[must_use]
pub fn apply(state: &State, batch: &[&Request], now_us: i64, found: &Found) -> Applied {
    let mut pass = Pass::of(state, found, batch_time(state, now_us));
    let ahead = |place: LegRef| place.seq > state.seq;
    pass.keeps_rows = batch.iter().flat_map(|one| one.command.transfers()).any(|t| t.refers_to().is_some_and(ahead));
    pass.applied.records.reserve(batch.len());
    pass.applied.answers.reserve(batch.len());
    for request in batch {
        let answer = pass.decide(request);
        pass.applied.answers.push(answer);
    }
    pass.applied
}

/// Accounts as they stand once what is due on them counts, whoever wrote it down or will. `found` is of these accounts;
/// `now_us` is a batch's time.
#[must_use]
pub fn counting_dues(state: &State, found: &Found, accounts: &[Uuid], now_us: i64) -> Vec<Account> {
    let mut pass = Pass::of(state, found, now_us);
    for account in accounts {
        // What cannot be written down for an overflow stands as it is.
        _ = pass.bring_due(*account);
    }
    accounts.iter().filter_map(|account| pass.account(*account).copied()).collect()
}

/// One pass over a batch: the committed state below, what the batch did so far above.
struct Pass<'a> {
    state: &'a State,
    spent: Map<Claim, i64>,
    working: Working,
    all_holds: &'a HashSet<AccountId, RandomState>,
    opened: Map<Uuid, AccountId>,
    applied: Applied,
    now_us: i64,
    /// A request of this batch moves back what an earlier one of it posts.
    keeps_rows: bool,
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

impl<'a> Pass<'a> {
    fn of(state: &'a State, found: &'a Found, now_us: i64) -> Self {
        let State { seq, last_us, clock_offset_us, .. } = *state;
        Self {
            state,
            spent: found.claims.clone(),
            working: Working::of(found),
            all_holds: &found.all_holds,
            opened: Map::default(),
            applied: Applied { seq, last_us, clock_offset_us, ..Applied::default() },
            now_us,
            keeps_rows: false,
        }
    }

    fn decide(&mut self, request: &Request) -> Result<usize, Invalid> {
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
            self.bring_due(transfer.debit)?;
            self.bring_due(transfer.credit)?;
        }
        if let Command::Change { account, .. } = command {
            self.bring_due(*account)?;
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
                self.working.undo(&mut draft.log, working::Mark::default());
                Err(decline)
            }
        }
    }

    /// Brings an account to be opened into the draft, under the seq its own record will have.
    fn draft_opening(&mut self, draft: &mut Draft, new: &NewAccount) -> Result<(), Decline> {
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
        draft.accounts.push(Account::opened(new, id));
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
            Some(of) if !self.is_of_its_kind(draft, transfer, of) => Err(Invalid::NotThatRow { of }.into()),
            _ => Ok(()),
        }
    }

    fn draft_account(&self, draft: &mut Draft, public_id: Uuid) -> Result<(), Decline> {
        if draft.account(public_id).is_none() {
            let account = self.account(public_id).ok_or(Invalid::UnknownAccount { account: public_id })?;
            draft.accounts.push(*account);
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
    fn by_number(&self, id: AccountId) -> Option<Uuid> {
        let account = self.applied.changed.get(&id).or_else(|| self.state.accounts.get(&id))?;
        Some(account.public_id)
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
    fn keep_state(&mut self, draft: Draft, seq: i64) {
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

    fn change(&mut self, request: &Request, account: Uuid, change: Change) -> Result<usize, Decline> {
        let found = *self.account(account).ok_or(Invalid::UnknownAccount { account })?;
        let mut difference = 0;
        let changed = match (change, found.nature) {
            (Change::Limits { floor, ceiling }, nature) => {
                if nature != Nature::Plain && floor != found.floor {
                    return Err(Invalid::Nature { account }.into());
                }
                let available = found.available()?;
                if floor.is_some_and(|floor| available < floor) {
                    return Err(Refusal::Floor { account }.into());
                }
                if ceiling.is_some_and(|ceiling| found.balance > ceiling) {
                    return Err(Refusal::Ceiling { account }.into());
                }
                Account { floor, ceiling, ..found }
            }
            (Change::Allowance { minor }, Nature::Quota { pool, allowance, period, calendar }) => {
                difference = minor.saturating_sub(allowance);
                Account { nature: Nature::Quota { pool, allowance: minor, period, calendar }, ..found }
            }
            (Change::Allowance { .. }, Nature::Plain | Nature::Lots { .. }) => {
                return Err(Invalid::Nature { account }.into());
            }
            (Change::Closed { closed: true }, _) if (found.balance, found.held) != (0, 0) => {
                return Err(Refusal::NotEmpty { account }.into());
            }
            (Change::Closed { closed }, _) => Account { closed, ..found },
        };
        self.applied.changed.insert(changed.id, changed);
        let index = self.record(request, account, Body::Changed { account, change });
        self.adjust_allowance(account, difference)?;
        Ok(index)
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
        let (meta, effective_us) = (request.meta.clone(), request.effective_us.unwrap_or(self.now_us));
        self.push_record(|seq, recorded_us| Record { seq, id, recorded_us, effective_us, body, meta })
    }

    fn push_record(&mut self, record: impl FnOnce(i64, i64) -> Record) -> usize {
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
        Command::Freeze { account, .. } | Command::Change { account, .. } => *account,
        Command::MoveClock { .. } | Command::Abandon => Uuid::nil(),
    }
}
