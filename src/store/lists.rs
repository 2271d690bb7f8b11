//! What administrators look at: lists in pages, found by index, and endings by member.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::StoreError;
use super::invites::InviteStore;
use crate::model::{
    AccountId, AccountState, EmailAddress, IdpId, Leaving, Member, MemberId, MemberStatus, Origin,
    SessionHash, Subject, UnixTime,
};

/// Everything that administration needs beside what sign-ins do.
pub trait AdminStore: SessionListStore + MemberListStore + SettingsStore + InviteStore {}
impl<T: SessionListStore + MemberListStore + SettingsStore + InviteStore> AdminStore for T {}

/// Sessions as administrators see them.
#[async_trait]
pub trait SessionListStore: Send + Sync {
    /// The newest sessions of `of`, at most `limit`, older than `before`: the ordinal of one that is known. Those
    /// past their end are among them until they are swept.
    async fn list_sessions(
        &self,
        of: &SessionsOf,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError>;

    /// Ends all sessions of this member; returns their hashes.
    async fn end_sessions_of_member(&self, member: MemberId) -> Result<Vec<SessionHash>, StoreError>;

    /// Ends all sessions that this provider began; returns their hashes.
    async fn end_sessions_of_idp(&self, idp: &IdpId) -> Result<Vec<SessionHash>, StoreError>;

    /// Ends every session there is; returns their hashes.
    async fn end_all_sessions(&self) -> Result<Vec<SessionHash>, StoreError>;
}

/// Whose sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionsOf {
    Everybody,
    Member(MemberId),
    Identity(IdpId, Subject),
}

/// A session without what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its place in the order of recording.
    pub ordinal: i64,
    pub hash: SessionHash,
    /// `None`: a session without account.
    pub member: Option<MemberId>,
    pub idp: IdpId,
    pub subject: Subject,
    /// The account's, where there is one.
    pub username: Option<String>,
    pub created_at: UnixTime,
    pub last_seen_at: UnixTime,
    pub expires_at: UnixTime,
}

/// Members as administrators see them.
#[async_trait]
pub trait MemberListStore: Send + Sync {
    /// Members that match, in the order of their ids (that of their creation), at most `limit` after `after`.
    async fn list_members(
        &self,
        like: &MembersLike,
        after: Option<MemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError>;

    /// How many there are.
    async fn count_members(&self) -> Result<u64, StoreError>;

    /// Whether one of the member's identities came with this verified address last ([`super::StandingStore::note_email`]),
    /// whatever the case of its ASCII letters.
    async fn came_with(&self, member: MemberId, email: &EmailAddress) -> Result<bool, StoreError>;

    /// Drops a member with everything that is kept of the person, but for the audit log and what sign-ins did
    /// (PROVISIONING.md E6): identities, sessions, unfinished creations, jobs, invites by which they came or that are
    /// for one of their addresses, letters to them or about them. [`StoreError::Gone`]: there is none.
    /// [`StoreError::Conflict`]: it is blocked, and a block without what it binds would let the person in. [`Owed`] at
    /// `now`: nothing was dropped, so that the application gets what is owed to it.
    async fn erase_member(&self, id: MemberId, now: UnixTime) -> Result<Result<Erased, Owed>, StoreError>;

    /// Every address that is known of the person, in lower case: the account's, those that the identities came with
    /// last, those of invites by which they came.
    async fn addresses_of(&self, id: MemberId) -> Result<BTreeSet<String>, StoreError>;
}

/// Which members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersLike {
    Everybody,
    Id(MemberId),
    /// E-mail address or username begins with this; ASCII letters in either case.
    Beginning(String),
    Account(AccountId),
    Identity(IdpId, Subject),
}

/// Why a member is not erased yet: with its record would go what narthex owes the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Owed {
    /// A sign-in or a job has the right to work on the member, at most until then.
    #[error("a sign-in or a job is at work on the account")]
    Work { until: UnixTime },
    /// E4, E6: it is decided that the account goes.
    #[error("the account is still to be deactivated or deleted in the application")]
    Leaving,
    /// L2.
    #[error("the account still has in the application what a session borrowed")]
    Loans,
    /// E1.
    #[error("the account lasts as long as its sessions and is still to be deleted in the application")]
    Ephemeral,
    /// What the SCIM client said last is not done.
    #[error("what the SCIM client said of the person last is still to be done in the application")]
    Push,
}

impl Owed {
    /// What the member's own record says of it.
    #[must_use]
    pub fn of(member: &Member) -> Option<Self> {
        if member.account.is_none() || member.account_state == AccountState::Deleted {
            return None;
        }
        let goes = match member.leaving {
            None => false,
            // Who was deactivated may still be deleted.
            Some(Leaving::Deactivate) => member.account_state != AccountState::Deactivated,
            Some(Leaving::Delete) => true,
        };
        if goes || member.account_state == AccountState::Leaving {
            return Some(Self::Leaving);
        }
        if !member.borrowed.is_empty() {
            return Some(Self::Loans);
        }
        let ephemeral = member.ephemeral_until.is_some() && member.origin == Origin::Jit;
        ephemeral.then_some(Self::Ephemeral)
    }
}

/// What [`MemberListStore::erase_member`] dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    pub identities: Vec<(IdpId, Subject)>,
    /// The sessions that ended.
    pub sessions: Vec<SessionHash>,
    /// Every address that was known of the person, in lower case.
    pub emails: BTreeSet<String>,
    pub invites: u64,
    pub letters: u64,
}

/// A member's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub id: MemberId,
    /// In their order.
    pub identities: Vec<(IdpId, Subject)>,
    /// `None` once narthex deleted the account.
    pub account: Option<AccountId>,
    pub username: String,
    pub email: Option<String>,
    pub origin: Origin,
    pub status: MemberStatus,
    pub generation: u32,
    /// Grows with every update.
    pub revision: u64,
    pub created_at: UnixTime,
    pub last_login_at: UnixTime,
}

/// Settings given at run time (PROVISIONING.md M4).
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// The newest version; 0 where there is none.
    async fn settings_version(&self) -> Result<i64, StoreError>;

    /// The newest versions, at most `limit`, older than `before`.
    async fn newest_settings(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredSettings>, StoreError>;

    /// Adds a version if it is the one after the newest; `false`: somebody else was faster. The latest
    /// [`MAX_VERSIONS`] are kept.
    async fn put_settings(&self, settings: &StoredSettings) -> Result<bool, StoreError>;
}

/// Versions that are kept, to see what held when.
pub const MAX_VERSIONS: usize = 200;

/// One version of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    /// From 1.
    pub version: i64,
    /// `[provisioning]` as JSON, without defaults.
    pub section: String,
    pub changed_by: String,
    pub changed_at: UnixTime,
}

/// The first text, in the order of bytes, that does not begin with `beginning`, nor comes before those that do.
#[must_use]
pub(super) fn end_of_beginnings(beginning: &str) -> String {
    format!("{beginning}{}", char::MAX)
}
