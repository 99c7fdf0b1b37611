//! The byte form of a body: what is stored beside the rows, and hashed.
//!
//! What later versions added stands at the end, and only where it says something, so that what could be said before is
//! said in the same bytes. No two bodies share a form, and no body has two.

use super::{Body, Dropped, More, Posted, Refusal};
use crate::canonical::{Reader, Writer};
use crate::lot::{read_pieces, write_pieces};
use crate::{Asset, AssetId, Calendar, Change, Claim, LegRef, Nature, NewAccount, NormalSide, Period, Rate};

impl Body {
    /// The byte form of all but the transfers' rows.
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

    /// Whether a record of this kind may have rows.
    pub(crate) const fn has_rows(kind: i32) -> bool {
        matches!(kind, 1 | 7)
    }

    /// What its rows have more, by leg, for those who do not read the rows.
    pub(crate) fn more_of_rows(kind: i32, bytes: &[u8]) -> Option<Vec<(i32, Box<More>)>> {
        let mut bytes = Reader::new(bytes);
        match kind {
            1 => {
                bytes.option(Reader::uuid)?;
                bytes.option(Reader::digest)?;
                bytes.list(|bytes| Some(Dropped { group: bytes.i32()?, refusal: Refusal::read(bytes)? }))?;
            }
            7 => _ = (bytes.uuid()?, bytes.i64()?),
            _ => return Some(Vec::new()),
        }
        if bytes.is_empty() { Some(Vec::new()) } else { read_list_of_more(&mut bytes) }
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
    let read = read_list_of_more(bytes)?;
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

fn read_list_of_more(bytes: &mut Reader<'_>) -> Option<Vec<(i32, Box<More>)>> {
    bytes.list(|bytes| Some((bytes.i32()?, More::read(bytes)?.boxed()?)))
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

impl More {
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

impl Refusal {
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
