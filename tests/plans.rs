//! Plans (JOURNAL 16): what the writer reads is planned once, on empty tables, and must still be index probes when the
//! tables have hundreds of thousands of rows. A plan that scans would cost a hundred times as much, and nobody would see
//! it in a test with ten rows.
//!
//! What was read is asked of PostgreSQL's own counters, so the statements are the writer's, not copies of them.

use std::time::Duration;

use diesel::{Connection as _, PgConnection};
use ledger::read;
use ledger::{
    Amount, Body, Claim, Command, How, Journal, LegRef, LotTerms, NEVER, Nature, NewAccount, RowKind, Transfer,
};
use tessera_tests::books::{EUR, JOURNAL, account, lead, move_one, new_books, request, submit, transact};
use tessera_tests::{Ground, TestDb, eventually, fresh_key, rows, run_sql};
use uuid::Uuid;

/// Requests measured.
const REQUESTS: i64 = 200;
const PATIENCE: Duration = Duration::from_secs(20);

/// Tables that the writer probes.
const PROBED: [&str; 10] =
    ["account", "key", "claim", "record", "transfer_0", "companion", "batch", "hold", "lot", "link"];

/// Many accounts, keys, claims, open holds, lots, refunds, records with a transfer and a companion each, of this very journal. Their seqs are
/// below one, where the journal does not look, and so is every plan's worst case.
fn fill(db: &TestDb<'_>, count: i64) {
    let uuid = |what: &str| format!("md5('{what}' || i)::uuid");
    let all = |insert: &str| format!("INSERT INTO journal.{insert} FROM generate_series(1, {count}) AS i;");
    let (account, key, claim, record, companion) = (uuid("a"), uuid("k"), uuid("c"), uuid("r"), uuid("x"));
    let campaign = uuid("l");
    let body = Body::Transaction { transfers: Vec::new(), dropped: Vec::new(), claim: None, companions: None };
    let body: String = body.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let inserts = [
        all(&format!("account (journal, id, public_id, asset, normal_side) SELECT 1, -i, {account}, 1, 1")),
        all(&format!("key SELECT 1, 7, {key}, {key}, -i")),
        all(&format!("claim SELECT 1, {claim}, -i")),
        all(&format!("record SELECT 1, -i, 1, {record}, 0, 0, '\\x{body}', '\\x'")),
        all(&format!("transfer SELECT 1, -i, 0, 1, 1, -i, -1 - i % {count}, 1, 0, 0, -i, 0, 0, -i")),
        all(&format!("companion SELECT 1, 1, {companion}, -i, 0, '\\x'")),
        all("batch SELECT 1, -i, -i, 0, 1, 0, '\\x'"),
        all(&format!("hold SELECT 1, -i, 0, -i, -1 - i % {count}, 1, 5, 5, {NEVER}")),
        all(&format!("lot SELECT 1, -i, {NEVER}, 0, 0, {campaign}, 0, 5, 0")),
        all("link SELECT 1, -i, 0, -i, 0, 1, 1"),
    ];
    std::thread::scope(|scope| {
        for insert in &inserts {
            scope.spawn(|| run_sql(&db.super_url(), insert));
        }
    });
}

/// How often [`hold_and_earn`] is measured.
const LIVES: i64 = 20;

/// Everything that probes holds, lots and rows to be moved back, once, on accounts of its own.
fn hold_and_earn(journal: &Journal) {
    let [payer, payee, breakage, club] = [(); 4].map(|()| fresh_key());
    let post = |transfer: Transfer| {
        let answer = submit(journal, request(fresh_key(), transact(vec![transfer])));
        assert!(matches!(answer.record.body, Body::Transaction { .. }), "{:?}", answer.record.body);
        LegRef { seq: answer.record.seq, leg: 0 }
    };
    let by = |how: How, debit, credit, minor| Transfer::by(how, debit, credit, Amount::new(minor, EUR));
    let nature = Nature::Lots { breakage, grace_us: 0 };
    let keeps_lots = NewAccount { floor: Some(0), nature, ..account(club) };
    for new in [account(payer), account(payee), account(breakage), keeps_lots] {
        submit(journal, request(fresh_key(), Command::Open(new)));
    }
    let held = post(by(How::Hold { expires_us: None }, payer, payee, 5));
    let captured = post(by(How::Capture { hold: held }, payer, payee, 3));
    post(by(How::Void { hold: held }, payer, payee, 0));
    post(by(How::Refund { of: captured, owing: false }, payee, payer, 2));
    let earned = post(by(How::Move, payer, club, 9));
    post(by(How::Refund { of: earned, owing: false }, club, payer, 1));
    post(by(How::Move, club, breakage, 2));
    let held = post(by(How::Hold { expires_us: None }, club, breakage, 3));
    post(by(How::Capture { hold: held }, club, breakage, 1));
    // What is due is probed for when it is.
    let now_us = submit(journal, request(fresh_key(), Command::MoveClock { by_us: 1 })).record.recorded_us;
    let expires_us = Some(now_us + 60_000_000);
    post(by(How::Hold { expires_us }, payer, payee, 4));
    post(Transfer { lot: Some(LotTerms { expires_us, ..LotTerms::default() }), ..by(How::Move, payer, club, 2) });
    submit(journal, request(fresh_key(), Command::MoveClock { by_us: 120_000_000 }));
    // Written down by whoever comes first: the sweeper, or these.
    post(by(How::Move, payer, payee, 1));
    post(by(How::Move, club, breakage, 1));
}

