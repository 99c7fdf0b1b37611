//! `tessera slots`: tells which node leads which slot of journals, and sets how many there are.
//!
//! One slot is usual: its leader writes all journals. Several let the journals of many tenants be written side by side,
//! and nodes share them evenly. Not here: moving a single journal; which slot it is in follows from its number.

use std::io::Write;
use std::thread::available_parallelism;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use ledger::health::{self, Lease};
use serde_json::json;

use super::node::DatabaseArgs;

/// Slots for each core: a slot is a thread and three database connections, and when other nodes are gone one leads all.
const FOR_EACH_CORE: usize = 2;

/// How many, if they are to be changed.
#[derive(Debug, clap::Args)]
pub struct SlotsArgs {
    /// Make so many; without it they are only told. At most two for each core of a node.
    #[arg(value_name = "N")]
    count: Option<i32>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `tessera slots [N]`
pub fn slots(args: &SlotsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    if let Some(count) = args.count {
        let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let most = i32::try_from(cores.saturating_mul(FOR_EACH_CORE)).unwrap_or(i32::MAX);
        anyhow::ensure!(
            (1..=most).contains(&count),
            "there can be 1 to {most} slots on machines like this one, with {cores} core(s): more would share its cores \
             without writing faster"
        );
        let owner_url = database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner makes slots")?;
        ledger::set_slots(&mut PgConnection::establish(owner_url)?, count)?;
    }
    let leases = health::leases(&mut PgConnection::establish(&database.url)?, i64::MAX)?;
    if args.json {
        let slots: Vec<_> = leases.iter().map(|lease| json!({"slot": lease.slot, "leader": leader(lease)})).collect();
        return Ok(writeln!(out, "{}", json!({ "slots": slots }))?);
    }
    for lease in &leases {
        let leader = leader(lease).unwrap_or("nobody leads it now; a node that runs takes it within seconds");
        writeln!(out, "slot {}: {leader}", lease.slot)?;
    }
    Ok(())
}

fn leader(lease: &Lease) -> Option<&str> {
    (lease.left_ms > 0).then_some(lease.address.as_str())
}
