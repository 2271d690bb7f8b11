//! What is done with members, for the API and the command line alike: who did it stands in the audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::answer::Version;
use crate::admin::error::AdminError;
use crate::admin::principal::Principal;
use crate::admin::routes::Example;
use crate::model::scim::ScimKind;
use crate::model::{IdpId, MemberId, MemberStatus, SessionHash};
use crate::observe::Audit;
use crate::observe::audit::{AuditError, Entry, Event};
use crate::provision::assign::{AssignError, Assigned, Assignment};
use crate::provision::reconcile::{Finding, Looked, Mending, Outcome};
use crate::provision::{ConnectorError, ProvisionError, Provisioner};
use crate::store::lists::{Erased, MemberRow, MembersLike};
use crate::store::{Store, StoreError};

/// How a member's account is to be changed; what is not named stays.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// The application-wide role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Teams to be in from now on, each with the role within it or null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add_teams: BTreeMap<String, Option<String>>,
    /// Teams to be in no more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove_teams: BTreeSet<String>,
    /// Whether the member's sessions end, so that none goes on with what it carried before.
    #[serde(default)]
    pub end_sessions: bool,
}

impl Example for MemberChange {
    fn example() -> Self {
        Self {
            role: Some("user".to_owned()),
            add_teams: [("acme/developers".to_owned(), None)].into(),
            remove_teams: ["acme/readers".to_owned()].into(),
            end_sessions: false,
        }
    }
}

/// What was erased of a person.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErasedView {
    pub member: String,
    /// Places in the audit log; the entries themselves stay, and stay verifiable.
    pub audit_parts: u64,
    pub sessions: usize,
    pub invites: u64,
    /// Letters about the person that waited to be sent.
    pub letters: u64,
    /// Kept explanations of their sign-ins.
    pub explanations: u64,
    /// Sign-ins of theirs that waited for an administrator, or did.
    pub cases: u64,
    /// The application's own id of the account, which is left as it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_left: Option<String>,
}

impl Example for ErasedView {
    fn example() -> Self {
        Self {
            member: "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned(),
            audit_parts: 23,
            sessions: 1,
            invites: 1,
            letters: 0,
            explanations: 4,
            cases: 0,
            account_left: Some("17".to_owned()),
        }
    }
}

/// One way in which a member and its account do not fit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingView {
    /// "vanished", "anothers", "deactivated", "active_again", "lost", "overridden", "left_borrowed", "renamed",
    /// "unclaimed".
    pub kind: String,
    /// Absent of an account that no member has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub username: String,
    /// What it is, and what becomes of it.
    pub what: String,
    /// "reported", "repaired", "paused" (`max_removals`), "busy", "failed".
    pub outcome: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Example for FindingView {
    fn example() -> Self {
        Self {
            kind: "vanished".to_owned(),
            member: Some("019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned()),
            account: Some("17".to_owned()),
            username: "ada".to_owned(),
            what:
                "the account is gone from the application; the next sign-in goes by provisioning.on_missing"
                    .to_owned(),
            outcome: "reported".to_owned(),
            reason: None,
        }
    }
}

impl Example for crate::admin::answer::Page<FindingView> {
    fn example() -> Self {
        Self { items: vec![FindingView::example()], next: None }
    }
}

impl FindingView {
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        let (outcome, reason) = match &finding.outcome {
            Outcome::Reported => ("reported", None),
            Outcome::Repaired => ("repaired", None),
            Outcome::Paused => ("paused", None),
            Outcome::Busy => ("busy", None),
            Outcome::Failed(reason) => ("failed", Some(reason.clone())),
        };
        Self {
            kind: finding.drift.kind().to_owned(),
            member: finding.member.map(|id| id.to_string()),
            account: finding.account.as_ref().map(|id| id.0.clone()),
            username: finding.username.clone(),
            what: finding.drift.text(),
            outcome: outcome.to_owned(),
            reason,
        }
    }
}

/// Members, in somebody's hands.
pub struct Registry<'a> {
    pub store: &'a Arc<dyn Store>,
    pub provisioner: &'a Provisioner,
    pub audit: &'a Audit,
    pub by: &'a Principal,
    /// From where they ask.
    pub from: Option<IpAddr>,
    /// Is told of sessions that ended in the store.
    pub on_ended: &'a (dyn Fn(&[SessionHash]) + Send + Sync),
}

