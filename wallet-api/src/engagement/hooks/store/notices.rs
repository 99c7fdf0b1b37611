//! Events that are none of the journal's, row by row: they are rare.

use diesel::prelude::*;
use uuid::Uuid;

use super::bulk::NewEvent;
use super::{hook_endpoint, hook_event};

/// The last ordinal taken at a seq.
pub(in super::super) fn last_ordinal(conn: &mut PgConnection, tenant: i64, seq: i64) -> QueryResult<Option<i32>> {
    let here = hook_event::tenant.eq(tenant).and(hook_event::seq.eq(seq));
    let last = hook_event::table.filter(here).order(hook_event::ordinal.desc()).select(hook_event::ordinal);
    last.first(conn).optional()
}

/// Keeps an event; false when its place is taken.
pub(in super::super) fn insert_event(conn: &mut PgConnection, tenant: i64, event: &NewEvent<'_>) -> QueryResult<bool> {
    let row = (
        hook_event::tenant.eq(tenant),
        hook_event::seq.eq(event.seq),
        hook_event::ordinal.eq(event.ordinal),
        hook_event::id.eq(event.id),
        hook_event::kind.eq(event.kind),
        hook_event::body.eq(event.body),
        hook_event::created_at.eq(event.created_at),
        hook_event::depth.eq(event.depth),
    );
    let inserted = diesel::insert_into(hook_event::table).values(row).on_conflict_do_nothing().execute(conn)?;
    Ok(inserted == 1)
}

/// Who is told something of `endpoint`, and whether in order: itself, or the others that listen to `kind`.
pub(in super::super) fn receivers(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    kind: &str,
    itself: bool,
) -> QueryResult<Vec<(Uuid, bool)>> {
    let enabled = hook_endpoint::tenant.eq(tenant).and(hook_endpoint::disabled_at.is_null());
    let columns = (hook_endpoint::id, hook_endpoint::ordered_skip.is_not_null());
    let rows = hook_endpoint::table.filter(enabled).select(columns);
    if itself {
        return rows.filter(hook_endpoint::id.eq(endpoint)).load(conn);
    }
    let listens = hook_endpoint::event_types.contains(vec![kind]).or(hook_endpoint::event_types.contains(vec!["*"]));
    rows.filter(hook_endpoint::id.ne(endpoint)).filter(listens).order(hook_endpoint::id).load(conn)
}

/// Notes that so many hooks led to an event's being told again, if that is more than led to it before.
pub(in super::super) fn deepen(conn: &mut PgConnection, tenant: i64, at: (i64, i32), depth: i16) -> QueryResult<()> {
    let row = hook_event::table.find((tenant, at.0, at.1)).filter(hook_event::depth.lt(depth));
    diesel::update(row).set(hook_event::depth.eq(depth)).execute(conn).map(drop)
}
