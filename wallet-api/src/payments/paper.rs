//! A payment's paper: what was decided and on which facts, written in the payment's own commit (JOURNAL 7, 8).
//!
//! Codes and opaque references only. The record commits to these bytes under the person's secret; rules, cards, hooks
//! and explanations read nothing else, so each can be computed again from the rows.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ledger::follow::parked::Unread;
use ledger::follow::{Entry, Page, Said, Written};
use ledger::{Dropped, JournalId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{Instrument, PaymentWish};
use crate::loyalty::{Grant, RewardKind};
use crate::platform::books::refusal_code;
use crate::platform::events::Event;
use crate::platform::follow::Reading;
use crate::platform::money::{EUR, Money};
use crate::platform::problem::Problem;

/// The companion's kind.
pub const PAYMENT: i32 = 1;

/// The version of papers that is written, and the only one there is.
const VERSION: u8 = 1;

/// What it is called where it cannot be read.
const PAPER: &str = "payment's paper";

/// The paper of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentPaper {
    v: u8,
    /// The payment.
    pub payment: Uuid,
    /// Who paid.
    pub customer: Uuid,
    /// Who was paid.
    pub merchant: Uuid,
    /// Cents.
    pub amount_minor: i64,
    /// With what.
    pub instrument: Instrument,
    /// The merchant's order.
    pub reference: Option<String>,
    /// What was decided, in order; those above zero are the transaction's optional groups.
    pub rewards: Vec<PaperReward>,
}

/// A reward as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperReward {
    /// Money or points.
    pub kind: RewardKind,
    /// Whose budget.
    pub campaign: Uuid,
    /// Under which version of its rule.
    pub rule_version: i32,
    /// How much; zero earned nothing.
    pub minor: i64,
    /// Of what.
    pub asset: String,
}

/// What became of a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Posted, as this leg of the transaction.
    Given {
        /// The leg.
        leg: i32,
    },
    /// The payment was too small to earn.
    TooSmall,
    /// The campaign's budget did not bear it.
    BudgetExhausted,
    /// The campaign is paused.
    Paused,
    /// Another account's state forbade it.
    NotPossible,
}

impl Outcome {
    /// Its stable code in the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Given { .. } => "given",
            Self::TooSmall => "amount-too-small",
            Self::BudgetExhausted => "budget-exhausted",
            Self::Paused => "campaign-paused",
            Self::NotPossible => "not-possible",
        }
    }
}

impl PaymentPaper {
    pub(super) fn of(payment: Uuid, wish: &PaymentWish, grants: &[Grant]) -> Self {
        let reward = |grant: &Grant| PaperReward {
            kind: grant.kind,
            campaign: grant.campaign,
            rule_version: grant.rule_version,
            minor: grant.minor,
            asset: grant.asset_code.clone(),
        };
        Self {
            v: VERSION,
            payment,
            customer: wish.customer,
            merchant: wish.merchant,
            amount_minor: wish.amount_minor,
            instrument: wish.instrument,
            reference: wish.reference.clone(),
            rewards: grants.iter().map(reward).collect(),
        }
    }

    /// Canonical JSON: fields in their order, no spaces.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The paper in a companion's bytes.
    ///
    /// # Errors
    /// 503 `payment-unreadable` when they are of a version this binary does not know: while nodes are updated, another one
    /// may.
    pub fn read(journal: JournalId, companion: &Written) -> Result<Self, Problem> {
        Self::parse(companion).ok_or_else(|| {
            tracing::error!(journal = journal.0, seq = companion.seq, "a payment's paper cannot be read");
            let detail = "It was recorded by a newer release than this node's: ask again when the nodes are updated.";
            Problem::new(503, "payment-unreadable", "This node cannot read the payment", detail).retry_after(60)
        })
    }

    fn parse(companion: &Written) -> Option<Self> {
        serde_json::from_slice(&companion.body).ok().filter(|paper: &Self| paper.v == VERSION)
    }

