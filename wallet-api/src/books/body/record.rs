//! How records are told: everything that was ever decided is one.

use chrono::{DateTime, Utc};
use ledger::{Body, Dropped, NEVER, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Normal, TransferBody, meta, moment};
use crate::books::Assets;
use crate::books::nature::{ChangeTold, Keeps};
use crate::platform::books::refusal_code;

/// A record of the journal: everything that was ever decided is one.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordBody<'a> {
    /// `transaction`, `due`, `opened`, `frozen`, `changed`, `refused`, `clock_moved`, `abandoned`.
    #[serde(rename = "type")]
    #[schema(example = "transaction")]
    kind: &'static str,
    /// Its place in the books, without a gap.
    seq: i64,
    /// What it is about: the transaction or the account.
    id: Uuid,
    /// When it was decided.
    recorded_at: DateTime<Utc>,
    /// When it counts.
    effective_at: DateTime<Utc>,
    /// What moved, in a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfers: Option<Vec<TransferBody<'a>>>,
    /// Optional groups that an account's state refused, in a transaction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<DroppedBody>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The account that refused, was opened or frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Uuid>,
    /// The terms of an account that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<TermsBody>,
    /// The transaction that opened it on first use; absent when it was asked for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<i64>,
    /// No debit passes from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    debits_frozen: Option<bool>,
    /// No credit passes from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits_frozen: Option<bool>,
    /// How the account's rules changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeTold>,
    /// Where a quota's period ends from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    period_ends_at: Option<DateTime<Utc>>,
    /// How far ahead the sandbox clock is from here on, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_us: Option<i64>,
    /// What came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    meta: Option<Value>,
}

/// The terms of an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsBody {
    /// What it holds.
    pub asset: String,
    /// Decimals of the asset's minor unit.
    pub scale: i16,
    /// For reports.
    pub normal_side: Normal,
    /// Whose it is.
    pub owner: Option<Uuid>,
    /// Available never goes below this; null is no limit.
    pub floor: Option<String>,
    /// The balance never goes above this; null is no limit.
    pub ceiling: Option<String>,
    /// What it keeps beside its balance; absent is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<Keeps>,
}

/// An optional group that was not posted.
#[derive(Debug, Serialize, ToSchema)]
struct DroppedBody {
    /// Which of the request, from zero.
    group: i32,
    /// Why.
    code: &'static str,
    /// The account that refused.
    account: Option<Uuid>,
}

impl<'a> RecordBody<'a> {
    /// Tells of a record.
    #[must_use]
    pub fn of(record: &'a Record, assets: &'a Assets) -> Self {
        let told = Self {
            kind: "",
            seq: record.seq,
            id: record.id,
            recorded_at: moment(record.recorded_us),
            effective_at: moment(record.effective_us),
            transfers: None,
            dropped: Vec::new(),
            code: None,
            account: None,
            terms: None,
            by: None,
            debits_frozen: None,
            credits_frozen: None,
            change: None,
            period_ends_at: None,
            clock_offset_us: None,
            meta: meta(&record.meta),
        };
        match &record.body {
            Body::Transaction { transfers, dropped, .. } => Self {
                kind: "transaction",
                transfers: Some(transfers.iter().map(|posted| TransferBody::of(posted, assets)).collect()),
                dropped: dropped.iter().map(DroppedBody::of).collect(),
                ..told
            },
            Body::Opened { account, asset, by } => {
                let digits = |limit: Option<i64>| limit.map(|minor| minor.to_string());
                let terms = TermsBody {
                    asset: asset.code.clone(),
                    scale: asset.scale,
                    normal_side: account.normal_side.into(),
                    owner: account.owner,
                    floor: digits(account.floor),
                    ceiling: digits(account.ceiling),
                    keeps: Keeps::of(account.nature),
                };
                let by = Some(*by).filter(|by| *by != 0);
                Self { kind: "opened", account: Some(account.public_id), terms: Some(terms), by, ..told }
            }
            Body::Frozen { account, debits, credits } => Self {
                kind: "frozen",
                account: Some(*account),
                debits_frozen: Some(*debits),
                credits_frozen: Some(*credits),
                ..told
            },
            Body::Due { account, period_us, transfers } => Self {
                kind: "due",
                account: Some(*account),
                period_ends_at: (*period_us > 0 && *period_us < NEVER).then(|| moment(*period_us)),
                transfers: Some(transfers.iter().map(|posted| TransferBody::of(posted, assets)).collect()),
                ..told
            },
            Body::Changed { account, change } => {
                Self { kind: "changed", account: Some(*account), change: Some((*change).into()), ..told }
            }
            Body::Refused { refusal } => {
                Self { kind: "refused", code: Some(refusal_code(refusal)), account: refusal.account(), ..told }
            }
            Body::ClockMoved { offset_us } => Self { kind: "clock_moved", clock_offset_us: Some(*offset_us), ..told },
            Body::Abandoned => Self { kind: "abandoned", ..told },
        }
    }
}

impl DroppedBody {
    fn of(dropped: &Dropped) -> Self {
        let Dropped { group, refusal } = dropped;
        Self { group: *group, code: refusal_code(refusal), account: refusal.account() }
    }
}

/// Appends a record as one line of JSON, with its end.
///
/// # Errors
/// What the writer says.
pub fn record_line(record: &Record, assets: &Assets, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, &RecordBody::of(record, assets))?;
    out.push(b'\n');
    Ok(())
}
