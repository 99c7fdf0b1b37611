use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Binary, Text, Uuid as SqlUuid};
use diesel::{QueryResult, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::*;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::problem::Describe;
use crate::platform::scratch::Scratch;

const NOTE: Column = Column { table: "sealed_note", column: "sealed" };
const OTHER: Column = Column { table: "sealed_note", column: "other" };
const SECRET: Column = Column { table: "sealed_secret", column: "sealed" };
const COLUMNS: &[TenantColumn] = &[TenantColumn { column: SECRET, key: "id", key_type: KeyType::Uuid }];
const MAIL: Purpose = Purpose("person.email");
const CANARY: &str = "canary-IT60X0542811101000000123456";

/// A database with two tenants, a vault folder and proof keys.
struct Ground {
    scratch: Scratch,
    folder: tempfile::TempDir,
    signers: Arc<sealing::Keys>,
}

impl Ground {
    fn new() -> Self {
        let (scratch, folder) = (Scratch::migrated(), tempfile::tempdir().unwrap());
        let signers = Arc::new(sealing::Keys::open(&folder.path().join("proof"), &Ids::system()).unwrap());
        let ground = Self { scratch, folder, signers };
        let tenant = |slug| {
            format!(
                "INSERT INTO tenant (slug, name, sandbox, secret, created_at) \
                 VALUES ('{slug}', 'x', true, decode(repeat('00', 32), 'hex'), now());"
            )
        };
        let tables = "CREATE TABLE sealed_note (tenant bigint, id uuid, sealed bytea, PRIMARY KEY (tenant, id)); \
            CREATE TABLE sealed_secret (tenant bigint, id uuid, sealed bytea, PRIMARY KEY (tenant, id));";
        ground.conn().batch_execute(&[&tenant("one"), &tenant("two"), tables].concat()).unwrap();
        ground
    }

    fn conn(&self) -> PgConnection {
        self.scratch.connect()
    }

    fn vault_dir(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    /// A node's vault, as it is before it was compared with the ledger.
    fn unlevelled(&self) -> Vault {
        let settings = Settings { folder: Some(self.vault_dir()), keys: None };
        settings.open(&mut self.conn(), Some(Arc::clone(&self.signers)), COLUMNS).unwrap()
    }

    /// A node's vault.
    fn vault(&self) -> Vault {
        let vault = self.unlevelled();
        vault.level(&mut self.conn()).unwrap();
        vault
    }
}

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

fn id() -> Uuid {
    Ids::system().uuid_v7(now())
}

fn note(tenant: i64, person: Uuid) -> Cell {
    Cell::of_person(tenant, person, NOTE, person)
}

/// Seals in a transaction of its own.
fn seal(vault: &Vault, conn: &mut PgConnection, cell: &Cell, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    conn.transaction(|conn| vault.seal(conn, cell, plain, now()))
}

fn forget(vault: &Vault, conn: &mut PgConnection, tenant: i64, person: Uuid) -> Receipt {
    let forgotten = conn.transaction(|conn| vault.forget(conn, tenant, person, now())).unwrap();
    vault.receipt(forgotten).unwrap()
}

fn is_unsealed<T>(opened: Result<T, VaultError>) -> bool {
    matches!(opened, Err(VaultError::Unsealed(_)))
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

fn rows(conn: &mut PgConnection, table: &str) -> Vec<Row> {
    sql_query(format!("SELECT id, sealed FROM {table} WHERE tenant = 1")).load(conn).unwrap()
}

fn keep(conn: &mut PgConnection, table: &str, id: Uuid, sealed: &[u8]) -> QueryResult<usize> {
    let text = format!("INSERT INTO {table} VALUES (1, $1, $2) ON CONFLICT (tenant, id) DO UPDATE SET sealed = $2");
    sql_query(text).bind::<SqlUuid, _>(id).bind::<Binary, _>(sealed).execute(conn)
}

fn number(conn: &mut PgConnection, expression: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<BigInt>(expression)).get_result(conn).unwrap()
}

#[test]
fn what_is_sealed_together_opens_as_if_it_had_been_sealed_alone() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let (anna, bruno, carla) = (id(), id(), id());
    seal(&vault, conn, &note(1, bruno), b"has a key already").unwrap();
    let secret = Cell::of_tenant(1, SECRET, id());
    let cells = [(note(1, anna), &b"a"[..]), (note(1, bruno), b"b"), (secret, b"s"), (note(1, anna), b"again")];
    let sealed = conn.transaction(|conn| vault.seal_all(conn, &cells, now())).unwrap();
    for ((cell, plain), sealed) in cells.iter().zip(&sealed) {
        assert_eq!(vault.open(conn, cell, sealed).unwrap().as_slice(), *plain);
    }
    assert_eq!(sealed.len(), cells.len());
    let mixed = [(note(1, anna), &b"a"[..]), (note(2, anna), b"a")];
    assert!(is_unsealed(conn.transaction(|conn| vault.seal_all(conn, &mixed, now()))), "of one tenant");
    let long = vec![0; LONGEST + 1];
    let long = [(note(1, bruno), long.as_slice())];
    assert!(matches!(conn.transaction(|conn| vault.seal_all(conn, &long, now())), Err(VaultError::TooLong)));
    assert!(matches!(vault.seal_all(conn, &cells, now()), Err(VaultError::NoTransaction)));
    forget(&vault, conn, 1, bruno);
    let with_one_gone = [(note(1, carla), &b"c"[..]), (note(1, bruno), b"b")];
    let refused = conn.transaction(|conn| vault.seal_all(conn, &with_one_gone, now()));
    assert!(matches!(refused, Err(VaultError::Forgotten)), "nothing is sealed for who is gone, nor beside it");
}

#[test]
fn what_one_node_seals_another_opens_and_each_has_the_same_index() {
    let ground = Ground::new();
    let (one, two, conn) = (ground.vault(), ground.vault(), &mut ground.conn());
    let person = id();
    let sealed = seal(&one, conn, &note(1, person), b"anna@example.org").unwrap();
    assert_eq!(two.open_text(conn, &note(1, person), &sealed).unwrap().as_str(), "anna@example.org");
    assert!(!sealed.windows(4).any(|four| four == b"anna"));
    let secret = Cell::of_tenant(1, SECRET, person);
    let sealed = seal(&two, conn, &secret, b"whsec").unwrap();
    assert_eq!(one.open(conn, &secret, &sealed).unwrap().as_slice(), b"whsec");
    assert_eq!(two.find_index(conn, 1, MAIL, "anna").unwrap(), None, "nothing was indexed yet");
    let index = one.index(conn, 1, MAIL, "anna", now()).unwrap();
    assert_eq!(two.find_index(conn, 1, MAIL, "anna").unwrap(), Some(index));
    assert_ne!(two.index(conn, 2, MAIL, "anna", now()).unwrap(), index, "tenants do not share indexes");
}

#[test]
fn many_cells_are_opened_with_one_question_and_each_has_its_own_answer() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let persons = [id(), id(), id()];
    let sealed: Vec<_> =
        persons.iter().map(|person| seal(&vault, conn, &note(1, *person), person.as_bytes()).unwrap()).collect();
    forget(&vault, conn, 1, persons[1]);
    let cells: Vec<_> = persons.iter().map(|person| note(1, *person)).collect();
    let pairs: Vec<_> = cells.iter().zip(sealed.iter().map(Vec::as_slice)).collect();
    let opened = vault.open_all(conn, &pairs).unwrap();
    assert_eq!(opened[0].as_ref().unwrap().as_slice(), persons[0].as_bytes());
    assert!(matches!(opened[1], Err(VaultError::Forgotten)));
    assert_eq!(opened[2].as_ref().unwrap().as_slice(), persons[2].as_bytes());
    assert!(vault.open_all(conn, &[]).unwrap().is_empty());
    assert!(is_unsealed(
        vault.open_all(conn, &[(&note(1, persons[0]), &sealed[0]), (&note(2, persons[0]), &sealed[0])])
    ));
}

