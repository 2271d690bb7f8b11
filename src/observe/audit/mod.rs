//! The audit log (PROVISIONING.md S3): append-only, hash-chained, kept in the store, written beside the work.
//!
//! ```text
//! record(Entry) ─▶ process log
//!               └▶ queue ─▶ writer: batch ▶ salt, digest, hash ▶ store      refused(code) ─▶ counted, once a minute ─▶ queue
//! ```
//!
//! Each process writes a chain of its own, which begins with the heads of the chains before it and notes those of the
//! chains beside it every hour. docs/adr/0007 has the reasons, docs/audit.md the events.

mod chain;
pub mod docs;
pub mod entry;
pub mod event;
pub mod export;
mod ocsf;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

pub use entry::{Actor, Entry, Plain};
pub use event::{Event, Topic, Weight};

use self::writer::{Pace, Writer};
use crate::model::{IdpId, MemberId, Subject, UnixTime};
use crate::observe::metrics;
use crate::observe::notify::Announcing;
use crate::platform::{Platform, Tasks};
use crate::store::{AuditStore, StoreError};

/// Entries that wait for the store; what comes beyond them is counted and lost.
const QUEUE: usize = 4096;

/// An entry is not in the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// What was to be recorded first must not happen now.
    #[error("the audit log cannot be written: {0}")]
    Store(#[from] StoreError),
    #[error("the audit log cannot be written: the machine's random source failed")]
    NoEntropy,
    #[error("the audit log cannot be written: too many entries wait for the store already")]
    QueueFull,
    #[error("the audit log has ended: narthex is shutting down")]
    Ended,
}

/// Where everybody records. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
    /// `None`: into the process log only.
    queue: Option<mpsc::Sender<Queued>>,
}

/// What recorders and the writer share.
struct Shared {
    platform: Platform,
    /// Entries that did not fit into the queue and that no entry tells of yet.
    lost: AtomicU64,
    refusals: Mutex<BTreeMap<(Event, &'static str), u64>>,
}

impl Shared {
    fn lose(&self, entries: u64) {
        self.lost.fetch_add(entries, Ordering::Relaxed);
        metrics::audit_lost(entries);
    }

    /// An entry for each code that was refused since the last call.
    fn counted_refusals(&self) -> Vec<Stamped> {
        let counted = std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner));
        let at = self.platform.clock.now();
        let entry = |((event, code), count)| Stamped {
            at,
            entry: Entry::new(event).code(code).field("count", count),
        };
        counted.into_iter().map(entry).collect()
    }
}

/// An entry with the time of its recording.
struct Stamped {
    at: UnixTime,
    entry: Entry,
}

/// What comes to the writer.
enum Queued {
    Entry(Box<Stamped>, Option<oneshot::Sender<Result<(), AuditError>>>),
    /// Answered when everything before it is in the store, or failed to get there once.
    Flush(oneshot::Sender<Result<(), AuditError>>),
}

/// The writer's end of the log, for who starts and ends it.
pub struct AuditWriter {
    tasks: Tasks,
}

impl AuditWriter {
    /// Writes what waits, notes the end of the chain, and ends. Whoever records after this records into the process
    /// log only.
    pub async fn finish(self) {
        self.tasks.finish().await;
    }
}

impl Audit {
    /// Begins a chain in `store`; its writer runs on `runtime` until [`AuditWriter::finish`].
    #[must_use]
    pub fn start(
        store: Arc<dyn AuditStore>,
        platform: Platform,
        runtime: tokio::runtime::Handle,
    ) -> (Self, AuditWriter) {
        Self::paced(store, platform, runtime, Announcing::default(), (QUEUE, Pace::default()))
    }

    /// The same; administrators are told of what `announcing` says at the time.
    #[must_use]
    pub fn start_announcing(
        store: Arc<dyn AuditStore>,
        platform: Platform,
        runtime: tokio::runtime::Handle,
        announcing: Announcing,
    ) -> (Self, AuditWriter) {
        Self::paced(store, platform, runtime, announcing, (QUEUE, Pace::default()))
    }

