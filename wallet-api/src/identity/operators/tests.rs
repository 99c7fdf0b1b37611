//! Operators over a real database, with the software authenticator; the threats' numbers are those of `docs/threats.md`.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use diesel::RunQueryDsl;
use serde_json::Value;

use super::*;
use crate::identity::codes::Blind;
use crate::identity::passkeys::RelyingParty;
use crate::identity::passkeys::tests::{ORIGIN, add_tenant};
use crate::identity::sessions::{Refreshed, STAFF_IDLE};
use crate::identity::{NewKey, create_key_of, directory};
use crate::platform::authenticator::{Ask, Authenticator, Make, Manners};
use crate::platform::clock::Clock;
use crate::platform::db::Db;
use crate::platform::keyring::{self, Caller, Keyring, Scope};
use crate::platform::password::Kept;
use crate::platform::scratch::Scratch;
use crate::platform::vault::{GivenKeys, Parts};

/// A tenant with two shops, a vault and a clock in hand.
struct House {
    scratch: Scratch,
    conn: PgConnection,
    vault: Vault,
    door: Visit,
    shops: [Uuid; 2],
}

impl House {
    fn new() -> Self {
        let scratch = Scratch::migrated();
        let (mut conn, ids) = (scratch.connect(), Ids::system());
        // A Wednesday, noon in Rome.
        let now: DateTime<Utc> = "2026-03-04T11:00:00Z".parse().unwrap();
        let tenant = add_tenant(&mut conn, &ids, now, "acea");
        let shops = [ids.uuid_v7(now), ids.uuid_v7(now)];
        for shop in shops {
            let insert = format!("INSERT INTO merchant VALUES ({tenant}, '{shop}', 'm-{shop}', 'A shop', now())");
            diesel::sql_query(insert).execute(&mut conn).unwrap();
        }
        diesel::sql_query("SET ROLE tessera_app").execute(&mut conn).unwrap();
        let keys = GivenKeys::read(&format!("1:{}", "07".repeat(32)).parse().unwrap()).unwrap();
        let columns: &'static [TenantColumn] = &[NAMES, EMAILS];
        let vault = Vault::new(Parts { kms: Some(Box::new(keys)), columns, ..Parts::default() });
        let party = RelyingParty::new("wallet.example", &[ORIGIN.to_owned()]).unwrap();
        let tenant = Arc::new(crate::identity::tenant_by_slug(&mut conn, "acea").unwrap());
        let door = Visit { tenant, now, address: Blind::default(), ids, vault: vault.clone(), party };
        Self { scratch, conn, vault, door, shops }
    }

    fn by(&self) -> (Actor, i64) {
        (Actor::Operator, self.door.tenant.id)
    }

    fn invite(&mut self, email: &str, role: Option<NewRole>) -> Result<Invited, OperatorError> {
        let (new, by) = (NewOperator { name: "Anna Neri".into(), email: email.into(), role }, self.by());
        invite(&mut self.conn, &self.vault, &self.door.ids, self.door.now, by, &new)
    }

