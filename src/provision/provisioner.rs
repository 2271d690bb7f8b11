//! The stage itself: one verified identity in, one provisioned session's makings out.

mod change;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::Settings;
use crate::config::settings::{Console, Mode, Provisioning, Unprovisioned};
use crate::identify::Verified;
use crate::model::{Account, ConsoleRole, ErrorId, Grant, Identity, IdpId, Member, SessionHash};
use crate::observe::audit::{Audit, Entry, Event};
use crate::platform::{Platform, Tasks};
use crate::store::Store;

use super::apply::Calls;
use super::connector::{Connector, ConnectorError, FindBy};
use super::creation::Creation;
use super::eligibility::Authority;
use super::explain::{Explanation, Story};
use super::flights::{Flights, NameLocks};
use super::grant::grant;
use super::guard::Guarded;
use super::names::NameCache;
use super::on_record::OnRecord;
use super::push::Pushing;
use super::rehearse::Telling;
use super::resolve::{Resolved, Wanted};
use super::{ProvisionError, Provisioned, existing, invites, measures};

/// Sees to accounts. Cheap to clone.
#[derive(Clone)]
pub struct Provisioner {
    /// Exchanged whole when the settings change (M4); each login goes by one of them to its end.
    pub(super) core: Arc<ArcSwap<Core>>,
    flights: Arc<Flights<Settled>>,
    pub(super) telling: Option<Telling>,
}

/// What all logins share.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) settings: Provisioning,
    pub(super) authorities: BTreeMap<IdpId, Authority>,
    /// With mode `scim`.
    pub(super) pushing: Option<Pushing>,
    /// Without any guard around it.
    pub(super) application: Option<Arc<dyn Connector>>,
    pub(super) connector: Option<Arc<Guarded>>,
    /// F6: by administrators' names, what they may grant.
    pub(super) grantors: Arc<BTreeMap<String, ConsoleRole>>,
    /// The same for people who sign in at the admin API.
    pub(super) console: Option<Arc<Console>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) platform: Platform,
    pub(super) audit: Audit,
    pub(super) name_locks: Arc<NameLocks>,
    pub(super) names: Arc<NameCache>,
    pub(super) on_ended: Arc<OnceLock<Box<OnEnded>>>,
    #[cfg(test)]
    pub(super) faults: Arc<super::faults::Faults>,
}

/// Is told of sessions that this stage ended in the store.
pub type OnEnded = dyn Fn(&[SessionHash]) + Send + Sync;

