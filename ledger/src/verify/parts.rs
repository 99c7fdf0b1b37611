//! What belongs to a record beside its bytes: rows, keys, claims, companions, links, holds, each held against what it says.

use ring::digest::{SHA256, digest};

use super::rows::{ClaimRow, CompanionRow, HoldRow, KeyRow, LinkRow, TransferRow};
use super::{Broken, Check, broken};
use crate::{Body, LegRef, Posted, Record, Refusal};

/// Everything that belongs to one seq beside its record.
pub(super) struct Parts {
    pub(super) transfers: Vec<TransferRow>,
    /// The transfers are archived, and their file is not at hand.
    pub(super) unread: bool,
    pub(super) keys: Vec<KeyRow>,
    pub(super) claims: Vec<ClaimRow>,
    pub(super) companions: Vec<CompanionRow>,
    pub(super) links: Vec<LinkRow>,
    pub(super) holds: Vec<HoldRow>,
}

impl Parts {
    /// Which table has a row of an earlier seq that no record took.
    pub(super) fn stray(&self, seq: i64) -> Option<Check> {
        let checks = [
            (Check::Transfers, self.transfers.iter().any(|row| row.seq != seq)),
            (Check::Keys, self.keys.iter().any(|row| row.seq != seq)),
            (Check::Claims, self.claims.iter().any(|row| row.seq != seq)),
            (Check::Companions, self.companions.iter().any(|row| row.seq != seq)),
            (Check::Refunds, self.links.iter().any(|row| row.by.seq != seq)),
            (Check::Holds, self.holds.iter().any(|row| row.place.seq != seq)),
        ];
        checks.into_iter().find(|(_, stray)| *stray).map(|(check, _)| check)
    }
}

/// A record has one key, but for an account that a transaction opened: its key is the transaction's. What time brought has
/// one when somebody asked for just that.
pub(super) fn check_key(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let wanted = match record.body {
        Body::Opened { by, .. } if by != 0 => 0..=0,
        Body::Due { .. } => 0..=1,
        Body::Transaction { .. }
        | Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Changed { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => 1..=1,
    };
    if wanted.contains(&parts.keys.len()) {
        return Ok(());
    }
    Err(broken(Check::Keys, record.seq, format!("{} keys lead here", parts.keys.len())))
}

pub(super) fn check_claim(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let claim = if let Body::Transaction { claim, .. } = &record.body { *claim } else { None };
    let wanted = claim.map(|claim| claim.0);
    if parts.claims.iter().map(|row| row.claim).eq(wanted) {
        return Ok(());
    }
    Err(broken(Check::Claims, record.seq, "the claims stored are not the record's"))
}

pub(super) fn check_companions(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let Body::Transaction { companions: wanted, .. } = &record.body else {
        let none = parts.companions.is_empty();
        let what = "companions belong to a record that is no transaction";
        return if none { Ok(()) } else { Err(broken(Check::Companions, record.seq, what)) };
    };
    let mut bytes = Vec::new();
    for row in &parts.companions {
        bytes.extend_from_slice(&row.kind.to_be_bytes());
        bytes.extend_from_slice(row.key.as_bytes());
        bytes.extend_from_slice(&u64::try_from(row.body.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(&row.body);
    }
    let found = (!parts.companions.is_empty()).then(|| digest(&SHA256, &bytes));
    if found.as_ref().map(AsRef::as_ref) == wanted.as_ref().map(<[u8; 32]>::as_slice) {
        return Ok(());
    }
    Err(broken(Check::Companions, record.seq, "the companions are not those the record vouches for"))
}

/// A row that builds on an earlier one is found from there.
pub(super) fn check_links(record: &Record, parts: &Parts) -> Result<(), Broken> {
    let said = record.body.transfers().iter().filter_map(|posted| {
        let by = LegRef { seq: record.seq, leg: posted.leg };
        Some((posted.of()?, by, posted.kind.code(), posted.amount.minor))
    });
    if parts.links.iter().map(|link| (link.of, link.by, link.kind, link.amount)).eq(said) {
        return Ok(());
    }
    Err(broken(Check::Refunds, record.seq, "the links stored are not the record's"))
}

/// No two transfers are the same leg. One that moved nothing (up to nothing) leaves a gap.
pub(super) fn check_legs(seq: i64, transfers: &[Posted]) -> Result<(), Broken> {
    let rising = transfers.is_sorted_by(|one, next| one.leg < next.leg);
    let starts = transfers.first().is_none_or(|posted| posted.leg >= 0);
    if rising && starts { Ok(()) } else { Err(broken(Check::Transfers, seq, "a leg is missing or doubled")) }
}

pub(super) fn check_refusal(seq: i64, refusal: &Refusal) -> Result<(), Broken> {
    match refusal {
        Refusal::ClaimSpent { seq: spent_by } if !(1..seq).contains(spent_by) => {
            Err(broken(Check::Refusals, seq, "it blames a record that is not before it"))
        }
        Refusal::ClaimSpent { .. }
        | Refusal::Floor { .. }
        | Refusal::Ceiling { .. }
        | Refusal::Frozen { .. }
        | Refusal::Overflow { .. }
        | Refusal::Closed { .. }
        | Refusal::NotEmpty { .. } => Ok(()),
        Refusal::HoldEnded { hold: of } | Refusal::HoldExceeded { hold: of } | Refusal::RefundExceeded { of } => {
            let before = (1..seq).contains(&of.seq);
            if before { Ok(()) } else { Err(broken(Check::Refusals, seq, "it blames a row that is not before it")) }
        }
    }
}
