//! The checker can fail: a run that holds is forged in every way a journal could lie, and every forgery is found.

use std::sync::Arc;

use ledger::read::At;
use ledger::{Body, Invalid, Record};
use tessera_tests::Dice;

use super::clients::Size;
use super::history::{Fault, History, Seen, Span, Told, Write};
use super::pending::told_head;
use super::replay::check;
use super::{Ranges, Trouble, assert_so, recorded};

/// How often each is tried, at places of its own.
const TIMES: usize = 6;

/// Forges a history; none where there is nothing to forge.
type Forgery = fn(&mut History, &mut Dice) -> Option<()>;

const FORGERIES: [(&str, Forgery); 19] = [
    ("a value that never was", a_value),
    ("a read of the past", a_stale_read),
    ("a read of the future", a_read_of_the_future),
    ("two reads of a client the wrong way round", reads_turned_round),
    ("an entry left out of a page", an_entry_left_out),
    ("a record left out of a page", a_record_left_out),
    ("a write that was answered and is lost", a_lost_write),
    ("the last writes cut off", a_lost_tail),
    ("a write that was not answered and was done", a_write_nobody_was_told_of),
    ("a write that was done twice", a_write_done_twice),
    ("answers exchanged", answers_exchanged),
    ("another answer than the record", another_answer),
    ("another record than the rules make", another_record),
    ("two writes the wrong way round", writes_turned_round),
    ("another fault than there is", another_fault),
    ("a key that was used for nothing else", no_rival),
    ("one left out of what was done together", torn_apart),
    ("another place that stood in the way", another_place),
    ("what was done together, in another order", in_another_order),
];

#[test]
fn whatever_is_forged_in_a_history_is_found() {
    let mut dice = Dice::thrown("forged");
    let (state, history) = recorded(&dice, Size { clients: 6, steps: 70 }, Ranges::Usual, Trouble::None);
    assert_so(&dice, &state, &history);
    for (name, forge) in FORGERIES {
        for time in 0..TIMES {
            // Not every place that is drawn has what it takes.
            let mut drawn = std::iter::repeat_with(|| {
                let mut forged = history.clone();
                forge(&mut forged, &mut dice).map(|()| forged)
            });
            let forged = drawn.by_ref().take(50).flatten().next();
            let forged = forged.unwrap_or_else(|| panic!("{name}: there was nothing to forge"));
            assert!(check(&state, &forged).is_err(), "{name}, time {time}: not found");
        }
    }
}

/// One of those that will do.
fn some<'a, T>(dice: &mut Dice, all: impl Iterator<Item = &'a mut T>) -> Option<&'a mut T> {
    let mut all: Vec<_> = all.collect();
    let place = usize::try_from(dice.below(u64::try_from(all.len()).unwrap())).unwrap();
    (place < all.len()).then(|| all.swap_remove(place))
}

/// Changes one number of one answer, whatever sort it is.
fn a_value(history: &mut History, dice: &mut Dice) -> Option<()> {
    let kinds = ["balance", "balance at seq", "terms", "hold", "holds and lots", "trial balance", "totals", "links"];
    let kind = dice.pick(&kinds);
    let has_one = |seen: &Seen| match seen {
        Seen::Balance(_, told) => told.is_some(),
        Seen::BalanceAt(_, _, told) => told.is_some(),
        Seen::Hold(_, told) => told.is_some(),
        Seen::Links(_, links) => !links.is_empty(),
        _ => true,
    };
    let looks = history.looks.iter_mut().filter(|look| look.seen.name() == kind && has_one(&look.seen));
    match &mut some(dice, looks)?.seen {
        Seen::Balance(_, Some(told)) => told.balance += 1,
        Seen::BalanceAt(_, _, Some(told)) => told.balance += 1,
        Seen::Terms { floor, .. } => *floor = Some(-12_345),
        Seen::Hold(_, Some(told)) => told.amount.minor += 1,
        Seen::Kept { holds, .. } => _ = holds.insert(ledger::LegRef { seq: 1, leg: 0 }, 1),
        Seen::Trial(_, trial) => trial.assets.first_mut()?.1.credits += 1,
        Seen::Totals(totals) => totals.values_mut().next()?.3 += 1,
        Seen::Links(_, links) => _ = links.pop(),
        other => unreachable!("{other:?}"),
    }
    Some(())
}

fn at_tick(span: &mut Span, tick: u64) {
    (span.began, span.ended) = (tick, tick);
}

