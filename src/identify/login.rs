//! The one login state machine of all protocols: from the redirect away to the answer, bound to one browser.

use std::collections::HashMap;
use std::sync::Arc;

use super::protocol::{Answer, Departure, IdentityProtocol, LoginError};
use super::rounds::Rounds;
use super::tokens::Tokens;
use super::verified::Verified;
use crate::model::{BrowserHash, IdpId, LoginAttempt, ReturnTo, Secret, StateHash, login};
use crate::platform::crypto::{Purpose, sha256};
use crate::platform::entropy::NoEntropy;
use crate::platform::{KeyRing, Platform};
use crate::store::{Store, TakenLogin};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a browser id: 256 bits.
const BROWSER_ID: usize = 32;
/// Bytes of a state id: 128 bits.
const STATE_ID: usize = 16;

/// Begins and finishes logins at any of the configured providers.
pub struct Logins {
    protocols: HashMap<IdpId, Arc<dyn IdentityProtocol>>,
    store: Arc<dyn Store>,
    platform: Platform,
    states: Tokens<STATE_ID>,
    browsers: Tokens<BROWSER_ID>,
    logouts: Tokens<STATE_ID>,
    rounds: Rounds,
}

/// What to answer to who wants to sign in.
#[derive(Debug)]
pub struct BegunLogin {
    pub departure: Departure,
    /// The login cookie's value, where the browser has no valid one yet. All tabs share it; it holds
    /// nothing but a random id, so its size is fixed and tabs do not race for its content.
    pub set_cookie: Option<String>,
}

/// What became of an answer that is no error.
#[derive(Debug)]
pub enum Finished {
    /// The provider vouched for somebody.
    Verified { verified: Verified, return_to: ReturnTo },
    /// The answer is of no use any more, and the browser is signed in by now.
    GoTo(ReturnTo),
    /// The answer is of no use any more, through nobody's fault.
    BeginAgain { idp: IdpId, return_to: ReturnTo },
}

impl Logins {
    #[must_use]
    pub fn new(
        protocols: Vec<Arc<dyn IdentityProtocol>>,
        store: Arc<dyn Store>,
        platform: Platform,
        keys: &KeyRing,
    ) -> Self {
        let purposes = [Purpose::LoginState, Purpose::LoginCookie, Purpose::LogoutState];
        Self::marked_by(protocols, store, platform, keys, purposes)
    }

    /// Those of administrators at the admin API.
    ///
    /// SECURITY: an answer that belongs to a sign-in there is none to the application's address, nor the other way
    /// round: neither takes the other's `state` nor the other's browser for its own.
    #[must_use]
    pub fn of_console(
        protocols: Vec<Arc<dyn IdentityProtocol>>,
        store: Arc<dyn Store>,
        platform: Platform,
        keys: &KeyRing,
    ) -> Self {
        let purposes = [Purpose::ConsoleLoginState, Purpose::ConsoleLoginCookie, Purpose::ConsoleLogoutState];
        Self::marked_by(protocols, store, platform, keys, purposes)
    }

    fn marked_by(
        protocols: Vec<Arc<dyn IdentityProtocol>>,
        store: Arc<dyn Store>,
        platform: Platform,
        keys: &KeyRing,
        [states, browsers, logouts]: [Purpose; 3],
    ) -> Self {
        Self {
            protocols: protocols.into_iter().map(|protocol| (protocol.id().clone(), protocol)).collect(),
            store,
            platform,
            states: Tokens::new(keys.mac(states)),
            browsers: Tokens::new(keys.mac(browsers)),
            logouts: Tokens::new(keys.mac(logouts)),
            rounds: Rounds::default(),
        }
    }

    /// Begins a login at `idp`. `login_cookie` is what the browser sent under that name, whatever it is.
    ///
    /// # Errors
    /// Where the provider is unknown or not to be reached, or the store is away.
    pub async fn begin(
        &self,
        idp: &IdpId,
        return_to: ReturnTo,
        login_cookie: Option<&str>,
    ) -> Result<BegunLogin, LoginError> {
        let protocol = self.protocol(idp)?;
        let entropy = &*self.platform.entropy;
        let now = self.platform.clock.now();
        let (browser, set_cookie) = if let Some(browser) = self.browser(login_cookie) {
            (browser, None)
        } else {
            let cookie = self.browsers.issue(entropy.bytes()?);
            (BrowserHash(sha256(cookie.as_bytes())), Some(cookie))
        };
        let state = self.states.issue(entropy.bytes()?);
        let attempt = LoginAttempt {
            state: StateHash(sha256(state.as_bytes())),
            browser,
            idp: idp.clone(),
            nonce: random_text(entropy.bytes()?),
            pkce_verifier: Secret::new(random_text(entropy.bytes()?)),
            return_to,
            begun_at: now,
            expires_at: now.after(login::KEPT),
        };
        // The provider first: where it cannot be asked, nothing is recorded.
        let departure = protocol.begin(&attempt, &state).await?;
        self.store.put_login(&attempt).await?;
        self.rounds.begun(&attempt.browser, &attempt.state);
        Ok(BegunLogin { departure, set_cookie })
    }

