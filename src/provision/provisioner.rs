//! The stage itself: one verified identity in, one provisioned session's makings out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::Settings;
use crate::config::settings::{Mode, Provisioning, Unprovisioned};
use crate::identify::Verified;
use crate::model::{Account, ErrorId, Grant, Identity, IdpId, Member, MemberStatus};
use crate::platform::{Platform, Tasks};
use crate::store::MemberStore;

use super::apply::Calls;
use super::connector::{Connector, ConnectorError, FindBy};
use super::creation::Creation;
use super::eligibility::{self, Authority};
use super::explain::{Explanation, Story};
use super::flights::{Flights, NameLocks};
use super::grant::grant;
use super::guard::Guarded;
use super::names::{self, NameCache, Names};
use super::rehearse::Telling;
use super::resolve::{Decision, Question, Resolved, Wanted, names_missing, resolve};
use super::shadow::{Reach, ReadOnly};
use super::{ProvisionError, Provisioned, existing, measures, members};

/// Sees to accounts. Cheap to clone.
#[derive(Clone)]
pub struct Provisioner {
    /// Exchanged whole when the settings change (M4); each login goes by one of them to its end.
    core: Arc<ArcSwap<Core>>,
    flights: Arc<Flights<Settled>>,
    pub(super) telling: Option<Telling>,
}

/// What all logins share.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) settings: Provisioning,
    authorities: BTreeMap<IdpId, Authority>,
    pub(super) connector: Option<Arc<Guarded>>,
    pub(super) store: Arc<dyn MemberStore>,
    pub(super) platform: Platform,
    pub(super) name_locks: Arc<NameLocks>,
    pub(super) names: Arc<NameCache>,
}

/// A person whose account was seen to.
#[derive(Debug, Clone)]
pub struct Settled {
    pub member: Member,
    pub account: Account,
    pub how: How,
    /// What was done for it, for `explain`.
    pub story: Story,
}

/// How it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The account of a member, found as it was.
    Existing,
    Created,
    /// An earlier attempt's account, now whole (F9).
    Completed,
    Adopted,
    /// A member's account had vanished (E5).
    Recreated,
}

impl How {
    /// The metric's outcome.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Created => "created",
            Self::Completed => "completed",
            Self::Adopted => "adopted",
            Self::Recreated => "recreated",
        }
    }
}

