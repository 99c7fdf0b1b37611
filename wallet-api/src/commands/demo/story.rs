//! The story, step by step. Every figure in it is expected to the cent; the first that differs ends it.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::approved;
use super::listener::{Hook, Listener};
use super::page::euro;
use super::scene::{Answered, Scene, digits, eur, same, text, whole};
use crate::commands::verify::{Trusted, verify_database};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Cents the customer tops up.
const TOP_UP: i64 = 10_000;
/// Cents in the campaign's budget: two rewards of the story fit, the third does not.
const BUDGET: i64 = 200;
/// How long a hook or a follower may take before the story gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look again at what a follower is about to do.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Names a shop may have.
const SHOPS: [&str; 5] =
    ["Libreria del Porto", "Forno del Borgo", "Emporio Centrale", "Mercato Coperto", "Ferramenta della Piazza"];

/// Who played, for whoever plays on.
pub(super) struct Cast {
    pub(super) customer: String,
    pub(super) merchant: String,
    pub(super) campaign: String,
    /// The endpoint that the demo listens at.
    pub(super) endpoint: String,
}

/// Tells the whole story.
pub(super) async fn tell(
    scene: &mut Scene<'_>,
    listener: &mut Listener,
    (number, tenant): (i64, &str),
    database_url: &str,
) -> anyhow::Result<Cast> {
    scene.page.title("Tessera: a payment, its reward and its hook, in one set of books")?;
    let (customer, merchant) = people(scene, tenant).await?;
    let campaign = campaign(scene).await?;
    let endpoint = endpoint(scene, listener).await?;
    let cast = Cast { customer, merchant, campaign, endpoint };
    top_up(scene, &cast).await?;
    quote(scene, &cast).await?;
    let (key, body, paid) = first_payment(scene, &cast).await?;
    explained(scene, &paid).await?;
    once_more(scene, key, &body, &paid).await?;
    by_card(scene, &cast).await?;
    overspend(scene, &cast).await?;
    exhausted(scene, &cast).await?;
    approved::pays(scene, &cast, number, database_url).await?;
    card(scene, &cast).await?;
    hooks(scene, listener).await?;
    books(scene, tenant, database_url).await?;
    Ok(cast)
}

async fn people(scene: &mut Scene<'_>, tenant: &str) -> anyhow::Result<(String, String)> {
    scene.page.step("A customer and a shop")?;
    let shop = pick(&scene.ids, &SHOPS)?;
    let reference = format!("c-{:04}", scene.ids.random_u64() % 10_000);
    let customer = text(&scene.post("/v1/customers", &json!({"reference": reference})).await?, "/id")?;
    let merchant = text(&scene.post("/v1/merchants", &json!({"reference": "shop-1", "name": shop})).await?, "/id")?;
    scene.follow(&customer);
    scene.page.say(&format!("In the sandbox {tenant}: customer {reference}, and the shop {shop}."))?;
    scene.now_holds(0, 0, 0).await?;
    Ok((customer, merchant))
}

async fn campaign(scene: &mut Scene<'_>) -> anyhow::Result<String> {
    scene.page.step("A campaign with a small budget")?;
    let programme = scene.post("/v1/programmes", &json!({"code": "club", "name": "Club"})).await?;
    let rule = json!({"cashback_bps": 200, "points_per_euro": 1});
    let wish = json!({"programme": text(&programme, "/id")?, "name": "Primavera", "rule": rule});
    let campaign = text(&scene.post("/v1/campaigns", &wish).await?, "/id")?;
    let fund = format!("/v1/campaigns/{campaign}/fund");
    scene.post(&fund, &json!({"amount": eur(BUDGET)})).await?;
    scene.post(&fund, &json!({"amount": {"amount": "10000", "asset": "PTS:club"}})).await?;
    scene.page.say(&format!(
        "Primavera gives 2 % cashback and 1 point for each whole euro, both rounded down. Its budget is paid in \
         advance: {} euro and 10000 points. The budget is an account that cannot go below zero.",
        euro(BUDGET)
    ))?;
    Ok(campaign)
}

async fn endpoint(scene: &mut Scene<'_>, listener: &mut Listener) -> anyhow::Result<String> {
    scene.page.step("A listener for hooks")?;
    let wish = json!({"url": listener.url(), "event_types": ["*"]});
    let added = scene.post("/v1/hook-endpoints", &wish).await?;
    listener.trust(&text(&added, "/secret")?)?;
    scene.page.say(&format!(
        "{} is registered for every event, and holds the secret that signs its hooks.",
        listener.url()
    ))?;
    text(&added, "/id")
}

