//! A sign-in up to the first write, and no further: what `narthex explain` and shadow mode (M6) are made from. It
//! goes the way of a real one, through the same functions, and reads only.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::settings::{Mode, Unprovisioned};
use crate::expr::{Context, SessionFacts};
use crate::model::session::SessionAccount;
use crate::model::{
    Account, AccountId, AccountProfile, ErrorId, Grant, Identity, Member, MemberId, MemberStatus, Origin,
};
use crate::store::rehearsals::RehearsalStore;

use super::cases::{self, Existing, Verdict};
use super::connector::{Connector, ConnectorError, Kind};
use super::creation::Creation;
use super::explain::{Admitted, Ending, Explanation, Found, Refusal, UNBORN, expected};
use super::grant::grant;
use super::members::{self, Birth};
use super::names::Standing;
use super::on_record::OnRecord;
use super::plan::{Operation, Situation, changed, plan, updated};
use super::provisioner::{Core, How, Settled};
use super::resolve::{Decision, Question, Resolved, resolve};
use super::settle::REMOVALS_WITHIN;
use super::sync::Removals;
use super::{ProvisionError, Provisioner};

/// Longer records are not kept: a person with thousands of teams must not fill the store.
const MAX_RECORD: usize = 128 * 1024;

/// The identity headers of a session; built from `[headers]`.
pub type ShowHeaders = dyn Fn(&Context) -> Vec<(String, String)> + Send + Sync;

/// Where explanations go, and what they need beside the stage itself.
#[derive(Clone)]
pub struct Telling {
    pub store: Arc<dyn RehearsalStore>,
    pub headers: Arc<ShowHeaders>,
}

/// What a rehearsal found out.
pub(super) struct Rehearsal {
    pub(super) explanation: Explanation,
    /// The member with the account, where there is one to sign in to as it is.
    pub(super) standing: Option<(Member, Account)>,
    pub(super) error: Option<ProvisionError>,
}

impl Provisioner {
    /// What a sign-in of this identity would do now; reads from store and application, and writes nowhere.
    pub async fn rehearse(&self, identity: &Identity) -> Explanation {
        let core = self.core();
        let deadline = Instant::now() + core.settings.time_budget;
        let mut explanation = core.rehearse(identity, deadline).await.explanation;
        self.show_headers(identity, None, &mut explanation);
        explanation
    }

    /// Fills in what the application would get with every request.
    pub(super) fn show_headers(
        &self,
        identity: &Identity,
        account: Option<SessionAccount>,
        explanation: &mut Explanation,
    ) {
        let Some(telling) = &self.telling else { return };
        let render = |account: Option<&SessionAccount>, grant: &Grant| {
            let facts = SessionFacts {
                idp: &identity.idp,
                subject: &identity.subject,
                claims: &identity.claims,
                account,
                grant,
            };
            (telling.headers)(&Context::of_session(facts))
        };
        match &mut explanation.ending {
            Ending::Admitted(admitted) => {
                let unborn = MemberId(uuid::Uuid::nil());
                let account = account.unwrap_or_else(|| SessionAccount {
                    member: unborn,
                    id: explanation
                        .found
                        .account()
                        .map_or_else(|| AccountId(UNBORN.to_owned()), |account| account.id.clone()),
                    profile: admitted.profile.clone(),
                });
                admitted.headers = render(Some(&account), &admitted.grant);
                for (_, value) in &mut admitted.headers {
                    *value = value.replace(&unborn.to_string(), UNBORN);
                }
            }
            Ending::WithoutAccount { headers } => *headers = render(None, &Grant::default()),
            Ending::Refused(_) => {}
        }
    }

    /// Keeps what the sign-in `id` did. Nothing depends on it, so a store that is away costs nobody the sign-in.
    pub(super) async fn keep(&self, id: &ErrorId, explanation: &Explanation) {
        let Some(telling) = &self.telling else { return };
        let Ok(record) = serde_json::to_string(explanation) else { return };
        let kept = if record.len() > MAX_RECORD {
            Err(format!("its explanation has {} bytes, at most {MAX_RECORD} are kept", record.len()))
        } else {
            let Explanation { idp, subject, .. } = explanation;
            telling.store.tell_login(id, idp, subject, &record).await.map_err(|error| error.to_string())
        };
        if let Err(reason) = kept {
            tracing::warn!(error_id = %id, reason, "a sign-in could not be kept for `narthex explain`");
        }
    }
}

impl Core {
    /// Everything up to the first write.
    pub(super) async fn rehearse(self: &Arc<Self>, identity: &Identity, deadline: Instant) -> Rehearsal {
        let mut explanation = Explanation { rehearsed: true, ..self.begin(identity) };
        let mut standing = None;
        let act = Box::pin(self.act(identity, deadline, &mut explanation, &mut standing));
        let acted = self.in_time(deadline, act).await;
        let error = match acted {
            Ok(ending) => {
                explanation.ending = ending;
                None
            }
            Err(error) => {
                let on_record = Box::pin(self.rehearsed_on_record(identity, &error, &mut explanation)).await;
                if let Some(OnRecord { settled: Settled { account, grant, how, .. }, .. }) = on_record {
                    let Account { profile, entitlements: holds, .. } = account;
                    let grant = grant.unwrap_or_default();
                    let admitted = Admitted { how, profile, holds, grant, headers: Vec::new() };
                    explanation.ending = Ending::Admitted(Box::new(admitted));
                    None
                } else {
                    explanation.ending = Ending::Refused(Refusal::from(&error));
                    Some(error)
                }
            }
        };
        Rehearsal { explanation, standing, error }
    }

