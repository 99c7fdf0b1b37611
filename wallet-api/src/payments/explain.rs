//! A payment's postings in words: what moved, from where to where, by which rule and whose budget.

use ledger::{Posted, Record, RowKind};

use super::model::Instrument;
use super::paper::{Outcome, PaperReward, PaymentPaper};
use crate::loyalty::{Config, RewardKind, Rule};
use crate::platform::money::EUR;
use crate::platform::text::{Arg, Lang, text};

/// One line of an explanation.
pub(super) struct Line {
    /// The leg it explains; none for what did not happen.
    pub(super) leg: Option<i32>,
    /// In words.
    pub(super) words: String,
}

/// What explaining needs to know beside the payment itself.
pub(super) struct Names<'a> {
    pub(super) lang: Lang,
    pub(super) merchant: &'a str,
    pub(super) config: &'a Config,
    /// The rules that decided, as (campaign, version, rule).
    pub(super) rules: &'a [(uuid::Uuid, Rule)],
}

/// Explains a payment: one line for the payment, one per reward, one for what a final capture gave back.
pub(super) fn explain(record: &Record, paper: &PaymentPaper, names: &Names<'_>) -> Vec<Line> {
    let (transfers, dropped) = (record.body.transfers(), record.body.dropped());
    let mut lines = vec![Line { leg: Some(0), words: payment_words(paper, names) }];
    for (reward, outcome) in paper.outcomes(dropped) {
        let leg = match outcome {
            Outcome::Given { leg } => Some(leg),
            Outcome::TooSmall | Outcome::BudgetExhausted | Outcome::Paused | Outcome::NotPossible => None,
        };
        let posted = transfers.iter().find(|posted| Some(posted.leg) == leg);
        lines.push(Line { leg, words: reward_words(paper, reward, outcome, posted, names) });
    }
    // The money's: what is counted of it is given back behind it.
    let released = transfers.iter().find(|row| row.kind == RowKind::Void);
    lines.extend(released.into_iter().map(|row| {
        let amount = amount(names.lang, row.amount.minor, EUR);
        Line {
            leg: Some(row.leg),
            words: text(names.lang, "explain-payment-released", &[("amount", Arg::Text(&amount))]),
        }
    }));
    lines
}

fn payment_words(paper: &PaymentPaper, names: &Names<'_>) -> String {
    let amount = amount(names.lang, paper.amount_minor, EUR);
    let id = match paper.instrument {
        Instrument::Wallet => "explain-payment-wallet",
        Instrument::External { .. } => "explain-payment-external",
    };
    text(names.lang, id, &[("amount", Arg::Text(&amount)), ("merchant", Arg::Text(names.merchant))])
}

fn reward_words(
    paper: &PaymentPaper,
    reward: &PaperReward,
    outcome: Outcome,
    posted: Option<&Posted>,
    names: &Names<'_>,
) -> String {
    let given = amount(names.lang, posted.map_or(reward.minor, |posted| posted.amount.minor), &reward.asset);
    let paid = amount(names.lang, paper.amount_minor, EUR);
    let campaign = names.config.campaign(reward.campaign).map_or("?", |campaign| campaign.name.as_str());
    let rule = names.rules.iter().find(|(id, rule)| *id == reward.campaign && rule.version == reward.rule_version);
    let how = rule.map(|(_, rule)| rule_words(names.lang, reward.kind, rule)).unwrap_or_default();
    let version = reward.rule_version.to_string();
    let args = [
        ("amount", Arg::Text(&given)),
        ("paid", Arg::Text(&paid)),
        ("campaign", Arg::Text(campaign)),
        ("version", Arg::Text(&version)),
        ("rule", Arg::Text(&how)),
    ];
    let id = match outcome {
        Outcome::Given { .. } => "explain-reward-given",
        Outcome::TooSmall => "explain-reward-too-small",
        Outcome::BudgetExhausted => "explain-reward-budget-exhausted",
        Outcome::Paused => "explain-reward-paused",
        Outcome::NotPossible => "explain-reward-not-possible",
    };
    text(names.lang, id, &args)
}

fn rule_words(lang: Lang, kind: RewardKind, rule: &Rule) -> String {
    match kind {
        RewardKind::Cashback => {
            let percent = decimal(lang, i64::from(rule.cashback_bps), 2);
            match rule.cashback_cap {
                None => text(lang, "explain-rule-cashback", &[("percent", Arg::Text(&percent))]),
                Some(cap) => {
                    let cap = amount(lang, cap, EUR);
                    text(
                        lang,
                        "explain-rule-cashback-capped",
                        &[("percent", Arg::Text(&percent)), ("cap", Arg::Text(&cap))],
                    )
                }
            }
        }
        RewardKind::Points => text(lang, "explain-rule-points", &[("points", Arg::Count(rule.points_per_unit))]),
    }
}

/// Why a reward was not given, in words; none when it was.
pub(super) fn reason(lang: Lang, outcome: Outcome) -> Option<String> {
    let id = match outcome {
        Outcome::Given { .. } => return None,
        Outcome::TooSmall => "reward-amount-too-small",
        Outcome::BudgetExhausted => "reward-budget-exhausted",
        Outcome::Paused => "reward-campaign-paused",
        Outcome::NotPossible => "reward-not-possible",
    };
    Some(text(lang, id, &[]))
}

/// An amount as people write it: `€ 19,99` in Italian, `€19.99` in English, `19 pt`.
#[must_use]
pub fn amount(lang: Lang, minor: i64, asset: &str) -> String {
    if asset != EUR {
        return text(lang, "points", &[("count", Arg::Count(minor))]);
    }
    let figure = decimal(lang, minor, 2);
    match lang {
        Lang::It => format!("€ {figure}"),
        Lang::En => format!("€{figure}"),
    }
}

/// A whole number of 10^-scale units with the language's decimal sign.
fn decimal(lang: Lang, units: i64, scale: usize) -> String {
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale.saturating_add(1));
    let (whole, rest) = digits.split_at(digits.len().saturating_sub(scale));
    let sign = if units < 0 { "-" } else { "" };
    let point = match lang {
        Lang::It => ',',
        Lang::En => '.',
    };
    format!("{sign}{whole}{point}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_each_language_writes_them() {
        assert_eq!(amount(Lang::It, 1_999, EUR), "€ 19,99");
        assert_eq!(amount(Lang::En, 5, EUR), "€0.05");
        assert_eq!(decimal(Lang::En, 200, 2), "2.00");
        assert_eq!(decimal(Lang::It, -1, 2), "-0,01");
    }
}
