use std::sync::LazyLock;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::platform::keyring::Kind;

const PATH: &str = "/v1/sessions/refresh";
const URL: &str = "https://wallet.example/v1/sessions/refresh";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

/// A device that makes proofs, good or bad.
struct Hand(EcdsaKeyPair);

impl Hand {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    fn header(&self) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| BASE64URL_NOPAD.encode(half));
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{claims}");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    fn proof(&self, proofs: &Judge, jti: &str, at: DateTime<Utc>, access: Option<&Token>) -> String {
        self.sign(&self.header(), &claims(proofs, jti, at, access))
    }
}

fn claims(proofs: &Judge, jti: &str, at: DateTime<Utc>, access: Option<&Token>) -> Value {
    let ath = access.map(|token| BASE64URL_NOPAD.encode(&sha256(token.reveal().as_bytes())));
    let mut claims =
        json!({"jti": jti, "htm": "POST", "htu": URL, "iat": at.timestamp(), "nonce": proofs.nonce(now())});
    if let Some(ath) = ath {
        claims["ath"] = ath.into();
    }
    claims
}

fn asked(access: Option<&Token>) -> Asked<'_> {
    static ORIGINS: LazyLock<Vec<String>> = LazyLock::new(|| vec!["https://wallet.example".to_owned()]);
    Asked { method: "POST", origins: &ORIGINS, path: PATH, access, nonces: None }
}

#[test]
fn t20_a_proof_is_over_one_request_and_one_token() {
    let (proofs, hand, ids) = (Judge::new(&Ids::system()), Hand::new(), Ids::system());
    let (token, other) = (Token::generate(Kind::Access, &ids), Token::generate(Kind::Access, &ids));
    let proof = hand.proof(&proofs, "one", now(), Some(&token));
    for wrong in [
        Asked { method: "GET", ..asked(Some(&token)) },
        Asked { path: "/v1/sessions", ..asked(Some(&token)) },
        Asked { origins: &[String::from("https://wallet.example.evil.test")], ..asked(Some(&token)) },
        asked(Some(&other)),
        asked(None),
    ] {
        assert_eq!(proofs.judge(&proof, wrong, now()), Err(ProofError::Worthless), "{wrong:?}");
    }
    let key = proofs.judge(&proof, asked(Some(&token)), now()).unwrap();
    assert_eq!(key.point().as_slice(), hand.0.public_key().as_ref());
    let without = hand.proof(&proofs, "two", now(), None);
    assert_eq!(proofs.judge(&without, asked(Some(&token)), now()), Err(ProofError::Worthless));
}

