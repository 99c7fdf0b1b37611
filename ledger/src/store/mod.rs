//! Every SQL statement on the journal's tables.
//!
//! Writer reads are arrays in, index probes out (`unnest … CROSS JOIN LATERAL (… LIMIT 1)`): the one shape that the
//! planner cannot turn into a scan of the table when it plans once for all (JOURNAL 16).

pub(crate) mod columns;
pub(crate) mod found;
pub(crate) mod lease;
pub(crate) mod post;
pub(crate) mod ranges;
pub(crate) mod rows;
pub(crate) mod state;

use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::apply::{Map, VERSION};
use crate::bind::{Arg, statement};
use crate::{
    Account, AccountId, Archived, Asset, AssetId, Calendar, Claim, JournalId, Key, NEVER, Nature, NormalSide, Period,
};

/// Why the journal's tables could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or its answer was lost.
    #[error("database call failed: {0}")]
    Database(#[from] diesel::result::Error),
    /// No connection could be made.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    /// A row does not read as one we wrote.
    #[error("journal {journal}: the row of seq {seq} does not read: {what}")]
    Corrupt {
        /// Whose books.
        journal: i64,
        /// Where.
        seq: i64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Its transfers are in a file.
    #[error(transparent)]
    Archived(#[from] Archived),
}

/// A journal's head: where its next batch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fork: Uuid,
    pub(crate) version: i32,
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
    pub(crate) last_us: i64,
    pub(crate) clock_offset_us: i64,
    pub(crate) sandbox: bool,
    pub(crate) digest: Vec<u8>,
}

/// Creates the books of a journal: empty, under no epoch, on the given fork of history. Doing it again changes nothing.
///
/// # Errors
/// [`StoreError::Database`].
pub fn create_journal(
    conn: &mut PgConnection,
    journal: JournalId,
    fork: Uuid,
    sandbox: bool,
) -> Result<(), StoreError> {
    let head = "INSERT INTO journal.head (journal, fork, version, sandbox) VALUES (?, ?, ?, ?::int4 = 1) ON CONFLICT DO NOTHING";
    let args = [Arg::Int(journal.0), Arg::Uuid(fork), Arg::Int4(VERSION), Arg::Int4(i32::from(sandbox))];
    conn.transaction(|conn| {
        statement::<()>(head, &args).execute(conn)?;
        statement::<()>(
            "INSERT INTO journal.watermark (journal) VALUES (?) ON CONFLICT DO NOTHING",
            &[Arg::Int(journal.0)],
        )
        .execute(conn)?;
        Ok(())
    })
}

/// The journals there are, in order.
///
/// # Errors
/// [`StoreError::Database`].
pub fn journals(conn: &mut PgConnection) -> Result<Vec<JournalId>, StoreError> {
    let all = statement::<(BigInt,)>("SELECT journal FROM journal.head ORDER BY journal", &[]).load::<(i64,)>(conn)?;
    Ok(all.into_iter().map(|(id,)| JournalId(id)).collect())
}

/// The asset of this code, made if it is new.
///
/// `scale` is how many decimals the minor unit stands for; an existing asset keeps its own.
///
/// # Errors
/// [`StoreError::Database`].
pub fn define_asset(conn: &mut PgConnection, journal: JournalId, code: &str, scale: i16) -> Result<Asset, StoreError> {
    // Two at once may pick the same number: one insert then changes nothing, and its loop goes round again.
    let insert = "INSERT INTO journal.asset (journal, id, code, scale) \
        SELECT ?, coalesce(max(id), 0) + 1, ?, ?::int4::int2 FROM journal.asset WHERE journal = ? ON CONFLICT DO NOTHING";
    loop {
        if let Some(asset) = assets(conn, journal)?.into_values().find(|asset| asset.code == code) {
            return Ok(asset);
        }
        let args = [Arg::Int(journal.0), Arg::Text(code), Arg::Int4(i32::from(scale)), Arg::Int(journal.0)];
        statement::<()>(insert, &args).execute(conn)?;
    }
}

pub(crate) fn assets(conn: &mut PgConnection, journal: JournalId) -> Result<Map<AssetId, Asset>, StoreError> {
    let text = "SELECT id, code, scale FROM journal.asset WHERE journal = ?";
    let rows = statement::<(Integer, Text, SmallInt)>(text, &[Arg::Int(journal.0)]).load::<(i32, String, i16)>(conn)?;
    Ok(rows.into_iter().map(|(id, code, scale)| (AssetId(id), Asset { id: AssetId(id), code, scale })).collect())
}

/// The assets of a journal, by number.
///
/// # Errors
/// [`StoreError::Database`].
pub fn assets_of(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<Asset>, StoreError> {
    let mut all: Vec<Asset> = assets(conn, journal)?.into_values().collect();
    all.sort_by_key(|asset| asset.id);
    Ok(all)
}

pub(crate) fn head(conn: &mut PgConnection, journal: JournalId) -> Result<Option<Head>, StoreError> {
    let text = "SELECT fork, version, epoch, seq, last_us, clock_offset_us, sandbox, digest FROM journal.head WHERE journal = ?";
    type Row = (SqlUuid, Integer, BigInt, BigInt, BigInt, BigInt, Bool, Binary);
    type Values = (Uuid, i32, i64, i64, i64, i64, bool, Vec<u8>);
    let rows = statement::<Row>(text, &[Arg::Int(journal.0)]).load::<Values>(conn)?;
    Ok(rows.into_iter().next().map(|(fork, version, epoch, seq, last_us, clock_offset_us, sandbox, digest)| Head {
        fork,
        version,
        epoch,
        seq,
        last_us,
        clock_offset_us,
        sandbox,
        digest,
    }))
}

type AccountRow = (
    (BigInt, SqlUuid, Integer, Integer, Nullable<SqlUuid>, Nullable<BigInt>, Nullable<BigInt>),
    (Bool, Bool, Bool, BigInt, BigInt, BigInt),
    (Integer, Nullable<SqlUuid>, BigInt, Integer, Integer, BigInt),
);
type AccountValues = (
    (i64, Uuid, i32, i32, Option<Uuid>, Option<i64>, Option<i64>),
    (bool, bool, bool, i64, i64, i64),
    (i32, Option<Uuid>, i64, i32, i32, i64),
);

/// Accounts by public id, at their checkpoint. Those that do not exist are left out.
pub(crate) fn accounts_by_public_id(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[Uuid],
) -> Result<Vec<Account>, StoreError> {
    const TEXT: &str = "SELECT a.id, a.public_id, a.asset, a.normal_side, a.owner, a.floor, a.ceiling, \
        a.debits_frozen, a.credits_frozen, a.closed, a.checkpoint_balance, a.checkpoint_held, a.checkpoint_version, \
        a.nature, a.counterpart, a.nature_minor, a.period, a.calendar, a.period_us \
        FROM unnest(?) AS q(public_id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.account WHERE journal = ? AND public_id = q.public_id LIMIT 1) a";
    let args = [Arg::Uuids(ids), Arg::Int(journal.0)];
    read_accounts(journal, statement::<AccountRow>(TEXT, &args).load::<AccountValues>(conn)?)
}

/// Accounts by number, at their checkpoint.
pub(crate) fn accounts_by_id(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[i64],
) -> Result<Vec<Account>, StoreError> {
    const TEXT: &str = "SELECT a.id, a.public_id, a.asset, a.normal_side, a.owner, a.floor, a.ceiling, \
        a.debits_frozen, a.credits_frozen, a.closed, a.checkpoint_balance, a.checkpoint_held, a.checkpoint_version, \
        a.nature, a.counterpart, a.nature_minor, a.period, a.calendar, a.period_us \
        FROM unnest(?) AS q(id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.account WHERE journal = ? AND id = q.id LIMIT 1) a";
    let args = [Arg::Ints(ids), Arg::Int(journal.0)];
    read_accounts(journal, statement::<AccountRow>(TEXT, &args).load::<AccountValues>(conn)?)
}

fn read_accounts(journal: JournalId, rows: Vec<AccountValues>) -> Result<Vec<Account>, StoreError> {
    let read = |row: AccountValues| {
        let corrupt = StoreError::Corrupt { journal: journal.0, seq: row.0.0, what: "account" };
        read_account(row).ok_or(corrupt)
    };
    rows.into_iter().map(read).collect()
}

/// Nothing is known here yet of when something falls due on it, but for a quota's period.
fn read_account(row: AccountValues) -> Option<Account> {
    let (terms, state, (nature, counterpart, minor, period, calendar, period_us)) = row;
    let (id, public_id, asset, side, owner, floor, ceiling) = terms;
    let (debits_frozen, credits_frozen, closed, balance, held, version) = state;
    let nature = read_nature(nature, counterpart, minor, period, calendar)?;
    Some(Account {
        id: AccountId(id),
        public_id,
        asset: AssetId(asset),
        normal_side: NormalSide::from_code(side)?,
        owner,
        floor,
        ceiling,
        debits_frozen,
        credits_frozen,
        closed,
        nature,
        period_us,
        next_due_us: if matches!(nature, Nature::Quota { .. }) { period_us } else { NEVER },
        balance,
        held,
        version,
    })
}

/// An account's nature from its columns.
pub(crate) fn read_nature(
    code: i32,
    counterpart: Option<Uuid>,
    minor: i64,
    period: i32,
    calendar: i32,
) -> Option<Nature> {
    match code {
        0 => Some(Nature::Plain),
        1 => Some(Nature::Lots { breakage: counterpart?, grace_us: minor }),
        2 => {
            let (period, calendar) = (Period::from_code(period)?, Calendar::from_code(calendar)?);
            Some(Nature::Quota { pool: counterpart?, allowance: minor, period, calendar })
        }
        _ => None,
    }
}

/// A key used before: its place in the probe, the seq it led to, the fingerprint of what it was used for.
pub(crate) struct UsedKey {
    pub(crate) place: usize,
    pub(crate) seq: i64,
    pub(crate) fingerprint: Uuid,
}

/// Which of these keys were used before.
pub(crate) fn used_keys(conn: &mut PgConnection, journal: JournalId, keys: &[Key]) -> Result<Vec<UsedKey>, StoreError> {
    const TEXT: &str = "SELECT q.place, k.seq, k.fingerprint FROM unnest(?, ?) WITH ORDINALITY AS q(scope, key, place) \
        CROSS JOIN LATERAL (SELECT seq, fingerprint FROM journal.key \
        WHERE journal = ? AND scope = q.scope AND key = q.key LIMIT 1) k";
    let scopes: Vec<i64> = keys.iter().map(|key| key.scope.0).collect();
    let ids: Vec<Uuid> = keys.iter().map(|key| key.key).collect();
    let args = [Arg::Ints(&scopes), Arg::Uuids(&ids), Arg::Int(journal.0)];
    let rows = statement::<(BigInt, BigInt, SqlUuid)>(TEXT, &args).load::<(i64, i64, Uuid)>(conn)?;
    let place = |place: i64| usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
    Ok(rows.into_iter().map(|(at, seq, fingerprint)| UsedKey { place: place(at), seq, fingerprint }).collect())
}

/// Which of these claims were used up before, and where.
pub(crate) fn spent_claims(
    conn: &mut PgConnection,
    journal: JournalId,
    claims: &[Claim],
) -> Result<Map<Claim, i64>, StoreError> {
    const TEXT: &str = "SELECT q.claim, c.seq FROM unnest(?) AS q(claim) CROSS JOIN LATERAL \
        (SELECT seq FROM journal.claim WHERE journal = ? AND claim = q.claim LIMIT 1) c";
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.0).collect();
    let args = [Arg::Uuids(&ids), Arg::Int(journal.0)];
    let rows = statement::<(SqlUuid, BigInt)>(TEXT, &args).load::<(Uuid, i64)>(conn)?;
    Ok(rows.into_iter().map(|(claim, seq)| (Claim(claim), seq)).collect())
}

/// The seq of the last record there is; zero for none.
pub(crate) fn last_record(conn: &mut PgConnection, journal: JournalId) -> Result<i64, StoreError> {
    let text = "SELECT seq FROM journal.record WHERE journal = ? ORDER BY seq DESC LIMIT 1";
    let rows = statement::<(BigInt,)>(text, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(seq,)| *seq))
}

