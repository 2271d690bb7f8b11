//! A sign-in that provisioning could not finish, tried again with the identity that was verified (PROVISIONING.md A2).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Endpoints, see_other};
use crate::forward::Body;
use crate::identify::cookie;
use crate::identify::tokens::Tokens;
use crate::identify::verified::Verified;
use crate::model::{ErrorId, ReturnTo, StateHash, UnixTime};
use crate::pages::Next;
use crate::platform::crypto::{Purpose, sha256};
use crate::platform::{KeyRing, Platform};
use crate::problem::Problem;
use crate::store::Store;

/// How long a verified identity waits for another try.
pub(super) const PARKED: Duration = Duration::from_mins(10);
/// Random bytes of a token.
const TOKEN: usize = 32;

/// Identities that wait for another try: sealed, each for one browser and one try.
pub struct Resumes {
    tokens: Tokens<TOKEN>,
    keys: KeyRing,
    store: Arc<dyn Store>,
    platform: Platform,
}

/// What waits in the store.
#[derive(Serialize, Deserialize)]
struct Parked {
    return_to: ReturnTo,
    sealed: String,
    /// Counted from the sign-in: trying again does not lengthen it.
    until: UnixTime,
}

impl Resumes {
    #[must_use]
    pub fn new(keys: &KeyRing, store: Arc<dyn Store>, platform: Platform) -> Self {
        Self { tokens: Tokens::new(keys.mac(Purpose::ResumeToken)), keys: keys.clone(), store, platform }
    }

    /// Keeps the identity for the browser with this login cookie; gives the token that takes it up again.
    async fn park(
        &self,
        verified: &Verified,
        (return_to, until): (ReturnTo, UnixTime),
        browser: &str,
        error_id: &ErrorId,
    ) -> Option<String> {
        let entropy = self.platform.entropy.as_ref();
        let token = self.tokens.issue(entropy.bytes().ok()?);
        let sealed = verified.seal(&self.keys, &cookie::hash(browser), entropy).ok()?;
        let parked = Parked { return_to, sealed: URL_SAFE_NO_PAD.encode(sealed), until };
        let bytes = serde_json::to_vec(&parked).ok()?;
        match self.store.park(&StateHash(sha256(token.as_bytes())), &bytes, until).await {
            Ok(()) => Some(token),
            Err(error) => {
                tracing::warn!(%error_id, %error, "the identity could not be kept for another try");
                None
            }
        }
    }

    /// What waits under this token, once. A forged one never reaches the store.
    async fn take(&self, token: &str, browser: &str) -> Option<(Verified, ReturnTo, UnixTime)> {
        if !self.tokens.is_ours(token) {
            return None;
        }
        let now = self.platform.clock.now();
        let bytes = self.store.take_parked(&StateHash(sha256(token.as_bytes())), now).await.ok()??;
        let parked: Parked = serde_json::from_slice(&bytes).ok()?;
        let sealed = URL_SAFE_NO_PAD.decode(parked.sealed).ok()?;
        let verified = Verified::from_sealed(&self.keys, &cookie::hash(browser), &sealed).ok()?;
        Some((verified, parked.return_to, parked.until))
    }
}

impl Endpoints {
    /// The token with which this browser may try again.
    pub(super) async fn park(
        &self,
        verified: &Verified,
        onwards: (ReturnTo, UnixTime),
        call: &Call,
        error_id: &ErrorId,
    ) -> Option<String> {
        self.resumes.park(verified, onwards, self.browser_of(call)?, error_id).await
    }

    /// Takes up a login that provisioning had ended.
    pub(super) async fn resume(&self, call: Call) -> Response<Body> {
        let call = match call.with_form().await {
            Ok(call) => call,
            Err(problem) => return *problem,
        };
        match self.parked(&call).await {
            Some((verified, return_to, until)) => self.admit(verified, return_to, until, &call).await,
            // The button was pressed twice, or the page gone back to: what it was for is done.
            None if call.session.is_some() => see_other(ReturnTo::root().as_str()),
            None => Problem::nothing_to_resume().with_next(self.sign_in_again()).into_response(call.intent),
        }
    }

    async fn parked(&self, call: &Call) -> Option<(Verified, ReturnTo, UnixTime)> {
        self.resumes.take(call.parameter("resume")?, self.browser_of(call)?).await
    }

    /// The login cookie, if it is one of ours.
    fn browser_of<'c>(&self, call: &'c Call) -> Option<&'c str> {
        let cookie = self.sessions.cookie_names().login(&call.headers)?;
        self.logins.is_browser(cookie).then_some(cookie)
    }

    pub(super) fn sign_in_again(&self) -> Next {
        Next::Link { href: self.login_path(&ReturnTo::root()), label: "Sign in again" }
    }
}
