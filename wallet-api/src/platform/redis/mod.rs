//! Redis, where there is one: nodes tell each other what clients spent and what has changed.
//!
//! Promise: no request waits for Redis, and nothing that it says moves money, lets anybody in, or keeps a node shut. A
//! request touches memory only; one task per node talks to Redis, with timeouts, and starts over on a new connection
//! after any answer that is late or makes no sense (a manager that repairs the old one would trust it too long).
//! - **Spent**: every [`EXCHANGE`] what clients spent here is added to counters, and what others added is charged to the
//!   buckets here, of which a quarter always stays ([`Limits::spent_elsewhere`](super::limits::Limits::spent_elsewhere)).
//!   Without Redis each node counts for itself, so a client may have its limit once per node. What was spent while Redis
//!   was away is not told later.
//! - **News** ([`News`]): a key was revoked, a configuration changed, a test or a replay of a hook is to be sent; others
//!   look at once. Without Redis they find out by themselves: keys within [`keyring::FRESH`](super::keyring::FRESH),
//!   configurations within a second, hooks within half of one.
//!
//! Not here: sessions and any other truth. Keys in Redis begin with the prefix of the [`Settings`]: installations that
//! share a Redis need one each.

mod news;
mod spent;
mod task;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use redis::ConnectionAddr;

pub use news::News;
pub use task::Task;

/// How often nodes tell each other what was spent.
pub const EXCHANGE: Duration = Duration::from_millis(100);
/// Longest wait for an answer; whoever is slower is not there.
const ANSWER: Duration = Duration::from_millis(250);
/// Longest wait for a connection, with its greetings.
const CONNECT: Duration = Duration::from_secs(1);

/// Which Redis, and under which prefix.
#[derive(Clone)]
pub struct Settings {
    client: redis::Client,
    prefix: String,
}

/// Why a Redis cannot be used as told.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is none. It is not shown: it may hold a password.
    #[error("REDIS_URL is no address of a Redis: use redis://host:port/db, rediss:// for TLS, or redis+unix:///path")]
    Url,
    /// The prefix would run into other keys.
    #[error("the Redis prefix has 1 to 40 of a-z, 0-9 and -")]
    Prefix,
}

impl Settings {
    /// A Redis by its URL.
    ///
    /// # Errors
    /// [`SettingsError`]; nothing is asked of Redis.
    pub fn new(url: &str, prefix: &str) -> Result<Self, SettingsError> {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=40).contains(&prefix.len()) || !prefix.bytes().all(is_fit) {
            return Err(SettingsError::Prefix);
        }
        let client = redis::Client::open(url).map_err(|_may_show_a_password| SettingsError::Url)?;
        Ok(Self { client, prefix: prefix.to_owned() })
    }

    /// Tells all nodes something, once, and waits for Redis: for commands.
    ///
    /// # Errors
    /// When Redis does not take it in time.
    pub fn tell(&self, news: &News) -> Result<(), redis::RedisError> {
        let mut connection = self.client.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        redis::cmd("PUBLISH").arg(self.channel()).arg(news.to_string()).exec(&mut connection)
    }

    /// Asks the server for its version, and waits: for `doctor`.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn version(&self) -> Result<String, redis::RedisError> {
        let mut connection = self.client.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(CONNECT))?;
        let facts: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut connection)?;
        Ok(facts.get("redis_version").unwrap_or_else(|| "of unknown version".to_owned()))
    }

    /// Whether what is said to it can be read on the way.
    #[must_use]
    pub fn is_plaintext_to_elsewhere(&self) -> bool {
        let is_near = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
        let address = self.client.get_connection_info().addr();
        matches!(address, ConnectionAddr::Tcp(host, _) if !is_near(host))
            || matches!(address, ConnectionAddr::TcpTls { insecure: true, .. })
    }

    fn channel(&self) -> String {
        format!("{}:news", self.prefix)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Whether a node and its Redis talk to each other; clones share it.
#[derive(Debug, Clone, Default)]
pub struct State(Arc<AtomicU8>);

impl State {
    const OFF: u8 = 0;
    const DOWN: u8 = 1;
    const UP: u8 = 2;

    /// `off` without a Redis, else `up` or `down`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            Self::OFF => "off",
            Self::UP => "up",
            _ => "down",
        }
    }

    fn set(&self, to: u8) -> bool {
        self.0.swap(to, Ordering::Relaxed) != to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_redis_is_refused_without_showing_what_it_was() {
        for (url, prefix) in
            [("http://:hunter2@x", "tessera"), ("", "tessera"), ("redis://x", ""), ("redis://x", "a:b")]
        {
            let error = Settings::new(url, prefix).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let settings = Settings::new("redis://:hunter2@redis.example/3", "tessera").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(settings.is_plaintext_to_elsewhere());
        for near in ["redis://127.0.0.1:6379", "redis+unix:///run/redis.sock", "rediss://redis.example"] {
            assert!(!Settings::new(near, "tessera").unwrap().is_plaintext_to_elsewhere(), "{near}");
        }
    }

    #[test]
    fn a_redis_that_is_not_there_is_said_so_soon() {
        let settings = Settings::new("redis://127.0.0.1:1", "tessera").unwrap();
        assert!(settings.tell(&News::Config(1)).is_err());
        assert!(settings.version().is_err());
    }
}
