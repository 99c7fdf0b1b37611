//! The two axes of time: what was recorded by a date, and what counts by it. Balances, trial balances and statements at
//! any date, against the plainest fold of the rows, across closed and open ranges, read and unread by the follower.

use std::thread;
use std::time::Duration;

use diesel::{Connection, PgConnection};
use ledger::read::{
    At, Entry, Statement, TrialBalance, Until, Window, balance_at, seq_at, statement, trial_balance, window,
};
use ledger::{Command, History, Journal};
use tessera_tests::books::{EUR, JOURNAL, account, lead, move_one, new_books, request, submit};
use tessera_tests::{Ground, TestDb, eventually, fresh_key, rows, run_sql};
use uuid::Uuid;

use crate::history::{nth, small_ranges, write};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_US: i64 = 86_400_000_000;

/// A leg as it was recorded and as it counts.
struct Leg {
    seq: i64,
    recorded_us: i64,
    effective_us: i64,
    debit: Uuid,
    credit: Uuid,
    amount: i64,
}

fn legs(db: &TestDb<'_>) -> Vec<Leg> {
    let text = "SELECT t.seq, r.recorded_us, r.effective_us, d.public_id, c.public_id, t.amount FROM journal.transfer t \
        JOIN journal.record r USING (journal, seq) JOIN journal.account d ON d.id = t.debit \
        JOIN journal.account c ON c.id = t.credit ORDER BY t.seq, t.leg";
    let number = |field: &Option<String>| field.as_ref().unwrap().parse::<i64>().unwrap();
    let id = |field: &Option<String>| field.as_ref().unwrap().parse::<Uuid>().unwrap();
    let read = |row: Vec<Option<String>>| Leg {
        seq: number(&row[0]),
        recorded_us: number(&row[1]),
        effective_us: number(&row[2]),
        debit: id(&row[3]),
        credit: id(&row[4]),
        amount: number(&row[5]),
    };
    rows(&db.url(), text).into_iter().map(read).collect()
}

fn balance_of(account: Uuid, legs: &[Leg], counts: impl Fn(&Leg) -> bool) -> i64 {
    let change = |leg: &Leg| match account {
        _ if account == leg.debit => -leg.amount,
        _ if account == leg.credit => leg.amount,
        _ => 0,
    };
    legs.iter().filter(|leg| counts(leg)).map(change).sum()
}

fn open(journal: &Journal, count: usize) -> Vec<Uuid> {
    let all: Vec<Uuid> = (0..count).map(|_| fresh_key()).collect();
    all.iter().for_each(|id| _ = submit(journal, request(fresh_key(), Command::Open(account(*id)))));
    all
}

/// Posts one cent, to count at a date.
fn dated(journal: &Journal, debit: Uuid, credit: Uuid, effective_us: i64) {
    let asked = request(fresh_key(), move_one(debit, credit, Vec::new(), None));
    submit(journal, ledger::Request { effective_us: Some(effective_us), ..asked });
}

fn connect(db: &TestDb<'_>) -> PgConnection {
    PgConnection::establish(&db.url()).unwrap()
}

fn at(db: &TestDb<'_>, history: &History, account: Uuid, at: At) -> i64 {
    balance_at(&mut connect(db), history, JOURNAL, account, at).unwrap().balance
}

