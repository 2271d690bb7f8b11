//! What the health listener asks about.

use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::identify::session::Sessions;
use crate::observe::health::{Health, StoreState};

pub(super) fn health(sessions: &Arc<Sessions>) -> Health {
    Health::new(metrics_handle(), store_state(sessions))
}

impl Health {
    /// From now on these are asked how the store is.
    pub(super) fn follow(&self, sessions: &Arc<Sessions>) {
        self.ask(store_state(sessions));
    }
}

fn store_state(sessions: &Arc<Sessions>) -> StoreState {
    let sessions = sessions.clone();
    Box::new(move || sessions.store_away_since().map(|since| format!("the store is away since {since}")))
}

/// One recorder per process, however many apps (tests start several).
fn metrics_handle() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics go to a recorder that was set before");
            }
            crate::observe::metrics::describe();
            handle
        })
        .clone()
}
