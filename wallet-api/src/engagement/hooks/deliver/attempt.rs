//! From a delivery in memory to an outcome: signed afresh, sent, judged.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::lanes::{Job, Key, Receiver};
use super::{Engine, Schedule};
use crate::engagement::hooks::message;
use crate::engagement::hooks::model::DeliveryStatus;
use crate::engagement::hooks::send::{Attempt, FailReason, Sent, Verdict};
use crate::engagement::hooks::sign;
use crate::engagement::hooks::store::bulk::Outcome;
use crate::platform::ids::Ids;
use crate::platform::metrics;

/// An outcome on its way to the table.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// What its body took of the memory there is.
    pub(super) bytes: usize,
}

/// Takes deliveries into memory and starts workers for them.
pub(super) fn take(engine: &Arc<Engine>, jobs: Vec<Job>) {
    for job in jobs {
        let key = (job.place.tenant, job.place.endpoint);
        if engine.lanes().push(job, engine.settings.concurrency) {
            tokio::spawn(work(Arc::clone(engine), key));
        }
    }
}

/// Sends to one endpoint, one after the other, while there is something to send.
async fn work(engine: Arc<Engine>, key: Key) {
    loop {
        let next = engine.lanes().next(&key);
        let Some((receiver, job)) = next else { return };
        let done = send(&engine, &receiver, &job).await;
        if done.outcome.status == DeliveryStatus::Gone {
            engine.lanes().close(&key);
        }
        engine.land(done);
    }
}

async fn send(engine: &Engine, receiver: &Receiver, job: &Job) -> Done {
    let at = engine.platform.clock.now();
    let id = message::webhook_id(job.event, job.place.endpoint);
    let signature = sign::sign(&receiver.secrets, &id, at.timestamp(), &job.body);
    let sent = match &receiver.target {
        Ok(url) => {
            let (id, signature, timestamp_s) = (id.as_str(), signature.as_str(), at.timestamp());
            engine.sender.send(Attempt { url, id, timestamp_s, signature, body: job.body.clone() }).await
        }
        Err(refusal) => {
            let reason = FailReason::Refused(refusal.clone());
            let verdict = Verdict::Failed { status: None, reason, retry_after: None };
            Sent { verdict, excerpt: String::new(), duration: Duration::ZERO }
        }
    };
    let took = sent.duration;
    let outcome = judge(job, at, sent, engine.settings.schedule, &engine.dice);
    count(&outcome, took);
    Done { outcome, bytes: job.body.len() }
}

fn count(outcome: &Outcome, took: Duration) {
    metrics::HOOKS.attempted(outcome.reason.unwrap_or("delivered"), took);
    match outcome.status {
        DeliveryStatus::Pending => {}
        DeliveryStatus::Delivered => metrics::HOOKS.ended("delivered"),
        DeliveryStatus::Failed => metrics::HOOKS.ended("failed"),
        DeliveryStatus::Gone => metrics::HOOKS.ended("gone"),
    }
}

/// What an attempt that began `at` leads to; the dice are thrown for a failure only.
fn judge(job: &Job, at: DateTime<Utc>, sent: Sent, schedule: Schedule, dice: &Ids) -> Outcome {
    let attempt = job.attempts.saturating_add(1);
    let made = u32::try_from(attempt).unwrap_or(u32::MAX);
    let (status, http_status, reason, next_at) = match sent.verdict {
        Verdict::Delivered { status } => (DeliveryStatus::Delivered, Some(status), None, None),
        Verdict::Gone => (DeliveryStatus::Gone, Some(410), Some("gone"), None),
        Verdict::Failed { status, reason, retry_after } => match schedule(made, at, retry_after, dice.random_u64()) {
            Some(next_at) => (DeliveryStatus::Pending, status, Some(reason.code()), Some(next_at)),
            None => (DeliveryStatus::Failed, status, Some(reason.code()), None),
        },
    };
    Outcome {
        place: job.place,
        attempt,
        at,
        http_status: http_status.map(i32::from),
        reason,
        duration_ms: i32::try_from(sent.duration.as_millis()).unwrap_or(i32::MAX),
        // What a receiver says to a success is of no use to anybody, and there are a thousand times more of them.
        response: Some(sent.excerpt).filter(|excerpt| reason.is_some() && !excerpt.is_empty()),
        status,
        next_at,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engagement::hooks::schedule::next_attempt;
    use crate::engagement::hooks::store::bulk::Place;

    fn judged(attempts: i32, verdict: Verdict) -> Outcome {
        let place = Place { tenant: 1, endpoint: Uuid::from_u128(1), seq: 1, ordinal: 0 };
        let job = Job { place, event: Uuid::from_u128(2), attempts, body: "{}".into() };
        let sent = Sent { verdict, excerpt: "said".to_owned(), duration: Duration::from_millis(3) };
        judge(&job, DateTime::UNIX_EPOCH, sent, |made, at, asked, _| next_attempt(made, at, asked, 0), &Ids::system())
    }

    fn failure() -> Verdict {
        Verdict::Failed { status: Some(500), reason: FailReason::Status, retry_after: None }
    }

    #[test]
    fn a_failure_is_tried_again_by_the_schedule_and_the_tenth_is_the_last() {
        let second = judged(1, failure());
        assert_eq!((second.status, second.attempt, second.http_status), (DeliveryStatus::Pending, 2, Some(500)));
        assert_eq!(second.next_at, DateTime::from_timestamp(300, 0));
        assert_eq!((second.reason, second.response.as_deref()), (Some("status"), Some("said")));
        let tenth = judged(9, failure());
        assert_eq!((tenth.status, tenth.attempt, tenth.next_at), (DeliveryStatus::Failed, 10, None));
    }

    #[test]
    fn a_success_ends_it_and_keeps_no_answer() {
        let delivered = judged(0, Verdict::Delivered { status: 204 });
        assert_eq!((delivered.status, delivered.http_status), (DeliveryStatus::Delivered, Some(204)));
        assert_eq!((delivered.reason, delivered.response, delivered.next_at), (None, None, None));
        assert_eq!(judged(0, Verdict::Gone).status, DeliveryStatus::Gone);
    }
}
