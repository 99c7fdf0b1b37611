//! The wall between tenants (docs/adr/0012): every table with rows of tenants has it, partitions of later included; a session
//! that serves requests sees the rows of the tenant it works for and of no other, whatever happened on it before; and what
//! one tenant has taken tells another nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager as _};
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_query};
use ledger::{StoreError, read};
use serde_json::json;
use tessera_tests::books::{account, lead, request, submit};
use tessera_tests::{Dice, Ground, TestApp, TestDb, World, fresh_key, rows, run_sql, scalar};
use wallet_api::platform::db::Db;
use wallet_api::platform::problem::Problem;

use crate::history::{small_ranges, write};

/// Tables that have no rows of tenants. A new one is named here, or has a column `tenant` (in the journal: `journal`).
const SHARED: [&str; 7] = [
    "journal.layout",
    "journal.lease",
    "journal.node",
    "journal.range",
    "public.__diesel_schema_migrations",
    "public.node_link",
    "public.vault_kek",
];

/// Unique values that are the house's own: a tenant's name, and the random prefixes by which keys and tokens are found.
const GLOBAL_KEYS: [&str; 4] =
    ["tenant_slug_key", "api_key_prefix_key", "session_access_prefix_key", "refresh_token_prefix_key"];

/// Rows of text; a null is a dash.
fn told(db: &TestDb<'_>, select: &str) -> Vec<Vec<String>> {
    let plain = |field: Option<String>| field.unwrap_or_else(|| "-".to_owned());
    rows(&db.super_url(), select).into_iter().map(|row| row.into_iter().map(plain).collect()).collect()
}

/// A book of several ranges, one of which has left and come back: its partitions were made by the functions for that.
fn with_partitions() -> TestDb<'static> {
    let db = Ground::fast().database();
    small_ranges(&db);
    let journal = lead(&db);
    let accounts: Vec<_> = (0..5).map(|_| fresh_key()).collect();
    accounts.iter().for_each(|id| _ = submit(&journal, request(fresh_key(), ledger::Command::Open(account(*id)))));
    write(&journal, &accounts, 0, 500);
    journal.stop();
    run_sql(
        &db.owner_url(),
        "DROP TABLE journal.transfer_300_of_1; \
         INSERT INTO journal.archived (journal, first_seq, last_seq, rows, sha256, file) \
             SELECT journal, first_seq, last_seq, 0, decode(repeat('00', 32), 'hex'), 'x' FROM journal.part WHERE first_seq = 300; \
         SELECT journal.make_back(1, 300)",
    );
    db
}

/// Of each table: the column that says whose a row is.
fn kept(db: &TestDb<'_>) -> BTreeMap<String, String> {
    let tables = told(
        db,
        "SELECT n.nspname || '.' || c.relname AS name, CASE WHEN c.oid = 'public.tenant'::regclass THEN 'id' ELSE \
             (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('tenant', 'journal')) END AS by \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname IN ('public', 'journal') AND c.relkind IN ('r', 'p', 'm', 'f')",
    );
    tables
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .filter(|(name, _)| !SHARED.contains(&name.as_str()))
        .collect()
}

/// T43: row-level security binds the owner too, on every table, and lets the house and one tenant through, nobody else.
#[test]
fn t43_every_table_is_behind_the_wall_partitions_of_later_too() {
    let db = with_partitions();
    let kept = kept(&db);
    for partition in ["journal.transfer", "journal.transfer_0", "journal.transfer_300", "journal.transfer_300_of_1"] {
        assert!(kept.contains_key(partition), "{partition}: {kept:?}");
    }
    let open = told(
        &db,
        "SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS walled \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'f')",
    );
    let walled: BTreeSet<String> = open.into_iter().filter(|row| row[1] == "true").map(|row| row[0].clone()).collect();
    let policies = told(
        &db,
        "SELECT schemaname || '.' || tablename AS name, policyname, permissive, array_to_string(roles, ' ') AS roles, cmd, \
             qual, with_check FROM pg_policies ORDER BY policyname",
    );
    for (table, by) in &kept {
        assert_ne!(by, "-", "{table}: whose rows? Give it a column, or name it among the shared tables");
        assert!(walled.contains(table), "{table} is not behind the wall: call guard_tenant in its migration");
        let found: Vec<_> =
            policies.iter().filter(|policy| policy[0] == *table).map(|policy| policy[1..].join(" ")).collect();
        let house = "house PERMISSIVE tessera_app tessera_owner ALL true -".to_owned();
        let tenant = format!("tenant PERMISSIVE tessera_tenant ALL ({by} = current_tenant()) -");
        assert_eq!(found, [house, tenant], "{table}");
    }
}