#[test]
fn case_68_what_is_dated_back_changes_past_effective_balances_and_no_recorded_one() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 2);
    let (from, to) = (accounts[0], accounts[1]);
    dated(&journal, from, to, 10 * DAY_US + 5);
    submit(&journal, request(fresh_key(), move_one(from, to, Vec::new(), None)));
    let now = ledger::read::head(&mut connect(&db), JOURNAL).unwrap().unwrap().last_us;
    let history = journal.history();
    let read = |when| at(&db, history, to, when);
    let before: Vec<i64> = (0..=4).map(|seq| read(At::Seq(seq))).collect();
    assert_eq!((read(At::Effective(10 * DAY_US + 4)), read(At::Effective(10 * DAY_US + 5))), (0, 1));
    assert_eq!((read(At::Effective(now)), read(At::Recorded(now)), read(At::Recorded(now - DAY_US))), (2, 2, 0));

    dated(&journal, from, to, 9 * DAY_US);
    assert_eq!((0..=4).map(|seq| read(At::Seq(seq))).collect::<Vec<_>>(), before, "what was recorded stays");
    assert_eq!(read(At::Recorded(now)), 2, "it was not recorded then");
    let effective = [9 * DAY_US - 1, 9 * DAY_US, 10 * DAY_US + 4, 10 * DAY_US + 5, now];
    assert_eq!(effective.map(|us| read(At::Effective(us))), [0, 1, 1, 2, 3]);
    // What is to count only in the future does not count yet.
    dated(&journal, from, to, now + DAY_US);
    assert_eq!([now + DAY_US - 1, now + DAY_US].map(|us| read(At::Effective(us))), [3, 4]);
    assert_eq!(read(At::Now), 4);
    journal.stop();
}

#[test]
fn case_69_two_records_in_one_microsecond_are_both_before_or_both_after_any_date() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 2);
    let one = || submit(&journal, request(fresh_key(), move_one(accounts[0], accounts[1], Vec::new(), None)));
    // Those that wait together are one batch, and a batch has one time.
    let together = eventually("two records of one microsecond", PATIENCE, || {
        thread::scope(|scope| (0..8).for_each(|_| _ = scope.spawn(one)));
        let text =
            "SELECT recorded_us, max(seq), count(*) FROM journal.record WHERE kind = 1 GROUP BY 1 HAVING count(*) > 1";
        rows(&db.url(), text).into_iter().next()
    });
    let number = |place: usize| together[place].as_ref().unwrap().parse::<i64>().unwrap();
    let (us, last, count) = (number(0), number(1), number(2));
    assert_eq!(seq_at(&mut connect(&db), JOURNAL, us).unwrap(), last);
    let history = journal.history();
    let (then, before) =
        (at(&db, history, accounts[1], At::Recorded(us)), at(&db, history, accounts[1], At::Recorded(us - 1)));
    assert_eq!(then - before, count);
    assert_eq!(then, at(&db, history, accounts[1], At::Effective(us)));
    journal.stop();
}

#[test]
fn case_71_an_account_stands_at_zero_before_its_first_entry_and_before_it_was_opened() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 3);
    submit(&journal, request(fresh_key(), move_one(accounts[0], accounts[1], Vec::new(), None)));
    let history = journal.history();
    for when in [At::Seq(0), At::Seq(3), At::Seq(-5), At::Recorded(0), At::Recorded(i64::MIN), At::Effective(0)] {
        assert_eq!(at(&db, history, accounts[1], when), 0, "{when:?}");
    }
    for when in [At::Now, At::Seq(i64::MAX), At::Recorded(i64::MAX), At::Effective(253_402_300_799_000_000)] {
        assert_eq!(at(&db, history, accounts[1], when), 1, "{when:?}");
        assert_eq!(at(&db, history, accounts[2], when), 0, "it never had an entry: {when:?}");
    }
    let nothing = trial_balance(&mut connect(&db), history, JOURNAL, At::Recorded(0), Until::ENDLESS).unwrap();
    assert_eq!(nothing, TrialBalance { seq: 0, assets: Vec::new() }, "nothing was open then");
    journal.stop();
}

/// All pages of a window.
fn pages(db: &TestDb<'_>, history: &History, account: Uuid, window: Window, between: impl Fn()) -> Vec<Statement> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = statement(&mut connect(db), history, JOURNAL, account, window, before, 7).unwrap();
        before = page.entries.last().map(Entry::place);
        let has_more = page.has_more;
        all.push(page);
        if !has_more {
            return all;
        }
        between();
    }
}

