//! Payments: money from a customer's wallet, or from outside, to a merchant, with what it earns in the same transaction.
//!
//! `Payments::pay` is the one road for app, till, web and import. It decides the rewards by the published rules, purely,
//! then asks the journal for one transaction: the payment, and each reward as an optional group that an empty budget
//! drops without touching the payment. What was decided and why is written in the same commit. [`authorise`] does the same
//! in two steps, [`refund`] undoes it, and [`own`] is what a person pays, who approves it first.
//! Not here yet: payments with points.

mod authorise;
mod explain;
mod model;
pub mod own;
mod paper;
mod reading;
mod refund;
mod refusals;
mod routes;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ledger::{Amount, Answer, Body, Claim, Command, Group, Journal, JournalError, JournalId, Key, NewAccount};
use uuid::Uuid;

pub use explain::amount;
pub use model::{Instrument, PaymentWish, TopUpWish};
pub use paper::{Cleared, Outcome, PAYMENT, PaperReward, PaymentPaper, cleared, events};
pub use refusals::{Allowance, Refusals};
pub use routes::{StandingBody, customer_accounts, customer_balances, own_accounts, routes};

use self::own::Agreed;
use self::paper::Sheet;
use crate::billers::Merchants;
use crate::levels::{Ask, Counting, Levels};
use crate::loyalty::{self, Config, Grant, Programmes};
use crate::platform::Platform;
use crate::platform::books::{HOUSE, Paper, ask, only_if_done};
use crate::platform::chart::{self, Purpose};
use crate::platform::ids::derived;
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;
use crate::profile::Customers;

/// What payments stand on.
#[derive(Clone)]
pub struct Payments {
    /// Database, time, ids.
    pub platform: Platform,
    /// The books.
    pub journal: Journal,
    /// Who pays.
    pub customers: Arc<Customers>,
    /// Who is paid.
    pub merchants: Arc<Merchants>,
    /// What it earns.
    pub programmes: Arc<Programmes>,
    /// What people may hold and pay.
    pub levels: Arc<Levels>,
    /// Who was refused of late.
    pub refusals: Arc<Refusals>,
    /// What judges what people approve.
    pub approver: own::Approver,
}

/// What the journal has decided: done, or refused for good.
#[derive(Debug, Clone)]
pub struct Done<P> {
    /// The journal's answer.
    pub answer: Answer,
    /// What was decided before the posting; none for a refusal.
    pub paper: Option<P>,
}

/// A payment: cleared, or refused.
pub type Paid = Done<PaymentPaper>;

impl Payments {
    /// Makes a payment, or tells what became of it under this key.
    ///
    /// # Errors
    /// 404 for an unknown customer or merchant; the journal's problems, each saying whether anything happened; 422
    /// `limit-payment`, `limit-day`, `limit-month`. Any other refusal by an account's state is an answer.
    #[tracing::instrument(name = "payments.pay", skip_all, fields(tenant = tenant.id))]
    pub async fn pay(&self, tenant: &Tenant, key: Key, wish: &PaymentWish) -> Result<Paid, Problem> {
        let id = self.platform.ids.uuid_v7(self.platform.clock.now());
        self.post(tenant, key, id, wish, None).await
    }

    /// The same under an id that was given out before, with how its payer agreed on the record.
    async fn post(
        &self,
        tenant: &Tenant,
        key: Key,
        id: Uuid,
        wish: &PaymentWish,
        agreed: Option<Agreed>,
    ) -> Result<Paid, Problem> {
        let secret = self.customers.secret(&self.platform, tenant.id, wish.customer).await?;
        self.merchants.get(&self.platform, tenant.id, wish.merchant).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let now = self.now(&config);
        let grants = grants(&config, wish.occurred_at.unwrap_or(now), wish)?;
        let counting = match wish.instrument {
            Instrument::Wallet => self.counting(tenant, key, &config, wish.customer).await?,
            Instrument::External { .. } => None,
        };
        let written = PaymentPaper::of(id, wish, &grants).counted(counting.map_or(0, |counting| counting.legs()));
        let companion = written.companion(id);
        let commitment = Some(secret.commit(id, &companion.body));
        let meta = paper::meta("payment", wish.customer, Some(wish.merchant), commitment);
        let meta = paper::agreed(paper::caused(meta, wish.hook_depth), agreed);
        let paper =
            Paper { effective_us: wish.occurred_at.map(|at| at.timestamp_micros()), meta, companions: vec![companion] };
        let command = transaction(tenant.id, id, &config, wish, &grants, counting);
        let answer = self.ask(tenant, (wish.customer, "payment"), key, command, paper).await?;
        self.done(tenant, answer, id, written).await
    }