/// A person whose account was seen to.
#[derive(Debug, Clone)]
pub struct Settled {
    pub member: Member,
    pub account: Account,
    /// What the session carries, where the account was made to fit it.
    pub grant: Option<Grant>,
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
    /// The identity became a further one of a member (F8).
    Linked,
    /// A member came in without the application, by what is on record of the account (A2).
    OnRecord,
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
            Self::Linked => "linked",
            Self::OnRecord => "on_record",
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
        store: Arc<dyn Store>,
        platform: Platform,
        tasks: Tasks,
    ) -> Self {
        let authorities = settings.idps.iter().map(|idp| (idp.id().clone(), Authority::of(idp))).collect();
        let this = Self::with(settings.provisioning.clone(), authorities, connector, store, platform, tasks)
            .granting(settings.admin.tokens.iter().map(|token| (token.name.clone(), token.role)))
            .granting_people(settings.admin.console.clone());
        match &settings.scim {
            Some(scim) => this.pushed_by(scim),
            None => this,
        }
    }

    /// As [`Provisioner::new`], with what it takes of the settings.
    #[must_use]
    pub fn with(
        settings: Provisioning,
        authorities: BTreeMap<IdpId, Authority>,
        connector: Option<Arc<dyn Connector>>,
        store: Arc<dyn Store>,
        platform: Platform,
        tasks: Tasks,
    ) -> Self {
        let application = connector;
        let connector = change::guarded(application.as_ref(), &settings, (&store, &platform));
        let core = Core {
            settings,
            authorities,
            application,
            pushing: None,
            connector,
            grantors: Arc::new(invites::always_grantors()),
            console: None,
            store,
            audit: Audit::log_only(platform.clone()),
            platform,
            name_locks: Arc::default(),
            names: Arc::default(),
            on_ended: Arc::default(),
            #[cfg(test)]
            faults: Arc::default(),
        };
        Self {
            core: Arc::new(ArcSwap::from_pointee(core)),
            flights: Arc::new(Flights::new(tasks)),
            telling: None,
        }
    }

    /// Has what sign-ins do, or would do, kept for `narthex explain` and `narthex shadow`.
    #[must_use]
    pub fn explaining(self, telling: Telling) -> Self {
        Self { telling: Some(telling), ..self }
    }

    /// What a login goes by from its beginning to its end.
    pub(super) fn core(&self) -> Arc<Core> {
        self.core.load_full()
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
            let (result, explanation) = Box::pin(self.shadowed(verified, started)).await;
            (result, Some(explanation))
        } else {
            match Box::pin(self.provisioned(verified, started)).await {
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
                let entry =
                    Entry::new(Event::ProvisioningRefused).by_person(&identity.idp, &identity.subject);
                let entry = entry.code(error.code()).field("retryable", error.retryable());
                self.core().audit.record(entry.personal("reason", &error.to_string()));
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
        core.let_in(identity).await?;
        if !core.has_member_or_makes_one(identity).await? {
            return match core.settings.unprovisioned {
                Unprovisioned::Deny => Err(ProvisionError::NotProvisioned),
                Unprovisioned::Forward => {
                    // G6, for those too who would come in without an account.
                    let email = core.vouched_email(identity);
                    core.email_is_admitted(identity, email.as_deref()).await?;
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
        let granted = match landed {
            Ok(settled) => {
                let granting = core.session_grant(identity, &settled, deadline);
                core.in_time(deadline, granting).await.map(|(own, session)| (settled, own, session))
            }
            Err(error) => Err(error),
        };
        let (settled, own, session, first) = match granted {
            Ok((settled, own, session)) => (settled, own, session, first),
            // A2.
            Err(error) => match core.admitted_on_record(identity, &error).await {
                Some(OnRecord { settled, resolved }) => {
                    let own = settled.grant.clone().unwrap_or_default();
                    (Arc::new(settled), own, resolved, true)
                }
                None => return Err(error),
            },
        };
        // G6: a block binds what the identities came with, too, which need not be what the account has.
        if let Some(email) = core.verified_email(identity) {
            core.store.note_email(&identity.idp, &identity.subject, &email).await?;
        }
        let grant = settled.grant.clone().unwrap_or(own);
        // Whoever came while it was done found it done.
        let (how, story) = if first {
            (settled.how, settled.story.clone())
        } else {
            (How::Existing, Story::of_member(&settled.account))
        };
        let mut explanation = core.explained(identity, &settled, (how, story), session, &grant);
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
        Calls { connector, entropy: self.platform.entropy.as_ref(), audit: &self.audit, deadline }
    }

    /// M3.
    pub(super) async fn has_member_or_makes_one(&self, identity: &Identity) -> Result<bool, ProvisionError> {
        match (self.settings.mode, &self.connector) {
            (Mode::Jit, Some(_)) => Ok(true),
            (Mode::Jit, None) => Err(ProvisionError::NoConnector),
            (Mode::Off | Mode::Scim, None) => Ok(false),
            (Mode::Scim, Some(_)) => Ok(self.pushed_member(identity).await?.is_some()),
            (Mode::Off, Some(_)) => {
                let known = self.store.find_member(&identity.idp, &identity.subject).await?.is_some();
                Ok(known || self.invited(identity).await?.is_some())
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
        if let Ok(done) = tokio::time::timeout_at(deadline, work).await {
            done
        } else {
            #[cfg(test)]
            self.faults.stay_dead().await;
            Err(ProvisionError::TimeBudget { seconds: self.settings.time_budget.as_secs() })
        }
    }

    /// The person's member and account, made where the mode makes them.
    pub(super) async fn settle(
        self: &Arc<Self>,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Settled, ProvisionError> {
        if self.settings.mode == Mode::Scim {
            return self.returning(self.linked(identity).await?, identity, deadline).await;
        }
        if let Some(member) = self.store.find_member(&identity.idp, &identity.subject).await? {
            return self.returning(member, identity, deadline).await;
        }
        match self.settings.mode {
            Mode::Scim => Err(ProvisionError::NotProvisioned),
            Mode::Off if self.invited(identity).await?.is_none() => Err(ProvisionError::NotProvisioned),
            Mode::Jit | Mode::Off => {
                let settled = Creation::new(self, identity, deadline)?.run().await?;
                // An account that was there before may have to be made to fit this sign-in (L2, L3).
                if settled.how == How::Adopted && self.adjusts() {
                    let Settled { member, mut story, how, .. } = settled;
                    let fitted = self.returning(member, identity, deadline).await?;
                    story.done.extend(fitted.story.done);
                    story.paused = fitted.story.paused;
                    return Ok(Settled { how, story, ..fitted });
                }
                Ok(settled)
            }
        }
    }

    pub(super) fn has_application(&self) -> bool {
        self.connector.is_some()
    }

    /// Sessions that ended in the store end here too.
    pub(super) fn tell_ended(&self, ended: &[SessionHash]) {
        if let (false, Some(told)) = (ended.is_empty(), self.on_ended.get()) {
            told(ended);
        }
    }

    /// The member's account by the application's own id; `None`: it is gone.
    pub(super) async fn account_of(
        &self,
        member: &Member,
        deadline: Instant,
    ) -> Result<Option<Account>, ProvisionError> {
        let Some(id) = &member.account else { return Ok(None) };
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        let found = match calls.patiently(|| connector.find(FindBy::Id(id))).await {
            Ok(found) => found,
            Err(ConnectorError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        match found.len() {
            0 => Ok(None),
            _ => match found.into_iter().find(|account| account.id == *id) {
                Some(account) => Ok(Some(account)),
                // SECURITY: lesson 32. Another account under this id is a lie or a recipe's mistake; to
                // take it for "gone" would create a second one.
                None => Err(ProvisionError::Implausible {
                    what: format!("asked for the account {id}, it gave another"),
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
            self.report_skipped(identity, &resolved.session.skipped);
        }
        let grant = grant(&settled.account.entitlements, &resolved.session, self.settings.session_roles);
        Ok((grant, resolved))
    }
}
