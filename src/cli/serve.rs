//! `narthex serve`: the proxy, until SIGTERM or SIGINT. Other configuration is taken up as soon as it is there.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{CANNOT, FINE, asked_to_end, block_on, complain};
use crate::app::{App, Sockets};
use crate::config::problem::Report;
use crate::config::{self, ConfigErrors, Loaded, Purpose, Settings};
use crate::observe::log;
use crate::platform::Platform;
use crate::platform::files::Watch;
use crate::provision::catalogue;

/// How often what was read is read again because it names other files than before; whoever changes them faster is
/// waited for.
const READINGS: usize = 3;

/// Between two tries of a configuration that something else kept off.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Runs until asked to end.
pub(super) fn run(config: &Path) -> u8 {
    match loaded(config) {
        Ok(loaded) => block_on(serve(config, loaded)),
        Err(code) => code,
    }
}

/// Reads the configuration and sets up the log by it; what is wrong is told on standard error.
pub(super) fn settings(config: &Path) -> Result<Settings, u8> {
    loaded(config).map(|loaded| loaded.settings)
}

fn loaded(config: &Path) -> Result<Loaded, u8> {
    let loaded = match load(config) {
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
    warn(&loaded.warnings);
    Ok(loaded)
}

fn load(config: &Path) -> Result<Loaded, ConfigErrors> {
    // What is wrong with a recipe is told in full when its connector is made.
    let features = |name: &str| catalogue::features(name).ok();
    config::load(config, Purpose::Serve, std::env::vars(), &features)
}

fn warn(warnings: &Report) {
    for warning in &warnings.problems {
        tracing::warn!(help = warning.help, "{}", warning.message);
    }
}

/// Reads the configuration; `watch` looks after what it was read from.
async fn read(config: &Path, watch: &mut Watch) -> Result<Loaded, ConfigErrors> {
    let mut read = load(config);
    for _ in 1..READINGS {
        let files = match &read {
            Ok(loaded) => &loaded.files,
            Err(errors) => &*errors.files,
        };
        // Whatever happened to a file before it was looked after is in what is read next.
        if !watch.follow(all(config, &files.all)).await {
            break;
        }
        read = load(config);
    }
    read
}

fn all(config: &Path, named: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    named.iter().cloned().chain([config.to_owned()]).collect()
}

async fn serve(config: &Path, loaded: Loaded) -> u8 {
    let mut watch = Watch::of(all(config, &loaded.files.all)).await;
    // It may have been changed before it was looked after.
    let settings = load(config).map_or(loaded.settings, |again| again.settings);
    let mut app = match App::start(settings, Platform::system(), Sockets::default()).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("narthex cannot start: {error}");
            return CANNOT;
        }
    };
    let code = match until_ended(config, &mut app, &mut watch).await {
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

/// Takes up each change of the configuration until asked to end.
async fn until_ended(config: &Path, app: &mut App, watch: &mut Watch) -> std::io::Result<&'static str> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut ended = std::pin::pin!(asked_to_end());
    let mut again: Option<Duration> = None;
    loop {
        let why = tokio::select! {
            ended = &mut ended => return ended,
            _ = hangup.recv() => "SIGHUP",
            () = watch.changed() => "files changed",
            () = passed(again) => "what kept it off may be over",
        };
        tracing::info!(why, "reading the configuration again");
        let read = read(config, watch).await.map(|loaded| {
            warn(&loaded.warnings);
            loaded.settings
        });
        // It was told already, and what was there goes on.
        again = match app.reload(read).await {
            Err(error) if error.is_passing() => {
                Some(again.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LAST_PAUSE)))
            }
            Ok(()) | Err(_) => None,
        };
    }
}

/// SECURITY: a secret that was taken out of the files must not be good for ever because the store did not answer for a
/// moment.
async fn passed(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
