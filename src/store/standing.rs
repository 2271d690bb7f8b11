//! Acts on members while their accounts are worked on, and the jobs that go on with it when no browser waits.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{
    EmailAddress, Grant, IdpId, Job, JobState, Member, MemberId, SessionHash, Subject, Task, UnixTime,
};

/// One worker at a time on one member, over all processes, and every update in one order.
#[async_trait]
pub trait StandingStore: Send + Sync {
    /// Takes the right to work on this member until `until`, unless another holder has it; for the holder itself it is
    /// renewed. An unknown member is [`StoreError::Gone`].
    async fn hold_member(
        &self,
        id: MemberId,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Hold, StoreError>;

    /// Gives the right up; nothing happens where another has it by now.
    async fn release_member(&self, id: MemberId, holder: u64) -> Result<(), StoreError>;

    /// How the member stands, without taking the right to change it.
    async fn standing(&self, id: MemberId, now: UnixTime) -> Result<Option<Standing>, StoreError>;

    /// Writes everything of the member but its identities, if its revision is still the one that `member` has: then it
    /// grows by one. [`StoreError::Conflict`]: it is not, or another member has the account, or there are sessions where
    /// none may be. [`StoreError::Gone`]: there is no such member, or `update.holder` has lost the right.
    async fn update_member(&self, member: &Member, update: Update) -> Result<Updated, StoreError>;

    /// Members whose account is present, nothing asked to be done with it, whose last sign-in lies before `before`, and
    /// who have no session at `now`, nor a sign-in about to have one; the longest absent first, at most `limit`.
    async fn list_inactive(
        &self,
        before: UnixTime,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// G6: notes the verified e-mail that this identity of a member came with, in the place of an earlier one. That of a
    /// blocked member stays: what was blocked is not exchanged for something else.
    async fn note_email(
        &self,
        idp: &IdpId,
        subject: &Subject,
        email: &EmailAddress,
    ) -> Result<(), StoreError>;

    /// G6: whether a blocked member's account has this e-mail, or one of the identities came with it last, whatever the
    /// case of its ASCII letters.
    async fn is_blocked_email(&self, email: &str) -> Result<bool, StoreError>;
}

/// What the guards count and hold over all processes.
#[async_trait]
pub trait GuardStore: Send + Sync {
    /// G3: counts `wanted` removals, unless that made more than `max` of them `within` this time up to `now`; `false`:
    /// none was counted.
    async fn take_removals(
        &self,
        wanted: u32,
        now: UnixTime,
        within: Duration,
        max: u32,
    ) -> Result<bool, StoreError>;

    /// G3: how many removals were counted `within` this time up to `now`.
    async fn counted_removals(&self, now: UnixTime, within: Duration) -> Result<u32, StoreError>;

    /// Takes the right of this name until `until`, unless another holder has it, at most until the time that is
    /// returned then; for the holder itself it is renewed.
    async fn hold_right(
        &self,
        name: &str,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError>;

    /// Gives the right up; nothing happens where another has it by now.
    async fn release_right(&self, name: &str, holder: u64) -> Result<(), StoreError>;
}

/// Whether the right to work on a member was had.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold {
    Held(Box<Standing>),
    /// Another holder is at it, at most until then.
    Busy {
        until: UnixTime,
    },
}

/// A member with what its account must fit to.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub member: Member,
    /// Sessions that have not ended, in the order of their recording.
    pub sessions: Vec<StandingSession>,
    /// A sign-in was let through and has no session yet; it is waited for until then.
    pub landing_until: Option<UnixTime>,
}

/// One live session of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingSession {
    pub grant: Grant,
    pub created_at: UnixTime,
    pub expires_at: UnixTime,
}

/// What else [`StandingStore::update_member`] does in the same transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Update {
    /// Only if this holder has the right to work on the member.
    pub holder: Option<u64>,
    pub sessions: OnUpdate,
    /// Puts the member's [`Task::Settle`], due then.
    pub settle_at: Option<UnixTime>,
}

/// What becomes of the member's sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUpdate {
    #[default]
    Stay,
    /// All of them end.
    End,
    /// Nothing is written if one lives at this time, or a sign-in is about to have one.
    MustBeNone { at: UnixTime },
}

/// What [`StandingStore::update_member`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The member's revision now.
    pub revision: u64,
    /// Sessions that ended.
    pub ended: Vec<SessionHash>,
}

/// A sign-in that was let through and has no session yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    /// Has the right to work on the member, and gives it up.
    pub holder: u64,
    /// The account is kept for the session until then, and settled after it unless there is one.
    pub until: UnixTime,
}

/// What a creation is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreationIntent {
    pub username: String,
    pub email: Option<String>,
    /// Now: nothing was found just before.
    pub intended_at: UnixTime,
    /// E1: an account of this intent that nobody finishes is deleted after this time.
    pub clean_up_at: Option<UnixTime>,
}

/// What an earlier, unfinished creation was about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    pub username: String,
    /// SECURITY: what was found longer after this may be anybody's by now. Unknown (recorded by an earlier version)
    /// is long ago.
    pub at: UnixTime,
}

/// Durable jobs (PROVISIONING.md E2). At most one for each [`Task::key`].
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Records the task, due then; over a former one of its key, even one that is being worked on, which is then run
    /// again.
    async fn put_job(&self, task: &Task, due_at: UnixTime) -> Result<(), StoreError>;

    /// Takes the job that is due for longest and that nobody works on, until `until`.
    async fn claim_job(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<ClaimedJob>, StoreError>;

    /// Says how it went and gives the job up. One that was put or hastened since it was claimed stays due, whatever the
    /// outcome; nothing happens where another holder has it by now.
    async fn conclude_job(&self, claimed: &ClaimedJob, outcome: &JobOutcome) -> Result<(), StoreError>;

    /// Jobs in the order in which they are due, parked ones last; at most `limit`.
    async fn list_jobs(&self, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// Makes the job of this key due at once, parked ones too; `false`: there is none.
    async fn hasten_job(&self, key: &str) -> Result<bool, StoreError>;
}

/// A job that this process works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    pub job: Job,
    pub holder: u64,
    /// Grows whenever the job is put or hastened.
    pub ticket: u64,
}

/// How a job went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// There is nothing more to do.
    Done,
    /// There will be, not before then. `reason`: why it failed this time; it counts as a try then.
    PutOff { until: UnixTime, reason: Option<String> },
    /// It cannot be done unless somebody does something.
    Parked { reason: String },
}

impl JobOutcome {
    /// What becomes of a job: its state, when it is due, its tries and its reason; `None`: it goes.
    pub(super) fn applied_to(&self, job: &Job) -> Option<Job> {
        let job = job.clone();
        match self {
            Self::Done => None,
            Self::PutOff { until, reason: None } => {
                Some(Job { due_at: *until, tries: 0, reason: None, state: JobState::Waiting, ..job })
            }
            Self::PutOff { until, reason } => Some(Job {
                due_at: *until,
                tries: job.tries.saturating_add(1),
                reason: reason.clone(),
                state: JobState::Waiting,
                ..job
            }),
            Self::Parked { reason } => Some(Job {
                tries: job.tries.saturating_add(1),
                reason: Some(reason.clone()),
                state: JobState::Parked,
                ..job
            }),
        }
    }
}
