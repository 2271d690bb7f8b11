//! The end-session endpoint (OIDC RP-Initiated Logout 1.0).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use url::Url;

use crate::demo::web::{self, Params};

use super::authorize::COOKIE;
use super::pages;
use super::state::Provider;

pub(super) async fn by_query(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    end_session(&provider, &headers, &query.unwrap_or_default(), false)
}

/// Section 2: "OpenID Providers MUST support the use of the HTTP GET and POST methods".
pub(super) async fn by_form(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    end_session(&provider, &headers, &String::from_utf8_lossy(&form), !web::is_cross_site(&headers))
}

/// `own_form`: this may be the form of our own page, which says `confirmed`.
fn end_session(provider: &Provider, headers: &HeaderMap, encoded: &str, own_form: bool) -> Response {
    provider.counters.end_session.fetch_add(1, Ordering::SeqCst);
    let Ok(parameters) = Params::parse(encoded) else {
        return pages::refused(StatusCode::BAD_REQUEST, "a parameter stands there twice");
    };
    let hint = match parameters.at("id_token_hint") {
        None => None,
        Some(token) => match provider.keys().own_claims(token) {
            Some(claims) => Some(claims),
            None => {
                return pages::refused(
                    StatusCode::BAD_REQUEST,
                    "id_token_hint was not issued by this provider",
                );
            }
        },
    };
    let hinted =
        |name: &str| hint.as_ref().and_then(|claims| claims.get(name)).and_then(|value| value.as_str());
    let client = parameters.at("client_id").or_else(|| hinted("aud"));
    if client.is_some_and(|client| client != provider.client.id)
        || hinted("aud").is_some_and(|audience| Some(audience) != client)
    {
        // Section 2, client_id: "the OP MUST verify that the Client Identifier matches the one used when
        // issuing the ID Token".
        return pages::refused(StatusCode::BAD_REQUEST, "client_id is not the one of id_token_hint");
    }
    let target = match parameters.at("post_logout_redirect_uri") {
        None => None,
        // Section 3: "the OP MUST NOT perform post-logout redirection" unless the URI exactly matches a
        // registered one of a client that is known.
        Some(uri) => {
            if client.is_none() || !provider.uris().post_logout.iter().any(|known| known == uri) {
                return pages::refused(
                    StatusCode::BAD_REQUEST,
                    "post_logout_redirect_uri is not registered, or nothing says for which client",
                );
            }
            Some(uri)
        }
    };
    let id = web::cookie(headers, COOKIE);
    let session = id.and_then(|id| provider.sessions().at(id, provider.now()).cloned());
    // Section 2: "the OP SHOULD ask the End-User whether to log out of the OP as well", and MUST where no
    // hint was given or it does not belong to the session: else any page could log anybody out.
    let certain = session.as_ref().is_none_or(|session| hinted("sid") == Some(&session.sid));
    let confirmed = own_form && parameters.at("confirmed") == Some("yes");
    if !certain && !confirmed {
        return pages::confirm_logout(&parameters);
    }
    if let Some(id) = id {
        provider.sessions().take(id, provider.now());
    }
    let mut answer = match target.map(Url::parse) {
        Some(Ok(mut url)) => {
            if let Some(state) = parameters.at("state") {
                url.query_pairs_mut().append_pair("state", state);
            }
            web::see_other(url.as_str())
        }
        Some(Err(_)) | None => pages::signed_out(&[]),
    };
    answer.headers_mut().append(header::SET_COOKIE, web::session_cookie(COOKIE, None));
    answer
}
