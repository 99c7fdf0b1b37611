//! Publishing heads where the database's owner cannot take them back: a file, or an address that takes a POST.
//!
//! A file is replaced whole, never written in place, and keeps the heads of journals that other nodes lead. An address gets
//! each head by itself as JSON, one of the audit log with the members `tenant` and `audit_seq`; one that does not take it is told again with the next head, since the last head stands
//! for all before it. Only `http://`: TLS is the proxy's, as everywhere in this house.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use url::Url;

use super::form::{HeadForm, Published};
use crate::platform::audit::head::AuditHeadForm;

/// How long an address may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where heads are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// A file that is replaced whole, best on other storage than the database.
    File(PathBuf),
    /// An address that is POSTed each head.
    Address(Url),
}

impl std::str::FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("https://") {
            return Err("heads go out over plain http: put a proxy that speaks TLS before it".into());
        }
        if !text.starts_with("http://") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if url.host_str().is_none() { Err("the address names no host".into()) } else { Ok(Self::Address(url)) }
    }
}

/// Why a head was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file could not be read or replaced.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file there is none of ours.
    #[error("{} holds something else than published heads ({what}): name another file, or remove it", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The address could not be reached in time, or said no.
    #[error("{url} did not take the head: {what}")]
    Address {
        /// Which.
        url: Url,
        /// Why.
        what: String,
    },
}

impl Publish {
    /// What was published before, where that can be read back.
    ///
    /// # Errors
    /// [`PublishError`], also when a file of something else is there.
    pub fn known(&self) -> Result<Published, PublishError> {
        let Self::File(path) = self else { return Ok(Published::none()) };
        match fs::read_to_string(path) {
            Ok(text) => Published::parse(&text).map_err(|what| PublishError::Form { path: path.clone(), what }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Published::none()),
            Err(source) => Err(PublishError::File { path: path.clone(), source }),
        }
    }

    /// Publishes heads, the last of each journal and of each audit log.
    ///
    /// # Errors
    /// [`PublishError`]; nothing, or some of them, went out.
    pub async fn put(&self, heads: Vec<HeadForm>, audit: Vec<AuditHeadForm>) -> Result<(), PublishError> {
        match self {
            Self::File(path) => {
                let mut all = self.known()?;
                heads.into_iter().for_each(|head| all.put(head));
                audit.into_iter().for_each(|head| all.put_audit(head));
                let text = serde_json::to_vec_pretty(&all).map_err(io::Error::from);
                let written = text.and_then(|text| replace(path, &text));
                written.map_err(|source| PublishError::File { path: path.clone(), source })
            }
            Self::Address(url) => {
                for head in &heads {
                    tell(url, head).await?;
                }
                for head in &audit {
                    tell(url, head).await?;
                }
                Ok(())
            }
        }
    }
}

async fn tell(url: &Url, head: &impl Serialize) -> Result<(), PublishError> {
    let sent = tokio::time::timeout(PATIENCE, post(url, head)).await;
    let sent = sent.unwrap_or_else(|_elapsed| Err("it took too long".into()));
    sent.map_err(|what| PublishError::Address { url: url.clone(), what })
}

/// Replaces a file by a whole one that is on disk.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    // Published: whoever keeps a copy of it reads it from here.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

async fn post(url: &Url, head: &impl Serialize) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let stream = TcpStream::connect((host, port)).await.map_err(|error| words(&error))?;
    let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(|error| words(&error))?;
    let driver = tokio::spawn(connection);
    let body = serde_json::to_vec(head).map_err(|error| words(&error))?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let request = Request::post(path).header(HOST, format!("{host}:{port}")).header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| words(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| words(&error));
    driver.abort();
    let status = answer?.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_and_everything_else_a_file() {
        assert_eq!("/srv/heads.json".parse(), Ok(Publish::File("/srv/heads.json".into())));
        assert!(matches!("http://log.example:8080/heads".parse(), Ok(Publish::Address(_))));
        for wrong in ["https://log.example/", "http://"] {
            assert!(wrong.parse::<Publish>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_posted_each_head_and_its_refusal_is_told() {
        use std::io::{Read as _, Write as _};
        let head: HeadForm = serde_json::from_value(serde_json::json!({
            "journal": 1, "fork": "00000000-0000-8000-8000-000000000001", "size": 3, "root": "00", "salt_version": 1, "key": "00",
            "recorded_at": "2026-01-01T00:00:00Z", "signed_at": "2026-01-01T00:00:01Z", "signature": "",
        }))
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let publish: Publish = format!("http://{}/heads?from=here", listener.local_addr().unwrap()).parse().unwrap();
        let receiver = std::thread::spawn(move || {
            ["204 No Content", "503 Service Unavailable"].map(|status| {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut request, mut piece) = (String::new(), [0; 4_096]);
                while !request.ends_with('}') {
                    let read = stream.read(&mut piece).unwrap();
                    request.push_str(std::str::from_utf8(&piece[..read]).unwrap());
                }
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
                request
            })
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(publish.put(vec![head.clone()], Vec::new())).unwrap();
        let refused = runtime.block_on(publish.put(vec![head.clone()], Vec::new())).unwrap_err().to_string();
        assert!(refused.contains("503"), "{refused}");
        let [request, _] = receiver.join().unwrap();
        assert!(request.starts_with("POST /heads?from=here HTTP/1.1"), "{request}");
        let body = request.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(serde_json::from_str::<HeadForm>(body).unwrap(), head);
    }

    #[test]
    fn a_file_of_something_else_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "dear diary").unwrap();
        let publish = Publish::File(path.clone());
        assert!(publish.known().unwrap_err().to_string().contains("notes.txt"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(publish.put(Vec::new(), Vec::new())).is_err());
        assert_eq!(fs::read_to_string(path).unwrap(), "dear diary");
    }
}
