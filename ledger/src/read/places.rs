//! Where an account's rows are: by heart in open ranges, written down in closed ones, by index in the first range until it
//! is closed too. Whatever tells it, what is answered is a place, and the row itself is read by its key.

use diesel::sql_types::{BigInt, Integer};
use diesel::{PgConnection, RunQueryDsl};

use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::history::{History, Packed, Place};
use crate::store::StoreError;
use crate::store::ranges::{self, Edge};

/// A place that no row is before.
const START: Place = Place { seq: 0, leg: 0 };

/// The newest row of each account that is not after `at`, in their order.
pub(super) fn newest(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    at: i64,
) -> Result<Vec<Option<Place>>, StoreError> {
    let (edge, mut all) = newest_open(conn, history, journal, edge, ids, at)?;
    let missing: Vec<(usize, i64)> = all
        .iter()
        .zip(ids)
        .enumerate()
        .filter(|(_, (place, _))| place.is_none())
        .map(|(n, (_, id))| (n, *id))
        .collect();
    let ids: Vec<i64> = missing.iter().map(|(_, id)| *id).collect();
    let at = at.min(edge.indexed());
    let found = match edge.closed {
        _ if ids.is_empty() => Vec::new(),
        0.. => newest_closed(conn, journal, &ids, at)?,
        _ => newest_indexed(conn, journal, &ids, at)?,
    };
    for (number, place) in found {
        let slot = usize::try_from(number).ok().and_then(|number| missing.get(number));
        if let Some(slot) = slot.and_then(|(number, _)| all.get_mut(*number)) {
            *slot = Some(place);
        }
    }
    Ok(all)
}

/// Of each account its newest row in the open ranges; none when these begin past `from`, so that rows after it would be
/// missing.
pub(super) fn newest_since(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    from: i64,
) -> Result<Option<Vec<Option<Place>>>, StoreError> {
    let (edge, places) = newest_open(conn, history, journal, edge, ids, edge.head)?;
    Ok((from >= edge.indexed()).then_some(places))
}

/// Of each account its newest row in the open ranges that is not after `at`, and the edge they begin behind.
fn newest_open(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    at: i64,
) -> Result<(Edge, Vec<Option<Place>>), StoreError> {
    if at <= edge.indexed() {
        return Ok((edge, vec![None; ids.len()]));
    }
    let ask = |id: &i64, known: &crate::history::Open<'_>| known.newest(*id, at);
    let known =
        history.with(conn, journal, edge, |known| (known.after(), ids.iter().map(|id| ask(id, known)).collect()))?;
    match known {
        Some((after, places)) => match seen(conn, journal, edge, after)? {
            Some(edge) => Ok((edge, places)),
            None => Ok((edge, newest_by_looking(conn, journal, edge.indexed(), ids, at)?)),
        },
        None => Ok((edge, newest_by_looking(conn, journal, edge.indexed(), ids, at)?)),
    }
}

/// The edge, or a later one, that this session sees and that reaches up to `after`: whoever keeps the history may have seen
/// a range closed that a snapshot of this session has not.
fn seen(conn: &mut PgConnection, journal: JournalId, edge: Edge, after: i64) -> Result<Option<Edge>, StoreError> {
    if after <= edge.indexed() {
        return Ok(Some(edge));
    }
    Ok(ranges::edge(conn, journal)?.filter(|now| now.indexed() >= after))
}

/// By reading all of the open ranges, when they are too much to keep in mind.
fn newest_by_looking(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    ids: &[i64],
    at: i64,
) -> Result<Vec<Option<Place>>, StoreError> {
    const TEXT: &str = "SELECT DISTINCT ON (account) account, seq, leg FROM ( \
        SELECT debit AS account, seq, leg FROM journal.transfer \
        WHERE journal = ? AND seq > ? AND seq <= ? AND debit = ANY(?) \
        UNION ALL SELECT credit, seq, leg FROM journal.transfer \
        WHERE journal = ? AND seq > ? AND seq <= ? AND credit = ANY(?)) sides ORDER BY account, seq DESC, leg DESC";
    let (journal, after, at, accounts) = (Arg::Int(journal.0), Arg::Int(after), Arg::Int(at), Arg::Ints(ids));
    let args = [journal, after, at, accounts, journal, after, at, accounts];
    let rows = statement::<(BigInt, BigInt, Integer)>(TEXT, &args).load::<(i64, i64, i32)>(conn)?;
    let found = |id: &i64| {
        let place = rows.binary_search_by_key(id, |(account, ..)| *account).ok()?;
        rows.get(place).map(|(_, seq, leg)| Place { seq: *seq, leg: *leg })
    };
    Ok(ids.iter().map(found).collect())
}

