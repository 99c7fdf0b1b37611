//! Opening the books of a journal: fence, read, and check that the rows agree with themselves before leading them.

use diesel::PgConnection;
use uuid::Uuid;

use super::commit::Decided;
use super::{Inner, JournalError, lock};
use crate::apply::{Map, State, VERSION};
use crate::forks;
use crate::probe::learn_dues;
use crate::record::SideChange;
use crate::store::{self, Head, StoreError};
use crate::{Account, JournalId, Record, Side};

/// Records replayed at a time.
const PAGE: i64 = 10_000;

/// A journal this node leads: its committed state, and where its next batch attaches.
pub(super) struct Book {
    pub(super) state: State,
    pub(super) fork: Uuid,
    pub(super) digest: Vec<u8>,
}

impl Book {
    /// Takes a batch in: from here on it is what the next one is decided on.
    pub(super) fn go_on(&mut self, batch: &Decided) {
        self.state.publish(&batch.applied);
        self.digest.clone_from(&batch.digest);
    }
}

/// Opens a journal's books under an epoch.
///
/// Raises the epoch first (a journal made since the term began is fenced here), then reads: the head is final from
/// there on, because nobody else can commit past it.
pub(super) fn open(
    conn: &mut PgConnection,
    inner: &Inner,
    journal: JournalId,
    epoch: i64,
) -> Result<Book, JournalError> {
    if store::head(conn, journal).map_err(unavailable)?.is_none() {
        return Err(JournalError::NoSuchJournal);
    }
    if !store::raise_epoch(conn, journal, epoch).map_err(unavailable)? {
        return Err(JournalError::NotLeader { leader: None });
    }
    // Fenced first: from here on whoever brings books in commits nothing more.
    if forks::is_unaccepted(conn, journal).map_err(unavailable)? {
        return Err(JournalError::Broken("they are being brought in, or nobody has accepted what that lost".into()));
    }
    let head = store::head(conn, journal).map_err(unavailable)?.ok_or(JournalError::NoSuchJournal)?;
    check_head(inner, journal, &head)?;
    let last = store::last_record(conn, journal).map_err(unavailable)?;
    if last != head.seq {
        return Err(JournalError::Broken(format!("the head is at seq {}, the last record at {last}", head.seq)));
    }
    let mut state = State {
        seq: head.seq,
        last_us: head.last_us,
        clock_offset_us: head.clock_offset_us,
        sandbox: head.sandbox,
        assets: store::assets(conn, journal).map_err(unavailable)?,
        accounts: Map::default(),
        by_public_id: Map::default(),
    };
    replay(conn, journal, &mut state)?;
    let ids: Vec<_> = state.accounts.keys().copied().collect();
    learn_dues(conn, journal, &mut state, &ids).map_err(unavailable)?;
    Ok(Book { state, fork: head.fork, digest: head.digest })
}

fn check_head(inner: &Inner, journal: JournalId, head: &Head) -> Result<(), JournalError> {
    if head.version > VERSION {
        let wrong = format!("it was written by version {} of the rules, this binary knows {VERSION}", head.version);
        return Err(JournalError::Broken(wrong));
    }
    let acknowledged = lock(&inner.acknowledged).get(&journal).copied();
    if acknowledged.is_some_and(|(fork, seq)| fork != head.fork || seq > head.seq) {
        let wrong = format!(
            "the database is at seq {}, behind what this node has acknowledged: it was failed over or restored",
            head.seq
        );
        return Err(JournalError::Broken(wrong));
    }
    Ok(())
}

/// Brings every account that changed since the watermark to its exact standing.
fn replay(conn: &mut PgConnection, journal: JournalId, state: &mut State) -> Result<(), JournalError> {
    let mut from = store::watermark(conn, journal).map_err(unavailable)?;
    while from < state.seq {
        let upto = from.saturating_add(PAGE).min(state.seq);
        let records = store::rows::records(conn, journal, from.saturating_add(1), upto).map_err(unreadable)?;
        let dense = records.iter().map(|record| record.seq).eq(from.saturating_add(1)..=upto);
        if !dense {
            return Err(JournalError::Broken(format!("records between seq {from} and {upto} are missing")));
        }
        load_accounts(conn, journal, state, &records)?;
        records.iter().try_for_each(|record| replay_record(state, record))?;
        from = upto;
    }
    Ok(())
}

fn load_accounts(
    conn: &mut PgConnection,
    journal: JournalId,
    state: &mut State,
    records: &[Record],
) -> Result<(), JournalError> {
    let sides = records
        .iter()
        .flat_map(|record| record.body.transfers())
        .flat_map(|posted| [posted.debit.account, posted.credit.account]);
    let mut missing: Vec<i64> = sides.filter(|id| !state.accounts.contains_key(id)).map(|id| id.0).collect();
    missing.sort_unstable();
    missing.dedup();
    for account in store::accounts_by_id(conn, journal, &missing).map_err(unavailable)? {
        state.by_public_id.insert(account.public_id, account.id);
        state.accounts.insert(account.id, account);
    }
    Ok(())
}

fn replay_record(state: &mut State, record: &Record) -> Result<(), JournalError> {
    for posted in record.body.transfers() {
        let (debit, credit) = posted.kind.changes(posted.amount.minor);
        replay_side(state, record.seq, &posted.debit, debit)?;
        replay_side(state, record.seq, &posted.credit, credit)?;
    }
    Ok(())
}

/// Takes a row only on the version before it; rows the checkpoint already holds are passed over.
fn replay_side(state: &mut State, seq: i64, side: &Side, change: SideChange) -> Result<(), JournalError> {
    let broken = |what: &str| JournalError::Broken(format!("row of seq {seq}, account {}: {what}", side.public_id));
    let account = state.accounts.get_mut(&side.account).ok_or_else(|| broken("the account does not exist"))?;
    if side.version <= account.version {
        return Ok(());
    }
    if Some(side.version) != account.version.checked_add(1) {
        return Err(broken("a version is missing before it"));
    }
    let balance = account.balance.checked_add(change.balance);
    if balance != Some(side.balance) || account.held.checked_add(change.held) != Some(side.held) {
        return Err(broken("its balance does not follow from the one before"));
    }
    *account = Account { balance: side.balance, held: side.held, version: side.version, ..*account };
    Ok(())
}

pub(super) fn unavailable(error: StoreError) -> JournalError {
    tracing::error!(%error, "the journal's database call failed");
    JournalError::Unavailable
}

pub(super) fn unreadable(error: StoreError) -> JournalError {
    match error {
        // Checkpoints have passed what is archived: rows after them that are not here are no books to lead.
        StoreError::Corrupt { .. } | StoreError::Archived(_) => JournalError::Broken(error.to_string()),
        StoreError::Database(_) | StoreError::Connect(_) => unavailable(error),
    }
}
