//! Paying a merchant out of one's own wallet: what is to be paid, its approval by a passkey, and what became of it.
//!
//! A merchant's link or QR code leads to [`show`] with merchant, amount in cents and its order. Going on keeps the payment and
//! puts it to its payer; the same key, which the page made, leads to the same payment, so a page that is sent twice pays once.
//! What is shown is what is signed: both are the offer's payload.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use data_encoding::BASE64URL_NOPAD;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use super::ask::{Halt, Visitor};
use super::device;
use super::frame::Frame;
use super::words::When;
use crate::identity::sca::Method;
use crate::loyalty::Grant;
use crate::payments::own::{Intended, Offered, Own, OwnWish, PayersAnswer, Stands};
use crate::payments::{Payments, amount};
use crate::platform::books::{describe_refusal, request_key};
use crate::platform::fields::text;
use crate::platform::http::IdempotencyKey;
use crate::platform::money::EUR;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::platform::webauthn::Assertion;

/// Payments on a page.
const PER_PAGE: u16 = 20;
/// The most that the journal moves, in cents.
const MOST: i64 = ledger::MAX_AMOUNT;

/// What is to be paid, as a merchant's link says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bill {
    merchant: Uuid,
    /// Cents.
    amount: i64,
    #[serde(default)]
    reference: String,
}

/// The same, under a key of the page that was sent.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    merchant: Uuid,
    amount: i64,
    #[serde(default)]
    reference: String,
    key: Uuid,
}

/// What a passkey answered, and what was asked: to ask again.
#[derive(Deserialize)]
pub(super) struct Answer {
    offer: Uuid,
    response: String,
    /// The device's signature over the payload, by the browser's key.
    #[serde(default)]
    device: String,
    merchant: Uuid,
    amount: i64,
    #[serde(default)]
    reference: String,
    key: Uuid,
}

impl Bill {
    fn wish(&self) -> Result<OwnWish, Problem> {
        if !(1..=MOST).contains(&self.amount) {
            let remedy = "Amounts are whole cents, from 1 on.";
            return Err(Problem::new(422, "amount-invalid", "The amount cannot be moved", remedy));
        }
        let reference = Some(self.reference.clone()).filter(|reference| !reference.is_empty());
        let reference = reference.map(|reference| text(reference, "/reference", 1..=100)).transpose()?;
        Ok(OwnWish { merchant: self.merchant, amount_minor: self.amount, reference })
    }

    /// The page's address below the tenant's.
    fn page(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("merchant", &self.merchant.to_string()).append_pair("amount", &self.amount.to_string());
        if !self.reference.is_empty() {
            query.append_pair("reference", &self.reference);
        }
        format!("/pay?{}", query.finish())
    }

    /// What a form sends again.
    fn fields(&self, key: Uuid) -> Value {
        context! {
            merchant => self.merchant.to_string(),
            amount => self.amount.to_string(),
            reference => self.reference.clone(),
            key => key.to_string(),
        }
    }
}

/// What is to be paid, before anything is kept.
pub(super) async fn show(
    visitor: Visitor,
    payments: web::Data<Payments>,
    bill: web::Query<Bill>,
) -> Result<HttpResponse, Halt> {
    let bill = bill.into_inner();
    visitor.is_there(&bill.page())?;
    bill.wish()?;
    let Visitor { ask, caller, .. } = &visitor;
    let merchant = payments.merchants.get(&ask.platform, caller.tenant.id, bill.merchant).await?;
    let key = ask.platform.ids.uuid_v7(ask.platform.clock.now());
    let values = context! {
        payee => merchant.name.clone(),
        amount => amount(ask.lang, bill.amount, EUR),
        reference => bill.reference.clone(),
        fields => bill.fields(key),
    };
    page(&visitor, StatusCode::OK, "pay.html", values)
}

fn page(visitor: &Visitor, status: StatusCode, template: &str, values: Value) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = visitor;
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status }.page(template, values)?)
}

/// Keeps the payment and puts it to its payer.
pub(super) async fn intend(
    visitor: Visitor,
    payments: web::Data<Payments>,
    form: web::Form<Wish>,
) -> Result<HttpResponse, Halt> {
    let Wish { merchant, amount, reference, key } = form.into_inner();
    let bill = Bill { merchant, amount, reference };
    visitor.is_there(&bill.page())?;
    let wish = bill.wish()?;
    let (own, offered) = offer(&visitor, &payments, (&bill, key), &wish).await?;
    match offered {
        Some(offered) => approval(&visitor, (&bill, key), &own.intended, &offered),
        None => Ok(visitor.on_to(&format!("/payments/{}", own.intended.id))),
    }
}

async fn offer(
    visitor: &Visitor,
    payments: &Payments,
    (bill, key): (&Bill, Uuid),
    wish: &OwnWish,
) -> Result<(Own, Option<Offered>), Halt> {
    let Visitor { caller, me, .. } = visitor;
    let key = IdempotencyKey::in_path(&key.to_string())?;
    let key = request_key(caller, &key, "/my/pay", json!(bill).to_string().as_bytes());
    Ok(payments.intend(&caller.tenant, *me, key, wish).await?)
}

