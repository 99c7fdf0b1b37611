use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as SqlError};
use diesel::sql_query;
use ledger::read::ReadError;

use super::places::STANDING_WAIT;
use super::*;
use crate::platform::limits;
use crate::platform::problem::Describe as _;
use crate::platform::scratch::Scratch;

fn one(conn: &mut PgConnection) -> QueryResult<usize> {
    sql_query("SELECT 1").execute(conn)
}

#[test]
fn four_migrations_at_once_wait_for_each_other_and_one_does_the_work() {
    let scratch = Scratch::new();
    let runs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| migrate(&scratch.url).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (idle, busy): (Vec<_>, Vec<_>) = runs.into_iter().partition(Vec::is_empty);
    assert_eq!((idle.len(), busy.len()), (3, 1));
    assert!(busy[0].iter().any(|name| name.contains("0002")), "{busy:?}");
}

#[test]
fn a_database_newer_than_the_binary_is_refused_by_name_and_left_alone() {
    let scratch = Scratch::migrated();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
    sql_query(newer).execute(&mut scratch.connect()).unwrap();
    let refusal = migrate(&scratch.url).unwrap_err();
    assert!(matches!(&refusal, MigrateError::NewerDatabase(version) if version == "9999"), "{refusal:?}");
}

#[tokio::test]
async fn a_connection_with_an_open_transaction_never_reaches_the_next_caller() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap();
    let left_open = |conn: &mut PgConnection| {
        Transactions::begin_transaction(conn)?;
        sql_query("CREATE TABLE forgotten ()").execute(conn)
    };
    db.run(left_open).await.unwrap();
    let seen = |conn: &mut PgConnection| {
        assert!(!has_open_transaction(conn));
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>("to_regclass('forgotten') IS NOT NULL"))
            .get_result(conn)
    };
    let still_there: bool = db.run(seen).await.unwrap();
    assert!(!still_there, "what was not committed is gone");
}

#[tokio::test]
async fn a_call_that_outlives_its_deadline_is_answered_and_keeps_its_place_until_it_ends() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap().with_deadline(Duration::from_millis(300));
    let started = Instant::now();
    let slow = db.run(|conn| sql_query("SELECT pg_sleep(1.5)").execute(conn)).await;
    assert_eq!(slow.unwrap_err().code(), "database-slow");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(db.run(one).await.unwrap_err().code(), "database-busy", "the thread still has the only place");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    db.run(one).await.unwrap();
}

/// Sessions at work on something that sleeps.
fn sleepers(scratch: &Scratch) -> i64 {
    const TEXT: &str = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
        AND query LIKE 'SELECT pg_sleep%')";
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(TEXT);
    diesel::select(count).get_result(&mut scratch.connect()).unwrap()
}

/// A long reading without an end, of pages that each take so long.
async fn pages(db: Db, sleep: &'static str) -> Result<(), Problem> {
    let read = move |conn: &mut PgConnection, until: Until| {
        conn.transaction(|conn| -> Result<(), ReadError> {
            loop {
                until.go_on(conn)?;
                sql_query(sleep).execute(conn)?;
            }
        })
    };
    db.run_long(read).await
}

#[tokio::test]
async fn a_long_reading_that_nobody_waits_for_ends_between_two_pages_and_within_one() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap();
    for sleep in ["SELECT pg_sleep(0.05)", "SELECT pg_sleep(4)"] {
        let end = Instant::now() + Duration::from_millis(400);
        let reading = tokio::time::timeout_at(end.into(), patience::until(end, pages(db.clone(), sleep)));
        _ = reading.await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(sleepers(&scratch), 0, "{sleep}");
        // The only place is free again, and the session as it was.
        let timeout = |conn: &mut PgConnection| {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("current_setting('statement_timeout')"))
                .get_result::<String>(conn)
        };
        assert_eq!(db.run(timeout).await.unwrap(), "5s", "{sleep}");
    }
}

#[tokio::test]
async fn of_long_readings_two_run_at_a_time_and_one_more_is_refused_while_others_work() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 8).unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    let reads = (0..3).map(|_| {
        let reading = pages(db.clone(), "SELECT pg_sleep(0.1)");
        tokio::spawn(patience::until(end, async move { (reading.await.unwrap_err().code(), Instant::now()) }))
    });
    let reads: Vec<_> = reads.collect();
    let mut most = 0;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        most = most.max(sleepers(&scratch));
        db.run(one).await.unwrap();
    }
    let mut told: Vec<_> = Vec::new();
    for read in reads {
        told.push(read.await.unwrap());
    }
    told.sort_by_key(|(_, at)| *at);
    let codes: Vec<_> = told.iter().map(|(code, _)| *code).collect();
    assert_eq!((most, codes), (2, vec!["database-busy", "database-slow", "database-slow"]));
    assert!(told[0].1 < end, "while there is time to say so");
}

#[tokio::test]
async fn statements_end_by_the_servers_own_timeout_even_if_nobody_waits() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap().with_deadline(Duration::from_secs(20));
    let slow = db.run(|conn| {
        sql_query("SET statement_timeout = '100ms'")
            .execute(conn)
            .and_then(|_| sql_query("SELECT pg_sleep(9)").execute(conn))
    });
    assert_eq!(slow.await.unwrap_err().code(), "database-slow");
    let timeout = |conn: &mut PgConnection| {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("current_setting('lock_timeout')")).get_result(conn)
    };
    let lock: String = db.run(timeout).await.unwrap();
    assert_eq!(lock, "3s");
}

