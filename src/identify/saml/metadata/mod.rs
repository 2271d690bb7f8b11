//! Metadata of both sides (SAML Metadata 2.0): what identity providers say of themselves, and what we say of us.

pub mod duration;
pub mod error;
pub mod plain;
pub mod read;
pub mod select;
pub mod source;
pub mod write;

#[cfg(test)]
mod testing;

use std::time::Duration;

use url::Url;

use super::keys::VerifyingKey;
use crate::model::UnixTime;

pub use error::MetadataError;

/// An identity provider by its metadata: what sign-in and logout need, each checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpMetadata {
    pub entity_id: String,
    /// At least one; several while keys are rolled over.
    pub signing_keys: Vec<VerifyingKey>,
    pub sso: SsoEndpoints,
    pub slo: SloEndpoints,
    pub want_authn_requests_signed: bool,
    /// The earliest of all that apply; from then on nothing here holds.
    pub valid_until: Option<UnixTime>,
    /// How long it may be kept without asking again; the shortest that applies.
    pub cache_duration: Option<Duration>,
    /// By URI, in the order of preference.
    pub name_id_formats: Vec<String>,
}

/// Where sign-ins begin; at least one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SsoEndpoints {
    pub redirect: Option<Url>,
    pub post: Option<Url>,
}

/// Where logouts go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SloEndpoints {
    pub redirect: Option<SloEndpoint>,
    pub post: Option<SloEndpoint>,
    pub soap: Option<SloEndpoint>,
}

/// Metadata 2.2.2: requests and answers may go to different places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SloEndpoint {
    pub requests: Url,
    pub responses: Url,
}

impl IdpMetadata {
    /// Whether it still holds at `now` (Metadata 2.3.2, `validUntil`).
    #[must_use]
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}
