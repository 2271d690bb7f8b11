//! What is fetched from a provider: by one caller at a time, held in memory, last good copy in the store.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use crate::model::UnixTime;
use crate::platform::{Clock, Entropy};
use crate::store::Store;

/// One document with its history.
pub struct Held<T, E> {
    /// Its key in the store.
    name: String,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<T>,
    /// Fetches that have ended, so that who waited for one can tell that it was theirs.
    ended: AtomicU64,
    flight: Mutex<Flight<E>>,
}

struct Flight<E> {
    last_error: Option<E>,
    last_begun: Option<UnixTime>,
}

/// What a fetch brought.
pub struct Fetched<T> {
    pub document: Arc<T>,
    /// What to keep for the next start; none leaves what is kept as it is.
    pub copy: Option<Vec<u8>>,
}

impl<T, E: Clone + Display> Held<T, E> {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(name: String, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            store,
            clock,
            current: ArcSwapOption::empty(),
            ended: AtomicU64::new(0),
            flight: Mutex::new(Flight { last_error: None, last_begun: None }),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was read last, from the provider or from the store.
    #[must_use]
    pub fn current(&self) -> Option<Arc<T>> {
        self.current.load_full()
    }

    /// Takes the last good copy from the store, unless a document is at hand. A copy that does not fit the
    /// configuration any more is left alone.
    pub async fn restore(&self, parse: impl FnOnce(&[u8]) -> Result<T, E>) {
        match self.store.find_document(&self.name).await {
            Ok(Some((body, fetched_at))) => match parse(&body) {
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
    pub async fn refresh(&self, fetch: impl Future<Output = Result<Fetched<T>, E>>) -> Result<Arc<T>, E> {
        let seen = self.ended.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        if self.ended.load(Ordering::Acquire) != seen {
            match (&flight.last_error, self.current()) {
                (None, Some(current)) => return Ok(current),
                (Some(error), _) => return Err(error.clone()),
                (None, None) => {}
            }
        }
        self.fetch(fetch, &mut flight).await
    }

    /// A document other than `seen`, which did not do: the one that came in meanwhile, or a fresh one, though
    /// not more often than every `interval`, since anybody's message can ask for it.
    pub async fn other_than(
        &self,
        seen: &Arc<T>,
        interval: Duration,
        fetch: impl Future<Output = Result<Fetched<T>, E>>,
    ) -> Option<Arc<T>> {
        let mut flight = self.flight.lock().await;
        if let Some(current) = self.current()
            && !Arc::ptr_eq(&current, seen)
        {
            return Some(current);
        }
        let now = self.clock.now();
        // A clock that was set back does not block for longer than the interval either.
        let too_soon = flight.last_begun.is_some_and(|last| (last..last.after(interval)).contains(&now));
        if too_soon {
            return None;
        }
        self.fetch(fetch, &mut flight).await.ok()
    }

    async fn fetch(
        &self,
        fetch: impl Future<Output = Result<Fetched<T>, E>>,
        flight: &mut Flight<E>,
    ) -> Result<Arc<T>, E> {
        flight.last_begun = Some(self.clock.now());
        let outcome = fetch.await;
        flight.last_error = outcome.as_ref().err().cloned();
        if let Ok(Fetched { document, copy }) = &outcome {
            // The copy is for the next start; without it this one goes on.
            if let Some(copy) = copy
                && let Err(error) = self.store.put_document(&self.name, copy, self.clock.now()).await
            {
                tracing::warn!(document = %self.name, %error, "last good copy cannot be written");
            }
            self.current.store(Some(document.clone()));
        }
        self.ended.fetch_add(1, Ordering::Release);
        outcome.map(|fetched| fetched.document)
    }
}

/// The first pause after a failure; it doubles up to [`LAST_PAUSE`].
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub const LAST_PAUSE: Duration = Duration::from_mins(5);

/// How long to wait after so many failures in a row, or after a success (`usual`): between half and the whole of
/// it, so that replicas that started together do not knock together.
#[must_use]
pub fn pause(failures: u32, first: Duration, usual: Duration, entropy: &dyn Entropy) -> Duration {
    let whole = match failures {
        0 => usual,
        _ => first.saturating_mul(1 << (failures - 1).min(16)).min(LAST_PAUSE),
    };
    let [random] = entropy.bytes().unwrap_or([u8::MAX]);
    whole / 2 + whole / 2 * u32::from(random) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::entropy::NoEntropy;

    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, target: &mut [u8]) -> Result<(), NoEntropy> {
            target.fill(self.0);
            Ok(())
        }
    }

    struct Never;

    impl Entropy for Never {
        fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
            Err(NoEntropy)
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_vary_between_half_and_whole() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        for (failures, whole) in
            [(0, 3600), (1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (17, 300), (u32::MAX, 300)]
        {
            let whole = Duration::from_secs(whole);
            assert_eq!(pause(failures, second, hour, &Always(255)), whole);
            assert_eq!(pause(failures, second, hour, &Always(0)), whole / 2);
            assert_eq!(pause(failures, second, hour, &Never), whole);
        }
        assert_eq!(pause(1, 51 * second, hour, &Always(51)), Duration::from_millis(30_600));
        assert_eq!((FIRST_PAUSE, LAST_PAUSE), (second, 300 * second));
    }
}
