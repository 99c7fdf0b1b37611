//! Memory (JOURNAL 22, 23): a node that may keep few accounts in mind decides as one that keeps all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use ledger::{
    Amount, Answer, Body, Command, Config, How, Journal, Memory, NewAccount, Posted, Refusal, Request, Transfer,
};
use tessera_tests::books::{EUR, JOURNAL, account, move_one, new_books, request, submit, transact};
use tessera_tests::{Dice, Ground, TestDb, eventually, fresh_key, rows};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);
/// Accounts in use, and as many of them may be in memory.
const IN_USE: usize = 300;
const ROOM: usize = 40;

/// A journal that leads and keeps few accounts.
fn lead_forgetful(db: &TestDb<'_>) -> Journal {
    let memory = Memory { accounts: ROOM, ..Memory::default() };
    let config = Config { memory, ..Config::new(db.url(), fresh_key(), "here".into()) };
    let journal = Journal::start(config).unwrap();
    eventually("the journal is led", PATIENCE, || journal.leads_all().then_some(()));
    journal
}

/// Accounts that may not go below zero, each with a cent of the source's.
fn open_all(journal: &Journal) -> (Uuid, Vec<Uuid>) {
    let source = fresh_key();
    submit(journal, request(fresh_key(), Command::Open(account(source))));
    let ids: Vec<Uuid> = (0..IN_USE).map(|_| fresh_key()).collect();
    for id in &ids {
        let bound = NewAccount { floor: Some(0), ..account(*id) };
        submit(journal, request(fresh_key(), move_one(source, *id, vec![bound], None)));
    }
    (source, ids)
}

/// Each row begins where the account's last one ended, and nothing is refused that could be paid.
#[derive(Default)]
struct Fold(BTreeMap<Uuid, (i64, i64)>);

impl Fold {
    fn take(&mut self, answers: &[Answer]) {
        let mut answers: Vec<_> = answers.iter().collect();
        answers.sort_unstable_by_key(|answer| answer.record.seq);
        for answer in answers {
            match &answer.record.body {
                Body::Transaction { transfers, .. } => transfers.iter().for_each(|posted| self.post(posted)),
                Body::Refused { refusal: Refusal::Floor { account, .. }, .. } => {
                    assert_eq!(self.0.get(account).map_or(0, |(balance, _)| *balance), 0, "it had the cent");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn post(&mut self, posted: &Posted) {
        for (side, change) in [(&posted.debit, -1), (&posted.credit, 1)] {
            let (balance, version) = self.0.entry(side.public_id).or_default();
            (*balance, *version) = (*balance + change, *version + 1);
            assert_eq!((side.balance, side.version), (*balance, *version), "account {}", side.public_id);
        }
    }
}

/// JOURNAL 23: alone and by thousands, through the pipe and not, whoever was let go comes back as it was.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_left_memory_come_back_as_they_were() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead_forgetful(&db);
    let (source, ids) = tokio::task::block_in_place(|| open_all(&journal));
    let mut fold = Fold::default();
    fold.0.insert(source, (-i64::try_from(IN_USE).unwrap(), i64::try_from(IN_USE).unwrap()));
    fold.0.extend(ids.iter().map(|id| (*id, (1, 1))));
    let mut dice = Dice::thrown("accounts_that_left_memory_come_back_as_they_were");
    let until = Instant::now() + PATIENCE;
    let mut rounds = 0;
    while rounds < 40 || journal.status().evicted_accounts < 2_000 {
        assert!(Instant::now() < until, "hardly anything left memory: {:?}", journal.status());
        let count = [1, 7, 300, 900][rounds % 4];
        let pay = |_| request(fresh_key(), move_one(dice.pick(&ids), dice.pick(&ids), Vec::new(), None));
        let asked: Vec<Request> = (0..count).map(pay).filter(|one| one.check().is_ok()).collect();
        let answers = journal.submit_all(asked, until).await;
        fold.take(&answers.into_iter().map(Result::unwrap).collect::<Vec<_>>());
        rounds += 1;
    }
    let status = journal.status();
    assert!(status.piped_batches > 0, "nothing went through the pipe: {status:?}");
    // A moment's peace, and no more than the setting says are there.
    tokio::task::block_in_place(|| {
        eventually("memory is as small as was said", PATIENCE, || {
            submit(&journal, request(fresh_key(), move_one(source, ids[0], Vec::new(), None)));
            (journal.status().accounts <= ROOM).then_some(())
        });
        journal.stop();
    });
    let told = rows(&db.super_url(), "SELECT public_id, balance FROM journal.balance");
    for row in told {
        let (id, balance): (Uuid, i64) =
            (row[0].as_ref().unwrap().parse().unwrap(), row[1].as_ref().unwrap().parse().unwrap());
        if id != source && id != ids[0] {
            assert_eq!(balance, fold.0[&id].0);
        }
    }
    let report = ledger::verify::verify(&mut PgConnection::establish(&db.url()).unwrap(), JOURNAL, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.broken);
}

/// What time does to an account it does whether or not anybody has it in mind.
#[test]
fn what_is_held_on_an_account_that_left_memory_is_held_and_expires() {
    let db = Ground::fast().database();
    new_books(&db);
    let journal = lead_forgetful(&db);
    let (source, ids) = open_all(&journal);
    let by = |how, debit, credit| Transfer::by(how, debit, credit, Amount::new(1, EUR));
    let now_us = submit(&journal, request(fresh_key(), Command::MoveClock { by_us: 1 })).record.recorded_us;
    let hold = by(How::Hold { expires_us: Some(now_us + 3_600_000_000) }, ids[0], source);
    submit(&journal, request(fresh_key(), transact(vec![hold])));
    let spend = || submit(&journal, request(fresh_key(), move_one(ids[0], source, Vec::new(), None)));
    let forget = || {
        let before = journal.status().evicted_accounts;
        let mut others = ids[1..].iter().cycle();
        eventually("accounts leave", PATIENCE, || {
            submit(&journal, request(fresh_key(), move_one(source, *others.next().unwrap(), Vec::new(), None)));
            (journal.status().evicted_accounts > before + u64::try_from(2 * IN_USE).unwrap()).then_some(())
        });
    };
    forget();
    assert!(matches!(&spend().record.body, Body::Refused { .. }), "what is held was spent");
    submit(&journal, request(fresh_key(), Command::MoveClock { by_us: 2 * 3_600_000_000 }));
    forget();
    assert!(matches!(&spend().record.body, Body::Transaction { .. }), "what has expired is still held");
    journal.stop();
    let report = ledger::verify::verify(&mut PgConnection::establish(&db.url()).unwrap(), JOURNAL, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.broken);
}
