//! A person's own payments over HTTP: asked, approved, looked at.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::bodies::{AgreedBody, PaymentBody};
use super::{QuotedReward, quoted};
use crate::identity::Doors;
use crate::identity::passkeys::RelyingParty;
use crate::identity::sca::Method;
use crate::loyalty::Config;
use crate::payments::Payments;
use crate::payments::own::{Intended, Offered, Own, OwnWish, PayersAnswer, Stands};
use crate::platform::books::{describe_refusal, refusal_code, request_key};
use crate::platform::fields::{field, text};
use crate::platform::http::{Cursor, IdempotencyKey, Json, Page, PageQuery, halves, whole};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::{EUR, EuroToMove, Money};
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::platform::webauthn::Assertion;

/// Where a person asks for payments of their own.
const PATH: &str = "/v1/me/payments";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(ask_own_payment).service(approve_own_payment).service(list_own_payments).service(get_own_payment);
}

/// A payment to make out of one's own wallet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOwnPayment {
    /// Who is paid.
    merchant: Uuid,
    /// How much, of EUR.
    #[schema(value_type = EuroToMove)]
    amount: Money,
    /// The merchant's order, 1 to 100 characters: it can be paid once, whatever the keys.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    #[serde(default)]
    reference: Option<String>,
}

/// A payment of one's own.
#[derive(Debug, Serialize, ToSchema)]
struct OwnPaymentBody {
    /// Its id.
    id: Uuid,
    /// `waiting` for its payer's approval, `expired` without it; `agreed` and not posted yet; `paid`, `refused` by the books, or
    /// `lapsed`: agreed to, and not posted in time, so never.
    #[schema(example = "paid")]
    status: &'static str,
    /// Who is paid.
    merchant: Uuid,
    /// The merchant's name, as it is shown and approved.
    payee_name: String,
    /// How much.
    amount: Money,
    /// The merchant's order.
    reference: Option<String>,
    /// When it was asked.
    asked_at: DateTime<Utc>,
    /// The day it is made.
    execution_date: NaiveDate,
    /// What to show and to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<OfferBody>,
    /// How its payer agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<AgreedBody>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed_at: Option<DateTime<Utc>>,
    /// Until when it is posted, as long as it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    post_until: Option<DateTime<Utc>>,
    /// Why the books refused it, or that it lapsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Where the books say what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// The payment as it was posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentBody>,
}

/// A payment put to its payer.
#[derive(Debug, Serialize, ToSchema)]
struct OfferBody {
    /// Names it in the approval.
    id: Uuid,
    /// What is shown and approved, and nothing else. Its canonical form (RFC 8785) is what is hashed.
    #[schema(value_type = Object)]
    payload: Value,
    /// SHA-256 of that form, base64url: the challenge, and what a device signs.
    payload_sha256: String,
    /// Options for `navigator.credentials.get()`, on a page that shows the payload.
    #[schema(value_type = Object)]
    passkey: Value,
    /// Of the payment method `secure-payment-confirmation`: its data, and the total to ask for.
    #[schema(value_type = Object)]
    confirmation: Value,
    /// A passkey that may be on several devices needs this device's own signature beside it.
    device_needed: bool,
    /// Until when it can be approved.
    expires_at: DateTime<Utc>,
    /// What it would earn, by the rules of now.
    earns: Vec<QuotedReward>,
}

/// A payer's approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApproval {
    /// Which offer.
    offer: Uuid,
    /// `webauthn.get` by a passkey on our page, `payment.get` by the browser's payment dialogue.
    #[schema(value_type = String, example = "webauthn.get", pattern = "^(webauthn|payment)\\.get$")]
    method: Method,
    /// What the browser gave: `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    response: Value,
    /// By the key of this session's device: ES256 over `tessera device approval v1`, a zero byte and the payload's hash, base64url.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{85}[AQgw]$")]
    #[serde(default)]
    device_signature: Option<String>,
}

/// Asks for a payment out of one's own wallet.
///
/// It is put to its payer: approve it. What an exemption covers, where the tenant has turned one on, is paid at once. The same
/// Idempotency-Key leads to the same payment: to its offer, to a new one where that was answered wrongly or is late, or to what
/// became of it.
#[utoipa::path(tag = "me", request_body = NewOwnPayment, security(("key" = ["me:money"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = OwnPaymentBody),
))]
#[post("/v1/me/payments", wrap = "May(Scope::MeMoney)")]
async fn ask_own_payment(
    caller: Caller,
    key: IdempotencyKey,
    lang: Lang,
    payments: web::Data<Payments>,
    doors: web::Data<Doors>,
    body: Json<NewOwnPayment>,
) -> Result<HttpResponse, Problem> {
    let (person, party) = (caller.person()?, doors.party()?);
    let key = request_key(&caller, &key, PATH, &body.canonical());
    let NewOwnPayment { merchant, amount, reference } = body.into_inner();
    let amount_minor = amount.positive_eur("/amount")?;
    let reference = reference.map(|reference| text(reference, "/reference", 1..=100)).transpose()?;
    let wish = OwnWish { merchant, amount_minor, reference };
    let (own, offered) = payments.intend(&caller.tenant, person, key, &wish).await?;
    let own = must_not_be_refused(own)?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    let offer = offered.as_ref().map(|offered| OfferBody::of(offered, party));
    Ok(HttpResponse::Created().json(OwnPaymentBody { offer, ..OwnPaymentBody::of(&caller, lang, &config, &own) }))
}