/// Some of the loaded ids of a kind.
fn loaded(db: &TestDb<'_>, count: i64, what: &str) -> Vec<Uuid> {
    let step = count / REQUESTS - 1;
    let text = format!("SELECT md5('{what}' || n * {step})::uuid FROM generate_series(1, {REQUESTS}) AS n");
    rows(&db.url(), &text).into_iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
}

/// Per table: sequential scans, rows they read, rows that index probes fetched.
type Reads = Vec<(String, i64, i64, i64)>;

fn reads(db: &TestDb<'_>) -> Reads {
    let tables = PROBED.map(|table| format!("'{table}'")).join(", ");
    // And every range.
    let text = format!(
        "SELECT relname, seq_scan, seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables \
         WHERE schemaname = 'journal' AND (relname IN ({tables}) OR relname LIKE 'transfer%') ORDER BY relname"
    );
    let number = |field: &Option<String>| field.as_ref().unwrap().parse::<i64>().unwrap();
    let read = |row: Vec<Option<String>>| (row[0].clone().unwrap(), number(&row[1]), number(&row[2]), number(&row[3]));
    rows(&db.super_url(), &text).into_iter().map(read).collect()
}

/// Nothing was scanned, and probes fetched about as many rows as were asked for.
#[track_caller]
fn assert_probes_only(what: &str, before: &Reads, after: &Reads) {
    for ((table, scans, scanned, fetched), (_, scans_then, scanned_then, fetched_then)) in before.iter().zip(after) {
        assert_eq!((scans_then - scans, scanned_then - scanned), (0, 0), "{what}: {table} was scanned");
        let fetched = fetched_then - fetched;
        assert!(fetched <= 20 * REQUESTS, "{what}: probes of {table} fetched {fetched} rows");
    }
}

#[test]
fn what_the_writer_reads_is_probes_of_an_index_when_it_was_planned_on_empty_tables() {
    probes_only(&Ground::fast().database(), 300_000, false);
}

/// The other trap: statistics of tables that hold a few rows, taken at a bad moment, make a scan of all look cheap.
#[test]
fn what_the_writer_reads_is_probes_of_an_index_when_it_was_planned_on_tables_known_to_be_small() {
    probes_only(&Ground::fast().database(), 200_000, true);
}

