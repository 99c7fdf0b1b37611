//! What the journal answered, as an HTTP answer begins.

use actix_web::{HttpResponse, HttpResponseBuilder};
use ledger::{Answer, Body};

use super::books::describe_refusal;
use super::problem::Problem;

/// 201 for what is done; with `idempotent-replayed: true` when an earlier request with the same key did it.
///
/// # Errors
/// The refusal, when the journal refused.
pub fn created(answer: &Answer) -> Result<HttpResponseBuilder, Problem> {
    if let Body::Refused { refusal } = &answer.record.body {
        return Err(describe_refusal(refusal, answer.record.seq));
    }
    let mut response = HttpResponse::Created();
    if answer.replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response)
}
