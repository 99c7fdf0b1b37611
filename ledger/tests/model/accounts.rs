//! One account's page: what it has, and who may touch it.

use std::collections::BTreeMap;

use ledger::{Account, AccountId, Lot, NewAccount, Refusal, Side};
use uuid::Uuid;

use super::{Model, Stock, fits, small};

/// One account's page of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub number: i64,
    /// Its terms, with the limits and the allowance as they are now.
    pub terms: NewAccount,
    pub debits_frozen: bool,
    pub credits_frozen: bool,
    pub closed: bool,
    pub period_us: i64,
    pub balance: i128,
    pub held: i128,
    pub rows: i64,
    /// What its balance is made of, if it keeps lots.
    pub lots: BTreeMap<Lot, Stock>,
}

impl Page {
    pub fn opened(terms: &NewAccount, number: i64) -> Self {
        Self {
            number,
            terms: terms.clone(),
            debits_frozen: false,
            credits_frozen: false,
            closed: false,
            period_us: 0,
            balance: 0,
            held: 0,
            rows: 0,
            lots: BTreeMap::new(),
        }
    }

    /// What the crate holds of an account, but for its lots.
    pub fn of(account: &Account) -> Self {
        let Account { public_id, asset, normal_side, owner, floor, ceiling, nature, .. } = *account;
        let terms = NewAccount { public_id, asset, normal_side, owner, floor, ceiling, nature };
        Self {
            debits_frozen: account.debits_frozen,
            credits_frozen: account.credits_frozen,
            closed: account.closed,
            period_us: account.period_us,
            balance: account.balance.into(),
            held: account.held.into(),
            rows: account.version,
            ..Self::opened(&terms, account.id.0)
        }
    }

    pub fn available(&self) -> i128 {
        self.balance - self.held
    }

    pub fn keeps_lots(&self) -> bool {
        matches!(self.terms.nature, ledger::Nature::Lots { .. })
    }

    /// What it owes out of what it earns next.
    pub fn debt(&self) -> i128 {
        if self.keeps_lots() { (self.held - self.balance).max(0) } else { 0 }
    }

    fn side(&self) -> Side {
        Side {
            account: AccountId(self.number),
            public_id: self.terms.public_id,
            balance: small(self.balance),
            held: small(self.held),
            version: self.rows,
        }
    }
}

/// What is asked before an account gives something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Everything.
    Floor,
    /// Whether it may be touched at all.
    Passage,
    /// Nothing: time itself does it.
    Nothing,
}

impl Model {
    pub(super) fn page(&mut self, account: Uuid) -> &mut Page {
        self.accounts.get_mut(&account).unwrap()
    }

    pub(super) fn lets_out(&self, account: Uuid) -> Result<(), Refusal> {
        let page = &self.accounts[&account];
        lets(page, page.debits_frozen)
    }

    pub(super) fn lets_in(&self, account: Uuid) -> Result<(), Refusal> {
        let page = &self.accounts[&account];
        lets(page, page.credits_frozen)
    }

    /// Balance and held of the payer change: its next row.
    pub(super) fn give(&mut self, account: Uuid, balance: i128, held: i128, asked: Asked) -> Result<Side, Refusal> {
        if asked != Asked::Nothing {
            self.lets_out(account)?;
        }
        let page = self.page(account);
        (page.balance, page.held) = (page.balance + balance, page.held + held);
        if !fits(page.balance) || !fits(page.held) || !fits(page.available()) {
            return Err(Refusal::Overflow { account });
        }
        if asked == Asked::Floor && page.terms.floor.is_some_and(|floor| page.available() < floor.into()) {
            return Err(Refusal::Floor { account });
        }
        page.rows += 1;
        Ok(page.side())
    }

    /// The payee's balance grows: its next row. Time's own postings ask for no rule.
    pub(super) fn receive(&mut self, account: Uuid, minor: i128, by_time: bool) -> Result<Side, Refusal> {
        if !by_time {
            self.lets_in(account)?;
        }
        let page = self.page(account);
        page.balance += minor;
        if !fits(page.balance) {
            return Err(Refusal::Overflow { account });
        }
        if !by_time && page.terms.ceiling.is_some_and(|ceiling| page.balance > ceiling.into()) {
            return Err(Refusal::Ceiling { account });
        }
        page.rows += 1;
        Ok(page.side())
    }
}

fn lets(page: &Page, frozen: bool) -> Result<(), Refusal> {
    let account = page.terms.public_id;
    if page.closed {
        return Err(Refusal::Closed { account });
    }
    if frozen { Err(Refusal::Frozen { account }) } else { Ok(()) }
}
