//! `[scim]` as meant.

use std::net::SocketAddr;

use url::Url;

use super::TlsFiles;
use crate::model::Secret;

/// `[scim]`; there exactly where `provisioning.mode = "scim"` (M1).
#[derive(Debug, Clone)]
pub struct Scim {
    pub listen: SocketAddr,
    /// What `/scim/v2` follows in the locations that clients are told.
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    /// Never empty; each admits.
    pub tokens: Vec<Secret>,
}
