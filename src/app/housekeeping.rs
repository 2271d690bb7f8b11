//! The periodic work of a running narthex.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::generation::Process;
use crate::admin::console::IDLE;
use crate::identify::session::Sessions;
use crate::platform::Tasks;

/// How often expired sessions are looked for; streams end within this time of their session.
const TICK: Duration = Duration::from_millis(250);
/// How often activity is written and expired rows are dropped.
const FLUSH: Duration = Duration::from_secs(5);
/// How often ended sessions at the admin API are dropped.
const SWEEP: Duration = Duration::from_mins(5);

/// What sessions need while anything goes on in them: the coarse clock and expiry, and their activity written.
pub(super) fn watch(tasks: &Tasks, sessions: &Arc<Sessions>) {
    let (ticking, stopping) = (sessions.clone(), tasks.stopping().clone());
    tasks.spawn(async move {
        let mut tick = interval(TICK);
        while stopping.run_until_cancelled(tick.tick()).await.is_some() {
            ticking.tick();
        }
    });
    let (sessions, stopping) = (sessions.clone(), tasks.stopping().clone());
    tasks.spawn(async move {
        let mut flush = interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(flush.tick()).await.is_some() {
            if let Err(error) = sessions.flush().await {
                tracing::warn!(%error, "session activity could not be written; it is tried again");
            }
        }
    });
}

/// Drops expired sessions and logins, and tells how many sessions there are.
pub(super) fn sweep(tasks: &Tasks, sessions: &Arc<Sessions>, process: &Process) {
    let (sessions, stopping) = (sessions.clone(), tasks.stopping().clone());
    let (store, clock) = (process.store.clone(), process.platform.clock.clone());
    tasks.spawn(async move {
        let mut sweep = interval(FLUSH);
        let mut swept_at = clock.now();
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(sweep.tick()).await.is_some() {
            if let Err(error) = sessions.sweep().await {
                tracing::warn!(%error, "expired sessions could not be dropped");
            }
            if let Err(error) = store.sweep_logins(clock.now()).await {
                tracing::warn!(%error, "expired logins could not be dropped");
            }
            if let Err(error) = store.sweep_cases(clock.now()).await {
                tracing::warn!(%error, "cases that have ended could not be dropped");
            }
            let now = clock.now();
            if swept_at.after(SWEEP) <= now {
                swept_at = now;
                if let Err(error) = store.sweep_console_sessions(now, IDLE).await {
                    tracing::warn!(%error, "ended sessions at the admin API could not be dropped");
                }
            }
            crate::observe::metrics::sessions(sessions.in_memory(), sessions.store_away_since().is_some());
        }
    });
}
