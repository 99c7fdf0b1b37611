//! What followers are told of payments: read from a page's papers, and from nothing else of the record but what it
//! dropped or why it was refused.

use chrono::{DateTime, Utc};
use ledger::Dropped;
use ledger::follow::parked::Unread;
use ledger::follow::{Ended, Entry, Page, Said};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AuthorisationPaper, Outcome, PaperReward, PaymentPaper, RefundPaper, Sheet, TakenBack, VoidPaper, moment};
use crate::levels;
use crate::payments::model::Instrument;
use crate::platform::books::refusal_code;
use crate::platform::events::Event;
use crate::platform::follow::Reading;
use crate::platform::money::{EUR, Money};

/// What of a record's metadata says why it is there.
#[derive(Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    hook_depth: i16,
}

/// A payment that happened, as followers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The payment.
    pub id: Uuid,
    /// Who paid.
    pub customer: Uuid,
    /// Who was paid.
    pub merchant: Uuid,
    /// Cents.
    pub amount_minor: i64,
    /// With what.
    pub instrument: Instrument,
    /// When it counts.
    pub occurred: DateTime<Utc>,
    /// When it was recorded.
    pub recorded: DateTime<Utc>,
    /// Its place in the books.
    pub seq: i64,
}

/// The payments of a page of the journal; a paper of a version that this binary does not know is told of, not left out.
pub fn cleared(page: &Page) -> Reading<Cleared> {
    let cleared = |(entry, paper): (&Entry, PaymentPaper)| Cleared {
        id: paper.payment,
        customer: paper.customer,
        merchant: paper.merchant,
        amount_minor: paper.amount_minor,
        instrument: paper.instrument,
        occurred: moment(entry.effective_us),
        recorded: moment(entry.recorded_us),
        seq: entry.seq,
    };
    Reading::of(papers(page).map(|paper| paper.map(cleared)))
}

/// The events of a page of the journal: payments authorised, cleared with what they earned, given back, expired, refunded
/// with what that took back, and refused.
pub fn events(page: &Page) -> Reading<Event> {
    let cleared = papers(page).map(|paper| paper.map(|(entry, paper)| cleared_event(page, entry, &paper)));
    let authorised = papers(page).map(|paper| paper.map(|(entry, paper)| authorised_event(page, entry, &paper)));
    let refunded = papers(page).map(|paper| paper.map(|(entry, paper)| refunded_event(page, entry, &paper)));
    let voided = papers(page).filter_map(|paper| match paper {
        Ok((entry, paper)) => voided_event(page, entry, &paper).map(Ok),
        Err(unread) => Some(Err(unread)),
    });
    let refused = page.entries.iter().filter_map(|entry| refused_event(page, entry)).map(Ok);
    let expired = expired(page);
    let told = cleared.chain(authorised).chain(refunded).chain(voided).chain(expired).chain(refused);
    let mut events = Reading::of(told);
    events.read.sort_by_key(|event| (event.seq, event.ordinal));
    events.unread.sort_by_key(|unread| unread.seq);
    // A final capture has two papers and is one record.
    events.unread.dedup_by_key(|unread| unread.seq);
    events
}

/// The entries of a page that have a paper of this sort, each with it.
fn papers<P: Sheet>(page: &Page) -> impl Iterator<Item = Result<(&Entry, P), Unread>> {
    let mut companions = page.companions.iter().filter(|companion| companion.kind == P::KIND).peekable();
    page.entries.iter().filter_map(move |entry| {
        while companions.next_if(|companion| companion.seq < entry.seq).is_some() {}
        let companion = companions.next_if(|companion| companion.seq == entry.seq)?;
        let unread = Unread { seq: companion.seq, what: P::NAME };
        Some(P::parse(companion).map(|paper| (entry, paper)).ok_or(unread))
    })
}

fn dropped(entry: &Entry) -> &[Dropped] {
    match &entry.said {
        Said::Posted { dropped } => dropped,
        Said::Refused { .. } | Said::Due | Said::Other => &[],
    }
}

fn cleared_event(page: &Page, entry: &Entry, paper: &PaymentPaper) -> Event {
    let reward = |(reward, outcome): (&PaperReward, Outcome)| {
        json!({
            "kind": reward.kind, "campaign": reward.campaign, "rule_version": reward.rule_version,
            "amount": Money::new(reward.minor, &reward.asset), "outcome": outcome.code(),
        })
    };
    let mut data = json!({
        "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant, "seq": entry.seq,
        "amount": Money::new(paper.amount_minor, EUR), "instrument": paper.instrument,
        "rewards": paper.outcomes(dropped(entry)).map(reward).collect::<Vec<_>>(),
    });
    if let (Some(data), Some(authorisation)) = (data.as_object_mut(), paper.authorisation) {
        data.insert("authorisation".into(), json!(authorisation));
    }
    event(page, entry, "payment.cleared.v1", paper.customer, data)
}