    /// Registers a passkey for an invitation.
    fn take(&mut self, invitation: &Token) -> Option<(Entered, Authenticator)> {
        let opened = begin_sign_up_here(self, invitation)?;
        let challenge = challenge_of(&opened.options);
        let handle = BASE64URL_NOPAD.decode(opened.options["publicKey"]["user"]["id"].as_str().unwrap().as_bytes());
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: "wallet.example" };
        let made = Authenticator::create(&self.door.ids, Make::DEVICE, &ask, &handle.unwrap(), &Manners::good());
        let (authenticator, response) = made.unwrap();
        let response = response.to_json().to_string().into_bytes();
        let (conn, door) = (&mut self.conn, (&self.door, Held::App));
        let said = (response.as_slice(), "");
        let entered = conn.transaction(|conn| finish_sign_up(conn, door, invitation.reveal(), opened.challenge, said));
        Some((entered.unwrap()?, authenticator))
    }

    fn sign_in(&mut self, authenticator: &mut Authenticator) -> Option<Entered> {
        self.sign_in_at(authenticator, Held::App)
    }

    fn sign_in_at(&mut self, authenticator: &mut Authenticator, held: Held) -> Option<Entered> {
        let (conn, door) = (&mut self.conn, &self.door);
        let opened = begin_sign_in(conn, door).unwrap();
        let challenge = challenge_of(&opened.options);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: "wallet.example" };
        let response = authenticator.get(&ask, &Manners::good()).unwrap().to_json().to_string().into_bytes();
        finish_sign_in(&mut self.conn, (&self.door, held), opened.challenge, &response).unwrap()
    }

    /// A request of whoever is at this address.
    fn visit(&self, address: u8) -> Visit {
        let mut from = Blind::default();
        from[0] = address;
        Visit { address: from, ..self.door.clone() }
    }

    /// Keeps a password of anna's; what ended with the one before.
    fn keep(&mut self, operator: Uuid, kept: &str) -> Vec<String> {
        let whose = (self.door.tenant.id, operator);
        password::set(&mut self.conn, self.door.now, whose, Some(&Kept::new(kept.into()))).unwrap()
    }

    /// A try at anna's password from an address.
    fn try_from(&mut self, address: u8) -> password::Tried {
        let visit = self.visit(address);
        password::try_once(&mut self.conn, &visit, "anna@example.org").unwrap()
    }

    /// Somebody with a role, signed up.
    fn somebody(&mut self, email: &str, role: NewRole) -> (Entered, Authenticator) {
        let invited = self.invite(email, Some(role)).unwrap();
        self.take(&invited.invitation).unwrap()
    }

    /// Who comes in with a token at some time.
    async fn admitted(&self, token: &Token, at: DateTime<Utc>) -> Option<Caller> {
        let db = Db::open(&self.scratch.url, 2).unwrap();
        Keyring::new(db, Clock::manual(at), directory()).admit(token).await.ok()
    }

    fn refresh(&mut self, token: &Token, at: DateTime<Utc>) -> Refreshed {
        sessions::refresh(&mut self.conn, &self.door.ids, at, token, None).unwrap()
    }

    fn after(&self, minutes: i64) -> DateTime<Utc> {
        self.door.now + TimeDelta::minutes(minutes)
    }
}

fn begin_sign_up_here(house: &mut House, invitation: &Token) -> Option<Opened> {
    let (conn, door) = (&mut house.conn, &house.door);
    begin_sign_up(conn, door, invitation.reveal()).unwrap()
}

fn challenge_of(options: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(options["publicKey"]["challenge"].as_str().unwrap().as_bytes()).unwrap()
}

fn whole(role: Role) -> NewRole {
    NewRole { role, merchant: None, hours: None }
}

#[tokio::test]
async fn an_invitation_is_good_once_and_a_further_one_ends_what_was_before() {
    let mut house = House::new();
    let first = house.invite("Anna@Example.org ", Some(whole(Role::Marketing))).unwrap();
    let second = house.invite("anna@example.org", None).unwrap();
    assert_eq!(first.operator, second.operator, "one address, one operator");
    assert!(house.take(&first.invitation).is_none(), "the later one is the one");
    let (entered, mut lost) = house.take(&second.invitation).unwrap();
    assert!(house.take(&second.invitation).is_none(), "it is used");
    assert!(house.admitted(&entered.pair.access.token, house.door.now).await.is_some());
    assert!(house.sign_in(&mut lost).is_some());
    // They lost their passkey.
    let third = house.invite("anna@example.org", None).unwrap();
    assert!(house.sign_in(&mut lost).is_some(), "until the new one is there");
    let (again, mut new) = house.take(&third.invitation).unwrap();
    assert!(again.ended.contains(&entered.pair.access.token.prefix().to_owned()));
    assert!(house.admitted(&entered.pair.access.token, house.door.now).await.is_none());
    assert!(house.sign_in(&mut lost).is_none() && house.sign_in(&mut new).is_some());
    // A day later.
    let late = house.invite("anna@example.org", None).unwrap();
    house.door.now += INVITED_FOR;
    assert!(house.take(&late.invitation).is_none());
    let other = Token::generate(Kind::Refresh, &house.door.ids);
    assert!(house.take(&other).is_none());
}