#[test]
fn t62_sealed_bytes_open_in_their_own_cell_alone() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let (anna, bruno) = (id(), id());
    let sealed = seal(&vault, conn, &note(1, anna), b"anna").unwrap();
    for (tenant, person) in [(1, bruno), (2, anna), (2, bruno)] {
        seal(&vault, conn, &note(tenant, person), b"there").unwrap(); // each with a key of their own
    }
    let elsewhere = [
        note(1, bruno),
        note(2, anna),
        Cell { row: bruno.to_string(), ..note(1, anna) },
        Cell { column: OTHER, ..note(1, anna) },
        Cell { column: Column { table: "person", ..NOTE }, ..note(1, anna) },
        Cell { owner: Owner::Tenant, ..note(1, anna) },
        note(1, id()),
    ];
    for cell in elsewhere {
        assert!(is_unsealed(vault.open(conn, &cell, &sealed)), "{cell:?}");
    }
    for version in [0_i32, 2, i32::MAX, -1] {
        let mut other = sealed.clone();
        other[1..5].copy_from_slice(&version.to_be_bytes());
        assert!(is_unsealed(vault.open(conn, &note(1, anna), &other)), "version {version}");
    }
    assert!(is_unsealed(vault.open(conn, &note(1, anna), b"")));
    assert_eq!(vault.open(conn, &note(1, anna), &sealed).unwrap().as_slice(), b"anna");
}

