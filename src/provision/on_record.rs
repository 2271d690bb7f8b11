//! A2, `on_error = "admit"`: while the application cannot be reached, a member's session starts from what is on record,
//! and a durable job does then what the sign-in would have done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::{OnError, SessionRoles, SyncRemoves};
use crate::model::{
    Account, AccountProfile, AccountState, Entitlements, Facet, Grant, Identity, Item, Items, Member,
    MemberId, MemberStatus, Task, UnixTime,
};
use crate::observe::audit::{Entry, Event};
use crate::store::{Landing, OnUpdate, StandingSession, StoreError};

use super::explain::{Explanation, Found, Story};
use super::fate::is_ephemeral;
use super::faults::fault_point;
use super::grant::grant;
use super::jobs::Went;
use super::leases::{LANDING, Lease, MARGIN, contested};
use super::provisioner::{Core, How, Settled};
use super::resolve::{Decision, Resolved};
use super::sync::{self, Removals, Wish};
use super::{ProvisionError, connector::Connector, members, names};

/// Before the job looks whether the application is back.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A member whose session may start without the application.
#[derive(Debug)]
pub(super) struct OnRecord {
    pub(super) settled: Settled,
    /// What the identity provider gives, by the names that the application had when it was last asked.
    pub(super) resolved: Resolved,
}

/// What narthex gave to the member's account: all that is on record of what it holds.
fn recorded(member: &Member) -> Items {
    member.ledger.iter().map(|(item, entry)| (item.clone(), entry.value.clone())).collect()
}

/// The account as it is on record.
fn account(member: &Member) -> Option<Account> {
    Some(Account {
        id: member.present_account()?.clone(),
        profile: AccountProfile {
            username: member.username.clone(),
            email: member.email.clone(),
            ..AccountProfile::default()
        },
        active: true,
        privileged: false,
        entitlements: recorded(member).into_iter().collect(),
    })
}

/// Whether what this sign-in would do to the account could take anything away. What the account holds beside what is on
/// record is not known, so whatever may be in the way of it counts.
fn takes_away(identity: &Identity, member: &Member, resolved: &Resolved, core: &Core) -> bool {
    let settings = &core.settings;
    let lifecycle = &settings.lifecycle;
    let durable_facets = lifecycle.sync.iter().any(|facet| *facet != Facet::Profile);
    if !core.adjusts() || !durable_facets {
        return false;
    }
    if lifecycle.sync_removes == SyncRemoves::All {
        return true;
    }
    let held = recorded(member);
    let wish = Wish { identity, said: &resolved.session, settings, privileged: true };
    let durable = sync::durable(&held, &member.ledger, wish, Removals::Allowed);
    // Another role, or another role in a team, takes the former.
    let replaces = durable.given.iter().any(|(item, value, _)| match item {
        Item::Role => true,
        Item::Team(_) => !value.is_empty(),
        Item::AppGroup(_) | Item::Permission(_) | Item::Owner => false,
    });
    replaces || !durable.removed.is_empty()
}

/// Whether a session carries what it would not by what is known now.
fn is_beyond(carried: &Entitlements, allowed: &Entitlements) -> bool {
    let allowed = allowed.items();
    carried.items().iter().any(|(item, value)| match (item, allowed.get(item)) {
        // An application whose API shows no role is believed to hold the one that it was given.
        (Item::Role, None) => false,
        (_, None) => true,
        // A team that was given without a role has the one that the application gives by itself.
        (_, Some(now)) => !value.is_empty() && value != now,
    })
}

impl Core {
    /// Only what may be the application's own trouble.
    fn may_admit(&self, error: &ProvisionError) -> bool {
        let of_application = match error {
            ProvisionError::Connector(_) => error.retryable(),
            ProvisionError::TimeBudget { .. } => true,
            _ => false,
        };
        self.settings.on_error == OnError::Admit && of_application
    }