#[test]
fn nobody_is_invited_who_could_not_be_bound() {
    let mut house = House::new();
    let refused = |house: &mut House, email: &str, role| house.invite(email, role).unwrap_err();
    let shop = |merchant| NewRole { role: Role::ShopStaff, merchant, hours: None };
    assert!(matches!(refused(&mut house, "anna@example.org", None), OperatorError::NoRole));
    assert!(matches!(refused(&mut house, "anna@example.org", Some(shop(None))), OperatorError::Bound(_)));
    let everywhere = NewRole { merchant: Some(house.shops[0]), ..whole(Role::Admin) };
    assert!(matches!(refused(&mut house, "anna@example.org", Some(everywhere)), OperatorError::Bound(_)));
    let nowhere = shop(Some(Uuid::nil()));
    assert!(matches!(refused(&mut house, "anna@example.org", Some(nowhere)), OperatorError::UnknownMerchant));
    for wrong in ["anna", "@example.org", "anna@localhost", "an na@example.org", ""] {
        assert!(matches!(refused(&mut house, wrong, Some(whole(Role::Admin))), OperatorError::Email), "{wrong}");
    }
    assert!(list(&mut house.conn, &house.vault, house.door.tenant.id).unwrap().is_empty(), "nothing was changed");
}

#[tokio::test]
async fn names_and_addresses_are_sealed_and_the_house_reads_them() {
    let mut house = House::new();
    let (entered, _) = house.somebody("anna@example.org", whole(Role::Bank));
    let listed = list(&mut house.conn, &house.vault, house.door.tenant.id).unwrap();
    assert_eq!((listed[0].id, listed[0].name.as_str()), (entered.operator, "Anna Neri"));
    assert_eq!((listed[0].email.as_str(), listed[0].roles.len()), ("anna@example.org", 1));
    let found = by_email(&mut house.conn, &house.vault, house.door.tenant.id, " ANNA@example.org").unwrap();
    assert_eq!(found, entered.operator);
    let rows = diesel::dsl::sql::<diesel::sql_types::Text>("(SELECT string_agg(o::text, '') FROM operator o)");
    let rows: String = diesel::select(rows).get_result(&mut house.conn).unwrap();
    let hex: String = "anna@example.org".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!rows.contains("Neri") && !rows.contains(&hex), "{rows}");
}

/// §2-C5: ten minutes, fifteen without a request, ten hours; five, fifteen and eight where a role may much.
#[tokio::test]
async fn an_operators_session_lives_as_long_as_its_roles_allow() {
    for (role, access, hours) in [(Role::Marketing, 10, 10), (Role::Finance, 5, 8), (Role::Admin, 5, 8)] {
        let mut house = House::new();
        let (Entered { pair, .. }, _) = house.somebody("anna@example.org", whole(role));
        assert!(house.admitted(&pair.access.token, house.after(access) - TimeDelta::seconds(1)).await.is_some());
        assert!(house.admitted(&pair.access.token, house.after(access)).await.is_none(), "{role:?}");
        // Somebody who works without a pause, and refreshes in between, is in until the session's own end.
        let mut refresh = pair.refresh.unwrap().token;
        let mut minutes = 0;
        let end = loop {
            minutes += access - 1;
            let Refreshed::Next(next, _) = house.refresh(&refresh, house.after(minutes)) else { break minutes };
            assert!(next.access.until <= house.after(hours * 60));
            let caller = house.admitted(&next.access.token, house.after(minutes)).await.unwrap();
            caller.require(Scope::Staff).unwrap();
            refresh = next.refresh.unwrap().token;
        };
        assert!(end >= hours * 60 && end < hours * 60 + access, "{role:?}: {end} minutes");
    }
}

