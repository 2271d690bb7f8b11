//! A signed-in browser, as the store keeps it.

use serde::{Deserialize, Serialize};

use super::{AccountId, AccountProfile, Claims, Grant, IdpId, MemberId, SessionHash, Subject, UnixTime};

/// One session. The cookie holds the id, the store its hash only.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    pub hash: SessionHash,
    pub content: SessionContent,
    pub created_at: UnixTime,
    /// Written in batches; may lag by the batching interval.
    pub last_seen_at: UnixTime,
    /// The absolute end, whatever the activity.
    pub expires_at: UnixTime,
}

/// What a session says of its person; fixed for its life but for the grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionContent {
    pub idp: IdpId,
    pub subject: Subject,
    /// What the identity provider calls this person at logout; see [`super::Identity::logout_name`].
    #[serde(default)]
    pub logout_name: String,
    /// The identity provider's `sid` or SessionIndex, for logout from there.
    pub idp_session: Option<String>,
    /// `None`: a session without account (PROVISIONING.md M3, `forward`).
    pub account: Option<SessionAccount>,
    pub claims: Claims,
    pub grant: Grant,
    /// What the provider is told at logout, sealed: the ID token (OpenID Connect RP-Initiated Logout 1.0, 2), or the
    /// NameID and SessionIndex (SAML Core 2.0, 3.7.1).
    pub logout_hint: Option<Vec<u8>>,
}

/// The account behind a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAccount {
    pub member: MemberId,
    pub id: AccountId,
    pub profile: AccountProfile,
}
