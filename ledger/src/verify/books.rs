//! The books as verify derives them: what every law says of the next row, given all rows before it.

use ring::digest::{Context, SHA256, digest};
use uuid::Uuid;

use super::cursor::{AccountRow, BatchRow, ClaimRow, CompanionRow, KeyRow, RecordRow, SideRow, TransferRow};
use super::{Broken, Check, Report, broken};
use crate::apply::{Map, VERSION};
use crate::canonical::{Place, canonical_bytes, key_bytes};
use crate::store::Head;
use crate::{AccountId, Amount, Asset, AssetId, Body, NewAccount, Posted, Record, Refusal, RowKind, Side};

/// Kinds of records, as `Body::kind` numbers them.
const TRANSACTION: i32 = 1;
const OPENED: i32 = 2;

/// An account as its records and rows have it so far.
pub(super) struct Folded {
    terms: NewAccount,
    debits_frozen: bool,
    credits_frozen: bool,
    pub(super) balance: i64,
    held: i64,
    version: i64,
}

impl Folded {
    pub(super) fn asset(&self) -> AssetId {
        self.terms.asset
    }
}

/// The books so far, and where the walk stands.
pub(super) struct Books {
    place: Place,
    /// Only sandbox clocks move.
    sandbox: bool,
    assets: Map<AssetId, Asset>,
    /// Up to which seq checkpoints are said to be exact.
    watermark: i64,
    /// Account rows as they are stored, to be held against what the walk finds.
    stored: Map<AccountId, AccountRow>,
    pub(super) accounts: Map<AccountId, Folded>,
    ids: Map<Uuid, AccountId>,
    seq: i64,
    epoch: i64,
    recorded_us: i64,
    offset_us: i64,
    /// Accounts opened by a transaction that must come right after.
    opening_for: Option<i64>,
    chain: Vec<u8>,
    hash: Context,
}

impl Books {
    pub(super) fn new(
        place: Place,
        sandbox: bool,
        watermark: i64,
        assets: Map<AssetId, Asset>,
        stored: Vec<AccountRow>,
    ) -> Self {
        Self {
            place,
            sandbox,
            assets,
            watermark,
            stored: stored.into_iter().map(|row| (row.id, row)).collect(),
            accounts: Map::default(),
            ids: Map::default(),
            seq: 0,
            epoch: 0,
            recorded_us: 0,
            offset_us: 0,
            opening_for: None,
            chain: Vec::new(),
            hash: Context::new(&SHA256),
        }
    }

    /// What comes next was written under this fork.
    pub(super) fn on_line(&mut self, fork: Uuid) {
        self.place.fork = fork;
    }

    pub(super) fn begin_batch(&mut self, batch: &BatchRow) -> Result<(), Broken> {
        let at = batch.first_seq;
        if Some(at) != self.seq.checked_add(1) || batch.last_seq < at {
            return Err(broken(Check::Seqs, at, format!("the batch does not begin after seq {}", self.seq)));
        }
        if batch.epoch < self.epoch {
            return Err(broken(Check::Seqs, at, format!("epoch {} comes after {}", batch.epoch, self.epoch)));
        }
        if batch.version != VERSION {
            return Err(broken(Check::Form, at, format!("version {} of the rules is not known here", batch.version)));
        }
        if batch.recorded_us < self.recorded_us {
            return Err(broken(Check::Dates, at, "the batch's time goes back"));
        }
        self.epoch = batch.epoch;
        self.recorded_us = batch.recorded_us;
        self.hash = Context::new(&SHA256);
        self.hash.update(&self.chain);
        Ok(())
    }

    pub(super) fn end_batch(&mut self, batch: &BatchRow) -> Result<(), Broken> {
        let found = self.hash.clone().finish();
        if found.as_ref() != batch.digest {
            let what =
                format!("the records of {} to {} are not those that were committed", batch.first_seq, batch.last_seq);
            return Err(broken(Check::Digests, batch.first_seq, what));
        }
        self.chain.clone_from(&batch.digest);
        Ok(())
    }

