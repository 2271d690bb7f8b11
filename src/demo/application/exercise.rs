//! Endpoints that exercise a proxy: echo, streams both ways, trailers, any status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};

use crate::demo::web;

use super::identity::listed;
use super::state::Application;

/// `/echo` shows at most so much of a body.
const MAX_ECHO: usize = 64 * 1024;
const CHUNK: usize = 64 * 1024;

pub(super) async fn health() -> Response {
    web::json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// What arrived, as JSON: headers in the order of arrival, each occurrence by itself; trailers; the body as
/// text, and its length.
pub(super) async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let read = read(body, MAX_ECHO).await;
    let headers = listed(&head.headers, |_| true);
    let mut answer = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "authority": head.uri.authority().map(http::uri::Authority::as_str),
        "version": format!("{:?}", head.version),
        "headers": headers,
    });
    if let (Some(members), Value::Object(body)) = (answer.as_object_mut(), read.json()) {
        members.extend(body);
    }
    web::json(StatusCode::OK, &answer)
}

/// Counts the bytes as they come, and keeps none.
pub(super) async fn upload(request: Request) -> Response {
    let read = read(request.into_body(), 0).await;
    let status = if read.broken { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    web::json(status, &read.json())
}

struct Read {
    bytes: u64,
    start: Vec<u8>,
    trailers: HeaderMap,
    /// The sender gave up.
    broken: bool,
}

impl Read {
    fn json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "body": String::from_utf8_lossy(&self.start),
            "trailers": listed(&self.trailers, |_| true),
            "broken": self.broken,
        })
    }
}

async fn read(mut body: Body, keep: usize) -> Read {
    let mut read = Read { bytes: 0, start: Vec::new(), trailers: HeaderMap::new(), broken: false };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                read.bytes += data.len() as u64;
                let room = keep.saturating_sub(read.start.len());
                read.start.extend(data.iter().take(room));
            }
            Ok(Err(other)) => {
                if let Ok(trailers) = other.into_trailers() {
                    read.trailers.extend(trailers);
                }
            }
            Err(_) => {
                read.broken = true;
                break;
            }
        }
    }
    read
}

/// So many bytes, never in memory at once; `?chunked=yes` without Content-Length.
pub(super) async fn download(
    Path(bytes): Path<u64>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let zeros = Bytes::from(vec![b'0'; CHUNK]);
    let chunks = stream::unfold(bytes, move |left| {
        let zeros = zeros.clone();
        async move {
            let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            (now > 0).then(|| (Ok::<_, std::io::Error>(zeros.slice(..now)), left - now as u64))
        }
    });
    let mut answer = Response::new(Body::from_stream(chunks));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if !query.contains_key("chunked") {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    answer
}

/// Server-sent events: one at once, then one every `?every=` milliseconds (default 1000), until the client
/// goes, `?count=` are sent, or the application ends.
pub(super) async fn events(
    State(application): State<Arc<Application>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
    let every = Duration::from_millis(number("every").unwrap_or(1000).max(1));
    let count = number("count").unwrap_or(u64::MAX);
    let stop = application.stopping();
    let ticks = stream::unfold(0u64, move |sent| {
        let stop = stop.clone();
        async move {
            if sent >= count {
                return None;
            }
            if sent > 0 {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = stop.cancelled() => return None,
                }
            }
            let event = format!("id: {sent}\nevent: tick\ndata: {sent}\n\n");
            Some((Ok::<_, std::io::Error>(Bytes::from(event)), sent + 1))
        }
    });
    let mut answer = Response::new(Body::from_stream(ticks));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// A body and then trailers: one that is announced and one that is not.
pub(super) async fn trailers() -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("x-checksum"), HeaderValue::from_static("42"));
    let frames =
        [Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
    let mut answer = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    answer.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-checksum"));
    answer
}

/// This status; `?location=` and `?cookie=` set those headers.
pub(super) async fn status(
    Path(status): Path<u16>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let status = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
    let mut answer = Response::default();
    *answer.status_mut() = status.unwrap_or(StatusCode::BAD_REQUEST);
    for (parameter, name) in [("location", header::LOCATION), ("cookie", header::SET_COOKIE)] {
        if let Some(value) = query.get(parameter).and_then(|text| HeaderValue::try_from(text.as_str()).ok()) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
