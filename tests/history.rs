//! History over many ranges: partitions made ahead and closed behind, and every balance, statement and trial balance the
//! same whichever of them hold it, on every node, at any time.
//!
//! Ranges here have some hundred seqs, so that a short book crosses several; the first one keeps its size, so the book
//! begins at its end.

use std::time::Duration;

use diesel::{Connection, PgConnection};
use ledger::read::{At, BalanceAt, ReadError, balance_at, balances, statement_of};
use ledger::{Amount, Command, History, Journal, JournalError, Place, Transfer};
use tessera_tests::books::{EUR, JOURNAL, account, lead, new_books, request, submit};
use tessera_tests::{Ground, TestDb, eventually, fresh_key, rows, run_sql, tessera};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
/// Seqs in a range.
const RANGE: i64 = 200;

/// A book whose next records end the first range, and ranges small enough to fill.
pub fn small_ranges(db: &TestDb<'_>) {
    new_books(db);
    let mut owner = PgConnection::establish(&db.owner_url()).unwrap();
    ledger::set_range_size(&mut owner, RANGE).unwrap();
    // The first range could be as short as any: what is in it does not depend on its length.
    run_sql(
        &db.super_url(),
        "UPDATE journal.range SET last_seq = 299 WHERE first_seq = 0; \
         ALTER TABLE journal.transfer DETACH PARTITION journal.transfer_0; \
         ALTER TABLE journal.transfer ATTACH PARTITION journal.transfer_0 FOR VALUES FROM (MINVALUE) TO (300)",
    );
}

/// Five accounts without limits.
fn accounts(journal: &Journal) -> Vec<Uuid> {
    let all: Vec<Uuid> = (0..5).map(|_| fresh_key()).collect();
    all.iter().for_each(|id| _ = submit(journal, request(fresh_key(), Command::Open(account(*id)))));
    all
}

/// The nth transaction: one or three legs between accounts that depend on n alone.
pub fn nth(accounts: &[Uuid], n: i64) -> Command {
    let at = |n: i64| accounts[usize::try_from(n).unwrap() % accounts.len()];
    let leg = |n: i64| Transfer::moving(at(n), at(n + 1 + n % 3), Amount::new(n % 7 + 1, EUR));
    let transfers = if n % 4 == 0 { vec![leg(n), leg(n + 1), leg(n + 2)] } else { vec![leg(n)] };
    Command::Transact { id: fresh_key(), open: Vec::new(), transfers, groups: Vec::new(), claim: None }
}

pub fn write(journal: &Journal, accounts: &[Uuid], from: i64, upto: i64) {
    // Ranges this small are filled faster than somebody looks whether there is room.
    for n in from..upto {
        let asked = request(fresh_key(), nth(accounts, n));
        eventually("there is room", PATIENCE, || match journal.submit_blocking(asked.clone(), PATIENCE) {
            Ok(_) => Some(()),
            Err(JournalError::NoRoom) => None,
            Err(error) => panic!("{error}"),
        });
    }
}

fn closed(db: &TestDb<'_>) -> usize {
    rows(&db.url(), "SELECT 1 FROM journal.part WHERE closed_at IS NOT NULL").len()
}

/// Every row of an account, oldest first, read in the plainest way: place, change, balance after.
fn plainly(db: &TestDb<'_>, account: Uuid) -> Vec<(Place, i64, i64)> {
    let text = format!(
        "SELECT t.seq, t.leg, CASE WHEN t.debit = a.id THEN -amount ELSE amount END, \
            CASE WHEN t.debit = a.id THEN debit_balance ELSE credit_balance END \
         FROM journal.account a JOIN journal.transfer t ON t.journal = a.journal AND a.id IN (t.debit, t.credit) \
         WHERE a.public_id = '{account}' ORDER BY 1, 2"
    );
    let number = |field: &Option<String>| field.as_ref().unwrap().parse::<i64>().unwrap();
    let read = |row: Vec<Option<String>>| {
        let place = Place { seq: number(&row[0]), leg: i32::try_from(number(&row[1])).unwrap() };
        (place, number(&row[2]), number(&row[3]))
    };
    rows(&db.url(), &text).into_iter().map(read).collect()
}

