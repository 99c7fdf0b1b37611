//! An endpoint, read from its row and ready to be sent to: where, what it listens to, and what signs for it.
//!
//! A receiver never changes: whoever reads another row makes another one, and what is under way ends with the one it began
//! with.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::engagement::hooks::guard::{Policy, Refusal, Target};
use crate::engagement::hooks::model::EventTypes;
use crate::engagement::hooks::sign::Secret;
use crate::engagement::hooks::store::bulk::Listener;
use crate::platform::events::Event;

/// An endpoint: its tenant and its id.
pub(super) type Key = (i64, Uuid);

/// An endpoint, read and ready to be sent to.
pub(super) struct Receiver {
    pub(super) key: Key,
    /// Where, or why the operator's policy no longer lets hooks go there.
    pub(super) target: Result<Target, Refusal>,
    /// The one in force, then those before it.
    secrets: Vec<Secret>,
    event_types: EventTypes,
    row: Listener,
}

impl Receiver {
    pub(super) fn read(row: Listener, policy: &Policy) -> Self {
        let target = Target::parse(&row.url, policy);
        // The table's check has the length; without a secret nothing verifies, and the receiver says so.
        let all = std::iter::once(&row.secret).chain(&row.old_secrets);
        let secrets = all.filter_map(|bytes| Secret::from_bytes(bytes.clone()).ok()).collect();
        let event_types = EventTypes::stored(row.event_types.clone());
        Self { key: (row.tenant, row.id), target, secrets, event_types, row }
    }

    /// Whether it was read from this very row.
    pub(super) fn is_of(&self, row: &Listener) -> bool {
        self.row == *row
    }

    /// Whether it is told this event: one of its types, recorded after it was added.
    pub(super) fn listens_to(&self, event: &Event) -> bool {
        event.seq > self.row.since_seq && self.event_types.include(event.kind)
    }

    /// What signs at this time: the secret in force, and those before it whose overlap is not over.
    pub(super) fn secrets(&self, now: DateTime<Utc>) -> Cow<'_, [Secret]> {
        if self.row.old_until.iter().all(|until| *until > now) {
            return Cow::Borrowed(&self.secrets);
        }
        let old = self.secrets.iter().skip(1).zip(&self.row.old_until).filter(|(_, until)| **until > now);
        Cow::Owned(self.secrets.iter().take(1).chain(old.map(|(secret, _)| secret)).cloned().collect())
    }

    /// For an ordered endpoint: attempts at one event before the next of its subject goes.
    pub(super) fn ordered(&self) -> Option<i16> {
        self.row.ordered_skip
    }

    /// What its hooks are for, where they need a consent.
    pub(super) fn purpose(&self) -> Option<&str> {
        self.row.purpose.as_deref()
    }

    /// Since when it had been failing when its row was read, and how many notices of it were given.
    pub(super) fn failing(&self) -> (Option<DateTime<Utc>>, i16) {
        (self.row.failing_since, self.row.failing_told)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const KEY: Key = (1, Uuid::from_u128(5));

    /// The row of an endpoint that is told everything.
    pub(in super::super) fn listener() -> Listener {
        Listener {
            tenant: KEY.0,
            id: KEY.1,
            url: "https://example.com/".to_owned(),
            event_types: vec!["*".to_owned()],
            secret: vec![0; 32],
            old_secrets: Vec::new(),
            old_until: Vec::new(),
            ordered_skip: None,
            since_seq: 0,
            failing_since: None,
            failing_told: 0,
            purpose: None,
        }
    }

    /// T53: what was replaced signs until its overlap is over, and not a second more.
    #[test]
    fn t53_a_replaced_secret_signs_in_its_overlap_only() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let row =
            Listener { old_secrets: vec![vec![1; 32], vec![2; 32]], old_until: vec![at(20), at(10)], ..listener() };
        let receiver = Receiver::read(row, &Policy::default());
        let signing = |seconds| -> Vec<u8> { receiver.secrets(at(seconds)).iter().map(|one| one.bytes()[0]).collect() };
        assert_eq!(
            (signing(9), signing(10), signing(19), signing(20)),
            (vec![0, 1, 2], vec![0, 1], vec![0, 1], vec![0])
        );
    }
}
