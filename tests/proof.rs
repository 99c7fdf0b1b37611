//! The log of the journal, end to end: sealed beside the payments, proved over HTTP, checked with a public key alone, and
//! every lie about it found.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection};
use ledger::forks::Comparison;
use ledger::proof::{Hash, PublicKey, Receipt, Ring, Salts, SideOf, SignedHead, Signer, tree};
use ledger::sealing::{self, SealError, Sealed, Sealer};
use ledger::verify::leaves::{Against, LogCheck, LogReport, Mode, verify_log};
use ledger::{Journal, JournalId};
use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::books::{JOURNAL, account, lead, move_one, new_books, request, submit};
use tessera_tests::{
    Api, Ground, NodeProcess, Rewards, Run, TestApp, TestDb, World, eur, eventually, eventually_async, fresh_key,
    proof_dir, run_sql, scalar, scratch_dir, tessera,
};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;
use wallet_api::platform::sealing::{HeadForm, Keys};

const PATIENCE: Duration = Duration::from_secs(20);
const SECOND_US: i64 = 1_000_000;

fn ring_of(seeds: &[u8], salt_versions: i32) -> Ring {
    let mut salts = Salts::default();
    (1..=salt_versions).for_each(|version| salts.add(version, &[u8::try_from(version).unwrap(); 32]));
    Ring::new(seeds.iter().map(|seed| Signer::from_seed(&[*seed; 32]).unwrap()).collect(), salts).unwrap()
}

/// Books that this process leads, with a sealer of its own.
struct Desk {
    db: TestDb<'static>,
    journal: Journal,
    conn: PgConnection,
    alice: Uuid,
    shop: Uuid,
}

impl Desk {
    fn open() -> Self {
        let db = Ground::fast().database();
        new_books(&db);
        let journal = lead(&db);
        let (alice, shop) = (fresh_key(), fresh_key());
        submit(&journal, request(fresh_key(), move_one(alice, shop, vec![account(alice), account(shop)], None)));
        let conn = PgConnection::establish(&db.url()).unwrap();
        Self { db, journal, conn, alice, shop }
    }

    /// Posts so many one-cent transactions.
    fn post(&self, count: usize) {
        for _ in 0..count {
            submit(&self.journal, request(fresh_key(), move_one(self.alice, self.shop, Vec::new(), None)));
        }
    }

    fn epoch(&self) -> i64 {
        self.journal.leading_epoch(JOURNAL).unwrap()
    }

    fn turn(&mut self, sealer: &mut Sealer, ring: &Ring, second: i64) -> Result<Sealed, SealError> {
        let epoch = self.epoch();
        sealer.turn(&mut self.conn, ring, JOURNAL, epoch, second * SECOND_US)
    }

    /// Posts and seals, a head after each stretch.
    fn sealed(&mut self, ring: &Ring, stretches: &[usize]) {
        let mut sealer = Sealer::default();
        for (second, count) in (1..).zip(stretches) {
            self.post(*count);
            assert!(self.turn(&mut sealer, ring, second).unwrap().head.is_some());
        }
    }

    fn report(&mut self, against: Against<'_>) -> LogReport {
        verify_log(&mut self.conn, JOURNAL, against, |_, _| ()).unwrap()
    }

    fn check(&mut self, ring: &Ring) -> LogReport {
        let keys: Vec<PublicKey> = ring.public_keys().collect();
        self.report(Against { salts: Some(&ring.salts), keys: &keys, since: None })
    }

    fn last_head(&mut self) -> SignedHead {
        sealing::last_head(&mut self.conn, JOURNAL).unwrap().unwrap()
    }

    fn heads(&self) -> i64 {
        scalar::<BigInt, i64>(&self.db.url(), "(SELECT count(*) FROM journal.signed_head)")
    }

    fn forge(&self, sql: &str) {
        run_sql(&self.db.super_url(), sql);
    }
}

#[track_caller]
fn found(report: &LogReport) -> (LogCheck, i64) {
    let broken = report.broken.as_ref().unwrap_or_else(|| panic!("nothing was found: {report:?}"));
    (broken.check, broken.seq)
}

/// Asks until the record is sealed.
async fn sealed(api: &Api, path: &str) -> Value {
    eventually_async("the record is sealed", PATIENCE, async || {
        let reply =
            api.send(hyper::Method::GET, path, &[("accept", "application/json")], Default::default()).await.unwrap();
        match reply.status {
            202 => {
                assert_eq!(reply.headers.get("retry-after").map(|value| value.as_bytes()), Some(&b"1"[..]));
                assert!(reply.json()["next_head_at"].is_string());
                None
            }
            200 => Some(reply.json()),
            other => panic!("{other}: {}", reply.json()),
        }
    })
    .await
}

