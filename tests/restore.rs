//! An export restored whole: the same rows, the same digests, the same root; resumed after a kill; every damage refused.

use std::fs;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use diesel::{Connection, PgConnection};
use ledger::proof::{Hash, Ring, Salts, Signer};
use ledger::sealing::Sealer;
use ledger::{
    Amount, Body, Calendar, Change, Claim, Command, Companion, Group, How, Journal, LegRef, LotTerms, Nature,
    NewAccount, Period, Request, Transfer,
};
use serde_json::Value;
use tessera_tests::books::{EUR, JOURNAL, account, lead, request, submit};
use tessera_tests::{Ground, Run, TestDb, eventually, fresh_key, rows, run_sql, tessera_in};
use uuid::Uuid;

const DAY_US: i64 = 86_400_000_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Every table of the books, in order, but for what belongs to the place they are in: epochs, checkpoints, forks to come.
const BOOKS: [&str; 11] = [
    "SELECT seq, kind, id, recorded_us, effective_us, encode(body, 'hex'), encode(meta, 'hex') FROM journal.record ORDER BY 1",
    "SELECT * FROM journal.transfer ORDER BY seq, leg",
    "SELECT first_seq, last_seq, version, recorded_us, encode(digest, 'hex') FROM journal.batch ORDER BY 1",
    "SELECT scope, key, fingerprint, seq FROM journal.key ORDER BY 1, 2",
    "SELECT claim, seq FROM journal.claim ORDER BY 1",
    "SELECT kind, key, seq, place, encode(body, 'hex') FROM journal.companion ORDER BY 3, 4",
    "SELECT of_seq, of_leg, seq, leg, kind, amount FROM journal.link ORDER BY 3, 4",
    "SELECT seq, leg, debit, credit, asset, amount, remaining, expires_us FROM journal.hold ORDER BY 1, 2",
    "SELECT account, expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held FROM journal.lot \
     ORDER BY 1, 2, 3, 4, 5, 6",
    "SELECT id, public_id, asset, normal_side, owner, floor, ceiling, debits_frozen, credits_frozen, closed, nature, \
     counterpart, nature_minor, period, calendar, period_us FROM journal.account ORDER BY 1",
    "SELECT public_id, balance, held, version FROM journal.balance ORDER BY 1",
];