    /// Tells what a payment would earn, by the same rules, and whether the budgets would bear it now.
    ///
    /// # Errors
    /// 404 for an unknown merchant.
    pub async fn quote(
        &self,
        tenant: &Tenant,
        merchant: Uuid,
        amount_minor: i64,
    ) -> Result<Vec<(Grant, bool)>, Problem> {
        self.merchants.get(&self.platform, tenant.id, merchant).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let grants =
            loyalty::grants(&config, self.now(&config), merchant, amount_minor).map_err(|_too_large| too_large())?;
        let budgets: Vec<Uuid> = grants.iter().map(|grant| grant.budget().account(tenant.id)).collect();
        let journal = JournalId(tenant.id);
        let history = self.platform.history.clone();
        let read = move |conn: &mut diesel::PgConnection| ledger::read::balances(conn, &history, journal, &budgets);
        let balances = self.platform.db.of(tenant.id).read(read).await?;
        let bears = |grant: &Grant| {
            let budget = grant.budget().account(tenant.id);
            let balance = balances.iter().find(|balance| balance.public_id == budget);
            balance.is_some_and(|balance| balance.balance >= grant.minor && !balance.debits_frozen)
        };
        Ok(grants
            .into_iter()
            .map(|grant| {
                let bears = bears(&grant);
                (grant, bears)
            })
            .collect())
    }

    /// Brings money from outside into a customer's wallet.
    ///
    /// # Errors
    /// 404 for an unknown customer; the journal's problems; 422 `limit-stored`.
    #[tracing::instrument(name = "payments.top_up", skip_all, fields(tenant = tenant.id))]
    pub async fn top_up(&self, tenant: &Tenant, key: Key, wish: &TopUpWish) -> Result<Answer, Problem> {
        self.customers.secret(&self.platform, tenant.id, wish.customer).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        self.counting(tenant, key, &config, wish.customer).await?; // its ceiling is the wallet's own
        let (from, to) = (Purpose::Settlement(wish.rail), Purpose::Available(wish.customer));
        let (open, transfer) = chart::moving(tenant.id, from, to, Amount::new(wish.amount_minor, config.eur));
        let command = Command::Transact {
            id: self.platform.ids.uuid_v7(self.platform.clock.now()),
            open: open.into(),
            transfers: vec![transfer],
            groups: Vec::new(),
            claim: None,
        };
        let paper = Paper { meta: paper::meta("top_up", wish.customer, None, None), ..Paper::default() };
        self.ask(tenant, (wish.customer, "top_up"), key, command, paper).await
    }

    /// What counts a customer's payments, once the journal has their limits of now; none for whoever has none. What the house
    /// brings in happened long ago, or elsewhere.
    async fn counting(
        &self,
        tenant: &Tenant,
        key: Key,
        config: &Config,
        customer: Uuid,
    ) -> Result<Option<Counting>, Problem> {
        if key.scope <= HOUSE {
            return Ok(None);
        }
        let (platform, journal) = (&self.platform, &self.journal);
        let ask = Ask { platform, journal, tenant, money: config.eur, now: self.now(config) };
        self.levels.counting(ask, customer).await
    }

