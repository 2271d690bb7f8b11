//! Verified responses that wait for their browsers.
//!
//! A response comes by a cross-site POST, to which browsers add no Lax cookie. So everything that needs no browser
//! is verified there, the outcome waits sealed under a random id, and a 303 leads to a same-origin GET, which has
//! the login cookie: there it is matched to the login that this browser began.

use std::sync::Arc;
use std::time::Duration;

use super::binding::post::Posted;
use super::binding::{Kind, RelayState};
use super::{Received, Saml, SamlError, SamlRefusal};
use crate::identify::tokens::Tokens;
use crate::model::{IdpId, StateHash};
use crate::platform::crypto::{Purpose, sha256};
use crate::platform::{KeyRing, Platform};
use crate::store::Store;

/// A form with a response, at most: the gate reads 256 KiB of XML, which base64 and the form make longer.
pub const MAX_FORM: usize = 512 * 1024;
/// How long a verified response waits for its browser, which comes at once.
const WAIT: Duration = Duration::from_mins(1);

/// Random bytes of an id.
const ID: usize = 32;

/// Whose sign-ins they are of.
///
/// SECURITY: what was verified for the one is nothing for the other: it was said to another service provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    People,
    Administrators,
}

/// See the module.
pub struct Parking {
    whose: Whose,
    ids: Tokens<ID>,
    keys: KeyRing,
    store: Arc<dyn Store>,
    platform: Platform,
}

impl Parking {
    #[must_use]
    pub fn new(whose: Whose, keys: &KeyRing, store: Arc<dyn Store>, platform: Platform) -> Self {
        let ids = Tokens::new(keys.mac(match whose {
            Whose::People => Purpose::SamlResult,
            Whose::Administrators => Purpose::ConsoleSamlResult,
        }));
        Self { whose, ids, keys: keys.clone(), store, platform }
    }

    /// Verifies what can be verified without the browser (SAML Bindings 2.0, 3.5); gives the id under which it waits.
    ///
    /// # Errors
    /// What is wrong with the form or the response.
    pub async fn take(&self, idp: &IdpId, saml: &Saml, form: &[u8]) -> Result<String, SamlRefusal> {
        let posted = Posted::read(form).map_err(SamlError::from)?;
        if posted.kind != Kind::Response {
            return Err(SamlError::NotAResponse.into());
        }
        let relay_state = posted.relay_state.as_ref().map(RelayState::as_str);
        let received = saml.receive(&posted.message, relay_state).await?;
        let entropy = self.platform.entropy.as_ref();
        let id = self.ids.issue(entropy.bytes().map_err(SamlError::from)?);
        let sealed = received.seal(&self.keys, &self.context(idp), entropy).map_err(SamlError::from)?;
        let until = self.platform.clock.now().after(WAIT);
        let parked = self.store.park(&StateHash(sha256(id.as_bytes())), &sealed, until).await;
        parked.map_err(SamlError::from)?;
        Ok(id)
    }

    /// What waits under this id, once; `None` also where it waits for others. A forged one never reaches the store.
    pub async fn fetch(&self, idp: &IdpId, id: &str) -> Option<Received> {
        if !self.ids.is_ours(id) {
            return None;
        }
        let now = self.platform.clock.now();
        let sealed = self.store.take_parked(&StateHash(sha256(id.as_bytes())), now).await.ok()??;
        Received::from_sealed(&self.keys, &self.context(idp), &sealed).ok()
    }

    fn context(&self, idp: &IdpId) -> Vec<u8> {
        match self.whose {
            Whose::People => idp.as_str().as_bytes().to_vec(),
            // A slash is in no id.
            Whose::Administrators => format!("admin/{idp}").into_bytes(),
        }
    }
}
