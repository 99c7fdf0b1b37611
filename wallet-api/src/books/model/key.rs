//! Under which key the journal takes a transaction, and what of it makes it another one under the same key.

use ledger::{Key, Scope, Transfer};
use uuid::Uuid;

use crate::platform::http::IdempotencyKey;
use crate::platform::keyring::{Caller, Tenant};

/// The journal's key. Its fingerprint is over what the transaction says and not how: the same for one sent alone or among
/// others, however its JSON is ordered and spaced.
pub(super) fn key_of(
    caller: &Caller,
    key: &IdempotencyKey,
    transfers: &[Transfer],
    effective_us: Option<i64>,
    meta: &[u8],
) -> Key {
    let tenant: &Tenant = &caller.tenant;
    let mut said = Vec::with_capacity(transfers.len().saturating_mul(48).saturating_add(meta.len()).saturating_add(16));
    said.extend_from_slice(&effective_us.unwrap_or(-1).to_be_bytes());
    for transfer in transfers {
        let Transfer { debit, credit, amount, .. } = transfer;
        said.extend_from_slice(debit.as_bytes());
        said.extend_from_slice(credit.as_bytes());
        said.extend_from_slice(&amount.minor.to_be_bytes());
        said.extend_from_slice(&amount.asset.0.to_be_bytes());
        said_more(transfer, &mut said);
    }
    let print = tenant.secret.sign16("ledger-transaction", &[&said, meta]);
    let scope = Scope(caller.client());
    Key { scope, key: Uuid::from_bytes(key.bytes16(&tenant.secret)), fingerprint: Uuid::from_bytes(print) }
}

/// What a transfer says beyond accounts and amount, for its fingerprint; nothing for a plain one.
fn said_more(transfer: &Transfer, said: &mut Vec<u8>) {
    let Transfer { how, lot, rate, .. } = transfer;
    let (code, row, us) = match how {
        ledger::How::Move => (0, None, None),
        ledger::How::UpTo => (2, None, None),
        ledger::How::Owing => (3, None, None),
        ledger::How::Hold { expires_us } => (4, None, *expires_us),
        ledger::How::Capture { hold } => (5, Some(hold), None),
        ledger::How::Void { hold } => (6, Some(hold), None),
        ledger::How::Refund { of, owing: false } => (7, Some(of), None),
        ledger::How::Refund { of, owing: true } => (8, Some(of), None),
    };
    if code == 0 && lot.is_none() && rate.is_none() {
        return;
    }
    said.push(code);
    let mut number = |value: Option<i64>| said.extend_from_slice(&value.unwrap_or(i64::MIN).to_be_bytes());
    number(row.map(|row| row.seq));
    number(row.map(|row| row.leg.into()));
    number(us);
    number(lot.and_then(|lot| lot.activates_us));
    number(lot.and_then(|lot| lot.expires_us));
    number(lot.map(|lot| lot.unit_cost));
    number(rate.map(|rate| rate.of.into()));
    number(rate.map(|rate| rate.numerator));
    number(rate.map(|rate| rate.denominator));
    said.extend_from_slice(lot.map_or(Uuid::nil(), |lot| lot.campaign).as_bytes());
}