/// Who can write the database cannot move a key to another person, another tenant or another version either.
#[test]
fn t62_a_wrapped_key_put_in_anothers_place_unwraps_nothing() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let (anna, bruno) = (id(), id());
    let sealed = seal(&vault, conn, &note(1, anna), b"anna").unwrap();
    seal(&vault, conn, &note(1, bruno), b"bruno").unwrap();
    seal(&vault, conn, &note(2, bruno), b"bruno").unwrap();
    let swap = format!(
        "UPDATE vault_person_key SET wrapped = (SELECT wrapped FROM vault_person_key WHERE tenant = 1 AND person = '{anna}') \
         WHERE person = '{bruno}'"
    );
    conn.batch_execute(&swap).unwrap();
    let forged = Cell { owner: Owner::Person(bruno), ..note(1, anna) };
    assert!(is_unsealed(vault.open(conn, &forged, &sealed)));
    assert!(is_unsealed(vault.open(conn, &note(2, bruno), &sealed)));
    let of_one = "UPDATE vault_tenant_key SET wrapped = (SELECT wrapped FROM vault_tenant_key WHERE tenant = 1) WHERE tenant = 2";
    conn.batch_execute(of_one).unwrap();
    let refused = seal(&vault, conn, &Cell::of_tenant(2, SECRET, 1), b"x").unwrap_err();
    assert!(matches!(refused, VaultError::Kms(KmsError::Refused(1))), "{refused}");
}

#[test]
fn misuse_is_refused_before_anything_is_sealed() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let refused = vault.seal(conn, &note(1, id()), b"x", now());
    assert!(matches!(refused, Err(VaultError::NoTransaction)));
    let refused = seal(&vault, conn, &Cell::of_tenant(1, NOTE, 1), b"x");
    assert!(matches!(refused, Err(VaultError::UnknownColumn("sealed_note", "sealed"))));
    assert!(matches!(seal(&vault, conn, &note(1, id()), &vec![0; LONGEST + 1]), Err(VaultError::TooLong)));
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_person_key)"), 0);
    let closed = Vault::closed();
    assert!(closed.is_level(), "a node without a vault is ready for everything else");
    assert!(matches!(seal(&closed, conn, &note(1, id()), b"x"), Err(VaultError::Closed)));
    let problem = crate::platform::problem::Problem::from(VaultError::Closed);
    assert_eq!((problem.status().as_u16(), problem.code()), (503, "vault-closed"));
}

/// What is rolled back leaves nothing in memory that another transaction could seal with.
#[test]
fn a_key_that_was_rolled_back_seals_nothing() {
    let ground = Ground::new();
    let (vault, conn, person) = (ground.vault(), &mut ground.conn(), id());
    let undone = conn.transaction::<(), VaultError, _>(|conn| {
        vault.seal(conn, &note(1, person), b"x", now())?;
        vault.index(conn, 1, MAIL, "anna", now())?;
        Err(VaultError::Stopped)
    });
    assert!(matches!(undone, Err(VaultError::Stopped)));
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_tenant_key)"), 0);
    let sealed = seal(&vault, conn, &note(1, person), b"y").unwrap();
    let index = vault.index(conn, 1, MAIL, "anna", now()).unwrap();
    let other = ground.vault();
    assert_eq!(other.open(conn, &note(1, person), &sealed).unwrap().as_slice(), b"y");
    assert_eq!(other.find_index(conn, 1, MAIL, "anna").unwrap(), Some(index));
}

