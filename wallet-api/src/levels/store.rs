//! SQL of the tables `level_limit` and `person_limit`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ledger::{JournalId, StoreError};
use uuid::Uuid;

use super::model::{Allowed, LevelsError, Table, Tables};
use super::settle::Version;
use crate::identity::people::Level;

/// The code of what is counted in: cents, and no money.
const COUNTED: &str = "LIM:EUR";

diesel::table! {
    level_limit (tenant, valid_from, level) {
        tenant -> BigInt,
        valid_from -> Timestamptz,
        level -> SmallInt,
        stored_minor -> Nullable<BigInt>,
        payment_minor -> Nullable<BigInt>,
        day_minor -> Nullable<BigInt>,
        month_minor -> Nullable<BigInt>,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    person_limit (tenant, person, version) {
        tenant -> BigInt,
        person -> Uuid,
        version -> Integer,
        level -> SmallInt,
        table_from -> Nullable<Timestamptz>,
        stored_minor -> Nullable<BigInt>,
        payment_minor -> Nullable<BigInt>,
        day_minor -> Nullable<BigInt>,
        month_minor -> Nullable<BigInt>,
        made_at -> Timestamptz,
        seq -> Nullable<BigInt>,
        is_set -> Nullable<Bool>,
    }
}

type Four = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
type TableRow = (DateTime<Utc>, i16, Four);
type VersionRow = (i32, i16, Option<DateTime<Utc>>, Four, Option<i64>, Option<bool>);

const fn allowed((stored, payment, day, month): Four) -> Allowed {
    Allowed { stored, payment, day, month }
}

/// A tenant's tables, whole.
pub(super) fn tables(conn: &mut PgConnection, tenant: i64) -> QueryResult<Tables> {
    let four =
        (level_limit::stored_minor, level_limit::payment_minor, level_limit::day_minor, level_limit::month_minor);
    let rows: Vec<TableRow> = level_limit::table
        .filter(level_limit::tenant.eq(tenant))
        .order((level_limit::valid_from, level_limit::level))
        .select((level_limit::valid_from, level_limit::level, four))
        .load(conn)?;
    if rows.is_empty() {
        return Ok(Tables::default());
    }
    let assets = ledger::read::assets_of(conn, JournalId(tenant)).map_err(from_store)?;
    let asset = assets.iter().find(|asset| asset.code == COUNTED).map(|asset| asset.id);
    let table = |rows: &[TableRow]| {
        let of = |level: Level| rows.iter().find(|(_, number, _)| *number == level.number()).map(|(.., four)| *four);
        let levels = Level::ALL.map(|level| of(level).map(allowed).unwrap_or_default());
        rows.first().map(|(valid_from, ..)| Table { valid_from: *valid_from, levels })
    };
    Ok(Tables { all: rows.chunk_by(|one, next| one.0 == next.0).filter_map(table).collect(), asset })
}

fn from_store(error: StoreError) -> diesel::result::Error {
    match error {
        StoreError::Database(error) => error,
        StoreError::Connect(_) | StoreError::Corrupt { .. } | StoreError::Archived(_) => diesel::NotFound,
    }
}

/// Adds a table whole, and what is counted in.
pub(super) fn insert_table(
    conn: &mut PgConnection,
    tenant: i64,
    table: &Table,
    now: DateTime<Utc>,
) -> Result<(), LevelsError> {
    let rows: Vec<_> = Level::ALL
        .into_iter()
        .map(|level| {
            let Allowed { stored, payment, day, month } = table.of(level);
            (
                level_limit::tenant.eq(tenant),
                level_limit::valid_from.eq(table.valid_from),
                level_limit::level.eq(level.number()),
                level_limit::stored_minor.eq(stored),
                level_limit::payment_minor.eq(payment),
                level_limit::day_minor.eq(day),
                level_limit::month_minor.eq(month),
                level_limit::made_at.eq(now),
            )
        })
        .collect();
    let added = diesel::insert_into(level_limit::table).values(&rows).on_conflict_do_nothing().execute(conn)?;
    if added < rows.len() {
        return Err(LevelsError::Taken); // rolled back whole
    }
    ledger::define_asset(conn, JournalId(tenant), COUNTED, 2)?;
    Ok(())
}

type FourColumns =
    (person_limit::stored_minor, person_limit::payment_minor, person_limit::day_minor, person_limit::month_minor);
type VersionColumns = (
    person_limit::version,
    person_limit::level,
    person_limit::table_from,
    FourColumns,
    person_limit::seq,
    person_limit::is_set,
);

fn versions() -> VersionColumns {
    let four =
        (person_limit::stored_minor, person_limit::payment_minor, person_limit::day_minor, person_limit::month_minor);
    (
        person_limit::version,
        person_limit::level,
        person_limit::table_from,
        four,
        person_limit::seq,
        person_limit::is_set,
    )
}

fn version((number, level, table_from, four, seq, is_set): VersionRow) -> Version {
    Version { number, level: Level::of(level), table_from, allowed: allowed(four), seq, is_set }
}

/// The last version of a person's limits.
pub(super) fn last_version(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Option<Version>> {
    let of = person_limit::table.filter(person_limit::tenant.eq(tenant).and(person_limit::person.eq(person)));
    let row: Option<VersionRow> = of.order(person_limit::version.desc()).select(versions()).first(conn).optional()?;
    Ok(row.map(version))
}

/// Versions that were told before the record of a seq, or of which it is not known, the last first.
pub(super) fn versions_before(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    seq: i64,
) -> QueryResult<Vec<Version>> {
    let told = person_limit::is_set.eq(true).and(person_limit::seq.lt(seq));
    let rows: Vec<VersionRow> = person_limit::table
        .filter(person_limit::tenant.eq(tenant).and(person_limit::person.eq(person)))
        .filter(person_limit::seq.is_null().or(told))
        .order(person_limit::version.desc())
        .select(versions())
        .load(conn)?;
    Ok(rows.into_iter().map(version).collect())
}

/// Versions before this one of which it is not known what became.
pub(super) fn unknown_before(conn: &mut PgConnection, tenant: i64, person: Uuid, number: i32) -> QueryResult<Vec<i32>> {
    person_limit::table
        .filter(person_limit::tenant.eq(tenant).and(person_limit::person.eq(person)))
        .filter(person_limit::version.lt(number).and(person_limit::seq.is_null()))
        .order(person_limit::version)
        .select(person_limit::version)
        .load(conn)
}

pub(super) fn insert_version(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    version: &Version,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let Allowed { stored, payment, day, month } = version.allowed;
    let values = (
        person_limit::tenant.eq(tenant),
        person_limit::person.eq(person),
        person_limit::version.eq(version.number),
        person_limit::level.eq(version.level.number()),
        person_limit::table_from.eq(version.table_from),
        person_limit::stored_minor.eq(stored),
        person_limit::payment_minor.eq(payment),
        person_limit::day_minor.eq(day),
        person_limit::month_minor.eq(month),
        person_limit::made_at.eq(now),
    );
    diesel::insert_into(person_limit::table).values(values).execute(conn).map(drop)
}

/// Notes what became of a version, unless it is known.
pub(super) fn note_fate(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    number: i32,
    (seq, is_set): (i64, bool),
) -> QueryResult<()> {
    diesel::update(person_limit::table.find((tenant, person, number)).filter(person_limit::seq.is_null()))
        .set((person_limit::seq.eq(seq), person_limit::is_set.eq(is_set)))
        .execute(conn)
        .map(drop)
}
