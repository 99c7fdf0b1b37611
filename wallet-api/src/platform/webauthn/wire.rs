//! Responses as browsers send them: `PublicKeyCredential.toJSON()` (Level 3, §5.1), bytes as base64url.

use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fault::Fault;
use super::limits;

/// Bytes as base64url without padding, in JSON.
pub mod b64url {
    use super::{BASE64URL_NOPAD, Deserialize as _, Deserializer, Serializer};

    /// Writes bytes.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64URL_NOPAD.encode(bytes))
    }

    /// Reads bytes; any text but the one that [`serialize`] writes is an error.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64URL_NOPAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// The answer of a credential that was used: to sign in, or to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// Which credential it says it is.
    pub credential_id: Vec<u8>,
    /// What the browser says.
    pub client_data_json: Vec<u8>,
    /// What the authenticator says.
    pub authenticator_data: Vec<u8>,
    /// Its signature over both.
    pub signature: Vec<u8>,
    /// Whose credential it says it is.
    pub user_handle: Option<Vec<u8>>,
}

/// The answer of a credential that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Which credential it says it is.
    pub credential_id: Vec<u8>,
    /// What the browser says.
    pub client_data_json: Vec<u8>,
    /// What the authenticator says, in CBOR.
    pub attestation_object: Vec<u8>,
}

/// What both have in common. Members that we do not know are left alone: browsers add some.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential<R> {
    #[serde(with = "b64url")]
    id: Vec<u8>,
    #[serde(with = "b64url")]
    raw_id: Vec<u8>,
    #[serde(rename = "type")]
    kind: String,
    response: R,
    #[serde(default)]
    client_extension_results: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON", with = "b64url")]
    client_data_json: Vec<u8>,
    #[serde(rename = "authenticatorData", with = "b64url")]
    authenticator_data: Vec<u8>,
    #[serde(with = "b64url")]
    signature: Vec<u8>,
    #[serde(rename = "userHandle", default)]
    user_handle: Option<Handle>,
}

#[derive(Serialize, Deserialize)]
struct Handle(#[serde(with = "b64url")] Vec<u8>);

#[derive(Serialize, Deserialize)]
struct AttestationResponse {
    #[serde(rename = "clientDataJSON", with = "b64url")]
    client_data_json: Vec<u8>,
    #[serde(rename = "attestationObject", with = "b64url")]
    attestation_object: Vec<u8>,
}

impl<R> Credential<R> {
    fn of(id: &[u8], response: R) -> Self {
        let (id, kind) = (id.to_vec(), "public-key".to_owned());
        Self { raw_id: id.clone(), id, kind, response, client_extension_results: serde_json::Map::new() }
    }
}

impl<'de, R: Deserialize<'de>> Credential<R> {
    fn read(json: &'de [u8]) -> Result<Self, Fault> {
        if json.len() > limits::RESPONSE {
            return Err(Fault::TooLong);
        }
        let read: Self = serde_json::from_slice(json).map_err(|_form| Fault::Malformed)?;
        if read.kind == "public-key" && read.id == read.raw_id { Ok(read) } else { Err(Fault::Malformed) }
    }
}

impl Assertion {
    /// Reads what the browser sent.
    ///
    /// # Errors
    /// [`Fault::Malformed`], [`Fault::TooLong`].
    pub fn from_json(json: &[u8]) -> Result<Self, Fault> {
        let Credential { id, response, .. } = Credential::<AssertionResponse>::read(json)?;
        let read = Self {
            credential_id: id,
            client_data_json: response.client_data_json,
            authenticator_data: response.authenticator_data,
            signature: response.signature,
            user_handle: response.user_handle.map(|handle| handle.0),
        };
        read.check_sizes()?;
        Ok(read)
    }

    /// As a browser sends it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let response = AssertionResponse {
            client_data_json: self.client_data_json.clone(),
            authenticator_data: self.authenticator_data.clone(),
            signature: self.signature.clone(),
            user_handle: self.user_handle.clone().map(Handle),
        };
        // Plain text and objects: nothing in it can fail to be written.
        serde_json::to_value(Credential::of(&self.credential_id, response)).unwrap_or_default()
    }

    /// What the authenticator signs: its own data, and the hash of the browser's.
    pub(super) fn signed(&self) -> Vec<u8> {
        let client_data_hash = digest::digest(&digest::SHA256, &self.client_data_json);
        [self.authenticator_data.as_slice(), client_data_hash.as_ref()].concat()
    }

    pub(super) fn check_sizes(&self) -> Result<(), Fault> {
        let handle = self.user_handle.as_ref().map_or(0, Vec::len);
        let fits = self.credential_id.len() <= limits::CREDENTIAL_ID
            && self.client_data_json.len() <= limits::CLIENT_DATA
            && self.authenticator_data.len() <= limits::AUTHENTICATOR_DATA
            && self.signature.len() <= limits::SIGNATURE
            && handle <= limits::USER_HANDLE;
        if fits { Ok(()) } else { Err(Fault::TooLong) }
    }
}

impl Attestation {
    /// Reads what the browser sent.
    ///
    /// # Errors
    /// [`Fault::Malformed`], [`Fault::TooLong`].
    pub fn from_json(json: &[u8]) -> Result<Self, Fault> {
        let Credential { id, response, .. } = Credential::<AttestationResponse>::read(json)?;
        let AttestationResponse { client_data_json, attestation_object } = response;
        let read = Self { credential_id: id, client_data_json, attestation_object };
        read.check_sizes()?;
        Ok(read)
    }

    /// As a browser sends it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let response = AttestationResponse {
            client_data_json: self.client_data_json.clone(),
            attestation_object: self.attestation_object.clone(),
        };
        // Plain text and objects: nothing in it can fail to be written.
        serde_json::to_value(Credential::of(&self.credential_id, response)).unwrap_or_default()
    }

    pub(super) fn check_sizes(&self) -> Result<(), Fault> {
        let fits = self.credential_id.len() <= limits::CREDENTIAL_ID
            && self.client_data_json.len() <= limits::CLIENT_DATA
            && self.attestation_object.len() <= limits::ATTESTATION;
        if fits { Ok(()) } else { Err(Fault::TooLong) }
    }
}
