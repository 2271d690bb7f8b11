//! One call to an admin API: where it may go, how it is signed in, and what its answer comes to.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value as Json;
use url::Url;

use crate::model::Secret;
use crate::platform::Outbound;
use crate::platform::outbound::OutboundError;
use crate::provision::ConnectorError;

use super::auth::{Auth, Token, Way};
use super::encode::{self, Unsafe};
use super::mask;

/// The admin API of one application: everything below one base URL and nothing else.
pub(in crate::provision) struct Api {
    outbound: Outbound,
    base: Url,
    auth: Auth,
}

/// A login call on its way.
pub(in crate::provision) type LogIn<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Token, ConnectorError>> + Send + 'a>>;

/// A request whose parts are encoded already, except for query and body, which their writers encode.
#[derive(Debug)]
pub(in crate::provision) struct Call {
    pub(in crate::provision) method: Method,
    /// Below the base URL; starts with `/`, or is empty for the base URL itself.
    pub(in crate::provision) path: String,
    pub(in crate::provision) query: Vec<(String, String)>,
    pub(in crate::provision) headers: Vec<(HeaderName, HeaderValue)>,
    pub(in crate::provision) body: Body,
}

#[derive(Debug)]
pub(in crate::provision) enum Body {
    None,
    Json(Json),
    Form(Vec<(String, String)>),
    /// As it is; its content type stands in the call's headers.
    Text(String),
}

/// An answer, with what is needed to speak of it.
pub(in crate::provision) struct Answered {
    pub(in crate::provision) operation: &'static str,
    pub(in crate::provision) status: StatusCode,
    pub(in crate::provision) headers: HeaderMap,
    pub(in crate::provision) body: Vec<u8>,
    secrets: Vec<Secret>,
}

impl Call {
    pub(in crate::provision) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: Body::None }
    }

    #[must_use]
    pub(in crate::provision) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub(in crate::provision) fn json(mut self, body: Json) -> Self {
        self.body = Body::Json(body);
        self
    }

    #[must_use]
    pub(in crate::provision) fn text(mut self, body: String) -> Self {
        self.body = Body::Text(body);
        self
    }

    #[must_use]
    pub(in crate::provision) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Api {
    pub(in crate::provision) fn new(outbound: Outbound, base: Url, auth: Auth) -> Self {
        Self { outbound, base, auth }
    }

    pub(in crate::provision) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Sends `call` with `header` as the credential. `more` are secrets beside the credential that must not
    /// show in an excerpt.
    pub(in crate::provision) async fn send(
        &self,
        operation: &'static str,
        call: &Call,
        header: Option<(HeaderName, HeaderValue)>,
        more: &[Secret],
    ) -> Result<Answered, ConnectorError> {
        let mut request = self.outbound.request(call.method.clone(), self.url(operation, call)?);
        if !call.headers.iter().any(|(name, _)| name == http::header::ACCEPT) {
            request = request.header(http::header::ACCEPT, "application/json");
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some((name, mut value)) = header {
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request = match &call.body {
            Body::None => request,
            // The content type stands in the call's headers where it is not the usual one (SCIM).
            Body::Json(json) if call.headers.iter().any(|(name, _)| name == http::header::CONTENT_TYPE) => {
                request.body(json.to_string())
            }
            Body::Json(json) => request.json(json),
            Body::Form(pairs) => request.form(pairs),
            Body::Text(text) => request.body(text.clone()),
        };
        let answer = self.outbound.send(request).await.map_err(|error| unreachable(operation, error))?;
        let secrets = self.auth.secrets().into_iter().chain(more.iter().cloned()).collect();
        Ok(Answered { operation, status: answer.status, headers: answer.headers, body: answer.body, secrets })
    }

    /// Sends `call` with the credential; with a fresh token once more where a fetched one is refused. `log_in`
    /// is for the credential that needs it.
    pub(in crate::provision) async fn signed_in<'a, L>(
        &'a self,
        operation: &'static str,
        call: &Call,
        more: &[Secret],
        log_in: L,
    ) -> Result<Answered, ConnectorError>
    where
        L: Fn(&'a str, &'a Secret) -> LogIn<'a> + Send + Sync,
    {
        let (header, token) = self.credential(operation, None, &log_in).await?;
        let answer = self.send(operation, call, header, more).await?;
        let Some(refused) = token.filter(|_| answer.status == StatusCode::UNAUTHORIZED) else {
            return Ok(answer);
        };
        // The token ended earlier than was said. A call that was refused for it took no effect.
        let (header, _) = self.credential(operation, Some(&refused), &log_in).await?;
        self.send(operation, call, header, more).await
    }

    /// The header that signs a call in, and the fetched token in it, where it is one.
    async fn credential<'a, L>(
        &'a self,
        operation: &'static str,
        refused: Option<&Secret>,
        log_in: &L,
    ) -> Result<(Option<(HeaderName, HeaderValue)>, Option<Secret>), ConnectorError>
    where
        L: Fn(&'a str, &'a Secret) -> LogIn<'a> + Send + Sync,
    {
        let auth = &self.auth;
        let token = match &auth.way {
            Way::None => return Ok((None, None)),
            Way::Fixed(name, value) => return Ok((Some((name.clone(), value.clone())), None)),
            Way::ClientCredentials(client) => {
                auth.token(refused, auth.client_credentials(&self.outbound, client)).await?
            }
            Way::Login { username, password } => auth.token(refused, log_in(username, password)).await?,
        };
        let value = auth.form.value(&token);
        let value = value.ok_or_else(|| unsendable(operation, "the token cannot be sent in a header"))?;
        Ok((Some((auth.form.header.clone(), value)), Some(token)))
    }

    /// The one place that makes a URL: the base's origin always, the base's path in front always.
    fn url(&self, operation: &'static str, call: &Call) -> Result<Url, ConnectorError> {
        let path = match call.path.as_str() {
            "" => self.base.path().to_owned(),
            below => format!("{}{below}", self.base.path().trim_end_matches('/')),
        };
        let mut url = self.base.clone();
        url.set_path(&path);
        // SECURITY: a parser that still found something to normalise would send the request elsewhere.
        if url.path() != path {
            return Err(unsendable(operation, "the path would be read differently on the way"));
        }
        if !call.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &call.query {
                let value = encode::query(value).map_err(|error| unsafe_value(operation, error))?;
                pairs.append_pair(name, value);
            }
        }
        Ok(url)
    }
}

