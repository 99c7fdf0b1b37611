//! SQL of programmes, campaigns and rules.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ledger::{AssetId, JournalId};
use uuid::Uuid;

use super::{Campaign, Config, Programme, Rule};
use crate::platform::money::EUR;

diesel::table! {
    programme (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        code -> Text,
        name -> Text,
        asset -> Integer,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    campaign (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        programme -> Uuid,
        name -> Text,
        merchant -> Nullable<Uuid>,
        starts_at -> Nullable<Timestamptz>,
        ends_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    reward_rule (tenant, campaign, version) {
        tenant -> BigInt,
        campaign -> Uuid,
        version -> Integer,
        cashback_bps -> Integer,
        cashback_cap -> Nullable<BigInt>,
        points_per_unit -> BigInt,
        created_at -> Timestamptz,
    }
}

type CampaignRow = (Uuid, Uuid, String, Option<Uuid>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Reads a tenant's configuration whole.
pub(super) fn config(conn: &mut PgConnection, tenant: i64) -> QueryResult<Config> {
    let assets = ledger::read::assets_of(conn, JournalId(tenant)).map_err(from_store)?;
    let eur = assets.iter().find(|asset| asset.code == EUR).map(|asset| asset.id).ok_or(diesel::NotFound)?;
    let head = ledger::read::head(conn, JournalId(tenant)).map_err(from_store)?;
    let programmes: Vec<Programme> = programme::table
        .filter(programme::tenant.eq(tenant))
        .order(programme::code)
        .select((programme::id, programme::code, programme::name, programme::asset))
        .load::<(Uuid, String, String, i32)>(conn)?
        .into_iter()
        .map(|(id, code, name, asset)| Programme { id, code, name, points: AssetId(asset) })
        .collect();
    let campaigns = campaigns(conn, tenant, &programmes)?;
    let clock_ahead = TimeDelta::microseconds(head.map_or(0, |head| head.clock_offset_us));
    Ok(Config { eur, programmes, campaigns, clock_ahead })
}

fn campaigns(conn: &mut PgConnection, tenant: i64, programmes: &[Programme]) -> QueryResult<Vec<Campaign>> {
    let rules = rules(conn, tenant)?;
    let rows = campaign::table
        .filter(campaign::tenant.eq(tenant))
        .order((campaign::created_at, campaign::id))
        .select((
            campaign::id,
            campaign::programme,
            campaign::name,
            campaign::merchant,
            campaign::starts_at,
            campaign::ends_at,
        ))
        .load::<CampaignRow>(conn)?;
    let read = |(id, programme, name, merchant, starts_at, ends_at): CampaignRow| {
        let (_, rule) = rules.iter().rfind(|(campaign, _)| *campaign == id)?;
        let of = programmes.iter().find(|one| one.id == programme)?;
        let (points, points_code) = (of.points, of.asset_code());
        Some(Campaign { id, programme, name, merchant, starts_at, ends_at, rule: *rule, points, points_code })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Every rule, each campaign's in the order of their versions.
pub(super) fn rules(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<(Uuid, Rule)>> {
    let columns = (
        reward_rule::campaign,
        reward_rule::version,
        reward_rule::cashback_bps,
        reward_rule::cashback_cap,
        reward_rule::points_per_unit,
    );
    let rows = reward_rule::table
        .filter(reward_rule::tenant.eq(tenant))
        .order((reward_rule::campaign, reward_rule::version))
        .select(columns)
        .load::<(Uuid, i32, i32, Option<i64>, i64)>(conn)?;
    let read = |(campaign, version, cashback_bps, cashback_cap, points_per_unit)| {
        (campaign, Rule { version, cashback_bps, cashback_cap, points_per_unit })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Adds a programme; false when there is one of this code.
pub(super) fn insert_programme(
    conn: &mut PgConnection,
    tenant: i64,
    one: &Programme,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let values = (
        programme::tenant.eq(tenant),
        programme::id.eq(one.id),
        programme::code.eq(&one.code),
        programme::name.eq(&one.name),
        programme::asset.eq(one.points.0),
        programme::created_at.eq(now),
    );
    Ok(diesel::insert_into(programme::table).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

/// Adds a campaign with the first version of its rule. One of the same id stays as it is.
pub(super) fn insert_campaign(
    conn: &mut PgConnection,
    tenant: i64,
    one: &Campaign,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let values = (
        campaign::tenant.eq(tenant),
        campaign::id.eq(one.id),
        campaign::programme.eq(one.programme),
        campaign::name.eq(&one.name),
        campaign::merchant.eq(one.merchant),
        campaign::starts_at.eq(one.starts_at),
        campaign::ends_at.eq(one.ends_at),
        campaign::created_at.eq(now),
    );
    diesel::insert_into(campaign::table).values(values).on_conflict_do_nothing().execute(conn)?;
    insert_rule(conn, tenant, one.id, &one.rule, now).map(|_| ())
}

/// Publishes a version; false when somebody has just published that one.
pub(super) fn insert_rule(
    conn: &mut PgConnection,
    tenant: i64,
    campaign: Uuid,
    rule: &Rule,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let values = (
        reward_rule::tenant.eq(tenant),
        reward_rule::campaign.eq(campaign),
        reward_rule::version.eq(rule.version),
        reward_rule::cashback_bps.eq(rule.cashback_bps),
        reward_rule::cashback_cap.eq(rule.cashback_cap),
        reward_rule::points_per_unit.eq(rule.points_per_unit),
        reward_rule::created_at.eq(now),
    );
    Ok(diesel::insert_into(reward_rule::table).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

fn from_store(error: ledger::StoreError) -> diesel::result::Error {
    match error {
        ledger::StoreError::Database(error) => error,
        ledger::StoreError::Connect(_) | ledger::StoreError::Corrupt { .. } | ledger::StoreError::Archived(_) => {
            diesel::NotFound
        }
    }
}