/// Balances at every seq, and statements by pages of seven, are what the rows say.
#[track_caller]
fn assert_history(db: &TestDb<'_>, history: &History, accounts: &[Uuid]) {
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let head = ledger::read::head(conn, JOURNAL).unwrap().unwrap().seq;
    let now = balances(conn, history, JOURNAL, accounts).unwrap();
    for account in accounts {
        let expected = plainly(db, *account);
        let own = now.iter().find(|one| one.public_id == *account).unwrap();
        let versions = i64::try_from(expected.len()).unwrap();
        assert_eq!((own.balance, own.version), (expected.last().map_or(0, |row| row.2), versions));
        for seq in (0..=head).step_by(3) {
            let then = expected.iter().take_while(|(place, ..)| place.seq <= seq).last().map_or(0, |row| row.2);
            let found = balance_at(conn, history, JOURNAL, *account, At::Seq(seq)).unwrap();
            assert_eq!(found, BalanceAt { asset: EUR, balance: then, seq }, "at {seq}");
        }
        let (mut before, mut found) = (None, Vec::new());
        loop {
            let page = statement_of(conn, history, JOURNAL, own.account, before, 7).unwrap().entries;
            before = page.last().map(ledger::read::Entry::place);
            found.extend(page.iter().map(|entry| (entry.place(), entry.change, entry.balance)));
            if page.len() < 7 {
                break;
            }
        }
        found.reverse();
        assert_eq!(found, expected);
    }
}

#[test]
fn history_over_many_ranges_is_what_the_rows_say_on_every_node_and_whatever_it_keeps_in_mind() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts = accounts(&journal);
    write(&journal, &accounts, 0, 280);
    assert_history(&db, journal.history(), &accounts);
    // Ends within a range: three are closed, one is open.
    for n in 280..850 {
        write(&journal, &accounts, n, n + 1);
        if n % 97 == 0 {
            assert_history(&db, journal.history(), &accounts[..1]);
        }
    }
    eventually("three ranges are closed", PATIENCE, || (closed(&db) == 3).then_some(()));
    assert_history(&db, journal.history(), &accounts);
    assert!(!journal.history().is_empty(), "the open range is kept in mind");
    // Another node, and one that may keep nothing in mind.
    assert_history(&db, &History::default(), &accounts);
    assert_history(&db, &History::with_limit(0), &accounts);
    let sums = rows(&db.url(), "SELECT sum(balance), count(*) FROM journal.balance");
    assert_eq!(sums, [[Some("0".to_owned()), Some("5".to_owned())]]);
    journal.stop();
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    assert!(ledger::verify::verify(conn, JOURNAL, |_, _| {}).unwrap().ok);
}

/// Nothing of a range that was being made or closed is left when it was cut off, and the next try does all of it.
#[test]
fn a_range_that_was_cut_off_while_it_was_made_or_closed_is_made_and_closed_by_the_next_leader() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts = accounts(&journal);
    write(&journal, &accounts, 0, 160);
    eventually("there is a second range", PATIENCE, || {
        (!rows(&db.url(), "SELECT 1 FROM journal.part WHERE first_seq > 0").is_empty()).then_some(())
    });
    // As a crash leaves it: the function ran to its end, its transaction did not.
    journal.stop();
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let head = "SELECT seq FROM journal.head";
    run_sql(&db.super_url(), "UPDATE journal.head SET seq = 499");
    let failed = conn.transaction::<(), _, _>(|conn| {
        use diesel::connection::SimpleConnection;
        conn.batch_execute("SELECT journal.make_room(1), journal.close_range(1)")?;
        Err(diesel::result::Error::RollbackTransaction)
    });
    assert_eq!(failed, Err(diesel::result::Error::RollbackTransaction));
    let last: i64 = rows(&db.url(), "SELECT max(seq) FROM journal.record")[0][0].as_ref().unwrap().parse().unwrap();
    run_sql(&db.super_url(), &format!("UPDATE journal.head SET seq = {last}"));
    assert_eq!(rows(&db.url(), head)[0][0], Some(last.to_string()));
    assert_eq!(closed(&db), 0);
    let journal = lead(&db);
    write(&journal, &accounts, 160, 520);
    eventually("two ranges are closed", PATIENCE, || (closed(&db) == 2).then_some(()));
    assert_history(&db, journal.history(), &accounts);
    journal.stop();
}

/// The app role asks for partitions and has no other right to make any.
#[test]
fn the_app_role_makes_no_table_and_no_more_room_than_is_due() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let run = |conn: &mut PgConnection, text: &str| {
        use diesel::connection::SimpleConnection;
        conn.batch_execute(text)
    };
    for refused in [
        "CREATE TABLE journal.mine (one int)",
        "DROP TABLE journal.transfer_0",
        "INSERT INTO journal.part VALUES (1, 0, 299)",
        "INSERT INTO journal.range VALUES (300, 400)",
        "UPDATE journal.layout SET records = 100",
        "DELETE FROM journal.places",
        "INSERT INTO journal.places VALUES (1, 1, 1, '{1}')",
        "UPDATE journal.transfer SET amount = 1",
        "SELECT journal.make_room(99)",
    ] {
        assert!(run(conn, refused).is_err(), "{refused}");
    }
    for _ in 0..5 {
        run(conn, "SELECT journal.make_room(1), journal.close_range(1)").unwrap();
    }
    assert_eq!(rows(&db.url(), "SELECT first_seq FROM journal.range").len(), 1, "an empty book needs no second range");
}

