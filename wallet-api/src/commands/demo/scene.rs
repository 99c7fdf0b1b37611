//! What every step of the story needs: requests that must come out as expected, and balances before and after.

use std::fmt::Debug;
use std::time::Instant;

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::page::{Balances, Page};
use crate::commands::client::{Client, Reply};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Where the story has come to.
pub(super) struct Scene<'a> {
    /// Where it is told.
    pub(super) page: Page<'a>,
    /// The seed's choices; no secrets.
    pub(super) ids: Ids,
    client: Client,
    customer: String,
    balances: Balances,
    /// Records of which hooks are to tell, each with the moment its answer was here.
    pub(super) to_be_told: Vec<(i64, Instant)>,
}

/// An answer, and when it was here.
pub(super) struct Answered {
    pub(super) reply: Reply,
    pub(super) at: Instant,
}

impl<'a> Scene<'a> {
    pub(super) fn new(client: Client, ids: Ids, page: Page<'a>) -> Self {
        let (customer, balances) = (String::new(), Balances::default());
        Self { page, ids, client, customer, balances, to_be_told: Vec::new() }
    }

    /// From here on the balances shown are this customer's.
    pub(super) fn follow(&mut self, customer: &str) {
        customer.clone_into(&mut self.customer);
    }

    /// An Idempotency-Key.
    pub(super) fn key(&self) -> Uuid {
        self.ids.uuid_v7(Clock::System.now())
    }

    /// POSTs under a key and takes whatever is answered.
    pub(super) async fn ask(&self, path: &str, key: Uuid, body: &Value) -> anyhow::Result<Answered> {
        let reply = self.client.post(path, key, body).await?;
        Ok(Answered { reply, at: Instant::now() })
    }

    /// POSTs under a new key and insists on success.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let Answered { reply, .. } = self.ask(path, self.key(), body).await?;
        reply.done().with_context(|| format!("POST {path}"))
    }

    /// GETs in a language and insists on success.
    pub(super) async fn get(&self, path: &str, lang: &str) -> anyhow::Result<Value> {
        let reply = self.client.call(Method::GET, path, None, lang).await?;
        reply.done().with_context(|| format!("GET {path}"))
    }

    /// Pays, insists on success, and remembers that a hook is to tell of it.
    pub(super) async fn pay(&mut self, key: Uuid, body: &Value) -> anyhow::Result<Value> {
        let Answered { reply, at } = self.ask("/v1/payments", key, body).await?;
        let paid = reply.done().context("POST /v1/payments")?;
        self.to_be_told.push((whole(&paid, "/seq")?, at));
        Ok(paid)
    }

    /// Asks in a person's session, and takes whatever is answered.
    pub(super) async fn as_person(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        self.client.with_key(token).call(method, path, body.map(|body| (self.key(), body)), "en").await
    }

    /// Remembers that a hook is to tell of a record whose answer has just come.
    pub(super) fn will_be_told(&mut self, seq: i64) {
        self.to_be_told.push((seq, Instant::now()));
    }

    /// Shows the balances before and after what has just happened, and insists on what they should be.
    pub(super) async fn now_holds(&mut self, wallet: i64, cashback: i64, points: i64) -> anyhow::Result<()> {
        let (before, after) = (self.balances, self.read_balances().await?);
        self.page.balances(before, after)?;
        self.balances = after;
        same("the balances", after, Balances { wallet, cashback, points })
    }

    async fn read_balances(&self) -> anyhow::Result<Balances> {
        let body = self.get(&format!("/v1/customers/{}/balances", self.customer), "en").await?;
        let rows = body.get("balances").and_then(Value::as_array).context("an answer without balances")?;
        let of = |account: &str| {
            let row = rows.iter().find(|row| row.get("account").and_then(Value::as_str) == Some(account));
            row.map_or(Ok(0), |row| digits(row, "/balance/amount"))
        };
        Ok(Balances { wallet: of("available")?, cashback: of("cashback")?, points: of("points:club")? })
    }

    /// A payment's explanation in a language, one line for each posting.
    pub(super) async fn explain(&mut self, payment: &str, lang: &str) -> anyhow::Result<Vec<String>> {
        let body = self.get(&format!("/v1/payments/{payment}/explanation"), lang).await?;
        let lines = body.get("lines").and_then(Value::as_array).context("an explanation without lines")?;
        lines.iter().map(|line| text(line, "/words")).collect()
    }
}

/// Cents of euro as the API takes them.
pub(super) fn eur(minor: i64) -> Value {
    json!({"amount": minor.to_string(), "asset": "EUR"})
}

/// The text at a pointer.
pub(super) fn text(body: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = body.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("an answer without {pointer}: {body}"))?.to_owned())
}

/// The whole number at a pointer.
pub(super) fn whole(body: &Value, pointer: &str) -> anyhow::Result<i64> {
    body.pointer(pointer).and_then(Value::as_i64).with_context(|| format!("an answer without {pointer}: {body}"))
}

/// The minor units written as digits at a pointer.
pub(super) fn digits(body: &Value, pointer: &str) -> anyhow::Result<i64> {
    Ok(text(body, pointer)?.parse()?)
}

/// Ends the story when something is not as it should be.
pub(super) fn same<T: Debug + PartialEq>(what: &str, is: T, should_be: T) -> anyhow::Result<()> {
    anyhow::ensure!(is == should_be, "this did not come out as expected: {what} is {is:?}, should be {should_be:?}");
    Ok(())
}