    /// Takes an answer that came to the address of `idp`. `signed_in`: whether this browser has a session
    /// by now, which turns an answer that is late or twice into nothing worse than a redirect.
    ///
    /// # Errors
    /// One variant per rule; the login is then used up, unless it belongs to another browser.
    pub async fn finish(
        &self,
        idp: &IdpId,
        state: Option<&str>,
        answer: Answer,
        login_cookie: Option<&str>,
        signed_in: bool,
    ) -> Result<Finished, LoginError> {
        let protocol = self.protocol(idp)?;
        // Lesson 16: an answer without state is an ordinary refusal. A forged one never reaches the store.
        let state = state.ok_or(LoginError::StateMissing)?;
        if !self.states.is_ours(state) {
            return Err(LoginError::StateForged);
        }
        let state = StateHash(sha256(state.as_bytes()));
        let browser = self.browser(login_cookie);
        let now = self.platform.clock.now();
        if let Some(browser) = &browser
            && let Some(looped) = self.rounds.finished(browser, &state, signed_in, now)
        {
            return Err(LoginError::LoginLoop { rounds: looped.rounds, seconds: looped.seconds, signed_in });
        }
        let elsewhere = |return_to| {
            if signed_in {
                Finished::GoTo(return_to)
            } else {
                Finished::BeginAgain { idp: idp.clone(), return_to }
            }
        };
        match self.store.take_login(&state, browser.as_ref(), now).await? {
            TakenLogin::Fresh(attempt) if attempt.idp != *idp => {
                // SECURITY: RFC 9700, 4.4 (mix-up). An answer counts at the address of the provider that
                // was asked, and nowhere else.
                Err(LoginError::WrongProvider { expected: attempt.idp, found: idp.clone() })
            }
            TakenLogin::Fresh(attempt) if now >= attempt.begun_at.after(login::LIFETIME) => {
                Ok(elsewhere(attempt.return_to))
            }
            TakenLogin::Fresh(attempt) => {
                let return_to = attempt.return_to.clone();
                let verified = protocol.finish(*attempt, answer).await?;
                Ok(Finished::Verified { verified, return_to })
            }
            TakenLogin::Used(return_to) if signed_in => Ok(Finished::GoTo(return_to)),
            TakenLogin::Used(_) => Err(LoginError::AnswerReplayed),
            // SECURITY: lesson 18. An answer that somebody else began would sign this browser in as them.
            // A browser with a login cookie of its own is one whose tabs raced for the first cookie, or
            // the victim of such an answer; beginning anew is right for both.
            TakenLogin::Foreign(return_to) if browser.is_some() => Ok(elsewhere(return_to)),
            TakenLogin::Foreign(_) => Err(LoginError::AnswerFromAnotherBrowser),
            TakenLogin::Unknown => Ok(elsewhere(ReturnTo::root())),
        }
    }

    /// Somebody signed out by our own page: whoever signs in next in this browser is in no loop (lesson 40). An
    /// application's logout does not count, since an application may take part in a loop.
    pub fn signed_out(&self, login_cookie: Option<&str>) {
        if let Some(browser) = self.browser(login_cookie) {
            self.rounds.forget(&browser);
        }
    }

    /// A text for a provider to bring back with its answer to a logout.
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn logout_state(&self) -> Result<String, NoEntropy> {
        Ok(self.logouts.issue(self.platform.entropy.bytes()?))
    }

    /// Whether [`Logins::logout_state`] made it.
    #[must_use]
    pub fn is_logout_state(&self, state: &str) -> bool {
        self.logouts.is_ours(state)
    }

    /// The protocol of one provider, for its logout and readiness.
    ///
    /// # Errors
    /// Where none is configured under this id.
    pub fn protocol(&self, idp: &IdpId) -> Result<&Arc<dyn IdentityProtocol>, LoginError> {
        self.protocols.get(idp).ok_or(LoginError::UnknownProvider)
    }

    /// Whether [`Logins::begin`] gave out this login cookie.
    #[must_use]
    pub fn is_browser(&self, login_cookie: &str) -> bool {
        self.browsers.is_ours(login_cookie)
    }

    fn browser(&self, login_cookie: Option<&str>) -> Option<BrowserHash> {
        let cookie = login_cookie.filter(|cookie| self.is_browser(cookie))?;
        Some(BrowserHash(sha256(cookie.as_bytes())))
    }
}

fn random_text(bytes: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
