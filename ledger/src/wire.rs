//! The byte forms in which a request goes to the node that leads, and its answer comes back (JOURNAL 20).
//!
//! Fields one after another, as in [`canonical`](crate::canonical), after one byte of version. Both ends are nodes of one
//! deployment and vouch for each other; still every byte is checked, a form that is not ours reads as none, and reading
//! takes no more memory than there are bytes. What goes in one piece: `parcel.rs`. Not here: how the bytes travel, and who
//! may send them.

mod parcel;

use std::sync::Arc;

use uuid::Uuid;

use crate::canonical::{Reader, Writer};
use crate::record::{read_change, read_nature, write_change, write_nature};
use crate::{
    AccountId, Amount, Answer, Archived, AssetId, Body, Claim, Command, Companion, Group, How, Invalid, JournalError,
    JournalId, Key, LegRef, LotTerms, NewAccount, NormalSide, Posted, Rate, Record, Request, RowKind, Scope, Side,
    Transfer,
};

pub use parcel::{Bond, answers_from_bytes, answers_to_bytes, requests_from_bytes, requests_to_bytes};

/// The version of both forms. A node that does not know it does not answer, and its caller says `not-leader`.
const VERSION: u8 = 2;

impl Request {
    /// The request as it is forwarded.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(VERSION).i64(self.journal.0);
        out.i64(self.key.scope.0).uuid(self.key.key).uuid(self.key.fingerprint);
        write_command(&mut out, &self.command);
        out.option(self.effective_us.as_ref(), |out, us| _ = out.i64(*us));
        out.bytes(&self.meta);
        out.list(&self.companions, |out, one| _ = out.i32(one.kind).uuid(one.key).bytes(&one.body));
        out.into_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; none for anything else. It is still to be checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = &mut Reader::new(bytes);
        if bytes.u8()? != VERSION {
            return None;
        }
        let request = Self {
            journal: JournalId(bytes.i64()?),
            key: Key { scope: Scope(bytes.i64()?), key: bytes.uuid()?, fingerprint: bytes.uuid()? },
            command: read_command(bytes)?,
            effective_us: bytes.option(Reader::i64)?,
            meta: bytes.bytes()?.to_vec(),
            companions: bytes.list(|bytes| {
                Some(Companion { kind: bytes.i32()?, key: bytes.uuid()?, body: bytes.bytes()?.to_vec() })
            })?,
        };
        bytes.is_empty().then_some(request)
    }
}

fn write_command(out: &mut Writer, command: &Command) {
    match command {
        Command::Transact { id, open, transfers, groups, claim } => {
            out.u8(1).uuid(*id);
            out.list(open, write_account);
            out.list(transfers, write_transfer);
            out.list(groups, |out, group| {
                out.list(&group.transfers, write_transfer);
                out.list(&group.fallback, write_transfer);
            });
            out.option(claim.as_ref(), |out, claim| _ = out.uuid(claim.0));
        }
        Command::Open(account) => write_account(out.u8(2), account),
        Command::Freeze { account, debits, credits } => {
            out.u8(3).uuid(*account).u8(u8::from(*debits)).u8(u8::from(*credits));
        }
        Command::MoveClock { by_us } => _ = out.u8(4).i64(*by_us),
        Command::Abandon => _ = out.u8(5),
        Command::Sweep { account } => _ = out.u8(7).uuid(*account),
        Command::Change { account, change } => write_change(out.u8(6).uuid(*account), change),
    }
}

fn read_command(bytes: &mut Reader<'_>) -> Option<Command> {
    Some(match bytes.u8()? {
        1 => Command::Transact {
            id: bytes.uuid()?,
            open: bytes.list(read_account)?,
            transfers: bytes.list(read_transfer)?,
            groups: bytes.list(|bytes| {
                Some(Group { transfers: bytes.list(read_transfer)?, fallback: bytes.list(read_transfer)? })
            })?,
            claim: bytes.option(Reader::uuid)?.map(Claim),
        },
        2 => Command::Open(read_account(bytes)?),
        3 => Command::Freeze { account: bytes.uuid()?, debits: bytes.flag()?, credits: bytes.flag()? },
        4 => Command::MoveClock { by_us: bytes.i64()? },
        5 => Command::Abandon,
        7 => Command::Sweep { account: bytes.uuid()? },
        6 => Command::Change { account: bytes.uuid()?, change: read_change(bytes)? },
        _ => return None,
    })
}

