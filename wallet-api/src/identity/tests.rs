use chrono::DateTime;
use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::*;
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::db::Db;
use crate::platform::keyring::{Keyring, Kind, Scope, Token};
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn wish(slug: &str) -> NewTenant {
    let zone = chrono_tz::Europe::Rome;
    NewTenant { slug: slug.to_owned(), name: "A company".to_owned(), sandbox: true, zone, locale: Lang::It }
}

fn key_wish(tenant: i64, client: Option<i64>) -> NewKey {
    NewKey { tenant, name: "till".to_owned(), scopes: vec![Scope::PaymentsWrite, Scope::LoyaltyRead], client }
}

#[test]
fn a_tenant_is_found_by_its_slug_and_no_slug_is_given_twice() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    let made = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("acea")).unwrap();
    let found = tenant_by_slug(&mut conn, "acea").unwrap();
    assert_eq!(
        (made.id, &made.name, made.sandbox, made.zone, made.locale),
        (found.id, &found.name, true, found.zone, Lang::It)
    );
    assert_eq!(made.secret.sign16("t", &[b"x"]), found.secret.sign16("t", &[b"x"]), "the secret is kept");
    assert!(matches!(
        create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("acea")),
        Err(IdentityError::SlugTaken)
    ));
    assert!(matches!(tenant_by_slug(&mut conn, "enel"), Err(IdentityError::UnknownTenant)));
    let other = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("enel")).unwrap();
    assert_ne!(other.secret.sign16("t", &[b"x"]), found.secret.sign16("t", &[b"x"]), "each has its own secret");
    assert_eq!(tenants(&mut conn).unwrap().len(), 2);
}

#[test]
fn a_rotated_key_keeps_its_client_and_no_tenant_reaches_into_another() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    let acea = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("acea")).unwrap().id;
    let enel = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("enel")).unwrap().id;
    let first = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(acea, None)).unwrap();
    let second = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(acea, Some(first.client))).unwrap();
    let third = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(acea, None)).unwrap();
    assert_eq!(first.client, second.client);
    assert_ne!(first.client, third.client);
    let foreign = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(enel, Some(first.client)));
    assert!(matches!(foreign, Err(IdentityError::UnknownClient)));
    let nowhere = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(enel + 1, None));
    assert!(matches!(nowhere, Err(IdentityError::UnknownTenant)));
    let revoked = revoke_key(&mut conn, now(), Actor::Operator, enel, first.key.prefix());
    assert!(matches!(revoked, Err(IdentityError::UnknownKey)));
    revoke_key(&mut conn, now(), Actor::Operator, acea, first.key.prefix()).unwrap();
    revoke_key(&mut conn, now(), Actor::Operator, acea, first.key.prefix()).unwrap();
}

#[tokio::test]
async fn a_key_opens_for_its_holder_alone_and_a_second_after_its_end_for_nobody() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    let tenant = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("acea")).unwrap().id;
    let made = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(tenant, None)).unwrap();
    let keyring = Keyring::new(Db::open(&scratch.url, 2).unwrap(), Clock::manual(now()), directory());

    let caller = keyring.admit(&made.key).await.unwrap();
    assert_eq!((caller.tenant.id, caller.client()), (tenant, made.client));
    caller.require(Scope::PaymentsWrite).unwrap();
    assert_eq!(caller.require(Scope::PaymentsRead).unwrap_err().code(), "scope-missing");

    let last = if made.key.reveal().ends_with('0') { "1" } else { "0" };
    let whole = made.key.reveal();
    let wrong = Token::parse(&format!("{}{last}", &whole[..whole.len() - 1])).unwrap();
    assert_eq!(keyring.admit(&wrong).await.unwrap_err().code(), "unauthenticated");
    assert_eq!(keyring.admit(&Token::generate(Kind::Key, &ids)).await.unwrap_err().code(), "unauthenticated");

    revoke_key(&mut conn, now(), Actor::Operator, tenant, made.key.prefix()).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(keyring.admit(&made.key).await.unwrap_err().code(), "unauthenticated");
    let row = store::api_key::table.find((tenant, made.id));
    let used: Option<DateTime<Utc>> = row.select(store::api_key::last_used_at).first(&mut conn).unwrap();
    assert_eq!(used, Some(now()));
}

#[test]
fn the_migrations_go_back_as_they_came_but_the_books_stay() {
    let scratch = Scratch::migrated();
    let mut conn = scratch.connect();
    let refused = conn.revert_all_migrations(crate::platform::db::MIGRATIONS).unwrap_err();
    assert!(refused.to_string().contains("the journal cannot be migrated down"), "{refused}");
    diesel::sql_query("SELECT 1 FROM journal.record").execute(&mut conn).unwrap();
    assert!(diesel::sql_query("SELECT 1 FROM tenant").execute(&mut conn).is_err());
    drop(conn);
    assert!(!crate::platform::db::migrate(&scratch.url).unwrap().is_empty());
}

#[test]
fn the_apps_role_can_end_a_key_and_never_change_or_delete_one() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    diesel::sql_query("SET ROLE tessera_app").execute(&mut conn).unwrap();
    let tenant = create_tenant(&mut conn, &ids, now(), Actor::Operator, &wish("acea")).unwrap().id;
    let made = create_key(&mut conn, &ids, now(), Actor::Operator, &key_wish(tenant, None)).unwrap();
    revoke_key(&mut conn, now(), Actor::Operator, tenant, made.key.prefix()).unwrap();
    for forbidden in [
        "DELETE FROM api_key",
        "UPDATE api_key SET hash = hash",
        "UPDATE api_key SET scopes = '{admin}'",
        "UPDATE tenant SET secret = secret",
        "UPDATE tenant SET sandbox = true",
        "DELETE FROM tenant",
    ] {
        assert!(diesel::sql_query(forbidden).execute(&mut conn).is_err(), "{forbidden}");
    }
}