/// A folder with files, and commands that run in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, db: &TestDb<'_>, words: &[&str]) -> Process {
        let mut command = tessera_in(self.0.path(), words);
        command.env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url());
        command
    }

    fn restore(&self, db: &TestDb<'_>, file: &str) -> Value {
        self.command(db, &["import", "journal", "--whole", file, "--json"]).run().json()
    }

    /// What is said of a file that is not restored to its end.
    #[track_caller]
    fn refused(&self, db: &TestDb<'_>, file: &str) -> String {
        let output = self.command(db, &["import", "journal", "--whole", file]).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn lines(&self, file: &str) -> Vec<String> {
        fs::read_to_string(self.path(file)).unwrap().lines().map(str::to_owned).collect()
    }

    fn write(&self, file: &str, lines: &[String]) {
        fs::write(self.path(file), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
}

/// Books in which everything has happened that records can say.
struct Story {
    db: TestDb<'static>,
    journal: Journal,
    world: Uuid,
}

impl Story {
    fn new(place: &Place) -> Self {
        let db = Ground::fast().database();
        place.command(&db, &["tenant", "create", "acme", "--sandbox"]).run();
        let journal = lead(&db);
        let story = Self { db, journal, world: fresh_key() };
        story.open(account(story.world));
        story
    }

    fn ask(&self, command: Command) -> i64 {
        submit(&self.journal, request(fresh_key(), command)).record.seq
    }

    fn open(&self, new: NewAccount) -> Uuid {
        let id = new.public_id;
        self.ask(Command::Open(new));
        id
    }

    fn post(&self, transfers: Vec<Transfer>) -> i64 {
        self.ask(tessera_tests::books::transact(transfers))
    }

    fn moving(&self, debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
        Transfer::moving(debit, credit, Amount::new(minor, EUR))
    }

    fn how(&self, how: How, debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
        Transfer { how, ..self.moving(debit, credit, minor) }
    }

    fn now_us(&self) -> i64 {
        let text =
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + clock_offset_us FROM journal.head";
        rows(&self.db.url(), text)[0][0].as_ref().unwrap().parse().unwrap()
    }

    /// All of it.
    fn tell(&self) {
        let floor = || NewAccount { floor: Some(0), ..account(fresh_key()) };
        let (payer, shop) = (self.open(floor()), self.open(NewAccount { owner: Some(fresh_key()), ..floor() }));
        self.post(vec![self.moving(self.world, payer, 10_000)]);
        self.holds(payer, shop);
        self.lots(shop);
        self.quota(payer, shop);
        self.rest(payer, shop);
    }

    fn holds(&self, payer: Uuid, shop: Uuid) {
        let hold = |expires_us| self.post(vec![self.how(How::Hold { expires_us }, payer, shop, 60)]);
        let of = |seq| LegRef { seq, leg: 0 };
        let (captured, voided) = (of(hold(None)), of(hold(None)));
        _ = (hold(Some(self.now_us() + DAY_US)), hold(None));
        self.post(vec![self.how(How::Capture { hold: captured }, payer, shop, 25)]);
        self.post(vec![self.how(How::Capture { hold: captured }, payer, shop, 35)]);
        self.post(vec![self.how(How::Void { hold: voided }, payer, shop, 0)]);
        self.ask(Command::MoveClock { by_us: 2 * DAY_US });
        self.post(vec![self.moving(payer, shop, 1)]);
        self.post(vec![self.how(How::Capture { hold: voided }, payer, shop, 1)]);
        // A refund in parts, and one that its payee owes.
        let paid = of(self.post(vec![self.moving(payer, shop, 70)]));
        self.post(vec![self.how(How::Refund { of: paid, owing: false }, shop, payer, 30)]);
        self.post(vec![self.moving(shop, self.world, 90)]);
        self.post(vec![self.how(How::Refund { of: paid, owing: true }, shop, payer, 40)]);
        self.post(vec![self.how(How::Refund { of: paid, owing: true }, shop, payer, 1)]);
        self.post(vec![self.moving(self.world, shop, 500)]);
    }

    fn lots(&self, shop: Uuid) {
        let breakage = self.open(account(fresh_key()));
        let nature = Nature::Lots { breakage, grace_us: 7 * DAY_US };
        let club = self.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) });
        let earn = |minor, expires_us| {
            let lot = LotTerms { expires_us, campaign: Uuid::from_u128(9), unit_cost: 5, ..LotTerms::default() };
            LegRef { seq: self.post(vec![Transfer { lot: Some(lot), ..self.moving(self.world, club, minor) }]), leg: 0 }
        };
        let now = self.now_us();
        earn(50, Some(now + DAY_US));
        earn(40, Some(now + 5 * DAY_US));
        let earned = earn(30, None);
        let spent = LegRef { seq: self.post(vec![self.moving(club, shop, 70)]), leg: 0 };
        let expires_us = Some(now + 8 * DAY_US);
        let hold = LegRef { seq: self.post(vec![self.how(How::Hold { expires_us }, club, shop, 30)]), leg: 0 };
        self.ask(Command::MoveClock { by_us: 3 * DAY_US });
        self.post(vec![self.how(How::Refund { of: spent, owing: false }, shop, club, 20)]);
        self.post(vec![self.how(How::Capture { hold }, club, shop, 5)]);
        self.ask(Command::MoveClock { by_us: 20 * DAY_US });
        self.post(vec![self.how(How::Refund { of: earned, owing: true }, club, self.world, 30)]);
        earn(4, Some(now + 90 * DAY_US));
        earn(100, Some(now + 90 * DAY_US));
        self.post(vec![self.how(How::Hold { expires_us: None }, club, shop, 12)]);
        // Held lots that are clawed back, and repay the debt once they are given back.
        let nature = Nature::Lots { breakage, grace_us: 0 };
        let club = self.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) });
        let earned = LegRef { seq: self.post(vec![self.moving(self.world, club, 50)]), leg: 0 };
        let hold = LegRef { seq: self.post(vec![self.how(How::Hold { expires_us: None }, club, shop, 50)]), leg: 0 };
        self.post(vec![self.how(How::Refund { of: earned, owing: true }, club, self.world, 20)]);
        self.post(vec![self.how(How::Void { hold }, club, shop, 0)]);
    }

    fn quota(&self, payer: Uuid, shop: Uuid) {
        let pool = self.open(account(fresh_key()));
        let nature = Nature::Quota { pool, allowance: 100, period: Period::Day, calendar: Calendar::Rome };
        let quota = self.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) });
        let pay = |minor| self.post(vec![self.moving(payer, shop, minor), self.moving(quota, pool, minor)]);
        pay(80);
        pay(21);
        self.ask(Command::Change { account: quota, change: Change::Allowance { minor: 150 } });
        self.ask(Command::MoveClock { by_us: DAY_US });
        pay(140);
    }

    fn rest(&self, payer: Uuid, shop: Uuid) {
        let limits = Change::Limits { floor: Some(-5), ceiling: Some(1_000_000) };
        self.ask(Command::Change { account: payer, change: limits });
        self.ask(Command::Freeze { account: payer, debits: true, credits: false });
        self.post(vec![self.moving(payer, shop, 1)]);
        self.ask(Command::Freeze { account: payer, debits: false, credits: false });
        let empty = self.open(account(fresh_key()));
        self.ask(Command::Change { account: empty, change: Change::Closed { closed: true } });
        self.ask(Command::Abandon);
        // Dated, with a claim, a companion, a group that is dropped, and an account opened on the way.
        let new = NewAccount { ceiling: Some(5), ..account(fresh_key()) };
        let group = Group { transfers: vec![self.moving(payer, new.public_id, 6)], ..Group::default() };
        let command = Command::Transact {
            id: fresh_key(),
            transfers: vec![self.moving(payer, new.public_id, 3), self.how(How::UpTo, payer, new.public_id, 9)],
            open: vec![new],
            groups: vec![group],
            claim: Some(Claim(fresh_key())),
        };
        let effective_us = Some(self.now_us() - 40 * DAY_US);
        let companions = vec![Companion { kind: 7, key: fresh_key(), body: b"a paper".to_vec() }];
        let answer = submit(&self.journal, Request { effective_us, companions, ..request(fresh_key(), command) });
        assert!(matches!(answer.record.body, Body::Transaction { .. }), "{:?}", answer.record.body);
    }

    /// Stops, exports, and seals all of it.
    fn export(self, place: &Place) -> (TestDb<'static>, Hash) {
        let root = root(&self.db, &self.journal);
        self.journal.stop();
        place.command(&self.db, &["export", "journal", "--tenant", "acme", "all.ndjson"]).run();
        (self.db, root)
    }
}

