//! What is shipped beside the binary, as far as it can be tried without a container engine or a service manager: every file
//! parses, names things that exist, and each command in it is one that the binary takes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tessera_tests::{
    Api, Ground, NodeProcess, Run, TestApp, World, eventually_async, node_binary, scratch_dir, tessera,
};
use wallet_api::commands::check_usage;
use wallet_api::platform::cluster::{Cluster, Role, Tools};
use yaml_serde::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

#[track_caller]
fn assert_taken(words: &[&str]) {
    if let Err(error) = check_usage(words) {
        panic!("{words:?}: {error}");
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn compose() -> Value {
    let mut compose: Value = yaml_serde::from_str(&read("compose.yaml")).unwrap();
    compose.apply_merge().unwrap();
    compose
}

fn names(mapping: &Value) -> Vec<String> {
    let mapping = mapping.as_mapping();
    mapping.into_iter().flatten().map(|(name, _)| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_command_of_the_compose_file_is_one_that_the_binary_takes() {
    let compose = compose();
    let services = compose["services"].as_mapping().unwrap();
    let mut ours = 0;
    for (name, service) in services {
        let name = name.as_str().unwrap();
        if service["image"].as_str() == Some("tessera:local") {
            ours += 1;
            let command = words(&service["command"]);
            assert_taken(&command.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(service["environment"]["DATABASE_URL"].as_str().is_some(), "{name} has a database");
        }
        let needed = names(&service["depends_on"]);
        assert!(needed.iter().all(|other| services.contains_key(other.as_str())), "{name} waits for {needed:?}");
        for volume in service["volumes"].as_sequence().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let known = names(&compose["volumes"]).contains(&source.to_owned());
            assert!(known || root().join(source).is_file(), "{name}: {source}");
        }
    }
    assert_eq!(ours, 3, "two nodes, and who migrates before them");
}

/// Secrets stand in a file beside the compose file that no repository holds, and its example names each of them.
#[test]
fn the_compose_file_holds_no_secret_and_its_example_names_every_one() {
    let text = read("compose.yaml");
    let example = read("deploy/env.example");
    let mut asked = 0;
    for variable in text.split("${").skip(1) {
        let name = variable.split([':', '}']).next().unwrap();
        asked += 1;
        assert!(example.lines().any(|line| line == format!("{name}=")), "{name} is not in the example, empty");
        assert!(variable.starts_with(&format!("{name}:?")), "{name} may not be empty");
    }
    assert!(asked >= 5);
    assert!(read(".dockerignore").lines().any(|line| line == ".env"), "and it is not baked into the image");
    assert!(read(".gitignore").lines().any(|line| line == ".env"));
}

/// The probe of the compose file, on a node that is ready and on a port where nobody is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_probe_tells_a_ready_node_from_none() {
    let app = TestApp::start();
    let compose = compose();
    let probe = words(&compose["services"]["node1"]["healthcheck"]["test"]);
    assert_eq!(probe[0], "CMD");
    let probe_at = |port: &str| {
        let script = probe[3].replace("8080", port);
        Command::new(&probe[1]).args([&probe[2], &script]).output().unwrap()
    };
    let authority = app.authority();
    let (ready, nobody) = (probe_at(authority.split(':').nth(1).unwrap()), probe_at("1"));
    assert!(ready.status.success(), "{ready:?}");
    assert!(!nobody.status.success(), "{nobody:?}");
}

#[test]
fn the_image_runs_a_command_that_the_binary_takes_as_nobody() {
    let dockerfile = read("Dockerfile");
    let line = |word: &str| {
        let found = dockerfile.lines().rev().find_map(|line| line.strip_prefix(word));
        found.unwrap_or_else(|| panic!("no {word}")).trim().to_owned()
    };
    let command: Vec<String> = serde_json::from_str(&line("CMD ")).unwrap();
    assert_taken(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let user: u32 =
        line("USER ").split(':').next().unwrap().parse().expect("a number, so that no root is hidden in it");
    assert!(user > 0);
    assert!(read("wallet-api/Cargo.toml").contains(&format!("\n{} = ", line("ARG FEATURES="))), "the feature exists");
    let entry: Vec<String> = serde_json::from_str(&line("ENTRYPOINT ")).unwrap();
    assert!(dockerfile.contains(&format!("COPY --from=build /src/target/release/tessera {}", entry[0])));
    assert!(
        !dockerfile.lines().any(|line| line.starts_with("ADD ")),
        "nothing is fetched beside base images and crates"
    );
}

/// The sections of a unit, each key with its values.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read("deploy/tessera.service").lines() {
        if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            keys.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    keys
}

#[test]
fn the_unit_starts_a_command_that_the_binary_takes_and_systemd_finds_nothing_wrong_with_it() {
    let unit = unit();
    let start = &unit["ExecStart"][0];
    assert_taken(&start.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!((unit["Type"][0].as_str(), unit["KillMode"][0].as_str()), ("notify", "mixed"));
    // Where systemd is installed it reads the unit too. The binary's place and the account are this machine's.
    let copy = scratch_dir().join("tessera.service");
    let text = read("deploy/tessera.service").replace("/usr/local/bin/tessera", node_binary().to_str().unwrap());
    fs::write(&copy, text.replace("User=tessera", "User=root").replace("Group=tessera", "Group=root")).unwrap();
    if let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("tessera.service")).collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}

/// What the service manager is told, and when: ready once somebody leads, alive while it lives, stopping before it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_hears_of_a_node_that_is_ready_alive_and_stopping() {
    let db = Ground::fast().database();
    let socket = scratch_dir().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("the node tells the manager");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    let env = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let mut node = NodeProcess::start(&db, &env);
    assert_eq!(hear(), "READY=1");
    let ready = Api::new(node.authority(), "").get("/readyz").await;
    assert_eq!(ready.status, 200, "ready means ready");
    assert_eq!((hear(), hear()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    node.signal(Signal::TERM);
    while hear() != "STOPPING=1" {}
    assert!(node.wait_until_ended().success());
}

/// The roles that the compose file makes are enough to migrate and to serve, and the app role cannot change the past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_that_are_shipped_migrate_and_serve() {
    let cluster = Cluster::start_with(&scratch_dir(), &[("fsync", "off")]).unwrap();
    let administrator = cluster.url(Role::Super, "postgres");
    tessera_tests::run_sql(&administrator, "DROP ROLE tessera_owner, tessera_app, tessera_tenant"); // a server knows no roles of ours
    let psql = Tools::find().unwrap().program("psql").unwrap();
    let made = Command::new(psql)
        .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file"])
        .arg(root().join("deploy/postgres-roles.sql"))
        .arg(&administrator)
        .env("TESSERA_OWNER_PASSWORD", "it's one")
        .env("TESSERA_APP_PASSWORD", "another")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let at = |role: &str| cluster.url(Role::Super, "tessera").replacen(Role::Super.name(), role, 1);
    let (url, owner_url) = (at("tessera"), at("tessera_owner"));
    let migrated = tessera(&["migrate"]).env("DATABASE_URL", &url).env("DATABASE_OWNER_URL", &owner_url).run();
    assert!(migrated.status.success(), "{migrated:?}");
    let heads = scratch_dir().join("heads.json");
    let node = NodeProcess::start_env(&[("DATABASE_URL", &url), ("TESSERA_HEADS_FILE", heads.to_str().unwrap())]);
    let world = World::new(&url, &node.authority(), "acme");
    let ready = async || (world.api.get("/readyz").await.status == 200).then_some(());
    eventually_async("the node leads", Duration::from_secs(20), ready).await;
    let anna = world.customer("anna").await;
    world.top_up(anna, 100).await;
    eventually_async("the app role may tell the heads", Duration::from_secs(20), async || {
        fs::read_to_string(&heads).ok()?.contains("\"seq\": 3").then_some(())
    })
    .await;
    let forging = diesel::Connection::establish(&url).map(|mut conn: diesel::PgConnection| {
        diesel::connection::SimpleConnection::batch_execute(&mut conn, "UPDATE journal.transfer SET amount = 1")
    });
    assert!(forging.unwrap().is_err_and(|error| error.to_string().contains("permission denied")));
    drop(node);
    cluster.stop().unwrap();
}
