//! One sign-in in flight: what was sent away with the browser, to be matched when it comes back.

use super::{BrowserHash, IdpId, ReturnTo, Secret, StateHash, UnixTime};

/// A login between its redirect to the identity provider and the answer. Good for [`LIFETIME`], taken once.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    pub state: StateHash,
    pub browser: BrowserHash,
    pub idp: IdpId,
    /// OIDC `nonce`; compared with the ID token's (OIDC Core 3.1.3.7, 11).
    pub nonce: String,
    /// PKCE code verifier (RFC 7636, 4.1), 43 characters. Kept in the store as it is: it is of use only
    /// together with a code that the identity provider sends to this client.
    pub pkce_verifier: Secret,
    pub return_to: ReturnTo,
    pub begun_at: UnixTime,
    /// When the record may go: [`KEPT`] after the begin. The answer must come within [`LIFETIME`].
    pub expires_at: UnixTime,
}

/// How long a person may take at the identity provider.
pub const LIFETIME: std::time::Duration = std::time::Duration::from_mins(15);
/// How long the record of an attempt is kept: whoever comes back later than [`LIFETIME`] begins again, and
/// still lands where they wanted to go.
pub const KEPT: std::time::Duration = std::time::Duration::from_hours(24);
/// Logins in flight per browser; the oldest goes first.
pub const MAX_PER_BROWSER: usize = 16;
/// Refused sign-ins that are kept for `narthex explain`; the oldest goes first (SECURITY.md 9).
pub const MAX_REFUSALS: usize = 1_000;
/// Logins in flight in the whole store; the oldest goes first (SECURITY.md 9).
pub const MAX_IN_FLIGHT: usize = 20_000;
