//! One mail's way: attempts, each with a deadline, until it is taken, refused for good, or too old.

use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::sync::Semaphore;

use super::settings::{Settings, SettingsError};
use super::{SESSIONS, Tried};

/// Who carries mails; clones share its sessions.
#[derive(Clone)]
pub(super) struct Courier {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sessions: Arc<Semaphore>,
    attempt: Duration,
    waits: Arc<[Duration]>,
}

/// What came of an attempt, without a word of what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// The server took it.
    Taken,
    /// Later may be better: why in a word, and the server's code where it gave one.
    Later(&'static str, u16),
    /// Never.
    Never(&'static str, u16),
}

impl Courier {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let sessions = Arc::new(Semaphore::new(SESSIONS));
        let waits = settings.waits.clone().into();
        Ok(Self { transport: settings.transport()?, sessions, attempt: settings.attempt, waits })
    }

    /// Sends a mail, or gives it up. The log knows it by `mail`.
    pub(super) async fn deliver(&self, mail: &str, message: Message) {
        let mut waits = self.waits.iter();
        for attempt in 1_u32.. {
            match self.try_once(message.clone()).await {
                Met::Taken => return tracing::debug!(mail, attempt, "a mail was taken by the server"),
                Met::Never(why, code) => {
                    return tracing::warn!(mail, attempt, why, code, "a mail was refused for good");
                }
                Met::Later(why, code) => {
                    let Some(wait) = waits.next() else {
                        return tracing::warn!(mail, attempt, why, code, "a mail was given up");
                    };
                    tracing::info!(mail, attempt, why, code, "a mail was not taken; it is tried again");
                    tokio::time::sleep(*wait).await;
                }
            }
        }
    }

    /// Tries a mail once. The log knows it by `mail`.
    pub(super) async fn deliver_once(&self, mail: &str, message: Message) -> Tried {
        match self.try_once(message).await {
            Met::Taken => Tried::Taken,
            Met::Later(why, code) => {
                tracing::info!(mail, why, code, "a mail was not taken; it is kept");
                Tried::Later
            }
            Met::Never(why, code) => {
                tracing::warn!(mail, why, code, "a mail was refused for good");
                Tried::Never
            }
        }
    }

    async fn try_once(&self, message: Message) -> Met {
        let Ok(_session) = self.sessions.acquire().await else { return Met::Later("closed", 0) };
        match tokio::time::timeout(self.attempt, self.transport.send(message)).await {
            Ok(Ok(_what_it_said)) => Met::Taken,
            Ok(Err(error)) => met(&error),
            Err(_elapsed) => Met::Later("timeout", 0),
        }
    }
}

/// Never its text: a server repeats the address that it refuses.
fn met(error: &Error) -> Met {
    let code = error.status().map_or(0, u16::from);
    if error.is_permanent() {
        Met::Never("refused", code)
    } else if error.is_transient() {
        Met::Later("not now", code)
    } else if error.is_client() {
        // It cannot do what we need of it: STARTTLS, or our kind of sign-in.
        Met::Never("unable", code)
    } else if error.is_tls() {
        Met::Later("tls", code)
    } else {
        Met::Later("unreachable", code)
    }
}
