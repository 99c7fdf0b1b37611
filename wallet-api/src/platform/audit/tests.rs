use std::collections::BTreeSet;
use std::sync::Barrier;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use ledger::proof::{Ring, Salts, Signer};
use proptest::prelude::*;
use uuid::Uuid;

use super::form::{GENESIS, Last};
use super::head::{AuditHead, AuditHeadForm, SignedAuditHead};
use super::verify::{Against, Wrong, verify};
use super::*;
use crate::platform::scratch::Scratch;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_750_000_000_123_456).unwrap()
}

fn ring(seeds: &[u8]) -> Ring {
    let mut salts = Salts::default();
    salts.add(1, &[1; 32]);
    Ring::new(seeds.iter().map(|seed| Signer::from_seed(&[*seed; 32]).unwrap()).collect(), salts).unwrap()
}

fn entry(tenant: i64) -> Entry {
    Entry::done(tenant, Actor::Client(7), Action::KeyRevoked, Object::Key("0123456789ab".into()))
}

/// A database with two tenants, as the role that may not change the past.
struct Desk {
    scratch: Scratch,
    conn: PgConnection,
}

impl Desk {
    fn new() -> Self {
        let scratch = Scratch::migrated();
        let mut conn = scratch.connect();
        let add = "INSERT INTO tenant (slug, name, sandbox, secret, created_at) VALUES \
            ('one', 'One', true, decode(repeat('00', 32), 'hex'), now()), ('two', 'Two', true, decode(repeat('01', 32), 'hex'), now())";
        conn.batch_execute(add).unwrap();
        conn.batch_execute("SET ROLE tessera_app").unwrap();
        Self { scratch, conn }
    }

    fn write(&mut self, tenant: i64, count: i64) {
        for _ in 0..count {
            append(&mut self.conn, &entry(tenant), now()).unwrap();
        }
    }
}

/// Fixed for ever, and first computed by another program from the words of [`form`] alone.
#[test]
fn the_form_is_golden() {
    let at = now();
    let plain = Row::after(&Last::none(3), &entry(3), at);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&plain.hash),
        "fd0ea69169844a0d23c41fcaf10d54b3c9030bd4bb47014279942925a9efb194",
        "{plain:?}"
    );
    let person = Uuid::from_u128(9);
    let rich = Entry::done(3, Actor::Staff(person), Action::AdjustmentApproved, Object::Adjustment(Uuid::from_u128(5)))
        .about(person)
        .refused()
        .with("own", Fact::Flag(true))
        .with("digest", Fact::Digest([255; 32]))
        .with("scopes", Fact::Words(vec!["admin", "ledger:read"]))
        .with("at", Fact::Time(at))
        .with("count", Fact::Number(-1))
        .with("id", Fact::Id(person))
        .with("word", Fact::Word("à \"quoted\""));
    let second = Row::after(&Last { tenant: 3, seq: 1, hash: plain.hash.clone().try_into().unwrap() }, &rich, at);
    assert_eq!(
        data_encoding::HEXLOWER.encode(&second.hash),
        "132cd7118ca78f18ce13c901f8f562aafd020988387af7f3189facbd315637b6",
        "{second:?}"
    );
}

proptest! {
    /// Whichever field differs, and wherever a boundary between two texts lies, the hash is another.
    #[test]
    fn no_two_rows_share_a_hash(
        a in ("[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", any::<bool>()),
        b in ("[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", any::<bool>()),
    ) {
        let row = |(actor_id, action, object_id, outcome, detail, subject): &(String, String, String, String, String, bool)| Row {
            actor_id: actor_id.clone(),
            action: action.clone(),
            object_id: object_id.clone(),
            outcome: outcome.clone(),
            detail: detail.clone(),
            subject: subject.then(Uuid::nil),
            ..Row::after(&Last::none(1), &entry(1), now())
        };
        prop_assert_eq!(row(&a).hash_after(&GENESIS) == row(&b).hash_after(&GENESIS), a == b);
    }
}

