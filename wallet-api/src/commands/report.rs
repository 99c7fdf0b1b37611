//! `tessera report …`: the books for accountants, on the screen or as files.
//!
//! Reads the database beside whatever node runs on it, as long as it takes: no request's deadline counts here. CSV goes to
//! standard output, or to the file named, whose ending says whether it is CSV or a workbook; that is replaced when all
//! of it is there.

mod args;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection};
use ledger::{AssetId, History, JournalId};
use serde_json::Value as Json;

pub use self::args::ReportCommand;
use self::args::{
    CloseArgs, LiabilityArgs, LimitsArgs, Place, RollForwardArgs, StatementArgs, TrialBalanceArgs, ValueArgs,
};
use super::node::DatabaseArgs;
use crate::books::Assets;
use crate::identity;
use crate::levels::{self, WouldRefuse};
use crate::platform::db::Db;
use crate::platform::keyring::Tenant;
use crate::platform::text::Lang;
use crate::reports::{
    ClosingBody, File, Form, FormError, Heading, LIABILITY, LiabilityBody, LimitsReport, ROLL_FORWARD, Refused,
    RollForwardBody, Source, StatementFile, TRIAL_BALANCE, VALUE, ValueReportBody, liability_rows, roll_forward_rows,
    trial_balance_rows, value_rows,
};

/// Connections: a report does one thing at a time.
const CONNECTIONS: u32 = 2;

/// `tessera report …`
///
/// # Errors
/// When the books cannot be read, the file not be written, or the report does not agree with the books.
pub async fn report(what: ReportCommand) -> anyhow::Result<()> {
    match what {
        ReportCommand::Liability(args) => liability(&args).await,
        ReportCommand::RollForward(args) => roll_forward(&args).await,
        ReportCommand::Value(args) => value(&args).await,
        ReportCommand::Statement(args) => statement(&args).await,
        ReportCommand::TrialBalance(args) => trial_balance(&args).await,
        ReportCommand::Limits(args) => limits(&args).await,
        ReportCommand::Close(args) => close(&args).await,
    }
}

/// Books that are open, and how they are told of.
struct Open {
    source: Source,
    assets: Assets,
    lang: Lang,
}

/// A tenant, and its books as reports read them.
fn books(database: &DatabaseArgs, slug: &str) -> anyhow::Result<(Tenant, Source)> {
    let database = database.join()?;
    let tenant = identity::tenant_by_slug(&mut PgConnection::establish(&database.url)?, slug)?;
    let db = Db::open(&database.url, CONNECTIONS)?;
    let source = Source { db, history: History::default(), journal: JournalId(tenant.id) };
    Ok((tenant, source))
}

impl Place {
    async fn open(&self) -> anyhow::Result<Open> {
        let (tenant, source) = books(&self.database, &self.tenant)?;
        let assets = source.assets().await?;
        Ok(Open { source, assets, lang: self.lang.unwrap_or(tenant.locale) })
    }

    /// The form that the file's name asks for; CSV without one.
    fn form(&self) -> anyhow::Result<Form> {
        match self.output.as_deref().map(|path| path.extension().and_then(|ending| ending.to_str())) {
            None | Some(Some("csv")) => Ok(Form::Csv),
            Some(Some("xlsx")) => Ok(Form::Xlsx),
            Some(_) => bail!("the file's name says its form: end it with .csv or .xlsx"),
        }
    }

    /// A table, written where it goes.
    fn write(
        &self,
        heading: &Heading,
        lang: Lang,
        rows: impl FnOnce(&mut File) -> Result<(), FormError>,
    ) -> anyhow::Result<()> {
        let mut file = File::new(self.form()?, heading, lang)?;
        rows(&mut file)?;
        let bytes = file.finish()?;
        match &self.output {
            None => Ok(std::io::stdout().write_all(&bytes)?),
            Some(path) => {
                let mut part = begin(path)?;
                part.write_all(&bytes)?;
                take_its_place(part, path)
            }
        }
    }
}

/// A file beside the one that it will be when all of it is there. Whoever may read the folder may read it.
fn begin(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder);
    made.with_context(|| format!("cannot write in {}", folder.display()))
}

