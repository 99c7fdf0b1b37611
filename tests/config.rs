//! Wrong configuration: a clear word on standard error, an exit code that scripts can tell, and nothing half started.

use std::time::Duration;

use tessera_tests::{Ground, NodeProcess, Output, Run, World, eventually_async, tessera, tessera_in};
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

/// A command whose current folder has this `tessera.toml`.
fn with_file(file: &str, args: &[&str]) -> (std::process::Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tessera.toml"), file).unwrap();
    (tessera_in(folder.path(), args), folder)
}

/// Exit code 2, everything at once, each with its place, and no secret.
#[test]
fn serve_names_all_that_is_wrong_with_file_variables_and_flags() {
    let file = "lisen = \"127.0.0.1:0\"\nworkers = \"many\"\ndatabase_url = \"postgres://a:hunter2@db/t\"\n";
    let (mut command, _folder) = with_file(file, &["serve", "--listen", "nonsense"]);
    let output = command.env("TESSERA_WORKRES", "2").env("TESSERA_ALLOW_PRIVATE_HOOKS", "perhaps").run();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    for told in [
        "tessera.toml:1: nothing reads the key lisen; did you mean listen?",
        "tessera.toml:2: workers: invalid value \"many\"",
        "TESSERA_WORKRES: nothing reads the variable TESSERA_WORKRES; did you mean TESSERA_WORKERS?",
        "--listen: invalid value \"nonsense\"",
        "TESSERA_ALLOW_PRIVATE_HOOKS: allow_private_hooks: invalid value \"perhaps\"",
    ] {
        assert!(output.err.contains(told), "{told:?} is missing: {output:?}");
    }
    assert!(!output.err.contains("hunter2"), "{output:?}");
}

#[test]
fn config_check_finds_what_serve_would_and_serves_scripts() {
    let (mut command, _folder) = with_file("workers = 4\n", &["config", "check"]);
    let output = command.run();
    assert_eq!(
        (output.status.code(), output.out.as_str()),
        (Some(0), "the configuration is in order (tessera.toml)\n")
    );
    let (mut command, _folder) = with_file("workers = -4\n", &["config", "check", "--json"]);
    let output = command.run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&report["ok"], &report["faults"][0]["origin"]), (&false.into(), &"tessera.toml:1".into()));
}

/// Values that are right by themselves and not together.
#[test]
fn config_check_names_what_does_not_go_together() {
    let owner = "postgres://owner:hunter2@db/t";
    let output = tessera(&["config", "check"]).env("DATABASE_OWNER_URL", owner).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.out.starts_with("DATABASE_OWNER_URL: owner_url: there is no database_url"), "{output:?}");
    let (mut command, _folder) =
        with_file("database_url = \"postgres://a:hunter2@db.example/t\"", &["config", "check"]);
    let output = command.run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.out.starts_with("tessera.toml:1: database_url: ") && output.out.contains("TLS"), "{output:?}");
    assert!(!output.out.contains("hunter2"), "{output:?}");
}

/// Flag over variable over file over default, each named, and no secret in any of the forms it is printed in.
#[test]
fn config_print_tells_each_value_and_its_origin_and_no_secret() {
    let file = "listen = \"127.0.0.1:1\"\nworkers = 1\naddress = \"http://file\"\nkey = \"tsk_a_hunter2\"\n";
    let args = ["config", "print", "--redacted", "--listen", "127.0.0.1:3"];
    let run = |more: &[&str]| {
        let (mut command, folder) = with_file(file, &[&args[..], more].concat());
        std::fs::write(folder.path().join("db"), "postgres://app:hunter2@db/t\n").unwrap();
        command.env("TESSERA_LISTEN", "127.0.0.1:2").env("TESSERA_WORKERS", "2").env("DATABASE_URL_FILE", "db").run()
    };
    let text = run(&[]);
    for line in [
        "listen = \"127.0.0.1:3\"  # --listen",
        "workers = \"2\"  # TESSERA_WORKERS",
        "address = \"http://file\"  # tessera.toml:3",
        "data_dir = \"./.tessera\"  # default",
        "# database_url = postgres://app:***@db/t  # db (named by DATABASE_URL_FILE)",
        "# key = <secret>  # tessera.toml:4",
        "# owner_url is not set",
    ] {
        assert!(text.out.lines().any(|printed| printed == line), "{line:?} is missing: {text:?}");
    }
    let json = run(&["--json"]);
    let settings = json.json()["settings"].as_array().unwrap().clone();
    let listen = settings.iter().find(|one| one["key"] == "listen").unwrap();
    assert_eq!(listen["origin"], "--listen");
    assert!(![&text, &json].iter().any(|output| format!("{output:?}").contains("hunter2")), "{text:?} {json:?}");
}

/// The file and a secret's file reach the command, not only what prints them.
#[test]
fn a_node_takes_its_database_from_files() {
    let db = Ground::fast().database();
    let (mut command, folder) = with_file("database_url_file = \"app\"\n", &["tenant", "create", "acme", "--json"]);
    std::fs::write(folder.path().join("app"), db.url()).unwrap();
    std::fs::write(folder.path().join("owner"), db.owner_url()).unwrap();
    assert_eq!(command.env("DATABASE_OWNER_URL_FILE", "owner").run().json()["slug"], "acme");
}

#[test]
fn a_command_without_settings_runs_beside_a_broken_file() {
    let (mut command, _folder) = with_file("broken", &["openapi"]);
    assert!(command.run().status.success());
}

/// A setting that cannot stand in the file, or that a variable cannot set, is one somebody forgot.
#[test]
fn every_option_of_serve_is_a_setting() {
    let help = tessera(&["serve", "--help"]).run().out;
    let options: Vec<_> = help.split("\n      --").skip(1).filter(|option| !option.starts_with("config ")).collect();
    assert!(options.len() > 7, "{help}");
    for option in options {
        assert!(option.contains("[env:"), "this option has no environment variable: --{option}");
    }
}

/// The table of the documentation is the one the program has. `UPDATE_DOCS=1 cargo test -p tessera-tests config` writes it anew.
#[test]
fn the_documented_settings_are_those_there_are() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- settings -->\n").expect("the marks of the table");
    let (_, after) = rest.split_once("<!-- end -->").expect("the marks of the table");
    let table = tessera(&["config", "settings"]).run().out;
    let wanted = format!("{before}<!-- settings -->\n{table}<!-- end -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "run UPDATE_DOCS=1 cargo test -p tessera-tests config");
    }
}
