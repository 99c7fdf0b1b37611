//! From a delivery in memory to an outcome: signed afresh, sent, judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::Connection as _;

use super::flight::Needs;
use super::lane::Lane;
use super::outbox::{Job, Turn};
use super::receiver::{Key, Receiver};
use super::{Engine, Schedule};
use crate::engagement::hooks::message;
use crate::engagement::hooks::model::DeliveryStatus;
use crate::engagement::hooks::send::{Attempt, FailReason, Sent, Verdict};
use crate::engagement::hooks::sign;
use crate::engagement::hooks::store::bulk::Outcome;
use crate::platform::ids::Ids;
use crate::platform::metrics;
use crate::platform::problem::Chain;

/// When to look again whether a consent holds that nobody could tell of.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// An outcome on its way to the table.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// What its body took of the memory there is.
    pub(super) bytes: usize,
}

/// Takes deliveries into memory and starts workers for them.
pub(super) fn take(engine: &Arc<Engine>, jobs: Vec<Job>) {
    let now = Instant::now();
    for job in jobs {
        let (key, lane) = ((job.place.tenant, job.place.endpoint), Lane::of(&job));
        if engine.lanes().push(job, engine.settings.concurrency, now) {
            tokio::spawn(work(Arc::clone(engine), key, lane));
        }
    }
}

/// Sends to one endpoint, one after the other, while there is something to send.
async fn work(engine: Arc<Engine>, key: Key, lane: Lane) {
    loop {
        let next = engine.lanes().next(&key, lane);
        let Some(Turn { receiver, job, on_trial }) = next else { return };
        let done = match consent(&engine, &receiver, &job).await {
            Consent::Holds => send(&engine, &receiver, &job).await,
            Consent::Withdrawn => unsent(&engine, &job, (DeliveryStatus::Withheld, "consent-withdrawn")),
            Consent::Unknown => unsent(&engine, &job, (DeliveryStatus::Pending, "consent-unknown")),
        };
        match done.outcome.status {
            DeliveryStatus::Gone => engine.lanes().close(&key),
            DeliveryStatus::Withheld => {}
            // The reason is none when it was delivered.
            DeliveryStatus::Delivered | DeliveryStatus::Pending | DeliveryStatus::Failed => {
                engine.lanes().landed(&key, done.outcome.reason, on_trial, Instant::now());
            }
        }
        engine.land(done);
    }
}

/// What a person says to being told of.
enum Consent {
    /// They agree, or need not be asked.
    Holds,
    Withdrawn,
    /// Nobody could say.
    Unknown,
}

/// Asked right before each attempt: what was queued while a consent held is not sent once it is withdrawn (T66).
async fn consent(engine: &Engine, receiver: &Receiver, job: &Job) -> Consent {
    #[derive(serde::Deserialize)]
    struct About {
        subject: String,
    }
    let Some(purpose) = receiver.purpose() else { return Consent::Holds };
    let Ok(About { subject }) = serde_json::from_slice(&job.body) else { return Consent::Unknown };
    let Some(needs) = Needs::of(job.place.tenant, Some(purpose), &subject) else { return Consent::Holds };
    match engine.run(move |conn| Ok(conn.transaction(|conn| needs.holds(conn))?)).await {
        Ok(true) => Consent::Holds,
        Ok(false) => Consent::Withdrawn,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "a consent could not be asked for; trying again");
            Consent::Unknown
        }
    }
}

