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
    id_token: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    identity: Identity,
    id_token: Option<String>,
}

impl Verified {
    /// For a protocol's `finish`, after its last check.
    pub(super) fn new(identity: Identity, id_token: Option<Secret>) -> Self {
        Self { identity, id_token }
    }

    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The ID token as it came, for the logout hint.
    #[must_use]
    pub fn id_token(&self) -> Option<&Secret> {
        self.id_token.as_ref()
    }

    /// Seals it for the time that a person needs to try again (PROVISIONING.md A2).
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn seal(&self, keys: &KeyRing, context: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, NoEntropy> {
        let sealed = Sealed {
            identity: self.identity.clone(),
            id_token: self.id_token.as_ref().map(|token| token.expose().to_owned()),
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
        Ok(Self { identity: sealed.identity, id_token: sealed.id_token.map(Secret::new) })
    }

    /// For tests of the stages that follow.
    #[cfg(test)]
    #[must_use]
    pub fn for_tests(identity: Identity) -> Self {
        Self::new(identity, None)
    }
}
