//! Accounts: where value is, and the rules that bound it.
//!
//! The rules live on the account, not in the caller, and change only by journal records (JOURNAL 22), so that what was
//! in force at any seq can be proved. Balance is credits less debits; available is balance less what is held.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lot::NEVER;
use crate::{AssetId, Calendar, Period, Refusal};

/// An account inside one journal: the seq of the record that opened it. Outside it goes by its public UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId(pub i64);

/// On which side of the books an account normally stands. Serves reports only, never a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormalSide {
    /// What the house owns or spends: settlement, cost.
    Debit,
    /// What the house owes: a customer's balance, a merchant's, points issued.
    Credit,
}

impl NormalSide {
    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Debit => 0,
            Self::Credit => 1,
        }
    }

    pub(crate) const fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Debit),
            1 => Some(Self::Credit),
            _ => None,
        }
    }
}

/// What an account keeps beside its balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Nature {
    /// Nothing.
    #[default]
    Plain,
    /// Lots: what is earned has dates, and is spent earliest-expiring first.
    Lots {
        /// Where what expires goes: an account of the same asset.
        breakage: Uuid,
        /// A refund of what expired meanwhile can be spent for so many more microseconds.
        grace_us: i64,
    },
    /// What is left of an allowance.
    Quota {
        /// The other side of every use and of every new period.
        pool: Uuid,
        /// What each period begins with.
        allowance: i64,
        /// How long it lasts.
        period: Period,
        /// Where midnight is.
        calendar: Calendar,
    },
}

impl Nature {
    /// The account that time's own postings go to or come from.
    #[must_use]
    pub const fn counterpart(&self) -> Option<Uuid> {
        match self {
            Self::Plain => None,
            Self::Lots { breakage, .. } => Some(*breakage),
            Self::Quota { pool, .. } => Some(*pool),
        }
    }

    /// True of an account whose balance is lots.
    #[must_use]
    pub const fn keeps_lots(&self) -> bool {
        matches!(self, Self::Lots { .. })
    }
}

/// An account to open, by name of its public id. A transaction that names one which exists with these terms opens none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// The id the world knows.
    pub public_id: Uuid,
    /// What it holds.
    pub asset: AssetId,
    /// For reports.
    pub normal_side: NormalSide,
    /// Whose it is: an opaque reference, never personal data.
    pub owner: Option<Uuid>,
    /// Available never goes below this; none is no limit.
    pub floor: Option<i64>,
    /// Balance never goes above this; none is no limit.
    pub ceiling: Option<i64>,
    /// What it keeps beside its balance.
    pub nature: Nature,
}

/// An account as the journal's memory holds it: terms, rules and exact balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The journal's number for it.
    pub id: AccountId,
    /// The id the world knows.
    pub public_id: Uuid,
    /// What it holds.
    pub asset: AssetId,
    /// For reports.
    pub normal_side: NormalSide,
    /// Whose it is.
    pub owner: Option<Uuid>,
    /// Available never goes below this.
    pub floor: Option<i64>,
    /// Balance never goes above this.
    pub ceiling: Option<i64>,
    /// No debit passes.
    pub debits_frozen: bool,
    /// No credit passes.
    pub credits_frozen: bool,
    /// Nothing passes.
    pub closed: bool,
    /// What it keeps beside its balance.
    pub nature: Nature,
    /// The end of the period its allowance is for; zero before the first.
    pub period_us: i64,
    /// Nothing is due on it before: a hold or lot that expires, a period that ends.
    pub next_due_us: i64,
    /// Credits less debits, in minor units.
    pub balance: i64,
    /// The part of the balance set aside by holds.
    pub held: i64,
    /// How many rows this account has: each posting is the next version, without a gap.
    pub version: i64,
}

