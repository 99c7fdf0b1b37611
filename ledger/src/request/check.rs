//! What can be judged of a request without balances: sizes, amounts, dates, terms. It never spends the key.

use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::{Change, Command, Group, How, Rate, Request, Transfer};
use crate::{Archived, LegRef, LotTerms, MAX_AMOUNT, Nature, NewAccount};

/// Sizes a request must keep to.
pub struct Limits;

impl Limits {
    /// Transfers in one transaction, groups included.
    pub const TRANSFERS: usize = 1_000;
    /// Accounts opened by one transaction.
    pub const OPENS: usize = 100;
    /// Bytes of metadata.
    pub const META_BYTES: usize = 4_096;
    /// Bytes of one companion.
    pub const COMPANION_BYTES: usize = 65_536;
    /// Optional groups in one transaction.
    pub const GROUPS: usize = 100;
    /// Companions of one request.
    pub const COMPANIONS: usize = 16;
    /// Effective dates lie between 1970 and the end of the year 9999.
    pub const LATEST_US: i64 = 253_402_300_799_999_999;
}

/// Why a request is not one. Nothing was written, the key was not spent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No transfer at all.
    #[error("a transaction needs at least one transfer")]
    Empty,
    /// More than [`Limits`] allow.
    #[error("more {what} than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        limit: usize,
    },
    /// Zero, negative, or above [`MAX_AMOUNT`].
    #[error("amount {minor} is not between 1 and {MAX_AMOUNT}")]
    Amount {
        /// What was asked.
        minor: i64,
    },
    /// Debit and credit are the same account.
    #[error("a transfer needs two different accounts")]
    SameAccount {
        /// Named twice.
        account: Uuid,
    },
    /// Not of this journal.
    #[error("account {account} does not exist")]
    UnknownAccount {
        /// As it was asked.
        account: Uuid,
    },
    /// Not of this journal.
    #[error("asset does not exist")]
    UnknownAsset,
    /// The transfer's asset is not the account's.
    #[error("account {account} holds another asset")]
    AssetMismatch {
        /// Which account.
        account: Uuid,
    },
    /// Floor above ceiling, or above the opening balance of zero.
    #[error("the account's limits exclude its opening balance")]
    Limits {
        /// Which account.
        account: Uuid,
    },
    /// The public id is taken: by an account of other terms, or by any when the opening was asked for by itself.
    #[error("account {account} exists")]
    AccountExists {
        /// Which account.
        account: Uuid,
    },
    /// Named twice in one request, or sent with what is no transaction.
    #[error("companion {key} cannot be written")]
    Companion {
        /// Which.
        key: Uuid,
    },
    /// Before 1970 or after 9999.
    #[error("effective date is outside 1970 to 9999")]
    EffectiveDate,
    /// No such row, or none that can be captured, voided or refunded so: another kind, other accounts, another asset.
    #[error("seq {} leg {} is no row for that", of.seq, of.leg)]
    NotThatRow {
        /// As it was asked.
        of: LegRef,
    },
    /// Dates on an account that keeps no lots, or ones that end before they begin; a hold that ends before now.
    #[error("the dates of leg {leg} make no sense there")]
    Dates {
        /// The transfer's place.
        leg: i32,
    },
    /// Not the amount that the rate makes of the other one.
    #[error("the amount of leg {leg} does not follow from its rate")]
    Rate {
        /// The transfer's place.
        leg: i32,
    },
    /// Its counterpart is missing or of another asset, its allowance is negative, or it has none to change.
    #[error("account {account} cannot keep that")]
    Nature {
        /// Which account.
        account: Uuid,
    },
    /// It would take more than a thousand lots: ask again for less.
    #[error("account {account} has too many lots for one transaction")]
    TooManyLots {
        /// Which account.
        account: Uuid,
    },
    /// More has expired on it than is written down at a time, and some of it was; or others, asked for at the same time, took
    /// of the lots that were looked up. Ask again.
    #[error("more has expired on account {account} than is written down at a time")]
    StillDue {
        /// Which account.
        account: Uuid,
    },
    /// Nothing has expired and no period has ended on it, or somebody has written it down.
    #[error("nothing is due on account {account}")]
    NothingDue {
        /// Which account.
        account: Uuid,
    },
    /// Production journals have no movable clock, and no clock goes back.
    #[error("this journal's clock cannot be moved so")]
    Clock,
    /// The row to be moved back is in a file: once it was brought back, ask again.
    #[error(transparent)]
    Archived(#[from] Archived),
}

impl Request {
    /// Judges what needs no balances.
    ///
    /// # Errors
    /// The first [`Invalid`] found.
    pub fn check(&self) -> Result<(), Invalid> {
        at_most(self.meta.len(), Limits::META_BYTES, "bytes of metadata")?;
        if self.effective_us.is_some_and(|us| !(0..=Limits::LATEST_US).contains(&us)) {
            return Err(Invalid::EffectiveDate);
        }
        self.check_companions()?;
        match &self.command {
            Command::Transact { open, transfers, groups, .. } => check_transaction(open, transfers, groups),
            Command::Open(account) => check_account(account),
            Command::Freeze { .. } => Ok(()),
            Command::Change { account, change } => check_change(*account, change),
            Command::MoveClock { by_us } if *by_us > 0 => Ok(()),
            Command::MoveClock { .. } => Err(Invalid::Clock),
            Command::Sweep { .. } | Command::Abandon => Ok(()),
        }
    }

