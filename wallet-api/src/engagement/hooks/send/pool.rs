//! Connections to receivers: opened with care, kept for the next hook, dropped when old or odd.
//!
//! A connection has no task of its own: whoever sends over it also drives it. So no hook is handed from task to task, and
//! a broken-off attempt takes its connection with it. Between hooks nobody listens on it; that it was closed meanwhile is
//! noticed when it is taken.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use super::answer::Answer;
use super::{FailReason, Policy, Target};

/// Longest head of an answer, and most that is read ahead of its body, in bytes.
const READ_BUFFER_BYTES: usize = 32_768;
/// Addresses of one server that are tried in turn.
const ADDRESSES_TRIED: usize = 4;

/// Encrypted or not, a stream of bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// A connection to a receiver's server, at a checked address.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// Moves the bytes when polled; `None` once it has ended.
    driver: Option<Box<Driver>>,
}

impl Connection {
    /// Looks the server up, checks what it finds, and connects to exactly that.
    pub(super) async fn open(
        target: &Target,
        policy: &Policy,
        tls: &TlsConnector,
        limit: Duration,
    ) -> Result<Self, FailReason> {
        let addresses = policy.resolve(target).await?;
        let plain = dial(&addresses, limit).await?;
        let stream: Box<dyn Stream> = if target.is_tls() {
            Box::new(tls.connect(server_name(target)?, plain).await.ok().ok_or(FailReason::Tls)?)
        } else {
            Box::new(plain)
        };
        let shake = http1::Builder::new().max_buf_size(READ_BUFFER_BYTES).handshake(TokioIo::new(stream)).await;
        let (requests, driver) = shake.ok().ok_or(FailReason::Connect)?;
        Ok(Self { requests, driver: Some(Box::new(driver)) })
    }

    /// Sends a request and takes in the answer, up to its end or its limit.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>, answer: &mut Answer) -> hyper::Result<()> {
        let Self { requests, driver } = self;
        driving(driver, async { answer.read(requests.send_request(request).await?).await }).await
    }

    /// Sends a request and takes in the head of the answer.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Parts> {
        let Self { requests, driver } = self;
        driving(driver, async { Ok(requests.send_request(request).await?.into_parts().0) }).await
    }

    /// Lets the driver notice what has happened, and says whether the connection can take another request.
    pub(super) async fn settle(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.driver, context);
            Poll::Ready(self.driver.is_some() && self.requests.is_ready())
        })
        .await
    }
}

/// Does what talks over a connection, and moves the connection on beside it.
async fn driving<T>(driver: &mut Option<Box<Driver>>, talk: impl Future<Output = T>) -> T {
    let mut talk = pin!(talk);
    poll_fn(|context| {
        // The talk before the driver, to give it the request; and after it, to have what it read in the same turn.
        if let Poll::Ready(done) = talk.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        drive(driver, context);
        talk.as_mut().poll(context)
    })
    .await
}

/// Moves the connection on, and drops it at its end, so that who waits for an answer learns that none will come.
///
/// Its error is not lost: the talk gets its own.
fn drive(driver: &mut Option<Box<Driver>>, context: &mut Context<'_>) {
    let over = driver.as_mut().is_some_and(|driver| Pin::new(driver.as_mut()).poll(context).is_ready());
    if over {
        *driver = None;
    }
}

/// Connects to the first address that takes it; each has an equal share of the time.
async fn dial(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, FailReason> {
    let tried = addresses.len().min(ADDRESSES_TRIED);
    let share = u32::try_from(tried).ok().and_then(|tried| limit.checked_div(tried)).unwrap_or(limit);
    let mut outcome = Err(FailReason::Connect);
    for address in addresses.iter().take(tried) {
        outcome = match timeout(share, TcpStream::connect(address)).await {
            // Without delay: a hook is one write, and waiting for a second would cost up to 40 ms.
            Ok(Ok(stream)) if stream.set_nodelay(true).is_ok() => return Ok(stream),
            Ok(_) => Err(FailReason::Connect),
            Err(_) => Err(FailReason::Timeout),
        };
    }
    outcome
}

fn server_name(target: &Target) -> Result<ServerName<'static>, FailReason> {
    Ok(match target.host() {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok().ok_or(FailReason::Tls)?,
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
    })
}

/// Unused connections, by server.
pub(super) struct Pool {
    idle: Mutex<Shelf>,
    idle_limit: Duration,
    per_server: usize,
}

struct Shelf {
    by_origin: HashMap<Arc<str>, Vec<Idle>>,
    swept_at: Instant,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Keeps at most `per_server` unused connections for each server, each for `idle_limit` at most.
    pub(super) fn new(idle_limit: Duration, per_server: usize) -> Self {
        let shelf = Shelf { by_origin: HashMap::new(), swept_at: Instant::now() };
        Self { idle: Mutex::new(shelf), idle_limit, per_server }
    }

    /// Takes the connection used last that is still good, if there is one; what is no longer good is dropped.
    pub(super) async fn take(&self, origin: &Arc<str>) -> Option<Connection> {
        while let Some(mut idle) = self.pop(origin) {
            if idle.since.elapsed() < self.idle_limit && idle.connection.settle().await {
                return Some(idle.connection);
            }
        }
        None
    }

    fn pop(&self, origin: &Arc<str>) -> Option<Idle> {
        self.shelf().by_origin.get_mut(origin)?.pop()
    }

    /// Keeps a connection, unless there are enough; now and then clears away those that nobody came back for.
    pub(super) fn keep(&self, origin: &Arc<str>, connection: Connection) {
        let now = Instant::now();
        let mut shelf = self.shelf();
        if now.duration_since(shelf.swept_at) >= self.idle_limit {
            shelf.sweep(now, self.idle_limit);
        }
        let kept = shelf.by_origin.entry(origin.clone()).or_default();
        if kept.len() < self.per_server {
            kept.push(Idle { connection, since: now });
        }
    }

    /// A panic elsewhere leaves the shelf whole: each change to it is one call.
    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn sweep(&mut self, now: Instant, idle_limit: Duration) {
        for kept in self.by_origin.values_mut() {
            kept.retain(|idle| now.duration_since(idle.since) < idle_limit);
        }
        self.by_origin.retain(|_, kept| !kept.is_empty());
        self.swept_at = now;
    }
}
