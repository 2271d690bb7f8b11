//! What the health listener asks about.

use std::sync::Arc;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::identify::session::Sessions;
use crate::observe::health::{Health, StoreState};
use crate::provision::measures;

pub(super) fn health(metrics: PrometheusHandle, sessions: &Arc<Sessions>) -> Health {
    Health::new(metrics, store_state(sessions))
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

/// Before anything is counted: counters that were taken earlier count for nobody.
///
/// One recorder per process, however many apps (tests start several).
pub(super) fn metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics go to a recorder that was set before");
            }
            crate::observe::metrics::describe();
            handle
        })
        .clone()
}

/// Histograms with buckets, as docs/metrics.md says; without them the exporter makes summaries, which nobody can add up
/// over replicas.
fn recorder() -> PrometheusRecorder {
    let seconds = Matcher::Full(measures::SECONDS.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &measures::SECONDS_BUCKETS)
        .unwrap_or_else(|_| PrometheusBuilder::new())
        .build_recorder()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_provisioning_took_comes_in_buckets() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            measures::record("created", std::time::Duration::from_secs(6));
        });
        let text = recorder.handle().render();
        for part in ["_bucket{outcome=\"created\",le=\"5\"} 0", "_bucket{outcome=\"created\",le=\"8\"} 1"] {
            assert!(text.contains(&format!("{}{part}", measures::SECONDS)), "{part}\n{text}");
        }
        assert!(!text.contains("quantile"), "{text}");
    }
}
