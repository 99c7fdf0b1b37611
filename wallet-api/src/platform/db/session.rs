//! What each session of the pool promises the server, and each connection the network.

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{CustomizeConnection, Error};

/// What each session of the pool promises the server: shorter than [`DEADLINE`](super::DEADLINE) where it may be. No plan is
/// compiled: that takes a second of CPU, more than anything here, and a way that is priced out counts as that dear.
const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '5s'; SET application_name = 'tessera'; SET timezone = 'UTC'; \
    SET plan_cache_mode = force_custom_plan; SET jit = off";

/// Added to network addresses: a server that vanished is noticed in seconds, not in the kernel's minutes.
const TCP: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

/// For whom the sessions of a pool work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// For the tenant that each transaction names, and for nobody before it does.
    Tenants,
    /// For all tenants.
    House,
}

#[derive(Debug)]
pub(super) struct Session(pub(super) Who);

impl CustomizeConnection<PgConnection, Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), Error> {
        conn.batch_execute(SESSION).map_err(Error::QueryError)?;
        match self.0 {
            Who::Tenants => conn.batch_execute("SET ROLE tessera_tenant").map_err(Error::QueryError),
            Who::House => Ok(()),
        }
    }
}

/// `url` with our settings for network connections, unless it has its own; a unix socket ignores them.
pub(super) fn with_tcp_settings(url: &str) -> String {
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let mut out = url.to_owned();
    for (key, value) in TCP {
        if !url.contains(&format!("{key}=")) {
            let joint = match (is_uri, out.contains('?')) {
                (true, false) => '?',
                (true, true) => '&',
                (false, _) => ' ',
            };
            out.push(joint);
            out.push_str(&format!("{key}={value}"));
        }
    }
    out
}
