//! Backups: what they bring back is what was there, what they cannot bring back is said, and nobody leads before that was
//! read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Text, Timestamptz};
use diesel::{Connection, PgConnection};
use ledger::JournalId;
use ledger::follow::Span;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tessera_tests::{
    Api, NodeProcess, Output, Run, World, eventually, eventually_async, rows, run_sql, scalar, scratch_dir, tessera,
};
use uuid::Uuid;
use wallet_api::platform::cluster::{Cluster, Endpoint, Role};

const PATIENCE: Duration = Duration::from_secs(20);

/// A command that must end well; what it says.
#[track_caller]
fn run(args: &[&str]) -> String {
    let output = tessera(args).run();
    assert!(output.status.success(), "{output:?}");
    output.out
}

/// A command that must refuse, with these words.
#[track_caller]
fn refused(args: &[&str], words: &[&str]) -> Output {
    let output = tessera(args).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for word in words {
        assert!(output.err.contains(word) || output.out.contains(word), "{word:?} is not in {output:?}");
    }
    assert!(!output.err.contains("panicked"), "{output:?}");
    output
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A place for one test: data folder, backups, new data folders.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(scratch_dir())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn named(&self, name: &str) -> String {
        text(&self.path(name)).to_owned()
    }

    /// Restores the backups into a new folder.
    fn restore(&self, into: &str, more: &[&str]) -> Output {
        let (from, into) = (self.named("backups"), self.named(into));
        let args = [&["restore", &from, "--data-dir", &into, "--json"][..], more].concat();
        tessera(&args).run()
    }
}

/// The running server of a data folder.
fn url(data_dir: &Path, role: Role) -> String {
    Endpoint::of_running(data_dir).unwrap().url(role, "tessera")
}

/// A node on a data folder of its own, with a tenant and a customer who has money.
struct Served {
    node: NodeProcess,
    world: World,
    anna: Uuid,
}

async fn leads(api: &Api) {
    let ready = async || (api.try_get("/readyz").await.ok()?.status == 200).then_some(());
    eventually_async("the node leads", PATIENCE, ready).await;
}

async fn serve(data_dir: &Path) -> Served {
    let node = NodeProcess::start_private(data_dir, &[]);
    let world = World::new(&url(data_dir, Role::App), &node.authority(), "acme");
    leads(&world.api).await;
    let anna = world.customer("anna").await;
    Served { node, world, anna }
}

fn head(data_dir: &Path) -> i64 {
    scalar::<diesel::sql_types::BigInt, i64>(&url(data_dir, Role::App), "(SELECT max(seq) FROM journal.head)")
}

/// Waits until everything written so far is in the archive.
fn archive_all(data_dir: &Path, archive: &Path) {
    let name: String = scalar::<Text, _>(&url(data_dir, Role::Super), "pg_walfile_name(pg_switch_wal())");
    eventually("the log is archived", PATIENCE, || archive.join(&name).is_file().then_some(()));
}

/// Waits until the file beside the data folder knows of this seq.
fn await_known(place: &Place, seq: i64) -> Value {
    eventually("the head is known", PATIENCE, || {
        let heads: Value = serde_json::from_slice(&fs::read(place.path("data.heads.json")).ok()?).ok()?;
        (heads["journals"][0]["seq"] == seq).then_some(heads)
    })
}

/// Ends node and server as a lost machine does: what is not archived is gone. A server that stops in order would archive
/// the rest first.
fn lose(data_dir: &Path, mut node: NodeProcess) {
    node.signal(Signal::KILL);
    node.wait_until_ended();
    let pid_file = data_dir.join("postgres/postmaster.pid");
    let pid = fs::read_to_string(&pid_file).unwrap().lines().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
    eventually("the server is gone", PATIENCE, || (!Path::new("/proc").join(pid.to_string()).exists()).then_some(()));
    fs::rename(data_dir, data_dir.with_extension("lost")).unwrap();
}

fn fork_of(heads: &[Vec<Option<String>>]) -> Uuid {
    heads[0][1].as_deref().unwrap().parse().unwrap()
}