fn hashes(value: &Value) -> Vec<Hash> {
    value.as_array().unwrap().iter().map(|hash| Hash::from_hex(hash.as_str().unwrap()).unwrap()).collect()
}

fn head_of(value: &Value) -> SignedHead {
    serde_json::from_value::<HeadForm>(value.clone()).unwrap().read().unwrap()
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap()
}

#[tokio::test]
async fn a_payments_receipt_proves_the_customers_side_and_shows_no_other() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;
    let instrument = json!({"kind": "wallet"});
    let body = json!({"customer": anna, "merchant": shop.merchant, "amount": eur(1_250), "instrument": instrument});
    let paid = app.api().post("/v1/payments", &body).await.expect(201);
    let seq = paid["seq"].as_i64().unwrap();
    let side = |name: &str| {
        let text = format!(
            "(SELECT a.public_id::text FROM journal.transfer t JOIN journal.account a ON (a.journal, a.id) = (t.journal, t.{name}) \
             WHERE t.seq = {seq} AND t.leg = 0)"
        );
        scalar::<Text, String>(&app.db().url(), &text)
    };
    let (payer, payee) = (side("debit"), side("credit"));

    let path = format!("/v1/ledger/receipts/{seq}?account={payer}");
    let told = sealed(&app.api(), &path).await;
    let till = app.world.client(&[Scope::PaymentsRead]);
    till.get(&path).await.expect_problem(403, "scope-missing");
    till.get(&format!("/v1/ledger/receipts/{seq}?customer={anna}")).await.expect(200);
    let reply = app.api().get(&path).await;
    assert_eq!(reply.headers.get("content-type").unwrap(), "application/vnd.tessera.receipt");
    let keys: Vec<PublicKey> = Keys::of(&proof_dir()).unwrap().ring().public_keys().collect();
    let receipt = Receipt::from_bytes(&reply.bytes).unwrap();
    let proven = receipt.check(&keys).unwrap();
    assert_eq!((proven.header.seq, proven.header.kind, proven.header.journal.0), (seq, 1, app.world.tenant));
    assert_eq!(proven.header.id.to_string(), paid["id"].as_str().unwrap());
    assert!(proven.sides.iter().all(|side| side.account.to_string() == payer));
    let debit = proven.sides.iter().find(|side| side.side == SideOf::Debit).unwrap();
    assert_eq!((debit.amount, debit.balance, debit.asset.as_ref(), debit.scale), (1_250, 8_750, "EUR", 2));
    let payee_id: Uuid = payee.parse().unwrap();
    assert!(!reply.bytes.windows(16).any(|window| window == payee_id.as_bytes()), "the merchant is not in it");
    assert_eq!(told["sides"][0]["amount"], json!({"amount": "1250", "asset": "EUR"}));
    // Path and head, without what it opens: far below a kilobyte and a half.
    let opened = receipt.opened.clone();
    let bare = Receipt { opened: Vec::new(), ..receipt };
    assert!(bare.to_bytes().len() < 1_500 && opened.len() < 3);
    // The same question has the same bytes as its answer, however the log grows.
    app.world.top_up(anna, 1).await;
    assert_eq!(app.api().get(&path).await.bytes, reply.bytes);
    app.world.assert_whole();
}

#[tokio::test]
async fn heads_inclusion_and_consistency_hold_together_over_http() {
    let app = TestApp::start();
    let api = app.api();
    api.get("/v1/ledger/proofs/inclusion/999999").await.expect_problem(404, "record-unknown");
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;
    let first = sealed(&api, "/v1/ledger/proofs/inclusion/1").await;
    let keys: Vec<PublicKey> = Keys::of(&proof_dir()).unwrap().ring().public_keys().collect();
    let old = head_of(&first["head"]);
    assert_eq!(old.check(&keys), Ok(()));
    let leaf = Hash::from_hex(first["leaf"].as_str().unwrap()).unwrap();
    tree::verify_inclusion(0, number(old.head.size), &leaf, &hashes(&first["path"]), &old.head.root).unwrap();

    for _ in 0..20 {
        app.world.top_up(anna, 5).await;
    }
    let seq = ledger::read::head(&mut PgConnection::establish(&app.world.url).unwrap(), JournalId(app.world.tenant));
    let seq = seq.unwrap().unwrap().seq;
    sealed(&api, &format!("/v1/ledger/proofs/inclusion/{seq}")).await;
    let new = head_of(&api.get("/v1/ledger/heads/latest").await.expect(200));
    let (from, to) = (old.head.size, new.head.size);
    assert!(from < to && new.check(&keys).is_ok());
    let way = api.get(&format!("/v1/ledger/proofs/consistency?from={from}&to={to}")).await.expect(200);
    let path = hashes(&way["path"]);
    tree::verify_consistency(number(from), number(to), &old.head.root, &new.head.root, &path).unwrap();
    assert_eq!(head_of(&api.get(&format!("/v1/ledger/heads/{from}")).await.expect(200)), old);

    let told = api.get("/v1/ledger/keys").await.expect(200);
    assert_eq!(told["keys"][0]["id"], keys[0].id().to_string());
    assert_eq!((&told["keys"][0]["current"], &told["rotations"]), (&json!(true), &json!([])));
    api.get("/v1/ledger/heads/999999").await.expect_problem(404, "head-unknown");
    api.get("/v1/ledger/heads/none").await.expect_problem(404, "head-unknown");
    api.get("/v1/ledger/proofs/consistency?from=0").await.expect_problem(422, "sizes-invalid");
    api.get("/v1/ledger/proofs/consistency?from=2&to=1").await.expect_problem(422, "sizes-invalid");
    api.get("/v1/ledger/proofs/consistency?from=1&to=999999").await.expect_problem(422, "sizes-invalid");
    api.get("/v1/ledger/proofs/inclusion/0").await.expect_problem(404, "record-unknown");
    api.get("/v1/ledger/receipts/1?account=anna").await.expect_problem(422, "accounts-invalid");
}

