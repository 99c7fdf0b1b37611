//! How accounts stand: now, at a seq, at a recorded date, at an effective date.

use std::sync::LazyLock;

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::snapshot::in_snapshot;
use super::{ReadError, dated, dues, places};
use crate::bind::{Arg, statement};
use crate::history::{History, Place};
use crate::store::StoreError;
use crate::store::ranges::{EDGE, Edge, EdgeRow, EdgeValues};
use crate::{AccountId, Archived, AssetId, JournalId};

/// An account as it truly stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The journal's number.
    pub account: AccountId,
    /// The id the world knows.
    pub public_id: Uuid,
    /// What it holds.
    pub asset: AssetId,
    /// Credits less debits.
    pub balance: i64,
    /// Set aside by holds.
    pub held: i64,
    /// Rows so far.
    pub version: i64,
    /// Earned, and not to be spent yet.
    pub pending: i64,
    /// It keeps lots or a quota.
    pub keeps: bool,
    /// Its floor, if any.
    pub floor: Option<i64>,
    /// True when no debit passes.
    pub debits_frozen: bool,
}

impl Balance {
    /// What may be spent now: the balance less what is held and what cannot be spent yet.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.balance.saturating_sub(self.held).saturating_sub(self.pending)
    }

    /// An account before its first row.
    const fn unmoved((id, public_id, asset, keeps, floor, debits_frozen): AccountValues) -> Self {
        let (account, asset) = (AccountId(id), AssetId(asset));
        Self { account, public_id, asset, balance: 0, held: 0, version: 0, pending: 0, keeps, floor, debits_frozen }
    }

    /// Nothing falls due on any other account.
    pub(super) const fn may_be_due(&self) -> bool {
        self.held != 0 || self.keeps
    }
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the head.
    Now,
    /// After the record of this seq, and before the next.
    Seq(i64),
    /// After everything that was recorded up to this moment, microseconds since 1970.
    Recorded(i64),
    /// After everything that counts up to this moment, microseconds since 1970, as far as it is recorded by now.
    Effective(i64),
}

/// An account's balance at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceAt {
    /// What the account holds.
    pub asset: AssetId,
    /// Credits less debits, in minor units; zero before the first entry.
    pub balance: i64,
    /// Up to which seq the journal was looked at: for [`At::Effective`] the head, else where the time lies.
    pub seq: i64,
}

/// An account's standing after one of its rows; all zero before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) version: i64,
}

/// Balances of these accounts, in no order; those that do not exist are left out. What has expired counts as expired,
/// whoever wrote it down or will.
///
/// # Errors
/// [`StoreError`].
pub fn balances(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    accounts: &[Uuid],
) -> Result<Vec<Balance>, StoreError> {
    let found = stand(conn, history, journal, accounts)?;
    if !found.iter().any(Balance::may_be_due) {
        return Ok(found);
    }
    // Holds and lots are rows that change, unlike those a balance is read from: only of one state do they add up.
    in_snapshot(conn, |conn| {
        let mut found = stand(conn, history, journal, accounts)?;
        dues::count(conn, journal, &mut found)?;
        Ok(found)
    })
}

/// How accounts stand at the head, what is due not counted.
///
/// Checkpoints are exact up to the watermark, and past it where newer ones are being written. So an account without a row
/// after the watermark stands as its checkpoint says, and only of the others a row is read.
fn stand(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    accounts: &[Uuid],
) -> Result<Vec<Balance>, StoreError> {
    let Some(Look { edge, watermark, accounts: mut found, .. }) = look(conn, journal, accounts, None)? else {
        return Ok(Vec::new());
    };
    let ids: Vec<i64> = found.iter().map(|balance| balance.account.0).collect();
    let newest = match places::newest_since(conn, history, journal, edge, &ids, watermark)? {
        Some(newest) => newest.into_iter().map(|place| place.filter(|place| place.seq > watermark)).collect(),
        None => places::newest(conn, history, journal, edge, &ids, edge.head)?,
    };
    for (balance, standing) in found.iter_mut().zip(standings_at(conn, journal, &ids, newest)?) {
        if let Some(Standing { balance: minor, held, version }) = standing {
            (balance.balance, balance.held, balance.version) = (minor, held, version);
        }
    }
    Ok(found)
}

