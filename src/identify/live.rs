//! A session in use: what its requests need, compact and rendered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;

use crate::expr::{Context, SessionFacts};
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{SessionHash, SessionRecord, UnixTime};

/// What a session's identity headers are made from; built from `[headers]`.
pub type RenderHeaders = dyn Fn(&Context) -> Vec<(HeaderName, HeaderValue)> + Send + Sync;

/// A session in use.
pub struct LiveSession {
    hash: SessionHash,
    content: SessionContent,
    context: Context,
    headers: Vec<(HeaderName, HeaderValue)>,
    created_at: UnixTime,
    expires_at: UnixTime,
    /// By when it ends in the configuration in force: not after `expires_at`.
    until: AtomicI64,
    idle_timeout: Duration,
    last_seen: AtomicI64,
    /// What the store knows of `last_seen`.
    last_written: AtomicI64,
    ended: AtomicBool,
    end: CancellationToken,
    now: Arc<AtomicI64>,
}

impl LiveSession {
    /// Builds what the requests of a session need, once. `until`: by when it ends as the configuration has it.
    pub(super) fn new(
        record: SessionRecord,
        until: UnixTime,
        render: &RenderHeaders,
        idle_timeout: Duration,
        now: Arc<AtomicI64>,
    ) -> Self {
        let content = record.content;
        let variables = Context::of_session(SessionFacts {
            idp: &content.idp,
            subject: &content.subject,
            claims: &content.claims,
            account: content.account.as_ref(),
            grant: &content.grant,
        });
        Self {
            headers: render(&variables),
            context: variables,
            hash: record.hash,
            content,
            created_at: record.created_at,
            expires_at: record.expires_at,
            until: AtomicI64::new(until.0),
            idle_timeout,
            last_seen: AtomicI64::new(record.last_seen_at.0),
            last_written: AtomicI64::new(record.last_seen_at.0),
            ended: AtomicBool::new(false),
            end: CancellationToken::new(),
            now,
        }
    }

    /// When it was used last.
    pub(super) fn last_seen(&self) -> UnixTime {
        UnixTime(self.last_seen.load(Ordering::Relaxed))
    }

    /// Whether the store knows less of its activity.
    pub(super) fn has_moved(&self) -> bool {
        self.last_seen.load(Ordering::Relaxed) > self.last_written.load(Ordering::Relaxed)
    }

    /// The store knows of activity up to `at`.
    pub(super) fn note_written(&self, at: UnixTime) {
        self.last_written.store(at.0, Ordering::Relaxed);
    }

    /// It was used elsewhere, which the store knows.
    pub(super) fn was_seen(&self, at: UnixTime) {
        self.last_seen.fetch_max(at.0, Ordering::Relaxed);
        self.last_written.fetch_max(at.0, Ordering::Relaxed);
    }

    #[must_use]
    pub fn hash(&self) -> &SessionHash {
        &self.hash
    }

    #[must_use]
    pub fn content(&self) -> &SessionContent {
        &self.content
    }

    #[must_use]
    pub fn account(&self) -> Option<&SessionAccount> {
        self.content.account.as_ref()
    }

    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The identity headers, rendered when the session was loaded.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    #[must_use]
    pub fn created_at(&self) -> UnixTime {
        self.created_at
    }

    /// The absolute end, or the end by idleness if nothing more comes, whichever is sooner.
    #[must_use]
    pub fn ends_at(&self) -> UnixTime {
        let idle_end = UnixTime(self.last_seen.load(Ordering::Relaxed)).after(self.idle_timeout);
        UnixTime(self.until.load(Ordering::Relaxed)).min(idle_end)
    }

    /// Past its absolute end, which no use puts off.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        now >= UnixTime(self.until.load(Ordering::Relaxed))
    }

    /// Its absolute end as it was when it began.
    pub(super) fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The configuration in force has it end then.
    pub(super) fn ends_by(&self, until: UnixTime) {
        self.until.store(until.0, Ordering::Relaxed);
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Cancelled when the session ends, for what streams.
    #[must_use]
    pub fn end(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Bytes from the client count as activity.
    pub fn note_activity(&self) {
        let now = self.now.load(Ordering::Relaxed);
        if self.last_seen.load(Ordering::Relaxed) < now {
            self.last_seen.store(now, Ordering::Relaxed);
        }
    }

    /// Ends it, and everything that streams in it.
    pub(super) fn finish(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.cancel();
    }
}
