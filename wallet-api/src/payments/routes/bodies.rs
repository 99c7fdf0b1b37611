//! A payment as it is answered and read.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ledger::read::LinkAt;
use ledger::{Record, RowKind};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::accounts::{BalanceBody, balances_after};
use crate::loyalty::{Config, RewardKind};
use crate::payments::own::Agreed;
use crate::payments::paper::{AuthorisationPaper, Outcome, PaperReward, PaymentPaper, how_agreed, moment};
use crate::payments::reading::{Cleared, Found, Standing};
use crate::payments::{Instrument, explain};
use crate::platform::money::{EUR, Money};
use crate::platform::text::Lang;

/// A payment: what it is, what it earned, and, when it is read, what has become of it since.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PaymentBody {
    /// Its id.
    id: Uuid,
    /// `cleared`: the money has moved. `authorised`: it is set aside; then `captured`, when some of it was and nothing is
    /// left to capture, `voided`, `expired`.
    #[schema(example = "cleared")]
    status: &'static str,
    /// Its place in the books.
    seq: i64,
    /// Who paid.
    customer: Uuid,
    /// Who was paid.
    merchant: Uuid,
    /// How much.
    amount: Money,
    /// With what.
    instrument: Instrument,
    /// The merchant's order.
    reference: Option<String>,
    /// When it counts.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// What it earned, and what it did not and why.
    rewards: Vec<RewardBody>,
    /// The customer's balances that it changed, right after it.
    balances: Vec<BalanceBody>,
    /// How its payer agreed; absent of what a machine paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<AgreedBody>,
    /// What it was captured from.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorisation: Option<Uuid>,
    /// What a final capture left and gave back.
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Money>,
    /// When an authorisation ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// What was captured of an authorisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured: Option<Money>,
    /// What may still be captured of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<Money>,
    /// What was refunded of a payment, or of an authorisation's captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<Money>,
    /// The captures of an authorisation, each a payment of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    captures: Option<Vec<PartBody>>,
    /// The refunds of a payment, or of an authorisation's captures.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunds: Option<Vec<PartBody>>,
}

/// How a payer agreed to a payment: one of the two.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgreedBody {
    /// They approved it: SHA-256 of the evidence, in hex. The record in the books says it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_sha256: Option<String>,
    /// It goes without, under this article of Regulation (EU) 2018/389.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rts-16")]
    exempt: Option<&'static str>,
}

impl AgreedBody {
    pub(super) fn of(agreed: Agreed) -> Self {
        match agreed {
            Agreed::Approved(digest) => Self { evidence_sha256: Some(HEXLOWER.encode(&digest)), exempt: None },
            Agreed::Exempt(article) => Self { evidence_sha256: None, exempt: Some(article.word()) },
        }
    }
}

/// A capture or a refund.
#[derive(Debug, Serialize, ToSchema)]
struct PartBody {
    /// Its id.
    id: Uuid,
    /// How much.
    amount: Money,
}

