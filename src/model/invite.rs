//! An invite: who may come in by their first sign-in, and with what (PROVISIONING.md F6).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EmailAddress, Entitlements, IdpId, MemberId, Subject, UnixTime};

/// narthex's own id of an invite (UUID version 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InviteId(pub Uuid);

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    pub id: InviteId,
    pub terms: InviteTerms,
    /// The administrator's name; what they may grant is looked at again when the invite is used.
    pub invited_by: String,
    /// Administrators who changed it and did not make it, each once; looked at in the same way.
    pub changed_by: Vec<String>,
    pub created_at: UnixTime,
    /// From then on it is good for nobody new.
    pub expires_at: UnixTime,
    /// Grows with every change, from 1.
    pub revision: i64,
    /// Whose first sign-in consumed it; a later try of the same identity may finish what it began.
    pub claimed: Option<Claim>,
    /// The member whom it led to.
    pub member: Option<MemberId>,
    pub revoked_at: Option<UnixTime>,
    /// How often it was asked to be sent, and when last.
    pub sends: u32,
    pub sent_at: Option<UnixTime>,
}

/// What may be changed until it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    pub email: EmailAddress,
    /// Only by this identity provider; `None`: by any that may speak for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp: Option<IdpId>,
    pub entitlements: Entitlements,
    /// The username of the account that the entitlements are a snapshot of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned_from: Option<String>,
}

/// Whose first sign-in consumed an invite, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub idp: IdpId,
    pub subject: Subject,
    pub at: UnixTime,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    Open,
    /// A sign-in has consumed it and has no member yet.
    Claimed,
    Used,
    Expired,
    Revoked,
}

impl Invite {
    /// The names of all who had a hand in it.
    pub fn hands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.invited_by).chain(&self.changed_by).map(String::as_str)
    }

    #[must_use]
    pub fn state(&self, now: UnixTime) -> InviteState {
        match (self.revoked_at, self.member, &self.claimed) {
            (Some(_), _, _) => InviteState::Revoked,
            (None, Some(_), _) => InviteState::Used,
            (None, None, Some(_)) => InviteState::Claimed,
            (None, None, None) if self.expires_at <= now => InviteState::Expired,
            (None, None, None) => InviteState::Open,
        }
    }
}

/// How an address is compared with that of an invite: ASCII letters in either case; nothing else is folded.
#[must_use]
pub fn invited_address(email: &EmailAddress) -> String {
    email.to_string().to_ascii_lowercase()
}
