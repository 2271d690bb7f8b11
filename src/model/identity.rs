//! What an identity provider vouched for, before anything is made of it.

use serde::{Deserialize, Serialize};

use super::{Claims, IdpId, Subject, UnixTime};

/// One person as one identity provider described them at one sign-in. Plain data: that it was verified is
/// said by `identify::Verified`, which wraps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub idp: IdpId,
    pub subject: Subject,
    pub claims: Claims,
    /// What the identity provider calls this person when it ends a session: `sub`, or a digest of the NameID with
    /// its qualifiers. Not the subject where that is another claim.
    pub logout_name: String,
    /// The identity provider's own session (`sid`, SessionIndex), under which it may end ours.
    pub idp_session: Option<String>,
    /// When the person last authenticated there (`auth_time`), if it was said.
    pub authenticated_at: Option<UnixTime>,
    /// When the identity provider wants our session ended at the latest (SAML Core 2.0, 2.7.2).
    pub ends_at: Option<UnixTime>,
}