/// How far the checkpoints of a journal are exact.
pub(crate) fn watermark(conn: &mut PgConnection, journal: JournalId) -> Result<i64, StoreError> {
    let text = "SELECT seq FROM journal.watermark WHERE journal = ?";
    let rows = statement::<(BigInt,)>(text, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(seq,)| *seq))
}

/// Raises the epoch of one journal's head and watermark to the leader's, and the head's version to this binary's. False
/// when a later epoch is there already.
pub(crate) fn raise_epoch(conn: &mut PgConnection, journal: JournalId, epoch: i64) -> Result<bool, StoreError> {
    const HEAD: &str =
        "UPDATE journal.head SET epoch = ?, version = greatest(version, ?) WHERE journal = ? AND epoch <= ?";
    let head = [Arg::Int(epoch), Arg::Int4(VERSION), Arg::Int(journal.0), Arg::Int(epoch)];
    let args = [Arg::Int(epoch), Arg::Int(journal.0), Arg::Int(epoch)];
    conn.transaction(|conn| {
        let raised = statement::<()>(HEAD, &head).execute(conn)?;
        statement::<()>("UPDATE journal.watermark SET epoch = ? WHERE journal = ? AND epoch <= ?", &args)
            .execute(conn)?;
        Ok(raised == 1)
    })
}

