//! `tessera hooks`: receives hooks on this machine and says whether they can be trusted; has a node send a test, or tell
//! an endpoint again.
//!
//! What listens does what any receiver of Standard Webhooks should: it takes the body as it came, checks the signature
//! and its age over exactly these bytes, reads them only then, and remembers the ids for twice the tolerance so that a
//! repeat has no second effect. It answers what it is told to, so that failures can be tried too.
//! Not here: TLS, which a tunnel or a proxy in front of it has.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::client::Client;
use crate::engagement::hooks::sign::{self, Secret, VerifyError};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// The standard's tolerance between signature and arrival.
const TOLERANCE_S: u64 = 300;
/// Longest body taken, in bytes: more than any of ours.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// How often an order to tell again is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// What to do with hooks.
#[derive(Debug, clap::Subcommand)]
pub enum HooksCommand {
    /// Receive hooks, check their signatures and print them, until Ctrl-C.
    Listen {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:9100")]
        listen: SocketAddr,
        /// The endpoint's secret, `whsec_…`; more than once while one is rotated. Without it nothing is checked.
        #[arg(long, env = "TESSERA_HOOK_SECRET", hide_env_values = true, value_delimiter = ',')]
        secret: Vec<String>,
        /// The status to answer with to a hook that can be trusted.
        #[arg(long, default_value_t = 204, value_parser = clap::value_parser!(u16).range(200..=599))]
        status: u16,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
    /// Have an endpoint sent a test event.
    Trigger {
        #[command(flatten)]
        node: NodeArgs,
        /// Which endpoint.
        endpoint: Uuid,
    },
    /// Have an endpoint told again: one event, or all that pass the filter.
    Replay {
        #[command(flatten)]
        node: NodeArgs,
        /// Which endpoint.
        endpoint: Uuid,
        #[command(flatten)]
        filter: FilterArgs,
        /// Wait until all of it was made due.
        #[arg(long)]
        wait: bool,
    },
}

/// Which node, and as whom.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The node.
    #[arg(long, env = "TESSERA_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key with the scopes hooks:write and hooks:read.
    #[arg(long, env = "TESSERA_KEY", hide_env_values = true)]
    key: String,
}

/// What to tell again; what is left out is not asked for.
#[derive(Debug, clap::Args)]
pub struct FilterArgs {
    /// Just this event, by its sequence.
    #[arg(long, conflicts_with_all = ["from", "until", "from_time", "until_time", "types", "statuses", "ids"])]
    sequence: Option<String>,
    /// The first event, by its sequence.
    #[arg(long, conflicts_with = "from_time")]
    from: Option<String>,
    /// The last event, by its sequence.
    #[arg(long, conflicts_with = "until_time")]
    until: Option<String>,
    /// Events written down at this time or later, as in 2026-01-31T08:00:00Z.
    #[arg(long)]
    from_time: Option<DateTime<Utc>>,
    /// Events written down before this time.
    #[arg(long)]
    until_time: Option<DateTime<Utc>>,
    /// Only this type; may be repeated.
    #[arg(long = "type")]
    types: Vec<String>,
    /// Only deliveries that are pending, delivered, failed or gone; may be repeated.
    #[arg(long = "status")]
    statuses: Vec<String>,
    /// Only this event id or webhook-id; may be repeated.
    #[arg(long = "id")]
    ids: Vec<String>,
}

/// `tessera hooks …`
///
/// # Errors
/// What the node refuses, or why nothing can be received.
pub async fn hooks(what: HooksCommand) -> anyhow::Result<()> {
    match what {
        HooksCommand::Listen { listen, secret, status, json } => {
            let secrets = secret.iter().map(|text| Secret::parse(text)).collect::<Result<Vec<_>, _>>()?;
            let (lines, printed) = mpsc::unbounded_channel();
            let status = StatusCode::from_u16(status)?;
            run(listen, Listener { secrets, status, json, lines, seen: Mutex::default() }, printed).await
        }
        HooksCommand::Trigger { node, endpoint } => {
            let client = Client::new(&node.url, &node.key)?;
            let said = post(&client, &format!("/v1/hook-endpoints/{endpoint}/test"), &json!({})).await?;
            print(&said)
        }
        HooksCommand::Replay { node, endpoint, filter, wait } => {
            let client = Client::new(&node.url, &node.key)?;
            replay(&client, endpoint, &filter, wait).await
        }
    }
}

