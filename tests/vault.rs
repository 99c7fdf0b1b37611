//! The vault over real processes: a restored backup that forgets again before it is served, a rotation that is killed, and
//! two processes that went on from one snapshot.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::Value;
use tessera_tests::{
    Api, Ground, NodeProcess, Run, TestDb, eventually, eventually_async, fresh_key, proof_dir, scratch_dir, tessera,
};
use uuid::Uuid;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::sealing::Keys;
use wallet_api::platform::vault::{Cell, Column, Settings, Vault, VaultError};

const NOTE: Column = Column { table: "person", column: "note" };
const TENANT: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(30);
/// Where a process of this test binary writes what it sealed, and by which folder and database.
const SEALS: [&str; 3] = ["TESSERA_TESTS_SEALS", "TESSERA_TESTS_VAULT", "TESSERA_TESTS_DATABASE"];
const SEALS_OF_EACH: usize = 3_000;

/// A database with a tenant, and a vault folder.
struct Place {
    db: TestDb<'static>,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let place = Self { db: Ground::fast().database(), folder: scratch_dir().join("vault") };
        place.command(&["tenant", "create", "acme", "--sandbox", "--json"]).run().json();
        place
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tessera(args);
        command.env("DATABASE_URL", self.db.url()).env("DATABASE_OWNER_URL", self.db.owner_url());
        command.env("TESSERA_VAULT_DIR", &self.folder).env("TESSERA_PROOF_DIR", proof_dir());
        command
    }

    fn vault(&self) -> Vault {
        let vault = open(&self.folder, &self.db.url());
        vault.level(&mut self.conn()).unwrap();
        vault
    }

    fn conn(&self) -> PgConnection {
        PgConnection::establish(&self.db.url()).unwrap()
    }

    fn status(&self) -> Value {
        self.command(&["vault", "status", "--json"]).run().json()
    }
}

/// A vault as a node opens it.
fn open(folder: &Path, url: &str) -> Vault {
    let signers = Arc::new(Keys::open(&proof_dir(), &Ids::system()).unwrap());
    let settings = Settings { folder: Some(folder.to_owned()), keys: None };
    settings.open(&mut PgConnection::establish(url).unwrap(), Some(signers), &[]).unwrap()
}

fn note(person: Uuid) -> Cell {
    Cell::of_person(TENANT, person, NOTE, person)
}

fn seal(vault: &Vault, conn: &mut PgConnection, person: Uuid) -> Vec<u8> {
    let sealed = conn.transaction(|conn| vault.seal(conn, &note(person), person.as_bytes(), Clock::System.now()));
    sealed.unwrap()
}