/// T43: no role of ours goes round the wall: by owning tables, by a right, by a view or by a function of the owner's.
#[test]
fn t43_nobody_goes_round_it() {
    let db = with_partitions();
    let able = told(
        &db,
        "SELECT rolname FROM pg_roles WHERE rolname IN ('tessera_app', 'tessera_tenant', 'tessera_owner') \
         AND (rolsuper OR rolbypassrls)",
    );
    assert!(able.is_empty(), "{able:?}");
    let owned = told(
        &db,
        "SELECT relname FROM pg_class WHERE pg_has_role('tessera_app', relowner, 'MEMBER') \
         AND relnamespace IN ('public'::regnamespace, 'journal'::regnamespace)",
    );
    assert!(owned.is_empty(), "{owned:?}");
    assert_eq!(told(&db, "SELECT pg_has_role('tessera_tenant', 'tessera_app', 'MEMBER') AS x"), [["false"]]);
    let views = told(
        &db,
        "SELECT relname, array_to_string(reloptions, ' ') AS options FROM pg_class WHERE relkind = 'v' \
         AND relnamespace IN ('public'::regnamespace, 'journal'::regnamespace)",
    );
    assert!(!views.is_empty() && views.iter().all(|view| view[1] == "security_invoker=true"), "{views:?}");
    let functions = told(
        &db,
        "SELECT proname, has_function_privilege('tessera_tenant', oid, 'EXECUTE') AS callable FROM pg_proc \
         WHERE prosecdef AND pronamespace IN ('public'::regnamespace, 'journal'::regnamespace)",
    );
    assert!(functions.len() >= 2 && functions.iter().all(|function| function[1] == "false"), "{functions:?}");
    for role in ["tessera_app", "tessera_tenant"] {
        let guard = format!("SELECT has_function_privilege('{role}', 'guard_tenant(regclass, name)', 'EXECUTE') AS x");
        assert_eq!(told(&db, &guard), [["false"]], "{role}");
    }
    // A view that reads as its owner showed both tenants.
    run_sql(
        &db.url(),
        "INSERT INTO journal.head (journal, fork, version, sandbox) VALUES (2, gen_random_uuid(), 1, true)",
    );
    for (tenant, accounts) in [(1, 5), (2, 0)] {
        let count = diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM journal.balance)");
        assert_eq!(diesel::select(count).get_result::<i64>(&mut session(&db, tenant)), Ok(accounts), "tenant {tenant}");
    }
}

/// What a request may do is what the app may, and of the journal's tables: read, but for the rows that no writer writes. A
/// table whose rights changed after `guard_tenant` is found here.
#[test]
fn sessions_of_tenants_may_do_what_the_app_may_and_only_read_the_journal() {
    let db = Ground::fast().database();
    let granted = |role: &str| -> BTreeSet<Vec<String>> {
        let text = format!(
            "SELECT c.oid::regclass::text AS name, a.privilege_type, '' AS of FROM pg_class c, aclexplode(c.relacl) a \
             WHERE a.grantee = '{role}'::regrole AND c.relkind IN ('r', 'p') UNION ALL \
             SELECT t.attrelid::regclass::text, a.privilege_type, t.attname FROM pg_attribute t, aclexplode(t.attacl) a \
             WHERE a.grantee = '{role}'::regrole"
        );
        told(&db, &text).into_iter().collect()
    };
    let (app, tenant) = (granted("tessera_app"), granted("tessera_tenant"));
    let is_kept = |name: &str| !SHARED.contains(&name) && !SHARED.contains(&format!("public.{name}").as_str());
    let expected = |row: &Vec<String>| {
        let writes = row[1] == "INSERT" && ["journal.asset", "journal.closing"].contains(&row[0].as_str());
        // Who is an operator, what they may and from what on it takes another is told by the house alone.
        let is_of_the_house =
            ["operator", "operator_role", "operator_invitation", "four_eyes_policy"].contains(&row[0].as_str());
        let is_the_houses = is_of_the_house && row[1] != "SELECT" && row[2] != "used_at";
        is_kept(&row[0])
            && !is_the_houses
            && !["tenant", "api_key"].contains(&row[0].as_str())
            && (!row[0].starts_with("journal.") || row[1] == "SELECT" || writes)
    };
    let mut expected: BTreeSet<_> = app.into_iter().filter(expected).collect();
    for [name, right, of] in [
        ["journal.range", "SELECT", ""],
        ["tenant", "SELECT", "id"],
        ["tenant", "SELECT", "revision"],
        ["tenant", "UPDATE", "revision"],
        ["api_key", "SELECT", "tenant"],
        ["api_key", "SELECT", "client"],
        ["api_key", "SELECT", "scopes"],
        ["api_key", "SELECT", "revoked_at"],
        ["vault_kek", "SELECT", ""],
        ["vault_kek", "INSERT", ""],
        ["vault_kek", "UPDATE", "retired_at"],
    ] {
        expected.insert([name, right, of].map(str::to_owned).into());
    }
    let (missing, surplus): (Vec<_>, Vec<_>) =
        (expected.difference(&tenant).collect(), tenant.difference(&expected).collect());
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
}

