//! The life of a request: its stages in order, and what becomes of it where one refuses.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;

use crate::authorise::{Refusal, Refused, Routes, authorise};
use crate::forward::Body;
use crate::forward::headers::Stripped;
use crate::forward::send::{ForwardError, Forwarder};
use crate::forward::trace::{Trace, Tracer};
use crate::identify::endpoints::Endpoints;
use crate::identify::intent::Intent;
use crate::identify::session::{CoreCache, LiveSession, Sessions};
use crate::listen::Inbound;
use crate::listen::accept::Serve;
use crate::listen::request::Frontage;
use crate::model::ReturnTo;
use crate::observe::audit::{Audit, Entry, Event};
use crate::observe::metrics::{RequestCounters, refusal, upstream_error};
use crate::platform::{Entropy, Tasks};
use crate::problem::Problem;

/// What all cores share, and no request writes to.
pub struct Shared {
    pub frontage: Frontage,
    pub routes: Routes,
    pub sessions: Arc<Sessions>,
    pub endpoints: Arc<Endpoints>,
    pub prefix: String,
    /// A request to this path ends the session (PROVISIONING.md E7).
    pub application_logout: Option<String>,
    pub entropy: Arc<dyn Entropy>,
    pub audit: Audit,
    /// Where sign-in and everything else that waits for others runs.
    pub cold: Tasks,
}

/// One core's own part.
pub struct Core {
    shared: Arc<Shared>,
    forwarder: Forwarder,
    sessions: Mutex<CoreCache>,
    tracer: Tracer,
    counters: RequestCounters,
}

impl Core {
    #[must_use]
    pub fn new(shared: Arc<Shared>, forwarder: Forwarder, seed: u64) -> Self {
        Self {
            shared,
            forwarder,
            sessions: Mutex::default(),
            tracer: Tracer::new(seed),
            counters: RequestCounters::new(),
        }
    }

