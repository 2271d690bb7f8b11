//! What sign-ins did, and what they would have done: for `narthex explain` and `narthex shadow`.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{ErrorId, IdpId, Subject, UnixTime};

/// Sign-ins that are kept for `narthex explain`; the oldest goes first.
pub const MAX_TOLD: usize = 2_000;

/// Explanations of sign-ins, and the outcomes of shadow mode (PROVISIONING.md X1, M6). They are for people to read:
/// nothing else depends on them, and losing the last of them in a power cut harms nobody.
#[async_trait]
pub trait RehearsalStore: Send + Sync {
    /// Keeps what the sign-in `id` did, for [`RehearsalStore::find_told`]; the latest [`MAX_TOLD`] of them. An id
    /// that is there already keeps its record.
    async fn tell_login(
        &self,
        id: &ErrorId,
        idp: &IdpId,
        subject: &Subject,
        record: &str,
    ) -> Result<(), StoreError>;

    /// What [`RehearsalStore::tell_login`] kept.
    async fn find_told(&self, id: &str) -> Result<Option<String>, StoreError>;

    /// Keeps what the latest sign-in of this identity would have done, instead of what was kept before. One that
    /// is older than what is kept changes nothing.
    async fn record_outcome(&self, outcome: &Outcome) -> Result<(), StoreError>;

    /// Outcomes in the order of their identities, after the one of `after`.
    async fn list_outcomes(
        &self,
        after: Option<(&IdpId, &Subject)>,
        limit: usize,
    ) -> Result<Vec<Outcome>, StoreError>;

    /// Forgets all outcomes, so that a report begins anew; returns how many there were.
    async fn forget_outcomes(&self) -> Result<u64, StoreError>;

    /// Forgets everything that is kept here of one identity (PROVISIONING.md E6, `member erase`); returns how much
    /// it was.
    async fn forget_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError>;
}

/// What one sign-in would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub idp: IdpId,
    pub subject: Subject,
    pub at: UnixTime,
    /// JSON.
    pub record: String,
}