/// F47, R1, R2, R7: base backup, continuous log, loss of the disk, restore. What was archived is back to the last cent, what
/// was lost is named by its seqs, no node leads before somebody accepts it, and the new history cannot be taken for the old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f47_a_restore_brings_back_what_was_archived_and_names_what_was_lost() {
    let place = Place::new();
    let (data, new) = (place.path("data"), place.path("new"));
    let Served { node, world, anna } = serve(&data).await;
    world.top_up(anna, 100).await;
    run(&["backup", &place.named("backups"), "--data-dir", text(&data)]);
    world.top_up(anna, 20).await;
    archive_all(&data, &place.path("backups/wal"));
    let kept = head(&data);
    world.top_up(anna, 3).await; // in no archive
    let lost = head(&data);
    let before = await_known(&place, lost);
    let forks = "SELECT journal, fork FROM journal.head";
    let old_fork = rows(&url(&data, Role::App), forks);
    lose(&data, node);

    let report = place.restore("new", &[]).json();
    assert_eq!(report["accepted"], false, "{report}");
    let finding = &report["journals"][0];
    assert_eq!((&finding["seq"], &finding["lost"]), (&json!(kept), &json!([kept + 1, lost])), "{report}");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&new)], &["accept-restore", "are lost"]);
    fs::write(place.path("x.csv"), "ID,Date,Amount\n").unwrap();
    refused(&["import", "purchases", &place.named("x.csv"), "--data-dir", text(&new)], &["accept-restore"]);
    assert!(run(&["verify", "--data-dir", text(&new)]).contains("whole up to seq"));
    assert!(run(&["accept-restore", "--data-dir", text(&new)]).contains("nodes may lead again"));

    let node = NodeProcess::start_private(&new, &[("TESSERA_HEADS_FILE", text(&place.path("data.heads.json")))]);
    let world = World { api: node.api(&world.api), url: url(&new, Role::App), ..world };
    leads(&world.api).await;
    assert_eq!(world.balance(anna, "available").await, 120);
    world.top_up(anna, 4).await;
    assert_eq!(head(&new), kept + 1, "the seq is used again");
    assert_ne!(rows(&world.url, forks), old_fork, "on another line of history");
    let stood = "SELECT fork, last_seq FROM journal.former_fork";
    assert_eq!(rows(&world.url, stood), [[old_fork[0][1].clone(), Some(kept.to_string())]]);
    let cursors = "SELECT 1 FROM journal.follower f JOIN journal.head h USING (journal) WHERE f.fork <> h.fork";
    assert!(rows(&world.url, cursors).is_empty(), "every follower goes on");
    world.assert_whole();
    // The heads that were known before are no loss any more: they were accepted.
    let after = await_known(&place, kept + 1);
    assert_eq!(after["system_id"], before["system_id"]);

    // What was told before is told under the same ids, what is written now under others: the fork is a part of them.
    let (old_fork, new_fork) = (fork_of(&old_fork), fork_of(&rows(&world.url, forks)));
    let mut conn = PgConnection::establish(&world.url).unwrap();
    let span = Span { journal: JournalId(world.tenant), fork: new_fork, from: 0, upto: kept + 1 };
    let lines = ledger::follow::page(&mut conn, span).unwrap().lines;
    assert_eq!((lines.of(1), lines.of(kept), lines.of(kept + 1)), (old_fork, old_fork, new_fork));

    // One former line says otherwise: the digests tell.
    run_sql(&url(&new, Role::Super), "UPDATE journal.former_fork SET last_seq = last_seq - 1");
    assert!(!world.verify().ok);
}

/// Point in time: the books as they were between two commits, and the ones after it named as lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f47_a_restore_to_a_time_has_what_was_committed_before_it() {
    let place = Place::new();
    let data = place.path("data");
    let Served { node, world, anna } = serve(&data).await;
    run(&["backup", &place.named("backups"), "--data-dir", text(&data)]);
    world.top_up(anna, 100).await;
    let at_noon = head(&data);
    let noon: DateTime<Utc> = scalar::<Timestamptz, _>(&url(&data, Role::App), "clock_timestamp()");
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.top_up(anna, 20).await;
    archive_all(&data, &place.path("backups/wal"));
    await_known(&place, head(&data));

    // Beside the running original: a restore needs nothing of it.
    let report = place.restore("noon", &["--until", &noon.to_rfc3339()]).json();
    assert_eq!(report["journals"][0]["seq"], at_noon, "{report}");
    assert_eq!(report["journals"][0]["lost"][0], at_noon + 1, "{report}");
    let whole = place.restore("whole", &["--accept-loss"]).json();
    assert_eq!((&whole["journals"][0]["whole"], &whole["accepted"]), (&json!(true), &json!(true)), "{whole}");

    let early = noon - chrono::Duration::hours(1);
    let output = place.restore("early", &["--until", &early.to_rfc3339()]);
    assert!(output.err.contains("nothing before it can be restored"), "{output:?}");
    let output = place.restore("late", &["--until", "2100-01-01T00:00:00Z"]);
    assert!(output.err.contains("the archived log ends before"), "{output:?}");
    assert!(place.restore("late", &[]).status.success(), "what a refused restore left is out of the way");
    drop(node);

    let noon = NodeProcess::start_private(&place.path("whole"), &[]);
    let world = World { api: noon.api(&world.api), ..world };
    leads(&world.api).await;
    assert_eq!(world.balance(anna, "available").await, 120);
}

