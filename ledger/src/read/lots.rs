//! Lots of an account, a page at a time, in the order they are spent: as they stand now, by the clock and not by who has
//! swept. What is due is taken off by the same pure rules that the next batch will use.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::dues::now_us;
use super::snapshot::in_snapshot;
use super::standing::{Standing as AccountStanding, standings};
use crate::apply::Standing;
use crate::bind::{Arg, statement};
use crate::history::History;
use crate::store::{StoreError, accounts_by_public_id, ranges};
use crate::{AssetId, JournalId, Lot, NEVER, probe};

/// Which lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LotFilter {
    /// Only those that something is left of.
    pub open: bool,
    /// Only those worth nothing from a moment before this one on, microseconds since 1970.
    pub expiring_before_us: Option<i64>,
    /// Only those earned by this campaign.
    pub campaign: Option<Uuid>,
}

/// A lot, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LotStanding {
    /// Under which dates it was earned, and at which cost.
    pub lot: Lot,
    /// What is left of it.
    pub remaining: i64,
    /// The part that holds have pinned.
    pub held: i64,
    /// It cannot be spent yet.
    pub pending: bool,
}

/// A page of lots. There may be fewer than were asked for and still more to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotPage {
    /// What they are of.
    pub asset: AssetId,
    /// In the order they are spent.
    pub lots: Vec<LotStanding>,
    /// The last one looked at, when there are more.
    pub next: Option<Lot>,
}

/// The next lots of an account after `after`; none when there is no such account.
///
/// # Errors
/// [`StoreError`].
pub fn lots(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    filter: LotFilter,
    after: Option<Lot>,
    limit: usize,
) -> Result<Option<LotPage>, StoreError> {
    // One snapshot: rows and what is due on them belong together.
    in_snapshot(conn, |conn| page(conn, history, journal, account, filter, after, limit))
}

fn page(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    filter: LotFilter,
    after: Option<Lot>,
    limit: usize,
) -> Result<Option<LotPage>, StoreError> {
    let Some(mut account) = accounts_by_public_id(conn, journal, &[account])?.pop() else { return Ok(None) };
    let (Some(now_us), Some(edge)) = (now_us(conn, journal)?, ranges::edge(conn, journal)?) else { return Ok(None) };
    let stands = standings(conn, history, journal, edge, &[account.id.0], edge.head)?.pop().unwrap_or_default();
    let AccountStanding { balance, held, version } = stands;
    (account.balance, account.held, account.version) = (balance, held, version);
    let (id, asset) = (account.id.0, account.asset);
    let due = probe::count_due_lots(conn, journal, account, now_us)?;
    let mut found = rows(conn, journal, (id, now_us), filter, after, limit.saturating_add(1))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|(lot, _)| *lot).filter(|_| more);
    let stands = found.into_iter().map(|(lot, stored)| stand(lot, stored, &due, now_us));
    let lots = stands.filter(|one| !filter.open || one.remaining > 0).collect();
    Ok(Some(LotPage { asset, lots, next }))
}

fn stand(lot: Lot, stored: Standing, due: &BTreeMap<Lot, Standing>, now_us: i64) -> LotStanding {
    let change = due.get(&lot).copied().unwrap_or_default();
    let held = stored.held.saturating_add(change.held);
    let remaining = stored.remaining.saturating_add(change.remaining);
    // Of more lots than are taken off at once, too.
    let remaining = if lot.expires_us <= now_us { held } else { remaining };
    LotStanding { lot, remaining, held, pending: lot.activates_us > now_us }
}

fn rows(
    conn: &mut PgConnection,
    journal: JournalId,
    (account, now_us): (i64, i64),
    filter: LotFilter,
    after: Option<Lot>,
    limit: usize,
) -> Result<Vec<(Lot, Standing)>, StoreError> {
    const OPEN: &str = "SELECT expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held FROM journal.lot \
        WHERE journal = ? AND account = ? AND remaining > 0 AND (expires_us > ? OR held > 0) AND expires_us <= ? \
        AND coalesce(campaign = ?, true) \
        AND (expires_us, earned_day, activates_us, campaign, unit_cost) > (?, ?, ?, ?, ?) \
        ORDER BY expires_us, earned_day, activates_us, campaign, unit_cost LIMIT ?";
    const ALL: &str = "SELECT expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held FROM journal.lot \
        WHERE journal = ? AND account = ? AND expires_us > ? AND expires_us <= ? AND coalesce(campaign = ?, true) \
        AND (expires_us, earned_day, activates_us, campaign, unit_cost) > (?, ?, ?, ?, ?) \
        ORDER BY expires_us, earned_day, activates_us, campaign, unit_cost LIMIT ?";
    type Row = (BigInt, Integer, BigInt, SqlUuid, BigInt, BigInt, BigInt);
    type Values = (i64, i32, i64, Uuid, i64, i64, i64);
    let first = Lot { expires_us: i64::MIN, earned_day: 0, activates_us: 0, campaign: Uuid::nil(), unit_cost: 0 };
    let after = after.unwrap_or(first);
    let args = [
        Arg::Int(journal.0),
        Arg::Int(account),
        Arg::Int(if filter.open { now_us } else { i64::MIN }),
        Arg::Int(filter.expiring_before_us.map_or(NEVER, |us| us.saturating_sub(1))),
        Arg::OptionUuid(filter.campaign),
        Arg::Int(after.expires_us),
        Arg::Int4(after.earned_day),
        Arg::Int(after.activates_us),
        Arg::Uuid(after.campaign),
        Arg::Int(after.unit_cost),
        Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
    ];
    let text = if filter.open { OPEN } else { ALL };
    let read = |(expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held): Values| {
        let lot = Lot { expires_us, earned_day, activates_us, campaign, unit_cost };
        (lot, Standing { remaining, held })
    };
    Ok(statement::<Row>(text, &args).load::<Values>(conn)?.into_iter().map(read).collect())
}
