//! Sessions that administrators end, here or by another process at the same store.

use std::sync::atomic::Ordering;

use super::{SessionError, Sessions};
use crate::model::{MemberId, SessionHash};

impl Sessions {
    /// Ends all sessions of this member; their streams break off at once. Returns how many.
    ///
    /// # Errors
    /// Where the store cannot be asked which they are; then none has ended.
    pub async fn end_of_member(&self, member: MemberId) -> Result<usize, SessionError> {
        let ended = self.store.end_sessions_of_member(member).await;
        self.note_store(&ended);
        let ended = ended?;
        for hash in &ended {
            self.forget(hash, true);
        }
        Ok(ended.len())
    }

    /// Ends every session there is. Returns how many.
    ///
    /// # Errors
    /// Where the store cannot be asked which they are; then none has ended.
    pub async fn end_all(&self) -> Result<usize, SessionError> {
        let ended = self.store.end_all_sessions().await;
        self.note_store(&ended);
        let ended = ended?;
        for hash in &ended {
            self.forget(hash, true);
        }
        Ok(ended.len())
    }

    /// Ends here what another process has ended in the store; called every second. Costs a look at one number
    /// unless another process has written meanwhile.
    ///
    /// # Errors
    /// Where the store cannot be asked; it is asked again next time.
    pub async fn notice_endings(&self) -> Result<usize, SessionError> {
        // Before anything is read: what is written meanwhile is looked for next time.
        let mark = self.store.mark_of_others().await;
        self.note_store(&mark);
        let mark = mark?;
        if mark == self.seen_of_others.load(Ordering::Relaxed) {
            return Ok(0);
        }
        // A session is in the store before it is here, so one that the store lacks was ended.
        let known: Vec<SessionHash> = self.read().live.keys().copied().collect();
        let missing = self.store.missing_sessions(&known).await;
        self.note_store(&missing);
        let missing = missing?;
        for hash in &missing {
            self.forget(hash, true);
        }
        self.seen_of_others.store(mark, Ordering::Relaxed);
        Ok(missing.len())
    }
}
