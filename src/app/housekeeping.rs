//! The periodic work of a running narthex.

use std::sync::Arc;
use std::time::Duration;

use crate::identify::session::Sessions;
use crate::platform::{Platform, Tasks};
use crate::store::Store;

/// How often expired sessions are looked for; streams end within this time of their session.
const TICK: Duration = Duration::from_millis(250);
/// How often activity is written and expired rows are dropped.
const FLUSH: Duration = Duration::from_secs(5);

/// The periodic work: the coarse clock and expiry, batched writes, sweeps.
pub(super) fn spawn(tasks: &Tasks, sessions: &Arc<Sessions>, store: &Arc<dyn Store>, platform: &Platform) {
    let (ticking, stopping) = (sessions.clone(), tasks.stopping().clone());
    tasks.spawn(async move {
        let mut tick = tokio::time::interval(TICK);
        while stopping.run_until_cancelled(tick.tick()).await.is_some() {
            ticking.tick();
        }
    });
    let (sessions, store, clock) = (sessions.clone(), store.clone(), platform.clock.clone());
    let stopping = tasks.stopping().clone();
    tasks.spawn(async move {
        let mut flush = tokio::time::interval(FLUSH);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(flush.tick()).await.is_some() {
            if let Err(error) = sessions.flush().await {
                tracing::warn!(%error, "session activity could not be written; it is tried again");
            }
            if let Err(error) = store.sweep_logins(clock.now()).await {
                tracing::warn!(%error, "expired logins could not be dropped");
            }
            if let Err(error) = store.sweep_cases(clock.now()).await {
                tracing::warn!(%error, "cases that have ended could not be dropped");
            }
            crate::observe::metrics::sessions(sessions.in_memory(), sessions.store_away_since().is_some());
        }
    });
}