#[test]
fn case_73_opening_and_changes_are_closing_over_all_pages_while_writes_go_on() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 5);
    write(&journal, &accounts, 0, 420);
    let conn = &mut connect(&db);
    let text = "SELECT recorded_us FROM journal.record WHERE seq IN (100, 400) ORDER BY seq";
    let times = rows(&db.url(), text);
    let us = |place: usize| times[place][0].as_ref().unwrap().parse::<i64>().unwrap();
    let count = std::cell::Cell::new(420);
    let write_on = || {
        write(&journal, &accounts, count.get(), count.get() + 9);
        count.set(count.get() + 9);
    };
    for (from, until) in [(0, None), (us(0), Some(us(1))), (us(0), None), (us(1), Some(us(0)))] {
        let window = window(conn, JOURNAL, from, until).unwrap();
        for account in &accounts[..2] {
            let pages = pages(&db, journal.history(), *account, window, write_on);
            let (opening, closing) = (pages[0].opening, pages[0].closing);
            let entries: Vec<&Entry> = pages.iter().flat_map(|page| &page.entries).collect();
            assert!(pages.iter().all(|page| (page.opening, page.closing) == (opening, closing)));
            assert_eq!(opening + entries.iter().map(|entry| entry.change).sum::<i64>(), closing);
            let legs = legs(&db);
            assert_eq!(opening, balance_of(*account, &legs, |leg| leg.seq <= window.after));
            assert_eq!(closing, balance_of(*account, &legs, |leg| leg.seq <= window.upto));
            let all = legs.iter().filter(|leg| [leg.debit, leg.credit].contains(account));
            assert_eq!(all.filter(|leg| leg.seq > window.after && leg.seq <= window.upto).count(), entries.len());
            assert!(entries.is_sorted_by(|one, next| one.place() > next.place()), "newest first, none twice");
            for entry in entries {
                let time_is_in = entry.recorded_us >= from && until.is_none_or(|until| entry.recorded_us < until);
                assert!(time_is_in && entry.seq > window.after && entry.seq <= window.upto);
            }
        }
    }
    journal.stop();
}

/// Dates all over three weeks, some ahead, most as they are recorded; read while the follower has taken in all, some and
/// nothing of it.
#[test]
fn balances_and_trial_balances_on_both_axes_are_the_fold_of_the_rows() {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 5);
    for n in 0..500_i64 {
        write(&journal, &accounts, n, n + 1);
        if n % 3 == 0 {
            let Command::Transact { transfers, .. } = nth(&accounts, n) else { unreachable!() };
            dated(&journal, transfers[0].debit, transfers[0].credit, (n * 7 % 21) * DAY_US + n * 1_000_003);
        }
        if n == 400 {
            journal.stop();
            break;
        }
    }
    let read = "SELECT seq FROM journal.follower WHERE name = 'dated'";
    let taken: i64 = rows(&db.url(), read)[0][0].as_ref().unwrap().parse().unwrap();
    assert!(taken > 100, "the follower came to {taken}");
    let legs = legs(&db);
    let mut times: Vec<i64> = legs.iter().step_by(29).flat_map(|leg| [leg.effective_us, leg.recorded_us]).collect();
    times.extend([0, 5 * DAY_US - 1, 5 * DAY_US, 21 * DAY_US, i64::MAX / 2]);
    let history = History::default();
    let conn = &mut connect(&db);
    for us in &times {
        let effective = trial_balance(conn, &history, JOURNAL, At::Effective(*us), Until::ENDLESS).unwrap();
        let recorded = trial_balance(conn, &history, JOURNAL, At::Recorded(*us), Until::ENDLESS).unwrap();
        for (trial, axis) in [(&effective, "effective"), (&recorded, "recorded")] {
            assert!(trial.assets.iter().all(|(_, total)| total.is_balanced()), "{axis} {us}: {trial:?}");
        }
        let folded = |counts: &dyn Fn(&Leg) -> bool| -> Vec<i64> {
            accounts.iter().map(|account| balance_of(*account, &legs, counts)).collect()
        };
        let by = |when: At| accounts.iter().map(|account| at(&db, &history, *account, when)).collect::<Vec<_>>();
        let expected = folded(&|leg| leg.effective_us <= *us);
        assert_eq!(by(At::Effective(*us)), expected, "effective at {us}");
        assert_eq!(by(At::Recorded(*us)), folded(&|leg| leg.recorded_us <= *us), "recorded at {us}");
        let credits: i64 = expected.iter().filter(|balance| **balance > 0).sum();
        let total = effective.assets.iter().find(|(asset, _)| *asset == EUR).map_or(0, |(_, total)| total.credits);
        assert_eq!(total, i128::from(credits));
    }
    // The same when the follower has read nothing at all.
    let effective = |us: &i64| accounts.iter().map(|account| at(&db, &history, *account, At::Effective(*us))).collect();
    let read: Vec<Vec<i64>> = times.iter().map(effective).collect();
    run_sql(
        &db.super_url(),
        "TRUNCATE journal.dated, journal.dated_day; UPDATE journal.follower SET seq = 0 WHERE name = 'dated'",
    );
    assert_eq!(times.iter().map(effective).collect::<Vec<Vec<i64>>>(), read);
}

