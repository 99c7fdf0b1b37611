//! Reports over the books: unspent points at any seq and what led there, against the balances of their accounts, whatever
//! happened; the figures as JSON, CSV and workbooks, in two languages; statements and trial balances as files.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection, PgConnection};
use ledger::read::records::Size;
use ledger::read::{Until, unspent};
use ledger::{Amount, Answer, Body, Command, How, Journal, LegRef, LotTerms, Nature, NewAccount, Transfer};
use serde_json::{Value, json};
use tessera_tests::books::{EUR, JOURNAL, account, lead, new_books, request, submit, transact};
use tessera_tests::{Api, Dice, Ground, Rewards, Run, TestApp, TestDb, eur, eventually, fresh_key, rows, tessera};
use uuid::Uuid;
use wallet_api::platform::db::Db;
use wallet_api::platform::keyring::Scope;
use wallet_api::reports::{Groups, Movements, Source};

const DAY_US: i64 = 86_400_000_000;
const PAGE: Size = Size { records: 7, transfers: 9 };

/// Clubs that keep lots, and a source of points.
struct Clubs<'a> {
    db: TestDb<'a>,
    journal: Journal,
    world: Uuid,
    shop: Uuid,
    clubs: Vec<Uuid>,
    campaigns: [Uuid; 3],
}

impl Clubs<'_> {
    fn open(count: usize) -> Self {
        let db = Ground::fast().database();
        new_books(&db);
        let journal = lead(&db);
        let campaigns = [Uuid::nil(), fresh_key(), fresh_key()];
        let mut clubs = Self { db, journal, world: fresh_key(), shop: fresh_key(), clubs: Vec::new(), campaigns };
        for plain in [clubs.world, clubs.shop] {
            clubs.ask(Command::Open(account(plain)));
        }
        for n in 0..count {
            let breakage = fresh_key();
            clubs.ask(Command::Open(account(breakage)));
            let nature = Nature::Lots { breakage, grace_us: if n == 0 { 0 } else { DAY_US } };
            let club = NewAccount { floor: Some(0), nature, ..account(fresh_key()) };
            clubs.clubs.push(club.public_id);
            clubs.ask(Command::Open(club));
        }
        clubs
    }

    fn ask(&self, command: Command) -> Answer {
        submit(&self.journal, request(fresh_key(), command))
    }

    /// Posts one transfer; the row if it happened.
    fn post(&self, transfer: Transfer) -> Option<LegRef> {
        let answer = self.ask(transact(vec![transfer]));
        matches!(answer.record.body, Body::Transaction { .. }).then_some(LegRef { seq: answer.record.seq, leg: 0 })
    }

    fn earning(&self, club: Uuid, minor: i64, campaign: usize, expires_us: Option<i64>) -> Transfer {
        let lot = LotTerms { expires_us, campaign: self.campaigns[campaign], unit_cost: 700, ..LotTerms::default() };
        Transfer { lot: Some(lot), ..moving(self.world, club, minor) }
    }

    fn now_us(&self) -> i64 {
        let text =
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + clock_offset_us FROM journal.head";
        tessera_tests::rows(&self.db.url(), text)[0][0].as_ref().unwrap().parse().unwrap()
    }

    fn head(&self) -> i64 {
        let conn = &mut PgConnection::establish(&self.db.url()).unwrap();
        ledger::read::head(conn, JOURNAL).unwrap().unwrap().seq
    }

    fn source(&self) -> Source {
        let db = Db::open(&self.db.url(), 4).unwrap();
        Source { db, history: self.journal.history().clone(), journal: JOURNAL }
    }

    /// What the records of a stretch did, in small pages.
    fn movements(&self, after: i64, upto: i64) -> Movements {
        let conn = &mut PgConnection::establish(&self.db.url()).unwrap();
        let (mut sums, mut at) = (Movements::default(), after);
        while at < upto {
            let (page, looked) = unspent::touching(conn, JOURNAL, at, upto, PAGE).unwrap();
            page.iter().for_each(|touched| sums.take(touched));
            at = looked;
        }
        sums
    }

    fn lots_now(&self) -> Groups {
        let conn = &mut PgConnection::establish(&self.db.url()).unwrap();
        let mut groups = Groups::default();
        unspent::left(conn, JOURNAL, Until::ENDLESS, &mut |asset, piece| groups.put(asset, &piece)).unwrap();
        groups
    }
}

fn moving(debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
    Transfer::moving(debit, credit, Amount::new(minor, EUR))
}

