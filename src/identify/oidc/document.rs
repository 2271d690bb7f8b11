//! A document of the provider: where it comes from and how it is read.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::error::OidcError;
use crate::identify::held::{Fetched, Held};
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
    held: Held<T, OidcError>,
    kind: Kind<T>,
    source: Source,
    timeout: Duration,
}

impl<T> Document<T> {
    /// Knows nothing yet. `name` is its key in the store.
    #[must_use]
    pub fn new(name: String, kind: Kind<T>, source: Source) -> Self {
        let held = Held::new(name, source.store.clone(), source.clock.clone());
        Self { held, kind, source, timeout: CALL_TIMEOUT }
    }

    /// A fetch gives up after `timeout`.
    #[cfg(test)]
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// What was read last, from the provider or from the store.
    #[must_use]
    pub fn current(&self) -> Option<Arc<T>> {
        self.held.current()
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
        self.held.restore(|body| (self.kind.parse)(body)).await;
    }

    /// Fetches now; who comes while a fetch is under way gets that one's outcome.
    ///
    /// # Errors
    /// The fetch's; what was at hand before stays.
    pub async fn refresh(&self, url: &Url) -> Result<Arc<T>, OidcError> {
        self.held.refresh(self.fetch(url)).await
    }

    /// A document other than `seen`, which did not do: the one that came in meanwhile, or a fresh one,
    /// though not more often than every [`REFETCH_AFTER`], since anybody's token can ask for it.
    pub async fn other_than(&self, seen: &Arc<T>, url: &Url) -> Option<Arc<T>> {
        self.held.other_than(seen, REFETCH_AFTER, self.fetch(url)).await
    }

    async fn fetch(&self, url: &Url) -> Result<Fetched<T>, OidcError> {
        let outcome = self.download(url).await;
        if let Err(error) = &outcome {
            tracing::warn!(document = %self.held.name(), code = error.code(), %error, "not fetched");
        }
        outcome
    }

    async fn download(&self, url: &Url) -> Result<Fetched<T>, OidcError> {
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
        let document = Arc::new((self.kind.parse)(&answer.body)?);
        Ok(Fetched { document, copy: Some(answer.body) })
    }
}
