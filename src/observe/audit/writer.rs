//! The one task that appends to this process's chain, in batches, and keeps what the store does not take just now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::chain::{NOTHING_BEFORE, entry_hash, part_digest};
use super::{AuditError, Entry, Event, Plain, Queued, Shared, Stamped};
use crate::model::audit::{AuditPart, PartRole, Said, Whose};
use crate::model::letter::Letter;
use crate::model::{AuditHead, AuditRecord, ChainId};
use crate::observe::metrics;
use crate::observe::notify::Announcing;
use crate::store::{AuditStore, StoreError};

/// Entries of one transaction.
const BATCH: usize = 256;
/// Heads that one entry notes; the others wait for the next.
const LINKS: usize = 256;
/// How often the writer does what nobody asks it for.
pub(super) struct Pace {
    /// Heads of other chains are noted.
    pub(super) linking: Duration,
    /// Refusals are counted up.
    pub(super) counting: Duration,
    /// The store is asked again after the first, then after twice as long, up to the last.
    pub(super) first_retry: Duration,
    pub(super) last_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            linking: Duration::from_hours(1),
            counting: Duration::from_mins(1),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(30),
        }
    }
}

type Told = oneshot::Sender<Result<(), AuditError>>;

pub(super) struct Writer {
    store: Arc<dyn AuditStore>,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Queued>,
    /// Not written yet, in order; at most [`BATCH`] and what the writer itself adds.
    waiting: VecDeque<Waiting>,
    /// Everybody who waits for what is in `waiting`.
    flushing: Vec<Told>,
    chain: Option<Chain>,
    /// Set while the store does not take anything.
    away: Option<Away>,
    /// It is time to note the heads of other chains.
    linking: bool,
    pace: Pace,
    announcing: Announcing,
}

struct Waiting {
    stamped: Stamped,
    told: Option<Told>,
    /// Written once, however often the entry is tried.
    letters: Vec<Letter>,
}

/// The chain as far as it is in the store.
#[derive(Clone, Copy)]
struct Chain {
    id: ChainId,
    sequence: u64,
    hash: [u8; 32],
}

struct Away {
    until: Instant,
    delay: Duration,
    in_doubt: Option<Sent>,
}

/// What was sent to the store and may have arrived although no answer came.
#[derive(Clone, Copy)]
struct Sent {
    head: AuditHead,
    /// How many of the first that waited were in it.
    theirs: usize,
    /// What its gap entry tells of.
    lost: u64,
}

/// An attempt that came to nothing, as far as is known.
struct Failed {
    error: AuditError,
    in_doubt: Option<Sent>,
}

impl From<AuditError> for Failed {
    fn from(error: AuditError) -> Self {
        Self { error, in_doubt: None }
    }
}

