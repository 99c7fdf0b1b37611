//! How mail leaves: the settings of a node that sends it.

use std::path::PathBuf;

use crate::platform::post::{Settings, SettingsError};

/// The mail server, if there is one.
#[derive(Debug, Clone, clap::Args)]
pub struct PostArgs {
    /// The server that mail goes out through: smtps://user:password@host, or smtp:// with STARTTLS, which a server on this
    /// machine need not have. Without it no mail leaves here, and what needs it is refused.
    #[arg(long, env = "TESSERA_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// Who mail is from, as in `Club <wallet@example.org>`.
    #[arg(long, env = "TESSERA_MAIL_FROM")]
    mail_from: Option<String>,
    /// A file of PEM certificates: authorities that the mail server's own may be signed by, beside the public ones.
    #[arg(long, value_name = "FILE", env = "TESSERA_SMTP_CA")]
    smtp_ca: Option<PathBuf>,
}

impl PostArgs {
    /// The server named; nothing is asked of it.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn settings(&self) -> Result<Option<Settings>, SettingsError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.smtp_url), given(&self.mail_from)) {
            (None, None) => Ok(None),
            (Some(url), Some(from)) => Settings::new(&url, &from, self.smtp_ca.as_deref()).map(Some),
            (Some(_), None) | (None, Some(_)) => Err(SettingsError::Half),
        }
    }
}