#[tokio::test]
async fn an_operators_session_ends_when_nothing_is_asked_and_a_refresh_asks_nothing() {
    let mut house = House::new();
    let (Entered { pair, .. }, _) = house.somebody("anna@example.org", whole(Role::Marketing));
    let Refreshed::Next(next, _) = house.refresh(&pair.refresh.unwrap().token, house.after(9)) else { panic!() };
    let Refreshed::Next(last, _) = house.refresh(&next.refresh.unwrap().token, house.after(14)) else { panic!() };
    let at = house.door.now + STAFF_IDLE;
    assert!(
        house.admitted(&last.access.token, at + TimeDelta::seconds(1)).await.is_none(),
        "the token lives, nobody is there"
    );
    let refused = house.refresh(&last.refresh.unwrap().token, at + TimeDelta::seconds(1));
    assert!(matches!(refused, Refreshed::Refused), "{refused:?}");
}

/// The same on a page, whose one token nobody refreshes: it is good for who goes on asking, until the session's own end.
#[tokio::test]
async fn an_operators_page_has_one_token_that_ends_with_the_session_or_when_nothing_is_asked() {
    for (role, hours) in [(Role::Marketing, 10), (Role::Admin, 8)] {
        let mut house = House::new();
        let (_, mut authenticator) = house.somebody("anna@example.org", whole(role));
        let Entered { pair, .. } = house.sign_in_at(&mut authenticator, Held::Page).unwrap();
        assert!(pair.refresh.is_none() && pair.access.until == house.after(hours * 60), "{role:?}");
        let mut minutes = 0;
        while house.admitted(&pair.access.token, house.after(minutes)).await.is_some() {
            minutes += 10;
        }
        assert_eq!(minutes, hours * 60, "{role:?}");
        let Entered { pair, .. } = house.sign_in_at(&mut authenticator, Held::Page).unwrap();
        let late = house.door.now + STAFF_IDLE + TimeDelta::seconds(1);
        assert!(house.admitted(&pair.access.token, late).await.is_none(), "{role:?}: nobody is there");
    }
}

#[tokio::test]
async fn t29_an_operators_used_refresh_token_that_comes_again_ends_the_session() {
    let mut house = House::new();
    let (Entered { pair, .. }, _) = house.somebody("anna@example.org", whole(Role::Marketing));
    let first = pair.refresh.unwrap().token;
    let Refreshed::Next(next, _) = house.refresh(&first, house.after(1)) else { panic!() };
    let Refreshed::Reused { person: None, .. } = house.refresh(&first, house.after(1)) else { panic!() };
    assert!(house.admitted(&next.access.token, house.after(1)).await.is_none());
}

#[tokio::test]
async fn a_change_of_roles_ends_the_sessions_and_who_leaves_comes_no_more() {
    let mut house = House::new();
    let (Entered { pair, operator, .. }, mut authenticator) =
        house.somebody("anna@example.org", whole(Role::Marketing));
    let (by, now) = (house.by(), house.door.now);
    let shop = NewRole { role: Role::ShopStaff, merchant: Some(house.shops[0]), hours: None };
    let ended = grant(&mut house.conn, &house.door.ids, now, by, operator, &shop).unwrap();
    assert_eq!(ended, [pair.access.token.prefix()]);
    assert!(house.admitted(&pair.access.token, now).await.is_none());
    let pair = house.sign_in(&mut authenticator).unwrap().pair;
    let caller = house.admitted(&pair.access.token, now).await.unwrap();
    assert!(caller.require(Scope::LoyaltyWrite).is_ok() && caller.reach(Scope::CustomersRead).is_ok());
    let gone = (Role::Marketing, None);
    assert_eq!(end_role(&mut house.conn, now, by, operator, gone).unwrap().len(), 1);
    assert!(matches!(end_role(&mut house.conn, now, by, operator, gone), Err(OperatorError::RoleNotHeld)));
    let pair = house.sign_in(&mut authenticator).unwrap().pair;
    let caller = house.admitted(&pair.access.token, now).await.unwrap();
    assert_eq!(caller.require(Scope::LoyaltyWrite).unwrap_err().code(), "role-missing");
    assert_eq!(close(&mut house.conn, now, by, operator).unwrap().len(), 1);
    assert!(house.admitted(&pair.access.token, now).await.is_none());
    assert!(house.sign_in(&mut authenticator).is_none());
    assert!(matches!(close(&mut house.conn, now, by, operator), Err(OperatorError::Unknown)));
    // The address is free again.
    let another = house.invite("anna@example.org", Some(whole(Role::Bank))).unwrap();
    assert_ne!(another.operator, operator);
}

