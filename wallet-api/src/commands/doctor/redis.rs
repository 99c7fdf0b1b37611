//! Whether there is a Redis, and whether it answers. One that is away fails no report, since every node runs without
//! it; a `REDIS_URL` that `serve` would refuse does.

use std::path::PathBuf;

use super::Finding;
use crate::commands::node::RedisArgs;

const CHECK: &str = "redis";

pub(super) fn check(args: &RedisArgs) -> Finding {
    let settings = match args.settings() {
        Ok(Some(settings)) => settings,
        Ok(None) => return Finding::ok(CHECK, format!("not used: REDIS_URL is not set; {}", installed())),
        // `serve` refuses this one: it was asked for and cannot be.
        Err(error) => return Finding::fail(CHECK, error.to_string(), "correct REDIS_URL, or unset it"),
    };
    let remedy = "start it or correct REDIS_URL; until then each node counts limits for itself";
    match settings.version() {
        Err(error) => Finding::warn(CHECK, format!("does not answer: {error}"), remedy),
        Ok(version) if settings.is_plaintext_to_elsewhere() => Finding::warn(
            CHECK,
            format!("Redis {version} answers, and what is said to it can be read on the way"),
            "use rediss:// in REDIS_URL, or a network of its own",
        ),
        Ok(version) => Finding::ok(CHECK, format!("Redis {version} answers")),
    }
}

/// The tests start a Redis of their own where there is a server.
fn installed() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin")]);
    let found = places.map(|folder| folder.join("redis-server")).find(|program| program.is_file());
    found.map_or_else(
        || "no redis-server is installed, which only tests need".to_owned(),
        |program| format!("the tests find {}", program.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    fn state(url: Option<&str>) -> State {
        check(&RedisArgs { redis_url: url.map(ToOwned::to_owned), redis_prefix: "tessera".into() }).state
    }

    #[test]
    fn a_redis_that_is_not_there_is_a_drawback_and_one_that_cannot_be_is_a_failure() {
        assert_eq!(state(None), State::Ok);
        assert_eq!(state(Some("")), State::Ok);
        assert_eq!(state(Some("redis://127.0.0.1:1")), State::Warn);
        assert_eq!(state(Some("http://127.0.0.1:1")), State::Fail);
    }
}
