//! Whoever does something after a commit, and whoever is told of it: messages twice, late and out of order, messages that
//! nobody can read, consumers killed at the worst moment, receivers that answer nonsense.
//!
//! The bar of each: what was done, or arrived, is what was committed, each once to whoever looks at the ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection};
use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{
    Api, Ground, Load, NodeProcess, Rewards, Run as _, TestApp, World, eur, eventually_async, rows, run_sql, scalar,
    tessera,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// 500 to every second one when it first comes, and a moment's wait before each third: they arrive in another order than they were sent.
    Moody,
    /// 200, and less of a body than it said.
    Half,
    /// 200, and no more for longer than an attempt lasts.
    Slow,
    /// 200, and a body without end.
    Endless,
    /// Reset in the middle of the headers.
    Reset,
}

/// A hook as it came.
#[derive(Debug, Clone)]
struct Hook {
    id: String,
    body: Value,
}

/// A receiver that speaks HTTP as badly as it is told to.
#[derive(Clone)]
struct Receiver {
    url: String,
    manner: Arc<Mutex<Manner>>,
    /// What it took, in the order in which it took it.
    taken: Arc<Mutex<Vec<Hook>>>,
    asked: Arc<AtomicUsize>,
    seen: Arc<Mutex<BTreeSet<String>>>,
    /// Told of each hook just taken.
    tells: mpsc::UnboundedSender<()>,
}

impl Receiver {
    async fn start(manner: Manner) -> (Self, mpsc::UnboundedReceiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let (tells, told) = mpsc::unbounded_channel();
        let manner = Arc::new(Mutex::new(manner));
        let receiver = Self { url, manner, taken: Arc::default(), asked: Arc::default(), seen: Arc::default(), tells };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        (receiver, told)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        while let Some(hook) = read_hook(&mut stream).await {
            let count = self.asked.fetch_add(1, Ordering::SeqCst);
            let manner = *self.manner.lock().unwrap();
            let is_taken = match manner {
                Manner::Moody => !self.seen.lock().unwrap().insert(hook.id.clone()) || !count.is_multiple_of(2),
                Manner::Good | Manner::Endless => true,
                Manner::Half | Manner::Slow | Manner::Reset => false,
            };
            if manner == Manner::Moody && count.is_multiple_of(3) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if is_taken {
                self.taken.lock().unwrap().push(hook);
            }
            match manner {
                Manner::Good | Manner::Moody if is_taken => {
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
                }
                Manner::Good | Manner::Moody => {
                    stream.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                }
                Manner::Half => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":").await.ok()?;
                    return None;
                }
                Manner::Slow => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.ok()?;
                    tokio::time::sleep(Duration::from_secs(15)).await;
                    return None;
                }
                Manner::Endless => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                    loop {
                        stream.write_all(b"10\r\n0123456789abcdef\r\n").await.ok()?;
                    }
                }
                Manner::Reset => {
                    stream.write_all(b"HTTP/1.1 20").await.ok()?;
                    stream.set_zero_linger().ok()?;
                    return None;
                }
            }
            if is_taken {
                self.tells.send(()).ok();
            }
        }
        None
    }

    fn taken(&self) -> Vec<Hook> {
        self.taken.lock().unwrap().clone()
    }

    /// What is left when each id counts once, which must have said the same each time.
    fn by_id(&self) -> BTreeMap<String, Value> {
        let mut first: BTreeMap<String, Value> = BTreeMap::new();
        for Hook { id, body } in self.taken() {
            let before = first.entry(id.clone()).or_insert_with(|| body.clone());
            assert_eq!(*before, body, "{id} said two things");
        }
        first
    }

    /// The payments it was told of, each once.
    fn payments(&self) -> BTreeSet<String> {
        let hooks = self.by_id();
        let told: Vec<_> = hooks.values().filter(|body| body["type"] == "payment.cleared.v1").collect();
        let all: BTreeSet<_> = told.iter().map(|body| body["data"]["payment"].as_str().unwrap().to_owned()).collect();
        assert_eq!(all.len(), told.len(), "one payment under two ids");
        all
    }

    async fn has_all(&self, payments: &BTreeSet<String>) {
        eventually_async("every payment is told", PATIENCE, async || (self.payments() == *payments).then_some(()))
            .await;
    }
}

