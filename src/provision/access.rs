//! Taking access away and giving it back (E4, E6, G6): what the admin API, the console and the CLI call.

use crate::model::{AccountState, Leaving, Member, MemberId, MemberStatus};
use crate::observe::audit::{Entry, Event};
use crate::store::{OnUpdate, StoreError, Update};

use super::leases::contested;
use super::provisioner::Core;
use super::settle::REMOVALS_WITHIN;
use super::{ProvisionError, Provisioner};

/// How often an update is tried that somebody else's overtook.
const TRIES: u32 = 8;
/// How many absent people are seen to at a time.
const ABSENT_AT_A_TIME: usize = 50;

impl Provisioner {
    /// E4: ends the member's sessions at once, and has the account deactivated or deleted as `provisioning.leaver` says,
    /// by a job. The person may come in again if the identity provider still admits them.
    ///
    /// # Errors
    /// Where it cannot be recorded: then nothing has changed. An unknown member is [`StoreError::Gone`].
    pub async fn revoke(&self, id: MemberId) -> Result<Member, ProvisionError> {
        let leaver = self.core().settings.lifecycle.leaver;
        let member = self.core().amend(id, |member| leaving(member, leaver)).await?;
        self.core().audit.record(Entry::new(Event::AccessRevoked).member(id).field("rule", "E4"));
        Ok(member)
    }

    /// G6: as [`Provisioner::revoke`], and nobody comes in any more by this account, these identities or this e-mail.
    ///
    /// # Errors
    /// As [`Provisioner::revoke`].
    pub async fn block(&self, id: MemberId) -> Result<Member, ProvisionError> {
        let leaver = self.core().settings.lifecycle.leaver;
        let block = |member| Member { status: MemberStatus::Blocked, ..leaving(member, leaver) };
        let member = self.core().amend(id, block).await?;
        self.core().audit.record(Entry::new(Event::MemberBlocked).member(id).field("rule", "G6"));
        Ok(member)
    }

    /// Takes [`Provisioner::block`] back. The account comes back with the next sign-in.
    ///
    /// # Errors
    /// As [`Provisioner::revoke`].
    pub async fn unblock(&self, id: MemberId) -> Result<Member, ProvisionError> {
        let member =
            self.core().amend(id, |member| Member { status: MemberStatus::Active, ..member }).await?;
        self.core().audit.record(Entry::new(Event::MemberUnblocked).member(id).field("rule", "G6"));
        Ok(member)
    }

    /// E6, `deactivate_after_inactive`: has the accounts of people who stopped coming treated as those of leavers, as many
    /// as G3 allows. Gives how many.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn retire_absent(&self) -> Result<usize, ProvisionError> {
        let core = self.core();
        let lifecycle = &core.settings.lifecycle;
        // M6: nothing is decided in shadow mode either.
        let Some(after) = lifecycle.deactivate_after_inactive.filter(|_| !core.settings.shadow) else {
            return Ok(0);
        };
        let now = core.platform.clock.now();
        let mut retired = 0;
        for member in core.store.list_inactive(now.before(after), now, ABSENT_AT_A_TIME).await? {
            if !core.store.take_removals(1, now, REMOVALS_WITHIN, lifecycle.max_removals).await? {
                core.report_paused(&member, "deactivate_after_inactive", 1);
                break;
            }
            let leaver = lifecycle.leaver;
            let update = Update {
                sessions: OnUpdate::MustBeNone { at: now },
                settle_at: Some(now),
                ..Update::default()
            };
            match core.store.update_member(&leaving(member.clone(), leaver), update).await {
                Ok(_) => retired += 1,
                // Came in just now.
                Err(StoreError::Conflict { .. } | StoreError::Gone { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            let entry = Entry::new(Event::MemberAbsent).member(member.id).field("rule", "E6");
            core.audit.record(entry.field("last_login_at", member.last_login_at));
        }
        Ok(retired)
    }
}

/// With something to be done with the account, where there is one.
fn leaving(member: Member, how: Leaving) -> Member {
    let leaving = match member.account_state {
        AccountState::Present | AccountState::Leaving => Some(how),
        AccountState::Deactivated if how == Leaving::Delete => Some(how),
        AccountState::Deactivated | AccountState::Deleted => None,
    };
    Member { leaving, ..member }
}

impl Core {
    /// Updates a member whoever works on it: their next write starts from this one. Its sessions end.
    async fn amend(
        &self,
        id: MemberId,
        change: impl Fn(Member) -> Member + Send,
    ) -> Result<Member, ProvisionError> {
        let mut overtaken = ProvisionError::BusyElsewhere;
        for _ in 0..TRIES {
            let member = self.store.find_member_by_id(id).await?;
            let member = member.ok_or(StoreError::Gone { act: "find_member_by_id", what: "the member" })?;
            let member = change(member);
            let settle_at = member.leaving.map(|_| self.platform.clock.now());
            let update = Update { holder: None, sessions: OnUpdate::End, settle_at };
            match self.store.update_member(&member, update).await {
                Ok(updated) => {
                    self.tell_ended(&updated.ended);
                    return Ok(Member { revision: updated.revision, ..member });
                }
                Err(error @ StoreError::Conflict { .. }) => overtaken = contested(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(overtaken)
    }
}
