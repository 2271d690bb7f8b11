//! The values that an expression sees: built once per session, with the request's own added per request.

use minijinja::Value;

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
    pub ip: std::net::IpAddr,
}

/// The variables of one evaluation.
#[derive(Debug, Clone)]
pub struct Context(pub(super) Value);

impl Context {
    /// Builds the session's part; cheap to clone afterwards.
    #[must_use]
    pub fn of_session(facts: SessionFacts<'_>) -> Self {
        let _ = facts;
        Self(Value::UNDEFINED)
    }

    /// Adds `request.*`.
    #[must_use]
    pub fn with_request(&self, request: RequestFacts<'_>) -> Self {
        let _ = request;
        self.clone()
    }
}
