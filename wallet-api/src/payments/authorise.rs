//! Payments in two steps: money of a wallet authorised first, captured later in parts, the rest given back.
//!
//! An authorisation is a transaction with one leg, a hold from the wallet for the merchant. A capture is a payment that
//! cleared: it has an id, a paper and rewards of its own, decided on what is captured, at the time it is. The last one may
//! give the rest back in the same transaction, as the group behind its rewards: nothing left drops it, and no harm done.
//! Who captures "all that is left" while another captures is refused by what is left then, never given less.
//! Not here: refunds, and authorisations of cards and banks, which keep their own.

use chrono::{DateTime, Utc};
use ledger::{Amount, Command, Companion, Group, How, Key, LegRef, Transfer};
use uuid::Uuid;

use super::paper::{self, AuthorisationPaper, PaymentPaper, Sheet as _, VoidPaper};
use super::reading::{self, Authorised};
use super::{Done, Instrument, Paid, PaymentWish, Payments, grants, order_of, rewarding};
use crate::levels;
use crate::platform::books::{Paper, journal_of};
use crate::platform::chart::{self, Purpose};
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;

/// What to capture of an authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CaptureWish {
    /// Cents, positive; none is all that is left.
    pub amount_minor: Option<i64>,
    /// Gives the rest back.
    pub last: bool,
    /// How many hooks led to it, one after the other.
    pub hook_depth: i16,
}

impl Payments {
    /// Sets a wallet's money aside for a merchant until a time, or tells what became of it under this key.
    ///
    /// # Errors
    /// 404 for an unknown customer or merchant; 422 `dates-unsuitable` for a time that is over; the journal's problems.
    #[tracing::instrument(name = "payments.authorise", skip_all, fields(tenant = tenant.id))]
    pub(super) async fn authorise(
        &self,
        tenant: &Tenant,
        key: Key,
        wish: &PaymentWish,
        expires: DateTime<Utc>,
    ) -> Result<Done<AuthorisationPaper>, Problem> {
        let secret = self.customers.secret(&self.platform, tenant.id, wish.customer).await?;
        self.merchants.get(&self.platform, tenant.id, wish.merchant).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let id = self.platform.ids.uuid_v7(self.platform.clock.now());
        let expires_us = expires.timestamp_micros();
        let written = AuthorisationPaper::of(id, wish, expires_us);
        let companion = written.companion(id);
        let commitment = Some(secret.commit(id, &companion.body));
        let meta = paper::meta("authorisation", wish.customer, Some(wish.merchant), commitment);
        let meta = paper::caused(meta, wish.hook_depth);
        let (from, to) = (Purpose::Available(wish.customer), Purpose::Payable(wish.merchant));
        let (open, transfer) = chart::moving(tenant.id, from, to, Amount::new(wish.amount_minor, config.eur));
        let how = How::Hold { expires_us: Some(expires_us) };
        let counting = self.counting(tenant, key, &config, wish.customer).await?;
        let counted = counting.map(|counting| counting.authorisation(wish.amount_minor, expires_us));
        let transfers = std::iter::once(Transfer { how, ..transfer }).chain(counted.unwrap_or_default());
        let command = Command::Transact {
            id,
            open: open.into(),
            transfers: transfers.collect(),
            groups: Vec::new(),
            claim: order_of(tenant.id, wish),
        };
        let paper = Paper { effective_us: None, meta, companions: vec![companion] };
        let answer = self.ask(tenant, (wish.customer, "payment"), key, command, paper).await?;
        self.done(tenant, answer, id, written).await
    }

