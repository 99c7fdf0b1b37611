//! `tessera clock`: tells and moves a sandbox's clock, through its node.

use std::io::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Which node, and what to do.
#[derive(Debug, clap::Args)]
pub struct ClockArgs {
    /// The node.
    #[arg(long, env = "TESSERA_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key with the scope sandbox:write.
    #[arg(long, env = "TESSERA_KEY", hide_env_values = true)]
    key: String,
    #[command(subcommand)]
    what: ClockCommand,
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Tell the tenant's time.
    Show,
    /// Move the clock forward, for good: `3d`, `12h`, `90m`, `30s`.
    Advance {
        /// How far.
        #[arg(value_parser = seconds)]
        by: i64,
    },
}

/// `tessera clock …`
pub async fn clock(args: ClockArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.url, &args.key)?;
    let reply = match args.what {
        ClockCommand::Show => client.get("/v1/sandbox/clock").await?,
        ClockCommand::Advance { by } => {
            let key = Ids::system().uuid_v7(Clock::System.now());
            client.post("/v1/sandbox/clock/advance", key, &json!({"seconds": by})).await?
        }
    };
    let body = reply.done()?;
    let now = body.get("now").and_then(Value::as_str).unwrap_or_default();
    let ahead = body.get("ahead_s").and_then(Value::as_i64).unwrap_or_default();
    writeln!(std::io::stdout(), "{now} ({ahead} s ahead)")?;
    Ok(())
}

/// Seconds of `3d`, `12h`, `90m`, `30s`.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || "a whole number and d, h, m or s, as in 3d".to_owned();
    let units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let found = units.into_iter().find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)));
    let (digits, unit) = found.ok_or_else(wrong)?;
    let count: i64 = digits.parse().map_err(|_not_a_number| wrong())?;
    count.checked_mul(unit).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_step_is_a_whole_number_of_a_unit() {
        assert_eq!(seconds("3d"), Ok(259_200));
        assert_eq!(seconds("90m"), Ok(5_400));
        for wrong in ["", "d", "3", "-1d", "0s", "3w", "1.5h", "99999999999999999999d", "3é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