async fn post(client: &Client, path: &str, body: &Value) -> anyhow::Result<Value> {
    client.post(path, Ids::system().uuid_v7(Clock::System.now()), body).await?.done()
}

fn print(value: &Value) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{value}")?)
}

async fn replay(client: &Client, endpoint: Uuid, filter: &FilterArgs, wait: bool) -> anyhow::Result<()> {
    let base = format!("/v1/hook-endpoints/{endpoint}");
    if let Some(sequence) = &filter.sequence {
        post(client, &format!("{base}/deliveries/{sequence}/replay"), &json!({})).await?;
        return print(&json!({"sequence": sequence}));
    }
    let mut order = post(client, &format!("{base}/replays"), &filter.body()).await?;
    let id: Uuid = order.get("id").and_then(Value::as_str).context("no id in the answer")?.parse()?;
    while wait && order.get("state").and_then(Value::as_str) == Some("running") {
        tokio::time::sleep(ASK_EVERY).await;
        order = client.get(&format!("/v1/hook-replays/{id}")).await?.done()?;
    }
    print(&order)
}

impl FilterArgs {
    fn body(&self) -> Value {
        let list = |all: &Vec<String>| if all.is_empty() { Value::Null } else { json!(all) };
        json!({
            "from": self.from, "until": self.until, "from_time": self.from_time, "until_time": self.until_time,
            "event_types": list(&self.types), "statuses": list(&self.statuses), "ids": list(&self.ids),
        })
    }
}

/// What receives.
struct Listener {
    secrets: Vec<Secret>,
    status: StatusCode,
    json: bool,
    /// To whoever prints: the command line holds standard output on its own thread.
    lines: mpsc::UnboundedSender<String>,
    /// Ids, and when they came, in Unix seconds.
    seen: Mutex<HashMap<String, i64>>,
}

/// What a hook is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// Its signature fits.
    Good,
    /// It does, and it was here before: nothing is to be done.
    Repeat,
    /// There is no secret to check it with.
    Unchecked,
    /// It is not ours, or was touched.
    Forged(VerifyError),
}

/// A hook's headers.
struct Marks<'a> {
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
}

impl Listener {
    fn weigh(&self, marks: &Marks<'_>, body: &[u8], now_s: i64) -> Worth {
        let verify =
            |secret| sign::verify(secret, marks.id, marks.timestamp, marks.signature, body, now_s, TOLERANCE_S);
        let mut worth = Worth::Unchecked;
        for secret in &self.secrets {
            match verify(secret) {
                Ok(()) => return self.note(marks.id, now_s),
                Err(error) => worth = Worth::Forged(error),
            }
        }
        worth
    }

    fn note(&self, id: &str, now_s: i64) -> Worth {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at_s| now_s.abs_diff(*at_s) <= TOLERANCE_S.saturating_mul(2));
        if seen.insert(id.to_owned(), now_s).is_some() { Worth::Repeat } else { Worth::Good }
    }

    /// The hook on one line. What cannot be trusted is not read, and nothing of it reaches the terminal as it is.
    fn line(&self, marks: &Marks<'_>, body: &[u8], worth: Worth) -> String {
        let trusted = matches!(worth, Worth::Good | Worth::Repeat | Worth::Unchecked);
        let event: Value = if trusted { serde_json::from_slice(body).unwrap_or_default() } else { Value::Null };
        let (word, why) = match worth {
            Worth::Good => ("good", None),
            Worth::Repeat => ("repeat", None),
            Worth::Unchecked => ("unchecked", None),
            Worth::Forged(error) => ("refused", Some(error.to_string())),
        };
        if self.json {
            return json!({"webhook_id": marks.id, "signature": word, "reason": why, "event": event}).to_string();
        }
        let field = |name| event.get(name).and_then(Value::as_str).unwrap_or("-");
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let line = format!("{word:9} {} {} {}{why}", field("type"), field("sequence"), marks.id);
        line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }
}

