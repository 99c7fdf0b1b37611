//! Wrong configuration: a clear word on standard error, an exit code that scripts can tell, and nothing half started.

use std::time::Duration;

use tessera_tests::{Ground, NodeProcess, Output, Run, World, eventually_async, tessera};
use wallet_api::platform::cluster::Cluster;

/// Refused: code 1, a reason, and no word of what was secret.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.out.is_empty(), "{output:?}");
    let (_log, last_words) = output.err.split_once("tessera: ").unwrap_or_default();
    for word in words {
        assert!(last_words.contains(word), "{word:?} is not in {last_words:?}: {output:?}");
    }
    assert!(!output.err.contains("hunter2"), "a password was printed: {output:?}");
    assert!(!output.err.contains("panicked"), "{output:?}");
}

#[test]
fn a_remote_database_without_tls_is_refused_before_it_is_asked() {
    for url in ["postgresql://app:hunter2@192.0.2.7/tessera", "host=db.example.org user=app password=hunter2"] {
        for command in [&["serve"][..], &["migrate"], &["verify"]] {
            assert_refused(&tessera(command).env("DATABASE_URL", url).run(), &["TLS", "sslmode"]);
        }
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_said_so() {
    // Port 1 of this machine: nobody listens there.
    let url = "postgresql://app:hunter2@127.0.0.1:1/tessera";
    assert_refused(&tessera(&["serve"]).env("DATABASE_URL", url).run(), &["cannot be reached"]);
    let missing = "postgresql://app@/tessera?host=/nonexistent";
    assert_refused(&tessera(&["migrate"]).env("DATABASE_URL", missing).run(), &["cannot be reached"]);
}

#[test]
fn an_address_that_cannot_be_one_is_wrong_usage() {
    for listen in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ":8080"] {
        let output = tessera(&["serve", "--listen", listen]).run();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.err.contains("--listen"), "{output:?}");
    }
}

#[test]
fn an_address_in_use_is_refused_and_named() {
    let db = Ground::fast().database();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let output = tessera(&["serve", "--listen", &listen]).env("DATABASE_URL", db.owner_url()).run();
    assert_refused(&output, &[&listen, "in use"]);
}

#[test]
fn a_data_folder_that_another_process_holds_is_refused() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let held = Cluster::start_with(folder.path(), &[("fsync", "off")]).unwrap();
    let output = tessera(&["serve"]).env("TESSERA_DATA_DIR", folder.path()).run();
    assert_refused(&output, &[&folder.path().display().to_string()]);
    held.stop().unwrap();
}

#[test]
fn a_tenant_that_does_not_exist_is_named_in_the_refusal() {
    let db = Ground::fast().database();
    let url = ("DATABASE_URL", db.owner_url());
    let keys = ["keys", "create", "--tenant", "nobody", "--name", "till", "--scope", "payments:write"];
    assert_refused(&tessera(&keys).env(url.0, &url.1).run(), &["tenant"]);
    let wrong_scope = ["keys", "create", "--tenant", "nobody", "--name", "till", "--scope", "everything"];
    assert_eq!(tessera(&wrong_scope).env(url.0, &url.1).run().status.code(), Some(2));
}

/// The owner migrates, the app role serves: without the owner's URL an app role cannot migrate, and says so.
#[test]
fn a_database_that_only_its_owner_may_migrate_says_so() {
    let db = Ground::fast().clone_of("template1");
    let output = tessera(&["migrate"]).env("DATABASE_URL", db.url()).run();
    assert_refused(&output, &["migration"]);
    let both = tessera(&["migrate"]).env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url()).run();
    assert!(both.status.success(), "{both:?}");
}

/// Keys and tenants made by the command line open the door of a running node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_and_a_key_of_the_command_line_work_at_once() {
    let db = Ground::fast().database();
    let node = NodeProcess::start(&db, &[]);
    let run =
        |args: &[&str]| tessera(args).env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url()).run();
    run(&["tenant", "create", "acme", "--sandbox", "--json"]).json();
    let taken = run(&["tenant", "create", "acme"]);
    assert_refused(&taken, &["slug"]);
    let made = run(&["keys", "create", "--tenant", "acme", "--name", "till", "--scope", "admin", "--json"]).json();
    let api = tessera_tests::Api::new(node.authority(), made["key"].as_str().unwrap());
    eventually_async("the node leads", Duration::from_secs(20), async || {
        (api.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    api.post("/v1/customers", &serde_json::json!({"reference": "anna"})).await.expect(201);
    let prefix = api.key.split('_').nth(1).unwrap();
    assert!(run(&["keys", "revoke", "--tenant", "acme", prefix]).status.success());
    eventually_async("the key is refused", Duration::from_secs(2), async || {
        (api.get("/v1/node").await.status == 401).then_some(())
    })
    .await;
    let verified = run(&["verify", "--json"]).json();
    assert_eq!(verified["ok"], true, "{verified}");
}

/// `verify` ends with 1 and names the row when the books are broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_tells_broken_books_by_its_exit_code() {
    let app = tessera_tests::TestApp::start();
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 100).await;
    let (db, _world): (_, World) = app.into_db();
    tessera_tests::run_sql(&db.super_url(), "UPDATE journal.transfer SET amount = 101");
    let output =
        tessera(&["verify", "--json"]).env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url()).run();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&report["ok"], &report["journals"][0]["broken"]["check"]), (&false.into(), &"balances".into()));
}
