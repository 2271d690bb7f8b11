//! The jobs of this stage (E2): claimed one at a time, tried again with growing delays, parked where only an
//! administrator can help. Each looks at what is there and does what is still missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Identity, IdpId, Job, MemberId, Subject, Task, UnixTime};
use crate::observe::audit::{Entry, Event};
use crate::store::lists::{Erased, Owed};
use crate::store::{ClaimedJob, CreationLease, Intended, JobOutcome, StoreError};

use super::connector::{Connector, ConnectorError, FindBy};
use super::fate::{Fate, wanted_state};
use super::faults::fault_point;
use super::leases::{Lease, MARGIN};
use super::provisioner::Core;
use super::{ProvisionError, Provisioner, existing, measures, pushed};

/// How many jobs one process works on at once.
const WORKERS: usize = 4;
/// Between two looks for a job that is due.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks for people who stopped coming.
const LOOK_FOR_ABSENT: Duration = Duration::from_mins(10);
/// Before a job is tried again; doubled after each try, and between half and all of it by chance.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LAST_DELAY: Duration = Duration::from_hours(1);
/// Before somebody else's work on the same member is looked at again.
const BUSY: Duration = Duration::from_secs(1);

/// How a job went, short of errors.
pub(super) enum Went {
    Done,
    /// There will be something to do then.
    Again(UnixTime),
}

impl Provisioner {
    /// Works on jobs until the process is asked to end.
    pub fn run_jobs(&self, tasks: &crate::platform::Tasks) {
        if !self.core().has_application() {
            return;
        }
        let (this, stopping) = (self.clone(), tasks.stopping().clone());
        // Whether anybody is to be looked for is asked each time: settings change at run time (M4).
        tasks.spawn(async move {
            let mut look = tokio::time::interval(LOOK_FOR_ABSENT);
            while stopping.run_until_cancelled(look.tick()).await.is_some() {
                if let Err(error) = this.retire_absent().await {
                    tracing::warn!(%error, "people who stopped coming cannot be looked for; it is tried again");
                }
            }
        });
        for _ in 0..WORKERS {
            let (this, stopping) = (self.clone(), tasks.stopping().clone());
            tasks.spawn(async move {
                while !stopping.is_cancelled() {
                    match this.run_due_job().await {
                        Ok(true) => continue,
                        Ok(false) => {}
                        Err(error) => tracing::warn!(%error, "jobs cannot be looked for; it is tried again"),
                    }
                    stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await;
                }
            });
        }
    }

    /// Claims one job that is due and does it; `false`: none was.
    ///
    /// # Errors
    /// Where the store cannot be asked. What goes wrong with the job itself is on record with it.
    pub async fn run_due_job(&self) -> Result<bool, StoreError> {
        let core = self.core();
        // M6: in shadow mode nothing is written, so what is due waits.
        if core.settings.shadow {
            return Ok(false);
        }
        let now = core.platform.clock.now();
        let until = now.after(core.settings.time_budget + MARGIN);
        let Ok(holder) = core.platform.entropy.bytes().map(u64::from_be_bytes) else { return Ok(false) };
        let Some(claimed) = core.store.claim_job(holder, now, until).await? else { return Ok(false) };
        fault_point!(core, JobClaimed);
        let outcome = Box::pin(core.work_on(&claimed)).await;
        measures::job(claimed.job.task.kind(), &outcome);
        core.store.conclude_job(&claimed, &outcome).await?;
        fault_point!(core, JobConcluded);
        Ok(true)
    }

    /// Does at once what a member's job would do, after whoever is at it. In shadow mode that is nothing (M6).
    ///
    /// # Errors
    /// Where it cannot be done, or somebody else is at it for too long; the job stays.
    pub async fn settle(&self, id: MemberId) -> Result<(), ProvisionError> {
        let core = self.core();
        if core.settings.shadow || !core.has_application() {
            return Ok(());
        }
        let deadline = Instant::now() + core.settings.time_budget;
        let lease = core.hold(id, false, deadline).await?;
        let (holder, generation) = (lease.holder, lease.standing.member.generation);
        let result = Box::pin(core.in_time(deadline, core.settled(lease, generation, deadline))).await;
        core.release(id, holder).await;
        result.map(drop)
    }

    /// E6: drops the member, unless something is owed to the application.
    ///
    /// # Errors
    /// As [`MemberListStore::erase_member`](crate::store::lists::MemberListStore::erase_member).
    pub async fn erase(&self, id: MemberId) -> Result<Result<Erased, Owed>, StoreError> {
        let core = self.core();
        core.store.erase_member(id, core.platform.clock.now()).await
    }
}