/// A batch as it goes to the store.
struct Batch {
    records: Vec<AuditRecord>,
    links: Vec<AuditHead>,
    letters: Vec<Letter>,
    /// How many of the first records are the writer's own.
    own: usize,
    /// What the batch's gap entry tells of.
    lost: u64,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn AuditStore>,
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Queued>,
        pace: Pace,
        announcing: Announcing,
    ) -> Self {
        Self {
            store,
            shared,
            queue,
            waiting: VecDeque::new(),
            flushing: Vec::new(),
            chain: None,
            away: None,
            linking: false,
            pace,
            announcing,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let ticks = |every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut counting, mut linking) = (ticks(self.pace.counting), ticks(self.pace.linking));
        // The first tick of each comes at once, and is of no use.
        counting.tick().await;
        linking.tick().await;
        let mut received = Vec::new();
        loop {
            let ready_again = self.away.as_ref().map(|away| away.until);
            if ready_again.is_none_or(|until| until <= Instant::now()) {
                self.write().await;
                if self.away.is_none() && !self.waiting.is_empty() {
                    continue;
                }
            }
            let ready_again = self.away.as_ref().map(|away| away.until);
            let room = BATCH.saturating_sub(self.waiting.len());
            tokio::select! {
                () = stop.cancelled() => break,
                _ = counting.tick() => self.count_refusals(),
                _ = linking.tick() => self.linking = true,
                () = sleep_until(ready_again.unwrap_or_else(Instant::now)), if ready_again.is_some() => {}
                count = self.queue.recv_many(&mut received, room), if room > 0 => {
                    if count == 0 {
                        break;
                    }
                    received.drain(..).for_each(|one| self.take(one));
                }
            }
        }
        self.finish().await;
    }

    fn take(&mut self, queued: Queued) {
        let waited_for = match queued {
            Queued::Entry(stamped, told) => {
                let waited_for = told.is_some();
                let letters = self.letters(&stamped);
                self.waiting.push_back(Waiting { stamped: *stamped, told, letters });
                waited_for
            }
            Queued::Flush(told) => {
                self.count_refusals();
                self.flushing.push(told);
                true
            }
        };
        // Nobody is kept waiting for the next try.
        if let Some(away) = self.away.as_mut().filter(|_| waited_for) {
            away.until = Instant::now();
        }
    }

    fn count_refusals(&mut self) {
        let counted = self.shared.counted_refusals();
        let waiting = |stamped| Waiting { stamped, told: None, letters: Vec::new() };
        self.waiting.extend(counted.into_iter().map(waiting));
    }

    /// The notifications that tell of an entry.
    fn letters(&self, Stamped { at, entry }: &Stamped) -> Vec<Letter> {
        let Some(announcer) = self.announcing.load_full() else { return Vec::new() };
        announcer.letters(entry, *at, self.shared.platform.entropy.as_ref()).unwrap_or_else(|error| {
            tracing::error!(%error, event = entry.event.name(), "nobody can be notified of this");
            Vec::new()
        })
    }

    /// The process ends: what is there is written, if the store takes it now.
    async fn finish(mut self) {
        self.queue.close();
        while let Some(queued) = self.queue.recv().await {
            self.take(queued);
        }
        self.count_refusals();
        if self.chain.is_some() || !self.waiting.is_empty() {
            let stamped = self.stamped(Entry::new(Event::ChainEnded));
            self.waiting.push_back(Waiting { stamped, told: None, letters: Vec::new() });
        }
        while !self.waiting.is_empty() {
            self.write().await;
            if self.away.is_some() {
                let entries = self.waiting.len();
                self.shared.lose(u64::try_from(entries).unwrap_or(u64::MAX));
                tracing::error!(entries, "the store is away: the last entries are in this log only");
                break;
            }
        }
    }

    fn stamped(&self, entry: Entry) -> Stamped {
        Stamped { at: self.shared.platform.clock.now(), entry }
    }

    /// Writes one batch of what waits.
    async fn write(&mut self) {
        let idle = self.waiting.is_empty() && self.chain.is_some() && !self.linking;
        if idle && self.shared.lost.load(Ordering::Relaxed) == 0 {
            self.answer_flushes(&Ok(()));
            return;
        }
        match self.attempt().await {
            Ok(()) => {
                self.away = None;
                if self.waiting.is_empty() {
                    self.answer_flushes(&Ok(()));
                }
            }
            Err(failed) => self.put_off(failed),
        }
        metrics::audit_waiting(self.waiting.len() + self.queue.len());
    }

    async fn attempt(&mut self) -> Result<(), Failed> {
        self.resolve_doubt().await?;
        let batch = self.batch().await?;
        let Some(head) = batch.records.last().map(AuditRecord::head) else { return Ok(()) };
        match self.store.append_audit_and_letters(&batch.records, &batch.links, &batch.letters).await {
            Ok(()) => {
                self.written(&batch, head);
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => {
                // Somebody else has written to this chain, which only a copy of this process could: a chain of its
                // own, begun anew, tells the two apart.
                tracing::error!(
                    chain = %head.chain,
                    "this chain of the audit log was written to by another; a new one begins"
                );
                self.shared.lost.fetch_add(batch.lost, Ordering::Relaxed);
                self.chain = None;
                Ok(())
            }
            Err(error) => {
                let theirs = batch.records.len() - batch.own;
                Err(Failed { error: error.into(), in_doubt: Some(Sent { head, theirs, lost: batch.lost }) })
            }
        }
    }

    /// Finds out whether what was sent last has arrived: it must be in the chain once, not twice.
    async fn resolve_doubt(&mut self) -> Result<(), Failed> {
        let Some(sent) = self.away.as_ref().and_then(|away| away.in_doubt) else { return Ok(()) };
        let heads = self.store.audit_heads().await;
        let heads = heads.map_err(|error| Failed { error: error.into(), in_doubt: Some(sent) })?;
        if heads.contains(&sent.head) {
            self.waiting.drain(..sent.theirs.min(self.waiting.len()));
            let AuditHead { chain: id, sequence, hash } = sent.head;
            self.chain = Some(Chain { id, sequence, hash });
        } else {
            self.shared.lost.fetch_add(sent.lost, Ordering::Relaxed);
        }
        if let Some(away) = self.away.as_mut() {
            away.in_doubt = None;
        }
        Ok(())
    }

    fn written(&mut self, batch: &Batch, last: AuditHead) {
        let began = self.chain.is_none();
        self.chain = Some(Chain { id: last.chain, sequence: last.sequence, hash: last.hash });
        self.linking = batch.links.len() >= LINKS;
        for one in self.waiting.drain(..(batch.records.len() - batch.own).min(self.waiting.len())) {
            if let Some(told) = one.told {
                // Whoever asked may have gone.
                let _gone = told.send(Ok(()));
            }
        }
        if let Some(announcer) = self.announcing.load_full().filter(|_| !batch.letters.is_empty()) {
            announcer.nudge();
        }
        if began || !batch.links.is_empty() {
            // Noted outside of the store, where whoever can write to the store cannot reach it.
            tracing::info!(head = %last, "the audit log has come this far");
        }
    }

    fn put_off(&mut self, failed: Failed) {
        let Failed { error, in_doubt } = failed;
        let Pace { first_retry, last_retry, .. } = self.pace;
        let delay = self.away.as_ref().map_or(first_retry, |away| (away.delay * 2).min(last_retry));
        tracing::error!(%error, again_in = ?delay, "the audit log cannot be written; entries wait");
        // Whoever would act only on a recorded entry is told now, and does not act: then the log must not say later
        // that they did. What may be in the store already stays there.
        let mut theirs = 0;
        for (place, one) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if let Some(told) = one.told {
                let _gone = told.send(Err(error.clone()));
            } else {
                theirs += usize::from(in_doubt.is_some_and(|sent| place < sent.theirs));
                self.waiting.push_back(one);
            }
        }
        self.answer_flushes(&Err(error));
        let in_doubt = in_doubt.map(|sent| Sent { theirs, ..sent });
        self.away = Some(Away { until: Instant::now() + delay, delay, in_doubt });
    }

    fn answer_flushes(&mut self, answer: &Result<(), AuditError>) {
        for told in self.flushing.drain(..) {
            let _gone = told.send(answer.clone());
        }
    }

    /// The next records of the chain, with what the writer itself has to say first.
    async fn batch(&mut self) -> Result<Batch, AuditError> {
        let platform = &self.shared.platform;
        let mut own = Vec::new();
        let mut links = Vec::new();
        let chain = if let Some(chain) = self.chain {
            chain
        } else {
            let id = platform.entropy.uuid(platform.clock.now()).map_err(|_| AuditError::NoEntropy)?;
            Chain { id: ChainId(id), sequence: 0, hash: NOTHING_BEFORE }
        };
        if self.chain.is_none() || self.linking {
            links = self.store.loose_audit_heads(chain.id, LINKS).await?;
            let heads: Vec<String> = links.iter().map(AuditHead::to_string).collect();
            let heads = Plain::names(heads.iter().map(String::as_str));
            if self.chain.is_none() {
                let began = Entry::new(Event::ChainBegan).field("version", env!("CARGO_PKG_VERSION"));
                own.push(self.stamped(began.field("heads", heads)));
            } else if !links.is_empty() {
                own.push(self.stamped(Entry::new(Event::HeadsNoted).field("heads", heads)));
            } else {
                self.linking = false;
            }
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let gap = Entry::new(Event::Gap).field("lost", lost);
            gap.log();
            own.push(self.stamped(gap));
        }
        let mut letters: Vec<Letter> = own.iter().flat_map(|stamped| self.letters(stamped)).collect();
        letters.extend(self.waiting.iter().take(BATCH).flat_map(|one| one.letters.iter().cloned()));
        let count = own.len();
        let theirs = self.waiting.iter().take(BATCH).map(|one| &one.stamped);
        let records = self.chained(chain, own.iter().chain(theirs)).inspect_err(|_| {
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        })?;
        Ok(Batch { records, links, letters, own: count, lost })
    }

    fn chained<'a>(
        &self,
        chain: Chain,
        entries: impl Iterator<Item = &'a Stamped>,
    ) -> Result<Vec<AuditRecord>, AuditError> {
        let Chain { id, mut sequence, hash: mut previous } = chain;
        let mut records = Vec::new();
        for Stamped { at, entry } in entries {
            sequence += 1;
            let mut record = AuditRecord {
                chain: id,
                sequence,
                at: *at,
                event: entry.event.name().to_owned(),
                member: entry.member,
                body: entry.body(),
                actor: self.part(PartRole::Actor, entry.actor_part())?,
                about: self.part(PartRole::About, entry.about_part())?,
                previous,
                hash: NOTHING_BEFORE,
            };
            record.hash = entry_hash(&record);
            previous = record.hash;
            records.push(record);
        }
        Ok(records)
    }

    fn part(&self, role: PartRole, said: Option<(Whose, String)>) -> Result<Option<AuditPart>, AuditError> {
        let Some((whose, text)) = said else { return Ok(None) };
        let salt = self.shared.platform.entropy.bytes().map_err(|_| AuditError::NoEntropy)?;
        let said = Said { whose, salt, text };
        Ok(Some(AuditPart { digest: part_digest(role, &said), said: Some(said) }))
    }
}
