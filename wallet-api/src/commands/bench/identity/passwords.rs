//! Passwords that are tried while payments go on: two hundred at once, each second.
//!
//! Each comes from an address and for an account of its own, so that what limits by those does not spare the node the work. Nobody
//! has such a password: a try costs what a right one does.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::super::wire;

/// Tries at once.
const AT_ONCE: u32 = 200;
const EVERY: Duration = Duration::from_secs(1);

/// What became of the tries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    /// Looked at, and refused.
    pub looked_at: u64,
    /// Told to come back.
    pub told_to_wait: u64,
}

/// Tries passwords at a tenant's door for some time.
///
/// # Errors
/// When a try is answered otherwise than it should be, or not at all.
pub async fn bursts(address: SocketAddr, slug: &str, time: Duration) -> anyhow::Result<Tried> {
    let (mut tried, mut number) = (Tried::default(), 0_u32);
    let end = tokio::time::Instant::now() + time;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while tokio::time::Instant::now() < end {
        ticks.tick().await;
        let last = number.saturating_add(AT_ONCE);
        for status in join_all((number..last).map(|number| attempt(address, slug, number))).await {
            match status? {
                403 => tried.looked_at = tried.looked_at.saturating_add(1),
                503 => tried.told_to_wait = tried.told_to_wait.saturating_add(1),
                other => anyhow::bail!("a password was answered {other}"),
            }
        }
        number = last;
    }
    Ok(tried)
}

async fn attempt(address: SocketAddr, slug: &str, number: u32) -> anyhow::Result<u16> {
    let [_, high, middle, low] = number.to_be_bytes();
    let body =
        json!({"tenant": slug, "email": format!("a{number}@example.org"), "password": "nobody has this password"});
    let headers = [
        ("content-type", format_args!("application/json")),
        ("connection", format_args!("close")),
        ("x-forwarded-for", format_args!("10.{high}.{middle}.{low}")),
    ];
    let mut request = Vec::new();
    wire::write_post(
        &mut request,
        format_args!("/v1/operator-password-sign-ins"),
        &headers,
        body.to_string().as_bytes(),
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    // `HTTP/1.1 403 …`
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).context("a password was not answered")
}
