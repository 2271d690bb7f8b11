//! People who came to the admin API by an identity provider, and their sessions there (PROVISIONING.md S5).

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{ConsoleHash, ConsolePerson, ConsoleSession, IdpId, Subject, UnixTime};

/// A use is noted once in this time.
pub const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Who administers. Apart from members and their sessions.
#[async_trait]
pub trait ConsoleStore: Send + Sync {
    /// Records the session and who it is of, over what was known of them. Beyond `most` the person's oldest sessions
    /// end. A hash that is there already is a [`StoreError::Conflict`].
    async fn begin_console_session(&self, session: &ConsoleSession, most: usize) -> Result<(), StoreError>;

    /// The session of this hash, if it is not past its end nor unused for `idle`; from `now` on it is in use again
    /// (noted every [`NOTED_EVERY`]).
    async fn use_console_session(
        &self,
        hash: &ConsoleHash,
        now: UnixTime,
        idle: Duration,
    ) -> Result<Option<ConsoleSession>, StoreError>;

    /// Ends it; gives what it was.
    async fn end_console_session(&self, hash: &ConsoleHash) -> Result<Option<ConsoleSession>, StoreError>;

    /// Sessions that live, the newest first, at most `limit`.
    async fn list_console_sessions(
        &self,
        now: UnixTime,
        idle: Duration,
        limit: usize,
    ) -> Result<Vec<ConsoleSession>, StoreError>;

    /// What the latest sign-in of this person gave them.
    async fn find_console_person(
        &self,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<Option<ConsolePerson>, StoreError>;

    /// Forgets the person and ends their sessions; gives how many there were.
    async fn forget_console_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError>;

    /// Drops sessions past their end or unused for `idle`; returns how many.
    async fn sweep_console_sessions(&self, now: UnixTime, idle: Duration) -> Result<u64, StoreError>;
}