/// The next request of a connection: its `webhook-id` and its body.
async fn read_hook(stream: &mut TcpStream) -> Option<Hook> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap().to_lowercase();
    let header = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name}: {text}"))
    };
    let length: usize = header("content-length").parse().unwrap();
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Hook { id: header("webhook-id"), body: serde_json::from_slice(&bytes[head..head + length]).unwrap() })
}

async fn listen(api: &Api, receiver: &Receiver) -> String {
    let body = json!({"url": receiver.url, "event_types": ["payment.cleared.v1"]});
    api.post("/v1/hook-endpoints", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn pay(api: &Api, customer: Uuid, merchant: Uuid, reference: Option<&str>) -> String {
    let body = json!({"customer": customer, "merchant": merchant, "amount": eur(100), "reference": reference,
        "instrument": {"kind": "external", "rail": "card"}});
    api.post("/v1/payments", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// F38: each hook is sent again and again, at the same time and in any order, and some are refused and come later. Whoever
/// looks at the ids ends with what was committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f38_hooks_that_come_twice_late_and_out_of_order_leave_each_once() {
    let app = TestApp::start();
    let api = app.api();
    let (receiver, _told) = Receiver::start(Manner::Moody).await;
    let (merchant, anna) = (app.world.merchant("shop").await, app.world.customer("anna").await);
    let endpoint = listen(&api, &receiver).await;
    let mut paid = BTreeSet::new();
    for _ in 0..40 {
        paid.insert(pay(&api, anna, merchant, None).await);
    }
    let told_once = async || (receiver.payments().len() >= 20).then_some(());
    eventually_async("half of them are told", PATIENCE, told_once).await;
    let path = format!("/v1/hook-endpoints/{endpoint}");
    let listed = async || {
        let list = api.get(&format!("{path}/deliveries?limit=5")).await.expect(200);
        list["items"].as_array().cloned().filter(|items| !items.is_empty())
    };
    // Hooks are told before they are written down, and only what is written down can be told again.
    eventually_async("some are written down", PATIENCE, listed).await;
    // Three orders for everything at once, and single ones between them: twins are on their way together.
    for _ in 0..3 {
        api.post(&format!("{path}/replays"), &json!({})).await.expect(202);
        for one in listed().await.unwrap() {
            let sequence = one["sequence"].as_str().unwrap();
            let again = api.post(&format!("{path}/deliveries/{sequence}/replay"), &json!({})).await;
            assert!([202, 409].contains(&again.status), "{}", again.json());
        }
    }
    receiver.has_all(&paid).await;
    let sequences = || -> Vec<_> {
        receiver.taken().iter().map(|hook| hook.body["sequence"].as_str().unwrap().to_owned()).collect()
    };
    // Else the test tests nothing. Orders are walked through in their own time: what comes twice may come last of all.
    eventually_async("some come twice", PATIENCE, async || (sequences().len() > paid.len()).then_some(())).await;
    eventually_async("some come out of order", PATIENCE, async || (!sequences().is_sorted()).then_some(())).await;
    let of_events: BTreeSet<_> = sequences().into_iter().collect();
    assert_eq!(of_events.len(), paid.len(), "a sequence is an event's own");
    let arrived: BTreeSet<_> = receiver.by_id().values().map(|body| body["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(arrived.len(), paid.len(), "an id is an event's own");
    eventually_async("what arrived is what is written down", PATIENCE, async || {
        let ids = rows(&app.db().super_url(), "SELECT id::text FROM hook_event WHERE kind = 'payment.cleared.v1'");
        let written: BTreeSet<_> = ids.into_iter().map(|row| row[0].clone().unwrap()).collect();
        assert!(
            written.is_subset(&arrived),
            "something is written down that nobody was told: {written:?}, {arrived:?}"
        );
        (written == arrived).then_some(())
    })
    .await;
    app.world.assert_whole();
}

/// F38: a delivery that somebody is writing at the very moment is told again, and not passed over as if it were not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f38_what_is_being_written_when_it_is_replayed_is_told_again() {
    let app = TestApp::start();
    let api = app.api();
    let (receiver, _told) = Receiver::start(Manner::Good).await;
    let (merchant, anna) = (app.world.merchant("shop").await, app.world.customer("anna").await);
    let endpoint = listen(&api, &receiver).await;
    pay(&api, anna, merchant, None).await;
    let path = format!("/v1/hook-endpoints/{endpoint}/deliveries");
    let sequence = eventually_async("it is written down", PATIENCE, async || {
        let list = api.get(&path).await.expect(200);
        list["items"][0]["sequence"].as_str().map(str::to_owned)
    })
    .await;
    let mut writing = PgConnection::establish(&app.db().super_url()).unwrap();
    writing.batch_execute("BEGIN; UPDATE hook_delivery SET next_at = next_at").unwrap();
    let replay = tokio::spawn({
        let (api, path) = (api.clone(), format!("{path}/{sequence}/replay"));
        async move { api.post(&path, &json!({})).await }
    });
    eventually_async("the replay waits", PATIENCE, async || {
        let waiting =
            "(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())";
        (scalar::<BigInt, i64>(&app.db().super_url(), waiting) > 0).then_some(())
    })
    .await;
    writing.batch_execute("COMMIT").unwrap();
    replay.await.unwrap().expect(202);
    eventually_async("it comes twice", PATIENCE, async || (receiver.taken().len() == 2).then_some(())).await;
    app.world.assert_whole();
}

/// Makes the papers of payments with this reference such as this release does not know, as they are written.
const POISON: &str = "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF position('\"poison\"'::bytea IN NEW.body) > 0 THEN \
            NEW.body := convert_to(replace(convert_from(NEW.body, 'UTF8'), '\"v\":1', '\"v\":2'), 'UTF8'); \
        END IF; RETURN NEW; END $$; \
    CREATE TRIGGER poison BEFORE INSERT ON journal.companion FOR EACH ROW EXECUTE FUNCTION poison();";
/// What an upgrade does: the papers can be read.
const UPGRADE: &str = "DROP TRIGGER poison ON journal.companion; SET session_replication_role = replica; UPDATE journal.companion \
    SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"v\":2', '\"v\":1'), 'UTF8')";

/// F39: a record that no follower of this release can read stands at the head of their way. It is parked where everybody
/// sees it, the others flow, and a release that can read it takes it up, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f39_a_record_that_nobody_can_read_is_parked_and_taken_up_after_an_upgrade() {
    let mut app = TestApp::start();
    let (receiver, _told) = Receiver::start(Manner::Good).await;
    let (merchant, anna) = (app.world.merchant("shop").await, app.world.customer("anna").await);
    listen(&app.api(), &receiver).await;
    run_sql(&app.db().super_url(), POISON);
    let poison = pay(&app.api(), anna, merchant, Some("poison")).await;
    let mut paid = BTreeSet::new();
    for _ in 0..3 {
        paid.insert(pay(&app.api(), anna, merchant, None).await);
    }
    receiver.has_all(&paid).await;
    let counted = async |app: &TestApp, payments: i64| {
        eventually_async("the card counts", PATIENCE, async || {
            let card = app.api().get(&format!("/v1/customers/{anna}/card")).await.expect(200);
            (card["payments"] == payments).then_some(())
        })
        .await;
    };
    counted(&app, 3).await;
    let parked = |app: &TestApp| {
        rows(&app.db().super_url(), "SELECT follower, seq, what, tries FROM journal.parked ORDER BY follower")
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let seq = scalar::<BigInt, i64>(
        &app.db().super_url(),
        &format!("(SELECT seq FROM journal.companion WHERE key = '{poison}')"),
    );
    let seq = seq.to_string();
    let row = |follower: &str, tries: &str| [follower, &seq, "payment's paper", tries].map(str::to_owned).to_vec();
    // Hooks are told before they are written down, and so is what of them was parked.
    eventually_async("both have parked it", PATIENCE, async || {
        (parked(&app) == [row("card", "1"), row("hooks", "1")]).then_some(())
    })
    .await;

    let metrics = String::from_utf8(app.api().get("/metrics").await.bytes.to_vec()).unwrap();
    for follower in ["card", "hooks"] {
        let line = format!("tessera_follower_parked_records{{follower=\"{follower}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let doctor = tessera(&["doctor", "--cluster", "--database-url", &app.db().url()]).run();
    assert!(doctor.out.contains(&format!("card cannot read seq {seq}")), "{doctor:?}");

    let unread = app.api().get(&format!("/v1/payments/{poison}")).await;
    assert_eq!((unread.status, unread.code().as_str()), (503, "payment-unreadable"));

    // Who cannot read it either leaves it where it is.
    app.restart();
    eventually_async("it is tried again", PATIENCE, async || {
        (parked(&app) == [row("card", "2"), row("hooks", "2")]).then_some(())
    })
    .await;
    counted(&app, 3).await;
    assert_eq!(receiver.payments(), paid);

    run_sql(&app.db().super_url(), UPGRADE);
    app.restart();
    paid.insert(poison);
    receiver.has_all(&paid).await;
    counted(&app, 4).await;
    eventually_async("nothing is parked", PATIENCE, async || parked(&app).is_empty().then_some(())).await;
    app.restart();
    pay(&app.api(), anna, merchant, None).await;
    counted(&app, 5).await;
    assert_eq!(
        receiver.taken().iter().filter(|hook| paid.contains(hook.body["data"]["payment"].as_str().unwrap())).count(),
        4
    );
    app.world.assert_whole();
}

/// How far a follower's cursor is.
fn cursor(url: &str, follower: &str) -> i64 {
    scalar::<BigInt, i64>(url, &format!("(SELECT seq FROM journal.follower WHERE name = '{follower}')"))
}

fn head(url: &str) -> i64 {
    scalar::<BigInt, i64>(url, "(SELECT seq FROM journal.head)")
}

const HOOKS_ANYWHERE: (&str, &str) = ("TESSERA_ALLOW_PRIVATE_HOOKS", "true");

/// F40: the node is killed after a receiver has said 2xx and before that is written down. The next one sends the same hook
/// under the same id: one effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f40_a_node_killed_between_a_receivers_yes_and_its_own_note_sends_the_same_again() {
    let db = Ground::fast().database();
    let mut node = NodeProcess::start(&db, &[HOOKS_ANYWHERE]);
    let mut world = World::new(&db.url(), &node.authority(), "acme");
    let (receiver, mut told) = Receiver::start(Manner::Good).await;
    let (merchant, anna) = (world.merchant("shop").await, world.customer("anna").await);
    listen(&world.api, &receiver).await;
    let (mut paid, mut struck) = (BTreeSet::new(), 0);
    for _ in 0..6 {
        while told.try_recv().is_ok() {}
        paid.insert(pay(&world.api, anna, merchant, None).await);
        told.recv().await.unwrap();
        node.signal(Signal::KILL);
        _ = node.wait_until_ended();
        let (answered, unwritten) =
            (receiver.payments() == paid, cursor(&db.super_url(), "hooks") < head(&db.super_url()));
        struck += usize::from(answered && unwritten);
        node = NodeProcess::start(&db, &[HOOKS_ANYWHERE]);
        world.api = node.api(&world.api);
        receiver.has_all(&paid).await;
        eventually_async("it is written down", PATIENCE, async || {
            (cursor(&db.super_url(), "hooks") == head(&db.super_url())).then_some(())
        })
        .await;
    }
    assert!(struck >= 1, "no kill came between the answer and the note");
    assert!(receiver.taken().len() >= paid.len() + struck, "what was not noted comes again");
    receiver.has_all(&paid).await;
    world.assert_whole();
}

/// F40: the card's follower is killed under load, behind the head: its effect and its cursor are one commit, so each payment
/// counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f40_a_card_follower_that_is_killed_counts_each_payment_once() {
    let db = Ground::fast().database();
    let mut node = NodeProcess::start(&db, &[]);
    let mut world = World::new(&db.url(), &node.authority(), "acme");
    let shop = world.shop("shop", Rewards::PLENTY).await;
    let load = Load::start(&world, shop, &[node.authority()], 8).await;
    let mut behind = 0;
    for _ in 0..4 {
        load.more(150, PATIENCE).await;
        node.signal(Signal::KILL);
        _ = node.wait_until_ended();
        behind += usize::from(cursor(&db.super_url(), "card") < head(&db.super_url()));
        node = NodeProcess::start(&db, &[]);
        load.ask(&[node.authority()]);
    }
    load.more(50, PATIENCE).await;
    load.stop().await.assert_equals_books(&db.url());
    assert!(behind >= 1, "no kill met the follower at work");
    world.api = node.api(&world.api);
    let count = "SELECT convert_from(body, 'UTF8')::json ->> 'customer' AS customer, count(*) FROM journal.companion GROUP BY 1";
    for row in rows(&db.super_url(), count) {
        let (customer, count) = (row[0].clone().unwrap(), row[1].clone().unwrap());
        eventually_async("the card counts them", PATIENCE, async || {
            let card = world.api.get(&format!("/v1/customers/{customer}/card")).await.expect(200);
            let payments = card["payments"].as_i64().unwrap();
            assert!(payments <= count.parse().unwrap(), "{customer}: {payments} of {count}");
            (payments.to_string() == count).then_some(())
        })
        .await;
    }
    world.assert_whole();
}

/// F41: receivers that break off, dawdle, never end or reset. They are soon asked seldom, the healthy one is told at once,
/// and all are told in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f41_receivers_that_answer_nonsense_are_asked_seldom_and_told_in_the_end() {
    const PAYMENTS: usize = 80;
    let app = TestApp::start();
    let api = app.api();
    let (healthy, _told) = Receiver::start(Manner::Good).await;
    let mut sick = Vec::new();
    for manner in [Manner::Half, Manner::Slow, Manner::Endless, Manner::Reset] {
        sick.push((manner, Receiver::start(manner).await.0));
    }
    let (merchant, anna) = (app.world.merchant("shop").await, app.world.customer("anna").await);
    listen(&api, &healthy).await;
    for (_, receiver) in &sick {
        listen(&api, receiver).await;
    }
    let (mut paid, mut slowest) = (BTreeSet::new(), Duration::ZERO);
    for _ in 0..PAYMENTS {
        let payment = pay(&api, anna, merchant, None).await;
        let started = Instant::now();
        eventually_async("the healthy one is told", PATIENCE, async || {
            healthy.taken().iter().any(|hook| hook.body["data"]["payment"] == payment.as_str()).then_some(())
        })
        .await;
        slowest = slowest.max(started.elapsed());
        paid.insert(payment);
    }
    assert!(slowest < Duration::from_secs(5), "the healthy one waited {slowest:?} for the sick");
    healthy.has_all(&paid).await;
    for (manner, receiver) in &sick {
        let asked = receiver.asked.load(Ordering::SeqCst);
        assert!(asked > 0, "{manner:?} was never asked: the test tests nothing");
        let most = match manner {
            Manner::Half | Manner::Reset => PAYMENTS / 2, // the breaker opened
            Manner::Slow => 64,                           // so many attempts at once, none of which has ended
            // An endless body is read as far as an excerpt goes, and its status counts.
            Manner::Endless | Manner::Good | Manner::Moody => PAYMENTS,
        };
        assert!(asked <= most, "{manner:?} was asked {asked} times");
        assert_eq!(receiver.payments().is_empty(), *manner != Manner::Endless, "{manner:?}");
        *receiver.manner.lock().unwrap() = Manner::Good;
    }
    for (_, receiver) in &sick {
        receiver.has_all(&paid).await;
    }
    app.world.assert_whole();
}
