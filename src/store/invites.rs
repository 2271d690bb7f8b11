//! Invites (PROVISIONING.md F6).

use async_trait::async_trait;

use super::StoreError;
use crate::model::invite::{Invite, InviteId};
use crate::model::{EmailAddress, IdpId, MemberId, Subject, UnixTime};

/// Invites that one first sign-in looks at: nobody has so many, and whoever made more is one administrator.
pub const MAX_USABLE: usize = 32;

/// Invites, each consumed once.
#[async_trait]
pub trait InviteStore: Send + Sync {
    /// Records a new invite. An id that is there already is a [`StoreError::Conflict`].
    async fn add_invite(&self, invite: &Invite) -> Result<(), StoreError>;

    async fn find_invite(&self, id: InviteId) -> Result<Option<Invite>, StoreError>;

    /// The newest invites, at most `limit`, older than `before`.
    async fn list_invites(&self, before: Option<InviteId>, limit: usize) -> Result<Vec<Invite>, StoreError>;

    /// Puts terms, expiry, revocation, sends and who changed it of `invite` in the place of those of the revision before its own, as
    /// long as it has led to no member and is not revoked; `false` where it is otherwise.
    async fn change_invite(&self, invite: &Invite) -> Result<bool, StoreError>;

    /// The invites that a first sign-in of this identity with this verified address may use: those that it has claimed,
    /// then open ones, the oldest first, at most [`MAX_USABLE`].
    async fn usable_invites(
        &self,
        email: &EmailAddress,
        idp: &IdpId,
        subject: &Subject,
        now: UnixTime,
    ) -> Result<Vec<Invite>, StoreError>;

    /// Consumes this revision of the invite for this identity; `false` where another identity was faster, or it was
    /// changed, revoked or used up meanwhile. The same identity may claim it again.
    async fn claim_invite(
        &self,
        id: InviteId,
        revision: i64,
        claim: (&IdpId, &Subject),
        now: UnixTime,
    ) -> Result<bool, StoreError>;

    /// Notes the member whom a claimed invite led to.
    async fn finish_invite(&self, id: InviteId, member: MemberId) -> Result<(), StoreError>;
}
