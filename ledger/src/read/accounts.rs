//! Accounts with their terms, one or a page of them, and what all of them hold together.
//!
//! Pages go by account number, which is the seq that opened it, so a page never skips an account nor repeats one. Whether
//! an account stands where it should is [`verify`](crate::verify)'s to say. Not here: totals at a past date.

use diesel::sql_types::{BigInt, Integer, Text, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Balance, balances};
use crate::History;
use crate::bind::{Arg, statement};
use crate::store::{self, StoreError};
use crate::{Account, AssetId, JournalId};

/// An account with the terms in force, as it truly stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// The account.
    pub account: Account,
    /// Earned, and not to be spent yet.
    pub pending: i64,
}

impl Current {
    /// What may be spent now: the balance less what is held and what cannot be spent yet.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.account.balance.saturating_sub(self.account.held).saturating_sub(self.pending)
    }
}

/// These accounts with the terms in force, as they truly stand; those that do not exist are left out.
///
/// # Errors
/// [`StoreError`].
pub fn accounts(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    public_ids: &[Uuid],
) -> Result<Vec<Current>, StoreError> {
    // Terms first: what is then read of the balance may be newer, never older.
    let found = store::accounts_by_public_id(conn, journal, public_ids)?;
    let stand = balances(conn, history, journal, public_ids)?;
    let current = |account: Account| match stand.iter().find(|one| one.account == account.id) {
        Some(&Balance { balance, held, version, pending, .. }) => {
            Current { account: Account { balance, held, version, ..account }, pending }
        }
        None => Current { account, pending: 0 },
    };
    let mut current: Vec<_> = found.into_iter().map(current).collect();
    current.sort_by_key(|current| current.account.id);
    Ok(current)
}

/// What these accounts hold; those that do not exist are left out.
///
/// # Errors
/// [`StoreError`].
pub fn assets_held(
    conn: &mut PgConnection,
    journal: JournalId,
    public_ids: &[Uuid],
) -> Result<Vec<(Uuid, AssetId)>, StoreError> {
    let found = store::accounts_by_public_id(conn, journal, public_ids)?;
    Ok(found.into_iter().map(|account| (account.public_id, account.asset)).collect())
}

/// Which accounts to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this owner's.
    pub owner: Option<Uuid>,
    /// Only of this asset.
    pub asset: Option<AssetId>,
}

/// The first `limit` accounts after the number `after`, by number.
///
/// # Errors
/// [`StoreError`].
pub fn page(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    filter: Filter,
    after: i64,
    limit: i64,
) -> Result<Vec<Current>, StoreError> {
    const ALL: &str = "SELECT public_id FROM journal.account WHERE journal = ? AND id > ? \
        AND coalesce(asset = ?, true) ORDER BY id LIMIT ?";
    const OWNED: &str = "SELECT public_id FROM journal.account WHERE journal = ? AND id > ? \
        AND coalesce(asset = ?, true) AND owner = ? ORDER BY id LIMIT ?";
    let assets = filter.asset.map(|asset| i64::from(asset.0));
    let (journal_arg, after, limit) = (Arg::Int(journal.0), Arg::Int(after), Arg::Int(limit));
    let asset = Arg::OptionInt(assets);
    let owned = filter.owner.map(|owner| [journal_arg, after, asset, Arg::Uuid(owner), limit]);
    let ids: Vec<Uuid> = match &owned {
        Some(args) => statement::<(SqlUuid,)>(OWNED, args).load::<(Uuid,)>(conn)?,
        None => statement::<(SqlUuid,)>(ALL, &[journal_arg, after, asset, limit]).load::<(Uuid,)>(conn)?,
    }
    .into_iter()
    .map(|(id,)| id)
    .collect();
    accounts(conn, history, journal, &ids)
}

/// What all accounts of an asset hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// Of which asset.
    pub asset: AssetId,
    /// How many accounts.
    pub accounts: i64,
    /// The sum of the balances above zero, as digits: it may not fit 64 bits.
    pub above_zero: String,
    /// The sum of those below zero, with its sign. Together they are zero, or the books are wrong.
    pub below_zero: String,
    /// The sum of what is held.
    pub held: String,
}

/// The totals of every asset that has an account, by asset. Reads every account: not for every minute.
///
/// # Errors
/// [`StoreError`].
pub fn totals(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<Total>, StoreError> {
    const TEXT: &str = "SELECT asset, count(*), \
        coalesce(sum(balance) FILTER (WHERE balance > 0), 0)::text, \
        coalesce(sum(balance) FILTER (WHERE balance < 0), 0)::text, coalesce(sum(held), 0)::text \
        FROM journal.balance WHERE journal = ? GROUP BY asset ORDER BY asset";
    type Row = (Integer, BigInt, Text, Text, Text);
    let rows = statement::<Row>(TEXT, &[Arg::Int(journal.0)]).load::<(i32, i64, String, String, String)>(conn)?;
    let read = |(asset, accounts, above_zero, below_zero, held)| Total {
        asset: AssetId(asset),
        accounts,
        above_zero,
        below_zero,
        held,
    };
    Ok(rows.into_iter().map(read).collect())
}
