//! What was checked, counted.

use std::collections::BTreeMap;

use ledger::Body;

use super::history::{History, Look, Told, Write};

/// What was checked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub writes: usize,
    pub again: usize,
    pub refused: usize,
    pub not_requests: usize,
    /// Calls that nobody could say yes or no to.
    pub unsure: usize,
    pub records: usize,
    pub due: usize,
    /// Asks for several things that happen all or none, and those of them that did.
    pub together: (usize, usize),
    /// By name.
    pub looks: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// Of a run that was found to be right.
    pub fn of(history: &History) -> Self {
        let count = |is: fn(&Told) -> bool| history.writes.iter().filter(|write| is(&write.told)).count();
        let written = |is: fn(&Body) -> bool| history.records.iter().filter(|record| is(&record.body)).count();
        let mut looks = BTreeMap::new();
        for Look { seen, .. } in &history.looks {
            *looks.entry(seen.name()).or_default() += 1;
        }
        Self {
            writes: history.writes.len(),
            again: count(|told| matches!(told, Told::Answered { replayed: true, .. })),
            refused: written(|body| matches!(body, Body::Refused { .. })),
            not_requests: count(|told| matches!(told, Told::Invalid(_))),
            unsure: count(|told| matches!(told, Told::Unknown | Told::NotDone)),
            records: history.records.len(),
            due: written(|body| matches!(body, Body::Due { .. })),
            together: (history.batches().count(), history.batches().filter(|ask| are_done(ask)).count()),
            looks,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.again += other.again;
        self.refused += other.refused;
        self.not_requests += other.not_requests;
        self.unsure += other.unsure;
        self.records += other.records;
        self.due += other.due;
        self.together.0 += other.together.0;
        self.together.1 += other.together.1;
        for (name, count) in &other.looks {
            *self.looks.entry(name).or_default() += count;
        }
    }

    pub fn brief(&self) -> String {
        let Self { writes, again, refused, not_requests, unsure, records, due, together, looks } = self;
        let (asked, done) = together;
        let reads: usize = looks.values().sum();
        format!(
            "{writes} writes ({again} again, {refused} refused, {not_requests} no requests, {unsure} unsure), \
             {done} of {asked} batches whole, {records} records ({due} of time), {reads} reads"
        )
    }
}

/// Whether all of an ask happened, now or before.
fn are_done(ask: &[Write]) -> bool {
    let done =
        |told: &Told| matches!(told, Told::Answered { record, .. } if !matches!(record.body, Body::Refused { .. }));
    ask.iter().all(|write| done(&write.told))
}
