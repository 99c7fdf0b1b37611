//! The end of the link at a node that does not lead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use ledger::wire::{self, Bond};
use ledger::{Answers, Lost, Request, Transport};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::seal::Seal;
use super::{AT, FULL_BYTES, MOST_BYTES, PATH, SEAL, frames};
use crate::platform::clock::Clock;

/// POSTs under way to one node at once; what comes meanwhile goes together in the next.
const CONNECTIONS: usize = 4;
/// Parcels in one POST.
const MOST: usize = 256;
/// Longest time to a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How long the answer to a POST may take: the other end says after two seconds that a commit is unknown. Later than that
/// the connection is taken for dead, and whoever still has time asks again over another.
const ANSWER: Duration = Duration::from_secs(3);
/// How long after its deadline a request still hopes for its answer.
const SLACK: Duration = Duration::from_secs(1);
/// Most bytes of an answer: records are a few times larger than their requests.
const ANSWER_BYTES: usize = 8 * MOST_BYTES;

type Answered = Result<Answers, Lost>;

/// A request on its way, or several in one piece.
struct Parcel {
    bytes: Vec<u8>,
    /// How many.
    requests: usize,
    deadline: Instant,
    reply: oneshot::Sender<Answered>,
}

/// Carries requests to whichever node leads.
pub struct Link {
    seal: Seal,
    tls: TlsConnector,
    runtime: Handle,
    /// To the node that was asked last: another one leads seldom.
    line: Mutex<Option<(String, mpsc::UnboundedSender<Parcel>)>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// A link whose connections live on this runtime.
    ///
    /// # Errors
    /// [`rustls::Error`] if the cryptography provider lacks the protocol versions, which is a fault of the build.
    pub fn new(seal: Seal, runtime: Handle) -> Result<Self, rustls::Error> {
        let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { seal, tls: TlsConnector::from(Arc::new(config)), runtime, line: Mutex::default() })
    }

    /// Hands a parcel to the line to this node, which is laid if the last one led elsewhere.
    fn send(&self, address: &str, parcel: Parcel) -> Result<(), Lost> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.as_ref().is_none_or(|(laid_to, _)| laid_to != address) {
            *line = Some((address.to_owned(), self.lay(address)?));
        }
        let Some((_, parcels)) = line.as_ref() else { return Err(Lost::Unsent) };
        parcels.send(parcel).ok().ok_or(Lost::Unsent)
    }

    fn lay(&self, address: &str) -> Result<mpsc::UnboundedSender<Parcel>, Lost> {
        let url =
            Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(Lost::Unsent)?;
        // Not bounded here: the journal bounds how many of its requests are under way.
        let (sender, parcels) = mpsc::unbounded_channel();
        let silent = AtomicBool::new(false);
        let far = Far { address: address.to_owned(), url, seal: self.seal.clone(), tls: self.tls.clone(), silent };
        let (far, parcels) = (Arc::new(far), Arc::new(AsyncMutex::new(parcels)));
        for _ in 0..CONNECTIONS {
            self.runtime.spawn(work(Arc::clone(&far), Arc::clone(&parcels)));
        }
        Ok(sender)
    }
}

impl Transport for Link {
    fn carry<'a>(
        &'a self,
        address: &'a str,
        requests: &'a [Arc<Request>],
        bond: Bond,
        deadline: Instant,
    ) -> ledger::Carried<'a> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let (bytes, requests) = (wire::requests_to_bytes(requests, bond), requests.len());
            self.send(address, Parcel { bytes, requests, deadline, reply })?;
            let patience = deadline.saturating_duration_since(Instant::now()).saturating_add(SLACK);
            match timeout(patience, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(Lost::Unanswered),
            }
        })
    }
}

/// The node at the other end.
struct Far {
    address: String,
    url: Url,
    seal: Seal,
    tls: TlsConnector,
    /// It did not answer last time, and the log has been told.
    silent: AtomicBool,
}

type Parcels = Arc<AsyncMutex<mpsc::UnboundedReceiver<Parcel>>>;

/// Carries what waits, POST after POST over one connection, until the line is given up.
async fn work(far: Arc<Far>, parcels: Parcels) {
    let mut connection = None;
    let mut batch = Vec::new();
    loop {
        if parcels.lock().await.recv_many(&mut batch, MOST).await == 0 {
            return;
        }
        while !batch.is_empty() {
            let rest = batch.split_off(fitting(&batch));
            deliver(&far, &mut connection, std::mem::replace(&mut batch, rest)).await;
        }
    }
}

/// How many of these go into one POST: at least one.
fn fitting(batch: &[Parcel]) -> usize {
    let mut bytes = 0_usize;
    let within = |parcel: &&Parcel| {
        bytes = bytes.saturating_add(parcel.bytes.len());
        bytes <= FULL_BYTES
    };
    batch.iter().take_while(within).count().max(1)
}

