//! What a batch changes beside balances, as flat arrays: rules of accounts, holds, links, lots.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::apply::{Applied, Map, Standing};
use crate::bind::Arg;
use crate::{Account, AccountId, Body, Hold, JournalId, LegRef, Lot, Nature};

/// The columns of `journal.state`.
#[derive(Debug, Default)]
pub(crate) struct StateRows {
    pub(crate) rules: RuleRows,
    holds: HoldRows,
    ended: (Vec<i64>, Vec<i32>, Vec<i64>),
    links: LinkRows,
    grown: LotRows,
    changed: LotRows,
}

/// Accounts as the batch leaves their rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleRows {
    pub(crate) id: Vec<i64>,
    pub(crate) debits_frozen: Vec<i32>,
    pub(crate) credits_frozen: Vec<i32>,
    closed: Vec<i32>,
    floor: Vec<Option<i64>>,
    ceiling: Vec<Option<i64>>,
    minor: Vec<i64>,
    period_us: Vec<i64>,
}

#[derive(Debug, Default)]
struct HoldRows {
    seq: Vec<i64>,
    leg: Vec<i32>,
    debit: Vec<i64>,
    credit: Vec<i64>,
    asset: Vec<i32>,
    amount: Vec<i64>,
    remaining: Vec<i64>,
    expires_us: Vec<i64>,
}

#[derive(Debug, Default)]
struct LinkRows {
    of_seq: Vec<i64>,
    of_leg: Vec<i32>,
    seq: Vec<i64>,
    leg: Vec<i32>,
    kind: Vec<i32>,
    amount: Vec<i64>,
}

#[derive(Debug, Default)]
struct LotRows {
    account: Vec<i64>,
    expires_us: Vec<i64>,
    earned_day: Vec<i32>,
    activates_us: Vec<i64>,
    campaign: Vec<Uuid>,
    unit_cost: Vec<i64>,
    remaining: Vec<i64>,
    held: Vec<i64>,
}

impl StateRows {
    pub(crate) fn of(applied: &Applied) -> Self {
        let mut rows = Self::default();
        // By account, each once: whoever locks several account rows locks them in this order.
        changed_rules(applied).values().for_each(|account| rows.rules.push(account));
        applied.holds.iter().for_each(|(place, hold)| rows.holds.push(*place, hold));
        for (place, remaining) in &applied.ended {
            rows.ended.0.push(place.seq);
            rows.ended.1.push(place.leg);
            rows.ended.2.push(*remaining);
        }
        for link in &applied.links {
            rows.links.of_seq.push(link.of.seq);
            rows.links.of_leg.push(link.of.leg);
            rows.links.seq.push(link.by.seq);
            rows.links.leg.push(link.by.leg);
            rows.links.kind.push(link.kind.code());
            rows.links.amount.push(link.minor);
        }
        for ((account, lot), change) in applied.lots.iter().filter(|(_, change)| **change != Standing::default()) {
            // A lot that is new stands by what the batch gave it; any other change is of one that is there.
            let may_be_new = change.held >= 0 && change.remaining > 0 && change.remaining >= change.held;
            let rows = if may_be_new { &mut rows.grown } else { &mut rows.changed };
            rows.push(*account, *lot, *change);
        }
        rows
    }