#[test]
fn a_writer_that_finds_no_room_says_so_and_goes_on_once_there_is_some() {
    let db = Ground::fast().database();
    small_ranges(&db);
    // Whoever makes room is not let.
    run_sql(&db.super_url(), "REVOKE EXECUTE ON FUNCTION journal.make_room(bigint) FROM tessera_app");
    let journal = lead(&db);
    let accounts = accounts(&journal);
    let refused = (0..400).find_map(|n| {
        let asked = request(fresh_key(), nth(&accounts, n));
        journal.submit_blocking(asked, PATIENCE).err()
    });
    assert_eq!(refused, Some(JournalError::NoRoom));
    let seq = "SELECT seq FROM journal.head";
    assert_eq!(rows(&db.url(), seq)[0][0].as_deref(), Some("299"), "nothing happened past the end");
    let epoch = journal.latest_epoch();
    run_sql(&db.super_url(), "GRANT EXECUTE ON FUNCTION journal.make_room(bigint) TO tessera_app");
    eventually("there is room", PATIENCE, || {
        journal.submit_blocking(request(fresh_key(), nth(&accounts, 1)), PATIENCE).ok()
    });
    assert_eq!(journal.latest_epoch(), epoch, "the leader stays");
    assert_history(&db, journal.history(), &accounts);
    journal.stop();
}

#[test]
fn case_72_an_account_that_is_not_there_is_an_error_at_any_date() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let (conn, history) = (&mut PgConnection::establish(&db.url()).unwrap(), History::default());
    let nobody = fresh_key();
    for at in [At::Now, At::Seq(1), At::Recorded(0), At::Effective(0)] {
        let found = balance_at(conn, &history, JOURNAL, nobody, at);
        assert!(matches!(found, Err(ReadError::UnknownAccount(id)) if id == nobody), "{at:?}: {found:?}");
    }
}

/// Balances of the past are read by places: a forged one, and one that is gone, would tell another past.
#[test]
fn a_place_that_is_not_where_an_accounts_rows_are_is_named_by_verify() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts = accounts(&journal);
    write(&journal, &accounts, 0, 520);
    eventually("two ranges are closed", PATIENCE, || (closed(&db) == 2).then_some(()));
    journal.stop();
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let verify = |conn: &mut PgConnection| ledger::verify::verify(conn, JOURNAL, |_, _| {}).unwrap().broken;
    assert_eq!(verify(conn), None);
    for forged in [
        "UPDATE journal.places SET places[2] = places[2] + 1 WHERE account = 2",
        "UPDATE journal.places SET places = places[:3] || places[5:] WHERE account = 3",
        "UPDATE journal.places SET places = places[2:] WHERE account = 3 AND upto >> 20 > 300",
        "UPDATE journal.places SET upto = upto + 1 WHERE account = 1",
        "DELETE FROM journal.places WHERE account = 1 AND upto >> 20 < 300",
        "DELETE FROM journal.places",
        "INSERT INTO journal.places SELECT journal, 99, upto, places FROM journal.places WHERE account = 4",
        "INSERT INTO journal.places SELECT journal, account, upto + (1000 << 20), places FROM journal.places WHERE account = 4",
        "UPDATE journal.part SET closed_at = now() WHERE closed_at IS NULL",
    ] {
        let kept = "CREATE TABLE public.kept AS TABLE journal.places; CREATE TABLE public.parts AS TABLE journal.part";
        run_sql(&db.super_url(), &format!("{kept}; {forged}"));
        assert_eq!(verify(conn).map(|broken| broken.check), Some(ledger::verify::Check::Places), "{forged}");
        let back = "TRUNCATE journal.places, journal.part; INSERT INTO journal.places TABLE public.kept; \
            INSERT INTO journal.part TABLE public.parts; DROP TABLE public.kept, public.parts";
        run_sql(&db.super_url(), back);
    }
    assert_eq!(verify(conn), None);
}

#[test]
fn the_size_of_ranges_to_come_is_told_and_set() {
    let db = Ground::fast().database();
    let tell = |words: &[&str]| {
        let (url, owner) = (db.url(), db.owner_url());
        tessera(&[&["ranges"], words].concat())
            .env("DATABASE_URL", url)
            .env("DATABASE_OWNER_URL", owner)
            .output()
            .unwrap()
    };
    let records = |words: &[&str]| String::from_utf8(tell(words).stdout).unwrap();
    assert_eq!(records(&["--json"]), "{\"records\":1048576}\n");
    assert_eq!(records(&["5000", "--json"]), "{\"records\":5000}\n");
    assert_eq!(records(&[]), "ranges that are made from now on have 5000 records\n");
    for wrong in ["99", "100000001"] {
        assert!(!tell(&[wrong]).status.success(), "{wrong}");
    }
    assert_eq!(records(&["--json"]), "{\"records\":5000}\n");
}
