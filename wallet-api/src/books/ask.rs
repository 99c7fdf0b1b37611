//! Posting transactions: one, several each by itself, several all or none.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use ledger::{Answer, Body, JournalError, Request};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{TransactionBody, moment};
use super::model::{Asked, Item, Mode, Wish, placed};
use super::{Assets, Books};
use crate::platform::books::refusal_code;
use crate::platform::fields::field;
use crate::platform::http::IdempotencyKey;
use crate::platform::keyring::Caller;
use crate::platform::problem::{Describe, FieldError, Problem};
use crate::platform::reply::created;
use crate::platform::text::Lang;

/// What has not had its turn by then is dropped untried.
const TURN: Duration = Duration::from_secs(5);
/// Transactions of one request.
const MOST: usize = 1_000;

/// What became of several transactions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchBody<'a> {
    /// As it was asked.
    mode: Mode,
    /// How many are in the books now, those that were there before counted.
    posted: usize,
    /// What became of each, in the order asked.
    results: Vec<ItemBody<'a>>,
}

/// What became of one of several transactions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemBody<'a> {
    /// The id it came with.
    id: &'a str,
    /// `posted`, `replayed` (done before under this id), `refused` (by an account's state, for ever), `invalid` (correct
    /// it and send it again), `not_done` (send it again as it is), `unknown` (send it again as it is: the answer tells).
    #[schema(example = "posted")]
    status: &'static str,
    /// Its place in the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// When it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_at: Option<DateTime<Utc>>,
    /// Why it is not there: a problem's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// What to do about it, in the language of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The places in the request's body that are at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// Whoever asks, and how they are answered.
pub(super) struct Asker<'a> {
    pub(super) caller: &'a Caller,
    pub(super) lang: Lang,
}

impl Books {
    /// Posts what a body asks for. `key` is the request's own, which only a single transaction needs. What only several
    /// need lies apart: a thousand requests wait at a time, and each is as large as the largest of its ways.
    pub(super) async fn post(
        &self,
        asker: &Asker<'_>,
        key: Result<IdempotencyKey, Problem>,
        asked: &Asked<'_>,
    ) -> Result<HttpResponse, Problem> {
        let assets = self.assets(asker.caller.tenant.id).await?;
        let Asked { mode, transactions, transfers, effective_at, meta } = asked;
        match (transactions, transfers) {
            (None, Some(transfers)) if mode.is_none() => {
                let wish = Wish { transfers, effective_at: effective_at.as_deref(), meta: *meta };
                self.post_one(asker, &key?, &assets, wish).await
            }
            (Some(items), None) if effective_at.is_none() && meta.is_none() => {
                let mode = mode.ok_or_else(|| field("/mode", "Say `independent` or `atomic`."))?;
                if items.is_empty() || items.len() > MOST {
                    return Err(field("/transactions", "One to a thousand."));
                }
                match mode {
                    Mode::Independent => Box::pin(self.post_each(asker, &assets, items)).await,
                    Mode::Atomic => Box::pin(self.post_together(asker, &assets, items)).await,
                }
            }
            _ => Err(field("", "Either `transfers` of one transaction, or `mode` and `transactions`.")),
        }
    }

    async fn post_one(
        &self,
        asker: &Asker<'_>,
        key: &IdempotencyKey,
        assets: &Assets,
        wish: Wish<'_, '_>,
    ) -> Result<HttpResponse, Problem> {
        let request = wish.request(asker.caller, key, assets, "")?;
        let answer = self.journal.submit(request, deadline()?).await.map_err(|error| wish.place(error, ""))?;
        if let Body::Refused { refusal } = &answer.record.body {
            return Err(wish.refused(refusal, answer.record.seq, ""));
        }
        let mut response = created(&answer)?;
        let body = TransactionBody::of(&answer.record, assets).ok_or_else(|| JournalError::KeyReused.describe())?;
        Ok(response.json(body))
    }

