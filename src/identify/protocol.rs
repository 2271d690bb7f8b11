//! What a sign-in protocol does for the login state machine.

use async_trait::async_trait;
use url::Url;

use super::Verified;
use super::oidc::OidcError;
use crate::model::{IdpId, LoginAttempt};

/// One configured identity provider, spoken to by its protocol.
#[async_trait]
pub trait IdentityProtocol: Send + Sync {
    fn id(&self) -> &IdpId;

    /// Where to send the browser. `state` is the text whose hash `attempt` carries.
    ///
    /// # Errors
    /// Where the provider's metadata was never read and cannot be read now.
    async fn begin(&self, attempt: &LoginAttempt, state: &str) -> Result<Begun, LoginError>;

    /// Verifies the answer's parameters against `attempt`, which was taken for this browser, and gives who
    /// it is.
    ///
    /// # Errors
    /// One variant per check that failed.
    async fn finish(&self, attempt: LoginAttempt, answer: &AnswerParameters) -> Result<Verified, LoginError>;

    /// Where to send the browser to end the provider's session too; `None` where it offers none.
    async fn logout(&self, id_token_hint: Option<&str>, post_logout: &Url, state: &str) -> Option<Url>;

    /// Whether metadata and keys are at hand (from the provider or the last good copy).
    fn ready(&self) -> bool;
}

/// Where a login goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub redirect: Url,
}

/// The parameters of a login answer, each at most once.
#[derive(Debug, Clone, Default)]
pub struct AnswerParameters {
    pub code: Option<crate::model::Secret>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
}

/// A sign-in that gave nobody.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Oidc(#[from] OidcError),
}