/// Something happens: earnings with and without an end, spending, moves between clubs, holds that are captured, voided or
/// left to expire, refunds both ways that may leave debt, and days that pass.
fn happen(clubs: &Clubs<'_>, dice: &mut Dice, rows: &mut Vec<(LegRef, Transfer)>, holds: &mut Vec<(LegRef, Transfer)>) {
    let below = |dice: &mut Dice, end: usize| usize::try_from(dice.below(u64::try_from(end).unwrap())).unwrap();
    let club = clubs.clubs[below(dice, clubs.clubs.len())];
    let minor = i64::try_from(dice.below(60)).unwrap() + 1;
    let picked = |dice: &mut Dice, from: &[(LegRef, Transfer)]| {
        if from.is_empty() { None } else { Some(from[below(dice, from.len())]) }
    };
    match dice.below(12) {
        0..=3 => {
            let days = i64::try_from(dice.below(80)).unwrap() + 1;
            let expires_us = (dice.below(3) > 0).then(|| clubs.now_us() + days * DAY_US);
            let earning = clubs.earning(club, minor, below(dice, 3), expires_us);
            rows.extend(clubs.post(earning).map(|row| (row, earning)));
        }
        4 | 5 => {
            let burn = moving(club, clubs.shop, minor);
            rows.extend(clubs.post(burn).map(|row| (row, burn)));
        }
        6 => {
            let other = clubs.clubs[below(dice, clubs.clubs.len())];
            if other != club {
                let sent = moving(club, other, minor);
                rows.extend(clubs.post(sent).map(|row| (row, sent)));
            }
        }
        7 => {
            let expires_us = (dice.below(2) > 0).then(|| clubs.now_us() + 5 * DAY_US);
            let hold = Transfer { how: How::Hold { expires_us }, ..moving(club, clubs.shop, minor) };
            holds.extend(clubs.post(hold).map(|row| (row, hold)));
        }
        8 => {
            if let Some((hold, of)) = picked(dice, holds) {
                let how = if dice.below(2) > 0 { How::Capture { hold } } else { How::Void { hold } };
                let part = if matches!(how, How::Void { .. }) { 0 } else { minor };
                clubs.post(Transfer { how, ..moving(of.debit, of.credit, part) });
            }
        }
        9 | 10 => {
            if let Some((of, row)) = picked(dice, rows) {
                let how = How::Refund { of, owing: dice.below(4) > 0 };
                clubs.post(Transfer { how, ..moving(row.credit, row.debit, minor.min(row.amount.minor)) });
            }
        }
        _ => {
            let by_us = i64::try_from(dice.below(9)).unwrap() * DAY_US + 1;
            clubs.ask(Command::MoveClock { by_us });
        }
    }
}

/// One of everything, so that no throw of the dice leaves any of it out.
fn begin(clubs: &Clubs<'_>) {
    let [one, other] = [clubs.clubs[0], clubs.clubs[1]];
    let refund = |of: LegRef, debit: Uuid, credit: Uuid, minor: i64| {
        clubs.post(Transfer { how: How::Refund { of, owing: true }, ..moving(debit, credit, minor) }).unwrap();
    };
    clubs.post(clubs.earning(one, 40, 1, Some(clubs.now_us() + DAY_US))).unwrap();
    clubs.ask(Command::MoveClock { by_us: 2 * DAY_US });
    let earned = clubs.post(clubs.earning(one, 100, 2, None)).unwrap();
    let burned = clubs.post(moving(one, clubs.shop, 70)).unwrap();
    refund(burned, clubs.shop, one, 30);
    clubs.post(moving(one, other, 20)).unwrap();
    refund(earned, one, clubs.world, 90);
    clubs.post(clubs.earning(one, 60, 0, None)).unwrap();
}

