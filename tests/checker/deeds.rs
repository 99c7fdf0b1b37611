//! Which of the things asked for happened, and in which record: the keys say where, the answers say whose asking it was.

use std::collections::BTreeMap;

use ledger::{Body, Command, Record, Request};
use uuid::Uuid;

use super::history::{History, Told, Write};
use crate::model::Fate;

/// Something that happened: one request, or several that were asked for together.
pub struct Deed {
    pub requests: Vec<Request>,
    /// Where the keys of what happened lead, in the order asked.
    pub seqs: Vec<i64>,
    /// Of those asked for together only this one's refusal was written.
    pub refused_at: Option<usize>,
    /// Under which number they were asked for together.
    pub batch: Option<u64>,
    /// When it was first asked and first answered.
    pub began: u64,
    pub ended: u64,
}

impl Deed {
    /// Where the keys of what happened lead, each with its request.
    pub fn keyed(&self) -> impl Iterator<Item = (&Request, i64)> {
        // Of those whose refusal alone is written it is the one that was refused.
        let requests = self.requests.iter().skip(self.refused_at.unwrap_or(0));
        requests.zip(self.seqs.iter().copied())
    }

    /// What the model must say of its requests.
    pub fn fates(&self) -> Vec<Fate> {
        self.seqs.iter().map(|seq| Fate::Answered(*seq)).collect()
    }
}

/// A request that happened.
struct Single<'a> {
    /// An ask that did it, as far as can be told: with it, whatever was asked for together.
    write: &'a Write,
    seq: i64,
    began: u64,
    ended: u64,
}

/// What happened, by the first of its seqs.
pub fn deeds(history: &History) -> Result<BTreeMap<i64, Deed>, String> {
    let batches: BTreeMap<u64, &[Write]> = history.batches().filter_map(|ask| Some((ask[0].batch?, ask))).collect();
    let (mut deeds, mut together) = (BTreeMap::new(), BTreeMap::<u64, Vec<Single<'_>>>::new());
    for (seq, single) in singles(history, &batches)? {
        match single.write.batch {
            Some(batch) => together.entry(batch).or_default().push(single),
            None => _ = deeds.insert(seq, single.alone()),
        }
    }
    for (batch, members) in together {
        let deed = joined(batches[&batch], &members, history)?;
        deeds.insert(deed.seqs[0], deed);
    }
    Ok(deeds)
}

impl Single<'_> {
    fn alone(self) -> Deed {
        let (requests, seqs) = (vec![self.write.request.clone()], vec![self.seq]);
        Deed { requests, seqs, refused_at: None, batch: None, began: self.began, ended: self.ended }
    }
}

/// Those of an ask that happened: all, or the refusal of one.
fn joined(ask: &[Write], members: &[Single<'_>], history: &History) -> Result<Deed, String> {
    let seq_of = |write: &Write| members.iter().find(|one| std::ptr::eq(one.write, write)).map(|one| one.seq);
    let seqs: Vec<i64> = ask.iter().filter_map(seq_of).collect();
    let refused_at = match seqs.as_slice() {
        [seq] if is_refusal(record_at(history, *seq)) => ask.iter().position(|write| seq_of(write).is_some()),
        _ if seqs.len() == ask.len() => None,
        _ => return Err(format!("of {} that stand together only {seqs:?} happened: {ask:?}", ask.len())),
    };
    if let Some(place) = refused_at {
        let may_be = |(at, write): (usize, &Write)| match write.told {
            Told::Linked(by) => at != place && by == place,
            Told::Answered { .. } => at == place,
            Told::Silent | Told::Unknown => true,
            Told::Invalid(_) | Told::Reused | Told::GivenUp(_) | Told::NotDone => false,
        };
        if let Some((_, other)) = ask.iter().enumerate().find(|one| !may_be(*one)) {
            return Err(format!("{other:?} was told beside the refusal of the one at {place}"));
        }
    }
    Ok(Deed {
        requests: ask.iter().map(|write| write.request.clone()).collect(),
        seqs,
        refused_at,
        batch: ask[0].batch,
        began: members.iter().map(|one| one.began).min().unwrap_or(0),
        ended: members.iter().map(|one| one.ended).min().unwrap_or(u64::MAX),
    })
}

/// Each request that happened, by seq.
fn singles<'a>(history: &'a History, batches: &BTreeMap<u64, &[Write]>) -> Result<BTreeMap<i64, Single<'a>>, String> {
    let mut by_key = BTreeMap::<Uuid, Vec<&Write>>::new();
    for write in &history.writes {
        by_key.entry(write.request.key.key).or_default().push(write);
    }
    let mut singles = BTreeMap::new();
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
        let single = single(key, seq, &writes, history, batches)?;
        if singles.insert(seq, single).is_some() {
            return Err(format!("two keys lead to {seq}"));
        }
    }
    Ok(singles)
}