async fn run(listen: SocketAddr, listener: Listener, mut lines: mpsc::UnboundedReceiver<String>) -> anyhow::Result<()> {
    let listener = Arc::new(listener);
    let app = move || {
        App::new()
            .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
            .app_data(web::Data::from(Arc::clone(&listener)))
            .default_service(web::to(take))
    };
    let server = HttpServer::new(app).workers(1).bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let addresses = server.addrs();
    for address in addresses {
        tracing::info!(url = %format!("http://{address}/"), "listening for hooks");
    }
    let mut server = std::pin::pin!(server.run());
    loop {
        tokio::select! {
            end = &mut server => return Ok(end?),
            Some(line) = lines.recv() => writeln!(std::io::stdout(), "{line}")?,
        }
    }
}

async fn take(request: HttpRequest, body: web::Bytes, listener: web::Data<Listener>) -> HttpResponse {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if request.method() == Method::OPTIONS {
        let origin = header("webhook-request-origin").to_owned();
        return HttpResponse::NoContent().insert_header(("webhook-allowed-origin", origin)).finish();
    }
    if request.method() != Method::POST {
        return HttpResponse::MethodNotAllowed().finish();
    }
    let marks = Marks {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let worth = listener.weigh(&marks, &body, Clock::System.now().timestamp());
    // Nobody prints any more when the command ends: the hook was received all the same.
    _ = listener.lines.send(listener.line(&marks, &body, worth));
    match worth {
        Worth::Forged(_) => HttpResponse::Unauthorized().finish(),
        Worth::Good | Worth::Repeat | Worth::Unchecked => HttpResponse::build(listener.status).finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_S: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"type":"payment.cleared.v1","sequence":"0000000000000000007.0000"}"#;

    fn secret(fill: u8) -> Secret {
        Secret::generate(&|bytes| bytes.fill(fill))
    }

    fn listener(secrets: Vec<Secret>) -> Listener {
        let lines = mpsc::unbounded_channel().0;
        Listener { secrets, status: StatusCode::NO_CONTENT, json: false, lines, seen: Mutex::default() }
    }

    fn weigh(listener: &Listener, signed: &Secret, body: &[u8], now_s: i64) -> Worth {
        let signature = sign::sign(std::slice::from_ref(signed), "msg_1", AT_S, BODY);
        let timestamp = AT_S.to_string();
        listener.weigh(&Marks { id: "msg_1", timestamp: &timestamp, signature: &signature }, body, now_s)
    }

    /// T52: forged, too old, repeated or written anew: refused, or without a second effect.
    #[test]
    fn t52_what_is_forged_old_or_repeated_has_no_effect() {
        let listening = listener(vec![secret(1)]);
        assert_eq!(weigh(&listening, &secret(2), BODY, AT_S), Worth::Forged(VerifyError::Signature));
        assert_eq!(weigh(&listening, &secret(1), BODY, AT_S + 301), Worth::Forged(VerifyError::TooOld));
        let written_anew = serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(BODY).unwrap()).unwrap();
        assert_eq!(weigh(&listening, &secret(1), &written_anew, AT_S), Worth::Forged(VerifyError::Signature));
        assert_eq!(weigh(&listening, &secret(1), BODY, AT_S), Worth::Good);
        assert_eq!(weigh(&listening, &secret(1), BODY, AT_S + 299), Worth::Repeat);
    }

    #[test]
    fn either_secret_is_good_while_one_is_rotated() {
        for signed in [1, 2] {
            assert_eq!(weigh(&listener(vec![secret(1), secret(2)]), &secret(signed), BODY, AT_S), Worth::Good);
        }
        assert_eq!(weigh(&listener(Vec::new()), &secret(1), BODY, AT_S), Worth::Unchecked);
    }

    /// T55: nothing that came in over the wire moves a terminal.
    #[test]
    fn t55_a_line_has_no_control_characters_and_nothing_of_a_forged_body() {
        let marks = Marks { id: "msg_\u{1b}[31m\r\nx", timestamp: "1", signature: "v1,x" };
        let line = listener(Vec::new()).line(&marks, BODY, Worth::Unchecked);
        assert!(!line.chars().any(char::is_control) && line.contains("payment.cleared.v1"), "{line:?}");
        let line = listener(Vec::new()).line(&marks, BODY, Worth::Forged(VerifyError::Signature));
        assert!(!line.contains("payment.cleared"), "{line:?}");
    }
}
