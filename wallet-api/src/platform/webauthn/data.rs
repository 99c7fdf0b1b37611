//! Authenticator data (Level 3, §6.1) and the attestation object around it (§6.5).

use ciborium::Value;
use ring::digest;

use super::fault::Fault;
use super::key::PublicKey;
use super::limits;

/// The flags of authenticator data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Somebody was there.
    pub const USER_PRESENT: u8 = 0x01;
    /// The authenticator knows that it was its user.
    pub const USER_VERIFIED: u8 = 0x04;
    /// The credential may be synced.
    pub const BACKUP_ELIGIBLE: u8 = 0x08;
    /// The credential is synced.
    pub const BACKED_UP: u8 = 0x10;
    /// A new credential's data follow.
    pub const ATTESTED: u8 = 0x40;
    /// Extensions follow.
    pub const EXTENSIONS: u8 = 0x80;

    /// Whether this one is set.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// What the authenticator signs beside the client data.
#[derive(Debug)]
pub(super) struct AuthenticatorData {
    rp_id_hash: [u8; 32],
    pub(super) flags: Flags,
    pub(super) counter: u32,
}

/// A new credential in authenticator data.
#[derive(Debug)]
pub(super) struct Attested {
    pub(super) aaguid: [u8; 16],
    pub(super) credential_id: Vec<u8>,
    pub(super) key: PublicKey,
}

impl AuthenticatorData {
    /// Of an assertion: no new credential in it, and nothing after its extensions.
    pub(super) fn of_assertion(bytes: &[u8]) -> Result<Self, Fault> {
        let (data, rest) = Self::start(bytes)?;
        if data.flags.has(Flags::ATTESTED) {
            return Err(Fault::Malformed);
        }
        data.check_extensions(rest)?;
        Ok(data)
    }

    /// Of a registration: with the new credential.
    pub(super) fn of_registration(bytes: &[u8]) -> Result<(Self, Attested), Fault> {
        let (data, rest) = Self::start(bytes)?;
        if !data.flags.has(Flags::ATTESTED) {
            return Err(Fault::Malformed);
        }
        let (aaguid, rest) = rest.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Fault::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > limits::CREDENTIAL_ID {
            return Err(Fault::TooLong);
        }
        let (credential_id, rest) = rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        let (key, rest) = cbor(rest)?;
        data.check_extensions(rest)?;
        let key = PublicKey::from_value(key)?;
        Ok((data, Attested { aaguid: *aaguid, credential_id: credential_id.to_vec(), key }))
    }

    fn start(bytes: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(Fault::Malformed)?;
        let ([flags], rest) = rest.split_first_chunk::<1>().ok_or(Fault::Malformed)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
        let (flags, counter) = (Flags(*flags), u32::from_be_bytes(*counter));
        Ok((Self { rp_id_hash: *rp_id_hash, flags, counter }, rest))
    }

    /// Extensions are a map and all that is left, or there are none and nothing is left. We asked for none that we read.
    fn check_extensions(&self, rest: &[u8]) -> Result<(), Fault> {
        if !self.flags.has(Flags::EXTENSIONS) {
            return if rest.is_empty() { Ok(()) } else { Err(Fault::Malformed) };
        }
        let (extensions, rest) = cbor(rest)?;
        if extensions.is_map() && rest.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    pub(super) fn check_rp_id(&self, rp_id: &str) -> Result<(), Fault> {
        let hash = digest::digest(&digest::SHA256, rp_id.as_bytes());
        if hash.as_ref() == self.rp_id_hash { Ok(()) } else { Err(Fault::RpId) }
    }

    pub(super) fn check_user(&self) -> Result<(), Fault> {
        if !self.flags.has(Flags::USER_PRESENT) {
            return Err(Fault::UserAbsent);
        }
        if self.flags.has(Flags::USER_VERIFIED) { Ok(()) } else { Err(Fault::UserUnverified) }
    }

    /// What is synced may be synced; and whether it may never changes.
    pub(super) fn check_backup(&self, known_eligible: Option<bool>) -> Result<(), Fault> {
        let eligible = self.flags.has(Flags::BACKUP_ELIGIBLE);
        let is_sound = eligible || !self.flags.has(Flags::BACKED_UP);
        if is_sound && known_eligible.is_none_or(|known| known == eligible) { Ok(()) } else { Err(Fault::Backup) }
    }
}

/// The authenticator data of an attestation object. Its statement is not looked at: we ask for none.
pub(super) fn of_attestation(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let (Value::Map(members), []) = cbor(bytes)? else { return Err(Fault::Malformed) };
    let mut data = None;
    for (name, value) in members {
        match (name.as_text(), value) {
            (Some("authData"), Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
            (Some("fmt"), Value::Text(_)) | (Some("attStmt"), Value::Map(_)) => {}
            _ => return Err(Fault::Malformed),
        }
    }
    data.ok_or(Fault::Malformed)
}

/// The first CBOR item of some bytes, and what follows it.
pub(super) fn cbor(bytes: &[u8]) -> Result<(Value, &[u8]), Fault> {
    if bytes.len() > limits::ATTESTATION {
        return Err(Fault::TooLong);
    }
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, limits::CBOR_DEPTH);
    value.map(|value| (value, rest)).map_err(|_form| Fault::Malformed)
}
