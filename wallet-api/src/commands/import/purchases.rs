//! `tessera import purchases`: each row of a shop's file as a payment by an external instrument, with its rewards.
//!
//! Two readings of the file: the first adds up what the campaign must be able to give, the second posts. Everything has
//! a key made from what it is (the row, the file), so a second run, or one after a kill, posts nothing twice and leaves
//! the journal's head where it was. Memory does not grow with the file, but for 16 bytes a distinct row.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use diesel::{Connection, PgConnection};
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::{Body, Key, Memory, Scope};
use ring::digest::{Context, SHA256};
use serde::Serialize;
use uuid::Uuid;

use super::rejects::Rejects;
use super::rows::{self, Entry, Reject, Row};
use crate::commands::keys::create_tenant;
use crate::commands::node::{DatabaseArgs, Node, Settings};
use crate::engagement::hooks::guard::Policy;
use crate::identity::{self, IdentityError, NewTenant};
use crate::loyalty::{self, Campaign, RewardKind, Rule};
use crate::payments::{Instrument, Paid, PaymentWish};
use crate::platform::books::{HOUSE, Paper, ask, journal_of, refusal_code};
use crate::platform::chart::Rail;
use crate::platform::ids::{Ids, derived};
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::platform::vault;
use crate::profile;

/// Idempotency scope of imported rows.
const IMPORT: Scope = Scope(-2);
/// Two per cent back, rounded down to the cent, no cap; one point per whole euro.
const RULE: Rule = Rule { version: 1, cashback_bps: 200, cashback_cap: None, points_per_unit: 1 };
/// Rows prepared and posted together, and how many such lots are on their way at once.
const LOT: usize = 2_000;
const LOTS: usize = 3;
/// How long a row whose outcome is not known, or whose books cannot be reached, is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Which file, into which books.
#[derive(Debug, clap::Args)]
pub struct PurchasesArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A CSV file with the columns ID, Date (YYYYMMDD) and Amount.
    file: PathBuf,
    /// Whose books; made, as a sandbox, if there is no such tenant.
    #[arg(long, default_value = "import")]
    tenant: String,
    /// Your own name for the merchant that was paid; made if there is none.
    #[arg(long, default_value = "shop")]
    merchant: String,
    /// Where rows that are no payment go, with line and reason; without it, beside the file's name in this folder.
    #[arg(long)]
    rejects: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What an import did. Totals cover rows posted now and before.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Lines after the header.
    pub rows: u64,
    /// Posted now.
    pub posted: u64,
    /// Posted before, under the same key.
    pub replayed: u64,
    /// Set aside with their reason, those that the books refused among them.
    pub rejected: u64,
    /// Cents paid.
    pub paid_minor: i64,
    /// Cents of cashback given.
    pub cashback_minor: i64,
    /// Points given.
    pub points: i64,
}

/// `tessera import purchases …`
pub async fn purchases(args: PurchasesArgs) -> anyhow::Result<()> {
    let ahead = read_ahead(&args.file)?;
    let database = args.database.open()?;
    let tenant = tenant(&database.url, &args.tenant)?;
    let settings = Settings {
        url: database.url.clone(),
        address: "import".into(),
        memory: Memory::default(),
        ids: Ids::system(),
        hook_policy: Policy::default(),
        sealing: None,
        vault: vault::Settings::default(),
    };
    let node = Node::start(settings)?;
    let done = import(&node, &tenant, &args, &ahead).await;
    node.stop().await;
    if let Some(cluster) = database.cluster {
        cluster.stop()?;
    }
    let (imported, rejects) = done?;
    report(&args, &imported, rejects.as_deref())
}

