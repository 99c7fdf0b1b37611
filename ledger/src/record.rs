//! What the journal writes: one record per seq.
//!
//! A record is a transaction, what time itself brought about, an account event, a refusal or a clock move. A transfer row holds both accounts with
//! each side's balance, held and version *after* it, so that every account is its own dense history. [`Body`] has a
//! compact byte form (all but the transfers, which are rows); `canonical` builds the form that is hashed from it.

use uuid::Uuid;

use crate::canonical::{Reader, Writer};
use crate::lot::{Piece, read_pieces, write_pieces};
use crate::{
    AccountId, Amount, Asset, AssetId, Calendar, Change, Claim, LegRef, Nature, NewAccount, NormalSide, Period, Rate,
};

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

    fn write(&self, out: &mut Writer) {
        out.option(self.of.as_ref(), |out, of| _ = out.i64(of.seq).i32(of.leg));
        out.option(self.expires_us.as_ref(), |out, us| _ = out.i64(*us));
        out.option(self.rate.as_ref(), |out, rate| _ = out.i32(rate.of).i64(rate.numerator).i64(rate.denominator));
        out.u8(u8::from(self.owing));
        write_pieces(out, &self.debit_lots);
        write_pieces(out, &self.credit_lots);
        write_pieces(out, &self.repaid);
    }

    fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let of = bytes.option(|bytes| Some(LegRef { seq: bytes.i64()?, leg: bytes.i32()? }))?;
        let expires_us = bytes.option(Reader::i64)?;
        let rate = bytes
            .option(|bytes| Some(Rate { of: bytes.i32()?, numerator: bytes.i64()?, denominator: bytes.i64()? }))?;
        let owing = bytes.flag()?;
        let (debit_lots, credit_lots) = (read_pieces(bytes)?, read_pieces(bytes)?);
        Some(Self { of, expires_us, debit_lots, credit_lots, repaid: read_pieces(bytes)?, rate, owing })
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

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Floor { account } => out.u8(1).uuid(*account),
            Self::Ceiling { account } => out.u8(2).uuid(*account),
            Self::Frozen { account } => out.u8(3).uuid(*account),
            Self::Overflow { account } => out.u8(4).uuid(*account),
            Self::ClaimSpent { seq } => out.u8(5).i64(*seq),
            Self::Closed { account } => out.u8(6).uuid(*account),
            Self::NotEmpty { account } => out.u8(7).uuid(*account),
            Self::HoldEnded { hold } => out.u8(8).i64(hold.seq).i32(hold.leg),
            Self::HoldExceeded { hold } => out.u8(9).i64(hold.seq).i32(hold.leg),
            Self::RefundExceeded { of } => out.u8(10).i64(of.seq).i32(of.leg),
        };
    }

    fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        Some(match bytes.u8()? {
            1 => Self::Floor { account: bytes.uuid()? },
            2 => Self::Ceiling { account: bytes.uuid()? },
            3 => Self::Frozen { account: bytes.uuid()? },
            4 => Self::Overflow { account: bytes.uuid()? },
            5 => Self::ClaimSpent { seq: bytes.i64()? },
            6 => Self::Closed { account: bytes.uuid()? },
            7 => Self::NotEmpty { account: bytes.uuid()? },
            8 => Self::HoldEnded { hold: read_leg_ref(bytes)? },
            9 => Self::HoldExceeded { hold: read_leg_ref(bytes)? },
            10 => Self::RefundExceeded { of: read_leg_ref(bytes)? },
            _ => return None,
        })
    }
}

fn read_leg_ref(bytes: &mut Reader<'_>) -> Option<LegRef> {
    Some(LegRef { seq: bytes.i64()?, leg: bytes.i32()? })
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

    /// The byte form of all but the transfers' rows. What later versions added stands at the end, and only where it says
    /// something, so that what could be said before is said in the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Transaction { transfers, dropped, claim, companions } => {
                out.option(claim.as_ref(), |out, claim| _ = out.uuid(claim.0));
                out.option(companions.as_ref(), |out, digest| _ = out.raw(digest));
                out.list(dropped, |out, drop| drop.refusal.write(out.i32(drop.group)));
                write_more(&mut out, transfers);
            }
            Self::Due { account, period_us, transfers } => {
                out.uuid(*account).i64(*period_us);
                write_more(&mut out, transfers);
            }
            Self::Opened { account, asset, by } => write_opened(&mut out, account, asset, *by),
            Self::Frozen { account, debits, credits } => {
                out.uuid(*account).u8(u8::from(*debits)).u8(u8::from(*credits));
            }
            Self::Changed { account, change } => write_change(out.uuid(*account), change),
            Self::Refused { refusal } => refusal.write(&mut out),
            Self::ClockMoved { offset_us } => _ = out.i64(*offset_us),
            Self::Abandoned => {}
        }
        out.into_bytes()
    }

    /// The body of a stored record, its transfers' rows given; none when the bytes are not ones we wrote.
    #[must_use]
    pub fn from_bytes(kind: i32, bytes: &[u8], transfers: Vec<Posted>) -> Option<Self> {
        Self::read(kind, bytes, Some(transfers))
    }

    /// The same for those who do not read the rows: a transaction without its transfers.
    pub(crate) fn without_rows(kind: i32, bytes: &[u8]) -> Option<Self> {
        Self::read(kind, bytes, None)
    }

    fn read(kind: i32, bytes: &[u8], mut rows: Option<Vec<Posted>>) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        let body = match kind {
            1 => {
                let claim = bytes.option(Reader::uuid)?.map(Claim);
                let companions = bytes.option(Reader::digest)?;
                let dropped =
                    bytes.list(|bytes| Some(Dropped { group: bytes.i32()?, refusal: Refusal::read(bytes)? }))?;
                read_more(&mut bytes, rows.as_deref_mut())?;
                Self::Transaction { transfers: rows.unwrap_or_default(), dropped, claim, companions }
            }
            2 => read_opened(&mut bytes)?,
            3 => Self::Frozen { account: bytes.uuid()?, debits: bytes.flag()?, credits: bytes.flag()? },
            4 => Self::Refused { refusal: Refusal::read(&mut bytes)? },
            5 => Self::ClockMoved { offset_us: bytes.i64()? },
            6 => Self::Abandoned,
            7 => {
                let (account, period_us) = (bytes.uuid()?, bytes.i64()?);
                read_more(&mut bytes, rows.as_deref_mut())?;
                Self::Due { account, period_us, transfers: rows.unwrap_or_default() }
            }
            8 => Self::Changed { account: bytes.uuid()?, change: read_change(&mut bytes)? },
            _ => return None,
        };
        bytes.is_empty().then_some(body)
    }
}

