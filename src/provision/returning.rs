//! A member's later sign-in: mostly a look at the account, and under a lease where anything about it is to be changed, or
//! could be changed by a job meanwhile.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::config::settings::{Mode, OnMissing, SessionRoles};
use crate::model::{Account, AccountState, Grant, Identity, Leaving, Member, MemberStatus};
use crate::observe::audit::{Entry, Event};
use crate::store::{Landing, OnUpdate};

use super::connector::Connector;
use super::creation::Creation;
use super::explain::Story;
use super::fate::is_ephemeral;
use super::faults::fault_point;
use super::leases::{LANDING, Lease, MARGIN, contested};
use super::plan::Operation;
use super::provisioner::{Core, How, Settled};
use super::settle::Fitted;
use super::sync::Removals;
use super::{ProvisionError, jobs, members};

impl Core {
    /// Whatever the account needs before this member's session begins.
    pub(super) fn returning<'a>(
        self: &'a Arc<Self>,
        member: Member,
        identity: &'a Identity,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Settled, ProvisionError>> {
        Box::pin(self.come_back(member, identity, deadline))
    }

    async fn come_back(
        self: &Arc<Self>,
        member: Member,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Settled, ProvisionError> {
        admitted(&member)?;
        let id = member.id;
        if is_steady(&member)
            && let Some(account) = self.in_time(deadline, self.account_of(&member, deadline)).await?
            && let Some(settled) =
                self.in_time(deadline, self.as_it_is(member, account, identity, deadline)).await?
        {
            return Ok(settled);
        }
        let alone = self.settings.session_roles == SessionRoles::Borrow;
        let lease = self.hold(id, alone, deadline).await?;
        let holder = lease.holder;
        fault_point!(self, LoginHeld);
        let work = Box::pin(self.under_lease(lease, identity, deadline));
        let result = self.in_time(deadline, work).await;
        if result.is_err() {
            self.release(id, holder).await;
        }
        result
    }

    /// L1, L4: only our own record of the sign-in is written. `None`: the account is to be changed.
    async fn as_it_is(
        &self,
        member: Member,
        account: Account,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Option<Settled>, ProvisionError> {
        let mut grant = None;
        if account.active && self.adjusts() {
            let resolved = self.resolved(identity, Some(&member), deadline).await?;
            let appraisal = self.appraise(identity, &member, &account, &resolved, Removals::Allowed);
            if !appraisal.is_settled(&member) {
                return Ok(None);
            }
            grant = Some(appraisal.grant);
        }
        self.returned(member, account, grant).await.map(Some)
    }

    async fn returned(
        &self,
        member: Member,
        account: Account,
        grant: Option<Grant>,
    ) -> Result<Settled, ProvisionError> {
        if !account.active {
            return Err(ProvisionError::AccountDeactivated { username: account.profile.username });
        }
        let member = members::again(member, &account, self.platform.clock.now());
        self.store.record_login(&member, None).await?;
        let story = Story::of_member(&account);
        Ok(Settled { member, account, grant, how: How::Existing, story })
    }

    pub(super) async fn under_lease(
        self: &Arc<Self>,
        lease: Lease,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Settled, ProvisionError> {
        let Lease { holder, standing } = lease;
        admitted(&standing.member)?;
        self.is_wanted_still(&standing.member, identity).await?;
        let sessions = standing.sessions.clone();
        let mut member = standing.member.clone();
        let now = self.platform.clock.now();
        if is_ephemeral(&member) && member.ephemeral_until.is_some_and(|until| until <= now) {
            member = match self.leave(standing, holder, Leaving::Delete, deadline).await {
                Ok(Some(member)) => member,
                // Its job has come too late or not through; the account is used for another while.
                Ok(None) => return Err(ProvisionError::BusyElsewhere),
                Err(ProvisionError::Connector(error)) if jobs::is_permanent(&error) => {
                    self.prolonged(member, holder).await?
                }
                Err(error) => return Err(error),
            };
        }
        let account = self.account_of(&member, deadline).await?;
        fault_point!(self, LoginFound);
        let settled = if let Some(account) = account {
            let mut story = Story::of_member(&account);
            story.done.extend((!account.active).then_some(Operation::Reactivate));
            let (member, account) = self.stays((member, holder), account, deadline).await?;
            Settled { member, account, grant: None, how: How::Existing, story }
        } else {
            self.recreates(&member)?;
            Creation::new(self, identity, deadline)?.again(member, holder).await?
        };
        let settled = self.adjusted(identity, settled, holder, &sessions, deadline).await?;
        self.landed(settled, holder).await
    }

    /// E3, E5.
    pub(super) fn recreates(&self, member: &Member) -> Result<(), ProvisionError> {
        let by_us = member.account_state != AccountState::Present;
        let may = by_us || self.settings.lifecycle.on_missing == OnMissing::Recreate;
        if may && self.settings.mode == Mode::Jit { Ok(()) } else { Err(ProvisionError::AccountVanished) }
    }

    /// E1: an account that cannot be deleted lives on, and is tried again when its time is over once more.
    async fn prolonged(&self, member: Member, holder: u64) -> Result<Member, ProvisionError> {
        let standing = self.store.standing(member.id, self.platform.clock.now()).await?;
        let member = standing.map_or(member, |standing| standing.member);
        let ephemeral_until =
            self.settings.lifecycle.ephemeral.map(|lifetime| self.platform.clock.now().after(lifetime));
        let member = Member { ephemeral_until, account_state: AccountState::Present, ..member };
        self.update(member, holder, OnUpdate::Stay, None).await
    }

    /// G4, E4: an account that narthex deactivated is reactivated; whatever was about to become of it is taken back.
    async fn stays(
        &self,
        (mut member, holder): (Member, u64),
        mut account: Account,
        deadline: Instant,
    ) -> Result<(Member, Account), ProvisionError> {
        if !account.active {
            let connector = self.guarded()?;
            if !self.may_reactivate(&member)? {
                return Err(ProvisionError::AccountDeactivated { username: account.profile.username });
            }
            // On record first: where this sign-in dies, its job deactivates again what is active by then. The record
            // would say otherwise for ever, and nobody could take the access away.
            let leaving = member.leaving.or(Some(Leaving::Deactivate));
            let undone = Member { account_state: AccountState::Leaving, leaving, ..member };
            let until = self.platform.clock.now().after(self.settings.time_budget + MARGIN);
            member = self.update(undone, holder, OnUpdate::Stay, Some(until)).await?;
            fault_point!(self, ReactivationRecorded);
            let calls = self.calls(connector, deadline);
            calls.patiently(|| connector.reactivate(&account)).await?;
            account.active = true;
            fault_point!(self, Reactivated);
            let entry = Entry::new(Event::AccountReactivated).member(member.id).field("rule", "G4");
            self.audit.record(entry.after(&account));
        }
        if member.account_state != AccountState::Present || member.leaving.is_some() {
            member = Member { account_state: AccountState::Present, leaving: None, ..member };
            member = self.update(member, holder, OnUpdate::Stay, None).await?;
        }
        fault_point!(self, StayRecorded);
        Ok((member, account))
    }

    /// G4.
    pub(super) fn may_reactivate(&self, member: &Member) -> Result<bool, ProvisionError> {
        let by_us = matches!(member.account_state, AccountState::Deactivated | AccountState::Leaving);
        Ok(by_us && self.guarded()?.features().can_reactivate)
    }

    /// L2, L3.
    async fn adjusted(
        &self,
        identity: &Identity,
        settled: Settled,
        holder: u64,
        sessions: &[crate::store::StandingSession],
        deadline: Instant,
    ) -> Result<Settled, ProvisionError> {
        let Settled { member, account, how, mut story, .. } = settled;
        if !self.adjusts() && member.borrowed.is_empty() {
            return Ok(Settled { member, account, grant: None, how, story });
        }
        let fitted = self.fit(identity, (member, holder), account, sessions, deadline).await?;
        let Fitted { member, account, grant, done, paused } = fitted;
        story.done.extend(done.operations);
        story.paused = paused;
        Ok(Settled { member, account, grant: Some(grant), how, story })
    }

    /// The right is given up; the account is kept for the session that is about to begin, where a job could take it.
    async fn landed(&self, settled: Settled, holder: u64) -> Result<Settled, ProvisionError> {
        let now = self.platform.clock.now();
        let member = members::again(settled.member, &settled.account, now);
        if is_ephemeral(&member) || !member.borrowed.is_empty() {
            let landing = Landing { holder, until: now.after(LANDING) };
            self.store.record_login(&member, Some(landing)).await.map_err(contested)?;
        } else {
            self.store.record_login(&member, None).await?;
            self.release(member.id, holder).await;
        }
        fault_point!(self, LoginRecorded);
        Ok(Settled { member, ..settled })
    }
}

/// G6.
fn admitted(member: &Member) -> Result<(), ProvisionError> {
    match member.status {
        MemberStatus::Active => Ok(()),
        MemberStatus::Blocked => Err(ProvisionError::Blocked),
    }
}

/// Whether no job could have anything to do with the account: then nobody needs a lease to look at it.
fn is_steady(member: &Member) -> bool {
    member.account_state == AccountState::Present
        && member.ephemeral_until.is_none()
        && member.leaving.is_none()
        && member.borrowed.is_empty()
}
