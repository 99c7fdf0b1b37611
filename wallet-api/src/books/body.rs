//! How the books are told: accounts, transactions, records ([`record`]), as JSON.

mod record;

use chrono::{DateTime, Utc};
use ledger::read::LinkAt;
use ledger::read::accounts::Current;
use ledger::{Body, LegRef, NEVER, NormalSide, Piece, Posted, Record, RowKind, Side};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use record::{RecordBody, TermsBody, record_line};

use super::Assets;
use super::model::{RateBody, RowBody};
use super::nature::Keeps;

/// Whole minor units, written as digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits(pub i64);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// On which side an account normally stands. Serves reports only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normal {
    /// What the house owns or spends.
    Debit,
    /// What the house owes.
    #[default]
    Credit,
}

impl From<NormalSide> for Normal {
    fn from(side: NormalSide) -> Self {
        match side {
            NormalSide::Debit => Self::Debit,
            NormalSide::Credit => Self::Credit,
        }
    }
}

impl From<Normal> for NormalSide {
    fn from(side: Normal) -> Self {
        match side {
            Normal::Debit => Self::Debit,
            Normal::Credit => Self::Credit,
        }
    }
}

/// An account with its terms, as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountBody {
    /// Its id.
    id: Uuid,
    /// What it holds.
    #[schema(example = "EUR")]
    asset: String,
    /// For reports.
    normal_side: Normal,
    /// Whose it is.
    owner: Option<Uuid>,
    /// Available never goes below this; null is no limit.
    #[schema(value_type = Option<String>)]
    floor: Option<Digits>,
    /// The balance never goes above this; null is no limit.
    #[schema(value_type = Option<String>)]
    ceiling: Option<Digits>,
    /// Credits less debits.
    #[schema(value_type = String)]
    balance: Digits,
    /// The part of it that holds have set aside.
    #[schema(value_type = String)]
    held: Digits,
    /// The rest, less what was earned and cannot be spent yet.
    #[schema(value_type = String)]
    available: Digits,
    /// How many entries it has.
    version: i64,
    /// No debit passes.
    debits_frozen: bool,
    /// No credit passes.
    credits_frozen: bool,
    /// Nothing passes.
    closed: bool,
    /// What it keeps beside its balance; absent is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    keeps: Option<Keeps>,
    /// The record that opened it.
    opened_seq: i64,
}

impl AccountBody {
    pub(super) fn of(current: &Current, assets: &Assets) -> Self {
        let account = &current.account;
        Self {
            id: account.public_id,
            asset: assets.code(account.asset).to_owned(),
            normal_side: account.normal_side.into(),
            owner: account.owner,
            floor: account.floor.map(Digits),
            ceiling: account.ceiling.map(Digits),
            balance: Digits(account.balance),
            held: Digits(account.held),
            available: Digits(current.available()),
            version: account.version,
            debits_frozen: account.debits_frozen,
            credits_frozen: account.credits_frozen,
            closed: account.closed,
            keeps: Keeps::of(account.nature),
            opened_seq: account.id.0,
        }
    }
}

/// A transaction as it was posted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransactionBody<'a> {
    /// Its id: the Idempotency-Key it was asked under, if that was a UUID.
    id: Uuid,
    /// Its place in the books.
    seq: i64,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// When it counts.
    effective_at: DateTime<Utc>,
    /// What moved.
    transfers: Vec<TransferBody<'a>>,
    /// What came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    meta: Option<Value>,
}

impl<'a> TransactionBody<'a> {
    pub(super) fn of(record: &'a Record, assets: &'a Assets) -> Option<Self> {
        let Body::Transaction { transfers, .. } = &record.body else { return None };
        Some(Self {
            id: record.id,
            seq: record.seq,
            recorded_at: moment(record.recorded_us),
            effective_at: moment(record.effective_us),
            transfers: transfers.iter().map(|posted| TransferBody::of(posted, assets)).collect(),
            meta: meta(&record.meta),
        })
    }
}

/// A transaction as it was posted, and what became of it since.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransactionSince<'a> {
    /// As it was posted.
    #[serde(flatten)]
    transaction: TransactionBody<'a>,
    /// What has captured, given back or moved back some of it, in that order; absent while nothing has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    followed_by: Vec<LinkBody>,
}

impl<'a> TransactionSince<'a> {
    pub(super) fn of(record: &'a Record, links: &[LinkAt], assets: &'a Assets) -> Option<Self> {
        let transaction = TransactionBody::of(record, assets)?;
        Some(Self { transaction, followed_by: links.iter().map(LinkBody::of).collect() })
    }
}

