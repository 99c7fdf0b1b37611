//! The stage of a bench: a cluster of its own with everything durable, our database and the reference's side by side.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;

use super::pgbench::{self, Durability, InsertRun, Pgbench, PgbenchRun};
use super::rss;
use crate::commands::keys::create_tenant;
use crate::identity::NewTenant;
use crate::platform::cluster::{Cluster, Endpoint, Role};
use crate::platform::db;
use crate::platform::ids::Ids;
use crate::platform::keyring::Tenant;
use crate::platform::text::Lang;

const OURS: &str = "bench";
const REFERENCE: &str = "reference";
/// Files of the database's log that are there before the first contender, 16 MB each, and kept.
const LOG_FILES: u32 = 256;
const LOG_KEPT: (&str, &str) = ("min_wal_size", "4GB");
/// What a server of its own is given of the machine's memory: a fourth, as PostgreSQL's manual advises ("Resource
/// Consumption"). A book that is larger than the server's memory is read from the disk, and then the disk is measured.
const SHARE_OF_MEMORY: u64 = 4;
/// The least, megabytes: what a private server has anyway.
const LEAST_MEMORY: u64 = 256;

/// How often it is looked whether a table is vacuumed, how often none may be before that counts, and for how long at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const QUIET_LOOKS: u8 = 3;
const REST_AT_MOST: Duration = Duration::from_secs(300);

/// A cluster for one bench, gone with it.
pub struct Stage {
    cluster: Cluster,
    pgbench: Pgbench,
    runs: Vec<PgbenchRun>,
    seconds: u32,
    folder: tempfile::TempDir,
}

fn server_memory_mb() -> u64 {
    let share = rss::machine_mb().and_then(|mb| mb.checked_div(SHARE_OF_MEMORY));
    share.map_or(LEAST_MEMORY, |mb| mb.max(LEAST_MEMORY))
}

/// The reference beside our figures: settings of both sides, and every run.
#[derive(Debug, Serialize)]
pub struct Reference {
    /// The best of the runs.
    pub pgbench_tps: Decimal,
    /// Every run, with its command line.
    pub pgbench: Vec<PgbenchRun>,
    /// Of our database.
    pub durability: Durability,
    /// Of the reference's.
    pub pgbench_durability: Durability,
}

