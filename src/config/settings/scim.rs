//! `[scim]` as meant.

use std::net::SocketAddr;

use url::Url;

use super::TlsFiles;
use crate::model::{IdpId, Secret};

/// `[scim]`; there exactly where `provisioning.mode = "scim"` (M1).
#[derive(Debug, Clone)]
pub struct Scim {
    pub listen: SocketAddr,
    /// What `/scim/v2` follows in the locations that clients are told.
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    /// Never empty; each admits.
    pub tokens: Vec<Secret>,
    pub groups: ScimGroups,
    /// (M3)
    pub matching: ScimMatch,
    /// Whose people are recognised; `None`: everybody's.
    pub idp: Option<IdpId>,
}

/// What a pushed group gives beside what mapping rows say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimGroups {
    Mapping,
    /// The team of its name.
    Teams,
    /// The application group of its name.
    AppGroups,
}

/// By what a pushed person is recognised at sign-in (M3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScimMatch {
    /// `claim`: `None` is the subject.
    ExternalId {
        claim: Option<String>,
    },
    UserName {
        claim: String,
    },
    Email,
}

impl ScimMatch {
    /// The claim that is compared, where it is one of its own.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::ExternalId { claim } => claim.as_deref(),
            Self::UserName { claim } => Some(claim),
            Self::Email => None,
        }
    }
}
