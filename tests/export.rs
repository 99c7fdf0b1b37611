//! A journal as a file: history brought in, everything taken out, and brought in again elsewhere to the same balances.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tessera_tests::{Ground, Rewards, Run, TestApp, TestDb, eur, fresh_key, rows, tessera_in};
use uuid::Uuid;

/// A folder with files, and commands that run in it against a database.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path(name), text).unwrap();
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn command(&self, db: &TestDb<'_>, words: &[&str]) -> std::process::Command {
        let mut command = tessera_in(self.0.path(), words);
        command.env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url());
        command
    }

    fn import(&self, db: &TestDb<'_>, name: &str) -> Value {
        self.command(db, &["import", "journal", name, "--json"]).run().json()
    }

    /// `(line, reason)` of each line set aside.
    fn rejects(&self, name: &str) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        let read = |line: &str| {
            let mut fields = line.split(',');
            (fields.next().unwrap().parse().unwrap(), fields.next().unwrap().to_owned())
        };
        text.lines().skip(1).map(read).collect()
    }
}

/// Rows as text.
type Table = Vec<Vec<Option<String>>>;

/// Every account as it stands, and every entry as it left it.
fn books(db: &TestDb<'_>) -> (Table, Table) {
    let accounts = "SELECT public_id, balance, held, version, floor, ceiling, owner, debits_frozen, credits_frozen \
        FROM journal.balance ORDER BY public_id";
    let entries = "SELECT d.public_id, t.debit_version, t.debit_balance, c.public_id, t.credit_version, t.credit_balance, \
        t.amount, r.id, r.effective_us, convert_from(r.meta, 'UTF8') \
        FROM journal.transfer t JOIN journal.record r USING (journal, seq) \
        JOIN journal.account d ON d.journal = t.journal AND d.id = t.debit \
        JOIN journal.account c ON c.journal = t.journal AND c.id = t.credit ORDER BY 1, 2";
    (rows(&db.url(), accounts), rows(&db.url(), entries))
}

fn head(db: &TestDb<'_>) -> Table {
    rows(&db.url(), "SELECT seq, encode(digest, 'hex') FROM journal.head ORDER BY journal")
}

fn moved(id: Uuid, debit: Uuid, credit: Uuid, amount: &str, at: &str) -> Value {
    let leg = json!({"debit": debit, "credit": credit, "amount": amount, "asset": "GEM"});
    json!({"type": "transaction", "id": id, "effective_at": at, "transfers": [leg], "meta": {"old": 1}})
}

