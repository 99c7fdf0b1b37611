use std::collections::BTreeSet;
use std::sync::Barrier;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::*;
use crate::identity::{NewTenant, create_tenant};
use crate::platform::audit::Actor;
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;

const CONTACT: Blind = [1; 32];
const OTHER: Blind = [2; 32];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_750_000_000, 0).unwrap()
}

/// A tenant, as the role that may not do everything.
struct Desk {
    scratch: Scratch,
    conn: PgConnection,
    tenant: Tenant,
    ids: Ids,
}

impl Desk {
    fn new() -> Self {
        let (scratch, ids) = (Scratch::migrated(), Ids::seeded(b"codes"));
        let (mut conn, zone) = (scratch.connect(), chrono_tz::Europe::Rome);
        let wish = NewTenant { slug: "acea".into(), name: "A company".into(), sandbox: true, zone, locale: Lang::It };
        let tenant = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish).unwrap();
        conn.batch_execute("SET ROLE tessera_app").unwrap();
        Self { scratch, conn, tenant, ids }
    }

    fn ask_from(&mut self, contact: Blind, address: Blind, at: DateTime<Utc>) -> Result<Asked, CodeError> {
        ask(&mut self.conn, &self.tenant, &self.ids, at, &Ask { purpose: Purpose::SignUp, contact, address })
    }

    fn ask(&mut self) -> Asked {
        self.ask_from(CONTACT, OTHER, now()).unwrap()
    }

    fn say(&mut self, said: &Said<'_>, at: DateTime<Utc>) -> Proven {
        prove(&mut self.conn, &self.tenant, at, said).unwrap()
    }

    fn count(&mut self, what: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Counted {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let counted = diesel::sql_query(format!("SELECT count(*) AS count FROM {what}"));
        counted.get_result::<Counted>(&mut self.conn).unwrap().count
    }
}

fn said(asked: &Asked) -> Said<'_> {
    Said { id: asked.id, purpose: Purpose::SignUp, contact: CONTACT, code: asked.code.reveal() }
}

/// Another code than this one.
fn wrong(asked: &Asked) -> String {
    if asked.code.reveal() == "00000000" { "00000001".into() } else { "00000000".into() }
}

#[test]
fn a_code_is_eight_digits_and_any_of_them() {
    let ids = Ids::seeded(b"digits");
    let codes: BTreeSet<String> = (0..1_000).map(|_| Code::draw(&ids).reveal().to_owned()).collect();
    assert!(codes.len() > 990, "{}", codes.len());
    assert!(codes.iter().all(|code| code.len() == 8 && code.bytes().all(|digit| digit.is_ascii_digit())));
    for digit in '0'..='9' {
        assert!(codes.iter().any(|code| code.starts_with(digit)) && codes.iter().any(|code| code.ends_with(digit)));
    }
    assert_eq!(format!("{:?}", Code::draw(&ids)), "Code(..)");
}

#[test]
fn a_code_proves_its_contact_once() {
    let mut desk = Desk::new();
    let asked = desk.ask();
    assert_eq!(asked.expires_at, now() + TimeDelta::minutes(10));
    assert_eq!(desk.say(&said(&asked), now()), Proven::Yes);
    assert_eq!(desk.say(&said(&asked), now()), Proven::No, "once");
    let (first, second) = (desk.ask(), desk.ask());
    assert_eq!(desk.say(&said(&first), now()), Proven::Yes, "the one before counts too: letters overtake each other");
    assert_eq!(desk.say(&said(&second), now() + TimeDelta::minutes(10) - TimeDelta::microseconds(1)), Proven::Yes);
}

