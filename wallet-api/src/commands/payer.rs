//! Somebody who pays, played by a command: a person with a session and a passkey in software. For the demo and the benchmark.
//!
//! **Not for production**: [`Authenticator`] touches and verifies nobody.

use anyhow::Context as _;
use data_encoding::BASE64URL_NOPAD;
use diesel::PgConnection;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::identity::devices::{self, BoundBy, NewDevice};
use crate::identity::passkeys::{self, Holder, NewPasskey, RelyingParty};
use crate::identity::{people, sessions};
use crate::platform::authenticator::{Ask, Authenticator, Make, Manners};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::text::Lang;

/// Who this installation is to passkeys where nobody says otherwise.
pub(super) fn local_party() -> anyhow::Result<RelyingParty> {
    Ok(RelyingParty::new("localhost", &["http://localhost:8080".to_owned()])?)
}

/// A person with a session and a passkey.
pub(super) struct Payer {
    party: RelyingParty,
    authenticator: Authenticator,
    /// The session's access token.
    pub(super) token: String,
    /// The session.
    pub(super) session: Uuid,
}

impl Payer {
    /// Makes a person of a customer, who signs in on a device and registers a passkey. The session lasts for
    /// hours, as a page's does.
    ///
    /// # Errors
    /// What the database refuses.
    pub(super) fn enrol(
        conn: &mut PgConnection,
        party: &RelyingParty,
        (tenant, customer): (i64, Uuid),
        make: Make,
    ) -> anyhow::Result<Self> {
        let (ids, now) = (Ids::system(), Clock::System.now());
        people::ensure(conn, now, tenant, customer, Lang::It)?;
        let device = NewDevice { person: customer, key: None, bound_by: BoundBy::SignUp };
        let device = devices::bind(conn, &ids, now, tenant, &device)?.context("the device is another's")?;
        let pair = sessions::open(conn, &ids, now, tenant, (customer, device), sessions::Held::Page)?;
        let holder = Holder::person(customer);
        let new = NewPasskey { holder, user_name: "anna@example.org", display_name: "Anna" };
        let opened = passkeys::start_registration(conn, &ids, now, party, tenant, &new)?;
        let challenge = bytes(&opened.options, "/publicKey/challenge")?;
        let ask = ask(party, &challenge)?;
        let handle = customer.as_bytes();
        let (authenticator, made) = Authenticator::create(&ids, make, &ask, handle, &Manners::good())?;
        let response = made.to_json().to_string().into_bytes();
        let whose = (tenant, holder);
        let registered =
            passkeys::finish_registration(conn, &ids, now, party, whose, opened.challenge, &response, "Telefono")?;
        registered.map_err(|refused| anyhow::anyhow!(refused))?;
        Ok(Self {
            party: party.clone(),
            authenticator,
            token: pair.access.token.reveal().to_owned(),
            session: pair.session,
        })
    }

    /// The approval of a payment that was asked for.
    ///
    /// # Errors
    /// When there is no offer in the answer.
    pub(super) fn approve(&mut self, asked: &Value) -> anyhow::Result<Value> {
        let challenge = bytes(asked, "/offer/passkey/publicKey/challenge")?;
        let ask = ask(&self.party, &challenge)?;
        let response = self.authenticator.get(&ask, &Manners::good())?.to_json();
        let offer = asked.pointer("/offer/id").context("an answer without an offer")?;
        Ok(json!({"offer": offer, "method": "webauthn.get", "response": response}))
    }
}

fn ask<'a>(party: &'a RelyingParty, challenge: &'a [u8]) -> anyhow::Result<Ask<'a>> {
    let origin = party.origins().first().context("no origin")?;
    Ok(Ask { challenge, origin, rp_id: party.id() })
}

fn bytes(body: &Value, pointer: &str) -> anyhow::Result<Vec<u8>> {
    let text = body.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}: {body}"))?;
    Ok(BASE64URL_NOPAD.decode(text.as_bytes())?)
}
