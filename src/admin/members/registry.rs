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
use crate::model::{IdpId, MemberId, MemberStatus, SessionHash, Subject, Task};
use crate::observe::Audit;
use crate::observe::audit::{AuditError, Entry, Event};
use crate::provision::assign::{AssignError, Assigned, Assignment};
use crate::provision::reconcile::{Finding, Looked, Mending, Outcome};
use crate::provision::{ConnectorError, ProvisionError, Provisioner};
use crate::store::lists::{MemberRow, MembersLike, Owed};
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
#[derive(Debug, Default, Serialize, JsonSchema)]
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
    /// Sign-ins that waited for an administrator, or did: theirs, and those about their account. Of denials the words
    /// went, and what keeps them in force stays.
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
        self.provisioner.block(id).await.map_err(refused)?;
        self.audit.record(self.entry(Event::MemberBlocked, id));
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

    /// E6: nothing of the person stays in narthex. The account in the application is not touched, but for what narthex
    /// owes it: that is done first.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where the member is blocked, the SCIM client still keeps the person here, or something
    /// is still owed to the application; [`AdminError::NoSuch`] where nothing is known of anybody with this id.
    pub async fn erase(&self, id: MemberId) -> Result<ErasedView, AdminError> {
        let mut view = ErasedView { member: id.to_string(), ..ErasedView::default() };
        let member = match self.find(id).await {
            Ok(member) => member,
            // Erased before, and not to its end.
            Err(AdminError::NoSuch(_))
                if !self.store.find_audit_parts(Some(id), &[], &[]).await?.is_empty() =>
            {
                view.audit_parts = self.erase_words(id, &[], &[]).await?;
                return Ok(view);
            }
            Err(error) => return Err(error),
        };
        self.may_be_erased(&member).await?;
        view.sessions = self.settle(&member).await?;
        // SECURITY: nobody's traces are taken away unseen: with the log first, a failure leaves a member that can be
        // erased again, and no log that still speaks of one who is gone. So for all that is found by what only the
        // member's record tells.
        let names: Vec<String> = self.store.addresses_of(id).await?.into_iter().collect();
        view.audit_parts = self.erase_words(id, &member.identities, &names).await?;
        self.forget_traces(&member, &mut view).await?;
        let mut erased = self.provisioner.erase(id).await.map_err(not_dropped)?;
        let mut settled = Ok(());
        if erased.is_err() {
            // Most often the job that the sessions' end made due; it is waited for.
            settled = self.provisioner.settle(id).await;
            erased = self.provisioner.erase(id).await.map_err(not_dropped)?;
        }
        let erased = match erased {
            Ok(erased) => erased,
            Err(owed) => return Err(self.still_owed(&member, owed, settled.err()).await?),
        };
        (self.on_ended)(&erased.sessions);
        view.sessions += erased.sessions.len();
        (view.invites, view.letters) = (erased.invites, erased.letters);
        // What was said and asked meanwhile, and of the identities and addresses that came to it.
        let member = MemberRow { identities: erased.identities, ..member };
        let names: Vec<String> = erased.emails.into_iter().collect();
        self.forget_traces(&member, &mut view).await?;
        view.audit_parts += self.erase_words(id, &member.identities, &names).await?;
        view.account_left = member.account.map(|account| account.0);
        Ok(view)
    }

    async fn erase_words(
        &self,
        id: MemberId,
        identities: &[(IdpId, Subject)],
        names: &[String],
    ) -> Result<u64, AdminError> {
        let by = self.by.actor();
        self.audit.erase_person(&**self.store, by, Some(id), identities, names).await.map_err(not_erased)
    }

    /// Ends the sessions and does what is owed to the application for the member; gives how many sessions there were.
    async fn settle(&self, member: &MemberRow) -> Result<usize, AdminError> {
        let ended = self.store.end_sessions_of_member(member.id).await?;
        (self.on_ended)(&ended);
        if self.owed(member.id).await?.is_some() {
            let settled = self.provisioner.settle(member.id).await;
            if let Some(owed) = self.owed(member.id).await? {
                return Err(self.still_owed(member, owed, settled.err()).await?);
            }
        }
        Ok(ended.len())
    }

    async fn owed(&self, id: MemberId) -> Result<Option<Owed>, AdminError> {
        let member = self.store.find_member_by_id(id).await?;
        Ok(Owed::of(&member.ok_or(AdminError::NoSuch("member of this id"))?))
    }

    /// What is owed is tried again at once, and told of.
    async fn still_owed(
        &self,
        member: &MemberRow,
        owed: Owed,
        why: Option<ProvisionError>,
    ) -> Result<AdminError, AdminError> {
        let of_scim = member.identities.iter().filter(|(idp, _)| *idp == IdpId::scim());
        let pushes = of_scim.map(|(_, subject)| Task::Push { user: subject.as_str().to_owned() }.key());
        for key in pushes.chain([Task::settle_key(member.id)]) {
            self.store.hasten_job(&key).await?;
        }
        let why = why.map(|error| format!(" ({error})")).unwrap_or_default();
        let text = format!(
            "the member is not erased yet: {owed}{why}, and once erased, nobody would see to it any more; the sessions \
             have ended, and it is being tried: erase the member again in a while"
        );
        Ok(AdminError::Conflict(text))
    }

    /// What stands elsewhere under the person's identities, member and account.
    async fn forget_traces(&self, member: &MemberRow, view: &mut ErasedView) -> Result<(), AdminError> {
        for (idp, subject) in &member.identities {
            view.explanations += self.store.forget_person(idp, subject).await?;
            self.store.forget_console_person(idp, subject).await?;
        }
        let account = member.account.as_ref();
        view.cases += self.store.forget_cases(&member.identities, member.id, account).await?;
        Ok(())
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

fn not_dropped(error: StoreError) -> AdminError {
    match error {
        StoreError::Conflict { .. } => AdminError::Conflict(BLOCKED.to_owned()),
        StoreError::Gone { .. } => AdminError::NoSuch("member of this id"),
        error => error.into(),
    }
}

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
