//! Every promise of the module, against a real PostgreSQL.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
};

use diesel::{
    deserialize::FromSqlRow,
    pg::Pg,
    query_builder::QueryId,
    sql_types::{Bool, HasSqlType, Integer, SingleValue, SqlType, Text},
};
use rustix::process::{Pid, Signal, kill_process};

use super::*;

type Outcome = Result<(), Box<dyn Error>>;

/// Tells [`child_process_that_holds_a_cluster`] which data folder to hold.
const HOLD: &str = "TESSERA_TEST_HOLD";

/// Makes a data folder that any account can reach.
fn reachable_folder() -> Result<TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn connect(cluster: &Cluster, role: Role) -> Result<PgConnection, diesel::ConnectionError> {
    PgConnection::establish(&cluster.url(role, "postgres"))
}

fn ask<Sql, T>(conn: &mut PgConnection, expression: &str) -> diesel::QueryResult<T>
where
    Sql: SqlType + SingleValue + QueryId + 'static,
    Pg: HasSqlType<Sql>,
    T: FromSqlRow<Sql, Pg> + 'static,
{
    diesel::select(diesel::dsl::sql::<Sql>(expression)).get_result(conn)
}

/// Kills a process as nothing can prevent.
fn kill_9(pid: u32) -> Outcome {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no pid")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Not a test by itself: the body of the second process that two tests below start.
#[test]
fn child_process_that_holds_a_cluster() -> Outcome {
    let Ok(folder) = std::env::var(HOLD) else { return Ok(()) };
    let cluster = Cluster::start(Path::new(&folder))?;
    println!("\nHOLDING {} {}", cluster.pid(), cluster.socket_dir().display());
    loop {
        thread::park();
    }
}

/// Starts a process that holds the cluster of this folder, and waits until it does.
fn hold_elsewhere(folder: &Path) -> Result<(Child, u32, PathBuf), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "platform::cluster::tests::child_process_that_holds_a_cluster", "--nocapture"])
        .env(HOLD, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let mut words = line.split(' ');
        if words.next() == Some("HOLDING") {
            let pid = words.next().ok_or("no pid")?.parse()?;
            let socket_dir = PathBuf::from(words.next().ok_or("no folder")?);
            return Ok((child, pid, socket_dir));
        }
    }
    Err("the other process ended early".into())
}

#[test]
fn data_outlives_a_stop_and_settings_are_durable() -> Outcome {
    let folder = reachable_folder()?;
    let cluster = Cluster::start(folder.path())?;
    assert_eq!(cluster.notice(), None);
    let mut conn = connect(&cluster, Role::Super)?;
    for setting in ["fsync", "synchronous_commit", "full_page_writes", "data_checksums"] {
        assert_eq!(ask::<Text, String>(&mut conn, &format!("current_setting('{setting}')"))?, "on", "{setting}");
    }
    assert_eq!(ask::<Text, String>(&mut conn, "current_setting('listen_addresses')")?, "");
    conn.batch_execute("CREATE TABLE kept AS SELECT 7 AS n")?;
    let socket_dir = cluster.socket_dir().to_path_buf();
    assert!(socket_dir.join(".s.PGSQL.5432").as_os_str().len() < 100);
    cluster.stop()?;
    assert!(!socket_dir.exists());

    let again = Cluster::start_with(folder.path(), &[("work_mem", "9MB")])?;
    let mut conn = connect(&again, Role::Super)?;
    assert_eq!(ask::<Integer, i32>(&mut conn, "(SELECT n FROM kept)")?, 7);
    assert_eq!(ask::<Text, String>(&mut conn, "current_setting('work_mem')")?, "9MB");
    Ok(())
}

#[test]
fn roles_have_what_they_need_and_no_more() -> Outcome {
    let folder = reachable_folder()?;
    let cluster = Cluster::start(folder.path())?;
    let power = "(SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = current_user)";
    assert!(ask::<Bool, bool>(&mut connect(&cluster, Role::Super)?, power)?);
    assert!(!ask::<Bool, bool>(&mut connect(&cluster, Role::Owner)?, power)?);
    let mut app = connect(&cluster, Role::App)?;
    assert!(!ask::<Bool, bool>(&mut app, power)?);
    assert!(app.batch_execute("CREATE TABLE public.mine (n int)").is_err());

    // A session may end another of its own role: that is how a new leader cuts off the old one.
    let mut other = connect(&cluster, Role::App)?;
    let pid = ask::<Integer, i32>(&mut other, "pg_backend_pid()")?;
    assert!(ask::<Bool, bool>(&mut app, &format!("pg_terminate_backend({pid}, 5000)"))?);
    assert!(other.batch_execute("SELECT 1").is_err());
    Ok(())
}

