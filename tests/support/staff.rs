//! Somebody who works for a tenant: invited by the house, with a passkey, in a session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_api::identity::operators::{self, Invited, NewOperator, NewRole};
use wallet_api::identity::{self, NewKey};
use wallet_api::platform::audit::Actor;
use wallet_api::platform::authenticator::{Ask, Authenticator, Make, Manners};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::keyring::{Role, Scope};
use wallet_api::platform::vault::Vault;

use crate::{Api, Reply, TestApp, World, fresh_key};

const ORIGIN: &str = "http://localhost:8080";
const RP_ID: &str = "localhost";

/// An operator at a browser.
pub struct Staff {
    /// Who.
    pub id: Uuid,
    /// Their address.
    pub email: String,
    /// The node, and the access token of their session.
    pub api: Api,
    /// For the next pair.
    pub refresh_token: String,
    authenticator: Authenticator,
}

fn bytes(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap_or_else(|| panic!("no bytes: {text}"))).unwrap()
}

/// A role for the whole tenant, or for one merchant, at any hour.
pub fn role(role: Role, merchant: Option<Uuid>) -> NewRole {
    NewRole { role, merchant, hours: None }
}

/// Invites somebody to work for a world's tenant.
pub fn invite(world: &World, vault: &Vault, email: &str, first: Option<NewRole>) -> Invited {
    let mut conn = PgConnection::establish(&world.url).unwrap();
    let new = NewOperator { name: "Bruno Neri".into(), email: email.into(), role: first };
    let by = (Actor::Operator, world.tenant);
    operators::invite(&mut conn, vault, &Ids::system(), Clock::System.now(), by, &new).unwrap()
}

/// Registers a passkey for an invitation, up to the last answer.
pub async fn sign_up(api: &Api, tenant: &str, invitation: &str) -> (Authenticator, Reply) {
    let said = json!({"tenant": tenant, "invitation": invitation});
    let opened = api.post("/v1/operator-sign-ups", &said).await.expect(201);
    let options = &opened["options"]["publicKey"];
    let (challenge, user) = (bytes(&options["challenge"]), bytes(&options["user"]["id"]));
    let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
    let made = Authenticator::create(&Ids::system(), Make::DEVICE, &ask, &user, &Manners::good()).unwrap();
    let path = format!("/v1/operator-sign-ups/{}", opened["challenge"].as_str().unwrap());
    let said = json!({"tenant": tenant, "invitation": invitation, "response": made.1.to_json()});
    (made.0, api.post(&path, &said).await)
}

impl Staff {
    /// Somebody with these roles at a fresh session, known by an address of their own.
    pub async fn with(app: &TestApp, roles: &[NewRole]) -> Self {
        Self::of(&app.world, &app.vault(), "acme", roles).await
    }

    /// The same of any tenant.
    pub async fn of(world: &World, vault: &Vault, slug: &str, roles: &[NewRole]) -> Self {
        let email = format!("{}@example.org", fresh_key());
        let [first, more @ ..] = roles else { panic!("no role") };
        let invited = invite(world, vault, &email, Some(*first));
        for role in more {
            grant(world, invited.operator, role);
        }
        let nobody = world.api.with_key("");
        let (authenticator, entered) = sign_up(&nobody, slug, invited.invitation.reveal()).await;
        let entered = entered.expect(201);
        let text = |name: &str| entered[name].as_str().unwrap().to_owned();
        let (id, refresh_token) = (text("operator").parse().unwrap(), text("refresh_token"));
        Self { id, email, api: nobody.with_key(text("access_token")), refresh_token, authenticator }
    }

    /// Signs in once more, up to the last answer.
    pub async fn sign_in(&mut self, tenant: &str) -> Reply {
        let nobody = self.api.with_key("");
        let opened = nobody.post("/v1/operator-sign-ins", &json!({"tenant": tenant})).await.expect(201);
        let challenge = bytes(&opened["options"]["publicKey"]["challenge"]);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        let response = self.authenticator.get(&ask, &Manners::good()).unwrap().to_json();
        let path = format!("/v1/operator-sign-ins/{}", opened["challenge"].as_str().unwrap());
        nobody.post(&path, &json!({"tenant": tenant, "response": response})).await
    }

    /// What their passkey answers to these options, in a browser that is at our pages.
    pub fn show(&mut self, options: &Value) -> String {
        let challenge = bytes(&options["publicKey"]["challenge"]);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        self.authenticator.get(&ask, &Manners::good()).unwrap().to_json().to_string()
    }

    /// A key that belongs to them.
    pub fn key(&self, world: &World, scopes: &[Scope]) -> Api {
        key_of(world, self.id, scopes)
    }
}

/// Somebody else who works for the tenant, by a key of theirs that may this: another pair of eyes.
pub fn colleague(app: &TestApp, scopes: &[Scope]) -> Api {
    let invited =
        invite(&app.world, &app.vault(), &format!("{}@example.org", fresh_key()), Some(role(Role::Bank, None)));
    key_of(&app.world, invited.operator, scopes)
}

/// A key that belongs to an operator.
pub fn key_of(world: &World, operator: Uuid, scopes: &[Scope]) -> Api {
    let mut conn = PgConnection::establish(&world.url).unwrap();
    let wish = NewKey { tenant: world.tenant, name: "theirs".into(), scopes: scopes.to_vec(), client: None };
    let (ids, now) = (Ids::system(), Clock::System.now());
    let made = identity::create_key_of(&mut conn, &ids, now, Actor::Operator, (&wish, Some(operator))).unwrap();
    world.api.with_key(made.key.reveal())
}

/// Ends a role of an operator for the whole tenant.
pub fn end_role(world: &World, operator: Uuid, ended: Role) {
    let mut conn = PgConnection::establish(&world.url).unwrap();
    let by = (Actor::Operator, world.tenant);
    operators::end_role(&mut conn, Clock::System.now(), by, operator, (ended, None)).unwrap();
}

/// Gives an operator one more role; their sessions end.
pub fn grant(world: &World, operator: Uuid, role: &NewRole) {
    let mut conn = PgConnection::establish(&world.url).unwrap();
    let by = (Actor::Operator, world.tenant);
    operators::grant(&mut conn, &Ids::system(), Clock::System.now(), by, operator, role).unwrap();
}
