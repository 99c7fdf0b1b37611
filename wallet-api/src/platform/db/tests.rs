use std::time::Instant;

use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as SqlError};
use diesel::sql_query;
use ledger::read::{ReadError, Until};

use super::places::STANDING_WAIT;
use super::pool::{Transactions, has_open_transaction};
use super::*;
use crate::platform::problem::Describe as _;
use crate::platform::scratch::Scratch;
use crate::platform::{limits, patience};

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
    let db = HouseDb::open(&scratch.url, 1).unwrap();
    let left_open = |conn: &mut PgConnection| {
        Transactions::begin_transaction(conn)?;
        sql_query("CREATE TABLE forgotten ()").execute(conn)
    };
    db.run(left_open).await.unwrap().unwrap();
    let seen = |conn: &mut PgConnection| {
        assert!(!has_open_transaction(conn));
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>("to_regclass('forgotten') IS NOT NULL"))
            .get_result(conn)
    };
    let still_there: bool = db.run(seen).await.unwrap().unwrap();
    assert!(!still_there, "what was not committed is gone");
}

/// Whoever leaves a savepoint open, or ends the transaction by itself, is not told that it was done, and spoils nothing.
#[tokio::test]
async fn work_that_does_not_end_what_it_began_is_undone_and_says_so() {
    let scratch = Scratch::migrated();
    let db = Db::open(&scratch.url, 1).unwrap();
    let leaves_one = |conn: &mut PgConnection| {
        Transactions::begin_transaction(conn)?;
        add_customer(conn, 1)
    };
    let ends_one = |conn: &mut PgConnection| conn.batch_execute("COMMIT").and_then(|()| one(conn));
    add_tenants(&scratch, 1);
    assert_eq!(db.of(1).write(leaves_one).await.unwrap_err().code(), "internal");
    assert_eq!(db.of(1).write(ends_one).await.unwrap_err().code(), "internal");
    assert_eq!(db.of(1).read(customers).await.unwrap(), Vec::<i64>::new());
    db.of(1).write(|conn| add_customer(conn, 1)).await.unwrap();
    assert_eq!(db.of(1).read(customers).await.unwrap(), [1]);
}

/// A statement that failed undid all: whoever passes over it is not told that the rest was done.
#[tokio::test]
async fn work_that_passes_over_a_failed_statement_is_not_told_as_done() {
    let scratch = Scratch::migrated();
    let db = Db::open(&scratch.url, 1).unwrap();
    add_tenants(&scratch, 1);
    let passes_over = |conn: &mut PgConnection| {
        let added = add_customer(conn, 1);
        _ = conn.batch_execute("SELECT 1 / 0");
        added
    };
    assert!(db.of(1).write(passes_over).await.is_err());
    assert_eq!(db.of(1).read(customers).await.unwrap(), Vec::<i64>::new());
    let in_a_savepoint = |conn: &mut PgConnection| {
        let added = add_customer(conn, 1);
        _ = conn.transaction(|conn| conn.batch_execute("SELECT 1 / 0"));
        added
    };
    db.of(1).write(in_a_savepoint).await.unwrap();
    assert_eq!(db.of(1).read(customers).await.unwrap(), [1]);
}

fn add_tenants(scratch: &Scratch, upto: i64) {
    let text = format!(
        "INSERT INTO tenant (slug, name, sandbox, secret, created_at) \
         SELECT 'a' || i, 'A', true, decode(repeat('00', 32), 'hex'), now() FROM generate_series(1, {upto}) i"
    );
    scratch.connect().batch_execute(&text).unwrap();
}

fn add_customer(conn: &mut PgConnection, tenant: i64) -> QueryResult<usize> {
    let text = "INSERT INTO customer (tenant, id, reference, created_at) VALUES ($1, gen_random_uuid(), 'anna', now())";
    sql_query(text).bind::<diesel::sql_types::BigInt, _>(tenant).execute(conn)
}

/// Whose customers are seen, without asking for anybody's.
fn customers(conn: &mut PgConnection) -> QueryResult<Vec<i64>> {
    use diesel::dsl::sql;
    use diesel::sql_types::{Array, BigInt};
    let all = "(SELECT coalesce(array_agg(tenant ORDER BY tenant), '{}') FROM customer)";
    diesel::select(sql::<Array<BigInt>>(all)).get_result(conn)
}

