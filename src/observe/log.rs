//! Log lines: human-readable or JSON, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::settings::{Log, LogFormat};

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log.level `{level}` is no filter: {reason}; use e.g. `info` or `narthex=debug`")]
    Level { level: String, reason: String },
    #[error("the log was set up already")]
    Twice,
}

/// Sends events to standard error from now on.
pub fn set_up(log: &Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| LogError::Level { level: log.level.clone(), reason: error.to_string() })?;
    // Colours are for eyes; in a file or a journal they are noise.
    let colours = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let set = match log.format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    set.map_err(|_| LogError::Twice)
}
