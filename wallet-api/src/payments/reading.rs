//! Reading payments, balances and statements back from the journal.

use diesel::PgConnection;
use ledger::read::{Balance, Entries, HeadAt, HoldAt, LinkAt};
use ledger::{JournalId, LegRef, Place, Posted, Record, RowKind, read};
use uuid::Uuid;

use super::paper::{AuthorisationPaper, PaymentPaper, Sheet};
use crate::levels;
use crate::platform::Platform;
use crate::platform::http::not_found;
use crate::platform::problem::Problem;

/// A payment that cleared, and what has become of it since.
pub(super) struct Cleared {
    pub(super) record: Record,
    pub(super) paper: PaymentPaper,
    /// What moved its rows back.
    pub(super) links: Vec<LinkAt>,
}

/// An authorisation, to be captured or given back.
pub(super) struct Authorised {
    pub(super) seq: i64,
    pub(super) paper: AuthorisationPaper,
    /// What is still set aside.
    pub(super) left: i64,
    /// The rows that set the same aside of what the payer may pay, where that is counted.
    pub(super) counted: Vec<Posted>,
}

impl Authorised {
    fn of(tenant: JournalId, record: &Record, paper: AuthorisationPaper, left: i64) -> Self {
        let counted = levels::counted_rows(tenant.0, paper.customer, record.body.transfers()).cloned().collect();
        Self { seq: record.seq, paper, left, counted }
    }
}

/// An authorisation, and what has become of it since.
pub(super) struct Standing {
    pub(super) record: Record,
    pub(super) paper: AuthorisationPaper,
    pub(super) hold: HoldAt,
    /// What captured it and gave it back, and what refunded those captures.
    pub(super) links: Vec<LinkAt>,
}

/// What an id leads to.
pub(super) enum Found {
    /// A payment or a capture.
    Cleared(Cleared),
    /// An authorisation.
    Authorised(Standing),
}

impl Found {
    /// Who pays, and who is paid.
    pub(super) const fn parties(&self) -> (Uuid, Uuid) {
        match self {
            Self::Cleared(cleared) => (cleared.paper.customer, cleared.paper.merchant),
            Self::Authorised(standing) => (standing.paper.customer, standing.paper.merchant),
        }
    }
}

/// What there is to refund.
pub(super) enum Refundable {
    /// This payment.
    This(Box<Cleared>),
    /// An authorisation that was captured never, or more than once: as these.
    Unclear(Authorised, Vec<Uuid>),
}

/// The paper of a record, by its public id.
pub(super) async fn paper<P: Sheet>(platform: &Platform, journal: JournalId, id: Uuid) -> Result<P, Problem> {
    let found = platform.db.of(journal.0).read(move |conn| read::companion(conn, journal, P::KIND, id)).await?;
    P::read(journal, &found.ok_or_else(not_found)?)
}

/// A payment as it was posted.
pub(super) async fn payment(
    platform: &Platform,
    journal: JournalId,
    payment: Uuid,
) -> Result<(Record, PaymentPaper), Problem> {
    let found = platform.db.of(journal.0).read(move |conn| posted::<PaymentPaper>(conn, journal, payment)).await?;
    found.ok_or_else(not_found)
}

/// A payment as it stands: cleared, or authorised.
pub(super) async fn found(platform: &Platform, journal: JournalId, payment: Uuid) -> Result<Found, Problem> {
    let found = platform.db.of(journal.0).read(move |conn| find(conn, journal, payment)).await?;
    found.ok_or_else(not_found)
}

