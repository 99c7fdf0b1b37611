//! How the API's document tells of what [`Asked`](super::Asked) reads.

use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{How, Mode};

/// One transaction, under the Idempotency-Key of the request; or up to a thousand, each under its own id.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub enum NewTransactions {
    /// One.
    One(NewTransaction),
    /// Several.
    Several(NewBatch),
}

/// A transaction to post: its transfers happen all or not at all.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
pub struct NewTransaction {
    /// In this order; each sees what those before it did.
    #[schema(min_items = 1, max_items = 1000)]
    pub transfers: Vec<NewTransfer>,
    /// When it counts, if not now: 1970 to 9999.
    pub effective_at: Option<DateTime<Utc>>,
    /// Codes and opaque references, never personal data; 4 KiB at most.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Value>,
}

/// Several transactions.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
pub struct NewBatch {
    /// `independent`, each by itself, or `atomic`, all or none.
    pub mode: Mode,
    /// One to a thousand.
    #[schema(min_items = 1, max_items = 1000)]
    pub transactions: Vec<NewItem>,
}

/// One of several transactions.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
pub struct NewItem {
    /// Its Idempotency-Key, best a UUID.
    #[schema(min_length = 1, max_length = 255, pattern = r#"^(?!""$)[!-~]+$"#)]
    pub id: String,
    /// In this order; each sees what those before it did.
    #[schema(min_items = 1, max_items = 1000)]
    pub transfers: Vec<NewTransfer>,
    /// When it counts, if not now: 1970 to 9999.
    pub effective_at: Option<DateTime<Utc>>,
    /// Codes and opaque references, never personal data; 4 KiB at most.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Value>,
}

/// A transfer to make.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
pub struct NewTransfer {
    /// What it does; `move` when absent.
    #[serde(default)]
    pub how: How,
    /// Value leaves this account.
    pub debit: Uuid,
    /// Value reaches this account.
    pub credit: Uuid,
    /// Whole minor units, as digits, from 1 to 10^15.
    #[schema(example = "1999", pattern = "^([1-9][0-9]{0,14}|10{15})$")]
    pub amount: String,
    /// What of: `EUR`.
    #[schema(example = "EUR")]
    pub asset: String,
}
