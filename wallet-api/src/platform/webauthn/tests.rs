//! Laws of the verifier over answers that the software authenticator makes; the threats' numbers are those of
//! `docs/threats.md`.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::platform::authenticator::{Ask, Authenticator, Cut, Make, Manners};
use crate::platform::ids::Ids;

const RP_ID: &str = "wallet.example";
const CHALLENGE: [u8; 32] = [7; 32];

struct Stage {
    origins: Vec<String>,
    authenticator: Authenticator,
    key: PublicKey,
    instrument: Instrument,
}

impl Stage {
    fn new(make: Make) -> Self {
        let origins = vec!["https://wallet.example".to_owned()];
        let ask = Ask { challenge: &CHALLENGE, origin: &origins[0], rp_id: RP_ID };
        let (authenticator, _) = Authenticator::create(&Ids::system(), make, &ask, b"u", &Manners::good()).unwrap();
        let key = authenticator.public_key().unwrap();
        let icon = "https://wallet.example/wallet.png".to_owned();
        Self { origins, authenticator, key, instrument: Instrument { display_name: "Wallet".to_owned(), icon } }
    }

    fn expected<'a>(&'a self, ceremony: Ceremony<'a>) -> Expected<'a> {
        Expected { ceremony, challenge: &CHALLENGE, rp_id: RP_ID, origins: &self.origins }
    }

    fn signs(&mut self, manners: &Manners) -> Result<Verified, Fault> {
        let ask = Ask { challenge: &CHALLENGE, origin: &self.origins[0], rp_id: RP_ID };
        let assertion = self.authenticator.get(&ask, manners).unwrap();
        self.judges(&assertion, 0)
    }

    fn judges(&self, assertion: &Assertion, counter: u32) -> Result<Verified, Fault> {
        let known = Known { key: &self.key, counter, backup_eligible: false };
        verify(assertion, &self.expected(Ceremony::Get), &known)
    }

    fn pays(&mut self, value: &str, manners: &Manners) -> Result<Verified, Fault> {
        let instrument = self.instrument.clone();
        let shown = PaymentShown { payee_name: "Bar Luce", value, currency: "EUR", instrument: &instrument };
        let ask = Ask { challenge: &CHALLENGE, origin: &self.origins[0], rp_id: RP_ID };
        let assertion = self.authenticator.pay(&ask, &shown, manners).unwrap();
        let known = Known { key: &self.key, counter: 0, backup_eligible: false };
        verify(&assertion, &self.expected(Ceremony::Payment(&shown)), &known)
    }
}

/// A payment's members with one of them said otherwise.
fn said(name: &str, value: serde_json::Value) -> Manners {
    Manners { payment: Some([(name.to_owned(), value)].into_iter().collect()), ..Manners::good() }
}

#[test]
fn t13_an_answer_of_another_ceremony_never_passes() {
    let mut stage = Stage::new(Make::DEVICE);
    for ceremony in ["webauthn.create", "payment.get", "webauthn.GET", ""] {
        let manners = Manners { ceremony: Some(ceremony), ..Manners::good() };
        assert_eq!(stage.signs(&manners), Err(Fault::Ceremony), "{ceremony} to sign in");
    }
    for ceremony in ["webauthn.create", "webauthn.get", "payment.create"] {
        let manners = Manners { ceremony: Some(ceremony), ..Manners::good() };
        assert_eq!(stage.pays("10.00", &manners), Err(Fault::Ceremony), "{ceremony} to pay");
    }
    // A payment's members in an ordinary answer: somebody relabelled it.
    let instrument = stage.instrument.clone();
    let shown = PaymentShown { payee_name: "Bar Luce", value: "10.00", currency: "EUR", instrument: &instrument };
    let ask = Ask { challenge: &CHALLENGE, origin: "https://wallet.example", rp_id: RP_ID };
    let manners = Manners { ceremony: Some("webauthn.get"), ..Manners::good() };
    let relabelled = stage.authenticator.pay(&ask, &shown, &manners).unwrap();
    assert_eq!(stage.judges(&relabelled, 0), Err(Fault::Payment));
}

