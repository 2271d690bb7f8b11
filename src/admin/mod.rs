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
pub mod sessions;
pub mod settings;
pub mod status;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::routing::{MethodFilter, on};
use http::{HeaderValue, Response, header};
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::call::{Call, MAX_BODY};
use self::confirm::Confirmations;
use self::door::Door;
pub use self::error::AdminError;
use self::invites::Desk;
use self::live::Live;
use self::principal::Principals;
use self::routes::{Access, ROUTES, Route};
use crate::config::Settings;
use crate::identify::session::Sessions;
use crate::model::IdpId;
use crate::observe::Audit;
use crate::observe::audit::Event;
use crate::platform::{KeyRing, Platform};
use crate::problem::Problem;
use crate::provision::{Connector, Provisioner};
use crate::store::Store;

/// What the admin API works with.
pub struct Admin {
    door: Door,
    principals: Principals,
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
        }
    }

    /// Serves until `stop`.
    pub async fn serve(self: Arc<Self>, listener: tokio::net::TcpListener, stop: CancellationToken) {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener ended");
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
            .fallback(async |State(admin): State<Arc<Self>>, request: Request| {
                let (head, _) = request.into_parts();
                refused(&admin.door.admit(&head).err().unwrap_or(AdminError::UnknownPath))
            })
            .method_not_allowed_fallback(async |State(admin): State<Arc<Self>>, request: Request| {
                let (head, _) = request.into_parts();
                refused(&admin.door.admit(&head).err().unwrap_or(AdminError::UnknownMethod))
            })
            .with_state(self)
    }

    async fn handle(
        &self,
        route: &'static Route,
        client: IpAddr,
        parts: Option<RawPathParams>,
        request: Request,
    ) -> Response<Body> {
        match self.called(route, client, parts, request).await {
            Ok(answer) => dressed(answer.into_response()),
            Err(error) => {
                match &error {
                    AdminError::Store(_) | AdminError::NoEntropy(_) | AdminError::Connector(_) => {
                        tracing::error!(operation = route.operation, %error, "an admin call failed");
                    }
                    error => {
                        tracing::debug!(operation = route.operation, %client, %error, "an admin call was refused");
                        self.audit.refused(Event::AdministratorRefused, error.code());
                    }
                }
                refused(&error)
            }
        }
    }

    async fn called(
        &self,
        route: &'static Route,
        client: IpAddr,
        parts: Option<RawPathParams>,
        request: Request,
    ) -> Result<Answer, AdminError> {
        let (head, body) = request.into_parts();
        self.door.admit(&head)?;
        let by = match route.access {
            Access::Anybody => None,
            Access::Recognised => Some(self.principals.recognise(&head.headers, client)?),
            Access::Needs(needs) => {
                let by = self.principals.recognise(&head.headers, client)?;
                if !needs.is_of(by.role()) {
                    return Err(AdminError::NotPermitted { needs, role: by.role().as_str() });
                }
                Some(by)
            }
        };
        let parts = parts.ok_or(AdminError::UnknownPath)?;
        let path = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = call::query(head.uri.query().unwrap_or_default(), route)?;
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| AdminError::TooLarge { limit: MAX_BODY })?;
        let call = Call { by, path, query, headers: head.headers, body, client };
        (route.act)(self, &call).await
    }
}

fn refused(error: &AdminError) -> Response<Body> {
    let problem = Problem::from(error);
    dressed(problem.into_response(crate::identify::intent::Intent::Background).map(Body::new))
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
