//! Mail: letters to people, sent by SMTP through the operator's own server.
//!
//! [`Post::send`] takes a [`Mail`] and comes back at once; what becomes of it is nobody's to wait for, so that an answer
//! takes the same time whether a mail goes out or not (T59). A server that says "not now", hangs or is away is tried again,
//! at growing intervals, until the mail is too old to be of use; one that says "never" is believed.
//!
//! Promise: nothing of a mail (recipient, subject, words, what the server said of them) is ever logged or kept: log lines
//! have a number that is made up for each mail, and the server's code. TLS is required unless the server is on this machine.
//! Limits: mails wait in memory, at most [`PLACES`], then [`PostError::Busy`]; the process takes those that wait with it, so what must
//! be known must not be told by mail alone. Sessions at once: [`SESSIONS`], one mail each.
//! Not here: which letters there are (catalogue `locales/`, ids `mail-…`), DKIM (the server's), answers.

mod letter;
mod settings;
mod work;

use std::sync::Arc;
use std::time::Duration;

use lettre::Message;
use lettre::message::{Mailbox, MultiPart};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use letter::Letter;
pub use settings::{Settings, SettingsError};

use crate::platform::ids::Ids;
use crate::platform::problem::{Describe, Problem};
use work::Courier;

/// Mails that may wait or be on their way.
pub const PLACES: usize = 1_000;
/// Sessions with the server at once.
pub const SESSIONS: usize = 8;

/// A letter and who gets it.
#[derive(Clone)]
pub struct Mail {
    to: Mailbox,
    letter: Letter,
}

impl Mail {
    /// A letter to one address, as `name@example.org`.
    ///
    /// # Errors
    /// [`PostError::Address`] when it cannot be one.
    pub fn new(to: &str, letter: Letter) -> Result<Self, PostError> {
        // An address alone: a name before it would be a way to put more into the header.
        let to = to.parse().map_err(|_no_address: lettre::address::AddressError| PostError::Address)?;
        Ok(Self { to: Mailbox::new(None, to), letter })
    }

    /// Whether a text is an address that mail can go to.
    #[must_use]
    pub fn can_go_to(to: &str) -> bool {
        to.parse::<lettre::Address>().is_ok()
    }

    /// What goes over the wire: plain text, and the same as HTML.
    fn message(self, from: Mailbox, number: &str) -> Result<Message, lettre::error::Error> {
        let Letter { subject, text, html } = self.letter;
        let both = MultiPart::alternative_plain_html(text, html);
        // Without a name of this machine in it.
        let id = Some(format!("<{number}@{}>", from.email.domain()));
        Message::builder().from(from).to(self.to).subject(subject).message_id(id).multipart(both)
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mail(..)")
    }
}

/// Why a mail was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// No server is set.
    #[error("no mail server is set")]
    NotSet,
    /// Too many wait.
    #[error("too many mails wait")]
    Busy,
    /// The address is none.
    #[error("no mail address")]
    Address,
}

impl Describe for PostError {
    fn describe(&self) -> Problem {
        match self {
            Self::NotSet => Problem::new(
                503,
                "mail-not-set",
                "No mail leaves here",
                "This needs mail, and the operator has set no mail server: --smtp-url and --mail-from.",
            ),
            Self::Busy => {
                Problem::new(503, "mail-busy", "Too much mail waits", "Try again in a moment.").retry_after(30)
            }
            Self::Address => {
                Problem::new(422, "mail-address-invalid", "This is no mail address", "Write it as name@example.org.")
            }
        }
    }
}

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The server took it.
    Taken,
    /// Later may be better.
    Later,
    /// It never will.
    Never,
}

/// What sends mail; clones share it.
#[derive(Clone, Default)]
pub struct Post(Option<Arc<Office>>);

struct Office {
    courier: Courier,
    from: Mailbox,
    places: Arc<Semaphore>,
    runtime: Handle,
    ids: Ids,
}

impl Post {
    /// Without a server: everything is refused.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Sends through a server. Needs a tokio runtime, on which mails are then sent; the server is not asked anything yet.
    ///
    /// # Errors
    /// [`SettingsError`], when TLS cannot be set up.
    pub fn start(settings: &Settings, ids: Ids) -> Result<Self, SettingsError> {
        let (courier, from) = (Courier::new(settings)?, settings.from());
        let (places, runtime) = (Arc::new(Semaphore::new(PLACES)), Handle::current());
        Ok(Self(Some(Arc::new(Office { courier, from, places, runtime, ids }))))
    }

    /// Whether there is a server.
    ///
    /// # Errors
    /// [`PostError::NotSet`]: for what needs mail and should say so before it does anything.
    pub fn is_set(&self) -> Result<(), PostError> {
        self.0.as_ref().map(|_office| ()).ok_or(PostError::NotSet)
    }

