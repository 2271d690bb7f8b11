//! What the admin API refuses, by the rule broken.

use serde_json::Value;

use super::permissions::Permission;
use crate::model::Fault;
use crate::platform::entropy::NoEntropy;
use crate::provision::connector::ConnectorError;
use crate::store::StoreError;

/// A call that was not done. The texts are for administrators, who may know; they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// SECURITY: DNS rebinding. A page of a foreign name that was made to point to loopback.
    #[error("the admin API does not answer for this host; add its name to admin.hosts if it should")]
    ForeignHost,
    /// SECURITY: another page of this browser, or the application beside narthex.
    #[error("the request comes from a page of another origin")]
    CrossOrigin,
    #[error("give a token: Authorization: Bearer …")]
    Unauthenticated,
    #[error("the token is not one of ours, was used, or has expired")]
    UnknownToken,
    #[error("too many wrong tokens came from this address; wait a minute")]
    TooManyFailures,
    #[error("this needs the permission {}, which the role {role} does not have", needs.as_str())]
    NotPermitted { needs: Permission, role: &'static str },
    /// F6, F7, E4.
    #[error("an administrator is needed for {what}, which is privileged")]
    BeyondGrant { what: String },
    #[error("there is nothing at this address")]
    UnknownPath,
    #[error("this address does not take this method")]
    UnknownMethod,
    #[error("{0}")]
    BadRequest(String),
    #[error("the body must be JSON: Content-Type: application/json")]
    NotJson,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("there is no {0}")]
    NoSuch(&'static str),
    #[error("say which version is to be changed: If-Match with the ETag that was read")]
    VersionNeeded,
    /// M4.
    #[error("somebody changed it meanwhile: it has the ETag {current} now; read it again")]
    VersionChanged { current: String },
    /// M4.
    #[error(
        "confirm it with the token of a preview of just this: yours, of this version, at most ten minutes old"
    )]
    Unconfirmed,
    #[error("{0}")]
    Conflict(String),
    /// What was sent is no sound configuration; `problems` as `narthex check --json` tells them.
    #[error("this cannot be taken as it stands; nothing was changed")]
    Unsound { problems: Vec<Value> },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl AdminError {
    /// Stable, for programs; the end of the problem's `type`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ForeignHost => "foreign_host",
            Self::CrossOrigin => "cross_origin",
            Self::Unauthenticated => "token_needed",
            Self::UnknownToken => "unknown_token",
            Self::TooManyFailures => "too_many_failures",
            Self::NotPermitted { .. } => "not_permitted",
            Self::BeyondGrant { .. } => "beyond_grant",
            Self::UnknownPath => "not_found",
            Self::UnknownMethod => "method_not_allowed",
            Self::BadRequest(_) => "bad_request",
            Self::NotJson => "not_json",
            Self::TooLarge { .. } => "too_large",
            Self::NoSuch(_) => "no_such_thing",
            Self::VersionNeeded => "version_needed",
            Self::VersionChanged { .. } => "version_changed",
            Self::Unconfirmed => "unconfirmed",
            Self::Conflict(_) => "conflict",
            Self::Unsound { .. } => "unsound",
            Self::Store(_) => "store_away",
            Self::Connector(_) => "application",
            Self::NoEntropy(_) => "no_entropy",
        }
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connector(_) => Fault::Application,
            Self::Store(_) | Self::NoEntropy(_) => Fault::Us,
            Self::ForeignHost
            | Self::CrossOrigin
            | Self::Unauthenticated
            | Self::UnknownToken
            | Self::TooManyFailures
            | Self::NotPermitted { .. }
            | Self::BeyondGrant { .. }
            | Self::UnknownPath
            | Self::UnknownMethod
            | Self::BadRequest(_)
            | Self::NotJson
            | Self::TooLarge { .. }
            | Self::NoSuch(_)
            | Self::VersionNeeded
            | Self::VersionChanged { .. }
            | Self::Unconfirmed
            | Self::Conflict(_)
            | Self::Unsound { .. } => Fault::Client,
        }
    }
}
