//! Reports over HTTP: as JSON, or as a file where `format` or `Accept` asks for one.
//!
//! What takes longer than a request may (ten seconds) is told 503 `deadline` or `database-slow` and stops being read; where
//! two are read already one more waits, and is told 503 `database-busy` at last. The command line has no such limits.

mod closings;
mod files;
mod value;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use ledger::AssetId;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use self::value::Further;
use super::bodies::{LiabilityBody, RollForwardBody};
use super::form::Form;
use super::sheets::{self, File, LIABILITY, ROLL_FORWARD};
use super::value::Terms;
use super::walk::{Source, When};
use crate::books::Assets;
use crate::platform::Platform;
use crate::platform::books::journal_of;
use crate::platform::fields::field;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(get_liability).service(get_roll_forward);
    value::routes(config);
    files::routes(config);
    closings::routes(config);
}

/// A report's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FormatName {
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
    /// A workbook.
    Xlsx,
}

/// The form asked for: by name, else by the first media type of ours that is accepted; none is JSON.
fn form(name: Option<FormatName>, request: &HttpRequest) -> Option<Form> {
    let accepted = || {
        let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok())?;
        let names = accepted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        names.into_iter().find_map(FormatName::of_media_type)
    };
    match name.or_else(accepted).unwrap_or(FormatName::Json) {
        FormatName::Json => None,
        FormatName::Csv => Some(Form::Csv),
        FormatName::Xlsx => Some(Form::Xlsx),
    }
}

impl FormatName {
    fn of_media_type(name: &str) -> Option<Self> {
        match name {
            "application/json" | "*/*" => Some(Self::Json),
            "text/csv" => Some(Self::Csv),
            name => (name == Form::Xlsx.media_type()).then_some(Self::Xlsx),
        }
    }
}

fn source(platform: &Platform, caller: &Caller) -> Source {
    Source { db: platform.db.clone(), history: platform.history.clone(), journal: journal_of(&caller.tenant) }
}

/// A whole file as an answer. Its name has no characters but ours.
fn file_answer(form: Form, name: &str, bytes: Vec<u8>) -> HttpResponse {
    head_of(form, name).body(bytes)
}

fn head_of(form: Form, name: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    let disposition = format!("attachment; filename=\"{name}.{}\"", form.extension());
    answer.insert_header((header::CONTENT_TYPE, form.media_type()));
    answer.insert_header((header::CONTENT_DISPOSITION, disposition));
    answer
}

/// The asset of a code.
fn asset(code: Option<&str>, assets: &Assets) -> Result<Option<AssetId>, Problem> {
    let find = |code| assets.by_code(code).ok_or_else(|| field("/asset", "There is no such asset."));
    code.map(find).transpose().map(|asset| asset.map(|asset| asset.id))
}

fn when(seq: Option<i64>, recorded_at: Option<DateTime<Utc>>) -> Result<When, Problem> {
    match (seq, recorded_at) {
        (None, None) => Ok(When::Now),
        (Some(seq), None) if seq >= 0 => Ok(When::Seq(seq)),
        (None, Some(at)) => Ok(When::Recorded(at.timestamp_micros())),
        _ => Err(field("/seq", "Say one of seq (zero or more) and recorded_at, or none.")),
    }
}

/// At which time, of what, in which form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LiabilityQuery {
    /// After the record of this seq, and before the next.
    #[param(minimum = 0)]
    seq: Option<i64>,
    /// After everything that was recorded up to this moment; absent, with `seq`, is now.
    recorded_at: Option<DateTime<Utc>>,
    /// Only this asset.
    #[param(example = "PTS:club")]
    asset: Option<String>,
    /// Absent, by `Accept`.
    #[param(inline)]
    format: Option<FormatName>,
}

