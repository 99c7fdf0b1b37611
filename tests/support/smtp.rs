//! A private mail server: Debian's aiosmtpd, which speaks real SMTP, with what it does wrong chosen by the recipient.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::eventually_async;
use crate::scratch_dir;

/// The server's program.
const SCRIPT: &str = include_str!("smtp.py");
/// How long a mail may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// How it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// In plain text.
    Plain,
    /// In plain text until STARTTLS, which it insists on.
    StartTls,
    /// TLS from the first byte.
    Smtps,
}

/// A mail server of one's own; ended with the value, and with this process.
pub struct MailServer {
    child: Child,
    _alive: ChildStdin,
    /// Where it listens, on this machine.
    pub port: u16,
    /// A file with the authority of its certificate.
    pub authority: PathBuf,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts one. None, and a line that says so, where the package `python3-aiosmtpd` is not installed.
    pub fn start(speech: Speech) -> Option<Self> {
        let Some(python) = python() else {
            eprintln!("skipped: there is no python3 with aiosmtpd (Debian: apt-get install python3-aiosmtpd)");
            return None;
        };
        let folder = scratch_dir();
        let [authority, key] = [folder.join("cert.pem"), folder.join("key.pem")];
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&authority, pem("CERTIFICATE", made.cert.der())).unwrap();
        fs::write(&key, pem("PRIVATE KEY", made.signing_key.serialized_der())).unwrap();
        let kind = match speech {
            Speech::Plain => "plain",
            Speech::StartTls => "starttls",
            Speech::Smtps => "smtps",
        };
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT, kind]).arg(&authority).arg(&key);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let alive = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().expect("the server says its port").unwrap()).unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).unwrap();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
            }
        });
        let port = first["port"].as_u64().unwrap().try_into().unwrap();
        Some(Self { child, _alive: alive, port, authority, mails })
    }

    /// What it has taken.
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first mail for somebody, once it is there.
    pub async fn mail_for(&self, recipient: &str) -> Value {
        let find = || self.mails().into_iter().find(|mail| mail["to"][0] == recipient);
        eventually_async("the mail arrives", ARRIVAL, async || find()).await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()));
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

/// A Python that has the package: its own, where another one stands before it on the path.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import aiosmtpd"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has)
}