/// Personal data is in the log as commitments only, so that erasing somebody keeps every proof.
#[tokio::test]
async fn case_80_a_receipt_still_verifies_once_the_customers_secret_is_erased() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;
    let body =
        json!({"customer": anna, "merchant": shop.merchant, "amount": eur(1_250), "instrument": {"kind": "wallet"}});
    let seq = app.api().post("/v1/payments", &body).await.expect(201)["seq"].as_i64().unwrap();
    let path = format!("/v1/ledger/receipts/{seq}");
    sealed(&app.api(), &path).await;
    let before = app.api().get(&path).await.bytes;
    run_sql(&app.db().super_url(), "DELETE FROM person_secret");
    assert_eq!(app.api().get(&path).await.bytes, before);
    let keys = Keys::of(&proof_dir()).unwrap().ring();
    let public: Vec<PublicKey> = keys.public_keys().collect();
    Receipt::from_bytes(&before).unwrap().check(&public).unwrap();
    app.world.assert_whole();
    let against = Against { salts: Some(&keys.salts), keys: &public, since: None };
    let conn = &mut PgConnection::establish(&app.world.url).unwrap();
    let report = verify_log(conn, JournalId(app.world.tenant), against, |_, _| ()).unwrap();
    assert!(report.ok && report.leaves >= seq, "{report:?}");
}

#[test]
fn a_log_that_is_whole_says_which_way_it_was_checked() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    desk.sealed(&ring, &[5, 20, 300]);
    let report = desk.check(&ring);
    assert!(report.ok, "{report:?}");
    // Two accounts, their first transaction, and then the stretches.
    assert_eq!((report.leaves, report.derived, report.heads, report.behind), (328, 328, 3, 0));
    assert_eq!((report.mode, report.since), (Mode::Rows, None));
    let report = desk.report(Against::default());
    assert!(report.ok, "{report:?}");
    assert_eq!((report.mode, report.derived, report.leaves), (Mode::TilesAndHeads, 0, 328));
    // From a head that is trusted, only what came after it is derived.
    let since = sealing::head_at(&mut desk.conn, JOURNAL, 28).unwrap().unwrap();
    let keys: Vec<PublicKey> = ring.public_keys().collect();
    let report = desk.report(Against { salts: Some(&ring.salts), keys: &keys, since: Some(&since) });
    assert!(report.ok, "{report:?}");
    assert_eq!((report.derived, report.since), (300, Some(28)));
}

