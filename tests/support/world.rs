//! A tenant with its keys, and the shops, customers and campaigns the tests pay in.

use diesel::{Connection, PgConnection};
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_api::identity::{self, NewKey, NewTenant};
use wallet_api::platform::audit::Actor;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::keyring::{Scope, Tenant};
use wallet_api::platform::money::EUR;
use wallet_api::platform::text::Lang;

use crate::Api;

/// Cents as the API writes them.
pub fn eur(minor: i64) -> Value {
    json!({"amount": minor.to_string(), "asset": "EUR"})
}

/// A tenant on a node.
#[derive(Clone)]
pub struct World {
    /// Its books' id.
    pub tenant: i64,
    /// A client with every right.
    pub api: Api,
    /// Its database.
    pub url: String,
}

/// What a campaign gives, and the money and points it has.
#[derive(Debug, Clone, Copy)]
pub struct Rewards {
    /// Basis points of cashback.
    pub bps: i64,
    /// The most cashback of one payment, in cents.
    pub cap: Option<i64>,
    /// Points per whole euro.
    pub points: i64,
    /// Cents of budget.
    pub budget: i64,
    /// Points of budget.
    pub points_budget: i64,
}

impl Rewards {
    /// Two per cent and a point per euro, with budgets that last.
    pub const PLENTY: Self = Self { bps: 200, cap: None, points: 1, budget: 10_000_000, points_budget: 10_000_000 };
}

/// A merchant with its campaign.
#[derive(Debug, Clone, Copy)]
pub struct Shop {
    /// The merchant.
    pub merchant: Uuid,
    /// Its campaign.
    pub campaign: Uuid,
    /// The campaign's programme.
    pub programme: Uuid,
}

impl World {
    /// Adds a tenant to the database, and a key that may do everything.
    pub fn new(url: &str, authority: &str, slug: &str) -> Self {
        let tenant = add_tenant(url, slug);
        let api = Api::new(authority, make_key(url, tenant.id, &[Scope::Admin]));
        Self { tenant: tenant.id, api, url: url.to_owned() }
    }

    /// A client of the same node with a key of these scopes, which is another client to the journal.
    pub fn client(&self, scopes: &[Scope]) -> Api {
        self.api.with_key(make_key(&self.url, self.tenant, scopes))
    }

    /// Ends a key.
    pub fn revoke(&self, key: &str) {
        let mut conn = PgConnection::establish(&self.url).unwrap();
        let prefix = key.split('_').nth(1).unwrap();
        identity::revoke_key(&mut conn, Clock::System.now(), Actor::Operator, self.tenant, prefix).unwrap();
    }

    /// A customer with an empty wallet.
    pub async fn customer(&self, reference: &str) -> Uuid {
        id_of(&self.api.post("/v1/customers", &json!({"reference": reference})).await.expect(201))
    }

    /// A merchant.
    pub async fn merchant(&self, reference: &str) -> Uuid {
        id_of(&self.api.post("/v1/merchants", &json!({"reference": reference, "name": "Emporio"})).await.expect(201))
    }

    /// A merchant with a funded campaign in the programme `club`.
    pub async fn shop(&self, reference: &str, rewards: Rewards) -> Shop {
        let merchant = self.merchant(reference).await;
        let club = json!({"code": "club", "name": "Club"});
        let programme = id_of(&self.api.post("/v1/programmes", &club).await.expect(201));
        let mut rule = json!({"cashback_bps": rewards.bps, "points_per_euro": rewards.points});
        if let Some(cap) = rewards.cap {
            rule["cashback_cap_minor"] = json!(cap);
        }
        let campaign = json!({"programme": programme, "name": "Spring", "merchant": merchant, "rule": rule});
        let campaign = id_of(&self.api.post("/v1/campaigns", &campaign).await.expect(201));
        for (minor, asset) in [(rewards.budget, "EUR"), (rewards.points_budget, "PTS:club")] {
            if minor > 0 {
                let funding = json!({"amount": {"amount": minor.to_string(), "asset": asset}});
                self.api.post(&format!("/v1/campaigns/{campaign}/fund"), &funding).await.expect(201);
            }
        }
        Shop { merchant, campaign, programme }
    }

    /// Brings money into a wallet.
    pub async fn top_up(&self, customer: Uuid, minor: i64) {
        let body = json!({"customer": customer, "amount": eur(minor), "rail": "card"});
        self.api.post("/v1/top-ups", &body).await.expect(201);
    }

    /// A customer's balances as `(account, minor units)`.
    pub async fn balances(&self, customer: Uuid) -> Vec<(String, i64)> {
        let body = self.api.get(&format!("/v1/customers/{customer}/balances")).await.expect(200);
        let balance = |one: &Value| {
            let minor = one["balance"]["amount"].as_str().unwrap().parse().unwrap();
            (one["account"].as_str().unwrap().to_owned(), minor)
        };
        body["balances"].as_array().unwrap().iter().map(balance).collect()
    }

    /// One of a customer's balances.
    pub async fn balance(&self, customer: Uuid, account: &str) -> i64 {
        let all = self.balances(customer).await;
        all.iter().find(|(name, _)| name == account).unwrap_or_else(|| panic!("no {account} in {all:?}")).1
    }

    /// A campaign's budget of this asset.
    pub async fn budget(&self, campaign: Uuid, asset: &str) -> i64 {
        let body = self.api.get(&format!("/v1/campaigns/{campaign}")).await.expect(200);
        let budgets = body["budget"].as_array().unwrap().clone();
        let one = budgets.iter().find(|one| one["asset"] == asset).unwrap_or_else(|| panic!("no {asset} in {body}"));
        one["amount"].as_str().unwrap().parse().unwrap()
    }

    /// Derives the books again from their rows.
    pub fn verify(&self) -> ledger::verify::Report {
        let mut conn = PgConnection::establish(&self.url).unwrap();
        ledger::verify::verify(&mut conn, ledger::JournalId(self.tenant), |_, _| ()).unwrap()
    }

    /// Derives the books again and expects them whole.
    #[track_caller]
    pub fn assert_whole(&self) {
        let report = self.verify();
        assert!(report.ok, "{report:?}");
    }
}

fn id_of(body: &Value) -> Uuid {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}")).parse().unwrap()
}

fn add_tenant(url: &str, slug: &str) -> Tenant {
    let (ids, now) = (Ids::system(), Clock::System.now());
    let mut conn = PgConnection::establish(url).unwrap();
    let zone = "Europe/Rome".parse().unwrap();
    let wish = NewTenant { slug: slug.into(), name: slug.into(), sandbox: true, zone, locale: Lang::It };
    let tenant = identity::create_tenant(&mut conn, &ids, now, Actor::Operator, &wish).unwrap();
    let journal = ledger::JournalId(tenant.id);
    ledger::create_journal(&mut conn, journal, ids.uuid_v7(now), true).unwrap();
    ledger::define_asset(&mut conn, journal, EUR, 2).unwrap();
    tenant
}

fn make_key(url: &str, tenant: i64, scopes: &[Scope]) -> String {
    let mut conn = PgConnection::establish(url).unwrap();
    let wish = NewKey { tenant, name: "test".into(), scopes: scopes.to_vec(), client: None };
    let made = identity::create_key(&mut conn, &Ids::system(), Clock::System.now(), Actor::Operator, &wish).unwrap();
    made.key.reveal().to_owned()
}
