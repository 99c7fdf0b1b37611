//! The W3C's own vectors, Web Authentication Level 3, §16 "Test Vectors": relying party `example.org`.
//!
//! `vectors.json` has their bytes, by the name that each is derived from ("info"). Three have no user verification in
//! their registration or assertion: we refuse those for that reason, and for no other, which is as far as a verifier that
//! always asks for it can follow them. What is registered with a key of another kind is refused for its key.

use data_encoding::HEXLOWER;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vector {
    info: String,
    registration_challenge: String,
    registration_client_data: Option<String>,
    attestation_object: Option<String>,
    aaguid: String,
    credential_id: String,
    public_key: String,
    registration_flags: u8,
    challenge: String,
    authenticator_data: String,
    client_data: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

type Verdict = (&'static str, Option<Result<(), Fault>>, Result<(), Fault>);

/// What each vector's registration and assertion come to; none is that there is no attestation object of a kind we read.
const VERDICTS: [Verdict; 11] = [
    ("none.ES256", Some(Err(Fault::UserUnverified)), Err(Fault::UserUnverified)),
    ("packed-self.ES256", Some(Ok(())), Err(Fault::UserUnverified)),
    ("none.ES256.crossOrigin", Some(Err(Fault::CrossOrigin)), Err(Fault::CrossOrigin)),
    ("none.ES256.topOrigin", Some(Err(Fault::CrossOrigin)), Err(Fault::CrossOrigin)),
    ("none.ES256.long-credential-id", Some(Err(Fault::UserUnverified)), Ok(())),
    ("packed.ES256", None, Ok(())),
    ("packed.ES384", None, Err(Fault::Algorithm)),
    ("packed.RS256", None, Err(Fault::Algorithm)),
    ("packed.EdDSA", None, Err(Fault::UserUnverified)),
    ("tpm.ES256", None, Ok(())),
    ("fido-u2f.ES256", None, Err(Fault::UserUnverified)),
];

#[test]
fn the_w3c_vectors_come_to_what_they_should() {
    let origins = ["https://example.org".to_owned()];
    let vectors = vectors();
    assert_eq!(vectors.len(), VERDICTS.len());
    for (vector, (info, registration, assertion)) in vectors.iter().zip(VERDICTS) {
        assert_eq!(vector.info, info);
        assert_eq!(vector.registers(&origins), registration, "{info}");
        assert_eq!(vector.asserts(&origins), assertion, "{info}");
    }
}

#[test]
fn no_vector_passes_with_one_bit_changed() {
    let origins = ["https://example.org".to_owned()];
    for mut vector in vectors().into_iter().filter(|vector| vector.asserts(&["https://example.org".to_owned()]).is_ok())
    {
        for part in 0..3 {
            let field = |vector: &mut Vector| match part {
                0 => std::mem::take(&mut vector.authenticator_data),
                1 => std::mem::take(&mut vector.client_data),
                _ => std::mem::take(&mut vector.signature),
            };
            let whole = field(&mut vector);
            for at in 0..whole.len() / 2 {
                let mut changed = bytes(&whole);
                changed[at] ^= 1;
                let changed = HEXLOWER.encode(&changed);
                match part {
                    0 => vector.authenticator_data = changed,
                    1 => vector.client_data = changed,
                    _ => vector.signature = changed,
                }
                assert!(vector.asserts(&origins).is_err(), "{}: part {part}, byte {at}", vector.info);
            }
            match part {
                0 => vector.authenticator_data = whole,
                1 => vector.client_data = whole,
                _ => vector.signature = whole,
            }
        }
    }
}

impl Vector {
    fn registers(&self, origins: &[String]) -> Option<Result<(), Fault>> {
        let attestation = Attestation {
            credential_id: bytes(&self.credential_id),
            client_data_json: bytes(self.registration_client_data.as_ref()?),
            attestation_object: bytes(self.attestation_object.as_ref()?),
        };
        let challenge = bytes(&self.registration_challenge);
        let expected = expected(Ceremony::Create, &challenge, origins);
        Some(register(&attestation, &expected).map(|registered| {
            assert_eq!(registered.aaguid.as_slice(), bytes(&self.aaguid));
            assert_eq!(registered.key.to_cose(), bytes(&self.public_key), "the key is written as it was read");
        }))
    }

    fn asserts(&self, origins: &[String]) -> Result<(), Fault> {
        let key = PublicKey::from_cose(&bytes(&self.public_key))?;
        let assertion = Assertion {
            credential_id: bytes(&self.credential_id),
            client_data_json: bytes(&self.client_data),
            authenticator_data: bytes(&self.authenticator_data),
            signature: bytes(&self.signature),
            user_handle: None,
        };
        let backup_eligible = self.registration_flags & Flags::BACKUP_ELIGIBLE != 0;
        let known = Known { key: &key, counter: 0, backup_eligible };
        let challenge = bytes(&self.challenge);
        verify(&assertion, &expected(Ceremony::Get, &challenge, origins), &known).map(drop)
    }
}

fn expected<'a>(ceremony: Ceremony<'a>, challenge: &'a [u8], origins: &'a [String]) -> Expected<'a> {
    Expected { ceremony, challenge, rp_id: "example.org", origins }
}