fn write_account(out: &mut Writer, account: &NewAccount) {
    out.uuid(account.public_id).i32(account.asset.0).i32(account.normal_side.code());
    out.option(account.owner.as_ref(), |out, owner| _ = out.uuid(*owner));
    out.option(account.floor.as_ref(), |out, floor| _ = out.i64(*floor));
    out.option(account.ceiling.as_ref(), |out, ceiling| _ = out.i64(*ceiling));
    write_nature(out, account.nature);
}

fn read_account(bytes: &mut Reader<'_>) -> Option<NewAccount> {
    Some(NewAccount {
        public_id: bytes.uuid()?,
        asset: AssetId(bytes.i32()?),
        normal_side: NormalSide::from_code(bytes.i32()?)?,
        owner: bytes.option(Reader::uuid)?,
        floor: bytes.option(Reader::i64)?,
        ceiling: bytes.option(Reader::i64)?,
        nature: read_nature(bytes)?,
    })
}

fn write_transfer(out: &mut Writer, transfer: &Transfer) {
    out.uuid(transfer.debit).uuid(transfer.credit);
    write_amount(out, transfer.amount);
    write_how(out, transfer.how);
    out.option(transfer.lot.as_ref(), |out, lot| {
        out.option(lot.activates_us.as_ref(), |out, us| _ = out.i64(*us));
        out.option(lot.expires_us.as_ref(), |out, us| _ = out.i64(*us));
        out.uuid(lot.campaign).i64(lot.unit_cost);
    });
    out.option(transfer.rate.as_ref(), |out, rate| _ = out.i32(rate.of).i64(rate.numerator).i64(rate.denominator));
}

fn read_transfer(bytes: &mut Reader<'_>) -> Option<Transfer> {
    Some(Transfer {
        debit: bytes.uuid()?,
        credit: bytes.uuid()?,
        amount: read_amount(bytes)?,
        how: read_how(bytes)?,
        lot: bytes.option(|bytes| {
            let (activates_us, expires_us) = (bytes.option(Reader::i64)?, bytes.option(Reader::i64)?);
            Some(LotTerms { activates_us, expires_us, campaign: bytes.uuid()?, unit_cost: bytes.i64()? })
        })?,
        rate: bytes
            .option(|bytes| Some(Rate { of: bytes.i32()?, numerator: bytes.i64()?, denominator: bytes.i64()? }))?,
    })
}

fn write_how(out: &mut Writer, how: How) {
    match how {
        How::Move => _ = out.u8(1),
        How::UpTo => _ = out.u8(2),
        How::Owing => _ = out.u8(3),
        How::Hold { expires_us } => out.u8(4).option(expires_us.as_ref(), |out, us| _ = out.i64(*us)),
        How::Capture { hold } => write_leg_ref(out.u8(5), hold),
        How::Void { hold } => write_leg_ref(out.u8(6), hold),
        How::Refund { of, owing } => write_leg_ref(out.u8(7).u8(u8::from(owing)), of),
    }
}

fn read_how(bytes: &mut Reader<'_>) -> Option<How> {
    Some(match bytes.u8()? {
        1 => How::Move,
        2 => How::UpTo,
        3 => How::Owing,
        4 => How::Hold { expires_us: bytes.option(Reader::i64)? },
        5 => How::Capture { hold: read_leg_ref(bytes)? },
        6 => How::Void { hold: read_leg_ref(bytes)? },
        7 => How::Refund { owing: bytes.flag()?, of: read_leg_ref(bytes)? },
        _ => return None,
    })
}

fn write_leg_ref(out: &mut Writer, of: LegRef) {
    out.i64(of.seq).i32(of.leg);
}

fn read_leg_ref(bytes: &mut Reader<'_>) -> Option<LegRef> {
    Some(LegRef { seq: bytes.i64()?, leg: bytes.i32()? })
}

fn write_amount(out: &mut Writer, amount: Amount) {
    out.i64(amount.minor).i32(amount.asset.0);
}

fn read_amount(bytes: &mut Reader<'_>) -> Option<Amount> {
    Some(Amount { minor: bytes.i64()?, asset: AssetId(bytes.i32()?) })
}

