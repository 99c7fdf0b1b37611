//! `webauthn-rs`, which begins the ceremonies and is the other judge of their answers.
//!
//! It enforces no time limit, draws its challenges itself (256 bits), asks for more kinds of keys than we take, does not ask
//! for discoverable credentials, and knows no Ed25519: what it begins is put right here, and what it does not know our own
//! verifier judges alone.

use serde_json::json;
use webauthn_rs::prelude::{
    COSEAlgorithm, COSEEC2Key, COSEKey, COSEKeyType, CreationChallengeResponse, Credential, DiscoverableAuthentication,
    ECDSACurve, ParsedAttestation, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    RequestChallengeResponse,
};

use super::{NewPasskey, Passkey, PasskeyError, RelyingParty, Start};
use crate::platform::webauthn::{Algorithm, Fault, PublicKey, Registered};

/// Begins a registration that these credentials of the same holder are kept out of.
pub(super) fn start_registration(
    party: &RelyingParty,
    new: &NewPasskey<'_>,
    known: Vec<Vec<u8>>,
) -> Result<Start, PasskeyError> {
    let NewPasskey { holder, user_name, display_name } = new;
    let (mut asks, state): (CreationChallengeResponse, _) =
        party.library.start_passkey_registration(holder.id, user_name, display_name, Some(known)).map_err(unable)?;
    // We read none of what extensions say, so we ask for none.
    asks.public_key.extensions = None;
    let nonce = nonce(&asks.public_key.challenge)?;
    let mut options = serde_json::to_value(&asks).map_err(unable)?;
    if let Some(offered) = options.pointer_mut("/publicKey/pubKeyCredParams") {
        let one = |algorithm: Algorithm| json!({"type": "public-key", "alg": algorithm.cose()});
        *offered = Algorithm::ALL.into_iter().map(one).collect();
    }
    // Found by the authenticator without being named: so nobody has to say who they are to sign in.
    if let Some(wish) = options.pointer_mut("/publicKey/authenticatorSelection").and_then(|wish| wish.as_object_mut()) {
        wish.insert("residentKey".to_owned(), "required".into());
        wish.insert("requireResidentKey".to_owned(), true.into());
    }
    Ok(Start { options, nonce, state: serde_json::to_string(&state).map_err(unable)? })
}

/// Begins a sign-in that these credentials may answer; none is any.
pub(super) fn start_sign_in(party: &RelyingParty, allowed: Vec<Vec<u8>>) -> Result<Start, PasskeyError> {
    let (asks, state): (RequestChallengeResponse, _) =
        party.library.start_discoverable_authentication().map_err(unable)?;
    let nonce = nonce(&asks.public_key.challenge)?;
    let mut options = serde_json::to_value(&asks).map_err(unable)?;
    if let Some(options) = options.as_object_mut() {
        // The page says how it asks: a button, or while a field is filled in.
        options.remove("mediation");
    }
    if let Some(wish) = options.pointer_mut("/publicKey").and_then(|wish| wish.as_object_mut()) {
        wish.remove("extensions");
        wish.insert("allowCredentials".to_owned(), super::model::descriptors(&allowed));
    }
    Ok(Start { options, nonce, state: serde_json::to_string(&state).map_err(unable)? })
}

/// The library's word on a registration that ours took.
pub(super) fn agrees_to_registration(
    party: &RelyingParty,
    state: &str,
    response: &[u8],
    ours: &Registered,
) -> Result<(), Fault> {
    if ours.key.algorithm() == Algorithm::Ed25519 {
        return Ok(());
    }
    let state: PasskeyRegistration = serde_json::from_str(state).map_err(|_form| Fault::Challenge)?;
    let response: RegisterPublicKeyCredential = serde_json::from_slice(response).map_err(|_form| Fault::Malformed)?;
    let theirs = party.library.finish_passkey_registration(&response, &state).map_err(|error| {
        tracing::info!(%error, "the library refuses a registration that our verifier takes");
        Fault::Signature
    })?;
    let is_same =
        theirs.cred_id().as_slice() == ours.credential_id && Some(theirs.get_public_key()) == key(&ours.key).as_ref();
    if is_same { Ok(()) } else { Err(Fault::Credential) }
}

/// The library's word on a sign-in that ours took.
pub(super) fn agrees_to_sign_in(
    party: &RelyingParty,
    state: &str,
    response: &[u8],
    passkey: &Passkey,
) -> Result<(), Fault> {
    let Some(key) = key(&passkey.key) else { return Ok(()) };
    let state: DiscoverableAuthentication = serde_json::from_str(state).map_err(|_form| Fault::Challenge)?;
    let response: PublicKeyCredential = serde_json::from_slice(response).map_err(|_form| Fault::Malformed)?;
    let known = credential(passkey, key)?;
    let taken = party.library.finish_discoverable_authentication_v2(&response, state, &known);
    taken.map(drop).map_err(|error| {
        tracing::info!(%error, "the library refuses a sign-in that our verifier takes");
        Fault::Signature
    })
}

/// The key as the library has it; none for the kind it does not know.
fn key(key: &PublicKey) -> Option<COSEKey> {
    match key {
        PublicKey::Es256 { x, y } => {
            let key = COSEEC2Key { curve: ECDSACurve::SECP256R1, x: x.to_vec(), y: y.to_vec() };
            Some(COSEKey { type_: COSEAlgorithm::ES256, key: COSEKeyType::EC_EC2(key) })
        }
        PublicKey::Ed25519(_) => None,
    }
}

/// What is on file, as the library keeps it. By its stored form, since its crate of types is not ours to name.
fn credential(passkey: &Passkey, key: COSEKey) -> Result<Credential, Fault> {
    let stored = json!({
        "cred_id": data_encoding::BASE64URL_NOPAD.encode(&passkey.credential_id),
        "cred": key,
        "counter": passkey.counter,
        "transports": null,
        "user_verified": true,
        "backup_eligible": passkey.backup_eligible,
        "backup_state": passkey.backed_up,
        "registration_policy": "required",
        "extensions": {},
        "attestation": ParsedAttestation::default(),
        "attestation_format": "none",
    });
    serde_json::from_value(stored).map_err(|error| {
        tracing::error!(%error, "the library cannot read a credential");
        Fault::Credential
    })
}

fn nonce(challenge: &[u8]) -> Result<[u8; 32], PasskeyError> {
    <[u8; 32]>::try_from(challenge).map_err(unable)
}

fn unable(error: impl std::error::Error + Send + Sync + 'static) -> PasskeyError {
    PasskeyError::Library(Box::new(error))
}