    /// Each reward with what became of it, the transaction's dropped groups given.
    pub fn outcomes<'a>(&'a self, dropped: &'a [Dropped]) -> impl Iterator<Item = (&'a PaperReward, Outcome)> {
        // Group n is leg n + 1: the payment itself is leg 0, and each group has one transfer.
        let mut group = 0;
        self.rewards.iter().map(move |reward| {
            if reward.minor == 0 {
                return (reward, Outcome::TooSmall);
            }
            let drop = dropped.iter().find(|drop| drop.group == group);
            group += 1;
            (reward, drop.map_or(Outcome::Given { leg: group }, dropped_because))
        })
    }
}

fn dropped_because(drop: &Dropped) -> Outcome {
    match drop.refusal {
        ledger::Refusal::Floor { .. } => Outcome::BudgetExhausted,
        ledger::Refusal::Frozen { .. } => Outcome::Paused,
        ledger::Refusal::Ceiling { .. }
        | ledger::Refusal::Overflow { .. }
        | ledger::Refusal::Closed { .. }
        | ledger::Refusal::NotEmpty { .. }
        | ledger::Refusal::HoldEnded { .. }
        | ledger::Refusal::HoldExceeded { .. }
        | ledger::Refusal::RefundExceeded { .. }
        | ledger::Refusal::ClaimSpent { .. } => Outcome::NotPossible,
    }
}

/// A record's metadata: what it is, whom it concerns, and the commitment to its facts.
pub(super) fn meta(kind: &str, customer: Uuid, merchant: Option<Uuid>, facts: Option<[u8; 32]>) -> Value {
    let mut meta = json!({"kind": kind, "customer": customer});
    if let (Some(object), Some(merchant)) = (meta.as_object_mut(), merchant) {
        object.insert("merchant".into(), json!(merchant));
    }
    if let (Some(object), Some(facts)) = (meta.as_object_mut(), facts) {
        object.insert("facts".into(), json!(HEXLOWER.encode(&facts)));
    }
    meta
}

/// Notes in a record's metadata how many hooks led to it, where any did: its own hook is one more (E68).
pub(super) fn caused(mut meta: Value, hook_depth: i16) -> Value {
    if let (Some(object), 1..) = (meta.as_object_mut(), hook_depth) {
        object.insert("hook_depth".into(), json!(hook_depth));
    }
    meta
}

/// What of a record's metadata says why it is there.
#[derive(Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    hook_depth: i16,
}

/// A payment that happened, as followers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The payment.
    pub id: Uuid,
    /// Who paid.
    pub customer: Uuid,
    /// Who was paid.
    pub merchant: Uuid,
    /// Cents.
    pub amount_minor: i64,
    /// When it counts.
    pub occurred: DateTime<Utc>,
}

/// The payments of a page of the journal; a paper of a version that this binary does not know is told of, not left out.
pub fn cleared(page: &Page) -> Reading<Cleared> {
    let cleared = |(entry, paper): (&Entry, PaymentPaper)| Cleared {
        id: paper.payment,
        customer: paper.customer,
        merchant: paper.merchant,
        amount_minor: paper.amount_minor,
        occurred: moment(entry.effective_us),
    };
    Reading::of(papers(page).map(|paper| paper.map(cleared)))
}

/// The events of a page of the journal: payments cleared with what they earned, and payments refused.
pub fn events(page: &Page) -> Reading<Event> {
    let cleared = papers(page).map(|paper| paper.map(|(entry, paper)| cleared_event(page, entry, &paper)));
    let refused = page.entries.iter().filter_map(|entry| refused_event(page, entry)).map(Ok);
    let mut events = Reading::of(cleared.chain(refused));
    events.read.sort_by_key(|event| (event.seq, event.ordinal));
    events
}

/// The entries of a page that are payments, each with its paper.
fn papers(page: &Page) -> impl Iterator<Item = Result<(&Entry, PaymentPaper), Unread>> {
    let mut companions = page.companions.iter().filter(|companion| companion.kind == PAYMENT).peekable();
    page.entries.iter().filter_map(move |entry| {
        while companions.next_if(|companion| companion.seq < entry.seq).is_some() {}
        let companion = companions.next_if(|companion| companion.seq == entry.seq)?;
        let unread = Unread { seq: companion.seq, what: PAPER };
        Some(PaymentPaper::parse(companion).map(|paper| (entry, paper)).ok_or(unread))
    })
}