#[test]
fn a_hash_is_bound_to_tenant_seq_time_and_what_came_before() {
    let row = Row::after(&Last::none(1), &entry(1), now());
    let hash = row.hash_after(&GENESIS).unwrap();
    assert_eq!(hash.to_vec(), row.hash);
    let others = [
        Row { tenant: 2, ..row.clone() },
        Row { seq: 2, ..row.clone() },
        Row { at: now() + chrono::TimeDelta::microseconds(1), ..row.clone() },
        Row { actor_kind: "person".into(), ..row.clone() },
        Row { object_kind: "person".into(), ..row.clone() },
    ];
    let hashes: BTreeSet<_> = others.iter().map(|row| row.hash_after(&GENESIS)).collect();
    assert!(hashes.len() == others.len() && !hashes.contains(&Some(hash)));
    assert_ne!(row.hash_after(&[1; 32]), Some(hash));
    assert_eq!(Row { form: 2, ..row }.hash_after(&GENESIS), None);
}

#[test]
fn every_word_is_its_own_and_says_what_of_what() {
    let words: BTreeSet<_> = Action::ALL.iter().map(|action| action.word()).collect();
    assert_eq!(words.len(), Action::ALL.len());
    for word in words {
        assert!(word.split_once('.').is_some_and(|(what, done)| !what.is_empty() && !done.is_empty()), "{word}");
    }
    for kind in ActorKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
    }
}

#[test]
fn entries_of_a_tenant_are_a_chain_and_go_with_their_transaction() {
    let mut desk = Desk::new();
    assert_eq!(append(&mut desk.conn, &entry(1), now()), Ok(1));
    let undone: QueryResult<()> = desk.conn.transaction(|conn| {
        assert_eq!(append(conn, &entry(1), now()), Ok(2));
        Err(diesel::result::Error::RollbackTransaction)
    });
    undone.unwrap_err();
    assert_eq!(append(&mut desk.conn, &entry(1), now()), Ok(2), "what was undone left no gap");
    assert_eq!(append(&mut desk.conn, &entry(2), now()), Ok(1), "each tenant has its own");
    for _ in 0..2 {
        append_once(&mut desk.conn, &entry(2), now()).unwrap();
        let other = Entry::done(2, Actor::Operator, Action::KeyRevoked, Object::Key("other".into()));
        append_once(&mut desk.conn, &other, now()).unwrap();
    }
    let report = verify(&mut desk.conn, 2, Against::default()).unwrap();
    assert_eq!((report.ok, report.entries), (true, 2), "{report:?}");
    assert_eq!(verify(&mut desk.conn, 99, Against::default()).unwrap().entries, 0);
}

#[test]
fn many_at_once_leave_no_gap_and_no_fork() {
    let desk = Desk::new();
    let (barrier, scratch) = (Barrier::new(6), &desk.scratch);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut conn = scratch.connect();
                barrier.wait();
                for _ in 0..20 {
                    // Each tenant's first entry is one of those that race.
                    append(&mut conn, &entry(1 + thread % 2), now()).unwrap();
                }
            });
        }
    });
    for tenant in [1, 2] {
        let report = verify(&mut scratch.connect(), tenant, Against::default()).unwrap();
        assert_eq!((report.ok, report.entries), (true, 60), "{report:?}");
    }
}

/// T61, the first wall: who has but the app's role cannot touch a row of the past.
#[test]
fn t61_the_apps_role_may_add_to_the_log_and_nothing_else() {
    let mut desk = Desk::new();
    desk.write(1, 2);
    for forgery in [
        "UPDATE audit_entry SET outcome = 'refused'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET tenant = 2",
        "UPDATE audit_signed SET seq = 1",
        "DELETE FROM audit_signed",
    ] {
        let refused = desk.conn.batch_execute(forgery).unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{forgery}: {refused}");
    }
    // What it may do to the head does no harm: the next to append collides, or the chain breaks for all to see.
    desk.conn.batch_execute("UPDATE audit_head SET seq = 0").unwrap();
    append(&mut desk.conn, &entry(1), now()).unwrap_err();
    desk.conn.batch_execute("UPDATE audit_head SET seq = 2, hash = decode(repeat('00', 32), 'hex')").unwrap();
    append(&mut desk.conn, &entry(1), now()).unwrap();
    let broken = verify(&mut desk.conn, 1, Against::default()).unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.wrong), (3, Wrong::Changed));
}