async fn top_up(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step(&format!("Top-up of {} euro by bank transfer", euro(TOP_UP)))?;
    let wish = json!({"customer": cast.customer, "amount": eur(TOP_UP), "rail": "bank_transfer"});
    scene.post("/v1/top-ups", &wish).await?;
    scene.now_holds(TOP_UP, 0, 0).await
}

async fn quote(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step("What would 35.60 euro earn? (nothing is written)")?;
    let quote = scene.post("/v1/quotes", &json!({"merchant": cast.merchant, "amount": eur(3_560)})).await?;
    let (cashback, points) = rewards(&quote)?;
    same("the cashback", &*cashback, "71 EUR")?;
    same("the points", &*points, "35 PTS:club")?;
    scene.page.say("0.71 euro of cashback and 35 points, by the very rule that would decide.")?;
    scene.now_holds(TOP_UP, 0, 0).await
}

async fn first_payment(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<(Uuid, Value, Value)> {
    scene.page.step("A payment of 35.60 euro from the wallet")?;
    let order = format!("order-{:04}", scene.ids.random_u64() % 10_000);
    let mut body = payment(cast, 3_560, &json!({"kind": "wallet"}));
    if let Some(object) = body.as_object_mut() {
        object.insert("reference".into(), json!(order));
    }
    let key = scene.key();
    let paid = scene.pay(key, &body).await?;
    let seq = whole(&paid, "/seq")?;
    same("what became of the rewards", outcomes(&paid)?, vec!["given".into(), "given".into()])?;
    scene.page.say(&format!(
        "Money, cashback and points are one transaction, record {seq} of the books: all of it happened, or none."
    ))?;
    scene.now_holds(6_440, 71, 35).await?;
    Ok((key, body, paid))
}

async fn explained(scene: &mut Scene<'_>, paid: &Value) -> anyhow::Result<()> {
    scene.page.step("The same payment in words, in English and in Italian")?;
    let payment = text(paid, "/id")?;
    for lang in ["en", "it"] {
        let lines = scene.explain(&payment, lang).await?;
        same("the number of lines", lines.len(), 3)?;
        for line in lines {
            scene.page.item(&line)?;
        }
    }
    Ok(())
}

async fn once_more(scene: &mut Scene<'_>, key: Uuid, body: &Value, paid: &Value) -> anyhow::Result<()> {
    scene.page.step("The same request again, with the same Idempotency-Key")?;
    let again = scene.ask("/v1/payments", key, body).await?.reply.done()?;
    same("the answer to the repeated request", &again, paid)?;
    scene.page.say(&format!("The same answer, record {} again. Nothing moved.", whole(&again, "/seq")?))?;
    scene.now_holds(6_440, 71, 35).await
}

async fn by_card(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step("A payment of 50.00 euro with a card from outside")?;
    let body = payment(cast, 5_000, &json!({"kind": "external", "rail": "card"}));
    let paid = scene.pay(scene.key(), &body).await?;
    same("what became of the rewards", outcomes(&paid)?, vec!["given".into(), "given".into()])?;
    scene.page.say("The wallet pays nothing, and the payment earns all the same: 1.00 euro and 50 points.")?;
    scene.now_holds(6_440, 171, 85).await
}

async fn overspend(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step("A payment of 80.00 euro, with 64.40 in the wallet")?;
    let body = payment(cast, 8_000, &json!({"kind": "wallet"}));
    let key = scene.key();
    let Answered { reply, at } = scene.ask("/v1/payments", key, &body).await?;
    same("the status", reply.status, 422)?;
    same("the code", &*text(&reply.body, "/code")?, "insufficient-funds")?;
    scene.to_be_told.push((whole(&reply.body, "/seq")?, at));
    let again = scene.ask("/v1/payments", key, &body).await?.reply;
    same("the answer to the repeated request", &again.body, &reply.body)?;
    scene.page.say(&format!(
        "Refused for good ({}): \"{}. {}\" The same key gives the same refusal for ever, even after a top-up.",
        text(&reply.body, "/code")?,
        text(&reply.body, "/title")?,
        text(&reply.body, "/detail")?
    ))?;
    scene.now_holds(6_440, 171, 85).await
}

async fn exhausted(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step("A payment of 20.00 euro, with 0.29 left in the budget")?;
    let left = scene.get(&format!("/v1/campaigns/{}", cast.campaign), "en").await?;
    same("what is left in the budget", digits(&left, "/budget/0/amount")?, 29)?;
    let body = payment(cast, 2_000, &json!({"kind": "wallet"}));
    let paid = scene.pay(scene.key(), &body).await?;
    same("what became of the rewards", outcomes(&paid)?, vec!["budget-exhausted".into(), "given".into()])?;
    scene.page.say("The payment goes through. Its 0.40 euro of cashback does not fit, and it says so:")?;
    let payment = text(&paid, "/id")?;
    for lang in ["en", "it"] {
        let lines = scene.explain(&payment, lang).await?;
        scene.page.item(lines.get(1).context("an explanation without its second line")?)?;
    }
    scene.now_holds(4_440, 171, 105).await
}

async fn card(scene: &mut Scene<'_>, cast: &Cast) -> anyhow::Result<()> {
    scene.page.step("The customer's card, as the till sees it")?;
    let deadline = Instant::now().checked_add(PATIENCE).context("no such time")?;
    let card = loop {
        let card = scene.get(&format!("/v1/customers/{}/card", cast.customer), "en").await?;
        // The counters follow the journal by some milliseconds.
        if whole(&card, "/payments")? >= 4 || Instant::now() > deadline {
            break card;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let (payments, paid, last) =
        (whole(&card, "/payments")?, digits(&card, "/paid/amount")?, digits(&card, "/last_payment/amount/amount")?);
    same("the card", (payments, paid, last), (4, 11_000, 440))?;
    scene.page.say(&format!("{payments} payments, {} euro in all; the last was {} euro.", euro(paid), euro(last)))?;
    Ok(())
}

async fn hooks(scene: &mut Scene<'_>, listener: &mut Listener) -> anyhow::Result<()> {
    scene.page.step("The hooks: told by the journal, signed, checked")?;
    let mut came: Vec<Hook> = Vec::new();
    while let Some((seq, _)) = scene.to_be_told.iter().find(|(seq, _)| came.iter().all(|hook| hook.seq != *seq)) {
        let arrival = listener.next_within(PATIENCE).await.with_context(|| format!("record {seq} was not told"))?;
        came.push(listener.check(&arrival, Clock::System.now())?);
    }
    for (seq, answered) in &scene.to_be_told {
        let hook = came.iter().find(|hook| hook.seq == *seq).context("a hook is missing")?;
        scene.page.say(&format!("record {seq:>3}  {}  signature good  {}", hook.kind, after(hook.at, *answered)))?;
    }
    scene.page.say("Times run from the answer of the committed payment to the hook's last byte.")?;
    Ok(())
}

/// How long after the answer the hook was here; both leave right after the commit, and the hook may win.
fn after(hook: Instant, answered: Instant) -> String {
    let (word, apart) = match hook.cmp(&answered) {
        Ordering::Less => ("before", answered.duration_since(hook)),
        Ordering::Equal | Ordering::Greater => ("after", hook.duration_since(answered)),
    };
    let tenths = apart.as_micros().div_ceil(100);
    format!("{}.{} ms {word}", tenths.div_euclid(10), tenths.rem_euclid(10))
}

async fn books(scene: &mut Scene<'_>, tenant: &str, database_url: &str) -> anyhow::Result<()> {
    scene.page.step("The books, derived again from their rows (tessera verify)")?;
    let (url, slug) = (database_url.to_owned(), tenant.to_owned());
    let verified =
        tokio::task::spawn_blocking(move || verify_database(&url, Some(&slug), &Trusted::default())).await??;
    let mut words = Vec::new();
    verified.print(&mut words)?;
    for line in String::from_utf8_lossy(&words).lines() {
        scene.page.say(line)?;
    }
    same("whether the books are whole", verified.ok, true)
}

fn payment(cast: &Cast, minor: i64, instrument: &Value) -> Value {
    json!({"customer": cast.customer, "merchant": cast.merchant, "amount": eur(minor), "instrument": instrument})
}

/// What became of each reward of a payment, cashback first.
fn outcomes(paid: &Value) -> anyhow::Result<Vec<String>> {
    let rewards = paid.get("rewards").and_then(Value::as_array).context("a payment without rewards")?;
    rewards.iter().map(|reward| text(reward, "/outcome")).collect()
}

/// The cashback and the points of a quote, as `71 EUR`.
fn rewards(quote: &Value) -> anyhow::Result<(String, String)> {
    let of = |n: usize| -> anyhow::Result<String> {
        let amount = format!("/rewards/{n}/amount");
        Ok(format!("{} {}", text(quote, &format!("{amount}/amount"))?, text(quote, &format!("{amount}/asset"))?))
    };
    Ok((of(0)?, of(1)?))
}

fn pick<'a>(ids: &Ids, names: &[&'a str]) -> anyhow::Result<&'a str> {
    let count = u64::try_from(names.len())?;
    let at = ids.random_u64().checked_rem(count).context("no name to pick from")?;
    names.get(usize::try_from(at)?).copied().context("no such name")
}
