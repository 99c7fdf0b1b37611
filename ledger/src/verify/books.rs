//! The books as verify derives them: what every law says of the next row, given all rows before it.

use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::account::{Folded, Rule};
use super::archived::Gained;
use super::kept::{Kept, Row};
use super::parts::{Parts, check_claim, check_companions, check_key, check_legs, check_links, check_refusal};
use super::rows::{AccountRow, BatchRow, HoldRow, RecordRow, SideRow, TransferRow};
use super::{Broken, Check, Report, broken};
use crate::apply::{Map, VERSION};
use crate::archive::store::Left;
use crate::canonical::{Place, canonical_bytes, key_bytes};
use crate::store::Head;
use crate::{AccountId, Amount, Asset, AssetId, Body, NewAccount, Posted, Record, RowKind, Side};

/// Kinds of records, as `Body::kind` numbers them.
const TRANSACTION: i32 = 1;
const OPENED: i32 = 2;

/// The books so far, and where the walk stands.
pub(super) struct Books {
    place: Place,
    /// Only sandbox clocks move.
    sandbox: bool,
    assets: Map<AssetId, Asset>,
    /// Up to which seq checkpoints are said to be exact.
    watermark: i64,
    /// Account rows as they are stored, to be held against what the walk finds.
    pub(super) stored: Map<AccountId, AccountRow>,
    pub(super) accounts: Map<AccountId, Folded>,
    ids: Map<Uuid, AccountId>,
    /// Holds and lots; none once transfers were passed that could not be read.
    pub(super) kept: Option<Kept>,
    /// What is left of all holds that are stored, by the account that they are on.
    pub(super) held: Map<AccountId, i64>,
    /// Transfers were passed that could not be read, and how accounts stand is not known yet.
    blind: bool,
    /// Of the batch under way, too.
    blind_batch: bool,
    seq: i64,
    epoch: i64,
    version: i32,
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
            kept: Some(Kept::default()),
            held: Map::default(),
            blind: false,
            blind_batch: false,
            seq: 0,
            epoch: 0,
            version: 1,
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
        if !(self.version..=VERSION).contains(&batch.version) {
            return Err(broken(Check::Form, at, format!("version {} of the rules is not known here", batch.version)));
        }
        if batch.recorded_us < self.recorded_us {
            return Err(broken(Check::Dates, at, "the batch's time goes back"));
        }
        (self.epoch, self.version) = (batch.epoch, batch.version);
        self.recorded_us = batch.recorded_us;
        self.hash = Context::new(&SHA256);
        self.hash.update(&self.chain);
        self.blind_batch = false;
        Ok(())
    }

    pub(super) fn end_batch(&mut self, batch: &BatchRow) -> Result<(), Broken> {
        let found = self.hash.clone().finish();
        // What cannot be read cannot be hashed: the next batch's digest is over this one's, as it is stored.
        if !self.blind_batch && found.as_ref() != batch.digest {
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
        if !(self.version..=VERSION).contains(&head.version) {
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
        let transfers = parts.transfers.iter().map(|row| self.read(row)).collect::<Result<Vec<_>, _>>()?;
        let body = if parts.unread {
            self.pass_unread();
            Body::without_rows(row.kind, &row.body)
        } else {
            Body::from_bytes(row.kind, &row.body, transfers)
        };
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
        if !parts.unread {
            check_links(&record, parts)?;
        }
        for hold in &parts.holds {
            let held = self.held.entry(hold.debit).or_default();
            *held = held.saturating_add(hold.remaining);
        }
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
                check_legs(seq, transfers)?;
            }
            Body::Due { account, period_us, transfers } => {
                check_legs(seq, transfers)?;
                let account = self.by_public_id(seq, *account)?;
                if *period_us < account.period_us {
                    return Err(broken(Check::Rules, seq, "a period ends before the one before"));
                }
                account.period_us = *period_us;
            }
            Body::Opened { account, asset, by } => self.opened(seq, account, asset, *by)?,
            Body::Frozen { account, debits, credits } => {
                let account = self.by_public_id(seq, *account)?;
                (account.debits_frozen, account.credits_frozen) = (*debits, *credits);
            }
            Body::Changed { account, change } => {
                let blind = self.blind;
                self.by_public_id(seq, *account)?.change(seq, change, blind)?;
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
        if !parts.transfers.is_empty() && record.body.transfers().is_empty() {
            return Err(broken(Check::Refusals, seq, "transfers belong to a record that is no transaction"));
        }
        let due = matches!(record.body, Body::Due { .. });
        let mut holds = parts.holds.iter().copied();
        for (row, posted) in parts.transfers.iter().zip(record.body.transfers()) {
            self.transfer(row, posted, &mut holds, due)?;
        }
        match holds.next() {
            Some(_) if !parts.unread => Err(broken(Check::Holds, seq, "a hold is stored that no row opened")),
            _ => Ok(()),
        }
    }

    /// Comes to transfers that cannot be read: from here on, nobody knows which lots there are and what holds pinned.
    fn pass_unread(&mut self) {
        (self.blind, self.blind_batch, self.kept) = (true, true, None);
    }

    /// Whether it is known how accounts stand.
    pub(super) const fn sees(&self) -> bool {
        !self.blind
    }

    /// How an account stands: balance, held, version.
    pub(super) fn standing(&self, account: i64) -> Option<(i64, i64, i64)> {
        self.accounts.get(&AccountId(account)).map(|folded| (folded.balance, folded.held, folded.version))
    }

    /// Takes how accounts are said to stand at the end of a range that could not be read, and tells what it gave each: it must
    /// come after what was known, be what checkpoints say of the same version, and add up to nothing for each asset.
    pub(super) fn stand_as(&mut self, seq: i64, left: &[Left]) -> Result<Gained, Broken> {
        let mut gained = Gained::default();
        for one in left {
            let fails = |check, what: &str| broken(check, seq, format!("account {}: {what}", one.account));
            let id = AccountId(one.account);
            let account = self.accounts.get_mut(&id).ok_or_else(|| fails(Check::Accounts, "was never opened"))?;
            let rows = one.version.saturating_sub(account.version);
            if rows <= 0 || one.held < 0 || gained.insert(one.account, (one.upto, rows)).is_some() {
                return Err(fails(Check::Archived, "what an archived range left does not come after what was before"));
            }
            let stored = self.stored.get(&id).map(|row| (row.version, row.balance, row.held));
            let checkpoint = stored.unwrap_or((one.version, one.balance, one.held));
            let passed = seq <= self.watermark && one.version > checkpoint.0;
            if passed || (checkpoint.0 == one.version && checkpoint != (one.version, one.balance, one.held)) {
                return Err(fails(Check::Checkpoints, "its checkpoint is not what an archived range left"));
            }
            (account.balance, account.held, account.version) = (one.balance, one.held, one.version);
        }
        self.blind = false;
        match super::unbalanced(self.accounts.values().map(|account| (account.asset(), account.balance))) {
            Some((asset, sum)) => {
                let what = format!("what an archived range left adds up to {sum} of asset {}", asset.0);
                Err(broken(Check::Archived, seq, what))
            }
            None => Ok(gained),
        }
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
        self.accounts.insert(id, Folded::opened(terms));
        Ok(())
    }

    fn by_public_id(&mut self, seq: i64, public_id: Uuid) -> Result<&mut Folded, Broken> {
        let missing = || broken(Check::Accounts, seq, format!("account {public_id} was never opened"));
        let id = self.ids.get(&public_id).ok_or_else(missing)?;
        self.accounts.get_mut(id).ok_or_else(missing)
    }

    /// A row as the record's bytes are read with it; it is not folded yet.
    fn read(&self, row: &TransferRow) -> Result<Posted, Broken> {
        let seq = row.seq;
        let kind = RowKind::from_code(row.kind).ok_or_else(|| broken(Check::Form, seq, "a row of unknown kind"))?;
        let side = |side: &SideRow| {
            let missing = || broken(Check::Accounts, seq, format!("account {} was never opened", side.account.0));
            let public_id = self.accounts.get(&side.account).ok_or_else(missing)?.terms.public_id;
            let SideRow { account, balance, held, version } = *side;
            Ok(Side { account, public_id, balance, held, version })
        };
        let (debit, credit) = (side(&row.debit)?, side(&row.credit)?);
        Ok(Posted { leg: row.leg, kind, amount: Amount::new(row.amount, row.asset), debit, credit, more: None })
    }

    /// Folds a transfer's two sides into their accounts, and what it does beside.
    fn transfer(
        &mut self,
        row: &TransferRow,
        posted: &Posted,
        holds: &mut impl Iterator<Item = HoldRow>,
        due: bool,
    ) -> Result<(), Broken> {
        let seq = row.seq;
        if row.amount <= 0 || row.debit.account == row.credit.account {
            return Err(broken(Check::Transfers, seq, format!("leg {} moves nothing, or to itself", row.leg)));
        }
        let before = self.accounts.get(&row.credit.account).map_or((false, 0), Folded::lots);
        // What leaves, what is set aside, what arrives.
        let (out, held, arrives) = match posted.kind {
            RowKind::Move => (row.amount, 0, row.amount),
            RowKind::Hold => (0, row.amount, 0),
            RowKind::Capture => (row.amount, -row.amount, row.amount),
            RowKind::Void | RowKind::Expire => (0, -row.amount, 0),
        };
        let owing = posted.more.as_ref().is_some_and(|more| more.owing);
        let debit = match posted.kind {
            _ if due => Rule::None,
            RowKind::Move if !owing => Rule::Debit,
            RowKind::Hold => Rule::Debit,
            RowKind::Move | RowKind::Capture => Rule::Owing,
            RowKind::Void | RowKind::Expire => Rule::None,
        };
        let credit = match posted.kind {
            _ if due => Rule::None,
            RowKind::Move | RowKind::Capture | RowKind::Hold => Rule::Credit,
            RowKind::Void | RowKind::Expire => Rule::None,
        };
        self.side(row, &row.debit, (out.checked_neg(), held), debit)?;
        self.side(row, &row.credit, (Some(arrives), 0), credit)?;
        let stored = if posted.kind == RowKind::Hold { holds.next() } else { None };
        let keeps = |account| self.accounts.get(&account).is_some_and(|account: &Folded| account.lots().0);
        let (debit_keeps_lots, credit_keeps_lots) = (keeps(row.debit.account), keeps(row.credit.account));
        let now_us = self.recorded_us;
        let seen = Row { seq, now_us, posted, debit_keeps_lots, credit_keeps_lots, credit_debt: before.1, due };
        let Some(all) = &mut self.kept else { return Ok(()) };
        all.row(&seen, stored)?;
        let sides = [(debit_keeps_lots, &row.debit), (credit_keeps_lots, &row.credit)];
        let mut kept = sides.into_iter().filter(|(keeps, _)| *keeps);
        kept.try_for_each(|(_, side)| all.check_sums(seq, side.account, side.balance, side.held))
    }

    fn side(
        &mut self,
        row: &TransferRow,
        side: &SideRow,
        (change, held): (Option<i64>, i64),
        rule: Rule,
    ) -> Result<(), Broken> {
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
            || Some(side.held) != account.held.checked_add(held)
            || side.held < 0
        {
            return Err(fails(Check::Balances, &format!("{} does not follow from {}", side.balance, account.balance)));
        }
        (account.balance, account.held, account.version) = (side.balance, side.held, side.version);
        if !account.allows(rule) {
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
        Ok(())
    }
}
