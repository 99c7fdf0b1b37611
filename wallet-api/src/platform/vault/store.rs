//! Every SQL statement on the vault's tables, and those on the columns that rotations seal again.
//!
//! Every statement names its tenant, but for the keys that encrypt keys, which are of the whole house. Locks: who seals holds
//! the row of the key it uses against change (`FOR SHARE`), who changes or destroys a key holds it alone, and rotations
//! pass over rows that others hold, so that nobody waits for them in a circle.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, QueryResult, sql_query};
use uuid::Uuid;

use super::erasures::Tally;
use super::{KeyType, TenantColumn};
use crate::platform::db::statement;

/// A key that encrypts keys, as the database knows it.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Kek {
    #[diesel(sql_type = Integer)]
    pub(super) version: i32,
    #[diesel(sql_type = Binary)]
    pub(super) fingerprint: Vec<u8>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) retired_at: Option<DateTime<Utc>>,
    /// How many keys it wraps.
    #[diesel(sql_type = BigInt)]
    pub(super) wraps: i64,
}

/// A tenant's key.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct TenantKey {
    #[diesel(sql_type = Integer)]
    pub(super) version: i32,
    #[diesel(sql_type = Integer)]
    pub(super) kek: i32,
    /// None once it is retired.
    #[diesel(sql_type = Nullable<Binary>)]
    pub(super) wrapped: Option<Vec<u8>>,
}

/// A person's key.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct PersonKey {
    #[diesel(sql_type = SqlUuid)]
    pub(super) person: Uuid,
    #[diesel(sql_type = Integer)]
    pub(super) version: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(super) tenant_key: Option<i32>,
    /// None once the person is forgotten.
    #[diesel(sql_type = Nullable<Binary>)]
    pub(super) wrapped: Option<Vec<u8>>,
}

/// The key of a blind index.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct IndexKey {
    #[diesel(sql_type = Text)]
    pub(super) purpose: String,
    #[diesel(sql_type = Integer)]
    pub(super) tenant_key: i32,
    #[diesel(sql_type = Binary)]
    pub(super) wrapped: Vec<u8>,
}

/// A cell that an older key of its tenant sealed.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct StaleCell {
    #[diesel(sql_type = Text)]
    pub(super) key: String,
    #[diesel(sql_type = Binary)]
    pub(super) sealed: Vec<u8>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    words: String,
}

// Keys that encrypt keys.

/// The one that wraps what is new, held against being retired meanwhile.
pub(super) fn current_kek(conn: &mut PgConnection) -> QueryResult<Option<Kek>> {
    let text = "SELECT version, fingerprint, retired_at, 0::bigint AS wraps FROM vault_kek ORDER BY version DESC LIMIT 1 FOR SHARE";
    sql_query(text).get_result(conn).optional()
}

pub(super) fn keks(conn: &mut PgConnection) -> QueryResult<Vec<Kek>> {
    let text = "SELECT k.version, k.fingerprint, k.retired_at, \
        (SELECT count(*) FROM vault_tenant_key t WHERE t.kek = k.version AND t.wrapped IS NOT NULL) AS wraps \
        FROM vault_kek k ORDER BY k.version";
    sql_query(text).load(conn)
}

pub(super) fn add_kek(
    conn: &mut PgConnection,
    version: i32,
    fingerprint: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let text = "INSERT INTO vault_kek (version, fingerprint, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let query = sql_query(text).bind::<Integer, _>(version).bind::<Binary, _>(fingerprint);
    query.bind::<Timestamptz, _>(now).execute(conn).map(drop)
}

/// Notes of those before `current` that wrap nothing that they are retired; tells how many.
pub(super) fn retire_keks(conn: &mut PgConnection, current: i32, now: DateTime<Utc>) -> QueryResult<usize> {
    // First alone with them: whoever wraps a key holds the row against this, and is seen by the statement after it.
    sql_query("SELECT version FROM vault_kek WHERE version < $1 AND retired_at IS NULL ORDER BY version FOR UPDATE")
        .bind::<Integer, _>(current)
        .execute(conn)?;
    let text = "UPDATE vault_kek k SET retired_at = $2 WHERE k.version < $1 AND k.retired_at IS NULL \
        AND NOT EXISTS (SELECT FROM vault_tenant_key t WHERE t.kek = k.version AND t.wrapped IS NOT NULL)";
    sql_query(text).bind::<Integer, _>(current).bind::<Timestamptz, _>(now).execute(conn)
}

// Keys of tenants.

