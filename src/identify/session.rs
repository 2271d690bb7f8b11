//! Sessions: in the store for good, in memory in a compact form for the requests.

pub mod admitted;
mod elsewhere;
mod revocation;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arc_swap::ArcSwap;

use self::admitted::{Admits, InForce};
use super::cookie::{self, CookieNames};
pub use super::live::{LiveSession, RenderHeaders};
use super::tokens::Tokens;
use crate::config::settings;
use crate::listen::Inbound;
use crate::model::session::SessionContent;
use crate::model::{IdpId, SessionHash, SessionRecord, UnixTime};
use crate::platform::crypto::Purpose;
use crate::platform::entropy::NoEntropy;
use crate::platform::{KeyRing, Platform};
use crate::provision::Provisioned;
use crate::store::{Store, StoreError};

/// A request, and the session that it belongs to, if any. Made only by [`Sessions::identify`].
pub struct Identified {
    inbound: Inbound,
    session: Option<Arc<LiveSession>>,
}

impl Identified {
    #[must_use]
    pub fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    #[must_use]
    pub fn into_parts(self) -> (Inbound, Option<Arc<LiveSession>>) {
        (self.inbound, self.session)
    }
}

/// How one core remembers sessions without asking the others.
pub type CoreCache = HashMap<[u8; 32], Arc<LiveSession>>;

/// Random bytes of a session id.
const ID: usize = 32;

/// The sessions of this process.
pub struct Sessions {
    table: RwLock<Table>,
    store: Arc<dyn Store>,
    ids: Tokens<ID>,
    names: CookieNames,
    settings: settings::Session,
    in_force: InForce,
    /// What of it was followed last.
    followed: ArcSwap<Admits>,
    render: Box<RenderHeaders>,
    platform: Platform,
    /// The current second, refreshed four times a second: the hot path reads no clock.
    now: Arc<AtomicI64>,
    /// When the store was first found away; 0 while it answers.
    store_away_since: AtomicI64,
    /// What happens in the store was not heard of for a while.
    behind: AtomicBool,
}

#[derive(Default)]
struct Table {
    live: HashMap<SessionHash, Arc<LiveSession>>,
    /// What ended lately, so that a look-up that was under way meanwhile brings nothing back.
    ended: HashMap<SessionHash, Ended>,
}

struct Ended {
    at: UnixTime,
    /// Whether the store has been told; until then it is told again and again.
    told: bool,
}

/// How long an ended session is remembered: longer than any look-up takes.
const REMEMBER_ENDED: Duration = Duration::from_mins(1);

/// A session that could not be looked up or started.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Between provisioning and the session's begin the account went, or its member was blocked.
    #[error("the account was deleted, deactivated or blocked while its session was about to begin")]
    AccountChanged,
    /// The store is away for longer than `session.offline_grace`.
    #[error("the store has been away since {since}, longer than session.offline_grace")]
    StoreAwayTooLong { since: UnixTime },
}

/// A session just begun.
pub struct Started {
    /// The cookie's value.
    pub cookie: String,
    /// Another member was signed in on this browser before (PROVISIONING.md E7).
    pub replaces_another: bool,
}

