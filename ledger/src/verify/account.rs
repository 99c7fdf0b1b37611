//! An account as verify derives it: what its records and rows made of it, and what its rules allow.

use super::rows::AccountRow;
use super::{Broken, Check, broken};
use crate::{AssetId, Change, Nature, NewAccount};

/// An account as its records and rows have it so far.
pub(super) struct Folded {
    pub(super) terms: NewAccount,
    pub(super) debits_frozen: bool,
    pub(super) credits_frozen: bool,
    pub(super) closed: bool,
    pub(super) period_us: i64,
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) version: i64,
}

/// Which rules a side of a row is under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Value leaves, above the floor.
    Debit,
    /// Value leaves that was set aside before, or is owed.
    Owing,
    /// Value arrives.
    Credit,
    /// Given back, or brought about by time.
    None,
}

impl Folded {
    pub(super) fn asset(&self) -> AssetId {
        self.terms.asset
    }

    pub(super) fn opened(terms: NewAccount) -> Self {
        let (debits_frozen, credits_frozen, closed) = (false, false, false);
        Self { terms, debits_frozen, credits_frozen, closed, period_us: 0, balance: 0, held: 0, version: 0 }
    }

    /// Whether it keeps lots, and what it owes out of what it earns next.
    pub(super) fn lots(&self) -> (bool, i64) {
        let keeps = matches!(self.terms.nature, Nature::Lots { .. });
        (keeps, if keeps { self.held.saturating_sub(self.balance).max(0) } else { 0 })
    }

    /// Whether the standing after a row is one the rules in force allow.
    pub(super) fn allows(&self, rule: Rule) -> bool {
        let available = self.balance.checked_sub(self.held);
        let above_floor = self.terms.floor.is_none_or(|floor| available.is_some_and(|left| left >= floor));
        match rule {
            Rule::None => true,
            Rule::Debit => !self.closed && !self.debits_frozen && above_floor,
            Rule::Owing => !self.closed && !self.debits_frozen,
            Rule::Credit => {
                let below_ceiling = self.terms.ceiling.is_none_or(|ceiling| self.balance <= ceiling);
                !self.closed && !self.credits_frozen && below_ceiling
            }
        }
    }

    /// `blind` where it is not known how the account stands.
    pub(super) fn change(&mut self, seq: i64, change: &Change, blind: bool) -> Result<(), Broken> {
        let fails = |what: &str| broken(Check::Rules, seq, what);
        match (change, &mut self.terms.nature) {
            (Change::Limits { floor, ceiling }, _) => {
                let moved = self.terms.floor != *floor;
                (self.terms.floor, self.terms.ceiling) = (*floor, *ceiling);
                let available = self.balance.saturating_sub(self.held);
                if moved && !blind && floor.is_some_and(|floor| available < floor) {
                    return Err(fails("a floor was set that the balance does not keep"));
                }
            }
            (Change::Allowance { minor }, Nature::Quota { allowance, .. }) => *allowance = *minor,
            (Change::Allowance { .. }, Nature::Plain | Nature::Lots { .. }) => {
                return Err(fails("an account without an allowance was given one"));
            }
            (Change::Closed { closed }, _) => {
                if *closed && !blind && (self.balance, self.held) != (0, 0) {
                    return Err(fails("an account was closed with something on it"));
                }
                self.closed = *closed;
            }
        }
        Ok(())
    }

    pub(super) fn is_stored_as(&self, row: &AccountRow) -> bool {
        let NewAccount { public_id, asset, normal_side, owner, floor, ceiling, nature } = self.terms;
        (public_id, asset, owner, floor, ceiling) == (row.public_id, row.asset, row.owner, row.floor, row.ceiling)
            && normal_side.code() == row.normal_side
            && (self.debits_frozen, self.credits_frozen, self.closed)
                == (row.debits_frozen, row.credits_frozen, row.closed)
            && (Some(nature), self.period_us) == (row.nature, row.period_us)
    }
}