impl Registry<'_> {
    fn entry(&self, event: Event, id: MemberId) -> Entry {
        let entry = Entry::new(event).by(self.by.actor()).member(id);
        match self.from {
            Some(from) => entry.from(from),
            None => entry,
        }
    }

    /// The member of this id.
    ///
    /// # Errors
    /// [`AdminError::NoSuch`]
    pub async fn find(&self, id: MemberId) -> Result<MemberRow, AdminError> {
        let found = self.store.list_members(&MembersLike::Id(id), None, 1).await?;
        found.into_iter().next().ok_or(AdminError::NoSuch("member of this id"))
    }

    /// E4: ends the sessions, and has the account treated as `provisioning.leaver` says.
    ///
    /// # Errors
    /// Where it cannot be recorded.
    pub async fn revoke(&self, id: MemberId) -> Result<MemberRow, AdminError> {
        self.find(id).await?;
        self.provisioner.revoke(id).await.map_err(refused)?;
        self.audit.record(self.entry(Event::AccessRevoked, id));
        self.find(id).await
    }

    /// G6.
    ///
    /// # Errors
    /// As [`Registry::revoke`].
    pub async fn block(&self, id: MemberId) -> Result<MemberRow, AdminError> {
        self.find(id).await?;
        let blocked = self.provisioner.block(id).await.map_err(refused)?;
        self.audit.record(self.entry(Event::MemberBlocked, id));
        // Whoever administers by another identity with one of their addresses is found out at the next request.
        for (idp, subject) in &blocked.identities {
            self.store.forget_console_person(idp, subject).await?;
        }
        self.find(id).await
    }

    /// G6, taken back.
    ///
    /// # Errors
    /// As [`Registry::revoke`].
    pub async fn unblock(&self, id: MemberId) -> Result<MemberRow, AdminError> {
        self.find(id).await?;
        self.provisioner.unblock(id).await.map_err(refused)?;
        self.audit.record(self.entry(Event::MemberUnblocked, id));
        self.find(id).await
    }

    /// E4: role and teams. `expected`: the revision that the administrator saw.
    ///
    /// # Errors
    /// What of it cannot be, or may not be by this administrator.
    pub async fn change(
        &self,
        id: MemberId,
        expected: Option<u64>,
        change: MemberChange,
    ) -> Result<(MemberRow, Assigned), AdminError> {
        let MemberChange { role, add_teams, remove_teams, end_sessions } = change;
        if role.is_none() && add_teams.is_empty() && remove_teams.is_empty() {
            let text = "nothing is to be changed: name a role, add_teams or remove_teams".to_owned();
            return Err(AdminError::BadRequest(text));
        }
        self.find(id).await?;
        let assignment = Assignment { role, add_teams, remove_teams, end_sessions };
        let assigned = self.provisioner.assign(id, expected, &assignment, self.by.role()).await;
        let assigned = assigned.map_err(not_assigned)?;
        let entry = self.entry(Event::MemberChanged, id).account(&assigned.account);
        let entry = entry.entitlements(&assigned.before, &assigned.after).field("source", "console");
        self.audit.record(entry.field("rule", "E4").field("end_sessions", end_sessions));
        Ok((self.find(id).await?, assigned))
    }

    /// E6: nothing of the person stays in narthex. The account in the application is not touched.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where the member is blocked, or the SCIM client still keeps the person here;
    /// [`AdminError::NoSuch`] where nothing is known of anybody with this id.
    pub async fn erase(&self, id: MemberId) -> Result<ErasedView, AdminError> {
        let known = match self.find(id).await {
            Ok(member) => {
                self.may_be_erased(&member).await?;
                Some(member)
            }
            // Erased before, and not to its end.
            Err(AdminError::NoSuch(_))
                if !self.store.find_audit_parts(Some(id), &[], &[]).await?.is_empty() =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        // SECURITY: nobody's traces are taken away unseen: with the log first, a failure leaves a member that can be
        // erased again, and no log that still speaks of one who is gone.
        let identities = known.as_ref().map(|member| member.identities.clone()).unwrap_or_default();
        let erase_words = async |names: &[String]| {
            let erased =
                self.audit.erase_person(&**self.store, self.by.actor(), Some(id), &identities, names);
            erased.await.map_err(not_erased)
        };
        let mut audit_parts = erase_words(&[]).await?;
        let (mut explanations, mut cases) = (0, 0);
        let mut erased = Erased::default();
        if known.is_some() {
            erased = self.store.erase_member(id).await.map_err(|error| match error {
                StoreError::Conflict { .. } => AdminError::Conflict(BLOCKED.to_owned()),
                StoreError::Gone { .. } => AdminError::NoSuch("member of this id"),
                error => error.into(),
            })?;
            (self.on_ended)(&erased.sessions);
            for (idp, subject) in &erased.identities {
                explanations += self.store.forget_person(idp, subject).await?;
                cases += self.store.drop_cases_of(idp, subject).await?;
            }
            cases += self.drop_cases_about(id).await?;
            // What was said meanwhile, and of the addresses that are known only now.
            let names: Vec<String> = erased.emails.into_iter().collect();
            audit_parts += erase_words(&names).await?;
        }
        Ok(ErasedView {
            member: id.to_string(),
            audit_parts,
            sessions: erased.sessions.len(),
            invites: erased.invites,
            letters: erased.letters,
            explanations,
            cases,
            account_left: known.and_then(|member| member.account).map(|account| account.0),
        })
    }

    async fn may_be_erased(&self, member: &MemberRow) -> Result<(), AdminError> {
        if member.status == MemberStatus::Blocked {
            return Err(AdminError::Conflict(BLOCKED.to_owned()));
        }
        for (_, subject) in member.identities.iter().filter(|(idp, _)| *idp == IdpId::scim()) {
            if self.store.find_scim(ScimKind::User, subject.as_str()).await?.is_some() {
                let text = "the SCIM client keeps this person here and would bring them back; have it delete the user \
                            first";
                return Err(AdminError::Conflict(text.to_owned()));
            }
        }
        Ok(())
    }

    /// Others who asked about the member's account: their cases have its names in them.
    async fn drop_cases_about(&self, id: MemberId) -> Result<u64, AdminError> {
        const AT_A_TIME: usize = 200;
        let (mut before, mut dropped) = (None, 0);
        loop {
            let cases = self.store.list_cases(None, before, AT_A_TIME).await?;
            before = cases.last().map(|case| case.id);
            for case in cases.iter().filter(|case| case.facts.member == Some(id)) {
                dropped += u64::from(self.store.drop_case(case.id, case.revision).await?);
            }
            if cases.len() < AT_A_TIME {
                return Ok(dropped);
            }
        }
    }

    /// Compares members with the application, a page at a time.
    ///
    /// # Errors
    /// Where the store or the application cannot be asked.
    pub async fn reconcile(
        &self,
        after: Option<MemberId>,
        limit: usize,
        mending: Mending,
    ) -> Result<Looked, AdminError> {
        self.provisioner.reconcile(after, limit, mending).await.map_err(refused)
    }

    /// Accounts that no member has; `None`: the connector cannot list accounts.
    ///
    /// # Errors
    /// As [`Registry::reconcile`].
    pub async fn unclaimed(&self) -> Result<Option<Vec<Finding>>, AdminError> {
        self.provisioner.unclaimed().await.map_err(refused)
    }
}