/// A delivery that was not sent: it ends so, or is looked at again.
fn unsent(engine: &Engine, job: &Job, (status, reason): (DeliveryStatus, &'static str)) -> Done {
    let at = engine.platform.clock.now();
    let outcome = Outcome {
        place: job.place,
        attempt: job.attempts.saturating_add(1),
        at,
        http_status: None,
        reason: Some(reason),
        duration_ms: 0,
        response: None,
        status,
        next_at: (status == DeliveryStatus::Pending).then(|| at.checked_add_signed(LOOK_AGAIN)).flatten(),
        turn: job.turn,
    };
    count(&outcome, Duration::ZERO);
    Done { outcome, bytes: job.body.len() }
}

async fn send(engine: &Engine, receiver: &Receiver, job: &Job) -> Done {
    let at = engine.platform.clock.now();
    let id = message::webhook_id(job.event, job.place.endpoint);
    let signature = sign::sign(&receiver.secrets(at), &id, at.timestamp(), &job.body);
    let sent = match &receiver.target {
        Ok(url) => {
            let (id, signature, timestamp_s) = (id.as_str(), signature.as_str(), at.timestamp());
            engine
                .sender
                .send(Attempt {
                    url,
                    id,
                    timestamp_s,
                    signature,
                    depth: job.depth.saturating_add(1),
                    body: job.body.clone(),
                })
                .await
        }
        Err(refusal) => {
            let reason = FailReason::Refused(refusal.clone());
            let verdict = Verdict::Failed { status: None, reason, retry_after: None };
            Sent { verdict, excerpt: String::new(), duration: Duration::ZERO }
        }
    };
    let policy = Policy { schedule: engine.settings.schedule, skip_after: receiver.ordered() };
    let took = sent.duration;
    let outcome = judge(job, at, sent, policy, &engine.dice);
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
        DeliveryStatus::Withheld => metrics::HOOKS.ended("withheld"),
    }
}

/// When to try again, and when not any more.
#[derive(Clone, Copy)]
struct Policy {
    schedule: Schedule,
    /// At an ordered endpoint, after how many attempts the next event goes.
    skip_after: Option<i16>,
}

impl Policy {
    /// The next attempt after so many; a replay begins to count anew.
    fn next(self, made: i32, at: DateTime<Utc>, asked: Option<Duration>, dice: &Ids) -> Option<DateTime<Utc>> {
        if self.skip_after.is_some_and(|most| made >= i32::from(most)) {
            return None;
        }
        (self.schedule)(u32::try_from(made).unwrap_or(u32::MAX), at, asked, dice.random_u64())
    }
}

/// What an attempt that began `at` leads to; the dice are thrown for a failure only.
fn judge(job: &Job, at: DateTime<Utc>, sent: Sent, policy: Policy, dice: &Ids) -> Outcome {
    let attempt = job.attempts.saturating_add(1);
    let made = attempt.saturating_sub(job.replayed.unwrap_or(0));
    let (status, http_status, reason, next_at) = match sent.verdict {
        Verdict::Delivered { status } => (DeliveryStatus::Delivered, Some(status), None, None),
        Verdict::Gone => (DeliveryStatus::Gone, Some(410), Some("gone"), None),
        Verdict::Failed { status, reason, retry_after } => match policy.next(made, at, retry_after, dice) {
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
        turn: job.turn,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engagement::hooks::schedule::next_attempt;
    use crate::engagement::hooks::store::bulk::Place;

    fn job(attempts: i32) -> Job {
        let place = Place { tenant: 1, endpoint: Uuid::from_u128(1), seq: 1, ordinal: 0 };
        Job { place, event: Uuid::from_u128(2), attempts, replayed: None, turn: None, depth: 0, body: "{}".into() }
    }

    fn judged_as(job: &Job, verdict: Verdict, skip_after: Option<i16>) -> Outcome {
        let sent = Sent { verdict, excerpt: "said".to_owned(), duration: Duration::from_millis(3) };
        let schedule: Schedule = |made, at, asked, _| next_attempt(made, at, asked, 0);
        judge(job, DateTime::UNIX_EPOCH, sent, Policy { schedule, skip_after }, &Ids::system())
    }

    fn judged(attempts: i32, verdict: Verdict) -> Outcome {
        judged_as(&job(attempts), verdict, None)
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

    /// E67: what ended long ago and is replayed gets the whole schedule again, and its attempts go on counting.
    #[test]
    fn a_replay_begins_the_schedule_anew() {
        let replayed = judged_as(&Job { replayed: Some(10), ..job(10) }, failure(), None);
        assert_eq!((replayed.status, replayed.attempt), (DeliveryStatus::Pending, 11));
        assert_eq!(replayed.next_at, DateTime::from_timestamp(5, 0));
    }

    /// E69: in order, an event that is not taken is passed over when the endpoint's policy says so.
    #[test]
    fn e69_an_ordered_endpoint_gives_an_event_up_after_the_attempts_it_asked_for() {
        assert_eq!(judged_as(&job(1), failure(), Some(3)).status, DeliveryStatus::Pending);
        assert_eq!(judged_as(&job(2), failure(), Some(3)).status, DeliveryStatus::Failed);
    }
}
