//! A loopback admin API: answers by a function, remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::Value as Json;

use crate::config::settings::{Application, Credential};
use crate::model::{Account, AccountId, AccountProfile, Entitlements, Secret};
use crate::platform::{Outbound, Platform, Tasks};
use crate::provision::catalogue;
use crate::provision::connector::Connector;
use crate::provision::rest::error::RecipeError;
use crate::provision::rest::recipe::Recipe;

/// One request as it came in.
#[derive(Debug, Clone)]
pub(in crate::provision) struct Seen {
    pub(in crate::provision) method: String,
    /// Path and query, as sent.
    pub(in crate::provision) target: String,
    pub(in crate::provision) headers: http::HeaderMap,
    pub(in crate::provision) body: String,
}

impl Seen {
    pub(in crate::provision) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(in crate::provision) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(in crate::provision) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What to answer.
pub(in crate::provision) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub(in crate::provision) fn json(status: u16, body: &Json) -> Self {
        Self::text(status, "application/json; charset=utf-8", &body.to_string())
    }

    pub(in crate::provision) fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.to_owned() }
    }

    pub(in crate::provision) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(in crate::provision) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

pub(in crate::provision) struct Fake {
    pub(in crate::provision) url: url::Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(in crate::provision) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        let service = axum::Router::new().fallback(move |request: Request| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let target = parts.uri.path_and_query().unwrap().as_str();
                let seen = Seen {
                    method: parts.method.to_string(),
                    target: target.strip_prefix("/base").expect("below the base").to_owned(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                log.lock().unwrap().push(seen.clone());
                let reply = answer(&seen);
                let mut response = Response::builder().status(reply.status);
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).unwrap()
            }
        });
        Tasks::on(tokio::runtime::Handle::current())
            .spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { url, seen }
    }

    pub(in crate::provision) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and target of everything that came in.
    pub(in crate::provision) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(in crate::provision) fn connector(&self, name: &str) -> Arc<dyn Connector> {
        let application = self.application(name, Credential::Bearer(Secret::new("the-admin-token")));
        catalogue::connector(&application, Outbound::new(b"").unwrap(), Platform::system()).unwrap()
    }

    pub(in crate::provision) fn with_recipe(
        &self,
        recipe: &str,
        credential: Credential,
    ) -> Result<Arc<dyn Connector>, RecipeError> {
        self.on(recipe, credential, Platform::system())
    }

    pub(in crate::provision) fn on(
        &self,
        recipe: &str,
        credential: Credential,
        platform: Platform,
    ) -> Result<Arc<dyn Connector>, RecipeError> {
        let recipe = Recipe::parse("toy.toml", recipe)?;
        let application = self.application("toy", credential);
        catalogue::assemble(recipe, &application, Outbound::new(b"").unwrap(), platform)
    }

    fn application(&self, connector: &str, credential: Credential) -> Application {
        Application { connector: connector.to_owned(), url: self.url.clone(), credential }
    }
}

pub(in crate::provision) fn account(id: &str, username: &str) -> Account {
    Account {
        id: AccountId(id.to_owned()),
        profile: AccountProfile { username: username.to_owned(), ..AccountProfile::default() },
        active: true,
        privileged: false,
        entitlements: Entitlements::default(),
    }
}
