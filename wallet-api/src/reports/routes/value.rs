//! What points are worth, over HTTP.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{FormatName, asset, file_answer, form, source};
use crate::platform::Platform;
use crate::platform::fields::field;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::reports::bodies::ValueReportBody;
use crate::reports::sheets::{self, File, VALUE};
use crate::reports::value::{MILLION, Terms};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get_value);
}

/// Terms that have a usual value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Further {
    pub(super) sold_rate_millionths: Option<i64>,
    pub(super) expected_units: Option<i64>,
    pub(super) recognised_before: Option<i64>,
}

impl Further {
    /// The terms, with what was paid, the goods' price and a unit's.
    pub(super) fn terms(self, [paid, goods_price, unit_price]: [i64; 3]) -> Result<Terms, Problem> {
        let Self { sold_rate_millionths, expected_units, recognised_before } = self;
        let sold_rate = sold_rate_millionths.map_or(MILLION, i128::from);
        if !(0..=MILLION).contains(&sold_rate) {
            return Err(field("/sold_rate_millionths", "0 to 1,000,000."));
        }
        let others = [("/expected_units", expected_units), ("/recognised_before", recognised_before)];
        if let Some((name, _)) = others.into_iter().find(|(_, value)| value.is_some_and(|value| value < 0)) {
            return Err(field(name, "Zero or more."));
        }
        Ok(Terms {
            paid: paid.into(),
            goods_price: goods_price.into(),
            unit_price_millionths: unit_price.into(),
            sold_rate_millionths: sold_rate,
            expected: expected_units.map(i128::from),
            recognised_before: recognised_before.unwrap_or(0).into(),
        })
    }
}

/// Of what and when, by which terms, in which form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ValueQuery {
    /// Of which points.
    #[param(example = "EUR")]
    asset: String,
    /// What was recorded before this moment counts; absent, up to now.
    until: Option<DateTime<Utc>>,
    /// What customers paid for goods and points together, minor units.
    #[param(minimum = 0, example = 100_000)]
    paid: i64,
    /// The stand-alone price of the goods, minor units.
    #[param(minimum = 0, example = 100_000)]
    goods_price: i64,
    /// The stand-alone price of one unit that is used, in millionths of a minor unit.
    #[param(minimum = 0, example = 1_000_000)]
    unit_price_millionths: i64,
    /// How many of the units issued were expected to be used when they were sold, in millionths; absent, all.
    #[param(minimum = 0, maximum = 1_000_000)]
    sold_rate_millionths: Option<i64>,
    /// Units now expected to be used in all; absent, what was expected when they were sold.
    #[param(minimum = 0)]
    expected_units: Option<i64>,
    /// Revenue of earlier periods, minor units.
    #[param(minimum = 0)]
    recognised_before: Option<i64>,
    /// Absent, by `Accept`.
    #[param(inline)]
    format: Option<FormatName>,
}

/// Tells what points are worth by IFRS 15: what of the sum paid is revenue, and what is still put off.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(ValueQuery), responses(
    (status = 200, content((ValueReportBody = "application/json"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/liability/value", wrap = "May(Scope::LedgerRead)")]
async fn get_value(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<ValueQuery>,
    request: HttpRequest,
    lang: Lang,
) -> Result<HttpResponse, Problem> {
    let ValueQuery { asset: code, until, paid, goods_price, unit_price_millionths, .. } = &*query;
    let further = Further {
        sold_rate_millionths: query.sold_rate_millionths,
        expected_units: query.expected_units,
        recognised_before: query.recognised_before,
    };
    let terms = further.terms([*paid, *goods_price, *unit_price_millionths])?;
    let source = source(&platform, &caller);
    let asset = asset(Some(code), &source.assets().await?)?;
    let asset = asset.ok_or_else(|| field("/asset", "There is no such asset."))?;
    let (_, upto) = source.window(None, *until).await?;
    let value = source.value(asset, upto, &terms).await?;
    match form(query.format, &request) {
        None => Ok(HttpResponse::Ok().json(ValueReportBody::of(upto, code, &value))),
        Some(form) => {
            let mut file = File::new(form, &VALUE, lang)?;
            sheets::value(&mut file, upto, code, &value)?;
            Ok(file_answer(form, &format!("value-{upto}"), file.finish()?))
        }
    }
}
