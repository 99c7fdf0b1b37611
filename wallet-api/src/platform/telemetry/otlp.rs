//! Spans to an OpenTelemetry collector: OTLP over HTTP/1.1, protobuf, batches from a thread of their own.
//!
//! Plain HTTP, to a collector beside the node or on a network of one's own: the collector, not the node, speaks TLS to
//! whoever stores traces, so that this feature adds no second TLS. What is told has been through the log's filter. Which
//! share is told, and under which name, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` and `OTEL_SERVICE_NAME` say.
//! Not here: what a caller's `traceparent` says; each request begins a trace.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;

/// How long the collector may take for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most of an answer that is read, in bytes.
const ANSWER: u64 = 64 * 1024;

/// Spans on their way to a collector. Dropping it tells the last of them.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares telling spans to the collector at `http://host:port`. One that does not answer costs spans, nothing else.
    pub(super) fn to(collector: &str) -> Result<Self, TelemetryError> {
        let is_plain = url::Url::parse(collector).is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !is_plain {
            return Err(TelemetryError::Collector);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Plain)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|_unusable| TelemetryError::Collector)?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("tessera");
        }
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Self(provider.build()))
    }

    /// What takes the spans. No thread, no place in the source: they are in the log when somebody needs them.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("tessera"));
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // The log may be gone as well: a span that is not told is not told.
        _ = self.0.shutdown_with_timeout(PATIENCE);
    }
}

/// A client for the thread that exports: it may block there, and there is one connection per batch.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl HttpClient for Plain {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (host, port) = (request.uri().host().unwrap_or_default(), request.uri().port_u16().unwrap_or(80));
        let address = (host, port).to_socket_addrs()?.next().ok_or("the collector has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&head(&request, host, port))?;
        stream.write_all(request.body())?;
        let mut answer = Vec::new();
        stream.take(ANSWER).read_to_end(&mut answer)?;
        Ok(Response::builder().status(status(&answer)?).body(Bytes::new())?)
    }
}

fn head(request: &Request<Bytes>, host: &str, port: u16) -> Vec<u8> {
    let path = request.uri().path();
    let length = request.body().len();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in request.headers() {
        // What is no text is no header of ours.
        if let Ok(value) = value.to_str() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn status(answer: &[u8]) -> Result<u16, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer)?;
    response.code.ok_or_else(|| "the collector gave no answer".into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A span reaches a collector with its name and fields when the program ends.
    #[test]
    fn what_is_left_is_told_at_the_end() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = collector.local_addr().unwrap();
        let received = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut told = Vec::new();
            let mut part = [0; 4096];
            while !String::from_utf8_lossy(&told).contains("till-7") {
                let read = stream.read(&mut part).unwrap();
                told.extend_from_slice(&part[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&told).into_owned()
        });
        let traces = Traces::to(&format!("http://{address}/")).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
            tracing::info_span!("payments.pay", request_id = "till-7").in_scope(|| ());
        });
        drop(traces);
        let told = received.join().unwrap();
        assert!(told.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{told}");
        assert!(told.contains("payments.pay") && told.contains("request_id") && told.contains("till-7"), "{told}");
    }

    #[test]
    fn a_collector_is_a_plain_address() {
        for wrong in ["https://collector:4318", "collector:4318", "", "http://"] {
            assert!(Traces::to(wrong).is_err(), "{wrong}");
        }
    }
}