    /// What can be said of a member without asking the application; `None`: nobody may come in by that.
    async fn recalled(
        &self,
        identity: &Identity,
        member: &Member,
    ) -> Result<Option<OnRecord>, ProvisionError> {
        let now = self.platform.clock.now();
        let over = is_ephemeral(member) && member.ephemeral_until.is_some_and(|until| until <= now);
        let steady = member.status == MemberStatus::Active
            && member.account_state == AccountState::Present
            && member.leaving.is_none()
            && member.borrowed.is_empty()
            && !over;
        // L2: what is borrowed is borrowed in the application.
        if !steady || self.settings.session_roles == SessionRoles::Borrow {
            return Ok(None);
        }
        let Some(account) = account(member) else { return Ok(None) };
        let kinds = names::wanted_kinds(self.guarded()?.features(), &self.settings, false);
        let Some(names) = self.names.known_of(&kinds).await else { return Ok(None) };
        let Decision::Proceed(resolved) = self.decide(identity, Some(member), None, &names)? else {
            return Ok(None);
        };
        if takes_away(identity, member, &resolved, self) {
            return Ok(None);
        }
        let held: Entitlements = recorded(member).into_iter().collect();
        let grant = grant(&held, &resolved.session, self.settings.session_roles);
        let story = Story { found: Found::Member(Box::new(account.clone())), ..Story::default() };
        let (member, grant) = (member.clone(), Some(grant));
        let settled = Settled { member, account, grant, how: How::OnRecord, story };
        Ok(Some(OnRecord { settled, resolved: *resolved }))
    }

    /// The person's member, where there is one under just this identity.
    async fn member_on_record(&self, identity: &Identity) -> Result<Option<Member>, ProvisionError> {
        // Mode `scim`: and the directory still says so.
        let pushes = self.settings.mode == crate::config::settings::Mode::Scim;
        let member = if pushes {
            self.pushed_member(identity).await?
        } else {
            self.store.find_member(&identity.idp, &identity.subject).await?
        };
        let own = |(idp, subject): &(_, _)| *idp == identity.idp && *subject == identity.subject;
        Ok(member.filter(|member| member.identities.iter().any(own)))
    }

    /// A sign-in that the application failed, without the application; `None`: `error` stands.
    pub(super) async fn admitted_on_record(
        &self,
        identity: &Identity,
        error: &ProvisionError,
    ) -> Option<OnRecord> {
        if !self.may_admit(error) {
            return None;
        }
        let tried = self.in_time(Instant::now() + MARGIN, self.admit_on_record(identity, error)).await;
        match tried {
            Ok(admitted) => admitted,
            Err(reason) => {
                tracing::warn!(%reason, "nobody could be let in on record while the application is away");
                None
            }
        }
    }

    async fn admit_on_record(
        &self,
        identity: &Identity,
        error: &ProvisionError,
    ) -> Result<Option<OnRecord>, ProvisionError> {
        let Some(member) = self.member_on_record(identity).await? else { return Ok(None) };
        if self.recalled(identity, &member).await?.is_none() {
            return Ok(None);
        }
        let Lease { holder, standing } = self.hold(member.id, false, Instant::now() + MARGIN / 2).await?;
        let recorded = self.recorded_admission(identity, &standing.member, holder).await;
        // Where it did not come to a landing, which gives it up.
        self.release(member.id, holder).await;
        fault_point!(self, AdmissionReleased);
        let recorded = recorded?;
        if recorded.is_some() {
            let entry = Entry::new(Event::AdmittedOnRecord).by_person(&identity.idp, &identity.subject);
            let entry = entry.member(member.id).code(error.code()).field("rule", "A2");
            self.audit.record(entry.personal("reason", &error.to_string()));
        }
        Ok(recorded)
    }

    async fn recorded_admission(
        &self,
        identity: &Identity,
        member: &Member,
        holder: u64,
    ) -> Result<Option<OnRecord>, ProvisionError> {
        let Some(on_record) = self.recalled(identity, member).await? else { return Ok(None) };
        let now = self.platform.clock.now();
        let task = Task::CatchUp {
            member: member.id,
            generation: member.generation,
            at: now,
            identity: Box::new(identity.clone()),
        };
        // First: whatever becomes of this process, what the session was promised is done.
        self.store.put_job(&task, now.after(FIRST_LOOK)).await?;
        fault_point!(self, CatchUpPut);
        if is_ephemeral(member) {
            // E1: the account is kept for the session that is about to begin.
            let landing = Landing { holder, until: now.after(LANDING) };
            self.store.record_login(member, Some(landing)).await.map_err(contested)?;
        }
        Ok(Some(on_record))
    }

