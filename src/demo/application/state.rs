//! What the application keeps in memory, and what tests may do to it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use tokio_util::sync::CancellationToken;

use crate::demo::DemoError;
use crate::demo::expiring::Expiring;
use crate::demo::server::Switches;
use crate::model::{Secret, UnixTime};
use crate::platform::{Platform, Tasks};

use super::directory::Directory;

pub(super) const SESSION_LASTS: Duration = Duration::from_hours(8);

pub(super) struct Application {
    pub(super) platform: Platform,
    pub(super) tasks: Tasks,
    pub(super) switches: Arc<Switches>,
    pub(super) api_token: Secret,
    /// Sessions of its own win over the identity headers, as they do in many applications.
    pub(super) cookie_wins: AtomicBool,
    directory: Mutex<Directory>,
    calls: Mutex<VecDeque<ApiCall>>,
    lie: Mutex<Option<(LieTo, Lie)>>,
    sessions: Mutex<Expiring<String>>,
}

/// One call of the admin API, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    pub method: Method,
    /// With its query.
    pub path: String,
    /// As answered; `None` while under way, or where the answer was withheld.
    pub status: Option<u16>,
}

impl ApiCall {
    /// Everything but GET and HEAD.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// How the admin API answers other than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// 200 with a login page, as behind a misconfigured gateway.
    Html,
    /// Done, and answered without `id`.
    MissingId,
    /// Done, and answered with more than a mebibyte.
    Oversized,
    /// Not done; this status, with the text as JSON error, and `Retry-After` where seconds are given.
    Status { status: u16, message: String, retry_after: Option<u64> },
    /// Done, and the connection breaks before the answer.
    LoseAnswer,
    /// Not done, and the connection breaks.
    HangUp,
    /// Done after this time.
    Late(Duration),
}

/// Which calls are lied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LieTo {
    All,
    Writes,
    /// This method, and a path that begins so.
    Calls {
        method: Method,
        path: String,
    },
}

impl LieTo {
    fn meets(&self, call: &ApiCall) -> bool {
        match self {
            Self::All => true,
            Self::Writes => call.is_write(),
            Self::Calls { method, path } => call.method == *method && call.path.starts_with(path),
        }
    }
}

/// So many calls are remembered.
const MAX_CALLS: usize = 50_000;

impl Application {
    pub(super) fn new(platform: Platform, tasks: Tasks) -> Result<Self, DemoError> {
        let api_token = random(&platform)?;
        Ok(Self {
            platform,
            tasks,
            switches: Arc::default(),
            api_token: Secret::new(api_token),
            cookie_wins: AtomicBool::new(false),
            directory: Mutex::new(Directory::seeded()),
            calls: Mutex::default(),
            lie: Mutex::default(),
            sessions: Mutex::new(Expiring::new(10_000)),
        })
    }

    pub(super) fn now(&self) -> UnixTime {
        self.platform.clock.now()
    }

    pub(super) fn stopping(&self) -> CancellationToken {
        self.tasks.stopping().clone()
    }

    pub(super) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    pub(super) fn calls(&self) -> MutexGuard<'_, VecDeque<ApiCall>> {
        lock(&self.calls)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Expiring<String>> {
        lock(&self.sessions)
    }

    pub(super) fn set_lie(&self, lie: Option<(LieTo, Lie)>) {
        *lock(&self.lie) = lie;
    }

    pub(super) fn lie_for(&self, call: &ApiCall) -> Option<Lie> {
        lock(&self.lie).as_ref().filter(|(to, _)| to.meets(call)).map(|(_, lie)| lie.clone())
    }

    /// Remembers the call; the oldest is forgotten where there are too many.
    pub(super) fn remember(&self, call: ApiCall) {
        let mut calls = self.calls();
        if calls.len() >= MAX_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Begins a session of the application's own and gives its id.
    pub(super) fn begin_session(&self, username: &str) -> Result<String, DemoError> {
        let id = random(&self.platform)?;
        self.sessions().put(id.clone(), username.to_owned(), self.now(), SESSION_LASTS);
        Ok(id)
    }
}

fn random(platform: &Platform) -> Result<String, DemoError> {
    Ok(URL_SAFE_NO_PAD.encode(platform.entropy.bytes::<32>()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
