//! The SCIM 2.0 service provider (RFC 7643, RFC 7644), for `provisioning.mode = "scim"`.
//!
//! ```text
//! listener ──▶ tokens ──▶ endpoints ──▶ directory ──▶ store
//! ```
//!
//! `protocol/` says what documents, filters and operations mean and does no I/O; `directory` keeps them; `endpoints`
//! know paths, methods and headers; the listener below reads requests within limits and asks for the token first.

mod directory;
mod endpoints;
pub mod protocol;
mod rendering;
mod search;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use self::directory::Directory;
use self::endpoints::{Answer, Asked};
use self::protocol::error::ScimError;
use self::tokens::Tokens;
use crate::config::settings::Scim;
use crate::listen::accept::Serve;
use crate::observe::audit::{Audit, Event};
use crate::platform::{Platform, Tasks};
use crate::store::Store;

/// Where everything is, on the listener.
pub const PREFIX: &str = "/scim/v2";
/// Bytes of one request's body.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// A body is read within this time.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What answers on the SCIM listener.
pub struct ScimServer {
    directory: Arc<Directory>,
    tokens: Tokens,
    /// As `scim.public_url` says, with the prefix.
    base: Option<String>,
    /// Without that.
    scheme: &'static str,
    audit: Audit,
    cold: Tasks,
}

impl ScimServer {
    /// Keeps what it is told in `store`; the work is done on `cold`.
    #[must_use]
    pub fn new(
        settings: &Scim,
        store: Arc<dyn Store>,
        platform: Platform,
        audit: Audit,
        cold: Tasks,
    ) -> Self {
        let base = settings.public_url.as_ref();
        Self {
            directory: Arc::new(Directory::new(store, platform, audit.clone())),
            audit,
            scheme: if settings.tls.is_some() { "https" } else { "http" },
            tokens: Tokens::new(&settings.tokens),
            base: base.map(|url| format!("{}{PREFIX}", url.as_str().trim_end_matches('/'))),
            cold,
        }
    }

    async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
    {
        let (head, body) = request.into_parts();
        // SECURITY: before anything of the body is read.
        if !self.tokens.admit(&head.headers) {
            self.audit.refused(Event::ScimRefused, "token");
            return Answer::error(&ScimError::Unauthorized);
        }
        let base = self.base.clone().or_else(|| said_base(self.scheme, &head));
        let base = base.unwrap_or_else(|| PREFIX.to_owned());
        let body = match read(body).await {
            Ok(body) => body,
            Err(error) => return Answer::error(&error),
        };
        let asked = Asked { method: head.method, uri: head.uri, headers: head.headers, body, base };
        let directory = self.directory.clone();
        // A write that has begun is done even where the client goes away meanwhile.
        let work = self.cold.spawn(async move { endpoints::answer(&directory, asked).await });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a SCIM request ended by a panic");
            Answer::error(&ScimError::Unavailable)
        })
    }
}

impl Serve for ScimServer {
    type Body = Full<Bytes>;

    async fn serve(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answer = self.answer(request).await;
        tracing::debug!(%method, path, %peer, status = answer.status.as_u16(), "SCIM request");
        respond(answer)
    }

    fn prune(&self) {}
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let text = answer.body.map(|body| body.to_string()).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    *headers = answer.headers;
    // Personal data, for whoever asked and nobody else.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if answer.status == StatusCode::UNAUTHORIZED {
        // RFC 6750, 3.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scim\""));
    }
    response
}

async fn read<B>(body: B) -> Result<Bytes, ScimError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let limited = Limited::new(body, MAX_BODY).collect();
    match tokio::time::timeout(BODY_TIME, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ScimError::TooLarge(MAX_BODY))
        }
        Ok(Err(_)) | Err(_) => Err(ScimError::InvalidSyntax("the body did not arrive whole".to_owned())),
    }
}

/// Without `scim.public_url`: as the client calls this server. It is told to the same client only, who has a token.
fn said_base(scheme: &str, head: &Parts) -> Option<String> {
    // RFC 9113, 8.3.1: HTTP/2 has the authority in the target.
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(header::HOST)?.to_str().ok()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    (!host.is_empty() && host.chars().all(plain)).then(|| format!("{scheme}://{host}{PREFIX}"))
}
