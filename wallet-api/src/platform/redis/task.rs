//! The one task of a node that talks to Redis.
//!
//! It tells what was spent here and hears what was spent elsewhere, tells news and hears news, each call with a timeout.
//! After any call that fails or is late it drops both connections, forgets what it had still to tell, and starts over.
//! Limits: news waiting to be told and news believed are bounded, and what is beyond is dropped; see the module above.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::spent::Seen;
use super::{ANSWER, CONNECT, EXCHANGE, News, Settings, State};
use crate::platform::limits::{Class, Limits, Subject};

/// News waiting to be told; when there is more, the rest is dropped: others find out by themselves.
const OUTBOX: usize = 256;
/// Counters in one exchange; the rest goes with the next.
const AT_ONCE: usize = 1_000;
/// A counter nobody adds to is forgotten after that, in milliseconds.
const KEEP_MS: i64 = 60_000;
/// News believed in one [`EXCHANGE`]: each costs a look at the database.
const BELIEVED: u32 = 100;
/// From one attempt to connect to the next.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What a node does about news.
pub type Heed = Arc<dyn Fn(&News) + Send + Sync>;

/// What keeps a node and Redis talking; it ends with the value.
#[derive(Debug)]
pub struct Task {
    outbox: mpsc::Sender<News>,
    handle: JoinHandle<()>,
}

impl Task {
    /// Starts it. It tells `state` how it is, shares what `limits` say, and hands news to `heed`.
    ///
    /// Needs a tokio runtime; waits for nothing.
    #[must_use]
    pub fn start(settings: Settings, state: State, limits: Limits, heed: Heed) -> Self {
        let (outbox, news) = mpsc::channel(OUTBOX);
        state.set(State::DOWN);
        let side = Side { settings, state, limits, heed, seen: Seen::default(), news };
        Self { outbox, handle: tokio::spawn(side.run()) }
    }

    /// Tells other nodes something as soon as may be, or never: it does not wait.
    pub fn teller(&self) -> impl Fn(News) + Send + Sync + Clone + use<> {
        let outbox = self.outbox.clone();
        move |news| _ = outbox.try_send(news)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// The task's own.
struct Side {
    settings: Settings,
    state: State,
    limits: Limits,
    heed: Heed,
    seen: Seen,
    news: mpsc::Receiver<News>,
}

/// A connection for commands and one for news.
struct Connections {
    commands: MultiplexedConnection,
    news: PubSubStream,
}

impl Side {
    async fn run(mut self) {
        let mut attempts = AGAIN.into_iter();
        loop {
            let error = match self.connect().await {
                Ok(connections) => {
                    if self.state.set(State::UP) {
                        tracing::info!("redis is there: limits and news are shared");
                    }
                    attempts = AGAIN.into_iter();
                    self.talk(connections).await
                }
                Err(error) => error,
            };
            if self.state.set(State::DOWN) {
                tracing::warn!(%error, "redis is away: this node counts for itself");
            }
            let [.., longest] = AGAIN;
            tokio::time::sleep(attempts.next().unwrap_or(longest)).await;
            self.forget();
        }
    }

    /// What was not told while Redis was away is not told later: it would be charged to a time it does not belong to.
    fn forget(&mut self) {
        while !self.limits.spent(AT_ONCE).is_empty() {}
        while self.news.try_recv().is_ok() {}
        self.seen = Seen::default();
    }

    async fn connect(&self) -> RedisResult<Connections> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        let client = &self.settings.client;
        let connecting = async {
            let commands = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut news = client.get_async_pubsub().await?;
            news.subscribe(self.settings.channel()).await?;
            Ok(Connections { commands, news: news.into_on_message() })
        };
        timeout(CONNECT, connecting).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    /// Talks until something goes wrong, and says what.
    async fn talk(&mut self, connections: Connections) -> redis::RedisError {
        let Connections { mut commands, news: mut heard } = connections;
        let mut turns = interval(EXCHANGE);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut believed = 0_u32;
        loop {
            let done = tokio::select! {
                _ = turns.tick() => {
                    believed = 0;
                    self.exchange(&mut commands).await
                }
                Some(news) = self.news.recv() => self.publish(&mut commands, &news).await,
                message = heard.next() => match message {
                    Some(message) => {
                        believed = believed.saturating_add(1);
                        if let Some(news) = News::parse(message.get_payload_bytes()).filter(|_| believed <= BELIEVED) {
                            (self.heed)(&news);
                        }
                        Ok(())
                    }
                    None => Err(late()),
                },
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    async fn publish(&self, commands: &mut MultiplexedConnection, news: &News) -> RedisResult<()> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.settings.channel()).arg(news.to_string());
        in_time(command.exec_async(commands)).await
    }

    /// Adds what was spent here, and charges what was spent elsewhere. With nothing to add it only sees that Redis lives.
    async fn exchange(&mut self, commands: &mut MultiplexedConnection) -> RedisResult<()> {
        let spent = self.limits.spent(AT_ONCE);
        if spent.is_empty() {
            return in_time(redis::cmd("PING").exec_async(commands)).await;
        }
        let mut adding = redis::pipe();
        for (subject, class, tokens) in &spent {
            let name = self.counter(*subject, *class);
            adding.cmd("INCRBY").arg(&name).arg(*tokens).cmd("PEXPIRE").arg(&name).arg(KEEP_MS).ignore();
        }
        // A counter of the wrong kind is a miss, and no reason to stop sharing the others.
        let adding = adding.ignore_errors();
        let sums: Vec<RedisResult<i64>> = in_time(adding.query_async(commands)).await?;
        let now = Instant::now();
        for ((subject, class, tokens), sum) in spent.into_iter().zip(sums) {
            let elsewhere = sum.ok().and_then(|sum| self.seen.elsewhere(subject, class, tokens, sum, now));
            if let Some((others, over)) = elsewhere {
                self.limits.spent_elsewhere(subject, class, others, over);
            }
        }
        Ok(())
    }

    fn counter(&self, subject: Subject, class: Class) -> String {
        let Subject { tenant, client } = subject;
        let prefix = &self.settings.prefix;
        match client {
            Some(client) => format!("{prefix}:spent:{tenant}:{client}:{class}"),
            None => format!("{prefix}:spent:{tenant}:all:{class}"),
        }
    }
}

/// The driver's own timeout does not cover all of a call that it queues.
async fn in_time<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(ANSWER, call).await.unwrap_or_else(|_elapsed| Err(late()))
}

fn late() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
