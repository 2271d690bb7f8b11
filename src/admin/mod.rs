//! The admin API: its own listener, its own authentication, every call from one table.
//!
//! [`routes`] has the calls, [`permissions`] who may make them, [`openapi`] the document made of both. A call goes
//! through the `door` (is it meant for this listener?), then its [`principal`] is recognised, then the permission is
//! looked up, and only then is its body read.

pub mod answer;
pub mod audit;
pub mod call;
pub mod cases;
mod confirm;
pub mod connector;
pub mod console;
mod door;
mod error;
pub mod identity;
pub mod invites;
pub mod live;
pub mod members;
pub mod openapi;
pub mod permissions;
pub mod principal;
pub mod refusals;
pub mod routes;
pub mod scim_server;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod status;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::routing::{MethodFilter, on};
use http::request::Parts as Head;
use http::{HeaderValue, Response, header};

use self::answer::Answer;
use self::call::{Call, MAX_BODY};
use self::confirm::Confirmations;
use self::console::Console;
use self::door::Door;
pub use self::error::AdminError;
use self::invites::Desk;
use self::live::Live;
use self::principal::{Principal, Principals};
use self::routes::{Access, ROUTES, Route};
use crate::config::Settings;
use crate::identify::intent::Intent;
use crate::identify::session::Sessions;
use crate::model::{ErrorId, IdpId};
use crate::observe::Audit;
use crate::observe::audit::{Entry, Event};
use crate::platform::{KeyRing, Platform};
use crate::problem::Problem;
use crate::provision::{Connector, Provisioner};
use crate::store::Store;

/// See [`Admin::body_time`].
const BODY_TIME: Duration = Duration::from_secs(30);

/// What the admin API works with.
pub struct Admin {
    door: Door,
    principals: Principals,
    console: Option<Console>,
    store: Arc<dyn Store>,
    sessions: Arc<Sessions>,
    connector: Option<Arc<dyn Connector>>,
    providers: Vec<Provider>,
    live: Arc<Live>,
    provisioner: Arc<Provisioner>,
    confirmations: Confirmations,
    desk: Desk,
    audit: Audit,
    platform: Platform,
    /// A body is read within this time.
    body_time: Duration,
}

/// An identity provider, as far as administration is concerned.
struct Provider {
    id: IdpId,
    label: String,
    protocol: &'static str,
    is_ready: Arc<IsReady>,
}

impl Provider {
    /// Whether its metadata or discovery document was read.
    fn is_ready(&self) -> bool {
        (self.is_ready)(&self.id)
    }
}

/// Whether an identity provider's metadata or discovery document was read.
pub type IsReady = dyn Fn(&IdpId) -> bool + Send + Sync;

/// What the admin API is made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    /// Where administrators sign in at identity providers.
    pub console: Option<Console>,
    pub sessions: Arc<Sessions>,
    /// `None` without an `[application]`.
    pub connector: Option<Arc<dyn Connector>>,
    pub live: Arc<Live>,
    pub provisioner: Arc<Provisioner>,
    pub is_ready: Arc<IsReady>,
    pub keys: KeyRing,
    pub audit: Audit,
    pub platform: Platform,
}

impl Admin {
    /// `listen`: where the listener is.
    #[must_use]
    pub fn new(settings: &Settings, listen: IpAddr, parts: Parts) -> Self {
        let providers = settings.idps.iter().map(|idp| Provider {
            id: idp.id().clone(),
            label: idp.label().to_owned(),
            protocol: idp.protocol(),
            is_ready: parts.is_ready.clone(),
        });
        let desk = Desk::new(
            settings,
            parts.store.clone(),
            parts.connector.clone(),
            parts.live.clone(),
            parts.platform.clone(),
        );
        Self {
            door: Door::new(listen, settings.admin.hosts.clone()),
            principals: Principals::new(&settings.admin.tokens, &parts.keys, parts.platform.clone()),
            console: parts.console,
            store: parts.store,
            sessions: parts.sessions,
            connector: parts.connector,
            providers: providers.collect(),
            live: parts.live,
            provisioner: parts.provisioner,
            confirmations: Confirmations::new(&parts.keys),
            desk,
            audit: parts.audit,
            platform: parts.platform,
            body_time: BODY_TIME,
        }
    }

    /// Every route of the table.
    fn router(self: Arc<Self>) -> Router {
        let mut router = Router::new();
        for route in ROUTES {
            let Ok(method) = MethodFilter::try_from(route.method.clone()) else { continue };
            let handler = move |State(admin): State<Arc<Self>>,
                                client: ConnectInfo<SocketAddr>,
                                parts: Result<RawPathParams, RawPathParamsRejection>,
                                request: Request| async move {
                admin.handle(route, client.0.ip(), parts.ok(), request).await
            };
            router = router.route(&format!("/api/v1{}", route.path), on(method, handler));
        }
        router
            .fallback(
                async |State(admin): State<Arc<Self>>, client: ConnectInfo<SocketAddr>, request: Request| {
                    admin.elsewhere(client.0.ip(), request).await
                },
            )
            .method_not_allowed_fallback(async |State(admin): State<Arc<Self>>, request: Request| {
                admin.nowhere(&request.into_parts().0, AdminError::UnknownMethod)
            })
            .with_state(self)
    }