/// A data folder put back by hand, or a standby that was behind: the node notices by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f47_books_behind_what_was_known_are_not_led_before_a_new_line_begins() {
    let place = Place::new();
    let data = place.path("data");
    let Served { mut node, world, anna } = serve(&data).await;
    node.signal(Signal::TERM);
    assert!(node.wait_until_ended().success());
    let copy = std::process::Command::new("cp").arg("-a").arg(&data).arg(place.path("copy")).status().unwrap();
    assert!(copy.success());
    let mut node = NodeProcess::start_private(&data, &[]);
    let world = World { api: node.api(&world.api), ..world };
    leads(&world.api).await;
    world.top_up(anna, 5).await;
    node.signal(Signal::TERM);
    assert!(node.wait_until_ended().success());

    fs::rename(&data, place.path("newer")).unwrap();
    fs::rename(place.path("copy"), &data).unwrap();
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)], &["are lost", "begin-fork"]);
    let found: Value = serde_json::from_str(&run(&["begin-fork", "--json", "--data-dir", text(&data)])).unwrap();
    assert_eq!((&found["accepted"], &found["journals"][0]["whole"]), (&json!(false), &json!(false)), "{found}");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)], &["accept-restore"]);
    run(&["accept-restore", "--data-dir", text(&data)]);
    let node = NodeProcess::start_private(&data, &[]);
    leads(&node.api(&world.api)).await;
}

