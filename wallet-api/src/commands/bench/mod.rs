//! Bench: how fast the house is, as ratios against PostgreSQL's own benchmark on the same machine in the same minutes.
//!
//! Absolute figures say more about the machine than about the code, so every figure stands beside its reference
//! ([`pgbench`]). Load comes over HTTP from a generator ([`load`]) that shares the cores with what it measures and is
//! therefore lean; hooks arrive at a [`receiver`] as lean. Quantiles come from a [`histogram`] of fixed size.
//! Not here: another machine's load, TLS, anything but loopback.

pub mod cluster;
mod cpu;
pub mod echo;
pub mod histogram;
pub mod hooks;
pub mod http;
pub mod identity;
pub mod load;
pub mod open_files;
pub mod payments;
pub mod pgbench;
pub mod posting;
pub mod proof;
pub mod receiver;
mod reference;
pub mod rss;
mod server;
mod takeover;
pub mod wire;

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Payments over HTTP, with and without hooks.
    Payments {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Seconds of the open loop.
        #[arg(long, default_value_t = 30)]
        open_seconds: u32,
    },
    /// Two nodes on the same cores: forwarding and take-over.
    Cluster {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Transactions over HTTP, one a request and a hundred, against a server that only echoes.
    Http {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender, of which there are three rounds; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// The server that only echoes.
    #[command(hide = true)]
    Echo {
        /// Where it listens.
        #[arg(long)]
        listen: std::net::SocketAddr,
    },
    /// Hooks to many endpoints, all of them living and then with dead ones among them.
    Hooks {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each run.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        /// Hooks a second of the open loops, to all endpoints together.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        /// Endpoints; of every twenty one is dead in the last run.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(20..=100))]
        endpoints: u32,
    },
    /// Approvals with their payments, letting people in, ending sessions.
    Identity {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// The journal without HTTP: rates, answer times, sizes, reads, verification.
    Posting {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Leave out the book of ten million transfers.
        #[arg(long)]
        quick: bool,
    },
    /// Sealing, proving, checking and verifying what was posted.
    Proof {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of posting before.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
}

/// `tessera bench …`
///
/// # Errors
/// When the figures would be void.
pub async fn bench(what: BenchCommand) -> anyhow::Result<()> {
    match what {
        BenchCommand::Payments { json, seconds, open_seconds } => {
            show(json, &payments::payments(seconds, open_seconds).await?)
        }
        BenchCommand::Cluster { json, seconds } => show(json, &cluster::cluster(seconds).await?),
        BenchCommand::Http { json, seconds } => show(json, &http::http(seconds).await?),
        BenchCommand::Echo { listen } => echo::echo(listen).await,
        BenchCommand::Hooks { json, seconds, rate, endpoints } => {
            show(json, &hooks::hooks(seconds, rate, endpoints).await?)
        }
        BenchCommand::Identity { json, seconds } => show(json, &identity::identity(seconds).await?),
        BenchCommand::Posting { json, seconds, quick } => show(json, &posting::posting(seconds, quick).await?),
        BenchCommand::Proof { json, seconds } => show(json, &proof::proof(seconds).await?),
    }
}

/// Prints all figures as one JSON object, or those that matter most in words.
fn show(json: bool, figures: &(impl Serialize + Display)) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string(figures)?)?;
    } else {
        writeln!(out, "{figures}")?;
    }
    Ok(())
}
