//! Where mail goes out: the server by its address, who it is from.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use url::{Host, Url};

/// Longest an attempt may take, from connecting to the server's last word.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How long after an attempt the next one is made: greylisting servers ask for a minute or five. A code lives ten minutes.
const WAITS: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(180),
    Duration::from_secs(220),
];

/// Why mail cannot be sent as told. No text of the address is ever shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address is none.
    #[error("the mail server is smtp://[user:password@]host[:port], or smtps:// for TLS from the first byte")]
    Url,
    /// It asks for what there is not.
    #[error("the only parameter of the mail server's address is tls=required")]
    Parameter,
    /// The sender is none.
    #[error("--mail-from is an address, as in 'Tessera <wallet@example.org>'")]
    From,
    /// One is set without the other.
    #[error("--smtp-url and --mail-from go together: set both or neither")]
    Half,
    /// The file of authorities does not read.
    #[error("{} is no file of PEM certificates", .0.display())]
    Authority(PathBuf),
    /// TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up")]
    Tls,
}

/// A server, and how to use it.
#[derive(Clone)]
pub struct Settings {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    authority: Option<Certificate>,
    from: Mailbox,
    pub(super) attempt: Duration,
    pub(super) waits: Vec<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Whole,
    /// STARTTLS before anything is said.
    Upgraded,
    /// None: the server is on this machine.
    Plain,
}

impl Settings {
    /// Reads the address of a server. Nothing is asked of it.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(url: &str, from: &str, authority: Option<&Path>) -> Result<Self, SettingsError> {
        let url = Url::parse(url).map_err(|_may_show_a_password| SettingsError::Url)?;
        let from = from.parse().map_err(|_no_address: lettre::address::AddressError| SettingsError::From)?;
        let (host, local) = host(&url)?;
        let required = match url.query() {
            None => false,
            Some("tls=required") => true,
            Some(_) => return Err(SettingsError::Parameter),
        };
        let (security, usual) = match (url.scheme(), local && !required) {
            ("smtps", _) => (Security::Whole, 465),
            ("smtp", true) => (Security::Plain, 25),
            ("smtp", false) => (Security::Upgraded, 587),
            _ => return Err(SettingsError::Url),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(usual),
            security,
            credentials: credentials(&url)?,
            authority: authority.map(certificate).transpose()?,
            from,
            attempt: ATTEMPT,
            waits: WAITS.to_vec(),
        })
    }

    /// With other times: the longest that an attempt may take, and how long after one that failed the next is made; after the
    /// last of them a mail is given up.
    #[must_use]
    pub fn with_times(self, attempt: Duration, waits: Vec<Duration>) -> Self {
        Self { attempt, waits, ..self }
    }

    /// Who mail is from.
    pub(super) fn from(&self) -> Mailbox {
        self.from.clone()
    }

    pub(super) fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SettingsError> {
        let tls = match self.security {
            Security::Whole => Tls::Wrapper(self.tls()?),
            Security::Upgraded => Tls::Required(self.tls()?),
            Security::Plain => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(tls)
            .timeout(Some(self.attempt))
            // The domain mail is from, and no name of this machine.
            .hello_name(ClientId::Domain(self.from.email.domain().to_owned()));
        let credentials = self.credentials.clone();
        Ok(credentials.into_iter().fold(builder, |builder, known| builder.credentials(known)).build())
    }

    fn tls(&self) -> Result<TlsParameters, SettingsError> {
        let builder = TlsParameters::builder(self.host.clone());
        let builder = self.authority.iter().cloned().fold(builder, |builder, one| builder.add_root_certificate(one));
        builder.build_rustls().map_err(|_why| SettingsError::Tls)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("port", &self.port).field("security", &self.security).finish_non_exhaustive()
    }
}

