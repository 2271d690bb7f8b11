//! A relay in front of an admin API that writes down each call, to see what narthex asked for.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{Method, header};
use serde_json::Value;

use super::party;

/// Relays to one server.
pub struct Recorder {
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

struct Call {
    method: Method,
    path: String,
    body: Vec<u8>,
}

impl Recorder {
    /// In front of the server at this address.
    #[expect(clippy::disallowed_methods, reason = "ends with the test's own runtime")]
    pub async fn of(server: &str) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let (noted, http, server) = (Arc::clone(&calls), party::client(), server.to_owned());
        let relay = move |request: Request| {
            let (noted, http, server) = (Arc::clone(&noted), http.clone(), server.clone());
            async move {
                let (parts, body) = request.into_parts();
                let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
                let mut headers = parts.headers;
                headers.remove(header::HOST);
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let call = Call { method: parts.method.clone(), path: path.clone(), body: body.to_vec() };
                noted.lock().unwrap().push(call);
                let request = http.request(parts.method, format!("{server}{path}")).headers(headers);
                let answer = request.body(body).send().await.unwrap();
                let (status, mut headers) = (answer.status(), answer.headers().clone());
                headers.remove(header::TRANSFER_ENCODING);
                let mut relayed = Response::new(Body::from(answer.bytes().await.unwrap()));
                *relayed.status_mut() = status;
                *relayed.headers_mut() = headers;
                relayed
            }
        };
        let listener = super::listener().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(relay)).into_future());
        Self { url, calls }
    }

    /// The calls that are not GET, as "METHOD path", in order.
    pub fn writes(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let writes = calls.iter().filter(|call| call.method != Method::GET);
        writes.map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// What was sent, as JSON, in order.
    pub fn bodies(&self) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|call| serde_json::from_slice(&call.body).unwrap()).collect()
    }

    pub fn forget(&self) {
        self.calls.lock().unwrap().clear();
    }
}
