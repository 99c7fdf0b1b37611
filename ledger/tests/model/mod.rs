//! The journal as a page of plain rules: what `apply` is held against.
//!
//! Written from the journal's decisions and the words on `Request`, slow and obvious on purpose: accounts in a sorted
//! map, sums in `i128`, a trial on a whole copy that is kept or thrown away. It takes the crate's data types and calls
//! none of its functions. Not here: idempotency keys, which never reach a batch twice (the writer's tests), and the
//! byte form of a record (the golden vectors of `canonical`).

use std::collections::BTreeMap;

use ledger::apply::State;
use ledger::{
    AccountId, Asset, AssetId, Body, Claim, Command, Companion, Dropped, Group, Invalid, Limits, MAX_AMOUNT,
    NewAccount, Posted, Record, Refusal, Request, RowKind, Side, Transfer,
};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

/// The books.
#[derive(Debug, Clone)]
pub struct Model {
    sandbox: bool,
    pub seq: i64,
    pub last_us: i64,
    pub offset_us: i64,
    assets: BTreeMap<AssetId, Asset>,
    pub accounts: BTreeMap<Uuid, Page>,
    pub claims: BTreeMap<Uuid, i64>,
    /// What the batch at hand has written.
    written: Vec<Record>,
    now_us: i64,
    /// The sandbox offset when the batch began.
    offset_before_us: i64,
}

/// One account's page of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub number: i64,
    pub terms: NewAccount,
    pub debits_frozen: bool,
    pub credits_frozen: bool,
    pub balance: i128,
    pub held: i128,
    pub rows: i64,
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