#[test]
fn two_nodes_that_seal_a_persons_first_cell_at_once_use_one_key() {
    let ground = Ground::new();
    let person = id();
    let sealed: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..4)
            .map(|_| {
                let (vault, mut conn) = (ground.vault(), ground.conn());
                scope.spawn(move || seal(&vault, &mut conn, &note(1, person), b"x").unwrap())
            })
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    for sealed in sealed {
        assert_eq!(vault.open(conn, &note(1, person), &sealed).unwrap().as_slice(), b"x");
    }
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_tenant_key)"), 1);
}

#[test]
fn a_forgotten_person_is_forgotten_on_every_node_at_once_and_for_good() {
    let ground = Ground::new();
    let (one, two, conn) = (ground.vault(), ground.vault(), &mut ground.conn());
    let (anna, bruno) = (id(), id());
    let sealed = seal(&one, conn, &note(1, anna), b"anna").unwrap();
    let others = seal(&one, conn, &note(1, bruno), b"bruno").unwrap();
    two.open(conn, &note(1, anna), &sealed).unwrap(); // in its memory, were there one
    let receipt = forget(&one, conn, 1, anna);
    assert!(matches!(two.open(conn, &note(1, anna), &sealed), Err(VaultError::Forgotten)), "with the commit");
    assert!(matches!(seal(&two, conn, &note(1, anna), b"again"), Err(VaultError::Forgotten)));
    assert_eq!(two.open(conn, &note(1, bruno), &others).unwrap().as_slice(), b"bruno");
    let keys: Vec<_> = ground.signers.ring().public_keys().collect();
    assert_eq!(receipt.check(&keys), Ok(()));
    assert!(receipt.destroyed.is_some());
    assert_eq!(forget(&two, conn, 1, anna), receipt, "asked again, the first receipt");
    assert_eq!(two.receipt_of(conn, 1, anna).unwrap(), Some(receipt));
    assert_eq!(forget(&two, conn, 1, id()).destroyed, None, "who never had a key gets none either");
    let undo = format!(
        "UPDATE vault_person_key SET forgotten_at = NULL, tenant_key = 1, wrapped = 'x' WHERE person = '{anna}'"
    );
    assert!(conn.batch_execute(&undo).unwrap_err().to_string().contains("does not come back"));
}

#[test]
fn nobody_is_forgotten_where_it_could_not_be_said_lastingly() {
    let ground = Ground::new();
    let (conn, person) = (&mut ground.conn(), id());
    let kms = || -> Option<Box<dyn Kms>> { Some(Box::new(Folder::open(&ground.vault_dir()).unwrap())) };
    seal(&ground.vault(), conn, &note(1, person), b"anna").unwrap();
    let no_ledger = Vault::new(Parts { kms: kms(), signers: Some(Arc::clone(&ground.signers)), ..Parts::default() });
    let refused = no_ledger.forget(conn, 1, person, now()).map(drop);
    assert!(matches!(refused, Err(VaultError::Ledger(LedgerError::None))));
    let no_signer = Vault::new(Parts { kms: kms(), ..Parts::default() });
    assert!(matches!(no_signer.forget(conn, 1, person, now()).map(drop), Err(VaultError::NoSigner)));
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_erasure)"), 0);
}

#[test]
fn an_erasure_that_was_undone_is_in_no_ledger() {
    let ground = Ground::new();
    let (vault, conn, person) = (ground.vault(), &mut ground.conn(), id());
    let sealed = seal(&vault, conn, &note(1, person), b"anna").unwrap();
    let undone = conn.transaction::<Forgotten, VaultError, _>(|conn| {
        drop(vault.forget(conn, 1, person, now())?);
        Err(VaultError::Stopped)
    });
    assert!(undone.is_err());
    let again = ground.vault();
    assert_eq!(again.open(conn, &note(1, person), &sealed).unwrap().as_slice(), b"anna");
    assert!(again.ledger().unwrap().is_empty());
}