#[tokio::test]
async fn t39_a_role_counts_at_its_hours_alone() {
    let mut house = House::new();
    let hours = Some("mon-fri 9-13".parse().unwrap());
    let role = NewRole { role: Role::ShopStaff, merchant: Some(house.shops[0]), hours };
    let (Entered { pair, .. }, mut authenticator) = house.somebody("anna@example.org", role);
    let caller = house.admitted(&pair.access.token, house.door.now).await.unwrap();
    assert!(caller.reach(Scope::CustomersRead).unwrap().has_merchant(house.shops[0]), "noon in Rome");
    assert!(!caller.reach(Scope::CustomersRead).unwrap().has_merchant(house.shops[1]));
    assert_eq!(caller.require(Scope::CustomersRead).unwrap_err().code(), "role-missing", "bound, not everywhere");
    house.door.now += TimeDelta::hours(1);
    let pair = house.sign_in(&mut authenticator).unwrap().pair;
    let caller = house.admitted(&pair.access.token, house.door.now).await.unwrap();
    assert_eq!(caller.reach(Scope::CustomersRead).unwrap_err().code(), "role-missing", "one o'clock");
    caller.require(Scope::Staff).unwrap();
}

#[tokio::test]
async fn t41_an_operators_keys_and_sessions_are_one_pair_of_eyes() {
    let mut house = House::new();
    let (anna, mut authenticator) = house.somebody("anna@example.org", whole(Role::Finance));
    let (bruno, _) = house.somebody("bruno@example.org", whole(Role::Finance));
    let second = house.sign_in(&mut authenticator).unwrap();
    let (tenant, now) = (house.door.tenant.id, house.door.now);
    let mut key = |operator| {
        let wish = NewKey { tenant, name: "k".into(), scopes: vec![Scope::LedgerWrite], client: None };
        create_key_of(&mut house.conn, &house.door.ids, now, Actor::Operator, (&wish, operator)).unwrap().key
    };
    let (annas, houses) = (key(Some(anna.operator)), key(None));
    let mut eyes = Vec::new();
    for token in [&anna.pair.access.token, &second.pair.access.token, &annas, &bruno.pair.access.token, &houses] {
        eyes.push(house.admitted(token, now).await.unwrap());
    }
    let [first, second, key, bruno, houses] = eyes.as_slice() else { panic!() };
    assert!(first.eyes() == second.eyes() && first.eyes() == key.eyes(), "{eyes:?}");
    assert!(first.eyes() != bruno.eyes() && houses.eyes() != first.eyes() && houses.eyes() == houses.client());
    assert_ne!(key.client(), first.client(), "its idempotency keys are its own");
    assert!(matches!(key.actor, keyring::Actor::Client(_)));
}

/// Glass that was broken is whole again after an hour, to the second, and with the role that allowed it.
#[tokio::test]
async fn an_emergency_ends_by_itself_after_sixty_minutes_or_with_its_role() {
    let mut house = House::new();
    let (entered, _) = house.somebody("anna@example.org", whole(Role::Finance));
    let customer = house.door.ids.uuid_v7(house.door.now);
    let (tenant, now) = (house.door.tenant.id, house.door.now);
    let insert = format!("INSERT INTO customer VALUES ({tenant}, '{customer}', 'c', now())");
    diesel::sql_query(insert).execute(&mut house.conn).unwrap();
    let whose = (tenant, entered.operator, customer);
    let (vault, ids) = (&house.vault, &house.door.ids);
    let opened = house.conn.transaction(|conn| break_glass::open(conn, (vault, ids), now, whose, "They ask for it"));
    let (_, until) = opened.unwrap();
    assert_eq!(until, now + TimeDelta::minutes(60));
    let mut open_at = |at| rights(&mut house.conn, tenant, entered.operator, at, chrono_tz::Europe::Rome).unwrap();
    assert_eq!(open_at(until - TimeDelta::microseconds(1)).emergencies, [customer]);
    assert_eq!(open_at(until).emergencies, Vec::<Uuid>::new(), "over to the moment");
    assert!(open_at(until - TimeDelta::microseconds(1)).of_password().emergencies.is_empty(), "not by a password");
    let ended = end_role(&mut house.conn, now, (Actor::Operator, tenant), entered.operator, (Role::Finance, None));
    ended.unwrap();
    let left = rights(&mut house.conn, tenant, entered.operator, now, chrono_tz::Europe::Rome).unwrap();
    assert_eq!(left, Rights::default(), "with its role");
}