    /// The pages of administrators' sign-in, where that is set up.
    async fn elsewhere(&self, client: IpAddr, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        if let Some(console) = &self.console
            && self.door.admit_page(&head, console::pages::is_answer(&head)).is_ok()
            && let Some(response) = console::pages::answer_page(self, console, (&head, body), client).await
        {
            return response;
        }
        self.nowhere(&head, AdminError::UnknownPath)
    }

    /// What no route takes.
    fn nowhere(&self, head: &Head, error: AdminError) -> Response<Body> {
        let error = self.door.admit(head).err().unwrap_or(error);
        self.audit.refused(Event::AdministratorRefused, error.code());
        refused(&error)
    }

    async fn handle(
        &self,
        route: &'static Route,
        client: IpAddr,
        parts: Option<RawPathParams>,
        request: Request,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let by = match self.admitted(route, client, &head).await {
            Ok(by) => by,
            Err(error) => return self.turned_away(route, client, None, &error),
        };
        match self.called(route, client, parts, (by.clone(), head, body)).await {
            Ok(answer) => dressed(answer.into_response()),
            Err(error) => self.turned_away(route, client, by.as_ref(), &error),
        }
    }

    /// Who asks, where the route needs to know.
    async fn admitted(
        &self,
        route: &Route,
        client: IpAddr,
        head: &Head,
    ) -> Result<Option<Principal>, AdminError> {
        self.door.admit(head)?;
        match route.access {
            Access::Anybody => Ok(None),
            Access::Recognised | Access::Needs(_) => self.recognised(client, head).await.map(Some),
        }
    }

    /// By the token that came; where none did, by the session.
    async fn recognised(&self, client: IpAddr, head: &Head) -> Result<Principal, AdminError> {
        if let Some(console) = &self.console
            && !head.headers.contains_key(header::AUTHORIZATION)
            && let Some(person) = console.recognise(head).await?
        {
            return Ok(person);
        }
        self.principals.recognise(&head.headers, client)
    }

    async fn called(
        &self,
        route: &'static Route,
        client: IpAddr,
        parts: Option<RawPathParams>,
        (by, head, body): (Option<Principal>, Head, Body),
    ) -> Result<Answer, AdminError> {
        if let Access::Needs(needs) = route.access {
            let role = by.as_ref().ok_or(AdminError::Unauthenticated)?.role();
            if !needs.is_of(role) {
                return Err(AdminError::NotPermitted { needs, role: role.as_str() });
            }
        }
        let parts = parts.ok_or(AdminError::UnknownPath)?;
        let path = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = call::query(head.uri.query().unwrap_or_default(), route)?;
        let whole = tokio::time::timeout(self.body_time, to_bytes(body, MAX_BODY)).await;
        let body = whole.map_err(|_| AdminError::TooSlow { seconds: self.body_time.as_secs() })?;
        let body = body.map_err(|_| AdminError::TooLarge { limit: MAX_BODY })?;
        let call = Call { by, path, query, headers: head.headers, body, client };
        (route.act)(self, &call).await
    }

    /// S3: whoever is known and tries what they may not is in the log by name; whoever is not is counted.
    fn turned_away(
        &self,
        route: &Route,
        client: IpAddr,
        by: Option<&Principal>,
        error: &AdminError,
    ) -> Response<Body> {
        let operation = route.operation;
        match (error, by) {
            (AdminError::Store(_) | AdminError::NoEntropy(_) | AdminError::Connector(_), _) => {
                tracing::error!(operation, %error, "an admin call failed");
            }
            (AdminError::NotPermitted { .. } | AdminError::BeyondGrant { .. }, Some(by)) => {
                let entry = Entry::new(Event::AdministratorRefused).by(by.actor()).from(client);
                self.audit.record(entry.code(error.code()).field("operation", operation));
            }
            (error, _) => {
                tracing::debug!(operation, %client, %error, "an admin call was refused");
                self.audit.refused(Event::AdministratorRefused, error.code());
            }
        }
        refused(error)
    }
}

fn refused(error: &AdminError) -> Response<Body> {
    dressed(refused_to(error, Intent::Background, None))
}

/// The refusal in the form that suits who asked.
fn refused_to(error: &AdminError, intent: Intent, id: Option<ErrorId>) -> Response<Body> {
    let problem = Problem::from(error);
    let problem = match id {
        Some(id) => problem.with_id(id),
        None => problem,
    };
    problem.into_response(intent).map(Body::new)
}

/// What every answer carries.
fn dressed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // SECURITY: an answer that a browser is led to open shows nothing and runs nothing.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
