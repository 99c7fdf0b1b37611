//! The log: to standard error, as text on a terminal and as JSON lines elsewhere.
//!
//! What is logged is chosen by `--log`, else by `RUST_LOG`, else `info`. Standard output is left to commands' data.
//! Not here: metrics and traces to other systems.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read; it is shown.
    #[error("log filter {0:?} cannot be read; try info, or wallet_api=debug,info")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// Somebody else logs already.
    #[error("a log is set up already")]
    AlreadySet(#[from] TryInitError),
}

/// Starts the log of this process; `chosen` is the value of `--log`.
///
/// # Errors
/// [`TelemetryError`]; nothing is logged then.
pub fn init(chosen: Option<&str>) -> Result<(), TelemetryError> {
    let filter = filter(chosen, std::env::var("RUST_LOG").ok())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.finish().try_init()?;
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).finish().try_init()?;
    }
    Ok(())
}

fn filter(chosen: Option<&str>, environment: Option<String>) -> Result<EnvFilter, TelemetryError> {
    let text = chosen.map(str::to_owned).or(environment).filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| "info".to_owned());
    EnvFilter::try_new(&text).map_err(|error| TelemetryError::Filter(text, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_info_over_nothing() {
        let shown =
            |chosen, environment: Option<&str>| filter(chosen, environment.map(str::to_owned)).unwrap().to_string();
        assert_eq!(shown(Some("warn"), Some("debug")), "warn");
        assert_eq!(shown(None, Some("debug")), "debug");
        assert_eq!(shown(None, Some("")), "info");
        assert_eq!(shown(None, None), "info");
        assert!(filter(Some("a=b=c"), None).is_err());
    }
}
