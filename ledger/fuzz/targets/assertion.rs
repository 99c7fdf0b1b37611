//! Bytes as an authenticator's or a browser's answer: none of them passes for a signature, none ends the process, and what
//! is read is written as it was.
//!
//! The verifier is compiled from its source: its module knows nothing of the crate around it.
#![no_main]

#[path = "../../../wallet-api/src/platform/webauthn/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the crate uses the rest")]
mod webauthn;

use libfuzzer_sys::fuzz_target;
use webauthn::{Assertion, Attestation, Ceremony, Expected, Instrument, Known, PaymentShown, PublicKey};

const CHALLENGE: [u8; 32] = [0; 32];
/// The public key of RFC 6979, A.2.5, as a COSE key.
const KEY: &[u8] = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20\
    \x60\xfe\xd4\xba\x25\x5a\x9d\x31\xc9\x61\xeb\x74\xc6\x35\x6d\x68\xc0\x49\xb8\x92\x3b\x61\xfa\x6c\xe6\x69\x62\x2e\x60\xf2\x9f\xb6\
    \x22\x58\x20\
    \x79\x03\xfe\x10\x08\xb8\xbc\x99\xa4\x1a\xe9\xe9\x56\x28\xbc\x64\xf2\xf1\xb2\x0c\x2d\x7e\x9f\x51\x77\xa3\xc2\x94\xd4\x46\x22\x99";
/// Client data that are right, for the bytes to be the rest.
const CREATED: &[u8] =
    br#"{"type":"webauthn.create","challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","origin":"https://a.example"}"#;
const USED: &[u8] =
    br#"{"type":"webauthn.get","challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","origin":"https://a.example"}"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 5 {
        0 => judge(bytes),
        1 => register(bytes),
        2 => {
            if let Ok(key) = PublicKey::from_cose(bytes) {
                assert_eq!(PublicKey::from_cose(&key.to_cose()), Ok(key));
            }
        }
        3 => {
            if let Ok(read) = Assertion::from_json(bytes) {
                assert_eq!(Assertion::from_json(read.to_json().to_string().as_bytes()), Ok(read));
            }
        }
        _ => {
            if let Ok(read) = Attestation::from_json(bytes) {
                assert_eq!(Attestation::from_json(read.to_json().to_string().as_bytes()), Ok(read));
            }
        }
    }
});

fn expected<'a>(ceremony: Ceremony<'a>, origins: &'a [String]) -> Expected<'a> {
    Expected { ceremony, challenge: &CHALLENGE, rp_id: "a.example", origins }
}

/// Two bytes of length, then client data, one byte of length, then a signature, then authenticator data; or client data
/// that are right.
fn judge(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((client, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { return };
    let Some((length, rest)) = rest.split_first() else { return };
    let Some((signature, data)) = rest.split_at_checked(usize::from(*length)) else { return };
    let client = if client.is_empty() { USED } else { client };
    let assertion = Assertion {
        credential_id: Vec::new(),
        client_data_json: client.to_vec(),
        authenticator_data: data.to_vec(),
        signature: signature.to_vec(),
        user_handle: None,
    };
    let key = PublicKey::from_cose(KEY).unwrap();
    let known = Known { key: &key, counter: 0, backup_eligible: false };
    let origins = ["https://a.example".to_owned()];
    let instrument = Instrument { display_name: "a".to_owned(), icon: "b".to_owned() };
    let shown = PaymentShown { payee_name: "a", value: "1.00", currency: "EUR", instrument: &instrument };
    for ceremony in [Ceremony::Get, Ceremony::Payment(&shown), Ceremony::Create] {
        assert!(webauthn::verify(&assertion, &expected(ceremony, &origins), &known).is_err(), "a forged signature");
    }
    webauthn::judge_in_vain(&assertion);
}

/// An attestation object, of whatever credential it says it is.
fn register(bytes: &[u8]) {
    let Some((length, object)) = bytes.split_first() else { return };
    let Some((id, _)) = object.split_at_checked(usize::from(*length)) else { return };
    let attestation = Attestation {
        credential_id: id.to_vec(),
        client_data_json: CREATED.to_vec(),
        attestation_object: object.to_vec(),
    };
    let origins = ["https://a.example".to_owned()];
    if let Ok(registered) = webauthn::register(&attestation, &expected(Ceremony::Create, &origins)) {
        assert_eq!(registered.credential_id, id);
        assert!(registered.backup_eligible || !registered.backed_up);
        assert_eq!(PublicKey::from_cose(&registered.key.to_cose()), Ok(registered.key));
    }
}
