//! `narthex serve`: the proxy, until SIGTERM or SIGINT.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::{CANNOT, FINE};
use crate::app::{App, Sockets};
use crate::config::{self, Purpose, Settings};
use crate::observe::log;
use crate::platform::Platform;
use crate::provision::catalogue;

/// Runs until asked to end.
#[expect(clippy::print_stderr, reason = "before the log is set up, standard error is the only place")]
pub(super) fn run(config: &Path) -> u8 {
    // What is wrong with a recipe is told in full when its connector is made.
    let features = |name: &str| catalogue::features(name).ok();
    let loaded = match config::load(config, Purpose::Serve, std::env::vars(), &features) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return CANNOT;
        }
    };
    let settings = loaded.settings;
    if let Err(error) = log::set_up(&settings.log) {
        eprintln!("narthex: {error}");
        return CANNOT;
    }
    for warning in &loaded.warnings.problems {
        tracing::warn!(help = warning.help, "{}", warning.message);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("narthex-cold")
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(settings)),
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            CANNOT
        }
    }
}

async fn serve(settings: Settings) -> u8 {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be waited for");
            return CANNOT;
        }
    };
    let app = match App::start(settings, Platform::system(), Sockets::default()).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("narthex cannot start: {error}");
            return CANNOT;
        }
    };
    let asked = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = asked, "shutting down; requests in flight may end");
    app.shut_down().await;
    FINE
}