    /// Only a transaction's record vouches for companions, and each has a key of its own.
    fn check_companions(&self) -> Result<(), Invalid> {
        at_most(self.companions.len(), Limits::COMPANIONS, "companions")?;
        for (place, companion) in self.companions.iter().enumerate() {
            at_most(companion.body.len(), Limits::COMPANION_BYTES, "bytes in a companion")?;
            let mut before = self.companions.iter().take(place);
            let repeated = before.any(|other| (other.kind, other.key) == (companion.kind, companion.key));
            if repeated || !matches!(self.command, Command::Transact { .. }) {
                return Err(Invalid::Companion { key: companion.key });
            }
        }
        Ok(())
    }

    /// SHA-256 over the companions, so that the record vouches for them; none when there are none.
    pub(crate) fn companions_digest(&self) -> Option<[u8; 32]> {
        digest_companions(self.companions.iter().map(|c| (c.kind, c.key, c.body.as_slice())))
    }
}

/// SHA-256 over companions in the order they were sent, lengths first.
pub(crate) fn digest_companions<'a>(companions: impl Iterator<Item = (i32, Uuid, &'a [u8])>) -> Option<[u8; 32]> {
    let mut context = None;
    for (kind, key, body) in companions {
        let hash = context.get_or_insert_with(|| Context::new(&SHA256));
        hash.update(&kind.to_be_bytes());
        hash.update(key.as_bytes());
        hash.update(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(body);
    }
    context.and_then(|hash| hash.finish().as_ref().try_into().ok())
}

fn check_transaction(open: &[NewAccount], transfers: &[Transfer], groups: &[Group]) -> Result<(), Invalid> {
    if transfers.is_empty() {
        return Err(Invalid::Empty);
    }
    at_most(open.len(), Limits::OPENS, "accounts to open")?;
    at_most(groups.len(), Limits::GROUPS, "optional groups")?;
    open.iter().try_for_each(check_account)?;
    let mut leg = 0_i32;
    for (place, transfer) in transfers.iter().chain(groups.iter().flat_map(Group::every)).enumerate() {
        at_most(place.saturating_add(1), Limits::TRANSFERS, "transfers")?;
        check_transfer(transfer, leg)?;
        check_rate(transfer, leg, transfers)?;
        leg = leg.saturating_add(1);
    }
    Ok(())
}

fn check_transfer(transfer: &Transfer, leg: i32) -> Result<(), Invalid> {
    let minor = transfer.amount.minor;
    let voids = matches!(transfer.how, How::Void { .. });
    if voids != (minor == 0) || !(0..=MAX_AMOUNT).contains(&minor) {
        return Err(Invalid::Amount { minor });
    }
    if transfer.debit == transfer.credit {
        return Err(Invalid::SameAccount { account: transfer.debit });
    }
    let date = |us: i64| (0..=Limits::LATEST_US).contains(&us);
    let ends = match transfer.how {
        How::Hold { expires_us } => expires_us.is_none_or(date),
        How::Move | How::UpTo | How::Owing | How::Capture { .. } | How::Void { .. } | How::Refund { .. } => true,
    };
    let lot = transfer.lot.is_none_or(|LotTerms { activates_us, expires_us, unit_cost, .. }| {
        let order = expires_us.is_none_or(|end| activates_us.is_none_or(|begin| begin < end));
        activates_us.is_none_or(date) && expires_us.is_none_or(date) && order && unit_cost >= 0
    });
    if ends && lot { Ok(()) } else { Err(Invalid::Dates { leg }) }
}

/// A rate refers to a mandatory transfer before it, and makes of that one's amount exactly this one's.
fn check_rate(transfer: &Transfer, leg: i32, transfers: &[Transfer]) -> Result<(), Invalid> {
    let Some(Rate { of, numerator, denominator }) = transfer.rate else { return Ok(()) };
    let other = usize::try_from(of).ok().filter(|_| of < leg).and_then(|of| transfers.get(of));
    let positive = numerator > 0 && denominator > 0 && matches!(transfer.how, How::Move);
    let made = other.filter(|other| positive && matches!(other.how, How::Move)).and_then(|other| {
        i128::from(other.amount.minor).checked_mul(numerator.into())?.checked_div(denominator.into())
    });
    if made == Some(transfer.amount.minor.into()) { Ok(()) } else { Err(Invalid::Rate { leg }) }
}

fn check_account(account: &NewAccount) -> Result<(), Invalid> {
    let floor_above_zero = account.floor.is_some_and(|floor| floor > 0);
    let ceiling_below_zero = account.ceiling.is_some_and(|ceiling| ceiling < 0);
    if floor_above_zero || ceiling_below_zero {
        return Err(Invalid::Limits { account: account.public_id });
    }
    let of_itself = account.nature.counterpart() == Some(account.public_id);
    let fits = match account.nature {
        Nature::Plain => true,
        Nature::Lots { grace_us, .. } => (0..=Limits::LATEST_US).contains(&grace_us) && account.floor == Some(0),
        Nature::Quota { allowance, .. } => {
            (0..=MAX_AMOUNT).contains(&allowance) && account.floor == Some(0) && account.ceiling.is_none()
        }
    };
    if fits && !of_itself { Ok(()) } else { Err(Invalid::Nature { account: account.public_id }) }
}

fn check_change(account: Uuid, change: &Change) -> Result<(), Invalid> {
    match change {
        Change::Limits { floor: Some(floor), ceiling: Some(ceiling) } if floor > ceiling => {
            Err(Invalid::Limits { account })
        }
        Change::Allowance { minor } if !(0..=MAX_AMOUNT).contains(minor) => Err(Invalid::Nature { account }),
        Change::Limits { .. } | Change::Allowance { .. } | Change::Closed { .. } => Ok(()),
    }
}

fn at_most(count: usize, limit: usize, what: &'static str) -> Result<(), Invalid> {
    if count > limit { Err(Invalid::TooMany { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
