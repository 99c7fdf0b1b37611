//! The journal itself, without HTTP: deadlines, twins, followers.

use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use ledger::follow;
use ledger::{Command, JournalError, Request};
use tessera_tests::books::{JOURNAL, account, lead, move_one, new_books, request, submit};
use tessera_tests::{Ground, fresh_key, rows};
use uuid::Uuid;

fn opening_transfer() -> Request {
    let (one, other) = (fresh_key(), fresh_key());
    request(fresh_key(), move_one(one, other, vec![account(one), account(other)], None))
}

/// ADR 2: what was done is told, however late somebody asks; what was not done by then never is.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_request_gets_the_answer_its_key_has_or_is_dropped_for_good() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let (done, never) = (opening_transfer(), opening_transfer());
    let first = tokio::task::block_in_place(|| submit(&journal, done.clone()));
    let past = Instant::now() - Duration::from_secs(1);

    let late = journal.submit(done.clone(), past).await.unwrap();
    assert!(late.replayed);
    assert_eq!(late.record, first.record);
    let mut other_body = done;
    other_body.key.fingerprint = fresh_key();
    assert_eq!(journal.submit(other_body, past).await.unwrap_err(), JournalError::KeyReused);
    assert_eq!(journal.submit(never.clone(), past).await.unwrap_err(), JournalError::DeadlinePassed);
    // Its key is free: asked in time, it is done.
    assert!(!tokio::task::block_in_place(|| submit(&journal, never)).replayed);
    tokio::task::block_in_place(|| journal.stop());
}

/// Two keys of a batch may lead to one record: one asks for what was done, the other gives up what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_again_and_whoever_gives_up_in_one_batch_are_told_the_whole_record() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let done = opening_transfer();
    let first = tokio::task::block_in_place(|| submit(&journal, done.clone()));
    let mut given_up = request(done.key.key, Command::Abandon);
    given_up.key.fingerprint = Uuid::nil();
    let soon = Instant::now() + Duration::from_secs(20);
    for answer in journal.submit_all(vec![done, given_up], soon).await {
        assert_eq!(answer.unwrap().record, first.record);
    }
    tokio::task::block_in_place(|| journal.stop());
}

/// JOURNAL 31: a node that led before may find the cursor where it left it, and must not move it all the same.
#[test]
fn a_cursor_moved_under_a_later_epoch_is_not_moved_under_an_earlier_one() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    submit(&journal, opening_transfer());
    journal.stop();
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    let rest = follow::ahead(&mut conn, "test", JOURNAL).unwrap().unwrap();
    assert_eq!((rest.from, rest.upto), (0, 3));
    let (first, second) = (rest.first(1), follow::Span { from: 1, ..rest });

    assert!(follow::advance(&mut conn, "test", first, 5).unwrap());
    assert!(!follow::advance(&mut conn, "test", second, 4).unwrap(), "an epoch that is over");
    assert!(!follow::advance(&mut conn, "test", rest, 6).unwrap(), "a page from where the cursor was");
    assert!(follow::advance(&mut conn, "test", second, 5).unwrap());
    let stands = rows(&db.url(), "SELECT seq, epoch FROM journal.follower WHERE name = 'test'");
    assert_eq!(stands, [[Some("3".to_owned()), Some("5".to_owned())]]);
}
