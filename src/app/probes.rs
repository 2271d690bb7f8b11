//! What the health listener asks about.

use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::identify::session::Sessions;
use crate::observe::health::Health;

pub(super) fn health(sessions: &Arc<Sessions>) -> Health {
    let sessions = sessions.clone();
    let store = move || sessions.store_away_since().map(|since| format!("the store is away since {since}"));
    Health::new(metrics_handle(), Arc::new(store))
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