#[test]
fn case_74_dated_history_is_brought_in_once_and_what_comes_after_goes_on_from_it() {
    let (db, place) = (Ground::fast().database(), Place::new());
    let (mine, wallet, ids) = (fresh_key(), fresh_key(), [fresh_key(), fresh_key(), fresh_key(), fresh_key()]);
    let mut lines = vec![
        json!({"type": "asset", "code": "GEM", "scale": 3}),
        json!({"type": "account", "id": mine, "asset": "GEM", "normal_side": "debit"}),
        json!({"type": "account", "id": wallet, "asset": "GEM", "floor": "0"}),
        moved(ids[0], mine, wallet, "10", "1990-01-01T00:00:00Z"),
        moved(ids[1], wallet, mine, "4", "1995-06-01T12:00:00.000001Z"),
    ];
    place.write("half.ndjson", &lines);
    let first = place.import(&db, "half.ndjson");
    assert_eq!((&first["posted"], &first["rejected"]), (&json!(4), &json!(0)), "{first}");
    lines.extend([
        moved(ids[2], wallet, mine, "7", "1996-01-01T00:00:00Z"), // there are six
        moved(ids[3], wallet, mine, "6", "1997-01-01T00:00:00Z"),
        moved(fresh_key(), wallet, mine, "0", "1998-01-01T00:00:00Z"),
        moved(fresh_key(), wallet, mine, "1", "1969-12-31T23:59:59Z"),
        moved(ids[3], wallet, mine, "5", "1997-01-01T00:00:00Z"),
        moved(fresh_key(), wallet, Uuid::nil(), "1", "1999-01-01T00:00:00Z"),
        json!({"type": "account", "id": wallet, "asset": "GEM"}),
        json!({"type": "asset", "code": "GEM", "scale": 2}),
        json!({"type": "unheard-of"}),
    ]);
    // Money must not move at once because a word was not understood.
    let mut holding = moved(fresh_key(), mine, wallet, "1", "1999-01-01T00:00:00Z");
    holding["transfers"][0]["how"] = json!("hold");
    let mut claiming = moved(fresh_key(), mine, wallet, "1", "1999-01-01T00:00:00Z");
    claiming["clam"] = json!(fresh_key());
    lines.extend([holding, claiming]);
    place.write("all.ndjson", &lines);
    let second = place.import(&db, "all.ndjson");
    assert_eq!((&second["posted"], &second["replayed"], &second["lines"]), (&json!(1), &json!(4), &json!(16)));
    let expected = [
        (13, "asset_invalid"), // seen while reading, before the lot is posted
        (8, "amount_invalid"),
        (9, "date_invalid"),
        (14, "type_unknown"),
        (15, "member_unknown"),
        (16, "member_unknown"),
        (6, "refused"),
        (10, "key_reused"),
        (11, "account_unknown"),
        (12, "key_reused"),
    ];
    let mut rejects = place.rejects("all.rejects.csv");
    rejects.sort();
    let mut expected: Vec<_> = expected.map(|(line, code)| (line, code.to_owned())).into();
    expected.sort();
    assert_eq!(rejects, expected);
    let before = head(&db);
    let text = place.command(&db, &["import", "journal", "all.ndjson"]).run().out;
    assert!(text.contains("Nothing was new: the books are as they were."), "{text}");
    assert_eq!(head(&db), before, "not one record more");
    // What is dated first was recorded first, and both axes are whole.
    let order = rows(&db.url(), "SELECT effective_us FROM journal.record WHERE kind = 1 ORDER BY seq");
    assert!(order.is_sorted_by_key(|row| row[0].as_ref().unwrap().parse::<i64>().unwrap()));
    assert!(place.command(&db, &["verify"]).run().out.contains("The books are whole."));
    // A live node goes on from there.
    let app = TestApp::over(db);
    let live = app.world.api.clone();
    drop(live);
    assert_eq!(rows(&app.db().url(), "SELECT 1 FROM journal.transfer").len(), 3);
}

#[tokio::test]
async fn an_export_brought_in_elsewhere_gives_the_same_balances_to_the_byte() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { budget: 30, ..Rewards::PLENTY }).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 5_000).await;
    for minor in [1_000, 700, 900, 5_000, 1] {
        let body = json!({"customer": anna, "merchant": shop.merchant, "amount": eur(minor), "instrument": {"kind": "wallet"}});
        app.api().post("/v1/payments", &body).await; // one is refused, one earns nothing any more
    }
    let (db, world) = app.into_db();
    let place = Place::new();
    let export = |file: &str, from: &str| {
        let words = ["export", "journal", "--tenant", "acme", "--from", from, file, "--json"];
        place.command(&db, &words).run().json()
    };
    let told = export("all.ndjson", "1");
    let lines = place.lines("all.ndjson");
    assert_eq!(told["records"], told["head"]);
    assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&json!("journal"), &json!("end")));
    let seqs: Vec<i64> = lines.iter().filter_map(|line| line["seq"].as_i64()).collect();
    assert_eq!(seqs.len() as i64, told["head"].as_i64().unwrap() + 1, "every record, and the end");
    for line in &lines[1..lines.len() - 1] {
        let full = line["type"] == "asset"
            || (line["type"] == "batch" && line["digest"].is_string())
            || (line["fork"].is_string() && line["recorded_at"].is_string());
        assert!(full, "{line}");
    }
    export("tail.ndjson", "5");
    assert_eq!(place.lines("tail.ndjson").iter().find_map(|line| line["seq"].as_i64()), Some(5));

    let other = Ground::fast().database();
    let first = place.import(&other, "all.ndjson");
    assert_eq!(first["rejected"], 0, "{first}");
    assert_eq!(books(&other), books(&db));
    let companions = "SELECT kind, key, place, encode(body, 'hex') FROM journal.companion ORDER BY 1, 2, 3";
    assert_eq!(rows(&other.url(), companions), rows(&db.url(), companions));
    let before = head(&other);
    let again = place.import(&other, "all.ndjson");
    assert_eq!((&again["posted"], &again["replayed"]), (&json!(0), &first["posted"]));
    assert_eq!(head(&other), before);
    assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."));
    world.assert_whole();
}

