//! The token endpoint (OIDC Core 3.1.3) and userinfo (5.3).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{RawForm, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::demo::people::Person;
use crate::demo::web::{self, Params};
use crate::platform::crypto::sha256;

use super::keys::encode;
use super::state::{AccessToken, Code, Provider, TOKEN_LASTS};

pub(super) async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    provider.counters.token.fetch_add(1, Ordering::SeqCst);
    match redeem(&provider, &headers, &String::from_utf8_lossy(&form)) {
        Ok(tokens) => web::json(StatusCode::OK, &tokens),
        Err(refusal) => refusal.answer(),
    }
}

/// RFC 6749, 5.2.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    InvalidRequest(&'static str),
    /// The client tried the `Authorization` header.
    InvalidClient {
        by_header: bool,
    },
    InvalidGrant(&'static str),
    UnsupportedGrantType,
    ServerError,
}

impl Refusal {
    fn answer(self) -> Response {
        let (status, error, why) = match self {
            Self::InvalidRequest(why) => (StatusCode::BAD_REQUEST, "invalid_request", why),
            Self::InvalidClient { .. } => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "client id or secret are wrong or missing")
            }
            Self::InvalidGrant(why) => (StatusCode::BAD_REQUEST, "invalid_grant", why),
            Self::UnsupportedGrantType => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", "only authorization_code is supported")
            }
            Self::ServerError => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no token could be made")
            }
        };
        let mut answer = web::json(status, &json!({ "error": error, "error_description": why }));
        if self == (Self::InvalidClient { by_header: true }) {
            // RFC 6749, 5.2: the scheme that the client used.
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"demo\""));
        }
        answer
    }
}

fn redeem(provider: &Provider, headers: &HeaderMap, form: &str) -> Result<Value, Refusal> {
    let parameters =
        Params::parse(form).map_err(|_| Refusal::InvalidRequest("a parameter stands there twice"))?;
    authenticate_client(provider, headers, &parameters)?;
    match parameters.at("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err(Refusal::UnsupportedGrantType),
        None => return Err(Refusal::InvalidRequest("grant_type is missing")),
    }
    let id = parameters.at("code").ok_or(Refusal::InvalidRequest("code is missing"))?;
    let code = spend(provider, id)?;
    // RFC 6749, 4.1.3: "if the redirect_uri parameter was included in the authorization request", which it
    // always is here, "their values MUST be identical".
    if parameters.at("redirect_uri") != Some(&code.request.redirect_uri) {
        return Err(Refusal::InvalidGrant("redirect_uri is not the one of the authorization request"));
    }
    let verifier = parameters.at("code_verifier").ok_or(Refusal::InvalidGrant("code_verifier is missing"))?;
    // RFC 7636, 4.1 and 4.6.
    if !is_verifier(verifier)
        || !web::same_secret(&encode(&sha256(verifier.as_bytes())), &code.request.challenge)
    {
        return Err(Refusal::InvalidGrant("code_verifier does not fit the code_challenge"));
    }
    let person =
        provider.person(&code.session.login).ok_or(Refusal::InvalidGrant("the person is no longer known"))?;
    let access_token = provider.token().map_err(|_| Refusal::ServerError)?;
    let claims = id_token_claims(provider, &code, &person, &access_token);
    let id_token =
        provider.fault().clone().sign(&provider.keys(), claims).map_err(|_| Refusal::ServerError)?;
    let row = AccessToken { login: person.login, scope: code.request.scope.clone(), code: id.to_owned() };
    provider.access_tokens().put(access_token.clone(), row, provider.now(), TOKEN_LASTS);
    let mut tokens = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LASTS.as_secs(),
        "scope": code.request.scope,
    });
    if let (Some(tokens), Some(id_token)) = (tokens.as_object_mut(), id_token) {
        tokens.insert("id_token".into(), id_token.into());
    }
    Ok(tokens)
}

/// OIDC Core 9, `client_secret_basic` and `client_secret_post`.
fn authenticate_client(provider: &Provider, headers: &HeaderMap, parameters: &Params) -> Result<(), Refusal> {
    let (id, secret, by_header) = if headers.contains_key(header::AUTHORIZATION) {
        // RFC 6749, 2.3: "The client MUST NOT use more than one authentication method in each request."
        if parameters.at("client_secret").is_some() {
            return Err(Refusal::InvalidRequest("the client authenticates in two ways"));
        }
        let (id, secret) = basic(headers).ok_or(Refusal::InvalidClient { by_header: true })?;
        if parameters.at("client_id").is_some_and(|named| named != id) {
            return Err(Refusal::InvalidClient { by_header: true });
        }
        (id, secret, true)
    } else {
        (parameters.text("client_id"), parameters.text("client_secret"), false)
    };
    let client = &provider.client;
    if id == client.id && web::same_secret(&secret, client.secret.expose()) {
        Ok(())
    } else {
        Err(Refusal::InvalidClient { by_header })
    }
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(web::scheme(headers, "basic")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((web::form_decoded(id)?, web::form_decoded(secret)?))
}

/// Marks the code as used.
fn spend(provider: &Provider, id: &str) -> Result<Code, Refusal> {
    let mut codes = provider.codes();
    let code = codes
        .at_mut(id, provider.now())
        .ok_or(Refusal::InvalidGrant("the code is unknown or its time is over"))?;
    if code.used {
        // RFC 6749, 4.1.2: "If an authorization code is used more than once, the authorization server MUST
        // deny the request and SHOULD revoke (when possible) all tokens previously issued based on that
        // authorization code."
        provider.access_tokens().retain(|token| token.code != id);
        return Err(Refusal::InvalidGrant("the code was used already"));
    }
    code.used = true;
    Ok(code.clone())
}

fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// OIDC Core 2 and 3.1.3.6.
fn id_token_claims(
    provider: &Provider,
    code: &Code,
    person: &Person,
    access_token: &str,
) -> Map<String, Value> {
    let now = provider.now();
    let mut claims = Map::new();
    claims.insert("iss".into(), provider.issuer.clone().into());
    claims.insert("aud".into(), provider.client.id.clone().into());
    claims.insert("exp".into(), now.after(TOKEN_LASTS).0.into());
    claims.insert("iat".into(), now.0.into());
    claims.insert("auth_time".into(), code.session.auth_time.0.into());
    if let Some(nonce) = &code.request.nonce {
        claims.insert("nonce".into(), nonce.clone().into());
    }
    claims.insert("acr".into(), "0".into());
    claims.insert("amr".into(), json!(["user"]));
    claims.insert("sid".into(), code.session.sid.clone().into());
    // The left half of the digest of the access token.
    let digest = sha256(access_token.as_bytes());
    claims.insert("at_hash".into(), encode(digest.split_at(16).0).into());
    if provider.thin_id_tokens.load(Ordering::SeqCst) {
        claims.insert("sub".into(), person.subject.clone().into());
    } else {
        claims.extend(person.claims(&code.request.scope));
    }
    claims
}

pub(super) async fn userinfo(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    provider.counters.userinfo.fetch_add(1, Ordering::SeqCst);
    let now = provider.now();
    let claims = web::bearer(&headers)
        .and_then(|token| provider.access_tokens().at(token, now).cloned())
        .and_then(|token| Some(provider.person(&token.login)?.claims(&token.scope)));
    if let Some(claims) = claims {
        return web::json(StatusCode::OK, &Value::Object(claims));
    }
    let mut answer = web::json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
    // RFC 6750, 3.1.
    answer.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"demo\", error=\"invalid_token\""),
    );
    answer
}