/// T61: each thing that somebody who may do everything to the database could do to a log, and the row that it is named by.
#[test]
fn t61_whatever_an_administrator_does_to_the_log_verify_names_the_row() {
    const CASES: &[(&str, &str, i64, Wrong)] = &[
        ("update who", "UPDATE audit_entry SET actor_id = '8' WHERE seq = 3", 3, Wrong::Changed),
        ("update when", "UPDATE audit_entry SET at = at + interval '1 us' WHERE seq = 4", 4, Wrong::Changed),
        ("update whom", "UPDATE audit_entry SET subject = gen_random_uuid() WHERE seq = 1", 1, Wrong::Changed),
        ("update the detail", "UPDATE audit_entry SET detail = '{ }' WHERE seq = 6", 6, Wrong::Changed),
        (
            "update a hash",
            "UPDATE audit_entry SET hash = decode(repeat('00', 32), 'hex') WHERE seq = 2",
            2,
            Wrong::Changed,
        ),
        ("update the form", "UPDATE audit_entry SET form = 2 WHERE seq = 2", 2, Wrong::Form),
        ("delete the first", "DELETE FROM audit_entry WHERE seq = 1", 1, Wrong::Missing),
        ("delete one", "DELETE FROM audit_entry WHERE seq = 4", 4, Wrong::Missing),
        (
            "delete one and close the gap",
            "DELETE FROM audit_entry WHERE seq = 4; UPDATE audit_entry SET seq = -seq WHERE seq > 4; \
             UPDATE audit_entry SET seq = -seq - 1 WHERE seq < 0",
            4,
            Wrong::Changed,
        ),
        (
            "insert one between",
            "UPDATE audit_entry SET seq = -seq WHERE seq > 2; UPDATE audit_entry SET seq = -seq + 1 WHERE seq < 0; \
             INSERT INTO audit_entry SELECT tenant, 3, form, at, actor_kind, actor_id, action, object_kind, object_id, \
             subject, outcome, detail, hash FROM audit_entry WHERE seq = 2",
            3,
            Wrong::Changed,
        ),
        (
            "insert one before the first",
            "INSERT INTO audit_entry SELECT tenant, 0, form, at, actor_kind, actor_id, action, \
             object_kind, object_id, subject, outcome, detail, hash FROM audit_entry WHERE seq = 1",
            0,
            Wrong::Twice,
        ),
        (
            "insert one at the end",
            "INSERT INTO audit_entry SELECT tenant, 9, form, at, actor_kind, actor_id, action, object_kind, object_id, \
             subject, outcome, detail, hash FROM audit_entry WHERE seq = 8",
            9,
            Wrong::Changed,
        ),
        (
            "swap two",
            "UPDATE audit_entry SET seq = -seq WHERE seq IN (3, 5); \
             UPDATE audit_entry SET seq = CASE seq WHEN -3 THEN 5 ELSE 3 END WHERE seq < 0",
            3,
            Wrong::Changed,
        ),
        ("cut the end off", "DELETE FROM audit_entry WHERE seq > 5", 6, Wrong::Missing),
        (
            "cut the end off, and set the head back",
            "DELETE FROM audit_entry WHERE seq > 5; UPDATE audit_head h SET seq = 5, hash = e.hash FROM audit_entry e \
             WHERE e.tenant = h.tenant AND e.seq = 5",
            6,
            Wrong::Missing,
        ),
        (
            "the same, and take the signed heads away: the published one still knows",
            "DELETE FROM audit_entry WHERE seq > 5; UPDATE audit_head h SET seq = 5, hash = e.hash FROM audit_entry e \
             WHERE e.tenant = h.tenant AND e.seq = 5; DELETE FROM audit_signed",
            6,
            Wrong::Missing,
        ),
        (
            "take all of it away",
            "DELETE FROM audit_entry; DELETE FROM audit_head; DELETE FROM audit_signed",
            1,
            Wrong::Missing,
        ),
        ("set the head back", "UPDATE audit_head SET seq = 7", 8, Wrong::AfterHead),
        ("take the head away", "DELETE FROM audit_head", 1, Wrong::AfterHead),
        ("set the head forward", "UPDATE audit_head SET seq = 9", 9, Wrong::Missing),
        ("change the head", "UPDATE audit_head SET hash = decode(repeat('00', 32), 'hex')", 8, Wrong::Head),
        (
            "forge a signature",
            "UPDATE audit_signed SET signature = decode(repeat('00', 64), 'hex') WHERE seq = 5",
            5,
            Wrong::Signature,
        ),
        (
            "date a signature back",
            "UPDATE audit_signed SET signed_at = signed_at - interval '1 us' WHERE seq = 5",
            5,
            Wrong::Signature,
        ),
    ];
    let mut desk = signed_desk();
    let since = store::last_signed(&mut desk.conn, 1).unwrap().unwrap();
    let against = Against { keys: &[ring(&[2]).current().public()], since: Some(&since) };
    let mut forger = Forger::of(&desk);
    for (words, sql, seq, wrong) in CASES {
        let whole = verify(&mut desk.conn, 1, against).unwrap();
        assert_eq!((whole.ok, whole.entries, whole.heads, whole.since), (true, 8, 2, Some(8)), "{whole:?}");
        forger.run(sql);
        let broken = verify(&mut desk.conn, 1, against).unwrap().broken;
        assert_eq!(broken.map(|broken| (broken.seq, broken.wrong)), Some((*seq, *wrong)), "{words}");
        let other = verify(&mut desk.conn, 2, Against::default()).unwrap();
        assert!(other.ok && other.entries == 3, "{words}: one tenant's log is not another's");
        forger.mend();
    }
}

