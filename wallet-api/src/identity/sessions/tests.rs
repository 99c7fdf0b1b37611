use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::{RunQueryDsl, sql_query};

use super::*;
use crate::identity::devices::{self, BoundBy, DeviceKey, NewDevice};
use crate::identity::{NewTenant, create_tenant, directory, people};
use crate::platform::audit;
use crate::platform::clock::Clock;
use crate::platform::db::Db;
use crate::platform::keyring::{Actor, Keyring, Scope};
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

/// A person of a tenant with a device that keeps a key.
struct Home {
    scratch: Scratch,
    ids: Ids,
    tenant: i64,
    person: Uuid,
    device: Uuid,
    key: DeviceKey,
}

impl Home {
    fn new() -> Self {
        let (scratch, ids) = (Scratch::migrated(), Ids::system());
        let conn = &mut scratch.connect();
        let zone = chrono_tz::Europe::Rome;
        let wish = NewTenant { slug: "acea".into(), name: "A".into(), sandbox: true, zone, locale: Lang::It };
        let tenant = create_tenant(conn, &ids, now(), audit::Actor::System, &wish).unwrap().id;
        let person = ids.uuid_v7(now());
        let insert = format!("INSERT INTO customer VALUES ({tenant}, '{person}', 'r-{person}', now())");
        sql_query(insert).execute(conn).unwrap();
        people::ensure(conn, now(), tenant, person, Lang::It).unwrap();
        let key = DeviceKey::of_point(&[&[4], [7; 64].as_slice()].concat()).unwrap();
        let new = NewDevice { person, key: Some(key.clone()), bound_by: BoundBy::SignUp };
        let device = devices::bind(conn, &ids, now(), tenant, &new).unwrap().unwrap();
        Self { scratch, ids, tenant, person, device, key }
    }

    fn open(&self, held: Held) -> Pair {
        let conn = &mut self.scratch.connect();
        open(conn, &self.ids, now(), self.tenant, (self.person, self.device), held).unwrap()
    }

    fn refresh(&self, token: &Token, at: DateTime<Utc>) -> Refreshed {
        self.refresh_showing(token, at, Some(self.key.thumbprint()))
    }

    fn refresh_showing(&self, token: &Token, at: DateTime<Utc>, shown: Option<[u8; 32]>) -> Refreshed {
        refresh(&mut self.scratch.connect(), &self.ids, at, token, shown).unwrap()
    }

    /// Who comes in with a token at some time, and whether money is open.
    async fn admitted(&self, token: &Token, at: DateTime<Utc>) -> Option<bool> {
        let db = Db::open(&self.scratch.url, 2).unwrap();
        let keyring = Keyring::new(db, Clock::manual(at), directory());
        let caller = keyring.admit(token).await.ok()?;
        let Actor::Person(person) = caller.actor else { panic!("{:?} is no person", caller.actor) };
        assert_eq!((caller.tenant.id, person.id), (self.tenant, self.person));
        caller.require(Scope::Me).unwrap();
        Some(caller.require(Scope::MeMoney).is_ok())
    }
}

fn next(refreshed: Refreshed) -> Pair {
    let Refreshed::Next(pair, _) = refreshed else { panic!("{refreshed:?}") };
    pair
}

#[tokio::test]
async fn a_session_lets_its_person_in_until_its_token_is_over_and_the_next_one_again() {
    let home = Home::new();
    let first = home.open(Held::App);
    assert_eq!(home.admitted(&first.access.token, after(0)).await, Some(true));
    assert_eq!(home.admitted(&first.access.token, after(300)).await, None, "five minutes are over");
    let refresh = first.refresh.unwrap().token;
    assert_eq!(home.admitted(&refresh, after(1)).await, None, "a refresh token is no key to anything");
    let second = next(home.refresh(&refresh, after(200)));
    assert_eq!(home.admitted(&first.access.token, after(201)).await, None, "one access token lives at a time");
    assert_eq!(home.admitted(&second.access.token, after(201)).await, Some(true));
    assert_eq!(second.session, first.session);
}

#[tokio::test]
async fn money_closes_after_five_minutes_of_nothing_and_opens_with_the_passkey_again() {
    let home = Home::new();
    let token = home.open(Held::Page).access.token;
    for at in [100, 399, 690] {
        assert_eq!(home.admitted(&token, after(at)).await, Some(true), "{at}: something was asked in between");
    }
    assert_eq!(home.admitted(&token, after(991)).await, Some(false), "nothing for 301 s");
    assert_eq!(home.admitted(&token, after(992)).await, Some(false), "and asking does not open it");
    let conn = &mut home.scratch.connect();
    let session = living(conn, after(992), home.tenant, home.person).unwrap().pop().unwrap();
    confirm(conn, after(1_000), home.tenant, session.id).unwrap();
    assert_eq!(home.admitted(&token, after(1_001)).await, Some(true));
    assert_eq!(home.admitted(&token, now() + PAGE).await, None, "a page's session is over after twelve hours");
}

#[test]
fn t29_a_used_refresh_token_that_comes_again_ends_the_session() {
    let home = Home::new();
    let first = home.open(Held::App).refresh.unwrap().token;
    let second = next(home.refresh(&first, after(60))).refresh.unwrap().token;
    let Refreshed::Reused { person, .. } = home.refresh(&first, after(71)) else { panic!("it was taken") };
    assert_eq!(person, Some(home.person));
    assert!(matches!(home.refresh(&second, after(72)), Refreshed::Refused), "nor is the newest good any more");
    assert!(living(&mut home.scratch.connect(), after(72), home.tenant, home.person).unwrap().is_empty());
}

