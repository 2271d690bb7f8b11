//! The authorization endpoint (OIDC Core 3.1.2, RFC 6749 4.1, RFC 7636): who is there, and a code for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use url::Url;

use crate::demo::web::{self, Params};
use crate::platform::entropy::NoEntropy;

use super::pages;
use super::saml;
use super::state::{CODE_LASTS, Chooser, Code, Provider, REQUEST_LASTS, Request, Session, Waiting};

/// Names the browser's session here.
pub(super) const COOKIE: &str = "demo_idp_session";

pub(super) async fn by_query(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    authorize(&provider, &headers, &query.unwrap_or_default())
}

/// OIDC Core 3.1.2.1: "Authorization Servers MUST support the use of the HTTP GET and POST methods".
pub(super) async fn by_form(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    authorize(&provider, &headers, &String::from_utf8_lossy(&form))
}

fn authorize(provider: &Provider, headers: &HeaderMap, encoded: &str) -> Response {
    provider.counters.authorize.fetch_add(1, Ordering::SeqCst);
    match checked(provider, encoded) {
        Ok((request, wish)) => answer(provider, headers, request, &wish).unwrap_or_else(pages::failed),
        Err(Refusal::Page(why)) => pages::refused(StatusCode::BAD_REQUEST, &why),
        Err(Refusal::Redirect { redirect_uri, state, error, why }) => {
            let state = state.as_deref();
            let parameters = [("error", Some(error)), ("error_description", Some(&*why)), ("state", state)];
            redirect(provider, &redirect_uri, &parameters)
        }
    }
}

/// What is wrong with a request, and who may be told.
enum Refusal {
    /// Client or redirect URI are in doubt.
    Page(String),
    Redirect {
        redirect_uri: String,
        state: Option<String>,
        error: &'static str,
        why: String,
    },
}

/// What the request says about the sign-in itself.
struct Wish {
    /// `prompt=none`: no page, whatever happens.
    silent: bool,
    /// `prompt=login` or `select_account`, or a session older than `max_age`: the page, whatever is known.
    ask: bool,
    max_age: Option<u64>,
}

fn checked(provider: &Provider, encoded: &str) -> Result<(Request, Wish), Refusal> {
    let parameters = Params::parse(encoded)
        .map_err(|name| Refusal::Page(format!("the parameter “{name}” stands there twice")))?;
    let at = |name| parameters.at(name);
    // RFC 6749, 4.1.2.1: where client or redirect URI are wrong, the server "MUST NOT automatically redirect
    // the user-agent to the invalid redirection URI".
    if at("client_id") != Some(&provider.client.id) {
        return Err(Refusal::Page("no client of this provider is named by client_id".to_owned()));
    }
    let Some(redirect_uri) = at("redirect_uri") else {
        return Err(Refusal::Page("redirect_uri is missing".to_owned()));
    };
    // OIDC Core 3.1.2.1: it "MUST exactly match one of the Redirection URI values for the Client
    // pre-registered at the OpenID Provider", by simple string comparison.
    if !provider.uris().redirect.iter().any(|known| known == redirect_uri) {
        return Err(Refusal::Page(format!(
            "the redirect URI {redirect_uri} is not registered for this client"
        )));
    }
    let refuse = |error, why: &str| Refusal::Redirect {
        redirect_uri: redirect_uri.to_owned(),
        state: at("state").map(str::to_owned),
        error,
        why: why.to_owned(),
    };
    if at("request").is_some() {
        return Err(refuse("request_not_supported", "request objects are not supported"));
    }
    if at("request_uri").is_some() {
        return Err(refuse("request_uri_not_supported", "request objects are not supported"));
    }
    match at("response_type") {
        Some("code") => {}
        Some(_) => return Err(refuse("unsupported_response_type", "only response_type=code is supported")),
        None => return Err(refuse("invalid_request", "response_type is missing")),
    }
    if at("response_mode").is_some_and(|mode| mode != "query") {
        return Err(refuse("invalid_request", "only response_mode=query is supported"));
    }
    let scope = parameters.text("scope");
    if !scope.split(' ').any(|one| one == "openid") {
        return Err(refuse("invalid_scope", "scope does not contain openid"));
    }
    // RFC 7636, 4.4.1. SECURITY: stricter than OIDC Core, as RFC 9700, 2.1.1 wants it: without PKCE a stolen
    // code can be redeemed through the real client by whoever injects it; `plain` shows the verifier.
    let challenge = match (at("code_challenge"), at("code_challenge_method")) {
        (Some(challenge), Some("S256")) if is_challenge(challenge) => challenge.to_owned(),
        (None, _) => return Err(refuse("invalid_request", "code_challenge is missing")),
        (Some(_), Some("S256")) => {
            return Err(refuse("invalid_request", "code_challenge is no SHA-256 digest in base 64"));
        }
        (Some(_), _) => return Err(refuse("invalid_request", "code_challenge_method must be S256")),
    };
    let max_age = match at("max_age").map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(seconds),
        Some(Err(_)) => return Err(refuse("invalid_request", "max_age is no number of seconds")),
    };
    let prompts: Vec<&str> = at("prompt").map(|text| text.split(' ').collect()).unwrap_or_default();
    let silent = prompts.contains(&"none");
    if silent && prompts.len() > 1 {
        return Err(refuse("invalid_request", "prompt=none stands with another value"));
    }
    let ask = prompts.iter().any(|prompt| matches!(*prompt, "login" | "select_account"));
    let request = Request {
        redirect_uri: redirect_uri.to_owned(),
        scope,
        state: at("state").map(str::to_owned),
        nonce: at("nonce").map(str::to_owned),
        challenge,
        login_hint: at("login_hint").map(str::to_owned),
    };
    Ok((request, Wish { silent, ask, max_age }))
}