#[test]
fn databases_are_made_copied_and_dropped() -> Outcome {
    let folder = reachable_folder()?;
    let cluster = Cluster::start(folder.path())?;
    cluster.create_database("model")?;
    PgConnection::establish(&cluster.url(Role::Owner, "model"))?.batch_execute("CREATE TABLE t AS SELECT 5 AS n")?;
    cluster.create_from_template("copy_1", "model")?;
    let mut conn = PgConnection::establish(&cluster.url(Role::Owner, "copy_1"))?;
    assert_eq!(ask::<Integer, i32>(&mut conn, "(SELECT n FROM t)")?, 5);
    assert!(matches!(cluster.create_database("model"), Err(ClusterError::Statement(_))));
    cluster.drop_database("copy_1")?; // although `conn` is still open
    cluster.drop_database("copy_1")?;
    assert!(PgConnection::establish(&cluster.url(Role::Owner, "copy_1")).is_err());
    for name in ["", "1st", "a-b", "a\"; DROP", &"x".repeat(64)] {
        assert!(matches!(cluster.create_database(name), Err(ClusterError::BadDatabaseName { .. })), "{name}");
    }
    Ok(())
}

#[test]
fn a_server_killed_with_9_starts_again_on_the_same_socket() -> Outcome {
    let folder = reachable_folder()?;
    let mut cluster = Cluster::start(folder.path())?;
    connect(&cluster, Role::Super)?.batch_execute("CREATE TABLE kept AS SELECT 7 AS n")?;
    let (pid, url) = (cluster.pid(), cluster.url(Role::Super, "postgres"));
    // A session at work notices only at its end that the server is dead, and until then no new one may start.
    let mut session = connect(&cluster, Role::App)?;
    let busy = thread::spawn(move || session.batch_execute("SELECT sum(n) FROM generate_series(1, 6000000) AS n"));
    let at_work = "(SELECT count(*) FROM pg_stat_activity WHERE usename = 'tessera_app' AND state = 'active') = 1";
    let mut watcher = connect(&cluster, Role::Super)?;
    while !ask::<Bool, bool>(&mut watcher, at_work)? {}
    kill_9(pid)?;
    cluster.restart()?;
    let _answered_or_cut_off = busy.join();
    assert_ne!(cluster.pid(), pid);
    assert_eq!(ask::<Integer, i32>(&mut PgConnection::establish(&url)?, "(SELECT n FROM kept)")?, 7);

    kill_9(cluster.pid())?;
    drop(cluster); // leaves a pid file that says ready
    let cluster = Cluster::start(folder.path())?;
    assert_eq!(ask::<Integer, i32>(&mut connect(&cluster, Role::Super)?, "(SELECT n FROM kept)")?, 7);
    Ok(())
}

#[test]
fn a_folder_in_use_is_refused_by_the_holders_pid_and_can_be_joined() -> Outcome {
    let folder = reachable_folder()?;
    let cluster = Cluster::start(folder.path())?;
    let refusal = Cluster::start(folder.path()).err().ok_or("started twice")?;
    assert!(matches!(refusal, ClusterError::Held { pid: Some(pid), .. } if pid == std::process::id()), "{refusal}");
    assert_eq!(&Endpoint::of_running(folder.path())?, cluster.endpoint());
    cluster.stop()?;
    assert!(matches!(Endpoint::of_running(folder.path()), Err(ClusterError::NotRunning { .. })));

    let (mut holder, _, _) = hold_elsewhere(folder.path())?;
    let refusal = Cluster::start(folder.path());
    let joined = Endpoint::of_running(folder.path());
    holder.kill()?;
    holder.wait()?;
    assert!(matches!(refusal, Err(ClusterError::Held { pid: Some(pid), .. }) if pid == holder.id()));
    assert!(joined.is_ok());
    drop(Cluster::start(folder.path())?); // ends the orphan
    Ok(())
}

#[test]
fn a_server_whose_owner_was_killed_is_taken_over() -> Outcome {
    let folder = reachable_folder()?;
    let (mut holder, server, socket_dir) = hold_elsewhere(folder.path())?;
    holder.kill()?;
    holder.wait()?;
    assert!(Endpoint::of_running(folder.path()).is_ok(), "the server died with its owner");
    let cluster = Cluster::start(folder.path())?;
    assert_ne!(cluster.pid(), server);
    assert!(!process::serves(server, &cluster.data_dir()));
    assert!(!socket_dir.exists());
    assert!(connect(&cluster, Role::App).is_ok());
    Ok(())
}