impl Sessions {
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        keys: &KeyRing,
        names: CookieNames,
        settings: settings::Session,
        in_force: InForce,
        render: Box<RenderHeaders>,
        platform: Platform,
    ) -> Self {
        let now = Arc::new(AtomicI64::new(platform.clock.now().0));
        Self {
            table: RwLock::default(),
            store,
            ids: Tokens::new(keys.mac(Purpose::SessionCookie)),
            names,
            settings,
            followed: ArcSwap::new(in_force.load_full()),
            in_force,
            render,
            platform,
            now,
            store_away_since: AtomicI64::new(0),
            behind: AtomicBool::new(false),
        }
    }

    #[must_use]
    pub fn cookie_names(&self) -> &CookieNames {
        &self.names
    }

    /// Whose request this is. `core` is the calling core's own memory.
    ///
    /// # Errors
    /// Where the store would have to be asked and cannot be, or has been away for too long: nothing goes
    /// on then (invariant 6).
    pub async fn identify(
        &self,
        inbound: Inbound,
        core: &std::sync::Mutex<CoreCache>,
    ) -> Result<Identified, Box<(Inbound, SessionError)>> {
        let session = match self.names.session(inbound.headers()) {
            None => None,
            Some(value) if value.len() != Tokens::<ID>::LENGTH => None,
            Some(value) => {
                let hash = cookie::hash(value);
                let known = core.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).map(Arc::clone);
                match known.and_then(|session| self.current(session)) {
                    Some(session) => Some(session),
                    // Unknown to this core, or idle as far as it knows.
                    None => match Box::pin(self.look_up(value, SessionHash(hash))).await {
                        Ok(None) => None,
                        Ok(Some(session)) => {
                            core.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, session.clone());
                            self.current(session)
                        }
                        Err(error) => return Err(Box::new((inbound, error))),
                    },
                }
            }
        };
        if session.is_some()
            && let Err(error) = self.store_is_near()
        {
            return Err(Box::new((inbound, error)));
        }
        if let Some(session) = &session {
            session.note_activity();
        }
        Ok(Identified { inbound, session })
    }

    /// The session if it is still on.
    fn current(&self, session: Arc<LiveSession>) -> Option<Arc<LiveSession>> {
        let now = UnixTime(self.now.load(Ordering::Relaxed));
        (!session.has_ended() && now < session.ends_at()).then_some(session)
    }

    fn store_is_near(&self) -> Result<(), SessionError> {
        let since = self.store_away_since.load(Ordering::Relaxed);
        let now = UnixTime(self.now.load(Ordering::Relaxed));
        if since != 0 && now.since(UnixTime(since)) > self.settings.offline_grace {
            return Err(SessionError::StoreAwayTooLong { since: UnixTime(since) });
        }
        Ok(())
    }

    async fn look_up(
        &self,
        value: &str,
        hash: SessionHash,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        if !self.ids.is_ours(value) {
            return Ok(None);
        }
        {
            let table = self.read();
            if table.ended.contains_key(&hash) {
                return Ok(None);
            }
            if let Some(live) = table.live.get(&hash).cloned().and_then(|live| self.current(live)) {
                return Ok(Some(live));
            }
        }
        self.store_is_near()?;
        let found = self.store.find_session(&hash).await;
        self.note_store(&found);
        let Some(record) = found? else { return Ok(None) };
        let now = self.platform.clock.now();
        if now >= record.last_seen_at.after(self.settings.idle_timeout) {
            return Ok(None);
        }
        Ok(self.take_in(record, now))
    }

    /// Begins a session for whom provisioning saw to; ends the one that this browser had before.
    ///
    /// SECURITY: lesson 18. The id is always fresh: nothing that was in the browser before the login
    /// becomes a session.
    ///
    /// # Errors
    /// Where it cannot be recorded; then there is no session.
    pub async fn start(
        &self,
        provisioned: Provisioned,
        logout_hint: Option<Vec<u8>>,
        previous_cookie: Option<&str>,
    ) -> Result<Started, SessionError> {
        let now = self.platform.clock.now();
        let value = self.ids.issue(self.platform.entropy.bytes()?);
        let identity = provisioned.verified().identity();
        let latest = now.after(self.settings.max_lifetime);
        // E1: the session does not outlive the account.
        let latest = provisioned.ends_at().map_or(latest, |ends_at| ends_at.min(latest));
        let record = SessionRecord {
            hash: SessionHash(cookie::hash(&value)),
            content: SessionContent {
                idp: identity.idp.clone(),
                subject: identity.subject.clone(),
                logout_name: identity.logout_name.clone(),
                idp_session: identity.idp_session.clone(),
                account: provisioned.account().cloned(),
                claims: identity.claims.clone(),
                grant: provisioned.grant().clone(),
                logout_hint,
            },
            created_at: now,
            last_seen_at: now,
            expires_at: identity.ends_at.map_or(latest, |ends_at| ends_at.min(latest)),
        };
        let inserted = self.store.insert_session(&record, self.settings.max_per_member).await;
        self.note_store(&inserted);
        if let Err(StoreError::Gone { .. }) = &inserted {
            return Err(SessionError::AccountChanged);
        }
        for ended in inserted? {
            self.forget(&ended, true);
        }
        let replaces_another = self.end_previous(previous_cookie, &record.content).await;
        // Where the configuration became another meanwhile that does not admit it, its first request is told so.
        self.take_in(record, now);
        Ok(Started { cookie: value, replaces_another })
    }

    /// Ends what the browser had; says whether that was, or may have been, somebody else.
    async fn end_previous(&self, cookie: Option<&str>, now_in: &SessionContent) -> bool {
        let Some(value) = cookie.filter(|value| self.ids.is_ours(value)) else { return true };
        let hash = SessionHash(cookie::hash(value));
        let before = self.store.find_session(&hash).await;
        if let Err(error) = self.end(&hash).await {
            tracing::warn!(%error, "the browser's previous session could not be ended in the store yet");
        }
        match before {
            Ok(Some(SessionRecord { content, .. })) => {
                (content.idp, content.subject) != (now_in.idp.clone(), now_in.subject.clone())
            }
            Ok(None) | Err(_) => true,
        }
    }

    /// Ends a session, here and in the store; its streams break off at once.
    ///
    /// # Errors
    /// Where the store cannot be told; in this process the session has ended all the same, and
    /// [`Sessions::flush`] tells the store as soon as it answers.
    pub async fn end(&self, hash: &SessionHash) -> Result<(), SessionError> {
        self.forget(hash, false);
        self.tell_ended(hash).await
    }

    /// Ends the sessions that `idp` began for whom it calls `name`: those of `idp_sessions`, or all of them where
    /// that is empty. Returns how many.
    ///
    /// # Errors
    /// Where the store cannot be asked which they are; then none has ended.
    pub async fn end_of(
        &self,
        idp: &IdpId,
        name: &str,
        idp_sessions: &[String],
    ) -> Result<usize, SessionError> {
        let ended = self.store.end_sessions_of(idp, name, idp_sessions).await;
        self.note_store(&ended);
        let ended = ended?;
        for hash in &ended {
            self.forget(hash, true);
        }
        Ok(ended.len())
    }

    /// Ends here what has ended in the store already.
    pub fn forget_ended(&self, ended: &[SessionHash]) {
        for hash in ended {
            self.forget(hash, true);
        }
    }

    async fn tell_ended(&self, hash: &SessionHash) -> Result<(), SessionError> {
        let ended = self.store.end_session(hash).await;
        self.note_store(&ended);
        ended?;
        if let Some(ended) = self.write().ended.get_mut(hash) {
            ended.told = true;
        }
        Ok(())
    }

    async fn tell_untold(&self) -> Result<(), SessionError> {
        let untold: Vec<SessionHash> =
            self.read().ended.iter().filter(|(_, ended)| !ended.told).map(|(hash, _)| *hash).collect();
        for hash in untold {
            self.tell_ended(&hash).await?;
        }
        Ok(())
    }

    fn forget(&self, hash: &SessionHash, told: bool) {
        let at = UnixTime(self.now.load(Ordering::Relaxed));
        let mut table = self.write();
        table.ended.insert(*hash, Ended { at, told });
        if let Some(live) = table.live.remove(hash) {
            live.finish();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refreshes the coarse clock and ends what is past its end; called four times a second.
    pub fn tick(&self) {
        let now = self.platform.clock.now();
        self.now.store(now.0, Ordering::Relaxed);
        self.follow_admission();
        if self.store_is_near().is_err() {
            self.let_go_of_all();
        }
        // What is only idle here may be in use at another replica; see `look_at_idle`.
        let expired: Vec<SessionHash> = {
            let table = self.read();
            table
                .live
                .values()
                .filter(|session| session.is_over(now))
                .map(|session| *session.hash())
                .collect()
        };
        for hash in expired {
            // The store drops it by its own times.
            self.forget(&hash, true);
        }
    }

    /// Writes activity in a batch, tells the store what it was not told, and lets go of what nobody used lately; called
    /// every few seconds.
    ///
    /// # Errors
    /// Where the store is away; what was not written is tried again next time.
    pub async fn flush(&self) -> Result<(), SessionError> {
        let moved: Vec<Arc<LiveSession>> = {
            let table = self.read();
            table.live.values().filter(|session| session.has_moved()).cloned().collect()
        };
        let seen: Vec<(SessionHash, UnixTime)> =
            moved.iter().map(|session| (*session.hash(), session.last_seen())).collect();
        // An empty batch asks nothing of the store, so it tells nothing of it either.
        if !seen.is_empty() {
            let written = self.store.touch_sessions(&seen).await;
            self.note_store(&written);
            written?;
        }
        for (session, (_, at)) in moved.iter().zip(&seen) {
            session.note_written(*at);
        }
        self.tell_untold().await?;
        self.let_go_of_unused(self.platform.clock.now());
        Ok(())
    }

    /// Drops from the store what has expired by the settings that hold; whoever was replaced leaves it alone.
    ///
    /// # Errors
    /// Where the store is away.
    pub async fn sweep(&self) -> Result<(), SessionError> {
        let swept = self.store.sweep_sessions(self.platform.clock.now(), self.settings.idle_timeout).await;
        self.note_store(&swept);
        for hash in swept? {
            self.forget(&hash, true);
        }
        Ok(())
    }

    /// Whether a session has ended here of which the store does not know yet.
    #[must_use]
    pub fn has_untold(&self) -> bool {
        self.read().ended.values().any(|ended| !ended.told)
    }

    /// Sessions unused for ten minutes stay in the store only. One that a stream still holds is in use.
    fn let_go_of_unused(&self, now: UnixTime) {
        const UNUSED: Duration = Duration::from_mins(10);
        let mut table = self.write();
        table
            .live
            .retain(|_, session| Arc::strong_count(session) > 1 || now.since(session.last_seen()) < UNUSED);
        table.ended.retain(|_, ended| !ended.told || now.since(ended.at) < REMEMBER_ENDED);
    }

    /// Lets a core forget what has ended or was not used for a while.
    pub fn prune_core(&self, core: &std::sync::Mutex<CoreCache>) {
        let now = UnixTime(self.now.load(Ordering::Relaxed));
        core.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, session| {
            !session.has_ended() && now.since(session.last_seen()) < Duration::from_mins(1)
        });
    }

    fn note_store<T>(&self, outcome: &Result<T, StoreError>) {
        let away = matches!(outcome, Err(StoreError::Unavailable { .. }));
        let since = self.store_away_since.load(Ordering::Relaxed);
        if away && since == 0 {
            self.store_away_since.store(self.platform.clock.now().0, Ordering::Relaxed);
        } else if outcome.is_ok() && since != 0 && !self.behind.load(Ordering::Relaxed) {
            self.store_away_since.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the store answered last time; for readiness.
    #[must_use]
    pub fn store_away_since(&self) -> Option<UnixTime> {
        Some(self.store_away_since.load(Ordering::Relaxed)).filter(|since| *since != 0).map(UnixTime)
    }

    /// How many of them a request or a stream holds.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.read().live.values().filter(|session| Arc::strong_count(session) > 1).count()
    }

    /// Sessions held in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.read().live.len()
    }
}

#[cfg(test)]
mod tests;
