//! Takes a permitted request to the application and brings its answer back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;

use super::body::{Body, RequestBody, Stream};
use super::headers::{Firewall, Said, Stripped, takes_trailers, wanted_upgrade};
use super::trace::Trace;
use super::upgrade::tunnel;
use super::upstream::{Upstream, UpstreamError};
use crate::authorise::Permitted;
use crate::identify::session::LiveSession;
use crate::model::SessionHash;
use crate::platform::Tasks;

/// How long one core uses one token (DESIGN.md: made at most once per session, core and 30 s).
pub const TOKEN_REUSE: Duration = Duration::from_secs(30);

/// Makes an upstream token for a session; `None` where it cannot be made, and then the request does not go.
pub type MintToken = dyn Fn(&LiveSession) -> Option<HeaderValue> + Send + Sync;

/// One core's way to the application.
pub struct Forwarder {
    upstream: Upstream,
    firewall: Arc<Firewall>,
    token: Option<(HeaderName, Arc<MintToken>)>,
    tokens: Mutex<HashMap<SessionHash, (HeaderValue, tokio::time::Instant)>>,
    tasks: Tasks,
}

/// A request that was not answered by the application.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the upstream token could not be made")]
    Token,
    #[error("the path cannot be put into a request line")]
    Target,
    #[error("the session ended before the application answered")]
    SessionEnded,
    #[error("the application switched to another protocol than was asked for")]
    WrongProtocol,
}

impl Forwarder {
    #[must_use]
    pub fn new(
        upstream: Upstream,
        firewall: Arc<Firewall>,
        token: Option<(HeaderName, Arc<MintToken>)>,
        tasks: Tasks,
    ) -> Self {
        Self { upstream, firewall, token, tokens: Mutex::default(), tasks }
    }

    /// Forwards. `stripped` is told what was taken from the client's headers, whatever comes of it.
    ///
    /// # Errors
    /// [`ForwardError`]; nothing of the application's has been answered then.
    pub async fn forward(
        &self,
        permitted: Permitted,
        trace: &Trace,
        stripped: &mut Stripped,
    ) -> Result<Response<Body>, ForwardError> {
        let (inbound, session, passes_identity) = permitted.into_parts();
        // SECURITY: what answers at some paths may be other people's code, which could sign in as its visitor with a token.
        let named = session.as_deref().filter(|_| passes_identity);
        let token = match (&self.token, named) {
            (Some((name, mint)), Some(session)) => Some((name, self.token_for(session, mint)?)),
            _ => None,
        };
        let client = inbound.client();
        let target = inbound.target().map_err(|_| ForwardError::Target)?;
        let (mut parts, incoming, _) = inbound.into_parts();
        let upgrade = wanted_upgrade(&parts.headers, parts.version);
        let client_upgrade = upgrade.is_some().then(|| parts.extensions.remove::<OnUpgrade>()).flatten();
        let said = Said {
            client,
            request_id: trace.id_value.clone(),
            traceparent: trace.parent_value.clone(),
            identity: named.map_or(&[][..], LiveSession::headers),
            token,
            upgrade: upgrade.clone().filter(|_| client_upgrade.is_some()),
            trailers: takes_trailers(&parts.headers),
            session: session.as_deref().map(LiveSession::hash),
        };
        *stripped = self.firewall.rewrite(&mut parts.headers, said);

        let body = RequestBody::new(incoming, session.clone(), self.firewall.clone());
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = parts.headers;
        let (mut response, lease) = self.upstream.send(request).await?;

        // SECURITY: lesson 38. It may have ended while the application was thinking.
        if session.as_ref().is_some_and(|session| session.has_ended()) {
            return Err(ForwardError::SessionEnded);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, upgrade.as_ref(), client_upgrade, session);
        }
        self.firewall.clean_response(response.headers_mut(), session.as_deref().map(LiveSession::hash));
        let (head, incoming) = response.into_parts();
        let mut answer =
            Response::new(Body::Stream(Stream::new(incoming, lease, session, self.firewall.clone())));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }

    /// Answers `101` and joins both sides, if that was what the client asked for.
    fn switch(
        &self,
        mut response: Response<hyper::body::Incoming>,
        wanted: Option<&HeaderValue>,
        client: Option<OnUpgrade>,
        session: Option<Arc<LiveSession>>,
    ) -> Result<Response<Body>, ForwardError> {
        let agreed = response.headers().get(header::UPGRADE).cloned();
        let same = match (wanted, &agreed) {
            (Some(wanted), Some(agreed)) => wanted.as_bytes().eq_ignore_ascii_case(agreed.as_bytes()),
            _ => false,
        };
        let (true, Some(protocol), Some(client)) = (same, agreed, client) else {
            return Err(ForwardError::WrongProtocol);
        };
        let upstream = hyper::upgrade::on(&mut response);
        self.firewall.clean_response(response.headers_mut(), session.as_deref().map(LiveSession::hash));
        let mut answer = Response::new(Body::Empty);
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(header::UPGRADE, protocol);
        let stop = self.tasks.stopping().clone();
        self.tasks.spawn(tunnel(client, upstream, session, stop));
        Ok(answer)
    }

    /// The session's token, made anew when it is 30 s old.
    fn token_for(&self, session: &LiveSession, mint: &Arc<MintToken>) -> Result<HeaderValue, ForwardError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, made)) = tokens.get(session.hash())
            && made.elapsed() < TOKEN_REUSE
        {
            return Ok(token.clone());
        }
        let token = mint(session).ok_or(ForwardError::Token)?;
        tokens.insert(*session.hash(), (token.clone(), tokio::time::Instant::now()));
        Ok(token)
    }

    /// Lets go of idle connections and old tokens.
    pub fn prune(&self) {
        self.upstream.prune();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, made)| made.elapsed() < TOKEN_REUSE);
    }
}
