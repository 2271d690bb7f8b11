//! Serves a router on a listener that the caller bound: with upgrades, and with a plug to pull.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::platform::Tasks;

/// What tests do to a server: unplug it, or make it slow.
#[derive(Debug, Default)]
pub struct Switches {
    down: AtomicBool,
    delay_millis: AtomicU64,
}

impl Switches {
    /// While down, connections are dropped without an answer, those that are open already included.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Every answer waits this long; whole milliseconds.
    pub fn set_slow(&self, delay: Duration) {
        self.delay_millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn delay(&self) -> Option<Duration> {
        let millis = self.delay_millis.load(Ordering::SeqCst);
        (millis > 0).then(|| Duration::from_millis(millis))
    }
}

/// The plug was pulled: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("this server is switched off")]
struct Unplugged;

/// An answer with this extension is not sent: what was asked for was done, and the connection ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct HangUp;

/// Accepts until the tasks are asked to stop. HTTP/1.1, and HTTP/2 with prior knowledge.
pub(super) fn serve(listener: TcpListener, router: Router, switches: Arc<Switches>, tasks: &Tasks) {
    let children = tasks.clone();
    tasks.spawn(async move {
        let stop = children.stopping().clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) if !switches.down.load(Ordering::SeqCst) => {
                    let one = connection(stream, router.clone(), Arc::clone(&switches), stop.clone());
                    children.spawn(one);
                }
                Ok(_) => {}
                // Out of file descriptors, or a peer that gave up: let the others finish first.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                }
            }
        }
    });
}

async fn connection(stream: TcpStream, router: Router, switches: Arc<Switches>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (mut router, switches) = (router.clone(), Arc::clone(&switches));
        async move {
            if let Some(delay) = switches.delay() {
                tokio::time::sleep(delay).await;
            }
            if switches.down.load(Ordering::SeqCst) {
                return Err(Unplugged);
            }
            let answered: Result<Response, Infallible> = router.call(request.map(Body::new)).await;
            let answer = answered.unwrap_or_else(|never| match never {});
            if answer.extensions().get::<HangUp>().is_some() {
                return Err(Unplugged);
            }
            Ok(answer)
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}
