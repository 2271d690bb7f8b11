//! A small identity provider by OpenID Connect and SAML: one client, a few people, everything in memory.
//!
//! It is a demo and a test partner, and is read as an example; so it keeps to the specifications and refuses
//! what they refuse. It does not authenticate anybody: whoever opens its page chooses who to be. It listens
//! on loopback only.

mod authorize;
mod faults;
mod keys;
mod logout;
mod pages;
pub mod saml;
mod state;
mod token;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;

use crate::model::Secret;
use crate::platform::{Platform, Tasks};

pub use faults::Fault;
pub use keys::{Algorithm, KeyFailure};
pub use state::{Calls, Chooser};

use self::saml::DemoSaml;
use self::state::Provider;
use super::people::Person;
use super::{DemoError, web};

/// The running provider. Clones are the same provider.
#[derive(Clone)]
pub struct DemoIdp {
    provider: Arc<Provider>,
}

impl DemoIdp {
    /// Serves on `listener`, which must be bound to loopback, until `tasks` are asked to stop. Client id and
    /// secret are made here.
    ///
    /// # Errors
    /// Where the listener has no address or no key can be made.
    pub fn start(listener: TcpListener, platform: &Platform, tasks: &Tasks) -> Result<Self, DemoError> {
        let host = listener.local_addr().map_err(DemoError::Listen)?.ip().to_string();
        Self::named(&host, listener, platform, tasks)
    }

    /// The same under another name of loopback, such as `localhost`: to a browser that is another site than
    /// 127.0.0.1, as a provider is to an application everywhere but on one machine.
    ///
    /// # Errors
    /// As [`DemoIdp::start`].
    pub fn named(
        host: &str,
        listener: TcpListener,
        platform: &Platform,
        tasks: &Tasks,
    ) -> Result<Self, DemoError> {
        let address = listener.local_addr().map_err(DemoError::Listen)?;
        if !address.ip().is_loopback() {
            return Err(DemoError::NotLoopback { address });
        }
        let issuer = format!("http://{host}:{}", address.port());
        let provider = Arc::new(Provider::new(issuer, platform.clone())?);
        super::server::serve(listener, router(Arc::clone(&provider)), Arc::clone(&provider.switches), tasks);
        Ok(Self { provider })
    }

    /// `iss`, exactly as it stands in discovery document and tokens.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    pub fn client_id(&self) -> &str {
        &self.provider.client.id
    }

    pub fn client_secret(&self) -> &Secret {
        &self.provider.client.secret
    }

    /// Allows one redirect URI and one for after logout, each to be matched exactly. May be called again for
    /// further ones.
    pub fn register(&self, redirect_uri: &str, post_logout_redirect_uri: &str) {
        let mut uris = self.provider.uris();
        uris.redirect.push(redirect_uri.to_owned());
        uris.post_logout.push(post_logout_redirect_uri.to_owned());
    }

    /// The same provider, as SAML knows it.
    pub fn saml(&self) -> &DemoSaml {
        &self.provider.saml
    }

    /// Changes the person, for the logins to come; adds them where there is nobody of that name.
    pub fn edit(&self, login: &str, change: impl FnOnce(&mut Person)) {
        let mut people = self.provider.people();
        if let Some(person) = people.iter_mut().find(|person| person.login == login) {
            change(person);
        } else {
            let mut person = Person::new(login);
            change(&mut person);
            people.push(person);
        }
    }

    pub fn person(&self, login: &str) -> Option<Person> {
        self.provider.person(login)
    }

    /// Who decides who signs in: a person with the page, or the test.
    pub fn set_chooser(&self, chooser: Chooser) {
        *self.provider.chooser() = chooser;
    }

    /// Forgets every session of its own: the next login asks again who is there.
    pub fn end_all_sessions(&self) {
        self.provider.sessions().retain(|_| false);
    }

    pub fn calls(&self) -> Calls {
        self.provider.counters.read()
    }

    /// While down, connections are dropped without an answer.
    pub fn set_down(&self, down: bool) {
        self.provider.switches.set_down(down);
    }

    /// Every answer waits this long.
    pub fn set_slow(&self, delay: Duration) {
        self.provider.switches.set_slow(delay);
    }

    /// Signs with a fresh key from now on, which is published at once. `forget`: the older ones are no longer
    /// published.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn rotate_keys(&self, algorithm: Algorithm, forget: bool) -> Result<(), KeyFailure> {
        self.provider.keys().rotate(algorithm, forget)
    }

    /// ID tokens carry only what they must; claims about the person come from userinfo alone.
    pub fn set_thin_id_tokens(&self, thin: bool) {
        self.provider.thin_id_tokens.store(thin, Ordering::SeqCst);
    }

    pub fn set_fault(&self, fault: Fault) {
        *self.provider.fault() = fault;
    }
}

fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/choose", post(authorize::choose))
        .route("/people/{login}", post(pages::edit_person))
        .route("/token", post(token::token))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .route("/jwks", get(jwks))
        .route("/end_session", get(logout::by_query).post(logout::by_form))
        .merge(saml::router())
        .layer(DefaultBodyLimit::max(web::MAX_FORM))
        .fallback(pages::not_found)
        .with_state(provider)
}

/// OIDC Discovery 1.0, 3 and 4.2.
async fn discovery(State(provider): State<Arc<Provider>>) -> Response {
    provider.counters.discovery.fetch_add(1, Ordering::SeqCst);
    let issuer = &provider.issuer;
    web::json(
        StatusCode::OK,
        &json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "end_session_endpoint": format!("{issuer}/end_session"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "scopes_supported": ["openid", "profile", "email"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "claims_supported": [
                "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "acr", "amr", "name",
                "given_name", "family_name", "preferred_username", "email", "email_verified", "groups", "role",
            ],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "authorization_response_iss_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        }),
    )
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    provider.counters.jwks.fetch_add(1, Ordering::SeqCst);
    match provider.keys().jwks() {
        Ok(set) => {
            let mut answer = web::json(StatusCode::OK, &set);
            answer
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
            answer
        }
        Err(failure) => {
            web::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": failure.to_string() }))
        }
    }
}

#[cfg(test)]
mod tests;