#[test]
fn t14_another_origin_frame_or_relying_party_never_passes() {
    let mut stage = Stage::new(Make::DEVICE);
    for origin in [
        "https://wallet.example.evil.test",
        "https://evil.test",
        "http://wallet.example",
        "https://wallet.example:8443",
        "https://wallet.example/",
        "https://wallet.example/pay",
        "https://sub.wallet.example",
        "https://WALLET.example",
        "null",
        "",
    ] {
        let manners = Manners { origin: Some(origin.to_owned()), ..Manners::good() };
        assert_eq!(stage.signs(&manners), Err(Fault::Origin), "{origin}");
        assert_eq!(stage.pays("10.00", &manners), Err(Fault::Origin), "{origin}, payment");
    }
    for rp_id in ["evil.test", "example", "sub.wallet.example", ""] {
        let manners = Manners { rp_id: Some(rp_id.to_owned()), ..Manners::good() };
        assert_eq!(stage.signs(&manners), Err(Fault::RpId), "{rp_id}");
    }
    let framed = Manners { cross_origin: true, ..Manners::good() };
    assert_eq!(stage.signs(&framed), Err(Fault::CrossOrigin));
    assert_eq!(stage.pays("10.00", &framed), Err(Fault::CrossOrigin));
    let framed = Manners { top_origin: Some("https://wallet.example".to_owned()), ..Manners::good() };
    assert_eq!(stage.signs(&framed), Err(Fault::CrossOrigin), "a top origin is a frame");
    assert_eq!(stage.pays("10.00", &said("topOrigin", json!("https://evil.test"))), Err(Fault::Payment));
    assert_eq!(stage.pays("10.00", &said("rpId", json!("evil.test"))), Err(Fault::Payment));
}

#[test]
fn t15_presence_without_verification_never_passes() {
    let mut stage = Stage::new(Make::DEVICE);
    let unverified = Manners { user_unverified: true, ..Manners::good() };
    assert_eq!(stage.signs(&unverified), Err(Fault::UserUnverified));
    assert_eq!(stage.pays("10.00", &unverified), Err(Fault::UserUnverified));
    let absent = Manners { user_absent: true, ..Manners::good() };
    assert_eq!(stage.signs(&absent), Err(Fault::UserAbsent));
}

#[test]
fn t16_a_counter_that_does_not_go_forward_never_passes() {
    let mut stage = Stage::new(Make::DEVICE);
    for (stored, said, passes) in
        [(0, 0, true), (0, 1, true), (5, 6, true), (5, 5, false), (5, 4, false), (5, 0, false), (u32::MAX, 0, false)]
    {
        let ask = Ask { challenge: &CHALLENGE, origin: "https://wallet.example", rp_id: RP_ID };
        let manners = Manners { counter: Some(said), ..Manners::good() };
        let assertion = stage.authenticator.get(&ask, &manners).unwrap();
        let verdict = stage.judges(&assertion, stored);
        let expected = if passes { Ok(Verified { counter: said, backed_up: false }) } else { Err(Fault::CounterBack) };
        assert_eq!(verdict, expected, "{said} after {stored}");
    }
}

#[test]
fn t05_the_amount_shown_is_the_amount_to_the_letter() {
    let mut stage = Stage::new(Make::DEVICE);
    stage.pays("10.00", &Manners::good()).unwrap();
    for value in ["10.0", "10", "10.01", "1e1", "10.000", "+10.00", "010.00", "0.1+0.2", "9007199254740993", " 10.00"] {
        let total = said("total", json!({"value": value, "currency": "EUR"}));
        assert_eq!(stage.pays("10.00", &total), Err(Fault::Payment), "{value}");
    }
    // A number is no amount, however exact.
    let total = said("total", json!({"value": 10.00, "currency": "EUR"}));
    assert_eq!(stage.pays("10.00", &total), Err(Fault::Malformed));
    // One above what a float can tell from it.
    let total = said("total", json!({"value": "90071992547409.92", "currency": "EUR"}));
    assert_eq!(stage.pays("90071992547409.93", &total), Err(Fault::Payment));
}

#[test]
fn the_payment_shown_is_the_payment_asked_for() {
    let mut stage = Stage::new(Make::DEVICE);
    for (name, value) in [
        ("payeeName", json!("Bar Luсe")), // a Cyrillic с
        ("payeeName", json!("bar luce")),
        ("payeeName", serde_json::Value::Null),
        ("payeeOrigin", json!("https://shop.example")),
        ("total", json!({"value": "10.00", "currency": "USD"})),
        ("instrument", json!({"displayName": "Another", "icon": "https://wallet.example/wallet.png"})),
        ("instrument", json!({"displayName": "Wallet", "icon": "https://evil.test/wallet.png"})),
    ] {
        assert_eq!(stage.pays("10.00", &said(name, value.clone())), Err(Fault::Payment), "{name} {value}");
    }
}

#[test]
fn another_challenge_key_or_a_part_cut_short_never_passes() {
    let mut stage = Stage::new(Make::DEVICE);
    let other = Manners { challenge: Some(vec![8; 32]), ..Manners::good() };
    assert_eq!(stage.signs(&other), Err(Fault::Challenge));
    let other = Manners { signs_with_another_key: true, ..Manners::good() };
    assert_eq!(stage.signs(&other), Err(Fault::Signature));
    for (part, fault) in [
        (Cut::ClientData, Fault::Malformed),
        (Cut::AuthenticatorData, Fault::Malformed),
        (Cut::Signature, Fault::Signature),
    ] {
        let cut = Manners { truncated: Some(part), ..Manners::good() };
        assert_eq!(stage.signs(&cut), Err(fault), "{part:?}");
    }
}