fn report(args: &PurchasesArgs, imported: &Imported, rejects: Option<&Path>) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(imported)?)?;
        return Ok(());
    }
    let Imported { rows, posted, replayed, rejected, paid_minor, cashback_minor, points } = imported;
    writeln!(out, "{rows} rows: {posted} posted, {replayed} posted before, {rejected} set aside")?;
    writeln!(out, "{paid_minor} cents paid, {cashback_minor} cents of cashback and {points} points given")?;
    if let Some(rejects) = rejects {
        writeln!(out, "Rows that are no payment are in {}", rejects.display())?;
    }
    writeln!(out, "Next: tessera verify")?;
    Ok(())
}

/// What the first reading of a file finds.
struct Ahead {
    rows: u64,
    cashback_minor: i64,
    points: i64,
    /// Stands for the rows, so that one file is funded once.
    digest: [u8; 16],
}

fn read_ahead(file: &Path) -> anyhow::Result<Ahead> {
    let mut ahead = Ahead { rows: 0, cashback_minor: 0, points: 0, digest: [0; 16] };
    let mut hash = Context::new(&SHA256);
    for entry in rows::open(file).map_err(with_remedy)? {
        ahead.rows = ahead.rows.saturating_add(1);
        if let Entry::Row(row) = entry.map_err(with_remedy)? {
            let reward = RULE.reward(row.amount_minor)?;
            let add = |sum: i64, more: i64| sum.checked_add(more).context("the file's rewards do not fit 64 bits");
            ahead.cashback_minor = add(ahead.cashback_minor, reward.cashback_minor)?;
            ahead.points = add(ahead.points, reward.points)?;
            hash.update(&rows::key(&Uuid::nil(), &row));
        }
    }
    for (to, from) in ahead.digest.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    Ok(ahead)
}

pub(super) fn with_remedy(error: super::ImportError) -> anyhow::Error {
    let remedy = error.remedy();
    anyhow::Error::new(error).context(remedy)
}

/// The tenant of this name; made, as a sandbox, if there is none.
pub(super) fn tenant(url: &str, slug: &str) -> anyhow::Result<Tenant> {
    let conn = &mut PgConnection::establish(url)?;
    match identity::tenant_by_slug(conn, slug) {
        Ok(tenant) => Ok(tenant),
        Err(IdentityError::UnknownTenant) => {
            let (name, zone, locale) = (slug.to_owned(), Tz::Europe__Rome, Lang::It);
            let wish = NewTenant { slug: slug.to_owned(), name, sandbox: true, zone, locale };
            create_tenant(conn, &Ids::system(), &wish)
        }
        Err(error) => Err(error.into()),
    }
}

async fn import(
    node: &Node,
    tenant: &Tenant,
    args: &PurchasesArgs,
    ahead: &Ahead,
) -> anyhow::Result<(Imported, Option<PathBuf>)> {
    anyhow::ensure!(
        node.parts.journal.wait_until_leading(Duration::from_secs(10)).await,
        "another node writes to these books: stop it, or import where it does not run"
    );
    let shop = Shop::prepare(node, tenant, &args.merchant, ahead).await?;
    let rejects = RefCell::new(Rejects::new(&rejects_path(args), &args.file).map_err(with_remedy)?);
    let bar = progress(ahead.rows);
    let mut failure = None;
    let mut read = 0_u64;
    let good = rows::open(&args.file).map_err(with_remedy)?.filter_map(|entry| {
        read = read.saturating_add(1);
        match entry.and_then(|entry| match entry {
            Entry::Row(row) => Ok(Some(row)),
            Entry::Reject(reject) => rejects.borrow_mut().add(&reject).map(|()| None),
        }) {
            Ok(row) => row,
            Err(error) => {
                failure = Some(error);
                None
            }
        }
    });
    let mut imported = Imported::default();
    let mut posting = stream::iter(Lots(good)).map(|lot| shop.post(lot)).buffer_unordered(LOTS);
    while let Some(lot) = posting.next().await {
        let (lot, refused) = lot?;
        bar.inc(lot.posted.saturating_add(lot.replayed));
        imported.add(&lot);
        for reject in &refused {
            bar.inc(1);
            rejects.borrow_mut().add(reject).map_err(with_remedy)?;
        }
    }
    drop(posting);
    bar.finish_and_clear();
    if let Some(error) = failure {
        return Err(with_remedy(error));
    }
    let rejects = rejects.into_inner();
    (imported.rows, imported.rejected) = (read, rejects.count());
    Ok((imported, rejects.finish().map_err(with_remedy)?))
}

