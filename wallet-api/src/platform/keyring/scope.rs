//! What a key may do, in words that never change.

use std::fmt;

/// What a key may do. The words are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Make payments, top-ups and refunds.
    PaymentsWrite,
    /// See payments, balances and statements.
    PaymentsRead,
    /// Add and change customers.
    CustomersWrite,
    /// See customers and their cards.
    CustomersRead,
    /// Add and change merchants.
    MerchantsWrite,
    /// Set up programmes, campaigns and rules.
    LoyaltyWrite,
    /// See them, and ask what a payment would earn.
    LoyaltyRead,
    /// Set up hook endpoints.
    HooksWrite,
    /// See them and their attempts.
    HooksRead,
    /// Open accounts and post transactions in the books, as the books take them.
    LedgerWrite,
    /// See every account and every record of the books.
    LedgerRead,
    /// Propose corrections of the books, for another to approve, and close their days.
    LedgerAdjust,
    /// Approve or reject what another client proposed for the books.
    LedgerApprove,
    /// See and decide what others asked for that takes four eyes, beside what the act itself takes.
    Approvals,
    /// Move a sandbox's clock.
    SandboxWrite,
    /// Everything that machines may.
    Admin,
    /// Of a person: what is their own and moves no money.
    Me,
    /// Of a person: their money, while they are there.
    MeMoney,
    /// Of an operator: what is their own.
    Staff,
    /// Of an operator: look at one customer in an emergency, for an hour, with a reason that the customer sees.
    BreakGlass,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 20] = [
        Self::PaymentsWrite,
        Self::PaymentsRead,
        Self::CustomersWrite,
        Self::CustomersRead,
        Self::MerchantsWrite,
        Self::LoyaltyWrite,
        Self::LoyaltyRead,
        Self::HooksWrite,
        Self::HooksRead,
        Self::LedgerWrite,
        Self::LedgerRead,
        Self::LedgerAdjust,
        Self::LedgerApprove,
        Self::Approvals,
        Self::SandboxWrite,
        Self::Admin,
        Self::Me,
        Self::MeMoney,
        Self::Staff,
        Self::BreakGlass,
    ];

    /// Nobody's key has it: only the session of a person or an operator does.
    #[must_use]
    pub const fn is_of_people(self) -> bool {
        matches!(self, Self::Me | Self::MeMoney | Self::Staff | Self::BreakGlass)
    }

    /// Whether a key with this one may do what takes the other.
    #[must_use]
    pub fn stands_for(self, other: Self) -> bool {
        self == other
            || (self == Self::Admin && !other.is_of_people())
            || (self == Self::LedgerWrite && other == Self::LedgerAdjust)
    }

    /// Its word in the API, in commands and in the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PaymentsWrite => "payments:write",
            Self::PaymentsRead => "payments:read",
            Self::CustomersWrite => "customers:write",
            Self::CustomersRead => "customers:read",
            Self::MerchantsWrite => "merchants:write",
            Self::LoyaltyWrite => "loyalty:write",
            Self::LoyaltyRead => "loyalty:read",
            Self::HooksWrite => "hooks:write",
            Self::HooksRead => "hooks:read",
            Self::LedgerWrite => "ledger:write",
            Self::LedgerRead => "ledger:read",
            Self::LedgerAdjust => "ledger:adjust",
            Self::LedgerApprove => "ledger:approve",
            Self::Approvals => "approvals",
            Self::SandboxWrite => "sandbox:write",
            Self::Admin => "admin",
            Self::Me => "me",
            Self::MeMoney => "me:money",
            Self::Staff => "staff",
            Self::BreakGlass => "break-glass",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("no scope is called {0:?}")]
pub struct UnknownScope(String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.word() == word).ok_or_else(|| UnknownScope(word.to_owned()))
    }
}
