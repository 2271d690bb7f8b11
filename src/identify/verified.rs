//! The proof that an identity provider vouched for an identity.

use serde::{Deserialize, Serialize};

use crate::model::{Identity, Secret};
use crate::platform::crypto::{Purpose, Unsealable};
use crate::platform::entropy::NoEntropy;
use crate::platform::{Entropy, KeyRing};

/// An identity whose every check passed. Made by the protocols in this folder, or opened from what was
/// sealed here (a login that waits for `/login/resume`); by nobody else.
#[derive(Debug, Clone)]
pub struct Verified {
    identity: Identity,
    logout_hint: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    identity: Identity,
    logout_hint: Option<String>,
}

impl Verified {
    /// For a protocol's `finish`, after its last check.
    pub(super) fn new(identity: Identity, logout_hint: Option<Secret>) -> Self {
        Self { identity, logout_hint }
    }

    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the provider is told at logout: the ID token as it came, or the NameID with its session.
    #[must_use]
    pub fn logout_hint(&self) -> Option<&Secret> {
        self.logout_hint.as_ref()
    }

    /// Seals it for the time that a person needs to try again (PROVISIONING.md A2).
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn seal(&self, keys: &KeyRing, context: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, NoEntropy> {
        let sealed = Sealed {
            identity: self.identity.clone(),
            logout_hint: self.logout_hint.as_ref().map(|hint| hint.expose().to_owned()),
        };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&sealed).map_err(|_| NoEntropy)?);
        keys.seal(Purpose::ParkedIdentity, context, &plain, entropy)
    }

    /// Opens what [`Verified::seal`] made under the same context.
    ///
    /// # Errors
    /// Where it was not made by us for this context.
    pub fn from_sealed(keys: &KeyRing, context: &[u8], sealed: &[u8]) -> Result<Self, Unsealable> {
        let plain = zeroize::Zeroizing::new(keys.open(Purpose::ParkedIdentity, context, sealed)?);
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| Unsealable)?;
        Ok(Self { identity: sealed.identity, logout_hint: sealed.logout_hint.map(Secret::new) })
    }

    /// For tests of the stages that follow.
    #[cfg(test)]
    #[must_use]
    pub fn for_tests(identity: Identity) -> Self {
        Self::new(identity, None)
    }
}
