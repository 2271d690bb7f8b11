//! The proof that an identity's account was seen to; the only thing that a session can be made from.

use crate::identify::Verified;
use crate::model::session::SessionAccount;
use crate::model::{Account, Grant, Member, UnixTime};

/// What provisioning ended with.
#[derive(Debug)]
pub struct Provisioned {
    verified: Verified,
    account: Option<SessionAccount>,
    grant: Grant,
    ends_at: Option<UnixTime>,
}

impl Provisioned {
    /// After the account was found or created with its entitlements (PROVISIONING.md F10).
    pub(super) fn with_account(verified: Verified, member: &Member, account: &Account, grant: Grant) -> Self {
        let account =
            SessionAccount { member: member.id, id: account.id.clone(), profile: account.profile.clone() };
        Self { verified, account: Some(account), grant, ends_at: member.ephemeral_until }
    }

    /// The named exception of M3: `unprovisioned = "forward"`, a session without account.
    pub(super) fn without_account(verified: Verified, grant: Grant) -> Self {
        Self { verified, account: None, grant, ends_at: None }
    }

    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    #[must_use]
    pub fn account(&self) -> Option<&SessionAccount> {
        self.account.as_ref()
    }

    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// When the account goes at the latest, and the session with it (E1).
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixTime> {
        self.ends_at
    }

    /// For tests of the stages that follow.
    #[cfg(test)]
    #[must_use]
    pub fn for_tests(verified: Verified, account: Option<SessionAccount>, grant: Grant) -> Self {
        Self { verified, account, grant, ends_at: None }
    }
}