/// T9: an address uses up its own tries at somebody's password, and nobody else's.
#[test]
fn t09_what_one_address_tries_beyond_its_own_is_no_try_at_the_account() {
    let mut house = House::new();
    let (anna, _) = house.somebody("anna@example.org", whole(Role::Marketing));
    house.keep(anna.operator, "$argon2id$first");
    for _ in 0..4 {
        let let_through = (0..30).filter(|_| house.try_from(1).kept().is_some()).count();
        assert!(let_through == 5 || let_through == 0, "{let_through}");
        house.door.now += TimeDelta::minutes(1);
    }
    assert!(house.try_from(2).kept().is_some(), "from elsewhere");
    let let_through = (3..=9).filter(|address| (0..5).all(|_| house.try_from(*address).kept().is_some())).count();
    assert_eq!(let_through, 4, "and thirty from anywhere: five, one, and four times five with four more");
}

#[tokio::test]
async fn a_password_ends_with_the_passkeys_before_it_and_what_it_opened_with_it() {
    let mut house = House::new();
    let (anna, _) = house.somebody("anna@example.org", whole(Role::Marketing));
    let by_password = |house: &mut House| {
        let tried = house.try_from(1);
        password::enter(&mut house.conn, (&house.door, Held::App), tried)
            .unwrap()
            .map(|entered| entered.pair.access.token)
    };
    assert!(house.keep(anna.operator, "$argon2id$first").is_empty());
    let first = by_password(&mut house).unwrap();
    assert!(house.admitted(&first, house.door.now).await.is_some());
    assert_eq!(house.keep(anna.operator, "$argon2id$second"), [first.prefix()]);
    assert!(house.admitted(&first, house.door.now).await.is_none(), "it was changed");
    assert!(house.admitted(&anna.pair.access.token, house.door.now).await.is_some(), "what the passkey opened stays");
    let second = by_password(&mut house).unwrap();
    let further = house.invite("anna@example.org", None).unwrap();
    let (again, _) = house.take(&further.invitation).unwrap();
    assert!(again.ended.contains(&second.prefix().to_owned()), "{again:?}");
    assert!(house.admitted(&second, house.door.now).await.is_none());
    assert!(by_password(&mut house).is_none(), "who lost their passkey may have lost it too");
}

#[tokio::test]
async fn t30_a_key_of_whoever_left_opens_nothing() {
    let mut house = House::new();
    let (anna, _) = house.somebody("anna@example.org", whole(Role::Developer));
    let (by, now) = (house.by(), house.door.now);
    let mut key = |operator| {
        let wish = NewKey { tenant: by.1, name: "k".into(), scopes: vec![Scope::HooksRead], client: None };
        create_key_of(&mut house.conn, &house.door.ids, now, Actor::Operator, (&wish, operator)).unwrap().key
    };
    let (hers, houses) = (key(Some(anna.operator)), key(None));
    assert!(house.admitted(&hers, now).await.is_some() && house.admitted(&houses, now).await.is_some());
    close(&mut house.conn, now, by, anna.operator).unwrap();
    assert!(house.admitted(&hers, now).await.is_none() && house.admitted(&houses, now).await.is_some());
    assert_eq!(crate::identity::keys_of(&mut house.conn, by.1, anna.operator).unwrap(), [hers.prefix()]);
}
