use chrono::TimeDelta;
use diesel::sql_query;

use super::*;
use crate::platform::scratch::Scratch;

const TENANT: i64 = 1;
const MANY: i64 = 20_000;

fn endpoint() -> Uuid {
    Uuid::from_u128(5)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(1)
}

/// A database with one endpoint and the events 1 to `count`, all of them due there.
fn with_due(count: i64) -> (Scratch, PgConnection) {
    let scratch = Scratch::migrated();
    let mut conn = scratch.connect();
    sql_query(
        "INSERT INTO tenant (slug, name, sandbox, secret, created_at) \
         VALUES ('acea', 'A company', true, decode(repeat('00', 32), 'hex'), now())",
    )
    .execute(&mut conn)
    .unwrap();
    let wish = crate::engagement::hooks::model::NewEndpoint {
        id: endpoint(),
        url: "https://example.com/".to_owned(),
        event_types: crate::engagement::hooks::model::EventTypes::stored(vec!["*".to_owned()]),
        secret: crate::engagement::hooks::sign::Secret::from_bytes(vec![0; 32]).unwrap(),
        ordered: None,
        purpose: None,
    };
    super::super::insert_endpoint(&mut conn, TENANT, &wish, 0, now()).unwrap();
    add_due(&mut conn, 1, count);
    (scratch, conn)
}

fn add_due(conn: &mut PgConnection, first: i64, last: i64) {
    let events: Vec<_> = (first..=last)
        .map(|seq| NewEvent {
            seq,
            ordinal: 0,
            id: Uuid::from_u64_pair(1, 2),
            kind: "test.paid.v1",
            body: b"{}",
            depth: 0,
            created_at: now(),
        })
        .collect();
    insert_events(conn, TENANT, &events).unwrap();
    let due = |seq| NewDelivery {
        place: place(seq),
        status: DeliveryStatus::Pending,
        attempts: 0,
        next_at: Some(now()),
        turn: None,
    };
    let deliveries: Vec<_> = (first..=last).map(due).collect();
    insert_deliveries(conn, &deliveries).unwrap();
}

fn place(seq: i64) -> Place {
    Place { tenant: TENANT, endpoint: endpoint(), seq, ordinal: 0 }
}

fn delivered(seq: i64, attempt: i32) -> Outcome {
    Outcome {
        place: place(seq),
        attempt,
        at: now(),
        http_status: Some(200),
        reason: None,
        duration_ms: 1,
        response: None,
        status: DeliveryStatus::Delivered,
        next_at: None,
        turn: None,
    }
}

fn claimed(conn: &mut PgConnection, places: i64, now: DateTime<Utc>) -> Vec<i64> {
    let room = Room { tenant: TENANT, endpoint: endpoint(), lane: 0, places };
    let due = in_bulk::<_, diesel::result::Error>(conn, |conn| claim(conn, &[room], now, later())).unwrap();
    let mut seqs: Vec<_> = due.iter().map(|due| due.place.seq).collect();
    seqs.sort_unstable();
    seqs
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn number(conn: &mut PgConnection, text: &str) -> i64 {
    sql_query(text).get_result::<Number>(conn).unwrap().number
}

fn of_status(conn: &mut PgConnection, status: DeliveryStatus) -> i64 {
    number(conn, &format!("SELECT count(*) AS number FROM hook_delivery WHERE status = {}", status.code()))
}

#[test]
fn what_is_claimed_is_claimed_once_until_its_time_comes() {
    let (scratch, mut conn) = with_due(10);
    assert!(claimed(&mut conn, 10, now() - TimeDelta::seconds(1)).is_empty(), "not due yet");
    let first = claimed(&mut conn, 4, now());
    let second = claimed(&mut scratch.connect(), 100, now());
    assert_eq!((first.len(), second.len()), (4, 6));
    assert!(first.iter().all(|seq| !second.contains(seq)));
    assert!(claimed(&mut conn, 100, now()).is_empty());
    assert_eq!(claimed(&mut conn, 100, later()).len(), 10, "as after a crash");
    release(&mut conn, &[place(3)], now()).unwrap();
    assert_eq!(claimed(&mut conn, 100, now()), [3]);
}

#[test]
fn an_attempt_counts_once_and_only_after_the_one_before_it() {
    let (_scratch, mut conn) = with_due(1);
    settle(&mut conn, &[&delivered(1, 2)]).unwrap();
    assert_eq!(of_status(&mut conn, DeliveryStatus::Pending), 1, "the first was not made yet");
    settle(&mut conn, &[&delivered(1, 1)]).unwrap();
    let late = Outcome { status: DeliveryStatus::Pending, next_at: Some(now()), ..delivered(1, 1) };
    settle(&mut conn, &[&late]).unwrap();
    assert_eq!(of_status(&mut conn, DeliveryStatus::Delivered), 1, "what is done stays done");
    release(&mut conn, &[place(1)], now()).unwrap();
    assert!(claimed(&mut conn, 1, later()).is_empty());
}

/// Its page was refused: whoever writes the page writes the delivery.
#[test]
fn an_attempt_at_a_delivery_that_is_not_there_leaves_nothing() {
    let (_scratch, mut conn) = with_due(1);
    settle(&mut conn, &[&delivered(1, 1), &delivered(2, 1)]).unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) AS number FROM hook_delivery"), 1);
    assert_eq!(number(&mut conn, "SELECT count(*) AS number FROM hook_attempt"), 1);
}

