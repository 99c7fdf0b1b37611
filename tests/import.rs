//! Import of a shop's purchases by the real binary: to the cent, once, whatever happens on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ledger::{Command as Ask, Config, Journal, JournalId, Key, Request, Scope};
use serde_json::{Value, json};
use tessera_tests::{Ground, Run, TestDb, eventually, fresh_key, rows, scalar, tessera_in};
use uuid::Uuid;
use wallet_api::platform::ids::Ids;

/// A file in a folder of its own.
struct File {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("purchases.csv");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    fn import(&self, db: &TestDb<'_>, path: &Path) -> Command {
        let path = path.to_str().unwrap();
        let mut command =
            tessera_in(self.folder.path(), &["import", "purchases", path, "--merchant", "shop", "--json"]);
        command.env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url());
        command
    }

    fn run(&self, db: &TestDb<'_>) -> Value {
        self.import(db, &self.path).run().json()
    }

    /// `(line, reason)` of each reject.
    fn rejects(&self) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.folder.path().join("purchases.rejects.csv")).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("line,reason,detail,raw"));
        let read = |line: &str| {
            let mut fields = line.split(',');
            Some((fields.next()?.parse().ok()?, fields.next()?.to_owned()))
        };
        lines.map(|line| read(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }
}

/// Rows as text.
type Table = Vec<Vec<Option<String>>>;

/// What the books say of the import, by what each row is: key, amounts, balances. Ids and times are left out.
fn books(db: &TestDb<'_>) -> (Table, Table) {
    let by_key = "SELECT k.key, t.leg, t.asset, t.amount, \
            CASE WHEN x.seq IS NOT NULL THEN r.effective_us END AS purchased_us, d.public_id AS debit, c.public_id AS credit \
        FROM journal.key k JOIN journal.record r USING (journal, seq) LEFT JOIN journal.companion x USING (journal, seq) JOIN journal.transfer t USING (journal, seq) \
        JOIN journal.account d ON d.id = t.debit JOIN journal.account c ON c.id = t.credit ORDER BY 1, 2";
    let balances = "SELECT public_id, balance FROM journal.balance ORDER BY 1";
    (rows(&db.url(), by_key), rows(&db.url(), balances))
}

/// Names the rows that differ, not the thousands that do not.
#[track_caller]
fn assert_same(what: &str, one: &Table, other: &Table) {
    let missing: Vec<_> = other.iter().filter(|row| one.binary_search(row).is_err()).take(3).collect();
    let surplus: Vec<_> = one.iter().filter(|row| other.binary_search(row).is_err()).take(3).collect();
    assert!(one == other, "{what}: {missing:?} missing, {surplus:?} too many");
}

/// Freezes an account's credits, as its merchant's own bank would ask.
fn freeze_credits(db: &TestDb<'_>, account: Uuid) {
    let journal = Journal::start(Config::new(db.url(), fresh_key(), "test".into())).unwrap();
    eventually("the journal is led", Duration::from_secs(20), || journal.leads_all().then_some(()));
    let id = scalar::<diesel::sql_types::BigInt, i64>(&db.url(), "(SELECT journal FROM journal.head)");
    let key = Key { scope: Scope(-9), key: account, fingerprint: account };
    let command = Ask::Freeze { account, debits: false, credits: true };
    let request = Request {
        journal: JournalId(id),
        key,
        command,
        effective_us: None,
        meta: b"{}".to_vec(),
        companions: Vec::new(),
    };
    journal.submit_blocking(request, Duration::from_secs(10)).unwrap();
    journal.stop();
}

fn head(db: &TestDb<'_>) -> i64 {
    scalar::<diesel::sql_types::BigInt, i64>(&db.url(), "coalesce((SELECT max(seq) FROM journal.head), 0)")
}

fn verify(db: &TestDb<'_>) -> Value {
    let mut command = tessera_in(&std::env::temp_dir(), &["verify", "--json"]);
    let verified = command.env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url()).run().json();
    assert_eq!(verified["ok"], true, "{verified}");
    verified
}