    /// The head says what the last batch says.
    pub(super) fn expect_head(&self, head: &Head) -> Result<(), Broken> {
        let seq = head.seq;
        if head.version != VERSION {
            return Err(broken(Check::Form, seq, format!("version {} of the rules is not known here", head.version)));
        }
        if seq != self.seq || head.epoch < self.epoch {
            return Err(broken(Check::Seqs, seq, format!("the head is at seq {seq}, the last batch at {}", self.seq)));
        }
        if head.last_us != self.recorded_us || head.clock_offset_us != self.offset_us {
            return Err(broken(Check::Dates, seq, "the head's times are not the last records'"));
        }
        if head.digest != self.chain {
            return Err(broken(Check::Digests, seq, "the head's digest is not the last batch's"));
        }
        Ok(())
    }

    /// Takes one record with everything that belongs to its seq.
    pub(super) fn record(&mut self, row: RecordRow, parts: &Parts, report: &mut Report) -> Result<(), Broken> {
        let seq = row.seq;
        self.seq = seq;
        if row.recorded_us != self.recorded_us {
            return Err(broken(Check::Dates, seq, "the record's time is not its batch's"));
        }
        if let Some(stray) = parts.stray(seq) {
            return Err(broken(stray, seq, "a row belongs to a seq that was passed"));
        }
        let transfers = parts.transfers.iter().map(|row| self.transfer(row)).collect::<Result<Vec<_>, _>>()?;
        let body = Body::from_bytes(row.kind, &row.body, transfers);
        let body = body.ok_or_else(|| broken(Check::Form, seq, "the record's body does not read"))?;
        let record = Record {
            seq,
            id: row.id,
            recorded_us: row.recorded_us,
            effective_us: row.effective_us,
            body,
            meta: row.meta,
        };
        self.hash.update(&canonical_bytes(self.place, &record, |id| self.assets.get(&id)));
        parts.keys.iter().for_each(|row| self.hash.update(&key_bytes(&row.key)));
        check_key(&record, parts)?;
        check_claim(&record, parts)?;
        check_companions(&record, parts)?;
        report.records = report.records.saturating_add(1);
        report.transfers = report.transfers.saturating_add(u64::try_from(parts.transfers.len()).unwrap_or(u64::MAX));
        self.body(&record, parts, report)
    }

    fn body(&mut self, record: &Record, parts: &Parts, report: &mut Report) -> Result<(), Broken> {
        let seq = record.seq;
        let wanted = self.opening_for.take().map(|by| if by == seq { TRANSACTION } else { OPENED });
        if wanted.is_some_and(|kind| kind != record.body.kind()) {
            return Err(broken(Check::Accounts, seq, "the transaction that opened the accounts before is missing"));
        }
        match &record.body {
            Body::Transaction { transfers, .. } => {
                report.transactions = report.transactions.saturating_add(1);
                return check_legs(seq, transfers);
            }
            Body::Opened { account, asset, by } => self.opened(seq, account, asset, *by)?,
            Body::Frozen { account, debits, credits } => {
                let account = self.by_public_id(seq, *account)?;
                (account.debits_frozen, account.credits_frozen) = (*debits, *credits);
            }
            Body::Refused { refusal } => {
                report.refusals = report.refusals.saturating_add(1);
                check_refusal(seq, refusal)?;
            }
            Body::ClockMoved { offset_us } => {
                if *offset_us <= self.offset_us || !self.sandbox {
                    return Err(broken(Check::Dates, seq, "the clock goes back, or is no sandbox's"));
                }
                self.offset_us = *offset_us;
            }
            Body::Abandoned => {}
        }
        if parts.transfers.is_empty() {
            return Ok(());
        }
        Err(broken(Check::Refusals, seq, "transfers belong to a record that is no transaction"))
    }

    fn opened(&mut self, seq: i64, terms: &NewAccount, asset: &Asset, by: i64) -> Result<(), Broken> {
        if self.assets.get(&asset.id) != Some(asset) {
            return Err(broken(Check::Accounts, seq, "the account's asset is not the one defined"));
        }
        if by != 0 {
            self.opening_for = Some(by);
        }
        let id = AccountId(seq);
        if self.ids.insert(terms.public_id, id).is_some() {
            return Err(broken(Check::Accounts, seq, format!("account {} is opened twice", terms.public_id)));
        }
        let terms = terms.clone();
        self.accounts
            .insert(id, Folded { terms, debits_frozen: false, credits_frozen: false, balance: 0, held: 0, version: 0 });
        Ok(())
    }

