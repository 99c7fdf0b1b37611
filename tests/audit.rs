//! The audit log from outside: what is in it, who may read it, and that `tessera verify --audit` names what was tampered with.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{
    Api, Ground, NodeProcess, Run, TestApp, World, eventually, fresh_key, rows, run_sql, scratch_dir, staff, tessera,
};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;
use wallet_api::platform::sealing::Published;

const AUDIT: &str = "/v1/audit";

/// All entries that a query finds, newest first, read in pages of this many.
async fn entries(api: &Api, query: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{AUDIT}?limit={limit}{query}{cursor}")).await.expect(200);
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_matters_is_in_the_log_with_who_did_it_and_what_came_of_it() {
    let app = TestApp::start();
    let (api, clerk) = (app.api(), app.world.client(&[Scope::LedgerWrite, Scope::LedgerApprove]));
    let chief = staff::colleague(&app, &[Scope::LedgerApprove]);
    let hook = json!({"url": "http://127.0.0.1:9/hooks", "event_types": ["*"]});
    let hook = api.post("/v1/hook-endpoints", &hook).await.expect(201);
    let path = format!("/v1/hook-endpoints/{}", hook["id"].as_str().unwrap());
    api.post(&format!("{path}/rotate-secret"), &json!({"overlap_s": 60})).await.expect(200);
    let replay = api.post(&format!("{path}/replays"), &json!({})).await.expect(202);
    let (key, advance) = (fresh_key(), json!({"seconds": 60}));
    for _ in 0..2 {
        api.post_as(key, "/v1/sandbox/clock/advance", &advance).await.expect(201);
    }
    let account = async |terms: Value| {
        let opened = clerk.post("/v1/ledger/accounts", &terms).await.expect(201);
        opened["id"].as_str().unwrap().parse::<Uuid>().unwrap()
    };
    let cash = account(json!({"asset": "EUR", "normal_side": "debit"})).await;
    let wallet = account(json!({"asset": "EUR", "floor": "0"})).await;
    let mut proposals = Vec::new();
    for _ in 0..2 {
        let transfer = json!({"debit": cash, "credit": wallet, "amount": "5", "asset": "EUR"});
        let wish = json!({"reason": "error", "text": "Anna Rossi was charged twice", "transfers": [transfer]});
        let told = clerk.post("/v1/ledger/adjustments", &wish).await.expect(201);
        proposals.push(format!("/v1/ledger/adjustments/{}", told["id"].as_str().unwrap()));
    }
    clerk.post(&format!("{}/approve", proposals[0]), &Value::Null).await.expect_problem(403, "same-eyes");
    for _ in 0..2 {
        chief.post(&format!("{}/approve", proposals[0]), &Value::Null).await.expect(200);
        chief.post(&format!("{}/reject", proposals[1]), &json!({"text": "no"})).await.expect(200);
    }
    let all = entries(&api, "", 3).await;
    let mut told = actions(&all);
    told.reverse();
    assert_eq!(
        told,
        [
            "tenant.created",
            "key.created",
            "key.created",
            "role.granted",
            "operator.invited",
            "key.created",
            "hook_endpoint.added",
            "hook_endpoint.secret_shown",
            "hook_endpoint.secret_rotated",
            "hook_endpoint.secret_shown",
            "hook_replay.ordered",
            "clock.moved",
            "adjustment.proposed",
            "adjustment.proposed",
            "adjustment.approved",
            "adjustment.approved",
            "adjustment.rejected",
        ]
    );
    let seqs: Vec<i64> = all.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=17).rev().collect::<Vec<_>>());
    let [rejected, approved, tried] = &all[..3] else { panic!("{all:?}") };
    assert_eq!((&tried["outcome"], &approved["outcome"]), (&json!("refused"), &json!("done")));
    assert_ne!(tried["actor"], approved["actor"]);
    assert_eq!(rejected["object"]["id"].as_str(), proposals[1].rsplit('/').next());
    let ordered = &all[6];
    assert_eq!((&ordered["object"]["id"], &ordered["detail"]["endpoint"]), (&replay["id"], &hook["id"]));
    let whole = json!(all).to_string();
    for secret in ["Rossi", "127.0.0.1", "whsec_", hook["secret"].as_str().unwrap()] {
        assert!(!whole.contains(secret), "{secret}");
    }
    // Filters.
    assert_eq!(actions(&entries(&api, "&action=clock.moved", 10).await), ["clock.moved"]);
    let clerks = tried["actor"]["id"].as_str().unwrap();
    let theirs = entries(&api, &format!("&actor=client&actor_id={clerks}"), 10).await;
    assert_eq!(actions(&theirs), ["adjustment.approved", "adjustment.proposed", "adjustment.proposed"]);
    assert_eq!(entries(&api, "&actor=operator", 10).await.len(), 6);
    assert!(entries(&api, &format!("&subject={}", fresh_key()), 10).await.is_empty());
    assert!(entries(&api, "&from=2200-01-01T00:00:00Z", 10).await.is_empty());
    assert!(
        entries(&api, "&actor_id=%00", 10).await.is_empty() && entries(&api, "&actor_id=%C3%A9", 10).await.is_empty()
    );
    assert_eq!(entries(&api, "&until=9999-12-31T23:59:59Z&from=0000-01-01T00:00:00Z", 10).await.len(), 17);
    assert_eq!(entries(&api, "&until=2200-01-01T00:00:00Z", 10).await.len(), 17);
    for wrong in ["action=nothing", "actor=nobody", "subject=me", "limit=0", "cursor=x", "more=1"] {
        assert_eq!(api.get(&format!("{AUDIT}?{wrong}")).await.status, 400, "{wrong}");
    }
    clerk.get(AUDIT).await.expect_problem(403, "scope-missing");
    // Another tenant has a log of its own.
    let other = World::new(&app.db().url(), &app.authority(), "other");
    assert_eq!(actions(&entries(&other.api, "", 10).await), ["key.created", "tenant.created"]);
}

