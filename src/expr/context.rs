//! What an expression may look at: a session's facts, and a request's beside them.

use std::net::IpAddr;
use std::sync::Arc;

use super::typed::Facts;
use crate::model::session::SessionAccount;
use crate::model::{Claims, Grant, IdpId, Subject};

/// What a session, or an identity about to become one, says.
#[derive(Debug, Clone, Copy)]
pub struct SessionFacts<'a> {
    pub idp: &'a IdpId,
    pub subject: &'a Subject,
    pub claims: &'a Claims,
    pub account: Option<&'a SessionAccount>,
    pub grant: &'a Grant,
}

/// What a request says; from the canonical path and the proven client address only.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub ip: IpAddr,
}

/// The facts of one evaluation, owned. Where the facts are at hand anyway, [`super::Condition::holds_for`] and
/// [`super::Template::render_for`] take them by reference and copy nothing.
#[derive(Debug, Clone)]
pub struct Context {
    session: Arc<OwnedSession>,
    request: Option<OwnedRequest>,
}

#[derive(Debug)]
struct OwnedSession {
    idp: IdpId,
    subject: Subject,
    claims: Claims,
    account: Option<SessionAccount>,
    grant: Grant,
}

#[derive(Debug, Clone)]
struct OwnedRequest {
    method: Arc<str>,
    path: Arc<str>,
    ip: IpAddr,
}

impl Context {
    /// Builds the session's part; cheap to clone afterwards.
    #[must_use]
    pub fn of_session(facts: SessionFacts<'_>) -> Self {
        let session = OwnedSession {
            idp: facts.idp.clone(),
            subject: facts.subject.clone(),
            claims: facts.claims.clone(),
            account: facts.account.cloned(),
            grant: facts.grant.clone(),
        };
        Self { session: Arc::new(session), request: None }
    }

    /// Adds `request.*`.
    #[must_use]
    pub fn with_request(&self, request: RequestFacts<'_>) -> Self {
        let request =
            OwnedRequest { method: request.method.into(), path: request.path.into(), ip: request.ip };
        Self { session: Arc::clone(&self.session), request: Some(request) }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        let session = &*self.session;
        Facts {
            session: SessionFacts {
                idp: &session.idp,
                subject: &session.subject,
                claims: &session.claims,
                account: session.account.as_ref(),
                grant: &session.grant,
            },
            request: self.request.as_ref().map(|request| RequestFacts {
                method: &request.method,
                path: &request.path,
                ip: request.ip,
            }),
        }
    }
}
