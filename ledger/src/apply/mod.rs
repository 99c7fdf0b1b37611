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
mod events;
pub mod linked;
mod pass;
mod working;

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;
use uuid::Uuid;

use pass::Pass;
pub use working::{LOTS, LotPage, Standing};

use crate::{
    Account, AccountId, Archived, Asset, AssetId, Claim, Hold, Invalid, LegRef, Lot, Original, Record, Request, RowKind,
};

/// The version of these rules. A head of a later one is not led; one of an earlier is raised to it.
pub const VERSION: i32 = 3;

/// A map with a fast hash; its order is never looked at.
pub type Map<K, V> = HashMap<K, V, RandomState>;

/// A set with a fast hash; its order is never looked at.
pub type Set<T> = HashSet<T, RandomState>;

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
    /// Of those, the records whose rows are in a file.
    pub away: Map<i64, Archived>,
    /// Until when the holds of accounts with something due are among them: every open one that expires before that.
    pub holds_until: Map<AccountId, i64>,
    /// Lots of accounts that are debited, or have something due.
    pub lots: Map<AccountId, LotPage>,
}

impl Found {
    /// Whether more may have expired on some account by then than was looked up.
    #[must_use]
    pub fn is_behind(&self, now_us: i64) -> bool {
        let behind = self.lots.values().filter_map(|page| page.upto).map(|lot| lot.expires_us);
        self.holds_until.values().copied().chain(behind).any(|until_us| until_us <= now_us)
    }
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

/// By how much what is due on an account changes its lots, whoever wrote it down or will. `found` is of this account; `now_us`
/// is a batch's time.
#[must_use]
pub fn due_lots(state: &State, found: &Found, account: Uuid, now_us: i64) -> BTreeMap<Lot, Standing> {
    let mut pass = Pass::of(state, found, now_us);
    // What cannot be written down for an overflow stands as it is.
    _ = pass.bring_due(account);
    let id = state.by_public_id.get(&account);
    let own = pass.applied.lots.into_iter().filter(|((of, _), _)| Some(of) == id);
    own.map(|((_, lot), change)| (lot, change)).collect()
}
