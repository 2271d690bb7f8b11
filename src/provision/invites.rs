//! What an invite brings into a first login (PROVISIONING.md F6).

use crate::config::settings::Provisioning;
use crate::model::invite::InviteId;
use crate::model::{ConsoleRole, Entitlements, Member, Origin};

/// An invite that a first login may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    pub id: InviteId,
    /// The revision that was read; it is claimed as just this one.
    pub revision: i64,
    pub entitlements: Entitlements,
    /// The role that the inviting administrator has now; `None`: none any more, and the invite is worth nothing.
    pub inviter: Option<ConsoleRole>,
}

impl Invited {
    /// Whether it may still give what the application marks as privileged.
    #[must_use]
    pub fn may_be_privileged(&self) -> bool {
        self.inviter.is_some_and(ConsoleRole::may_grant_privileged)
    }
}

/// F1 holds unless `invite.allow_external`: then people who were invited, now or once, need not be of an allowed domain.
#[must_use]
pub fn is_external_guest(
    settings: &Provisioning,
    invited: Option<&Invited>,
    member: Option<&Member>,
) -> bool {
    let was_invited = member.is_some_and(|member| member.origin == Origin::Invite);
    settings.invite_allow_external && (invited.is_some() || was_invited)
}