/// Which of the requests under a key it was that happened.
fn single<'a>(
    key: Uuid,
    seq: i64,
    writes: &[&'a Write],
    history: &History,
    batches: &BTreeMap<u64, &[Write]>,
) -> Result<Single<'a>, String> {
    let given_up = record_at(history, seq).is_some_and(|record| record.body == Body::Abandoned);
    let may_be = |write: &&&'a Write| {
        let tried = matches!(write.told, Told::Answered { .. } | Told::Unknown);
        tried && given_up == (write.request.command == Command::Abandon)
    };
    // Another request under the key may have been lost on its way; one that was answered is the one.
    let known = writes.iter().filter(may_be).min_by_key(|write| matches!(write.told, Told::Unknown));
    let Some(known) = known else {
        let (record, told) = (record_at(history, seq), writes.iter().map(|write| &write.told).collect::<Vec<_>>());
        return Err(format!("{key} leads to {record:?}, and nobody was told that it was done, but {told:?}"));
    };
    let same: Vec<_> = writes.iter().filter(|write| write.request.key == known.request.key).collect();
    for write in writes.iter().filter(may_be) {
        if write.request.key != known.request.key && !matches!(write.told, Told::Unknown) {
            return Err(format!("{key} was answered for two requests"));
        }
    }
    let first = |write: &&&&Write| matches!(write.told, Told::Answered { replayed: false, .. });
    if same.iter().filter(first).count() > 1 {
        return Err(format!("{key} was done twice, if both are right who were told so"));
    }
    // Whoever was told that it was done before, or nothing, may have done it: then with all that was asked together.
    let likely = |write: &Write| match (&write.told, write.batch.and_then(|batch| batches.get(&batch))) {
        (Told::Answered { replayed: false, .. }, _) => 0,
        (_, Some(ask)) if is_whole(ask, history) => 1,
        (_, None) => 2,
        (_, Some(_)) => 3,
    };
    let tried = same.iter().filter(|write| may_be(write));
    let write = tried.min_by_key(|write| (likely(write), write.span.began)).unwrap_or(&known);
    let answered = writes.iter().filter(|write| matches!(write.told, Told::Answered { .. } | Told::GivenUp(_)));
    Ok(Single {
        write,
        seq,
        began: same.iter().map(|write| write.span.began).min().unwrap_or(0),
        ended: answered.map(|write| write.span.ended).min().unwrap_or(u64::MAX),
    })
}

/// Whether everything that was asked for together is there.
fn is_whole(ask: &[Write], history: &History) -> bool {
    ask.iter().all(|write| {
        let record = history.keys.get(&write.request.key.key).and_then(|seq| record_at(history, *seq));
        record.is_some_and(|record| record.body != Body::Abandoned && !is_refusal(Some(record)))
    })
}

fn record_at(history: &History, seq: i64) -> Option<&Record> {
    usize::try_from(seq).ok().and_then(|seq| history.records.get(seq.checked_sub(1)?))
}

fn is_refusal(record: Option<&Record>) -> bool {
    record.is_some_and(|record| matches!(record.body, Body::Refused { .. }))
}

/// What was over before another began has the smaller seq.
pub fn real_time(deeds: &BTreeMap<i64, Deed>) -> Result<(), String> {
    let mut latest: Option<&Deed> = None;
    for deed in deeds.values() {
        if let Some(before) = latest.filter(|before| deed.ended < before.began) {
            return Err(format!("{:?} was over before {:?} began", deed.seqs, before.seqs));
        }
        if latest.is_none_or(|before| before.began < deed.began) {
            latest = Some(deed);
        }
    }
    Ok(())
}
