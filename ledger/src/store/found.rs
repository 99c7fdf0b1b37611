//! What a batch refers to beside accounts: holds, rows to be moved back, lots. Arrays in, index probes out.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::StoreError;
use crate::apply::{LotPage, Map, Standing};
use crate::bind::{Arg, statement};
use crate::{AccountId, Amount, AssetId, Hold, JournalId, LegRef, Lot, NEVER};

type HoldRow = (BigInt, Integer, BigInt, BigInt, Integer, BigInt, BigInt, BigInt);
type LinkRow = (LegRef, LegRef, Uuid, i32, i64);
type HoldValues = (i64, i32, i64, i64, i32, i64, i64, i64);

/// Holds by the rows that opened them, without the lots they pinned. Those that do not exist are left out.
pub(crate) fn holds_at(
    conn: &mut PgConnection,
    journal: JournalId,
    places: &[LegRef],
) -> Result<Vec<(LegRef, Hold)>, StoreError> {
    const TEXT: &str = "SELECT h.seq, h.leg, h.debit, h.credit, h.asset, h.amount, h.remaining, h.expires_us \
        FROM unnest(?, ?) AS q(seq, leg) CROSS JOIN LATERAL \
        (SELECT * FROM journal.hold WHERE journal = ? AND seq = q.seq AND leg = q.leg LIMIT 1) h";
    let (seqs, legs) = columns(places);
    let args = [Arg::Ints(&seqs), Arg::Int4s(&legs), Arg::Int(journal.0)];
    Ok(read_holds(statement::<HoldRow>(TEXT, &args).load::<HoldValues>(conn)?))
}

/// The open holds on these accounts, of each so many that expire first, without the lots they pinned.
pub(crate) fn open_holds(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: &[i64],
    most: usize,
) -> Result<Vec<(LegRef, Hold)>, StoreError> {
    const TEXT: &str = "SELECT h.seq, h.leg, h.debit, h.credit, h.asset, h.amount, h.remaining, h.expires_us \
        FROM unnest(?) AS q(id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.hold WHERE journal = ? AND debit = q.id AND remaining > 0 \
        ORDER BY expires_us LIMIT ?) h";
    let args = [Arg::Ints(accounts), Arg::Int(journal.0), most_of(most)];
    Ok(read_holds(statement::<HoldRow>(TEXT, &args).load::<HoldValues>(conn)?))
}

fn read_holds(rows: Vec<HoldValues>) -> Vec<(LegRef, Hold)> {
    let read = |(seq, leg, debit, credit, asset, minor, remaining, expires_us): HoldValues| {
        let (debit, credit, amount) = (AccountId(debit), AccountId(credit), Amount::new(minor, AssetId(asset)));
        (LegRef { seq, leg }, Hold { debit, credit, amount, remaining, expires_us, lots: Vec::new() })
    };
    rows.into_iter().map(read).collect()
}

/// How much of each of these rows was moved back so far; those of which nothing was are left out.
pub(crate) fn refunded(
    conn: &mut PgConnection,
    journal: JournalId,
    places: &[LegRef],
) -> Result<Map<LegRef, i64>, StoreError> {
    const TEXT: &str = "SELECT q.seq, q.leg, l.amount FROM unnest(?, ?) AS q(seq, leg) CROSS JOIN LATERAL \
        (SELECT sum(amount)::bigint AS amount FROM journal.link \
        WHERE journal = ? AND of_seq = q.seq AND of_leg = q.leg AND kind = 1) l WHERE l.amount > 0";
    let (seqs, legs) = columns(places);
    let args = [Arg::Ints(&seqs), Arg::Int4s(&legs), Arg::Int(journal.0)];
    let rows = statement::<(BigInt, Integer, BigInt)>(TEXT, &args).load::<(i64, i32, i64)>(conn)?;
    Ok(rows.into_iter().map(|(seq, leg, minor)| (LegRef { seq, leg }, minor)).collect())
}

