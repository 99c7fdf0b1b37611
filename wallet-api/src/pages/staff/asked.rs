//! What somebody asked for, as whoever decides it reads it.

use chrono_tz::Tz;
use minijinja::{Value, context};
use serde_json::Value as Json;

use super::super::words::When;
use crate::identity::four_eyes::{Act, Proposal};
use crate::payments::amount;
use crate::platform::money::EUR;
use crate::platform::text::{Arg, Lang, text};

const LEVELS: [&str; 4] = ["T0", "T1", "T2", "T3"];
const LIMITS: [&str; 4] = ["stored", "payment", "day", "month"];

/// The heading: the act, of a refund with its amount.
pub(super) fn title(it: &Proposal, lang: Lang) -> String {
    let minor = it.asked().get("amount_minor").and_then(Json::as_i64).unwrap_or_default();
    let amount = amount(lang, minor, EUR);
    text(lang, &format!("page-staff-act-{}", it.act.word()), &[("amount", Arg::Text(&amount))])
}

/// On what, and all of it that whoever decides has to weigh: pairs of a label and words.
pub(super) fn facts(it: &Proposal, zone: Tz, lang: Lang) -> Vec<Value> {
    let word = |id: &str| text(lang, &format!("page-staff-asked-{id}"), &[]);
    let fact = |label: String, words: String| context! { label, words };
    let id = it.object.split_once(':').map_or(it.object.as_str(), |(_, id)| id).to_owned();
    match it.act {
        Act::Refund => vec![fact(word("payment"), id)],
        Act::Erasure => vec![fact(word("person"), id)],
        Act::Limits => {
            let asked = it.asked();
            let from = asked.get("valid_from").and_then(Json::as_str).and_then(|at| at.parse().ok());
            let from = from.map_or_else(|| word("at-once"), |at| When::of(at, zone, lang).into_text());
            let mut facts = vec![fact(word("from"), from)];
            match asked.get("levels").filter(|levels| levels.is_object()) {
                Some(levels) => {
                    let of = |level: &&str| fact((*level).to_owned(), allowed(levels.get(*level), lang));
                    facts.extend(LEVELS.iter().map(of));
                }
                None => facts.push(fact(word("levels"), word("law"))),
            }
            facts
        }
    }
}

/// What a level may hold and pay; what is absent has no limit.
fn allowed(level: Option<&Json>, lang: Lang) -> String {
    let limit = |limit: &str| {
        let minor = level.and_then(|level| level.get(format!("{limit}_minor"))).and_then(Json::as_i64);
        let most = minor.map_or_else(|| text(lang, "page-staff-limit-none", &[]), |minor| amount(lang, minor, EUR));
        text(lang, &format!("page-staff-limit-{limit}"), &[("most", Arg::Text(&most))])
    };
    LIMITS.map(limit).join("; ")
}
