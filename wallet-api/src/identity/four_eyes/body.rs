//! A request for four eyes, as the API shows it.

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Outcome, Proposal};

/// What somebody asked for and somebody else decides.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProposalBody {
    /// Its id.
    approval: Uuid,
    /// What: `refund`, `limits`, `erasure` or `sca-rule`.
    #[schema(example = "refund")]
    act: &'static str,
    /// On what: its sort, a colon, its id.
    #[schema(example = "payment:0190a2c4-7d1e-7c33-9f55-0a1b2c3d4e5f")]
    object: String,
    /// `pending`, `expired`, `approved`, `rejected`, or `withdrawn` by who asked.
    #[schema(example = "pending")]
    status: &'static str,
    /// All else that was asked: what is done is made of this, to the letter.
    #[schema(value_type = Object)]
    asked: Value,
    /// SHA-256 of act, object and what was asked, lower-case hex.
    sha256: String,
    /// Who asked, by the number of a client or an operator.
    asked_by: i64,
    /// When.
    asked_at: DateTime<Utc>,
    /// From when on nobody can decide it.
    expires_at: DateTime<Utc>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<i64>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<DateTime<Utc>>,
    /// Of a refund that was approved: the place in the books of what was posted, or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// Of a refund that was approved, and that the books refused for good: the code of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "refund-overtaken")]
    refused: Option<&'static str>,
}

impl ProposalBody {
    /// The same with what the books answered.
    #[must_use]
    pub fn came_to(self, outcome: Option<Outcome>) -> Self {
        let refused = outcome.and_then(|outcome| outcome.refused);
        Self { seq: outcome.map(|outcome| outcome.seq), refused, ..self }
    }

    /// As it stands at a moment.
    #[must_use]
    pub fn of(it: &Proposal, now: DateTime<Utc>) -> Self {
        Self {
            approval: it.id,
            act: it.act.word(),
            object: it.object.clone(),
            status: it.status(now),
            asked: it.asked(),
            sha256: HEXLOWER.encode(&it.fingerprint),
            asked_by: it.asked_by,
            asked_at: it.asked_at,
            expires_at: it.expires_at,
            decided_by: it.decided.map(|decided| decided.by),
            decided_at: it.decided.map(|decided| decided.at),
            seq: None,
            refused: None,
        }
    }
}

impl Proposal {
    /// The answer to who asked: nothing is done yet.
    #[must_use]
    pub fn accepted(&self, now: DateTime<Utc>) -> HttpResponse {
        HttpResponse::Accepted().json(ProposalBody::of(self, now))
    }
}