/// The tenant leads every key, so that no two tenants can be in each other's way, and a distributed database can spread them.
#[test]
fn t44_the_tenant_leads_every_key_and_every_index() {
    let db = with_partitions();
    let kept = kept(&db);
    let indexes = told(
        &db,
        "SELECT n.nspname || '.' || t.relname AS name, i.relname, pg_get_indexdef(x.indexrelid, 1, true) AS first, \
             x.indisunique FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname IN ('public', 'journal')",
    );
    assert!(indexes.len() > kept.len());
    for index in indexes.iter().filter(|index| !GLOBAL_KEYS.contains(&index[1].as_str())) {
        let Some(by) = kept.get(&index[0]) else { continue };
        // Two indexes are of expressions that only the sweeper names (0015).
        let leads = index[2] == *by || (index[3] == "false" && index[2] == format!("({by} + 0)"));
        assert!(leads, "{}: index {} begins with {}", index[0], index[1], index[2]);
    }
}

/// T44: what another tenant has taken is free here, and an attempt to write into its rows ends the same way whether there
/// is anything or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t44_what_another_tenant_has_taken_tells_nothing() {
    let app = TestApp::start();
    let other = World::new(&app.db().url(), &app.authority(), "other");
    let (ours, theirs) = (app.api(), other.api.clone());
    let made = [
        ("/v1/customers", json!({"reference": "anna"})),
        ("/v1/merchants", json!({"reference": "till-1", "name": "Emporio"})),
        ("/v1/programmes", json!({"code": "club", "name": "Club"})),
        ("/v1/ledger/assets", json!({"code": "GOLD", "scale": 3})),
    ];
    let mut ids = Vec::new();
    for (path, body) in &made {
        let (first, second) = (ours.post(path, body).await, theirs.post(path, body).await);
        assert_eq!((first.status, second.status), (201, 201), "{path}");
        let keys = |body: &serde_json::Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&first.json()), keys(&second.json()), "{path}");
        ids.push((first.json()["id"].clone(), second.json()["id"].clone()));
    }
    let (anna, same_name) = (ids[0].0.as_str().unwrap(), ids[0].1.as_str().unwrap());
    assert_ne!(anna, same_name);
    // Theirs asks for ours: as for what nobody has.
    let nobody = fresh_key().to_string();
    for at in ["/v1/customers/{}/card", "/v1/customers/{}/balances", "/v1/payments/{}", "/v1/ledger/accounts/{}"] {
        let (foreign, unknown) =
            (theirs.get(&at.replace("{}", anna)).await, theirs.get(&at.replace("{}", &nobody)).await);
        assert_eq!((foreign.status, foreign.bytes), (unknown.status, unknown.bytes), "{at}");
        assert_eq!(foreign.status, 404, "{at}");
    }
    // The same below the routes, where a wrong statement would end.
    let insert = |tenant: i64, reference: &str| {
        let mut conn = session(app.db(), other.tenant);
        let text = "INSERT INTO customer (tenant, id, reference, created_at) VALUES ($1, gen_random_uuid(), $2, now())";
        let done = sql_query(text).bind::<BigInt, _>(tenant).bind::<Text, _>(reference).execute(&mut conn);
        done.map_err(|error| error.to_string())
    };
    let taken = insert(app.world.tenant, "anna").unwrap_err();
    assert_eq!(taken, insert(app.world.tenant, "nobody has this").unwrap_err());
    assert!(taken.contains("row-level security"), "{taken}");
    assert!(insert(other.tenant, "anna").unwrap_err().contains("unique"), "its own it may know");
}

/// A session as requests have it, once it has said for whom it works.
pub fn session(db: &TestDb<'_>, tenant: i64) -> PgConnection {
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    conn.batch_execute(&format!("SET ROLE tessera_tenant; SET tessera.tenant = '{tenant}'")).unwrap();
    conn
}

