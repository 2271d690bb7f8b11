//! The proof that a request may reach the application.

use std::sync::Arc;

use super::Routes;
use crate::config::settings::Access;
use crate::expr::{Condition, RequestFacts};
use crate::identify::session::{Identified, LiveSession};
use crate::listen::Inbound;
use crate::listen::path::PathError;

/// A request that its route lets through, with the session if there is one. Made only by [`authorise`].
pub struct Permitted {
    inbound: Inbound,
    session: Option<Arc<LiveSession>>,
    passes_identity: bool,
}

impl Permitted {
    #[must_use]
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        self.session.as_ref()
    }

    /// The client's own headers.
    #[must_use]
    pub fn headers(&self) -> &http::HeaderMap {
        self.inbound.headers()
    }

    /// Hands on what the next stage needs; last, whether the application may be told whose session it is.
    #[must_use]
    pub fn into_parts(self) -> (Inbound, Option<Arc<LiveSession>>, bool) {
        (self.inbound, self.session, self.passes_identity)
    }
}

/// A request that goes no further, with what the answer needs of it.
pub struct Refused {
    pub inbound: Inbound,
    pub session: Option<Arc<LiveSession>>,
    pub why: Refusal,
}

/// Why a request was not permitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the route needs a signed-in user")]
    LoginNeeded,
    #[error("the route is closed to everyone")]
    Denied,
    #[error("the route's expression does not hold for this session")]
    NotAllowed,
    /// SECURITY: an expression that cannot be evaluated denies (invariant 6).
    #[error("the route's expression could not be evaluated: {0}")]
    CannotTell(String),
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Decides on the canonical path, the session and the proven facts of the request; on nothing that a client
/// header says (SECURITY.md, invariant 5).
///
/// # Errors
/// [`Refused`], whatever goes wrong.
pub fn authorise(identified: Identified, routes: &Routes) -> Result<Permitted, Box<Refused>> {
    let (inbound, session) = identified.into_parts();
    match decide(&inbound, session.as_deref(), routes) {
        Ok(passes_identity) => Ok(Permitted { inbound, session, passes_identity }),
        Err(why) => Err(Box::new(Refused { inbound, session, why })),
    }
}

/// Gives what the route says of passing identity.
fn decide(inbound: &Inbound, session: Option<&LiveSession>, routes: &Routes) -> Result<bool, Refusal> {
    let route = routes.route(inbound.path())?;
    match (&route.access, session) {
        (Access::Public, _) | (Access::SignedIn, Some(_)) => {}
        (Access::Deny, _) => return Err(Refusal::Denied),
        (Access::SignedIn | Access::Allow(_), None) => return Err(Refusal::LoginNeeded),
        (Access::Allow(condition), Some(session)) => {
            // SECURITY: lesson 10. The condition has to hold for whatever the upstream may read the path as.
            holds(condition, session, inbound, inbound.path().as_str())?;
            inbound.path().other_readings().try_for_each(|path| holds(condition, session, inbound, &path))?;
        }
    }
    Ok(route.pass_identity)
}

fn holds(condition: &Condition, session: &LiveSession, inbound: &Inbound, path: &str) -> Result<(), Refusal> {
    let facts = RequestFacts { method: inbound.method().as_str(), path, ip: inbound.client() };
    match condition.holds(&session.context().with_request(facts)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::NotAllowed),
        Err(error) => Err(Refusal::CannotTell(error.to_string())),
    }
}
