//! The check: the writes, in the order of their seqs, played on the model; every answer and every read held against it.
//!
//! What must hold: each answer is what the model answers at that seq, and the journal is what the model wrote; of two
//! writes of which one was over before the other began, it has the smaller seq; every read is how the model stood after
//! some write that may have been the last one, by what was known when the read began and by what began after it ended;
//! and no client sees a state older than one it saw before. A read that tells its seq stands there and nowhere else.

use std::collections::BTreeSet;

use ledger::apply::State;
use ledger::{Body, Command, Group, How, Key, Request, Scope, Transfer};
use uuid::Uuid;

use super::deeds::{Deed, deeds, real_time};
use super::fold::Fold;
use super::history::{History, Span, Told};
use super::pending::{Pending, What, pending};
use super::seen::Books;
use super::tally::Tally;
use super::together::{self, Joint, Used};
use crate::model::{Fate, Model};

/// A lease, microseconds.
const LEASE_US: i64 = 3_000_000;

/// Holds a run that began with these books against the model, or says what is wrong with it.
pub fn check(start: &State, history: &History) -> Result<Tally, String> {
    let deeds = deeds(history)?;
    real_time(&deeds)?;
    let mut pending = pending(history, &deeds)?;
    let keyed = deeds.values().flat_map(Deed::keyed);
    let used = keyed.map(|(request, seq)| (request.key.key, (seq, request.key.fingerprint))).collect();
    let mut replay = Replay { model: Model::of(start), fold: Fold::default(), journal: &history.records, used };
    replay.settle(&mut pending)?;
    for deed in deeds.values() {
        replay.reach(deed, &mut pending)?;
    }
    while replay.play_due()? {
        replay.settle(&mut pending)?;
    }
    if replay.model.seq != history.records.last().map_or(0, |record| record.seq) {
        return Err(format!("nobody asked for the record after {}", replay.model.seq));
    }
    if let Some(left) = pending.first() {
        return Err(left.told());
    }
    same_answers(history, &replay.fold)?;
    Ok(Tally::of(history))
}

struct Replay<'a> {
    model: Model,
    fold: Fold,
    journal: &'a [ledger::Record],
    used: Used,
}

