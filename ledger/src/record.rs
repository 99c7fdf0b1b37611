//! What the journal writes: one record per seq.
//!
//! A record is a transaction, an account event, a refusal or a clock move. A transfer row holds both accounts with
//! each side's balance, held and version *after* it, so that every account is its own dense history. [`Body`] has a
//! compact byte form (all but the transfers, which are rows); `canonical` builds the form that is hashed from it.

use uuid::Uuid;

use crate::canonical::{Reader, Writer};
use crate::{AccountId, Amount, Asset, AssetId, Claim, NewAccount, NormalSide};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The sorts of rows. Only moves are written so far; the others have their columns.
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

impl RowKind {
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
            | Self::Overflow { account } => Some(*account),
            Self::ClaimSpent { .. } => None,
        }
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Floor { account } => out.u8(1).uuid(*account),
            Self::Ceiling { account } => out.u8(2).uuid(*account),
            Self::Frozen { account } => out.u8(3).uuid(*account),
            Self::Overflow { account } => out.u8(4).uuid(*account),
            Self::ClaimSpent { seq } => out.u8(5).i64(*seq),
        };
    }

    fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        Some(match bytes.u8()? {
            1 => Self::Floor { account: bytes.uuid()? },
            2 => Self::Ceiling { account: bytes.uuid()? },
            3 => Self::Frozen { account: bytes.uuid()? },
            4 => Self::Overflow { account: bytes.uuid()? },
            5 => Self::ClaimSpent { seq: bytes.i64()? },
            _ => return None,
        })
    }
}

impl Body {
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
        }
    }

    /// The byte form of all but the transfers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Transaction { dropped, claim, companions, .. } => {
                out.option(claim.as_ref(), |out, claim| _ = out.uuid(claim.0));
                out.option(companions.as_ref(), |out, digest| _ = out.raw(digest));
                out.list(dropped, |out, drop| drop.refusal.write(out.i32(drop.group)));
            }
            Self::Opened { account, asset, by } => {
                out.uuid(account.public_id).bytes(asset.code.as_bytes()).i32(i32::from(asset.scale));
                out.i32(asset.id.0).i32(account.normal_side.code()).i64(*by);
                out.option(account.owner.as_ref(), |out, owner| _ = out.uuid(*owner));
                out.option(account.floor.as_ref(), |out, floor| _ = out.i64(*floor));
                out.option(account.ceiling.as_ref(), |out, ceiling| _ = out.i64(*ceiling));
            }
            Self::Frozen { account, debits, credits } => {
                out.uuid(*account).u8(u8::from(*debits)).u8(u8::from(*credits));
            }
            Self::Refused { refusal } => refusal.write(&mut out),
            Self::ClockMoved { offset_us } => _ = out.i64(*offset_us),
            Self::Abandoned => {}
        }
        out.into_bytes()
    }

    /// The body of a stored record, its transfers given; none when the bytes are not ones we wrote.
    #[must_use]
    pub fn from_bytes(kind: i32, bytes: &[u8], transfers: Vec<Posted>) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        let body = match kind {
            1 => Self::Transaction {
                transfers,
                claim: bytes.option(Reader::uuid)?.map(Claim),
                companions: bytes.option(Reader::digest)?,
                dropped: bytes.list(|bytes| Some(Dropped { group: bytes.i32()?, refusal: Refusal::read(bytes)? }))?,
            },
            2 => read_opened(&mut bytes)?,
            3 => Self::Frozen { account: bytes.uuid()?, debits: bytes.flag()?, credits: bytes.flag()? },
            4 => Self::Refused { refusal: Refusal::read(&mut bytes)? },
            5 => Self::ClockMoved { offset_us: bytes.i64()? },
            6 => Self::Abandoned,
            _ => return None,
        };
        bytes.is_empty().then_some(body)
    }
}

fn read_opened(bytes: &mut Reader<'_>) -> Option<Body> {
    let public_id = bytes.uuid()?;
    let code = String::from_utf8(bytes.bytes()?.to_vec()).ok()?;
    let scale = i16::try_from(bytes.i32()?).ok()?;
    let id = AssetId(bytes.i32()?);
    let normal_side = NormalSide::from_code(bytes.i32()?)?;
    let by = bytes.i64()?;
    let owner = bytes.option(Reader::uuid)?;
    let floor = bytes.option(Reader::i64)?;
    let ceiling = bytes.option(Reader::i64)?;
    let account = NewAccount { public_id, asset: id, normal_side, owner, floor, ceiling };
    Some(Body::Opened { account, asset: Asset { id, code, scale }, by })
}

#[cfg(test)]
pub(crate) mod tests;
