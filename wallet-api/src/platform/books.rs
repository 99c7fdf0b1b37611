//! The journal as the slices reach it: the tenant's books, its errors in words, its refusals as problems.

use std::time::{Duration, Instant};

use ledger::{
    Answer, Answers, Archived, Command, Companion, Invalid, JournalError, JournalId, Key, Refusal, Request, Scope,
    StoreError,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{IdempotencyKey, fingerprint};
use super::keyring::{Caller, Tenant};
use super::problem::{Describe, Problem};

/// A money command that has not had its turn by then is dropped untried.
const TURN: Duration = Duration::from_secs(5);

/// Idempotency scope of what the house does by itself. Its other scopes lie below; clients' are above zero.
pub const HOUSE: Scope = Scope(-1);

/// The tenant's journal.
#[must_use]
pub fn journal_of(tenant: &Tenant) -> JournalId {
    JournalId(tenant.id)
}

/// The journal's key for a request of the API: the client's own, fingerprinted over what it asks (JOURNAL 32).
#[must_use]
pub fn request_key(caller: &Caller, key: &IdempotencyKey, path: &str, canonical_body: &[u8]) -> Key {
    let secret = &caller.tenant.secret;
    let print = fingerprint(secret, &actix_web::http::Method::POST, path, canonical_body);
    Key {
        scope: Scope(caller.client()),
        key: Uuid::from_bytes(key.bytes16(secret)),
        fingerprint: Uuid::from_bytes(print),
    }
}

/// What goes with a command into its record.
#[derive(Debug, Default)]
pub struct Paper {
    /// When it counts, microseconds since 1970; none is now.
    pub effective_us: Option<i64>,
    /// Canonical metadata.
    pub meta: Value,
    /// Written in the same commit.
    pub companions: Vec<Companion>,
}

/// Asks the tenant's journal and waits for the durable answer.
///
/// # Errors
/// [`JournalError`]; a refusal by an account's state is an answer, not an error.
pub async fn ask(
    journal: &ledger::Journal,
    tenant: &Tenant,
    key: Key,
    command: Command,
    paper: Paper,
) -> Result<Answer, JournalError> {
    let deadline = Instant::now().checked_add(TURN).ok_or(JournalError::DeadlinePassed)?;
    journal.submit(request(tenant, key, command, paper), deadline).await
}

/// Asks for several things that happen all or not at all, and waits for what became of each.
pub async fn ask_linked(
    journal: &ledger::Journal,
    tenant: &Tenant,
    asked: Vec<(Key, Command)>,
    meta: &Value,
) -> Answers {
    let paper = || Paper { meta: meta.clone(), ..Paper::default() };
    let requests: Vec<Request> =
        asked.into_iter().map(|(key, command)| request(tenant, key, command, paper())).collect();
    let Some(deadline) = Instant::now().checked_add(TURN) else {
        return requests.iter().map(|_| Err(JournalError::DeadlinePassed)).collect();
    };
    journal.submit_linked(requests, deadline).await
}

/// The answer that this key has already; nothing new is done.
///
/// # Errors
/// [`JournalError::DeadlinePassed`] when the key was not used before.
pub async fn only_if_done(
    journal: &ledger::Journal,
    tenant: &Tenant,
    key: Key,
    command: Command,
    paper: Paper,
) -> Result<Answer, JournalError> {
    // A request that comes too late is told what its key did, and is not tried.
    let past = Instant::now().checked_sub(Duration::from_millis(1)).ok_or(JournalError::DeadlinePassed)?;
    journal.submit(request(tenant, key, command, paper), past).await
}

/// How often to ask again while a key is used in the very batch that gives it up, and how soon.
const TRIES: u32 = 5;
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Gives a key up for good, or tells what it did: the record that it leads to from now on, whoever asks under it.
///
/// # Errors
/// [`JournalError`].
pub async fn give_up(
    journal: &ledger::Journal,
    tenant: &Tenant,
    key: Key,
    meta: Value,
) -> Result<Answer, JournalError> {
    let mut tries = 1_u32;
    loop {
        let paper = Paper { meta: meta.clone(), ..Paper::default() };
        match ask(journal, tenant, key, Command::Abandon, paper).await {
            // In one batch with the request itself: the next one finds the key used.
            Err(JournalError::DeadlinePassed) if tries < TRIES => tries = tries.saturating_add(1),
            answer => return answer,
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

fn request(tenant: &Tenant, key: Key, command: Command, paper: Paper) -> Request {
    let Paper { effective_us, meta, companions } = paper;
    let meta = meta.to_string().into_bytes();
    Request { journal: journal_of(tenant), key, command, effective_us, meta, companions }
}

impl Describe for StoreError {
    fn describe(&self) -> Problem {
        match self {
            Self::Database(error) => error.describe(),
            Self::Connect(_) | Self::Corrupt { .. } => Problem::internal(self),
            Self::Archived(range) => range.describe(),
        }
    }
}

impl Describe for Archived {
    fn describe(&self) -> Problem {
        let detail = "It was moved out of the database: ask the operator to bring the seqs named back, then ask again.";
        let problem = Problem::new(410, "archived", "This lies in the archive", detail);
        problem.with("first_seq", self.first_seq).with("last_seq", self.last_seq)
    }
}

impl Describe for JournalError {
    fn describe(&self) -> Problem {
        match self {
            Self::Invalid(invalid) => describe_invalid(invalid),
            Self::KeyReused => Problem::new(
                422,
                "key-reused",
                "The key belongs to another request",
                "Use a new Idempotency-Key for a new request.",
            ),
            Self::Abandoned { seq } => {
                let detail = "It was resolved before it was done, so it never happens: use a new Idempotency-Key.";
                Problem::new(409, "request-abandoned", "This request was given up", detail).with("seq", *seq)
            }
            Self::Linked { place } => {
                let place = i64::try_from(*place).unwrap_or(i64::MAX);
                let detail =
                    "The item named cannot be done, or not after those before it: correct that one, or leave it out.";
                Problem::new(409, "linked-not-done", "The batch was not done", detail).with("item", place)
            }
            Self::Archived(range) => range.describe(),
            Self::QueueFull => {
                Problem::new(503, "queue-full", "Too much at once", "Try again in a moment.").retry_after(1)
            }
            Self::NotLeader { leader } => not_leader(leader.as_deref()),
            Self::DeadlinePassed => {
                Problem::new(503, "not-done", "This was not done in time", "Nothing happened: try again.")
                    .retry_after(1)
            }
            Self::OutcomeUnknown => Problem::new(
                503,
                "outcome-unknown",
                "We do not know yet",
                "Repeat with the same Idempotency-Key: you will get the one true answer.",
            )
            .retry_after(2),
            Self::Unavailable => {
                Problem::new(503, "books-unavailable", "We cannot reach our books", "Nothing happened: try again.")
                    .retry_after(2)
            }
            Self::NoRoom => {
                let detail = "Nothing happened: try again in a moment.";
                Problem::new(503, "books-no-room", "Our books are turning a page", detail).retry_after(1)
            }
            Self::NoSuchJournal => Problem::internal(self),
            Self::Broken(_) => {
                tracing::error!(error = %self, "a journal is not led");
                let detail = "The books contradict themselves: nothing is posted until someone has looked.";
                Problem::new(503, "books-broken", "The books are closed", detail)
            }
        }
    }
}

fn not_leader(leader: Option<&str>) -> Problem {
    let problem =
        Problem::new(503, "not-leader", "Another node writes", "Ask the node named, or try again in a moment.");
    problem.with("leader", leader.map_or(Value::Null, |leader| json!(leader))).retry_after(1)
}

fn describe_invalid(invalid: &Invalid) -> Problem {
    match invalid {
        Invalid::UnknownAccount { .. } => {
            let detail = "Who it names has no such account yet: check the ids.";
            Problem::new(422, "account-unknown", "There is no such account", detail)
        }
        Invalid::Amount { .. } => {
            let detail = "Amounts are whole minor units from 1 to 10^15.";
            Problem::new(422, "amount-invalid", "The amount cannot be moved", detail)
        }
        Invalid::EffectiveDate => {
            let detail = "Dates lie between 1970 and 9999.";
            Problem::new(422, "date-invalid", "The date cannot be used", detail)
        }
        Invalid::Clock => {
            let detail = "Only a sandbox's clock moves, and only forward.";
            Problem::new(422, "clock-fixed", "The clock cannot be moved so", detail)
        }
        Invalid::NotThatRow { .. } => {
            let detail = "Check the seq and leg, and that both accounts are those of that row.";
            Problem::new(422, "row-unsuitable", "That row cannot be captured, voided or refunded so", detail)
        }
        Invalid::Dates { leg } => {
            let detail =
                "A lot begins before it ends, a hold ends later than now, and only accounts that keep lots take dates.";
            Problem::new(422, "dates-unsuitable", "The dates make no sense there", detail).with("leg", *leg)
        }
        Invalid::Rate { leg } => {
            let detail = "The amount is the other one's times numerator over denominator, rounded down.";
            Problem::new(422, "rate-wrong", "The amount does not follow from its rate", detail).with("leg", *leg)
        }
        Invalid::TooManyLots { .. } => {
            let detail = "Nothing happened. Ask for less at once, with the same or a new Idempotency-Key.";
            Problem::new(422, "too-many-lots", "Too many lots for one transaction", detail)
        }
        Invalid::StillDue { .. } => {
            let detail = "Nothing of it happened: try again in a moment, with the same Idempotency-Key.";
            Problem::new(503, "still-due", "Too much expired at once", detail).retry_after(1)
        }
        Invalid::Empty => {
            let detail = "A transaction has one transfer or more.";
            Problem::new(422, "transfers-missing", "There is nothing to move", detail)
        }
        Invalid::TooMany { what, limit } => {
            let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
            let problem = Problem::new(422, "too-many", "Too many at once", "Send fewer at a time.");
            problem.with("what", *what).with("limit", limit)
        }
        Invalid::SameAccount { .. } => {
            let detail = "A transfer goes from one account to another.";
            Problem::new(422, "same-account", "Both accounts are the same", detail)
        }
        Invalid::UnknownAsset => {
            let detail = "Define it first, or check its code.";
            Problem::new(422, "asset-unknown", "There is no such asset", detail)
        }
        Invalid::AssetMismatch { .. } => {
            let detail = "A transfer moves one asset, and both accounts hold it.";
            Problem::new(422, "asset-mismatch", "The account holds another asset", detail)
        }
        Invalid::Limits { .. } => {
            let detail = "An account opens at zero: its floor is not above that, its ceiling not below.";
            Problem::new(422, "account-limits-invalid", "The limits cannot be", detail)
        }
        Invalid::AccountExists { .. } => {
            let detail = "Use the account that is there, or another id.";
            Problem::new(409, "account-exists", "The account exists", detail)
        }
        Invalid::Nature { .. } => {
            let detail =
                "Its counterpart is open, plain and of its asset; its floor is zero; only a quota has an allowance.";
            Problem::new(422, "account-nature-invalid", "The account cannot keep that", detail)
        }
        Invalid::NothingDue { .. } => {
            let detail = "Nothing has expired and no period has ended on it, or that is written down already.";
            Problem::new(409, "nothing-due", "Nothing is due on the account", detail)
        }
        Invalid::Companion { .. } => Problem::internal(invalid),
        Invalid::Archived(range) => range.describe(),
    }
}

/// The stable code of an account-state refusal, as the API and the records of hooks name it.
#[must_use]
pub fn refusal_code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Floor { .. } => "insufficient-funds",
        Refusal::Ceiling { .. } => "limit-exceeded",
        Refusal::Frozen { .. } => "account-frozen",
        Refusal::Overflow { .. } => "balance-too-large",
        Refusal::ClaimSpent { .. } => "already-done",
        Refusal::Closed { .. } => "account-closed",
        Refusal::NotEmpty { .. } => "account-not-empty",
        Refusal::HoldEnded { .. } => "hold-ended",
        Refusal::HoldExceeded { .. } => "hold-exceeded",
        Refusal::RefundExceeded { .. } => "refund-exceeded",
    }
}

/// A recorded refusal as a problem: the same for ever for the same key.
#[must_use]
pub fn describe_refusal(refusal: &Refusal, seq: i64) -> Problem {
    let problem = match refusal {
        Refusal::Floor { .. } => {
            let detail = "Top up, or pay from another source; then use a new Idempotency-Key.";
            Problem::new(422, "insufficient-funds", "Not enough available", detail)
        }
        Refusal::Ceiling { .. } => {
            let detail = "The account cannot hold that much: use a smaller amount and a new Idempotency-Key.";
            Problem::new(422, "limit-exceeded", "A limit would be passed", detail)
        }
        Refusal::Overflow { .. } => {
            let detail = "No account holds more than 2^63 - 1 units: use another one, and a new Idempotency-Key.";
            Problem::new(422, "balance-too-large", "The balance would be too large", detail)
        }
        Refusal::Frozen { .. } => {
            let detail = "Somebody froze it: ask them, then use a new Idempotency-Key.";
            Problem::new(422, "account-frozen", "The account is frozen", detail)
        }
        Refusal::Closed { .. } => {
            let detail = "Have it opened again, or use another account; then use a new Idempotency-Key.";
            Problem::new(422, "account-closed", "The account is closed", detail)
        }
        Refusal::NotEmpty { .. } => {
            let detail = "Move what is on it and end its holds; then use a new Idempotency-Key.";
            Problem::new(422, "account-not-empty", "The account has something on it", detail)
        }
        Refusal::HoldEnded { .. } => {
            let detail = "It was captured, voided, or its time has passed: nothing is left to move or to give back.";
            Problem::new(409, "hold-ended", "The hold has ended", detail)
        }
        Refusal::HoldExceeded { .. } => {
            let detail = "Capture at most what is left of it, with a new Idempotency-Key.";
            Problem::new(422, "hold-exceeded", "Less is left of the hold", detail)
        }
        Refusal::RefundExceeded { .. } => {
            let detail = "Refund at most what has not been refunded, with a new Idempotency-Key.";
            Problem::new(422, "refund-exceeded", "Less is left to refund", detail)
        }
        Refusal::ClaimSpent { seq } => {
            let detail = "It was done before, under another Idempotency-Key.";
            Problem::new(409, "already-done", "This has been done", detail).with("done_at_seq", *seq)
        }
    };
    problem.with("seq", seq)
}
