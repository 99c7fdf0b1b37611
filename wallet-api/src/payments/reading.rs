//! Reading payments, balances and statements back from the journal.

use ledger::read::{Balance, Entry, HeadAt};
use ledger::{JournalId, Place, Record, read};
use uuid::Uuid;

use super::paper::{PAYMENT, PaymentPaper};
use crate::platform::Platform;
use crate::platform::http::not_found;
use crate::platform::problem::Problem;

/// The paper of a payment.
pub(super) async fn paper(platform: &Platform, journal: JournalId, payment: Uuid) -> Result<PaymentPaper, Problem> {
    let found = platform.db.run(move |conn| read::companion(conn, journal, PAYMENT, payment)).await?;
    PaymentPaper::read(journal, &found.ok_or_else(not_found)?)
}

/// A payment as it was posted.
pub(super) async fn payment(
    platform: &Platform,
    journal: JournalId,
    payment: Uuid,
) -> Result<(Record, PaymentPaper), Problem> {
    platform
        .db
        .run(move |conn| -> Result<_, Problem> {
            let companion = read::companion(conn, journal, PAYMENT, payment)?.ok_or_else(not_found)?;
            let paper = PaymentPaper::read(journal, &companion)?;
            let record = read::record(conn, journal, companion.seq)?.ok_or_else(not_found)?;
            Ok((record, paper))
        })
        .await
}

/// These accounts' balances, and the seq at which they were read.
pub(super) async fn balances(
    platform: &Platform,
    journal: JournalId,
    accounts: Vec<Uuid>,
    min_seq: Option<i64>,
) -> Result<(i64, Vec<Balance>), Problem> {
    let history = platform.history.clone();
    platform
        .db
        .run(move |conn| -> Result<_, Problem> {
            // The head first: what is read after it may be newer than it says, never older.
            let head = reached(read::head(conn, journal)?, min_seq)?;
            Ok((head, read::balances(conn, &history, journal, &accounts)?))
        })
        .await
}

/// One page of an account's statement: the account's row if it exists, and one entry more than `limit` if there is more.
pub(super) async fn statement(
    platform: &Platform,
    journal: JournalId,
    account: Uuid,
    before: Option<Place>,
    limit: u16,
    min_seq: Option<i64>,
) -> Result<(i64, Vec<Entry>), Problem> {
    let history = platform.history.clone();
    platform
        .db
        .run(move |conn| -> Result<_, Problem> {
            let head = reached(read::head(conn, journal)?, min_seq)?;
            let Some(account) = read::balances(conn, &history, journal, &[account])?.into_iter().next() else {
                return Ok((head, Vec::new()));
            };
            let limit = usize::from(limit).saturating_add(1);
            Ok((head, read::statement_of(conn, &history, journal, account.account, before, limit)?))
        })
        .await
}

/// The head's seq, unless the client has seen a later one (JOURNAL 30).
fn reached(head: Option<HeadAt>, min_seq: Option<i64>) -> Result<i64, Problem> {
    let seq = head.map_or(0, |head| head.seq);
    if min_seq.is_some_and(|min| min > seq) {
        let detail = "Ask again in a moment, or without min_seq.";
        return Err(Problem::new(503, "not-yet", "This node has not come so far", detail).retry_after(1));
    }
    Ok(seq)
}
