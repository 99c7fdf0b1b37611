//! Who this installation is to passkeys.

use crate::identity::passkeys::{PartyError, RelyingParty};

/// The relying party, as it is set.
#[derive(Debug, Clone, clap::Args)]
pub struct PartyArgs {
    /// The domain that passkeys are bound to, for ever: with another one, all have to be registered anew.
    #[arg(long, env = "TESSERA_RP_ID", default_value = "localhost")]
    pub rp_id: String,
    /// Where the pages are that use passkeys, to the letter: over https, on their domain or below it.
    #[arg(long = "origin", env = "TESSERA_ORIGIN", value_delimiter = ',', default_value = "http://localhost:8080")]
    pub origins: Vec<String>,
}

impl PartyArgs {
    /// The relying party.
    ///
    /// # Errors
    /// [`PartyError`].
    pub fn party(&self) -> Result<RelyingParty, PartyError> {
        RelyingParty::new(&self.rp_id, &self.origins)
    }
}