impl Provisioner {
    /// `connector`: `None` without an `[application]`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        connector: Option<Arc<dyn Connector>>,
        store: Arc<dyn MemberStore>,
        platform: Platform,
        tasks: Tasks,
    ) -> Self {
        let authorities = settings.idps.iter().map(|idp| (idp.id().clone(), Authority::of(idp))).collect();
        Self::with(settings.provisioning.clone(), authorities, connector, store, platform, tasks)
    }

    /// As [`Provisioner::new`], with what it takes of the settings.
    #[must_use]
    pub fn with(
        settings: Provisioning,
        authorities: BTreeMap<IdpId, Authority>,
        connector: Option<Arc<dyn Connector>>,
        store: Arc<dyn MemberStore>,
        platform: Platform,
        tasks: Tasks,
    ) -> Self {
        let protected = settings.protected_accounts.clone();
        // M6: whatever goes wrong elsewhere, nothing is written.
        let connector = connector.map(|inner| match settings.shadow {
            true => Arc::new(ReadOnly::new(inner, Reach::Reads)) as Arc<dyn Connector>,
            false => inner,
        });
        let connector = connector.map(|inner| Arc::new(Guarded::new(inner, protected)));
        let name_locks = Arc::default();
        let names = Arc::default();
        let core = Core { settings, authorities, connector, store, platform, name_locks, names };
        Self {
            core: Arc::new(ArcSwap::from_pointee(core)),
            flights: Arc::new(Flights::new(tasks)),
            telling: None,
        }
    }

    /// Has what sign-ins do, or would do, kept for `narthex explain` and `narthex shadow`.
    #[must_use]
    pub fn telling(self, telling: Telling) -> Self {
        Self { telling: Some(telling), ..self }
    }

    /// What a login goes by from its beginning to its end.
    pub(super) fn core(&self) -> Arc<Core> {
        self.core.load_full()
    }

    /// Goes by these settings from the next login on (M4); those under way and live sessions are left alone (L5).
    pub fn change(&self, settings: &Provisioning) {
        self.core.rcu(|core| {
            if let Some(connector) = &core.connector {
                connector.protect(settings.protected_accounts.clone());
            }
            Core { settings: settings.clone(), ..Core::clone(core) }
        });
    }

    /// Sees to the person's account; the session can be made from the result only (F10).
    ///
    /// # Errors
    /// One variant per rule; [`ProvisionError::retryable`] tells whether the same identity may try again.
    pub async fn provision(&self, verified: Verified) -> Result<Provisioned, ProvisionError> {
        self.provision_told(verified, None).await
    }

    /// As [`Provisioner::provision`], and keeps under `id` what was done and why.
    ///
    /// # Errors
    /// As there.
    pub async fn provision_as(
        &self,
        verified: Verified,
        id: &ErrorId,
    ) -> Result<Provisioned, ProvisionError> {
        self.provision_told(verified, Some(id)).await
    }

    async fn provision_told(
        &self,
        verified: Verified,
        id: Option<&ErrorId>,
    ) -> Result<Provisioned, ProvisionError> {
        let started = Instant::now();
        let identity = verified.identity().clone();
        let (result, explanation) = if self.core().settings.shadow {
            let (result, explanation) = self.shadowed(verified, started).await;
            (result, Some(explanation))
        } else {
            match self.provisioned(verified, started).await {
                Ok((provisioned, outcome, explanation)) => (Ok((provisioned, outcome)), Some(explanation)),
                Err(error) => (Err(error), None),
            }
        };
        if let Some(id) = id {
            let explanation = match (explanation, &result) {
                (None, Err(error)) => Some(self.core().explained_refusal(&identity, error).await),
                (explanation, _) => explanation,
            };
            if let Some(explanation) = explanation {
                self.keep(id, &explanation).await;
            }
        }
        match result {
            Ok((provisioned, outcome)) => {
                measures::record(outcome, started.elapsed());
                Ok(provisioned)
            }
            Err(error) => {
                measures::record(error.code(), started.elapsed());
                tracing::info!(
                    target: "narthex::audit",
                    event = "provisioning_refused",
                    idp = %identity.idp,
                    subject = identity.subject.as_str(),
                    code = error.code(),
                    retryable = error.retryable(),
                    reason = %error,
                );
                Err(error)
            }
        }
    }

    async fn provisioned(
        &self,
        verified: Verified,
        started: Instant,
    ) -> Result<(Provisioned, &'static str, Explanation), ProvisionError> {
        let core = self.core();
        let identity = verified.identity();
        // F1 at every login, and before the application hears of it.
        eligibility::admit(identity, &core.settings, core.authority(&identity.idp))?;
        if !core.has_member_or_makes_one(identity).await? {
            return match core.settings.unprovisioned {
                Unprovisioned::Deny => Err(ProvisionError::NotProvisioned),
                Unprovisioned::Forward => {
                    let mut explanation = core.explained_without_account(identity);
                    self.show_headers(identity, None, &mut explanation);
                    Ok((Provisioned::without_account(verified, Grant::default()), "forwarded", explanation))
                }
            };
        }
        let deadline = started + core.settings.time_budget;
        let person = (identity.idp.clone(), identity.subject.clone());
        let (landed, first) = self
            .flights
            .join(person, || {
                let (core, identity) = (core.clone(), identity.clone());
                async move { core.settle(&identity, deadline).await }
            })
            .await;
        let settled = landed?;
        let (grant, session) =
            core.in_time(deadline, core.session_grant(identity, &settled, deadline)).await?;
        let how = if first { settled.how } else { How::Existing };
        let mut explanation = core.explained(identity, &settled, how, session, &grant);
        let identity = identity.clone();
        let provisioned = Provisioned::with_account(verified, &settled.member, &settled.account, grant);
        self.show_headers(&identity, provisioned.account().cloned(), &mut explanation);
        Ok((provisioned, how.code(), explanation))
    }
}

impl Core {
    pub(super) fn authority(&self, idp: &IdpId) -> &Authority {
        // An identity provider that is no longer configured may speak for nobody.
        static NONE: Authority = Authority { domains: Vec::new(), trust_email: false };
        self.authorities.get(idp).unwrap_or(&NONE)
    }

    pub(super) fn guarded(&self) -> Result<&Guarded, ProvisionError> {
        self.connector.as_deref().ok_or(ProvisionError::NoConnector)
    }

    pub(super) fn calls<'a>(&'a self, connector: &'a Guarded, deadline: Instant) -> Calls<'a> {
        Calls { connector, entropy: self.platform.entropy.as_ref(), deadline }
    }

    /// M3.
    pub(super) async fn has_member_or_makes_one(&self, identity: &Identity) -> Result<bool, ProvisionError> {
        match (self.settings.mode, &self.connector) {
            (Mode::Jit, Some(_)) => Ok(true),
            (Mode::Jit, None) => Err(ProvisionError::NoConnector),
            (Mode::Off | Mode::Scim, None) => Ok(false),
            (Mode::Off | Mode::Scim, Some(_)) => {
                Ok(self.store.find_member(&identity.idp, &identity.subject).await?.is_some())
            }
        }
    }

    /// G2: nobody is made an account that would pass for a protected one.
    pub(super) fn not_protected(&self, wanted: &Wanted) -> Result<(), ProvisionError> {
        let profile = &wanted.profile.profile;
        let protected = &self.settings.protected_accounts;
        if existing::is_protected(protected, &profile.username, profile.email.as_deref()) {
            return Err(ProvisionError::ProtectedAccount { username: profile.username.clone() });
        }
        Ok(())
    }