/// What builds on the rows of these records: earlier row, later row, the later one's record, kind and amount.
pub(crate) fn links_of(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Vec<LinkRow>, StoreError> {
    const TEXT: &str = "SELECT l.of_seq, l.of_leg, l.seq, l.leg, r.id, l.kind, l.amount \
        FROM unnest(?) AS q(seq) CROSS JOIN LATERAL \
        (SELECT * FROM journal.link WHERE journal = ? AND of_seq = q.seq) l CROSS JOIN LATERAL \
        (SELECT id FROM journal.record WHERE journal = ? AND seq = l.seq LIMIT 1) r ORDER BY l.seq, l.leg";
    type Row = (BigInt, Integer, BigInt, Integer, SqlUuid, Integer, BigInt);
    type Values = (i64, i32, i64, i32, Uuid, i32, i64);
    let args = [Arg::Ints(seqs), Arg::Int(journal.0), Arg::Int(journal.0)];
    let read = |(of_seq, of_leg, seq, leg, record, kind, minor): Values| {
        (LegRef { seq: of_seq, leg: of_leg }, LegRef { seq, leg }, record, kind, minor)
    };
    Ok(statement::<Row>(TEXT, &args).load::<Values>(conn)?.into_iter().map(read).collect())
}

fn columns(places: &[LegRef]) -> (Vec<i64>, Vec<i32>) {
    places.iter().map(|place| (place.seq, place.leg)).unzip()
}

fn most_of(most: usize) -> Arg<'static> {
    Arg::Int(i64::try_from(most).unwrap_or(i64::MAX))
}

/// The lots of these accounts, of each the first so many that something is left of.
pub(crate) fn lots(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: &[i64],
    most: usize,
) -> Result<Map<AccountId, LotPage>, StoreError> {
    const TEXT: &str = "SELECT q.id, l.expires_us, l.earned_day, l.activates_us, l.campaign, l.unit_cost, l.remaining, l.held \
        FROM unnest(?) AS q(id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.lot WHERE journal = ? AND account = q.id AND remaining > 0 \
        ORDER BY expires_us, earned_day, activates_us, campaign, unit_cost LIMIT ?) l";
    type Row = (BigInt, BigInt, Integer, BigInt, SqlUuid, BigInt, BigInt, BigInt);
    type Values = (i64, i64, i32, i64, Uuid, i64, i64, i64);
    let args = [Arg::Ints(accounts), Arg::Int(journal.0), most_of(most)];
    let rows = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let mut found: Map<AccountId, BTreeMap<Lot, Standing>> =
        accounts.iter().map(|id| (AccountId(*id), BTreeMap::new())).collect();
    for (id, expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held) in rows {
        let lot = Lot { expires_us, earned_day, activates_us, campaign, unit_cost };
        found.entry(AccountId(id)).or_default().insert(lot, Standing { remaining, held });
    }
    Ok(found.into_iter().map(|(id, lots)| (id, LotPage::loaded(lots, most))).collect())
}

/// When a hold or a lot of these accounts next expires, or their period ends; those on which none does are left out.
pub(crate) fn next_expiries(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: &[i64],
) -> Result<Vec<(AccountId, i64)>, StoreError> {
    const TEXT: &str = "SELECT q.id, \
        (SELECT expires_us FROM journal.hold h WHERE h.journal = j.id AND h.debit = q.id AND h.remaining > 0 \
            ORDER BY expires_us LIMIT 1), \
        (SELECT expires_us FROM journal.lot l WHERE l.journal = j.id AND l.account = q.id AND l.remaining > 0 \
            AND l.remaining > l.held ORDER BY expires_us LIMIT 1), \
        (SELECT period_us FROM journal.account a WHERE a.journal = j.id AND a.id = q.id AND a.nature = 2) \
        FROM unnest(?) AS q(id) CROSS JOIN (SELECT ?::bigint AS id) j";
    type Row = (BigInt, Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>);
    type Values = (i64, Option<i64>, Option<i64>, Option<i64>);
    let rows = statement::<Row>(TEXT, &[Arg::Ints(accounts), Arg::Int(journal.0)]).load::<Values>(conn)?;
    let next = |(id, hold_us, lot_us, period_us): Values| {
        let next_us = [hold_us, lot_us, period_us].into_iter().flatten().fold(NEVER, i64::min);
        (next_us < NEVER).then_some((AccountId(id), next_us))
    };
    Ok(rows.into_iter().filter_map(next).collect())
}