pub(super) fn tenants(conn: &mut PgConnection) -> QueryResult<Vec<i64>> {
    let rows: Vec<Number> = sql_query("SELECT id AS number FROM tenant ORDER BY id").load(conn)?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

/// The one that seals what is new, held against being retired meanwhile.
pub(super) fn newest_tenant_key(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<TenantKey>> {
    let text =
        "SELECT version, kek, wrapped FROM vault_tenant_key WHERE tenant = $1 ORDER BY version DESC LIMIT 1 FOR SHARE";
    sql_query(text).bind::<BigInt, _>(tenant).get_result(conn).optional()
}

pub(super) fn tenant_key(conn: &mut PgConnection, tenant: i64, version: i32) -> QueryResult<Option<TenantKey>> {
    let text = "SELECT version, kek, wrapped FROM vault_tenant_key WHERE tenant = $1 AND version = $2";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(version).get_result(conn).optional()
}

/// Those that are not retired, oldest first.
pub(super) fn live_tenant_keys(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<TenantKey>> {
    let text =
        "SELECT version, kek, wrapped FROM vault_tenant_key WHERE tenant = $1 AND wrapped IS NOT NULL ORDER BY version";
    sql_query(text).bind::<BigInt, _>(tenant).load(conn)
}

pub(super) fn add_tenant_key(
    conn: &mut PgConnection,
    tenant: i64,
    key: &TenantKey,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let text = "INSERT INTO vault_tenant_key (tenant, version, kek, wrapped, made_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT DO NOTHING";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(key.version).bind::<Integer, _>(key.kek);
    let query = query.bind::<Nullable<Binary>, _>(&key.wrapped).bind::<Timestamptz, _>(now);
    Ok(query.execute(conn)? == 1)
}

/// Puts a tenant's key under another KEK, unless somebody else did.
pub(super) fn rewrap_tenant_key(
    conn: &mut PgConnection,
    tenant: i64,
    was: &TenantKey,
    (kek, wrapped): (i32, &[u8]),
) -> QueryResult<bool> {
    let text = "UPDATE vault_tenant_key SET kek = $4, wrapped = $5 WHERE tenant = $1 AND version = $2 AND wrapped = $3";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(was.version);
    let query = query.bind::<Nullable<Binary>, _>(&was.wrapped).bind::<Integer, _>(kek);
    Ok(query.bind::<Binary, _>(wrapped).execute(conn)? == 1)
}

/// Waits until nobody holds a tenant's older keys, and keeps others from holding them until the transaction ends.
pub(super) fn lock_older_keys(conn: &mut PgConnection, tenant: i64, newest: i32) -> QueryResult<usize> {
    let text = "SELECT version FROM vault_tenant_key WHERE tenant = $1 AND version < $2 AND wrapped IS NOT NULL \
        ORDER BY version FOR UPDATE";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest).execute(conn)
}

/// Destroys a tenant's older keys.
pub(super) fn retire_tenant_keys(
    conn: &mut PgConnection,
    tenant: i64,
    newest: i32,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let text = "UPDATE vault_tenant_key SET wrapped = NULL, retired_at = $3 \
        WHERE tenant = $1 AND version < $2 AND wrapped IS NOT NULL";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest).bind::<Timestamptz, _>(now).execute(conn)
}

// Keys of persons.

/// A person's key, held against being forgotten meanwhile.
pub(super) fn person_key_to_seal(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Option<PersonKey>> {
    let text =
        "SELECT person, version, tenant_key, wrapped FROM vault_person_key WHERE tenant = $1 AND person = $2 FOR SHARE";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(person).get_result(conn).optional()
}

/// The same of many, in the order of their ids, so that two never wait for each other.
pub(super) fn person_keys_to_seal(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
) -> QueryResult<Vec<PersonKey>> {
    const TEXT: &str = "SELECT person, version, tenant_key, wrapped FROM vault_person_key \
        WHERE tenant = ? AND person = ANY(?) ORDER BY person FOR SHARE";
    type Columns = (SqlUuid, Integer, Nullable<Integer>, Nullable<Binary>);
    type Row = (Uuid, i32, Option<i32>, Option<Vec<u8>>);
    let rows: Vec<Row> =
        statement::<Columns>(TEXT, &[&tenant.into_sql::<BigInt>(), &persons.into_sql::<Array<SqlUuid>>()])
            .load(conn)?;
    let read = |(person, version, tenant_key, wrapped)| PersonKey { person, version, tenant_key, wrapped };
    Ok(rows.into_iter().map(read).collect())
}

/// The same alone, to destroy it.
pub(super) fn person_key_to_forget(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
) -> QueryResult<Option<PersonKey>> {
    let text = "SELECT person, version, tenant_key, wrapped FROM vault_person_key WHERE tenant = $1 AND person = $2 FOR UPDATE";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(person).get_result(conn).optional()
}

/// A person's key with the one that wraps it.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Opening {
    #[diesel(embed)]
    pub(super) key: PersonKey,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(super) outer_kek: Option<i32>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub(super) outer_wrapped: Option<Vec<u8>>,
}

/// Persons' keys, each with the one that wraps it, of one moment.
pub(super) fn person_keys(conn: &mut PgConnection, tenant: i64, persons: &[Uuid]) -> QueryResult<Vec<Opening>> {
    let text = "SELECT p.person, p.version, p.tenant_key, p.wrapped, k.kek AS outer_kek, k.wrapped AS outer_wrapped \
        FROM vault_person_key p LEFT JOIN vault_tenant_key k ON k.tenant = p.tenant AND k.version = p.tenant_key \
        WHERE p.tenant = $1 AND p.person = ANY($2)";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Array<SqlUuid>, _>(persons).load(conn)
}

pub(super) fn add_person_key(
    conn: &mut PgConnection,
    tenant: i64,
    key: &PersonKey,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let text = "INSERT INTO vault_person_key (tenant, person, version, tenant_key, wrapped, made_at) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let query =
        sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(key.person).bind::<Integer, _>(key.version);
    let query = query.bind::<Nullable<Integer>, _>(key.tenant_key).bind::<Nullable<Binary>, _>(&key.wrapped);
    Ok(query.bind::<Timestamptz, _>(now).execute(conn)? == 1)
}

/// Keys of persons that are wrapped by an older key of the tenant's, held; those that others hold are passed over.
pub(super) fn stale_person_keys(
    conn: &mut PgConnection,
    tenant: i64,
    newest: i32,
    most: i64,
) -> QueryResult<Vec<PersonKey>> {
    let text = "SELECT person, version, tenant_key, wrapped FROM vault_person_key \
        WHERE tenant = $1 AND tenant_key < $2 AND wrapped IS NOT NULL LIMIT $3 FOR UPDATE SKIP LOCKED";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest).bind::<BigInt, _>(most).load(conn)
}

