use chrono::TimeDelta;
use diesel::RunQueryDsl;

use super::*;
use crate::identity::passkeys::tests::Stage;
use crate::identity::sca::exemption::{Candidate, Decision};

fn low_value(valid_from: DateTime<Utc>) -> Rule {
    Rule::LowValue(exemption::Rule { valid_from, enabled: true, most_minor: 3_000, counter: Counter::Uses(5) })
}

fn synced(valid_from: DateTime<Utc>) -> Rule {
    Rule::Synced(SyncedRule { valid_from, most_minor: 1_000 })
}

/// Whether low value goes without strong authentication at a moment, and up to what a synced passkey suffices.
fn allowed(stage: &mut Stage, at: DateTime<Utc>) -> (bool, i64) {
    let (payment_id, payer_account) = (stage.ids.uuid_v7(at), stage.ids.uuid_v7(at));
    let candidate = Candidate { payment_id, payer_account, amount_minor: 1_000, currency: CURRENCY };
    let taken = exemption::take(&mut stage.conn, stage.tenant, &candidate, at).unwrap();
    let rule = store::synced_rule(&mut stage.conn, stage.tenant, CURRENCY, at).unwrap();
    (taken != Decision::Needed, rule.map_or(0, |rule| rule.most_minor))
}

#[test]
fn a_rule_begins_at_its_moment_and_what_is_switched_off_stays_off_past_those_that_were_to_begin() {
    let mut stage = Stage::new();
    let (day, tenant, by) = (stage.now, stage.tenant, Actor::Operator);
    let hours = |hours| day + TimeDelta::hours(hours);
    for rule in [low_value, synced] {
        for begins in [day, hours(48)] {
            publish(&mut stage.conn, day, by, tenant, rule(begins)).unwrap();
            assert!(matches!(publish(&mut stage.conn, day, by, tenant, rule(begins)), Err(RuleError::Taken)));
        }
    }
    assert_eq!(allowed(&mut stage, day - TimeDelta::microseconds(1)), (false, 0), "not yet");
    assert_eq!(allowed(&mut stage, day), (true, 1_000));
    for subject in [Subject::Exemption(Article::Rts16), Subject::Synced] {
        end(&mut stage.conn, hours(1), by, tenant, subject).unwrap();
    }
    assert_eq!(allowed(&mut stage, hours(1)), (false, 0));
    assert_eq!(allowed(&mut stage, hours(49)), (false, 0), "nor when the other would have begun");
    assert_eq!(allowed(&mut stage, hours(1) - TimeDelta::microseconds(1)), (true, 1_000), "what was, was");
    let kept = all(&mut stage.conn, tenant).unwrap();
    assert_eq!(kept.len(), 6);
    assert_eq!(kept.iter().filter(|one| one.withdrawn_at.is_some()).count(), 2);
    // Asked for anew, it is in force anew.
    publish(&mut stage.conn, hours(2), by, tenant, low_value(hours(2))).unwrap();
    assert_eq!(allowed(&mut stage, hours(49)), (true, 0));
}

#[test]
fn a_rule_whose_moment_has_passed_before_it_was_approved_never_begins() {
    let mut stage = Stage::new();
    let (now, tenant) = (stage.now, stage.tenant);
    for rule in [low_value, synced] {
        let late = publish(&mut stage.conn, now, Actor::Operator, tenant, rule(now - TimeDelta::microseconds(1)));
        assert!(matches!(late, Err(RuleError::Past)));
    }
    assert_eq!(all(&mut stage.conn, tenant).unwrap(), []);
}

#[test]
fn what_has_begun_nobody_withdraws() {
    let mut stage = Stage::new();
    let (now, tenant) = (stage.now, stage.tenant);
    for (rule, table) in [(low_value(now), "sca_exemption_rule"), (synced(now), "sca_policy")] {
        publish(&mut stage.conn, now, Actor::Operator, tenant, rule).unwrap();
        let withdraw = format!("UPDATE {table} SET withdrawn_at = valid_from");
        assert!(diesel::sql_query(withdraw).execute(&mut stage.conn).is_err(), "{table}");
    }
}
