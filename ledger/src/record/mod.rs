//! What the journal writes: one record per seq.
//!
//! A record is a transaction, what time itself brought about, an account event, a refusal or a clock move. A transfer row holds both accounts with
//! each side's balance, held and version *after* it, so that every account is its own dense history. [`Body`] has a
//! compact byte form (all but the transfers, which are rows); `canonical` builds the form that is hashed from it.

mod bytes;

use uuid::Uuid;

pub(crate) use bytes::{read_change, read_nature, write_change, write_nature};

use crate::lot::Piece;
use crate::{AccountId, Amount, Asset, Change, Claim, LegRef, NewAccount, Rate};

/// One seq of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Gap-free per journal and fork, in commit order.
    pub seq: i64,
    /// The transaction's or the account's public id.
    pub id: Uuid,
    /// When it was decided, microseconds since 1970; one value per batch, never going back.
    pub recorded_us: i64,
    /// When it counts.
    pub effective_us: i64,
    /// What happened.
    pub body: Body,
    /// The request's canonical metadata.
    pub meta: Vec<u8>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Transfers posted, all or none.
    Transaction {
        /// In leg order.
        transfers: Vec<Posted>,
        /// Optional groups that an account's state refused.
        dropped: Vec<Dropped>,
        /// What it used up.
        claim: Option<Claim>,
        /// SHA-256 over the companions written with it.
        companions: Option<[u8; 32]>,
    },
    /// An account opened.
    Opened {
        /// Its terms.
        account: NewAccount,
        /// What it holds, spelled out, so that the record stands alone.
        asset: Asset,
        /// The transaction that opened it on first use; zero when it was asked for by itself.
        by: i64,
    },
    /// An account's sides frozen or thawed.
    Frozen {
        /// Which.
        account: Uuid,
        /// No debit passes from here on.
        debits: bool,
        /// No credit passes from here on.
        credits: bool,
    },
    /// An account's rules changed.
    Changed {
        /// Which.
        account: Uuid,
        /// How.
        change: Change,
    },
    /// What time brought about on an account that a request then touched: holds and lots that had expired, a new period.
    /// No key leads to it. No rule forbids it.
    Due {
        /// Which.
        account: Uuid,
        /// Where a quota's period ends from here on; zero for an account without one.
        period_us: i64,
        /// In leg order.
        transfers: Vec<Posted>,
    },
    /// A request that the state of an account refused. It changed nothing else.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// A sandbox clock moved forward.
    ClockMoved {
        /// The whole offset from here on, in microseconds.
        offset_us: i64,
    },
    /// A key used up for nothing: what was asked under it had not been done and never will be.
    Abandoned,
}

/// A transfer as it was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its place in the request, optional groups counted on; a dropped group leaves a gap.
    pub leg: i32,
    /// What sort of row.
    pub kind: RowKind,
    /// How much.
    pub amount: Amount,
    /// The account value left, after it did.
    pub debit: Side,
    /// The account value reached, after it did.
    pub credit: Side,
    /// What a plain move has not.
    pub more: Option<Box<More>>,
}

impl Posted {
    /// The earlier row it captures, gives back or moves back.
    #[must_use]
    pub fn of(&self) -> Option<LegRef> {
        self.more.as_ref()?.of
    }

    /// Lots that left the debit account, or were set aside or given back on it.
    #[must_use]
    pub fn debit_lots(&self) -> &[Piece] {
        self.more.as_ref().map_or(&[], |more| &more.debit_lots)
    }

    /// Lots that reached the credit account.
    #[must_use]
    pub fn credit_lots(&self) -> &[Piece] {
        self.more.as_ref().map_or(&[], |more| &more.credit_lots)
    }
}

/// What only some rows have. Part of the record's bytes, not of the row's columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct More {
    /// The earlier row this one captures, gives back or moves back.
    pub of: Option<LegRef>,
    /// When a hold ends by itself.
    pub expires_us: Option<i64>,
    /// Lots that left the debit account; of a hold, those set aside; of a void or expiry, those given back.
    pub debit_lots: Vec<Piece>,
    /// Lots that reached the credit account.
    pub credit_lots: Vec<Piece>,
    /// Lots given back that went into the account's debt at once.
    pub repaid: Vec<Piece>,
    /// The rate the amount was made by.
    pub rate: Option<Rate>,
    /// The debit account was allowed below its floor: what it lacks, it owes.
    pub owing: bool,
}

