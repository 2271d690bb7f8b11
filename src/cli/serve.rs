//! `narthex serve`: the proxy, until SIGTERM or SIGINT.

use std::io::IsTerminal;
use std::path::Path;

use super::{CANNOT, FINE, asked_to_end, block_on, complain};
use crate::app::{App, Sockets};
use crate::config::{self, Purpose, Settings};
use crate::observe::log;
use crate::platform::Platform;
use crate::provision::catalogue;

/// Runs until asked to end.
pub(super) fn run(config: &Path) -> u8 {
    match settings(config) {
        Ok(settings) => block_on(serve(settings)),
        Err(code) => code,
    }
}

/// Reads the configuration and sets up the log by it; what is wrong is told on standard error.
pub(super) fn settings(config: &Path) -> Result<Settings, u8> {
    // What is wrong with a recipe is told in full when its connector is made.
    let features = |name: &str| catalogue::features(name).ok();
    let loaded = match config::load(config, Purpose::Serve, std::env::vars(), &features) {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&format!(
                "{} cannot be used\n{}",
                config.display(),
                errors.report.graphical(std::io::stderr().is_terminal())
            ));
            return Err(CANNOT);
        }
    };
    if let Err(error) = log::set_up(&loaded.settings.log) {
        complain(&error.to_string());
        return Err(CANNOT);
    }
    for warning in &loaded.warnings.problems {
        tracing::warn!(help = warning.help, "{}", warning.message);
    }
    Ok(loaded.settings)
}

async fn serve(settings: Settings) -> u8 {
    let app = match App::start(settings, Platform::system(), Sockets::default()).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("narthex cannot start: {error}");
            return CANNOT;
        }
    };
    let code = match asked_to_end().await {
        Ok(signal) => {
            tracing::info!(signal, "shutting down; requests in flight may end");
            FINE
        }
        Err(error) => {
            tracing::error!(%error, "signals cannot be waited for");
            CANNOT
        }
    };
    app.shut_down().await;
    code
}
