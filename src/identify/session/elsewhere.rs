//! What happens to sessions outside of this process: other replicas end them and use them, and the store goes away
//! and comes back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{LiveSession, SessionError, Sessions};
use crate::model::{SessionHash, UnixTime};

impl Sessions {
    /// Another replica, or this one, has ended it in the store (SECURITY.md 38).
    pub fn ended_elsewhere(&self, hash: &SessionHash) {
        self.forget(hash, true);
    }

    /// Ends here what is not in the store any more, and tells the store what it was not told: after it was away, or
    /// more has happened than can be told.
    ///
    /// # Errors
    /// Where the store is away.
    pub async fn look_at_all(&self) -> Result<(), SessionError> {
        self.tell_untold().await?;
        let here: Vec<SessionHash> = self.read().live.keys().copied().collect();
        if here.is_empty() {
            return Ok(());
        }
        let there: HashSet<SessionHash> = self.store.sessions_among(&here).await?.into_iter().collect();
        for hash in here.iter().filter(|hash| !there.contains(hash)) {
            self.forget(hash, true);
        }
        Ok(())
    }

    /// Ends what is idle here, unless it is in use at another replica.
    ///
    /// # Errors
    /// Where the store is away; then what is idle here stays unusable, but has not ended.
    pub async fn look_at_idle(&self) -> Result<(), SessionError> {
        let now = UnixTime(self.now.load(Ordering::Relaxed));
        let idle: Vec<Arc<LiveSession>> =
            self.read().live.values().filter(|session| now >= session.ends_at()).cloned().collect();
        for session in idle {
            match self.store.find_session(session.hash()).await? {
                Some(record) => session.was_seen(record.last_seen_at),
                None => self.forget(session.hash(), true),
            }
            if now >= session.ends_at() {
                // The store drops it by its own times.
                self.forget(session.hash(), true);
            }
        }
        Ok(())
    }

    /// What happens in the store cannot be heard of: until [`Sessions::store_found`], no single act that succeeds
    /// means that all is well.
    pub fn store_lost(&self) {
        self.behind.store(true, Ordering::Relaxed);
        if self.store_away_since.load(Ordering::Relaxed) == 0 {
            self.store_away_since.store(self.platform.clock.now().0, Ordering::Relaxed);
        }
    }

    /// Everything that happened meanwhile is known.
    pub fn store_found(&self) {
        self.behind.store(false, Ordering::Relaxed);
        self.store_away_since.store(0, Ordering::Relaxed);
    }

    /// Lets go of every session once the store is away for too long: whatever streams breaks off, since nobody knows
    /// whether its session still holds. Once the store is back, they are found there.
    pub(super) fn let_go_of_all(&self) {
        let live = std::mem::take(&mut self.write().live);
        for session in live.into_values() {
            session.finish();
        }
    }
}
