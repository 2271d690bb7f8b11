//! Sessions that administrators end.

use super::{SessionError, Sessions};
use crate::model::{IdpId, MemberId};

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

    /// Ends all sessions that this provider began, configured or not; their streams break off at once. Returns how many.
    ///
    /// # Errors
    /// Where the store cannot be asked which they are; then none has ended.
    pub async fn end_of_idp(&self, idp: &IdpId) -> Result<usize, SessionError> {
        let ended = self.store.end_sessions_of_idp(idp).await;
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
}