impl Account {
    /// An account as it is right after its opening.
    #[must_use]
    pub fn opened(new: &NewAccount, id: AccountId) -> Self {
        Self {
            id,
            public_id: new.public_id,
            asset: new.asset,
            normal_side: new.normal_side,
            owner: new.owner,
            floor: new.floor,
            ceiling: new.ceiling,
            debits_frozen: false,
            credits_frozen: false,
            closed: false,
            nature: new.nature,
            period_us: 0,
            next_due_us: if matches!(new.nature, Nature::Quota { .. }) { 0 } else { NEVER },
            balance: 0,
            held: 0,
            version: 0,
        }
    }

    /// True when `new` names the same terms: opening again is then no change. Rules that moved since do not count.
    pub(crate) fn has_terms_of(&self, new: &NewAccount) -> bool {
        let nature = std::mem::discriminant(&self.nature) == std::mem::discriminant(&new.nature)
            && self.nature.counterpart() == new.nature.counterpart();
        nature && self.asset == new.asset && self.owner == new.owner && self.normal_side == new.normal_side
    }

    /// What the account may still spend: balance less what is held. Below zero it is debt.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn available(&self) -> Result<i64, Refusal> {
        self.balance.checked_sub(self.held).ok_or(self.overflow())
    }

    /// What the account owes out of what it earns next.
    pub(crate) fn debt(&self) -> i64 {
        self.held.saturating_sub(self.balance).max(0)
    }

    /// Takes `minor` out, or says which rule forbids it.
    pub(crate) fn debit(self, minor: i64) -> Result<Self, Refusal> {
        self.debit_owing(minor)?.above_floor()
    }

    /// Takes `minor` out, below the floor if need be.
    pub(crate) fn debit_owing(self, minor: i64) -> Result<Self, Refusal> {
        self.lets_out()?;
        self.brought(minor.checked_neg().ok_or(self.overflow())?)
    }

    /// Puts `minor` in, or says which rule forbids it.
    pub(crate) fn credit(self, minor: i64) -> Result<Self, Refusal> {
        self.lets_in()?;
        let after = self.moved(minor)?;
        if self.ceiling.is_some_and(|ceiling| after.balance > ceiling) {
            return Err(Refusal::Ceiling { account: self.public_id });
        }
        Ok(after)
    }

    /// Sets `minor` aside, or says which rule forbids it.
    pub(crate) fn hold(self, minor: i64) -> Result<Self, Refusal> {
        self.lets_out()?;
        self.holding(minor)?.above_floor()
    }

    /// Takes out `minor` of what was set aside. The floor was judged when it was.
    pub(crate) fn capture(self, minor: i64) -> Result<Self, Refusal> {
        self.lets_out()?;
        let held = self.held.checked_sub(minor).ok_or(self.overflow())?;
        Self { held, ..self }.brought(minor.checked_neg().ok_or(self.overflow())?)
    }

    /// Gives back `minor` of what was set aside. Nothing forbids that.
    pub(crate) fn release(self, minor: i64) -> Result<Self, Refusal> {
        self.holding(minor.checked_neg().ok_or(self.overflow())?)
    }

    /// The balance changed by what time itself brings about: no rule is asked.
    pub(crate) fn brought(self, change: i64) -> Result<Self, Refusal> {
        let after = self.moved(change)?;
        after.available()?;
        Ok(after)
    }

    fn moved(self, change: i64) -> Result<Self, Refusal> {
        let balance = self.balance.checked_add(change).ok_or(self.overflow())?;
        Ok(Self { balance, ..self.touched()? })
    }

    /// The next row of the account, which changes nothing.
    pub(crate) fn touched(self) -> Result<Self, Refusal> {
        Ok(Self { version: self.version.checked_add(1).ok_or(self.overflow())?, ..self })
    }

    /// Whether value may come in at all.
    pub(crate) fn lets_in(&self) -> Result<(), Refusal> {
        self.lets(self.credits_frozen)
    }

    /// Whether value may leave at all.
    pub(crate) fn lets_out(&self) -> Result<(), Refusal> {
        self.lets(self.debits_frozen)
    }

    fn lets(&self, frozen: bool) -> Result<(), Refusal> {
        match (self.closed, frozen) {
            (true, _) => Err(Refusal::Closed { account: self.public_id }),
            (false, true) => Err(Refusal::Frozen { account: self.public_id }),
            (false, false) => Ok(()),
        }
    }

    /// Something falls due then, if nothing does before.
    pub(crate) fn due_at(self, due_us: i64) -> Self {
        Self { next_due_us: self.next_due_us.min(due_us), ..self }
    }

    fn holding(self, change: i64) -> Result<Self, Refusal> {
        let held = self.held.checked_add(change).ok_or(self.overflow())?;
        let after = Self { held, ..self.touched()? };
        after.available()?;
        Ok(after)
    }

    fn above_floor(self) -> Result<Self, Refusal> {
        let available = self.available()?;
        if self.floor.is_some_and(|floor| available < floor) {
            return Err(Refusal::Floor { account: self.public_id });
        }
        Ok(self)
    }

    const fn overflow(&self) -> Refusal {
        Refusal::Overflow { account: self.public_id }
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn any_limit() -> impl Strategy<Value = i64> {
        prop_oneof![-20..20_i64, any::<i64>()]
    }

    fn any_account() -> impl Strategy<Value = Account> {
        let frozen = (any::<bool>(), any::<bool>());
        (option::of(any_limit()), option::of(any_limit()), frozen, any_limit(), prop_oneof![Just(0), 0..i64::MAX])
            .prop_map(|(floor, ceiling, (debits_frozen, credits_frozen), balance, held)| {
                let new = NewAccount {
                    public_id: Uuid::from_u128(1),
                    asset: AssetId(1),
                    normal_side: NormalSide::Credit,
                    owner: None,
                    floor,
                    ceiling,
                    nature: Nature::Plain,
                };
                Account { debits_frozen, credits_frozen, balance, held, ..Account::opened(&new, AccountId(1)) }
            })
    }

    proptest! {
        /// A debit that passes takes exactly the amount, counts one row, and leaves the floor and every rule as it was.
        #[test]
        fn a_debit_is_exact_and_within_the_floor(account in any_account(), minor in 1..i64::MAX) {
            let (balance, held) = (i128::from(account.balance) - i128::from(minor), i128::from(account.held));
            let fits = i64::try_from(balance).is_ok() && i64::try_from(balance - held).is_ok();
            let allowed = account.floor.is_none_or(|floor| balance - held >= i128::from(floor));
            match account.debit(minor) {
                Ok(after) => {
                    prop_assert!(fits && allowed && !account.debits_frozen);
                    prop_assert_eq!(i128::from(after.balance), balance);
                    prop_assert_eq!(after.version, account.version + 1);
                    prop_assert_eq!(Account { balance: account.balance, version: account.version, ..after }, account);
                }
                Err(_) => prop_assert!(!fits || !allowed || account.debits_frozen),
            }
        }

        /// A credit that passes adds exactly the amount, counts one row, and leaves the ceiling and every rule as it was.
        #[test]
        fn a_credit_is_exact_and_within_the_ceiling(account in any_account(), minor in 1..i64::MAX) {
            let balance = i128::from(account.balance) + i128::from(minor);
            let fits = i64::try_from(balance).is_ok();
            let allowed = account.ceiling.is_none_or(|ceiling| balance <= i128::from(ceiling));
            match account.credit(minor) {
                Ok(after) => {
                    prop_assert!(fits && allowed && !account.credits_frozen);
                    prop_assert_eq!(i128::from(after.balance), balance);
                    prop_assert_eq!(after.version, account.version + 1);
                    prop_assert_eq!(Account { balance: account.balance, version: account.version, ..after }, account);
                }
                Err(_) => prop_assert!(!fits || !allowed || account.credits_frozen),
            }
        }
    }

    #[test]
    fn a_normal_side_is_its_number_and_back() {
        let known = (-1..4).filter_map(|code| Some((code, NormalSide::from_code(code)?.code())));
        assert!(known.eq([(0, 0), (1, 1)]));
    }
}
