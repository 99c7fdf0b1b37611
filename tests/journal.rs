//! The journal itself, without HTTP: deadlines, twins, followers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use ledger::follow;
use ledger::{Body, Claim, Command, JournalError, NewAccount, Refusal, Request};
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

/// JOURNAL 17: thousands at once go through the pipe, twins and rivals for a claim among them, and each is done once, in an
/// order that its answers, the rows and the sums agree on.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_ask_at_once_is_done_once_each_and_no_floor_is_passed() {
    const ASKED: usize = 6_000;
    const FUNDS: usize = 2_000;
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead(&db);
    let (source, payer, shop) = (fresh_key(), fresh_key(), fresh_key());
    let bound = NewAccount { floor: Some(0), ..account(payer) };
    let pay = |from: Uuid, to: Uuid, claim| request(fresh_key(), move_one(from, to, Vec::new(), claim));
    tokio::task::block_in_place(|| {
        let opening = move_one(source, payer, vec![account(source), bound, account(shop)], None);
        submit(&journal, request(fresh_key(), opening));
    });
    let funding = (1..FUNDS).map(|_| pay(source, payer, None));
    // Every third competes with some others for a claim.
    let claim = |n: usize| n.is_multiple_of(3).then(|| Claim(Uuid::from_u128(u128::try_from(n % 999).unwrap())));
    let spending = (0..ASKED).map(|n| pay(payer, shop, claim(n)));
    let mut all: Vec<Request> = funding.chain(spending).collect();
    // Each again, half of the way later: some in the same batch, some behind it, some after it.
    let twins: Vec<Request> = all.iter().skip(1_000).cloned().collect();
    all.extend(twins);
    let deadline = Instant::now() + Duration::from_secs(60);
    let asked = all.iter().map(|request| journal.submit(request.clone(), deadline));
    let answers: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();

    let (first, twins) = answers.split_at(FUNDS - 1 + ASKED);
    assert!(first.iter().skip(1_000).zip(twins).all(|(one, twin)| one.record == twin.record && twin.replayed));
    let mut seqs: Vec<i64> = first.iter().map(|answer| answer.record.seq).collect();
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(seqs[0]..seqs[0] + i64::try_from(seqs.len()).unwrap()), "one record each");
    let refused = |answer: &&ledger::Answer| matches!(answer.record.body, Body::Refused { .. });
    let spent =
        |answer: &&ledger::Answer| matches!(answer.record.body, Body::Refused { refusal: Refusal::ClaimSpent { .. } });
    let done = first[FUNDS - 1..].iter().enumerate().filter(|(_, answer)| !refused(answer));
    let claims: Vec<Claim> = done.filter_map(|(n, _)| claim(n)).collect();
    assert_eq!(claims.iter().collect::<BTreeSet<_>>().len(), claims.len(), "a claim was used twice");
    assert!(first.iter().filter(spent).count() > 0, "nobody competed");
    let paid = first[FUNDS - 1..].iter().filter(|answer| !refused(answer)).count();
    let balance = "SELECT balance FROM journal.balance WHERE public_id = ";
    let balance = |id: Uuid| rows(&db.super_url(), &format!("{balance}'{id}'"))[0][0].clone().unwrap();
    assert_eq!((balance(shop), balance(payer)), (paid.to_string(), (FUNDS - paid).to_string()));
    assert!(journal.status().piped_batches > 0, "nothing went through the pipe: {:?}", journal.status());
    tokio::task::block_in_place(|| journal.stop());
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    let report = ledger::verify::verify(&mut conn, JOURNAL, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.broken);
}