impl Stage {
    /// Starts the cluster, migrates our database, fills the reference's. Each run of the reference takes `seconds`.
    ///
    /// # Errors
    /// When PostgreSQL is missing, or refuses.
    pub fn set(seconds: u32) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tessera-bench-").tempdir_in(std::env::temp_dir())?;
        let memory = format!("{}MB", server_memory_mb());
        let cluster = Cluster::start_with(folder.path(), &[LOG_KEPT, ("shared_buffers", &memory)])?;
        cluster.create_database(OURS)?;
        cluster.create_database(REFERENCE)?;
        db::migrate(&cluster.url(Role::Owner, OURS))?;
        let pgbench = Pgbench {
            program: cluster.tools().program("pgbench")?,
            socket_dir: cluster.socket_dir().to_owned(),
            user: Role::Owner.name().to_owned(),
            database: REFERENCE.to_owned(),
        };
        pgbench.init()?;
        Ok(Self { cluster, pgbench, runs: Vec::new(), seconds, folder })
    }

    /// Makes another database of ours, migrated.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn make(&self, database: &str) -> anyhow::Result<()> {
        self.cluster.create_database(database)?;
        db::migrate(&self.url_as(Role::Owner, database))?;
        Ok(())
    }

    /// A database of ours, as the app role.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        self.url_as(Role::App, database)
    }

    /// The same as somebody who may look at everything.
    #[must_use]
    pub fn super_url_of(&self, database: &str) -> String {
        self.url_as(Role::Super, database)
    }

    fn url_as(&self, role: Role, database: &str) -> String {
        self.cluster.url(role, database)
    }

    /// Our database, as the app role.
    #[must_use]
    pub fn url(&self) -> String {
        self.cluster.url(Role::App, OURS)
    }

    /// The same database through a relay that listens in this folder.
    #[must_use]
    pub fn url_through(&self, socket_dir: &Path) -> String {
        Endpoint::at(socket_dir).url(Role::App, OURS)
    }

    /// The folder of the database's socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.cluster.socket_dir()
    }

    /// A tenant to run against.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn tenant(&self) -> anyhow::Result<Tenant> {
        self.tenant_of(OURS)
    }

    /// A tenant in another database of ours.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn tenant_of(&self, database: &str) -> anyhow::Result<Tenant> {
        let conn = &mut PgConnection::establish(&self.url_of(database))?;
        let (slug, zone) = ("bench".to_owned(), chrono_tz::Tz::Europe__Rome);
        create_tenant(
            conn,
            &Ids::system(),
            &NewTenant { name: slug.clone(), slug, sandbox: true, zone, locale: Lang::En },
        )
    }

    /// Once, before all contenders, who then find a server as it is after an hour's work: a checkpoint lies behind it, and
    /// its log has files to go on in. A fresh one makes a file a second, filled with zeros while every commit waits.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn settle(&self) -> anyhow::Result<()> {
        let conn = &mut PgConnection::establish(&self.cluster.url(Role::Super, OURS))?;
        for _ in 0..LOG_FILES {
            conn.batch_execute("SELECT pg_logical_emit_message(false, 'bench', 'next file'); SELECT pg_switch_wal()")?;
        }
        self.checkpoint()
    }

    /// Writes everything out, so that nobody after it pays for what was written before.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn checkpoint(&self) -> anyhow::Result<()> {
        Ok(pgbench::checkpoint(&mut PgConnection::establish(&self.cluster.url(Role::Super, OURS))?)?)
    }

    /// Vacuums and analyses every table, as the database would by itself within a minute, and rests: for a load that is prepared by
    /// another one, many times its size.
    ///
    /// # Errors
    /// What the database refuses, and a vacuum that does not come to its end.
    pub async fn tidy(&self) -> anyhow::Result<()> {
        PgConnection::establish(&self.cluster.url(Role::Super, OURS))?.batch_execute("VACUUM (ANALYZE)")?;
        self.rest().await
    }

    /// The same, and waits until no table is vacuumed any more, so that what is timed next is timed by itself.
    ///
    /// # Errors
    /// What the database refuses, and a vacuum that does not come to its end.
    pub async fn rest(&self) -> anyhow::Result<()> {
        self.checkpoint()?;
        let conn = &mut PgConnection::establish(&self.cluster.url(Role::Super, OURS))?;
        let (mut quiet, until) = (0_u8, Instant::now().checked_add(REST_AT_MOST).context("no deadline")?);
        while quiet < QUIET_LOOKS {
            anyhow::ensure!(Instant::now() < until, "tables are vacuumed without end: the figures are void");
            tokio::time::sleep(LOOK_EVERY).await;
            quiet = if pgbench::vacuums(conn)? == 0 { quiet.saturating_add(1) } else { 0 };
        }
        Ok(())
    }

    /// Runs the reference's single-row insert with so many clients.
    ///
    /// # Errors
    /// When `pgbench` fails.
    pub fn run_insert(&self, clients: u32) -> anyhow::Result<InsertRun> {
        Ok(self.pgbench.insert(clients, self.seconds, self.folder.path())?)
    }

    /// Runs the reference with so many clients; interleave these with our own runs.
    ///
    /// # Errors
    /// When `pgbench` fails.
    pub fn run_reference(&mut self, clients: u32) -> anyhow::Result<()> {
        self.runs.push(self.pgbench.run(clients, self.seconds)?);
        Ok(())
    }

    /// Closes the stage with the reference's figures.
    ///
    /// # Errors
    /// When a side was not durable, or no run of the reference counts.
    pub fn close(self) -> anyhow::Result<Reference> {
        let read = |database| -> anyhow::Result<Durability> {
            let conn = &mut PgConnection::establish(&self.cluster.url(Role::Owner, database))?;
            let found = pgbench::durability(conn)?;
            anyhow::ensure!(found.is_full(), "durability is not fully on: the figures are void");
            Ok(found)
        };
        let (durability, pgbench_durability) = (read(OURS)?, read(REFERENCE)?);
        let best = pgbench::best(&self.runs).context("the reference was not run")?;
        let reference = Reference { pgbench_tps: best.tps, durability, pgbench_durability, pgbench: self.runs.clone() };
        self.cluster.stop()?;
        Ok(reference)
    }
}
