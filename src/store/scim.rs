//! What SCIM clients keep here, as acts.

use async_trait::async_trait;

use super::StoreError;
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::model::{IdpId, MemberId, Subject, UnixTime};

/// Users, groups, and who is in which.
///
/// Every write also puts a [`crate::model::Task::Push`], due at its time, for each user whose account it concerns: the
/// user that it writes, those who join or leave a group or whose group goes or gets another name.
#[async_trait]
pub trait ScimStore: Send + Sync {
    /// Records a new resource, a group with its members. [`ScimWrite::Taken`] where its id or user name is there
    /// already.
    async fn create_scim(&self, resource: &ScimResource, members: &[String])
    -> Result<ScimWrite, StoreError>;

    /// Writes `resource` over the one of its kind and id whose revision is `expected`. With `members` they are the
    /// group's from now on; without, they stay. What was there from its creation stays.
    async fn replace_scim(
        &self,
        resource: &ScimResource,
        expected: i64,
        members: Option<&[String]>,
    ) -> Result<ScimWrite, StoreError>;

    /// Deletes it, with `expected` only at this revision. The groups of a deleted user change by that.
    async fn delete_scim(
        &self,
        kind: ScimKind,
        id: &str,
        expected: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimWrite, StoreError>;

    async fn find_scim(&self, kind: ScimKind, id: &str) -> Result<Option<ScimResource>, StoreError>;

    /// In the order of their ids: after the id `after`, leaving out the first `skip`, at most `limit`.
    async fn list_scim(
        &self,
        kind: ScimKind,
        which: &ScimWhich,
        after: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ScimResource>, StoreError>;

    async fn count_scim(&self, kind: ScimKind) -> Result<usize, StoreError>;

    /// The links of these resources, of one kind all: of a user its groups, of a group its members; those of one
    /// together, at most `limit` in all.
    async fn list_scim_links(
        &self,
        kind: ScimKind,
        ids: &[String],
        limit: usize,
    ) -> Result<Vec<ScimLink>, StoreError>;

    /// Makes this identity one of a member's; `false`, and nothing is written, where it is a member's already or the
    /// member is gone.
    async fn link_identity(
        &self,
        member: MemberId,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<bool, StoreError>;
}

/// Which of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScimWhich {
    All,
    /// Folded.
    UserName(String),
    ExternalId(String),
    /// The primary address, its ASCII letters in lower case.
    Email(String),
    /// Folded.
    DisplayName(String),
    /// Groups that this user is in.
    WithMember(String),
    /// Users that are in this group.
    InGroup(String),
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScimWrite {
    Done,
    /// Another user has the name.
    Taken,
    /// It has another revision by now.
    Stale,
    /// There is no such resource.
    Absent,
    /// There is no user of this id.
    NoSuchMember(String),
}