/// `count` rows of each kind lie in the requests' way.
fn probes_only(db: &TestDb<'_>, count: i64, known_small: bool) {
    // No statistics and no new plans in between: the plans stay those of the empty tables.
    for table in PROBED {
        run_sql(&db.super_url(), &format!("ALTER TABLE journal.{table} SET (autovacuum_enabled = off)"));
    }
    new_books(db);

    // Plans every statement while the tables are empty: openings, a transfer, a claim, a replay, a spent claim.
    let journal = lead(db);
    let (one, other) = (fresh_key(), fresh_key());
    submit(&journal, request(fresh_key(), move_one(one, other, vec![account(one), account(other)], None)));
    let plan_all = || {
        let (new, newer, claim) = (fresh_key(), fresh_key(), Claim(fresh_key()));
        let first = request(fresh_key(), move_one(new, newer, vec![account(new), account(newer)], Some(claim)));
        submit(&journal, first.clone());
        assert!(submit(&journal, first.clone()).replayed);
        submit(&journal, request(fresh_key(), move_one(one, other, Vec::new(), Some(claim))));
        let freeze = Command::Freeze { account: other, debits: true, credits: false };
        submit(&journal, request(fresh_key(), freeze));
        hold_and_earn(&journal);
        checkpointed(db);
    };
    plan_all();
    if known_small {
        // New statistics make every session plan anew at its next use.
        PROBED.iter().for_each(|table| run_sql(&db.super_url(), &format!("ANALYZE journal.{table}")));
        plan_all();
    }
    fill(db, count);
    let (accounts, keys, claims) = (loaded(db, count, "a"), loaded(db, count, "k"), loaded(db, count, "c"));

    let before = reads(db);
    for ((account, key), claim) in accounts.iter().zip(&keys).zip(&claims) {
        // An account not in memory, a new key and a new claim.
        let new = move_one(*account, other, Vec::new(), Some(Claim(fresh_key())));
        assert!(!submit(&journal, request(fresh_key(), new)).replayed);
        // A claim spent long ago, a key used then for something else, and one asked for again.
        let spent = move_one(one, other, Vec::new(), Some(Claim(*claim)));
        let refused = submit(&journal, request(fresh_key(), spent));
        assert!(matches!(refused.record.body, Body::Refused { .. }));
        let again = submit(&journal, request(*key, move_one(one, other, Vec::new(), None)));
        assert!(
            again.replayed && matches!(&again.record.body, Body::Transaction { transfers, .. } if transfers.len() == 1)
        );
        let mut reused = request(*key, move_one(one, other, Vec::new(), None));
        reused.key.fingerprint = fresh_key();
        assert!(journal.submit_blocking(reused, Duration::from_secs(20)).is_err());
        let freeze = Command::Freeze { account: *account, debits: true, credits: false };
        submit(&journal, request(fresh_key(), freeze));
    }
    (0..LIVES).for_each(|_| hold_and_earn(&journal));
    // The end of the sessions, after their last checkpoint, hands their counters in.
    journal.stop();
    let after = settled(db);
    assert_probes_only("the writer", &before, &after);

    // A start replays what lies after the watermark: by index too, on new sessions.
    run_sql(&db.super_url(), &format!("UPDATE journal.watermark SET seq = seq - {REQUESTS}"));
    let before = reads(db);
    let journal = lead(db);
    submit(&journal, request(fresh_key(), move_one(one, other, Vec::new(), None)));
    journal.stop();
    assert_probes_only("a start", &before, &settled(db));
}

/// Lists of records by date ask where the dates lie, and read a page.
#[test]
fn lists_of_records_by_date_are_probes_of_an_index() {
    let db = Ground::fast().database();
    for table in PROBED {
        run_sql(&db.super_url(), &format!("ALTER TABLE journal.{table} SET (autovacuum_enabled = off)"));
    }
    new_books(&db);
    let journal = lead(&db);
    let (one, other) = (fresh_key(), fresh_key());
    let first = submit(&journal, request(fresh_key(), move_one(one, other, vec![account(one), account(other)], None)));
    for _ in 0..20 {
        submit(&journal, request(fresh_key(), move_one(one, other, Vec::new(), None)));
    }
    let history = journal.history().clone();
    let account = {
        let conn = &mut PgConnection::establish(&db.url()).unwrap();
        read::balances(conn, &history, JOURNAL, &[one]).unwrap()[0].account
    };
    journal.stop();
    fill(&db, 200_000);
    let before = settled(&db);
    {
        let conn = &mut PgConnection::establish(&db.url()).unwrap();
        for turn in 0..50 {
            let window = read::window(conn, JOURNAL, first.record.recorded_us, Some(i64::MAX - turn)).unwrap();
            let (found, next) = read::records::before(conn, JOURNAL, window, None, Some(1), 5).unwrap();
            assert_eq!((found.len(), next.is_some()), (5, true));
            let entries = read::statement_within(conn, &history, JOURNAL, account, window, None, 5).unwrap();
            assert_eq!(entries.entries.len(), 5);
        }
    }
    assert_probes_only("a list", &before, &settled(&db));
}

