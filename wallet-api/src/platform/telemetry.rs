//! The log: to standard error, as text on a terminal and as JSON lines elsewhere.
//!
//! What is logged is chosen by `--log`, else by `RUST_LOG`, else `info`. Standard output is left to commands' data.
//! Promise: no personal data and no secret, at any level. Ours is not to log them; libraries, which at finer levels log
//! what passes through them (a path, a header), are held at `info`; of a panic only words that stand in the source are
//! told. Each line has its spans, the request's id among them.
//! With the feature `otlp`, spans go to an OpenTelemetry collector as well, under the same promise.
//! Not here: metrics.

#[cfg(feature = "otlp")]
mod otlp;

use std::any::Any;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::{Identity, Layered, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What the targets of our own crates begin with.
const OURS: [&str; 3] = ["wallet_api", "ledger", "psd2_connector"];

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read; it is shown.
    #[error("log filter {0:?} cannot be read; try info, or wallet_api=debug,info")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// The collector's address cannot be used.
    #[cfg(feature = "otlp")]
    #[error("the collector of traces is http://host:port, on this machine or a network of one's own")]
    Collector,
    /// Somebody else logs already.
    #[error("a log is set up already")]
    AlreadySet(#[from] TryInitError),
}

/// Starts the log of this process; `chosen` is the value of `--log`.
///
/// # Errors
/// [`TelemetryError`]; nothing is logged then.
pub fn init(chosen: Option<&str>) -> Result<Running, TelemetryError> {
    start(chosen, Identity::new())?;
    Ok(Running::default())
}

/// Log and traces of this process. Keep it as long as there is something to tell.
#[derive(Debug, Default)]
pub struct Running {
    #[cfg(feature = "otlp")]
    _traces: Option<otlp::Traces>,
}

/// The same, and tells spans to an OpenTelemetry collector too. Dropping what is returned tells the last of them.
///
/// # Errors
/// [`TelemetryError`]; nothing is logged or told then.
#[cfg(feature = "otlp")]
pub fn init_with_traces(chosen: Option<&str>, collector: &str) -> Result<Running, TelemetryError> {
    let traces = otlp::Traces::to(collector)?;
    start(chosen, traces.layer())?;
    Ok(Running { _traces: Some(traces) })
}

/// What every layer sees: the chosen, as far as it may be told.
type Chosen = Layered<FilterFn<fn(&Metadata<'_>) -> bool>, Layered<EnvFilter, Registry>>;

fn start(chosen: Option<&str>, traces: impl Layer<Chosen> + Send + Sync) -> Result<(), TelemetryError> {
    let filter = filter(chosen, std::env::var("RUST_LOG").ok())?;
    let may_be_told: fn(&Metadata<'_>) -> bool = may_be_logged;
    let chosen = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_told));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        chosen.with(traces).with(lines).try_init()?;
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
        chosen.with(traces).with(lines).try_init()?;
    }
    Ok(())
}

/// Sends panics to the log, under the span they happen in, instead of straight to standard error. For this whole process.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let at = info.location().map(ToString::to_string);
        tracing::error!(at, words = words(info.payload()), "panicked");
    }));
}

/// What a panic said, unless it was put together from values.
fn words(payload: &dyn Any) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("not shown, because there are values in it")
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    is_safe(*metadata.level(), metadata.target())
}

fn is_safe(level: Level, target: &str) -> bool {
    level <= Level::INFO || OURS.iter().any(|ours| target.strip_prefix(ours).is_some_and(is_path_end))
}

/// Whether a target ends here or goes on below: `ledger::writer` is ours, `ledger_of_somebody` is not.
fn is_path_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("::")
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

    #[test]
    fn libraries_say_no_more_than_info() {
        for target in ["hyper::proto", "actix_web::types::path", "rustls", "ledger_of_somebody", "log"] {
            assert!(is_safe(Level::INFO, target) && !is_safe(Level::DEBUG, target), "{target}");
        }
        for target in ["wallet_api", "wallet_api::platform::http", "ledger::writer"] {
            assert!(is_safe(Level::TRACE, target), "{target}");
        }
    }

    #[test]
    fn of_a_panic_only_words_of_the_source_are_told() {
        assert_eq!(words(&"attempt to divide by zero"), "attempt to divide by zero");
        assert!(!words(&"IBAN IT60".to_owned()).contains("IT60"));
    }
}