#[tokio::test]
async fn after_a_restart_of_the_server_one_call_fails_at_most_and_the_pool_heals() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 4).unwrap();
    let at_once = || {
        futures_util::future::join_all((0..4).map(|_| db.run(|conn| sql_query("SELECT pg_sleep(0.1)").execute(conn))))
    };
    assert!(at_once().await.iter().all(Result::is_ok), "four connections are open");
    scratch.cut_sessions();
    assert_eq!(db.run(one).await.unwrap_err().status(), 503);
    assert!(at_once().await.iter().all(Result::is_ok), "the three other dead ones were found before use");
}

#[tokio::test]
async fn a_panic_in_the_work_is_our_fault_and_costs_nobody_else_anything() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap();
    let panics = |conn: &mut PgConnection| -> QueryResult<()> {
        Transactions::begin_transaction(conn)?;
        panic!("on purpose")
    };
    assert_eq!(db.run(panics).await.unwrap_err().code(), "internal");
    db.run(one).await.unwrap();
}

/// F34: a panic in an open transaction, again and again, on both connections of a pool. Nothing is written, no session
/// and no lock stays behind, and the pool serves on.
#[tokio::test]
async fn f34_a_panic_inside_a_transaction_writes_nothing_and_leaves_no_session() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 2).unwrap();
    db.run(|conn| conn.batch_execute("CREATE TABLE kept (at bigint PRIMARY KEY)")).await.unwrap();
    for _ in 0..100 {
        let panics = |conn: &mut PgConnection| -> QueryResult<()> {
            conn.transaction(|conn| {
                // The same row each time: whoever left the lock behind would hold up the next one.
                sql_query("INSERT INTO kept VALUES (1)").execute(conn)?;
                // As a panic goes, without a line in the test's output for each.
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        };
        let both = tokio::join!(db.run(panics), db.run(panics));
        for failed in [both.0, both.1] {
            assert_eq!(failed.unwrap_err().code(), "internal");
        }
    }
    let count = |text: &'static str| {
        db.run(move |conn| diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(text)).get_result::<i64>(conn))
    };
    assert_eq!(count("(SELECT count(*) FROM kept)").await.unwrap(), 0);
    let sessions = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())";
    let began = Instant::now();
    while count(sessions).await.unwrap() > 2 {
        assert!(began.elapsed() < Duration::from_secs(20), "sessions stayed behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(db.usage().in_use, 0);
}

/// F3: what libpq says of a session that went down with another one is no fault of the request.
#[test]
fn f03_a_session_that_is_lost_is_said_to_be_lost_whatever_diesel_takes_it_for() {
    let says = |text: &str| {
        SqlError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned())).describe().code().to_owned()
    };
    let lost = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally";
    assert_eq!(says(lost), "database-unreachable");
    assert_eq!(says("terminating connection due to administrator command"), "database-unreachable");
    assert_eq!(says("relation \"lost\" does not exist"), "internal");
}

#[test]
fn a_database_that_is_not_there_is_said_so_within_the_deadline() {
    let started = Instant::now();
    assert!(matches!(Db::open("host=/nowhere dbname=x", 2), Err(DbError::Unreachable(_))));
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(2));
}

#[test]
fn network_settings_are_added_to_every_form_of_address_and_never_override() {
    let with = with_tcp_settings("postgres://h/db");
    assert!(with.starts_with("postgres://h/db?connect_timeout=5&keepalives_idle=5&"), "{with}");
    assert!(with_tcp_settings("postgres://h/db?sslmode=require").contains("sslmode=require&connect_timeout=5"));
    assert!(with_tcp_settings("host=h dbname=db").contains("dbname=db connect_timeout=5 "));
    assert!(!with_tcp_settings("host=h connect_timeout=9").contains("connect_timeout=5"));
}

/// I2, F33: what may wait behind money takes no place that is kept for it, and once there is a queue it waits no more
/// than 50 ms.
#[tokio::test]
async fn a_fifth_of_the_places_is_kept_and_a_standing_queue_is_turned_away_at_once() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 5).unwrap();
    let common = db.common_share();
    let held: Vec<_> = (0..4).map(|_| tokio::spawn(hold(common.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert_eq!(common.run(one).await.unwrap_err().code(), "database-busy");
    assert!((STANDING_WAIT..STANDING_WAIT * 10).contains(&began.elapsed()), "{:?}", began.elapsed());
    let ordinary = limits::scope(Some(limits::Class::Read), db.run(one)).await;
    assert_eq!(ordinary.unwrap_err().code(), "database-busy");
    limits::scope(Some(limits::Class::Money), db.run(one)).await.unwrap();
    db.kept_share().run(one).await.unwrap();
    db.answers().await.unwrap();
    db.run(one).await.unwrap();
    for one in held {
        one.await.unwrap().unwrap();
    }
    common.run(one).await.unwrap();
}

async fn hold(db: Db) -> Result<usize, Problem> {
    db.run(|conn| sql_query("SELECT pg_sleep(1.5)").execute(conn)).await
}