/// The same behind the wall (docs/adr/0012): what says whose rows a request may see is no reason to read others.
#[test]
fn what_requests_read_of_one_tenant_is_probes_of_an_index() {
    let db = Ground::fast().database();
    for table in PROBED {
        run_sql(&db.super_url(), &format!("ALTER TABLE journal.{table} SET (autovacuum_enabled = off)"));
    }
    new_books(&db);
    let journal = lead(&db);
    let (one, other) = (fresh_key(), fresh_key());
    let first = submit(&journal, request(fresh_key(), move_one(one, other, vec![account(one), account(other)], None)));
    let key = fresh_key();
    submit(&journal, request(key, move_one(one, other, Vec::new(), None)));
    let history = journal.history().clone();
    journal.stop();
    fill(&db, 200_000);
    // And somebody else's, who is not read either.
    run_sql(
        &db.super_url(),
        "INSERT INTO journal.head SELECT 2, fork, version, epoch, seq, 0, 0, true FROM journal.head",
    );
    let (accounts, companions) = (loaded(&db, 200_000, "a"), loaded(&db, 200_000, "x"));
    let before = settled(&db);
    {
        let conn = &mut crate::tenancy::session(&db, JOURNAL.0);
        let key = ledger::Key { scope: ledger::Scope(7), key, fingerprint: key };
        for (account, companion) in accounts.iter().zip(&companions) {
            read::in_snapshot(conn, |conn| {
                let found = read::balances(conn, &history, JOURNAL, &[*account, one])?;
                assert_eq!(found.len(), 2);
                let window = read::window(conn, JOURNAL, first.record.recorded_us, None).unwrap();
                read::statement_within(conn, &history, JOURNAL, found[1].account, window, None, 5)?;
                assert!(read::companion(conn, JOURNAL, 1, *companion)?.is_some());
                assert!(read::answer_to(conn, JOURNAL, &key)?.is_some());
                let open = read::HoldFilter { open: true, expiring_before_us: None };
                assert_eq!(read::holds(conn, JOURNAL, *account, open, None, 5)?.unwrap().len(), 1);
                let page = read::lots(conn, &history, JOURNAL, *account, read::LotFilter::default(), None, 5)?;
                assert_eq!(page.unwrap().lots.len(), 1);
                Ok::<_, ledger::StoreError>(())
            })
            .unwrap();
        }
    }
    assert_probes_only("a request", &before, &settled(&db));
}

/// Rows of ranges that were closed long ago are moved back and told again, and no range is read through for it.
#[test]
fn what_the_writer_reads_of_closed_ranges_is_probes_of_an_index() {
    let db = Ground::fast().database();
    crate::history::small_ranges(&db);
    let journal = lead(&db);
    let (payer, payee) = (fresh_key(), fresh_key());
    let first = request(fresh_key(), move_one(payer, payee, vec![account(payer), account(payee)], None));
    submit(&journal, first.clone());
    let mut asked = vec![first];
    for _ in 0..1_100 {
        let next = request(fresh_key(), move_one(payer, payee, Vec::new(), None));
        eventually("there is room", PATIENCE, || journal.submit_blocking(next.clone(), PATIENCE).ok());
        asked.push(next);
    }
    let open = "SELECT 1 FROM journal.part p JOIN journal.head h USING (journal) \
        WHERE p.last_seq <= h.seq AND p.closed_at IS NULL";
    eventually("what is full is closed", PATIENCE, || rows(&db.url(), open).is_empty().then_some(()));
    // The sessions that closed them hand their counters in.
    journal.stop();
    let before = settled(&db);
    let ranges = before.iter().filter(|(table, ..)| table.starts_with("transfer_")).count();
    assert!(ranges >= 5, "not many ranges: {before:?}");

    let journal = lead(&db);
    for request_before in asked.iter().step_by(15) {
        let again = submit(&journal, request_before.clone());
        let [row] = again.record.body.transfers() else { panic!("{again:?}") };
        assert!(again.replayed && row.kind == RowKind::Move);
        let of = LegRef { seq: again.record.seq, leg: row.leg };
        let back = Transfer::by(How::Refund { of, owing: false }, payee, payer, Amount::new(1, EUR));
        let back = submit(&journal, request(fresh_key(), transact(vec![back])));
        assert!(matches!(back.record.body, Body::Transaction { .. }), "{:?}", back.record.body);
    }
    journal.stop();
    assert_probes_only("the writer", &before, &settled(&db));
}

/// Waits until what was posted is checkpointed, so that the checkpointer has planned its statements too.
fn checkpointed(db: &TestDb<'_>) {
    let behind = "SELECT 1 FROM journal.head h JOIN journal.watermark w USING (journal) WHERE w.seq < h.seq";
    eventually("the watermark is at the head", Duration::from_secs(20), || {
        rows(&db.url(), behind).is_empty().then_some(())
    });
}

/// The counters once the journal's sessions are gone.
fn settled(db: &TestDb<'_>) -> Reads {
    let sessions =
        format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{}' AND usename = 'tessera_app'", db.name());
    eventually("the journal's sessions end", Duration::from_secs(10), || {
        rows(&db.super_url(), &sessions).is_empty().then_some(())
    });
    reads(db)
}