/// The server's name, and whether it is this machine.
fn host(url: &Url) -> Result<(String, bool), SettingsError> {
    // An address of another scheme than HTTP's keeps its host as it is written.
    let text = url.host_str().filter(|host| !host.is_empty()).ok_or(SettingsError::Url)?;
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let host = Host::parse(text).map_err(|_no_host| SettingsError::Url)?;
    let local = match &host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    };
    Ok((bare.to_owned(), local))
}

fn credentials(url: &Url) -> Result<Option<Credentials>, SettingsError> {
    let user = decode(url.username())?;
    match url.password().map(decode).transpose()? {
        Some(password) => Ok(Some(Credentials::new(user, password))),
        None if user.is_empty() => Ok(None),
        None => Err(SettingsError::Url),
    }
}

/// `%40` and the like, as they stand in an address.
fn decode(text: &str) -> Result<String, SettingsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next().ok_or(SettingsError::Url)?, rest.next().ok_or(SettingsError::Url)?];
        let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(&pair).map_err(|_no_hex| SettingsError::Url)?;
        bytes.extend(decoded);
    }
    String::from_utf8(bytes).map_err(|_no_text| SettingsError::Url)
}

fn certificate(path: &Path) -> Result<Certificate, SettingsError> {
    let read = std::fs::read(path).ok().filter(|pem| pem.starts_with(b"-----BEGIN"));
    let certificate = read.and_then(|pem| Certificate::from_pem(&pem).ok());
    certificate.ok_or_else(|| SettingsError::Authority(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "Tessera <wallet@example.org>";

    fn read(url: &str) -> Result<(String, u16, Security), SettingsError> {
        Settings::new(url, FROM, None).map(|settings| (settings.host, settings.port, settings.security))
    }

    #[test]
    fn tls_is_required_unless_the_server_is_this_machine() {
        for (url, host, port, security) in [
            ("smtps://mail.example.org", "mail.example.org", 465, Security::Whole),
            ("smtps://localhost:1465", "localhost", 1465, Security::Whole),
            ("smtp://mail.example.org", "mail.example.org", 587, Security::Upgraded),
            ("smtp://192.0.2.1:25", "192.0.2.1", 25, Security::Upgraded),
            ("smtp://10.0.0.1", "10.0.0.1", 587, Security::Upgraded),
            ("smtp://localhost", "localhost", 25, Security::Plain),
            ("smtp://127.1.2.3:2525", "127.1.2.3", 2525, Security::Plain),
            ("smtp://[::1]:2525", "::1", 2525, Security::Plain),
            ("smtp://localhost:2525?tls=required", "localhost", 2525, Security::Upgraded),
            ("smtp://localhost.example.org", "localhost.example.org", 587, Security::Upgraded),
        ] {
            assert_eq!(read(url).unwrap(), (host.to_owned(), port, security), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_nothing_of_it_is_shown() {
        for wrong in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp:///x",
            "smtp://u:hunter2@",
            "smtp://hunter2@mail.example.org",
            "smtp://u:%zz@mail.example.org",
            "smtp://u:p@h.example?tls=opportunistic",
        ] {
            let refused = read(wrong).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{wrong}");
        }
        let settings = Settings::new("smtp://ann:hunter2@mail.example.org", FROM, None).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(matches!(Settings::new("smtp://localhost", "nobody", None), Err(SettingsError::From)));
        let path = Path::new("/nowhere/ca.pem");
        assert!(matches!(Settings::new("smtp://localhost", FROM, Some(path)), Err(SettingsError::Authority(_))));
    }

    #[test]
    fn a_password_is_read_as_it_is_written_in_an_address() {
        assert_eq!(decode("p%40ss%2Fw+rd%c3%a8").unwrap(), "p@ss/w+rdè");
        for wrong in ["%", "%4", "%zz", "%ff"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mail_is_tried_for_as_long_as_a_code_lives_and_no_longer() {
        let whole: Duration = WAITS.iter().sum();
        assert!((Duration::from_secs(540)..=Duration::from_secs(600)).contains(&whole), "{whole:?}");
    }
}