/// Approves a payment of one's own, and pays it.
///
/// An offer is answered once, whatever the answer: for another one repeat the request that asked for the payment. Sent again after
/// it was approved, it tells what became of the payment, and posts it if nobody did; its time for that is five minutes.
#[utoipa::path(tag = "me", request_body = NewApproval, security(("key" = ["me:money"])), responses(
    (status = 200, body = OwnPaymentBody),
))]
#[post("/v1/me/payments/{id}/approval", wrap = "May(Scope::MeMoney)")]
async fn approve_own_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<NewApproval>,
) -> Result<HttpResponse, Problem> {
    let (person, party) = (caller.person()?, doors.party()?);
    let answer = body.into_inner().into_answer()?;
    let own = payments.approve(&caller.tenant, person, party, id.into_inner(), answer).await?;
    let own = must_not_be_refused(own)?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(OwnPaymentBody::of(&caller, lang, &config, &own)))
}

/// Lists one's own payments, newest first.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])), params(PageQuery), responses(
    (status = 200, body = Page<OwnPaymentBody>),
))]
#[get("/v1/me/payments", wrap = "May(Scope::MeMoney)")]
async fn list_own_payments(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (tenant, person, limit) = (&caller.tenant, caller.person()?, query.limit()?);
    let listing = format!("own-payments/{}", person.id);
    let cursor = query.into_inner().cursor;
    let before = cursor.map(|cursor| Cursor::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let before = before.map(|Cursor(before)| whole(before));
    let owns = payments.owns(tenant, person, before, limit).await?;
    let config = payments.programmes.config(&payments.platform, tenant.id).await?;
    let page = Page::cut(owns, limit, |last| Cursor(halves(last.intended.id)).encode(&tenant.secret, &listing));
    let items = page.items.iter().map(|own| OwnPaymentBody::of(&caller, lang, &config, own)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

/// Tells of a payment of one's own: how it was agreed to, and what became of it.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])), responses(
    (status = 200, body = OwnPaymentBody),
))]
#[get("/v1/me/payments/{id}", wrap = "May(Scope::MeMoney)")]
async fn get_own_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let own = payments.own(&caller.tenant, caller.person()?, id.into_inner()).await?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(OwnPaymentBody::of(&caller, lang, &config, &own)))
}

/// What the books refused, or were not asked in time, is a refusal here too. That it was agreed to stays known: the evidence is kept.
fn must_not_be_refused(own: Own) -> Result<Own, Problem> {
    let problem = match &own.stands {
        Stands::Refused { refusal, seq } => describe_refusal(refusal, *seq),
        Stands::Lapsed { seq } => {
            let detail = "It was approved, was not posted in time, and never will be: ask for it anew.";
            Problem::new(409, "payment-lapsed", "The payment was not made in time", detail).with("seq", *seq)
        }
        Stands::Waiting | Stands::Expired | Stands::Agreed | Stands::Paid(_) => return Ok(own),
    };
    Err(problem.with("payment", json!(own.intended.id)))
}

impl NewApproval {
    fn into_answer(self) -> Result<PayersAnswer, Problem> {
        let Self { offer, method, response, device_signature } = self;
        let wrong = |_fault| field("/response", "What PublicKeyCredential.toJSON() gives.");
        let assertion = Assertion::from_json(response.to_string().as_bytes()).map_err(wrong)?;
        let decode = |text: String| BASE64URL_NOPAD.decode(text.as_bytes());
        let device_signature = device_signature.map(decode).transpose();
        let device_signature =
            device_signature.map_err(|_form| field("/device_signature", "64 bytes as base64url, without padding."))?;
        Ok(PayersAnswer { offer, method, assertion, device_signature })
    }
}

impl OfferBody {
    fn of(offered: &Offered, party: &RelyingParty) -> Self {
        let offer = &offered.offer;
        let (passkey, confirmation) = offered.options(party);
        Self {
            id: offer.id,
            payload: json!(offer.payload),
            payload_sha256: BASE64URL_NOPAD.encode(&offer.hash),
            passkey,
            confirmation,
            device_needed: offer.synced_needs_device,
            expires_at: offer.expires_at,
            earns: offered.earns.iter().map(|(grant, funded)| quoted(grant, *funded)).collect(),
        }
    }
}

impl OwnPaymentBody {
    fn of(caller: &Caller, lang: Lang, config: &Config, Own { intended, stands }: &Own) -> Self {
        let Intended { id, merchant, asked_at, execution_date, agreement, .. } = *intended;
        let (status, code, seq) = match stands {
            Stands::Waiting => ("waiting", None, None),
            Stands::Expired => ("expired", None, None),
            Stands::Agreed => ("agreed", None, None),
            Stands::Paid(paid) => ("paid", None, Some(paid.answer.record.seq)),
            Stands::Refused { refusal, seq } => ("refused", Some(refusal_code(refusal)), Some(*seq)),
            Stands::Lapsed { seq } => ("lapsed", Some("payment-lapsed"), Some(*seq)),
        };
        let paid =
            if let Stands::Paid(paid) = stands { paid.paper.as_ref().zip(Some(&paid.answer.record)) } else { None };
        let payment = paid.map(|(paper, record)| PaymentBody::cleared(caller.tenant.id, lang, config, record, paper));
        Self {
            id,
            status,
            merchant,
            payee_name: intended.payee_name.clone(),
            amount: Money::new(intended.amount_minor, EUR),
            reference: intended.reference.clone(),
            asked_at,
            execution_date,
            offer: None,
            agreed: agreement.map(|agreement| AgreedBody::of(agreement.how)),
            agreed_at: agreement.map(|agreement| agreement.at),
            post_until: agreement.filter(|_| matches!(stands, Stands::Agreed)).map(|agreement| agreement.post_until),
            code,
            seq,
            payment,
        }
    }
}