    /// A1: within the time budget, or not at all.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, ProvisionError>>,
    ) -> Result<T, ProvisionError> {
        match tokio::time::timeout_at(deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(ProvisionError::TimeBudget { seconds: self.settings.time_budget.as_secs() }),
        }
    }

    /// The person's member and account, made where the mode makes them.
    async fn settle(
        self: &Arc<Self>,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Settled, ProvisionError> {
        let member = self.store.find_member(&identity.idp, &identity.subject).await?;
        if let Some(member) = &member {
            let found = self.in_time(deadline, self.account_of(member, deadline)).await?;
            if let Some(account) = found {
                return self.returned(member.clone(), account).await;
            }
        }
        match (self.settings.mode, member) {
            (Mode::Jit, member) => Creation::new(self, identity, deadline)?.run(member).await,
            (Mode::Off | Mode::Scim, Some(_)) => Err(ProvisionError::AccountVanished),
            (Mode::Off | Mode::Scim, None) => Err(ProvisionError::NotProvisioned),
        }
    }

    /// L1, L4: a member's account is left as it is; only our own record of the login is written.
    pub(super) async fn returned(&self, member: Member, account: Account) -> Result<Settled, ProvisionError> {
        match member.status {
            MemberStatus::Active => {}
        }
        if !account.active {
            return Err(ProvisionError::AccountDeactivated { username: account.profile.username });
        }
        let member = members::again(member, &account, self.platform.clock.now());
        self.store.record_login(&member).await?;
        let story = Story::of_member(&account);
        Ok(Settled { member, account, how: How::Existing, story })
    }

    /// The member's account by the application's own id; `None`: it is gone.
    pub(super) async fn account_of(
        &self,
        member: &Member,
        deadline: Instant,
    ) -> Result<Option<Account>, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        let found = match calls.patiently(|| connector.find(FindBy::Id(&member.account))).await {
            Ok(found) => found,
            Err(ConnectorError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        match found.len() {
            0 => Ok(None),
            _ => match found.into_iter().find(|account| account.id == member.account) {
                Some(account) => Ok(Some(account)),
                // SECURITY: lesson 32. Another account under this id is a lie or a recipe's mistake; to
                // take it for "gone" would create a second one.
                None => Err(ProvisionError::Implausible {
                    what: format!("asked for the account {}, it gave another", member.account),
                }),
            },
        }
    }

    /// L2, L7.
    async fn session_grant(
        &self,
        identity: &Identity,
        settled: &Settled,
        deadline: Instant,
    ) -> Result<(Grant, Resolved), ProvisionError> {
        let resolved = self.resolved(identity, Some(&settled.member), deadline).await?;
        // At a first login the same was reported when the account was made.
        if settled.how == How::Existing {
            report_skipped(identity, &resolved.session.skipped);
        }
        let grant = grant(&settled.account.entitlements, &resolved.session, self.settings.session_roles);
        Ok((grant, resolved))
    }

    /// The decision on the names that the application has; on fresher ones where a wanted name is missing.
    pub(super) async fn resolved(
        &self,
        identity: &Identity,
        member: Option<&Member>,
        deadline: Instant,
    ) -> Result<Resolved, ProvisionError> {
        let names = self.names_within(names::FRESH, deadline).await?;
        let missing = match self.decide(identity, member, &names)? {
            Decision::Proceed(resolved) => {
                let wanted = resolved.wanted.as_ref().map(|wanted| &wanted.entitled);
                if !names_missing(wanted.unwrap_or(&resolved.session)) {
                    return Ok(*resolved);
                }
                None
            }
            Decision::Refuse(
                error @ (ProvisionError::UnknownRole { .. }
                | ProvisionError::UnknownTeam { .. }
                | ProvisionError::DefaultRoleUnusable { .. }),
            ) => Some(error),
            Decision::Refuse(error) => return Err(error),
        };
        let fresher = self.names_within(names::REFRESH_AT_MOST, deadline).await?;
        if let (Some(error), true) = (missing, Arc::ptr_eq(&names, &fresher)) {
            return Err(error);
        }
        match self.decide(identity, member, &fresher)? {
            Decision::Proceed(resolved) => Ok(*resolved),
            Decision::Refuse(error) => Err(error),
        }
    }

    fn decide(
        &self,
        identity: &Identity,
        member: Option<&Member>,
        names: &Names,
    ) -> Result<Decision, ProvisionError> {
        let features = self.guarded()?.features();
        let authority = self.authority(&identity.idp);
        let settings = &self.settings;
        Ok(resolve(&Question { identity, settings, authority, features, names, member, invited: None }))
    }

    async fn names_within(&self, at_most: Duration, deadline: Instant) -> Result<Arc<Names>, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        Ok(calls.patiently(|| self.names.within(at_most, connector, &self.settings)).await?)
    }
}

/// F4, F5: what was asked for and not given is in the audit log.
pub(super) fn report_skipped(identity: &Identity, skipped: &[super::entitle::Skipped]) {
    for skipped in skipped {
        tracing::warn!(
            target: "narthex::audit",
            event = "entitlement_skipped",
            idp = %identity.idp,
            subject = identity.subject.as_str(),
            entitlement = ?skipped.entitlement,
            rule = ?skipped.rule,
            because = ?skipped.because,
            why = ?skipped.why,
        );
    }
}
