//! A batch as flat arrays, column by column, as the database's functions take it.

use std::sync::Arc;

use uuid::Uuid;

use super::post::Commit;
use super::state::{StateRows, minor_of};
use crate::apply::Applied;
use crate::bind::Arg;
use crate::sealing::store::rows::{RecordRow, SideRow, TransferRow};
use crate::{AssetId, Body, JournalId, Nature, NewAccount, Posted, Record, Request};

/// Of a record or a transfer, beside texts: what its columns take.
const ROW_BYTES: usize = 96;

/// The rows of a batch, column by column.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    key: KeyRows,
    claim: (Vec<Uuid>, Vec<i64>),
    /// What leaves are made of, for whoever makes them.
    pub(crate) leaves: Arc<LeafRows>,
    account: AccountRows,
    state: StateRows,
    companion: CompanionRows,
}

/// The part of a batch that leaves are made of.
#[derive(Debug, Default)]
pub(crate) struct LeafRows {
    record: RecordRows,
    transfer: TransferRows,
}

#[derive(Debug, Default)]
struct KeyRows {
    scope: Vec<i64>,
    key: Vec<Uuid>,
    fingerprint: Vec<Uuid>,
    seq: Vec<i64>,
}

#[derive(Debug, Default)]
struct RecordRows {
    kind: Vec<i32>,
    id: Vec<Uuid>,
    effective_us: Vec<i64>,
    body: Vec<Vec<u8>>,
    meta: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct TransferRows {
    seq: Vec<i64>,
    leg: Vec<i32>,
    kind: Vec<i32>,
    asset: Vec<i32>,
    debit: Vec<i64>,
    credit: Vec<i64>,
    amount: Vec<i64>,
    debit_balance: Vec<i64>,
    debit_held: Vec<i64>,
    debit_version: Vec<i64>,
    credit_balance: Vec<i64>,
    credit_held: Vec<i64>,
    credit_version: Vec<i64>,
}

#[derive(Debug, Default)]
struct AccountRows {
    id: Vec<i64>,
    public_id: Vec<Uuid>,
    asset: Vec<i32>,
    side: Vec<i32>,
    owner: Vec<Option<Uuid>>,
    floor: Vec<Option<i64>>,
    ceiling: Vec<Option<i64>>,
    nature: Vec<i32>,
    counterpart: Vec<Option<Uuid>>,
    minor: Vec<i64>,
    period: Vec<i32>,
    calendar: Vec<i32>,
}

#[derive(Debug, Default)]
struct CompanionRows {
    kind: Vec<i32>,
    key: Vec<Uuid>,
    seq: Vec<i64>,
    place: Vec<i32>,
    body: Vec<Vec<u8>>,
}

impl Rows {
    /// Lays out what a batch does. `batch` and `applied` belong together.
    pub(crate) fn of(batch: &[&Request], applied: &Applied) -> Self {
        let mut rows = Self { state: StateRows::of(applied), ..Self::default() };
        let mut leaves = LeafRows::default();
        for record in &applied.records {
            leaves.record.push(record);
            record.body.transfers().iter().for_each(|posted| leaves.transfer.push(record.seq, posted));
            if let Body::Opened { account, .. } = &record.body {
                rows.account.push(record.seq, account);
            }
        }
        rows.leaves = Arc::new(leaves);
        for (request, answer) in batch.iter().zip(&applied.answers) {
            if let Some(record) = answer.as_ref().ok().and_then(|index| applied.records.get(*index)) {
                rows.key.push(request, record.seq);
                // A refusal writes its key and nothing else.
                if !matches!(record.body, Body::Refused { .. }) {
                    rows.companion.push(request, record.seq);
                }
            }
        }
        rows.key.sort();
        rows.claim = applied.claims.iter().map(|(claim, seq)| (claim.0, *seq)).unzip();
        rows
    }
}

impl LeafRows {
    /// About how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let RecordRows { body, meta, .. } = &self.record;
        let texts = body.iter().chain(meta).map(Vec::len).fold(0, usize::saturating_add);
        let rows = body.len().saturating_add(self.transfer.seq.len());
        texts.saturating_add(rows.saturating_mul(ROW_BYTES))
    }

