//! OpenID Connect: discovery, authorization code with PKCE, ID token checks, logout.

/// What was wrong with a provider or its answer; one variant per rule.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// Discovery never succeeded and there is no last good copy.
    #[error("the identity provider's discovery document could not be read: {0}")]
    DiscoveryUnavailable(String),
}
