//! What callers ask of the journal.
//!
//! A request names accounts by their public ids and carries everything the commit will write for it: its idempotency
//! key, at most one claim, its companions. What can be judged without balances is judged here, before the queue, and
//! never spends the key.

mod check;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use check::{Invalid, Limits};

use crate::{Amount, LegRef, LotTerms, NewAccount};

/// A journal: one tenant's books. Leads every key of every hot table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JournalId(pub i64);

/// Whose idempotency keys these are: one client of the API, or one of the house's own (negative) scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope(pub i64);

/// An idempotency key with the fingerprint of the request that first used it (JOURNAL 5, 32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose key.
    pub scope: Scope,
    /// The client's UUID, else sixteen bytes of an HMAC over what the client sent.
    pub key: Uuid,
    /// What the key was used for: sixteen bytes of an HMAC over the canonical request.
    pub fingerprint: Uuid,
}

/// Something that can happen once, ever: a merchant's order paid, a challenge used. A hash over kind and reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim(pub Uuid);

/// Moves an amount of one asset from `debit` to `credit`, both by public id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Value leaves this account.
    pub debit: Uuid,
    /// Value reaches this account.
    pub credit: Uuid,
    /// How much; positive, but for a void, which says zero: it gives back all there is.
    pub amount: Amount,
    /// In what manner.
    pub how: How,
    /// The dates of what is earned, when `credit` keeps lots; else what arrives keeps the dates it had, or has none.
    pub lot: Option<LotTerms>,
    /// The rate its amount was made by.
    pub rate: Option<Rate>,
}

/// In what manner a transfer moves value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// At once, all of it, within the rules of both accounts.
    Move,
    /// As much as both accounts allow, up to the amount. Left out when that is nothing.
    UpTo,
    /// At once, whatever the debit account has: what it lacks, it owes.
    Owing,
    /// Not yet: set aside on the debit account until captured, voided or expired.
    Hold {
        /// From when on it is given back by itself, microseconds since 1970; none is never.
        expires_us: Option<i64>,
    },
    /// So much of what was set aside. The accounts are the hold's own.
    Capture {
        /// The row that opened it.
        hold: LegRef,
    },
    /// Gives back all that is still set aside. The accounts are the hold's own.
    Void {
        /// The row that opened it.
        hold: LegRef,
    },
    /// Back where it came from, never more than came: the accounts are the original's, the other way round.
    Refund {
        /// The row that moved it.
        of: LegRef,
        /// What the debit account lacks, it owes; else the refund is refused.
        owing: bool,
    },
}

/// An exchange: this transfer's amount is `numerator / denominator` of another's, rounded down. What rounding leaves stays
/// on the liquidity accounts, so that no asset is made by it (I15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Of which mandatory transfer of the same transaction, from zero.
    pub of: i32,
    /// Positive.
    pub numerator: i64,
    /// Positive.
    pub denominator: i64,
}

impl Transfer {
    /// The plain transfer: at once, all of it.
    #[must_use]
    pub const fn moving(debit: Uuid, credit: Uuid, amount: Amount) -> Self {
        Self::by(How::Move, debit, credit, amount)
    }

    /// A transfer in this manner, of no dates and no rate.
    #[must_use]
    pub const fn by(how: How, debit: Uuid, credit: Uuid, amount: Amount) -> Self {
        Self { debit, credit, amount, how, lot: None, rate: None }
    }

    /// The earlier row it builds on.
    #[must_use]
    pub const fn refers_to(&self) -> Option<LegRef> {
        match self.how {
            How::Move | How::UpTo | How::Owing | How::Hold { .. } => None,
            How::Capture { hold } | How::Void { hold } => Some(hold),
            How::Refund { of, .. } => Some(of),
        }
    }
}

/// Transfers that are dropped together, with the reason on record, when an account's state refuses one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// All or none of these.
    pub transfers: Vec<Transfer>,
    /// Posted in their place, all or none, should they be refused.
    pub fallback: Vec<Transfer>,
}

impl Group {
    /// A group that is dropped without replacement.
    #[must_use]
    pub const fn of(transfers: Vec<Transfer>) -> Self {
        Self { transfers, fallback: Vec::new() }
    }

    /// Every transfer it may post.
    pub fn every(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.iter().chain(&self.fallback)
    }
}

/// Bytes a caller wants written in the same commit, read back by its own key (JOURNAL 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Whose table it would be: numbers are given out by the caller's crate.
    pub kind: i32,
    /// Unique per kind and journal.
    pub key: Uuid,
    /// Opaque here. No personal data: these rows stay for ever.
    pub body: Vec<u8>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Posts transfers, all or none; then each optional group, all or none.
    Transact {
        /// The transaction's public id.
        id: Uuid,
        /// Accounts to open first if they do not exist; nothing is opened when the transaction is refused.
        open: Vec<NewAccount>,
        /// Posted in this order.
        transfers: Vec<Transfer>,
        /// Posted after, in this order.
        groups: Vec<Group>,
        /// Something this transaction uses up.
        claim: Option<Claim>,
    },
    /// Opens an account.
    Open(NewAccount),
    /// Freezes or thaws the sides of an account.
    Freeze {
        /// Which account.
        account: Uuid,
        /// No debit passes from here on.
        debits: bool,
        /// No credit passes from here on.
        credits: bool,
    },
    /// Changes the rules of an account.
    Change {
        /// Which account.
        account: Uuid,
        /// How.
        change: Change,
    },
    /// Writes down what is due on an account, and answers with that record.
    Sweep {
        /// Which account.
        account: Uuid,
    },
    /// Moves a sandbox journal's clock forward.
    MoveClock {
        /// By how many microseconds; positive.
        by_us: i64,
    },
    /// Uses the request's key up for nothing, unless it was used before: from then on it is certain what the key did,
    /// whatever is still under way under it. The answer is the record that the key leads to, whoever asked for it.
    Abandon,
}

impl Command {
    /// Every transfer it may post; none unless it is a transaction.
    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        let (transfers, groups): (&[Transfer], &[Group]) = match self {
            Self::Transact { transfers, groups, .. } => (transfers, groups),
            Self::Open(_)
            | Self::Freeze { .. }
            | Self::Change { .. }
            | Self::Sweep { .. }
            | Self::MoveClock { .. }
            | Self::Abandon => (&[], &[]),
        };
        transfers.iter().chain(groups.iter().flat_map(Group::every))
    }
}

/// A change of an account's rules, in force from its record on (JOURNAL 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Both limits anew; none is no limit. A new floor above what is available is refused. A ceiling may come down below the
    /// balance, as the law does: what is there stays and may leave, and nothing comes in until there is room.
    Limits {
        /// Available never goes below this.
        floor: Option<i64>,
        /// Balance never goes above this.
        ceiling: Option<i64>,
    },
    /// What a quota's periods begin with. What is left of the present one changes by the difference.
    Allowance {
        /// Zero or more.
        minor: i64,
    },
    /// Closes an account with nothing on it, or opens it again.
    Closed {
        /// Nothing passes from here on.
        closed: bool,
    },
}

/// One request to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose books.
    pub journal: JournalId,
    /// Its idempotency.
    pub key: Key,
    /// What to do.
    pub command: Command,
    /// When it counts, in microseconds since 1970; none is now.
    pub effective_us: Option<i64>,
    /// Canonical metadata: codes, opaque references and commitments, never personal data.
    pub meta: Vec<u8>,
    /// Written in the same commit.
    pub companions: Vec<Companion>,
}