/// A reward: given, or not and why.
#[derive(Debug, Serialize, ToSchema)]
struct RewardBody {
    /// Money or points.
    kind: RewardKind,
    /// How much it is.
    amount: Money,
    /// Whose budget pays it.
    campaign: Uuid,
    /// The version of the campaign's rule that decided.
    rule_version: i32,
    /// `given`, `amount-too-small`, `budget-exhausted`, `campaign-paused`, `not-possible`.
    #[schema(example = "given")]
    outcome: &'static str,
    /// Why it was not given, in the request's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl PaymentBody {
    /// A payment or a capture, as it was answered.
    pub(super) fn cleared(tenant: i64, lang: Lang, config: &Config, record: &Record, paper: &PaymentPaper) -> Self {
        let (transfers, dropped) = (record.body.transfers(), record.body.dropped());
        let reward = |(reward, outcome): (&PaperReward, Outcome)| RewardBody {
            kind: reward.kind,
            amount: Money::new(reward.minor, &reward.asset),
            campaign: reward.campaign,
            rule_version: reward.rule_version,
            outcome: outcome.code(),
            reason: explain::reason(lang, outcome),
        };
        let released = transfers.iter().find(|row| row.kind == RowKind::Void);
        Self {
            id: paper.payment,
            status: "cleared",
            seq: record.seq,
            customer: paper.customer,
            merchant: paper.merchant,
            amount: Money::new(paper.amount_minor, EUR),
            instrument: paper.instrument,
            reference: paper.reference.clone(),
            occurred_at: moment(record.effective_us),
            recorded_at: moment(record.recorded_us),
            rewards: paper.outcomes(dropped).map(reward).collect(),
            balances: balances_after(tenant, config, paper.customer, transfers),
            agreed: how_agreed(&record.meta).map(AgreedBody::of),
            authorisation: paper.authorisation,
            released: released.map(|row| Money::new(row.amount.minor, EUR)),
            expires_at: None,
            captured: None,
            remaining: None,
            refunded: None,
            captures: None,
            refunds: None,
        }
    }

    /// An authorisation, as it was answered.
    pub(super) fn authorised(tenant: i64, config: &Config, record: &Record, paper: &AuthorisationPaper) -> Self {
        Self {
            id: paper.payment,
            status: "authorised",
            seq: record.seq,
            customer: paper.customer,
            merchant: paper.merchant,
            amount: Money::new(paper.amount_minor, EUR),
            instrument: Instrument::Wallet,
            reference: paper.reference.clone(),
            occurred_at: moment(record.effective_us),
            recorded_at: moment(record.recorded_us),
            rewards: Vec::new(),
            balances: balances_after(tenant, config, paper.customer, record.body.transfers()),
            agreed: None,
            authorisation: None,
            released: None,
            expires_at: Some(moment(paper.expires_us)),
            captured: None,
            remaining: None,
            refunded: None,
            captures: None,
            refunds: None,
        }
    }

    /// Either, with what has become of it since.
    pub(super) fn found(tenant: i64, lang: Lang, config: &Config, found: &Found) -> Self {
        match found {
            Found::Cleared(Cleared { record, paper, links }) => {
                let refunds = parts(links, |link| link.kind == RowKind::Move && link.of.leg == 0);
                let (refunded, refunds) = (Some(refunds.0), Some(refunds.1));
                Self { refunded, refunds, ..Self::cleared(tenant, lang, config, record, paper) }
            }
            Found::Authorised(standing) => {
                let Standing { record, paper, hold, links } = standing;
                let captures = parts(links, |link| link.kind == RowKind::Capture);
                let refunds = parts(links, |link| link.kind == RowKind::Move);
                Self {
                    status: status(standing),
                    captured: Some(captures.0),
                    remaining: Some(Money::new(hold.remaining, EUR)),
                    refunded: Some(refunds.0),
                    captures: Some(captures.1),
                    refunds: Some(refunds.1),
                    ..Self::authorised(tenant, config, record, paper)
                }
            }
        }
    }
}

/// Where an authorisation stands.
fn status(standing: &Standing) -> &'static str {
    let has = |kind| standing.links.iter().any(|link| link.kind == kind);
    if standing.hold.remaining > 0 {
        "authorised"
    } else if has(RowKind::Capture) {
        "captured"
    } else if has(RowKind::Void) {
        "voided"
    } else {
        "expired"
    }
}

/// The sum of some links, and each of them.
fn parts(links: &[LinkAt], are: impl Fn(&LinkAt) -> bool) -> (Money, Vec<PartBody>) {
    let all = links.iter().filter(|link| are(link));
    let part = |link: &LinkAt| PartBody { id: link.record, amount: Money::new(link.minor, EUR) };
    let sum = all.clone().fold(0_i64, |sum, link| sum.saturating_add(link.minor));
    (Money::new(sum, EUR), all.map(part).collect())
}