pub(super) fn rewrap_person_keys(
    conn: &mut PgConnection,
    tenant: i64,
    newest: i32,
    (persons, wrapped): (&[Uuid], &[Vec<u8>]),
) -> QueryResult<usize> {
    let text = "UPDATE vault_person_key p SET tenant_key = $2, wrapped = n.wrapped \
        FROM unnest($3, $4) n (person, wrapped) WHERE p.tenant = $1 AND p.person = n.person AND p.wrapped IS NOT NULL";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest);
    query.bind::<Array<SqlUuid>, _>(persons).bind::<Array<Binary>, _>(wrapped).execute(conn)
}

// Keys of blind indexes.

pub(super) fn index_key(conn: &mut PgConnection, tenant: i64, purpose: &str) -> QueryResult<Option<IndexKey>> {
    let text = "SELECT purpose, tenant_key, wrapped FROM vault_index_key WHERE tenant = $1 AND purpose = $2";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Text, _>(purpose).get_result(conn).optional()
}

pub(super) fn add_index_key(
    conn: &mut PgConnection,
    tenant: i64,
    key: &IndexKey,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let text = "INSERT INTO vault_index_key (tenant, purpose, tenant_key, wrapped, made_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT DO NOTHING";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Text, _>(&key.purpose);
    let query = query.bind::<Integer, _>(key.tenant_key).bind::<Binary, _>(&key.wrapped);
    Ok(query.bind::<Timestamptz, _>(now).execute(conn)? == 1)
}

pub(super) fn stale_index_keys(conn: &mut PgConnection, tenant: i64, newest: i32) -> QueryResult<Vec<IndexKey>> {
    let text = "SELECT purpose, tenant_key, wrapped FROM vault_index_key WHERE tenant = $1 AND tenant_key < $2 \
        ORDER BY purpose FOR UPDATE";
    sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest).load(conn)
}

pub(super) fn rewrap_index_key(conn: &mut PgConnection, tenant: i64, key: &IndexKey) -> QueryResult<usize> {
    let text = "UPDATE vault_index_key SET tenant_key = $3, wrapped = $4 WHERE tenant = $1 AND purpose = $2";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Text, _>(&key.purpose);
    query.bind::<Integer, _>(key.tenant_key).bind::<Binary, _>(&key.wrapped).execute(conn)
}

/// How many keys of persons and indexes a tenant's older keys wrap.
pub(super) fn wrapped_by_older(conn: &mut PgConnection, tenant: i64, newest: i32) -> QueryResult<i64> {
    let text = "SELECT (SELECT count(*) FROM vault_person_key WHERE tenant = $1 AND tenant_key < $2 AND wrapped IS NOT NULL) \
        + (SELECT count(*) FROM vault_index_key WHERE tenant = $1 AND tenant_key < $2) AS number";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Integer, _>(newest);
    query.get_result::<Number>(conn).map(|row| row.number)
}