    fn by_public_id(&mut self, seq: i64, public_id: Uuid) -> Result<&mut Folded, Broken> {
        let missing = || broken(Check::Accounts, seq, format!("account {public_id} was never opened"));
        let id = self.ids.get(&public_id).ok_or_else(missing)?;
        self.accounts.get_mut(id).ok_or_else(missing)
    }

    /// Folds a transfer's two sides into their accounts.
    fn transfer(&mut self, row: &TransferRow) -> Result<Posted, Broken> {
        let seq = row.seq;
        let kind = RowKind::from_code(row.kind).ok_or_else(|| broken(Check::Form, seq, "a row of unknown kind"))?;
        if row.amount <= 0 || row.debit.account == row.credit.account {
            return Err(broken(Check::Transfers, seq, format!("leg {} moves nothing, or to itself", row.leg)));
        }
        let debit = self.side(row, &row.debit, row.amount.checked_neg())?;
        let credit = self.side(row, &row.credit, Some(row.amount))?;
        Ok(Posted { leg: row.leg, kind, amount: Amount::new(row.amount, row.asset), debit, credit })
    }

    fn side(&mut self, row: &TransferRow, side: &SideRow, change: Option<i64>) -> Result<Side, Broken> {
        let (seq, number) = (row.seq, side.account.0);
        let fails = |check, what: &str| broken(check, seq, format!("leg {}, account {number}: {what}", row.leg));
        let account = self.accounts.get_mut(&side.account).ok_or_else(|| fails(Check::Accounts, "was never opened"))?;
        if account.terms.asset != row.asset {
            return Err(fails(Check::Transfers, "holds another asset"));
        }
        if Some(side.version) != account.version.checked_add(1) {
            return Err(fails(Check::Versions, &format!("version {} comes after {}", side.version, account.version)));
        }
        if Some(side.balance) != change.and_then(|change| account.balance.checked_add(change))
            || side.held != account.held
        {
            return Err(fails(Check::Balances, &format!("{} does not follow from {}", side.balance, account.balance)));
        }
        (account.balance, account.version) = (side.balance, side.version);
        let leaves = change.is_some_and(|change| change < 0);
        if !account.allows(leaves) {
            return Err(fails(Check::Rules, "a floor, ceiling or freeze was passed"));
        }
        let stored = self.stored.get(&side.account).filter(|stored| stored.version == side.version);
        if let Some(stored) = stored.filter(|stored| (stored.balance, stored.held) != (side.balance, side.held)) {
            return Err(fails(Check::Checkpoints, &format!("the checkpoint says {} at this version", stored.balance)));
        }
        let checkpointed = self.stored.get(&side.account).map_or(side.version, |stored| stored.version);
        if seq <= self.watermark && side.version > checkpointed {
            return Err(fails(Check::Checkpoints, "the watermark passed this row, the checkpoint did not"));
        }
        let public_id = account.terms.public_id;
        Ok(Side { account: side.account, public_id, balance: side.balance, held: side.held, version: side.version })
    }

    /// Account rows against what their records said.
    pub(super) fn check_stored_accounts(&self) -> Result<(), Broken> {
        let mut stored: Vec<&AccountRow> = self.stored.values().collect();
        stored.sort_by_key(|row| row.id);
        for row in stored {
            let fails = |check, what: &str| broken(check, row.id.0, format!("account {}: {what}", row.id.0));
            let account = self.accounts.get(&row.id).ok_or_else(|| fails(Check::Accounts, "no record opened it"))?;
            if !account.is_stored_as(row) {
                return Err(fails(Check::Accounts, "its row does not say what its records say"));
            }
            let empty = row.version == 0 && (row.balance, row.held) != (0, 0);
            if row.version > account.version || row.version < 0 || empty {
                return Err(fails(Check::Checkpoints, "its checkpoint is at no version it had"));
            }
        }
        match self.accounts.keys().find(|id| !self.stored.contains_key(id)) {
            Some(id) => Err(broken(Check::Accounts, id.0, "the account has a record and no row")),
            None => Ok(()),
        }
    }
}