/// Eight entries, signed for at the fifth and the eighth, beside another tenant's three.
fn signed_desk() -> Desk {
    let mut desk = Desk::new();
    for count in [5, 3] {
        desk.write(1, count);
        assert_eq!(sign::turn(&mut desk.conn, &ring(&[2]), now()).unwrap().heads.len(), 1);
    }
    desk.write(2, 3);
    desk
}

/// The owner, with nothing that keeps a forger from anything; of the first tenant's rows only, and able to put all back.
struct Forger(PgConnection);

impl Forger {
    const TABLES: [&str; 3] = ["audit_entry", "audit_head", "audit_signed"];

    fn of(desk: &Desk) -> Self {
        let mut owner = desk.scratch.connect();
        let views = Self::TABLES.map(|table| {
            format!(
                "CREATE TABLE forge.kept_{table} AS TABLE public.{table}; \
                 CREATE VIEW forge.{table} AS SELECT * FROM public.{table} WHERE tenant = 1;"
            )
        });
        let ground = "ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_seq_check; CREATE SCHEMA forge;";
        owner.batch_execute(&format!("{ground} {} SET search_path = forge", views.concat())).unwrap();
        Self(owner)
    }

    fn run(&mut self, sql: &str) {
        self.0.batch_execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    fn mend(&mut self) {
        let back = Self::TABLES
            .map(|table| format!("DELETE FROM public.{table}; INSERT INTO public.{table} TABLE forge.kept_{table};"));
        self.run(&back.concat());
    }
}

/// T61: an administrator who knows the form computes every hash anew. Only what is signed for gives it away.
#[test]
fn t61_a_chain_computed_anew_is_not_the_one_that_was_signed_for() {
    let mut desk = signed_desk();
    let rows = store::rows(&mut desk.conn, 1, 0, 100).unwrap();
    let mut last = Last::none(1);
    let mut owner = desk.scratch.connect();
    for mut row in rows {
        if row.seq == 7 {
            row.outcome = "refused".into();
        }
        last = Last { seq: row.seq, hash: row.hash_after(&last.hash).unwrap(), ..last };
        let hash = data_encoding::HEXLOWER.encode(&last.hash);
        let set = format!("UPDATE audit_entry SET outcome = '{}', hash = decode('{hash}', 'hex')", row.outcome);
        owner.batch_execute(&format!("{set} WHERE tenant = 1 AND seq = {}", row.seq)).unwrap();
        owner.batch_execute(&format!("UPDATE audit_head SET hash = decode('{hash}', 'hex') WHERE tenant = 1")).unwrap();
    }
    let broken = verify(&mut desk.conn, 1, Against::default()).unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.wrong), (6, Wrong::Rewritten), "up to the fifth, it is what was signed");
    let since = store::last_signed(&mut desk.conn, 1).unwrap().unwrap();
    owner.batch_execute("DELETE FROM audit_signed").unwrap();
    assert!(verify(&mut desk.conn, 1, Against::default()).unwrap().ok, "with no signed head nothing can tell");
    let against = Against { keys: &[], since: Some(&since) };
    assert_eq!(verify(&mut desk.conn, 1, against).unwrap().broken.unwrap().wrong, Wrong::Rewritten);
}