/// Lets a read of before the last write have been made after everything.
fn a_stale_read(history: &mut History, dice: &mut Dice) -> Option<()> {
    let last = history.records.last()?.seq;
    let stale = history.looks.iter_mut().filter(|look| told_head(&look.seen).is_some_and(|head| head < last));
    at_tick(&mut some(dice, stale)?.span, u64::MAX - 1);
    Some(())
}

fn a_read_of_the_future(history: &mut History, dice: &mut Dice) -> Option<()> {
    let later = history.looks.iter_mut().filter(|look| told_head(&look.seen).is_some());
    at_tick(&mut some(dice, later)?.span, 0);
    Some(())
}

fn reads_turned_round(history: &mut History, dice: &mut Dice) -> Option<()> {
    let client = 1 + usize::try_from(dice.below(6)).unwrap();
    let mut own = history.looks.iter_mut().filter(|look| look.span.client == client);
    let one = own.find(|look| told_head(&look.seen).is_some())?;
    let other = own.rfind(|look| told_head(&look.seen) > told_head(&one.seen))?;
    std::mem::swap(&mut one.seen, &mut other.seen);
    Some(())
}

fn an_entry_left_out(history: &mut History, dice: &mut Dice) -> Option<()> {
    let has_some = |seen: &Seen| match seen {
        Seen::Entries(_, _, entries) => entries.len() > 1,
        Seen::Statement { pages, .. } => pages.last().is_some_and(|page| !page.entries.is_empty()),
        _ => false,
    };
    match &mut some(dice, history.looks.iter_mut().filter(|look| has_some(&look.seen)))?.seen {
        Seen::Entries(_, _, entries) => _ = entries.remove(entries.len() / 2),
        Seen::Statement { pages, .. } => _ = pages.last_mut()?.entries.pop(),
        _ => unreachable!(),
    }
    Some(())
}

fn a_record_left_out(history: &mut History, dice: &mut Dice) -> Option<()> {
    let many = |seen: &Seen| matches!(seen, Seen::Records { records, .. } if records.len() > 2);
    let look = some(dice, history.looks.iter_mut().filter(|look| many(&look.seen)))?;
    let Seen::Records { records, .. } = &mut look.seen else { return None };
    records.remove(records.len() / 2);
    Some(())
}

/// Writes that were answered for the first time, under keys that no other request has.
fn answered<'a>(history: &'a mut History) -> impl Iterator<Item = &'a mut Write> + use<'a> {
    let keys: Vec<_> = history.writes.iter().map(|write| write.request.key.key).collect();
    let alone = move |write: &&mut Write| {
        let once = keys.iter().filter(|key| **key == write.request.key.key).count() == 1;
        once && matches!(write.told, Told::Answered { replayed: false, .. })
    };
    history.writes.iter_mut().filter(alone)
}

fn a_lost_write(history: &mut History, dice: &mut Dice) -> Option<()> {
    let key = some(dice, answered(history))?.request.key.key;
    history.keys.remove(&key).map(drop)
}

fn a_lost_tail(history: &mut History, dice: &mut Dice) -> Option<()> {
    let last = *history.keys.values().max()?;
    let cut = last - 1 - i64::try_from(dice.below(5)).unwrap();
    history.records.truncate(usize::try_from(cut).unwrap());
    history.keys.retain(|_, seq| *seq <= cut);
    Some(())
}

fn a_write_nobody_was_told_of(history: &mut History, dice: &mut Dice) -> Option<()> {
    some(dice, answered(history))?.told = Told::NotDone;
    Some(())
}

fn a_write_done_twice(history: &mut History, dice: &mut Dice) -> Option<()> {
    let Told::Answered { record, .. } = some(dice, answered(history))?.told.clone() else { return None };
    let seq = history.records.last()?.seq + 1;
    history.records.push(Record { seq, ..Record::clone(&record) });
    Some(())
}

fn answers_exchanged(history: &mut History, dice: &mut Dice) -> Option<()> {
    let one = some(dice, answered(history))?.request.key.key;
    let other = some(dice, answered(history).filter(|write| write.request.key.key != one))?.request.key.key;
    let mut both: Vec<_> =
        history.writes.iter_mut().filter(|write| [one, other].contains(&write.request.key.key)).collect();
    let [first, second] = both.as_mut_slice() else { return None };
    std::mem::swap(&mut first.told, &mut second.told);
    Some(())
}

/// A record with another balance after its first row.
fn forged(record: &Record) -> Option<Record> {
    let mut record = record.clone();
    let Body::Transaction { transfers, .. } = &mut record.body else { return None };
    transfers.first_mut()?.debit.balance += 1;
    Some(record)
}

