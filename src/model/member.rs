//! The durable record that links identities to one account.

use serde::{Deserialize, Serialize};

use super::{AccountId, IdpId, MemberId, Subject, UnixTime};

/// One person whom narthex has let in (PROVISIONING.md, words).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    /// Every (identity provider, subject) that is this person.
    pub identities: Vec<(IdpId, Subject)>,
    pub account: AccountId,
    /// The account's username when it was last seen, for lists and logs.
    pub username: String,
    pub email: Option<String>,
    pub origin: Origin,
    pub status: MemberStatus,
    /// Grows with every re-creation of the account.
    pub generation: u32,
    pub created_at: UnixTime,
    pub last_login_at: UnixTime,
}

/// How a member came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// narthex created the account at a sign-in.
    Jit,
    /// The account was there before.
    Adopted,
    /// The first sign-in consumed an invite.
    Invite,
}

/// Whether a member may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    Active,
}