/// T42: a session that nobody spoke for sees nothing, one that was spoken for sees its own, and adds nobody else's.
#[tokio::test]
async fn t42_a_transaction_sees_the_tenant_it_names_and_none_when_it_names_none() {
    let scratch = Scratch::migrated();
    add_tenants(&scratch, 2);
    let db = Db::open(&scratch.url, 1).unwrap();
    for tenant in [1, 2] {
        db.of(tenant).write(move |conn| add_customer(conn, tenant)).await.unwrap();
        assert_eq!(db.of(tenant).read(customers).await.unwrap(), [tenant]);
    }
    assert_eq!(db.of(3).read(customers).await.unwrap(), Vec::<i64>::new());
    assert_eq!(db.house().run(customers).await.unwrap(), [1, 2]);
    assert_eq!(db.0.run(customers).await.unwrap().unwrap(), Vec::<i64>::new(), "the pool's own session is nobody's");
    assert_eq!(HouseDb::open(&scratch.url, 1).unwrap().run(customers).await.unwrap().unwrap(), [1, 2]);
    let foreign = db.of(1).write(|conn| add_customer(conn, 2)).await.unwrap_err();
    assert_eq!(foreign.code(), "internal");
    let unread = db.of(1).read(|conn| add_customer(conn, 1)).await.unwrap_err();
    assert_eq!(unread.code(), "internal", "what reads cannot write");
    assert_eq!(db.house().run(customers).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_call_that_outlives_its_deadline_is_answered_and_keeps_its_place_until_it_ends() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 1).unwrap().with_deadline(Duration::from_millis(300));
    let started = Instant::now();
    let slow = db.house().run(|conn| sql_query("SELECT pg_sleep(1.5)").execute(conn)).await;
    assert_eq!(slow.unwrap_err().code(), "database-slow");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(db.house().run(one).await.unwrap_err().code(), "database-busy", "the thread still has the only place");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    db.house().run(one).await.unwrap();
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
    let read = move |conn: &mut PgConnection, until: Until| -> Result<(), ReadError> {
        loop {
            until.go_on(conn)?;
            sql_query(sleep).execute(conn)?;
        }
    };
    db.of(1).read_long(read).await
}

#[tokio::test]
async fn a_long_reading_that_nobody_waits_for_ends_between_two_pages_and_within_one() {
    let scratch = Scratch::migrated();
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
        assert_eq!(db.house().run(timeout).await.unwrap(), "5s", "{sleep}");
    }
}

#[tokio::test]
async fn of_long_readings_two_run_at_a_time_and_one_more_is_refused_while_others_work() {
    let scratch = Scratch::migrated();
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
        db.house().run(one).await.unwrap();
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
    let slow = db.house().run(|conn| {
        sql_query("SET statement_timeout = '100ms'")
            .execute(conn)
            .and_then(|_| sql_query("SELECT pg_sleep(9)").execute(conn))
    });
    assert_eq!(slow.await.unwrap_err().code(), "database-slow");
    let timeout = |conn: &mut PgConnection| {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("current_setting('lock_timeout')")).get_result(conn)
    };
    let lock: String = db.house().run(timeout).await.unwrap();
    assert_eq!(lock, "3s");
}

#[tokio::test]
async fn after_a_restart_of_the_server_one_call_fails_at_most_and_the_pool_heals() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 4).unwrap();
    let at_once = || {
        futures_util::future::join_all(
            (0..4).map(|_| db.house().run(|conn| sql_query("SELECT pg_sleep(0.1)").execute(conn))),
        )
    };
    assert!(at_once().await.iter().all(Result::is_ok), "four connections are open");
    scratch.cut_sessions();
    assert_eq!(db.house().run(one).await.unwrap_err().status(), 503);
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
    assert_eq!(db.house().run(panics).await.unwrap_err().code(), "internal");
    db.house().run(one).await.unwrap();
}

/// F34: a panic in an open transaction, again and again, on both connections of a pool. Nothing is written, no session
/// and no lock stays behind, and the pool serves on.
#[tokio::test]
async fn f34_a_panic_inside_a_transaction_writes_nothing_and_leaves_no_session() {
    let scratch = Scratch::new();
    let db = Db::open(&scratch.url, 2).unwrap();
    db.house().run(|conn| conn.batch_execute("CREATE TABLE kept (at bigint PRIMARY KEY)")).await.unwrap();
    for _ in 0..100 {
        let panics = |conn: &mut PgConnection| -> QueryResult<()> {
            conn.transaction(|conn| {
                // The same row each time: whoever left the lock behind would hold up the next one.
                sql_query("INSERT INTO kept VALUES (1)").execute(conn)?;
                // As a panic goes, without a line in the test's output for each.
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        };
        let both = tokio::join!(db.house().run(panics), db.house().run(panics));
        for failed in [both.0, both.1] {
            assert_eq!(failed.unwrap_err().code(), "internal");
        }
    }
    let count = |text: &'static str| {
        db.house().run(move |conn| {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(text)).get_result::<i64>(conn)
        })
    };
    assert_eq!(count("(SELECT count(*) FROM kept)").await.unwrap(), 0);
    let sessions = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())";
    let began = Instant::now();
    while count(sessions).await.unwrap() > 2 {
        assert!(began.elapsed() < Duration::from_secs(20), "sessions stayed behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(db.meter().usage().in_use, 0);
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
    assert_eq!(common.house().run(one).await.unwrap_err().code(), "database-busy");
    assert!((STANDING_WAIT..STANDING_WAIT * 10).contains(&began.elapsed()), "{:?}", began.elapsed());
    let ordinary = limits::scope(Some(limits::Class::Read), db.house().run(one)).await;
    assert_eq!(ordinary.unwrap_err().code(), "database-busy");
    limits::scope(Some(limits::Class::Money), db.house().run(one)).await.unwrap();
    db.kept_share().house().run(one).await.unwrap();
    db.answers().await.unwrap();
    db.house().run(one).await.unwrap();
    for one in held {
        one.await.unwrap().unwrap();
    }
    common.house().run(one).await.unwrap();
}

async fn hold(db: Db) -> Result<usize, Problem> {
    db.house().run(|conn| sql_query("SELECT pg_sleep(1.5)").execute(conn)).await
}
