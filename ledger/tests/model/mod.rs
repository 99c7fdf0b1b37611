//! The journal as pages of plain rules: what `apply` is held against.
//!
//! Written from the journal's decisions and the words on `Request`, slow and obvious on purpose: accounts in a sorted
//! map, sums in `i128`, a trial on a whole copy that is kept or thrown away. It takes the crate's data types and calls
//! none of its functions but [`ledger::Period::around`], the calendar. Not here: idempotency keys, which never reach a
//! batch twice (the writer's tests), the byte form of a record (the golden vectors of `canonical`), more than a thousand
//! lots at once (the cases).

mod accounts;
mod due;
mod form;
mod holds;
mod lots;
mod moves;
mod transactions;

use std::collections::BTreeMap;
use std::rc::Rc;

use ledger::apply::State;
use ledger::{
    Asset, AssetId, Body, Change, Command, Invalid, LegRef, Limits, Nature, NewAccount, Posted, Record, Refusal,
    Request,
};
use uuid::Uuid;

pub use accounts::Page;
pub use form::faults_of_form;
pub use holds::Pending;
pub use lots::Stock;

/// The books.
#[derive(Debug, Clone)]
pub struct Model {
    sandbox: bool,
    pub seq: i64,
    pub last_us: i64,
    pub offset_us: i64,
    assets: BTreeMap<AssetId, Asset>,
    pub accounts: BTreeMap<Uuid, Page>,
    /// Every hold there ever was, by the row that opened it.
    pub holds: BTreeMap<LegRef, Pending>,
    /// Every row that can be moved back, by its place.
    pub rows: BTreeMap<LegRef, Past>,
    pub claims: BTreeMap<Uuid, i64>,
    /// What the batch at hand has written.
    written: Vec<Rc<Record>>,
    now_us: i64,
    /// The sandbox offset when the batch began.
    offset_before_us: i64,
}

/// A row of the past, and how much of it was moved back.
#[derive(Debug, Clone)]
pub struct Past {
    pub row: Rc<Posted>,
    pub recorded_us: i64,
    pub refunded: i128,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The record of this seq answers it.
    Answered(i64),
    /// It was no request, for any of these reasons.
    NotARequest(Vec<Invalid>),
}

/// What a batch wrote and what became of each of its requests.
pub struct Outcome {
    pub records: Vec<Record>,
    pub fates: Vec<Fate>,
}

enum No {
    Faulty(Vec<Invalid>),
    Refused(Refusal),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Invalid> for No {
    fn from(fault: Invalid) -> Self {
        Self::Faulty(vec![fault])
    }
}

impl Model {
    /// The books that a state describes, if nothing is held and no lots are kept yet: a state does not hold those.
    pub fn of(state: &State) -> Self {
        Self {
            sandbox: state.sandbox,
            seq: state.seq,
            last_us: state.last_us,
            offset_us: state.clock_offset_us,
            assets: state.assets.iter().map(|(id, asset)| (*id, asset.clone())).collect(),
            accounts: state.accounts.values().map(|account| (account.public_id, Page::of(account))).collect(),
            holds: BTreeMap::new(),
            rows: BTreeMap::new(),
            claims: BTreeMap::new(),
            written: Vec::new(),
            now_us: 0,
            offset_before_us: 0,
        }
    }

    /// Decides requests one after another. The time is one for all of them and never before the last record's.
    pub fn batch(&mut self, requests: &[Request], now_us: i64) -> Outcome {
        self.now_us = (now_us + self.offset_us).max(self.last_us);
        self.offset_before_us = self.offset_us;
        let fates = requests.iter().map(|request| self.ask(request)).collect();
        let records = std::mem::take(&mut self.written);
        Outcome { records: records.into_iter().map(Rc::unwrap_or_clone).collect(), fates }
    }

    fn ask(&mut self, request: &Request) -> Fate {
        // What fell due stays, whatever becomes of the request.
        for account in due::touched(&request.command) {
            if self.is_due(account) {
                let mut trial = self.clone();
                if let Err(refusal) = trial.fall_due(account) {
                    return Fate::Answered(self.refuse(request, refusal));
                }
                *self = trial;
            }
        }
        let mut trial = self.clone();
        match trial.perform(request) {
            Ok(answer) => {
                *self = trial;
                Fate::Answered(answer)
            }
            Err(No::Faulty(faults)) => Fate::NotARequest(faults),
            Err(No::Refused(refusal)) => Fate::Answered(self.refuse(request, refusal)),
        }
    }

    fn refuse(&mut self, request: &Request, refusal: Refusal) -> i64 {
        let id = match &request.command {
            Command::Transact { id, .. } => *id,
            Command::Change { account, .. } | Command::Sweep { account } => *account,
            Command::Open(_) | Command::Freeze { .. } | Command::MoveClock { .. } | Command::Abandon => {
                unreachable!("only a transaction, a change or a sweep can be refused")
            }
        };
        self.write(request, id, Body::Refused { refusal })
    }

