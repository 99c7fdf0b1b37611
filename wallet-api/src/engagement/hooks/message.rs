//! What is sent: an event as a CloudEvents 1.0 body, and the names it goes by.
//!
//! A body is made once, from the journal's immutable rows, and stored: every attempt sends the same bytes. It has ids and
//! amounts and no personal data, and at most [`MAX_BODY_BYTES`]; an event that would have more is sent without its
//! `data`, and the log says so. `sequence` has a fixed width, so that the order of texts is the order of the journal.
//! Sources: CloudEvents 1.0, JSON format; its extensions `sequence`, `partitionkey` and `recordedtime`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::events::Event;
use crate::platform::ids::derived;

/// Longest body, in bytes: what Standard Webhooks recommends that receivers can count on.
pub const MAX_BODY_BYTES: usize = 20_000;

/// The names of the members are CloudEvents' own: lower case, no separators.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: String,
    recordedtime: String,
    sequence: String,
    partitionkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

/// The body of an event, ready to be signed and sent.
///
/// # Errors
/// Those of [`serde_json`], for data that no JSON can carry.
pub fn body(event: &Event) -> serde_json::Result<Vec<u8>> {
    let mut envelope = CloudEvent {
        specversion: "1.0",
        id: event.id(),
        source: source(event),
        kind: event.kind,
        subject: &event.subject,
        time: rfc3339(event.occurred),
        recordedtime: rfc3339(event.recorded),
        sequence: sequence(event.seq, event.ordinal),
        partitionkey: &event.subject,
        datacontenttype: Some("application/json"),
        data: Some(&event.data),
    };
    let whole = serde_json::to_vec(&envelope)?;
    if whole.len() <= MAX_BODY_BYTES {
        return Ok(whole);
    }
    tracing::warn!(tenant = event.tenant, seq = event.seq, kind = event.kind, "event too large, sent without its data");
    (envelope.datacontenttype, envelope.data) = (None, None);
    serde_json::to_vec(&envelope)
}

/// The journal, or, for what is said of endpoints, the hooks themselves.
fn source(event: &Event) -> String {
    let part = if event.ordinal < super::notice::FIRST_ORDINAL { "ledger" } else { "hooks" };
    format!("/tenants/{}/{part}", event.tenant)
}

pub(super) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Where an event stands in its tenant's journal, as text: `0000000000000000042.0000` is the first event of record 42.
#[must_use]
pub fn sequence(seq: i64, ordinal: i32) -> String {
    format!("{seq:019}.{ordinal:04}")
}

/// Reads what [`sequence`] wrote.
#[must_use]
pub fn parse_sequence(text: &str) -> Option<(i64, i32)> {
    let (seq, ordinal) = text.split_once('.')?;
    let place = (seq.parse().ok()?, ordinal.parse().ok()?);
    // Only the one spelling: parsing alone would also take `+42.0`.
    (sequence(place.0, place.1) == text).then_some(place)
}

/// The `webhook-id`: the same at every attempt to tell this event to this endpoint, and no other's.
#[must_use]
pub fn webhook_id(event: Uuid, endpoint: Uuid) -> String {
    format!("msg_{}", derived("hook", &[event.as_bytes(), endpoint.as_bytes()]).simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            tenant: 7,
            fork: Uuid::from_u128(9),
            seq: 42,
            ordinal: 0,
            kind: "payment.cleared.v1",
            subject: "customer/1".to_owned(),
            occurred: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            recorded: DateTime::from_timestamp(1_700_000_001, 5_000).unwrap(),
            depth: 0,
            data: serde_json::json!({"amount": {"amount": "1999", "asset": "EUR"}}),
        }
    }

    /// Receivers parse these bytes and remember these ids: a change here breaks them.
    #[test]
    fn a_body_is_a_cloud_event_to_the_byte() {
        let body = String::from_utf8(body(&event()).unwrap()).unwrap();
        insta::assert_snapshot!(body, @r#"{"specversion":"1.0","id":"b717a641-0923-8a8d-9ee6-730765fc4c1a","source":"/tenants/7/ledger","type":"payment.cleared.v1","subject":"customer/1","time":"2023-11-14T22:13:20.000000Z","recordedtime":"2023-11-14T22:13:21.000005Z","sequence":"0000000000000000042.0000","partitionkey":"customer/1","datacontenttype":"application/json","data":{"amount":{"amount":"1999","asset":"EUR"}}}"#);
    }

    #[test]
    fn ids_are_the_same_for_ever_and_differ_by_place_type_and_endpoint() {
        let (one, endpoint) = (event(), Uuid::from_u128(1));
        assert_eq!(webhook_id(one.id(), endpoint), GOLDEN);
        let others = [
            Event { tenant: 8, ..event() },
            Event { fork: Uuid::from_u128(10), ..event() },
            Event { seq: 43, ..event() },
            Event { ordinal: 1, ..event() },
            Event { kind: "payment.refunded.v1", ..event() },
        ];
        for other in others {
            assert_ne!(webhook_id(other.id(), endpoint), GOLDEN, "{other:?}");
        }
        assert_ne!(webhook_id(one.id(), Uuid::from_u128(2)), GOLDEN);
        assert_eq!(Event { data: Value::Null, ..event() }.id(), one.id(), "what it says does not count");
    }

    const GOLDEN: &str = "msg_48bf5cba7c2b8dbbb3ab9ed73799e208";

    #[test]
    fn the_order_of_sequences_is_the_order_of_the_journal() {
        let places = [(1, 0), (1, 1), (1, 10), (2, 0), (10, 0), (i64::MAX, 0)];
        let texts: Vec<_> = places.iter().map(|(seq, ordinal)| sequence(*seq, *ordinal)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (text, place) in texts.iter().zip(places) {
            assert_eq!(parse_sequence(text), Some(place));
        }
        for odd in ["", "1.0", "+000000000000000042.0000", "0000000000000000042", "0000000000000000042.0000 "] {
            assert_eq!(parse_sequence(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_event_that_is_too_large_is_told_without_its_data() {
        let large = Event { data: Value::String("x".repeat(MAX_BODY_BYTES)), ..event() };
        let body: Value = serde_json::from_slice(&body(&large).unwrap()).unwrap();
        assert_eq!((body.get("data"), &body["sequence"]), (None, &Value::from("0000000000000000042.0000")));
    }
}
