//! The journal as a stream from a cursor.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::books::Books;
use crate::books::body::RecordBody;
use crate::books::stream::PAGE;
use crate::platform::books::journal_of;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

/// Less than a request may take.
const LONGEST_WAIT_S: u64 = 8;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(follow_records);
}

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecordsQuery {
    /// The seq of the last record you have; 0 or absent from the beginning.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// How many seconds to wait when there is nothing new, 0 to 8; 0 when absent.
    #[param(minimum = 0, maximum = 8)]
    wait: Option<u64>,
}

/// Records, in order.
#[derive(Debug, Serialize, ToSchema)]
struct RecordsBody<'a> {
    /// At most 200, each once, none left out; none when there is nothing new.
    records: Vec<RecordBody<'a>>,
    /// What to send as `after` next.
    after: i64,
    /// The last record there was when these were read.
    head: i64,
}

/// Follows the journal: every record after a seq, in order.
///
/// With `Accept: text/event-stream` it goes on for as long as you read: `record` events whose id is their seq, and at the
/// end an `end` event that says why (`time`, `too-slow`, `stopping`, `archived`, `unavailable`) and where to go on. Send the last id
/// you have as `Last-Event-ID`, as every EventSource does by itself.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(RecordsQuery,
    ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "As `after`, and goes before it")), responses(
    (status = 200, body = RecordsBody),
))]
#[get("/v1/ledger/records", wrap = "May(Scope::LedgerRead)")]
async fn follow_records(
    caller: Caller,
    req: HttpRequest,
    books: web::Data<Books>,
    query: web::Query<RecordsQuery>,
) -> Result<HttpResponse, Problem> {
    let RecordsQuery { after, wait } = query.into_inner();
    let (after, wait) = (after.unwrap_or(0), wait.unwrap_or(0));
    if after < 0 || wait > LONGEST_WAIT_S {
        return Err(malformed());
    }
    let text = |name: header::HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
    let last = text(header::HeaderName::from_static("last-event-id"));
    let last = last.map(|last| last.parse().ok().filter(|seq| *seq >= 0).ok_or_else(malformed)).transpose()?;
    let after = last.unwrap_or(after);
    if text(header::ACCEPT).is_some_and(|accept| accept.contains("text/event-stream")) {
        return books.stream(caller.tenant.id, after);
    }
    let wait = Duration::from_secs(wait);
    let (found, head) = books.records_after(journal_of(&caller.tenant), after, PAGE, wait).await?;
    let assets = books.assets(caller.tenant.id).await?;
    let after = found.last().map_or(after, |record| record.seq);
    let records = found.iter().map(|record| RecordBody::of(record, &assets)).collect();
    Ok(HttpResponse::Ok().json(RecordsBody { records, after, head }))
}

fn malformed() -> Problem {
    let remedy = "Check its path, query and headers against the documentation.";
    Problem::new(400, "request-malformed", "The request cannot be read", remedy)
}
