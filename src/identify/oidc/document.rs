//! A document of the provider: fetched by one caller at a time, held in memory, last good copy in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use url::Url;

use super::error::OidcError;
use crate::model::UnixTime;
use crate::platform::outbound::CALL_TIMEOUT;
use crate::platform::{Clock, Outbound};
use crate::store::Store;

/// Two fetches that somebody's token asked for lie at least this far apart.
pub const REFETCH_AFTER: Duration = Duration::from_secs(10);

/// How one kind of document is read and what its failures are called.
pub struct Kind<T> {
    pub unavailable: fn(String) -> OidcError,
    pub status: fn(u16) -> OidcError,
    pub parse: Parse<T>,
}

/// Reads a body by the rules of the configured provider.
pub type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, OidcError> + Send + Sync>;

/// Where documents come from and where their last good copies lie.
#[derive(Clone)]
pub struct Source {
    pub outbound: Outbound,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

/// One document with its history.
pub struct Document<T> {
    /// Its key in the store.
    name: String,
    kind: Kind<T>,
    source: Source,
    timeout: Duration,
    current: ArcSwapOption<T>,
    /// Fetches that have ended, so that who waited for one can tell that it was theirs.
    ended: AtomicU64,
    flight: Mutex<Flight>,
}

#[derive(Default)]
struct Flight {
    last_error: Option<OidcError>,
    last_begun: Option<UnixTime>,
}

impl<T> Document<T> {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(name: String, kind: Kind<T>, source: Source) -> Self {
        Self {
            name,
            kind,
            source,
            timeout: CALL_TIMEOUT,
            current: ArcSwapOption::empty(),
            ended: AtomicU64::new(0),
            flight: Mutex::default(),
        }
    }

    /// A fetch gives up after `timeout`.
    #[cfg(test)]
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What was read last, from the provider or from the store.
    #[must_use]
    pub fn current(&self) -> Option<Arc<T>> {
        self.current.load_full()
    }

    /// The document at hand, else its last good copy, else freshly fetched.
    ///
    /// # Errors
    /// Where there is none and none can be fetched.
    pub async fn read(&self, url: &Url) -> Result<Arc<T>, OidcError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        self.restore().await;
        match self.current() {
            Some(current) => Ok(current),
            None => self.refresh(url).await,
        }
    }

    /// Takes the last good copy from the store, unless a document is at hand. A copy that does not fit the
    /// configuration any more is left alone.
    pub async fn restore(&self) {
        match self.source.store.find_document(&self.name).await {
            Ok(Some((body, fetched_at))) => match (self.kind.parse)(&body) {
                Ok(document) => {
                    let none: Option<Arc<T>> = None;
                    self.current.compare_and_swap(&none, Some(Arc::new(document)));
                    tracing::info!(document = %self.name, %fetched_at, "last good copy taken from the store");
                }
                Err(error) => {
                    tracing::warn!(document = %self.name, %error, "last good copy does not fit");
                }
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(document = %self.name, %error, "last good copy cannot be read"),
        }
    }

    /// Fetches now; who comes while a fetch is under way gets that one's outcome.
    ///
    /// # Errors
    /// The fetch's; what was at hand before stays.
    pub async fn refresh(&self, url: &Url) -> Result<Arc<T>, OidcError> {
        let seen = self.ended.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        if self.ended.load(Ordering::Acquire) != seen {
            match (&flight.last_error, self.current()) {
                (None, Some(current)) => return Ok(current),
                (Some(error), _) => return Err(error.clone()),
                (None, None) => {}
            }
        }
        self.fetch(url, &mut flight).await
    }

    /// A document other than `seen`, which did not do: the one that came in meanwhile, or a fresh one,
    /// though not more often than every [`REFETCH_AFTER`], since anybody's token can ask for it.
    pub async fn other_than(&self, seen: &Arc<T>, url: &Url) -> Option<Arc<T>> {
        let mut flight = self.flight.lock().await;
        if let Some(current) = self.current()
            && !Arc::ptr_eq(&current, seen)
        {
            return Some(current);
        }
        let now = self.source.clock.now();
        // A clock that was set back does not block for longer than the interval either.
        let too_soon = flight.last_begun.is_some_and(|last| (last..last.after(REFETCH_AFTER)).contains(&now));
        if too_soon {
            return None;
        }
        self.fetch(url, &mut flight).await.ok()
    }

    async fn fetch(&self, url: &Url, flight: &mut Flight) -> Result<Arc<T>, OidcError> {
        flight.last_begun = Some(self.source.clock.now());
        let outcome = self.download(url).await;
        flight.last_error = outcome.as_ref().err().cloned();
        if let Ok(document) = &outcome {
            self.current.store(Some(document.clone()));
        }
        self.ended.fetch_add(1, Ordering::Release);
        if let Err(error) = &outcome {
            tracing::warn!(document = %self.name, code = error.code(), %error, "not fetched");
        }
        outcome
    }

    async fn download(&self, url: &Url) -> Result<Arc<T>, OidcError> {
        let request = self
            .source
            .outbound
            .request(http::Method::GET, url.clone())
            .header(http::header::ACCEPT, "application/json")
            .timeout(self.timeout);
        let answer = self
            .source
            .outbound
            .send(request)
            .await
            .map_err(|error| (self.kind.unavailable)(error.to_string()))?;
        if answer.status != http::StatusCode::OK {
            return Err((self.kind.status)(answer.status.as_u16()));
        }
        let document = (self.kind.parse)(&answer.body)?;
        // The copy is for the next start; without it this one goes on.
        if let Err(error) =
            self.source.store.put_document(&self.name, &answer.body, self.source.clock.now()).await
        {
            tracing::warn!(document = %self.name, %error, "last good copy cannot be written");
        }
        Ok(Arc::new(document))
    }
}
