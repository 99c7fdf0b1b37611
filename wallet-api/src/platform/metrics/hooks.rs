//! Hooks, in figures: what has been counted, what a node's memory holds, and what the tables have left.
//!
//! The platform knows no slice, so whoever starts a node says how to look ([`HookView`]). What memory holds is that of the
//! node that leads; on the others it is nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};

use super::HOOKS;
use super::text::{Seconds, Text};

/// What one lane of all endpoints has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLoad {
    /// Its name.
    pub lane: &'static str,
    /// Deliveries that wait for their turn.
    pub waiting: usize,
    /// Attempts under way.
    pub under_way: usize,
}

/// What a node's memory holds of hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookLoad {
    /// Each lane.
    pub lanes: Vec<LaneLoad>,
    /// Endpoints that are asked seldom, because nothing but failures came back.
    pub breakers_open: usize,
}

/// What the tables have of hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookBacklog {
    /// Deliveries that wait for an attempt.
    pub pending: i64,
    /// When the first of those was or will be due.
    pub due: Option<DateTime<Utc>>,
    /// Endpoints by state: `enabled`, or why they are not.
    pub endpoints: Vec<(&'static str, i64)>,
}

/// How to look at hooks.
#[derive(Clone)]
pub struct HookView {
    /// Looks at this node's memory.
    pub load: Arc<dyn Fn() -> HookLoad + Send + Sync>,
    /// Looks at the tables, and counts up to so many of each.
    pub backlog: fn(&mut PgConnection, i64) -> QueryResult<HookBacklog>,
}

/// Writes what has been counted.
pub(super) fn write_counts(text: &mut Text) {
    let name = "tessera_hook_attempts_total";
    text.family(name, "counter", "Attempts to send a hook, by what came of them.");
    for (outcome, count) in HOOKS.attempts().read() {
        text.sample(name, &[("outcome", outcome)], count);
    }
    let name = "tessera_hook_deliveries_total";
    text.family(name, "counter", "Deliveries that have ended, by how.");
    for (status, count) in HOOKS.deliveries().read() {
        text.sample(name, &[("status", status)], count);
    }
    let name = "tessera_hook_attempt_seconds";
    text.family(name, "histogram", "How long an attempt took.");
    text.times(name, &[], HOOKS.took_us());
}

/// Writes what memory holds.
pub(super) fn write_load(text: &mut Text, load: &HookLoad) {
    let name = "tessera_hook_lane_deliveries";
    text.family(name, "gauge", "Hooks in this node's memory by lane, waiting for their turn or being sent.");
    for LaneLoad { lane, waiting, under_way } in &load.lanes {
        text.sample(name, &[("lane", lane), ("state", "waiting")], waiting);
        text.sample(name, &[("lane", lane), ("state", "under_way")], under_way);
    }
    let help = "Endpoints asked seldom by this node, because nothing but failures came back.";
    text.gauge("tessera_hook_breakers_open", help, load.breakers_open);
}

/// Writes what the tables have, counted up to `most`.
pub(super) fn write_backlog(text: &mut Text, backlog: &HookBacklog, most: i64, now: DateTime<Utc>) {
    let help = format!("Hooks that wait for an attempt; more than {most} are told as {most}.");
    text.gauge("tessera_hook_pending", &help, backlog.pending);
    // What memory holds is due later than now, so a delivery that is overdue is one that nobody takes up.
    let overdue = backlog.due.map_or(0, |due| now.signed_duration_since(due).num_microseconds().unwrap_or(i64::MAX));
    let help = "How long the first of them has been due; 0 when none is.";
    text.gauge("tessera_hook_overdue_seconds", help, Seconds(overdue.max(0)));
    let name = "tessera_hook_endpoints";
    text.family(name, "gauge", &format!("Endpoints by state, {most} of them at most: enabled, or why disabled."));
    for (state, count) in &backlog.endpoints {
        text.sample(name, &[("state", state)], count);
    }
}
