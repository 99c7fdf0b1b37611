//! Somebody at the doors: a browser or an app with passkeys and, if it keeps one, a device's key.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use wallet_api::platform::authenticator::{Ask, Authenticator, Make, Manners};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;

use crate::{Api, MailServer, Reply, eventually_async, fresh_key};

/// What a node is to passkeys that was told nothing else.
pub const ORIGIN: &str = "http://localhost:8080";
const RP_ID: &str = "localhost";

/// A device, and who sits before it.
pub struct Guest {
    /// The node, and the access token once somebody came in.
    pub api: Api,
    /// The tenant's slug.
    pub tenant: String,
    /// Where it comes from, as a proxy says.
    pub address: Option<String>,
    key: Option<EcdsaKeyPair>,
    nonce: Mutex<String>,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap_or_else(|| panic!("no bytes: {text}"))).unwrap()
}

impl Guest {
    /// A browser that keeps no key.
    pub fn browser(api: &Api, tenant: &str) -> Self {
        let (api, tenant) = (api.with_key(""), tenant.to_owned());
        Self { api, tenant, address: None, key: None, nonce: Mutex::default() }
    }

    /// A device that keeps a key.
    pub fn phone(api: &Api, tenant: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { key: Some(key), ..Self::browser(api, tenant) }
    }

    /// The same, from another address.
    #[must_use]
    pub fn at(self, address: &str) -> Self {
        Self { address: Some(address.to_owned()), ..self }
    }

    /// Sends JSON, with the device's proof if it keeps a key; a refusal that gives a nonce is answered with it.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Reply {
        let reply = self.ask_once(&method, path, body).await;
        if reply.code() != "use-dpop-nonce" {
            return reply;
        }
        reply.headers["dpop-nonce"].to_str().unwrap().clone_into(&mut self.nonce.lock().unwrap());
        self.ask_once(&method, path, body).await
    }

    /// POSTs JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask(Method::POST, path, body).await
    }

    async fn ask_once(&self, method: &Method, path: &str, body: &Value) -> Reply {
        let proof = self.key.as_ref().map(|key| self.proof(key, method, path));
        let mut headers = Vec::new();
        if let Some(proof) = &proof {
            headers.push(("dpop", proof.as_str()));
        }
        if let Some(address) = &self.address {
            headers.push(("x-forwarded-for", address));
        }
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            headers.push(("content-type", "application/json"));
        }
        self.api.send(method.clone(), path, &headers, bytes.into()).await.unwrap()
    }

    /// RFC 9449, section 4.2.
    fn proof(&self, key: &EcdsaKeyPair, method: &Method, path: &str) -> String {
        let point = key.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])});
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let mut claims = json!({"jti": fresh_key(), "htm": method.as_str(), "htu": format!("{ORIGIN}{path}"),
            "iat": Clock::System.now().timestamp(), "nonce": *self.nonce.lock().unwrap()});
        if !self.api.key.is_empty() {
            let hash = ring::digest::digest(&ring::digest::SHA256, self.api.key.as_bytes());
            claims["ath"] = json!(b64(hash.as_ref()));
        }
        let signed = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature.as_ref()))
    }

    /// Asks for a code and reads it from the mail.
    pub async fn code(&self, path: &str, mails: &MailServer, email: &str) -> (String, String) {
        let before = mails_for(mails, email).len();
        let begun = self.post(path, &json!({"tenant": self.tenant, "email": email})).await.expect(202);
        let mail = nth_mail(mails, email, before).await;
        (begun["id"].as_str().unwrap().to_owned(), code_in(&mail))
    }

    /// Signs up, up to the answer of the last step.
    pub async fn sign_up(&self, mails: &MailServer, email: &str, make: Make) -> (Authenticator, Reply) {
        self.come(&self.tenant, ("/v1/sign-ups", mails, email), make).await
    }

    /// Any way in by a code and a new passkey, up to the answer of the last step.
    pub async fn come(
        &self,
        tenant: &str,
        (path, mails, email): (&str, &MailServer, &str),
        make: Make,
    ) -> (Authenticator, Reply) {
        let (id, code) = self.code(path, mails, email).await;
        let said = json!({"tenant": tenant, "code": code});
        let opened = self.post(&format!("{path}/{id}/code"), &said).await.expect(200);
        let (authenticator, response) = create(&opened, make);
        let body = json!({"tenant": tenant, "challenge": opened["challenge"], "response": response,
            "passkey_name": "Key ring", "device_name": "Anna's phone"});
        (authenticator, self.post(&format!("{path}/{id}/passkey"), &body).await)
    }

    /// Signs in with a passkey, up to the answer of the last step.
    pub async fn sign_in(&self, authenticator: &mut Authenticator) -> Reply {
        self.sign_in_as(authenticator, &Manners::good()).await
    }

    /// The same with a passkey that misbehaves.
    pub async fn sign_in_as(&self, authenticator: &mut Authenticator, manners: &Manners) -> Reply {
        let opened = self.post("/v1/sign-ins", &json!({"tenant": self.tenant})).await.expect(201);
        let challenge = bytes(&opened["options"]["publicKey"]["challenge"]);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        let response = authenticator.get(&ask, manners).unwrap().to_json();
        let path = format!("/v1/sign-ins/{}", opened["challenge"].as_str().unwrap());
        self.post(&path, &json!({"tenant": self.tenant, "response": response})).await
    }

    /// The same device, with nobody signed in.
    #[must_use]
    pub fn out(self) -> Self {
        Self { api: self.api.with_key(""), ..self }
    }

    /// The same device once its person came in.
    #[must_use]
    pub fn with_session(self, entered: &Value) -> Self {
        let api = self.api.with_key(entered["access_token"].as_str().unwrap());
        Self { api, ..self }
    }
}

/// Makes a credential as options ask for it.
pub fn create(opened: &Value, make: Make) -> (Authenticator, Value) {
    let options = &opened["options"]["publicKey"];
    let (challenge, user) = (bytes(&options["challenge"]), bytes(&options["user"]["id"]));
    let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
    let made = Authenticator::create(&Ids::system(), make, &ask, &user, &Manners::good()).unwrap();
    (made.0, made.1.to_json())
}

/// What somebody has got so far, in its order.
pub fn mails_for(mails: &MailServer, email: &str) -> Vec<String> {
    let theirs = mails.mails().into_iter().filter(|mail| mail["to"][0] == email);
    theirs.map(|mail| mail["data"].as_str().unwrap().to_owned()).collect()
}

/// Somebody's mail of this number, counted from zero, once it is there.
pub async fn nth_mail(mails: &MailServer, email: &str, number: usize) -> String {
    let find = async || mails_for(mails, email).get(number).cloned();
    eventually_async("the mail arrives", std::time::Duration::from_secs(20), find).await
}

/// The code in a letter: the line of eight digits.
pub fn code_in(mail: &str) -> String {
    let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|b| b.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).unwrap_or_else(|| panic!("no code: {mail}")).to_owned()
}
