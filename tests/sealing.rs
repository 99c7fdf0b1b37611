//! The sealer that dies, and its database: at each step from leaves to a published head. Whoever seals on goes on where
//! the log was: every record has one leaf, and no size has two heads, in the database and out of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::{Connection, PgConnection};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ledger::proof::{PublicKey, SignedHead};
use ledger::verify::leaves::{Against, verify_log};
use ledger::{JournalId, sealing};
use tessera_tests::{Dice, Ground, HEALED, Point, Scene, eventually_async, proof_dir, run_sql};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use wallet_api::platform::audit::head::AuditHeadForm;
use wallet_api::platform::sealing::{HeadForm, Keys};

use crate::crash::{LEASE_ENDS, kill_at};
use crate::servers::kill_server_at;

/// Somebody outside who is told of heads, and keeps all he ever heard.
#[derive(Clone, Default)]
struct Notary {
    heard: Arc<Mutex<BTreeMap<i64, SignedHead>>>,
    wanted: Arc<Mutex<Option<Moment>>>,
    reached: Arc<Notify>,
}

/// When the node dies that publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The head is out, and the node has no answer.
    Unanswered,
    /// The node has its answer.
    Answered,
}

impl Notary {
    /// Listens, and says where.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/heads", listener.local_addr().unwrap());
        let notary = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let notary = notary.clone();
                let service = service_fn(move |request| hear(notary.clone(), request));
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async { serving.await.ok() });
            }
        });
        url
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<i64, SignedHead>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, Option<Moment>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear(notary: Notary, request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let body: Bytes = request.into_body().collect().await?.to_bytes();
    // Heads of the audit log come to the same place, and are another test's.
    if serde_json::from_slice::<AuditHeadForm>(&body).is_ok() {
        return Ok(Response::new(String::new()));
    }
    let head = serde_json::from_slice::<HeadForm>(&body).unwrap().read().unwrap();
    if let Some(before) = notary.heard().insert(head.head.size, head) {
        assert_eq!(before, head, "one size, two heads");
    }
    let moment = notary.wanted().take();
    match moment {
        Some(Moment::Unanswered) => {
            notary.reached.notify_one();
            // Dead nodes need no answer.
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        Some(Moment::Answered) => {
            let reached = Arc::clone(&notary.reached);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                reached.notify_one();
            });
        }
        None => {}
    }
    Ok(Response::new(String::new()))
}

/// F2 of the sealer: the node killed at each of its steps under load, the database at one, and the node when it publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_a_sealer_killed_at_any_step_leaves_one_leaf_a_record_and_one_head_a_size() {
    let dice = Dice::thrown("f02");
    let server = dice.of(1).pick(&Point::SEALING);
    kill_at_every_step(dice, 1, &[server]).await;
}

/// The same, as often as the fault matrix asks for, and the database at each step too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make rounds"]
async fn f02_ten_times_at_every_step_of_the_sealer() {
    kill_at_every_step(Dice::thrown("f02"), 10, &Point::SEALING).await;
}

async fn kill_at_every_step(mut dice: Dice, times: u64, server: &[Point]) {
    let (ground, notary) = (Ground::own("sealing"), Notary::default());
    let url = notary.listen().await;
    let mut scene = Scene::start(ground.database(), 1, &[("TESSERA_PROOF_PUBLISH", &url)]).await;
    let mut kills = 0;
    for _ in 0..times {
        for point in Point::SEALING {
            scene.load().await;
            kill_at(&mut scene, point, &mut dice).await;
            goes_on(&mut scene).await;
            kills += 1;
        }
        for point in server {
            kill_server_at(&mut scene, &ground, *point).await;
            kills += 1;
        }
        for moment in [Moment::Unanswered, Moment::Answered] {
            scene.load().await;
            *notary.wanted() = Some(moment);
            let reached = tokio::time::timeout(HEALED, notary.reached.notified()).await;
            reached.unwrap_or_else(|_| panic!("{moment:?}: no head was published"));
            scene.kill(0);
            goes_on(&mut scene).await;
            kills += 1;
        }
        assert_sealed(&mut scene, &notary).await;
    }
    scene.assert_laws().await;
    eprintln!("f02, sealer: seed {}, {kills} kills, {} heads published", dice.seed, notary.heard().len());
}

/// A node comes after the one that died, and the load goes on.
async fn goes_on(scene: &mut Scene<'_>) {
    run_sql(&scene.db.super_url(), LEASE_ENDS);
    scene.add();
    scene.load().await.more(20, HEALED).await;
}

/// Waits until what is committed now is under a signed head, and holds the log and what was published against the rows.
async fn assert_sealed(scene: &mut Scene<'_>, notary: &Notary) {
    let journal = JournalId(scene.world.tenant);
    let mut conn = PgConnection::establish(&scene.db.super_url()).unwrap();
    let now = ledger::read::head(&mut conn, journal).unwrap().unwrap().seq;
    let covered = async || {
        let last = sealing::last_head(&mut PgConnection::establish(&scene.db.super_url()).ok()?, journal).ok()??;
        (last.head.size >= now).then_some(())
    };
    eventually_async("all of it is sealed", HEALED, covered).await;
    let ring = Keys::read(&proof_dir()).unwrap();
    let keys: Vec<PublicKey> = ring.public_keys().collect();
    let against = Against { salts: Some(&ring.salts), keys: &keys, since: None };
    let report = verify_log(&mut conn, journal, against, |_, _| ()).unwrap();
    assert!(report.ok && report.leaves >= now, "{report:?}");
    for (size, heard) in notary.heard().iter().filter(|(_, heard)| heard.head.journal == journal) {
        let kept = sealing::head_at(&mut conn, journal, *size).unwrap();
        assert_eq!(kept.as_ref(), Some(heard), "what was published is not what the database has");
    }
}