impl Model {
    /// The books that a state describes. Claims used up before are told apart: a state does not hold them.
    pub fn of(state: &State) -> Self {
        let pages = state.accounts.values().map(|account| {
            let page = Page {
                number: account.id.0,
                terms: NewAccount {
                    public_id: account.public_id,
                    asset: account.asset,
                    normal_side: account.normal_side,
                    owner: account.owner,
                    floor: account.floor,
                    ceiling: account.ceiling,
                },
                debits_frozen: account.debits_frozen,
                credits_frozen: account.credits_frozen,
                balance: account.balance.into(),
                held: account.held.into(),
                rows: account.version,
            };
            (account.public_id, page)
        });
        Self {
            sandbox: state.sandbox,
            seq: state.seq,
            last_us: state.last_us,
            offset_us: state.clock_offset_us,
            assets: state.assets.iter().map(|(id, asset)| (*id, asset.clone())).collect(),
            accounts: pages.collect(),
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
        Outcome { records: std::mem::take(&mut self.written), fates }
    }

    fn ask(&mut self, request: &Request) -> Fate {
        let mut trial = self.clone();
        match trial.perform(request) {
            Ok(answer) => {
                *self = trial;
                Fate::Answered(answer)
            }
            Err(No::Faulty(faults)) => Fate::NotARequest(faults),
            Err(No::Refused(refusal)) => {
                let id = match &request.command {
                    Command::Transact { id, .. } => *id,
                    Command::Open(_) | Command::Freeze { .. } | Command::MoveClock { .. } | Command::Abandon => {
                        unreachable!("only a transaction can be refused")
                    }
                };
                Fate::Answered(self.write(request, id, Body::Refused { refusal }))
            }
        }
    }

    fn perform(&mut self, request: &Request) -> Result<i64, No> {
        match &request.command {
            Command::Transact { id, open, transfers, groups, claim } => {
                self.transact(request, *id, open, transfers, groups, *claim)
            }
            Command::Open(terms) => {
                let mut faults = Vec::new();
                if self.accounts.contains_key(&terms.public_id) {
                    faults.push(Invalid::AccountExists { account: terms.public_id });
                }
                if !self.assets.contains_key(&terms.asset) {
                    faults.push(Invalid::UnknownAsset);
                }
                sound(faults)?;
                Ok(self.open(request, terms, 0))
            }
            Command::Freeze { account, debits, credits } => {
                let Some(page) = self.accounts.get_mut(account) else {
                    return Err(No::Faulty(vec![Invalid::UnknownAccount { account: *account }]));
                };
                (page.debits_frozen, page.credits_frozen) = (*debits, *credits);
                let body = Body::Frozen { account: *account, debits: *debits, credits: *credits };
                Ok(self.write(request, *account, body))
            }
            Command::MoveClock { by_us } => {
                let ahead = i128::from(self.offset_us) + i128::from(*by_us) - i128::from(self.offset_before_us);
                let too_far = ahead + i128::from(self.now_us) > i128::from(Limits::LATEST_US);
                if !self.sandbox || too_far {
                    return Err(No::Faulty(vec![Invalid::Clock]));
                }
                self.offset_us += by_us;
                Ok(self.write(request, request.key.key, Body::ClockMoved { offset_us: self.offset_us }))
            }
            Command::Abandon => Ok(self.write(request, request.key.key, Body::Abandoned)),
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
    ) -> Result<i64, No> {
        let missing = self.missing(open, transfers, groups)?;
        if let Some(seq) = claim.and_then(|claim| self.claims.get(&claim.0)) {
            return Err(No::Refused(Refusal::ClaimSpent { seq: *seq }));
        }
        let seq = self.seq + i64::try_from(missing.len()).unwrap() + 1;
        for terms in &missing {
            self.open(request, terms, seq);
        }
        let mut posted = self.post(transfers, 0).map_err(No::Refused)?;
        let mut dropped = Vec::new();
        let mut leg = transfers.len();
        for (index, group) in groups.iter().enumerate() {
            let mut trial = self.clone();
            match trial.post(&group.transfers, leg) {
                Ok(rows) => {
                    *self = trial;
                    posted.extend(rows);
                }
                Err(refusal) => dropped.push(Dropped { group: i32::try_from(index).unwrap(), refusal }),
            }
            leg += group.transfers.len();
        }
        if let Some(claim) = claim {
            self.claims.insert(claim.0, seq);
        }
        let companions = vouch(&request.companions);
        Ok(self.write(request, id, Body::Transaction { transfers: posted, dropped, claim, companions }))
    }

    /// The accounts a transaction has to open, or everything that is wrong with the accounts it names.
    fn missing(&self, open: &[NewAccount], transfers: &[Transfer], groups: &[Group]) -> Result<Vec<NewAccount>, No> {
        let mut known: BTreeMap<Uuid, NewAccount> =
            self.accounts.iter().map(|(id, page)| (*id, page.terms.clone())).collect();
        let (mut missing, mut faults) = (Vec::new(), Vec::new());
        for new in open {
            let account = new.public_id;
            match known.get(&account) {
                Some(old) if (old.asset, old.owner, old.normal_side) != (new.asset, new.owner, new.normal_side) => {
                    faults.push(Invalid::AccountExists { account });
                }
                Some(_) => {}
                None if self.assets.contains_key(&new.asset) => {
                    known.insert(account, new.clone());
                    missing.push(new.clone());
                }
                None => faults.push(Invalid::UnknownAsset),
            }
        }
        for transfer in transfers.iter().chain(groups.iter().flat_map(|group| &group.transfers)) {
            for account in [transfer.debit, transfer.credit] {
                match known.get(&account) {
                    None => faults.push(Invalid::UnknownAccount { account }),
                    Some(terms) if terms.asset != transfer.amount.asset => {
                        faults.push(Invalid::AssetMismatch { account });
                    }
                    Some(_) => {}
                }
            }
        }
        sound(faults)?;
        Ok(missing)
    }

    /// Posts in order, the first row being of this leg. On a refusal the books are half changed: use a copy.
    fn post(&mut self, transfers: &[Transfer], first_leg: usize) -> Result<Vec<Posted>, Refusal> {
        let mut rows = Vec::new();
        for (leg, transfer) in (first_leg..).zip(transfers) {
            let minor = i128::from(transfer.amount.minor);
            let debit = self.turn(transfer.debit, -minor)?;
            let credit = self.turn(transfer.credit, minor)?;
            let leg = i32::try_from(leg).unwrap();
            rows.push(Posted { leg, kind: RowKind::Move, amount: transfer.amount, debit, credit });
        }
        Ok(rows)
    }

    /// Changes one balance, if the rules of its account let it.
    fn turn(&mut self, account: Uuid, change: i128) -> Result<Side, Refusal> {
        let page = self.accounts.get_mut(&account).unwrap();
        let balance = page.balance + change;
        let available = balance - page.held;
        let (frozen, limit) = if change < 0 {
            let below = page.terms.floor.is_some_and(|floor| available < floor.into());
            (page.debits_frozen, below.then_some(Refusal::Floor { account }))
        } else {
            let above = page.terms.ceiling.is_some_and(|ceiling| balance > ceiling.into());
            (page.credits_frozen, above.then_some(Refusal::Ceiling { account }))
        };
        if frozen {
            return Err(Refusal::Frozen { account });
        }
        if !fits(balance) || (change < 0 && !fits(available)) {
            return Err(Refusal::Overflow { account });
        }
        if let Some(limit) = limit {
            return Err(limit);
        }
        page.balance = balance;
        page.rows += 1;
        let (balance, held) = (i64::try_from(balance).unwrap(), i64::try_from(page.held).unwrap());
        Ok(Side { account: AccountId(page.number), public_id: account, balance, held, version: page.rows })
    }

    fn open(&mut self, request: &Request, terms: &NewAccount, by: i64) -> i64 {
        let asset = self.assets[&terms.asset].clone();
        let body = Body::Opened { account: terms.clone(), asset, by };
        let number = self.write(request, terms.public_id, body);
        let page = Page {
            number,
            terms: terms.clone(),
            debits_frozen: false,
            credits_frozen: false,
            balance: 0,
            held: 0,
            rows: 0,
        };
        assert!(self.accounts.insert(terms.public_id, page).is_none(), "an account is opened once");
        number
    }

    /// Writes the next record and tells its seq.
    fn write(&mut self, request: &Request, id: Uuid, body: Body) -> i64 {
        self.seq += 1;
        self.last_us = self.now_us;
        let effective_us = request.effective_us.unwrap_or(self.now_us);
        let meta = request.meta.clone();
        self.written.push(Record { seq: self.seq, id, recorded_us: self.now_us, effective_us, body, meta });
        self.seq
    }
}

/// Everything that is wrong with a request whatever the books say. Such a request never reaches a batch.
pub fn faults_of_form(request: &Request) -> Vec<Invalid> {
    let mut faults = Vec::new();
    let mut at_most = |count: usize, limit: usize, what: &'static str| {
        if count > limit {
            faults.push(Invalid::TooMany { what, limit });
        }
    };
    at_most(request.meta.len(), Limits::META_BYTES, "bytes of metadata");
    at_most(request.companions.len(), Limits::COMPANIONS, "companions");
    for companion in &request.companions {
        at_most(companion.body.len(), Limits::COMPANION_BYTES, "bytes in a companion");
    }
    if let Command::Transact { open, transfers, groups, .. } = &request.command {
        let grouped: usize = groups.iter().map(|group| group.transfers.len()).sum();
        at_most(open.len(), Limits::OPENS, "accounts to open");
        at_most(groups.len(), Limits::GROUPS, "optional groups");
        at_most(transfers.len() + grouped, Limits::TRANSFERS, "transfers");
    }
    let mut named = std::collections::BTreeSet::new();
    for Companion { kind, key, .. } in &request.companions {
        if !named.insert((*kind, *key)) || !matches!(request.command, Command::Transact { .. }) {
            faults.push(Invalid::Companion { key: *key });
        }
    }
    if request.effective_us.is_some_and(|us| !(0..=Limits::LATEST_US).contains(&us)) {
        faults.push(Invalid::EffectiveDate);
    }
    faults.extend(faults_of_command(&request.command));
    faults
}

fn faults_of_command(command: &Command) -> Vec<Invalid> {
    let mut faults = Vec::new();
    match command {
        Command::Transact { open, transfers, groups, .. } => {
            if transfers.is_empty() {
                faults.push(Invalid::Empty);
            }
            faults.extend(open.iter().filter_map(fault_of_terms));
            let every = transfers.iter().chain(groups.iter().flat_map(|group| &group.transfers));
            for Transfer { debit, credit, amount } in every {
                if amount.minor < 1 || amount.minor > MAX_AMOUNT {
                    faults.push(Invalid::Amount { minor: amount.minor });
                }
                if debit == credit {
                    faults.push(Invalid::SameAccount { account: *debit });
                }
            }
        }
        Command::Open(terms) => faults.extend(fault_of_terms(terms)),
        Command::Freeze { .. } | Command::Abandon => {}
        Command::MoveClock { by_us } => {
            if *by_us < 1 {
                faults.push(Invalid::Clock);
            }
        }
    }
    faults
}

/// An account opens at zero, which its limits have to allow.
fn fault_of_terms(terms: &NewAccount) -> Option<Invalid> {
    let allowed = terms.floor.unwrap_or(0) <= 0 && terms.ceiling.unwrap_or(0) >= 0;
    (!allowed).then_some(Invalid::Limits { account: terms.public_id })
}

fn sound(faults: Vec<Invalid>) -> Result<(), No> {
    if faults.is_empty() { Ok(()) } else { Err(No::Faulty(faults)) }
}

fn fits(value: i128) -> bool {
    i64::try_from(value).is_ok()
}

/// SHA-256 over kind (4 bytes), key (16), length (8) and body of each companion, one after another; none for none.
fn vouch(companions: &[Companion]) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    for companion in companions {
        bytes.extend(companion.kind.to_be_bytes());
        bytes.extend(companion.key.as_bytes());
        bytes.extend(u64::try_from(companion.body.len()).unwrap().to_be_bytes());
        bytes.extend(&companion.body);
    }
    (!bytes.is_empty()).then(|| digest(&SHA256, &bytes).as_ref().try_into().unwrap())
}