/// Bad input: every backup that cannot be relied on is refused with what to do, and nothing is left where it was to go.
#[test]
fn f47_what_is_no_whole_backup_of_this_database_is_refused_with_a_remedy() {
    let place = Place::new();
    let (data, backups) = (place.named("data"), place.named("backups"));
    run(&["tenant", "create", "acme", "--data-dir", &data]);
    run(&["backup", &backups, "--data-dir", &data]);
    let made = fs::read_dir(place.path("backups")).unwrap().map(|entry| entry.unwrap().path());
    let base = made.into_iter().find(|path| text(path).contains("base-")).unwrap();
    let checked: Value = serde_json::from_str(&run(&["check-backup", &backups, "--json"])).unwrap();
    assert_eq!(checked["ok"], true, "{checked}");

    // Another database's backups, and a database that is already there.
    run(&["tenant", "create", "other", "--data-dir", &place.named("foreign")]);
    refused(
        &["backup", &backups, "--data-dir", &place.named("foreign")],
        &["holds backups of database", "another folder"],
    );
    refused(&["restore", &backups, "--data-dir", &data], &["restore into an empty folder"]);
    refused(&["backup", &place.named("data/backups"), "--data-dir", &data], &["would be lost with it"]);
    refused(&["backup", &backups, "--database-url", "postgresql://a@/b?host=/x"], &["pg_basebackup", "begin-fork"]);

    let label = fs::read_to_string(base.join("label.json")).unwrap();
    let relabelled = |from: &str, to: &str, words: &[&str]| {
        assert!(label.contains(from), "{label}");
        fs::write(base.join("label.json"), label.replace(from, to)).unwrap();
        refused(&["restore", &backups, "--data-dir", &place.named("new")], words);
        refused(&["check-backup", &backups], words);
        fs::write(base.join("label.json"), &label).unwrap();
    };
    relabelled(r#""format": 1"#, r#""format": 2"#, &["newer tessera"]);
    relabelled(r#""schema": "0"#, r#""schema": "9"#, &["restore with tessera", "or newer"]);
    relabelled(r#""system_id": ""#, r#""system_id": "1"#, &["put together from two"]);
    relabelled(r#""tessera""#, r#""tesserae""#, &["no label of a backup"]);

    let changed = |file: &str, change: fn(&mut Vec<u8>), words: &[&str]| {
        let path = base.join("data").join(file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        refused(&["restore", &backups, "--data-dir", &place.named("new")], words);
        refused(&["check-backup", &backups], words);
        fs::write(&path, whole).unwrap();
    };
    let flip = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    changed("global/1262", flip, &["pg_verifybackup", "checksum mismatch"]);
    changed("global/1262", |bytes| bytes.truncate(10), &["pg_verifybackup", "has size"]);
    changed("backup_manifest", flip, &["was changed since the backup was made"]);
    changed("PG_VERSION", |bytes| *bytes = b"9\n".to_vec(), &["made by PostgreSQL 9"]);

    // A backup that was cut short counts for nothing; with no other, that is said.
    fs::rename(base.join("label.json"), place.path("label")).unwrap();
    refused(&["check-backup", &backups], &["no finished backup", "1 cut short"]);
    refused(&["restore", &backups, "--data-dir", &place.named("new")], &["no finished backup"]);
    assert!(!place.path("new/postgres").exists());

    // One that is not ours is checked as far as that goes, and the rest is said.
    let plain = run(&["check-backup", text(&base.join("data"))]);
    assert!(plain.contains("not checked: which heads it should hold"), "{plain}");
}

/// A data folder of a later build, or one whose mark somebody changed, is not opened, whatever the command.
#[test]
fn a_data_folder_of_another_layout_is_refused_and_an_older_database_is_brought_up_to_date() {
    let place = Place::new();
    let data = place.named("data");
    run(&["tenant", "create", "acme", "--data-dir", &data]);
    let mark = place.path("data/layout");
    for (says, words) in [("2\n", "laid out by a later tessera"), ("0\n", "no layout"), ("x", "no layout")] {
        fs::write(&mark, says).unwrap();
        refused(&["serve", "--data-dir", &data], &[words]);
    }
    // Folders of before the mark have none.
    fs::remove_file(&mark).unwrap();
    run(&["verify", "--data-dir", &data]);
    assert_eq!(fs::read_to_string(&mark).unwrap(), "1\n");
    fs::write(place.path("data/restoring"), "").unwrap();
    refused(&["serve", "--data-dir", &data], &["did not end", "restore again"]);
    fs::remove_file(place.path("data/restoring")).unwrap();

    // The tables of the release before this one, and of one after it.
    let in_database = |sql: &str| {
        let cluster = Cluster::start(&place.path("data")).unwrap();
        run_sql(&cluster.url(Role::Owner, "tessera"), sql);
    };
    let last = include_str!("../migrations/0047_rules/down.sql");
    in_database(&format!("{last}; DELETE FROM __diesel_schema_migrations WHERE version = '0047'"));
    run(&["migrate", "--data-dir", &data]);
    run(&["verify", "--data-dir", &data]);
    in_database("DELETE FROM __diesel_schema_migrations WHERE version = '0005'");
    for command in ["serve", "migrate"] {
        refused(&[command, "--data-dir", &data], &["has migration 0047 and lacks 0005", "restore it from a backup"]);
    }
    in_database("INSERT INTO __diesel_schema_migrations (version) VALUES ('0005'), ('9999')");
    refused(&["serve", "--data-dir", &data], &["newer than this binary", "9999", "run the newer binary"]);
}

/// F15: a page that the disk has changed is an error where it is read, never a row; a backup does not take it for whole, and
/// the one made before brings it back.
#[test]
fn f15_a_bit_that_flipped_on_disk_is_found_and_restored_from_the_backup() {
    let place = Place::new();
    let data = place.named("data");
    run(&["tenant", "create", "acme", "--data-dir", &data]);
    run(&["backup", &place.named("backups"), "--data-dir", &data]);
    let page = {
        let cluster = Cluster::start(&place.path("data")).unwrap();
        let url = cluster.url(Role::Owner, "tessera");
        cluster.data_dir().join(scalar::<Text, String>(&url, "pg_relation_filepath('journal.asset')"))
    };
    let mut bytes = fs::read(&page).unwrap();
    bytes[8_100] ^= 4;
    fs::write(&page, bytes).unwrap();
    refused(&["verify", "--data-dir", &data], &["invalid page"]);
    refused(&["backup", &place.named("later"), "--data-dir", &data], &["checksum"]);
    refused(&["check-backup", &place.named("later")], &["no finished backup", "1 cut short"]);
    assert!(place.restore("new", &["--accept-loss"]).status.success());
    run(&["verify", "--data-dir", &place.named("new")]);
}
