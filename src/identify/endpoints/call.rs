//! A request to one of our own paths, in the form that the endpoints read.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::forward::Body;
use crate::identify::intent::Intent;
use crate::identify::live::LiveSession;
use crate::listen::Inbound;
use crate::problem::Problem;

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// Bodies of our own forms (SECURITY.md 9).
const MAX_FORM: usize = 16 * 1024;
/// How long a form of ours may take to arrive.
const FORM_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A request to one of our own paths, with what the answer may depend on.
pub(super) struct Call {
    pub(super) client: IpAddr,
    /// The other end of the connection: a proxy, or the client.
    pub(super) peer: IpAddr,
    pub(super) method: Method,
    pub(super) raw_query: String,
    /// Of the query, or of the form once that was read.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: http::HeaderMap,
    body: Option<Incoming>,
    pub(super) intent: Intent,
    pub(super) session: Option<Arc<LiveSession>>,
}

impl Call {
    /// Takes a request apart.
    pub(super) fn new(inbound: Inbound, session: Option<Arc<LiveSession>>) -> Self {
        let (client, peer) = (inbound.client(), inbound.peer());
        let raw_query = inbound.query().unwrap_or_default().to_owned();
        let (parts, body, _) = inbound.into_parts();
        Self {
            client,
            peer,
            intent: Intent::of(&parts.method, &parts.headers),
            method: parts.method,
            query: form_pairs(raw_query.as_bytes()),
            raw_query,
            headers: parts.headers,
            body: Some(body),
            session,
        }
    }

    /// The first parameter of this name, from the query or the form.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads the body as a form; its fields take the place of the query's.
    pub(super) async fn with_form(self) -> Result<Self, Box<Response<Body>>> {
        let (form, call) = self.with_body(FORM, MAX_FORM).await?;
        Ok(Self { query: form_pairs(&form), ..call })
    }

    /// Reads the body, which has to be of this media type and no longer than `limit` bytes.
    pub(super) async fn with_body(
        self,
        media_type: &str,
        limit: usize,
    ) -> Result<(Bytes, Self), Box<Response<Body>>> {
        let intent = self.intent;
        let refused =
            |sentence: &str| Err(Box::new(Problem::bad_form(sentence.to_owned()).into_response(intent)));
        if !self.is_of(media_type) {
            return refused(&format!("It must be sent as {media_type}."));
        }
        let Some(body) = self.body else { return refused("It has no body.") };
        let whole = tokio::time::timeout(FORM_PATIENCE, Limited::new(body, limit).collect());
        if let Ok(Ok(collected)) = whole.await {
            return Ok((collected.to_bytes(), Self { body: None, ..self }));
        }
        refused(&format!("It is larger than {} KiB, took too long, or broke off.", limit / 1024))
    }

    /// Whether the body says that it is of this media type, whatever its parameters.
    pub(super) fn is_of(&self, media_type: &str) -> bool {
        let written = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        written.is_some_and(|written| {
            written.split(';').next().unwrap_or(written).trim().eq_ignore_ascii_case(media_type)
        })
    }
}

fn form_pairs(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes)
        .take(64)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}