/// E6, G6.
const BLOCKED: &str = "the member is blocked, and the block needs what it binds: the identities and addresses; unblock \
                       the member first, and keep the person out at the identity provider";

fn not_erased(error: AuditError) -> AdminError {
    match error {
        AuditError::Store(error) => error.into(),
        error @ (AuditError::NoEntropy | AuditError::QueueFull | AuditError::Ended) => {
            AdminError::Conflict(error.to_string())
        }
    }
}

fn not_assigned(error: AssignError) -> AdminError {
    match error {
        AssignError::Privileged { what } => AdminError::BeyondGrant { what },
        AssignError::Changed { revision } => {
            AdminError::VersionChanged { current: version_of(revision).tag() }
        }
        AssignError::Provision(error) => refused(error),
        error @ (AssignError::Unknown { .. } | AssignError::AddedAndRemoved { .. }) => {
            AdminError::BadRequest(error.to_string())
        }
        error @ (AssignError::Synced { .. }
        | AssignError::Shadow
        | AssignError::NoAccount { .. }
        | AssignError::Unmanaged { .. }) => AdminError::Conflict(error.to_string()),
    }
}

/// Of a member.
#[must_use]
pub fn version_of(revision: u64) -> Version {
    Version(i64::try_from(revision).unwrap_or(i64::MAX))
}

fn refused(error: ProvisionError) -> AdminError {
    match error {
        ProvisionError::Store(StoreError::Gone { .. }) => AdminError::NoSuch("member of this id"),
        ProvisionError::Store(error) => error.into(),
        ProvisionError::Connector(
            error @ (ConnectorError::Guarded { .. } | ConnectorError::Unsupported { .. }),
        ) => AdminError::Conflict(error.to_string()),
        ProvisionError::Connector(error) => error.into(),
        other => AdminError::Conflict(other.to_string()),
    }
}