/// What a forger with every right does to the tables that leaves are made of, or to the log itself.
#[test]
fn case_75_a_bit_flipped_anywhere_is_found_at_its_seq() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    desk.sealed(&ring, &[5, 20, 300]);
    desk.forge("CREATE SCHEMA kept");
    let tables = ["record", "transfer", "account", "asset", "batch", "strip", "signed_head", "proof_key"];
    for table in tables {
        desk.forge(&format!("CREATE TABLE kept.{table} AS TABLE journal.{table}"));
    }
    let flip = |table: &str, column: &str, place: i64, which: &str| {
        format!(
            "UPDATE journal.{table} SET {column} = set_bit({column}, {place}, 1 - get_bit({column}, {place})) WHERE {which}"
        )
    };
    let seventh = "seq = 7";
    let cases = [
        ("UPDATE journal.record SET effective_us = effective_us # 1 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        ("UPDATE journal.record SET recorded_us = recorded_us # 1 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        ("UPDATE journal.record SET kind = 2 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        ("UPDATE journal.record SET id = gen_random_uuid() WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        (flip("record", "body", 3, seventh), (LogCheck::Leaves, 7)),
        (flip("record", "meta", 3, seventh), (LogCheck::Leaves, 7)),
        ("UPDATE journal.transfer SET amount = amount # 2 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        ("UPDATE journal.transfer SET kind = 2 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        (
            "UPDATE journal.transfer SET credit_balance = credit_balance # 1 WHERE seq = 7".to_owned(),
            (LogCheck::Leaves, 7),
        ),
        ("UPDATE journal.transfer SET debit_held = debit_held # 1 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        (
            "UPDATE journal.transfer SET debit_version = debit_version + 1000 WHERE seq = 7".to_owned(),
            (LogCheck::Leaves, 7),
        ),
        ("UPDATE journal.transfer SET leg = 1 WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        ("UPDATE journal.transfer SET debit = credit, credit = debit WHERE seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        // The first record that names the account, or the asset, through a row.
        ("UPDATE journal.account SET public_id = gen_random_uuid() WHERE id = 1".to_owned(), (LogCheck::Leaves, 3)),
        ("UPDATE journal.asset SET scale = 3".to_owned(), (LogCheck::Leaves, 3)),
        ("UPDATE journal.asset SET code = 'EUX'".to_owned(), (LogCheck::Leaves, 3)),
        ("UPDATE journal.batch SET version = version + 1 WHERE last_seq = 7".to_owned(), (LogCheck::Leaves, 7)),
        // A leaf, a tile above it, a head.
        (flip("strip", "hashes", 0, "level = 0 AND start = 8"), (LogCheck::Leaves, 9)),
        (flip("strip", "hashes", 9, "level = 1"), (LogCheck::Tiles, 256)),
        ("UPDATE journal.strip SET salt = 2 WHERE level = 0 AND start = 8".to_owned(), (LogCheck::Secrets, 9)),
        (flip("signed_head", "root", 5, "size = 28"), (LogCheck::Heads, 28)),
        (flip("signed_head", "signature", 5, "size = 28"), (LogCheck::Heads, 28)),
        (flip("signed_head", "key", 5, "size = 28"), (LogCheck::Heads, 28)),
        ("UPDATE journal.signed_head SET signed_us = signed_us # 1 WHERE size = 28".to_owned(), (LogCheck::Heads, 28)),
        (
            "UPDATE journal.signed_head SET recorded_us = recorded_us # 1 WHERE size = 28".to_owned(),
            (LogCheck::Heads, 28),
        ),
        ("UPDATE journal.signed_head SET fork = gen_random_uuid() WHERE size = 28".to_owned(), (LogCheck::Heads, 28)),
        ("UPDATE journal.signed_head SET salt = 2 WHERE size = 28".to_owned(), (LogCheck::Heads, 28)),
        ("UPDATE journal.signed_head SET size = 27 WHERE size = 28".to_owned(), (LogCheck::Heads, 27)),
        (flip("proof_key", "id", 5, "salt = 1"), (LogCheck::Secrets, 0)),
    ];
    desk.forge("ALTER TABLE journal.transfer DROP CONSTRAINT transfer_check");
    for (sql, expected) in &cases {
        desk.forge(sql);
        assert_eq!(found(&desk.check(&ring)), *expected, "{sql}");
        for table in tables {
            desk.forge(&format!("DELETE FROM journal.{table}; INSERT INTO journal.{table} TABLE kept.{table}"));
        }
        assert!(desk.check(&ring).ok, "after {sql}");
    }
    // Without the secret rows cannot be held against leaves; what is above them still is.
    desk.forge("UPDATE journal.record SET effective_us = effective_us # 1 WHERE seq = 7");
    assert!(desk.report(Against::default()).ok);
    desk.forge(&flip("strip", "hashes", 0, "level = 0 AND start = 8"));
    assert_eq!(found(&desk.report(Against::default())), (LogCheck::Heads, 28));
}

/// Records dropped, inserted, swapped, and a tail cut off with everything that knew of it: the last only a head that was
/// published elsewhere can tell.
#[test]
fn case_76_a_log_that_lost_gained_or_swapped_records_is_found_out() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    desk.sealed(&ring, &[5, 20, 30]);
    let published = desk.last_head();
    let keys: Vec<PublicKey> = ring.public_keys().collect();
    desk.forge("CREATE SCHEMA kept");
    let tables = ["record", "transfer", "strip", "signed_head", "follower", "head", "batch"];
    for table in tables {
        desk.forge(&format!("CREATE TABLE kept.{table} AS TABLE journal.{table}"));
    }
    desk.forge("ALTER TABLE journal.record DROP CONSTRAINT record_pkey; ALTER TABLE journal.transfer DROP CONSTRAINT transfer_pkey");
    let swap = |table: &str| {
        format!("UPDATE journal.{table} SET seq = CASE seq WHEN 9 THEN 10 ELSE 9 END WHERE seq IN (9, 10)")
    };
    let insert = "UPDATE journal.record SET seq = seq + 1 WHERE seq > 20; \
        INSERT INTO journal.record SELECT journal, 21, kind, gen_random_uuid(), recorded_us, effective_us, body, meta FROM journal.record WHERE seq = 20";
    let cases = [
        (
            "DELETE FROM journal.record WHERE seq = 9; DELETE FROM journal.transfer WHERE seq = 9".to_owned(),
            (LogCheck::Leaves, 9),
        ),
        (format!("{}; {}", swap("record"), swap("transfer")), (LogCheck::Leaves, 9)),
        (insert.to_owned(), (LogCheck::Leaves, 21)),
        ("DELETE FROM journal.strip WHERE level = 0 AND start = 8".to_owned(), (LogCheck::Leaves, 9)),
        ("DELETE FROM journal.strip WHERE level = 0 AND start = 28".to_owned(), (LogCheck::Leaves, 29)),
        ("UPDATE journal.follower SET seq = seq - 1 WHERE name = 'proof'".to_owned(), (LogCheck::Leaves, 58)),
    ];
    let restore = |desk: &Desk| {
        for table in tables {
            desk.forge(&format!("DELETE FROM journal.{table}; INSERT INTO journal.{table} TABLE kept.{table}"));
        }
    };
    for (sql, expected) in &cases {
        desk.forge(sql);
        assert_eq!(found(&desk.check(&ring)), *expected, "{sql}");
        restore(&desk);
        assert!(desk.check(&ring).ok, "after {sql}");
    }
    // Everything after seq 28 gone without a trace: the database cannot tell, the published head can.
    desk.forge(
        "DELETE FROM journal.record WHERE seq > 28; DELETE FROM journal.transfer WHERE seq > 28; \
         DELETE FROM journal.batch WHERE last_seq > 28; DELETE FROM journal.strip WHERE start >= 28; \
         DELETE FROM journal.signed_head WHERE size > 28; UPDATE journal.follower SET seq = 28; UPDATE journal.head SET seq = 28",
    );
    assert!(desk.check(&ring).ok);
    let report = desk.report(Against { salts: Some(&ring.salts), keys: &keys, since: Some(&published) });
    assert_eq!(found(&report), (LogCheck::Trusted, 29));
    assert!(report.broken.unwrap().what.contains("29 to 58"));
    // Case 89, its heart: books that were restored are compared with the published head, and the lost seqs are named.
    let lost = sealing::compare(&mut desk.conn, Some(&ring), &published).unwrap();
    assert_eq!(lost, Comparison::Lost { first: 29, last: 58 });
}

/// History written anew by who holds every table and the signing key: the head that was published of the old one tells.
#[test]
fn case_78_a_history_signed_anew_does_not_begin_with_the_published_head() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    desk.sealed(&ring, &[5, 20]);
    let published = desk.last_head();
    desk.forge("UPDATE journal.record SET effective_us = effective_us - 1 WHERE seq = 7");
    desk.forge("DELETE FROM journal.strip; DELETE FROM journal.signed_head; UPDATE journal.follower SET seq = 0");
    let mut sealer = Sealer::default();
    desk.post(10);
    desk.turn(&mut sealer, &ring, 9).unwrap();
    assert!(desk.check(&ring).ok, "by itself it is in order");
    let keys: Vec<PublicKey> = ring.public_keys().collect();
    let report = desk.report(Against { salts: Some(&ring.salts), keys: &keys, since: Some(&published) });
    assert_eq!(found(&report), (LogCheck::Trusted, 28));
    assert_eq!(sealing::compare(&mut desk.conn, Some(&ring), &published).unwrap(), Comparison::Differs);
    let new = desk.last_head().head;
    let path = sealing::consistency(&mut desk.conn, JOURNAL, 28, new.size).unwrap();
    assert!(tree::verify_consistency(28, number(new.size), &published.head.root, &new.root, &path).is_err());
}