#[test]
fn what_is_broken_is_not_signed_and_what_is_not_new_neither() {
    let mut desk = signed_desk();
    assert_eq!(sign::turn(&mut desk.conn, &ring(&[2]), now()).unwrap().heads.len(), 1, "of the other tenant");
    assert!(sign::turn(&mut desk.conn, &ring(&[2]), now()).unwrap().heads.is_empty());
    desk.write(1, 2);
    Forger::of(&desk).run("UPDATE audit_entry SET outcome = 'refused' WHERE seq = 9");
    assert!(sign::turn(&mut desk.conn, &ring(&[2]), now()).unwrap().heads.is_empty());
}

#[test]
fn rotated_keys_sign_over_and_are_trusted_from_the_first_on() {
    let mut desk = Desk::new();
    desk.write(1, 1);
    sign::turn(&mut desk.conn, &ring(&[2]), now()).unwrap();
    for _ in 0..2 {
        desk.write(1, 1);
        sign::turn(&mut desk.conn, &ring(&[2, 3]), now()).unwrap();
    }
    let first = [ring(&[2]).current().public()];
    let report = verify(&mut desk.conn, 1, Against { keys: &first, since: None }).unwrap();
    assert_eq!((report.ok, report.heads, report.signed_upto), (true, 3, 3), "{report:?}");
    let stranger = [ring(&[4]).current().public()];
    let broken = verify(&mut desk.conn, 1, Against { keys: &stranger, since: None }).unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.wrong), (1, Wrong::Signature));
    desk.write(1, 1);
    let lost = sign::turn(&mut desk.conn, &ring(&[5]), now()).unwrap();
    assert!(lost.heads.is_empty(), "without the key that signed so far nothing is signed");
}

#[test]
fn a_published_head_is_the_same_after_json_and_a_field_that_does_not_read_is_named() {
    let next = Some(ring(&[3]).current().public());
    let head = AuditHead {
        tenant: 1,
        seq: 8,
        hash: [7; 32],
        signed_us: now().timestamp_micros(),
        key: ledger::proof::KeyId([0; 8]),
        next,
    };
    let first = ring(&[2]).current().public();
    for signed in [
        SignedAuditHead::sign(&ring(&[2]), None, head).unwrap(),
        SignedAuditHead::sign(&ring(&[2, 3]), Some(first.id()), head).unwrap(),
    ] {
        let text = serde_json::to_string(&AuditHeadForm::from(&signed)).unwrap();
        let read: AuditHeadForm = serde_json::from_str(&text).unwrap();
        assert_eq!(read.read(), Ok(signed));
        signed.check(&[first]).unwrap();
        SignedAuditHead { head: AuditHead { seq: 9, ..signed.head }, ..signed }.check(&[first]).unwrap_err();
        let wrong = AuditHeadForm { hash: "00".into(), ..read.clone() };
        assert_eq!(wrong.read().unwrap_err().to_string(), "the audit head's hash does not read");
        let wrong = AuditHeadForm { signature: "AAAA".into(), ..read };
        assert_eq!(wrong.read().unwrap_err().to_string(), "the audit head's signature does not read");
    }
}