impl More {
    /// None when there is nothing more to say.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// One account of a transfer, as it stood right after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// The journal's number.
    pub account: AccountId,
    /// The id the world knows.
    pub public_id: Uuid,
    /// Balance after.
    pub balance: i64,
    /// Held after.
    pub held: i64,
    /// Version after.
    pub version: i64,
}

/// The sorts of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Value moved.
    Move,
    /// Value set aside.
    Hold,
    /// Part of a hold moved.
    Capture,
    /// A hold given back.
    Void,
    /// A hold given back by time.
    Expire,
}

/// What a row does to one of its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SideChange {
    pub(crate) balance: i64,
    pub(crate) held: i64,
}

impl RowKind {
    /// What a row of this kind and amount does to its debit account, and to its credit account.
    pub(crate) const fn changes(self, minor: i64) -> (SideChange, SideChange) {
        let (out, nothing) = (minor.saturating_neg(), SideChange { balance: 0, held: 0 });
        let arrives = SideChange { balance: minor, held: 0 };
        match self {
            Self::Move => (SideChange { balance: out, held: 0 }, arrives),
            Self::Hold => (SideChange { balance: 0, held: minor }, nothing),
            Self::Capture => (SideChange { balance: out, held: out }, arrives),
            Self::Void | Self::Expire => (SideChange { balance: 0, held: out }, nothing),
        }
    }

    /// Its number in rows and canonical bytes.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Move => 1,
            Self::Hold => 2,
            Self::Capture => 3,
            Self::Void => 4,
            Self::Expire => 5,
        }
    }

    /// The row kind of a number, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Move),
            2 => Some(Self::Hold),
            3 => Some(Self::Capture),
            4 => Some(Self::Void),
            5 => Some(Self::Expire),
            _ => None,
        }
    }
}

/// An optional group that was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Which group of the request, from zero.
    pub group: i32,
    /// Why.
    pub refusal: Refusal,
}

/// What an account's state forbids. Frozen with the request's key: asking again gives the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Available would go below the account's floor.
    Floor {
        /// Which account.
        account: Uuid,
    },
    /// The balance would go above the account's ceiling.
    Ceiling {
        /// Which account.
        account: Uuid,
    },
    /// That side of the account is frozen.
    Frozen {
        /// Which account.
        account: Uuid,
    },
    /// The balance would not fit 64 bits.
    Overflow {
        /// Which account.
        account: Uuid,
    },
    /// The account is closed.
    Closed {
        /// Which account.
        account: Uuid,
    },
    /// The account to close has a balance, or something held.
    NotEmpty {
        /// Which account.
        account: Uuid,
    },
    /// Nothing is left of the hold: it was captured, voided, or has expired.
    HoldEnded {
        /// The row that opened it.
        hold: LegRef,
    },
    /// Less is left of the hold.
    HoldExceeded {
        /// The row that opened it.
        hold: LegRef,
    },
    /// Less is left to move back.
    RefundExceeded {
        /// The row that moved it.
        of: LegRef,
    },
    /// The claim was used up before, by the record of this seq.
    ClaimSpent {
        /// Where.
        seq: i64,
    },
}

impl Refusal {
    /// The account it is about, if it is about one.
    #[must_use]
    pub const fn account(&self) -> Option<Uuid> {
        match self {
            Self::Floor { account }
            | Self::Ceiling { account }
            | Self::Frozen { account }
            | Self::Overflow { account }
            | Self::Closed { account }
            | Self::NotEmpty { account } => Some(*account),
            Self::ClaimSpent { .. }
            | Self::HoldEnded { .. }
            | Self::HoldExceeded { .. }
            | Self::RefundExceeded { .. } => None,
        }
    }
}

impl Body {
    /// The rows it posted, in leg order.
    #[must_use]
    pub fn transfers(&self) -> &[Posted] {
        match self {
            Self::Transaction { transfers, .. } | Self::Due { transfers, .. } => transfers,
            Self::Opened { .. }
            | Self::Frozen { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::ClockMoved { .. }
            | Self::Abandoned => &[],
        }
    }

    /// The optional groups it left out.
    #[must_use]
    pub fn dropped(&self) -> &[Dropped] {
        if let Self::Transaction { dropped, .. } = self { dropped } else { &[] }
    }

    /// Its number in rows and canonical bytes.
    #[must_use]
    pub const fn kind(&self) -> i32 {
        match self {
            Self::Transaction { .. } => 1,
            Self::Opened { .. } => 2,
            Self::Frozen { .. } => 3,
            Self::Refused { .. } => 4,
            Self::ClockMoved { .. } => 5,
            Self::Abandoned => 6,
            Self::Due { .. } => 7,
            Self::Changed { .. } => 8,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