fn rejects_path(args: &PurchasesArgs) -> PathBuf {
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    args.rejects.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.rejects.csv")))
}

fn progress(rows: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {eta} left");
    let bar = ProgressBar::new(rows);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

/// Cuts rows into lots.
struct Lots<I>(I);

impl<I: Iterator<Item = Row>> Iterator for Lots<I> {
    type Item = Vec<Row>;

    fn next(&mut self) -> Option<Vec<Row>> {
        let lot: Vec<Row> = self.0.by_ref().take(LOT).collect();
        (!lot.is_empty()).then_some(lot)
    }
}

impl Imported {
    fn add(&mut self, lot: &Self) {
        self.posted = self.posted.saturating_add(lot.posted);
        self.replayed = self.replayed.saturating_add(lot.replayed);
        self.paid_minor = self.paid_minor.saturating_add(lot.paid_minor);
        self.cashback_minor = self.cashback_minor.saturating_add(lot.cashback_minor);
        self.points = self.points.saturating_add(lot.points);
    }

    /// Counts a payment; what the books had up to `before` was posted by an earlier run. A row whose first answer was lost
    /// is answered as a replay too, and is still of this run. Tells why, when the row was refused instead.
    fn count(&mut self, paid: &Paid, before: i64) -> anyhow::Result<Option<&'static str>> {
        let (transfers, dropped) = match &paid.answer.record.body {
            Body::Transaction { transfers, dropped, .. } => (transfers, dropped),
            Body::Refused { refusal } => return Ok(Some(refusal_code(refusal))),
            Body::Opened { .. }
            | Body::Frozen { .. }
            | Body::Changed { .. }
            | Body::Due { .. }
            | Body::ClockMoved { .. }
            | Body::Abandoned => {
                anyhow::bail!("the record of seq {} is no payment", paid.answer.record.seq)
            }
        };
        let paper = paid.paper.as_ref().context("a payment without its paper")?;
        let counter = if paid.answer.record.seq > before { &mut self.posted } else { &mut self.replayed };
        *counter = counter.saturating_add(1);
        self.paid_minor = self.paid_minor.saturating_add(transfers.first().map_or(0, |posted| posted.amount.minor));
        for (reward, outcome) in paper.outcomes(dropped) {
            let given = matches!(outcome, crate::payments::Outcome::Given { .. });
            let sum = match reward.kind {
                RewardKind::Cashback => &mut self.cashback_minor,
                RewardKind::Points => &mut self.points,
            };
            *sum = sum.saturating_add(if given { reward.minor } else { 0 });
        }
        Ok(None)
    }
}

/// The shop whose file it is: its merchant, its campaign funded.
struct Shop<'a> {
    node: &'a Node,
    tenant: &'a Tenant,
    merchant: Uuid,
    /// The seq of the books when this run began.
    before: i64,
}

impl<'a> Shop<'a> {
    async fn prepare(node: &'a Node, tenant: &'a Tenant, reference: &str, ahead: &Ahead) -> anyhow::Result<Self> {
        let (payments, journal) = (&node.parts.payments, journal_of(tenant));
        let head = payments
            .platform
            .db
            .of(tenant.id)
            .read(move |conn| ledger::read::head(conn, journal))
            .await
            .map_err(in_words)?;
        let before = head.map_or(0, |head| head.seq);
        let reference = reference.to_owned();
        let merchant = payments.merchants.add(&payments.platform, tenant.id, reference.clone(), reference).await;
        let merchant = merchant.map_err(in_words)?.id;
        let campaign = loyalty::ensure_campaign(&payments.platform, &payments.journal, tenant, merchant, RULE).await;
        payments.programmes.forget(tenant.id);
        let shop = Self { node, tenant, merchant, before };
        shop.fund(&campaign.map_err(in_words)?, ahead).await?;
        Ok(shop)
    }