    /// Takes a mail, to be sent.
    ///
    /// # Errors
    /// [`PostError::NotSet`], [`PostError::Busy`]; [`PostError::Address`] when the address fits no header.
    pub fn send(&self, mail: &Mail) -> Result<(), PostError> {
        let office = self.0.as_ref().ok_or(PostError::NotSet)?;
        let place = Arc::clone(&office.places).try_acquire_owned().map_err(|_full| PostError::Busy)?;
        // Made up for this mail, and all that the log has of it.
        let number = format!("{:016x}", office.ids.random_u64());
        let message = mail.clone().message(office.from.clone(), &number).map_err(|_refused| PostError::Address)?;
        let courier = office.courier.clone();
        office.runtime.spawn(async move {
            courier.deliver(&number, message).await;
            drop(place); // only now: whoever waits counts
        });
        Ok(())
    }

    /// Tries a mail once and says what came of it: for whoever keeps it until it is taken, and tries again.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for [`PostError::Busy`]: it waits for a session of its own accord.
    pub async fn try_once(&self, mail: &Mail) -> Result<Tried, PostError> {
        let office = self.0.as_ref().ok_or(PostError::NotSet)?;
        let number = format!("{:016x}", office.ids.random_u64());
        let message = mail.clone().message(office.from.clone(), &number).map_err(|_refused| PostError::Address)?;
        Ok(office.courier.deliver_once(&number, message).await)
    }

    /// Waits until all that was taken is sent or given up, at most so long.
    pub async fn drain(&self, most: Duration) {
        let Some(office) = &self.0 else { return };
        let all = u32::try_from(PLACES).unwrap_or(u32::MAX);
        if tokio::time::timeout(most, office.places.acquire_many(all)).await.is_err() {
            let left = PLACES.saturating_sub(office.places.available_permits());
            tracing::warn!(left, "mails were not sent before the end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::text::{self, Lang};

    fn letter() -> Letter {
        Letter::written(Lang::En, "code", &[])
    }

    #[test]
    fn without_a_server_it_is_said_so_and_a_wrong_address_is_none() {
        let mail = Mail::new("a@example.org", letter()).unwrap();
        assert_eq!(Post::none().send(&mail), Err(PostError::NotSet));
        let problem = Post::none().is_set().unwrap_err().describe();
        assert_eq!((problem.status().as_u16(), problem.code()), (503, "mail-not-set"));
        for wrong in [
            "",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "Ann <a@example.org>",
            "a@example.org, b@example.org",
            "a@example.org\r\nBcc: b@example.org",
        ] {
            assert!(matches!(Mail::new(wrong, letter()), Err(PostError::Address)), "{wrong}");
        }
    }

    /// What was logged, kept to be looked through.
    #[derive(Clone, Default)]
    struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A server that says these lines, one to each that it is told, and repeats what it was told when it refuses.
    fn server(lines: &'static [&'static str]) -> u16 {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut told = BufReader::new(stream.try_clone().unwrap());
                let (mut stream, mut said) = (stream, String::from("nobody"));
                for line in lines {
                    if write!(stream, "{}\r\n", line.replace("TOLD", said.trim())).is_err() {
                        break;
                    }
                    said.clear();
                    if told.read_line(&mut said).unwrap_or(0) == 0 {
                        break;
                    }
                }
            }
        });
        port
    }

    /// T55: at the finest level, whatever a server says of a mail, and however it ends, the log has nothing of it.
    #[tokio::test]
    async fn t55_the_log_has_nothing_of_a_mail() {
        const NEVER: &[&str] = &["220 here", "250 here", "250 TOLD", "550 5.1.1 TOLD is nobody", "221 bye"];
        const LATER: &[&str] = &["220 here", "250 here", "250 TOLD", "451 4.7.1 TOLD later", "221 bye"];
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
        let values = [("name", text::Arg::Text("canary-name")), ("code", text::Arg::Text("canary-code"))];
        let letter = Letter::written(Lang::It, "code", &values);
        for lines in [NEVER, LATER] {
            let url = format!("smtp://canary-user:canary-password@127.0.0.1:{}", server(lines));
            let settings = Settings::new(&url, "Canary <canary-from@example.org>", None).unwrap();
            let anonymous = Settings::new(
                &url.replace("canary-user:canary-password@", ""),
                "Canary <canary-from@example.org>",
                None,
            );
            for settings in [settings, anonymous.unwrap()] {
                let settings = settings.with_times(Duration::from_secs(5), vec![Duration::from_millis(10)]);
                let post = Post::start(&settings, Ids::system()).unwrap();
                post.send(&Mail::new("canary-anna@example.com", letter.clone()).unwrap()).unwrap();
                post.drain(Duration::from_secs(10)).await;
            }
        }
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("code=550") && log.contains("code=451") && log.contains("given up"), "{log}");
        assert!(!log.to_lowercase().contains("canary"), "{log}");
    }

    /// T55: what a mail says can end no header and begin no other one.
    #[test]
    fn t55_no_value_puts_a_line_into_the_header() {
        let evil = Letter {
            subject: "Hello\r\nBcc: b@example.org\r\n\r\nbody".into(),
            text: "text".into(),
            html: "html".into(),
        };
        let mail = Mail::new("a@example.org", evil).unwrap();
        assert_eq!(format!("{mail:?}"), "Mail(..)");
        let bytes = mail.message("Tessera <t@example.org>".parse().unwrap(), "1").unwrap().formatted();
        let text = String::from_utf8(bytes).unwrap();
        let header = text.split("\r\n\r\n").next().unwrap();
        assert!(!header.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{header}");
    }
}