    async fn act(
        self: &Arc<Self>,
        identity: &Identity,
        deadline: Instant,
        told: &mut Explanation,
        standing: &mut Option<(Member, Account)>,
    ) -> Result<Ending, ProvisionError> {
        self.let_in(identity).await?;
        if !self.has_member_or_makes_one(identity).await? {
            return match self.settings.unprovisioned {
                Unprovisioned::Deny => Err(ProvisionError::NotProvisioned),
                Unprovisioned::Forward => Ok(Ending::WithoutAccount { headers: Vec::new() }),
            };
        }
        let member = match self.settings.mode {
            Mode::Scim => self.pushed_member(identity).await?,
            Mode::Jit | Mode::Off => self.store.find_member(&identity.idp, &identity.subject).await?,
        };
        if let Some(member) = &member
            && let Some(account) = self.account_of(member, deadline).await?
        {
            match member.status {
                MemberStatus::Active => {}
                MemberStatus::Blocked => return Err(ProvisionError::Blocked),
            }
            told.found = Found::Member(Box::new(account.clone()));
            let reactivated = !account.active && self.may_reactivate(member)?;
            if !account.active && !reactivated {
                return Err(ProvisionError::AccountDeactivated { username: account.profile.username });
            }
            told.plan.operations.extend(reactivated.then_some(Operation::Reactivate));
            let resolved = self.resolved(identity, Some(member), deadline).await?;
            *standing = (!reactivated).then(|| (member.clone(), account.clone()));
            return self.fitted(identity, member, (How::Existing, account), resolved, deadline, told).await;
        }
        match &member {
            Some(member) => self.recreates(member)?,
            None if self.settings.mode != Mode::Jit => return Err(ProvisionError::NotProvisioned),
            None => {}
        }
        let mut resolved = self.resolved(identity, None, deadline).await?;
        let wanted = resolved.wanted.take().ok_or(ProvisionError::Interrupted)?;
        told.wanted = Some(wanted.clone());
        told.session = Some(resolved.session.clone());
        self.not_protected(&wanted)?;
        let verified = wanted.email.as_ref().map(|email| email.address.to_string());
        for email in [wanted.profile.profile.email.as_deref(), verified.as_deref()] {
            self.email_is_admitted(identity, email).await?;
        }
        let meeting = Creation::new(self, identity, deadline)?.existing(&wanted, member.is_some()).await?;
        if let Some(Existing { account, holder, verdict }) = meeting {
            if let Verdict::Ask(facts) = &verdict {
                return Err(cases::waits(facts, None));
            }
            if let Some(mut member) = holder {
                told.found = Found::Member(Box::new(account.clone()));
                member.identities.push((identity.idp.clone(), identity.subject.clone()));
                let later = self.resolved(identity, Some(&member), deadline).await?;
                resolved.profile = later.profile;
                let linked = (How::Linked, account);
                return self.fitted(identity, &member, linked, resolved, deadline, told).await;
            }
            told.found = Found::Existing(Box::new(account.clone()));
            told.plan = plan(&wanted, Situation::Adopted(&account));
            let birth = Birth {
                account: &account,
                origin: Origin::Adopted,
                entitled: None,
                ephemeral_until: None,
                now: self.platform.clock.now(),
            };
            let unborn = members::first(MemberId(uuid::Uuid::nil()), identity, &birth);
            let later = self.resolved(identity, Some(&unborn), deadline).await?;
            resolved.profile = later.profile;
            let adopted = (How::Adopted, account.clone());
            return self.fitted(identity, &unborn, adopted, resolved, deadline, told).await;
        }
        told.found = Found::Nothing;
        told.plan = plan(&wanted, Situation::Absent);
        let (profile, holds) = expected(&told.plan, None).ok_or(ProvisionError::Interrupted)?;
        let how = if member.is_some() { How::Recreated } else { How::Created };
        Ok(self.admitted(how, profile, holds, resolved, told))
    }

