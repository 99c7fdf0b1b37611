//! The end of the link at the node that leads.

use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{HttpRequest, HttpResponse};
use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use ledger::{Answers, Journal, JournalError, wire};

use super::seal::Seal;
use super::{AT, MOST_BYTES, PATH, SEAL, frames};
use crate::platform::clock::Clock;
use crate::platform::problem::Problem;

/// What a node needs to take what others carry to it.
#[derive(Debug, Clone)]
pub struct LinkEnd {
    /// The deployment's.
    pub seal: Seal,
    /// Where others reach this node, as the lease says it.
    pub address: String,
    /// The journal that answers.
    pub journal: Journal,
}

/// The link's one route; not part of the public API.
pub fn routes(end: LinkEnd) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.service(
            web::resource(PATH)
                .app_data(PayloadConfig::new(MOST_BYTES))
                .app_data(web::Data::new(end))
                .route(web::post().to(carried)),
        );
    }
}

/// Answers what another node carried here.
async fn carried(request: HttpRequest, end: web::Data<LinkEnd>, body: Bytes) -> Result<HttpResponse, Problem> {
    let seal = sealed(&request, &end, &body).ok_or_else(stranger)?;
    let parts = frames::parts(&body).ok_or_else(stranger)?;
    let answers = join_all(parts.into_iter().map(|part| answer(&end.journal, part))).await;
    let mut out = Vec::new();
    for answers in &answers {
        frames::push(&mut out, (0, &wire::answers_to_bytes(answers)));
    }
    let tag = end.seal.answer(&seal, &out);
    let answered = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((SEAL, HEXLOWER.encode(tag.as_ref())))
        .body(out);
    Ok(answered)
}

/// The seal of a question, if it holds.
fn sealed(request: &HttpRequest, end: &LinkEnd, body: &[u8]) -> Option<Vec<u8>> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let at_s = header(AT)?.parse().ok()?;
    let seal = HEXLOWER.decode(header(SEAL)?.as_bytes()).ok()?;
    // The system's clock: a sandbox's has nothing to do with when a message was sent.
    let now_s = Clock::System.now().timestamp();
    end.seal.is_question(now_s, at_s, &end.address, body, &seal).then_some(seal)
}

fn stranger() -> Problem {
    let detail = "Only nodes of this deployment are answered here; check their clocks and addresses.";
    Problem::new(403, "link-refused", "This is not for you", detail)
}

async fn answer(journal: &Journal, (left_ms, bytes): (u32, &[u8])) -> Answers {
    // A form this release does not know: as if nobody led here, which is what its sender can act on.
    let Some((requests, bond)) = wire::requests_from_bytes(bytes) else {
        return vec![Err(JournalError::NotLeader { leader: None })];
    };
    let now = Instant::now();
    let deadline = match left_ms {
        // Only asks what its key did: no turn of its own.
        0 => now.checked_sub(Duration::from_millis(1)),
        left_ms => now.checked_add(Duration::from_millis(left_ms.into())),
    };
    match deadline {
        Some(deadline) => journal.submit_carried(&requests, bond, deadline).await,
        None => requests.iter().map(|_| Err(JournalError::DeadlinePassed)).collect(),
    }
}
