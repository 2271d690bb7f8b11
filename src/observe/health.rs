//! The health listener: is it alive, is it ready, and the metrics. Carries nothing personal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

/// What the probes ask about.
#[derive(Clone)]
pub struct Health {
    started: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
    store: Arc<ArcSwap<StoreState>>,
    /// Why the configuration that holds is not the one in the files.
    refused: Arc<ArcSwapOption<String>>,
    metrics: PrometheusHandle,
}

/// `None`: well; else what is not.
pub type StoreState = Box<dyn Fn() -> Option<String> + Send + Sync>;

impl Health {
    #[must_use]
    pub fn new(metrics: PrometheusHandle, store: StoreState) -> Self {
        let store = Arc::new(ArcSwap::from_pointee(store));
        Self { started: Arc::default(), draining: Arc::default(), store, refused: Arc::default(), metrics }
    }

    /// Somebody else knows how the store is.
    pub fn ask(&self, store: StoreState) {
        self.store.store(Arc::new(store));
    }

    /// Why the configuration that holds is not the one in the files; `None` where it is. That makes nobody unready.
    pub fn set_refused(&self, why: Option<String>) {
        self.refused.store(why.map(Arc::new));
    }

    /// The public listener accepts connections.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The process was asked to end.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Serves `/healthz`, `/readyz`, `/startupz` and `/metrics` until `stop`.
    ///
    /// No probe depends on an identity provider or on the application: restarting this process would mend
    /// neither.
    pub async fn serve(self, listener: tokio::net::TcpListener, stop: CancellationToken) {
        let router = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/startupz", get(started))
            .route("/metrics", get(metrics))
            .with_state(self);
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the health listener ended");
        }
    }
}

async fn started(State(health): State<Health>) -> Response {
    if health.started.load(Ordering::Acquire) {
        "started\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let unready =
        |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response();
    if health.draining.load(Ordering::Acquire) {
        return unready("shutting down".to_owned());
    }
    if !health.started.load(Ordering::Acquire) {
        return unready("starting".to_owned());
    }
    match ((health.store.load())(), &*health.refused.load()) {
        (Some(why), _) => unready(why),
        (None, Some(refused)) => format!("ready, but {refused}\n").into_response(),
        (None, None) => "ready\n".into_response(),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
        .into_response()
}
