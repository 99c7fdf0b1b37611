use diesel::{RunQueryDsl, sql_query};

use super::*;
use crate::identity::devices::{self, BoundBy, NewDevice};
use crate::identity::{NewTenant, create_tenant};
use crate::platform::audit::Actor;
use crate::platform::ids::Ids;
use crate::platform::scratch::Scratch;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

#[test]
fn t19_a_day_of_caution_follows_a_recovery_and_each_new_device_and_none_the_sign_up() {
    let (scratch, ids) = (Scratch::migrated(), Ids::system());
    let conn = &mut scratch.connect();
    let wish = NewTenant { slug: "a".into(), name: "A".into(), sandbox: true, zone: chrono_tz::UTC, locale: Lang::It };
    let tenant = create_tenant(conn, &ids, now(), Actor::System, &wish).unwrap().id;
    let [anna, other] = [0, 1].map(|n| {
        let person = ids.uuid_v7(now());
        let insert = format!("INSERT INTO customer VALUES ({tenant}, '{person}', 'r-{n}', now())");
        sql_query(insert).execute(conn).unwrap();
        ensure(conn, now(), tenant, person, Lang::It).unwrap().id
    });
    let bind = |conn: &mut PgConnection, at, bound_by| {
        let new = NewDevice { person: anna, key: None, bound_by };
        devices::bind(conn, &ids, at, tenant, &new).unwrap().unwrap()
    };
    let hours = |hours| now() + TimeDelta::hours(hours);
    bind(conn, now(), BoundBy::SignUp);
    assert_eq!(caution(conn, tenant, anna, hours(1)), Ok(None), "the first device is no new one");
    let second = bind(conn, hours(1), BoundBy::OlderDevice);
    let until = |at| Ok(Some(Caution { until: at, most_minor: 15_000 }));
    assert_eq!(caution(conn, tenant, anna, hours(2)), until(hours(25)));
    assert_eq!(caution(conn, tenant, anna, hours(25)), Ok(None), "a day later");
    assert_eq!(caution(conn, tenant, other, hours(2)), Ok(None), "of the person alone");
    devices::revoke(conn, hours(2), tenant, anna, second).unwrap();
    assert_eq!(
        caution(conn, tenant, anna, hours(2)),
        until(hours(25)),
        "nobody lifts it by revoking what they came in by"
    );
    let recover = |conn: &mut PgConnection, done: &str| {
        let id = ids.uuid_v7(now());
        let begun = hours(3).to_rfc3339();
        let text = format!("INSERT INTO recovery VALUES ({tenant}, '{id}', '{anna}', '{begun}', {done})");
        sql_query(text).execute(conn).unwrap();
    };
    recover(conn, "NULL");
    assert_eq!(caution(conn, tenant, anna, hours(26)), Ok(None), "begun is not done");
    recover(conn, &format!("'{}'", hours(27).to_rfc3339()));
    assert_eq!(caution(conn, tenant, anna, hours(28)), until(hours(51)));
    bind(conn, hours(29), BoundBy::OlderDevice);
    assert_eq!(caution(conn, tenant, anna, hours(30)), until(hours(53)), "the later of both");
}