/// Reads that must see one state go on in the snapshot that is open, and nowhere else.
#[test]
fn reads_that_belong_together_join_a_snapshot_and_refuse_any_other_transaction() {
    let db = Ground::fast().database();
    tessera_tests::books::new_books(&db);
    let conn = &mut PgConnection::establish(&db.url()).unwrap();
    let head = |conn: &mut PgConnection| read::head(conn, tessera_tests::books::JOURNAL);
    assert!(read::in_snapshot(conn, head).unwrap().is_some());
    assert!(read::in_snapshot(conn, |conn| read::in_snapshot(conn, head)).unwrap().is_some());
    let refused = conn.transaction(|conn| read::in_snapshot(conn, head)).unwrap_err();
    assert!(matches!(refused, StoreError::Database(diesel::result::Error::AlreadyInTransaction)), "{refused}");
    // What cannot begin leaves nothing begun.
    assert!(read::begin(conn, "BEGIN; SELECT nothing FROM nowhere").is_err());
    assert!(read::in_snapshot(conn, head).unwrap().is_some());
}

/// Tenants that take turns.
const TENANTS: u64 = 7;

/// What happens in a turn.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Read,
    Write,
    ForeignRow,
    StatementFails,
    SavepointFails,
    Refused,
    TimesOut,
    Cancelled,
    Panics,
    LeavesOpen,
    House,
}

/// Drawn as often as they stand here: those that cost a connection seldom.
fn draw(dice: &mut Dice) -> Turn {
    const OFTEN: [Turn; 8] = [
        Turn::Read,
        Turn::Write,
        Turn::ForeignRow,
        Turn::StatementFails,
        Turn::SavepointFails,
        Turn::Refused,
        Turn::Cancelled,
        Turn::House,
    ];
    match dice.below(600) {
        0 => Turn::Panics,
        1 => Turn::LeavesOpen,
        2 => Turn::TimesOut,
        _ => dice.pick(&OFTEN),
    }
}

/// What all turns came to.
#[derive(Default)]
struct Seen {
    looks: AtomicU64,
    foreign: AtomicU64,
}

