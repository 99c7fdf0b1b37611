//! How the nodes over one database fare: who leads, whether it answers, and how far each follower is behind.

use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::time::Duration;

use diesel::{Connection, PgConnection};
use ledger::follow::parked::{self, Parked};
use ledger::health::{self, Lag, Lease};
use url::Url;

use super::{Finding, Options, State, check_transport, transport};
use crate::platform::cluster::{Endpoint, Role};

/// Slots and followers that are shown.
const MOST: i64 = 100;
/// Records a follower may be behind while it is only busy.
const BEHIND: i64 = 10_000;
/// How long a leader may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(2);

/// What is to be said of the nodes; nothing is started for it.
pub(super) fn check(options: &Options) -> Vec<Finding> {
    const CHECK: &str = "cluster";
    let url = match &options.database_url {
        Some(url) if check_transport(url, options).state == State::Fail => {
            return vec![Finding::warn(CHECK, "not asked, since its transport is refused", "mend the transport first")];
        }
        Some(url) => url.clone(),
        None => match Endpoint::of_running(&options.data_dir) {
            Ok(endpoint) => endpoint.url(Role::App, crate::commands::node::DATABASE),
            Err(error) => {
                let remedy = "start a node with `tessera serve`, or name its database with --database-url";
                return vec![Finding::warn(CHECK, format!("no private database runs there: {error}"), remedy)];
            }
        },
    };
    ask(&url).unwrap_or_else(|error| {
        let remedy = "check that the database runs and is migrated: `tessera migrate`";
        vec![Finding::fail(CHECK, format!("the database does not tell: {error}"), remedy)]
    })
}

fn ask(url: &str) -> anyhow::Result<Vec<Finding>> {
    let mut conn = PgConnection::establish(&transport::with_parameter(url, "connect_timeout", "5"))?;
    let leases = health::leases(&mut conn, MOST)?;
    let mut findings: Vec<_> = leases.iter().map(|lease| leader(lease, answers(&lease.address))).collect();
    if leases.is_empty() {
        findings.push(Finding::warn("leader", "no node has ever led here", "start one with `tessera serve`"));
    }
    findings.extend(health::lags(&mut conn, MOST)?.iter().map(lag));
    findings.extend(parked::all(&mut conn, MOST)?.iter().map(parked_record));
    Ok(findings)
}

/// Whether something takes connections at a node's address.
fn answers(address: &str) -> bool {
    let authority = Url::parse(address).ok().and_then(|url| {
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, url.port_or_known_default()?))
    });
    let addresses = authority.and_then(|authority| authority.to_socket_addrs().ok());
    addresses.is_some_and(|mut all| all.any(|address| TcpStream::connect_timeout(&address, ANSWER).is_ok()))
}

fn leader(lease: &Lease, answers: bool) -> Finding {
    const CHECK: &str = "leader";
    let Lease { slot, address, epoch, left_ms } = lease;
    if *left_ms <= 0 {
        let detail = format!("nobody leads slot {slot} (epoch {epoch}; {address} did last)");
        return Finding::fail(CHECK, detail, "start a node, or look at the log of one that runs");
    }
    let detail = format!("{address} leads slot {slot} (epoch {epoch}, lease for {left_ms} ms more)");
    if answers {
        return Finding::ok(CHECK, detail);
    }
    let remedy = "give that node an --address at which the others reach it";
    Finding::warn(CHECK, format!("{detail}, and takes no connection from here"), remedy)
}

fn lag(lag: &Lag) -> Finding {
    const CHECK: &str = "follower";
    let detail = format!("{} is {} records behind in journal {}", lag.follower, lag.records, lag.journal.0);
    if lag.records <= BEHIND {
        return Finding::ok(CHECK, detail);
    }
    Finding::warn(CHECK, detail, "look at the log of the node that leads; run this again to see whether it catches up")
}

fn parked_record(parked: &Parked) -> Finding {
    let Parked { journal, follower, seq, what, tries } = parked;
    let detail = format!(
        "{follower} cannot read seq {seq} of journal {} ({what}), and went past it; tried {tries} times",
        journal.0
    );
    Finding::warn(
        "parked",
        detail,
        "finish the upgrade: a newer release wrote it, and the next node that leads reads it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(left_ms: i64) -> Lease {
        Lease { slot: 0, address: "http://10.0.0.1:8080".to_owned(), epoch: 7, left_ms }
    }

    #[test]
    fn a_lease_that_ran_out_fails_and_a_leader_that_cannot_be_reached_is_a_warning() {
        assert_eq!(leader(&lease(2_000), true).state, State::Ok);
        assert_eq!(leader(&lease(2_000), false).state, State::Warn);
        assert_eq!(leader(&lease(-5), true).state, State::Fail);
    }

    #[test]
    fn a_follower_far_behind_is_a_warning() {
        let lag_of = |records| lag(&Lag { follower: "card".to_owned(), journal: ledger::JournalId(1), records });
        assert_eq!((lag_of(BEHIND).state, lag_of(BEHIND + 1).state), (State::Ok, State::Warn));
    }
}
