//! WebAuthn responses, judged: registrations, sign-ins, and payments as their payer was shown them.
//!
//! For approvals, whose challenge we derive ourselves, and for what the library in `identity::passkeys` does not do:
//! Ed25519, origins to the letter, Secure Payment Confirmation, the authenticator's model. Pure: bytes in, a verdict out; no
//! time, no database, and nothing of the rest of this crate, so that the fuzzer builds it alone.
//!
//! Promise: never panics; every part has a size limit ([`limits`]) and CBOR and JSON a depth; what is not exactly as asked
//! is refused, and one type of ceremony never passes for another. The signature is checked whatever else is wrong, so
//! that refusals of well-formed answers take alike long.
//! Not here: challenges that are used once and in time (`identity::passkeys`), and attestation statements: we ask for
//! none, so the model that a registration names is a claim.
//! Source: W3C Web Authentication Level 3, §7.1 and §7.2; W3C Secure Payment Confirmation, §"Verifying an
//! Authentication Assertion"; its older drafts say `rp` for `rpId`, which we do not take.

mod client;
mod data;
mod fault;
mod key;
mod payment;
mod wire;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use data::Flags;
pub use fault::Fault;
pub use key::{Algorithm, PublicKey, SignatureForm};
pub use payment::{Instrument, PaymentShown};
pub use wire::{Assertion, Attestation, b64url};

use data::AuthenticatorData;

/// Longest parts that are read, bytes.
pub mod limits {
    /// A response as JSON.
    pub const RESPONSE: usize = 64 * 1024;
    /// `clientDataJSON`: an icon of a payment's instrument may lie in it as a data URL.
    pub const CLIENT_DATA: usize = 32 * 1024;
    /// `attestationObject`: certificates may lie in it.
    pub const ATTESTATION: usize = 32 * 1024;
    /// `authenticatorData` of an assertion.
    pub const AUTHENTICATOR_DATA: usize = 4 * 1024;
    /// A signature.
    pub const SIGNATURE: usize = 512;
    /// A credential's id (Level 3, §4: at most 1023).
    pub const CREDENTIAL_ID: usize = 1023;
    /// A user handle (Level 3, §5.4.3).
    pub const USER_HANDLE: usize = 64;
    /// Nesting of CBOR.
    pub const CBOR_DEPTH: usize = 16;
}

/// What kind of answer is asked for. Another kind is refused.
#[derive(Debug, Clone, Copy)]
pub enum Ceremony<'a> {
    /// `webauthn.create`: a credential is made.
    Create,
    /// `webauthn.get`: a credential is used.
    Get,
    /// `payment.get`: a payment is confirmed, as it was shown.
    Payment(&'a PaymentShown<'a>),
}

/// What an answer must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its kind.
    pub ceremony: Ceremony<'a>,
    /// The challenge, as bytes.
    pub challenge: &'a [u8],
    /// Our relying party id: `wallet.example`.
    pub rp_id: &'a str,
    /// Our origins, to the letter: `https://wallet.example`.
    pub origins: &'a [String],
}

/// What is on file of a credential.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its key.
    pub key: &'a PublicKey,
    /// The last signature counter.
    pub counter: u32,
    /// It may be synced to other devices: never changes.
    pub backup_eligible: bool,
}

/// What an assertion said that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The signature counter now; zero for authenticators that keep none.
    pub counter: u32,
    /// It is synced now.
    pub backed_up: bool,
}

/// A credential as its registration described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id, chosen by the authenticator.
    pub credential_id: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// The authenticator's model, as claimed; zeros when it does not say.
    pub aaguid: [u8; 16],
    /// The first signature counter.
    pub counter: u32,
    /// It may be synced to other devices.
    pub backup_eligible: bool,
    /// It is synced now.
    pub backed_up: bool,
}

/// Judges an assertion.
///
/// # Errors
/// The first [`Fault`] found, for the log and for tests: its caller is told that it was refused, and no more.
pub fn verify(assertion: &Assertion, expected: &Expected<'_>, known: &Known<'_>) -> Result<Verified, Fault> {
    assertion.check_sizes()?;
    let is_signed = known.key.verifies(&assertion.signed(), &assertion.signature, SignatureForm::Der);
    client::check(&assertion.client_data_json, expected)?;
    let data = AuthenticatorData::of_assertion(&assertion.authenticator_data)?;
    data.check_rp_id(expected.rp_id)?;
    if !is_signed {
        return Err(Fault::Signature);
    }
    data.check_user()?;
    data.check_backup(Some(known.backup_eligible))?;
    // Zero on both sides is an authenticator that does not count (Level 3, §6.1.1).
    if (data.counter != 0 || known.counter != 0) && data.counter <= known.counter {
        return Err(Fault::CounterBack);
    }
    Ok(Verified { counter: data.counter, backed_up: data.flags.has(Flags::BACKED_UP) })
}

/// Judges a registration.
///
/// # Errors
/// The first [`Fault`] found.
pub fn register(attestation: &Attestation, expected: &Expected<'_>) -> Result<Registered, Fault> {
    attestation.check_sizes()?;
    client::check(&attestation.client_data_json, expected)?;
    let bytes = data::of_attestation(&attestation.attestation_object)?;
    let (data, attested) = AuthenticatorData::of_registration(&bytes)?;
    data.check_rp_id(expected.rp_id)?;
    data.check_user()?;
    data.check_backup(None)?;
    if attested.credential_id != attestation.credential_id {
        return Err(Fault::Credential);
    }
    Ok(Registered {
        credential_id: attested.credential_id,
        key: attested.key,
        aaguid: attested.aaguid,
        counter: data.counter,
        backup_eligible: data.flags.has(Flags::BACKUP_ELIGIBLE),
        backed_up: data.flags.has(Flags::BACKED_UP),
    })
}

/// Spends the time that judging takes, where there is nothing to judge against: so that an unknown credential is refused
/// no faster than a wrong signature.
pub fn judge_in_vain(assertion: &Assertion) {
    // Whose signature it would be does not matter; the generator of P-256 is a point like any other.
    let _never = PublicKey::decoy().verifies(&assertion.signed(), key::DECOY_SIGNATURE, SignatureForm::Der);
}
