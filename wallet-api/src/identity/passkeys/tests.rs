//! Ceremonies over a real database, with the software authenticator; the threats' numbers are those of `docs/threats.md`.

use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;
use diesel::prelude::*;

use super::*;
use crate::identity::{NewTenant, create_tenant};
use crate::platform::audit::Actor;
use crate::platform::authenticator::{Ask, Authenticator, Cut, Make, Manners};
use crate::platform::problem::Describe as _;
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;
use crate::platform::webauthn::Algorithm;

pub(crate) const ORIGIN: &str = "https://wallet.example";
const RP_ID: &str = "wallet.example";

/// A tenant with one person, and a clock in hand.
pub(crate) struct Stage {
    pub(crate) scratch: Scratch,
    pub(crate) conn: PgConnection,
    pub(crate) ids: Ids,
    pub(crate) now: DateTime<Utc>,
    pub(crate) party: RelyingParty,
    pub(crate) tenant: i64,
    pub(crate) holder: Holder,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::migrated();
        let (mut conn, ids) = (scratch.connect(), Ids::system());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let tenant = add_tenant(&mut conn, &ids, now, "acea");
        // As in production: the role that may not change the past.
        diesel::sql_query("SET ROLE tessera_app").execute(&mut conn).unwrap();
        let party = RelyingParty::new(RP_ID, &[ORIGIN.to_owned()]).unwrap();
        let holder = Holder::person(ids.uuid_v7(now));
        Self { scratch, conn, ids, now, party, tenant, holder }
    }

    pub(crate) fn connect(&self) -> PgConnection {
        let mut conn = self.scratch.connect();
        diesel::sql_query("SET ROLE tessera_app").execute(&mut conn).unwrap();
        conn
    }

    /// Begins a registration and makes its answer.
    fn begin(&mut self, make: Make, manners: &Manners) -> (Authenticator, Uuid, Vec<u8>) {
        let new = NewPasskey { holder: self.holder, user_name: "anna@example.org", display_name: "Anna" };
        let opened = start_registration(&mut self.conn, &self.ids, self.now, &self.party, self.tenant, &new).unwrap();
        let challenge = challenge_of(&opened.options);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        let handle = self.holder.id.as_bytes();
        let (authenticator, made) = Authenticator::create(&self.ids, make, &ask, handle, manners).unwrap();
        (authenticator, opened.challenge, made.to_json().to_string().into_bytes())
    }

    fn finish(&mut self, challenge: Uuid, response: &[u8]) -> Result<Passkey, Refused> {
        let whose = (self.tenant, self.holder);
        let name = "my\nphone ";
        finish_registration(&mut self.conn, &self.ids, self.now, &self.party, whose, challenge, response, name).unwrap()
    }

    pub(crate) fn register(&mut self, make: Make) -> (Authenticator, Passkey) {
        let (authenticator, challenge, response) = self.begin(make, &Manners::good());
        let passkey = self.finish(challenge, &response).unwrap();
        (authenticator, passkey)
    }

    fn ask_to_sign_in(&mut self, known: Option<Uuid>) -> Opened {
        let who = (HolderKind::Person, known);
        start_sign_in(&mut self.conn, &self.ids, self.now, &self.party, self.tenant, who).unwrap()
    }

    fn answer(&mut self, opened: &Opened, authenticator: &mut Authenticator, manners: &Manners) -> Vec<u8> {
        let challenge = challenge_of(&opened.options);
        let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
        authenticator.get(&ask, manners).unwrap().to_json().to_string().into_bytes()
    }

    fn enter(&mut self, challenge: Uuid, response: &[u8]) -> Result<SignedIn, Refused> {
        let who = (self.tenant, HolderKind::Person);
        finish_sign_in(&mut self.conn, self.now, &self.party, who, challenge, response).unwrap()
    }

    fn sign_in(&mut self, authenticator: &mut Authenticator, manners: &Manners) -> Result<SignedIn, Refused> {
        let opened = self.ask_to_sign_in(None);
        let response = self.answer(&opened, authenticator, manners);
        self.enter(opened.challenge, &response)
    }

    fn only(&mut self) -> Passkey {
        list(&mut self.conn, self.tenant, self.holder).unwrap().remove(0)
    }
}

