//! The operator's own database: whether it may be used, whether it answers, and how old it is.

use diesel::dsl::sql;
use diesel::sql_types::Integer;
use diesel::{Connection, PgConnection, RunQueryDsl};

use super::transport::{self, Transport};
use super::{Finding, Options, State};
use crate::platform::cluster::OLDEST_MAJOR;

/// Says whether a database may be used at all: a remote one without TLS may not, unless the operator said so.
///
/// Every command that takes a URL asks this before it connects.
#[must_use]
pub fn check_transport(url: &str, options: &Options) -> Finding {
    const CHECK: &str = "transport";
    let tls_built_in = cfg!(feature = "postgres-tls");
    match Transport::of(url, &options.defaults) {
        Transport::Local => Finding::ok(CHECK, "the database is on this machine"),
        Transport::Verified | Transport::Encrypted if !tls_built_in => Finding::fail(
            CHECK,
            "DATABASE_URL asks for TLS, and this build speaks none to a database",
            "build with `cargo build --release --features postgres-tls`",
        ),
        Transport::Verified => Finding::ok(CHECK, "TLS, with the server's certificate checked"),
        Transport::Encrypted => Finding::warn(
            CHECK,
            "TLS, but sslmode=require believes any server that answers",
            "set sslmode=verify-full and sslrootcert in DATABASE_URL",
        ),
        Transport::Plaintext if options.allow_plaintext => Finding::warn(
            CHECK,
            "the database is remote and what is said to it can be read on the way, as --allow-plaintext accepts",
            "set sslmode=verify-full in DATABASE_URL",
        ),
        Transport::Plaintext => Finding::fail(
            CHECK,
            "the database is remote and DATABASE_URL does not ask for TLS",
            "set sslmode=verify-full in DATABASE_URL, or accept the risk with --allow-plaintext",
        ),
    }
}

/// Asks the operator's server for its version, unless it may not be used.
pub(super) fn check_server(url: &str, options: &Options) -> Finding {
    const CHECK: &str = "database";
    if check_transport(url, options).state == State::Fail {
        return Finding::warn(CHECK, "not asked, since its transport is refused", "mend the transport first");
    }
    let version = PgConnection::establish(&transport::with_parameter(url, "connect_timeout", "5"))
        .map_err(|error| error.to_string())
        .and_then(|mut conn| {
            let version = sql::<Integer>("current_setting('server_version_num')::int4");
            diesel::select(version).get_result::<i32>(&mut conn).map_err(|error| error.to_string())
        });
    judge_server(CHECK, version)
}

fn judge_server(check: &'static str, version: Result<i32, String>) -> Finding {
    let major = match version {
        Ok(number) => u32::try_from(number).unwrap_or(0).checked_div(10_000).unwrap_or(0),
        Err(why) => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            return Finding::fail(check, format!("no connection: {why}"), "correct DATABASE_URL, or unset it");
        }
    };
    if major < OLDEST_MAJOR {
        let detail = format!("the server is PostgreSQL {major}");
        return Finding::fail(check, detail, format!("use PostgreSQL {OLDEST_MAJOR} or newer"));
    }
    Finding::ok(check, format!("PostgreSQL {major} answers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::examine;

    fn with_url(url: &str) -> Options {
        Options { database_url: Some(url.to_owned()), ..Options::default() }
    }

    #[test]
    fn a_remote_database_without_tls_is_refused_unless_told() {
        let mut options = with_url("postgresql://app:hush@db.invalid/books");
        let report = examine(&options);
        assert_eq!(report.exit_code(), 1);
        assert_eq!(report.findings.iter().map(|finding| finding.state).collect::<Vec<_>>(), [State::Fail, State::Warn]);
        options.allow_plaintext = true;
        let url = options.database_url.clone().unwrap_or_default();
        assert_eq!(check_transport(&url, &options).state, State::Warn);
        let shown = format!("{:?}", examine(&options));
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn tls_is_promised_only_by_a_build_that_has_it() {
        let options = Options::default();
        let state = |mode: &str| check_transport(&format!("postgresql://db.invalid/b?sslmode={mode}"), &options).state;
        let expected = match cfg!(feature = "postgres-tls") {
            true => [State::Ok, State::Warn],
            false => [State::Fail, State::Fail],
        };
        assert_eq!([state("verify-full"), state("require")], expected);
    }

    #[test]
    fn a_dead_or_old_server_is_named() {
        let report = examine(&with_url("postgresql://127.0.0.1:9/books"));
        assert_eq!(report.exit_code(), 1);
        assert!(report.findings[1].detail.starts_with("no connection: "), "{report:?}");
        assert_eq!(judge_server("database", Ok(140_011)).state, State::Fail);
        assert_eq!(judge_server("database", Ok(150_018)).detail, "PostgreSQL 15 answers");
    }
}