/// Two sealers, one of them of a node that leads no more, and one that was ended between any two turns.
#[test]
fn case_81_two_sealers_and_one_that_was_cut_off_make_one_log() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    let (mut one, mut other) = (Sealer::default(), Sealer::default());
    for second in 1..30 {
        desk.post(3);
        match second % 3 {
            0 => _ = desk.turn(&mut one, &ring, second).unwrap(),
            1 => _ = desk.turn(&mut other, &ring, second).unwrap(),
            _ => _ = desk.turn(&mut Sealer::default(), &ring, second).unwrap(),
        }
    }
    // At once, on two connections: each leaf is there once, and each size has one head.
    desk.post(200);
    let (url, epoch) = (desk.db.url(), desk.epoch());
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let racing = (0..6).map(|_| {
            let (url, ring) = (&url, &ring);
            scope.spawn(move || {
                let mut conn = PgConnection::establish(url).unwrap();
                Sealer::default().turn(&mut conn, ring, JOURNAL, epoch, 100 * SECOND_US).map(|sealed| sealed.leaves)
            })
        });
        let racing: Vec<_> = racing.collect();
        racing.into_iter().map(|one| matches!(one.join().unwrap(), Ok(leaves) if leaves > 0)).collect()
    });
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1, "{outcomes:?}");
    // A sealer that leads no more is kept out by the epoch.
    desk.post(1);
    let late = one.turn(&mut desk.conn, &ring, JOURNAL, epoch - 1, 200 * SECOND_US);
    assert!(matches!(late, Err(SealError::Moved)), "{late:?}");
    desk.turn(&mut one, &ring, 300).unwrap();
    let report = desk.check(&ring);
    assert!(report.ok && report.behind == 0, "{report:?}");
    assert_eq!(number(desk.heads()), report.heads);
}