/// Whatever happened: units at every seq are the same from the beginning and from today, they are what the accounts stand
/// at, and between any two seqs opening and what happened are closing, campaign by campaign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unit_of_random_books_is_accounted_for_between_any_two_moments() {
    let clubs = tokio::task::block_in_place(|| Clubs::open(3));
    let mut dice = Dice::thrown("every_unit_of_random_books_is_accounted_for_between_any_two_moments");
    let (mut rows, mut holds) = (Vec::new(), Vec::new());
    tokio::task::block_in_place(|| {
        begin(&clubs);
        (0..240).for_each(|_| happen(&clubs, &mut dice, &mut rows, &mut holds));
    });
    let (head, source) = (clubs.head(), clubs.source());
    let now = tokio::task::block_in_place(|| clubs.lots_now());
    for seq in (0..=head).step_by(9).chain([head]) {
        let (forwards, backwards) = tokio::task::block_in_place(|| {
            (clubs.movements(0, seq).change, now.clone().before(&clubs.movements(seq, head).change))
        });
        assert_eq!(forwards, backwards, "at {seq}");
        let told = source.liability(seq).await.unwrap();
        assert_eq!(told.groups, forwards, "at {seq}");
        assert!(told.agrees(), "at {seq}: {:?}", told.checks);
    }
    let mut seen = BTreeMap::<&str, i128>::new();
    for _ in 0..20 {
        let ends = [dice.below(u64::try_from(head).unwrap()), dice.below(u64::try_from(head).unwrap())];
        let [after, upto] = ends.map(|seq| i64::try_from(seq).unwrap());
        let report = source.roll_forward(after.min(upto), after.max(upto)).await.unwrap();
        assert!(report.agrees(), "from {after} to {upto}: {report:?}");
    }
    let whole = source.roll_forward(0, head).await.unwrap();
    assert!(whole.agrees() && whole.lines.iter().all(|line| line.opening == 0), "{whole:?}");
    for line in whole.totals() {
        let names = ["earned", "restored", "received", "burned", "expired", "clawed back", "sent", "offset"];
        names.iter().zip(line.flows).for_each(|(name, minor)| *seen.entry(name).or_default() += minor);
    }
    seen.insert("incurred", whole.debts.iter().map(|debt| debt.incurred).sum());
    seen.insert("repaid", whole.debts.iter().map(|debt| debt.repaid).sum());
    // A hold given back into debt is rare: it has a test of its own.
    let missing: Vec<_> = seen.iter().filter(|(name, minor)| **minor == 0 && **name != "offset").collect();
    assert!(missing.is_empty(), "the dice brought no {missing:?}");
}

/// A hold that is given back while its account owes goes into the debt, and the report tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hold_gives_back_into_debt_is_told_apart() {
    let clubs = tokio::task::block_in_place(|| Clubs::open(1));
    let (club, shop) = (clubs.clubs[0], clubs.shop);
    tokio::task::block_in_place(|| {
        let earned = clubs.post(clubs.earning(club, 100, 1, None)).unwrap();
        let hold = clubs.post(Transfer { how: How::Hold { expires_us: None }, ..moving(club, shop, 80) }).unwrap();
        let how = How::Refund { of: earned, owing: true };
        clubs.post(Transfer { how, ..moving(club, clubs.world, 100) }).unwrap();
        clubs.post(Transfer { how: How::Void { hold }, ..moving(club, shop, 0) }).unwrap();
    });
    let report = clubs.source().roll_forward(0, clubs.head()).await.unwrap();
    assert!(report.agrees(), "{report:?}");
    // 20 were free and are taken back, 80 were held: given back, they are not the customer's any more.
    assert_eq!(report.lines[0].flows, [100, 0, 0, 0, 0, 20, 0, 80]);
    let debt = report.debts[0];
    assert_eq!((debt.opening, debt.incurred, debt.repaid, debt.closing), (0, 80, 80, 0));
}

/// A club over HTTP: 100 points of a campaign that end, 50 that never do, 30 spent of which 10 came back, 150 taken back.
struct Desk {
    app: TestApp,
    api: Api,
    club: Uuid,
    campaign: Uuid,
}

impl Desk {
    async fn open() -> Self {
        let app = TestApp::start();
        let api = app.world.client(&[Scope::LedgerWrite, Scope::LedgerRead]);
        api.post("/v1/ledger/assets", &json!({"code": "PTS:desk", "scale": 0})).await.expect(201);
        let open = |terms: Value| {
            let api = api.clone();
            async move {
                let opened = api.post("/v1/ledger/accounts", &terms).await.expect(201);
                opened["id"].as_str().unwrap().parse::<Uuid>().unwrap()
            }
        };
        let world = open(json!({"asset": "PTS:desk", "normal_side": "debit"})).await;
        let breakage = open(json!({"asset": "PTS:desk"})).await;
        let shop = open(json!({"asset": "PTS:desk"})).await;
        let keeps = json!({"lots": {"breakage": breakage}});
        let club = open(json!({"asset": "PTS:desk", "floor": "0", "keeps": keeps})).await;
        let campaign = fresh_key();
        let leg = |debit: Uuid, credit: Uuid, amount: &str| json!({"debit": debit, "credit": credit, "amount": amount, "asset": "PTS:desk"});
        let post = |leg: Value, more: Value| {
            let (api, mut leg) = (api.clone(), leg);
            leg.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            async move {
                let posted = api.post("/v1/ledger/transactions", &json!({"transfers": [leg]})).await.expect(201);
                posted["seq"].as_i64().unwrap()
            }
        };
        // The last moment in Rome of 2998, which is 23:00 in Greenwich.
        let lot = json!({"lot": {"expires_at": "2998-12-31T23:00:00Z", "campaign": campaign, "unit_cost": 7000}});
        post(leg(world, club, "100"), lot).await;
        let never = post(leg(world, club, "50"), json!({"lot": {}})).await;
        let spent = post(leg(club, shop, "30"), json!({})).await;
        post(leg(shop, club, "10"), json!({"how": "refund", "of": {"seq": spent}})).await;
        post(leg(club, world, "50"), json!({"how": "refund", "of": {"seq": never}})).await;
        post(leg(club, world, "100"), json!({"how": "owing"})).await;
        Self { app, api, club, campaign }
    }