pub(crate) fn add_tenant(conn: &mut PgConnection, ids: &Ids, now: DateTime<Utc>, slug: &str) -> i64 {
    let (name, zone) = ("A company".to_owned(), chrono_tz::Europe::Rome);
    let wish = NewTenant { slug: slug.to_owned(), name, sandbox: true, zone, locale: Lang::It };
    create_tenant(conn, ids, now, Actor::System, &wish).unwrap().id
}

fn challenge_of(options: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(options["publicKey"]["challenge"].as_str().unwrap().as_bytes()).unwrap()
}

fn fault<T: std::fmt::Debug>(refused: Result<T, Refused>) -> Fault {
    refused.unwrap_err().fault()
}

#[test]
fn a_passkey_is_registered_and_signs_in_whatever_its_make() {
    for make in [Make::DEVICE, Make::SYNCED, Make { algorithm: Algorithm::Ed25519, ..Make::DEVICE }] {
        let mut stage = Stage::new();
        let (mut authenticator, passkey) = stage.register(make);
        assert_eq!((passkey.name.as_str(), passkey.holder), ("myphone", stage.holder));
        assert_eq!(passkey.aaguid.as_bytes(), b"tessera-software");
        assert_eq!(stage.only(), passkey, "it is kept as it was told");
        for counter in 1..3 {
            stage.now += TimeDelta::hours(1);
            let entered = stage.sign_in(&mut authenticator, &Manners::good()).unwrap();
            let expected = SignedIn { holder: stage.holder, passkey: passkey.id, synced: make.synced };
            assert_eq!(entered, expected);
            let kept = stage.only();
            assert_eq!(kept.counter, if make.counts { counter } else { 0 });
            assert_eq!((kept.last_used_at, kept.backed_up), (Some(stage.now), make.synced));
        }
    }
}