/// An account's exact standing, for a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) id: AccountId,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) version: i64,
}

/// Writes checkpoints, in one short transaction.
pub(crate) fn checkpoint(conn: &mut PgConnection, journal: JournalId, chunk: &[Standing]) -> Result<(), StoreError> {
    let ids: Vec<i64> = chunk.iter().map(|s| s.id.0).collect();
    let balances: Vec<i64> = chunk.iter().map(|s| s.balance).collect();
    let helds: Vec<i64> = chunk.iter().map(|s| s.held).collect();
    let versions: Vec<i64> = chunk.iter().map(|s| s.version).collect();
    let args = [Arg::Int(journal.0), Arg::Ints(&ids), Arg::Ints(&balances), Arg::Ints(&helds), Arg::Ints(&versions)];
    statement::<()>("SELECT journal.checkpoint(?, ?, ?, ?, ?)", &args).execute(conn)?;
    Ok(())
}

/// Says that the checkpoints are exact up to a seq, if this epoch is not over.
pub(crate) fn move_watermark(
    conn: &mut PgConnection,
    journal: JournalId,
    epoch: i64,
    upto_seq: i64,
) -> Result<(), StoreError> {
    let args = [Arg::Int(upto_seq), Arg::Int(journal.0), Arg::Int(epoch), Arg::Int(upto_seq)];
    statement::<()>("UPDATE journal.watermark SET seq = ? WHERE journal = ? AND epoch = ? AND seq < ?", &args)
        .execute(conn)?;
    Ok(())
}

/// True when the batch that ends at this seq is the one with this digest.
pub(crate) fn has_batch(
    conn: &mut PgConnection,
    journal: JournalId,
    last_seq: i64,
    digest: &[u8],
) -> Result<bool, StoreError> {
    let text = "SELECT digest FROM journal.batch WHERE journal = ? AND last_seq = ?";
    let rows = statement::<(Binary,)>(text, &[Arg::Int(journal.0), Arg::Int(last_seq)]).load::<(Vec<u8>,)>(conn)?;
    Ok(rows.first().is_some_and(|(stored,)| stored == digest))
}