/// 32 bytes in base 64 without padding.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn answer(
    provider: &Provider,
    headers: &HeaderMap,
    request: Request,
    wish: &Wish,
) -> Result<Response, NoEntropy> {
    let chooser = provider.chooser().clone();
    let chosen = match chooser {
        Chooser::Page => None,
        Chooser::LoginHint => request.login_hint.clone(),
        Chooser::Always(login) => Some(login),
    };
    if let Some(person) = chosen.and_then(|login| provider.person(&login)) {
        return signed_in(provider, headers, request, &person.login);
    }
    let now = provider.now();
    let session = web::cookie(headers, COOKIE).and_then(|id| provider.sessions().at(id, now).cloned());
    let fresh = session.filter(|session| {
        let age = now.since(session.auth_time).as_secs();
        !wish.ask
            && wish.max_age.is_none_or(|max_age| age <= max_age)
            && provider.person(&session.login).is_some()
    });
    match fresh {
        Some(session) => code(provider, request, session),
        None if wish.silent => {
            let state = request.state.as_deref();
            let parameters = [("error", Some("login_required")), ("state", state)];
            Ok(redirect(provider, &request.redirect_uri, &parameters))
        }
        None => {
            let id = provider.token()?;
            let hint = request.login_hint.clone();
            provider.waiting().put(id.clone(), Waiting::Oidc(request), now, REQUEST_LASTS);
            Ok(pages::chooser(provider, &id, hint.as_deref()))
        }
    }
}

/// Somebody said on the page who they are.
pub(super) async fn choose(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    if web::is_cross_site(&headers) {
        // SECURITY: another site's form could sign this browser in as somebody of its choice.
        return pages::refused(StatusCode::FORBIDDEN, "this form was sent by another site");
    }
    let Ok(parameters) = Params::parse(&String::from_utf8_lossy(&form)) else {
        return pages::refused(StatusCode::BAD_REQUEST, "a parameter stands there twice");
    };
    let Some(person) = parameters.at("person").and_then(|login| provider.person(login)) else {
        return pages::refused(StatusCode::BAD_REQUEST, "there is nobody of that name");
    };
    let waiting = parameters.at("request").and_then(|id| provider.waiting().take(id, provider.now()));
    match waiting {
        Some(Waiting::Oidc(request)) => {
            signed_in(&provider, &headers, request, &person.login).unwrap_or_else(pages::failed)
        }
        Some(Waiting::Saml(asked)) => saml::signed_in_as(&provider, &headers, &asked, &person.login),
        None => pages::refused(
            StatusCode::BAD_REQUEST,
            "this sign-in was used already or took too long; go back to the application and begin again",
        ),
    }
}

/// A session here, and the code.
fn signed_in(
    provider: &Provider,
    headers: &HeaderMap,
    request: Request,
    login: &str,
) -> Result<Response, NoEntropy> {
    let (id, session) = provider.begin_session(web::cookie(headers, COOKIE), login)?;
    let mut answer = code(provider, request, session)?;
    answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, Some(&id)));
    Ok(answer)
}

fn code(provider: &Provider, request: Request, session: Session) -> Result<Response, NoEntropy> {
    let code = provider.token()?;
    let parameters = [("code", Some(code.as_str())), ("state", request.state.as_deref())];
    let answer = redirect(provider, &request.redirect_uri, &parameters);
    let row = Code { request, session, used: false };
    provider.codes().put(code, row, provider.now(), CODE_LASTS);
    Ok(answer)
}

/// RFC 6749, 4.1.2, with `iss` (RFC 9207, 2). What the redirect URI has by way of query stays.
fn redirect(provider: &Provider, redirect_uri: &str, parameters: &[(&str, Option<&str>)]) -> Response {
    let Ok(mut url) = Url::parse(redirect_uri) else {
        return pages::refused(StatusCode::BAD_REQUEST, "the registered redirect URI is no URL");
    };
    {
        let mut query = url.query_pairs_mut();
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("iss", &provider.issuer);
    }
    web::see_other(url.as_str())
}