#[test]
fn a_code_is_over_after_ten_minutes_and_after_five_wrong_tries() {
    let mut desk = Desk::new();
    let asked = desk.ask();
    assert_eq!(desk.say(&said(&asked), now() + TimeDelta::minutes(10)), Proven::No);
    let (asked, wrong_one) = (desk.ask(), wrong(&asked));
    for _ in 0..4 {
        assert_eq!(desk.say(&Said { code: &wrong_one, ..said(&asked) }, now()), Proven::No);
    }
    assert_eq!(desk.say(&said(&asked), now()), Proven::Yes, "the fifth may be the right one");
    let (asked, wrong_one) = (desk.ask(), wrong(&asked));
    for _ in 0..5 {
        assert_eq!(desk.say(&Said { code: &wrong_one, ..said(&asked) }, now()), Proven::No);
    }
    assert_eq!(desk.say(&said(&asked), now()), Proven::No, "after five it is over");
}

/// T8: however many guess at once, five guesses are looked at.
#[test]
fn t08_of_many_guesses_at_once_five_count() {
    let mut desk = Desk::new();
    let asked = desk.ask();
    let (barrier, wrong_one, Desk { scratch, tenant, .. }) = (Barrier::new(8), wrong(&asked), &desk);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut conn = scratch.connect();
                barrier.wait();
                for _ in 0..5 {
                    let said = Said { code: &wrong_one, ..said(&asked) };
                    assert_eq!(prove(&mut conn, tenant, now(), &said).unwrap(), Proven::No);
                }
            });
        }
    });
    assert_eq!(prove(&mut scratch.connect(), tenant, now(), &said(&asked)).unwrap(), Proven::No);
}

/// T3, for codes: of fifty who say the right one at once, one is let in.
#[test]
fn t03_of_fifty_who_say_the_right_code_at_once_one_is_believed() {
    let mut desk = Desk::new();
    let asked = desk.ask();
    let (barrier, Desk { scratch, tenant, .. }) = (Barrier::new(50), &desk);
    let proven = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = scratch.connect();
                    barrier.wait();
                    prove(&mut conn, tenant, now(), &said(&asked)).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|proven| *proven == Proven::Yes).count()
    });
    assert_eq!(proven, 1);
}

/// T59: whatever is wrong, the answer is one, and what it does to the database is nothing but a try.
#[test]
fn t59_nobody_learns_why_a_code_was_not_taken() {
    let mut desk = Desk::new();
    let (asked, elsewhere) = (desk.ask(), desk.ask_from(OTHER, OTHER, now()).unwrap());
    let (good, wrong_one) = (said(&asked), wrong(&asked));
    let used = desk.ask();
    assert_eq!(desk.say(&said(&used), now()), Proven::Yes);
    let spaced = format!(" {}", asked.code.reveal());
    for (what, said) in [
        ("another code", Said { code: &wrong_one, ..good }),
        ("no code", Said { code: "", ..good }),
        ("a long one", Said { code: "123456789012345678901234567890", ..good }),
        ("not quite", Said { code: &spaced, ..good }),
        ("no such id", Said { id: Uuid::nil(), ..good }),
        ("a used one", said(&used)),
        ("another purpose", Said { purpose: Purpose::Recovery, ..good }),
        ("another contact", Said { contact: OTHER, ..good }),
        ("another's code", Said { code: elsewhere.code.reveal(), ..good }),
    ] {
        assert_eq!(desk.say(&said, now()), Proven::No, "{what}");
    }
    assert_eq!(desk.say(&good, now()), Proven::No, "five of these were tries at this very code");
}

/// T59: a code is asked for without saying whether anybody has the contact: there is nothing here that could differ.
#[test]
fn t59_a_contact_nobody_has_is_asked_for_like_any_other() {
    let mut desk = Desk::new();
    for contact in [CONTACT, [9; 32]] {
        for _ in 0..PER_CONTACT {
            desk.ask_from(contact, contact, now()).unwrap();
        }
        let refused = desk.ask_from(contact, contact, now()).unwrap_err();
        assert!(matches!(refused, CodeError::TooMany));
        assert_eq!((refused.describe().status().as_u16(), refused.describe().code()), (429, "codes-too-many"));
    }
}