fn take_its_place(part: tempfile::NamedTempFile, path: &Path) -> anyhow::Result<()> {
    part.as_file().sync_all()?;
    part.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

impl Open {
    fn asset(&self, code: Option<&str>) -> anyhow::Result<Option<AssetId>> {
        let find = |code| self.assets.by_code(code).with_context(|| format!("there is no asset {code}"));
        Ok(code.map(find).transpose()?.map(|asset| asset.id))
    }
}

fn print(body: &impl serde::Serialize) -> anyhow::Result<()> {
    let body: Json = serde_json::to_value(body)?;
    Ok(writeln!(std::io::stdout(), "{body}")?)
}

async fn liability(args: &LiabilityArgs) -> anyhow::Result<()> {
    let open = args.place.open().await?;
    let only = open.asset(args.asset.as_deref())?;
    let mut found = open.source.liability(open.source.seq(args.moment.when()).await?).await?;
    only.into_iter().for_each(|asset| found.keep(asset));
    match args.json {
        true => print(&LiabilityBody::of(&found, &open.assets))?,
        false => args.place.write(&LIABILITY, open.lang, |file| liability_rows(file, &found, &open.assets))?,
    }
    check(found.agrees())
}

async fn roll_forward(args: &RollForwardArgs) -> anyhow::Result<()> {
    let open = args.place.open().await?;
    let only = open.asset(args.asset.as_deref())?;
    let (after, upto) = open.source.window(args.stretch.from, args.stretch.until).await?;
    let mut found = open.source.roll_forward(after, upto).await?;
    only.into_iter().for_each(|asset| found.keep(asset));
    let value = match (args.terms(), only) {
        (Some(terms), Some(asset)) => Some(open.source.value(asset, upto, &terms).await?),
        (Some(_), None) | (None, _) => None,
    };
    match args.json {
        true => print(&RollForwardBody::of(&found, value.as_ref(), &open.assets))?,
        false => args.place.write(&ROLL_FORWARD, open.lang, |file| roll_forward_rows(file, &found, &open.assets))?,
    }
    check(found.agrees())
}

async fn value(args: &ValueArgs) -> anyhow::Result<()> {
    let open = args.place.open().await?;
    let asset = open.asset(Some(&args.asset))?.context("name an asset")?;
    let (_, upto) = open.source.window(None, args.until).await?;
    let found = open.source.value(asset, upto, &args.terms()).await?;
    match args.json {
        true => print(&ValueReportBody::of(upto, &args.asset, &found)),
        false => args.place.write(&VALUE, open.lang, |file| value_rows(file, upto, &args.asset, &found)),
    }
}

/// A report that does not agree was written all the same: it shows where to look.
fn check(agrees: bool) -> anyhow::Result<()> {
    if agrees {
        return Ok(());
    }
    bail!("the report does not agree with the accounts' balances: run tessera verify")
}

async fn statement(args: &StatementArgs) -> anyhow::Result<()> {
    let open = args.place.open().await?;
    let from_us = args.stretch.from.map_or(i64::MIN, |at| at.timestamp_micros());
    let until_us = args.stretch.until.map(|at| at.timestamp_micros());
    let (window, form) = ((from_us, until_us), (args.place.form()?, open.lang));
    let mut file = StatementFile::new(open.source, args.account, window, form).await?;
    let Some(path) = &args.place.output else {
        while let Some(bytes) = file.next().await? {
            std::io::stdout().write_all(&bytes)?;
        }
        return Ok(());
    };
    let mut part = begin(path)?;
    while let Some(bytes) = file.next().await? {
        part.write_all(&bytes)?;
    }
    take_its_place(part, path)
}

async fn trial_balance(args: &TrialBalanceArgs) -> anyhow::Result<()> {
    let open = args.place.open().await?;
    let found = open.source.trial_balance(args.moment.when()).await?;
    args.place.write(&TRIAL_BALANCE, open.lang, |file| trial_balance_rows(file, &found, &open.assets))
}

async fn limits(args: &LimitsArgs) -> anyhow::Result<()> {
    let (tenant, source) = books(&args.database, &args.tenant)?;
    let id = tenant.id;
    let tables = source.db.of(id).read(move |conn| levels::tables(conn, id)).await?;
    let table = match args.under.as_str() {
        "law" => levels::Table { valid_from: DateTime::UNIX_EPOCH, levels: levels::LAW },
        moment => {
            let moment: DateTime<Utc> = moment.parse().context("--under is a moment (RFC 3339), or law")?;
            let found = tables.all.into_iter().find(|table| table.valid_from == moment);
            found.with_context(|| format!("no table is in force from {moment} on"))?
        }
    };
    // The middle of the month is in it wherever midnight is.
    let within = args.month.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(14);
    let report = crate::reports::limits(&source, levels::calendar(&tenant), within.timestamp_micros(), table).await?;
    if args.json {
        return print(&report);
    }
    let out = &mut std::io::stdout();
    let month = args.month.format("%Y-%m");
    let LimitsReport { payments, paid_minor, refused, refused_minor, people, .. } = report;
    writeln!(out, "{month}: {payments} payments out of wallets, {paid_minor} cents")?;
    writeln!(out, "would have been refused: {refused}, {refused_minor} cents, of {people} people")?;
    for (limit, count) in &report.by_limit {
        writeln!(out, "by {limit}: {count}")?;
    }
    for Refused { payment, seq, customer, level, amount_minor, why } in &report.refusals {
        let WouldRefuse { limit, left_minor, over_minor } = why;
        writeln!(
            out,
            "seq {seq} payment {payment} customer {customer} {level}: {amount_minor} is {over_minor} above what was left \
             ({left_minor}) by {limit}"
        )?;
    }
    Ok(())
}

async fn close(args: &CloseArgs) -> anyhow::Result<()> {
    let (tenant, source) = books(&args.database, &args.tenant)?;
    let closed = source.close(args.day, tenant.zone, 0, args.skip_open_days).await?;
    if args.json {
        return print(&ClosingBody::of(&closed, &source.assets().await?));
    }
    let (day, seq, late) = (args.day, closed.seq, closed.late);
    writeln!(std::io::stdout(), "{day} is closed at seq {seq}, with {late} late transactions")?;
    Ok(())
}