    async fn file(&self, path: &str, lang: &'static str) -> (String, Vec<u8>) {
        let reply = self.api.in_lang(lang).get(path).await;
        let kind = reply.headers["content-type"].to_str().unwrap().to_owned();
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        (kind, reply.bytes.to_vec())
    }

    async fn lines(&self, path: &str, lang: &'static str) -> Vec<String> {
        let (kind, bytes) = self.file(path, lang).await;
        assert_eq!(kind, "text/csv; charset=utf-8");
        String::from_utf8(bytes).unwrap().split_terminator("\r\n").map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_liability_tells_its_units_and_that_the_accounts_have_them() {
    let desk = Desk::open().await;
    let now = desk.api.get("/v1/ledger/liability?asset=PTS:desk").await.expect(200);
    assert_eq!((&now["agrees"], now["groups"].as_array().unwrap().len()), (&json!(true), 0), "{now}");
    // 80 were left, 100 were taken back.
    assert_eq!(now["checks"][0]["debt"], "20");
    assert_eq!(now["checks"][0]["balance"], "-20");
    let before = now["seq"].as_i64().unwrap() - 2;
    let then = desk.api.get(&format!("/v1/ledger/liability?seq={before}")).await.expect(200);
    let month = desk.app.api().get(&format!("/v1/ledger/transactions/{before}")).await.expect(200)["recorded_at"]
        .as_str()
        .unwrap()[..7]
        .to_owned();
    let group = |ends: &str, campaign: Uuid, units: &str, cost: &str| {
        json!({"asset": "PTS:desk", "earned": month, "ends": ends, "campaign": campaign, "units": units,
            "cost_millionths": cost})
    };
    assert_eq!(then["groups"][0], group("2998-12", desk.campaign, "80", "560000"));
    assert_eq!(then["groups"][1], group("never", Uuid::nil(), "50", "0"));
    assert_eq!((&then["agrees"], &then["checks"][0]["balance"]), (&json!(true), &json!("130")));
    let none = desk.api.get("/v1/ledger/liability?recorded_at=2001-01-01T00:00:00Z").await.expect(200);
    assert_eq!((&none["seq"], none["groups"].as_array().unwrap().len()), (&json!(0), 0));
    desk.api.get("/v1/ledger/liability?asset=NONE").await.expect_problem(422, "body-invalid");
    desk.api
        .get("/v1/ledger/liability?seq=1&recorded_at=2001-01-01T00:00:00Z")
        .await
        .expect_problem(422, "body-invalid");
}

#[tokio::test]
async fn a_roll_forward_adds_up_and_is_worth_what_its_terms_say() {
    let desk = Desk::open().await;
    let path = "/v1/ledger/liability/roll-forward?asset=PTS:desk";
    let report = desk.api.get(path).await.expect(200);
    let campaign = json!({"asset": "PTS:desk", "campaign": desk.campaign, "opening": "0", "earned": "100",
        "restored": "10", "received": "0", "burned": "30", "expired": "0", "clawed_back": "80", "sent": "0",
        "offset": "0", "closing": "0"});
    assert_eq!(report["lines"][1], campaign, "{report}");
    assert_eq!(report["lines"][0]["clawed_back"], "50");
    let debt = json!({"asset": "PTS:desk", "opening": "0", "incurred": "20", "repaid": "0", "closing": "20"});
    assert_eq!((&report["debts"][0], &report["agrees"]), (&debt, &json!(true)));
    assert!(report.get("value").is_none());
    // 150 issued less 130 taken back, 20 used, all of them expected to be: half of what was paid, all recognised.
    let terms = format!("{path}&paid=1001&goods_price=20&unit_price_millionths=1000000");
    let value = desk.api.get(&terms).await.expect(200)["value"].clone();
    assert_eq!((&value["issued_units"], &value["used_units"]), (&json!("20"), &json!("20")), "{value}");
    assert_eq!((&value["points_share"], &value["goods_share"]), (&json!("501"), &json!("500")));
    assert_eq!((&value["recognised"], &value["liability"]), (&json!("501"), &json!("0")));
    let later = desk.api.get(&format!("{terms}&expected_units=40&recognised_before=100")).await.expect(200);
    assert_eq!((&later["value"]["revenue"], &later["value"]["liability"]), (&json!("151"), &json!("250")));
    desk.api.get(&format!("{path}&paid=1")).await.expect_problem(422, "body-invalid");
    let nothing = format!("{path}&paid=1&goods_price=0&unit_price_millionths=0");
    desk.api.get(&nothing).await.expect_problem(422, "value-terms");
}

/// Reports that are stuck hold two places and no more, and money passes them by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reports_take_turns_and_a_payment_is_answered_meanwhile() {
    let desk = Desk::open().await;
    let shop = desk.app.world.shop("shop", Rewards::PLENTY).await;
    let anna = desk.app.world.customer("anna").await;
    desk.app.world.top_up(anna, 1_000).await;
    let mut stopper = PgConnection::establish(&desk.app.db().super_url()).unwrap();
    // Nothing but a balance by effective date reads these rows.
    stopper.batch_execute("BEGIN; LOCK TABLE journal.dated_day IN ACCESS EXCLUSIVE MODE").unwrap();
    let path = "/v1/ledger/trial-balance?effective_at=2026-11-21T00:00:00Z";
    let reports = (0..3).map(|_| {
        let api = desk.api.clone();
        tokio::spawn(async move { api.get(path).await })
    });
    let reports: Vec<_> = reports.collect();
    let stuck = || {
        let text =
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%recorded.sum, days.net%'";
        rows(&desk.app.db().super_url(), text).len()
    };
    eventually("two reports are stuck", Duration::from_secs(5), || (stuck() == 2).then_some(()));
    let body =
        json!({"customer": anna, "merchant": shop.merchant, "amount": eur(600), "instrument": {"kind": "wallet"}});
    let began = Instant::now();
    desk.app.api().post("/v1/payments", &body).await.expect(201);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for _ in 0..20 {
        assert!(stuck() <= 2, "one waits for its turn");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stopper.batch_execute("ROLLBACK").unwrap();
    for report in reports {
        report.await.unwrap().expect(200);
    }
}

#[tokio::test]
async fn files_say_what_json_says_in_the_readers_language() {
    let desk = Desk::open().await;
    let before = desk.api.get("/v1/ledger/liability").await.expect(200)["seq"].as_i64().unwrap() - 2;
    let path = format!("/v1/ledger/liability?seq={before}&format=csv");
    let lines = desk.lines(&path, "it").await;
    assert_eq!(lines[0], "seq,tipo,unità,maturati nel,scadono nel,campagna,quantità,costo in milionesimi");
    assert!(lines[1].starts_with(&format!("{before},lots,PTS:desk,")), "{}", lines[1]);
    assert!(lines[1].ends_with(&format!(",2998-12,{},80,560000", desk.campaign)), "{}", lines[1]);
    assert_eq!(lines[3], format!("{before},debt,PTS:desk,,,,0,"));
    assert_eq!(lines[4], format!("{before},balance,PTS:desk,,,,130,"));
    assert_eq!(desk.lines(&path, "en").await[0], "seq,row,asset,earned in,ends in,campaign,units,cost in millionths");
    let rolled = desk.lines("/v1/ledger/liability/roll-forward?format=csv", "en").await;
    assert_eq!(rolled.last().unwrap(), "debt,PTS:desk,,0,0,0,0,0,0,20,0,0,-20");
    let trial = desk.lines("/v1/ledger/trial-balance/file", "it").await;
    assert_eq!(trial[0], "seq,unità,conti,dare,avere,differenza");
    assert!(trial[1].ends_with(",PTS:desk,4,20,20,0"), "{}", trial[1]);
    let accepted = [("accept", "text/csv")];
    let reply = desk.api.send(hyper::Method::GET, "/v1/ledger/liability", &accepted, hyper::body::Bytes::new()).await;
    assert_eq!(reply.unwrap().headers["content-type"], "text/csv; charset=utf-8");
}

#[tokio::test]
async fn a_statements_file_is_one_window_and_adds_up_whatever_its_length() {
    let desk = Desk::open().await;
    let path = format!("/v1/ledger/accounts/{}/statement/file", desk.club);
    let lines = desk.lines(&path, "en").await;
    assert_eq!(lines[0], "row,seq,leg,transaction,recorded at,effective at,other account,asset,change,balance");
    assert!(lines[1].starts_with("closing,") && lines[1].ends_with(",PTS:desk,,-20"), "{}", lines[1]);
    assert!(lines.last().unwrap().starts_with("opening,0,"), "{lines:?}");
    let change = |line: &String| line.split(',').nth(8).unwrap().parse::<i64>().unwrap();
    let entries = lines.iter().filter(|line| line.starts_with("entry,"));
    assert_eq!(entries.clone().map(change).collect::<Vec<_>>(), [-100, -50, 10, -30, 50, 100]);
    // Longer than a page.
    let world = lines[2].split(',').nth(6).unwrap().to_owned();
    let leg = json!({"debit": world, "credit": desk.club, "amount": "1", "asset": "PTS:desk"});
    for _ in 0..3 {
        let items: Vec<Value> = (0..900).map(|_| json!({"id": fresh_key(), "transfers": [leg.clone()]})).collect();
        let batch = json!({"mode": "independent", "transactions": items});
        assert_eq!(desk.api.post("/v1/ledger/transactions", &batch).await.expect(200)["posted"], 900);
    }
    let lines = desk.lines(&path, "en").await;
    assert_eq!(lines.len(), 1 + 1 + 2_706 + 1);
    assert!(lines[1].ends_with(",2680"), "{}", lines[1]);
    let sum: i64 = lines.iter().filter(|line| line.starts_with("entry,")).map(change).sum();
    assert_eq!(sum, 2_680);
    let unknown = format!("/v1/ledger/accounts/{}/statement/file", fresh_key());
    desk.api.get(&unknown).await.expect_problem(404, "not-found");
    let cells = cells(&desk.file(&format!("{path}?format=xlsx"), "en").await.1);
    assert_eq!(cells.len(), lines.len());
}

/// A workbook's rows, each cell with its type: `n` a number, `s` text.
fn cells(bytes: &[u8]) -> Vec<Vec<(char, String)>> {
    let mut book = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut sheet = String::new();
    book.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut sheet).unwrap();
    assert!(!sheet.contains("<f>"), "no cell is a formula");
    let row = |row: &str| {
        let cell = |cell: &str| {
            let text = cell.split("<t").nth(1).map(|rest| rest.split_once('>').unwrap().1);
            let number = cell.split("<v>").nth(1);
            let (kind, rest) = text.map_or_else(|| ('n', number.unwrap()), |text| ('s', text));
            (kind, rest.split('<').next().unwrap().to_owned())
        };
        row.split("<c ").skip(1).map(cell).collect()
    };
    sheet.split("<row ").skip(1).map(row).collect()
}

#[tokio::test]
async fn a_workbook_opens_with_numbers_that_are_numbers() {
    let desk = Desk::open().await;
    let before = desk.api.get("/v1/ledger/liability").await.expect(200)["seq"].as_i64().unwrap() - 2;
    let path = format!("/v1/ledger/liability?seq={before}&format=xlsx");
    let (kind, bytes) = desk.file(&path, "it").await;
    assert_eq!(kind, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
    let rows = cells(&bytes);
    assert_eq!(rows[0][2], ('s', "unità".to_owned()));
    assert_eq!(rows[1][0], ('n', before.to_string()));
    assert_eq!((&rows[1][1], &rows[1][6]), (&('s', "lots".to_owned()), &('n', "80".to_owned())));
    assert_eq!(rows.len(), 5);
    let mut book = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let mut names = String::new();
    book.by_name("xl/workbook.xml").unwrap().read_to_string(&mut names).unwrap();
    assert!(names.contains("name=\"Passività\""), "{names}");
    assert_eq!(bytes, desk.file(&path, "it").await.1, "the same report is the same file");
    let rolled = cells(&desk.file("/v1/ledger/liability/roll-forward?format=xlsx", "en").await.1);
    assert_eq!(rolled.last().unwrap()[0], ('s', "debt".to_owned()));
}

/// JSON, CSV, a workbook and the command line tell one value, that of the roll-forward's terms.
#[tokio::test]
async fn a_value_is_the_same_in_every_form() {
    let desk = Desk::open().await;
    let terms =
        "asset=PTS:desk&paid=1001&goods_price=20&unit_price_millionths=1000000&expected_units=90&recognised_before=7";
    let path = format!("/v1/ledger/liability/value?{terms}");
    let told = desk.api.get(&path).await.expect(200);
    let rolled = desk.api.get(&format!("/v1/ledger/liability/roll-forward?{terms}")).await.expect(200);
    assert_eq!(told["value"], rolled["value"]);
    let value = |name: &str| told["value"][name].as_str().unwrap().to_owned();
    let names = [
        "issued_units",
        "used_units",
        "expected_units",
        "points_price",
        "goods_share",
        "points_share",
        "recognised",
        "revenue",
        "liability",
    ];
    let figures: Vec<String> = names.iter().map(|name| value(name)).collect();
    let row = format!("{},PTS:desk,{}", told["seq"], figures.join(","));
    let lines = desk.lines(&format!("{path}&format=csv"), "it").await;
    assert!(lines[0].starts_with("seq,unità,unità emesse,unità usate,"), "{}", lines[0]);
    assert_eq!(lines[1..], *std::slice::from_ref(&row));
    let cells = cells(&desk.file(&format!("{path}&format=xlsx"), "en").await.1);
    assert_eq!((&cells[0][10], &cells[1][1]), (&('s', "liability".to_owned()), &('s', "PTS:desk".to_owned())));
    let numbers = cells[1][2..].to_vec();
    assert_eq!(numbers, figures.into_iter().map(|figure| ('n', figure)).collect::<Vec<_>>());
    let words = [
        "report",
        "value",
        "--tenant",
        "acme",
        "--asset",
        "PTS:desk",
        "--paid",
        "1001",
        "--goods-price",
        "20",
        "--unit-price-millionths",
        "1000000",
        "--expected-units",
        "90",
        "--recognised-before",
        "7",
    ];
    let run = |more: &[&str]| {
        let mut command = tessera(&[&words[..], more].concat());
        command.env("DATABASE_URL", desk.app.db().url()).env("DATABASE_OWNER_URL", desk.app.db().owner_url());
        command.run()
    };
    assert_eq!(run(&["--json"]).json(), told);
    assert_eq!(run(&["--lang", "it"]).out, format!("{}\r\n{row}\r\n", lines[0]));
    let wrong = format!("/v1/ledger/liability/value?{terms}&sold_rate_millionths=1000001");
    desk.api.get(&wrong).await.expect_problem(422, "body-invalid");
    let unknown = path.replace("PTS:desk", "NONE");
    desk.api.get(&unknown).await.expect_problem(422, "body-invalid");
}

#[tokio::test]
async fn the_command_line_tells_the_same_as_the_api() {
    let desk = Desk::open().await;
    let run = |words: &[&str]| {
        let mut command = tessera(words);
        command.env("DATABASE_URL", desk.app.db().url()).env("DATABASE_OWNER_URL", desk.app.db().owner_url());
        command.run()
    };
    let told = desk.api.get("/v1/ledger/liability?seq=12").await.expect(200);
    let ran = run(&["report", "liability", "--tenant", "acme", "--seq", "12", "--json"]).json();
    assert_eq!(ran, told);
    let path =
        "/v1/ledger/liability/roll-forward?asset=PTS:desk&paid=1001&goods_price=20&unit_price_millionths=1000000";
    let words = [
        "report",
        "roll-forward",
        "--tenant",
        "acme",
        "--json",
        "--asset",
        "PTS:desk",
        "--paid",
        "1001",
        "--goods-price",
        "20",
        "--unit-price-millionths",
        "1000000",
    ];
    assert_eq!(run(&words).json(), desk.api.get(path).await.expect(200));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let club = desk.club.to_string();
    for (words, path) in [
        (vec!["statement", &club], format!("/v1/ledger/accounts/{club}/statement/file")),
        (vec!["trial-balance"], "/v1/ledger/trial-balance/file".to_owned()),
    ] {
        let [csv, xlsx] = [file("x.csv"), file("x.xlsx")];
        let all = |output: &str| {
            let fixed = ["--tenant", "acme", "--lang", "en", "--output", output];
            run(&[&["report"], words.as_slice(), &fixed].concat())
        };
        assert!(all(&csv).status.success() && all(&xlsx).status.success());
        assert_eq!(std::fs::read(&csv).unwrap(), desk.file(&path, "en").await.1);
        assert_eq!(std::fs::read(&xlsx).unwrap(), desk.file(&format!("{path}?format=xlsx"), "en").await.1);
    }
    let wrong = run(&["report", "trial-balance", "--tenant", "acme", "--output", &file("x.pdf")]);
    assert!(!wrong.status.success() && wrong.err.contains(".csv or .xlsx"), "{wrong:?}");
}

/// A day of the desk's calendar, so many after today by the sandbox's clock.
async fn day(desk: &Desk, after: i64) -> String {
    let clock = desk.app.api().get("/v1/sandbox/clock").await.expect(200)["now"].as_str().unwrap().to_owned();
    let now: chrono::DateTime<chrono::Utc> = clock.parse().unwrap();
    let rome: chrono_tz::Tz = "Europe/Rome".parse().unwrap();
    (now.with_timezone(&rome).date_naive() + chrono::TimeDelta::days(after)).to_string()
}

/// A day is closed once it is over, in order, to the same answer however often; what counts in it and comes later is
/// late, and the next closing says so; the chain of closings verifies.
#[tokio::test]
async fn a_closed_day_says_what_the_books_said_and_what_came_late() {
    let desk = Desk::open().await;
    let close = async |day: &str, skip: bool| {
        let body = json!({"day": day, "skip_open_days": skip});
        desk.api.post("/v1/ledger/closings", &body).await
    };
    let pass = async |seconds: i64| {
        let body = json!({"seconds": seconds});
        desk.app.api().post("/v1/sandbox/clock/advance", &body).await.expect(201);
    };
    let today = day(&desk, 0).await;
    close(&today, false).await.expect_problem(409, "day-not-over");
    pass(2 * 86_400).await;
    let closed = close(&today, false).await.expect(200);
    let head = desk.api.get("/v1/ledger/liability").await.expect(200)["seq"].as_i64().unwrap();
    assert_eq!((&closed["day"], &closed["late"], &closed["after_seq"]), (&json!(today), &json!(0), &json!(0)));
    // The clock's own move was recorded before it moved.
    assert_eq!(closed["seq"], head);
    let total = json!({"asset": "PTS:desk", "accounts": 4, "debits": "20", "credits": "20"});
    assert!(closed["totals"].as_array().unwrap().contains(&total), "{closed}");
    assert_eq!(close(&today, false).await.expect(200), closed, "closed again, it is the same");
    // Two count before the first day's end, one does not, and one is refused: only the two are late.
    let lines = desk.lines(&format!("/v1/ledger/accounts/{}/statement/file", desk.club), "en").await;
    let world = lines[2].split(',').nth(6).unwrap().to_owned();
    let leg = json!({"debit": world, "credit": desk.club, "amount": "1", "asset": "PTS:desk"});
    let too_much = json!({"debit": desk.club, "credit": world, "amount": "999", "asset": "PTS:desk"});
    let mut late = Vec::new();
    for effective in [json!("2001-01-01T00:00:00Z"), Value::Null, json!("2001-01-02T00:00:00Z")] {
        let mut body = json!({"transfers": [leg.clone()]});
        if !effective.is_null() {
            body["effective_at"] = effective.clone();
        }
        let seq = desk.api.post("/v1/ledger/transactions", &body).await.expect(201)["seq"].clone();
        late.extend((!effective.is_null()).then_some(seq));
    }
    let old = json!({"transfers": [too_much], "effective_at": "2001-01-03T00:00:00Z"});
    desk.api.post("/v1/ledger/transactions", &old).await.expect(422);
    pass(2 * 86_400).await;
    let second = day(&desk, -2).await;
    assert_eq!(close(&second, false).await.expect_problem(409, "day-open-before")["day"], day(&desk, -3).await);
    let later = close(&second, true).await.expect(200);
    assert_eq!((&later["late"], &later["former_day"], &later["after_seq"]), (&json!(2), &json!(today), &closed["seq"]));
    let skipped = day(&desk, -3).await;
    assert_eq!(close(&skipped, false).await.expect_problem(409, "day-passed")["day"], json!(second));
    let told = desk.api.get(&format!("/v1/ledger/closings/late?day={second}")).await.expect(200);
    let seqs: Vec<Value> = told["late"].as_array().unwrap().iter().map(|one| one["seq"].clone()).collect();
    assert_eq!(seqs, late);
    let one = format!("/v1/ledger/closings/late?day={second}&after={}&limit=5", late[0]);
    assert_eq!(desk.api.get(&one).await.expect(200)["late"].as_array().unwrap().len(), 1);
    desk.api.get(&format!("/v1/ledger/closings/late?day={skipped}")).await.expect_problem(404, "not-found");
    assert_eq!(desk.api.get("/v1/ledger/closings").await.expect(200), json!({"closings": [later, closed]}));
    let before = format!("/v1/ledger/closings?before={second}");
    assert_eq!(desk.api.get(&before).await.expect(200), json!({"closings": [closed]}));
    desk.app.world.assert_whole();
    // At the command line it is the same day and the same answer.
    let mut command = tessera(&["report", "close", &today, "--tenant", "acme", "--json"]);
    command.env("DATABASE_URL", desk.app.db().url()).env("DATABASE_OWNER_URL", desk.app.db().owner_url());
    let ran = tokio::task::spawn_blocking(move || command.run()).await.unwrap();
    assert_eq!(ran.json(), closed);
}

/// However many close at once, there is one closing.
#[tokio::test]
async fn a_day_closed_by_many_at_once_is_closed_once() {
    let desk = Desk::open().await;
    let today = day(&desk, 0).await;
    desk.app.api().post("/v1/sandbox/clock/advance", &json!({"seconds": 2 * 86_400})).await.expect(201);
    let body = json!({"day": today});
    let all = (0..12).map(|_| desk.api.post("/v1/ledger/closings", &body));
    let told: Vec<Value> =
        futures_util::future::join_all(all).await.into_iter().map(|reply| reply.expect(200)).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    desk.app.world.assert_whole();
}