/// Tells unspent units of the accounts that keep lots, by month earned, month they end and campaign.
///
/// Held against the balances of those accounts at the same seq: `agrees` tells the outcome.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(LiabilityQuery), responses(
    (status = 200, content((LiabilityBody = "application/json"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/liability", wrap = "May(Scope::LedgerRead)")]
async fn get_liability(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<LiabilityQuery>,
    request: HttpRequest,
    lang: Lang,
) -> Result<HttpResponse, Problem> {
    let source = source(&platform, &caller);
    let at = when(query.seq, query.recorded_at)?;
    let assets = source.assets().await?;
    let only = asset(query.asset.as_deref(), &assets)?;
    let mut found = source.liability(source.seq(at).await?).await?;
    only.into_iter().for_each(|asset| found.keep(asset));
    match form(query.format, &request) {
        None => Ok(HttpResponse::Ok().json(LiabilityBody::of(&found, &assets))),
        Some(form) => {
            let mut file = File::new(form, &LIABILITY, lang)?;
            sheets::liability(&mut file, &found, &assets)?;
            Ok(file_answer(form, &format!("liability-{}", found.seq), file.finish()?))
        }
    }
}

/// Between which times, of what, in which form; and what its points are worth, if the terms are given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RollForwardQuery {
    /// What was recorded from this moment on; absent, from the beginning.
    from: Option<DateTime<Utc>>,
    /// And before this one; absent, up to now.
    until: Option<DateTime<Utc>>,
    /// Only this asset.
    #[param(example = "PTS:club")]
    asset: Option<String>,
    /// Absent, by `Accept`.
    #[param(inline)]
    format: Option<FormatName>,
    /// For a value: what customers paid for goods and points together, minor units. Needs `asset`.
    #[param(minimum = 0)]
    paid: Option<i64>,
    /// For a value: the stand-alone price of the goods, minor units.
    #[param(minimum = 0)]
    goods_price: Option<i64>,
    /// For a value: the stand-alone price of one unit that is used, in millionths of a minor unit.
    #[param(minimum = 0)]
    unit_price_millionths: Option<i64>,
    /// For a value: how many of the units issued were expected to be used when they were sold, in millionths; absent, all.
    #[param(minimum = 0, maximum = 1_000_000)]
    sold_rate_millionths: Option<i64>,
    /// For a value: units now expected to be used in all; absent, what was expected when they were sold.
    #[param(minimum = 0)]
    expected_units: Option<i64>,
    /// For a value: revenue of earlier periods, minor units.
    #[param(minimum = 0)]
    recognised_before: Option<i64>,
}

impl RollForwardQuery {
    fn terms(&self) -> Result<Option<Terms>, Problem> {
        let Self { paid, goods_price, unit_price_millionths, .. } = self;
        let further = Further {
            sold_rate_millionths: self.sold_rate_millionths,
            expected_units: self.expected_units,
            recognised_before: self.recognised_before,
        };
        match (paid, goods_price, unit_price_millionths) {
            (None, None, None) if further == Further::default() => Ok(None),
            (Some(paid), Some(goods_price), Some(unit_price)) => {
                further.terms([*paid, *goods_price, *unit_price]).map(Some)
            }
            _ => Err(field("/paid", "A value needs paid, goods_price and unit_price_millionths.")),
        }
    }
}

/// Tells what became of unspent units between two times, campaign by campaign, and what they are worth by IFRS 15.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(RollForwardQuery), responses(
    (status = 200, content((RollForwardBody = "application/json"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/liability/roll-forward", wrap = "May(Scope::LedgerRead)")]
async fn get_roll_forward(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<RollForwardQuery>,
    request: HttpRequest,
    lang: Lang,
) -> Result<HttpResponse, Problem> {
    let source = source(&platform, &caller);
    let assets = source.assets().await?;
    let (only, terms) = (asset(query.asset.as_deref(), &assets)?, query.terms()?);
    let (after, upto) = source.window(query.from, query.until).await?;
    let mut found = source.roll_forward(after, upto).await?;
    only.into_iter().for_each(|asset| found.keep(asset));
    if let Some(form) = form(query.format, &request) {
        let mut file = File::new(form, &ROLL_FORWARD, lang)?;
        sheets::roll_forward(&mut file, &found, &assets)?;
        return Ok(file_answer(form, &format!("roll-forward-{after}-{upto}"), file.finish()?));
    }
    let value = match (terms, only) {
        (Some(terms), Some(asset)) => Some(source.value(asset, upto, &terms).await?),
        (Some(_), None) => return Err(field("/asset", "A value is of one asset: name it.")),
        (None, _) => None,
    };
    Ok(HttpResponse::Ok().json(RollForwardBody::of(&found, value.as_ref(), &assets)))
}