/// The node died between commit and ledger: the next comparison writes it down.
#[test]
fn an_erasure_that_only_the_database_has_is_written_down() {
    let ground = Ground::new();
    let (vault, conn, person) = (ground.vault(), &mut ground.conn(), id());
    drop(conn.transaction(|conn| vault.forget(conn, 1, person, now())).unwrap());
    assert!(vault.ledger().unwrap().is_empty());
    assert_eq!(ground.unlevelled().level(conn).unwrap(), 0);
    assert_eq!(ground.vault().ledger().unwrap().len(), 1);
}

/// A backup from before the erasure: nothing of it opens before the erasure was replayed, and nothing after.
#[test]
fn t65_a_restored_backup_forgets_again_before_it_opens_anything() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let (anna, bruno, carla) = (id(), id(), id());
    let sealed = seal(&vault, conn, &note(1, anna), b"anna").unwrap();
    let others = seal(&vault, conn, &note(1, bruno), b"bruno").unwrap();
    conn.batch_execute("CREATE TABLE backup AS SELECT * FROM vault_person_key").unwrap();
    seal(&vault, conn, &note(1, carla), b"carla").unwrap();
    let receipts = [forget(&vault, conn, 1, anna), forget(&vault, conn, 1, carla)];
    let restore = "TRUNCATE vault_erasure, vault_person_key; INSERT INTO vault_person_key SELECT * FROM backup";
    conn.batch_execute(restore).unwrap();

    let node = ground.unlevelled();
    assert!(!node.is_level());
    assert!(matches!(node.open(conn, &note(1, anna), &sealed), Err(VaultError::Behind)));
    assert!(matches!(node.open(conn, &note(1, bruno), &others), Err(VaultError::Behind)), "nobody's opens before");
    assert!(matches!(seal(&node, conn, &note(1, anna), b"x"), Err(VaultError::Behind)));
    assert_eq!(node.level(conn).unwrap(), 2);
    assert!(node.is_level());
    assert!(matches!(node.open(conn, &note(1, anna), &sealed), Err(VaultError::Forgotten)));
    assert!(matches!(seal(&node, conn, &note(1, carla), b"x"), Err(VaultError::Forgotten)), "also who came later");
    assert_eq!(node.open(conn, &note(1, bruno), &others).unwrap().as_slice(), b"bruno");
    for receipt in receipts {
        assert_eq!(node.receipt_of(conn, 1, receipt.person).unwrap(), Some(receipt), "the receipt they had");
    }
    assert_eq!(node.level(conn).unwrap(), 0);

    // Restored under a running node: its next comparison finds it.
    conn.batch_execute(restore).unwrap();
    assert_eq!(node.level(conn).unwrap(), 2);
}

#[test]
fn t65_nobody_is_forgotten_because_somebody_wrote_into_the_ledger() {
    let ground = Ground::new();
    let (vault, conn, person) = (ground.vault(), &mut ground.conn(), id());
    seal(&vault, conn, &note(1, person), b"anna").unwrap();
    let forger = ::ledger::proof::Signer::from_seed(&[9; 32]).unwrap();
    let forged = Receipt::sign(&forger, (1, person), now(), None);
    vault.ledger().unwrap().add(&[forged]).unwrap();
    let node = ground.unlevelled();
    assert!(matches!(node.level(conn), Err(VaultError::Receipt(_))));
    assert!(!node.is_level(), "and what cannot be told is not served");
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_erasure)"), 0);
}

#[test]
fn a_folder_without_the_keys_or_the_ledger_of_a_sealed_database_is_refused() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    seal(&vault, conn, &note(1, id()), b"anna").unwrap();
    let open = |folder: PathBuf| {
        let settings = Settings { folder: Some(folder), keys: None };
        settings.open(&mut ground.conn(), None, COLUMNS).map(drop)
    };
    let elsewhere = ground.folder.path().join("elsewhere");
    assert!(matches!(open(elsewhere.clone()), Err(PlaceError::Lost(_))));
    assert!(!elsewhere.exists(), "no key is made that would open nothing");
    Folder::make(&elsewhere).unwrap();
    assert!(matches!(open(elsewhere), Err(PlaceError::Kms(KmsError::Foreign(1)))));
    std::fs::remove_file(ground.vault_dir().join("erasures.jsonl")).unwrap();
    assert!(matches!(open(ground.vault_dir()), Err(PlaceError::Ledger(LedgerError::Lost(_)))));
}

