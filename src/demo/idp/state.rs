//! What the provider remembers: its client, people, sessions, codes and tokens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::demo::DemoError;
use crate::demo::expiring::Expiring;
use crate::demo::people::{Person, everybody};
use crate::demo::server::Switches;
use crate::model::{Secret, UnixTime};
use crate::platform::Platform;
use crate::platform::entropy::NoEntropy;

use super::faults::Fault;
use super::keys::{KeySet, encode};
use super::saml::{Asked, DemoSaml, Named};

/// A login may take this long between the authorization request and the choice of a person.
pub(super) const REQUEST_LASTS: Duration = Duration::from_mins(10);
/// RFC 6749, 4.1.2: "A maximum authorization code lifetime of 10 minutes is RECOMMENDED."
pub(super) const CODE_LASTS: Duration = Duration::from_mins(1);
pub(super) const TOKEN_LASTS: Duration = Duration::from_mins(10);
pub(super) const SESSION_LASTS: Duration = Duration::from_hours(8);

const MAX_ROWS: usize = 20_000;

pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) client: Client,
    pub(super) platform: Platform,
    pub(super) switches: Arc<Switches>,
    pub(super) counters: Counters,
    pub(super) thin_id_tokens: AtomicBool,
    pub(super) saml: DemoSaml,
    uris: Mutex<Uris>,
    people: Mutex<Vec<Person>>,
    chooser: Mutex<Chooser>,
    keys: Mutex<KeySet>,
    fault: Mutex<Fault>,
    waiting: Mutex<Expiring<Waiting>>,
    sessions: Mutex<Expiring<Session>>,
    codes: Mutex<Expiring<Code>>,
    access_tokens: Mutex<Expiring<AccessToken>>,
}

/// The one client.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Secret,
}

#[derive(Default)]
pub(super) struct Uris {
    pub(super) redirect: Vec<String>,
    pub(super) post_logout: Vec<String>,
}

/// Who decides who signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Chooser {
    /// The page asks, unless the browser has a session here.
    #[default]
    Page,
    /// Whoever `login_hint` names, without a page; where it names nobody, the page.
    LoginHint,
    /// Always this person, without a page.
    Always(String),
}

/// How often each endpoint was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub discovery: u64,
    pub jwks: u64,
    pub authorize: u64,
    pub token: u64,
    pub userinfo: u64,
    pub end_session: u64,
    /// AuthnRequests of SAML.
    pub saml_sso: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) discovery: AtomicU64,
    pub(super) jwks: AtomicU64,
    pub(super) authorize: AtomicU64,
    pub(super) token: AtomicU64,
    pub(super) userinfo: AtomicU64,
    pub(super) end_session: AtomicU64,
    pub(super) saml_sso: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Calls {
        Calls {
            discovery: self.discovery.load(Ordering::SeqCst),
            jwks: self.jwks.load(Ordering::SeqCst),
            authorize: self.authorize.load(Ordering::SeqCst),
            token: self.token.load(Ordering::SeqCst),
            userinfo: self.userinfo.load(Ordering::SeqCst),
            end_session: self.end_session.load(Ordering::SeqCst),
            saml_sso: self.saml_sso.load(Ordering::SeqCst),
        }
    }
}

/// A sign-in that waits for a person.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    Oidc(Request),
    Saml(Box<Asked>),
}

impl Waiting {
    /// Who it might be.
    pub(super) fn login_hint(&self) -> Option<&str> {
        match self {
            Self::Oidc(request) => request.login_hint.as_deref(),
            Self::Saml(_) => None,
        }
    }
}

/// An authorization request that was found to be in order.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    /// S256 of the verifier.
    pub(super) challenge: String,
    pub(super) login_hint: Option<String>,
}

/// Somebody is signed in here, in one browser.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) login: String,
    pub(super) sid: String,
    pub(super) auth_time: UnixTime,
    /// Whom the person was named to by SAML, to be told when the session ends.
    pub(super) participants: Vec<Named>,
}

/// An authorization code. It stays after its use, so that a second one is noticed.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) request: Request,
    pub(super) session: Session,
    pub(super) used: bool,
}

/// An access token, good for userinfo.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) login: String,
    pub(super) scope: String,
    /// The code it came from.
    pub(super) code: String,
}

impl Provider {
    pub(super) fn new(issuer: String, platform: Platform) -> Result<Self, DemoError> {
        let secret = token(&platform)?;
        Ok(Self {
            client: Client { id: "narthex-demo".to_owned(), secret: Secret::new(secret) },
            switches: Arc::default(),
            counters: Counters::default(),
            thin_id_tokens: AtomicBool::new(false),
            saml: DemoSaml::new(issuer.clone())?,
            uris: Mutex::default(),
            people: Mutex::new(everybody()),
            chooser: Mutex::default(),
            keys: Mutex::new(KeySet::generate()?),
            fault: Mutex::default(),
            waiting: Mutex::new(Expiring::new(MAX_ROWS)),
            sessions: Mutex::new(Expiring::new(MAX_ROWS)),
            codes: Mutex::new(Expiring::new(MAX_ROWS)),
            access_tokens: Mutex::new(Expiring::new(MAX_ROWS)),
            issuer,
            platform,
        })
    }

    pub(super) fn now(&self) -> UnixTime {
        self.platform.clock.now()
    }

    /// 256 random bits as text.
    pub(super) fn token(&self) -> Result<String, NoEntropy> {
        token(&self.platform)
    }

    pub(super) fn person(&self, login: &str) -> Option<Person> {
        self.people().iter().find(|person| person.login == login).cloned()
    }

    /// A fresh session, with its id. What the one before it in this browser was known for goes on with it.
    pub(super) fn begin_session(
        &self,
        before: Option<&str>,
        login: &str,
    ) -> Result<(String, Session), NoEntropy> {
        let (id, sid, now) = (self.token()?, self.token()?, self.now());
        let participants = before
            .and_then(|id| self.sessions().at_mut(id, now).map(|old| std::mem::take(&mut old.participants)))
            .unwrap_or_default();
        let session = Session { login: login.to_owned(), sid, auth_time: now, participants };
        self.sessions().put(id.clone(), session.clone(), now, SESSION_LASTS);
        Ok((id, session))
    }

    pub(super) fn uris(&self) -> MutexGuard<'_, Uris> {
        lock(&self.uris)
    }

    pub(super) fn people(&self) -> MutexGuard<'_, Vec<Person>> {
        lock(&self.people)
    }

    pub(super) fn chooser(&self) -> MutexGuard<'_, Chooser> {
        lock(&self.chooser)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, KeySet> {
        lock(&self.keys)
    }

    pub(super) fn fault(&self) -> MutexGuard<'_, Fault> {
        lock(&self.fault)
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Expiring<Waiting>> {
        lock(&self.waiting)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Expiring<Session>> {
        lock(&self.sessions)
    }

    pub(super) fn codes(&self) -> MutexGuard<'_, Expiring<Code>> {
        lock(&self.codes)
    }

    pub(super) fn access_tokens(&self) -> MutexGuard<'_, Expiring<AccessToken>> {
        lock(&self.access_tokens)
    }
}

fn token(platform: &Platform) -> Result<String, NoEntropy> {
    Ok(encode(&platform.entropy.bytes::<32>()?))
}

/// The tables stay consistent between two statements, so a panic elsewhere does not spoil them.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
