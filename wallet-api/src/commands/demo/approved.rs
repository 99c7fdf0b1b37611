//! A payment that its payer approves, and the evidence of it, checked as anybody can.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use hyper::Method;
use serde_json::json;

use super::scene::{Scene, eur, same, text, whole};
use super::story::Cast;
use crate::commands::payer::{Payer, local_party};
use crate::platform::authenticator::Make;
use crate::platform::sealing::read_public_keys;
use crate::proofs::evidence::{self, Party};

/// How long the sealer may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The customer pays by themselves: shown, approved by a passkey, posted; then the evidence is checked with the log's public keys.
pub(super) async fn pays(scene: &mut Scene<'_>, cast: &Cast, tenant: i64, database_url: &str) -> anyhow::Result<()> {
    scene.page.step("The customer pays 4.40 euro themselves, and approves it with a passkey")?;
    let party = local_party()?;
    let who = (tenant, cast.customer.parse()?);
    let mut payer = Payer::enrol(&mut PgConnection::establish(database_url)?, &party, who, Make::DEVICE)?;
    let wish = json!({"merchant": cast.merchant, "amount": eur(440)});
    let asked = scene.as_person(&payer.token, Method::POST, "/v1/me/payments", Some(&wish)).await?;
    let asked = asked.done().context("POST /v1/me/payments")?;
    scene.page.say(&format!(
        "Shown: {} {} to {}. What is signed is the hash of this and nothing else.",
        text(&asked, "/offer/confirmation/total/value")?,
        text(&asked, "/offer/payload/currency")?,
        text(&asked, "/offer/payload/payee_name_shown")?
    ))?;
    let path = format!("/v1/me/payments/{}", text(&asked, "/id")?);
    let (approval, approved) = (format!("{path}/approval"), payer.approve(&asked)?);
    let paid = scene.as_person(&payer.token, Method::POST, &approval, Some(&approved)).await?;
    let paid = paid.done().context("POST /v1/me/payments/{id}/approval")?;
    scene.will_be_told(whole(&paid, "/seq")?);
    same("what became of it", &*text(&paid, "/status")?, "paid")?;
    scene.now_holds(4_000, 179, 109).await?;
    let again = scene.as_person(&payer.token, Method::POST, &approval, Some(&approved)).await?.done()?;
    same("the answer to the same approval, sent again", &again, &paid)?;
    let until = Instant::now().checked_add(PATIENCE).context("no such time")?;
    let evidence = loop {
        let reply = scene.as_person(&payer.token, Method::GET, &format!("{path}/evidence"), None).await?;
        if reply.status != 202 {
            break reply.done().context("GET the evidence")?;
        }
        anyhow::ensure!(Instant::now() < until, "the record was not sealed in time");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let told = scene.get("/v1/ledger/keys", "en").await?;
    let lines = told.pointer("/keys").and_then(|keys| keys.as_array()).context("no keys")?;
    let lines: Vec<String> = lines.iter().map(|key| text(key, "/line")).collect::<Result<_, _>>()?;
    let keys = read_public_keys(&lines.join("\n")).map_err(|line| anyhow::anyhow!("line {line} is no key"))?;
    let ours = Party { id: party.id().to_owned(), origins: party.origins().to_vec() };
    let checked = evidence::check(evidence.to_string().as_bytes(), &keys, Some(ours))?;
    same("whether the evidence says that it was paid", checked.is_paid, true)?;
    scene.page.say(&format!(
        "Its evidence holds, offline: the passkey's key signed this payload, record {} names it, and the log is signed.",
        checked.receipt.leaf.header.seq
    ))?;
    Ok(())
}
