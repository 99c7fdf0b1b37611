//! Dated rows: what the follower of the effective axis has written down, against the records it has read.
//!
//! Balances at an effective date are told by these rows, so one that is missing, forged or put in would tell another past
//! of an account whose recorded balances are right. Records and rows were seen to follow before; here the server derives
//! from them what the two tables must hold up to the follower's cursor. Dated rows are few. Those of archived ranges were held
//! against their files before, where these are at hand; here their sums are.

use diesel::sql_types::{BigInt, Nullable};
use diesel::{PgConnection, RunQueryDsl};

use super::{Check, Stop, broken};
use crate::JournalId;
use crate::bind::{Arg, statement};

/// Every dated row with its account's sum so far, and per account and day their net.
pub(super) fn check(conn: &mut PgConnection, journal: JournalId) -> Result<(), Stop> {
    const ROWS: &str = "WITH told AS MATERIALIZED ( \
            SELECT account, seq, leg, effective_us, change, \
                (sum(change) OVER (PARTITION BY account ORDER BY seq, leg))::bigint AS sum \
            FROM (SELECT r.seq, t.leg, side.account, r.effective_us, side.change FROM journal.record r \
                JOIN journal.transfer t ON t.journal = r.journal AND t.seq = r.seq \
                CROSS JOIN LATERAL (VALUES (t.debit, -t.amount), (t.credit, t.amount)) AS side (account, change) \
                WHERE r.journal = ? AND r.effective_us <> r.recorded_us AND t.kind IN (1, 3) AND r.seq <= \
                    coalesce((SELECT seq FROM journal.follower WHERE journal = ? AND name = 'dated'), 0) \
                UNION ALL SELECT d.seq, d.leg, d.account, d.effective_us, d.change FROM journal.dated d \
                JOIN journal.archived a ON a.journal = d.journal AND d.seq BETWEEN a.first_seq AND a.last_seq \
                WHERE d.journal = ?) sides \
        ), kept AS MATERIALIZED ( \
            SELECT account, seq, leg, effective_us, change, sum FROM journal.dated WHERE journal = ? \
        ) SELECT min(seq) FROM ((TABLE told EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE told)) wrong";
    const DAYS: &str = "WITH told AS MATERIALIZED ( \
            SELECT account, effective_us / 86400000000 AS day, sum(change)::bigint AS net FROM journal.dated \
            WHERE journal = ? GROUP BY 1, 2 \
        ), kept AS MATERIALIZED (SELECT account, day, net FROM journal.dated_day WHERE journal = ?) \
        SELECT min(account) FROM ((TABLE told EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE told)) wrong";
    let journal = Arg::Int(journal.0);
    if let Some(seq) = first(conn, ROWS, &[journal; 4])? {
        return Err(broken(Check::Dated, seq, "what is kept of its date is not what the record says").into());
    }
    match first(conn, DAYS, &[journal; 2])? {
        Some(account) => {
            let what = format!("account {account}: the days kept of it are not those of its dated rows");
            Err(broken(Check::Dated, account, what).into())
        }
        None => Ok(()),
    }
}

fn first(conn: &mut PgConnection, text: &'static str, args: &[Arg<'_>]) -> Result<Option<i64>, Stop> {
    let rows = statement::<(Nullable<BigInt>,)>(text, args).load::<(Option<i64>,)>(conn)?;
    Ok(rows.into_iter().next().and_then(|(found,)| found))
}
