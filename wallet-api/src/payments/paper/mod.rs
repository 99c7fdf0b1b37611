//! Papers: what was decided and on which facts, written in the commit of what it decided (JOURNAL 7, 8).
//!
//! Codes and opaque references only. The record commits to these bytes under the person's secret; rules, cards, hooks
//! and explanations read nothing else, so each can be computed again from the rows. Here the paper of a payment, in
//! [`later`] those of what becomes of one, in [`events`] what followers are told.

mod events;
mod later;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ledger::follow::Written;
use ledger::{Companion, Dropped, JournalId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

pub use events::{Cleared, cleared, events};
pub(super) use later::{AuthorisationPaper, RefundPaper, TakenBack, VoidPaper};

use super::model::{Instrument, PaymentWish};
use super::own::Agreed;
use crate::identity::sca::exemption::Article;
use crate::loyalty::{Grant, RewardKind};
use crate::platform::problem::Problem;

/// The kinds of companions: a payment's.
pub const PAYMENT: i32 = 1;
/// An authorisation's.
const AUTHORISATION: i32 = 2;
/// A void's.
const VOID: i32 = 3;
/// A refund's.
const REFUND: i32 = 4;

/// The version of a payment's paper.
const VERSION: u8 = 1;
/// The same of one that was captured from an authorisation.
const CAPTURED: u8 = 2;
/// The same of either when its payer is held to limits.
const COUNTED: u8 = 3;

/// What a slice writes beside a record, as canonical JSON: fields in their order, no spaces.
pub(super) trait Sheet: Serialize + DeserializeOwned {
    /// Its kind of companion.
    const KIND: i32;
    /// What it is called where it cannot be read.
    const NAME: &'static str;

    /// Whether this binary knows its version.
    fn is_known(&self) -> bool;

    /// The companion of this key.
    fn companion(&self, key: Uuid) -> Companion {
        Companion { kind: Self::KIND, key, body: serde_json::to_vec(self).unwrap_or_default() }
    }

    /// The paper in a companion's bytes, if this binary knows its version.
    fn parse(companion: &Written) -> Option<Self> {
        serde_json::from_slice(&companion.body).ok().filter(Self::is_known)
    }

    /// The same.
    ///
    /// # Errors
    /// 503 `payment-unreadable` when it does not: while nodes are updated, another one may.
    fn read(journal: JournalId, companion: &Written) -> Result<Self, Problem> {
        Self::parse(companion).ok_or_else(|| {
            tracing::error!(journal = journal.0, seq = companion.seq, "a payment's paper cannot be read");
            let detail = "It was recorded by a newer release than this node's: ask again when the nodes are updated.";
            Problem::new(503, "payment-unreadable", "This node cannot read the payment", detail).retry_after(60)
        })
    }
}

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
    /// What it was captured from; from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorisation: Option<Uuid>,
    /// How many rows, behind its own first one, count it for its payer's limits; from version 3 on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub counted: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl Sheet for PaymentPaper {
    const KIND: i32 = PAYMENT;
    const NAME: &'static str = "payment's paper";

    fn is_known(&self) -> bool {
        self.v
            == match (self.counted, self.authorisation) {
                (0, None) => VERSION,
                (0, Some(_)) => CAPTURED,
                _ => COUNTED,
            }
    }
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
    /// A payment's, with what it earns.
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
            authorisation: None,
            counted: 0,
        }
    }

    /// The same, with so many rows that count it.
    pub(super) fn counted(self, counted: i32) -> Self {
        if counted == 0 { self } else { Self { v: COUNTED, counted, ..self } }
    }

    /// The same, captured from an authorisation.
    pub(super) fn captured(self, authorisation: Uuid) -> Self {
        Self { v: CAPTURED, authorisation: Some(authorisation), ..self }
    }

    /// Each reward with what became of it, the transaction's dropped groups given.
    pub fn outcomes<'a>(&'a self, dropped: &'a [Dropped]) -> impl Iterator<Item = (&'a PaperReward, Outcome)> {
        // Group n is leg n + 1, behind what counts the payment: it is leg 0 itself, and each group has one transfer. What is left
        // of an authorisation is given back in the group behind them.
        let mut group = 0;
        self.rewards.iter().map(move |reward| {
            if reward.minor == 0 {
                return (reward, Outcome::TooSmall);
            }
            let drop = dropped.iter().find(|drop| drop.group == group);
            group += 1;
            let leg = group.saturating_add(self.counted);
            (reward, drop.map_or(Outcome::Given { leg }, dropped_because))
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

/// The member of a record's metadata that says how the payer agreed.
const SCA: &str = "sca";

/// Notes in a record's metadata how the payer agreed: the SHA-256 of the evidence, or the article that it goes without under.
pub(super) fn agreed(mut meta: Value, agreed: Option<Agreed>) -> Value {
    let how = agreed.map(|agreed| match agreed {
        Agreed::Approved(digest) => json!({"evidence": HEXLOWER.encode(&digest)}),
        Agreed::Exempt(article) => json!({"exempt": article.word()}),
    });
    if let (Some(object), Some(how)) = (meta.as_object_mut(), how) {
        object.insert(SCA.into(), how);
    }
    meta
}

/// How the payer agreed, as a record's metadata says; none of what machines pay.
pub(super) fn how_agreed(meta: &[u8]) -> Option<Agreed> {
    let meta: Value = serde_json::from_slice(meta).ok()?;
    let how = meta.get(SCA)?;
    if let Some(article) = how.get("exempt").and_then(Value::as_str) {
        return Article::of(article).map(Agreed::Exempt);
    }
    let digest = HEXLOWER.decode(how.get("evidence")?.as_str()?.as_bytes()).ok()?;
    digest.try_into().ok().map(Agreed::Approved)
}

/// Notes in a record's metadata how many hooks led to it, where any did: its own hook is one more (E68).
pub(super) fn caused(mut meta: Value, hook_depth: i16) -> Value {
    if let (Some(object), 1..) = (meta.as_object_mut(), hook_depth) {
        object.insert("hook_depth".into(), json!(hook_depth));
    }
    meta
}

/// A journal's time; they are all within chrono's range, which the journal's own bounds see to.
pub(super) fn moment(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ledger::follow::parked::Unread;
    use ledger::follow::{Entry, Page, Said, Span};
    use ledger::forks::Lines;

    use super::*;

    fn page(paper: &[u8]) -> Page {
        let entry = |seq, said| Entry { seq, id: Uuid::nil(), recorded_us: 0, effective_us: 0, said, meta: Vec::new() };
        let entries = vec![entry(1, Said::Other), entry(2, Said::Posted { dropped: Vec::new() })];
        let companions = vec![Written { seq: 2, kind: PAYMENT, key: Uuid::nil(), body: paper.to_vec() }];
        let span = Span { journal: JournalId(1), fork: Uuid::nil(), from: 0, upto: 2 };
        Page { span, entries, companions, ended: Vec::new(), lines: Lines::only(Uuid::nil()) }
    }

    fn bytes(paper: &PaymentPaper) -> Vec<u8> {
        paper.companion(Uuid::nil()).body
    }

    /// Papers are hashed into the books: what was written once is read for ever.
    #[test]
    fn papers_of_both_versions_are_written_to_the_byte_and_read() {
        let captured = paper().captured(Uuid::from_u128(4));
        insta::assert_snapshot!(String::from_utf8(bytes(&paper())).unwrap(), @r#"{"v":1,"payment":"00000000-0000-0000-0000-000000000003","customer":"00000000-0000-0000-0000-000000000001","merchant":"00000000-0000-0000-0000-000000000002","amount_minor":5,"instrument":{"kind":"wallet"},"reference":null,"rewards":[]}"#);
        insta::assert_snapshot!(String::from_utf8(bytes(&captured)).unwrap(), @r#"{"v":2,"payment":"00000000-0000-0000-0000-000000000003","customer":"00000000-0000-0000-0000-000000000001","merchant":"00000000-0000-0000-0000-000000000002","amount_minor":5,"instrument":{"kind":"wallet"},"reference":null,"rewards":[],"authorisation":"00000000-0000-0000-0000-000000000004"}"#);
        for paper in [paper(), captured] {
            let companion = Written { seq: 2, kind: PAYMENT, key: Uuid::nil(), body: bytes(&paper) };
            assert_eq!(PaymentPaper::parse(&companion), Some(paper));
        }
    }

    fn paper() -> PaymentPaper {
        let (customer, merchant, instrument) = (Uuid::from_u128(1), Uuid::from_u128(2), Instrument::Wallet);
        let (reference, occurred_at, hook_depth) = (None, None, 0);
        let wish = PaymentWish { customer, merchant, amount_minor: 5, instrument, reference, occurred_at, hook_depth };
        PaymentPaper::of(Uuid::from_u128(3), &wish, &[])
    }

    #[test]
    fn a_paper_of_a_version_we_do_not_know_is_told_of_and_stops_nobody() {
        let known = page(&bytes(&paper()));
        assert_eq!((cleared(&known).read.len(), events(&known).read.len()), (1, 1));
        assert!(cleared(&known).unread.is_empty() && events(&known).unread.is_empty());
        let (newer, authorisation) = (PaymentPaper { v: CAPTURED, ..paper() }, Some(Uuid::nil()));
        let mixed = PaymentPaper { authorisation, ..paper() };
        for unknown in [bytes(&newer), bytes(&mixed), b"{}".to_vec()] {
            let (unknown, unread) = (page(&unknown), vec![Unread { seq: 2, what: PaymentPaper::NAME }]);
            assert_eq!((cleared(&unknown).read, &cleared(&unknown).unread), (Vec::new(), &unread));
            assert_eq!((events(&unknown).read.len(), events(&unknown).unread), (0, unread));
        }
    }
}
