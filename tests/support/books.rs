//! A journal without HTTP: what tests of the crate `ledger` against a real database ask of it.

use std::time::Duration;

use diesel::{Connection, PgConnection};
use ledger::{
    Amount, Answer, AssetId, Command, Config, Journal, JournalId, Key, Nature, NewAccount, NormalSide, Request, Scope,
    Transfer,
};
use uuid::Uuid;

use crate::{TestDb, eventually, fresh_key};

/// The journal that [`new_books`] makes.
pub const JOURNAL: JournalId = JournalId(1);
/// Its one asset.
pub const EUR: AssetId = AssetId(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// Empty books of a sandbox.
pub fn new_books(db: &TestDb<'_>) {
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    ledger::create_journal(&mut conn, JOURNAL, fresh_key(), true).unwrap();
    ledger::define_asset(&mut conn, JOURNAL, "EUR", 2).unwrap();
}

/// A journal that leads.
pub fn lead(db: &TestDb<'_>) -> Journal {
    let journal = Journal::start(Config::new(db.url(), fresh_key(), "here".into())).unwrap();
    eventually("the journal is led", PATIENCE, || journal.leads_all().then_some(()));
    journal
}

/// A request of client 7, its key standing for its body too.
pub fn request(key: Uuid, command: Command) -> Request {
    let key = Key { scope: Scope(7), key, fingerprint: key };
    Request { journal: JOURNAL, key, command, effective_us: None, meta: b"{}".to_vec(), companions: Vec::new() }
}

/// An account without limits.
pub fn account(public_id: Uuid) -> NewAccount {
    let nature = Nature::Plain;
    NewAccount {
        public_id,
        asset: EUR,
        normal_side: NormalSide::Credit,
        owner: None,
        floor: None,
        ceiling: None,
        nature,
    }
}

/// A transaction that moves one cent.
pub fn move_one(debit: Uuid, credit: Uuid, open: Vec<NewAccount>, claim: Option<ledger::Claim>) -> Command {
    let transfers = vec![Transfer::moving(debit, credit, Amount::new(1, EUR))];
    Command::Transact { id: fresh_key(), open, transfers, groups: Vec::new(), claim }
}

/// A transaction of these transfers.
pub fn transact(transfers: Vec<Transfer>) -> Command {
    Command::Transact { id: fresh_key(), open: Vec::new(), transfers, groups: Vec::new(), claim: None }
}

/// Asks, and expects an answer.
pub fn submit(journal: &Journal, request: Request) -> Answer {
    journal.submit_blocking(request, PATIENCE).unwrap()
}
