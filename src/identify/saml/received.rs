//! The proof that a response passed every check that needs no browser; what remains is whose browser it is.

use serde::{Deserialize, Serialize};

use super::profile::Unbound;
use crate::platform::crypto::{Purpose, Unsealable};
use crate::platform::entropy::NoEntropy;
use crate::platform::{Entropy, KeyRing};

/// A response that gate, profile and replay check let through. It waits, sealed, for the browser that began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    unbound: Unbound,
}

impl Received {
    /// For the provider alone, after the last check that needs no browser.
    pub(super) fn new(unbound: Unbound) -> Self {
        Self { unbound }
    }

    /// The `state` of the login that it answers; `None` where the sign-in began at the provider.
    ///
    /// The assertion names the request, and a signature covers that; RelayState is nothing that anybody vouches
    /// for, and some providers lose it.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.unbound.in_response_to().map(|id| state_of(id).unwrap_or_default())
    }

    pub(super) fn into_unbound(self) -> Unbound {
        self.unbound
    }

    /// Seals it for the minute until the browser comes for it. `context` says which provider it is from.
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn seal(&self, keys: &KeyRing, context: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, NoEntropy> {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(self).map_err(|_| NoEntropy)?);
        keys.seal(Purpose::ParkedResponse, context, &plain, entropy)
    }

    /// Opens what [`Received::seal`] made under the same context.
    ///
    /// # Errors
    /// Where it was not made by us for this context.
    pub fn from_sealed(keys: &KeyRing, context: &[u8], sealed: &[u8]) -> Result<Self, Unsealable> {
        let plain = zeroize::Zeroizing::new(keys.open(Purpose::ParkedResponse, context, sealed)?);
        serde_json::from_slice(&plain).map_err(|_| Unsealable)
    }
}

/// The ID of the request that a login goes out with: `state` finds the login again, `nonce` is known to nobody
/// who has only the store's hash of the state.
pub(super) fn request_id(state: &str, nonce: &str) -> String {
    format!("_{state}.{nonce}")
}

/// The `state` in such an ID.
pub(super) fn state_of(request_id: &str) -> Option<&str> {
    request_id.strip_prefix('_')?.split_once('.').map(|(state, _)| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_in_the_requests_id_and_in_no_other() {
        assert_eq!(state_of(&request_id("st-a_te", "no-n_ce")), Some("st-a_te"));
        for other in ["", "_", "_abc", "st.no", "id-1.2"] {
            assert_eq!(state_of(other), None, "{other}");
        }
    }
}