/// The root over all records, sealed by whoever leads.
fn root(db: &TestDb<'_>, journal: &Journal) -> Hash {
    let mut salts = Salts::default();
    salts.add(1, &[1; 32]);
    let ring = Ring::new(vec![Signer::from_seed(&[3; 32]).unwrap()], salts).unwrap();
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let epoch = journal.leading_epoch(JOURNAL).unwrap();
    let sealed = Sealer::default().turn(conn, &ring, JOURNAL, epoch, DAY_US).unwrap();
    let head = sealed.head.unwrap().head;
    assert_eq!((head.size, sealed.behind), (seq(db), 0));
    head.root
}

fn seq(db: &TestDb<'_>) -> i64 {
    let found = rows(&db.url(), "SELECT coalesce(max(seq), 0) FROM journal.head");
    found[0][0].as_ref().unwrap().parse().unwrap()
}

#[track_caller]
fn assert_same_books(db: &TestDb<'_>, other: &TestDb<'_>) {
    for table in BOOKS {
        let (is, was) = (rows(&other.url(), table), rows(&db.url(), table));
        assert!(!was.is_empty(), "{table}");
        assert_eq!(is, was, "{table}");
    }
}

#[test]
fn an_export_restored_whole_is_the_same_to_the_byte_and_to_the_root() {
    let place = Place::new();
    let story = Story::new(&place);
    story.tell();
    let (db, was) = story.export(&place);
    let kinds = rows(&db.url(), "SELECT count(DISTINCT kind) FROM journal.record");
    assert_eq!(kinds[0][0].as_deref(), Some("8"), "every kind of record is told of");

    let other = Ground::fast().database();
    let told = place.restore(&other, "all.ndjson");
    assert_eq!((&told["posted"], &told["seq"]), (&Value::from(seq(&db)), &Value::from(seq(&db))));
    assert_same_books(&db, &other);
    assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."));
    // The same file again changes nothing.
    let again = place.restore(&other, "all.ndjson");
    assert_eq!((&again["posted"], &again["fork"]), (&Value::from(0), &told["fork"]));

    // A node leads them from there, on another line of history, and what it seals has the same root.
    let journal = lead(&other);
    assert_eq!(root(&other, &journal), was);
    submit(&journal, request(fresh_key(), Command::Open(account(fresh_key()))));
    journal.stop();
    assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."));
    assert_eq!(place.restore(&other, "all.ndjson")["posted"], 0, "books that went on hold it still");

    // And an export of the restored books can be restored in its turn, both lines of history kept.
    place.command(&other, &["export", "journal", "--tenant", "acme", "next.ndjson"]).run();
    let third = Ground::fast().database();
    place.restore(&third, "next.ndjson");
    assert_same_books(&other, &third);
    assert!(place.command(&third, &["verify"]).run().out.contains("The books are whole."));
}