    /// The records' rows, of which the first has this seq.
    pub(crate) fn records(&self, first: i64, recorded_us: i64) -> impl Iterator<Item = RecordRow> {
        let RecordRows { kind, id, effective_us, body, meta } = &self.record;
        let ids = (first..).zip(kind).zip(id.iter().zip(effective_us));
        ids.zip(body.iter().zip(meta)).map(move |(((seq, kind), (id, effective_us)), (body, meta))| RecordRow {
            seq,
            kind: *kind,
            id: *id,
            recorded_us,
            effective_us: *effective_us,
            body: body.clone(),
            meta: meta.clone(),
        })
    }

    /// The transfers' rows, in order.
    pub(crate) fn transfers(&self) -> impl Iterator<Item = TransferRow> {
        let rows = &self.transfer;
        let places = rows.seq.iter().zip(&rows.leg).zip(rows.kind.iter().zip(&rows.asset).zip(&rows.amount));
        let debits = sides(&rows.debit, &rows.debit_balance, &rows.debit_held, &rows.debit_version);
        let credits = sides(&rows.credit, &rows.credit_balance, &rows.credit_held, &rows.credit_version);
        places.zip(debits.zip(credits)).map(|(((seq, leg), ((kind, asset), amount)), (debit, credit))| TransferRow {
            seq: *seq,
            leg: *leg,
            kind: *kind,
            asset: AssetId(*asset),
            amount: *amount,
            debit,
            credit,
        })
    }
}

fn sides<'a>(
    accounts: &'a [i64],
    balances: &'a [i64],
    helds: &'a [i64],
    versions: &'a [i64],
) -> impl Iterator<Item = SideRow> + 'a {
    let stands = balances.iter().zip(helds).zip(versions);
    accounts.iter().zip(stands).map(|(account, ((balance, held), version))| SideRow {
        account: *account,
        balance: *balance,
        held: *held,
        version: *version,
    })
}

impl KeyRows {
    fn push(&mut self, request: &Request, seq: i64) {
        self.scope.push(request.key.scope.0);
        self.key.push(request.key.key);
        self.fingerprint.push(request.key.fingerprint);
        self.seq.push(seq);
    }

    /// In the order of their index: callers whose keys rise with time then fill its pages one after the other, whoever of
    /// them came first, and the others touch each page once.
    fn sort(&mut self) {
        let Self { scope, key, fingerprint, seq } = std::mem::take(self);
        let ids = scope.into_iter().zip(key);
        let mut all: Vec<_> = ids.zip(fingerprint.into_iter().zip(seq)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        let (ids, rest): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        (self.scope, self.key) = ids.into_iter().unzip();
        (self.fingerprint, self.seq) = rest.into_iter().unzip();
    }
}

impl RecordRows {
    fn push(&mut self, record: &Record) {
        self.kind.push(record.body.kind());
        self.id.push(record.id);
        self.effective_us.push(record.effective_us);
        self.body.push(record.body.to_bytes());
        self.meta.push(record.meta.clone());
    }
}

impl TransferRows {
    fn push(&mut self, seq: i64, posted: &Posted) {
        self.seq.push(seq);
        self.leg.push(posted.leg);
        self.kind.push(posted.kind.code());
        self.asset.push(posted.amount.asset.0);
        self.debit.push(posted.debit.account.0);
        self.credit.push(posted.credit.account.0);
        self.amount.push(posted.amount.minor);
        self.debit_balance.push(posted.debit.balance);
        self.debit_held.push(posted.debit.held);
        self.debit_version.push(posted.debit.version);
        self.credit_balance.push(posted.credit.balance);
        self.credit_held.push(posted.credit.held);
        self.credit_version.push(posted.credit.version);
    }
}

impl AccountRows {
    fn push(&mut self, seq: i64, account: &NewAccount) {
        self.id.push(seq);
        self.public_id.push(account.public_id);
        self.asset.push(account.asset.0);
        self.side.push(account.normal_side.code());
        self.owner.push(account.owner);
        self.floor.push(account.floor);
        self.ceiling.push(account.ceiling);
        let (nature, period, calendar) = match account.nature {
            Nature::Plain => (0, 0, 0),
            Nature::Lots { .. } => (1, 0, 0),
            Nature::Quota { period, calendar, .. } => (2, period.code(), calendar.code()),
        };
        self.nature.push(nature);
        self.counterpart.push(account.nature.counterpart());
        self.minor.push(minor_of(account.nature));
        self.period.push(period);
        self.calendar.push(calendar);
    }
}

impl CompanionRows {
    fn push(&mut self, request: &Request, seq: i64) {
        for (place, companion) in (0..).zip(&request.companions) {
            self.kind.push(companion.kind);
            self.key.push(companion.key);
            self.seq.push(seq);
            self.place.push(place);
            self.body.push(companion.body.clone());
        }
    }
}

impl Rows {
    /// Adds the arguments of `journal.rows`.
    pub(super) fn args<'a>(&'a self, commit: Commit<'_>, applied: &Applied, args: &mut Vec<Arg<'a>>) {
        let Self { key, claim, leaves, account, companion, .. } = self;
        let LeafRows { record, transfer } = leaves.as_ref();
        args.extend([
            Arg::Int(commit.journal.0),
            Arg::Int(commit.first_seq),
            Arg::Int(applied.seq),
            Arg::Int(applied.last_us),
            Arg::Ints(&key.scope),
            Arg::Uuids(&key.key),
            Arg::Uuids(&key.fingerprint),
            Arg::Ints(&key.seq),
            Arg::Uuids(&claim.0),
            Arg::Ints(&claim.1),
            Arg::Int4s(&record.kind),
            Arg::Uuids(&record.id),
            Arg::Ints(&record.effective_us),
            Arg::ByteArrays(&record.body),
            Arg::ByteArrays(&record.meta),
            Arg::Ints(&transfer.seq),
            Arg::Int4s(&transfer.leg),
            Arg::Int4s(&transfer.kind),
            Arg::Int4s(&transfer.asset),
            Arg::Ints(&transfer.debit),
            Arg::Ints(&transfer.credit),
            Arg::Ints(&transfer.amount),
            Arg::Ints(&transfer.debit_balance),
            Arg::Ints(&transfer.debit_held),
            Arg::Ints(&transfer.debit_version),
            Arg::Ints(&transfer.credit_balance),
            Arg::Ints(&transfer.credit_held),
            Arg::Ints(&transfer.credit_version),
            Arg::Ints(&account.id),
            Arg::Uuids(&account.public_id),
            Arg::Int4s(&account.asset),
            Arg::Int4s(&account.side),
            Arg::OptionUuids(&account.owner),
            Arg::OptionInts(&account.floor),
            Arg::OptionInts(&account.ceiling),
            Arg::Int4s(&account.nature),
            Arg::OptionUuids(&account.counterpart),
            Arg::Ints(&account.minor),
            Arg::Int4s(&account.period),
            Arg::Int4s(&account.calendar),
            Arg::Int4s(&companion.kind),
            Arg::Uuids(&companion.key),
            Arg::Ints(&companion.seq),
            Arg::Int4s(&companion.place),
            Arg::ByteArrays(&companion.body),
        ]);
    }

