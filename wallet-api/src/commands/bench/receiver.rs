//! A receiver of hooks on loopback, as lean as the load generator, for measuring when hooks arrive.
//!
//! Answers every POST with 204 once its whole body is there and the callback has seen it; anything else is answered
//! and the connection closed. Checks no signature and forgets what it saw: what to keep is the callback's to say.
//! Not here: how a real receiver verifies a hook (the demo's listener does).

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use httparse::{EMPTY_HEADER, Header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::wire::{self, MAX_HEADERS, WireError, parse_request};

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const NOT_ALLOWED: &[u8] =
    b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const LENGTH_REQUIRED: &[u8] = b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const TOO_LARGE: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How long to wait when the system has no file left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// One hook, as it came.
#[derive(Debug)]
pub struct Delivery<'h, 'a> {
    headers: &'h [Header<'a>],
    /// The body.
    pub body: &'a [u8],
    /// When the last byte of the body was here.
    pub arrived: Instant,
}

impl<'a> Delivery<'_, 'a> {
    /// The hook's `webhook-id`, empty when it has none.
    pub fn webhook_id(&self) -> &'a str {
        self.header("webhook-id").unwrap_or_default()
    }

    /// The value of a header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        wire::header(self.headers, name)
    }
}

/// A receiver at work. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Receiver {
    addr: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port of loopback and shows every hook to `on_hook`, which must not block.
    ///
    /// # Errors
    /// When the system gives no port.
    pub async fn start<C>(on_hook: C) -> io::Result<Self>
    where
        C: Fn(&Delivery<'_, '_>) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self { addr, accepting: tokio::spawn(accept(listener, Arc::new(on_hook))) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<C>(listener: TcpListener, on_hook: Arc<C>)
where
    C: Fn(&Delivery<'_, '_>) + Send + Sync + 'static,
{
    // Ends with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let on_hook = Arc::clone(&on_hook);
                // A connection that breaks is its sender's to notice.
                connections.spawn(async move { serve(stream, &*on_hook).await.ok() });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<C: Fn(&Delivery<'_, '_>)>(mut stream: TcpStream, on_hook: &C) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let step = answer(&buffer, on_hook);
        match step {
            Step::More => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            Step::Next(length) => {
                stream.write_all(NO_CONTENT).await?;
                buffer.drain(..length);
            }
            Step::Last(reply) => {
                stream.write_all(reply).await?;
                return stream.shutdown().await;
            }
        }
    }
}

/// What to do with what was read.
enum Step {
    /// The request is not whole.
    More,
    /// A hook of so many bytes was taken.
    Next(usize),
    /// The connection ends with this answer.
    Last(&'static [u8]),
}

fn answer<C: Fn(&Delivery<'_, '_>)>(bytes: &[u8], on_hook: &C) -> Step {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let request = match parse_request(bytes, &mut headers) {
        Ok(Some(request)) => request,
        Ok(None) => return Step::More,
        Err(WireError::Malformed) => return Step::Last(BAD_REQUEST),
        Err(WireError::Framing) => return Step::Last(LENGTH_REQUIRED),
        Err(WireError::TooLarge) => return Step::Last(TOO_LARGE),
    };
    if request.method != "POST" {
        return Step::Last(NOT_ALLOWED);
    }
    on_hook(&Delivery { headers: request.headers, body: request.body, arrived: Instant::now() });
    if request.closes { Step::Last(NO_CONTENT) } else { Step::Next(request.length) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Seen = Arc<Mutex<Vec<(String, Vec<u8>, Instant)>>>;

    async fn recording() -> (Receiver, Seen) {
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let keep = move |hook: &Delivery<'_, '_>| {
            kept.lock().unwrap().push((hook.webhook_id().to_owned(), hook.body.to_vec(), hook.arrived));
        };
        (Receiver::start(keep).await.unwrap(), seen)
    }

    async fn talk(addr: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn hooks_on_one_connection_are_each_seen_and_answered() {
        let (receiver, seen) = recording().await;
        let mut bytes = Vec::new();
        for (id, body) in [("msg_1", "one"), ("msg_2", "")] {
            wire::write_post(&mut bytes, format_args!("/"), &[("Webhook-Id", format_args!("{id}"))], body.as_bytes());
        }
        let answer = talk(receiver.addr(), &bytes).await;
        assert_eq!(answer, String::from_utf8([NO_CONTENT, NO_CONTENT].concat()).unwrap());
        let seen: Vec<_> = seen.lock().unwrap().iter().map(|(id, body, _)| (id.clone(), body.clone())).collect();
        assert_eq!(seen, [("msg_1".to_owned(), b"one".to_vec()), ("msg_2".to_owned(), Vec::new())]);
    }

    #[tokio::test]
    async fn a_hook_has_arrived_when_its_last_byte_has() {
        let (receiver, seen) = recording().await;
        let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\na").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(seen.lock().unwrap().is_empty());
        let before = Instant::now();
        stream.write_all(b"b").await.unwrap();
        let mut answer = [0; NO_CONTENT.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(seen.lock().unwrap()[0].2 >= before);
    }

    #[tokio::test]
    async fn what_is_no_hook_is_answered_and_not_shown() {
        let (receiver, seen) = recording().await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "405"),
            ("nonsense\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "411"),
            ("POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", "413"),
        ] {
            let answer = talk(receiver.addr(), request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        assert!(seen.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_receiver_is_gone() {
        let (receiver, _) = recording().await;
        let addr = receiver.addr();
        let mut open = TcpStream::connect(addr).await.unwrap();
        drop(receiver);
        assert!(matches!(open.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