/// One account's balance at some time, as it is recorded: what has expired and is not written down yet is taken off by
/// [`balances`] alone. What is not over yet is told as of the head, and may still change.
///
/// # Errors
/// [`ReadError`]: an account that is not there is an error, one that had no entry by then stands at zero.
pub fn balance_at(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    at: At,
) -> Result<BalanceAt, ReadError> {
    let unknown = || ReadError::UnknownAccount(account);
    let moment = if let At::Recorded(us) = at { Some(us) } else { None };
    let Look { edge, accounts, recorded, .. } = look(conn, journal, &[account], moment)?.ok_or_else(unknown)?;
    let account = accounts.first().ok_or_else(unknown)?;
    let seq = match at {
        At::Recorded(_) => recorded.min(edge.head),
        At::Now => edge.head,
        At::Seq(seq) => seq.clamp(0, edge.head),
        At::Effective(us) => {
            let (seq, balances) = dated::balances_at(conn, history, journal, &[account.account.0], us)?;
            let balance = balances.first().copied().ok_or_else(unknown)?;
            return Ok(BalanceAt { asset: account.asset, balance, seq });
        }
    };
    let standing = standings(conn, history, journal, edge, &[account.account.0], seq)?.into_iter().next();
    Ok(BalanceAt { asset: account.asset, balance: standing.unwrap_or_default().balance, seq })
}

/// What an account had free after the record of a seq, as its rows say: its balance less what was held. Zero before the
/// first.
///
/// # Errors
/// [`ReadError`].
pub fn free_at(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    seq: i64,
) -> Result<i64, ReadError> {
    let unknown = || ReadError::UnknownAccount(account);
    let Look { edge, accounts, .. } = look(conn, journal, &[account], None)?.ok_or_else(unknown)?;
    let id = accounts.first().ok_or_else(unknown)?.account.0;
    let standing = standings(conn, history, journal, edge, &[id], seq.clamp(0, edge.head))?.into_iter().next();
    let Standing { balance, held, .. } = standing.unwrap_or_default();
    Ok(balance.saturating_sub(held))
}

/// Of a journal and a moment.
const SEQ_AT: &str = "SELECT last_seq FROM journal.batch WHERE journal = ? AND recorded_us <= ? \
    ORDER BY recorded_us DESC, last_seq DESC LIMIT 1";

/// The last seq recorded up to this moment, microseconds since 1970; zero before the first.
///
/// # Errors
/// [`StoreError`].
pub fn seq_at(conn: &mut PgConnection, journal: JournalId, recorded_us: i64) -> Result<i64, StoreError> {
    let args = [Arg::Int(journal.0), Arg::Int(recorded_us)];
    let rows = statement::<(BigInt,)>(SEQ_AT, &args).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(seq,)| *seq))
}

/// Where the books stand, and some accounts.
struct Look {
    edge: Edge,
    /// Up to where checkpoints are exact.
    watermark: i64,
    /// The last seq recorded up to the moment that was asked for; zero before the first.
    recorded: i64,
    /// As their checkpoints say.
    accounts: Vec<Balance>,
}

/// Looks at the books and at accounts by public id; none when none of them is there. One look: all of it is of one state.
fn look(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[Uuid],
    recorded_us: Option<i64>,
) -> Result<Option<Look>, StoreError> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let edge = format!(
            "SELECT {EDGE}, (SELECT seq FROM journal.watermark w WHERE w.journal = h.journal) AS watermark, ({SEQ_AT}) \
             AS recorded FROM journal.head h WHERE h.journal = ?"
        );
        format!(
            "SELECT e.fork, e.head, e.common, e.closed, e.watermark, e.recorded, a.id, a.public_id, a.asset, a.nature <> 0, \
             a.floor, a.debits_frozen, a.checkpoint_balance, a.checkpoint_held, a.checkpoint_version \
             FROM ({edge}) e CROSS JOIN unnest(?) AS q(public_id) CROSS JOIN LATERAL \
             (SELECT * FROM journal.account WHERE journal = ? AND public_id = q.public_id LIMIT 1) a"
        )
    });
    type Row = (EdgeRow, BigInt, Nullable<BigInt>, AccountRow, (BigInt, BigInt, BigInt));
    type Values = (EdgeValues, i64, Option<i64>, AccountValues, (i64, i64, i64));
    let number = Arg::Int(journal.0);
    // Nothing was recorded before all time: nobody who does not ask is told.
    let args = [number, Arg::Int(recorded_us.unwrap_or(i64::MIN)), number, Arg::Uuids(ids), number];
    let rows = statement::<Row>(&TEXT, &args).load::<Values>(conn)?;
    let Some((edge, watermark, recorded, ..)) = rows.first().copied() else { return Ok(None) };
    let read = |(_, _, _, account, (balance, held, version)): Values| Balance {
        balance,
        held,
        version,
        ..Balance::unmoved(account)
    };
    let accounts = rows.into_iter().map(read).collect();
    Ok(Some(Look { edge: edge.into(), watermark, recorded: recorded.unwrap_or(0), accounts }))
}

