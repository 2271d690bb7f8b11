//! What a SCIM client keeps here is pushed to the application (E2), and its people are recognised at sign-in (M3).
//!
//! A push is a sign-in without a browser: the directory vouches for the person, and everything that a sign-in does with
//! an account under `sync = "every_login"` is done. What the job finds when it runs is what counts; a change that comes
//! meanwhile puts it anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::{Provisioning, Scim};
use crate::model::scim::ScimKind;
use crate::model::{AccountState, Identity, IdpId, Leaving, Member, UnixTime};
use crate::observe::audit::{Entry, Event};
use crate::store::{OnUpdate, StoreError, Update};

use super::provisioner::Core;
use super::settle::REMOVALS_WITHIN;
use super::{ProvisionError, eligibility, pushed};

/// Groups of one user; of more, the rest give nothing.
const MAX_GROUPS: usize = 1000;
/// Before somebody else's work on the same member is looked at again.
const BUSY: Duration = Duration::from_secs(1);
/// Before it is looked whether a removal may go on.
const PAUSED: Duration = Duration::from_mins(10);

/// How pushes are seen to.
#[derive(Clone)]
pub(super) struct Pushing {
    pub(super) scim: Scim,
    pub(super) settings: Provisioning,
}

impl Pushing {
    pub(super) fn new(scim: &Scim, settings: &Provisioning) -> Self {
        Self { scim: scim.clone(), settings: pushed::settings(settings) }
    }
}

impl Core {
    /// The job of one user; `Some`: there will be something to do then, not before.
    pub(super) async fn push(
        self: &Arc<Self>,
        user: &str,
        deadline: Instant,
    ) -> Result<Option<UnixTime>, ProvisionError> {
        // M5: what SCIM made stays as it is under another mode.
        let Some(pushing) = &self.pushing else { return Ok(None) };
        let Some(subject) = pushed::subject(user) else { return Ok(None) };
        let resource = self.store.find_scim(ScimKind::User, user).await?;
        let member = self.store.find_member(&IdpId::scim(), &subject).await?;
        match (resource, member) {
            (Some(resource), _) if pushed::is_active(&resource) => {
                let ids = [resource.id.clone()];
                let links = self.store.list_scim_links(ScimKind::User, &ids, MAX_GROUPS).await?;
                let identity = pushed::identity(&resource, &links)?;
                let mut settings = pushing.settings.clone();
                settings.mapping.extend(pushed::rows(pushing.scim.groups, &links));
                let core = Arc::new(self.seeing_to_pushes(settings));
                core.settle(&identity, deadline).await?;
                Ok(None)
            }
            (Some(_), Some(member)) => self.withdraw(member, Leaving::Deactivate, deadline).await,
            (None, Some(member)) => self.withdraw(member, self.settings.lifecycle.leaver, deadline).await,
            // Never active here, or gone before the application heard of it.
            (_, None) => Ok(None),
        }
    }

    /// E4: the sessions end at once, the account is left to the member's own job.
    async fn withdraw(
        &self,
        member: Member,
        how: Leaving,
        deadline: Instant,
    ) -> Result<Option<UnixTime>, ProvisionError> {
        let is_so = match member.account_state {
            AccountState::Deleted => true,
            AccountState::Deactivated => how == Leaving::Deactivate,
            AccountState::Present | AccountState::Leaving => false,
        };
        if member.account.is_none() {
            return Ok(None);
        }
        if is_so {
            return self.stays_withdrawn(member, how, deadline).await;
        }
        self.withdraws(member, how).await
    }