/// Balances at an effective date are read by what the follower wrote down: forged, it would tell another past.
#[test]
fn what_is_kept_of_dated_rows_and_is_not_what_the_records_say_is_named_by_verify() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let accounts = open(&journal, 2);
    for n in 0..9 {
        dated(&journal, accounts[0], accounts[1], (n % 3) * DAY_US + n);
    }
    let head = "SELECT 1 FROM journal.follower f JOIN journal.head h USING (journal, seq) WHERE name = 'dated'";
    eventually("the follower has read all", PATIENCE, || (!rows(&db.url(), head).is_empty()).then_some(()));
    journal.stop();
    let conn = &mut connect(&db);
    let verify = |conn: &mut PgConnection| ledger::verify::verify(conn, JOURNAL, |_, _| {}).unwrap().broken;
    assert_eq!(verify(conn), None);
    for forged in [
        "UPDATE journal.dated SET sum = sum + 1 WHERE seq = 7",
        "UPDATE journal.dated SET change = change + 1 WHERE seq = 7 AND change < 0",
        "UPDATE journal.dated SET effective_us = effective_us + 1 WHERE seq = 5",
        "DELETE FROM journal.dated WHERE seq = 11",
        "INSERT INTO journal.dated SELECT journal, account, seq, leg + 1, effective_us, change, sum FROM journal.dated WHERE seq = 4",
        "TRUNCATE journal.dated",
        "UPDATE journal.dated_day SET net = net - 1 WHERE day = 1",
        "DELETE FROM journal.dated_day WHERE day = 2",
        "INSERT INTO journal.dated_day VALUES (1, 1, 77, 0)",
        "UPDATE journal.follower SET seq = seq - 1 WHERE name = 'dated'",
    ] {
        let kept = ["dated", "dated_day", "follower"];
        let keep = kept.map(|table| format!("CREATE TABLE public.{table} AS TABLE journal.{table}; ")).concat();
        run_sql(&db.super_url(), &format!("{keep} {forged}"));
        assert_eq!(verify(conn).map(|broken| broken.check), Some(ledger::verify::Check::Dated), "{forged}");
        let back = |table| {
            format!(
                "TRUNCATE journal.{table}; INSERT INTO journal.{table} TABLE public.{table}; DROP TABLE public.{table};"
            )
        };
        run_sql(&db.super_url(), &kept.map(back).concat());
    }
    assert_eq!(verify(conn), None);
}
