//! People who administer after signing in at an identity provider (PROVISIONING.md S5): which role a rule gives them, and
//! their sessions at this listener, which have nothing to do with those of the application.

pub mod pages;
pub mod sessions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName};
use url::Url;

use super::error::AdminError;
use super::principal::Principal;
use crate::config::settings::{AdminRule, Console as Configured};
use crate::expr::SessionFacts;
use crate::identify::cookie::{self, CookieNames};
use crate::identify::saml::Saml;
use crate::identify::saml::parking::{Parking, Whose};
use crate::identify::throttle::Throttle;
use crate::identify::tokens::Tokens;
use crate::identify::{IdentityProtocol, Logins};
use crate::model::{ConsoleHash, ConsolePerson, ConsoleSession, EmailAddress, Grant, Identity, IdpId};
use crate::observe::audit::Actor;
use crate::platform::crypto::{Mac, Purpose};
use crate::platform::{KeyRing, Platform};
use crate::provision::invites::is_blocked;
use crate::store::Store;

/// A session that is not used for this long ends.
pub const IDLE: Duration = Duration::from_hours(1);
/// A session ends this long after the sign-in; the role is looked at anew with the next one.
pub const LIFETIME: Duration = Duration::from_hours(8);
/// Sessions of one person; beyond them the oldest ends.
const MOST: usize = 5;
/// Bytes of a session's id: 256 bits.
const ID: usize = 32;
/// What an unsafe method must bring along with the cookie.
pub const CSRF: HeaderName = HeaderName::from_static("x-narthex-csrf");

/// The providers that a rule names, each by its protocol; those that speak SAML once more as what they are.
pub struct Answering {
    pub protocols: Vec<Arc<dyn IdentityProtocol>>,
    pub saml: HashMap<IdpId, Arc<Saml>>,
}

/// Signing in at the admin API.
pub struct Console {
    configured: Configured,
    /// Providers that a rule names, in the order of the rules, with their labels.
    providers: Vec<(IdpId, String)>,
    logins: Logins,
    names: CookieNames,
    ids: Tokens<ID>,
    csrf: Mac,
    /// Those of the providers that speak SAML.
    saml: HashMap<IdpId, Arc<Saml>>,
    parking: Parking,
    throttle: Throttle,
    store: Arc<dyn Store>,
    platform: Platform,
}

impl Console {
    /// `answering` at this listener's addresses ([`redirect_uri`], [`saml_address`]); `label` gives the name of a provider.
    #[must_use]
    pub fn new(
        configured: &Configured,
        answering: Answering,
        label: impl Fn(&IdpId) -> String,
        store: Arc<dyn Store>,
        keys: &KeyRing,
        platform: Platform,
    ) -> Self {
        let mut providers: Vec<(IdpId, String)> = Vec::new();
        for rule in &configured.rules {
            if providers.iter().all(|(known, _)| *known != rule.idp) {
                providers.push((rule.idp.clone(), label(&rule.idp)));
            }
        }
        Self {
            configured: configured.clone(),
            providers,
            logins: Logins::of_console(answering.protocols, store.clone(), platform.clone(), keys),
            names: CookieNames::of_console(&configured.public_url),
            ids: Tokens::new(keys.mac(Purpose::ConsoleCookie)),
            csrf: keys.mac(Purpose::ConsoleCsrf),
            saml: answering.saml,
            parking: Parking::new(Whose::Administrators, keys, store.clone(), platform.clone()),
            throttle: Throttle::new(),
            store,
            platform,
        }
    }

    /// Who sent the cookie of a session, if it is one that lives.
    ///
    /// # Errors
    /// [`AdminError::CsrfMissing`], or where the store cannot be asked.
    pub async fn recognise(&self, head: &Head) -> Result<Option<Principal>, AdminError> {
        let Some(session) = self.session(&head.headers).await? else { return Ok(None) };
        // SECURITY: the application may be on the same host name, at another port: then its pages are of the same site,
        // and no SameSite keeps the cookie from what they send. A header of our own cannot be sent by a foreign page
        // without being asked for first, and its value is this session's.
        if !head.method.is_safe() && !self.has_csrf(&head.headers, &session.hash) {
            return Err(AdminError::CsrfMissing);
        }
        Ok(Some(Principal::person(session)))
    }

    /// The session of the cookie. It lasts no longer than the rule that gave it stands in the configuration, and not for
    /// whom an administrator blocked (G6).
    async fn session(&self, headers: &HeaderMap) -> Result<Option<ConsoleSession>, AdminError> {
        let Some(hash) = self.cookie(headers) else { return Ok(None) };
        let now = self.platform.clock.now();
        let Some(session) = self.store.use_console_session(&hash, now, IDLE).await? else { return Ok(None) };
        let stands = self.configured.role_of(&session.person) == Some(session.person.role);
        if stands && !is_blocked(self.store.as_ref(), &session.person).await? {
            return Ok(Some(session));
        }
        self.store.end_console_session(&hash).await?;
        Ok(None)
    }

