//! Bench: how fast the house is, as ratios against PostgreSQL's own benchmark on the same machine in the same minutes.
//!
//! Absolute figures say more about the machine than about the code, so every figure stands beside its reference
//! ([`pgbench`]). Load comes over HTTP from a generator ([`load`]) that shares the cores with what it measures and is
//! therefore lean; hooks arrive at a [`receiver`] as lean. Quantiles come from a [`histogram`] of fixed size.
//! Not here: another machine's load, TLS, anything but loopback.

pub mod cluster;
pub mod histogram;
pub mod hooks;
pub mod load;
pub mod open_files;
pub mod payments;
pub mod pgbench;
pub mod posting;
pub mod receiver;
mod reference;
pub mod rss;
pub mod wire;

use std::io::Write as _;

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
    /// One-transfer transactions through the journal.
    Posting {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Seconds of each contender; figures count from ten on.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
}

/// `tessera bench …`
///
/// # Errors
/// When the figures would be void.
pub async fn bench(what: BenchCommand) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    match what {
        BenchCommand::Payments { json, seconds, open_seconds } => {
            let payments = payments::payments(seconds, open_seconds).await?;
            if json {
                writeln!(out, "{}", serde_json::to_string(&payments)?)?;
            } else {
                let payments::Payments { payments_per_s, ratio, ratio_no_hooks, p99_ms, hook_p99_ms, rss_mb, .. } =
                    payments;
                writeln!(
                    out,
                    "{payments_per_s} payments/s with hooks ({ratio} x pgbench, {ratio_no_hooks} x without)"
                )?;
                writeln!(out, "at half of that: p99 {p99_ms} ms, hook p99 {hook_p99_ms} ms; server {rss_mb} MB")?;
            }
        }
        BenchCommand::Cluster { json, seconds } => {
            let cluster = cluster::cluster(seconds).await?;
            if json {
                writeln!(out, "{}", serde_json::to_string(&cluster)?)?;
            } else {
                let cluster::Cluster { one_node_per_s, two_nodes_per_s, forwarded_p99_ms, takeover_worst_s, .. } =
                    cluster;
                writeln!(out, "one node {one_node_per_s} payments/s, two {two_nodes_per_s}/s")?;
                writeln!(out, "forwarded p99 {forwarded_p99_ms} ms; worst take-over {takeover_worst_s} s")?;
            }
        }
        BenchCommand::Hooks { json, seconds, rate, endpoints } => {
            let hooks = hooks::hooks(seconds, rate, endpoints).await?;
            if json {
                writeln!(out, "{}", serde_json::to_string(&hooks)?)?;
            } else {
                let hooks::Hooks { events_per_s, p50_ms, p99_ms, p99_with_dead_ms, .. } = hooks;
                writeln!(out, "{events_per_s} hooks/s; at {rate}/s: p50 {p50_ms} ms, p99 {p99_ms} ms")?;
                writeln!(out, "p99 of the living with 5 % dead endpoints {p99_with_dead_ms} ms")?;
            }
        }
        BenchCommand::Posting { json, seconds } => {
            let posting = posting::posting(seconds).await?;
            if json {
                writeln!(out, "{}", serde_json::to_string(&posting)?)?;
            } else {
                let posting::Posting { spread_per_s, hot_per_s, spread_ratio, hot_ratio, reference, .. } = posting;
                writeln!(out, "pgbench {} tps", reference.pgbench_tps)?;
                writeln!(out, "spread {spread_per_s}/s ({spread_ratio} x), hot {hot_per_s}/s ({hot_ratio} x)")?;
            }
        }
    }
    Ok(())
}
