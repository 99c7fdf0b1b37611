use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Response, server};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::engagement::hooks::sign::{Secret, sign, verify};

const AT_S: i64 = 1_614_265_330;

fn open() -> Policy {
    Policy { allow_private: true, allow_http: true, own: Vec::new() }
}

fn hasty() -> Limits {
    Limits { connect: Duration::from_millis(500), total: Duration::from_millis(500), ..Limits::default() }
}

fn sender() -> Sender {
    Sender::new(open(), Limits::default()).unwrap()
}

fn attempt(url: &Target) -> Attempt<'_> {
    Attempt { url, id: "msg_1", timestamp_s: AT_S, signature: "v1,none", depth: 1, body: Bytes::from_static(b"{}") }
}

fn failed(status: Option<u16>, reason: FailReason) -> Verdict {
    Verdict::Failed { status, reason, retry_after: None }
}

type Body = BoxBody<Bytes, Infallible>;

/// A receiver on this machine: what it answers is up to the test; it counts connections and requests.
struct Receiver {
    target: Target,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?tenant=1", listener.local_addr().unwrap());
        let target = Target::parse(&url, &open()).unwrap();
        let receiver = Self { target, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (receiver.connections.clone(), receiver.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, requests.clone(), answer.clone()));
            }
        });
        receiver
    }

    async fn answering(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Self {
        Self::start(move |_| async move {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Full::new(Bytes::from_static(body.as_bytes())).boxed()).unwrap()
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve<S, F, R>(stream: S, requests: Arc<AtomicUsize>, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        requests.fetch_add(1, Ordering::SeqCst);
        let response = answer(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let _closed = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A receiver that reads requests as bytes, for what no decent server does: it gets the number of the connection.
async fn raw<F, R>(serve: F) -> (Target, Arc<AtomicUsize>)
where
    F: Fn(tokio::net::TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap()), &open()).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, counted.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (target, connections)
}

/// Reads one request, whose body is `{}`.
async fn read_request(stream: &mut tokio::net::TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

const NO_CONTENT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn the_receiver_can_verify_what_arrives() {
    let secret = Secret::generate(&|bytes| bytes.fill(9));
    let receivers = secret.clone();
    let receiver = Receiver::start(move |request| {
        let secret = receivers.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let header = |name: &str| head.headers[name].to_str().unwrap();
            let (id, at, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
            let verified = verify(&secret, id, at, signature, &body, AT_S + 1, 300);
            let told = format!(
                "{} {} {} {} {} {verified:?}",
                head.method,
                head.uri,
                header("host").starts_with("127.0.0.1:"),
                header("content-type"),
                header("user-agent"),
            );
            Response::new(Full::new(Bytes::from(told)).boxed())
        }
    })
    .await;
    let body = Bytes::from_static(br#"{"specversion":"1.0"}"#);
    let signature = sign(&[secret], "msg_1", AT_S, &body);
    let signed =
        Attempt { url: &receiver.target, id: "msg_1", timestamp_s: AT_S, signature: &signature, depth: 1, body };
    let sent = sender().send(signed).await;
    assert_eq!(sent.verdict, Verdict::Delivered { status: 200 });
    let expected =
        format!("POST /hooks?tenant=1 true application/cloudevents+json tessera/{} Ok(())", env!("CARGO_PKG_VERSION"));
    assert_eq!(sent.excerpt, expected);
}

#[tokio::test]
async fn hooks_to_one_server_share_a_connection() {
    let receiver = Receiver::answering(204, &[], "").await;
    let sender = sender();
    for _ in 0..50 {
        assert_eq!(sender.send(attempt(&receiver.target)).await.verdict, Verdict::Delivered { status: 204 });
    }
    assert_eq!((receiver.connections(), receiver.requests()), (1, 50));
}

#[tokio::test]
async fn an_unhappy_answer_with_a_body_keeps_the_connection_too() {
    let receiver = Receiver::answering(500, &[], "out of order").await;
    let sender = sender();
    for _ in 0..3 {
        let sent = sender.send(attempt(&receiver.target)).await;
        assert_eq!(sent.verdict, failed(Some(500), FailReason::Status));
        assert_eq!(sent.excerpt, "out of order");
    }
    assert_eq!(receiver.connections(), 1);
}

/// E65, T51: where a redirect points is never asked.
#[tokio::test]
async fn e65_a_redirect_is_a_failure_and_is_not_followed() {
    let receiver = Receiver::answering(307, &[("location", "/elsewhere")], "").await;
    let sent = sender().send(attempt(&receiver.target)).await;
    assert_eq!(sent.verdict, failed(Some(307), FailReason::Redirect));
    assert_eq!(receiver.requests(), 1);
}

/// E66: 410 ends the endpoint, 404 is a failure like any other.
#[tokio::test]
async fn e66_gone_is_told_apart_from_not_found() {
    let gone = Receiver::answering(410, &[], "").await;
    assert_eq!(sender().send(attempt(&gone.target)).await.verdict, Verdict::Gone);
    let missing = Receiver::answering(404, &[], "").await;
    assert_eq!(sender().send(attempt(&missing.target)).await.verdict, failed(Some(404), FailReason::Status));
}

#[tokio::test]
async fn the_time_a_receiver_asks_for_is_handed_on() {
    // 30 s after the attempt's timestamp.
    for value in ["30", "Thu, 25 Feb 2021 15:02:40 GMT"] {
        let headers: &'static [_] = Vec::leak(vec![("retry-after", value)]);
        let receiver = Receiver::answering(503, headers, "").await;
        let retry_after = Some(Duration::from_secs(30));
        let expected = Verdict::Failed { status: Some(503), reason: FailReason::Status, retry_after };
        assert_eq!(sender().send(attempt(&receiver.target)).await.verdict, expected, "{value}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_no_more_than_the_total_timeout() {
    let receiver = Receiver::start(|_| std::future::pending()).await;
    let sent = Sender::new(open(), hasty()).unwrap().send(attempt(&receiver.target)).await;
    assert_eq!(sent.verdict, failed(None, FailReason::Timeout));
    assert!(sent.duration >= Duration::from_millis(500) && sent.duration < Duration::from_secs(2));
}

/// E65: a 2xx whose body trickles on is not yet an answer; what has come is kept.
#[tokio::test]
async fn e65_a_slow_body_fails_at_the_total_timeout() {
    let (target, _) = raw(async |mut stream: tokio::net::TcpStream, _| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"z").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let sent = Sender::new(open(), hasty()).unwrap().send(attempt(&target)).await;
    assert_eq!(sent.verdict, failed(Some(200), FailReason::Timeout));
    assert!(sent.excerpt.starts_with('z') && sent.excerpt.len() < 20, "{}", sent.excerpt);
}

/// E65: an answer of 10 GB is cut at 20,000 bytes, and hardly more of it ever leaves the receiver.
#[tokio::test]
async fn e65_a_huge_answer_costs_nothing() {
    const CHUNK: usize = 65_536;
    let produced = Arc::new(AtomicUsize::new(0));
    let counter = produced.clone();
    let receiver = Receiver::start(move |_| {
        let counter = counter.clone();
        async move {
            let chunks = (0..10_000_000_000 / CHUNK).map(move |_| {
                counter.fetch_add(CHUNK, Ordering::SeqCst);
                Ok(Frame::data(Bytes::from_static(&[b'x'; CHUNK])))
            });
            Response::new(StreamBody::new(stream::iter(chunks)).boxed())
        }
    })
    .await;
    let sender = sender();
    for _ in 0..2 {
        let sent = sender.send(attempt(&receiver.target)).await;
        assert_eq!(sent.verdict, Verdict::Delivered { status: 200 });
        assert_eq!(sent.excerpt, "x".repeat(20_000));
        assert!(sent.duration < Duration::from_secs(2));
    }
    assert_eq!(receiver.connections(), 2, "a connection with an unread rest is never used again");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(produced.load(Ordering::SeqCst) < 32_000_000, "only what the sockets' buffers hold was made");
}

/// A head without end is refused when the buffer is full.
#[tokio::test]
async fn an_endless_head_is_not_read_to_the_end() {
    let (target, _) = raw(async |mut stream: tokio::net::TcpStream, _| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 1_024]).await.is_ok() {}
    })
    .await;
    assert_eq!(sender().send(attempt(&target)).await.verdict, failed(None, FailReason::Broken));
}

/// T51: the policy at the time of sending decides, and a refused address sees no connection.
#[tokio::test]
async fn t51_a_private_address_is_refused_without_opening_a_socket() {
    let receiver = Receiver::answering(200, &[], "").await;
    let strict = Sender::new(Policy::default(), Limits::default()).unwrap();
    let by_address = strict.send(attempt(&receiver.target)).await;
    let Verdict::Failed { status: None, reason, .. } = by_address.verdict else { panic!("{by_address:?}") };
    assert_eq!(
        (reason.code(), reason.to_string()),
        ("refused", "endpoint's address 127.0.0.1 is not public: it is loopback".into())
    );

    let port = receiver.target.origin().rsplit_once(':').unwrap().1;
    let named = Target::parse(&format!("http://localhost:{port}/"), &open()).unwrap();
    let by_name = strict.send(attempt(&named)).await;
    assert!(matches!(by_name.verdict, Verdict::Failed { reason: FailReason::Refused(Refusal::NotPublic { .. }), .. }));

    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.connections(), 0);
}

/// The common case: the receiver closed the connection some time between two hooks.
#[tokio::test]
async fn a_connection_closed_between_hooks_is_replaced_without_a_failure() {
    let (target, connections) = raw(async |mut stream: tokio::net::TcpStream, _| {
        read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
    })
    .await;
    let sender = sender();
    for served in 1..=5 {
        assert_eq!(sender.send(attempt(&target)).await.verdict, Verdict::Delivered { status: 200 });
        assert_eq!(connections.load(Ordering::SeqCst), served);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The race: the receiver closes while the second hook is on its way. It is sent again, once, over a new connection.
#[tokio::test]
async fn a_connection_that_closes_under_a_hook_is_retried_once() {
    let (target, connections) = raw(async |mut stream: tokio::net::TcpStream, number| {
        read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        let again = read_request(&mut stream).await; // the second request is read and never answered
        if again && number > 0 {
            stream.write_all(NO_CONTENT).await.unwrap();
        }
    })
    .await;
    let sender = sender();
    for _ in 0..2 {
        assert_eq!(sender.send(attempt(&target)).await.verdict, Verdict::Delivered { status: 200 });
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_a_failure_and_not_retried() {
    let (target, connections) = raw(async |mut stream: tokio::net::TcpStream, _| {
        read_request(&mut stream).await;
    })
    .await;
    assert_eq!(sender().send(attempt(&target)).await.verdict, failed(None, FailReason::Broken));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Once an answer has begun, its end is a failure to report, not to paper over.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_retried() {
    let (target, connections) = raw(async |mut stream: tokio::net::TcpStream, _| {
        read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let sender = sender();
    assert_eq!(sender.send(attempt(&target)).await.verdict, Verdict::Delivered { status: 200 });
    let broken = sender.send(attempt(&target)).await;
    assert_eq!((broken.verdict, &*broken.excerpt), (failed(Some(200), FailReason::Broken), "half"));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap()), &open()).unwrap();
    drop(listener);
    assert_eq!(sender().send(attempt(&target)).await.verdict, failed(None, FailReason::Connect));
}

#[tokio::test]
async fn an_id_that_would_break_the_head_is_refused() {
    let receiver = Receiver::answering(200, &[], "").await;
    let injected = Attempt { id: "msg_1\r\nx: y", ..attempt(&receiver.target) };
    assert_eq!(sender().send(injected).await.verdict, failed(None, FailReason::Header));
    assert_eq!(receiver.requests(), 0);
}

#[tokio::test]
async fn only_so_many_unused_connections_are_kept_and_only_for_so_long() {
    let receiver = Receiver::answering(200, &[], "").await;
    let limits = Limits { idle: Duration::from_millis(200), idle_per_server: 2, ..Limits::default() };
    let sender = Sender::new(open(), limits).unwrap();
    let burst = || futures_util::future::join_all((0..6).map(|_| sender.send(attempt(&receiver.target))));
    burst().await;
    assert_eq!(receiver.connections(), 6);
    burst().await;
    assert_eq!(receiver.connections(), 10, "two of six were kept");
    tokio::time::sleep(Duration::from_millis(250)).await;
    sender.send(attempt(&receiver.target)).await;
    assert_eq!(receiver.connections(), 11, "none lives past its time");
}

/// A receiver over TLS, with a certificate for `localhost` that only the returned roots vouch for.
async fn tls_receiver() -> (u16, RootCertStore) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                serve(stream, Arc::default(), |_| async { Response::new(Full::default().boxed()) }).await;
            });
        }
    });
    (port, roots)
}

#[tokio::test]
async fn over_tls_the_servers_name_and_its_authority_must_fit() {
    let (port, roots) = tls_receiver().await;
    let by_name = Target::parse(&format!("https://localhost:{port}/"), &open()).unwrap();
    let by_address = Target::parse(&format!("https://127.0.0.1:{port}/"), &open()).unwrap();
    let trusting = Sender::with_roots(open(), Limits::default(), roots).unwrap();
    for _ in 0..2 {
        assert_eq!(trusting.send(attempt(&by_name)).await.verdict, Verdict::Delivered { status: 200 });
    }
    assert_eq!(trusting.send(attempt(&by_address)).await.verdict, failed(None, FailReason::Tls));
    assert_eq!(sender().send(attempt(&by_name)).await.verdict, failed(None, FailReason::Tls));
}
