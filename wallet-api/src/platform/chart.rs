//! The chart of accounts: which accounts a wallet has, how they are named in the journal, which rules bound them.
//!
//! An account's public id is a function of tenant, purpose and owner, so no table maps one to the other, and an account
//! is opened by the first transaction that needs it. What an account may do is decided here and enforced by the journal.

use ledger::{Amount, AssetId, Nature, NewAccount, NormalSide, Transfer};
use uuid::Uuid;

use super::ids::derived;

/// An account by its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A customer's money to spend.
    Available(Uuid),
    /// A customer's cashback, accrued and not yet theirs to spend.
    Cashback(Uuid),
    /// A customer's points in a programme.
    Points {
        /// Whose.
        customer: Uuid,
        /// Of which programme.
        programme: Uuid,
    },
    /// What a merchant is owed.
    Payable(Uuid),
    /// The money a campaign may still give.
    Budget(Uuid),
    /// The points a campaign may still give.
    PointsBudget(Uuid),
    /// Money on its way between us and a payment rail.
    Settlement(Rail),
    /// What campaigns cost.
    MarketingCost,
    /// Points a programme has brought into the world.
    PointsIssued(Uuid),
    /// What a person may still pay, counted and no money: the journal holds payments to it.
    Counted(Counted, Uuid),
    /// The other side of everything that is counted.
    CountedPool,
    /// How often what is counted was set: one unit each time.
    CountedTurns,
}

/// In what a person's payments are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Each by itself.
    Payment,
    /// Those of a day.
    Day,
    /// Those of a calendar month.
    Month,
}

/// A transfer between two accounts, and both of them to open, should they not exist.
#[must_use]
pub fn moving(tenant: i64, from: Purpose, to: Purpose, amount: Amount) -> ([NewAccount; 2], Transfer) {
    let (from, to) = (from.opening(tenant, amount.asset), to.opening(tenant, amount.asset));
    let transfer = Transfer::moving(from.public_id, to.public_id, amount);
    ([from, to], transfer)
}

/// How money from outside arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rail {
    /// A card of another issuer.
    Card,
    /// A credit transfer.
    BankTransfer,
    /// Cash at a till.
    Cash,
}

impl Purpose {
    /// The account's public id in the tenant's journal.
    #[must_use]
    pub fn account(self, tenant: i64) -> Uuid {
        let nil = Uuid::nil();
        let (word, owner, other) = match self {
            Self::Available(customer) => ("available", customer, nil),
            Self::Cashback(customer) => ("cashback", customer, nil),
            Self::Points { customer, programme } => ("points", customer, programme),
            Self::Payable(merchant) => ("payable", merchant, nil),
            Self::Budget(campaign) => ("budget", campaign, nil),
            Self::PointsBudget(campaign) => ("points_budget", campaign, nil),
            Self::Settlement(Rail::Card) => ("settlement:card", nil, nil),
            Self::Settlement(Rail::BankTransfer) => ("settlement:bank_transfer", nil, nil),
            Self::Settlement(Rail::Cash) => ("settlement:cash", nil, nil),
            Self::MarketingCost => ("marketing_cost", nil, nil),
            Self::PointsIssued(programme) => ("points_issued", programme, nil),
            Self::Counted(Counted::Payment, person) => ("counted:payment", person, nil),
            Self::Counted(Counted::Day, person) => ("counted:day", person, nil),
            Self::Counted(Counted::Month, person) => ("counted:month", person, nil),
            Self::CountedPool => ("counted:pool", nil, nil),
            Self::CountedTurns => ("counted:turns", nil, nil),
        };
        derived("account", &[&tenant.to_be_bytes(), word.as_bytes(), owner.as_bytes(), other.as_bytes()])
    }

    /// The account to open, should it not exist.
    #[must_use]
    pub fn opening(self, tenant: i64, asset: AssetId) -> NewAccount {
        let (owner, normal_side, floor) = match self {
            Self::Available(owner)
            | Self::Cashback(owner)
            | Self::Points { customer: owner, .. }
            | Self::Counted(_, owner) => (Some(owner), NormalSide::Credit, Some(0)),
            Self::Payable(owner) | Self::Budget(owner) | Self::PointsBudget(owner) => {
                (Some(owner), NormalSide::Credit, Some(0))
            }
            // The other side of the world: these go below zero by nature.
            Self::Settlement(_)
            | Self::MarketingCost
            | Self::PointsIssued(_)
            | Self::CountedPool
            | Self::CountedTurns => (None, NormalSide::Debit, None),
        };
        let (public_id, nature) = (self.account(tenant), Nature::Plain);
        NewAccount { public_id, asset, normal_side, owner, floor, ceiling: None, nature }
    }
}
