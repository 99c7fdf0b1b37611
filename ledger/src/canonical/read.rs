//! Records read back from their canonical bytes, where they are told by a file instead of rows.

use uuid::Uuid;

use super::{Place, Reader, TAG};
use crate::apply::Map;
use crate::{AccountId, Amount, Asset, AssetId, Body, JournalId, Posted, Record, RowKind, Side};

/// Why bytes are no record of these books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// They are not of the form.
    Form,
    /// They name an account that no record before opened.
    Account(Uuid),
    /// They name an asset that was not defined so.
    Asset,
}

/// How these books number what canonical bytes name.
pub(crate) struct Names<'a> {
    /// By public id.
    pub(crate) accounts: &'a Map<Uuid, AccountId>,
    /// All of them.
    pub(crate) assets: &'a [Asset],
}

impl Names<'_> {
    fn asset(&self, code: &str, scale: i32) -> Option<AssetId> {
        self.assets.iter().find(|asset| asset.code == code && i32::from(asset.scale) == scale).map(|asset| asset.id)
    }
}

/// The record of these canonical bytes, and where it stands.
pub(crate) fn read_record(bytes: &[u8], names: &Names<'_>) -> Result<(Place, Record), Unread> {
    let mut bytes = Reader::new(bytes);
    let head = read_head(&mut bytes).ok_or(Unread::Form)?;
    let count = bytes.i32().and_then(|count| usize::try_from(count).ok()).ok_or(Unread::Form)?;
    let mut transfers = Vec::new();
    for _ in 0..count {
        transfers.push(read_posted(&mut bytes, names)?);
    }
    let body = Body::from_bytes(head.kind, head.body, transfers).filter(|_| bytes.is_empty()).ok_or(Unread::Form)?;
    let Head { place, seq, id, recorded_us, effective_us, meta, .. } = head;
    Ok((place, Record { seq, id, recorded_us, effective_us, body, meta: meta.to_vec() }))
}

struct Head<'a> {
    place: Place,
    seq: i64,
    kind: i32,
    id: Uuid,
    recorded_us: i64,
    effective_us: i64,
    body: &'a [u8],
    meta: &'a [u8],
}

fn read_head<'a>(bytes: &mut Reader<'a>) -> Option<Head<'a>> {
    if bytes.bytes()? != TAG {
        return None;
    }
    Some(Head {
        place: Place { journal: JournalId(bytes.i64()?), fork: bytes.uuid()? },
        seq: bytes.i64()?,
        kind: bytes.i32()?,
        id: bytes.uuid()?,
        recorded_us: bytes.i64()?,
        effective_us: bytes.i64()?,
        body: bytes.bytes()?,
        meta: bytes.bytes()?,
    })
}

fn read_posted(bytes: &mut Reader<'_>, names: &Names<'_>) -> Result<Posted, Unread> {
    let leg = bytes.i32().ok_or(Unread::Form)?;
    let kind = bytes.i32().and_then(RowKind::from_code).ok_or(Unread::Form)?;
    let minor = bytes.i64().ok_or(Unread::Form)?;
    let code = bytes.bytes().and_then(|code| std::str::from_utf8(code).ok()).ok_or(Unread::Form)?;
    let scale = bytes.i32().ok_or(Unread::Form)?;
    let asset = names.asset(code, scale).ok_or(Unread::Asset)?;
    let (debit, credit) = (read_side(bytes, names)?, read_side(bytes, names)?);
    // What it has more stands in the body, which gives it back.
    Ok(Posted { leg, kind, amount: Amount::new(minor, asset), debit, credit, more: None })
}

fn read_side(bytes: &mut Reader<'_>, names: &Names<'_>) -> Result<Side, Unread> {
    let public_id = bytes.uuid().ok_or(Unread::Form)?;
    let account = names.accounts.get(&public_id).copied().ok_or(Unread::Account(public_id))?;
    let mut number = || bytes.i64().ok_or(Unread::Form);
    Ok(Side { account, public_id, balance: number()?, held: number()?, version: number()? })
}