fn cleared_event(page: &Page, entry: &Entry, paper: &PaymentPaper) -> Event {
    let dropped = match &entry.said {
        Said::Posted { dropped } => dropped.as_slice(),
        Said::Refused { .. } | Said::Other => &[],
    };
    let reward = |(reward, outcome): (&PaperReward, Outcome)| {
        json!({
            "kind": reward.kind, "campaign": reward.campaign, "rule_version": reward.rule_version,
            "amount": Money::new(reward.minor, &reward.asset), "outcome": outcome.code(),
        })
    };
    let data = json!({
        "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant, "seq": entry.seq,
        "amount": Money::new(paper.amount_minor, EUR), "instrument": paper.instrument,
        "rewards": paper.outcomes(dropped).map(reward).collect::<Vec<_>>(),
    });
    event(page, entry, "payment.cleared.v1", paper.customer, data)
}

fn refused_event(page: &Page, entry: &Entry) -> Option<Event> {
    let Said::Refused { refusal } = &entry.said else { return None };
    let meta: Value = serde_json::from_slice(&entry.meta).ok()?;
    let customer: Uuid = meta.get("customer")?.as_str()?.parse().ok()?;
    let merchant = meta.get("merchant")?;
    let data = json!({
        "payment": entry.id, "customer": customer, "merchant": merchant, "seq": entry.seq,
        "reason": refusal_code(refusal),
    });
    Some(event(page, entry, "payment.refused.v1", customer, data))
}

fn event(page: &Page, entry: &Entry, kind: &'static str, customer: Uuid, data: Value) -> Event {
    Event {
        tenant: page.span.journal.0,
        fork: page.lines.of(entry.seq),
        seq: entry.seq,
        ordinal: 0,
        kind,
        subject: format!("customer/{customer}"),
        occurred: moment(entry.effective_us),
        recorded: moment(entry.recorded_us),
        depth: serde_json::from_slice::<Cause>(&entry.meta).unwrap_or_default().hook_depth,
        data,
    }
}

/// A journal's time; they are all within chrono's range, which the journal's own bounds see to.
pub(super) fn moment(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ledger::follow::Span;
    use ledger::forks::Lines;

    use super::*;

    fn page(paper: &[u8]) -> Page {
        let entry = |seq, said| Entry { seq, id: Uuid::nil(), recorded_us: 0, effective_us: 0, said, meta: Vec::new() };
        let entries = vec![entry(1, Said::Other), entry(2, Said::Posted { dropped: Vec::new() })];
        let companions = vec![Written { seq: 2, kind: PAYMENT, key: Uuid::nil(), body: paper.to_vec() }];
        let span = Span { journal: JournalId(1), fork: Uuid::nil(), from: 0, upto: 2 };
        Page { span, entries, companions, lines: Lines::only(Uuid::nil()) }
    }

    fn paper() -> PaymentPaper {
        let (customer, merchant, instrument) = (Uuid::from_u128(1), Uuid::from_u128(2), Instrument::Wallet);
        let (reference, occurred_at, hook_depth) = (None, None, 0);
        let wish = PaymentWish { customer, merchant, amount_minor: 5, instrument, reference, occurred_at, hook_depth };
        PaymentPaper::of(Uuid::from_u128(3), &wish, &[])
    }

    #[test]
    fn a_paper_of_a_version_we_do_not_know_is_told_of_and_stops_nobody() {
        let known = page(&paper().to_bytes());
        assert_eq!((cleared(&known).read.len(), events(&known).read.len()), (1, 1));
        assert!(cleared(&known).unread.is_empty() && events(&known).unread.is_empty());
        for unknown in [PaymentPaper { v: 2, ..paper() }.to_bytes(), b"{}".to_vec()] {
            let (unknown, unread) = (page(&unknown), vec![Unread { seq: 2, what: PAPER }]);
            assert_eq!((cleared(&unknown).read, &cleared(&unknown).unread), (Vec::new(), &unread));
            assert_eq!((events(&unknown).read.len(), events(&unknown).unread), (0, unread));
        }
    }
}
