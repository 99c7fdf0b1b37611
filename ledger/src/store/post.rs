//! The calls that commit a batch: all at once, or its rows first.

use std::sync::LazyLock;

use diesel::connection::SimpleConnection as _;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use super::columns::Rows;
use crate::JournalId;
use crate::apply::Applied;
use crate::bind::{Arg, statement};

/// What a batch is committed as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commit<'a> {
    pub(crate) journal: JournalId,
    pub(crate) epoch: i64,
    /// Of the rules it was decided by; the head stands on it.
    pub(crate) version: i32,
    pub(crate) first_seq: i64,
    pub(crate) digest: &'a [u8],
}

/// A function of the database, with how many arguments it has. `STATE` is for batches that change more than balances.
type Function = (&'static str, usize);
const HEAD_OF: Function = ("journal.head", 8);
const ROWS_OF: Function = ("journal.rows", 45);
const STATE_OF: Function = ("journal.state", 42);

static POST: LazyLock<String> = LazyLock::new(|| calls(&[HEAD_OF, ROWS_OF]));
static POST_STATE: LazyLock<String> = LazyLock::new(|| calls(&[HEAD_OF, ROWS_OF, STATE_OF]));
static ROWS: LazyLock<String> = LazyLock::new(|| calls(&[ROWS_OF]));
static ROWS_STATE: LazyLock<String> = LazyLock::new(|| calls(&[ROWS_OF, STATE_OF]));
static HEAD: LazyLock<String> = LazyLock::new(|| calls(&[HEAD_OF]));

/// One statement that calls these functions, one after the other.
fn calls(functions: &[Function]) -> String {
    let call = |(name, count): &Function| format!("{name}({})", vec!["?"; *count].join(", "));
    format!("SELECT {}", functions.iter().map(call).collect::<Vec<_>>().join(", "))
}

/// Commits a batch: one statement, one round trip, one durable commit. The head is moved first: whoever is fenced off
/// writes nothing.
pub(crate) fn post(conn: &mut PgConnection, commit: Commit<'_>, applied: &Applied, rows: &Rows) -> QueryResult<()> {
    let mut args = head_args(commit, applied);
    rows.args(commit, applied, &mut args);
    let text = rows.with_state(commit.journal, &mut args, &POST, &POST_STATE);
    statement::<()>(text, &args).execute(conn).map(|_| ())
}

/// Opens a transaction and writes a batch's rows into it. They count once [`land`] has moved the head.
pub(crate) fn lay(conn: &mut PgConnection, commit: Commit<'_>, applied: &Applied, rows: &Rows) -> QueryResult<()> {
    conn.batch_execute("BEGIN")?;
    let mut args = Vec::new();
    rows.args(commit, applied, &mut args);
    let text = rows.with_state(commit.journal, &mut args, &ROWS, &ROWS_STATE);
    statement::<()>(text, &args).execute(conn).map(|_| ())
}

/// Moves the head past the rows that [`lay`] wrote on this session, and commits both.
pub(crate) fn land(conn: &mut PgConnection, commit: Commit<'_>, applied: &Applied) -> QueryResult<()> {
    statement::<()>(&HEAD, &head_args(commit, applied)).execute(conn)?;
    conn.batch_execute("COMMIT")
}

/// Gives up what [`lay`] wrote. A session that is gone has given it up by itself.
pub(crate) fn give_up(conn: &mut PgConnection) {
    _ = conn.batch_execute("ROLLBACK");
}

fn head_args<'a>(commit: Commit<'a>, applied: &Applied) -> Vec<Arg<'a>> {
    vec![
        Arg::Int(commit.journal.0),
        Arg::Int(commit.epoch),
        Arg::Int(commit.first_seq),
        Arg::Int(applied.seq),
        Arg::Int4(commit.version),
        Arg::Int(applied.last_us),
        Arg::Int(applied.clock_offset_us),
        Arg::Bytes(commit.digest),
    ]
}