#[test]
fn a_pid_file_that_names_a_stranger_is_not_believed() -> Outcome {
    let folder = reachable_folder()?;
    let cluster = Cluster::start(folder.path())?;
    let database = cluster.data_dir();
    cluster.stop()?;
    // A live process of the server's own account, at work elsewhere: PostgreSQL alone would refuse to start.
    let home = Home::find_or_make(folder.path())?;
    let mut stranger =
        launch::command(Path::new("sleep"), home.account()).env("PATH", "/usr/bin:/bin").arg("600").spawn()?;
    let lie = format!("{}\n{}\n1\n5432\n/etc\n\n  1 1\nready   \n", stranger.id(), database.display());
    fs::write(database.join("postmaster.pid"), lie)?;
    let started = Cluster::start(folder.path());
    let spared = stranger.try_wait()?.is_none();
    stranger.kill()?;
    stranger.wait()?;
    assert!(connect(&started?, Role::App).is_ok());
    assert!(spared && Path::new("/etc").exists());
    Ok(())
}

#[test]
fn data_of_another_major_version_is_refused() -> Outcome {
    let folder = reachable_folder()?;
    let database = folder.path().join("postgres");
    fs::create_dir(&database)?;
    fs::write(database.join("PG_VERSION"), "9\n")?;
    let refusal = Cluster::start(folder.path()).err().ok_or("started")?;
    assert!(matches!(refusal, ClusterError::OtherMajor { made_by: 9, .. }), "{refusal}");
    Ok(())
}

#[test]
fn a_setting_that_postgresql_refuses_is_reported_with_its_words() -> Outcome {
    let folder = reachable_folder()?;
    let refusal = Cluster::start_with(folder.path(), &[("no_such_setting", "1")]).err().ok_or("started")?;
    assert!(refusal.to_string().contains("unrecognized configuration parameter"), "{refusal}");
    drop(Cluster::start(folder.path())?); // and the folder is as good as before
    Ok(())
}

#[test]
fn a_start_killed_within_initdb_leaves_no_half_database() -> Outcome {
    let folder = reachable_folder()?;
    let nursery = folder.path().join("postgres.new");
    fs::create_dir(&nursery)?;
    fs::write(nursery.join("PG_VERSION"), "15\n")?;
    drop(Cluster::start(folder.path())?);
    assert!(!nursery.exists());
    Ok(())
}

/// Root only: another user's server runs as that user, who can reach their own folders.
#[test]
fn a_folder_closed_to_the_server_falls_back_and_says_where() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = tempfile::tempdir_in("/var/tmp")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?; // as a private home is
    let data_dir = folder.path().join(".tessera");
    let cluster = Cluster::start(&data_dir)?;
    let home = cluster.data_dir().parent().ok_or("no parent")?.to_path_buf();
    assert!(home.starts_with("/var/lib/tessera"));
    let notice = cluster.notice().ok_or("silent")?;
    assert!(notice.contains(&home.display().to_string()) && notice.contains("cannot enter"), "{notice}");
    connect(&cluster, Role::Super)?.batch_execute("CREATE TABLE kept AS SELECT 7 AS n")?;
    cluster.stop()?;

    // The way opens later: the data stays where it is.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let again = Cluster::start(&data_dir)?;
    assert_eq!(again.data_dir(), home.join("postgres"));
    assert_eq!(ask::<Integer, i32>(&mut connect(&again, Role::Super)?, "(SELECT n FROM kept)")?, 7);
    again.stop()?;
    fs::remove_dir_all(home)?;
    Ok(())
}

/// Root only, as above: an empty database elsewhere must not hide the one that is here.
#[test]
fn a_database_whose_way_was_closed_is_not_replaced() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = reachable_folder()?;
    drop(Cluster::start(folder.path())?);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
    let refusal = Cluster::start(folder.path()).err().ok_or("started")?;
    assert!(matches!(refusal, ClusterError::Unreachable { .. }), "{refusal}");
    Ok(())
}

#[test]
fn urls_carry_any_folder_and_any_name() {
    let endpoint = Endpoint { socket_dir: PathBuf::from("/run/a b%c") };
    assert_eq!(endpoint.url(Role::App, "books"), "postgresql://tessera_app@/books?host=%2Frun%2Fa%20b%25c");
}
