//! The catalogue: every type of event there is, and the JSON schema of its body.
//!
//! A type's name ends in its version. Within a version members are only ever added, so receivers pass over what they do
//! not know; whatever else changes makes another version beside it. The schemas are data beside this file, one for the
//! `data` of each type; the envelope around it is the same for all.
//! Promise: a test holds every event that the house sends against its schema, and every name in the code against this
//! list. Not here: what raises an event (its slice).
//! Sources: JSON Schema 2020-12; CloudEvents 1.0, JSON format.

use serde_json::{Value, json};

use super::notice::{DISABLED, FAILING, SKIPPED, TEST};

/// A type of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// `payment.cleared.v1`.
    pub name: &'static str,
    /// When it is raised, in one sentence.
    pub summary: &'static str,
    data: &'static str,
}

/// Every type, in the order of the documentation.
pub const EVENT_TYPES: [EventType; 10] = [
    EventType {
        name: "payment.authorised.v1",
        summary: "Money of a wallet was set aside for a merchant, to be captured until a time.",
        data: include_str!("payment.authorised.v1.json"),
    },
    EventType {
        name: "payment.cleared.v1",
        summary: "A payment was posted, with the rewards it earned and those it did not.",
        data: include_str!("payment.cleared.v1.json"),
    },
    EventType {
        name: "payment.voided.v1",
        summary: "What was left of an authorisation was given back, by a void or by its final capture.",
        data: include_str!("payment.voided.v1.json"),
    },
    EventType {
        name: "payment.authorisation_expired.v1",
        summary: "The time of an authorisation was over: what was left of it was given back.",
        data: include_str!("payment.authorisation_expired.v1.json"),
    },
    EventType {
        name: "payment.refunded.v1",
        summary: "A payment or a capture was refunded, in part or whole, with what that took back of its rewards.",
        data: include_str!("payment.refunded.v1.json"),
    },
    EventType {
        name: "payment.refused.v1",
        summary: "A payment, an authorisation or a capture was refused by the state of an account, for good.",
        data: include_str!("payment.refused.v1.json"),
    },
    EventType {
        name: TEST,
        summary: "A test of an endpoint, sent to it alone, on request.",
        data: include_str!("endpoint.test.v1.json"),
    },
    EventType {
        name: FAILING,
        summary: "No hook has arrived at another endpoint for a while: after 4 attempts at one, 24 h, 72 h.",
        data: include_str!("endpoint.failing.v1.json"),
    },
    EventType {
        name: DISABLED,
        summary: "Another endpoint is told no more: it was asked for, it answered 410, or it failed for five days.",
        data: include_str!("endpoint.disabled.v1.json"),
    },
    EventType {
        name: SKIPPED,
        summary: "Another endpoint, told in order, did not take an event, and the next of its subject was sent.",
        data: include_str!("endpoint.skipped.v1.json"),
    },
];

impl EventType {
    /// The type of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|kind| kind.name == name)
    }

    /// The version in its name.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.name.rsplit_once(".v").and_then(|(_, version)| version.parse().ok()).unwrap_or(1)
    }

    /// The JSON schema of the whole body.
    ///
    /// # Errors
    /// Those of [`serde_json`], for a schema beside this file that is no JSON: a test reads them all.
    pub fn schema(&self) -> serde_json::Result<Value> {
        let data: Value = serde_json::from_str(self.data)?;
        let text = json!({"type": "string", "minLength": 1});
        let time = json!({"type": "string", "format": "date-time"});
        Ok(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("urn:tessera:event:{}", self.name),
            "title": self.name,
            "description": self.summary,
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject", "time", "recordedtime", "sequence", "partitionkey"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "format": "uuid"},
                "source": {"type": "string", "pattern": "^/tenants/[0-9]+/(ledger|hooks)$"},
                "type": {"const": self.name},
                "subject": text,
                "time": time,
                "recordedtime": time,
                "sequence": {"type": "string", "pattern": "^[0-9]{19}\\.[0-9]{4,}$"},
                "partitionkey": text,
                "datacontenttype": {"const": "application/json"},
                "data": data,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own_a_version_and_a_schema() {
        for kind in &EVENT_TYPES {
            assert_eq!(EventType::named(kind.name), Some(kind), "the name is taken twice");
            assert_eq!(kind.version(), 1);
            let schema = kind.schema().unwrap();
            assert!(schema["properties"]["data"]["properties"].is_object(), "{}", kind.name);
        }
        assert_eq!(EventType::named("payment.cleared"), None);
    }
}