impl Core {
    async fn work_on(self: &Arc<Self>, claimed: &ClaimedJob) -> JobOutcome {
        let deadline = Instant::now() + self.settings.time_budget;
        let result = match &claimed.job.task {
            Task::Settle { member, generation } => self.settle_member(*member, *generation, deadline).await,
            Task::AbandonedCreation { idp, subject, email, .. } => {
                self.clean_up(idp, subject, email.as_deref(), deadline).await
            }
            Task::CatchUp { member, generation, at, identity } => {
                self.catch_up(*member, (*generation, *at), identity, deadline).await
            }
            Task::Push { user } => {
                let again = self.in_time(deadline, Box::pin(self.push(user, deadline))).await;
                again.map(|again| again.map_or(Went::Done, Went::Again))
            }
        };
        match result {
            Ok(Went::Done) => JobOutcome::Done,
            Ok(Went::Again(until)) => JobOutcome::PutOff { until, reason: None },
            Err(error) => self.failed(&claimed.job, &error),
        }
    }

    /// E2: put off with growing delays, or parked.
    fn failed(&self, job: &Job, error: &ProvisionError) -> JobOutcome {
        let reason = error.to_string();
        let (kind, key) = (job.task.kind(), job.task.key());
        let permanent = match error {
            ProvisionError::Connector(error) => is_permanent(error),
            ProvisionError::AccountIsAnothers { .. } | ProvisionError::AbandonedAccountUnclear { .. } => true,
            // Nobody signs in again to try it.
            error => matches!(job.task, Task::Push { .. }) && !error.retryable(),
        };
        if permanent {
            let mut entry = Entry::new(Event::JobStuck).field("kind", kind);
            entry = match &job.task {
                Task::Settle { member, .. } | Task::CatchUp { member, .. } => entry.member(*member),
                Task::AbandonedCreation { idp, subject, .. } => entry.about(idp, subject),
                Task::Push { user } => match pushed::subject(user) {
                    Some(subject) => entry.about(&IdpId::scim(), &subject),
                    None => entry,
                },
            };
            self.audit.record(entry.personal("key", &key).personal("reason", &reason));
            return JobOutcome::Parked { reason };
        }
        let asked = match error {
            ProvisionError::Connector(ConnectorError::Busy { after, .. }) => *after,
            _ => None,
        };
        let full = FIRST_DELAY.saturating_mul(1 << job.tries.min(16)).min(LAST_DELAY);
        let [chance] = self.platform.entropy.bytes::<1>().unwrap_or([128]);
        let jittered = full / 2 + full.mul_f64(f64::from(chance) / 512.0);
        let delay = asked.unwrap_or_default().min(LAST_DELAY).max(jittered);
        let until = self.platform.clock.now().after(delay.max(Duration::from_secs(1)));
        tracing::warn!(kind, key, reason, tries = job.tries, "a job failed and is tried again");
        JobOutcome::PutOff { until, reason: Some(reason) }
    }

    /// Does what a member's job would do, at once.
    pub(super) async fn settle_now(
        self: &Arc<Self>,
        id: MemberId,
        generation: u32,
        deadline: Instant,
    ) -> Result<(), ProvisionError> {
        self.settle_member(id, generation, deadline).await.map(drop)
    }

    /// The right to work on a member, or why the job does not have it.
    pub(super) async fn held_for_job(&self, id: MemberId) -> Result<Result<Lease, Went>, ProvisionError> {
        match self.try_hold(id).await {
            Ok(Ok(lease)) => Ok(Ok(lease)),
            // Whoever has it may be done long before that.
            Ok(Err(until)) => Ok(Err(Went::Again(until.min(self.platform.clock.now().after(BUSY))))),
            // There is no such member any more.
            Err(ProvisionError::Store(StoreError::Gone { .. })) => Ok(Err(Went::Done)),
            Err(error) => Err(error),
        }
    }

    async fn settle_member(
        self: &Arc<Self>,
        id: MemberId,
        generation: u32,
        deadline: Instant,
    ) -> Result<Went, ProvisionError> {
        let lease = match self.held_for_job(id).await? {
            Ok(lease) => lease,
            Err(went) => return Ok(went),
        };
        fault_point!(self, JobHeld);
        let holder = lease.holder;
        let result = self.in_time(deadline, self.settled(lease, generation, deadline)).await;
        self.release(id, holder).await;
        fault_point!(self, JobReleased);
        result
    }

    async fn settled(
        self: &Arc<Self>,
        lease: Lease,
        generation: u32,
        deadline: Instant,
    ) -> Result<Went, ProvisionError> {
        let Lease { holder, standing } = lease;
        let now = self.platform.clock.now();
        let id = standing.member.id;
        // Overtaken: what it was to settle is gone, and what came after it has a job of its own.
        if generation < standing.member.generation {
            let task = Task::Settle { member: id, generation: standing.member.generation };
            self.store.put_job(&task, now).await?;
            return Ok(Went::Done);
        }
        let wanted = wanted_state(&standing, now);
        match wanted.fate {
            Fate::Leaves(how) => {
                let occupied = standing.sessions.iter().map(|session| session.expires_at).max();
                return Ok(match self.leave(standing, holder, how, deadline).await? {
                    Some(_) => Went::Done,
                    None => Went::Again(occupied.unwrap_or(now).max(now.after(BUSY))),
                });
            }
            Fate::Stays if wanted.restore => {
                let account = self.account_of(&standing.member, deadline).await?;
                self.restore(standing.member, holder, account, deadline).await?;
            }
            Fate::Stays => {}
        }
        Ok(wanted.look_again.map_or(Went::Done, Went::Again))
    }