    /// Captures some of an authorisation, or tells what became of it under this key.
    ///
    /// # Errors
    /// 404 for an unknown payment, 409 `already-cleared` for one that was not authorised first; the journal's problems. A
    /// refusal is an answer.
    #[tracing::instrument(name = "payments.capture", skip_all, fields(tenant = tenant.id))]
    pub(super) async fn capture(
        &self,
        tenant: &Tenant,
        key: Key,
        payment: Uuid,
        wish: CaptureWish,
    ) -> Result<Paid, Problem> {
        let of = reading::authorised(&self.platform, journal_of(tenant), payment).await?;
        let secret = self.customers.secret(&self.platform, tenant.id, of.paper.customer).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let part = of.part(wish);
        let grants = grants(&config, self.now(&config), &part)?;
        let id = self.platform.ids.uuid_v7(self.platform.clock.now());
        let (captures, rests) = of.moves(tenant.id, Amount::new(part.amount_minor, config.eur));
        let counted = i32::try_from(captures.len()).unwrap_or(i32::MAX).saturating_sub(1);
        let written = PaymentPaper::of(id, &part, &grants).captured(payment).counted(counted);
        let mut companions = vec![written.companion(id)];
        let commitment = companions.first().map(|facts| secret.commit(id, &facts.body));
        let meta = paper::meta("capture", part.customer, Some(part.merchant), commitment);
        let (mut open, mut groups) = (Vec::new(), Vec::new());
        rewarding(tenant.id, part.customer, &grants, &mut open, &mut groups);
        if wish.last {
            let group = i32::try_from(groups.len()).ok();
            companions.push(of.paper.voided(group).companion(id));
            groups.push(Group::of(rests));
        }
        let command = Command::Transact { id, open, transfers: captures, groups, claim: None };
        let paper = Paper { effective_us: None, meta: paper::caused(meta, wish.hook_depth), companions };
        let answer = self.ask(tenant, (part.customer, "capture"), key, command, paper).await?;
        self.done(tenant, answer, id, written).await
    }

    /// Gives back what is left of an authorisation, or tells what became of it under this key.
    ///
    /// # Errors
    /// As [`Payments::capture`].
    #[tracing::instrument(name = "payments.void", skip_all, fields(tenant = tenant.id))]
    pub(super) async fn void(
        &self,
        tenant: &Tenant,
        key: Key,
        payment: Uuid,
        hook_depth: i16,
    ) -> Result<Done<VoidPaper>, Problem> {
        let of = reading::authorised(&self.platform, journal_of(tenant), payment).await?;
        let customer = of.paper.customer;
        let secret = self.customers.secret(&self.platform, tenant.id, customer).await?;
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let id = self.platform.ids.uuid_v7(self.platform.clock.now());
        let written = of.paper.voided(None);
        let companion: Companion = written.companion(id);
        let commitment = Some(secret.commit(id, &companion.body));
        let meta = paper::meta("void", customer, Some(of.paper.merchant), commitment);
        let command = of.voiding(tenant.id, id, Amount::new(0, config.eur));
        let paper = Paper { effective_us: None, meta: paper::caused(meta, hook_depth), companions: vec![companion] };
        let answer = self.ask(tenant, (customer, "void"), key, command, paper).await?;
        self.done(tenant, answer, id, written).await
    }
}

impl Authorised {
    /// The row that opened the hold.
    const fn hold(&self) -> LegRef {
        LegRef { seq: self.seq, leg: 0 }
    }

    /// What a capture asks for, as a payment. With nothing left it asks for all there was, which the journal refuses for
    /// good: what a key did before is told by the journal, whatever is left now.
    fn part(&self, wish: CaptureWish) -> PaymentWish {
        let all = if self.left > 0 { self.left } else { self.paper.amount_minor };
        PaymentWish {
            customer: self.paper.customer,
            merchant: self.paper.merchant,
            amount_minor: wish.amount_minor.unwrap_or(all),
            instrument: Instrument::Wallet,
            reference: self.paper.reference.clone(),
            occurred_at: None,
            hook_depth: wish.hook_depth,
        }
    }

    /// The capture of an amount, and what gives the rest back; each with the same of what is counted of it.
    fn moves(&self, tenant: i64, amount: Amount) -> (Vec<Transfer>, Vec<Transfer>) {
        let (hold, nothing) = (self.hold(), Amount { minor: 0, ..amount });
        let (from, to) = (Purpose::Available(self.paper.customer), Purpose::Payable(self.paper.merchant));
        let (from, to) = (from.account(tenant), to.account(tenant));
        let (mut captures, mut rests) = (vec![], vec![]);
        captures.push(Transfer::by(How::Capture { hold }, from, to, amount));
        captures.extend(levels::ending(self.seq, &self.counted, amount.minor));
        rests.push(Transfer::by(How::Void { hold }, from, to, nothing));
        rests.extend(levels::ending(self.seq, &self.counted, 0));
        (captures, rests)
    }

    /// The transaction that gives back what is left.
    pub(super) fn voiding(&self, tenant: i64, id: Uuid, nothing: Amount) -> Command {
        let (_, transfers) = self.moves(tenant, nothing);
        Command::Transact { id, open: Vec::new(), transfers, groups: Vec::new(), claim: None }
    }
}