    /// Gives the campaign all that the file's rows will earn, once per file.
    async fn fund(&self, campaign: &Campaign, ahead: &Ahead) -> anyhow::Result<()> {
        let payments = &self.node.parts.payments;
        let config = payments.programmes.config(&payments.platform, self.tenant.id).await.map_err(in_words)?;
        for (kind, minor) in [(RewardKind::Cashback, ahead.cashback_minor), (RewardKind::Points, ahead.points)] {
            if minor == 0 {
                continue;
            }
            let word = if kind == RewardKind::Points { "points" } else { "cashback" };
            let key = derived("import-funding", &[self.merchant.as_bytes(), &ahead.digest, word.as_bytes()]);
            let command = loyalty::funding(self.tenant.id, &config, campaign, kind, minor, key);
            let meta = serde_json::json!({"kind": "funding", "campaign": campaign.id});
            let (key, paper) = (Key { scope: HOUSE, key, fingerprint: key }, Paper { meta, ..Paper::default() });
            let answer = ask(&payments.journal, self.tenant, key, command, paper).await?;
            anyhow::ensure!(
                !matches!(answer.record.body, Body::Refused { .. }),
                "the campaign's budget could not be funded: one of its accounts is frozen"
            );
        }
        Ok(())
    }

    /// Posts a lot; tells what came of it, and which rows the books refused.
    async fn post(&self, lot: Vec<Row>) -> anyhow::Result<(Imported, Vec<Reject>)> {
        let payments = &self.node.parts.payments;
        let mut references: Vec<String> = lot.iter().map(|row| row.customer.clone()).collect();
        references.sort_unstable();
        references.dedup();
        payments.customers.ensure_all(&payments.platform, self.tenant.id, references).await.map_err(in_words)?;
        let (mut imported, mut refused) = (Imported::default(), Vec::new());
        let mut posting = stream::iter(&lot).map(|row| async move { (row, self.pay(row).await) }).buffer_unordered(LOT);
        while let Some((row, paid)) = posting.next().await {
            refused.extend(imported.count(&paid?, self.before)?.map(|code| row.refused(code)));
        }
        drop(posting);
        Ok((imported, refused))
    }

    /// Posts a row; what is not known yet is asked again under the same key.
    async fn pay(&self, row: &Row) -> anyhow::Result<Paid> {
        let key = Uuid::from_bytes(rows::key(&self.merchant, row));
        let key = Key { scope: IMPORT, key, fingerprint: key };
        let wish = PaymentWish {
            customer: profile::customer_id(self.tenant.id, &row.customer),
            merchant: self.merchant,
            amount_minor: row.amount_minor,
            instrument: Instrument::External { rail: Rail::Card },
            reference: None,
            occurred_at: Some(midnight(self.tenant.zone, row.date)),
            hook_depth: 0,
        };
        let until = tokio::time::Instant::now().checked_add(PATIENCE);
        loop {
            match self.node.parts.payments.pay(self.tenant, key, &wish).await {
                Ok(paid) => return Ok(paid),
                Err(problem) if problem.status().is_server_error() && Some(tokio::time::Instant::now()) < until => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(problem) => return Err(in_words(problem).context(format!("line {}", row.line))),
            }
        }
    }
}

/// 00:00 of a day in the tenant's zone; the first moment there is, where clocks go forward at midnight.
fn midnight(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    let local = zone.from_local_datetime(&midnight);
    local.earliest().map_or_else(|| midnight.and_utc(), |moment| moment.to_utc())
}

fn in_words(problem: Problem) -> anyhow::Error {
    let body = problem.body(Lang::En);
    anyhow::anyhow!("{}: {}. {}", body.code, body.title, body.detail)
}