#[test]
fn a_contact_has_five_codes_an_hour_and_an_address_thirty() {
    let mut desk = Desk::new();
    let minutes = |minutes| now() + TimeDelta::minutes(minutes);
    for at in [0, 10, 20, 30, 59] {
        desk.ask_from(CONTACT, OTHER, minutes(at)).unwrap();
    }
    desk.ask_from(CONTACT, OTHER, minutes(59)).unwrap_err();
    desk.ask_from(CONTACT, OTHER, minutes(60)).unwrap();
    desk.ask_from(CONTACT, OTHER, minutes(61)).unwrap_err();
    desk.ask_from(CONTACT, OTHER, minutes(70)).unwrap();
    let rows = desk.count("contact_code_asked");
    assert_eq!(rows, 2, "one of the contact, one of the address, however often they ask");

    let mut desk = Desk::new();
    for contact in 0..30 {
        desk.ask_from([contact; 32], OTHER, now()).unwrap();
    }
    desk.ask_from([40; 32], OTHER, now()).unwrap_err();
    assert_eq!(desk.count("contact_code WHERE contact = decode(repeat('28', 32), 'hex')"), 0);
    assert_eq!(
        desk.count("contact_code_asked WHERE who = decode(repeat('28', 32), 'hex')"),
        0,
        "what was refused is not counted"
    );
    desk.ask_from([40; 32], CONTACT, now()).unwrap();
}

/// However many ask at once, no more than five are made.
#[test]
fn of_many_who_ask_at_once_five_are_sent_a_code() {
    let desk = Desk::new();
    let (barrier, Desk { scratch, tenant, ids, .. }) = (Barrier::new(12), &desk);
    let made = std::thread::scope(|scope| {
        let ask_one = || {
            let mut conn = scratch.connect();
            barrier.wait();
            let wish = Ask { purpose: Purpose::SignUp, contact: CONTACT, address: OTHER };
            ask(&mut conn, tenant, ids, now(), &wish).is_ok()
        };
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(ask_one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(made, 5);
}

/// T55: who reads the table, or a backup of it, has neither code nor contact.
#[test]
fn t55_the_table_has_neither_code_nor_anything_that_gives_it() {
    #[derive(QueryableByName)]
    struct Whole {
        #[diesel(sql_type = Text)]
        row: String,
    }
    let mut desk = Desk::new();
    let (one, two) = (desk.ask(), desk.ask());
    let rows = diesel::sql_query("SELECT contact_code::text AS row FROM contact_code").load::<Whole>(&mut desk.conn);
    let rows: Vec<String> = rows.unwrap().into_iter().map(|whole| whole.row).collect();
    assert_eq!(rows.len(), 2);
    for asked in [&one, &two] {
        assert!(rows.iter().all(|row| !row.contains(asked.code.reveal())), "{rows:?}");
        assert!(!format!("{asked:?}").contains(asked.code.reveal()));
    }
    // The same code under another id, purpose, contact or tenant's secret is kept as something else.
    let code = one.code.reveal();
    let mac = |id, purpose, contact: &Blind| mac(&desk.tenant, id, purpose, contact, code);
    let macs = BTreeSet::from([
        mac(one.id, Purpose::SignUp, &CONTACT),
        mac(two.id, Purpose::SignUp, &CONTACT),
        mac(one.id, Purpose::Recovery, &CONTACT),
        mac(one.id, Purpose::SignUp, &OTHER),
    ]);
    assert_eq!(macs.len(), 4);
}

#[test]
fn what_is_over_is_swept_with_what_comes() {
    let mut desk = Desk::new();
    for contact in 0..10 {
        desk.ask_from([contact; 32], [contact; 32], now()).unwrap();
    }
    assert_eq!((desk.count("contact_code"), desk.count("contact_code_asked")), (10, 20));
    desk.ask_from(CONTACT, OTHER, now() + TimeDelta::hours(1)).unwrap();
    assert_eq!(desk.count("contact_code"), 1);
    assert!(desk.count("contact_code_asked") <= 6, "sixteen of twenty, at least");
    let (tenant, later) = (desk.tenant.id, now() + TimeDelta::hours(3));
    assert_eq!(sweep(&mut desk.conn, tenant, later, 100), Ok(1));
    assert_eq!((desk.count("contact_code"), desk.count("contact_code_asked")), (0, 0));
}
