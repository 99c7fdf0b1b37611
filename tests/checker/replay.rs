//! The check: the writes, in the order of their seqs, played on the model; every answer and every read held against it.
//!
//! What must hold: each answer is what the model answers at that seq, and the journal is what the model wrote; of two
//! writes of which one was over before the other began, it has the smaller seq; every read is how the model stood after
//! some write that may have been the last one, by what was known when the read began and by what began after it ended;
//! and no client sees a state older than one it saw before. A read that tells its seq stands there and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use ledger::apply::State;
use ledger::read::{AssetTotal, At};
use ledger::{AssetId, Body, Command, Invalid, Key, Request, Scope};
use uuid::Uuid;

use super::fold::Fold;
use super::history::{History, Look, Seen, Span, Told, Write};
use super::standing;
use crate::model::{Fate, Model, faults_of_form};

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
    /// By name.
    pub looks: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.again += other.again;
        self.refused += other.refused;
        self.not_requests += other.not_requests;
        self.unsure += other.unsure;
        self.records += other.records;
        self.due += other.due;
        for (name, count) in &other.looks {
            *self.looks.entry(name).or_default() += count;
        }
    }

    pub fn brief(&self) -> String {
        let Self { writes, again, refused, not_requests, unsure, records, due, looks } = self;
        let reads: usize = looks.values().sum();
        format!(
            "{writes} writes ({again} again, {refused} refused, {not_requests} no requests, {unsure} unsure), \
             {records} records ({due} of time), {reads} reads"
        )
    }
}

/// A write that happened.
struct Deed<'a> {
    request: &'a Request,
    seq: i64,
    /// When it was first asked and first answered.
    began: u64,
    ended: u64,
}

/// Something that must match a state between two seqs.
struct Pending<'a> {
    span: Span,
    from: i64,
    upto: i64,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Seen(&'a Seen),
    Declined(&'a Request, &'a Invalid),
}

/// Holds a run that began with these books against the model, or says what is wrong with it.
pub fn check(start: &State, history: &History) -> Result<Tally, String> {
    let deeds = deeds(history)?;
    real_time(&deeds)?;
    let mut pending = pending(history, &deeds)?;
    let mut replay = Replay { model: Model::of(start), fold: Fold::default(), journal: &history.records };
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
    Ok(tally(history))
}

/// The writes that happened, by seq.
fn deeds(history: &History) -> Result<BTreeMap<i64, Deed<'_>>, String> {
    let mut by_key = BTreeMap::<Uuid, Vec<&Write>>::new();
    for write in &history.writes {
        by_key.entry(write.request.key.key).or_default().push(write);
    }
    let mut deeds = BTreeMap::new();
    for (key, writes) in by_key {
        let led = history.keys.get(&key).copied();
        for write in &writes {
            match (&write.told, led) {
                (Told::Answered { record, .. }, led) if led != Some(record.seq) => {
                    return Err(format!("{key} was answered with {} and leads to {led:?}", record.seq));
                }
                (Told::GivenUp(seq), led) if led != Some(*seq) => {
                    return Err(format!("{key} was given up at {seq} and leads to {led:?}"));
                }
                _ => {}
            }
        }
        let Some(seq) = led else { continue };
        let deed = deed(key, seq, &writes, history)?;
        if deeds.insert(seq, deed).is_some() {
            return Err(format!("two keys lead to {seq}"));
        }
    }
    Ok(deeds)
}

/// Which of the requests under a key it was that happened.
fn deed<'a>(key: Uuid, seq: i64, writes: &[&'a Write], history: &History) -> Result<Deed<'a>, String> {
    let record = usize::try_from(seq).ok().and_then(|seq| history.records.get(seq.checked_sub(1)?));
    let given_up = record.is_some_and(|record| record.body == Body::Abandoned);
    let may_be = |write: &&&Write| {
        let tried = matches!(write.told, Told::Answered { .. } | Told::Unknown);
        tried && given_up == (write.request.command == Command::Abandon)
    };
    // Another request under the key may have been lost on its way; one that was answered is the one.
    let known = writes.iter().filter(may_be).min_by_key(|write| matches!(write.told, Told::Unknown));
    let Some(known) = known else { return Err(format!("{key} leads to {seq}, and nobody was told that it was done")) };
    let same: Vec<_> = writes.iter().filter(|write| write.request.key == known.request.key).collect();
    for write in writes.iter().filter(may_be) {
        if write.request.key != known.request.key && !matches!(write.told, Told::Unknown) {
            return Err(format!("{key} was answered for two requests"));
        }
    }
    let answered = writes.iter().filter(|write| matches!(write.told, Told::Answered { .. } | Told::GivenUp(_)));
    Ok(Deed {
        request: &known.request,
        seq,
        began: same.iter().map(|write| write.span.began).min().unwrap_or(0),
        ended: answered.map(|write| write.span.ended).min().unwrap_or(u64::MAX),
    })
}