/// A later row that builds on one of a transaction's.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkBody {
    /// Which leg it builds on.
    of_leg: i32,
    /// `capture`, `void`, `expire` or `refund`.
    #[schema(example = "refund")]
    kind: &'static str,
    /// How much of it.
    #[schema(value_type = String, example = "500")]
    amount: Digits,
    /// The later transaction, or what was recorded when a hold expired.
    id: Uuid,
    /// Its place in the books.
    seq: i64,
    /// The row in it.
    leg: i32,
}

impl LinkBody {
    fn of(link: &LinkAt) -> Self {
        // A row that moves and builds on another moves it back.
        let kind = if link.kind == RowKind::Move { "refund" } else { row_kind(link.kind) };
        let (LegRef { leg: of_leg, .. }, LegRef { seq, leg }) = (link.of, link.by);
        Self { of_leg, kind, amount: Digits(link.minor), id: link.record, seq, leg }
    }
}

/// A transfer as it was posted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransferBody<'a> {
    /// Its place in the transaction.
    leg: i32,
    /// `move`, `hold`, `capture`, `void`, `expire`.
    #[schema(example = "move")]
    kind: &'static str,
    /// How much.
    #[schema(value_type = String, example = "1999")]
    amount: Digits,
    /// What of.
    #[schema(example = "EUR")]
    asset: &'a str,
    /// The account value left, right after.
    debit: SideBody,
    /// The account value reached, right after.
    credit: SideBody,
    /// The earlier row it captures, gives back or moves back.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<RowBody>,
    /// When a hold ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// The rate its amount was made by.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateBody>,
    /// Lots that left the debit account, or were set aside or given back on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    debit_lots: Vec<PieceBody>,
    /// Lots that reached the credit account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credit_lots: Vec<PieceBody>,
}

/// So much of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PieceBody {
    /// How much.
    #[schema(value_type = String)]
    amount: Digits,
    /// The day it was earned.
    earned_on: chrono::NaiveDate,
    /// Not to be spent before; absent is at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    activates_at: Option<DateTime<Utc>>,
    /// Worth nothing from then on; absent is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// What it was earned by; absent is nothing in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// What one unit costs, in millionths of the cost currency's minor unit.
    unit_cost: i64,
}

impl PieceBody {
    pub(super) fn of(piece: &Piece) -> Self {
        let Piece { lot, minor } = piece;
        let earned_on = chrono::NaiveDate::from_epoch_days(lot.earned_day).unwrap_or_default();
        Self {
            amount: Digits(*minor),
            earned_on,
            activates_at: (lot.activates_us > 0).then(|| moment(lot.activates_us)),
            expires_at: (lot.expires_us < NEVER).then(|| moment(lot.expires_us)),
            campaign: Some(lot.campaign).filter(|campaign| !campaign.is_nil()),
            unit_cost: lot.unit_cost,
        }
    }
}

impl<'a> TransferBody<'a> {
    fn of(posted: &Posted, assets: &'a Assets) -> Self {
        Self {
            leg: posted.leg,
            kind: row_kind(posted.kind),
            amount: Digits(posted.amount.minor),
            asset: assets.code(posted.amount.asset),
            debit: SideBody::of(&posted.debit),
            credit: SideBody::of(&posted.credit),
            of: posted.of().map(|LegRef { seq, leg }| RowBody { seq, leg }),
            expires_at: posted.more.as_ref().and_then(|more| more.expires_us).map(moment),
            rate: posted.more.as_ref().and_then(|more| more.rate).map(|rate| RateBody {
                of: rate.of,
                numerator: rate.numerator,
                denominator: rate.denominator,
            }),
            debit_lots: posted.debit_lots().iter().map(PieceBody::of).collect(),
            credit_lots: posted.credit_lots().iter().map(PieceBody::of).collect(),
        }
    }
}

/// One account of a transfer, right after it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SideBody {
    /// Which.
    account: Uuid,
    /// Its balance.
    #[schema(value_type = String)]
    balance: Digits,
    /// The part of it set aside.
    #[schema(value_type = String)]
    held: Digits,
    /// Its entries so far.
    version: i64,
}

impl SideBody {
    fn of(side: &Side) -> Self {
        let Side { public_id, balance, held, version, .. } = *side;
        Self { account: public_id, balance: Digits(balance), held: Digits(held), version }
    }
}

fn row_kind(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Move => "move",
        RowKind::Hold => "hold",
        RowKind::Capture => "capture",
        RowKind::Void => "void",
        RowKind::Expire => "expire",
    }
}

/// A moment of the journal.
pub(super) fn moment(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}

/// What a client sent with its transaction, or else what the house wrote there; none when there is nothing to tell.
pub(super) fn meta(bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() || bytes == br#"{"kind":"ledger"}"# {
        return None;
    }
    let mut meta: Value = serde_json::from_slice(bytes).ok()?;
    let ours = meta.get("kind").and_then(Value::as_str) == Some("ledger");
    if ours { meta.get_mut("meta").map(Value::take) } else { Some(meta) }
}