/// An answer, or why there is none, as it comes back.
#[must_use]
fn answer_to_bytes(answer: &Result<Answer, JournalError>) -> Vec<u8> {
    let mut out = Writer::default();
    out.u8(VERSION);
    match answer {
        Ok(answer) => write_record(out.u8(1).u8(u8::from(answer.replayed)), &answer.record),
        Err(error) => write_error(out.u8(2), error),
    }
    out.into_bytes()
}

/// Reads what [`answer_to_bytes`] wrote; none for anything else.
#[must_use]
fn answer_from_bytes(bytes: &[u8]) -> Option<Result<Answer, JournalError>> {
    let bytes = &mut Reader::new(bytes);
    if bytes.u8()? != VERSION {
        return None;
    }
    let answer = match bytes.u8()? {
        1 => Ok(Answer { replayed: bytes.flag()?, record: Arc::new(read_record(bytes)?) }),
        2 => Err(read_error(bytes)?),
        _ => return None,
    };
    bytes.is_empty().then_some(answer)
}

fn write_record(out: &mut Writer, record: &Record) {
    out.i64(record.seq).uuid(record.id).i64(record.recorded_us).i64(record.effective_us);
    out.i32(record.body.kind()).bytes(&record.body.to_bytes()).bytes(&record.meta);
    out.list(record.body.transfers(), |out, posted| {
        out.i32(posted.leg).i32(posted.kind.code());
        write_amount(out, posted.amount);
        write_side(out, &posted.debit);
        write_side(out, &posted.credit);
    });
}

fn read_record(bytes: &mut Reader<'_>) -> Option<Record> {
    let (seq, id, recorded_us, effective_us) = (bytes.i64()?, bytes.uuid()?, bytes.i64()?, bytes.i64()?);
    let (kind, body, meta) = (bytes.i32()?, bytes.bytes()?, bytes.bytes()?.to_vec());
    let transfers = bytes.list(|bytes| {
        Some(Posted {
            leg: bytes.i32()?,
            kind: RowKind::from_code(bytes.i32()?)?,
            amount: read_amount(bytes)?,
            debit: read_side(bytes)?,
            credit: read_side(bytes)?,
            // In the body's bytes.
            more: None,
        })
    })?;
    let body = Body::from_bytes(kind, body, transfers)?;
    Some(Record { seq, id, recorded_us, effective_us, body, meta })
}

fn write_side(out: &mut Writer, side: &Side) {
    out.i64(side.account.0).uuid(side.public_id).i64(side.balance).i64(side.held).i64(side.version);
}

fn read_side(bytes: &mut Reader<'_>) -> Option<Side> {
    Some(Side {
        account: AccountId(bytes.i64()?),
        public_id: bytes.uuid()?,
        balance: bytes.i64()?,
        held: bytes.i64()?,
        version: bytes.i64()?,
    })
}

fn write_error(out: &mut Writer, error: &JournalError) {
    match error {
        JournalError::Invalid(invalid) => write_invalid(out.u8(1), invalid),
        JournalError::KeyReused => _ = out.u8(2),
        JournalError::QueueFull => _ = out.u8(3),
        // Whoever forwards looks itself who leads now.
        JournalError::NotLeader { leader: _ } => _ = out.u8(4),
        JournalError::DeadlinePassed => _ = out.u8(5),
        JournalError::OutcomeUnknown => _ = out.u8(6),
        JournalError::Unavailable => _ = out.u8(7),
        JournalError::NoSuchJournal => _ = out.u8(8),
        JournalError::Broken(why) => _ = out.u8(9).bytes(why.as_bytes()),
        JournalError::Abandoned { seq } => _ = out.u8(10).i64(*seq),
        JournalError::Linked { place } => _ = out.u8(11).i64(i64::try_from(*place).unwrap_or(i64::MAX)),
        JournalError::NoRoom => _ = out.u8(20),
        JournalError::Archived(range) => write_range(out.u8(21), range),
    }
}