/// What was over before another began has the smaller seq.
fn real_time(deeds: &BTreeMap<i64, Deed<'_>>) -> Result<(), String> {
    let mut latest: Option<&Deed<'_>> = None;
    for deed in deeds.values() {
        if let Some(before) = latest.filter(|before| deed.ended < before.began) {
            return Err(format!("{} was over before {} began", deed.seq, before.seq));
        }
        if latest.is_none_or(|before| before.began < deed.began) {
            latest = Some(deed);
        }
    }
    Ok(())
}

/// What must match some state, with the states it may be: in the order it began.
fn pending<'a>(history: &'a History, deeds: &BTreeMap<i64, Deed<'_>>) -> Result<Vec<Pending<'a>>, String> {
    // What each answer proves to have been committed by then.
    let told = history.writes.iter().filter_map(|write| match &write.told {
        Told::Answered { record, .. } => Some((write.span.ended, record.seq)),
        Told::GivenUp(seq) => Some((write.span.ended, *seq)),
        Told::Invalid(_) | Told::Reused | Told::NotDone | Told::Unknown => None,
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
    let mut later: Vec<(u64, i64)> = deeds.values().map(|deed| (deed.began, deed.seq)).collect();
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
    for write in &history.writes {
        if let Told::Invalid(fault) = &write.told
            && !faults_of_form(&write.request).contains(fault)
        {
            push(write.span, What::Declined(&write.request, fault));
        }
        if matches!(write.told, Told::Reused) {
            has_a_rival(write, history)?;
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
        Seen::Totals(_) => None,
    }
}

struct Replay<'a> {
    model: Model,
    fold: Fold,
    journal: &'a [ledger::Record],
}

impl Replay<'_> {
    /// Plays a write, and before it what was written down of itself.
    fn reach(&mut self, deed: &Deed<'_>, pending: &mut Vec<Pending<'_>>) -> Result<(), String> {
        let recorded_us = usize::try_from(deed.seq).ok().and_then(|seq| self.journal.get(seq.checked_sub(1)?));
        let recorded_us = recorded_us.ok_or_else(|| format!("{} was answered and is not there", deed.seq))?.recorded_us;
        loop {
            let fate = self.play(deed.request, recorded_us)?;
            if fate == Some(Fate::Answered(deed.seq)) {
                return self.settle(pending);
            }
            if !self.play_due()? {
                return Err(self.told(deed.request, recorded_us));
            }
            self.settle(pending)?;
        }
    }

    /// What the model makes of a request, and what the journal has.
    fn told(&self, request: &Request, recorded_us: i64) -> String {
        let mut trial = self.model.clone();
        let outcome = trial.batch(std::slice::from_ref(request), recorded_us - trial.offset_us);
        let (fates, records) = (outcome.fates, outcome.records);
        format!("of {request:?}\nthe model makes {fates:?} {records:?},\nand there is {}", self.next())
    }

    /// What the journal has next, in words.
    fn next(&self) -> String {
        let next = usize::try_from(self.model.seq).ok().and_then(|at| self.journal.get(at));
        format!("{next:?} in the journal")
    }

    /// Plays a request if what it writes is what the journal has next; else it leaves the books as they are.
    fn play(&mut self, request: &Request, recorded_us: i64) -> Result<Option<Fate>, String> {
        let mut trial = self.model.clone();
        let mut outcome = trial.batch(std::slice::from_ref(request), recorded_us - trial.offset_us);
        let at = usize::try_from(self.model.seq).map_err(|error| error.to_string())?;
        let written = self.journal.get(at..at + outcome.records.len());
        if written != Some(outcome.records.as_slice()) {
            return Ok(None);
        }
        let fate = outcome.fates.pop();
        if matches!(fate, Some(Fate::Answered(_))) {
            outcome.records.into_iter().for_each(|record| self.fold.push(record));
            self.model = trial;
        }
        Ok(fate)
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
            What::Seen(seen) => self.is_so(seen, one.span),
            What::Declined(request, fault) => {
                let declined = |us: i64| {
                    let outcome = self.model.clone().batch(std::slice::from_ref(request), us);
                    matches!(outcome.fates.as_slice(), [Fate::NotARequest(faults)] if faults.contains(fault))
                };
                declined(one.span.began_us) || declined(one.span.ended_us)
            }
        }
    }

    /// Whether a read tells how the model stands now.
    fn is_so(&self, seen: &Seen, span: Span) -> bool {
        let (fold, head) = (&self.fold, self.model.seq);
        match seen {
            Seen::Balance(account, told) => standing::balance(&self.model, *account, told.as_ref(), span),
            Seen::Terms { account, floor, debits_frozen } => {
                let page = self.model.accounts.get(account);
                page.is_some_and(|page| (page.terms.floor, page.debits_frozen) == (*floor, *debits_frozen))
            }
            Seen::Hold(place, told) => standing::hold(&self.model, *place, told.as_ref(), span),
            Seen::Kept { account, head: told, holds, lots } => {
                *told == head && standing::kept(&self.model, *account) == (holds.clone(), lots.clone())
            }
            Seen::Totals(told) => *told == standing::totals(&self.model),
            Seen::BalanceAt(account, at, told) => {
                let Some(told) = told else { return !fold.is_open(*account, head) };
                fold.is_open(*account, head)
                    && told.seq == self.seq_of(*at)
                    && told.asset == fold.opened[account].1
                    && told.balance == self.balance(*account, *at)
            }
            Seen::Entries(account, limit, told) => {
                fold.is_open(*account, head) && fold.entries(*account, 0, head).take(*limit).eq(told)
            }
            Seen::Links(seq, told) => fold.links.get(seq).map_or(&[][..], Vec::as_slice) == told,
            Seen::Trial(at, told) => {
                // Today's accounts, at what counted then; or those of then.
                let seq = if matches!(at, At::Effective(_)) { head } else { self.seq_of(*at) };
                told.seq == seq && self.totals(*at, seq).into_iter().eq(told.assets.iter().copied())
            }
            Seen::Records { after, records, head: told } => {
                let from = usize::try_from(*after).unwrap_or(usize::MAX).min(fold.records.len());
                *told == head && fold.records[from..].starts_with(records)
            }
            Seen::Statement { account, .. } => fold.is_open(*account, head) && self.is_statement(seen),
        }
    }

    fn is_statement(&self, seen: &Seen) -> bool {
        let Seen::Statement { account, from_us, until_us, window, pages, size } = seen else { return false };
        let (fold, head) = (&self.fold, self.model.seq);
        let upto = until_us.map_or(head, |us| fold.recorded(us - 1, head));
        let after = fold.recorded(from_us - 1, head).min(upto);
        let (opening, closing) = (fold.balance(*account, after), fold.balance(*account, upto));
        let mut rest: Vec<_> = fold.entries(*account, after, upto).collect();
        for (place, page) in pages.iter().enumerate() {
            let entries: Vec<_> = rest.drain(..rest.len().min(*size)).collect();
            let whole = (page.opening, page.closing) == (opening, closing);
            let is_last = place + 1 == pages.len();
            let goes_on = page.has_more != rest.is_empty() && is_last == rest.is_empty();
            if !whole || !goes_on || !entries.into_iter().eq(&page.entries) {
                return false;
            }
        }
        (window.after, window.upto) == (after, upto)
    }

    /// Up to which seq a read at this time looks, when this is the head.
    fn seq_of(&self, at: At) -> i64 {
        let head = self.model.seq;
        match at {
            At::Now | At::Effective(_) => head,
            At::Seq(seq) => seq.clamp(0, head),
            At::Recorded(us) => self.fold.recorded(us, head),
        }
    }

    fn balance(&self, account: Uuid, at: At) -> i64 {
        match at {
            At::Effective(us) => self.fold.effective(account, self.model.seq, us),
            At::Now | At::Seq(_) | At::Recorded(_) => self.fold.balance(account, self.seq_of(at)),
        }
    }

    fn totals(&self, at: At, seq: i64) -> BTreeMap<AssetId, AssetTotal> {
        self.fold.totals(seq, |account| self.balance(account, at))
    }
}

impl Pending<'_> {
    fn told(&self) -> String {
        let (from, upto) = (self.from, self.upto);
        let states = format!("the states from {from} to {upto}");
        match self.what {
            What::Seen(seen) => format!("client {} read what is none of {states}: {seen:?}", self.span.client),
            What::Declined(request, fault) => format!("{fault:?} in none of {states}: {request:?}"),
        }
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

fn tally(history: &History) -> Tally {
    let count = |is: fn(&Told) -> bool| history.writes.iter().filter(|write| is(&write.told)).count();
    let written = |is: fn(&Body) -> bool| history.records.iter().filter(|record| is(&record.body)).count();
    let mut looks = BTreeMap::new();
    for Look { seen, .. } in &history.looks {
        *looks.entry(seen.name()).or_default() += 1;
    }
    Tally {
        writes: history.writes.len(),
        again: count(|told| matches!(told, Told::Answered { replayed: true, .. })),
        refused: written(|body| matches!(body, Body::Refused { .. })),
        not_requests: count(|told| matches!(told, Told::Invalid(_))),
        unsure: count(|told| matches!(told, Told::Unknown | Told::NotDone)),
        records: history.records.len(),
        due: written(|body| matches!(body, Body::Due { .. })),
        looks,
    }
}