#[test]
fn t29_the_device_itself_may_repeat_its_last_refresh_for_ten_seconds() {
    let home = Home::new();
    let first = home.open(Held::App).refresh.unwrap().token;
    let lost = next(home.refresh(&first, after(60))).refresh.unwrap().token;
    let second = next(home.refresh(&first, after(70))).refresh.unwrap().token;
    let third = next(home.refresh(&second, after(71))).refresh.unwrap().token;
    assert!(matches!(home.refresh(&first, after(70)), Refreshed::Reused { .. }), "only the last one");
    for token in [lost, second, third] {
        assert!(matches!(home.refresh(&token, after(72)), Refreshed::Refused));
    }
}

#[test]
fn t29_a_token_is_nothing_without_its_device_and_does_not_even_end_the_session() {
    let home = Home::new();
    let token = home.open(Held::App).refresh.unwrap().token;
    assert!(matches!(home.refresh_showing(&token, after(1), None), Refreshed::Refused));
    assert!(matches!(home.refresh_showing(&token, after(1), Some([9; 32])), Refreshed::Refused));
    next(home.refresh(&token, after(2)));
}

#[test]
fn one_of_fifty_refreshes_at_once_is_the_first_and_none_gives_a_second_family() {
    let home = Home::new();
    let token = home.open(Held::App).refresh.unwrap().token;
    let (pairs, reused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| match home.refresh(&token, after(60)) {
                Refreshed::Next(..) => pairs.fetch_add(1, Ordering::SeqCst),
                Refreshed::Reused { .. } => reused.fetch_add(1, Ordering::SeqCst),
                Refreshed::Refused => 0,
            });
        }
    });
    // The first takes it, the second repeats it, the third is one too many.
    assert_eq!((pairs.into_inner(), reused.into_inner()), (2, 1));
}

#[test]
fn a_refresh_token_that_waited_too_long_or_of_a_session_that_is_over_gives_nothing() {
    let home = Home::new();
    let token = home.open(Held::App).refresh.unwrap().token;
    assert!(matches!(home.refresh(&token, now() + REFRESH_IDLE), Refreshed::Refused));
    let mut token = token;
    for month in 1..=6 {
        let pair = next(home.refresh(&token, now() + TimeDelta::days(29 * month)));
        let refresh = pair.refresh.unwrap();
        assert!(refresh.until <= now() + APP);
        token = refresh.token;
    }
    assert!(matches!(home.refresh(&token, now() + APP), Refreshed::Refused));
}

#[tokio::test]
async fn t30_a_revoked_session_or_device_is_refused_within_a_second() {
    let home = Home::new();
    let (one, two) = (home.open(Held::App), home.open(Held::Page));
    let keyring = Keyring::new(Db::open(&home.scratch.url, 2).unwrap(), Clock::manual(now()), directory());
    let keyring = Arc::new(keyring);
    for token in [&one.access.token, &two.access.token] {
        keyring.admit(token).await.unwrap();
    }
    let conn = &mut home.scratch.connect();
    let ended = end(conn, now(), home.tenant, (home.person, one.session), End::SignedOut).unwrap();
    assert_eq!(ended.as_deref(), Some(one.access.token.prefix()));
    assert!(devices::revoke(conn, now(), home.tenant, home.person, home.device).unwrap());
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    for token in [&one.access.token, &two.access.token] {
        assert_eq!(keyring.admit(token).await.unwrap_err().code(), "unauthenticated");
    }
    let refused = open(conn, &home.ids, now(), home.tenant, (home.person, home.device), Held::App);
    assert!(refused.is_err(), "no session opens at a revoked device");
    assert!(matches!(home.refresh(&one.refresh.unwrap().token, after(1)), Refreshed::Refused));
    assert_eq!(end_of_device(conn, now(), home.tenant, home.device, End::DeviceRevoked).unwrap().len(), 1);
}

#[test]
fn nobody_ends_or_names_what_is_anothers() {
    let home = Home::new();
    let conn = &mut home.scratch.connect();
    let (session, stranger) = (home.open(Held::App).session, home.ids.uuid_v7(now()));
    assert_eq!(end(conn, now(), home.tenant, (stranger, session), End::SignedOut).unwrap(), None);
    assert_eq!(end(conn, now(), home.tenant + 1, (home.person, session), End::SignedOut).unwrap(), None);
    assert!(!devices::rename(conn, home.tenant, stranger, home.device, b"mine").unwrap());
    assert!(!devices::revoke(conn, now(), home.tenant, stranger, home.device).unwrap());
    assert_eq!(end_others(conn, now(), home.tenant, stranger, None, End::Recovery).unwrap(), [""; 0]);
    assert_eq!(living(conn, now(), home.tenant, home.person).unwrap().len(), 1);
    assert!(devices::rename(conn, home.tenant, home.person, home.device, b"sealed").unwrap());
    let device = devices::find(conn, home.tenant, home.person, home.device).unwrap().unwrap();
    assert_eq!((device.sealed_name.as_deref(), device.key.as_ref()), (Some(b"sealed".as_slice()), Some(&home.key)));
}

#[test]
fn a_key_is_one_device_for_good() {
    let home = Home::new();
    let conn = &mut home.scratch.connect();
    devices::revoke(conn, now(), home.tenant, home.person, home.device).unwrap();
    let again = NewDevice { person: home.person, key: Some(home.key.clone()), bound_by: BoundBy::Recovery };
    assert_eq!(devices::bind(conn, &home.ids, now(), home.tenant, &again).unwrap(), None);
    let browser = NewDevice { key: None, ..again };
    for _ in 0..2 {
        assert!(devices::bind(conn, &home.ids, now(), home.tenant, &browser).unwrap().is_some());
    }
    assert_eq!(devices::list(conn, home.tenant, home.person).unwrap().len(), 3);
}