    /// The record says that it is done. It is believed of a member whom nobody works on only: a sign-in that the directory
    /// still let in may be activating the account again just now, or have died of it.
    async fn stays_withdrawn(
        &self,
        member: Member,
        how: Leaving,
        deadline: Instant,
    ) -> Result<Option<UnixTime>, ProvisionError> {
        let now = self.platform.clock.now();
        let Ok(lease) = self.try_hold(member.id).await? else { return Ok(Some(now.after(BUSY))) };
        let member = lease.standing.member;
        let account = match member.account_state {
            AccountState::Deleted => Ok(None),
            _ => self.account_of(&member, deadline).await,
        };
        self.release(member.id, lease.holder).await;
        match account? {
            Some(account) if account.active => {
                self.withdraws(Member { account_state: AccountState::Present, ..member }, how).await
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn withdraws(&self, member: Member, how: Leaving) -> Result<Option<UnixTime>, ProvisionError> {
        let now = self.platform.clock.now();
        let max = self.settings.lifecycle.max_removals;
        if member.leaving != Some(how) && !self.store.take_removals(1, now, REMOVALS_WITHIN, max).await? {
            // G3: a directory that lost its people takes nobody's account away at once. They are out all the same.
            self.report_paused(&member, "scim", 1);
            let update = Update { holder: None, sessions: OnUpdate::End, settle_at: None };
            if let Ok(updated) = self.store.update_member(&member, update).await {
                self.tell_ended(&updated.ended);
            }
            return Ok(Some(now.after(PAUSED)));
        }
        let leaving = Member { leaving: Some(how), ..member };
        let update = Update { holder: None, sessions: OnUpdate::End, settle_at: Some(now) };
        match self.store.update_member(&leaving, update).await {
            Ok(updated) => {
                self.tell_ended(&updated.ended);
                let entry = Entry::new(Event::AccessRevoked).member(leaving.id).field("rule", "E4");
                self.audit.record(entry.field("by", "scim").field("sessions", updated.ended.len()));
                Ok(None)
            }
            // Somebody works on the member just now.
            Err(StoreError::Conflict { .. } | StoreError::Gone { .. }) => Ok(Some(now.after(BUSY))),
            Err(error) => Err(error.into()),
        }
    }

    /// M3: the member of the pushed user whose person this is; `None`: there is no such user, or the application has
    /// no account for it yet.
    ///
    /// # Errors
    /// [`ProvisionError::AccountDeactivated`] where the directory says that the user is not active, or deleted it.
    pub(super) async fn pushed_member(&self, identity: &Identity) -> Result<Option<Member>, ProvisionError> {
        if let Some(member) = self.store.find_member(&identity.idp, &identity.subject).await? {
            let pushed = member.identities.iter().find(|(idp, _)| *idp == IdpId::scim());
            let Some((_, user)) = pushed else { return Ok(Some(member)) };
            let user = self.store.find_scim(ScimKind::User, user.as_str()).await?;
            // SECURITY: an account that narthex deactivated would be activated by the next sign-in (G4).
            if !user.as_ref().is_some_and(pushed::is_active) {
                return Err(ProvisionError::AccountDeactivated { username: member.username });
            }
            return Ok(Some(member));
        }
        let Some(pushing) = &self.pushing else { return Ok(None) };
        let email = eligibility::admit(identity, &self.settings, self.authority(&identity.idp))?;
        let Some(which) = pushed::search(&pushing.scim, identity, email.as_ref()) else { return Ok(None) };
        let found = self.store.list_scim(ScimKind::User, &which, "", 0, 2).await?;
        // SECURITY: nobody is one of two.
        let [user] = found.as_slice() else { return Ok(None) };
        if !pushed::is_named(&pushing.scim, identity, user) {
            return Ok(None);
        }
        let Some(subject) = pushed::subject(&user.id) else { return Ok(None) };
        if !pushed::is_active(user) {
            let username = user.user_name.clone().unwrap_or_default();
            return Err(ProvisionError::AccountDeactivated { username });
        }
        let Some(member) = self.store.find_member(&IdpId::scim(), &subject).await? else { return Ok(None) };
        // SECURITY: F8. Somebody else of this provider is that person already: a name that was given anew.
        if member.identities.iter().any(|(idp, _)| *idp == identity.idp) {
            return Err(ProvisionError::LinkedToAnotherMember { username: member.username });
        }
        Ok(Some(member))
    }

    /// Whether the directory wants the account of this member, whom this process has the right to work on: it may have
    /// changed its mind while that right was waited for. What it says from now on waits for the right
    /// ([`Core::stays_withdrawn`]) or outdates what is read under it.
    pub(super) async fn is_wanted_still(
        &self,
        member: &Member,
        identity: &Identity,
    ) -> Result<(), ProvisionError> {
        // M5: what SCIM made stays as it is under another mode.
        if self.pushing.is_none() && identity.idp != IdpId::scim() {
            return Ok(());
        }
        let pushed = member.identities.iter().find(|(idp, _)| *idp == IdpId::scim());
        let Some((_, user)) = pushed else { return Ok(()) };
        let user = self.store.find_scim(ScimKind::User, user.as_str()).await?;
        if user.as_ref().is_some_and(pushed::is_active) {
            return Ok(());
        }
        Err(ProvisionError::AccountDeactivated { username: member.username.clone() })
    }

    /// The member, with this identity from now on.
    pub(super) async fn linked(&self, identity: &Identity) -> Result<Member, ProvisionError> {
        let Some(member) = self.pushed_member(identity).await? else {
            return Err(ProvisionError::NotProvisioned);
        };
        let Identity { idp, subject, .. } = identity;
        if member.identities.iter().any(|(own, name)| own == idp && name == subject) {
            return Ok(member);
        }
        if self.store.link_identity(member.id, idp, subject).await? {
            let entry = Entry::new(Event::MemberLinked).by_person(idp, subject).member(member.id);
            self.audit.record(entry.field("rule", "M3"));
        }
        // Another sign-in of the same person may have been faster.
        let found = self.store.find_member(idp, subject).await?;
        found.filter(|found| found.id == member.id).ok_or(ProvisionError::BusyElsewhere)
    }
}
