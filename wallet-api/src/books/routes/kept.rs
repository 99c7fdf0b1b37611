//! What accounts keep beside their balance, over HTTP: holds and lots, as they stand now.
//!
//! What has expired counts as expired, whoever wrote it down or will, as it does for balances.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, NaiveDate, Utc};
use ledger::read::{self, HoldFilter, HoldStanding, LotFilter, LotStanding};
use ledger::{LegRef, Lot, NEVER};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::super::body::moment;
use super::super::{Assets, Books};
use crate::platform::books::journal_of;
use crate::platform::http::{Cursor, Page, PageQuery, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::Money;
use crate::platform::problem::Problem;
use crate::profile::AccountLook;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(list_holds).service(get_hold).service(list_lots);
}

/// Whether only what something is left of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Which {
    /// Something is left of it.
    #[default]
    Open,
    /// Whatever became of it.
    All,
}

/// Which holds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoldsQuery {
    /// `open`, the first to expire first; or `all`, newest first. `open` when absent.
    #[serde(default)]
    #[param(inline)]
    state: Which,
    /// Only those that end by themselves before this moment.
    expiring_before: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Holds per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// A hold. What was captured, given back and is left is what was held.
#[derive(Debug, Serialize, ToSchema)]
struct HoldBody {
    /// The record that opened it.
    seq: i64,
    /// The transfer inside it: with `seq` it names the hold.
    leg: i32,
    /// The id of that transaction.
    transaction: Uuid,
    /// `open`; `ended`, captured or given back to the end; `expired`, by its time.
    #[schema(example = "open")]
    status: &'static str,
    /// Where value is set aside.
    debit: Uuid,
    /// In whose favour.
    credit: Uuid,
    /// What was set aside.
    amount: Money,
    /// What of it was moved.
    captured: Money,
    /// What of it was given back, by a void or by time.
    given_back: Money,
    /// What still is set aside.
    remaining: Money,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// When it ends by itself; absent is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

impl HoldBody {
    fn of(hold: &HoldStanding, assets: &Assets) -> Self {
        let money = |minor| Money::new(minor, assets.code(hold.amount.asset));
        let status = match hold {
            HoldStanding { expired: true, .. } => "expired",
            HoldStanding { remaining: 0, .. } => "ended",
            HoldStanding { .. } => "open",
        };
        Self {
            seq: hold.place.seq,
            leg: hold.place.leg,
            transaction: hold.transaction,
            status,
            debit: hold.debit,
            credit: hold.credit,
            amount: money(hold.amount.minor),
            captured: money(hold.captured),
            given_back: money(hold.given_back()),
            remaining: money(hold.remaining),
            recorded_at: moment(hold.recorded_us),
            expires_at: ends(hold.expires_us),
        }
    }
}

/// A moment; none for never.
fn ends(us: i64) -> Option<DateTime<Utc>> {
    (us < NEVER).then(|| moment(us))
}

fn micros(at: Option<DateTime<Utc>>) -> Option<i64> {
    at.map(|at| at.timestamp_micros())
}

/// Lists the holds on an account, as they stand now.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(HoldsQuery), responses(
    (status = 200, body = Page<HoldBody>),
))]
#[get("/v1/ledger/accounts/{id}/holds", wrap = "May(Scope::LedgerRead)")]
async fn list_holds(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    query: web::Query<HoldsQuery>,
) -> Result<HttpResponse, Problem> {
    let HoldsQuery { state, expiring_before, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (tenant, journal, id) = (&caller.tenant, journal_of(&caller.tenant), id.into_inner());
    let filter = HoldFilter { open: state == Which::Open, expiring_before_us: micros(expiring_before) };
    let listing = format!("ledger-holds/{id}/{filter:?}");
    let after = cursor.map(|cursor| Cursor::<3>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    // We wrote it from a row's own leg: it fits.
    let place = |seq, leg| LegRef { seq, leg: i32::try_from(leg).unwrap_or(i32::MAX) };
    let after = after.map(|Cursor([expires_us, seq, leg])| (expires_us, place(seq, leg)));
    let rows = i64::from(limit).saturating_add(1);
    let assets = books.assets(tenant.id).await?;
    let found =
        books.platform.db.of(journal.0).read(move |conn| read::holds(conn, journal, id, filter, after, rows)).await?;
    let page = Page::cut(found.ok_or_else(not_found)?, limit, |hold| {
        let (expires_us, place) = hold.key();
        Cursor([expires_us, place.seq, place.leg.into()]).encode(&tenant.secret, &listing)
    });
    let items = page.items.iter().map(|hold| HoldBody::of(hold, &assets)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

/// Tells of a hold, as it stands now, by the row that opened it.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(
    ("seq" = i64, Path, description = "The record that opened it", minimum = 1, example = 1),
    ("leg" = i32, Path, description = "The transfer inside it", minimum = 0, example = 0)), responses(
    (status = 200, body = HoldBody),
))]
#[get("/v1/ledger/holds/{seq}/{leg}", wrap = "May(Scope::LedgerRead)")]
async fn get_hold(
    caller: Caller,
    books: web::Data<Books>,
    place: web::Path<(i64, i32)>,
) -> Result<HttpResponse, Problem> {
    let (journal, (seq, leg)) = (journal_of(&caller.tenant), place.into_inner());
    let assets = books.assets(caller.tenant.id).await?;
    let place = LegRef { seq, leg };
    let found = books.platform.db.of(journal.0).read(move |conn| read::hold_standing(conn, journal, place)).await?;
    Ok(HttpResponse::Ok().json(HoldBody::of(&found.ok_or_else(not_found)?, &assets)))
}

/// Which lots to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LotsQuery {
    /// `open` or `all`; `open` when absent.
    #[serde(default)]
    #[param(inline)]
    state: Which,
    /// Only those that are worth nothing from a moment before this one on.
    expiring_before: Option<DateTime<Utc>>,
    /// Only those earned by this campaign.
    campaign: Option<Uuid>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Lots per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// A lot: what was earned on one day under the same dates, campaign and cost.
#[derive(Debug, Serialize, ToSchema)]
struct LotTold {
    /// `open`; `pending`, not to be spent yet; `ended`, nothing is left.
    #[schema(example = "open")]
    status: &'static str,
    /// What is left of it.
    remaining: Money,
    /// The part of it that holds have set aside.
    held: Money,
    /// The day it was earned (UTC).
    earned_on: NaiveDate,
    /// From when on it can be spent; absent is at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    activates_at: Option<DateTime<Utc>>,
    /// From when on it is worth nothing; absent is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// What it was earned by; absent for nothing in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// What one unit costs, in millionths of the cost currency's minor unit.
    unit_cost: i64,
}

impl LotTold {
    fn of(one: &LotStanding, code: &str) -> Self {
        let LotStanding { lot, remaining, held, pending } = *one;
        let status = match (remaining, pending) {
            (0, _) => "ended",
            (_, true) => "pending",
            (_, false) => "open",
        };
        Self {
            status,
            remaining: Money::new(remaining, code),
            held: Money::new(held, code),
            earned_on: NaiveDate::from_epoch_days(lot.earned_day).unwrap_or(NaiveDate::MAX),
            activates_at: (lot.activates_us > 0).then(|| moment(lot.activates_us)),
            expires_at: ends(lot.expires_us),
            campaign: Some(lot.campaign).filter(|campaign| !campaign.is_nil()),
            unit_cost: lot.unit_cost,
        }
    }
}

/// The key of a lot as a cursor has it.
fn numbers(lot: &Lot) -> [i64; 6] {
    let (high, low) = lot.campaign.as_u64_pair();
    let signed = |half: u64| i64::from_ne_bytes(half.to_ne_bytes());
    [lot.expires_us, lot.earned_day.into(), lot.activates_us, signed(high), signed(low), lot.unit_cost]
}

fn lot_of([expires_us, earned_day, activates_us, high, low, unit_cost]: [i64; 6]) -> Lot {
    let half = |half: i64| u64::from_ne_bytes(half.to_ne_bytes());
    let campaign = Uuid::from_u64_pair(half(high), half(low));
    // We wrote it from a lot's own day: it fits.
    Lot { expires_us, earned_day: i32::try_from(earned_day).unwrap_or(i32::MAX), activates_us, campaign, unit_cost }
}

/// Lists the lots of an account in the order they are spent, as they stand now. A page may have fewer than `limit`, and more
/// to come.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(LotsQuery), responses(
    (status = 200, body = Page<LotTold>),
))]
#[get("/v1/ledger/accounts/{id}/lots", wrap = "May(Scope::LedgerRead)")]
async fn list_lots(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    query: web::Query<LotsQuery>,
) -> Result<HttpResponse, Problem> {
    let LotsQuery { state, expiring_before, campaign, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (tenant, journal, id) = (&caller.tenant, journal_of(&caller.tenant), id.into_inner());
    let filter = LotFilter { open: state == Which::Open, expiring_before_us: micros(expiring_before), campaign };
    let listing = format!("ledger-lots/{id}/{filter:?}");
    let after = cursor.map(|cursor| Cursor::<6>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let after = after.map(|Cursor(numbers)| lot_of(numbers));
    let assets = books.assets(tenant.id).await?;
    let (history, rows) = (books.platform.history.clone(), usize::from(limit));
    let read = move |conn: &mut _| read::lots(conn, &history, journal, id, filter, after, rows);
    let page = books.platform.db.of(journal.0).read(read).await?.ok_or_else(not_found)?;
    let code = assets.code(page.asset);
    let next_cursor = page.next.map(|lot| Cursor(numbers(&lot)).encode(&tenant.secret, &listing));
    let items: Vec<LotTold> = page.lots.iter().map(|lot| LotTold::of(lot, code)).collect();
    Ok(HttpResponse::Ok().json(Page { items, has_more: next_cursor.is_some(), next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_any_lot_comes_back_from_its_cursor() {
        for campaign in [0, 1, u128::MAX, 1 << 64, 1 << 127] {
            let campaign = Uuid::from_u128(campaign);
            let lot = Lot { expires_us: NEVER, earned_day: -3, activates_us: 7, campaign, unit_cost: i64::MIN };
            assert_eq!(lot_of(numbers(&lot)), lot);
        }
    }
}
