//! Another configuration for a narthex that runs: taken up whole or not at all, while connections stay open.

use std::fmt::Debug;

use super::generation::Generation;
use super::{App, StartError, administration};
use crate::config::settings::{SealKey, StoreUrl};
use crate::config::{ConfigErrors, Settings};
use crate::identify::session::SessionError;
use crate::model::Secret;
use crate::observe::audit::{Entry, Event};
use crate::observe::metrics;
use crate::platform::crypto::sha256;

/// The new configuration was not taken up; the one from before holds.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    /// What these say was done once, when the process started.
    #[error("{} changed, which a restart alone can follow; restart narthex, or change it back", keys.join(", "))]
    NeedsRestart { keys: Vec<&'static str> },
    /// The next one would not know of sessions that have ended here.
    #[error("the store does not answer, and what it was not told yet must not be forgotten: {0}")]
    StoreAway(SessionError),
}

impl ReloadError {
    /// Whether it may be another thing in a moment, with nothing mended: the store did not answer, or holds settings that
    /// an administrator can change there.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::StoreAway(_) => true,
            Self::Start(error) => {
                matches!(error, StartError::Store(_) | StartError::Settings(_) | StartError::Token(_))
            }
            Self::Config(_) | Self::NeedsRestart { .. } => false,
        }
    }

    /// How many things an operator has to mend.
    fn problems(&self) -> usize {
        match self {
            Self::Config(errors) => errors.report.errors(),
            Self::NeedsRestart { keys } => keys.len(),
            Self::Start(_) | Self::StoreAway(_) => 1,
        }
    }
}

/// What of the settings holds for as long as the process runs: each key, and by what it is known to be the same.
pub(super) struct Fixed(Vec<(&'static str, [u8; 32])>);

impl Fixed {
    pub(super) fn of(settings: &Settings) -> Self {
        let (server, scim) = (&settings.server, settings.scim.as_ref());
        let store = match &settings.store.url {
            StoreUrl::Postgres(postgres) => {
                let password = postgres.password.as_ref().map(Secret::expose);
                // As it was opened.
                let roots = match postgres.roots.as_slice() {
                    [] => &settings.outbound.extra_roots,
                    _ => &postgres.roots,
                };
                digest(&(postgres.url.expose(), password, postgres.connections, roots))
            }
            url @ (StoreUrl::Sqlite { .. } | StoreUrl::Memory) => digest(url),
        };
        let seal = match &settings.keys.seal {
            SealKey::Given(key) => digest(&key.expose()),
            SealKey::FileOrMake(path) => digest(path),
        };
        Self(vec![
            ("server.listen", digest(&server.listen)),
            ("server.workers", digest(&server.workers)),
            ("admin.listen", digest(&settings.admin.listen)),
            ("health.listen", digest(&settings.health.listen)),
            // The listener is there with mode `scim` only.
            ("scim.listen", digest(&scim.map(|scim| scim.listen))),
            ("store", store),
            ("keys.seal", seal),
            ("log", digest(&settings.log)),
        ])
    }

    /// The keys under which `next` says something else.
    fn other_in(&self, next: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&next.0);
        pairs.filter(|(now, next)| now != next).map(|((key, _), _)| *key).collect()
    }
}

/// Of what `Debug` shows of it, which must be all of it.
fn digest(value: &impl Debug) -> [u8; 32] {
    sha256(format!("{value:?}").as_bytes())
}

impl App {
    /// Takes up another configuration. Requests in flight, streams among them, end with the one that they began with;
    /// everything else goes by the new one once this returns, on open connections too.
    ///
    /// # Errors
    /// Where it cannot be used: what was there goes on as it was, and says so in the log, in
    /// `narthex_configuration_refused` and on `/readyz`.
    pub async fn reload(&mut self, read: Result<Settings, ConfigErrors>) -> Result<(), ReloadError> {
        let outcome = match read {
            Ok(settings) => self.take_up(settings).await,
            Err(errors) => Err(errors.into()),
        };
        metrics::reload(outcome.is_ok());
        match &outcome {
            Ok(()) => {
                self.probes.set_refused(None);
                tracing::info!("another configuration holds from now on");
                self.process.audit.record(Entry::new(Event::ConfigurationReloaded));
            }
            Err(error) => {
                let problems = error.problems();
                // Without what it is that is wrong: this listener tells everybody.
                let counted =
                    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") };
                self.probes.set_refused(Some(format!(
                    "the configuration was changed at {} and cannot be used ({counted}, see the log); the one from \
                     before holds",
                    self.process.platform.clock.now()
                )));
                tracing::error!(
                    problems,
                    "the changed configuration cannot be used; the one from before holds: {error}"
                );
                let entry = Entry::new(Event::ConfigurationRefused).field("problems", problems);
                self.process.audit.record(entry);
            }
        }
        outcome
    }

    async fn take_up(&mut self, settings: Settings) -> Result<(), ReloadError> {
        let fixed = Fixed::of(&settings);
        let keys = self.fixed.other_in(&fixed);
        if !keys.is_empty() {
            return Err(ReloadError::NeedsRestart { keys });
        }
        let mut next = Generation::begin(&self.process, settings).await?;
        // SECURITY: a session that has ended here, and of which the store could not be told, would go on there.
        if let Err(error) = self.generation.sessions.flush().await {
            next.finish().await;
            return Err(ReloadError::StoreAway(error));
        }
        next.go(&self.process);
        self.probes.follow(&next.sessions);
        let replaced = self.plane.replace(&next.manners, |tasks| next.cores.core(tasks));
        if let (Some(plane), Some((server, manners))) = (&self.scim, &next.scim) {
            plane.replace(manners, |_| server.clone());
        }
        administration::replace(&self.admin, &next, &self.process.tasks);
        std::mem::replace(&mut self.generation, next).retire(replaced, &self.process);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn what_the_store_kept_off_is_tried_again_and_what_is_wrong_is_not() {
        let away = || StoreError::Unavailable { act: "settings_version", reason: "locked".to_owned() };
        assert!(ReloadError::StoreAway(SessionError::Store(away())).is_passing());
        assert!(ReloadError::Start(StartError::Store(away())).is_passing());
        assert!(!ReloadError::NeedsRestart { keys: vec!["log"] }.is_passing());
        let file = StartError::CaFile { path: "ca.crt".into(), reason: "absent".to_owned() };
        assert!(!ReloadError::Start(file).is_passing());
    }

    #[test]
    fn what_needs_a_restart_is_told_by_its_key() {
        let fixed = |log: &str, store: &str| Fixed(vec![("log", digest(&log)), ("store", digest(&store))]);
        let now = fixed("info", "sqlite:a");
        assert!(now.other_in(&fixed("info", "sqlite:a")).is_empty());
        assert_eq!(now.other_in(&fixed("debug", "sqlite:a")), ["log"]);
        assert_eq!(now.other_in(&fixed("debug", "sqlite:b")), ["log", "store"]);
    }
}
