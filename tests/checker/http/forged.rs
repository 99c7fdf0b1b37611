//! What is read of the JSON counts: one number more, anywhere, is found.

use serde_json::json;
use tessera_tests::Dice;

use super::Run;
use super::telling::{Call, Heard};

/// Members of answers, by where they lie, that a node could lie about.
const TOLD: [&str; 10] = [
    "/transfers/0/leg",
    "/transfers/0/amount",
    "/transfers/0/debit/balance",
    "/transfers/0/credit/version",
    "/results/0/seq",
    "/balance",
    "/balance/amount",
    "/closing/amount",
    "/captured/amount",
    "/totals/0/held",
];

/// Says one more than was told, at each of them in turn.
pub fn assert_is_found(dice: &mut Dice, mut run: Run) {
    for member in TOLD {
        let is_told = |call: &Call| call.heard.first().is_some_and(|heard| number_at(heard, member).is_some());
        let places: Vec<_> = (0..run.calls.len()).filter(|place| is_told(&run.calls[*place])).collect();
        assert!(!places.is_empty(), "{member} was never told");
        let place = dice.pick(&places);
        let told = run.calls[place].clone();
        let heard = &mut run.calls[place].heard[0];
        let more = number_at(heard, member).unwrap() + 1;
        let value = heard.body.pointer_mut(member).unwrap();
        *value = if value.is_string() { json!(more.to_string()) } else { json!(more) };
        assert!(run.check().is_err(), "{member} of {told:?}: not found");
        run.calls[place] = told;
    }
    assert!(run.check().is_ok(), "what was forged was not put right");
}

fn number_at(heard: &Heard, member: &str) -> Option<i64> {
    let value = heard.body.pointer(member)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