/// By what was written down: in the chunk that reaches past `at` what is not after it, else the end of the one before.
fn newest_closed(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[i64],
    at: i64,
) -> Result<Vec<(i64, Place)>, StoreError> {
    const TEXT: &str = "SELECT q.number - 1, f.place FROM unnest(?) WITH ORDINALITY AS q(id, number) CROSS JOIN LATERAL \
        (SELECT coalesce( \
            (SELECT max(one) FROM (SELECT places FROM journal.places \
                WHERE journal = ? AND account = q.id AND upto >= ? ORDER BY upto LIMIT 1) c, unnest(c.places) AS one \
             WHERE one < ?), \
            (SELECT upto FROM journal.places \
             WHERE journal = ? AND account = q.id AND upto < ? ORDER BY upto DESC LIMIT 1)) AS place OFFSET 0) f \
        WHERE f.place IS NOT NULL";
    let (journal, end) = (Arg::Int(journal.0), Arg::Int(Packed::after(at).0));
    let args = [Arg::Ints(ids), journal, end, end, journal, end];
    let rows = statement::<(BigInt, BigInt)>(TEXT, &args).load::<(i64, i64)>(conn)?;
    Ok(rows.into_iter().map(|(number, place)| (number, Packed(place).place())).collect())
}

/// By the indexes of the first range.
fn newest_indexed(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[i64],
    at: i64,
) -> Result<Vec<(i64, Place)>, StoreError> {
    const TEXT: &str = "SELECT q.number - 1, t.seq, t.leg FROM unnest(?) WITH ORDINALITY AS q(id, number) CROSS JOIN LATERAL \
        (SELECT * FROM ( \
        (SELECT seq, leg FROM journal.transfer WHERE journal = ? AND debit = q.id AND seq <= ? \
         ORDER BY seq DESC, leg DESC LIMIT 1) \
        UNION ALL \
        (SELECT seq, leg FROM journal.transfer WHERE journal = ? AND credit = q.id AND seq <= ? \
         ORDER BY seq DESC, leg DESC LIMIT 1)) sides ORDER BY seq DESC, leg DESC LIMIT 1) t";
    let (journal, at) = (Arg::Int(journal.0), Arg::Int(at));
    let args = [Arg::Ints(ids), journal, at, journal, at];
    let rows = statement::<(BigInt, BigInt, Integer)>(TEXT, &args).load::<(i64, i64, i32)>(conn)?;
    Ok(rows.into_iter().map(|(number, seq, leg)| (number, Place { seq, leg })).collect())
}

/// The newest `limit` rows of an account before a place and after a seq, newest first.
pub(super) fn before(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: i64,
    (after, before): (i64, Place),
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    let (edge, mut places) = open_before(conn, history, journal, edge, account, before, limit)?;
    places.retain(|place| place.seq > after);
    let missing = limit.saturating_sub(places.len());
    // Where the open ranges had enough, or ended the stretch, the rest need not be asked.
    if missing > 0 && after < edge.indexed() {
        let end = before.min(Place { seq: edge.indexed().saturating_add(1), leg: 0 });
        let (start, end) =
            (Packed::after(after.max(-1)), Packed::of(end.max(START)).unwrap_or(Packed::after(i64::MAX)));
        places.extend(match edge.closed {
            0.. => closed_before(conn, journal, account, start, end, missing)?,
            _ => indexed_before(conn, journal, account, after, end.place(), missing)?,
        });
    }
    Ok(places)
}