/// T61: a node signs and publishes; then somebody who may do everything to its database changes, cuts and swaps.
#[test]
fn t61_verify_audit_names_what_an_administrator_did_and_the_published_head_what_he_cut_off() {
    let db = Ground::fast().database();
    let folder = scratch_dir();
    let (heads, proof) = (folder.join("heads.json"), folder.join("proof"));
    let env = [("TESSERA_PROOF_DIR", proof.to_str().unwrap()), ("TESSERA_PROOF_PUBLISH", heads.to_str().unwrap())];
    let (url, owner_url) = (db.url(), db.owner_url());
    let world = World::new(&url, "nowhere", "acme");
    for _ in 0..4 {
        world.client(&[Scope::PaymentsRead]);
    }
    let mut node = NodeProcess::start(&db, &env);
    let published = |seq: i64| {
        let text = fs::read_to_string(&heads).ok()?;
        let audit = Published::parse(&text).unwrap().audit;
        audit.first().filter(|head| head.audit_seq == seq).map(|_| ())
    };
    eventually("what was there is signed for and published", Duration::from_secs(20), || published(6));
    world.client(&[Scope::PaymentsRead]);
    node.signal(Signal::TERM);
    assert!(node.wait_until_ended().success(), "{}", node.log());
    published(7).expect("what came since is signed for when the node stops");

    let verify = |more: &[&str]| {
        let mut command = tessera(&[&["verify", "--audit", "--json"], more].concat());
        command.env("DATABASE_URL", &url).env("DATABASE_OWNER_URL", &owner_url).run()
    };
    let (proof, heads) = (proof.to_str().unwrap(), heads.to_str().unwrap());
    let trusted = ["--proof-dir", proof, "--since", heads];
    let whole = verify(&trusted).json();
    assert_eq!((&whole["ok"], &whole["entries"]), (&json!(true), &json!(7)), "{whole}");
    let log = &whole["logs"][0];
    assert_eq!((&log["signatures"], &log["signed_upto"], &log["since"]), (&json!(true), &json!(7), &json!(7)), "{log}");
    let words = tessera(&["verify", "--audit"]).env("DATABASE_URL", &url).env("DATABASE_OWNER_URL", &owner_url).run();
    assert!(words.out.contains("7 entries") && words.out.contains("not checked: no key"), "{words:?}");

    let sql = |text: &str| run_sql(&db.super_url(), text);
    let broken = |more: &[&str]| {
        let output = verify(more);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let found: Value = serde_json::from_str(&output.out).unwrap();
        let broken = &found["logs"][0]["broken"];
        (broken["seq"].as_i64().unwrap(), broken["wrong"].as_str().unwrap().to_owned())
    };
    sql("CREATE TABLE kept AS TABLE audit_entry");
    let mend = || sql("TRUNCATE audit_entry; INSERT INTO audit_entry TABLE kept");
    sql("UPDATE audit_entry SET object_id = 'ffffffffffff' WHERE seq = 3");
    assert_eq!(broken(&[]), (3, "changed".into()));
    mend();
    sql("DELETE FROM audit_entry WHERE seq = 4");
    assert_eq!(broken(&[]), (4, "missing".into()));
    mend();
    // Cut off, and all that the database knows of it: only the published head is left to tell.
    sql("DELETE FROM audit_entry WHERE seq > 5; DELETE FROM audit_signed; \
         UPDATE audit_head h SET seq = 5, hash = e.hash FROM audit_entry e WHERE e.tenant = h.tenant AND e.seq = 5");
    assert_eq!(verify(&[]).json()["entries"], 5);
    assert_eq!(broken(&trusted), (6, "missing".into()));
    assert_eq!(rows(&url, "SELECT seq FROM audit_entry").len(), 5);
}
