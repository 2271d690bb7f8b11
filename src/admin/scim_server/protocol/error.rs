//! What a SCIM client is told when something cannot be done (RFC 7644, 3.12).

use serde_json::{Value as Json, json};

pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A request that is refused, or that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    #[error("the filter cannot be used: {0}")]
    InvalidFilter(String),
    #[error("{0}")]
    TooMany(String),
    #[error("{0}")]
    Uniqueness(String),
    #[error("{0}")]
    Mutability(String),
    #[error("the request cannot be read: {0}")]
    InvalidSyntax(String),
    #[error("the path cannot be used: {0}")]
    InvalidPath(String),
    #[error("there is nothing at the path: {0}")]
    NoTarget(String),
    #[error("{0}")]
    InvalidValue(String),
    /// No such token.
    #[error("a bearer token of this server is needed")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("there is no {0}")]
    NotFound(String),
    #[error("{method} is not possible here; possible: {possible}")]
    Method { method: String, possible: &'static str },
    #[error("the resource was changed meanwhile: its version is another; read it again")]
    VersionMismatch,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("a body of the type application/scim+json is expected")]
    MediaType,
    #[error("{0}")]
    NotImplemented(&'static str),
    /// Nothing that the client did; the log says what.
    #[error("this cannot be done just now; try again later")]
    Unavailable,
}

impl ScimError {
    /// RFC 7644, 3.12, tables 8 and 9.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidFilter(_)
            | Self::TooMany(_)
            | Self::Mutability(_)
            | Self::InvalidSyntax(_)
            | Self::InvalidPath(_)
            | Self::NoTarget(_)
            | Self::InvalidValue(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::Method { .. } => 405,
            Self::Uniqueness(_) => 409,
            Self::VersionMismatch => 412,
            Self::TooLarge(_) => 413,
            Self::MediaType => 415,
            Self::NotImplemented(_) => 501,
            Self::Unavailable => 503,
        }
    }

    #[must_use]
    pub fn scim_type(&self) -> Option<&'static str> {
        match self {
            Self::InvalidFilter(_) => Some("invalidFilter"),
            Self::TooMany(_) => Some("tooMany"),
            Self::Uniqueness(_) => Some("uniqueness"),
            Self::Mutability(_) => Some("mutability"),
            Self::InvalidSyntax(_) => Some("invalidSyntax"),
            Self::InvalidPath(_) => Some("invalidPath"),
            Self::NoTarget(_) => Some("noTarget"),
            Self::InvalidValue(_) => Some("invalidValue"),
            Self::Unauthorized
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::Method { .. }
            | Self::VersionMismatch
            | Self::TooLarge(_)
            | Self::MediaType
            | Self::NotImplemented(_)
            | Self::Unavailable => None,
        }
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut body = json!({
            "schemas": [ERROR],
            // RFC 7644, 3.12: the status as a string.
            "status": self.status().to_string(),
            "detail": self.to_string(),
        });
        if let (Some(kind), Some(object)) = (self.scim_type(), body.as_object_mut()) {
            object.insert("scimType".to_owned(), Json::from(kind));
        }
        body
    }
}