fn open_before(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: i64,
    before: Place,
    limit: usize,
) -> Result<(Edge, Vec<Place>), StoreError> {
    if before.seq <= edge.indexed() {
        return Ok((edge, Vec::new()));
    }
    let known = history.with(conn, journal, edge, |known| (known.after(), known.before(account, before, limit)))?;
    if let Some((after, places)) = known
        && let Some(edge) = seen(conn, journal, edge, after)?
    {
        return Ok((edge, places));
    }
    const TEXT: &str = "SELECT seq, leg FROM journal.transfer WHERE journal = ? AND seq > ? AND seq <= ? \
        AND (seq, leg) < (?, ?) AND (debit = ? OR credit = ?) ORDER BY seq DESC, leg DESC LIMIT ?";
    let (id, seq, leg) = (Arg::Int(account), Arg::Int(before.seq), Arg::Int4(before.leg));
    let args = [Arg::Int(journal.0), Arg::Int(edge.indexed()), seq, seq, leg, id, id, Arg::Int(count(limit))];
    let rows = statement::<(BigInt, Integer)>(TEXT, &args).load::<(i64, i32)>(conn)?;
    Ok((edge, rows.into_iter().map(|(seq, leg)| Place { seq, leg }).collect()))
}

/// From the chunk that reaches up to `end` and those before it: first as many as are enough where chunks are full, then as
/// many as can be needed.
fn closed_before(
    conn: &mut PgConnection,
    journal: JournalId,
    account: i64,
    start: Packed,
    end: Packed,
    missing: usize,
) -> Result<Vec<Place>, StoreError> {
    const TEXT: &str = "SELECT one FROM ( \
        (SELECT places FROM journal.places WHERE journal = ? AND account = ? AND upto >= ? ORDER BY upto LIMIT 1) \
        UNION ALL \
        (SELECT places FROM journal.places WHERE journal = ? AND account = ? AND upto < ? AND upto >= ? \
         ORDER BY upto DESC LIMIT ?)) c, unnest(c.places) AS one \
        WHERE one < ? AND one >= ? ORDER BY one DESC LIMIT ?";
    let (number, account, most) = (Arg::Int(journal.0), Arg::Int(account), Arg::Int(count(missing)));
    let (start, end) = (Arg::Int(start.0), Arg::Int(end.0));
    let mut places = Vec::new();
    for chunks in [2, count(missing)] {
        let args = [number, account, end, number, account, end, start, Arg::Int(chunks), end, start, most];
        let rows = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
        places = rows.into_iter().map(|(place,)| Packed(place).place()).collect();
        if places.len() >= missing {
            break;
        }
    }
    Ok(places)
}

fn indexed_before(
    conn: &mut PgConnection,
    journal: JournalId,
    account: i64,
    after: i64,
    end: Place,
    missing: usize,
) -> Result<Vec<Place>, StoreError> {
    const TEXT: &str = "SELECT * FROM ( \
        (SELECT seq, leg FROM journal.transfer WHERE journal = ? AND debit = ? AND seq > ? AND seq <= ? \
         AND (seq, leg) < (?, ?) ORDER BY seq DESC, leg DESC LIMIT ?) \
        UNION ALL \
        (SELECT seq, leg FROM journal.transfer WHERE journal = ? AND credit = ? AND seq > ? AND seq <= ? \
         AND (seq, leg) < (?, ?) ORDER BY seq DESC, leg DESC LIMIT ?)) sides ORDER BY seq DESC, leg DESC LIMIT ?";
    let (most, seq) = (Arg::Int(count(missing)), Arg::Int(end.seq));
    let side = [Arg::Int(journal.0), Arg::Int(account), Arg::Int(after), seq, seq, Arg::Int4(end.leg), most];
    let args: Vec<_> = side.into_iter().chain(side).chain([most]).collect();
    let rows = statement::<(BigInt, Integer)>(TEXT, &args).load::<(i64, i32)>(conn)?;
    Ok(rows.into_iter().map(|(seq, leg)| Place { seq, leg }).collect())
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
