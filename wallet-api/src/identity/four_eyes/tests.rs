use std::sync::Arc;

use diesel::Connection;

use super::*;
use crate::identity::passkeys::tests::add_tenant;
use crate::platform::keyring::{Actor, Tenant, TenantSecret};
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;

/// A machine of the house, or one whose key belongs to an operator.
fn caller(tenant: i64, client: i64, operator: Option<i64>) -> Caller {
    let tenant = Tenant {
        id: tenant,
        slug: "acea".into(),
        name: "A".into(),
        sandbox: true,
        zone: chrono_tz::Europe::Rome,
        locale: Lang::It,
        secret: TenantSecret::new(&[1; 32]),
    };
    let caller = Caller::new(Arc::new(tenant), Actor::Client(client), []);
    match operator {
        Some(operator) => caller.of_number(operator),
        None => caller,
    }
}

#[test]
fn t41_what_one_asked_for_another_confirms_to_the_letter_once_and_in_time() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let tenant = add_tenant(&mut conn, &ids, now, "acea");
    let wish = Wish { act: Action::KeyRevoked, object: Object::Key("abc".into()), terms: b"lost" };
    let (anna, annas_key, bruno) = (caller(tenant, 7, None), caller(tenant, 8, Some(7)), caller(tenant, 9, None));
    let confirm = |conn: &mut PgConnection, now, by: &Caller, id, wish: &Wish<'_>| {
        conn.transaction(|conn| confirm(conn, now, by, id, wish)).unwrap()
    };
    let conn = &mut conn;
    let id = ask(conn, &ids, now, &anna, &wish).unwrap();
    for same in [&anna, &annas_key] {
        assert_eq!(confirm(conn, now, same, id, &wish), Err(EyesError::SameEyes));
    }
    let other_terms = Wish { terms: b"found", ..wish.clone() };
    let other_object = Wish { object: Object::Key("abd".into()), ..wish.clone() };
    let other_act = Wish { act: Action::KeyCreated, ..wish.clone() };
    for other in [&other_terms, &other_object, &other_act] {
        assert_eq!(confirm(conn, now, &bruno, id, other), Err(EyesError::Unknown), "{other:?}");
    }
    assert_eq!(confirm(conn, now, &bruno, ids.uuid_v7(now), &wish), Err(EyesError::Unknown));
    assert_eq!(confirm(conn, now + STANDS, &bruno, id, &wish), Err(EyesError::Over));
    assert_eq!(confirm(conn, now, &bruno, id, &wish), Ok(()));
    assert_eq!(confirm(conn, now, &bruno, id, &wish), Err(EyesError::Over), "once");
    let theirs = ask(conn, &ids, now, &annas_key, &wish).unwrap();
    assert_eq!(confirm(conn, now, &anna, theirs, &wish), Err(EyesError::SameEyes), "their key asked");
}