    /// What the store knows the browser's session by. A forged cookie never gets there.
    fn cookie(&self, headers: &HeaderMap) -> Option<ConsoleHash> {
        let value = self.names.session(headers).filter(|value| self.ids.is_ours(value))?;
        Some(ConsoleHash(cookie::hash(value)))
    }

    /// The text that must come with whatever this session changes.
    #[must_use]
    pub fn csrf(&self, hash: &ConsoleHash) -> String {
        URL_SAFE_NO_PAD.encode(self.csrf.tag(&hash.0))
    }

    fn is_csrf(&self, text: &str, hash: &ConsoleHash) -> bool {
        URL_SAFE_NO_PAD.decode(text).is_ok_and(|tag| self.csrf.verify(&hash.0, &tag))
    }

    fn has_csrf(&self, headers: &HeaderMap, hash: &ConsoleHash) -> bool {
        let mut sent = headers.get_all(CSRF).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return false };
        value.to_str().is_ok_and(|text| self.is_csrf(text, hash))
    }

    /// The first rule that holds for this identity.
    ///
    /// # Errors
    /// [`AdminError::NoConsoleRole`]; [`AdminError::RuleUndecided`] where a rule before it could not be decided: it might
    /// have been the one, and given less.
    fn rule_for(&self, identity: &Identity) -> Result<&AdminRule, AdminError> {
        let facts = SessionFacts {
            idp: &identity.idp,
            subject: &identity.subject,
            claims: &identity.claims,
            account: None,
            grant: &Grant::default(),
        };
        for rule in self.configured.rules.iter().filter(|rule| rule.idp == identity.idp) {
            match rule.when.holds_for(facts, None) {
                Ok(true) => return Ok(rule),
                Ok(false) => {}
                Err(error) => {
                    let reason = error.to_string();
                    return Err(AdminError::RuleUndecided { rule: rule.text(), reason });
                }
            }
        }
        Err(AdminError::NoConsoleRole)
    }

    /// Begins a session for whom an identity provider vouched for just now, if a rule lets them in; gives the cookie, too.
    /// `verified`: the identity's address as sign-ins to the application have it (F1).
    async fn begin(
        &self,
        identity: &Identity,
        verified: Option<EmailAddress>,
        headers: &HeaderMap,
    ) -> Result<(ConsoleSession, String), AdminError> {
        let rule = match self.rule_for(identity) {
            Ok(rule) => rule,
            Err(error) => {
                // Whoever had a role has none any more, in any of their sessions.
                self.store.forget_console_person(&identity.idp, &identity.subject).await?;
                return Err(error);
            }
        };
        let now = self.platform.clock.now();
        let claimed = identity.claims.first("email");
        let by_claimed = match &claimed {
            Some(email) => self.store.is_blocked_email(email).await?,
            None => false,
        };
        let person = ConsolePerson {
            idp: identity.idp.clone(),
            subject: identity.subject.clone(),
            label: label(identity),
            // One that is not verified keeps nobody but its bearer out.
            email: verified.map(|email| email.to_string()).or(claimed),
            role: rule.role,
            rule: rule.text(),
            signed_in_at: now,
        };
        if by_claimed || is_blocked(self.store.as_ref(), &person).await? {
            self.store.forget_console_person(&identity.idp, &identity.subject).await?;
            return Err(AdminError::Blocked);
        }
        let value = self.ids.issue(self.platform.entropy.bytes()?);
        let until = now.after(LIFETIME);
        let session = ConsoleSession {
            hash: ConsoleHash(cookie::hash(&value)),
            person,
            last_seen_at: now,
            expires_at: identity.ends_at.map_or(until, |end| end.min(until)),
        };
        // SECURITY: session fixation. Whatever session the browser had is over; the new one has an id of its own.
        if let Some(former) = self.cookie(headers) {
            self.store.end_console_session(&former).await?;
        }
        self.store.begin_console_session(&session, MOST).await?;
        Ok((session, value))
    }
}

/// Where a provider's answers to administrators' sign-ins come to.
#[must_use]
pub fn redirect_uri(public_url: &Url, idp: &IdpId) -> Url {
    let mut url = public_url.clone();
    url.set_path(&format!("/oidc/{idp}/callback"));
    url
}

/// What a SAML provider is told: `acs`, where its responses come to, and `metadata`, which is our entity id there, too.
#[must_use]
pub fn saml_address(public_url: &Url, idp: &IdpId, name: &str) -> Url {
    let mut url = public_url.clone();
    url.set_path(&format!("/saml/{idp}/{name}"));
    url
}

/// What the provider calls them, for reading only.
fn label(identity: &Identity) -> String {
    let said =
        ["email", "preferred_username", "name"].into_iter().find_map(|claim| identity.claims.first(claim));
    let text = said.unwrap_or_else(|| identity.subject.as_str().to_owned());
    text.chars().filter(|one| !one.is_control()).take(200).collect()
}

/// As the audit log has them: what cannot be chosen beside what can be read.
#[must_use]
pub fn actor(person: &ConsolePerson) -> Actor {
    let name = format!("{} ({})", person.label, person.name());
    Actor::Administrator { name, identity: Some((person.idp.clone(), person.subject.clone())) }
}
