//! One attempt at a time for each person in this process (F9): whoever comes meanwhile shares its result.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::MutexGuard;

use crate::model::{IdpId, Subject};
use crate::platform::Tasks;

use super::ProvisionError;

/// Different people in the air at once; more are asked to try again (SECURITY.md 9).
pub const MAX_FLIGHTS: usize = 4096;

type Person = (IdpId, Subject);
type Landing<T> = Result<Arc<T>, ProvisionError>;
type Flight<T> = Shared<BoxFuture<'static, Landing<T>>>;

/// The attempts under way.
pub struct Flights<T> {
    tasks: Tasks,
    in_the_air: Arc<Mutex<HashMap<Person, Flight<T>>>>,
}

/// Takes a flight off the list however its task ends.
struct Entry<T> {
    person: Person,
    in_the_air: Arc<Mutex<HashMap<Person, Flight<T>>>>,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.in_the_air.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.person);
    }
}

impl<T: Send + Sync + 'static> Flights<T> {
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, in_the_air: Arc::default() }
    }

    /// Joins the person's flight, or starts one with `work`. It runs as a task of its own, so that a
    /// browser that goes away leaves nothing half done. The second value: whether it was started here.
    ///
    /// # Errors
    /// The flight's; [`ProvisionError::TooManyAtOnce`]; [`ProvisionError::Interrupted`].
    pub async fn join<F>(&self, person: Person, work: impl FnOnce() -> F) -> (Landing<T>, bool)
    where
        F: Future<Output = Result<T, ProvisionError>> + Send + 'static,
    {
        let (flight, started) = {
            let mut in_the_air = self.in_the_air.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(flight) = in_the_air.get(&person) {
                (flight.clone(), false)
            } else if in_the_air.len() >= MAX_FLIGHTS {
                return (Err(ProvisionError::TooManyAtOnce { limit: MAX_FLIGHTS }), false);
            } else {
                let entry = Entry { person: person.clone(), in_the_air: self.in_the_air.clone() };
                let work = work();
                let task = self.tasks.spawn(async move {
                    let landed = work.await.map(Arc::new);
                    drop(entry);
                    landed
                });
                let landing = task.map(|ended| ended.unwrap_or(Err(ProvisionError::Interrupted)));
                let flight = landing.boxed().shared();
                in_the_air.insert(person, flight.clone());
                (flight, true)
            }
        };
        (flight.await, started)
    }
}

/// Locks on names of the application, so that two different people who would get the same username or
/// e-mail go one after the other. A fixed number of locks: names that share one wait needlessly, rarely.
pub struct NameLocks {
    hasher: RandomState,
    locks: Vec<tokio::sync::Mutex<()>>,
}

impl Default for NameLocks {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            locks: std::iter::repeat_with(|| tokio::sync::Mutex::new(())).take(256).collect(),
        }
    }
}

impl NameLocks {
    /// Waits until all of `names` are free, whatever their case.
    pub async fn hold(&self, names: &[&str]) -> Vec<MutexGuard<'_, ()>> {
        let count = u64::try_from(self.locks.len()).unwrap_or(1);
        let slot = |name: &&str| usize::try_from(self.hasher.hash_one(name.to_lowercase()) % count).ok();
        let mut slots: Vec<usize> = names.iter().filter_map(slot).collect();
        // Always in the same order: two that want the same pair cannot wait for each other.
        slots.sort_unstable();
        slots.dedup();
        let mut held = Vec::new();
        for slot in slots {
            if let Some(lock) = self.locks.get(slot) {
                held.push(lock.lock().await);
            }
        }
        held
    }
}