pub(in crate::provision) fn unsendable(operation: &'static str, what: impl Into<String>) -> ConnectorError {
    ConnectorError::Unsendable { operation, what: what.into() }
}

pub(in crate::provision) fn unsafe_value(operation: &'static str, error: Unsafe) -> ConnectorError {
    unsendable(operation, error.to_string())
}

pub(in crate::provision) fn unreachable(operation: &'static str, error: OutboundError) -> ConnectorError {
    match error {
        OutboundError::Unreachable { origin, reason, timed_out, connected } => {
            let reason = if timed_out {
                format!("{origin} gave no answer in time")
            } else {
                format!("{origin}: {reason}")
            };
            ConnectorError::Unreachable { operation, reason, sent: connected }
        }
        OutboundError::TooLarge { origin, .. } => ConnectorError::Unexpected {
            operation,
            status: 0,
            expected: format!("at most {} bytes", crate::platform::outbound::MAX_ANSWER),
            excerpt: format!("a larger answer from {origin}"),
        },
        OutboundError::Setup(reason) => ConnectorError::Unreachable { operation, reason, sent: false },
    }
}

impl Answered {
    pub(in crate::provision) fn excerpt(&self) -> String {
        mask::excerpt(&self.body, &self.secrets)
    }

    pub(in crate::provision) fn unexpected(&self, expected: impl Into<String>) -> ConnectorError {
        ConnectorError::Unexpected {
            operation: self.operation,
            status: self.status.as_u16(),
            expected: expected.into(),
            excerpt: self.excerpt(),
        }
    }

    /// What a status that is no success comes to unless the recipe says otherwise.
    pub(in crate::provision) fn refusal(&self) -> ConnectorError {
        let (operation, status) = (self.operation, self.status.as_u16());
        match status {
            401 | 403 => ConnectorError::Credential { operation, status, excerpt: self.excerpt() },
            // SECURITY: "no such account" leads to creating one. A page of something else that answers on
            // this address (a wrong base URL, a proxy's own 404) must not be read as that.
            404 | 410 if self.body.is_empty() || self.is_json() => ConnectorError::NotFound { operation },
            404 | 410 => self.unexpected("a JSON answer; is the application's url the base of its API?"),
            409 => ConnectorError::Conflict { operation, excerpt: self.excerpt() },
            429 | 503 => ConnectorError::Busy { operation, after: self.retry_after() },
            300..=399 => self.unexpected("no redirect (none is followed)"),
            400..=599 => ConnectorError::Refused { operation, status, excerpt: self.excerpt() },
            _ => self.unexpected("another status"),
        }
    }

    pub(in crate::provision) fn is_json(&self) -> bool {
        let content_type = self.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    }

    /// The body as JSON (A4: declared as such, and valid).
    pub(in crate::provision) fn json(&self) -> Result<Json, ConnectorError> {
        if !self.is_json() {
            return Err(self.unexpected("a JSON answer"));
        }
        serde_json::from_slice(&self.body).map_err(|_| self.unexpected("valid JSON"))
    }

    /// RFC 9110, 10.2.3: seconds, or a date, which is left to the caller's own backoff.
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}