#[test]
fn a_restore_that_is_killed_goes_on_where_the_books_stand_and_nobody_leads_them_before() {
    let place = Place::new();
    let story = Story::new(&place);
    story.tell();
    let shop = story.open(account(fresh_key()));
    (0..400).for_each(|_| _ = story.post(vec![story.moving(story.world, shop, 1)]));
    let (db, _) = story.export(&place);

    let other = Ground::fast().database();
    let words = ["import", "journal", "--whole", "all.ndjson"];
    let mut child = place.command(&other, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("some of it is there", PATIENCE, || {
        let there = rows(&other.super_url(), "SELECT to_regclass('journal.head') IS NOT NULL")[0][0].clone();
        (there.as_deref() == Some("true") && seq(&other) > 20).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let half = seq(&other);
    assert!(half > 20 && half < seq(&db), "{half}");
    assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."));
    let serving = place.command(&other, &["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&serving.stderr).into_owned();
    assert!(!serving.status.success() && said.contains("is being brought in"), "{said}");

    let told = place.restore(&other, "all.ndjson");
    assert_eq!(told["posted"], seq(&db) - half);
    assert_same_books(&db, &other);
    assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."));
}

/// What happens to a file, and what is said of it.
type Damage = (&'static str, fn(&mut Vec<String>), &'static str);

fn line_of(lines: &[String], what: &str) -> usize {
    lines.iter().position(|line| line.contains(what)).unwrap()
}

/// Gives commits the hashes that their lines have now.
fn vouch(lines: &mut [String]) {
    let mut text = String::new();
    for line in lines {
        if line.starts_with(r#"{"type":"batch""#) {
            let mut batch: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
            let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
            let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            batch.insert("sha256".into(), hash.into());
            *line = serde_json::to_string(&batch).unwrap();
            text.clear();
        } else {
            text += line;
            text += "\n";
        }
    }
}

const DAMAGES: [Damage; 10] = [
    ("the end cut off", |lines| lines.truncate(lines.len() - 1), "cut-off"),
    ("a commit cut in two", |lines| lines.truncate(lines.len() - 2), "cut-off"),
    (
        "an amount changed for people",
        |lines| {
            let at = line_of(lines, r#""amount":"500""#);
            lines[at] = lines[at].replace(r#""amount":"500""#, r#""amount":"501""#);
        },
        "lines-changed",
    ),
    ("a record dropped", |lines| _ = lines.remove(line_of(lines, r#""type":"refused""#)), "lines-changed"),
    (
        "a record dropped and vouched for",
        |lines| {
            lines.remove(line_of(lines, r#""type":"refused""#));
            vouch(lines);
        },
        "digests",
    ),
    (
        "a whole commit dropped",
        |lines| {
            let at = line_of(lines, r#""type":"refused""#);
            lines.drain(at..=at + 1);
            vouch(lines);
        },
        "seqs",
    ),
    (
        "two commits in another order",
        |lines| {
            let at = line_of(lines, r#""type":"refused""#);
            let moved: Vec<String> = lines.drain(at..=at + 1).collect();
            let end = lines.len() - 1;
            lines.splice(end..end, moved);
            vouch(lines);
        },
        "seqs",
    ),
    (
        "another key",
        |lines| {
            let at = line_of(lines, r#""fingerprint":""#);
            lines[at] = lines[at].replace(r#""scope":7"#, r#""scope":8"#);
            vouch(lines);
        },
        "digests",
    ),
    (
        "another companion",
        |lines| {
            let at = line_of(lines, r#""companions":[{"#);
            lines[at] = lines[at].replace(r#""kind":7"#, r#""kind":8"#);
            vouch(lines);
        },
        "companions",
    ),
    (
        "another scale of the asset",
        |lines| {
            lines[1] = lines[1].replace(r#""scale":2"#, r#""scale":3"#);
            vouch(lines);
        },
        "accounts",
    ),
];

#[test]
fn every_damage_is_refused_by_its_line_and_nothing_of_its_commit_is_posted() {
    let place = Place::new();
    let story = Story::new(&place);
    story.tell();
    let (db, _) = story.export(&place);
    let whole = place.lines("all.ndjson");
    let other = Ground::fast().database();
    // Of another export nothing was posted: it leaves nothing behind that would keep nodes out for ever.
    let mut foreign = whole.clone();
    foreign[0] = foreign[0].replace(&format!(r#""head":{}"#, seq(&db)), r#""head":9"#);
    let first = line_of(&foreign, r#""canonical":"#);
    foreign[first] = foreign[first].replace(r#""scope":7"#, r#""scope":8"#);
    vouch(&mut foreign);
    place.write("foreign.ndjson", &foreign);
    assert!(place.refused(&other, "foreign.ndjson").contains(": digests: "));
    for (what, damage, code) in DAMAGES {
        let mut lines = whole.clone();
        damage(&mut lines);
        assert_ne!(lines, whole, "{what}");
        place.write("damaged.ndjson", &lines);
        let said = place.refused(&other, "damaged.ndjson");
        assert!(said.contains("line ") && said.contains(&format!(": {code}: ")), "{what}: {said}");
        // What came before stands, by itself whole.
        assert!(place.command(&other, &["verify"]).run().out.contains("The books are whole."), "{what}");
    }
    // One file after the other went as far as it was whole: the whole one ends it.
    place.restore(&other, "all.ndjson");
    assert_same_books(&db, &other);
    let open = "SELECT 1 FROM journal.restored WHERE accepted_at IS NULL";
    assert!(rows(&other.url(), open).is_empty(), "nodes may lead");

    // Into books that have something of their own it does not go, nor under another number, nor while somebody leads.
    let third = Ground::fast().database();
    place.command(&third, &["tenant", "create", "acme", "--sandbox"]).run();
    let journal = lead(&third);
    assert!(place.refused(&third, "all.ndjson").contains(": held: "));
    submit(&journal, request(fresh_key(), Command::Open(account(fresh_key()))));
    journal.stop();
    assert!(place.refused(&third, "all.ndjson").contains(": not-empty: "));
    place.command(&third, &["tenant", "create", "other", "--sandbox"]).run();
    let words = ["import", "journal", "--whole", "--tenant", "other", "all.ndjson"];
    let output = place.command(&third, &words).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains(": other-tenant: "), "{output:?}");
}

/// The laws that only stored rows can answer: a key, a claim or a row used up by a commit that came before.
#[test]
fn a_restore_meets_the_rows_before_it_as_every_batch_does() {
    let place = Place::new();
    let story = Story::new(&place);
    story.tell();
    let (_db, _) = story.export(&place);
    let other = Ground::fast().database();
    let lines = place.lines("all.ndjson");
    let claim = line_of(&lines, r#""claim":""#);
    place.write("half.ndjson", &lines[..claim]);
    assert!(place.refused(&other, "half.ndjson").contains(": cut-off: "));
    let record: Value = serde_json::from_str(&lines[claim]).unwrap();
    let spent = format!("INSERT INTO journal.claim VALUES (1, '{}', 1)", record["claim"].as_str().unwrap());
    run_sql(&other.super_url(), &spent);
    assert!(place.refused(&other, "all.ndjson").contains(": claims: "));
}
