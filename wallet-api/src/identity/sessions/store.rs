//! SQL of the tables `session` and `refresh_token`; in [`operators`] what is operators' alone.

pub(super) mod operators;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::{End, IDLE, Issued, STAFF_IDLE, Session, Standing, THERE};
use crate::identity::devices::device;
use crate::identity::operators::operator;
use crate::identity::people::person;
use crate::platform::db::statement;
use crate::platform::keyring::{Actor, Person, Scope};

diesel::table! {
    session (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        person -> Nullable<Uuid>,
        device -> Nullable<Uuid>,
        operator -> Nullable<Uuid>,
        strict -> Nullable<Bool>,
        access_prefix -> Text,
        access_hash -> Binary,
        access_until -> Timestamptz,
        created_at -> Timestamptz,
        authenticated_at -> Timestamptz,
        by_password -> Bool,
        seen_at -> Timestamptz,
        until -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoked_for -> Nullable<SmallInt>,
    }
}

diesel::table! {
    refresh_token (tenant, session, number) {
        tenant -> BigInt,
        session -> Uuid,
        number -> Integer,
        prefix -> Text,
        hash -> Binary,
        until -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(session, refresh_token, device, person, operator);

/// How often it is noted that a session is used.
const NOTED_EVERY: TimeDelta = TimeDelta::seconds(30);

pub(super) struct NewSession {
    pub(super) id: Uuid,
    pub(super) person: Uuid,
    pub(super) device: Uuid,
    pub(super) until: DateTime<Utc>,
}

pub(super) fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    new: &NewSession,
    access: &Issued,
) -> QueryResult<()> {
    let theirs = device::table.find((tenant, new.device)).filter(device::person.eq(new.person));
    let is_theirs = diesel::select(diesel::dsl::exists(theirs.filter(device::revoked_at.is_null())));
    if !is_theirs.get_result::<bool>(conn)? {
        return Err(diesel::result::Error::NotFound);
    }
    let values = (
        session::tenant.eq(tenant),
        session::id.eq(new.id),
        session::person.eq(new.person),
        session::device.eq(new.device),
        session::access_prefix.eq(access.token.prefix()),
        session::access_hash.eq(access.token.hash().to_vec()),
        session::access_until.eq(access.until),
        session::created_at.eq(now),
        session::authenticated_at.eq(now),
        session::seen_at.eq(now),
        session::until.eq(new.until),
    );
    diesel::insert_into(session::table).values(values).execute(conn).map(drop)
}

pub(super) fn insert_refresh(
    conn: &mut PgConnection,
    tenant: i64,
    session: Uuid,
    number: i32,
    refresh: &Issued,
) -> QueryResult<()> {
    let values = (
        refresh_token::tenant.eq(tenant),
        refresh_token::session.eq(session),
        refresh_token::number.eq(number),
        refresh_token::prefix.eq(refresh.token.prefix()),
        refresh_token::hash.eq(refresh.token.hash().to_vec()),
        refresh_token::until.eq(refresh.until),
    );
    diesel::insert_into(refresh_token::table).values(values).execute(conn).map(drop)
}

/// A session whose access token lives, as whoever lets people in needs it.
pub(in crate::identity) struct Access {
    pub(in crate::identity) tenant: i64,
    pub(in crate::identity) hash: Vec<u8>,
    pub(in crate::identity) actor: Actor,
    pub(in crate::identity) scopes: &'static [Scope],
    pub(in crate::identity) is_noted: bool,
}

type AccessTypes = (Text, BigInt, SqlUuid, SqlUuid, BigInt, Binary, Timestamptz, Timestamptz);
type AccessRow = (String, i64, Uuid, Uuid, i64, Vec<u8>, DateTime<Utc>, DateTime<Utc>);

/// The sessions of access tokens by their prefixes, but for those of which something has ended: token, session, device or person.
pub(in crate::identity) fn find_access(
    conn: &mut PgConnection,
    prefixes: &[&str],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(String, Access)>> {
    // One look for each, however few rows there were when it was planned.
    const TEXT: &str = "SELECT s.access_prefix, s.tenant, s.id, p.id, p.number, s.access_hash, s.seen_at, s.authenticated_at \
        FROM unnest(?) AS asked (prefix) \
        CROSS JOIN LATERAL (SELECT * FROM session WHERE access_prefix = asked.prefix AND access_until > ? AND until > ? \
            AND revoked_at IS NULL LIMIT 1) s \
        CROSS JOIN LATERAL (SELECT FROM device WHERE tenant = s.tenant AND id = s.device AND revoked_at IS NULL LIMIT 1) d \
        CROSS JOIN LATERAL (SELECT id, number FROM person \
            WHERE tenant = s.tenant AND id = s.person AND closed_at IS NULL LIMIT 1) p";
    let (prefixes, now_sql) = (prefixes.into_sql::<Array<Text>>(), now.into_sql::<Timestamptz>());
    let rows = statement::<AccessTypes>(TEXT, &[&prefixes, &now_sql, &now_sql]).load::<AccessRow>(conn)?;
    let read = |(prefix, tenant, session, id, number, hash, seen_at, authenticated_at): AccessRow| {
        let is_there = now - seen_at <= IDLE && now - authenticated_at <= THERE;
        let scopes: &[Scope] = if is_there { &[Scope::Me, Scope::MeMoney] } else { &[Scope::Me] };
        let (actor, is_noted) = (Actor::Person(Person { id, number, session }), now - seen_at <= NOTED_EVERY);
        (prefix, Access { tenant, hash, actor, scopes, is_noted })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Notes that a session is used, while its person is there: who was away for too long is not there for asking again.
pub(in crate::identity) fn touch(
    conn: &mut PgConnection,
    tenant: i64,
    session: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let row = session::table.find((tenant, session)).filter(session::seen_at.lt(now - NOTED_EVERY));
    let there = row.filter(session::seen_at.ge(now - IDLE));
    let device: Option<Option<Uuid>> =
        diesel::update(there).set(session::seen_at.eq(now)).returning(session::device).get_result(conn).optional()?;
    let Some(Some(device)) = device else { return Ok(()) };
    diesel::update(device::table.find((tenant, device))).set(device::last_seen_at.eq(now)).execute(conn).map(drop)
}

/// A refresh token with its session, which is locked.
pub(super) struct Found {
    pub(super) tenant: i64,
    pub(super) session: Uuid,
    /// Whose; none of an operator's.
    pub(super) person: Option<Uuid>,
    /// Of an operator's: whether it is a strict one.
    pub(super) operators: Option<bool>,
    pub(super) access_prefix: String,
    pub(super) until: DateTime<Utc>,
    pub(super) hash: [u8; 32],
    pub(super) used_at: Option<DateTime<Utc>>,
    /// Of the session's device, if it has a key.
    pub(super) thumbprint: Option<[u8; 32]>,
    /// The number of the session's newest token.
    pub(super) last: i32,
    number: i32,
    token_until: DateTime<Utc>,
    is_ended: bool,
}

impl Found {
    pub(super) fn lives_at(&self, now: DateTime<Utc>) -> bool {
        !self.is_ended && now < self.until && now < self.token_until
    }

    pub(super) fn is_last_but_one(&self) -> bool {
        self.number.checked_add(1) == Some(self.last)
    }
}

pub(super) fn lock_refresh(conn: &mut PgConnection, prefix: &str, now: DateTime<Utc>) -> QueryResult<Option<Found>> {
    let key = refresh_token::table.filter(refresh_token::prefix.eq(prefix));
    let Some((tenant, id)) =
        key.select((refresh_token::tenant, refresh_token::session)).first::<(i64, Uuid)>(conn).optional()?
    else {
        return Ok(None);
    };
    // First the session, so that two uses of one token come one after the other; then how the token is by then.
    type SessionRow =
        (Option<Uuid>, Option<Uuid>, Option<bool>, DateTime<Utc>, String, DateTime<Utc>, Option<DateTime<Utc>>);
    let columns = (
        session::person,
        session::device,
        session::strict,
        session::seen_at,
        session::access_prefix,
        session::until,
        session::revoked_at,
    );
    let (person, device, operators, seen_at, access_prefix, until, revoked_at): SessionRow =
        session::table.find((tenant, id)).select(columns).for_update().first(conn)?;
    let columns = (refresh_token::number, refresh_token::hash, refresh_token::until, refresh_token::used_at);
    type TokenRow = (i32, Vec<u8>, DateTime<Utc>, Option<DateTime<Utc>>);
    let (number, hash, token_until, used_at): TokenRow = key.select(columns).first(conn)?;
    let all = refresh_token::table.filter(refresh_token::tenant.eq(tenant).and(refresh_token::session.eq(id)));
    let last: Option<i32> = all.select(diesel::dsl::max(refresh_token::number)).first(conn)?;
    type DeviceRow = (Option<Vec<u8>>, Option<DateTime<Utc>>);
    let (thumbprint, device_revoked_at): DeviceRow = match device {
        Some(device) => {
            device::table.find((tenant, device)).select((device::thumbprint, device::revoked_at)).first(conn)?
        }
        None => (None, None),
    };
    // An operator's session ends with those of one who leaves; here it ends when nothing was asked.
    let is_idle = operators.is_some() && seen_at < now - STAFF_IDLE;
    Ok(Some(Found {
        tenant,
        session: id,
        person,
        operators,
        access_prefix,
        until,
        hash: crate::identity::store::bytes32(hash)?,
        used_at,
        thumbprint: thumbprint.map(crate::identity::store::bytes32).transpose()?,
        last: last.unwrap_or(number),
        number,
        token_until,
        is_ended: revoked_at.is_some() || device_revoked_at.is_some() || is_idle,
    }))
}

/// Whatever refresh token of the session is not used counts as used from now on.
pub(super) fn use_up(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, session: Uuid) -> QueryResult<()> {
    let theirs = refresh_token::table.filter(refresh_token::tenant.eq(tenant).and(refresh_token::session.eq(session)));
    let unused = theirs.filter(refresh_token::used_at.is_null());
    diesel::update(unused).set(refresh_token::used_at.eq(now)).execute(conn).map(drop)
}

pub(super) fn set_access(conn: &mut PgConnection, tenant: i64, id: Uuid, access: &Issued) -> QueryResult<()> {
    let values = (
        session::access_prefix.eq(access.token.prefix()),
        session::access_hash.eq(access.token.hash().to_vec()),
        session::access_until.eq(access.until),
    );
    diesel::update(session::table.find((tenant, id))).set(values).execute(conn).map(drop)
}

pub(super) fn standing(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Standing>> {
    let row = session::table.find((tenant, id)).filter(session::revoked_at.is_null());
    // People's have a device, operators' none.
    let row = row.filter(session::device.is_not_null());
    let found: Option<(Uuid, DateTime<Utc>)> =
        row.select((session::device.assume_not_null(), session::authenticated_at)).first(conn).optional()?;
    Ok(found.map(|(device, authenticated_at)| Standing { device, authenticated_at }))
}

pub(super) fn confirm(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, id: Uuid) -> QueryResult<()> {
    let row = session::table.find((tenant, id)).filter(session::revoked_at.is_null());
    diesel::update(row).set((session::authenticated_at.eq(now), session::seen_at.eq(now))).execute(conn).map(drop)
}

pub(super) fn end(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, id: Uuid, why: End) -> QueryResult<()> {
    let row = session::table.find((tenant, id)).filter(session::revoked_at.is_null());
    diesel::update(row).set(ended(now, why)).execute(conn).map(drop)
}

pub(super) fn end_of(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    person: Uuid,
    id: Uuid,
    why: End,
) -> QueryResult<Option<String>> {
    let row = session::table.find((tenant, id)).filter(session::person.eq(person).and(session::revoked_at.is_null()));
    diesel::update(row).set(ended(now, why)).returning(session::access_prefix).get_result(conn).optional()
}

pub(super) fn end_of_device(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    device: Uuid,
    why: End,
) -> QueryResult<Vec<String>> {
    let there = session::table.filter(session::tenant.eq(tenant).and(session::device.eq(device)));
    let rows = there.filter(session::revoked_at.is_null());
    diesel::update(rows).set(ended(now, why)).returning(session::access_prefix).get_results(conn)
}

pub(super) fn end_others(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    person: Uuid,
    keep: Option<Uuid>,
    why: End,
) -> QueryResult<Vec<String>> {
    let theirs = session::table.filter(session::tenant.eq(tenant).and(session::person.eq(person)));
    let rows = theirs.filter(session::revoked_at.is_null().and(session::id.ne(keep.unwrap_or(Uuid::nil()))));
    diesel::update(rows).set(ended(now, why)).returning(session::access_prefix).get_results(conn)
}

#[derive(AsChangeset)]
#[diesel(table_name = session)]
struct Ended {
    revoked_at: DateTime<Utc>,
    revoked_for: i16,
}

const fn ended(now: DateTime<Utc>, why: End) -> Ended {
    Ended { revoked_at: now, revoked_for: why.number() }
}

type Row = (Uuid, Uuid, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);

/// Session, person and device, of those that live.
pub(super) fn devices_of(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    ids: &[Uuid],
) -> QueryResult<Vec<(Uuid, Uuid, Uuid)>> {
    session::table
        .filter(session::tenant.eq(tenant).and(session::id.eq_any(ids)))
        .filter(session::revoked_at.is_null().and(session::until.gt(now)))
        .filter(session::person.is_not_null().and(session::device.is_not_null()))
        .select((session::id, session::person.assume_not_null(), session::device.assume_not_null()))
        .load(conn)
}

pub(super) fn living(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    person: Uuid,
) -> QueryResult<Vec<Session>> {
    let rows: Vec<Row> = session::table
        .filter(session::tenant.eq(tenant).and(session::person.eq(person)))
        .filter(session::revoked_at.is_null().and(session::until.gt(now)))
        .order((session::created_at.desc(), session::id))
        .select((session::id, session::device.assume_not_null(), session::created_at, session::seen_at, session::until))
        .load(conn)?;
    let read = |(id, device, created_at, seen_at, until): Row| Session { id, device, created_at, seen_at, until };
    Ok(rows.into_iter().map(read).collect())
}