#[test]
fn the_options_ask_for_what_we_take_and_no_more() {
    let mut stage = Stage::new();
    let (_, passkey) = stage.register(Make::DEVICE);
    let new = NewPasskey { holder: stage.holder, user_name: "anna", display_name: "Anna" };
    let opened = start_registration(&mut stage.conn, &stage.ids, stage.now, &stage.party, stage.tenant, &new).unwrap();
    let asked = &opened.options["publicKey"];
    let id = BASE64URL_NOPAD.encode(&passkey.credential_id);
    assert_eq!(
        asked["pubKeyCredParams"],
        serde_json::json!([{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -8}])
    );
    assert_eq!(asked["rp"]["id"], RP_ID);
    assert_eq!(asked["attestation"], "none");
    assert_eq!(asked["excludeCredentials"][0]["id"], id);
    assert_eq!(asked["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(asked["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(asked["timeout"], 300_000);
    assert_eq!(challenge_of(&opened.options).len(), 32);
    let anybody = stage.ask_to_sign_in(None).options;
    assert_eq!(anybody["publicKey"]["allowCredentials"], serde_json::json!([]));
    assert_eq!(anybody["publicKey"]["userVerification"], "required");
    let known = stage.holder.id;
    let theirs = stage.ask_to_sign_in(Some(known)).options;
    assert_eq!(theirs["publicKey"]["allowCredentials"], serde_json::json!([{"type": "public-key", "id": id}]));
    // Whose name nobody here has is asked as one is who has no passkey: nothing tells them apart.
    let unknown = stage.ids.uuid_v7(stage.now);
    assert_eq!(stage.ask_to_sign_in(Some(unknown)).options["publicKey"]["allowCredentials"], serde_json::json!([]));
}

#[test]
fn t12_a_challenge_is_answered_in_time_and_once() {
    let mut stage = Stage::new();
    let (_, challenge, response) = stage.begin(Make::DEVICE, &Manners::good());
    stage.now += TimeDelta::seconds(301);
    assert_eq!(fault(stage.finish(challenge, &response)), Fault::Challenge, "registered after 301 s");
    let start = stage.now;
    let (mut other, challenge, response) = stage.begin(Make::DEVICE, &Manners::good());
    stage.now = start + TimeDelta::seconds(299);
    stage.finish(challenge, &response).unwrap();
    assert_eq!(fault(stage.finish(challenge, &response)), Fault::Challenge, "registered twice");

    let opened = stage.ask_to_sign_in(None);
    let late = stage.answer(&opened, &mut other, &Manners::good());
    stage.now += TimeDelta::seconds(301);
    assert_eq!(fault(stage.enter(opened.challenge, &late)), Fault::Credential, "signed in after 301 s");
    let opened = stage.ask_to_sign_in(None);
    let response = stage.answer(&opened, &mut other, &Manners::good());
    stage.enter(opened.challenge, &response).unwrap();
    let again = stage.answer(&opened, &mut other, &Manners::good());
    assert_eq!(fault(stage.enter(opened.challenge, &again)), Fault::Credential, "signed in twice");
    // One that was answered wrongly is spent too.
    let opened = stage.ask_to_sign_in(None);
    let wrong = stage.answer(&opened, &mut other, &Manners { user_unverified: true, ..Manners::good() });
    assert_eq!(fault(stage.enter(opened.challenge, &wrong)), Fault::UserUnverified);
    let right = stage.answer(&opened, &mut other, &Manners::good());
    assert_eq!(fault(stage.enter(opened.challenge, &right)), Fault::Credential);
}

#[test]
fn t12_of_fifty_answers_at_once_one_counts() {
    let mut stage = Stage::new();
    let (mut authenticator, _) = stage.register(Make::SYNCED);
    let opened = stage.ask_to_sign_in(None);
    let response = stage.answer(&opened, &mut authenticator, &Manners::good());
    let conns: Vec<_> = (0..50).map(|_| stage.connect()).collect();
    let (party, now, who) = (&stage.party, stage.now, (stage.tenant, HolderKind::Person));
    let entered = std::thread::scope(|scope| {
        let enter = |mut conn: PgConnection| {
            let response = &response;
            scope.spawn(move || finish_sign_in(&mut conn, now, party, who, opened.challenge, response).unwrap().is_ok())
        };
        let tries: Vec<_> = conns.into_iter().map(enter).collect();
        tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
    });
    assert_eq!(entered, 1);
}

#[test]
fn t13_a_challenge_is_for_its_own_ceremony_and_holder() {
    let mut stage = Stage::new();
    let (mut authenticator, _) = stage.register(Make::DEVICE);
    let opened = stage.ask_to_sign_in(None);
    let response = stage.answer(&opened, &mut authenticator, &Manners::good());
    assert_eq!(fault(stage.finish(opened.challenge, &response)), Fault::Challenge, "a sign-in's, to register");
    let who = (stage.tenant, HolderKind::Operator);
    let operator = finish_sign_in(&mut stage.conn, stage.now, &stage.party, who, opened.challenge, &response).unwrap();
    assert_eq!(fault(operator), Fault::Credential, "a person's, as an operator");
    stage.enter(opened.challenge, &response).unwrap();
    for ceremony in ["webauthn.create", "payment.get"] {
        let manners = Manners { ceremony: Some(ceremony), ..Manners::good() };
        assert_eq!(fault(stage.sign_in(&mut authenticator, &manners)), Fault::Ceremony, "{ceremony}");
    }
    let (_, challenge, response) =
        stage.begin(Make::DEVICE, &Manners { ceremony: Some("webauthn.get"), ..Manners::good() });
    assert_eq!(fault(stage.finish(challenge, &response)), Fault::Ceremony);
    let (_, challenge, response) = stage.begin(Make::DEVICE, &Manners::good());
    let owner = stage.holder;
    stage.holder = Holder::person(stage.ids.uuid_v7(stage.now));
    assert_eq!(fault(stage.finish(challenge, &response)), Fault::Challenge, "another person's");
    stage.holder = owner;
    stage.finish(challenge, &response).unwrap();
}

#[test]
fn t14_another_origin_or_relying_party_is_refused_in_both_ceremonies() {
    let mut stage = Stage::new();
    let (mut authenticator, _) = stage.register(Make::DEVICE);
    let origin = |origin: &str| Manners { origin: Some(origin.to_owned()), ..Manners::good() };
    for (manners, expected) in [
        (origin("https://wallet.example.evil.test"), Fault::Origin),
        // The library would take this one: to it, what follows the host is no part of an origin.
        (origin("https://wallet.example/evil"), Fault::Origin),
        (Manners { rp_id: Some("evil.test".to_owned()), ..Manners::good() }, Fault::RpId),
        (Manners { cross_origin: true, ..Manners::good() }, Fault::CrossOrigin),
    ] {
        assert_eq!(fault(stage.sign_in(&mut authenticator, &manners)), expected);
        let (_, challenge, response) = stage.begin(Make::DEVICE, &manners);
        assert_eq!(fault(stage.finish(challenge, &response)), expected);
    }
}

#[test]
fn t15_without_user_verification_nothing_is_registered_and_nobody_enters() {
    let mut stage = Stage::new();
    let manners = Manners { user_unverified: true, ..Manners::good() };
    let (_, challenge, response) = stage.begin(Make::DEVICE, &manners);
    assert_eq!(fault(stage.finish(challenge, &response)), Fault::UserUnverified);
    let (mut authenticator, _) = stage.register(Make::DEVICE);
    assert_eq!(fault(stage.sign_in(&mut authenticator, &manners)), Fault::UserUnverified);
}

#[test]
fn t16_a_counter_that_goes_back_locks_the_passkey_for_good() {
    let mut stage = Stage::new();
    let (mut authenticator, _) = stage.register(Make::DEVICE);
    authenticator.set_counter(9);
    stage.sign_in(&mut authenticator, &Manners::good()).unwrap();
    authenticator.set_counter(3);
    assert_eq!(fault(stage.sign_in(&mut authenticator, &Manners::good())), Fault::CounterBack);
    assert_eq!(stage.only().locked_at, Some(stage.now));
    authenticator.set_counter(100);
    assert_eq!(
        fault(stage.sign_in(&mut authenticator, &Manners::good())),
        Fault::Credential,
        "the right one is locked too"
    );
    // Somebody else's signature locks nobody: it has to be the credential's own.
    let (mut authenticator, passkey) = stage.register(Make::DEVICE);
    let forged = Manners { counter: Some(0), signs_with_another_key: true, ..Manners::good() };
    assert_eq!(fault(stage.sign_in(&mut authenticator, &forged)), Fault::Signature);
    let kept = list(&mut stage.conn, stage.tenant, stage.holder).unwrap();
    assert!(kept.iter().find(|one| one.id == passkey.id).unwrap().is_live());
}

#[test]
fn t07_whatever_is_wrong_the_answer_reads_the_same() {
    let mut stage = Stage::new();
    let (mut authenticator, _) = stage.register(Make::DEVICE);
    stage.sign_in(&mut authenticator, &Manners::good()).unwrap();
    let mut bodies = Vec::new();
    for manners in [
        Manners { user_unverified: true, ..Manners::good() },
        Manners { signs_with_another_key: true, ..Manners::good() },
        Manners { origin: Some("https://evil.test".to_owned()), ..Manners::good() },
        Manners { truncated: Some(Cut::ClientData), ..Manners::good() },
        Manners { counter: Some(0), ..Manners::good() },
        Manners::good(), // it is locked by now
    ] {
        let refused = stage.sign_in(&mut authenticator, &manners).unwrap_err();
        bodies.push(serde_json::to_string(&refused.describe().body(Lang::En)).unwrap());
    }
    let unknown = stage.enter(Uuid::nil(), b"{}").unwrap_err();
    bodies.push(serde_json::to_string(&unknown.describe().body(Lang::En)).unwrap());
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[test]
fn a_passkey_that_was_ended_or_is_anothers_does_not_enter() {
    let mut stage = Stage::new();
    let (mut authenticator, passkey) = stage.register(Make::DEVICE);
    let stranger = Holder::person(stage.ids.uuid_v7(stage.now));
    assert!(!revoke(&mut stage.conn, stage.tenant, stranger, passkey.id, stage.now).unwrap(), "not theirs to end");
    assert!(!rename(&mut stage.conn, stage.tenant, stranger, passkey.id, "mine").unwrap());
    assert!(rename(&mut stage.conn, stage.tenant, stage.holder, passkey.id, "blue phone").unwrap());
    assert_eq!(stage.only().name, "blue phone");
    // Asked of somebody else by name.
    let opened = stage.ask_to_sign_in(Some(stranger.id));
    let response = stage.answer(&opened, &mut authenticator, &Manners::good());
    assert_eq!(fault(stage.enter(opened.challenge, &response)), Fault::Credential);
    for _ in 0..2 {
        assert!(revoke(&mut stage.conn, stage.tenant, stage.holder, passkey.id, stage.now).unwrap());
        stage.now += TimeDelta::seconds(1);
    }
    assert_eq!(stage.only().revoked_at, Some(stage.now - TimeDelta::seconds(2)), "the first end stays");
    assert_eq!(fault(stage.sign_in(&mut authenticator, &Manners::good())), Fault::Credential);
}

#[test]
fn a_credential_is_registered_once_in_a_tenant_and_apart_in_another() {
    let mut stage = Stage::new();
    let (mut authenticator, challenge, response) = stage.begin(Make::DEVICE, &Manners::good());
    stage.finish(challenge, &response).unwrap();
    let mut owner = stage.scratch.connect();
    let other = add_tenant(&mut owner, &stage.ids, stage.now, "enel");
    let opened = stage.ask_to_sign_in(None);
    let response = stage.answer(&opened, &mut authenticator, &Manners::good());
    let who = (other, HolderKind::Person);
    let elsewhere = finish_sign_in(&mut stage.conn, stage.now, &stage.party, who, opened.challenge, &response).unwrap();
    assert_eq!(fault(elsewhere), Fault::Credential);
    stage.enter(opened.challenge, &response).unwrap();
}

#[test]
fn nobody_has_more_passkeys_than_one_may_have() {
    let mut stage = Stage::new();
    for _ in 0..MOST {
        stage.register(Make::SYNCED);
    }
    let new = NewPasskey { holder: stage.holder, user_name: "anna", display_name: "Anna" };
    let more = start_registration(&mut stage.conn, &stage.ids, stage.now, &stage.party, stage.tenant, &new);
    assert!(matches!(more, Err(PasskeyError::TooMany)));
}

#[test]
fn challenges_nobody_answered_are_forgotten_when_their_time_is_over() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.ask_to_sign_in(None);
    }
    assert_eq!(forget_expired(&mut stage.conn, stage.tenant, 100, stage.now).unwrap(), 0);
    stage.now += TimeDelta::seconds(CHALLENGE_SECONDS);
    assert_eq!(forget_expired(&mut stage.conn, stage.tenant, 2, stage.now).unwrap(), 2);
    assert_eq!(forget_expired(&mut stage.conn, stage.tenant, 2, stage.now).unwrap(), 1);
}

#[test]
fn the_apps_role_ends_a_passkey_and_never_changes_or_deletes_one() {
    let mut stage = Stage::new();
    stage.register(Make::DEVICE);
    for forbidden in [
        "DELETE FROM passkey",
        "UPDATE passkey SET public_key = public_key",
        "UPDATE passkey SET holder = holder",
        "UPDATE passkey SET backup_eligible = false",
        "UPDATE challenge SET expires_at = now()",
    ] {
        assert!(diesel::sql_query(forbidden).execute(&mut stage.conn).is_err(), "{forbidden}");
    }
}
