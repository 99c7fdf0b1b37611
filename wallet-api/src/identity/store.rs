//! SQL of the tables `tenant` and `api_key`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use diesel::sql_types::{BigInt, Binary, Bool, Text, Timestamptz};
use uuid::Uuid;

use super::operators::operator;
use super::{NewKey, NewTenant, operators, sessions};
use crate::platform::keyring::{Actor, Caller, Directory, Kind, Name, Scope, Tenant, TenantSecret, Token, TokenRecord};
use crate::platform::text::Lang;

diesel::table! {
    tenant (id) {
        id -> BigInt,
        slug -> Text,
        name -> Text,
        sandbox -> Bool,
        zone -> Text,
        locale -> Text,
        secret -> Binary,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    api_key (tenant, id) {
        tenant -> BigInt,
        id -> BigInt,
        client -> BigInt,
        prefix -> Text,
        hash -> Binary,
        scopes -> Array<Text>,
        name -> Text,
        created_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        created_by -> Nullable<Uuid>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tenant, api_key, operator);

#[derive(Queryable, Selectable)]
#[diesel(table_name = tenant)]
struct TenantRow {
    id: i64,
    slug: String,
    name: String,
    sandbox: bool,
    zone: String,
    locale: String,
    secret: Vec<u8>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_key)]
struct KeyRow {
    id: i64,
    client: i64,
    hash: Vec<u8>,
    scopes: Vec<String>,
}

/// None when the slug is taken.
pub(super) fn insert_tenant(
    conn: &mut PgConnection,
    wish: &NewTenant,
    secret: &[u8; 32],
    now: DateTime<Utc>,
) -> QueryResult<Option<i64>> {
    diesel::insert_into(tenant::table)
        .values((
            tenant::slug.eq(&wish.slug),
            tenant::name.eq(&wish.name),
            tenant::sandbox.eq(wish.sandbox),
            tenant::zone.eq(wish.zone.name()),
            tenant::locale.eq(wish.locale.tag()),
            tenant::secret.eq(secret.as_slice()),
            tenant::created_at.eq(now),
        ))
        .on_conflict(tenant::slug)
        .do_nothing()
        .returning(tenant::id)
        .get_result(conn)
        .optional()
}

/// Adds a tenant under a number it had elsewhere; the numbers after it are given out from there. False when the number or the
/// slug is taken. Needs the owner of the tables.
pub(super) fn insert_numbered(
    conn: &mut PgConnection,
    number: i64,
    wish: &NewTenant,
    secret: &[u8; 32],
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    const INSERT: &str = "INSERT INTO tenant (id, slug, name, sandbox, zone, locale, secret, created_at) \
        OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    const NEXT: &str = "SELECT setval(pg_get_serial_sequence('tenant', 'id'), (SELECT max(id) FROM tenant))";
    let added = diesel::sql_query(INSERT)
        .bind::<BigInt, _>(number)
        .bind::<Text, _>(&wish.slug)
        .bind::<Text, _>(&wish.name)
        .bind::<Bool, _>(wish.sandbox)
        .bind::<Text, _>(wish.zone.name())
        .bind::<Text, _>(wish.locale.tag())
        .bind::<Binary, _>(secret.as_slice())
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    diesel::sql_query(NEXT).execute(conn)?;
    Ok(added == 1)
}

pub(super) fn tenant_by_slug(conn: &mut PgConnection, slug: &str) -> QueryResult<Option<Tenant>> {
    let row = tenant::table.filter(tenant::slug.eq(slug)).select(TenantRow::as_select()).first(conn).optional()?;
    row.map(TenantRow::into_tenant).transpose()
}

pub(super) fn tenants(conn: &mut PgConnection) -> QueryResult<Vec<Tenant>> {
    let rows = tenant::table.order(tenant::id).select(TenantRow::as_select()).load(conn)?;
    rows.into_iter().map(TenantRow::into_tenant).collect()
}

pub(super) fn client_exists(conn: &mut PgConnection, tenant: i64, client: i64) -> QueryResult<bool> {
    let keys = api_key::table.filter(api_key::tenant.eq(tenant).and(api_key::client.eq(client)));
    diesel::select(diesel::dsl::exists(keys)).get_result(conn)
}

/// Gives the key's id and its client.
pub(super) fn insert_key(
    conn: &mut PgConnection,
    (wish, operator): (&NewKey, Option<Uuid>),
    key: &Token,
    now: DateTime<Utc>,
) -> QueryResult<(i64, i64)> {
    let scopes: Vec<_> = wish.scopes.iter().map(|scope| scope.word()).collect();
    diesel::insert_into(api_key::table)
        .values((
            api_key::tenant.eq(wish.tenant),
            wish.client.map(|client| api_key::client.eq(client)), // without one the table counts on
            api_key::prefix.eq(key.prefix()),
            api_key::hash.eq(key.hash().to_vec()),
            api_key::scopes.eq(scopes),
            api_key::name.eq(&wish.name),
            api_key::created_at.eq(now),
            api_key::created_by.eq(operator),
        ))
        .returning((api_key::id, api_key::client))
        .get_result(conn)
}

/// False when the tenant has no key with this prefix that is in force. The first end stays on record.
pub(super) fn revoke_key(conn: &mut PgConnection, tenant: i64, prefix: &str, now: DateTime<Utc>) -> QueryResult<bool> {
    let key = api_key::table.filter(api_key::tenant.eq(tenant).and(api_key::prefix.eq(prefix)));
    let in_force = key.filter(api_key::revoked_at.is_null());
    diesel::update(in_force).set(api_key::revoked_at.eq(now)).execute(conn).map(|ended| ended > 0)
}

/// What each of a client's keys may that is in force.
pub(super) fn scopes_of_client(conn: &mut PgConnection, tenant: i64, client: i64) -> QueryResult<Vec<Vec<String>>> {
    let keys = api_key::table.filter(api_key::tenant.eq(tenant).and(api_key::client.eq(client)));
    keys.filter(api_key::revoked_at.is_null()).select(api_key::scopes).load(conn)
}

pub(super) fn key_exists(conn: &mut PgConnection, tenant: i64, prefix: &str) -> QueryResult<bool> {
    let key = api_key::table.filter(api_key::tenant.eq(tenant).and(api_key::prefix.eq(prefix)));
    diesel::select(diesel::dsl::exists(key)).get_result(conn)
}

/// The prefixes of an operator's keys that nobody has ended, oldest first.
pub(super) fn keys_of(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> QueryResult<Vec<String>> {
    let keys = api_key::table.filter(api_key::tenant.eq(tenant).and(api_key::created_by.eq(operator)));
    keys.filter(api_key::revoked_at.is_null()).order(api_key::id).select(api_key::prefix).load(conn)
}

/// The keyring's directory over these tables.
pub(super) struct Keys;

impl Directory for Keys {
    fn find(
        &self,
        conn: &mut PgConnection,
        names: &[Name],
        now: DateTime<Utc>,
    ) -> QueryResult<HashMap<Name, TokenRecord>> {
        // Of other kinds a token is good for what comes next, and for nothing else.
        let of = |kind| names.iter().filter(move |name| name.0 == kind).map(|(_, prefix)| prefix.as_str());
        let accesses: Vec<_> = of(Kind::Access).collect();
        let mut found = find_sessions(conn, &accesses, now)?;
        for prefix in accesses {
            if !found.contains_key(prefix)
                && let Some(record) = find_operator(conn, prefix, now)?
            {
                found.insert(prefix.to_owned(), record);
            }
        }
        let mut all: HashMap<_, _> =
            found.into_iter().map(|(prefix, record)| ((Kind::Access, prefix), record)).collect();
        for prefix in of(Kind::Key) {
            all.extend(find_key(conn, prefix)?.map(|record| ((Kind::Key, prefix.to_owned()), record)));
        }
        Ok(all)
    }

    fn touch(&self, conn: &mut PgConnection, token: &TokenRecord, now: DateTime<Utc>) -> QueryResult<()> {
        let tenant = token.caller.tenant.id;
        match token.caller.actor {
            Actor::Client(_) => touch_key(conn, tenant, token.key, now),
            Actor::Person(person) => sessions::touch(conn, tenant, person.session, now),
            Actor::Operator(operator) => sessions::touch_operator(conn, tenant, operator.session, now),
        }
    }
}

/// A key in force. One that belongs to an operator is, as long as they have not left.
fn find_key(conn: &mut PgConnection, prefix: &str) -> QueryResult<Option<TokenRecord>> {
    let theirs = operator::tenant.eq(api_key::tenant).and(operator::id.nullable().eq(api_key::created_by));
    let row: Option<(KeyRow, TenantRow, Option<i64>)> = api_key::table
        .inner_join(tenant::table.on(tenant::id.eq(api_key::tenant)))
        .left_join(operator::table.on(theirs))
        .filter(api_key::prefix.eq(prefix).and(api_key::revoked_at.is_null()))
        .filter(operator::closed_at.is_null()) // as it is of nobody, too
        .select((KeyRow::as_select(), TenantRow::as_select(), operator::number.nullable()))
        .first(conn)
        .optional()?;
    row.map(|(key, tenant, operator)| key.into_record(tenant.into_tenant()?, operator)).transpose()
}

/// People's sessions, by the prefixes of their access tokens.
fn find_sessions(
    conn: &mut PgConnection,
    prefixes: &[&str],
    now: DateTime<Utc>,
) -> QueryResult<HashMap<String, TokenRecord>> {
    if prefixes.is_empty() {
        return Ok(HashMap::new());
    }
    let found = sessions::find_access(conn, prefixes, now)?;
    let ids: HashSet<i64> = found.iter().map(|(_, access)| access.tenant).collect();
    let rows: Vec<TenantRow> =
        tenant::table.filter(tenant::id.eq_any(ids)).select(TenantRow::as_select()).load(conn)?;
    let tenants = rows.into_iter().map(|row| row.into_tenant().map(|tenant| (tenant.id, Arc::new(tenant))));
    let tenants: HashMap<_, _> = tenants.collect::<QueryResult<_>>()?;
    let record = |(prefix, access): (String, sessions::Access)| {
        let tenant = Arc::clone(tenants.get(&access.tenant).ok_or(diesel::result::Error::NotFound)?);
        let caller = Caller::new(tenant, access.actor, access.scopes);
        Ok((prefix, TokenRecord { hash: bytes32(access.hash)?, key: 0, caller, is_noted: access.is_noted }))
    };
    found.into_iter().map(record).collect()
}

fn find_operator(conn: &mut PgConnection, prefix: &str, now: DateTime<Utc>) -> QueryResult<Option<TokenRecord>> {
    let Some(access) = sessions::find_operator_access(conn, prefix, now)? else { return Ok(None) };
    let tenant: TenantRow = tenant::table.find(access.tenant).select(TenantRow::as_select()).first(conn)?;
    let tenant = tenant.into_tenant()?;
    let rights = operators::rights(conn, tenant.id, access.operator.id, now, tenant.zone)?;
    let rights = if access.by_password { rights.of_password() } else { rights };
    let caller = Caller::of_operator(Arc::new(tenant), access.operator, rights);
    Ok(Some(TokenRecord { hash: bytes32(access.hash)?, key: 0, caller, is_noted: false }))
}

fn touch_key(conn: &mut PgConnection, tenant: i64, key: i64, now: DateTime<Utc>) -> QueryResult<()> {
    let before = now - TimeDelta::minutes(1);
    let row = api_key::table.find((tenant, key));
    diesel::update(row.filter(api_key::last_used_at.is_null().or(api_key::last_used_at.lt(before))))
        .set(api_key::last_used_at.eq(now))
        .execute(conn)
        .map(drop)
}

impl TenantRow {
    fn into_tenant(self) -> QueryResult<Tenant> {
        Ok(Tenant {
            zone: self.zone.parse::<Tz>().map_err(unreadable)?,
            locale: Lang::from_tag(&self.locale).unwrap_or_default(), // the table's check allows ours only
            secret: TenantSecret::new(&bytes32(self.secret)?),
            id: self.id,
            slug: self.slug,
            name: self.name,
            sandbox: self.sandbox,
        })
    }
}

impl KeyRow {
    fn into_record(self, tenant: Tenant, operator: Option<i64>) -> QueryResult<TokenRecord> {
        // A scope this binary does not know came with a newer one: the key does less here, not more.
        let scopes: Vec<Scope> = self.scopes.iter().filter_map(|word| word.parse().ok()).collect();
        let caller = Caller::new(Arc::new(tenant), Actor::Client(self.client), scopes);
        let caller = match operator {
            Some(number) => caller.of_number(number),
            None => caller,
        };
        Ok(TokenRecord { key: self.id, hash: bytes32(self.hash)?, caller, is_noted: false })
    }
}

pub(super) fn bytes32(bytes: Vec<u8>) -> QueryResult<[u8; 32]> {
    <[u8; 32]>::try_from(bytes).map_err(|bytes| unreadable(format!("{} bytes instead of 32", bytes.len())))
}

/// A column that holds what its table's checks do not allow.
fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SqlError {
    SqlError::DeserializationError(error.into())
}