/// A record that stands beyond the head, of a commit that has not ended or never will, is not sealed before those under it.
#[test]
fn case_83_only_the_committed_prefix_is_sealed() {
    let (mut desk, ring) = (Desk::open(), ring_of(&[1], 1));
    desk.post(4);
    let mut late = PgConnection::establish(&desk.db.super_url()).unwrap();
    diesel::connection::SimpleConnection::batch_execute(
        &mut late,
        "BEGIN; INSERT INTO journal.record SELECT journal, seq + 2, kind, id, recorded_us, effective_us, body, meta FROM journal.record WHERE seq = 7",
    )
    .unwrap();
    let mut sealer = Sealer::default();
    assert_eq!(desk.turn(&mut sealer, &ring, 1).unwrap().head.unwrap().head.size, 7);
    diesel::connection::SimpleConnection::batch_execute(&mut late, "COMMIT").unwrap();
    let sealed = desk.turn(&mut sealer, &ring, 2).unwrap();
    assert_eq!((sealed.leaves, sealed.head), (0, None), "seq 9 is past the head");
    desk.forge("DELETE FROM journal.record WHERE seq = 9");
    desk.post(3);
    assert_eq!(desk.turn(&mut sealer, &ring, 3).unwrap().leaves, 3);
    assert!(desk.check(&ring).ok);
}

#[test]
fn rotated_keys_and_salts_leave_every_proof_standing() {
    let mut desk = Desk::open();
    let (first, second) = (ring_of(&[1], 1), ring_of(&[1, 2], 2));
    desk.sealed(&first, &[5]);
    let old: Vec<PublicKey> = first.public_keys().collect();
    let receipt = |desk: &mut Desk, ring: &Ring, seq| {
        let head = sealing::covering_head(&mut desk.conn, JOURNAL, seq).unwrap().unwrap();
        sealing::receipt(&mut desk.conn, &ring.salts, seq, &[desk.alice], head).unwrap().unwrap()
    };
    let before = receipt(&mut desk, &first, 4);
    let mut sealer = Sealer::default();
    desk.post(5);
    let rotation = desk.turn(&mut sealer, &second, 10).unwrap().head.unwrap();
    assert!(rotation.head.next.is_some() && rotation.check(&old).is_ok());
    desk.post(5);
    let later = desk.turn(&mut sealer, &second, 20).unwrap().head.unwrap();
    assert_eq!((later.head.key, later.head.next), (second.current().public().id(), None));
    let after = receipt(&mut desk, &second, 17);
    assert_eq!((before.leaf.header.salt, after.leaf.header.salt), (1, 2));
    assert_eq!(receipt(&mut desk, &second, 4), before, "an old receipt stays the same");
    assert!(before.check(&old).is_ok() && after.check(&old).is_err());
    let rotations = sealing::rotations(&mut desk.conn, JOURNAL).unwrap();
    assert!(after.check(&ledger::proof::head::trust(&old, &rotations).unwrap()).is_ok());
    assert!(desk.check(&second).ok);
    // The old key alone is enough to verify by: it vouches for the next.
    assert!(desk.report(Against { salts: Some(&second.salts), keys: &old, since: None }).ok);
    // A node with other secrets, or without the key that signs, seals nothing.
    desk.post(1);
    let foreign = {
        let mut salts = Salts::default();
        salts.add(1, &[99; 32]);
        Ring::new(vec![Signer::from_seed(&[2; 32]).unwrap()], salts).unwrap()
    };
    assert!(matches!(desk.turn(&mut Sealer::default(), &foreign, 30), Err(SealError::OtherSecret(1))));
    let lacking = ring_of(&[9], 2);
    assert!(matches!(desk.turn(&mut Sealer::default(), &lacking, 30), Err(SealError::LacksKey(_))));
    assert_eq!(found(&desk.check(&foreign)), (LogCheck::Secrets, 0));
}