    /// L2, L3: as the sign-in would have the account, where it may change it at all.
    async fn fitted(
        &self,
        identity: &Identity,
        member: &Member,
        (how, mut account): (How, Account),
        resolved: Resolved,
        deadline: Instant,
        told: &mut Explanation,
    ) -> Result<Ending, ProvisionError> {
        if !self.adjusts() && member.borrowed.is_empty() {
            return Ok(self.admitted(how, account.profile, account.entitlements, resolved, told));
        }
        let mut appraisal = self.appraise(identity, member, &account, &resolved, Removals::Allowed);
        // G3: as the sign-in would find it if it were now.
        let (removals, max) = (appraisal.removals(), self.settings.lifecycle.max_removals);
        let counted = self.store.counted_removals(self.platform.clock.now(), REMOVALS_WITHIN).await?;
        if removals > 0 && counted.saturating_add(removals) > max {
            told.paused = removals;
            appraisal = self.appraise(identity, member, &account, &resolved, Removals::Paused);
        }
        told.session = Some(resolved.session);
        for operation in appraisal.plan.operations {
            // What a guard would stop is not done, and the sign-in goes on without it (G1, G2).
            if let Some(later) = self.after(account.clone(), &operation, deadline).await? {
                account = later;
                told.plan.operations.push(operation);
            }
        }
        let Account { profile, entitlements: holds, .. } = account;
        let grant = appraisal.grant;
        Ok(Ending::Admitted(Box::new(Admitted { how, profile, holds, grant, headers: Vec::new() })))
    }

    /// The account as it is after `operation`; `None`: a guard would stop that.
    async fn after(
        &self,
        account: Account,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Option<Account>, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        let allowed = match operation {
            Operation::Entitle(change) => calls.patiently(|| connector.would_allow(&account, change)).await,
            Operation::Update(_) => calls.patiently(|| connector.untouchable("update", &account)).await,
            Operation::CreateTeam(_) | Operation::Create { .. } | Operation::Reactivate => Ok(()),
        };
        match allowed {
            Ok(()) => {}
            Err(ConnectorError::Guarded { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let names = self.names.known().await;
        Ok(Some(match operation {
            Operation::Entitle(change) => {
                let mut later = changed(account, change);
                if let Some(role) = &change.role {
                    let listed = names.map(|names| names.standing(Kind::Role, role));
                    later.privileged = listed == Some(Standing::Privileged)
                        || connector.features().is_privileged(Kind::Role, role);
                }
                later
            }
            Operation::Update(fields) => updated(account, fields),
            Operation::CreateTeam(_) | Operation::Create { .. } | Operation::Reactivate => account,
        }))
    }

    fn admitted(
        &self,
        how: How,
        profile: AccountProfile,
        holds: crate::model::Entitlements,
        resolved: Resolved,
        told: &mut Explanation,
    ) -> Ending {
        let grant = grant(&holds, &resolved.session, self.settings.session_roles);
        told.session = Some(resolved.session);
        Ending::Admitted(Box::new(Admitted { how, profile, holds, grant, headers: Vec::new() }))
    }

    fn begin(&self, identity: &Identity) -> Explanation {
        let now = self.platform.clock.now();
        Explanation::begin(identity, &self.settings, self.authority(&identity.idp), now)
    }

    /// A real sign-in that came to its end.
    pub(super) fn explained(
        &self,
        identity: &Identity,
        settled: &Settled,
        (how, story): (How, super::explain::Story),
        session: Resolved,
        grant: &Grant,
    ) -> Explanation {
        let mut explanation = self.begin(identity);
        explanation.tell(story);
        explanation.session = Some(session.session);
        explanation.ending = Ending::Admitted(Box::new(Admitted {
            how,
            profile: settled.account.profile.clone(),
            holds: settled.account.entitlements.clone(),
            grant: grant.clone(),
            headers: Vec::new(),
        }));
        explanation
    }

    /// A real sign-in without account (M3).
    pub(super) fn explained_without_account(&self, identity: &Identity) -> Explanation {
        let ending = Ending::WithoutAccount { headers: Vec::new() };
        Explanation { ending, ..self.begin(identity) }
    }

    /// A real sign-in that was refused, with as much as was decided before.
    pub(super) async fn explained_refusal(&self, identity: &Identity, error: &ProvisionError) -> Explanation {
        let mut explanation = self.begin(identity);
        explanation.ending = Ending::Refused(Refusal::from(error));
        // What was listed for this sign-in, or not long before; for an explanation nothing is listed.
        if let (Some(connector), Some(names)) = (&self.connector, self.names.known().await) {
            let decision = resolve(&Question {
                identity,
                settings: &self.settings,
                authority: self.authority(&identity.idp),
                features: connector_features(connector),
                names: &names,
                member: None,
                invited: None,
            });
            if let Decision::Proceed(resolved) = decision {
                explanation.wanted = resolved.wanted;
                explanation.session = Some(resolved.session);
            }
        }
        explanation
    }
}

fn connector_features(connector: &super::guard::Guarded) -> &super::connector::Features {
    connector.features()
}

/// The headers of a session, for [`Telling`], from any renderer of names and values.
pub fn show_headers<N: AsRef<str>, V: AsRef<[u8]>>(
    render: impl Fn(&Context) -> Vec<(N, V)> + Send + Sync + 'static,
) -> Arc<ShowHeaders> {
    Arc::new(move |context| {
        let shown = |(name, value): (N, V)| {
            (name.as_ref().to_owned(), String::from_utf8_lossy(value.as_ref()).into_owned())
        };
        let all: BTreeMap<String, String> = render(context).into_iter().map(shown).collect();
        all.into_iter().collect()
    })
}