#[test]
fn keys_of_a_configuration_do_what_those_of_a_folder_do() {
    let ground = Ground::new();
    let (conn, person) = (&mut ground.conn(), id());
    let open = |keys: &str| {
        let settings = Settings { folder: None, keys: Some(keys.parse().unwrap()) };
        settings.open(&mut ground.conn(), None, COLUMNS)
    };
    let (one, two) = (format!("1:{}", "11".repeat(32)), format!("2:{}", "22".repeat(32)));
    let vault = open(&one).unwrap();
    let sealed = seal(&vault, conn, &note(1, person), b"anna").unwrap();
    let refused = vault.rotate(conn, now(), &mut |_| true).unwrap_err().to_string();
    assert!(refused.contains("`2:`"), "{refused}");
    let vault = open(&format!("{one},{two}")).unwrap();
    let done = vault.rotate(conn, now(), &mut |_| true).unwrap();
    assert_eq!((done.version, done.resumed, done.tenants, done.retired), (2, true, 1, 1));
    let vault = open(&two).unwrap();
    assert_eq!(vault.open(conn, &note(1, person), &sealed).unwrap().as_slice(), b"anna");
    assert!(matches!(open(&one).map(drop), Err(PlaceError::Kms(KmsError::Missing(2)))));
}

/// What was kept before a rotation, to be found again after it, whatever happened meanwhile.
struct Kept {
    persons: Vec<(Uuid, Vec<u8>)>,
    index: BlindIndex,
}

impl Kept {
    fn new(vault: &Vault, conn: &mut PgConnection) -> Self {
        let mut persons = Vec::new();
        for _ in 0..5 {
            let (person, secret) = (id(), id());
            persons.push((person, seal(vault, conn, &note(1, person), person.as_bytes()).unwrap()));
            let sealed = seal(vault, conn, &Cell::of_tenant(1, SECRET, secret), secret.as_bytes()).unwrap();
            keep(conn, SECRET.table, secret, &sealed).unwrap();
        }
        Self { persons, index: vault.index(conn, 1, MAIL, "anna", now()).unwrap() }
    }

    fn check(&self, vault: &Vault, conn: &mut PgConnection) {
        for (person, sealed) in &self.persons {
            assert_eq!(vault.open(conn, &note(1, *person), sealed).unwrap().as_slice(), person.as_bytes());
        }
        for Row { id, sealed } in rows(conn, SECRET.table) {
            assert_eq!(vault.open(conn, &Cell::of_tenant(1, SECRET, id), &sealed).unwrap().as_slice(), id.as_bytes());
        }
        assert_eq!(vault.find_index(conn, 1, MAIL, "anna").unwrap(), Some(self.index), "what was indexed is found");
    }
}

/// Stopped after each of its steps in turn, as a kill would stop it: all is readable, and the next one goes on.
#[test]
fn t64_a_rotation_stopped_after_any_step_leaves_all_readable_and_goes_on() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let kept = Kept::new(&vault, conn);
    seal(&vault, conn, &note(2, id()), b"of another tenant").unwrap();
    let mut made = (1, 1);
    for stop_after in 1.. {
        let mut steps = 0;
        let mut watch = |_| {
            steps += 1;
            steps < stop_after
        };
        let begun = vault.rotate(conn, now(), &mut watch);
        let steps_of_keks = steps;
        kept.check(&ground.vault(), conn);
        let mut steps = 0;
        let mut watch = |_| {
            steps += 1;
            steps < stop_after
        };
        let begun_tenant = vault.rotate_tenant(conn, 1, Duration::ZERO, now(), &mut watch);
        kept.check(&ground.vault(), conn);
        let (is_whole, is_whole_tenant) = (begun.is_ok(), begun_tenant.is_ok());
        assert!(is_whole || matches!(begun, Err(VaultError::Stopped)));
        assert!(is_whole_tenant || matches!(begun_tenant, Err(VaultError::Stopped)));
        let status = vault.status(conn).unwrap();
        assert_eq!(status.newest_kek, made.0 + 1, "one new key, however often it was stopped");
        assert_eq!(status.tenants[0].versions.last(), Some(&(made.1 + 1)));
        if is_whole {
            assert!(!status.is_rotation_begun);
            made.0 += 1;
        }
        if is_whole_tenant {
            assert_eq!(status.tenants[0].versions, [made.1 + 1], "the older ones are gone");
            made.1 += 1;
        }
        if is_whole && is_whole_tenant && steps_of_keks >= 4 && steps >= 6 {
            break; // both from end to end, without a stop
        }
        assert!(stop_after < 50, "{steps_of_keks}, {steps}");
    }
    let (status, other) = (vault.status(conn).unwrap(), ground.vault());
    assert_eq!(status.keks.iter().filter(|kek| !kek.is_retired).count(), 1);
    assert_eq!(number(conn, "(SELECT count(*) FROM vault_tenant_key WHERE wrapped IS NOT NULL AND tenant = 1)"), 1);
    kept.check(&other, conn);
}