async fn readiness(api: &Api) -> (u16, String) {
    match api.try_get("/readyz").await {
        Ok(reply) => (reply.status, reply.code()),
        Err(_) => (0, String::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t65_a_node_over_a_restored_backup_is_not_ready_before_it_forgot_again() {
    let place = Place::new();
    let (vault, anna, bruno) = (place.vault(), fresh_key(), fresh_key());
    let (of_anna, of_bruno) = {
        let conn = &mut place.conn();
        (seal(&vault, conn, anna), seal(&vault, conn, bruno))
    };
    let backup = Ground::fast().clone_of(place.db.name());
    let forgotten = place.conn().transaction(|conn| vault.forget(conn, TENANT, anna, Clock::System.now())).unwrap();
    let receipt = vault.receipt(forgotten).unwrap();
    let mut others = PgConnection::establish(&backup.url()).unwrap();
    others.batch_execute("BEGIN; SELECT FROM vault_person_key FOR UPDATE").unwrap(); // the replay has to wait

    let node = NodeProcess::start(&backup, &[("TESSERA_VAULT_DIR", place.folder.to_str().unwrap())]);
    let api = Api::new(node.authority(), "");
    let red = (503, "vault-behind".to_owned());
    eventually_async("the node serves and is not ready", PATIENCE, async || {
        (readiness(&api).await == red).then_some(())
    })
    .await;
    let restored = open(&place.folder, &backup.url());
    let refused = restored.open(&mut PgConnection::establish(&backup.url()).unwrap(), &note(anna), &of_anna);
    assert!(matches!(refused, Err(VaultError::Behind)));
    others.batch_execute("ROLLBACK").unwrap();
    eventually_async("the node is ready", PATIENCE, async || (readiness(&api).await.0 == 200).then_some(())).await;

    let conn = &mut PgConnection::establish(&backup.url()).unwrap();
    assert_eq!(restored.level(conn).unwrap(), 0, "the node has done it all");
    assert!(matches!(restored.open(conn, &note(anna), &of_anna), Err(VaultError::Forgotten)));
    assert_eq!(restored.open(conn, &note(bruno), &of_bruno).unwrap().as_slice(), bruno.as_bytes());

    // The receipt is the one that was given, and holds offline by the operator's public key alone.
    let restored = Place { db: backup, folder: place.folder.clone() };
    let show = restored.command(&["vault", "receipt", "show", "--tenant", "acme", &anna.to_string()]).run();
    assert_eq!(show.out.trim(), receipt.text(), "{show:?}");
    let file = place.folder.with_file_name("receipt.json");
    fs::write(&file, &show.out).unwrap();
    let key = proof_dir().join("signing-1.pub");
    let check = |file: &Path| {
        tessera(&["vault", "receipt", "check", file.to_str().unwrap(), "--key", key.to_str().unwrap(), "--json"]).run()
    };
    assert_eq!(check(&file).json()["person"], anna.to_string());
    fs::write(&file, show.out.replace(&anna.to_string(), &bruno.to_string())).unwrap();
    let refused = check(&file);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

/// Killed at whatever moment it is at, again and again, while another process seals and opens.
#[test]
fn t64_a_killed_rotation_leaves_all_readable_and_is_finished_by_the_next() {
    let place = Place::new();
    let (vault, conn) = (place.vault(), &mut place.conn());
    let persons: Vec<(Uuid, Vec<u8>)> = (0..800)
        .map(|_| {
            let person = fresh_key();
            (person, seal(&vault, conn, person))
        })
        .collect();
    let check = |vault: &Vault, conn: &mut PgConnection| {
        let cells: Vec<Cell> = persons.iter().map(|(person, _)| note(*person)).collect();
        let pairs: Vec<_> = cells.iter().zip(persons.iter().map(|(_, sealed)| sealed.as_slice())).collect();
        for (opened, (person, _)) in vault.open_all(conn, &pairs).unwrap().into_iter().zip(&persons) {
            assert_eq!(opened.unwrap().as_slice(), person.as_bytes());
        }
    };
    // Later each time; a machine with much other work has not begun in the time of the first ones.
    let (mut halves, mut round) = (0, 0_u64);
    while round < 12 || (halves == 0 && round < 60) {
        let args =
            if round.is_multiple_of(2) { &["vault", "rotate", "--tenant", "acme"][..] } else { &["vault", "rotate"] };
        let mut killed = place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 45 * round));
        killed.kill().unwrap(); // SIGKILL
        killed.wait().unwrap();
        check(&vault, conn);
        check(&place.vault(), conn);
        let status = place.status();
        halves += u64::from(status["tenants"][0]["versions"].as_array().unwrap().len() > 1);
        round += 1;
    }
    assert!(halves > 0, "no rotation was killed on its way");
    place.command(&["vault", "rotate", "--json"]).run().json();
    let done = place.command(&["vault", "rotate", "--tenant", "acme", "--json"]).run().json();
    let status = place.status();
    assert_eq!(status["tenants"][0]["versions"], serde_json::json!([done["version"]]), "{status}");
    assert_eq!((&status["is_rotation_begun"], &status["tenants"][0]["left_to_rotate"]), (&false.into(), &0.into()));
    check(&vault, conn);
    check(&place.vault(), conn);
    seal(&vault, conn, fresh_key());
}

/// Two processes go on from one snapshot of database and keys, and seal the same thing: nothing comes twice.
#[test]
fn t63_two_processes_of_one_snapshot_draw_no_nonce_twice() {
    let place = Place::new();
    seal(&place.vault(), &mut place.conn(), Uuid::nil());
    let snapshot = Ground::fast().clone_of(place.db.name());
    let copy = scratch_dir().join("vault");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&place.folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let files = [scratch_dir().join("seals"), scratch_dir().join("seals")];
    let mut one = sealing_process(&files[0], &place.folder, &place.db.url());
    let mut two = sealing_process(&files[1], &copy, &snapshot.url());
    assert!(one.wait().unwrap().success() && two.wait().unwrap().success());
    let (mut salts, mut nonces, mut seals) = (HashSet::new(), HashSet::new(), 0);
    for file in files {
        for drawn in fs::read(file).unwrap().chunks(28) {
            let (salt, nonce) = drawn.split_at(16);
            assert!(salts.insert(salt.to_vec()) && nonces.insert(nonce.to_vec()), "{drawn:?}");
            seals += 1;
        }
    }
    assert_eq!(seals, 2 * SEALS_OF_EACH);
}

fn sealing_process(file: &Path, folder: &Path, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "vault::t63_seals_of_another_process", "--ignored", "--nocapture"]);
    command.env(SEALS[0], file).env(SEALS[1], folder).env(SEALS[2], url).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// What the two processes of the test above do; by itself it has nothing to do.
#[test]
#[ignore = "run by t63_two_processes_of_one_snapshot_draw_no_nonce_twice in processes of its own"]
fn t63_seals_of_another_process() {
    let [Ok(file), Ok(folder), Ok(url)] = SEALS.map(std::env::var) else { return };
    let settings = Settings { folder: Some(folder.into()), keys: None };
    let conn = &mut PgConnection::establish(&url).unwrap();
    let vault = settings.open(conn, None, &[]).unwrap();
    vault.level(conn).unwrap();
    let mut drawn = Vec::new();
    let sealed: Result<(), VaultError> = conn.transaction(|conn| {
        for _ in 0..SEALS_OF_EACH {
            let sealed = vault.seal(conn, &note(Uuid::nil()), b"the same", Clock::System.now())?;
            drawn.extend_from_slice(&sealed[5..33]);
        }
        Ok(())
    });
    sealed.unwrap();
    fs::write(file, drawn).unwrap();
}

/// A private data folder gets its vault at the first start, and a database without it is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_node_makes_its_vault_and_does_not_start_over_sealed_data_without_it() {
    let work = scratch_dir();
    let (data, vault) = (work.join("data"), work.join("data.vault"));
    let mut node = NodeProcess::start_private(&data, &[]);
    assert!(vault.join("kek-1.key").is_file() && vault.join("erasures.jsonl").is_file());
    let data_dir = data.to_str().unwrap();
    let run = |args: &[&str]| tessera(args).env("TESSERA_DATA_DIR", data_dir).run();
    run(&["tenant", "create", "acme", "--json"]).json();
    let url = wallet_api::platform::cluster::Endpoint::of_running(&data).unwrap();
    let url = url.url(wallet_api::platform::cluster::Role::App, "tessera");
    let conn = &mut PgConnection::establish(&url).unwrap();
    let lib = Settings { folder: Some(vault.clone()), keys: None }.open(conn, None, &[]).unwrap();
    lib.level(conn).unwrap();
    seal(&lib, conn, fresh_key());
    let status = run(&["vault", "status", "--json"]).json();
    assert_eq!((&status["tenants"][0]["persons"], &status["keks"][0]["is_here"]), (&1.into(), &true.into()));
    let prepared = run(&["vault", "rotate", "--prepare", "--json"]).json();
    assert_eq!(prepared["prepared"], 2);
    let refused = run(&["vault", "rotate", "--prepare"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!(run(&["vault", "rotate", "--json"]).json()["resumed"], true);
    node.signal(rustix::process::Signal::TERM);
    node.wait_until_ended();
    fs::rename(&vault, work.join("elsewhere")).unwrap();
    let mut node = NodeProcess::launch_env(&[("TESSERA_DATA_DIR", data_dir)]);
    assert!(!node.wait_until_ended().success());
    assert!(node.log().contains("bring the vault folder"), "{}", node.log());
    assert!(!vault.exists());
    eventually("the server is gone", PATIENCE, || (!data.join("postgres/postmaster.pid").exists()).then_some(()));
    fs::rename(work.join("elsewhere"), &vault).unwrap();
    let node = NodeProcess::start_private(&data, &[]);
    let api = Api::new(node.authority(), "");
    eventually_async("the node is ready", PATIENCE, async || (readiness(&api).await.0 == 200).then_some(())).await;
}

/// Without a folder a database of one's own is served all the same; only what needs the vault is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_vault_serves_everything_else() {
    let place = Place::new();
    let node = NodeProcess::start(&place.db, &[]);
    let api = Api::new(node.authority(), "");
    eventually_async("the node is ready", PATIENCE, async || (readiness(&api).await.0 == 200).then_some(())).await;
    let refused = place.command(&["vault", "status"]).env_remove("TESSERA_VAULT_DIR").run();
    assert!(refused.err.contains("--vault-dir"), "{refused:?}");
    // Keys by a descriptor: never on a command line, never on a disk.
    let keys = format!("1:{}", "5a".repeat(32));
    let words = "printf %s \"$KEYS\" | \"$@\" 3<&0 </dev/null";
    let status = place.command(&["vault", "status", "--json"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", words, "sh"]).arg(status.get_program()).args(status.get_args()).env("KEYS", keys);
    let told = status.get_envs().filter(|(name, _)| *name != "TESSERA_VAULT_DIR");
    shell.envs(told.filter_map(|(name, value)| Some((name, value?)))).env("TESSERA_VAULT_KEYS_FILE", "/dev/fd/3");
    assert_eq!(shell.run().json()["newest_kek"], 1);
}