/// The page that shows what is signed.
fn approval(
    visitor: &Visitor,
    (bill, key): (&Bill, Uuid),
    intended: &Intended,
    offered: &Offered,
) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = visitor;
    let (payload, zone) = (&offered.offer.payload, caller.tenant.zone);
    let values = context! {
        id => intended.id.to_string(),
        offer => offered.offer.id.to_string(),
        device => device::of(visitor.me.id),
        options => offered.options(ask.doors()?.party()?).0.to_string(),
        payee => payload.payee_name_shown.clone(),
        payee_id => payload.payee_id.clone(),
        amount => amount(ask.lang, intended.amount_minor, EUR),
        reference => bill.reference.clone(),
        until => When::of(offered.offer.expires_at, zone, ask.lang),
        earns => earns(ask.lang, &offered.earns),
        fields => bill.fields(key),
    };
    page(visitor, StatusCode::OK, "approve.html", values)
}

/// What it would earn, in words; what would not be borne by its budget is left out.
fn earns(lang: Lang, grants: &[(Grant, bool)]) -> Vec<String> {
    let given = grants.iter().filter(|(grant, is_funded)| *is_funded && grant.minor > 0);
    given.map(|(grant, _)| amount(lang, grant.minor, &grant.asset_code)).collect()
}

/// Judges the passkey's answer, and pays what it approves.
pub(super) async fn approve(
    visitor: Visitor,
    payments: web::Data<Payments>,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Answer>,
) -> Result<HttpResponse, Halt> {
    let Answer { offer, response, device, merchant, amount, reference, key } = form.into_inner();
    let (bill, id) = (Bill { merchant, amount, reference }, path.1);
    visitor.is_there(&bill.page())?;
    let Ok(assertion) = Assertion::from_json(response.as_bytes()) else {
        let news = if response.is_empty() { "page-no-script" } else { "page-pay-refused-detail" };
        return not_approved(&visitor, (&bill, key), news);
    };
    // What is no signature proves nothing, and is judged as one that is wrong.
    let signature = Some(device).filter(|device| !device.is_empty());
    let device_signature = signature.map(|text| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default());
    let answer = PayersAnswer { offer, method: Method::Passkey, assertion, device_signature };
    let party = visitor.ask.doors()?.party()?;
    let approved = payments.approve(&visitor.caller.tenant, visitor.me, party, id, answer).await;
    match approved {
        Ok(own) => Ok(visitor.on_to(&format!("/payments/{}", own.intended.id))),
        Err(problem) => match problem.code() {
            "approval-refused" => not_approved(&visitor, (&bill, key), "page-pay-refused-detail"),
            "device-needed" => not_approved(&visitor, (&bill, key), "page-pay-device-detail"),
            _ => Err(problem.into()),
        },
    }
}

fn not_approved(visitor: &Visitor, (bill, key): (&Bill, Uuid), why: &str) -> Result<HttpResponse, Halt> {
    let values = context! { why, fields => bill.fields(key) };
    page(visitor, StatusCode::FORBIDDEN, "not_approved.html", values)
}

/// What became of a payment.
pub(super) async fn outcome(
    visitor: Visitor,
    payments: web::Data<Payments>,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Halt> {
    visitor.is_there(&format!("/payments/{}", path.1))?;
    let own = payments.own(&visitor.caller.tenant, visitor.me, path.1).await?;
    let values = context! { payment => line(&visitor, &own) };
    page(&visitor, StatusCode::OK, "payment.html", values)
}

/// One's own payments, newest first.
pub(super) async fn list(visitor: Visitor, payments: web::Data<Payments>) -> Result<HttpResponse, Halt> {
    visitor.is_there("/payments")?;
    let mut owns = payments.owns(&visitor.caller.tenant, visitor.me, None, PER_PAGE).await?;
    owns.truncate(usize::from(PER_PAGE));
    let values = context! { payments => owns.iter().map(|own| line(&visitor, own)).collect::<Vec<_>>() };
    page(&visitor, StatusCode::OK, "payments.html", values)
}

fn line(visitor: &Visitor, Own { intended, stands }: &Own) -> Value {
    let Visitor { ask, caller, .. } = visitor;
    let (stand, why, seq) = match stands {
        Stands::Waiting => ("waiting", None, None),
        Stands::Expired => ("expired", None, None),
        Stands::Agreed => ("agreed", None, None),
        Stands::Paid(paid) => ("paid", None, Some(paid.answer.record.seq)),
        Stands::Refused { refusal, seq } => {
            ("refused", Some(describe_refusal(refusal, *seq).body(ask.lang).title), Some(*seq))
        }
        Stands::Lapsed { seq } => ("lapsed", None, Some(*seq)),
    };
    context! {
        id => intended.id.to_string(),
        amount => amount(ask.lang, intended.amount_minor, EUR),
        payee => intended.payee_name.clone(),
        reference => intended.reference.clone(),
        at => When::of(intended.asked_at, caller.tenant.zone, ask.lang),
        stand, why, seq => seq.map(|seq| seq.to_string()),
    }
}