/// Many purchases by some customers on some days, some of them exact repeats, and what they come to.
fn purchases(count: u64) -> (Vec<u8>, Value) {
    let ids = Ids::seeded(b"purchases");
    let mut text = String::from("ID,Date,Amount\n");
    let (mut paid, mut cashback, mut points) = (0_u64, 0, 0);
    for _ in 0..count {
        let draw = ids.random_u64();
        let minor = 1 + draw % 300 * 37;
        let (customer, day) = (draw / 300 % 50, 1 + draw / 15_000 % 28);
        text.push_str(&format!("{customer:05},199702{day:02},{}.{:02}\n", minor / 100, minor % 100));
        paid += minor;
        cashback += minor * 2 / 100;
        points += minor / 100;
    }
    let total = json!({"rows": count, "posted": count, "replayed": 0, "rejected": 0, "paid_minor": paid,
        "cashback_minor": cashback, "points": points});
    (text.into_bytes(), total)
}

#[test]
fn what_is_no_purchase_is_set_aside_with_its_line_and_reason() {
    let mut text = Vec::new();
    let zoo: &[(&[u8], &str)] = &[
        (b"1,19970101,12.50", ""),
        (b"1,19970101,12.50", ""), // the same purchase again: two purchases
        (b"2,1997-01-02,7", ""),
        (b"2,19970102,0.00", "zero_amount"),
        (b"2,19970230,1.00", "bad_date"),
        (b"2,02/01/1997,1.00", "bad_date"),
        (b"2,19970102,-1.00", "negative_amount"),
        (b"2,19970102,1.005", "too_many_decimals"),
        (b"2,19970102,1e3", "bad_amount"),
        (b"2,19970102,", "bad_amount"),
        (b"2,19970102,1,50", "extra_column"),
        (b"2,19970102", "missing_column"),
        (b",19970102,1.00", "missing_id"),
        (b"", "empty_line"),
        (b"   ", "empty_line"),
        (b"\xff\xfe,19970102,1.00", "not_utf8"),
        (b"\"2,19970102,1.00", "bad_quotes"),
        (b"2,19970102,999999999999999.00", "amount_too_large"),
        (b"\"3\",19970103,\"0.01\"", ""),
    ];
    text.extend_from_slice(b"ID,Date,Amount\r\n"); // CRLF, as spreadsheets write
    for (line, _) in zoo {
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(&b"x".repeat(200_000)); // a line that does not end
    let file = File::new(&text);
    let db = Ground::fast().database();

    let done = file.run(&db);

    let expected: Vec<(u64, String)> = (2..)
        .zip(zoo)
        .filter(|(_, (_, reason))| !reason.is_empty())
        .map(|(line, (_, reason))| (line, (*reason).to_owned()))
        .chain([(u64::try_from(zoo.len()).unwrap() + 2, "line_too_long".to_owned())])
        .collect();
    assert_eq!(file.rejects(), expected);
    let rejected = expected.len();
    assert_eq!(
        done,
        json!({"rows": zoo.len() + 1, "posted": 4, "replayed": 0, "rejected": rejected, "paid_minor": 1_250 * 2 + 700 + 1,
            "cashback_minor": 25 * 2 + 14, "points": 12 * 2 + 7})
    );
    verify(&db);
}

#[test]
fn a_second_run_posts_nothing_and_leaves_the_head_where_it_was() {
    let (text, total) = purchases(3_000);
    let file = File::new(&text);
    let db = Ground::fast().database();

    assert_eq!(file.run(&db), total);
    let (after_first, books_then) = (head(&db), books(&db));
    let again = file.run(&db);

    assert_eq!(head(&db), after_first);
    assert_eq!((&again["posted"], &again["replayed"]), (&json!(0), &total["posted"]));
    for same in ["rows", "rejected", "paid_minor", "cashback_minor", "points"] {
        assert_eq!(again[same], total[same], "{same}: totals cover what was posted before");
    }
    assert_eq!(books(&db), books_then);
    // Purchases and the two fundings of their campaign.
    assert_eq!(verify(&db)["transactions"], 3_002);
}

/// Somebody froze what the shop is owed: its purchases are set aside, each with the reason, and other rows go on.
#[test]
fn rows_that_the_books_refuse_are_set_aside() {
    let (text, total) = purchases(2_500);
    let file = File::new(b"ID,Date,Amount\n1,19970101,1.00\n");
    let db = Ground::fast().database();
    file.run(&db);
    let payable = "SELECT public_id FROM journal.account WHERE owner = (SELECT id FROM merchant)";
    let payable: Vec<Uuid> =
        rows(&db.url(), payable).into_iter().flatten().flatten().map(|id| id.parse().unwrap()).collect();
    assert_eq!(payable.len(), 1);
    freeze_credits(&db, payable[0]);

    let file = File { path: file.folder.path().join("second.csv"), ..file };
    fs::write(&file.path, &text).unwrap();
    let done = file.run(&db);

    assert_eq!((&done["posted"], &done["rejected"]), (&json!(0), &total["rows"]));
    let rejects = fs::read_to_string(file.folder.path().join("second.rejects.csv")).unwrap();
    let refused = rejects.lines().filter(|line| line.contains(",refused,the books refused it: account-frozen,"));
    assert_eq!(json!(refused.count()), total["posted"]);
    verify(&db);
}

/// Dates count from midnight in the tenant's zone: 1997-02-10 in Rome begins at 23:00 UTC the day before.
#[test]
fn a_purchase_counts_from_midnight_in_the_tenants_zone() {
    let file = File::new(b"ID,Date,Amount\n1,19970210,10.00\n1,19970710,10.00\n");
    let db = Ground::fast().database();
    file.run(&db);
    let at = "SELECT to_timestamp(r.effective_us / 1000000) AT TIME ZONE 'UTC' FROM journal.record r \
        JOIN journal.companion USING (journal, seq) ORDER BY 1";
    let at: Vec<String> = rows(&db.url(), at).into_iter().flatten().flatten().collect();
    assert_eq!(at, ["1997-02-09T23:00:00", "1997-07-09T22:00:00"]);
}

#[test]
fn a_run_killed_at_any_moment_and_run_again_ends_with_the_same_books() {
    let (text, total) = purchases(6_000);
    let file = File::new(&text);
    let undisturbed = Ground::durable().database();
    assert_eq!(file.run(&undisturbed), total);

    let db = Ground::durable().database();
    let ids = Ids::seeded(b"kills");
    let mut reached = Vec::new();
    for _ in 0..5 {
        let before = head(&db);
        let mut child = file.import(&db, &file.path).stdout(std::process::Stdio::null()).spawn().unwrap();
        // Killed once it has posted something, at a head of its own choosing.
        let wanted = before + 1 + i64::try_from(ids.random_u64() % 1_500).unwrap();
        eventually("the import gets on, or ends", Duration::from_secs(60), || {
            (head(&db) >= wanted || child.try_wait().unwrap().is_some()).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        reached.push(head(&db));
    }
    let last = file.run(&db);

    assert!(reached[0] > 0 && reached.is_sorted(), "{reached:?}");
    assert_eq!(last["rows"], total["rows"]);
    assert_eq!(last["posted"].as_u64().unwrap() + last["replayed"].as_u64().unwrap(), 6_000);
    for same in ["paid_minor", "cashback_minor", "points"] {
        assert_eq!(last[same], total[same], "{same}");
    }
    let (one, other) = (books(&db), books(&undisturbed));
    assert_same("rows by key", &one.0, &other.0);
    assert_same("balances", &one.1, &other.1);
    verify(&db);
}

#[test]
fn a_file_that_is_none_is_refused_before_anything_is_posted() {
    let db = Ground::fast().database();
    let file = File::new(b"Name,When\nanna,today\n");
    let output = file.import(&db, &file.path).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = file.import(&db, Path::new("/nonexistent/purchases.csv")).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.err.contains("/nonexistent/purchases.csv"), "{output:?}");
    assert_eq!(head(&db), 0);
}

/// The real file, when `TESSERA_TEST_CDNOW` names it: 69,659 rows, to the cent.
#[test]
fn the_purchases_of_cdnow_come_to_the_cent() {
    let Some(path) = std::env::var_os("TESSERA_TEST_CDNOW").map(std::path::PathBuf::from) else {
        println!("skipped: TESSERA_TEST_CDNOW does not name the file");
        return;
    };
    let db = Ground::durable().database();
    let file = File::new(b"");
    let done = file.import(&db, &path).run().json();
    assert_eq!(
        (&done["rows"], &done["posted"], &done["rejected"], &done["paid_minor"]),
        (&json!(69_659), &json!(69_579), &json!(80), &json!(250_031_563))
    );
    let after_first = head(&db);
    let again = file.import(&db, &path).run().json();
    assert_eq!((&again["posted"], &again["replayed"]), (&json!(0), &json!(69_579)));
    assert_eq!(head(&db), after_first);
    verify(&db);
}
