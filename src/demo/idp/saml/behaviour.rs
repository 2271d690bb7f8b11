//! Other ways to answer, on demand, for the tests of those who must take or refuse them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::state::SESSION_LASTS;

/// What of a response is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sign {
    #[default]
    Both,
    Response,
    Assertion,
    Nothing,
}

impl Sign {
    pub(super) fn assertion(self) -> bool {
        matches!(self, Self::Both | Self::Assertion)
    }

    pub(super) fn response(self) -> bool {
        matches!(self, Self::Both | Self::Response)
    }
}

/// How the provider answers from now on.
#[derive(Clone)]
pub struct SamlBehaviour {
    pub sign: Sign,
    /// Signed by a key that the metadata does not have.
    pub foreign_key: bool,
    /// For whom the assertion says to be, instead of the service provider that asked.
    pub audience: Option<String>,
    /// From the authentication on; the `SessionNotOnOrAfter` of the assertion.
    pub session_lasts: Duration,
    /// Requests for sign-in count only with a signature, and the metadata says so.
    pub want_signed_requests: bool,
    /// Logout messages go in a form instead of a redirect.
    pub logout_by_post: bool,
    /// Changes the assertion's text before it is signed, correctly.
    pub edit: Option<Arc<Edit>>,
}

/// Changes an assertion.
pub type Edit = dyn Fn(&str) -> String + Send + Sync;

impl Default for SamlBehaviour {
    fn default() -> Self {
        Self {
            sign: Sign::default(),
            foreign_key: false,
            audience: None,
            session_lasts: SESSION_LASTS,
            want_signed_requests: false,
            logout_by_post: false,
            edit: None,
        }
    }
}

impl fmt::Debug for SamlBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamlBehaviour").field("sign", &self.sign).finish_non_exhaustive()
    }
}