    /// Which of two statements it takes; the second has the arguments of `journal.state` too.
    pub(super) fn with_state<'a, 't>(
        &'a self,
        journal: JournalId,
        args: &mut Vec<Arg<'a>>,
        without: &'t str,
        with: &'t str,
    ) -> &'t str {
        if self.state.is_empty() {
            return without;
        }
        args.extend(self.state.args(journal));
        with
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{Found, Map, State, apply};
    use crate::{Asset, AssetId, Command, Key, NormalSide, Scope};

    fn request(number: u128, command: Command) -> Request {
        let key = Key { scope: Scope(1), key: Uuid::from_u128(number), fingerprint: Uuid::nil() };
        Request { journal: JournalId(1), key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() }
    }

    /// The row says how the batch leaves the account, and is written once.
    #[test]
    fn freezes_of_one_account_in_one_batch_are_one_row_that_says_what_the_last_said() {
        let asset = Asset { id: AssetId(1), code: "EUR".into(), scale: 2 };
        let state = State { assets: Map::from_iter([(asset.id, asset)]), ..State::default() };
        let account = Uuid::from_u128(7);
        let new = NewAccount {
            public_id: account,
            asset: AssetId(1),
            normal_side: NormalSide::Credit,
            owner: None,
            floor: None,
            ceiling: None,
            nature: Nature::Plain,
        };
        let freeze = |debits, credits| Command::Freeze { account, debits, credits };
        let commands = [Command::Open(new), freeze(true, true), freeze(false, true)];
        let batch: Vec<Request> = (0..).zip(commands).map(|(number, command)| request(number, command)).collect();
        let batch: Vec<&Request> = batch.iter().collect();
        let rows = Rows::of(&batch, &apply(&state, &batch, 1, &Found::default())).state.rules;
        assert_eq!((rows.id, rows.debits_frozen, rows.credits_frozen), (vec![1], vec![0], vec![1]));
    }
}