/// Nodes seal, open and forget while keys rotate and rotations are stopped: nobody is refused, and all stays readable.
#[test]
fn t64_nodes_serve_while_keys_rotate() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let kept = Kept::new(&vault, conn);
    let (is_over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for node in 0..3 {
            let (ground, is_over, served) = (&ground, &is_over, &served);
            scope.spawn(move || {
                let (vault, mut conn) = (ground.vault(), ground.conn());
                while !is_over.load(Ordering::SeqCst) {
                    serve(&vault, &mut conn, node);
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 10 });
        let mut rounds = 0_usize;
        while Instant::now() < until {
            let mut left = rounds % 7;
            let mut watch = |_| {
                left = left.saturating_sub(1);
                left > 0 || rounds.is_multiple_of(7)
            };
            let stopped = vault.rotate_tenant(conn, 1, Duration::from_millis(50), now(), &mut watch);
            assert!(matches!(stopped, Ok(_) | Err(VaultError::Stopped)), "{stopped:?}");
            if rounds.is_multiple_of(3) {
                vault.rotate(conn, now(), &mut |_| true).unwrap();
            }
            rounds += 1;
        }
        is_over.store(true, Ordering::SeqCst);
    });
    vault.rotate_tenant(conn, 1, Duration::ZERO, now(), &mut |_| true).unwrap();
    assert_eq!(vault.status(conn).unwrap().tenants[0].versions.len(), 1);
    kept.check(&ground.vault(), conn);
    let all = rows(conn, NOTE.table);
    assert!(served.load(Ordering::SeqCst) > 20 && all.len() > 10, "{served:?}, {}", all.len());
    for Row { id, sealed } in all {
        match vault.open(conn, &note(1, id), &sealed) {
            Ok(plain) => assert_eq!(plain.as_slice(), id.as_bytes()),
            Err(error) => assert!(matches!(error, VaultError::Forgotten), "{error}"),
        }
    }
}

/// One request of a node: a new person, a secret of the tenant's written again, one read back, and now and then one forgotten.
fn serve(vault: &Vault, conn: &mut PgConnection, node: u8) {
    let person = id();
    let kept: Result<(), VaultError> = conn.transaction(|conn| {
        let sealed = vault.seal(conn, &note(1, person), person.as_bytes(), now())?;
        keep(conn, NOTE.table, person, &sealed)?;
        Ok(())
    });
    kept.unwrap();
    // As requests read: what key there was when the row was read is there when it is opened, however long that takes.
    let read = conn.build_transaction().repeatable_read().read_only().run::<_, VaultError, _>(|conn| {
        let secrets = rows(conn, SECRET.table);
        let Row { id, sealed } = &secrets[usize::from(node) % secrets.len()];
        assert_eq!(vault.open(conn, &Cell::of_tenant(1, SECRET, *id), sealed)?.as_slice(), id.as_bytes());
        Ok(*id)
    });
    let id = read.unwrap();
    let cell = Cell::of_tenant(1, SECRET, id);
    let kept: Result<(), VaultError> = conn.transaction(|conn| {
        let sealed = vault.seal(conn, &cell, id.as_bytes(), now())?;
        keep(conn, SECRET.table, id, &sealed)?;
        Ok(())
    });
    kept.unwrap();
    if person.as_u128().is_multiple_of(4) {
        forget(vault, conn, 1, person);
    }
}