fn another_answer(history: &mut History, dice: &mut Dice) -> Option<()> {
    let can = |told: &Told| matches!(told, Told::Answered { record, .. } if forged(record).is_some());
    let write = some(dice, answered(history).filter(|write| can(&write.told)))?;
    let Told::Answered { record, .. } = &mut write.told else { return None };
    *record = Arc::new(forged(record)?);
    Some(())
}

/// Rows and answer agree, and are not what follows from the request.
fn another_record(history: &mut History, dice: &mut Dice) -> Option<()> {
    let can = |told: &Told| matches!(told, Told::Answered { record, .. } if forged(record).is_some());
    let write = some(dice, answered(history).filter(|write| can(&write.told)))?;
    let Told::Answered { record, .. } = &mut write.told else { return None };
    let lie = forged(record)?;
    *record = Arc::new(lie.clone());
    let place = usize::try_from(lie.seq - 1).unwrap();
    *history.records.get_mut(place)? = lie;
    Some(())
}

fn writes_turned_round(history: &mut History, dice: &mut Dice) -> Option<()> {
    let (key, span) = some(dice, answered(history)).map(|write| (write.request.key.key, write.span))?;
    let later = answered(history).filter(|write| span.ended < write.span.began);
    let after = some(dice, later)?;
    let others = std::mem::replace(&mut after.span, span);
    history.writes.iter_mut().find(|write| write.request.key.key == key)?.span = others;
    Some(())
}

fn another_fault(history: &mut History, dice: &mut Dice) -> Option<()> {
    let faulty = history.writes.iter_mut().filter(|write| matches!(write.told, Told::Invalid(_)));
    some(dice, faulty)?.told = Told::Invalid(Fault::Exactly(Invalid::TooMany { what: "legs", limit: 2 }));
    Some(())
}

fn no_rival(history: &mut History, dice: &mut Dice) -> Option<()> {
    let write = some(dice, answered(history))?;
    let key = write.request.key.key;
    write.told = Told::Reused;
    history.keys.remove(&key).map(drop)
}

/// The asks for several things that were done, or not, as told; all of one ask.
fn batch<'a>(history: &'a mut History, dice: &mut Dice, fits: impl Fn(&[Write]) -> bool) -> Option<Vec<&'a mut Write>> {
    let mut fit: Vec<_> = history.batches().filter(|ask| fits(ask)).map(|ask| ask[0].batch).collect();
    let batch = *some(dice, fit.iter_mut())?;
    Some(history.writes.iter_mut().filter(|write| write.batch == batch).collect())
}

fn are_new(ask: &[Write]) -> bool {
    ask.iter().all(|write| matches!(write.told, Told::Answered { replayed: false, .. }))
}

fn torn_apart(history: &mut History, dice: &mut Dice) -> Option<()> {
    let mut ask = batch(history, dice, are_new)?;
    let one = ask.pop()?;
    one.told = Told::Linked(0);
    let key = one.request.key.key;
    history.keys.remove(&key).map(drop)
}

fn another_place(history: &mut History, dice: &mut Dice) -> Option<()> {
    let in_the_way = |ask: &[Write]| ask.iter().any(|write| matches!(write.told, Told::Linked(_)));
    for write in batch(history, dice, in_the_way)? {
        if let Told::Linked(place) = &mut write.told {
            *place += 1;
        }
    }
    Some(())
}

/// Two of a batch change places: all happened, in another order than they were asked in.
fn in_another_order(history: &mut History, dice: &mut Dice) -> Option<()> {
    let mut ask = batch(history, dice, are_new)?;
    let (first, rest) = ask.split_first_mut()?;
    let last = rest.last_mut()?;
    std::mem::swap(&mut first.request, &mut last.request);
    std::mem::swap(&mut first.told, &mut last.told);
    Some(())
}

#[test]
fn every_kind_of_read_with_a_head_tells_it() {
    let balance = |at, seq| {
        let told = ledger::read::BalanceAt { asset: ledger::AssetId(1), balance: 0, seq };
        told_head(&Seen::BalanceAt(uuid::Uuid::nil(), at, Some(told)))
    };
    assert_eq!((balance(At::Now, 7), balance(At::Effective(1), 8)), (Some(7), Some(8)));
    assert_eq!(
        (balance(At::Seq(3), 3), balance(At::Recorded(1), 2)),
        (None, None),
        "these tell how far back they looked"
    );
}
