//! Work that no browser waits for (PROVISIONING.md E2).

use serde::{Deserialize, Serialize};

use super::{Identity, IdpId, MemberId, Subject, UnixTime};

/// What is to be done. Every kind is idempotent and looks at what is there first: it may run any number of times,
/// and after something newer has made it needless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Brings the member's account to where it should be with the sessions that live then.
    Settle { member: MemberId, generation: u32 },
    /// Looks for an account whose creation was intended and never finished, and deletes it. Recorded with the
    /// intent, where the account would have been an ephemeral one (E1).
    AbandonedCreation { idp: IdpId, subject: Subject, username: String, email: Option<String> },
    /// Does what a sign-in at this time left undone that came in while the application could not be reached
    /// (PROVISIONING.md A2).
    CatchUp { member: MemberId, generation: u32, at: UnixTime, identity: Box<Identity> },
    /// Brings the account of a user whom a SCIM client keeps here to where that user is then; by the user's id here.
    Push { user: String },
}

impl Task {
    /// Under which there is at most one job.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Settle { member, .. } => Self::settle_key(*member),
            Self::AbandonedCreation { idp, subject, .. } => Self::creation_key(idp, subject),
            Self::CatchUp { member, .. } => format!("catch up {member}"),
            Self::Push { user } => format!("push {user}"),
        }
    }

    /// The key of a member's [`Task::Settle`].
    #[must_use]
    pub fn settle_key(member: MemberId) -> String {
        format!("settle {member}")
    }

    /// The key of a person's [`Task::AbandonedCreation`].
    #[must_use]
    pub fn creation_key(idp: &IdpId, subject: &Subject) -> String {
        // An id of a provider holds no space.
        format!("creation {idp} {}", subject.as_str())
    }

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Settle { .. } => "settle",
            Self::AbandonedCreation { .. } => "abandoned_creation",
            Self::CatchUp { .. } => "catch_up",
            Self::Push { .. } => "push",
        }
    }

    /// Whose settling it is.
    #[must_use]
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::Settle { member, .. } | Self::CatchUp { member, .. } => Some(*member),
            Self::AbandonedCreation { .. } | Self::Push { .. } => None,
        }
    }
}

/// A task, and when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub task: Task,
    pub due_at: UnixTime,
    /// How often it was tried in vain since it was put or hastened.
    pub tries: u32,
    pub state: JobState,
    /// Why it was put off or parked.
    pub reason: Option<String>,
}

/// Whether a job is tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Waiting,
    /// Needs an administrator; tried again when something hastens it.
    Parked,
}

/// A job that is due before everything that has a time.
pub const AT_ONCE: UnixTime = UnixTime(0);
