//! What is due on accounts that are read: it counts, whoever wrote it down or will.

use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl};

use super::Balance;
use crate::bind::{Arg, statement};
use crate::store::{self, StoreError};
use crate::{JournalId, probe};

/// Takes off what has expired by the journal's clock, and tells what cannot be spent yet. All of it, and the balances, have
/// to be read of one state.
pub(super) fn count(conn: &mut PgConnection, journal: JournalId, balances: &mut [Balance]) -> Result<(), StoreError> {
    let may_be_due = balances.iter().filter(|balance| balance.may_be_due());
    let ids: Vec<i64> = may_be_due.map(|balance| balance.account.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let Some(now_us) = now_us(conn, journal)? else { return Ok(()) };
    for (id, pending) in store::found::pending(conn, journal, &ids, now_us)? {
        balances.iter_mut().filter(|one| one.account == id).for_each(|one| one.pending = pending);
    }
    let next = store::found::next_expiries(conn, journal, &ids)?;
    let due: Vec<i64> = next.into_iter().filter(|(_, at_us)| *at_us <= now_us).map(|(id, _)| id.0).collect();
    if due.is_empty() {
        return Ok(());
    }
    let mut accounts = store::accounts_by_id(conn, journal, &due)?;
    for account in &mut accounts {
        if let Some(stands) = balances.iter().find(|balance| balance.account == account.id) {
            (account.balance, account.held, account.version) = (stands.balance, stands.held, stands.version);
        }
    }
    for account in probe::count_dues(conn, journal, accounts, now_us)? {
        for stands in balances.iter_mut().filter(|balance| balance.account == account.id) {
            (stands.balance, stands.held) = (account.balance, account.held);
        }
    }
    Ok(())
}

/// The journal's time: the database's, as far ahead as the journal's clock is, never before its last record.
pub(super) fn now_us(conn: &mut PgConnection, journal: JournalId) -> Result<Option<i64>, StoreError> {
    const TEXT: &str = "SELECT greatest(last_us, clock_offset_us + (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) \
        FROM journal.head WHERE journal = ?";
    let rows = statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    Ok(rows.first().map(|(now_us,)| *now_us))
}