impl Seen {
    /// Looks at all there is, and counts what is somebody else's.
    fn look(&self, conn: &mut PgConnection, tenant: i64) -> QueryResult<()> {
        const ALL: &str = "(SELECT array_agg(DISTINCT by) FROM (SELECT tenant AS by FROM customer UNION ALL SELECT id FROM tenant \
            UNION ALL SELECT journal FROM journal.head UNION ALL SELECT journal FROM journal.asset) q)";
        let seen: Vec<i64> = diesel::select(diesel::dsl::sql::<Array<BigInt>>(ALL)).get_result(conn)?;
        self.looks.fetch_add(1, Ordering::Relaxed);
        if seen != [tenant] {
            eprintln!("tenant {tenant} saw {seen:?}");
            self.foreign.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn take(turn: Turn, db: &Db, tenant: i64, seen: Arc<Seen>) -> Result<(), Problem> {
    let look = {
        let seen = Arc::clone(&seen);
        move |conn: &mut PgConnection| seen.look(conn, tenant)
    };
    let touch = |conn: &mut PgConnection| {
        // All rows there are: one.
        let touched = sql_query("UPDATE tenant SET revision = revision + 1").execute(conn)?;
        if touched == 1 { Ok(()) } else { Err(diesel::result::Error::NotFound) }
    };
    match turn {
        Turn::Read => db.of(tenant).read(look).await,
        Turn::Write => db.of(tenant).write(move |conn| touch(conn).and_then(|()| look(conn))).await,
        Turn::ForeignRow => {
            let insert = move |conn: &mut PgConnection| {
                let other = 1 + tenant % i64::try_from(TENANTS).unwrap();
                let text = "INSERT INTO customer (tenant, id, reference, created_at) VALUES ($1, gen_random_uuid(), 'x', now())";
                let added = sql_query(text).bind::<BigInt, _>(other).execute(conn);
                if added.is_ok() {
                    seen.foreign.fetch_add(1, Ordering::Relaxed);
                }
                added.map(|_| ())
            };
            db.of(tenant).write(insert).await
        }
        Turn::StatementFails => {
            db.of(tenant).read(move |conn| look(conn).and_then(|()| conn.batch_execute("SELECT 1 / 0"))).await
        }
        Turn::SavepointFails => {
            let fail = |conn: &mut PgConnection| conn.transaction(|conn| conn.batch_execute("SELECT 1 / 0"));
            db.of(tenant).write(move |conn| if fail(conn).is_err() { look(conn) } else { touch(conn) }).await
        }
        Turn::Refused => {
            let refuse = || Problem::new(409, "rule-superseded", "No", "No");
            let work = move |conn: &mut PgConnection| -> Result<(), Problem> {
                touch(conn)?;
                look(conn)?;
                Err(refuse())
            };
            db.of(tenant).write(work).await
        }
        Turn::TimesOut => {
            let slow = move |conn: &mut PgConnection| {
                conn.batch_execute("SET LOCAL statement_timeout = '5ms'")?;
                conn.batch_execute("SELECT pg_sleep(1)")?;
                look(conn)
            };
            db.of(tenant).read(slow).await
        }
        Turn::Cancelled => {
            let work = db.of(tenant).write(move |conn| touch(conn).and_then(|()| look(conn)));
            // Whoever asked is gone before the answer, some of them before it was asked.
            tokio::time::timeout(Duration::from_micros(u64::try_from(tenant).unwrap() * 60), work)
                .await
                .unwrap_or(Ok(()))
        }
        Turn::Panics => {
            let work = move |conn: &mut PgConnection| -> QueryResult<()> {
                look(conn)?;
                // As a panic goes, without a line in the test's output for each.
                std::panic::resume_unwind(Box::new("on purpose"))
            };
            db.of(tenant).write(work).await
        }
        Turn::LeavesOpen => {
            let leave = |conn: &mut PgConnection| AnsiTransactionManager::begin_transaction(conn);
            db.of(tenant).write(move |conn| leave(conn).and_then(|()| look(conn))).await
        }
        Turn::House => {
            let count = diesel::dsl::sql::<Bool>("(SELECT count(*) > 1 FROM tenant)");
            let sees_all = db.house().run(move |conn| diesel::select(count).get_result::<bool>(conn)).await?;
            assert!(sees_all, "the house sees all tenants");
            Ok(())
        }
    }
}

/// Turns of tenants on one connection, four at a time; every look sees the one tenant it is for.
async fn interleave(turns: u64) {
    let db = Ground::fast().database();
    let made = format!(
        "INSERT INTO tenant (slug, name, sandbox, secret, created_at) \
             SELECT 't' || i, 'T', true, decode(repeat('00', 32), 'hex'), now() FROM generate_series(1, {TENANTS}) i; \
         INSERT INTO customer (tenant, id, reference, created_at) SELECT id, gen_random_uuid(), 'anna', now() FROM tenant; \
         INSERT INTO journal.head (journal, fork, version, sandbox) SELECT id, gen_random_uuid(), 1, true FROM tenant; \
         INSERT INTO journal.asset (journal, id, code, scale) SELECT id, 1, 'EUR', 2 FROM tenant"
    );
    run_sql(&db.url(), &made);
    let (pool, seen, dice) = (Db::open(&db.url(), 1).unwrap(), Arc::<Seen>::default(), Dice::thrown("t42"));
    let clients = (0..4).map(|client| {
        let (pool, seen, mut dice) = (pool.clone(), Arc::clone(&seen), dice.of(client));
        tokio::spawn(async move {
            let mut busy = 0;
            for _ in 0..turns / 4 {
                let tenant = 1 + i64::try_from(dice.below(TENANTS)).unwrap();
                let turn = draw(&mut dice);
                let done = take(turn, &pool, tenant, Arc::clone(&seen)).await;
                let is_busy = done.as_ref().is_err_and(|problem| problem.code() == "database-busy");
                busy += u64::from(is_busy);
                let must_fail = matches!(
                    turn,
                    Turn::ForeignRow
                        | Turn::StatementFails
                        | Turn::Refused
                        | Turn::TimesOut
                        | Turn::Panics
                        | Turn::LeavesOpen
                );
                assert!(is_busy || done.is_err() == must_fail, "{turn:?}: {done:?}");
            }
            busy
        })
    });
    let mut busy = 0;
    for client in clients.collect::<Vec<_>>() {
        busy += client.await.unwrap();
    }
    let (looks, foreign) = (seen.looks.load(Ordering::Relaxed), seen.foreign.load(Ordering::Relaxed));
    assert_eq!(foreign, 0, "rows of others were seen or made");
    assert!(looks > turns / 2 && busy < turns / 100, "{looks} looks in {turns} turns, {busy} of them turned away");
    let strangers = "(SELECT count(*) FROM customer WHERE reference = 'x')";
    assert_eq!(scalar::<BigInt, i64>(&db.url(), strangers), 0);
}

/// T42. A hundred thousand turns: `make walls`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t42_tenants_that_take_turns_on_one_connection_never_meet() {
    interleave(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make walls"]
async fn t42_a_hundred_thousand_turns() {
    interleave(100_000).await;
}