/// Persons who have a key, and persons who were forgotten.
pub(super) fn persons(conn: &mut PgConnection, tenant: i64) -> QueryResult<(i64, i64)> {
    let count = |conn: &mut PgConnection, is_forgotten: bool| {
        let text =
            "SELECT count(*) AS number FROM vault_person_key WHERE tenant = $1 AND (forgotten_at IS NOT NULL) = $2";
        let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Bool, _>(is_forgotten);
        query.get_result::<Number>(conn).map(|row| row.number)
    };
    Ok((count(conn, false)?, count(conn, true)?))
}

// Erasures.

/// Destroys a person's key, whether there is one or not, and notes the receipt.
pub(super) fn erase(
    conn: &mut PgConnection,
    (tenant, person): (i64, Uuid),
    erased_at: DateTime<Utc>,
    receipt: &str,
) -> QueryResult<()> {
    let text = "INSERT INTO vault_person_key AS p (tenant, person, made_at, forgotten_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (tenant, person) DO UPDATE SET wrapped = NULL, tenant_key = NULL, forgotten_at = $3 \
        WHERE p.forgotten_at IS NULL";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(person);
    query.bind::<Timestamptz, _>(erased_at).execute(conn)?;
    let text =
        "INSERT INTO vault_erasure (tenant, person, erased_at, receipt) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(person);
    query.bind::<Timestamptz, _>(erased_at).bind::<Text, _>(receipt).execute(conn).map(drop)
}

/// The receipt of a person's erasure.
pub(super) fn receipt(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Option<String>> {
    let text = "SELECT receipt AS words FROM vault_erasure WHERE tenant = $1 AND person = $2";
    let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<SqlUuid, _>(person);
    Ok(query.get_result::<Words>(conn).optional()?.map(|row| row.words))
}

/// The receipts of all of a tenant's erasures.
pub(super) fn receipts(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<String>> {
    let text = "SELECT receipt AS words FROM vault_erasure WHERE tenant = $1";
    let rows: Vec<Words> = sql_query(text).bind::<BigInt, _>(tenant).load(conn)?;
    Ok(rows.into_iter().map(|row| row.words).collect())
}

/// A tenant's erasures, counted; the same as [`Tally::with`] each of them.
pub(super) fn tally(conn: &mut PgConnection, tenant: i64) -> QueryResult<Tally> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
        #[diesel(sql_type = BigInt)]
        mix: i64,
    }
    let text = "SELECT count(*) AS count, \
        coalesce(bit_xor(('x' || right(replace(person::text, '-', ''), 16))::bit(64)::bigint), 0) AS mix \
        FROM vault_erasure WHERE tenant = $1";
    let row: Row = sql_query(text).bind::<BigInt, _>(tenant).get_result(conn)?;
    Ok(Tally { count: row.count, mix: row.mix })
}

// Columns that hold a tenant's own secrets. Their names are constants of the program, never a caller's words.

impl TenantColumn {
    /// Cells that begin with less than `prefix`, held; those that others hold are passed over.
    pub(super) fn stale(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        prefix: &[u8],
        most: i64,
    ) -> QueryResult<Vec<StaleCell>> {
        let Self { column: name, key, .. } = self;
        let (table, column) = (name.table, name.column);
        let text = format!(
            "SELECT {key}::text AS key, {column} AS sealed FROM {table} \
             WHERE tenant = $1 AND substring({column} FROM 1 FOR 5) < $2 LIMIT $3 FOR UPDATE SKIP LOCKED"
        );
        sql_query(text).bind::<BigInt, _>(tenant).bind::<Binary, _>(prefix).bind::<BigInt, _>(most).load(conn)
    }

    /// How many there are, held or not.
    pub(super) fn count_stale(&self, conn: &mut PgConnection, tenant: i64, prefix: &[u8]) -> QueryResult<i64> {
        let (table, column) = (self.column.table, self.column.column);
        let text = format!(
            "SELECT count(*) AS number FROM {table} WHERE tenant = $1 AND substring({column} FROM 1 FOR 5) < $2"
        );
        let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Binary, _>(prefix);
        query.get_result::<Number>(conn).map(|row| row.number)
    }

    /// Puts other sealed bytes in a cell.
    pub(super) fn replace(&self, conn: &mut PgConnection, tenant: i64, row: &str, sealed: &[u8]) -> QueryResult<usize> {
        let Self { column: name, key, key_type } = self;
        let (table, column) = (name.table, name.column);
        let key_type = match key_type {
            KeyType::Uuid => "uuid",
            KeyType::Number => "bigint",
            KeyType::Text => "text",
        };
        let text = format!("UPDATE {table} SET {column} = $3 WHERE tenant = $1 AND {key} = CAST($2 AS {key_type})");
        let query = sql_query(text).bind::<BigInt, _>(tenant).bind::<Text, _>(row);
        query.bind::<Binary, _>(sealed).execute(conn)
    }
}