    /// True of a batch that changes balances only.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.id.is_empty()
            && self.holds.seq.is_empty()
            && self.ended.0.is_empty()
            && self.links.seq.is_empty()
            && self.grown.account.is_empty()
            && self.changed.account.is_empty()
    }

    /// The arguments of `journal.state`.
    pub(crate) fn args(&self, journal: JournalId) -> Vec<Arg<'_>> {
        let Self { rules, holds, ended, links, grown, changed } = self;
        let mut args = vec![
            Arg::Int(journal.0),
            Arg::Ints(&rules.id),
            Arg::Int4s(&rules.debits_frozen),
            Arg::Int4s(&rules.credits_frozen),
            Arg::Int4s(&rules.closed),
            Arg::OptionInts(&rules.floor),
            Arg::OptionInts(&rules.ceiling),
            Arg::Ints(&rules.minor),
            Arg::Ints(&rules.period_us),
            Arg::Ints(&holds.seq),
            Arg::Int4s(&holds.leg),
            Arg::Ints(&holds.debit),
            Arg::Ints(&holds.credit),
            Arg::Int4s(&holds.asset),
            Arg::Ints(&holds.amount),
            Arg::Ints(&holds.remaining),
            Arg::Ints(&holds.expires_us),
            Arg::Ints(&ended.0),
            Arg::Int4s(&ended.1),
            Arg::Ints(&ended.2),
            Arg::Ints(&links.of_seq),
            Arg::Int4s(&links.of_leg),
            Arg::Ints(&links.seq),
            Arg::Int4s(&links.leg),
            Arg::Int4s(&links.kind),
            Arg::Ints(&links.amount),
        ];
        grown.args(&mut args);
        changed.args(&mut args);
        args
    }
}

/// Accounts whose rules a record of the batch changed, as the batch leaves them.
fn changed_rules(applied: &Applied) -> BTreeMap<AccountId, Account> {
    let named = applied.records.iter().filter_map(|record| match &record.body {
        Body::Frozen { account, .. } | Body::Changed { account, .. } => Some(*account),
        Body::Due { account, period_us, .. } if *period_us > 0 => Some(*account),
        Body::Transaction { .. }
        | Body::Opened { .. }
        | Body::Due { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => None,
    });
    let mut named = named.peekable();
    if named.peek().is_none() {
        return BTreeMap::new();
    }
    let by_public_id: Map<Uuid, &Account> =
        applied.changed.values().map(|account| (account.public_id, account)).collect();
    named.filter_map(|id| by_public_id.get(&id).map(|account| (account.id, **account))).collect()
}

impl RuleRows {
    fn push(&mut self, account: &Account) {
        self.id.push(account.id.0);
        self.debits_frozen.push(i32::from(account.debits_frozen));
        self.credits_frozen.push(i32::from(account.credits_frozen));
        self.closed.push(i32::from(account.closed));
        self.floor.push(account.floor);
        self.ceiling.push(account.ceiling);
        self.minor.push(minor_of(account.nature));
        self.period_us.push(account.period_us);
    }
}

/// The number in `nature_minor`.
pub(crate) const fn minor_of(nature: Nature) -> i64 {
    match nature {
        Nature::Plain => 0,
        Nature::Lots { grace_us, .. } => grace_us,
        Nature::Quota { allowance, .. } => allowance,
    }
}

impl HoldRows {
    fn push(&mut self, place: LegRef, hold: &Hold) {
        self.seq.push(place.seq);
        self.leg.push(place.leg);
        self.debit.push(hold.debit.0);
        self.credit.push(hold.credit.0);
        self.asset.push(hold.amount.asset.0);
        self.amount.push(hold.amount.minor);
        self.remaining.push(hold.remaining);
        self.expires_us.push(hold.expires_us);
    }
}

impl LotRows {
    fn push(&mut self, account: AccountId, lot: Lot, change: Standing) {
        self.account.push(account.0);
        self.expires_us.push(lot.expires_us);
        self.earned_day.push(lot.earned_day);
        self.activates_us.push(lot.activates_us);
        self.campaign.push(lot.campaign);
        self.unit_cost.push(lot.unit_cost);
        self.remaining.push(change.remaining);
        self.held.push(change.held);
    }

    fn args<'a>(&'a self, args: &mut Vec<Arg<'a>>) {
        args.extend([
            Arg::Ints(&self.account),
            Arg::Ints(&self.expires_us),
            Arg::Int4s(&self.earned_day),
            Arg::Ints(&self.activates_us),
            Arg::Uuids(&self.campaign),
            Arg::Ints(&self.unit_cost),
            Arg::Ints(&self.remaining),
            Arg::Ints(&self.held),
        ]);
    }
}