    async fn post_each(&self, asker: &Asker<'_>, assets: &Assets, items: &[Item<'_>]) -> Result<HttpResponse, Problem> {
        let mut requests = Vec::with_capacity(items.len());
        let mut invalid = Vec::new();
        for (place, item) in items.iter().enumerate() {
            match read(asker, assets, item, place) {
                Ok(request) => requests.push(request),
                Err(problem) => invalid.push((place, problem)),
            }
        }
        let mut answers = self.journal.submit_all(requests, deadline()?).await.into_iter();
        let mut invalid = invalid.into_iter().peekable();
        let result = |(place, item): (usize, &'_ Item<'_>)| match invalid.next_if(|(at, _)| *at == place) {
            Some((_, problem)) => Err(problem),
            None => {
                let answer = answers.next().unwrap_or(Err(JournalError::OutcomeUnknown));
                answer.map_err(|error| item.wish().place(error, &at(place)))
            }
        };
        let results: Vec<_> = items.iter().enumerate().map(result).collect();
        Ok(HttpResponse::Ok().json(BatchBody::of(Mode::Independent, asker.lang, items, &results)))
    }

    async fn post_together(
        &self,
        asker: &Asker<'_>,
        assets: &Assets,
        items: &[Item<'_>],
    ) -> Result<HttpResponse, Problem> {
        let mut requests: Vec<Request> = Vec::with_capacity(items.len());
        let mut keys = std::collections::BTreeSet::new();
        for (place, item) in items.iter().enumerate() {
            let request = read(asker, assets, item, place)?;
            if !keys.insert(request.key.key) {
                let problem = Problem::new(
                    422,
                    "id-repeated",
                    "Two items have the same id",
                    "Give each item an id of its own: it is its Idempotency-Key.",
                );
                return Err(placed(problem, format!("{}/id", at(place))));
            }
            requests.push(request);
        }
        let answers = self.journal.submit_linked(requests, deadline()?).await;
        let stands_in_the_way = answers.iter().find_map(|answer| match answer {
            Err(JournalError::Linked { place }) => Some(*place),
            Ok(_) | Err(_) => None,
        });
        let results: Vec<Result<Answer, Problem>> = (0..)
            .zip(items)
            .zip(answers)
            .map(|((place, item), answer)| answer.map_err(|error| item.wish().place(error, &at(place))))
            .collect();
        match first_failed(items, &results, stands_in_the_way) {
            None => Ok(HttpResponse::Created().json(BatchBody::of(Mode::Atomic, asker.lang, items, &results))),
            Some((place, problem)) => Err(not_together(place, problem)),
        }
    }
}

/// An item as a request.
fn read(asker: &Asker<'_>, assets: &Assets, item: &Item<'_>, place: usize) -> Result<Request, Problem> {
    let at = at(place);
    let key = IdempotencyKey::in_path(&item.id).map_err(|problem| placed(problem, format!("{at}/id")))?;
    item.wish().request(asker.caller, &key, assets, &at)
}

fn at(place: usize) -> String {
    format!("/transactions/{place}")
}

fn deadline() -> Result<Instant, Problem> {
    Instant::now().checked_add(TURN).ok_or_else(|| JournalError::DeadlinePassed.describe())
}

/// The item that stood in the way of the others, and why it did; `place` is what they were told of it, which is all there is to tell
/// of one that only those before it kept from being done.
fn first_failed(
    items: &[Item<'_>],
    results: &[Result<Answer, Problem>],
    place: Option<usize>,
) -> Option<(usize, Problem)> {
    let mut linked = None;
    for (place, (item, result)) in items.iter().zip(results).enumerate() {
        match result {
            Ok(Answer { record, .. }) => {
                if let Body::Refused { refusal } = &record.body {
                    return Some((place, item.wish().refused(refusal, record.seq, &at(place))));
                }
            }
            Err(problem) if problem.code() == "linked-not-done" => linked = Some(problem.clone()),
            Err(problem) => return Some((place, problem.clone())),
        }
    }
    place.zip(linked)
}

/// Why a batch was not done. What would be as true of any batch keeps its own code: too much at once, nobody leads.
fn not_together(place: usize, why: Problem) -> Problem {
    if why.status().is_server_error() {
        return why;
    }
    let because = why.body(Lang::En);
    let mut errors = because.errors;
    if errors.is_empty() {
        errors.push(FieldError::new(at(place), because.code.clone(), because.detail));
    }
    let detail = "Nothing of it happened: see errors for the item and the reason.";
    let problem = Problem::new(422, "batch-refused", "The batch was not done", detail);
    problem.with("item", i64::try_from(place).unwrap_or(i64::MAX)).with("reason", because.code).errors(errors)
}

impl<'a> BatchBody<'a> {
    fn of(mode: Mode, lang: Lang, items: &'a [Item<'_>], results: &[Result<Answer, Problem>]) -> Self {
        let results: Vec<_> = (0..)
            .zip(items)
            .zip(results)
            .map(|((place, item), result)| ItemBody::of(item, place, lang, result))
            .collect();
        let posted = results.iter().filter(|result| matches!(result.status, "posted" | "replayed")).count();
        Self { mode, posted, results }
    }
}

impl<'a> ItemBody<'a> {
    fn of(item: &'a Item<'_>, place: usize, lang: Lang, result: &Result<Answer, Problem>) -> Self {
        let id = &*item.id;
        let bare =
            Self { id, status: "invalid", seq: None, recorded_at: None, code: None, detail: None, errors: Vec::new() };
        match result {
            Ok(Answer { record, replayed }) => {
                let bare = Self { seq: Some(record.seq), recorded_at: Some(moment(record.recorded_us)), ..bare };
                if let Body::Refused { refusal } = &record.body {
                    let told = item.wish().refused(refusal, record.seq, &at(place)).body(lang);
                    return Self {
                        status: "refused",
                        code: Some(refusal_code(refusal)),
                        detail: Some(told.detail),
                        errors: told.errors,
                        ..bare
                    };
                }
                Self { status: if *replayed { "replayed" } else { "posted" }, ..bare }
            }
            Err(problem) => {
                let status = match problem.code() {
                    "outcome-unknown" => "unknown",
                    _ if problem.status().is_server_error() => "not_done",
                    _ => "invalid",
                };
                let told = problem.body(lang);
                Self { status, code: Some(problem.code()), detail: Some(told.detail), errors: told.errors, ..bare }
            }
        }
    }
}
