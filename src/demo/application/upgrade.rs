//! `/upgrade`: a connection that becomes something else and gives back every byte.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;

use crate::demo::web;

use super::state::Application;

/// `Upgrade: echo`: raw bytes back. `Upgrade: websocket` (RFC 6455): the handshake, then the bytes as they
/// came, which is for those who test a tunnel and not for browsers. The identity headers that arrived with
/// the request come back as `X-Seen-User`.
pub(super) async fn echo(State(application): State<Arc<Application>>, mut request: Request) -> Response {
    let wanted = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    let protocol = match wanted.map(str::to_ascii_lowercase).as_deref() {
        Some("echo") => HeaderValue::from_static("echo"),
        Some("websocket") => HeaderValue::from_static("websocket"),
        _ => {
            let why = json!({ "error": "upgrade_required", "message": "send Upgrade: echo or websocket" });
            let mut answer = web::json(StatusCode::UPGRADE_REQUIRED, &why);
            answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("echo, websocket"));
            return answer;
        }
    };
    let accept = request.headers().get(header::SEC_WEBSOCKET_KEY).and_then(accept);
    let seen = request.headers().get("x-remote-user").cloned();
    let upgrade = hyper::upgrade::on(&mut request);
    let stop = application.stopping();
    application.tasks.spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "the upgrade did not come about"),
        };
        let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
        let copied = tokio::select! {
            copied = tokio::io::copy(&mut from, &mut to) => copied,
            () = stop.cancelled() => return,
        };
        if let Err(error) = copied {
            tracing::debug!(%error, "an upgraded connection ended early");
        }
    });
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
    if let Some(accept) = accept {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(seen) = seen {
        headers.insert(HeaderName::from_static("x-seen-user"), seen);
    }
    answer
}

/// RFC 6455, 4.2.2, 5.4. SHA-1 is what that says; nothing secret hangs on it.
fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(STANDARD.encode(context.finish())).ok()
}
