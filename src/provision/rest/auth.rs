//! How the admin API knows us: fixed headers, or a token that is fetched, kept until it ends and fetched
//! again when it is refused.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value as Json;
use url::Url;

use crate::model::{Secret, UnixTime};
use crate::platform::{Clock, Outbound};
use crate::provision::ConnectorError;

use super::call::unreachable;
use super::{encode, mask};

/// A token is fetched anew this many seconds before it ends, so that it does not end on its way.
const MARGIN: i64 = 30;
/// How long a token is kept whose end was not said.
const UNKNOWN_LIFE: i64 = 300;

/// The header that a bearer token stands in.
#[derive(Debug, Clone)]
pub(in crate::provision) struct BearerForm {
    pub(in crate::provision) header: HeaderName,
    /// Before the token, blank included: `Bearer `, `token `, or nothing.
    pub(in crate::provision) prefix: String,
}

impl Default for BearerForm {
    fn default() -> Self {
        Self { header: http::header::AUTHORIZATION, prefix: "Bearer ".to_owned() }
    }
}

impl BearerForm {
    pub(in crate::provision) fn value(&self, token: &Secret) -> Option<HeaderValue> {
        encode::header(&format!("{}{}", self.prefix, token.expose())).ok()
    }
}

/// How one connector signs in.
pub(in crate::provision) struct Auth {
    pub(in crate::provision) way: Way,
    pub(in crate::provision) form: BearerForm,
    pub(in crate::provision) clock: Arc<dyn Clock>,
    /// Everything that must never be seen in an excerpt.
    known: Vec<Secret>,
    token: tokio::sync::Mutex<Option<Token>>,
    /// The token's text once more, readable without waiting, to mask it.
    current: Mutex<Option<Secret>>,
}

pub(in crate::provision) enum Way {
    None,
    Fixed(HeaderName, HeaderValue),
    ClientCredentials(ClientCredentials),
    /// Fetched by the recipe's `login` operation.
    Login {
        username: String,
        password: Secret,
    },
}

pub(in crate::provision) struct ClientCredentials {
    pub(in crate::provision) token_url: Url,
    pub(in crate::provision) client_id: String,
    pub(in crate::provision) client_secret: Secret,
    pub(in crate::provision) scope: Option<String>,
}

/// A fetched token.
#[derive(Clone)]
pub(in crate::provision) struct Token {
    pub(in crate::provision) value: Secret,
    pub(in crate::provision) until: UnixTime,
}

impl Token {
    pub(in crate::provision) fn new(value: Secret, lifetime: Option<i64>, now: UnixTime) -> Self {
        let lifetime = lifetime.unwrap_or(UNKNOWN_LIFE);
        Self { value, until: UnixTime(now.0.saturating_add(lifetime.saturating_sub(MARGIN).max(0))) }
    }
}

pub(in crate::provision) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

impl Auth {
    pub(in crate::provision) fn new(
        way: Way,
        form: BearerForm,
        clock: Arc<dyn Clock>,
        known: Vec<Secret>,
    ) -> Self {
        Self { way, form, clock, known, token: tokio::sync::Mutex::new(None), current: Mutex::new(None) }
    }

    pub(in crate::provision) fn secrets(&self) -> Vec<Secret> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.known.iter().cloned().chain(current).collect()
    }

    /// The kept token; else what `fetch` gives. One caller fetches, the others wait for it. A token equal to
    /// `refused` counts as ended.
    pub(in crate::provision) async fn token<F>(
        &self,
        refused: Option<&Secret>,
        fetch: F,
    ) -> Result<Secret, ConnectorError>
    where
        F: Future<Output = Result<Token, ConnectorError>>,
    {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref()
            && token.until > self.clock.now()
            && refused.is_none_or(|refused| refused.expose() != token.value.expose())
        {
            return Ok(token.value.clone());
        }
        let fresh = fetch.await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.value.clone());
        *kept = Some(fresh.clone());
        Ok(fresh.value)
    }

    /// OAuth 2.0 client credentials grant (RFC 6749, 4.4).
    pub(in crate::provision) async fn client_credentials(
        &self,
        outbound: &Outbound,
        client: &ClientCredentials,
    ) -> Result<Token, ConnectorError> {
        const OPERATION: &str = "fetch an access token";
        // RFC 6749, 2.3.1: both are form-encoded before they are joined.
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let authorization = basic(&encoded(&client.client_id), &encoded(client.client_secret.expose()));
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(client.scope.as_deref().map(|scope| ("scope", scope)));
        let request = outbound
            .request(Method::POST, client.token_url.clone())
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::AUTHORIZATION, authorization.as_str())
            .form(&form);
        let answer = outbound.send(request).await.map_err(|error| unreachable(OPERATION, error))?;
        let status = answer.status.as_u16();
        let mut secrets = self.secrets();
        secrets.push(Secret::new(authorization.trim_start_matches("Basic ")));
        let excerpt = || mask::excerpt(&answer.body, &secrets);
        if matches!(status, 429 | 503) {
            return Err(ConnectorError::Busy { operation: OPERATION, after: None });
        }
        // RFC 6749, 5.2: 400 with `error`, or 401 for the client's own authentication.
        if matches!(status, 400 | 401 | 403) {
            return Err(ConnectorError::Credential { operation: OPERATION, status, excerpt: excerpt() });
        }
        let unexpected = |expected: &str| ConnectorError::Unexpected {
            operation: OPERATION,
            status,
            expected: expected.to_owned(),
            // What answers 200 here may be a token; nothing of it is shown.
            excerpt: if answer.status.is_success() { "[masked]".to_owned() } else { excerpt() },
        };
        let json: Json = serde_json::from_slice(&answer.body).map_err(|_| unexpected("a token answer"))?;
        let text = |key: &str| json.get(key).and_then(Json::as_str);
        if !answer.status.is_success()
            || !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
        {
            return Err(unexpected("a token of the type Bearer"));
        }
        let token = text("access_token").filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| unexpected("`access_token`"))?;
        let lifetime = json.get("expires_in").and_then(Json::as_i64);
        Ok(Token::new(Secret::new(token), lifetime, self.clock.now()))
    }
}