/// A node that publishes, its tenant, and the file.
struct Published {
    heads: PathBuf,
    proof: PathBuf,
}

impl Published {
    fn new() -> Self {
        let folder = scratch_dir();
        Self { heads: folder.join("heads.json"), proof: folder.join("proof") }
    }

    fn env(&self) -> [(&str, &str); 2] {
        [("TESSERA_PROOF_DIR", self.proof.to_str().unwrap()), ("TESSERA_PROOF_PUBLISH", self.heads.to_str().unwrap())]
    }

    fn size(&self) -> i64 {
        let text = fs::read_to_string(&self.heads).unwrap_or_default();
        let published = wallet_api::platform::sealing::Published::parse(&text).ok();
        published.and_then(|published| Some(published.heads.first()?.size)).unwrap_or(0)
    }
}

/// What a node of this database says when it is asked to serve and refuses.
fn refusal(db: &TestDb<'_>, env: &[(&str, &str)]) -> String {
    let (url, owner_url) = (db.url(), db.owner_url());
    let mut serve = tessera(&["serve", "--listen", "127.0.0.1:0"]);
    serve.env("DATABASE_URL", &url).env("DATABASE_OWNER_URL", &owner_url).envs(env.iter().copied());
    let output = serve.run();
    assert!(!output.status.success(), "{output:?}");
    output.err
}

