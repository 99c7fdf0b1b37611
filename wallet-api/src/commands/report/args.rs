//! What `tessera report` is told on the command line.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::commands::node::DatabaseArgs;
use crate::platform::text::Lang;
use crate::reports::{Terms, When};

/// Which report.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// Unspent points by month earned, month they end and campaign.
    Liability(LiabilityArgs),
    /// What became of unspent points between two times, and what they are worth.
    RollForward(RollForwardArgs),
    /// What unspent points are worth, by IFRS 15.
    Value(ValueArgs),
    /// An account's statement.
    Statement(StatementArgs),
    /// All accounts at some time, by asset.
    TrialBalance(TrialBalanceArgs),
    /// Which payments of a month another table of limits would have refused.
    Limits(LimitsArgs),
    /// Close a day of the tenant's calendar, or tell how it was closed.
    Close(CloseArgs),
}

/// Whose books, and where the report goes.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Whose books.
    #[arg(long)]
    pub(super) tenant: String,
    /// Where to: a name that ends with .csv or .xlsx; without it, CSV on standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// The language of headings, `en` or `it`; without it, the tenant's.
    #[arg(long, value_parser = lang)]
    pub(super) lang: Option<Lang>,
}

/// Which time.
#[derive(Debug, clap::Args)]
pub(super) struct Moment {
    /// After everything recorded up to this moment (RFC 3339); without it, now.
    #[arg(long, conflicts_with = "seq")]
    pub(super) at: Option<DateTime<Utc>>,
    /// After the record of this seq.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) seq: Option<i64>,
}

/// Unspent points, of what and when.
#[derive(Debug, clap::Args)]
pub struct LiabilityArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) moment: Moment,
    /// Only this asset.
    #[arg(long)]
    pub(super) asset: Option<String>,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
}

/// A stretch of time.
#[derive(Debug, clap::Args)]
pub(super) struct Stretch {
    /// What was recorded from this moment on (RFC 3339); without it, from the beginning.
    #[arg(long)]
    pub(super) from: Option<DateTime<Utc>>,
    /// And before this one; without it, up to now.
    #[arg(long)]
    pub(super) until: Option<DateTime<Utc>>,
}

/// A roll-forward, of what, between when, and the terms of its value.
#[derive(Debug, clap::Args)]
pub struct RollForwardArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) stretch: Stretch,
    /// Only this asset.
    #[arg(long)]
    pub(super) asset: Option<String>,
    /// Print one JSON object, with the value if its terms are given.
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
    /// What customers paid for goods and points together, minor units.
    #[arg(long, requires_all = ["goods_price", "unit_price_millionths", "asset", "json"])]
    pub(super) paid: Option<i64>,
    /// The stand-alone price of the goods, minor units.
    #[arg(long, requires = "paid")]
    pub(super) goods_price: Option<i64>,
    /// The stand-alone price of a unit that is used, millionths of a minor unit.
    #[arg(long, requires = "paid")]
    pub(super) unit_price_millionths: Option<i64>,
    /// How many of the units issued were expected to be used when they were sold, millionths.
    #[arg(long, requires = "paid", default_value_t = 1_000_000)]
    pub(super) sold_rate_millionths: i64,
    /// Units now expected to be used in all; without it, what was expected when they were sold.
    #[arg(long, requires = "paid")]
    pub(super) expected_units: Option<i64>,
    /// Revenue of earlier periods, minor units.
    #[arg(long, requires = "paid", default_value_t = 0)]
    pub(super) recognised_before: i64,
}

/// Of what and when, by which terms.
#[derive(Debug, clap::Args)]
pub struct ValueArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Of which points.
    #[arg(long)]
    pub(super) asset: String,
    /// What was recorded before this moment (RFC 3339); without it, up to now.
    #[arg(long)]
    pub(super) until: Option<DateTime<Utc>>,
    /// What customers paid for goods and points together, minor units.
    #[arg(long)]
    pub(super) paid: i64,
    /// The stand-alone price of the goods, minor units.
    #[arg(long)]
    pub(super) goods_price: i64,
    /// The stand-alone price of a unit that is used, millionths of a minor unit.
    #[arg(long)]
    pub(super) unit_price_millionths: i64,
    /// How many of the units issued were expected to be used when they were sold, millionths.
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) sold_rate_millionths: i64,
    /// Units now expected to be used in all; without it, what was expected when they were sold.
    #[arg(long)]
    pub(super) expected_units: Option<i64>,
    /// Revenue of earlier periods, minor units.
    #[arg(long, default_value_t = 0)]
    pub(super) recognised_before: i64,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
}

/// A statement, of which account and when.
#[derive(Debug, clap::Args)]
pub struct StatementArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) stretch: Stretch,
    /// The account's id.
    pub(super) account: Uuid,
}

/// A trial balance, and when.
#[derive(Debug, clap::Args)]
pub struct TrialBalanceArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) moment: Moment,
}

/// A month of payments, judged by another table.
#[derive(Debug, clap::Args)]
pub struct LimitsArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Whose books.
    #[arg(long)]
    pub(super) tenant: String,
    /// Which month of the tenant's calendar, as in 2026-10.
    #[arg(long, value_parser = month)]
    pub(super) month: NaiveDate,
    /// By which table: the moment that it is in force from (RFC 3339), or `law` for the law's numbers.
    #[arg(long, value_name = "VALID_FROM")]
    pub(super) under: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// A day to close.
#[derive(Debug, clap::Args)]
pub struct CloseArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Whose books.
    #[arg(long)]
    pub(super) tenant: String,
    /// By the tenant's calendar, as in 2026-11-21.
    pub(super) day: NaiveDate,
    /// Close open days since the last closing with this one.
    #[arg(long)]
    pub(super) skip_open_days: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

impl Moment {
    pub(super) fn when(&self) -> When {
        match (self.seq, self.at) {
            (Some(seq), _) => When::Seq(seq),
            (None, Some(at)) => When::Recorded(at.timestamp_micros()),
            (None, None) => When::Now,
        }
    }
}

impl RollForwardArgs {
    pub(super) fn terms(&self) -> Option<Terms> {
        Some(Terms {
            paid: self.paid?.into(),
            goods_price: self.goods_price?.into(),
            unit_price_millionths: self.unit_price_millionths?.into(),
            sold_rate_millionths: self.sold_rate_millionths.into(),
            expected: self.expected_units.map(i128::from),
            recognised_before: self.recognised_before.into(),
        })
    }
}

impl ValueArgs {
    pub(super) fn terms(&self) -> Terms {
        Terms {
            paid: self.paid.into(),
            goods_price: self.goods_price.into(),
            unit_price_millionths: self.unit_price_millionths.into(),
            sold_rate_millionths: self.sold_rate_millionths.into(),
            expected: self.expected_units.map(i128::from),
            recognised_before: self.recognised_before.into(),
        }
    }
}

fn lang(text: &str) -> Result<Lang, String> {
    Lang::from_tag(text).ok_or_else(|| "en or it".to_owned())
}

/// The first day of a month.
fn month(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map_err(|_date| "a month is as in 2026-10".to_owned())
}
