//! Corrections of the books that wait for a second pair of eyes.

use actix_web::{HttpResponse, web};
use minijinja::{Value, context};
use serde::Deserialize;
use uuid::Uuid;

use super::super::ask::Halt;
use super::super::words::When;
use super::home::{Names, told};
use super::{Colleague, Desk};
use crate::books::{Adjustment, Transfer, amount_of};
use crate::payments::amount;
use crate::platform::money::EUR;
use crate::platform::text::{Arg, Lang, text};

/// Why it is rejected.
#[derive(Deserialize)]
pub(super) struct Rejection {
    text: String,
}

/// A proposal that waits.
pub(super) fn proposal(Colleague { ask, caller, .. }: &Colleague, it: &Adjustment, names: &Names) -> Value {
    let (zone, lang) = (caller.tenant.zone, ask.lang);
    let word = |id: &str| text(lang, &format!("page-staff-{id}"), &[]);
    let fact = |label: &str, words: String| context! { label => word(label), words };
    let mut facts = vec![
        fact("asked-reason", word(&format!("reason-{}", it.reason.word()))),
        fact("asked-words", it.words.clone()),
        fact(
            "asked-from",
            it.effective_at.map_or_else(|| word("asked-at-once"), |at| When::of(at, zone, lang).into_text()),
        ),
    ];
    facts.extend(it.transfers.iter().map(|transfer| fact("asked-move", moved(transfer, lang))));
    context! {
        id => it.id.to_string(),
        kind => "corrections",
        title => word("act-correction"),
        facts,
        letter => serde_json::to_string_pretty(&it.transfers).unwrap_or_default(),
        is_mine => it.proposed_eyes == caller.eyes(),
        by => names.get(&it.proposed_eyes).cloned(),
        number => it.proposed_by.to_string(),
        at => When::of(it.proposed_at, zone, lang),
        until => When::of(it.expires_at, zone, lang),
    }
}

/// What moves; of what is not money so many of its smallest unit.
fn moved(transfer: &Transfer, lang: Lang) -> String {
    let Transfer { debit, credit, amount: minor, asset, owing } = transfer;
    let euro = amount_of(minor).filter(|_| asset == EUR).map(|minor| amount(lang, minor, EUR));
    let (much, from, to) = (euro.unwrap_or_else(|| format!("{minor} {asset}")), debit.to_string(), credit.to_string());
    let values = [("much", Arg::Text(&much)), ("from", Arg::Text(&from)), ("to", Arg::Text(&to))];
    text(lang, if *owing { "page-staff-moved-owing" } else { "page-staff-moved" }, &values)
}

/// Approves a correction that somebody else proposed, and posts it.
pub(super) async fn approve(
    colleague: Colleague,
    desk: Desk,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Halt> {
    let approved = desk.books.approve(&colleague.caller, path.1).await.map(drop);
    told(&colleague, &desk, approved, "approved").await
}

/// Rejects it, and says why.
pub(super) async fn reject(
    colleague: Colleague,
    desk: Desk,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Rejection>,
) -> Result<HttpResponse, Halt> {
    let rejected = desk.books.reject(&colleague.caller, path.1, form.into_inner().text).await.map(drop);
    told(&colleague, &desk, rejected, "rejected").await
}
