//! Somebody who pays out of their own wallet: with a session, a passkey and a device that keeps a key.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::{Connection as _, PgConnection};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_api::identity::devices::{self, BoundBy, DeviceKey, NewDevice};
use wallet_api::identity::passkeys::{self, Holder, NewPasskey, RelyingParty};
use wallet_api::identity::sca::device_message;
use wallet_api::identity::{people, sessions};
use wallet_api::platform::authenticator::{Ask, Authenticator, Make, Manners};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::text::Lang;
use wallet_api::platform::webauthn::{Instrument, PaymentShown};

use crate::{Api, Reply, World, eur, fresh_key};

/// Where our pages are, and what passkeys are bound to: what a node is that was told nothing else.
pub const ORIGIN: &str = "http://localhost:8080";
/// The same.
pub const RP_ID: &str = "localhost";

/// The relying party of nodes in tests.
pub fn party() -> RelyingParty {
    RelyingParty::new(RP_ID, &[ORIGIN.to_owned()]).unwrap()
}

/// A person with a session.
pub struct Payer {
    /// Talks in their session.
    pub api: Api,
    /// The customer.
    pub id: Uuid,
    /// The session.
    pub session: Uuid,
    authenticator: Mutex<Authenticator>,
    device: EcdsaKeyPair,
}

/// The bytes of base64url.
pub fn bytes(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap_or_else(|| panic!("no bytes: {text}"))).unwrap()
}

impl Payer {
    /// A new customer who signed up, with a passkey of this make.
    pub async fn new(world: &World, reference: &str, make: Make) -> Self {
        let id = world.customer(reference).await;
        let mut conn = PgConnection::establish(&world.url).unwrap();
        let (ids, now, tenant) = (Ids::system(), Clock::System.now(), world.tenant);
        people::ensure(&mut conn, now, tenant, id, Lang::En).unwrap();
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let device = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let key = DeviceKey::of_point(device.public_key().as_ref());
        let bound = NewDevice { person: id, key, bound_by: BoundBy::SignUp };
        let bound = devices::bind(&mut conn, &ids, now, tenant, &bound).unwrap().unwrap();
        let pair = sessions::open(&mut conn, &ids, now, tenant, (id, bound), sessions::Held::App).unwrap();
        let authenticator = Mutex::new(register(&mut conn, tenant, id, make));
        let api = world.api.with_key(pair.access.token.reveal());
        Self { api, id, session: pair.session, authenticator, device }
    }

    /// The same with money in the wallet.
    pub async fn with_money(world: &World, reference: &str, make: Make, minor: i64) -> Self {
        let payer = Self::new(world, reference, make).await;
        world.top_up(payer.id, minor).await;
        payer
    }

    /// Asks for a payment.
    pub async fn ask(&self, merchant: Uuid, minor: i64) -> Reply {
        self.api.post("/v1/me/payments", &json!({"merchant": merchant, "amount": eur(minor)})).await
    }

    /// The passkey's answer to what was asked, on our page, with the device's own signature.
    pub fn answer(&self, asked: &Value) -> Value {
        self.answer_as(asked, &Manners::good())
    }

    /// The same by a passkey that misbehaves.
    pub fn answer_as(&self, asked: &Value, manners: &Manners) -> Value {
        let offer = &asked["offer"];
        let challenge = bytes(&offer["passkey"]["publicKey"]["challenge"]);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        let response = self.authenticator.lock().unwrap().get(&ask, manners).unwrap().to_json();
        let signature = self.device_signature(&challenge);
        json!({"offer": offer["id"], "method": "webauthn.get", "response": response, "device_signature": signature})
    }

    /// The same in the browser's payment dialogue, which shows what it is told to.
    pub fn confirm(&self, asked: &Value, manners: &Manners) -> Value {
        let offer = &asked["offer"];
        let (data, total) = (&offer["confirmation"]["data"], &offer["confirmation"]["total"]);
        let challenge = bytes(&data["challenge"]);
        let instrument: Instrument = serde_json::from_value(data["instrument"].clone()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (payee, value, currency) = (text(&data["payeeName"]), text(&total["value"]), text(&total["currency"]));
        let shown = PaymentShown { payee_name: &payee, value: &value, currency: &currency, instrument: &instrument };
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        let response = self.authenticator.lock().unwrap().pay(&ask, &shown, manners).unwrap().to_json();
        json!({"offer": offer["id"], "method": "payment.get", "response": response})
    }

    /// The device's signature over a payload's hash.
    pub fn device_signature(&self, hash: &[u8]) -> String {
        let message = device_message(&hash.try_into().unwrap());
        URL_SAFE_NO_PAD.encode(self.device.sign(&SystemRandom::new(), &message).unwrap().as_ref())
    }

    /// Sends an answer.
    pub async fn approve(&self, asked: &Value, answer: &Value) -> Reply {
        let id = asked["id"].as_str().unwrap();
        self.api.post(&format!("/v1/me/payments/{id}/approval"), answer).await
    }

    /// Sends an answer to a node that may die meanwhile.
    pub async fn try_approve(&self, asked: &Value, answer: &Value) -> Result<Reply, String> {
        let id = asked["id"].as_str().unwrap();
        self.api.try_post_as(fresh_key(), &format!("/v1/me/payments/{id}/approval"), answer).await
    }

    /// Asks for a payment and approves it.
    pub async fn pay(&self, merchant: Uuid, minor: i64) -> Reply {
        let asked = self.ask(merchant, minor).await.expect(201);
        self.approve(&asked, &self.answer(&asked)).await
    }

    /// What the person is told of a payment.
    pub async fn look(&self, asked: &Value) -> Value {
        self.api.get(&format!("/v1/me/payments/{}", asked["id"].as_str().unwrap())).await.expect(200)
    }
}

fn register(conn: &mut PgConnection, tenant: i64, person: Uuid, make: Make) -> Authenticator {
    let (ids, now, party, holder) = (Ids::system(), Clock::System.now(), party(), Holder::person(person));
    let new = NewPasskey { holder, user_name: "anna@example.org", display_name: "Anna" };
    let opened = passkeys::start_registration(conn, &ids, now, &party, tenant, &new).unwrap();
    let challenge = bytes(&opened.options["publicKey"]["challenge"]);
    let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
    let (authenticator, made) = Authenticator::create(&ids, make, &ask, person.as_bytes(), &Manners::good()).unwrap();
    let response = made.to_json().to_string().into_bytes();
    let whose = (tenant, holder);
    passkeys::finish_registration(conn, &ids, now, &party, whose, opened.challenge, &response, "Key ring")
        .unwrap()
        .unwrap();
    authenticator
}