    fn perform(&mut self, request: &Request) -> Result<i64, No> {
        match &request.command {
            Command::Transact { id, open, transfers, groups, claim } => {
                self.transact(request, *id, open, transfers, groups, *claim)
            }
            Command::Open(terms) => {
                let mut faults = self.faults_of_opening(&self.terms(), terms);
                if self.accounts.contains_key(&terms.public_id) {
                    faults.push(Invalid::AccountExists { account: terms.public_id });
                }
                sound(faults)?;
                Ok(self.open(request, terms, 0))
            }
            Command::Freeze { account, debits, credits } => {
                let page = self.accounts.get_mut(account).ok_or(Invalid::UnknownAccount { account: *account })?;
                (page.debits_frozen, page.credits_frozen) = (*debits, *credits);
                let body = Body::Frozen { account: *account, debits: *debits, credits: *credits };
                Ok(self.write(request, *account, body))
            }
            Command::Change { account, change } => self.change(request, *account, *change),
            Command::Sweep { account } => {
                if !self.accounts.contains_key(account) {
                    return Err(Invalid::UnknownAccount { account: *account }.into());
                }
                if !self.is_due(*account) {
                    return Err(Invalid::NothingDue { account: *account }.into());
                }
                self.fall_due(*account)?;
                Ok(self.seq)
            }
            Command::MoveClock { by_us } => {
                let ahead = i128::from(self.offset_us) + i128::from(*by_us) - i128::from(self.offset_before_us);
                let too_far = ahead + i128::from(self.now_us) > i128::from(Limits::LATEST_US);
                if !self.sandbox || too_far {
                    return Err(Invalid::Clock.into());
                }
                self.offset_us += by_us;
                Ok(self.write(request, request.key.key, Body::ClockMoved { offset_us: self.offset_us }))
            }
            Command::Abandon => Ok(self.write(request, request.key.key, Body::Abandoned)),
        }
    }

    fn change(&mut self, request: &Request, account: Uuid, change: Change) -> Result<i64, No> {
        let page = self.accounts.get_mut(&account).ok_or(Invalid::UnknownAccount { account })?;
        let nature = Invalid::Nature { account };
        let mut difference = 0;
        match change {
            Change::Limits { floor, ceiling } => {
                if page.terms.nature != Nature::Plain && floor != page.terms.floor {
                    return Err(nature.into());
                }
                if floor != page.terms.floor && floor.is_some_and(|floor| page.available() < floor.into()) {
                    return Err(Refusal::Floor { account }.into());
                }
                (page.terms.floor, page.terms.ceiling) = (floor, ceiling);
            }
            Change::Allowance { minor } => {
                let Nature::Quota { allowance, .. } = &mut page.terms.nature else { return Err(nature.into()) };
                difference = i128::from(minor) - i128::from(*allowance);
                *allowance = minor;
            }
            Change::Closed { closed } => {
                if closed && (page.balance, page.held) != (0, 0) {
                    return Err(Refusal::NotEmpty { account }.into());
                }
                page.closed = closed;
            }
        }
        let answer = self.write(request, account, Body::Changed { account, change });
        if difference != 0 {
            self.allow(account, difference)?;
        }
        Ok(answer)
    }

    /// The terms of every account there is.
    fn terms(&self) -> BTreeMap<Uuid, NewAccount> {
        self.accounts.iter().map(|(id, page)| (*id, page.terms.clone())).collect()
    }

    fn open(&mut self, request: &Request, terms: &NewAccount, by: i64) -> i64 {
        let asset = self.assets[&terms.asset].clone();
        let number = self.write(request, terms.public_id, Body::Opened { account: terms.clone(), asset, by });
        let before = self.accounts.insert(terms.public_id, Page::opened(terms, number));
        assert!(before.is_none(), "an account is opened once");
        number
    }

    /// Writes the next record and tells its seq.
    fn write(&mut self, request: &Request, id: Uuid, body: Body) -> i64 {
        self.record(id, request.effective_us.unwrap_or(self.now_us), body, request.meta.clone())
    }

    fn record(&mut self, id: Uuid, effective_us: i64, body: Body, meta: Vec<u8>) -> i64 {
        self.seq += 1;
        self.last_us = self.now_us;
        let record = Record { seq: self.seq, id, recorded_us: self.now_us, effective_us, body, meta };
        self.written.push(Rc::new(record));
        self.seq
    }
}

fn sound(faults: Vec<Invalid>) -> Result<(), No> {
    if faults.is_empty() { Ok(()) } else { Err(No::Faulty(faults)) }
}

fn fits(value: i128) -> bool {
    i64::try_from(value).is_ok()
}

/// A number that is known to fit.
fn small(value: i128) -> i64 {
    i64::try_from(value).unwrap()
}