fn read_error(bytes: &mut Reader<'_>) -> Option<JournalError> {
    Some(match bytes.u8()? {
        1 => JournalError::Invalid(read_invalid(bytes)?),
        2 => JournalError::KeyReused,
        3 => JournalError::QueueFull,
        4 => JournalError::NotLeader { leader: None },
        5 => JournalError::DeadlinePassed,
        6 => JournalError::OutcomeUnknown,
        7 => JournalError::Unavailable,
        8 => JournalError::NoSuchJournal,
        9 => JournalError::Broken(String::from_utf8(bytes.bytes()?.to_vec()).ok()?),
        10 => JournalError::Abandoned { seq: bytes.i64()? },
        11 => JournalError::Linked { place: usize::try_from(bytes.i64()?).ok()? },
        20 => JournalError::NoRoom,
        21 => JournalError::Archived(read_range(bytes)?),
        _ => return None,
    })
}

fn write_invalid(out: &mut Writer, invalid: &Invalid) {
    match invalid {
        Invalid::Empty => _ = out.u8(1),
        Invalid::TooMany { limit, .. } => _ = out.u8(2).i64(i64::try_from(*limit).unwrap_or(i64::MAX)),
        Invalid::Amount { minor } => _ = out.u8(3).i64(*minor),
        Invalid::SameAccount { account } => _ = out.u8(4).uuid(*account),
        Invalid::UnknownAccount { account } => _ = out.u8(5).uuid(*account),
        Invalid::UnknownAsset => _ = out.u8(6),
        Invalid::AssetMismatch { account } => _ = out.u8(7).uuid(*account),
        Invalid::Limits { account } => _ = out.u8(8).uuid(*account),
        Invalid::AccountExists { account } => _ = out.u8(9).uuid(*account),
        Invalid::Companion { key } => _ = out.u8(10).uuid(*key),
        Invalid::EffectiveDate => _ = out.u8(11),
        Invalid::Clock => _ = out.u8(12),
        Invalid::NotThatRow { of } => write_leg_ref(out.u8(13), *of),
        Invalid::Dates { leg } => _ = out.u8(14).i32(*leg),
        Invalid::Rate { leg } => _ = out.u8(15).i32(*leg),
        Invalid::Nature { account } => _ = out.u8(16).uuid(*account),
        Invalid::TooManyLots { account } => _ = out.u8(17).uuid(*account),
        Invalid::NothingDue { account } => _ = out.u8(18).uuid(*account),
        Invalid::Archived(range) => write_range(out.u8(19), range),
        Invalid::StillDue { account } => _ = out.u8(20).uuid(*account),
    }
}

fn read_invalid(bytes: &mut Reader<'_>) -> Option<Invalid> {
    let account = |bytes: &mut Reader<'_>| -> Option<Uuid> { bytes.uuid() };
    Some(match bytes.u8()? {
        1 => Invalid::Empty,
        // Sizes are checked before a request is forwarded: only a leader of another release finds too many, and of what
        // it says to nobody.
        2 => Invalid::TooMany { what: "parts", limit: usize::try_from(bytes.i64()?).ok()? },
        3 => Invalid::Amount { minor: bytes.i64()? },
        4 => Invalid::SameAccount { account: account(bytes)? },
        5 => Invalid::UnknownAccount { account: account(bytes)? },
        6 => Invalid::UnknownAsset,
        7 => Invalid::AssetMismatch { account: account(bytes)? },
        8 => Invalid::Limits { account: account(bytes)? },
        9 => Invalid::AccountExists { account: account(bytes)? },
        10 => Invalid::Companion { key: bytes.uuid()? },
        11 => Invalid::EffectiveDate,
        12 => Invalid::Clock,
        13 => Invalid::NotThatRow { of: read_leg_ref(bytes)? },
        14 => Invalid::Dates { leg: bytes.i32()? },
        15 => Invalid::Rate { leg: bytes.i32()? },
        16 => Invalid::Nature { account: account(bytes)? },
        17 => Invalid::TooManyLots { account: account(bytes)? },
        18 => Invalid::NothingDue { account: account(bytes)? },
        19 => Invalid::Archived(read_range(bytes)?),
        20 => Invalid::StillDue { account: account(bytes)? },
        _ => return None,
    })
}

fn write_range(out: &mut Writer, range: &Archived) {
    out.i64(range.journal.0).i64(range.first_seq).i64(range.last_seq);
}

fn read_range(bytes: &mut Reader<'_>) -> Option<Archived> {
    Some(Archived { journal: JournalId(bytes.i64()?), first_seq: bytes.i64()?, last_seq: bytes.i64()? })
}

#[cfg(test)]
mod tests;