/// What some rows have more, by leg; no byte when none has.
fn write_more(out: &mut Writer, transfers: &[Posted]) {
    let more: Vec<_> = transfers.iter().filter_map(|posted| Some((posted.leg, posted.more.as_ref()?))).collect();
    if !more.is_empty() {
        out.list(&more, |out, (leg, more)| more.write(out.i32(*leg)));
    }
}

/// Gives rows what they have more: each says something, and is of a row that is there.
fn read_more(bytes: &mut Reader<'_>, rows: Option<&mut [Posted]>) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let read = bytes.list(|bytes| Some((bytes.i32()?, More::read(bytes)?.boxed()?)))?;
    if read.is_empty() {
        return None;
    }
    let Some(rows) = rows else { return Some(()) };
    let mut rows = rows.iter_mut();
    for (leg, more) in read {
        rows.by_ref().find(|posted| posted.leg == leg)?.more = Some(more);
    }
    Some(())
}

fn write_opened(out: &mut Writer, account: &NewAccount, asset: &Asset, by: i64) {
    out.uuid(account.public_id).bytes(asset.code.as_bytes()).i32(i32::from(asset.scale));
    out.i32(asset.id.0).i32(account.normal_side.code()).i64(by);
    out.option(account.owner.as_ref(), |out, owner| _ = out.uuid(*owner));
    out.option(account.floor.as_ref(), |out, floor| _ = out.i64(*floor));
    out.option(account.ceiling.as_ref(), |out, ceiling| _ = out.i64(*ceiling));
    if account.nature != Nature::Plain {
        write_nature(out, account.nature);
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
    let nature =
        if bytes.is_empty() { Some(Nature::Plain) } else { read_nature(bytes).filter(|it| *it != Nature::Plain) }?;
    let account = NewAccount { public_id, asset: id, normal_side, owner, floor, ceiling, nature };
    Some(Body::Opened { account, asset: Asset { id, code, scale }, by })
}

pub(crate) fn write_nature(out: &mut Writer, nature: Nature) {
    match nature {
        Nature::Plain => out.u8(0),
        Nature::Lots { breakage, grace_us } => out.u8(1).uuid(breakage).i64(grace_us),
        Nature::Quota { pool, allowance, period, calendar } => {
            out.u8(2).uuid(pool).i64(allowance).i32(period.code()).i32(calendar.code())
        }
    };
}

pub(crate) fn read_nature(bytes: &mut Reader<'_>) -> Option<Nature> {
    Some(match bytes.u8()? {
        0 => Nature::Plain,
        1 => Nature::Lots { breakage: bytes.uuid()?, grace_us: bytes.i64()? },
        2 => Nature::Quota {
            pool: bytes.uuid()?,
            allowance: bytes.i64()?,
            period: Period::from_code(bytes.i32()?)?,
            calendar: Calendar::from_code(bytes.i32()?)?,
        },
        _ => return None,
    })
}

pub(crate) fn write_change(out: &mut Writer, change: &Change) {
    match change {
        Change::Limits { floor, ceiling } => {
            out.u8(1).option(floor.as_ref(), |out, floor| _ = out.i64(*floor));
            out.option(ceiling.as_ref(), |out, ceiling| _ = out.i64(*ceiling));
        }
        Change::Allowance { minor } => _ = out.u8(2).i64(*minor),
        Change::Closed { closed } => _ = out.u8(3).u8(u8::from(*closed)),
    }
}

pub(crate) fn read_change(bytes: &mut Reader<'_>) -> Option<Change> {
    Some(match bytes.u8()? {
        1 => Change::Limits { floor: bytes.option(Reader::i64)?, ceiling: bytes.option(Reader::i64)? },
        2 => Change::Allowance { minor: bytes.i64()? },
        3 => Change::Closed { closed: bytes.flag()? },
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests;