#[test]
fn t64_a_cell_that_does_not_open_keeps_the_old_key_and_is_named() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    let kept = Kept::new(&vault, conn);
    let row = id();
    let mut sealed = seal(&vault, conn, &Cell::of_tenant(1, SECRET, row), b"x").unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    keep(conn, SECRET.table, row, &sealed).unwrap();
    let refused = vault.rotate_tenant(conn, 1, Duration::ZERO, now(), &mut |_| true).unwrap_err().to_string();
    assert!(refused.contains(&row.to_string()), "{refused}");
    sql_query("DELETE FROM sealed_secret WHERE id = $1").bind::<SqlUuid, _>(row).execute(conn).unwrap();
    kept.check(&vault, conn);
    let done = vault.rotate_tenant(conn, 1, Duration::ZERO, now(), &mut |_| true).unwrap();
    assert!(done.resumed && done.retired == 1, "{done:?}");
    kept.check(&vault, conn);
}

/// A transaction that sealed with the old key and is not committed yet keeps that key alive.
#[test]
fn t64_an_old_key_waits_for_whoever_seals_with_it() {
    let ground = Ground::new();
    let (vault, conn, row) = (ground.vault(), &mut ground.conn(), id());
    let kept = Kept::new(&vault, conn);
    let cell = Cell::of_tenant(1, SECRET, row);
    std::thread::scope(|scope| {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (slow, cell) = (ground.vault(), &cell);
        let mut other = ground.conn();
        scope.spawn(move || {
            other.transaction::<_, VaultError, _>(|conn| {
                let sealed = slow.seal(conn, cell, row.as_bytes(), now())?;
                begun.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(400));
                keep(conn, SECRET.table, row, &sealed)?;
                Ok(())
            })
        });
        has_begun.recv().unwrap();
        let done = vault.rotate_tenant(conn, 1, Duration::ZERO, now(), &mut |_| true).unwrap();
        assert_eq!((done.version, done.retired), (2, 1));
    });
    kept.check(&vault, conn);
}

#[test]
fn t55_what_is_sealed_is_in_no_error_no_debug_text_and_no_row() {
    let ground = Ground::new();
    let (vault, conn, person) = (ground.vault(), &mut ground.conn(), id());
    let cell = note(1, person);
    let sealed = seal(&vault, conn, &cell, CANARY.as_bytes()).unwrap();
    keep(conn, NOTE.table, person, &sealed).unwrap();
    let index = vault.index(conn, 1, MAIL, CANARY, now()).unwrap();
    let mut told = vec![format!("{vault:?} {cell:?} {index:?} {sealed:?}")];
    let mut wrong = sealed.clone();
    wrong[40] ^= 1;
    let errors = [
        vault.open(conn, &cell, &wrong).unwrap_err(),
        seal(&vault, conn, &cell, CANARY.repeat(LONGEST / 30).as_bytes()).unwrap_err(),
        vault.seal(conn, &cell, CANARY.as_bytes(), now()).unwrap_err(),
        seal(&vault, conn, &Cell::of_tenant(1, NOTE, 1), CANARY.as_bytes()).unwrap_err(),
    ];
    let problem = |error: &VaultError| format!("{:?}", Describe::describe(error));
    told.extend(errors.iter().map(|error| format!("{error} {error:?} {}", problem(error))));
    let dump = "(SELECT string_agg(t::text, ' ') FROM (SELECT encode(wrapped, 'escape') FROM vault_person_key \
        UNION ALL SELECT encode(sealed, 'escape') FROM sealed_note) t)";
    told.push(diesel::select(diesel::dsl::sql::<Text>(dump)).get_result(conn).unwrap());
    forget(&vault, conn, 1, person);
    told.push(std::fs::read_to_string(ground.vault_dir().join("erasures.jsonl")).unwrap());
    assert!(told.iter().all(|told| !told.contains("canary") && !told.contains("IT60X")), "{told:?}");
}

#[test]
fn keys_in_memory_are_bounded_and_a_persons_is_not_among_them() {
    let ground = Ground::new();
    let (vault, conn) = (ground.vault(), &mut ground.conn());
    for _ in 0..20 {
        let person = id();
        let sealed = seal(&vault, conn, &note(1, person), b"x").unwrap();
        vault.open(conn, &note(1, person), &sealed).unwrap();
    }
    assert_eq!(vault.0.kept.len(), 1, "the tenant's");
}