fn authorised_event(page: &Page, entry: &Entry, paper: &AuthorisationPaper) -> Event {
    let data = json!({
        "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant, "seq": entry.seq,
        "amount": Money::new(paper.amount_minor, EUR), "instrument": Instrument::Wallet,
        "expires_at": moment(paper.expires_us),
    });
    event(page, entry, "payment.authorised.v1", paper.customer, data)
}

/// None when a final capture left nothing to give back.
fn voided_event(page: &Page, entry: &Entry, paper: &VoidPaper) -> Option<Event> {
    if dropped(entry).iter().any(|drop| Some(drop.group) == paper.group) {
        return None;
    }
    let mut data = json!({
        "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant, "seq": entry.seq,
    });
    let capture = paper.group.map(|_| entry.id);
    if let (Some(data), Some(capture)) = (data.as_object_mut(), capture) {
        data.insert("capture".into(), json!(capture));
    }
    // Behind the capture it came with.
    let ordinal = i32::from(capture.is_some());
    Some(Event { ordinal, ..event(page, entry, "payment.voided.v1", paper.customer, data) })
}

/// Authorisations that time ended, whoever wrote that down. A hold that is none has no paper of this sort.
fn expired(page: &Page) -> impl Iterator<Item = Result<Event, Unread>> {
    let mut ended = page.ended.iter().peekable();
    let of_entry = move |entry: &Entry| {
        let mut own = Vec::new();
        while let Some(one) = ended.next_if(|one| one.seq <= entry.seq) {
            own.extend(expired_event(page, entry, one));
        }
        own
    };
    let due = page.entries.iter().filter(|entry| entry.said == Said::Due);
    due.flat_map(of_entry)
}

fn expired_event(page: &Page, entry: &Entry, ended: &Ended) -> Option<Result<Event, Unread>> {
    // The money's: what was counted of it is given back too, and is nobody's news.
    let companion = ended.companions.iter().find(|companion| companion.kind == AuthorisationPaper::KIND)?;
    if ended.hold.leg != 0 {
        return None;
    }
    let Some(paper) = AuthorisationPaper::parse(companion) else {
        return Some(Err(Unread { seq: entry.seq, what: AuthorisationPaper::NAME }));
    };
    let data = json!({
        "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant, "seq": entry.seq,
        "given_back": Money::new(ended.left.minor, EUR), "expired_at": moment(paper.expires_us),
    });
    let event = event(page, entry, "payment.authorisation_expired.v1", paper.customer, data);
    Some(Ok(Event { ordinal: ended.ordinal, ..event }))
}

fn refunded_event(page: &Page, entry: &Entry, paper: &RefundPaper) -> Event {
    let reward = |(reward, taken): (&TakenBack, bool)| {
        json!({
            "kind": reward.kind, "campaign": reward.campaign, "amount": Money::new(reward.minor, &reward.asset),
            "taken_back": taken,
        })
    };
    let data = json!({
        "refund": paper.refund, "payment": paper.payment, "customer": paper.customer, "merchant": paper.merchant,
        "seq": entry.seq, "amount": Money::new(paper.amount_minor, EUR), "instrument": paper.instrument,
        "rewards": paper.taken_back(dropped(entry)).map(reward).collect::<Vec<_>>(),
    });
    event(page, entry, "payment.refunded.v1", paper.customer, data)
}

/// What asked for money to be paid, set aside or captured, and was refused.
fn refused_event(page: &Page, entry: &Entry) -> Option<Event> {
    let Said::Refused { refusal } = &entry.said else { return None };
    let meta: Value = serde_json::from_slice(&entry.meta).ok()?;
    if !matches!(meta.get("kind")?.as_str()?, "payment" | "authorisation" | "capture") {
        return None;
    }
    let customer: Uuid = meta.get("customer")?.as_str()?.parse().ok()?;
    let merchant = meta.get("merchant")?;
    let data = json!({
        "payment": entry.id, "customer": customer, "merchant": merchant, "seq": entry.seq,
        "reason": levels::limit_of(page.span.journal.0, customer, refusal).map_or(refusal_code(refusal), levels::Limit::code),
    });
    Some(event(page, entry, "payment.refused.v1", customer, data))
}
fn event(page: &Page, entry: &Entry, kind: &'static str, customer: Uuid, data: Value) -> Event {
    Event {
        tenant: page.span.journal.0,
        fork: page.lines.of(entry.seq),
        seq: entry.seq,
        ordinal: 0,
        kind,
        subject: format!("customer/{customer}"),
        occurred: moment(entry.effective_us),
        recorded: moment(entry.recorded_us),
        depth: serde_json::from_slice::<Cause>(&entry.meta).unwrap_or_default().hook_depth,
        data,
    }
}