/// Killed again and again under load, and the log goes on where it was; the published file is whole at every moment. Then the
/// books lose their tail behind its back: no node leads them, and the lost seqs are named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_89_books_that_lost_their_tail_are_not_led_against_the_published_head() {
    let (db, place) = (Ground::durable().database(), Published::new());
    let mut node = NodeProcess::start(&db, &place.env());
    let mut world = World::new(&db.url(), &node.authority(), "acme");
    let ready = async |world: &World| {
        eventually_async("the node leads", PATIENCE, async || {
            (world.api.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    };
    ready(&world).await;
    let anna = world.customer("anna").await;
    for round in 0..3 {
        for _ in 0..20 {
            world.top_up(anna, 1_000).await;
        }
        // In the middle of sealing, as often as not.
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        node.signal(Signal::KILL);
        node.wait_until_ended();
        assert!(place.size() >= 0);
        node = NodeProcess::start(&db, &place.env());
        world.api = node.api(&world.api);
        ready(&world).await;
    }
    let seq = ledger::read::head(&mut PgConnection::establish(&db.url()).unwrap(), JournalId(world.tenant));
    let seq = seq.unwrap().unwrap().seq;
    eventually("all is published", PATIENCE, || (place.size() == seq).then_some(()));
    let verify = |args: &[&str]| {
        let mut verify = tessera(&[&["verify"], args].concat());
        verify.env("DATABASE_URL", db.url()).env("TESSERA_PROOF_DIR", &place.proof).run()
    };
    let heads = place.heads.to_str().unwrap();
    let told = verify(&["--json", "--since", heads]).json();
    assert_eq!(
        (&told["ok"], &told["logs"][0]["leaves"], &told["logs"][0]["mode"]),
        (&json!(true), &json!(seq), &json!("rows"))
    );
    node.signal(Signal::TERM);
    node.wait_until_ended();

    // As a failover to a copy that lagged would leave them: whole up to an earlier batch, and nothing more.
    let last = seq - 20;
    let (size, kept) = (seq - 10, seq - 11);
    assert!(last < size);
    run_sql(
        &db.super_url(),
        &format!(
            "DELETE FROM journal.record WHERE seq > {kept}; DELETE FROM journal.transfer WHERE seq > {kept}; \
             DELETE FROM journal.key WHERE seq > {kept}; DELETE FROM journal.companion WHERE seq > {kept}; \
             DELETE FROM journal.claim WHERE seq > {kept}; DELETE FROM journal.batch WHERE last_seq > {kept}; \
             DELETE FROM journal.signed_head WHERE size > {kept}; DELETE FROM journal.strip; DELETE FROM journal.signed_head; \
             UPDATE journal.follower SET seq = least(seq, {kept}); UPDATE journal.follower SET seq = 0 WHERE name = 'proof'; \
             UPDATE journal.watermark SET seq = 0; \
             UPDATE journal.account SET checkpoint_balance = 0, checkpoint_held = 0, checkpoint_version = 0; \
             UPDATE journal.head h SET seq = b.last_seq, last_us = b.recorded_us, digest = b.digest FROM \
             (SELECT * FROM journal.batch ORDER BY last_seq DESC LIMIT 1) b WHERE h.journal = b.journal"
        ),
    );
    let said = refusal(&db, &place.env());
    assert!(said.contains(&format!("seqs {size} to {seq} were published as sealed and are lost here")), "{said}");
    assert!(said.contains("begin-fork"), "{said}");
    let output = verify(&["--since", heads]);
    assert!(!output.status.success() && output.out.contains("BROKEN"), "{output:?}");
}

/// Changed books, with everything inside the database put right: the published head still tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_89_books_that_were_changed_are_not_led_either() {
    let (db, place) = (Ground::fast().database(), Published::new());
    let mut node = NodeProcess::start(&db, &place.env());
    let world = World::new(&db.url(), &node.authority(), "acme");
    let anna = eventually_async("the node leads", PATIENCE, async || {
        (world.api.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(anna, ());
    let anna = world.customer("anna").await;
    world.top_up(anna, 1_000).await;
    eventually("it is published", PATIENCE, || (place.size() == 3).then_some(()));
    node.signal(Signal::TERM);
    node.wait_until_ended();
    run_sql(
        &db.super_url(),
        "UPDATE journal.record SET effective_us = effective_us - 1 WHERE seq = 3; DELETE FROM journal.strip; \
         DELETE FROM journal.signed_head; UPDATE journal.follower SET seq = 0 WHERE name = 'proof'",
    );
    let said = refusal(&db, &place.env());
    assert!(said.contains("what stands up to seq 3 is not what was sealed and published"), "{said}");
    // Another proof folder's keys did not sign what is published there.
    let other = Published::new();
    let mixed = [("TESSERA_PROOF_DIR", other.proof.to_str().unwrap()), place.env()[1]];
    let said = refusal(&db, &mixed);
    assert!(said.contains("not signed by a key of this proof folder"), "{said}");
    // Keys that others may read sign nothing.
    let key = place.proof.join("signing-1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = refusal(&db, &place.env());
    assert!(said.contains("signing-1.key may be read or changed by others"), "{said}");
}

/// What a customer does at home: two files, no database, no network.
#[tokio::test]
async fn a_receipt_is_checked_from_the_command_line_with_nothing_but_a_key() {
    let app = TestApp::start();
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 5_000).await;
    let path = format!("/v1/ledger/receipts/3?customer={anna}");
    let told = sealed(&app.api(), &path).await;
    let folder = scratch_dir();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = fs::read(proof_dir().join("signing-1.pub")).unwrap();
    let (key, binary) = (file("key", &key), app.api().get(&path).await.bytes);
    let receipts = [file("receipt", &binary), file("receipt.json", told.to_string().as_bytes())];
    for receipt in &receipts {
        let output = tessera(&["proof", "check", receipt, "--key", &key]).run();
        assert!(output.status.success(), "{output:?}");
        for words in
            ["The receipt holds", "is record 3 of journal", "received 50.00 EUR, and stood at 50.00 EUR", "not prove"]
        {
            assert!(output.out.contains(words), "{words}: {}", output.out);
        }
    }
    let told = tessera(&["proof", "check", &receipts[0], "--key", &key, "--json"]).run().json();
    assert_eq!((&told["ok"], &told["seq"], &told["sides"][0]["amount"]), (&json!(true), &json!(3), &json!("5000")));
    let mut torn = binary.to_vec();
    torn[90] ^= 1;
    let torn = file("torn", &torn);
    let output = tessera(&["proof", "check", &torn, "--key", &key]).run();
    assert!(!output.status.success() && output.out.contains("does NOT hold"), "{output:?}");
    let output = tessera(&["proof", "check", &torn, "--key", &key, "--json"]).run();
    let told: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&told["ok"], &told["code"]), (&json!(false), &json!("not-included")), "{told}");
    let other = wallet_api::platform::sealing::public_key_line(&ring_of(&[7], 1).current().public());
    let other = file("other", other.as_bytes());
    let output = tessera(&["proof", "check", &receipts[0], "--key", &other]).run();
    assert!(!output.status.success() && output.out.contains("not among the keys"), "{output:?}");
    let output = tessera(&["proof", "check", &receipts[0], "--key", &receipts[1]]).run();
    assert!(!output.status.success() && output.err.contains("line 1: that is no public key"), "{output:?}");
}