#[test]
fn t21_a_proof_proves_once_at_one_node_and_nothing_at_the_others() {
    let (here, there, hand) = (Judge::new(&Ids::system()), Judge::new(&Ids::system()), Hand::new());
    let proof = hand.proof(&here, "one", now(), None);
    assert_eq!(there.judge(&proof, asked(None), now()), Err(ProofError::Nonce));
    let all: Vec<_> = std::thread::scope(|scope| {
        let judge = || here.clone().judge(&proof, asked(None), now()).is_ok();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(judge)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.into_iter().filter(|judged| *judged).count(), 1);
    for later in [0, 30, 60] {
        let at = now() + TimeDelta::seconds(later);
        assert_eq!(here.judge(&proof, asked(None), at), Err(ProofError::Worthless), "{later} s later");
    }
    here.judge(&Hand::new().proof(&here, "one", now(), None), asked(None), now()).unwrap();
}

/// As pages give them: a form cannot be asked for twice, so any node takes its nonce, once.
#[test]
fn a_nonce_of_whoever_asks_is_taken_by_any_node_in_the_place_of_its_own() {
    let (here, there, hand) = (Judge::new(&Ids::system()), Judge::new(&Ids::system()), Hand::new());
    let given = [String::from("now"), String::from("before")];
    let with = Asked { nonces: Some(&given), ..asked(None) };
    for nonce in ["now", "before"] {
        let mut claims = claims(&here, nonce, now(), None);
        claims["nonce"] = nonce.into();
        let proof = hand.sign(&hand.header(), &claims);
        assert_eq!(there.judge(&proof, asked(None), now()), Err(ProofError::Nonce), "only where it was given");
        there.judge(&proof, with, now()).unwrap();
        assert_eq!(there.judge(&proof, with, now()), Err(ProofError::Worthless), "once");
    }
    let proof = hand.proof(&here, "three", now(), None);
    assert_eq!(here.judge(&proof, with, now()), Err(ProofError::Nonce), "and no other beside it");
}

#[test]
fn t22_a_proof_is_of_a_minute_ago_at_the_most_and_of_ten_seconds_ahead() {
    let (proofs, hand) = (Judge::new(&Ids::system()), Hand::new());
    for (seconds, holds) in [(-60, true), (-61, false), (0, true), (9, true), (10, true), (11, false), (61, false)] {
        let proof = hand.proof(&proofs, &seconds.to_string(), now() + TimeDelta::seconds(seconds), None);
        assert_eq!(proofs.judge(&proof, asked(None), now()).is_ok(), holds, "{seconds} s");
    }
    for iat in [i64::MIN, i64::MAX] {
        let mut claims = claims(&proofs, "far", now(), None);
        claims["iat"] = iat.into();
        assert!(proofs.judge(&hand.sign(&hand.header(), &claims), asked(None), now()).is_err());
    }
}

#[test]
fn a_nonce_is_taken_in_its_turn_and_the_next_and_without_one_ours_is_asked_for() {
    let (proofs, hand) = (Judge::new(&Ids::system()), Hand::new());
    let with = |nonce: Value, at: DateTime<Utc>, jti: &str| {
        let mut claims = claims(&proofs, jti, at, None);
        claims["nonce"] = nonce;
        proofs.judge(&hand.sign(&hand.header(), &claims), asked(None), at)
    };
    let nonce = Value::from(proofs.nonce(now()));
    let turn = |n: i64| now() + TimeDelta::seconds(n * NONCE_S);
    assert!(with(nonce.clone(), turn(0), "a").is_ok() && with(nonce.clone(), turn(1), "b").is_ok());
    assert_eq!(with(nonce, turn(2), "c"), Err(ProofError::Nonce));
    assert_eq!(with(Value::Null, now(), "d"), Err(ProofError::Nonce));
    assert_eq!(with("0".repeat(32).into(), now(), "e"), Err(ProofError::Nonce));
}

#[test]
fn t28_no_other_algorithm_type_or_form_is_a_proof() {
    let (proofs, hand) = (Judge::new(&Ids::system()), Hand::new());
    let claims = claims(&proofs, "one", now(), None);
    let good = hand.sign(&hand.header(), &claims);
    let with = |pointer: &str, value: Value| {
        let mut header = hand.header();
        header[pointer] = value;
        hand.sign(&header, &claims)
    };
    let mut of_private = hand.header();
    of_private["jwk"]["d"] = "AA".into();
    let mut off_curve = hand.header();
    off_curve["jwk"]["x"] = BASE64URL_NOPAD.encode(&[1; 32]).into();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let bad = [
        with("alg", "none".into()),
        with("alg", "HS256".into()),
        with("typ", "JWT".into()),
        with("crit", json!(["exp"])),
        hand.sign(&of_private, &claims),
        hand.sign(&off_curve, &claims),
        signed.to_owned(),
        format!("{signed}."),
        format!("{good}."),
        good.replacen('.', "..", 1),
        format!("{good}{}", "A".repeat(LONGEST)),
        String::new(),
        "....".to_owned(),
        "é.é.é".to_owned(),
    ];
    for proof in bad {
        assert_eq!(proofs.judge(&proof, asked(None), now()), Err(ProofError::Worthless), "{proof}");
    }
    proofs.judge(&good, asked(None), now()).unwrap();
}

/// RFC 7638, section 3.1, has an RSA key; this one is of RFC 9449, section 4.1, whose thumbprint is in section 6.1.
#[test]
fn the_thumbprint_is_the_one_of_the_standard() {
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"});
    let key = DeviceKey::of_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
    assert_eq!(BASE64URL_NOPAD.encode(&key.thumbprint()), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

#[test]
fn what_was_seen_is_bounded_and_never_forgotten_while_it_could_come_again() {
    let mut seen = Seen::default();
    let name = |n: u32| {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&n.to_be_bytes());
        name
    };
    seen.note(name(0), now()).unwrap();
    assert_eq!(seen.note(name(0), now() + GENERATION), Err(ProofError::Worthless));
    seen.note(name(0), now() + GENERATION * 3).unwrap();
    let later = now() + GENERATION * 6;
    let count = u32::try_from(REMEMBERED).unwrap();
    (1..=count).for_each(|n| seen.note(name(n), later).unwrap());
    assert_eq!(seen.note(name(count + 1), later), Err(ProofError::Overrun));
    assert_eq!(seen.younger.len(), REMEMBERED);
}