impl Replay<'_> {
    /// Plays what happened, and before it what was written down of itself.
    fn reach(&mut self, deed: &Deed, pending: &mut Vec<Pending<'_>>) -> Result<(), String> {
        let first = deed.seqs.first().and_then(|seq| usize::try_from(*seq).ok());
        let record = first.and_then(|seq| self.journal.get(seq.checked_sub(1)?));
        let recorded_us = record.ok_or_else(|| format!("{:?} was answered and is not there", deed.seqs))?.recorded_us;
        loop {
            let done = if deed.batch.is_some() {
                self.play_together(deed, recorded_us)?
            } else {
                self.play(&deed.requests[0], recorded_us)? == deed.seqs.first().map(|seq| Fate::Answered(*seq))
            };
            if done {
                return self.settle(pending);
            }
            if !self.play_due()? {
                return Err(self.told(deed, recorded_us));
            }
            self.settle(pending)?;
        }
    }

    /// What the model makes of requests, and what the journal has.
    fn told(&self, deed: &Deed, recorded_us: i64) -> String {
        let (mut trial, requests) = (self.model.clone(), &deed.requests);
        let outcome = trial.batch(requests, recorded_us - trial.offset_us);
        let (fates, records) = (outcome.fates, outcome.records);
        format!("of {requests:?}\nthe model makes {fates:?} {records:?},\nand there is {}", self.next())
    }

    /// What the journal has next, in words.
    fn next(&self) -> String {
        let next = usize::try_from(self.model.seq).ok().and_then(|at| self.journal.get(at));
        format!("{next:?} in the journal")
    }

    /// Whether the journal goes on with these.
    fn goes_on_with(&self, records: &[ledger::Record]) -> bool {
        let at = usize::try_from(self.model.seq).ok();
        at.and_then(|at| self.journal.get(at..at + records.len())) == Some(records)
    }

    /// Plays a request if what it writes is what the journal has next; else it leaves the books as they are.
    fn play(&mut self, request: &Request, recorded_us: i64) -> Result<Option<Fate>, String> {
        let mut trial = self.model.clone();
        let mut outcome = trial.batch(std::slice::from_ref(request), recorded_us - trial.offset_us);
        if !self.goes_on_with(&outcome.records) {
            return Ok(None);
        }
        let fate = outcome.fates.pop();
        if matches!(fate, Some(Fate::Answered(_))) {
            self.go_on(trial, outcome.records);
        }
        Ok(fate)
    }

    /// The same for requests that stand together: all of them in consecutive records, or the refusal of one, with what was due before it.
    fn play_together(&mut self, deed: &Deed, recorded_us: i64) -> Result<bool, String> {
        let mut trial = self.model.clone();
        let now_us = recorded_us - trial.offset_us;
        let records = match together::play(&mut trial, &deed.requests, now_us) {
            Joint::Done(outcome) if outcome.fates.iter().eq(&deed.fates()) => outcome.records,
            Joint::Refused(place, alone) if deed.refused_at == Some(place) => alone.records,
            Joint::Done(_) | Joint::Refused(..) | Joint::Declined(..) => return Ok(false),
        };
        let is_so = self.goes_on_with(&records);
        if is_so {
            self.go_on(trial, records);
        }
        Ok(is_so)
    }

    fn go_on(&mut self, model: Model, records: Vec<ledger::Record>) {
        records.into_iter().for_each(|record| self.fold.push(record));
        self.model = model;
    }

    /// Plays what time wrote down by itself, or for a request that then came to nothing, if that is what comes next.
    fn play_due(&mut self) -> Result<bool, String> {
        let next = usize::try_from(self.model.seq).ok().and_then(|at| self.journal.get(at));
        let Some((account, recorded_us)) = next.and_then(|record| match record.body {
            Body::Due { account, .. } => Some((account, record.recorded_us)),
            _ => None,
        }) else {
            return Ok(false);
        };
        let fate = self.play(&sweep(account), recorded_us)?;
        if matches!(fate, Some(Fate::Answered(_))) { Ok(true) } else { Err(format!("{fate:?} where {}", self.next())) }
    }

    /// Drops what matches the books as they are now.
    fn settle(&mut self, pending: &mut Vec<Pending<'_>>) -> Result<(), String> {
        let seq = self.model.seq;
        let mut waiting = BTreeSet::new();
        let (mut kept, mut late) = (Vec::with_capacity(pending.len()), None);
        for one in pending.drain(..) {
            // Whoever still waits for the state of an earlier question has not seen a later one.
            let may_be = one.from <= seq && seq <= one.upto && !waiting.contains(&one.span.client);
            if may_be && self.matches(&one) {
                continue;
            }
            if one.upto <= seq && late.is_none() {
                late = Some(one.told());
            }
            if one.from <= seq {
                waiting.insert(one.span.client);
            }
            kept.push(one);
        }
        *pending = kept;
        late.map_or(Ok(()), Err)
    }

    fn matches(&self, one: &Pending<'_>) -> bool {
        match one.what {
            What::Seen(seen) => self.books().is_so(seen, one.span),
            What::Together(ask) => {
                let requests = ask.iter().map(|write| &write.request);
                let mut moments = self.moments(one.span, requests).into_iter();
                moments.any(|us| together::is_so(self.books(), &self.used, ask, us))
            }
            What::Declined(request, fault) => self.moments(one.span, [request]).into_iter().any(|us| {
                let outcome = self.model.clone().batch(std::slice::from_ref(request), us);
                matches!(outcome.fates.as_slice(), [Fate::NotARequest(faults)] if fault.is_one_of(faults))
            }),
        }
    }

    /// The moments of a span, by the database's clock, at which requests may be another thing than before: a hold that
    /// ends by itself is none once its time is over.
    ///
    /// The writer's clock is the database's as its last renewal of the lease told it: behind by as long as that answer took,
    /// which is less than a lease.
    fn moments<'r>(&self, span: Span, requests: impl IntoIterator<Item = &'r Request>) -> Vec<i64> {
        let began_us = span.began_us.saturating_sub(LEASE_US);
        let ends = |transfer: &Transfer| match transfer.how {
            How::Hold { expires_us } => Some(expires_us? - self.model.offset_us),
            _ => None,
        };
        let turns = requests.into_iter().flat_map(|request| match &request.command {
            Command::Transact { transfers, groups, .. } => {
                let every = transfers.iter().chain(groups.iter().flat_map(Group::every));
                every.filter_map(ends).collect()
            }
            _ => Vec::new(),
        });
        let within = turns.filter(|us| began_us < *us && *us <= span.ended_us);
        [began_us, span.began_us, span.ended_us].into_iter().chain(within).collect()
    }

    const fn books(&self) -> Books<'_> {
        Books { model: &self.model, fold: &self.fold }
    }
}

/// Every answer is the record that the model wrote.
fn same_answers(history: &History, fold: &Fold) -> Result<(), String> {
    for write in &history.writes {
        let Told::Answered { record, .. } = &write.told else { continue };
        let at = usize::try_from(record.seq - 1).map_err(|error| error.to_string())?;
        if fold.records.get(at) != Some(record) {
            return Err(format!("{record:?} was told, {:?} is so", fold.records.get(at)));
        }
    }
    Ok(())
}

fn sweep(account: Uuid) -> Request {
    let key = Key { scope: Scope(i64::MIN), key: Uuid::nil(), fingerprint: Uuid::nil() };
    let (command, effective_us) = (Command::Sweep { account }, None);
    Request { journal: super::JOURNAL, key, command, effective_us, meta: b"{}".to_vec(), companions: Vec::new() }
}
