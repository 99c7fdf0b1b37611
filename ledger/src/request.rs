//! What callers ask of the journal.
//!
//! A request names accounts by their public ids and carries everything the commit will write for it: its idempotency
//! key, at most one claim, its companions. What can be judged without balances is judged here, before the queue, and
//! never spends the key.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Amount, LegRef, LotTerms, MAX_AMOUNT, Nature, NewAccount};

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
            Self::Open(_) | Self::Freeze { .. } | Self::Change { .. } | Self::MoveClock { .. } | Self::Abandon => {
                (&[], &[])
            }
        };
        transfers.iter().chain(groups.iter().flat_map(Group::every))
    }
}

/// A change of an account's rules, in force from its record on (JOURNAL 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Both limits anew; none is no limit. A floor above what is available is refused, and a ceiling below the balance.
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
    /// It would take more than a thousand lots, or so many are due on the account: ask again for less.
    #[error("account {account} has too many lots for one transaction")]
    TooManyLots {
        /// Which account.
        account: Uuid,
    },
    /// Production journals have no movable clock, and no clock goes back.
    #[error("this journal's clock cannot be moved so")]
    Clock,
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
            Command::Abandon => Ok(()),
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
mod tests {
    use super::*;
    use crate::{AssetId, NormalSide};

    fn request(command: Command) -> Request {
        let key = Key { scope: Scope(1), key: Uuid::from_u128(1), fingerprint: Uuid::from_u128(2) };
        Request { journal: JournalId(1), key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() }
    }

    fn moving(minor: i64) -> Transfer {
        let (debit, credit) = (Uuid::from_u128(3), Uuid::from_u128(4));
        Transfer::moving(debit, credit, Amount::new(minor, AssetId(1)))
    }

    fn transact(transfers: Vec<Transfer>, groups: Vec<Group>) -> Request {
        request(Command::Transact { id: Uuid::nil(), open: Vec::new(), transfers, groups, claim: None })
    }

    fn companion(kind: i32, key: u128, body: &[u8]) -> Companion {
        Companion { kind, key: Uuid::from_u128(key), body: body.to_vec() }
    }

    fn digest_of(companions: Vec<Companion>) -> Option<[u8; 32]> {
        Request { companions, ..transact(vec![moving(1)], Vec::new()) }.companions_digest()
    }

    #[test]
    fn sizes_pass_at_the_limit_and_not_above() {
        let fits = transact(vec![moving(1)], Vec::new());
        let with = |companions| Request { companions, ..fits.clone() };
        let meta = |len| Request { meta: vec![0; len], ..fits.clone() };
        assert_eq!(meta(Limits::META_BYTES).check(), Ok(()));
        assert!(matches!(
            meta(Limits::META_BYTES + 1).check(),
            Err(Invalid::TooMany { limit: Limits::META_BYTES, .. })
        ));
        let body = vec![0; Limits::COMPANION_BYTES + 1];
        let many: Vec<Companion> = (0_u128..).take(Limits::COMPANIONS + 1).map(|key| companion(1, key, b"")).collect();
        assert_eq!(with(vec![companion(1, 1, &body[1..])]).check(), Ok(()));
        assert!(matches!(with(vec![companion(1, 1, &body)]).check(), Err(Invalid::TooMany { .. })));
        assert_eq!(with(many[1..].to_vec()).check(), Ok(()));
        assert!(matches!(with(many).check(), Err(Invalid::TooMany { .. })));
        let twice = vec![companion(1, 1, b"a"), companion(1, 1, b"b")];
        assert!(matches!(with(twice).check(), Err(Invalid::Companion { .. })));
        let command = Command::MoveClock { by_us: 1 };
        let beside_a_clock = Request { command, companions: vec![companion(1, 1, b"")], ..fits.clone() };
        assert!(matches!(beside_a_clock.check(), Err(Invalid::Companion { .. })));
    }

    #[test]
    fn amounts_pass_from_one_to_the_limit_in_groups_too() {
        for (minor, passes) in [(i64::MIN, false), (0, false), (1, true), (MAX_AMOUNT, true), (MAX_AMOUNT + 1, false)] {
            let expected = if passes { Ok(()) } else { Err(Invalid::Amount { minor }) };
            assert_eq!(transact(vec![moving(minor)], Vec::new()).check(), expected);
            let group = Group::of(vec![moving(minor)]);
            assert_eq!(transact(vec![moving(1)], vec![group]).check(), expected);
        }
    }

    #[test]
    fn groups_alone_are_no_transaction() {
        assert_eq!(transact(Vec::new(), vec![Group::of(vec![moving(1)])]).check(), Err(Invalid::Empty));
    }

    #[test]
    fn an_account_opens_at_zero_within_its_limits() {
        let new = NewAccount {
            public_id: Uuid::from_u128(3),
            asset: AssetId(1),
            normal_side: NormalSide::Credit,
            owner: None,
            floor: None,
            ceiling: None,
            nature: Nature::Plain,
        };
        let limits = [(None, None, true), (Some(0), Some(0), true), (Some(1), None, false), (None, Some(-1), false)];
        for (floor, ceiling, passes) in limits {
            let checked = request(Command::Open(NewAccount { floor, ceiling, ..new.clone() })).check();
            assert_eq!(checked.is_ok(), passes, "{floor:?} {ceiling:?}");
        }
    }

    /// Put together by another program: kind, key, length and body of each, then SHA-256.
    #[test]
    fn golden_companions_digest() {
        let digest = digest_of(vec![companion(3, 0xd1, b"body"), companion(4, 0xd2, b"")]).unwrap();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "25778a6b68cf7cd92d8da7c8b68859c811da3745383ab013dadeb602ce9a97c9");
    }

    #[test]
    fn companions_are_told_apart_by_order_and_by_where_one_ends() {
        assert_eq!(digest_of(Vec::new()), None);
        let [a, b] = [companion(1, 1, b"a"), companion(1, 1, b"b")];
        assert_ne!(digest_of(vec![a.clone(), b.clone()]), digest_of(vec![b, a.clone()]));
        // One companion whose body spells out a second one.
        let mut both = a.body.clone();
        both.extend([1_i32.to_be_bytes().as_slice(), a.key.as_bytes(), &1_u64.to_be_bytes(), b"a"].concat());
        assert_ne!(digest_of(vec![a.clone(), a]), digest_of(vec![companion(1, 1, &both)]));
    }
}