#[test]
fn what_is_pending_at_a_disabled_endpoint_ends_as_gone() {
    let (_scratch, mut conn) = with_due(5);
    settle(&mut conn, &[&delivered(2, 1)]).unwrap();
    assert_eq!(sweep(&mut conn, 100).unwrap(), 0);
    sql_query("UPDATE hook_endpoint SET disabled_at = now(), disabled_reason = 'gone'").execute(&mut conn).unwrap();
    assert_eq!((sweep(&mut conn, 3).unwrap(), sweep(&mut conn, 3).unwrap()), (3, 1));
    assert_eq!(of_status(&mut conn, DeliveryStatus::Delivered), 1);
    assert_eq!(of_status(&mut conn, DeliveryStatus::Gone), 4);
}

/// JOURNAL 16: prepared on empty tables, then the tables grow and nobody has analysed them.
#[test]
fn each_row_costs_a_few_probes_however_many_are_pending() {
    probes_only(false);
}

/// The same where statistics say that the tables hold three rows.
#[test]
fn each_row_costs_a_few_probes_where_the_tables_are_known_to_be_small() {
    probes_only(true);
}

fn probes_only(known_small: bool) {
    let (scratch, mut conn) = with_due(3);
    let all = |conn: &mut PgConnection, seqs: std::ops::Range<i64>| {
        let places: Vec<_> = seqs.clone().map(place).collect();
        let outcomes: Vec<_> = seqs.map(|seq| delivered(seq, 1)).collect();
        in_bulk::<_, diesel::result::Error>(conn, |conn| {
            let room = Room { tenant: TENANT, endpoint: endpoint(), lane: 0, places: 100 };
            claim(conn, &[room], now(), later())?;
            release(conn, &places, later())?;
            settle(conn, &outcomes.iter().collect::<Vec<_>>())?;
            sweep(conn, 100).map(drop)
        })
        .unwrap();
        sql_query("SELECT pg_stat_force_next_flush()").execute(conn).unwrap();
        sql_query("SELECT 1").execute(conn).unwrap();
    };
    sql_query("ALTER TABLE hook_delivery SET (autovacuum_enabled = false)").execute(&mut conn).unwrap();
    if known_small {
        let analyze = "ANALYZE hook_delivery; ANALYZE hook_event; ANALYZE hook_attempt; ANALYZE hook_endpoint";
        conn.batch_execute(analyze).unwrap();
    }
    all(&mut conn, 1..3);
    add_due(&mut conn, 4, MANY);
    let read = "SELECT sum(idx_tup_read)::bigint AS number FROM pg_stat_user_indexes WHERE relname = 'hook_delivery'";
    let before = number(&mut scratch.connect(), read);
    all(&mut conn, 4..104);
    sql_query("UPDATE hook_endpoint SET disabled_at = now(), disabled_reason = 'gone'").execute(&mut conn).unwrap();
    all(&mut conn, 104..204);
    let entries = number(&mut scratch.connect(), read) - before;
    assert!((300..5_000).contains(&entries), "{entries} index entries read");
}