/// An authorisation.
///
/// # Errors
/// 404; 409 `already-cleared` for a payment that was not authorised first.
pub(super) async fn authorised(platform: &Platform, journal: JournalId, payment: Uuid) -> Result<Authorised, Problem> {
    platform
        .db
        .of(journal.0)
        .read(move |conn| -> Result<_, Problem> {
            if let Some((record, paper)) = posted::<AuthorisationPaper>(conn, journal, payment)? {
                let left = hold_of(conn, journal, &record)?.remaining;
                return Ok(Authorised::of(journal, &record, paper, left));
            }
            read::companion(conn, journal, PaymentPaper::KIND, payment)?.ok_or_else(not_found)?;
            let detail = "There is nothing to capture or to void. What was paid can be refunded.";
            Err(Problem::new(409, "already-cleared", "The payment has cleared", detail))
        })
        .await
}

/// What a refund of this payment would refund.
pub(super) async fn refundable(platform: &Platform, journal: JournalId, payment: Uuid) -> Result<Refundable, Problem> {
    platform.db.of(journal.0).read(move |conn| find_refundable(conn, journal, payment)).await
}

fn find_refundable(conn: &mut PgConnection, journal: JournalId, payment: Uuid) -> Result<Refundable, Problem> {
    let Standing { record, paper, hold, links } = match find(conn, journal, payment)?.ok_or_else(not_found)? {
        Found::Cleared(cleared) => return Ok(Refundable::This(Box::new(cleared))),
        Found::Authorised(standing) => standing,
    };
    let captures: Vec<Uuid> =
        links.iter().filter(|link| link.kind == RowKind::Capture).map(|link| link.record).collect();
    if let [capture] = captures.as_slice()
        && let Some(Found::Cleared(cleared)) = find(conn, journal, *capture)?
    {
        return Ok(Refundable::This(Box::new(cleared)));
    }
    Ok(Refundable::Unclear(Authorised::of(journal, &record, paper, hold.remaining), captures))
}

fn find(conn: &mut PgConnection, journal: JournalId, payment: Uuid) -> Result<Option<Found>, Problem> {
    if let Some((record, paper)) = posted::<PaymentPaper>(conn, journal, payment)? {
        let links = read::links(conn, journal, &[record.seq])?;
        return Ok(Some(Found::Cleared(Cleared { record, paper, links })));
    }
    let Some((record, paper)) = posted::<AuthorisationPaper>(conn, journal, payment)? else { return Ok(None) };
    let hold = hold_of(conn, journal, &record)?;
    let mut links = read::links(conn, journal, &[record.seq])?;
    // Of the money: what is counted of it goes the same way.
    links.retain(|link| link.of.leg == 0);
    let captures: Vec<i64> =
        links.iter().filter(|link| link.kind == RowKind::Capture).map(|link| link.by.seq).collect();
    let refunds = read::links(conn, journal, &captures)?;
    // Of the money: what was moved back of rewards is the captures' own matter.
    links.extend(refunds.into_iter().filter(|link| link.of.leg == 0));
    Ok(Some(Found::Authorised(Standing { record, paper, hold, links })))
}

fn posted<P: Sheet>(conn: &mut PgConnection, journal: JournalId, id: Uuid) -> Result<Option<(Record, P)>, Problem> {
    let Some(companion) = read::companion(conn, journal, P::KIND, id)? else { return Ok(None) };
    let paper = P::read(journal, &companion)?;
    let record = read::record(conn, journal, companion.seq)?.ok_or_else(not_found)?;
    Ok(Some((record, paper)))
}

fn hold_of(conn: &mut PgConnection, journal: JournalId, record: &Record) -> Result<HoldAt, Problem> {
    read::hold(conn, journal, LegRef { seq: record.seq, leg: 0 })?.ok_or_else(not_found)
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
        .of(journal.0)
        .read(move |conn| -> Result<_, Problem> {
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
) -> Result<(i64, Entries), Problem> {
    let history = platform.history.clone();
    platform
        .db
        .of(journal.0)
        .read(move |conn| -> Result<_, Problem> {
            let head = reached(read::head(conn, journal)?, min_seq)?;
            let Some(account) = read::balances(conn, &history, journal, &[account])?.into_iter().next() else {
                return Ok((head, Entries { entries: Vec::new(), away: None }));
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
