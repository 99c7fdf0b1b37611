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
const SCA_RULES: [&str; 2] = ["rts-16", "synced-passkey"];
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
    let from = |asked: &Json| {
        let from = asked.get("valid_from").and_then(Json::as_str).and_then(|at| at.parse().ok());
        from.map_or_else(|| word("at-once"), |at| When::of(at, zone, lang).into_text())
    };
    let id = it.object.split_once(':').map_or(it.object.as_str(), |(_, id)| id).to_owned();
    match it.act {
        Act::Refund => vec![fact(word("payment"), id)],
        Act::Erasure => vec![fact(word("person"), id)],
        Act::Limits => {
            let asked = it.asked();
            let mut facts = vec![fact(word("from"), from(&asked))];
            match asked.get("levels").filter(|levels| levels.is_object()) {
                Some(levels) => {
                    let of = |level: &&str| fact((*level).to_owned(), allowed(levels.get(*level), lang));
                    facts.extend(LEVELS.iter().map(of));
                }
                None => facts.push(fact(word("levels"), word("law"))),
            }
            facts
        }
        Act::ScaRule => {
            let asked = it.asked();
            let mut facts = vec![fact(word("from"), from(&asked))];
            for rule in SCA_RULES {
                if let Some(allow) = asked.get("allow").and_then(|allow| allow.get(rule)) {
                    facts.push(fact(word(&format!("rule-{rule}")), ruled(allow, lang)));
                }
            }
            facts
        }
    }
}

/// What a rule of strong authentication allows.
fn ruled(allow: &Json, lang: Lang) -> String {
    let number = |member: &str| allow.get(member).and_then(Json::as_i64);
    let money = |member: &str| number(member).map(|minor| amount(lang, minor, EUR));
    let most = money("most_minor").map(|most| text(lang, "page-staff-rule-most", &[("most", Arg::Text(&most))]));
    let total =
        money("most_total_minor").map(|most| text(lang, "page-staff-rule-total", &[("most", Arg::Text(&most))]));
    let uses = number("most_uses").map(|uses| uses.to_string());
    let uses = uses.map(|uses| text(lang, "page-staff-rule-uses", &[("uses", Arg::Text(&uses))]));
    [most, total, uses].into_iter().flatten().collect::<Vec<_>>().join("; ")
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