    /// Asks the journal on behalf of a customer, who may be refused so often and no more. The house itself may. What one of the
    /// customer's limits refused is a problem; other refusals are answers.
    async fn ask(
        &self,
        tenant: &Tenant,
        (owner, what): (Uuid, &'static str),
        key: Key,
        command: Command,
        paper: Paper,
    ) -> Result<Answer, Problem> {
        let answer = self.ask_books(tenant, (owner, what), key, command, paper).await?;
        match self.levels.refused(&self.platform, tenant, owner, &answer.record).await? {
            Some(problem) => Err(problem),
            None => Ok(answer),
        }
    }

    async fn ask_books(
        &self,
        tenant: &Tenant,
        (owner, what): (Uuid, &'static str),
        key: Key,
        command: Command,
        paper: Paper,
    ) -> Result<Answer, Problem> {
        if key.scope <= HOUSE {
            return Ok(ask(&self.journal, tenant, key, command, paper).await?);
        }
        let (allowance, now) = (Allowance { tenant: tenant.id, owner, what }, self.platform.clock.now());
        if let Err(too_many) = self.refusals.check(allowance, now) {
            // What this key did before is told all the same; what it did not do is not tried.
            return match only_if_done(&self.journal, tenant, key, command, paper).await {
                Err(JournalError::DeadlinePassed) => Err(too_many),
                done => Ok(done?),
            };
        }
        let pending = self.refusals.pending(allowance, now);
        let answer = ask(&self.journal, tenant, key, command, paper).await;
        let is_refusal = |answer: &Answer| !answer.replayed && matches!(answer.record.body, Body::Refused { .. });
        pending.answered(answer.as_ref().is_ok_and(is_refusal));
        Ok(answer?)
    }

    /// The tenant's present: a sandbox may be ahead of the world.
    fn now(&self, config: &Config) -> DateTime<Utc> {
        let now = self.platform.clock.now();
        now.checked_add_signed(config.clock_ahead).unwrap_or(now)
    }

    /// What was decided belongs to the answer: ours if this request was the first, else what the first one wrote.
    async fn done<P: Sheet>(&self, tenant: &Tenant, answer: Answer, id: Uuid, written: P) -> Result<Done<P>, Problem> {
        // An id that was given out before is the first one's too, whose rules may have been others.
        let is_ours = answer.record.id == id && !answer.replayed;
        if is_ours && !matches!(answer.record.body, Body::Refused { .. }) {
            return Ok(Done { answer, paper: Some(written) });
        }
        self.recalled(tenant, answer).await
    }

    /// An answer with what the request that was the first wrote.
    async fn recalled<P: Sheet>(&self, tenant: &Tenant, answer: Answer) -> Result<Done<P>, Problem> {
        if matches!(answer.record.body, Body::Refused { .. }) {
            return Ok(Done { answer, paper: None });
        }
        let paper = reading::paper(&self.platform, JournalId(tenant.id), answer.record.id).await?;
        Ok(Done { paper: Some(paper), answer })
    }
}

fn grants(config: &Config, now: DateTime<Utc>, wish: &PaymentWish) -> Result<Vec<Grant>, Problem> {
    loyalty::grants(config, now, wish.merchant, wish.amount_minor).map_err(|_too_large| too_large())
}

fn too_large() -> Problem {
    Problem::new(422, "amount-invalid", "The amount cannot be moved", "Amounts are whole minor units from 1 to 10^15.")
}

/// The one transaction of a payment: its own row, what counts it, its rewards.
fn transaction(
    tenant: i64,
    id: Uuid,
    config: &Config,
    wish: &PaymentWish,
    grants: &[Grant],
    counting: Option<Counting>,
) -> Command {
    let from = match wish.instrument {
        Instrument::Wallet => Purpose::Available(wish.customer),
        Instrument::External { rail } => Purpose::Settlement(rail),
    };
    let (to, amount) = (Purpose::Payable(wish.merchant), Amount::new(wish.amount_minor, config.eur));
    let (accounts, transfer) = chart::moving(tenant, from, to, amount);
    let (mut open, mut groups) = (Vec::from(accounts), Vec::new());
    rewarding(tenant, wish.customer, grants, &mut open, &mut groups);
    let counted = counting.map(|counting| counting.payment(wish.amount_minor)).unwrap_or_default();
    let transfers = std::iter::once(transfer).chain(counted).collect();
    Command::Transact { id, open, transfers, groups, claim: order_of(tenant, wish) }
}

/// Adds each reward that gives something as a group of its own, in the grants' order, and the accounts it needs.
fn rewarding(tenant: i64, customer: Uuid, grants: &[Grant], open: &mut Vec<NewAccount>, groups: &mut Vec<Group>) {
    for grant in grants.iter().filter(|grant| grant.minor > 0) {
        let (accounts, transfer) = grant.moving(tenant, customer);
        // Rewards share accounts: the customer's, and those of a campaign that gives both money and points.
        for account in accounts {
            if !open.iter().any(|one| one.public_id == account.public_id) {
                open.push(account);
            }
        }
        groups.push(Group::of(vec![transfer]));
    }
}

/// The merchant's order, which is paid or authorised once.
fn order_of(tenant: i64, wish: &PaymentWish) -> Option<Claim> {
    wish.reference.as_ref().map(|reference| {
        Claim(derived("order", &[&tenant.to_be_bytes(), wish.merchant.as_bytes(), reference.as_bytes()]))
    })
}