    /// listen → identify → authorise → forward.
    async fn handle(&self, request: Request<Incoming>, peer: IpAddr, trace: &Trace) -> Response<Body> {
        let intent = Intent::of(request.method(), request.headers());
        let inbound = match Inbound::new(request, peer, &self.shared.frontage) {
            Ok(inbound) => inbound,
            Err(error) => {
                return self.refuse(Problem::from(&error), &error, trace).into_response(intent);
            }
        };
        let closing = inbound.ends_connection();
        let mut response = self.identified(inbound, intent, trace).await;
        if closing {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn identified(&self, inbound: Inbound, intent: Intent, trace: &Trace) -> Response<Body> {
        let identified = match self.shared.sessions.identify(inbound, &self.sessions).await {
            Ok(identified) => identified,
            Err(failed) => {
                return self.refuse(Problem::from(&failed.1), &failed.1, trace).into_response(intent);
            }
        };
        if identified.inbound().path().is_below(&self.shared.prefix) {
            self.counters.own.increment(1);
            let (inbound, session) = identified.into_parts();
            // Boxed, as all that few requests do: the future of a request stays small.
            return Box::pin(self.own(inbound, session)).await;
        }
        let logs_out = self.shared.application_logout.as_deref();
        let logs_out = logs_out.is_some_and(|path| identified.inbound().path().as_str() == path);
        match authorise(identified, &self.shared.routes) {
            Ok(permitted) if logs_out => Box::pin(self.forward_logout(permitted, intent, trace)).await,
            Ok(permitted) => self.forward(permitted, intent, trace).await,
            Err(refused) => self.refused(*refused, intent, trace),
        }
    }

    async fn forward(
        &self,
        permitted: crate::authorise::Permitted,
        intent: Intent,
        trace: &Trace,
    ) -> Response<Body> {
        let signed_in = permitted.session().is_some();
        let mut stripped = Stripped::default();
        let forwarded = self.forwarder.forward(permitted, trace, &mut stripped).await;
        self.note_stripped(stripped, trace);
        match forwarded {
            Ok(response) => {
                let class = if signed_in { &self.counters.signed_in } else { &self.counters.anonymous };
                class.increment(1);
                response
            }
            // Nobody is to blame: who waits here signs in again like everybody whose session has ended.
            Err(ForwardError::SessionEnded) => self.login_needed(intent, &ReturnTo::root()),
            Err(error) => {
                self.counters.upstream_error.increment(1);
                let problem = Problem::from(&error);
                let id = self.shared.entropy.error_id();
                upstream_error(problem.code());
                tracing::error!(
                    error_id = %id, request_id = %trace.request, code = problem.code(), %error,
                    "the application did not answer"
                );
                problem.with_id(id).into_response(intent)
            }
        }
    }

    /// E7: the application's own logout ends our session too.
    async fn forward_logout(
        &self,
        permitted: crate::authorise::Permitted,
        intent: Intent,
        trace: &Trace,
    ) -> Response<Body> {
        let session = permitted.session().cloned();
        let request_headers = permitted.headers().clone();
        let mut response = self.forward(permitted, intent, trace).await;
        let left = response.status().is_success() || response.status().is_redirection();
        if let Some(session) = session.filter(|_| left) {
            response.body_mut().outlive_session();
            let sessions = self.shared.sessions.clone();
            let hash = *session.hash();
            let ending = self.shared.cold.spawn(async move { sessions.end(&hash).await });
            if let Ok(Err(error)) = ending.await {
                tracing::warn!(%error, "a logout could not be told to the store yet");
            }
            self.shared.endpoints.end_in_browser(&request_headers, response.headers_mut());
            let content = session.content();
            let logout = Entry::new(Event::Logout).by_person(&content.idp, &content.subject);
            let logout = logout.field("where", "application");
            self.shared.audit.record(match session.account() {
                Some(account) => logout.member(account.member),
                None => logout,
            });
        }
        response
    }

    /// Sign-in and its like run on the cold side: a slow identity provider holds up no other request.
    async fn own(&self, inbound: Inbound, session: Option<Arc<LiveSession>>) -> Response<Body> {
        let endpoints = self.shared.endpoints.clone();
        match self.shared.cold.spawn(endpoints.handle(inbound, session)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(%error, "an endpoint ended early");
                Problem::internal("interrupted").into_response(Intent::Background)
            }
        }
    }

    fn refused(&self, refused: Refused, intent: Intent, trace: &Trace) -> Response<Body> {
        let Refused { inbound, why, .. } = refused;
        if why != Refusal::LoginNeeded {
            return self.refuse(Problem::from(&why), &why, trace).into_response(intent);
        }
        self.login_needed(intent, &return_to(&inbound))
    }

    fn login_needed(&self, intent: Intent, return_to: &ReturnTo) -> Response<Body> {
        self.counters.login_needed.increment(1);
        let login = self.shared.endpoints.login_path(return_to);
        match intent {
            Intent::Background => Problem::login_needed(login).into_response(intent),
            Intent::Navigation => redirect_to_login(&login),
        }
    }

    fn refuse(&self, problem: Problem, error: &(dyn std::error::Error + 'static), trace: &Trace) -> Problem {
        self.counters.refused.increment(1);
        refusal(problem.code());
        self.shared.audit.refused(Event::RequestsRefused, problem.code());
        tracing::info!(
            request_id = %trace.request, code = problem.code(), status = problem.status().as_u16(), error,
            "a request was refused"
        );
        problem
    }

    fn note_stripped(&self, stripped: Stripped, trace: &Trace) {
        if stripped.managed > 0 {
            self.counters.stripped_usual.increment(u64::from(stripped.managed));
        }
        if stripped.aliases > 0 {
            self.counters.stripped_alias.increment(u64::from(stripped.aliases));
            self.shared.audit.refused(Event::HeaderAliasRemoved, "header_alias");
            tracing::warn!(
                request_id = %trace.request, count = stripped.aliases,
                "a client sent an identity header under an unusual spelling; it was removed"
            );
        }
    }
}

impl Serve for Core {
    type Body = Body;

    async fn serve(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let trace = self.tracer.trace(request.headers());
        self.handle(request, peer, &trace).await
    }

    fn prune(&self) {
        self.forwarder.prune();
        self.shared.sessions.prune_core(&self.sessions);
    }
}

/// Where the login should lead back to: the page itself for a load, the page that the form was on for a
/// post, since a post cannot be gone to.
fn return_to(inbound: &Inbound) -> ReturnTo {
    let wanted = if inbound.method().is_safe() {
        ReturnTo::parse(&inbound.path_and_query())
    } else {
        let referer = inbound.headers().get(header::REFERER).and_then(|value| value.to_str().ok());
        let page = referer.and_then(|referer| url::Url::parse(referer).ok());
        page.and_then(|page| ReturnTo::parse(page.path()))
    };
    wanted.unwrap_or_else(ReturnTo::root)
}

/// No state, no cookie: only the login page itself writes any (lesson 35).
fn redirect_to_login(login: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::try_from(login) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