    /// What a rehearsal says where the application fails it.
    pub(super) async fn rehearsed_on_record(
        &self,
        identity: &Identity,
        error: &ProvisionError,
        told: &mut Explanation,
    ) -> Option<OnRecord> {
        if !self.may_admit(error) {
            return None;
        }
        let member = self.member_on_record(identity).await.ok()??;
        let mut on_record = self.recalled(identity, &member).await.ok()??;
        told.tell(std::mem::take(&mut on_record.settled.story));
        told.session = Some(on_record.resolved.session.clone());
        Some(on_record)
    }

    /// E2: does what a sign-in on record left undone. Overtaken by a later sign-in, by a new account, or by whoever took
    /// the access away, there is nothing to do.
    pub(super) async fn catch_up(
        self: &Arc<Self>,
        id: MemberId,
        (generation, at): (u32, UnixTime),
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Went, ProvisionError> {
        let lease = match self.held_for_job(id).await? {
            Ok(lease) => lease,
            Err(went) => return Ok(went),
        };
        fault_point!(self, JobHeld);
        let holder = lease.holder;
        let result =
            self.in_time(deadline, self.caught_up(lease, (generation, at), identity, deadline)).await;
        self.release(id, holder).await;
        fault_point!(self, JobReleased);
        result.map(|()| Went::Done)
    }

    async fn caught_up(
        self: &Arc<Self>,
        lease: Lease,
        (generation, at): (u32, UnixTime),
        identity: &Identity,
        deadline: Instant,
    ) -> Result<(), ProvisionError> {
        let Lease { holder, standing } = lease;
        let (member, sessions) = (standing.member, standing.sessions);
        let overtaken = member.generation != generation
            || member.last_login_at >= at
            || member.account_state != AccountState::Present
            || member.leaving.is_some()
            || member.status != MemberStatus::Active;
        if overtaken {
            return Ok(());
        }
        let account = self.account_of(&member, deadline).await?;
        fault_point!(self, CatchUpFound);
        let account = match account {
            Some(account) if account.active => account,
            Some(_) => return self.end_admitted(member, holder, "account_deactivated").await,
            None => return self.end_admitted(member, holder, "account_vanished").await,
        };
        // The admitted sessions are among those that began since.
        let last_known = member.last_login_at;
        let held = (member.clone(), holder);
        let (member, account, grant) = match self.refitted(identity, held, account, &sessions, deadline).await
        {
            Ok(refitted) => refitted,
            Err(error @ (ProvisionError::Connector(_) | ProvisionError::Store(_))) => return Err(error),
            Err(error) if error.retryable() => return Err(error),
            // What a sign-in would be refused for.
            Err(error) => return self.end_admitted(member, holder, error.code()).await,
        };
        let carries_more = |session: &StandingSession| {
            session.created_at >= last_known && is_beyond(&session.grant.entitlements, &grant.entitlements)
        };
        // L2: what was taken away in the application before the sign-in is in no session.
        if sessions.iter().any(carries_more) {
            return self.end_admitted(member, holder, "entitlement_lost").await;
        }
        let caught_up = members::again(member, &account, at);
        self.store.record_login(&caught_up, None).await?;
        fault_point!(self, CatchUpRecorded);
        Ok(())
    }

    /// The account as the sign-in would have left it, and what its session would have carried.
    async fn refitted(
        &self,
        identity: &Identity,
        (member, holder): (Member, u64),
        account: Account,
        sessions: &[StandingSession],
        deadline: Instant,
    ) -> Result<(Member, Account, Grant), ProvisionError> {
        if self.adjusts() {
            let fitted = self.fit(identity, (member, holder), account, sessions, deadline).await?;
            return Ok((fitted.member, fitted.account, fitted.grant));
        }
        let resolved = self.resolved(identity, Some(&member), deadline).await?;
        let grant = grant(&account.entitlements, &resolved.session, self.settings.session_roles);
        Ok((member, account, grant))
    }

    /// The application, or a rule, would have refused the sign-in: what began without it ends.
    async fn end_admitted(
        &self,
        member: Member,
        holder: u64,
        code: &'static str,
    ) -> Result<(), ProvisionError> {
        let id = member.id;
        match self.update(member, holder, OnUpdate::End, None).await {
            Ok(_) => {}
            Err(ProvisionError::Store(StoreError::Gone { .. })) => return Ok(()),
            Err(error) => return Err(error),
        }
        fault_point!(self, AdmittedEnded);
        self.audit.record(Entry::new(Event::SessionsEnded).member(id).field("rule", "A2").code(code));
        Ok(())
    }
}