/// A refund that came in as a move could be refunded again: what a plain import cannot keep ends it.
#[tokio::test]
async fn an_export_with_more_than_moves_comes_in_whole_or_not_at_all() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { budget: 30, ..Rewards::PLENTY }).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 5_000).await;
    let body =
        json!({"customer": anna, "merchant": shop.merchant, "amount": eur(700), "instrument": {"kind": "wallet"}});
    let paid = app.api().post("/v1/payments", &body).await.expect(201);
    let refund = format!("/v1/payments/{}/refund", paid["id"].as_str().unwrap());
    app.api().post(&refund, &json!({"amount": eur(100)})).await.expect(201);
    let (db, _world) = app.into_db();
    let place = Place::new();
    place.command(&db, &["export", "journal", "--tenant", "acme", "all.ndjson"]).run();
    let other = Ground::fast().database();
    let refused = place.command(&other, &["import", "journal", "all.ndjson"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--whole"), "{refused:?}");
    let whole = Ground::fast().database();
    place.command(&whole, &["import", "journal", "--whole", "all.ndjson"]).run();
    let links = "SELECT of_seq, of_leg, seq, leg, amount FROM journal.link ORDER BY 1, 2, 3";
    assert_eq!(rows(&whole.url(), links), rows(&db.url(), links));
    assert!(!rows(&whole.url(), links).is_empty());
}

#[tokio::test]
async fn an_export_that_was_cut_off_or_changed_is_told_from_a_whole_one() {
    let app = TestApp::start();
    let anna = app.world.customer("anna").await;
    for minor in [100, 200, 300] {
        app.world.top_up(anna, minor).await;
    }
    let (db, _world) = app.into_db();
    let place = Place::new();
    place.command(&db, &["export", "journal", "--tenant", "acme", "all.ndjson"]).run();
    let text = fs::read_to_string(place.path("all.ndjson")).unwrap();
    let whole: Vec<&str> = text.lines().collect();

    let other = Ground::fast().database();
    fs::write(place.path("cut.ndjson"), whole[..whole.len() - 3].join("\n")).unwrap();
    let refused = place.command(&other, &["import", "journal", "cut.ndjson"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cut off"), "{refused:?}");
    assert_eq!(rows(&other.url(), "SELECT 1 FROM journal.transfer").len(), 2, "what was read is posted");

    // One amount more, the balances after it as they were.
    let changed = text.replacen(r#""amount":"200""#, r#""amount":"201""#, 1);
    assert_ne!(changed, text);
    fs::write(place.path("changed.ndjson"), changed).unwrap();
    let third = Ground::fast().database();
    let refused = place.command(&third, &["import", "journal", "changed.ndjson"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not left as the export says"), "{refused:?}");

    // Lines in another order.
    let mut swapped = whole.clone();
    let at = whole.iter().position(|line| line.contains(r#""amount":"200""#)).unwrap();
    swapped.swap(at, at + 2); // between them ends a commit
    fs::write(place.path("swapped.ndjson"), swapped.join("\n")).unwrap();
    let fourth = Ground::fast().database();
    let refused = place.command(&fourth, &["import", "journal", "swapped.ndjson"]).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(rows(&fourth.url(), "SELECT 1 FROM journal.transfer WHERE amount = 200").is_empty());
}