impl Folded {
    /// Whether the standing after a row is one the rules in force allow.
    fn allows(&self, leaves: bool) -> bool {
        if leaves {
            let available = self.balance.checked_sub(self.held);
            !self.debits_frozen && self.terms.floor.is_none_or(|floor| available.is_some_and(|left| left >= floor))
        } else {
            !self.credits_frozen && self.terms.ceiling.is_none_or(|ceiling| self.balance <= ceiling)
        }
    }

    fn is_stored_as(&self, row: &AccountRow) -> bool {
        let NewAccount { public_id, asset, normal_side, owner, floor, ceiling } = self.terms;
        (public_id, asset, owner, floor, ceiling) == (row.public_id, row.asset, row.owner, row.floor, row.ceiling)
            && normal_side.code() == row.normal_side
            && (self.debits_frozen, self.credits_frozen) == (row.debits_frozen, row.credits_frozen)
    }
}

/// Everything that belongs to one seq beside its record.
pub(super) struct Parts {
    pub(super) transfers: Vec<TransferRow>,
    pub(super) keys: Vec<KeyRow>,
    pub(super) claims: Vec<ClaimRow>,
    pub(super) companions: Vec<CompanionRow>,
}

impl Parts {
    /// Which table has a row of an earlier seq that no record took.
    fn stray(&self, seq: i64) -> Option<Check> {
        let checks = [
            (Check::Transfers, self.transfers.iter().any(|row| row.seq != seq)),
            (Check::Keys, self.keys.iter().any(|row| row.seq != seq)),
            (Check::Claims, self.claims.iter().any(|row| row.seq != seq)),
            (Check::Companions, self.companions.iter().any(|row| row.seq != seq)),
        ];
        checks.into_iter().find(|(_, stray)| *stray).map(|(check, _)| check)
    }
}

/// A record has one key, but for an account that a transaction opened: its key is the transaction's.
fn check_key(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let wanted = usize::from(!matches!(record.body, Body::Opened { by, .. } if by != 0));
    if parts.keys.len() == wanted {
        return Ok(());
    }
    Err(broken(Check::Keys, record.seq, format!("{} keys lead here, not {wanted}", parts.keys.len())))
}

fn check_claim(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let wanted = match &record.body {
        Body::Transaction { claim, .. } => claim.map(|claim| claim.0),
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => None,
    };
    if parts.claims.iter().map(|row| row.claim).eq(wanted) {
        return Ok(());
    }
    Err(broken(Check::Claims, record.seq, "the claims stored are not the record's"))
}

fn check_companions(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let wanted = match &record.body {
        Body::Transaction { companions, .. } => *companions,
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => {
            return if parts.companions.is_empty() {
                Ok(())
            } else {
                Err(broken(Check::Companions, record.seq, "companions belong to a record that is no transaction"))
            };
        }
    };
    let mut bytes = Vec::new();
    for row in &parts.companions {
        bytes.extend_from_slice(&row.kind.to_be_bytes());
        bytes.extend_from_slice(row.key.as_bytes());
        bytes.extend_from_slice(&u64::try_from(row.body.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(&row.body);
    }
    let found = (!parts.companions.is_empty()).then(|| digest(&SHA256, &bytes));
    if found.as_ref().map(AsRef::as_ref) == wanted.as_ref().map(<[u8; 32]>::as_slice) {
        return Ok(());
    }
    Err(broken(Check::Companions, record.seq, "the companions are not those the record vouches for"))
}

/// A transaction moves something, and no two transfers are the same leg.
fn check_legs(seq: i64, transfers: &[Posted]) -> Result<(), Broken> {
    let rising = transfers.is_sorted_by(|one, next| one.leg < next.leg);
    let starts = transfers.first().is_some_and(|posted| posted.leg == 0);
    if rising && starts { Ok(()) } else { Err(broken(Check::Transfers, seq, "a leg is missing or doubled")) }
}

fn check_refusal(seq: i64, refusal: &Refusal) -> Result<(), Broken> {
    match refusal {
        Refusal::ClaimSpent { seq: spent_by } if !(1..seq).contains(spent_by) => {
            Err(broken(Check::Refusals, seq, "it blames a record that is not before it"))
        }
        Refusal::ClaimSpent { .. }
        | Refusal::Floor { .. }
        | Refusal::Ceiling { .. }
        | Refusal::Frozen { .. }
        | Refusal::Overflow { .. } => Ok(()),
    }
}