    fn paced(
        store: Arc<dyn AuditStore>,
        platform: Platform,
        runtime: tokio::runtime::Handle,
        announcing: Announcing,
        (size, pace): (usize, Pace),
    ) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(size);
        let shared = Arc::new(Shared { platform, lost: AtomicU64::new(0), refusals: Mutex::default() });
        // Tasks of their own: the writer ends after everybody who still records while they end.
        let tasks = Tasks::on(runtime);
        let writer = Writer::new(store, shared.clone(), receiver, pace, announcing);
        tasks.spawn(writer.run(tasks.stopping().clone()));
        (Self { shared, queue: Some(sender) }, AuditWriter { tasks })
    }

    /// Into the process log only: for tests of other things, and where there is no store.
    #[must_use]
    pub fn log_only(platform: Platform) -> Self {
        let shared = Shared { platform, lost: AtomicU64::new(0), refusals: Mutex::default() };
        Self { shared: Arc::new(shared), queue: None }
    }

    /// Records `entry`, without waiting for anything. Where the store is away for so long that the queue is full, it
    /// is counted, and an `audit_gap` tells of it later.
    pub fn record(&self, entry: Entry) {
        entry.log();
        metrics::audit_entry(entry.event.name());
        let Some(queue) = &self.queue else { return };
        if queue.try_send(self.stamped(entry, None)).is_err() {
            self.shared.lose(1);
        }
    }

    /// Records `entry`, and returns when it is in the store: for what must not happen unrecorded.
    ///
    /// # Errors
    /// Where it is not there; the log will not have it later either.
    pub async fn record_durably(&self, entry: Entry) -> Result<(), AuditError> {
        entry.log();
        metrics::audit_entry(entry.event.name());
        let Some(queue) = &self.queue else { return Ok(()) };
        let (told, tells) = oneshot::channel();
        queue.try_send(self.stamped(entry, Some(told))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AuditError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => AuditError::Ended,
        })?;
        tells.await.map_err(|_| AuditError::Ended)?
    }

    /// Counts a refusal of somebody whom nobody vouched for, for the minute's one entry with this code.
    ///
    /// SECURITY: whoever sends rubbish all day must not fill the disk, nor bury what matters.
    pub fn refused(&self, event: Event, code: &'static str) {
        let mut refusals = self.shared.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry((event, code)).or_default() += 1;
    }

    /// Returns when everything that was recorded or counted before is in the store.
    ///
    /// # Errors
    /// Where some of it could not be written just now; it is tried again all the same.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let (told, tells) = oneshot::channel();
        queue.send(Queued::Flush(told)).await.map_err(|_| AuditError::Ended)?;
        tells.await.map_err(|_| AuditError::Ended)?
    }

    fn stamped(&self, entry: Entry, told: Option<oneshot::Sender<Result<(), AuditError>>>) -> Queued {
        Queued::Entry(Box::new(Stamped { at: self.shared.platform.clock.now(), entry }), told)
    }

    /// Erases what the log says of a person (PROVISIONING.md E6), by member, identity or, where an entry names nobody,
    /// by one of the person's `names` (addresses in any case); records by whom and how often. The entries stay and stay
    /// verifiable. Returns how many places it was.
    ///
    /// # Errors
    /// Where it could not be recorded or done; to be called again then.
    pub async fn erase_person(
        &self,
        store: &dyn AuditStore,
        by: Actor,
        member: Option<MemberId>,
        identities: &[(IdpId, Subject)],
        names: &[String],
    ) -> Result<u64, AuditError> {
        // What is under way is written first, so that it is found.
        self.flush().await?;
        let parts = store.find_audit_parts(member, identities, names).await?;
        let mut entry = Entry::new(Event::MemberErased).by(by).field("parts", parts.len());
        if let Some(member) = member {
            entry = entry.member(member);
        }
        // Recorded first: words that are missing without an entry that says so look like somebody's doing.
        self.record_durably(entry).await?;
        Ok(store.erase_audit_parts(&parts).await?)
    }
}