    /// E1: an account that a creation left behind when its process died is looked for and deleted.
    async fn clean_up(
        self: &Arc<Self>,
        idp: &IdpId,
        subject: &Subject,
        email: Option<&str>,
        deadline: Instant,
    ) -> Result<Went, ProvisionError> {
        let holder = u64::from_be_bytes(self.platform.entropy.bytes()?);
        let now = self.platform.clock.now();
        let until = now.after(self.settings.time_budget + MARGIN);
        let lease = self.store.begin_creation(idp, subject, holder, now, until).await?;
        let intent = match lease {
            CreationLease::Busy { until } => return Ok(Went::Again(until)),
            CreationLease::Acquired { earlier_intent } => earlier_intent,
        };
        fault_point!(self, AbandonedLeased);
        let result = match &intent {
            Some(intended) => {
                let work = self.delete_abandoned(idp, subject, (intended, email), deadline);
                self.in_time(deadline, work).await
            }
            None => Ok(()),
        };
        self.store.abandon_creation(idp, subject, holder, result.is_err()).await?;
        fault_point!(self, AbandonedForgotten);
        result.map(|()| Went::Done)
    }

    async fn delete_abandoned(
        &self,
        idp: &IdpId,
        subject: &Subject,
        (intended, email): (&Intended, Option<&str>),
        deadline: Instant,
    ) -> Result<(), ProvisionError> {
        let member = self.store.find_member(idp, subject).await?;
        if member.is_some_and(|member| member.account.is_some()) {
            return Ok(());
        }
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        let username = &intended.username;
        let found = match calls.patiently(|| connector.find(FindBy::Username(username))).await {
            Ok(found) => found,
            Err(ConnectorError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        fault_point!(self, AbandonedFound);
        let features = connector.features();
        let found = existing::with_username(found, username, features);
        let [account] = found.as_slice() else { return Ok(()) };
        // SECURITY: only what can be nobody else's: the intent was recorded after "not found" and not long ago, and what
        // is there now has the name and the e-mail of the intent, belongs to no member, and may do nothing special.
        let held = account.profile.email.as_deref();
        let other_email = match (email, held) {
            (Some(intended), Some(held)) => !intended.eq_ignore_ascii_case(held),
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        };
        let free = self.store.find_member_by_account(&account.id).await?.is_none();
        if other_email || !free || account.privileged || account.entitlements.owner {
            return Ok(());
        }
        let unclear = |why| {
            let username = account.profile.username.clone();
            Err(ProvisionError::AbandonedAccountUnclear { username, why })
        };
        // SECURITY: a name alone proves nothing: somebody may have made the account by hand since.
        if email.is_none() || held.is_none() {
            return unclear("it has no e-mail address to tell it by");
        }
        if !self.still_holds(intended) {
            return unclear("the attempt is too long ago");
        }
        match calls.patiently(|| connector.delete(account)).await {
            Ok(()) | Err(ConnectorError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        fault_point!(self, AbandonedDeleted);
        self.audit.record(
            Entry::new(Event::AccountDeleted).about(idp, subject).before(account).field("rule", "E1"),
        );
        Ok(())
    }

    /// G6, at a first sign-in: the e-mail of somebody who was blocked lets nobody in.
    pub(super) async fn email_is_admitted(
        &self,
        identity: &Identity,
        email: Option<&str>,
    ) -> Result<(), ProvisionError> {
        let Some(email) = email else { return Ok(()) };
        if self.store.is_blocked_email(email).await? {
            let entry = Entry::new(Event::BlockedEmail).by_person(&identity.idp, &identity.subject);
            self.audit.record(entry.field("rule", "G6"));
            return Err(ProvisionError::Blocked);
        }
        Ok(())
    }
}

/// E2: whether trying again is of no use until somebody does something.
pub(super) fn is_permanent(error: &ConnectorError) -> bool {
    match error {
        ConnectorError::Refused { status, .. } => *status < 500,
        ConnectorError::Conflict { .. }
        | ConnectorError::NoSeats { .. }
        | ConnectorError::Unsendable { .. }
        | ConnectorError::Guarded { .. }
        | ConnectorError::Unsupported { .. } => true,
        // A credential is renewed one day, and an answer that is not understood may be a start page.
        ConnectorError::Unreachable { .. }
        | ConnectorError::Busy { .. }
        | ConnectorError::LeftAlone { .. }
        | ConnectorError::Undecided { .. }
        | ConnectorError::NotFound { .. }
        | ConnectorError::Credential { .. }
        | ConnectorError::Unexpected { .. } => false,
    }
}
