//! `tessera ranges`: tells how many records the ranges of transfers have that are made from now on, and sets it.
//!
//! A range is a table for each journal that has come so far. Larger ones are fewer tables; a node keeps 16 bytes in memory
//! for each transfer of the ranges that are not closed. Ranges that are there stay as they are.

use std::io::Write;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use serde_json::json;

use super::node::DatabaseArgs;

/// The smallest and the largest range.
const RECORDS: std::ops::RangeInclusive<i64> = 100..=100_000_000;

/// How large, if that is to be changed.
#[derive(Debug, clap::Args)]
pub struct RangesArgs {
    /// Make ranges of so many records from now on, 100 to 100000000; without it the size is only told.
    #[arg(value_name = "RECORDS")]
    records: Option<i64>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `tessera ranges [RECORDS]`
pub fn ranges(args: &RangesArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    if let Some(records) = args.records {
        anyhow::ensure!(RECORDS.contains(&records), "a range has {} to {} records", RECORDS.start(), RECORDS.end());
        let owner_url =
            database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner lays out ranges")?;
        ledger::set_range_size(&mut PgConnection::establish(owner_url)?, records)?;
    }
    let records = ledger::range_size(&mut PgConnection::establish(&database.url)?)?;
    if args.json {
        return Ok(writeln!(out, "{}", json!({ "records": records }))?);
    }
    Ok(writeln!(out, "ranges that are made from now on have {records} records")?)
}