#[test]
fn backup_flags_keep_their_word() {
    let mut stage = Stage::new(Make::DEVICE);
    for backup in [(true, false), (true, true), (false, true)] {
        let manners = Manners { backup: Some(backup), ..Manners::good() };
        assert_eq!(stage.signs(&manners), Err(Fault::Backup), "{backup:?}");
    }
}

#[test]
fn parts_longer_than_any_honest_one_are_not_looked_at() {
    let mut stage = Stage::new(Make::DEVICE);
    let ask = Ask { challenge: &CHALLENGE, origin: "https://wallet.example", rp_id: RP_ID };
    let good = stage.authenticator.get(&ask, &Manners::good()).unwrap();
    let long = |length| vec![b' '; length];
    for wrong in [
        Assertion { client_data_json: long(limits::CLIENT_DATA + 1), ..good.clone() },
        Assertion { authenticator_data: long(limits::AUTHENTICATOR_DATA + 1), ..good.clone() },
        Assertion { signature: long(limits::SIGNATURE + 1), ..good.clone() },
        Assertion { credential_id: long(limits::CREDENTIAL_ID + 1), ..good.clone() },
        Assertion { user_handle: Some(long(limits::USER_HANDLE + 1)), ..good.clone() },
    ] {
        assert_eq!(stage.judges(&wrong, 0), Err(Fault::TooLong));
        assert_eq!(Assertion::from_json(wrong.to_json().to_string().as_bytes()), Err(Fault::TooLong));
    }
    assert_eq!(Assertion::from_json(&long(limits::RESPONSE + 1)), Err(Fault::TooLong));
    // Depth that would end a stack, where the members we skip may lie.
    let deep = format!("{{\"type\":{}", "[".repeat(10_000));
    let deep = Assertion { client_data_json: deep.into_bytes(), ..good };
    assert_eq!(stage.judges(&deep, 0), Err(Fault::Malformed));
}

#[test]
fn a_member_said_twice_is_refused() {
    let stage = Stage::new(Make::DEVICE);
    let twice = br#"{"type":"webauthn.get","type":"webauthn.get","challenge":"","origin":""}"#;
    let assertion = Assertion {
        credential_id: Vec::new(),
        client_data_json: twice.to_vec(),
        authenticator_data: Vec::new(),
        signature: Vec::new(),
        user_handle: None,
    };
    assert_eq!(stage.judges(&assertion, 0), Err(Fault::Malformed));
}

#[test]
fn what_is_written_as_json_reads_as_it_was() {
    let mut stage = Stage::new(Make::SYNCED);
    let ask = Ask { challenge: &CHALLENGE, origin: "https://wallet.example", rp_id: RP_ID };
    let used = stage.authenticator.get(&ask, &Manners::good()).unwrap();
    assert_eq!(Assertion::from_json(used.to_json().to_string().as_bytes()), Ok(used));
    let (_, made) = Authenticator::create(&Ids::system(), Make::SYNCED, &ask, b"u", &Manners::good()).unwrap();
    assert_eq!(Attestation::from_json(made.to_json().to_string().as_bytes()), Ok(made));
}

proptest! {
    /// Whatever bytes come, the answer is a refusal and no panic.
    #[test]
    fn bytes_that_nobody_signed_never_pass(
        client in vec(any::<u8>(), 0..300),
        data in vec(any::<u8>(), 0..300),
        signature in vec(any::<u8>(), 0..100),
    ) {
        let key = PublicKey::decoy();
        let origins = ["https://wallet.example".to_owned()];
        let expected = Expected { ceremony: Ceremony::Get, challenge: &CHALLENGE, rp_id: RP_ID, origins: &origins };
        let known = Known { key: &key, counter: 0, backup_eligible: false };
        let assertion = Assertion {
            credential_id: Vec::new(),
            client_data_json: client.clone(),
            authenticator_data: data.clone(),
            signature,
            user_handle: None,
        };
        prop_assert!(verify(&assertion, &expected, &known).is_err());
        let attestation = Attestation { credential_id: Vec::new(), client_data_json: client, attestation_object: data.clone() };
        let registered = register(&attestation, &Expected { ceremony: Ceremony::Create, ..expected });
        prop_assert!(registered.is_err());
        let _any_answer = PublicKey::from_cose(&data);
        let _any_answer = Assertion::from_json(&data);
    }

    /// A key of either kind is read from what it is written as.
    #[test]
    fn a_key_reads_as_it_is_written(x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        for key in [PublicKey::Es256 { x, y }, PublicKey::Ed25519(x)] {
            prop_assert_eq!(PublicKey::from_cose(&key.to_cose()), Ok(key));
        }
    }
}