async fn deliver(far: &Far, connection: &mut Option<Connection>, batch: Vec<Parcel>) {
    match exchange(far, connection, &batch).await {
        Ok(answers) => {
            far.silent.store(false, Ordering::Relaxed);
            for (parcel, answers) in batch.into_iter().zip(answers) {
                // Whoever no longer listens has their answer in the journal, under their key.
                _ = parcel.reply.send(Ok(answers));
            }
        }
        Err(failure) => {
            *connection = None;
            // Once, not for each of the thousands that ask while another node takes over.
            if !far.silent.swap(true, Ordering::Relaxed) {
                tracing::warn!(node = far.address, failure = failure.words(), "the node that leads did not answer");
            }
            for parcel in batch {
                _ = parcel.reply.send(Err(failure.lost()));
            }
        }
    }
}

/// Why a POST has no answer.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Connect,
    Broken,
    Late,
    Refused(u16),
    Forged,
}

impl Failure {
    const fn lost(self) -> Lost {
        match self {
            Self::Connect | Self::Refused(400..500) => Lost::Unsent,
            Self::Broken | Self::Late | Self::Refused(_) | Self::Forged => Lost::Unanswered,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Connect => "it takes no connection",
            Self::Broken => "the connection broke",
            Self::Late => "its time was over",
            Self::Refused(403) => "it does not take this node for one of its own: check clocks and addresses",
            Self::Refused(_) => "it refused",
            Self::Forged => "the answer was not one of a node of this deployment",
        }
    }
}

type Connection = SendRequest<Full<Bytes>>;

async fn exchange(far: &Far, connection: &mut Option<Connection>, batch: &[Parcel]) -> Result<Vec<Answers>, Failure> {
    let is_ready = match connection {
        Some(kept) => kept.ready().await.is_ok(),
        None => false,
    };
    if !is_ready {
        *connection = Some(timeout(CONNECT, far.connect()).await.ok().flatten().ok_or(Failure::Connect)?);
    }
    let requests = connection.as_mut().ok_or(Failure::Connect)?;
    let (question, message) = far.message(Instant::now(), batch);
    let talk = async {
        let response = requests.send_request(message).await.ok().ok_or(Failure::Broken)?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Err(Failure::Refused(head.status.as_u16()));
        }
        let body = Limited::new(body, ANSWER_BYTES).collect().await.ok().ok_or(Failure::Broken)?.to_bytes();
        let seal = head.headers.get(SEAL).and_then(|seal| HEXLOWER.decode(seal.as_bytes()).ok());
        if !seal.is_some_and(|seal| far.seal.is_answer(&question, &body, &seal)) {
            return Err(Failure::Forged);
        }
        let parts = frames::parts(&body).filter(|parts| parts.len() == batch.len()).ok_or(Failure::Forged)?;
        let asked = batch.iter().map(|parcel| parcel.requests);
        let answers = parts.into_iter().zip(asked).map(|((_, bytes), asked)| wire::answers_from_bytes(bytes, asked));
        answers.collect::<Option<_>>().ok_or(Failure::Forged)
    };
    timeout(ANSWER, talk).await.unwrap_or(Err(Failure::Late))
}

impl Far {
    /// The message for a batch, and its seal.
    fn message(&self, now: Instant, batch: &[Parcel]) -> (Vec<u8>, hyper::Request<Full<Bytes>>) {
        let mut body = Vec::new();
        for parcel in batch {
            let left = parcel.deadline.saturating_duration_since(now).as_millis();
            frames::push(&mut body, (u32::try_from(left).unwrap_or(u32::MAX), &parcel.bytes));
        }
        let at_s = Clock::System.now().timestamp();
        let seal = self.seal.question(at_s, &self.address, &body).as_ref().to_vec();
        let mut message = hyper::Request::new(Full::new(Bytes::from(body)));
        *message.method_mut() = hyper::Method::POST;
        *message.uri_mut() = hyper::Uri::from_static(PATH);
        let headers = message.headers_mut();
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/octet-stream"));
        headers.insert(AT, at_s.into());
        if let Ok(value) = HEXLOWER.encode(&seal).parse() {
            headers.insert(SEAL, value);
        }
        if let Ok(host) = self.url.authority().parse() {
            headers.insert(HOST, host);
        }
        (seal, message)
    }

    async fn connect(&self) -> Option<Connection> {
        let host = self.url.host_str()?.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.url.port_or_known_default()?)).await.ok()?;
        // Without delay: each message is one write, and waiting for a second would cost up to 40 ms.
        stream.set_nodelay(true).ok()?;
        if self.url.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned()).ok()?;
            return shake(self.tls.connect(name, stream).await.ok()?).await;
        }
        shake(stream).await
    }
}

async fn shake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Option<Connection> {
    let (requests, driver) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    // Its error is not lost: whoever asks over it gets their own.
    tokio::spawn(async { _ = driver.await });
    Some(requests)
}