/// What of these accounts' lots cannot be spent yet; those of which nothing is so are left out.
pub(crate) fn pending(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: &[i64],
    now_us: i64,
) -> Result<Vec<(AccountId, i64)>, StoreError> {
    const TEXT: &str = "SELECT q.id, l.pending FROM unnest(?) AS q(id) CROSS JOIN LATERAL \
        (SELECT sum(remaining - held)::bigint AS pending FROM journal.lot \
        WHERE journal = ? AND account = q.id AND activates_us > ? AND activates_us > 0 AND remaining > held) l WHERE l.pending > 0";
    let args = [Arg::Ints(accounts), Arg::Int(journal.0), Arg::Int(now_us)];
    let rows = statement::<(BigInt, BigInt)>(TEXT, &args).load::<(i64, i64)>(conn)?;
    Ok(rows.into_iter().map(|(id, pending)| (AccountId(id), pending)).collect())
}

/// A journal with something due, where it stands, and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DueJournal {
    pub(crate) journal: JournalId,
    pub(crate) seq: i64,
    pub(crate) now_us: i64,
}

/// The journals in which a hold or a lot has expired: one question, however many journals there are. `now_us` is the
/// database's time. Indexes by time and indexes by account are told apart by how a question is put (migration 15): else
/// either may be answered with the other's, by reading all of it.
pub(crate) fn due_journals(conn: &mut PgConnection, now_us: i64) -> Result<Vec<DueJournal>, StoreError> {
    const TEXT: &str = "SELECT h.journal, h.seq, h.now_us FROM \
        (SELECT journal, seq, greatest(last_us, clock_offset_us + ?) AS now_us FROM journal.head) h \
        WHERE EXISTS (SELECT FROM journal.hold o \
            WHERE o.journal + 0 = h.journal AND o.remaining + 0 > 0 AND o.expires_us + 0 <= h.now_us) \
        OR EXISTS (SELECT FROM journal.lot l \
            WHERE l.journal + 0 = h.journal AND l.remaining - l.held > 0 AND l.expires_us + 0 <= h.now_us)";
    let rows = statement::<(BigInt, BigInt, BigInt)>(TEXT, &[Arg::Int(now_us)]).load::<(i64, i64, i64)>(conn)?;
    let read = |(journal, seq, now_us)| DueJournal { journal: JournalId(journal), seq, now_us };
    Ok(rows.into_iter().map(read).collect())
}

/// Some accounts on which a hold or a lot has expired by then, the earliest first.
pub(crate) fn due_accounts(conn: &mut PgConnection, journal: JournalId, now_us: i64) -> Result<Vec<Uuid>, StoreError> {
    const TEXT: &str = "SELECT a.public_id FROM (SELECT id, min(due_us) AS due_us FROM ( \
        (SELECT debit AS id, expires_us AS due_us FROM journal.hold \
            WHERE journal + 0 = ? AND remaining + 0 > 0 AND expires_us + 0 <= ? ORDER BY expires_us + 0 LIMIT 500) UNION ALL \
        (SELECT account, expires_us FROM journal.lot \
            WHERE journal + 0 = ? AND remaining - held > 0 AND expires_us + 0 <= ? ORDER BY expires_us + 0 LIMIT 500)) due GROUP BY id) d \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = ? AND id = d.id LIMIT 1) a ORDER BY due_us";
    let (journal, now) = (Arg::Int(journal.0), Arg::Int(now_us));
    let args = [journal, now, journal, now, journal];
    let rows = statement::<(SqlUuid,)>(TEXT, &args).load::<(Uuid,)>(conn)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
