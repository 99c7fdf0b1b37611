use std::sync::Arc;

use diesel::Connection;

use super::*;
use crate::identity::passkeys::tests::add_tenant;
use crate::identity::{NewKey, create_key};
use crate::platform::ids::Ids;
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

/// The number of a client with a key in force.
fn client(conn: &mut PgConnection, ids: &Ids, now: DateTime<Utc>, tenant: i64) -> i64 {
    let wish = NewKey { tenant, name: "theirs".into(), scopes: vec![Scope::Admin], client: None };
    create_key(conn, ids, now, audit::Actor::Operator, &wish).unwrap().client
}

#[test]
fn t41_what_one_asked_for_another_decides_once_and_in_time_and_nobody_decides_what_was_changed() {
    let scratch = Scratch::migrated();
    let (mut conn, ids) = (scratch.connect(), Ids::system());
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let tenant = add_tenant(&mut conn, &ids, now, "acea");
    let wish = Wish { act: Act::Limits, object: Object::Tenant(tenant), body: b"{}".to_vec() };
    let conn = &mut conn;
    let [one, two] = [(); 2].map(|()| client(conn, &ids, now, tenant));
    let (anna, annas_key) = (caller(tenant, one, Some(1_007)), caller(tenant, two, Some(1_007)));
    let (bruno, houses) = (caller(tenant, 1_009, Some(1_010)), caller(tenant, 1_011, None));
    let asked = |conn: &mut PgConnection, by: &Caller| {
        let id = ids.uuid_v7(now);
        conn.transaction(|conn| ask(conn, (id, now), by, &wish)).unwrap().id
    };
    let said = |conn: &mut PgConnection, now, by: &Caller, id, yes| {
        conn.transaction(|conn| decide(conn, now, by, id, yes)).unwrap().map(|(_, was_before)| was_before)
    };
    let id = asked(conn, &anna);
    for yes in [true, false] {
        for same in [&anna, &annas_key] {
            assert_eq!(said(conn, now, same, id, yes), Err(EyesError::SameEyes));
        }
    }
    for yes in [true, false] {
        assert_eq!(said(conn, now, &houses, id, yes), Err(EyesError::Eyeless), "in whose hands it is nobody knows");
    }
    assert_eq!(said(conn, now, &bruno, ids.uuid_v7(now), true), Err(EyesError::Unknown));
    assert_eq!(said(conn, now + STANDS, &bruno, id, true), Err(EyesError::Over));
    assert_eq!(said(conn, now, &bruno, id, true), Ok(false));
    assert_eq!(said(conn, now, &bruno, id, true), Ok(true), "again, and it says so");
    assert_eq!(said(conn, now, &bruno, id, false), Err(EyesError::Over));
    assert_eq!(said(conn, now, &anna, id, true), Err(EyesError::SameEyes), "also once it is decided");
    let theirs = asked(conn, &annas_key);
    assert_eq!(said(conn, now, &anna, theirs, true), Err(EyesError::SameEyes), "their key asked");
    assert_eq!(said(conn, now, &bruno, theirs, false), Ok(false));
    assert_eq!(said(conn, now, &bruno, theirs, true), Err(EyesError::Over), "it was rejected");
    for change in ["body = '{\"valid_from\":1}'", "act = 'erasure'", "object = 'tenant:0'"] {
        let changed = asked(conn, &anna);
        let sql = format!("UPDATE four_eyes SET {change} WHERE id = '{changed}'");
        diesel::RunQueryDsl::execute(diesel::sql_query(sql), &mut scratch.connect()).unwrap();
        assert_eq!(said(conn, now, &bruno, changed, true), Err(EyesError::Changed), "{change}");
    }
}
