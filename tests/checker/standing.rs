//! How the model stands now, as the reading side tells it: what is due counted, whoever wrote it down or will.

use std::collections::BTreeMap;

use ledger::read::{Balance, HoldAt, HoldStanding};
use ledger::{AssetId, Command, Key, LegRef, Lot, NEVER, Nature, Request, RowKind, Scope};
use uuid::Uuid;

use super::history::Span;
use super::seen::Books;
use crate::model::{Model, Page};

/// What is kept of open holds, and of lots: what is left and what of it is held.
pub type Kept = (BTreeMap<LegRef, i64>, BTreeMap<Lot, (i64, i64)>);

fn small(minor: i128) -> i64 {
    i64::try_from(minor).expect("a balance")
}

/// Whether an account stands so at some moment of the span.
pub fn balance(model: &Model, account: Uuid, told: Option<&Balance>, span: Span) -> bool {
    let (page, told) = match (model.accounts.get(&account), told) {
        (None, None) => return true,
        (Some(page), Some(told)) => (page, told),
        (None, Some(_)) | (Some(_), None) => return false,
    };
    let same = (told.account.0, told.version, told.asset) == (page.number, page.rows, page.terms.asset);
    same && moments(model, account, page, span).into_iter().any(|us| {
        let now_us = (us + model.offset_us).max(model.last_us);
        let after = with_dues(model, account, us);
        let pending = page.lots.iter().filter(|(lot, _)| lot.activates_us > now_us);
        let pending: i128 = pending.map(|(_, stock)| stock.remaining - stock.held).sum();
        (told.balance, told.held, told.pending) == (after.0, after.1, small(pending))
    })
}

/// The moments of a span, by the database's clock, at which an account may stand differently than before.
fn moments(model: &Model, account: Uuid, page: &Page, span: Span) -> Vec<i64> {
    let mut turns: Vec<i64> = page.lots.keys().flat_map(|lot| [lot.expires_us, lot.activates_us]).collect();
    turns.extend(model.holds.values().filter(|hold| hold.debit == account).map(|hold| hold.expires_us));
    turns.push(page.period_us);
    let mut moments: Vec<i64> = turns.into_iter().map(|us| us.saturating_sub(model.offset_us)).collect();
    moments.retain(|us| span.began_us < *us && *us <= span.ended_us);
    moments.extend([span.began_us, span.ended_us]);
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// Balance and held of an account once what is due on it at a moment is written down.
fn with_dues(model: &Model, account: Uuid, us: i64) -> (i64, i64) {
    let page = &model.accounts[&account];
    if page.held == 0 && page.terms.nature == Nature::Plain {
        return (small(page.balance), 0);
    }
    let mut then = model.clone();
    let key = Key { scope: Scope(0), key: Uuid::nil(), fingerprint: Uuid::nil() };
    let (command, companions) = (Command::Sweep { account }, Vec::new());
    then.batch(
        &[Request { journal: super::JOURNAL, key, command, effective_us: None, meta: Vec::new(), companions }],
        us,
    );
    let page = &then.accounts[&account];
    (small(page.balance), small(page.held))
}

/// Whether a hold stands so at some moment of the span.
pub fn hold(model: &Model, place: LegRef, told: Option<&HoldAt>, span: Span) -> bool {
    let (pending, told) = match (model.holds.get(&place), told) {
        (None, None) => return true,
        (Some(pending), Some(told)) => (pending, told),
        (None, Some(_)) | (Some(_), None) => return false,
    };
    let expires_us = Some(pending.expires_us).filter(|us| *us < NEVER);
    let moment = |us: i64| (us + model.offset_us).max(model.last_us);
    let may_be = [span.began_us, span.ended_us].map(|us| pending.expires_us <= moment(us)).contains(&told.expired);
    let remaining = if told.expired { 0 } else { small(pending.remaining) };
    may_be && (told.amount, told.expires_us, told.remaining) == (pending.amount, expires_us, remaining)
}

/// Whether a hold and what was captured of it stand so at some moment of the span.
pub fn hold_in_full(books: Books<'_>, place: LegRef, told: Option<&HoldStanding>, span: Span) -> bool {
    let (model, links) = (books.model, books.fold.links.get(&place.seq).map_or(&[][..], Vec::as_slice));
    let (pending, told) = match (model.holds.get(&place), told) {
        (None, None) => return true,
        (Some(pending), Some(told)) => (pending, told),
        (None, Some(_)) | (Some(_), None) => return false,
    };
    let own = |kind: RowKind| links.iter().filter(move |link| link.of == place && link.kind == kind);
    let captured: i64 = own(RowKind::Capture).map(|link| link.minor).sum();
    let swept = own(RowKind::Expire).next().is_some();
    let over = |us: i64| pending.expires_us <= (us + model.offset_us).max(model.last_us);
    [span.began_us, span.ended_us].into_iter().any(|us| {
        let expired = swept || (pending.remaining > 0 && over(us));
        let remaining = if expired { 0 } else { small(pending.remaining) };
        (told.expired, told.remaining, told.captured) == (expired, remaining, captured)
            && (told.amount, told.expires_us, told.debit) == (pending.amount, pending.expires_us, pending.debit)
    })
}

/// Open holds on an account, and its lots.
pub fn kept(model: &Model, account: Uuid) -> Kept {
    let open = model.holds.iter().filter(|(_, hold)| hold.debit == account && hold.remaining > 0);
    let holds = open.map(|(place, hold)| (*place, small(hold.remaining))).collect();
    let lots = model.accounts.get(&account).map(|page| &page.lots).into_iter().flatten();
    let lots = lots.map(|(lot, stock)| (*lot, (small(stock.remaining), small(stock.held)))).collect();
    (holds, lots)
}

/// Of each asset: how many accounts, and the sums of what is above zero, below zero and held.
pub fn totals(model: &Model) -> BTreeMap<AssetId, (i64, i128, i128, i128)> {
    let mut totals = BTreeMap::<_, (i64, i128, i128, i128)>::new();
    for page in model.accounts.values() {
        let total = totals.entry(page.terms.asset).or_default();
        total.0 += 1;
        *(if page.balance > 0 { &mut total.1 } else { &mut total.2 }) += page.balance;
        total.3 += page.held;
    }
    totals
}
