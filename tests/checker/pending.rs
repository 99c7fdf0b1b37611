//! What was told and wrote nothing: it must be how the books stood between two seqs.

use std::collections::{BTreeMap, BTreeSet};

use ledger::read::At;
use ledger::{Key, Request};

use super::deeds::Deed;
use super::history::{Fault, History, Seen, Span, Told, Write};
use crate::model::faults_of_form;

/// Something that must match a state between two seqs.
pub struct Pending<'a> {
    pub span: Span,
    pub from: i64,
    pub upto: i64,
    pub what: What<'a>,
}

#[derive(Clone, Copy)]
pub enum What<'a> {
    Seen(&'a Seen),
    /// It is no request.
    Declined(&'a Request, &'a Fault),
    /// Of several that stand together, nothing was done now.
    Together(&'a [Write]),
}

/// What must match some state, with the states it may be: in the order it began.
pub fn pending<'a>(history: &'a History, deeds: &BTreeMap<i64, Deed>) -> Result<Vec<Pending<'a>>, String> {
    // What each answer proves to have been committed by then.
    let told = history.writes.iter().filter_map(|write| match &write.told {
        Told::Answered { record, .. } => Some((write.span.ended, record.seq)),
        Told::GivenUp(seq) => Some((write.span.ended, *seq)),
        Told::Invalid(_) | Told::Reused | Told::Linked(_) | Told::Silent | Told::NotDone | Told::Unknown => None,
    });
    let looked = history.looks.iter().filter_map(|look| Some((look.span.ended, told_head(&look.seen)?)));
    let mut proved: Vec<(u64, i64)> = told.chain(looked).collect();
    proved.sort_unstable();
    let mut most = 0;
    for (_, seq) in &mut proved {
        most = most.max(*seq);
        *seq = most;
    }
    // What cannot have been committed before a tick.
    let mut later: Vec<(u64, i64)> = deeds.iter().map(|(seq, deed)| (deed.began, *seq)).collect();
    later.sort_unstable();
    let mut least = i64::MAX;
    for (_, seq) in later.iter_mut().rev() {
        least = least.min(*seq);
        *seq = least;
    }
    let window = |span: Span| {
        let before = proved.partition_point(|(ended, _)| *ended < span.began);
        let after = later.partition_point(|(began, _)| *began < span.ended);
        let from = before.checked_sub(1).map_or(0, |last| proved[last].1);
        (from, later.get(after).map_or(i64::MAX, |(_, seq)| seq - 1))
    };
    let mut pending = Vec::new();
    let mut push = |span: Span, what: What<'a>| {
        let (from, upto) = window(span);
        pending.push(Pending { span, from, upto, what });
    };
    history.looks.iter().for_each(|look| push(look.span, What::Seen(&look.seen)));
    for write in history.writes.iter().filter(|write| write.batch.is_none()) {
        if let Told::Invalid(fault) = &write.told
            && !fault.is_one_of(&faults_of_form(&write.request))
        {
            push(write.span, What::Declined(&write.request, fault));
        }
        if matches!(write.told, Told::Reused) {
            has_a_rival(write, history)?;
        }
    }
    let done: BTreeSet<u64> = deeds.values().filter_map(|deed| deed.batch).collect();
    for ask in history.batches().filter(|ask| ask[0].batch.is_some_and(|batch| !done.contains(&batch))) {
        // Whoever waited too long or knows nothing was told nothing of the books.
        if !ask.iter().any(|write| matches!(write.told, Told::NotDone | Told::Unknown)) {
            push(ask[0].span, What::Together(ask));
        }
    }
    pending.sort_by_key(|one| one.span.began);
    Ok(pending)
}

fn has_a_rival(write: &Write, history: &History) -> Result<(), String> {
    let Key { key, fingerprint, .. } = write.request.key;
    let rival = |other: &Write| {
        let same = other.request.key.key == key && other.request.key.fingerprint != fingerprint;
        same && other.span.began < write.span.ended
    };
    if history.writes.iter().any(rival) { Ok(()) } else { Err(format!("{key} was used for nothing else")) }
}

/// The head that a read tells to have seen.
pub fn told_head(seen: &Seen) -> Option<i64> {
    match seen {
        Seen::BalanceAt(_, At::Now | At::Effective(_), Some(told)) => Some(told.seq),
        Seen::Kept { head, .. } | Seen::Records { head, .. } => Some(*head),
        Seen::Trial(At::Now | At::Effective(_), trial) => Some(trial.seq),
        Seen::Statement { until_us: None, window, .. } => Some(window.upto),
        Seen::BalanceAt(..) | Seen::Trial(..) | Seen::Statement { .. } => None,
        Seen::Balance(..) | Seen::Terms { .. } | Seen::Entries(..) | Seen::Hold(..) | Seen::Links(..) => None,
        Seen::Standing(..) | Seen::Totals(_) => None,
    }
}

impl Pending<'_> {
    pub fn told(&self) -> String {
        let (from, upto) = (self.from, self.upto);
        let states = format!("the states from {from} to {upto}");
        match self.what {
            What::Seen(seen) => format!("client {} read what is none of {states}: {seen:?}", self.span.client),
            What::Together(ask) => format!("in none of {states} are these told so: {ask:?}"),
            What::Declined(request, fault) => format!("{fault:?} in none of {states}: {request:?}"),
        }
    }
}