type AccountRow = (BigInt, SqlUuid, Integer, Bool, Nullable<BigInt>, Bool);
type AccountValues = (i64, Uuid, i32, bool, Option<i64>, bool);

/// Accounts by public id, not yet with their standing.
pub(super) fn accounts_of(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[Uuid],
) -> Result<Vec<Balance>, StoreError> {
    const TEXT: &str = "SELECT a.id, a.public_id, a.asset, a.nature <> 0, a.floor, a.debits_frozen \
        FROM unnest(?) AS q(public_id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.account WHERE journal = ? AND public_id = q.public_id LIMIT 1) a";
    let args = [Arg::Uuids(ids), Arg::Int(journal.0)];
    let rows = statement::<AccountRow>(TEXT, &args).load::<AccountValues>(conn)?;
    Ok(rows.into_iter().map(Balance::unmoved).collect())
}

/// How accounts stood after the record of `at`, which is not past the edge's head, in their order: as the newest row left
/// them that is not later.
pub(super) fn standings(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    at: i64,
) -> Result<Vec<Standing>, StoreError> {
    let newest = places::newest(conn, history, journal, edge, ids, at)?;
    let standings = standings_at(conn, journal, ids, newest)?;
    Ok(standings.into_iter().map(Option::unwrap_or_default).collect())
}

/// How these rows left these accounts, in their order; none where there is no row.
fn standings_at(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[i64],
    places: Vec<Option<Place>>,
) -> Result<Vec<Option<Standing>>, StoreError> {
    // Of an archived range, what an account's last row in it left is kept, and nothing before. One statement tells which is
    // so, so that no moment lies between a row that is looked for and the note that it left.
    const TEXT: &str = "SELECT q.place, \
        coalesce(CASE WHEN t.debit = q.id THEN t.debit_balance ELSE t.credit_balance END, s.balance), \
        coalesce(CASE WHEN t.debit = q.id THEN t.debit_held ELSE t.credit_held END, s.held), \
        coalesce(CASE WHEN t.debit = q.id THEN t.debit_version ELSE t.credit_version END, s.version), \
        a.first_seq, a.last_seq \
        FROM unnest(?, ?, ?, ?) AS q(place, id, seq, leg) LEFT JOIN LATERAL (SELECT * FROM journal.transfer \
        WHERE journal = ? AND seq BETWEEN ? AND ? AND seq = q.seq AND leg = q.leg LIMIT 1) t ON true \
        LEFT JOIN LATERAL (SELECT * FROM journal.standing \
        WHERE journal = ? AND account = q.id AND upto = (q.seq << 20 | q.leg) AND t.seq IS NULL LIMIT 1) s ON true \
        LEFT JOIN LATERAL (SELECT * FROM journal.archived WHERE journal = ? AND first_seq <= q.seq AND t.seq IS NULL \
        ORDER BY first_seq DESC LIMIT 1) a ON a.last_seq >= q.seq";
    let mut all = vec![None; ids.len()];
    let found: Vec<_> = (0_i64..).zip(ids).zip(places).filter_map(|(asked, place)| Some((asked, place?))).collect();
    let (numbers, ids): (Vec<i64>, Vec<i64>) = found.iter().map(|((number, id), _)| (*number, **id)).unzip();
    let (seqs, legs): (Vec<i64>, Vec<i32>) = found.iter().map(|(_, place)| (place.seq, place.leg)).unzip();
    let (Some(first), Some(last)) = (seqs.iter().min(), seqs.iter().max()) else { return Ok(all) };
    let asked = [Arg::Ints(&numbers), Arg::Ints(&ids), Arg::Ints(&seqs), Arg::Int4s(&legs)];
    let number = Arg::Int(journal.0);
    let between = [number, Arg::Int(*first), Arg::Int(*last), number, number];
    let args: Vec<_> = asked.into_iter().chain(between).collect();
    type Maybe = Nullable<BigInt>;
    type Values = (i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
    let rows = statement::<(BigInt, Maybe, Maybe, Maybe, Maybe, Maybe)>(TEXT, &args).load::<Values>(conn)?;
    for (number, balance, held, version, first_seq, last_seq) in rows {
        let (Some(balance), Some(held), Some(version)) = (balance, held, version) else {
            let range = first_seq.zip(last_seq).map(|(first_seq, last_seq)| Archived { journal, first_seq, last_seq });
            let corrupt = StoreError::Corrupt { journal: journal.0, seq: *last, what: "a place leads to no row" };
            return Err(range.map_or(corrupt, StoreError::Archived));
        };
        if let Some(standing) = usize::try_from(number).ok().and_then(|number| all.get_mut(number)) {
            *standing = Some(Standing { balance, held, version });
        }
    }
    Ok(all)
}
