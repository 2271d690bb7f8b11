//! Invites through the API (PROVISIONING.md F6).

mod desk;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::desk::Desk;
use super::Admin;
use super::answer::{Answer, Page, Version, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::routes::Example;
use crate::model::Entitlements;
use crate::model::invite::{Invite, InviteId, InviteState};
use crate::observe::audit::Event;

/// Whom to invite, and with what.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// The address that the identity provider must vouch for.
    pub email: String,
    /// Only by this identity provider. Absent: by any that may speak for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    /// The application-wide role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Teams, each with the role in it or null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub app_groups: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<String>,
    /// Instead of those: the username of the account whose entitlements, as it holds them now, are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_from: Option<String>,
    /// Like "3d" or "12h", counted from now; a new invite is good for seven days unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

impl InviteRequest {
    /// As the application would hold them.
    #[must_use]
    pub fn entitlements(&self) -> Entitlements {
        Entitlements {
            role: self.role.clone(),
            teams: self.teams.clone(),
            app_groups: self.app_groups.clone(),
            permissions: self.permissions.clone(),
            owner: false,
        }
    }

    /// Whether it names any entitlement itself.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.entitlements() != Entitlements::default()
    }
}

impl Example for InviteRequest {
    fn example() -> Self {
        Self {
            email: "grace@example.com".to_owned(),
            role: Some("user".to_owned()),
            teams: [("acme/readers".to_owned(), None)].into(),
            expires_in: Some("3d".to_owned()),
            ..Self::default()
        }
    }
}

/// One invite.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InviteView {
    pub id: String,
    /// Grows with every change. The ETag is made of it.
    pub revision: i64,
    /// "open", "claimed" (a sign-in has consumed it and is not finished), "used", "expired" or "revoked".
    pub state: String,
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    pub teams: BTreeMap<String, Option<String>>,
    pub app_groups: BTreeSet<String>,
    pub permissions: BTreeSet<String>,
    pub owner: bool,
    /// The account that these were a snapshot of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloned_from: Option<String>,
    pub invited_by: String,
    /// Who changed it beside who made it: it gives no more than each of them may grant when it is used.
    pub changed_by: Vec<String>,
    /// RFC 3339, UTC, as the other times.
    pub created_at: String,
    pub expires_at: String,
    /// The member whom it led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// How often it was sent by mail, and when last. 0: hand the link over yourself.
    pub sends: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// Where the person begins; no secret.
    pub link: String,
}

impl Example for InviteView {
    fn example() -> Self {
        Self {
            id: "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned(),
            revision: 1,
            state: "open".to_owned(),
            email: "grace@example.com".to_owned(),
            idp: None,
            role: Some("user".to_owned()),
            teams: [("acme/readers".to_owned(), None)].into(),
            app_groups: BTreeSet::new(),
            permissions: BTreeSet::new(),
            owner: false,
            cloned_from: None,
            invited_by: "olaf".to_owned(),
            changed_by: Vec::new(),
            created_at: "2026-01-31T12:00:00Z".to_owned(),
            expires_at: "2026-02-03T12:00:00Z".to_owned(),
            member: None,
            sends: 0,
            sent_at: None,
            link: "https://git.example.com/.narthex/login?email=grace%40example.com".to_owned(),
        }
    }
}

impl Example for Page<InviteView> {
    fn example() -> Self {
        Self { items: vec![InviteView::example()], next: None }
    }
}

/// An invite as it is shown; by the API and by the command line.
#[must_use]
pub fn viewed(desk: &Desk, invite: Invite) -> InviteView {
    let link = desk.link(&invite).to_string();
    let state = match invite.state(desk.now()) {
        InviteState::Open => "open",
        InviteState::Claimed => "claimed",
        InviteState::Used => "used",
        InviteState::Expired => "expired",
        InviteState::Revoked => "revoked",
    };
    let given = invite.terms.entitlements;
    InviteView {
        id: invite.id.to_string(),
        revision: invite.revision,
        state: state.to_owned(),
        email: invite.terms.email.to_string(),
        idp: invite.terms.idp.map(|idp| idp.to_string()),
        role: given.role,
        teams: given.teams,
        app_groups: given.app_groups,
        permissions: given.permissions,
        owner: given.owner,
        cloned_from: invite.terms.cloned_from,
        invited_by: invite.invited_by,
        changed_by: invite.changed_by,
        created_at: invite.created_at.to_string(),
        expires_at: invite.expires_at.to_string(),
        member: invite.member.map(|member| member.to_string()),
        sends: invite.sends,
        sent_at: invite.sent_at.map(|at| at.to_string()),
        link,
    }
}

fn shown(admin: &Admin, invite: Invite) -> Result<Answer, AdminError> {
    let version = Version(invite.revision);
    Ok(Answer::json(&viewed(&admin.desk, invite))?.of_version(version))
}

fn id(call: &Call) -> Result<InviteId, AdminError> {
    call.part("invite", "invite of this id").map(InviteId)
}

pub(super) async fn list(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let before = wanted.after::<uuid::Uuid>()?.map(InviteId);
    let rows = admin.store.list_invites(before, wanted.and_one()).await?;
    Answer::json(&wanted.page(rows, |row| row.id.to_string(), |row| viewed(&admin.desk, row)))
}

pub(super) async fn show(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    shown(admin, admin.desk.find(id(call)?).await?)
}

pub(super) async fn create(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let request: InviteRequest = call.body()?;
    let invite = admin.desk.create(call.by()?, &request).await?;
    admin.audit.record(entry(call, Event::InviteCreated, &invite));
    Ok(Answer::json(&viewed(&admin.desk, invite))?.created())
}

pub(super) async fn change(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let request: InviteRequest = call.body()?;
    let invite = admin.desk.find(id(call)?).await?;
    call.expects(&Version(invite.revision))?;
    let before = invite.terms.entitlements.clone();
    let invite = admin.desk.change(call.by()?, invite, &request).await?;
    let entry = entry(call, Event::InviteChanged, &invite);
    admin.audit.record(entry.entitlements(&before, &invite.terms.entitlements));
    shown(admin, invite)
}

pub(super) async fn revoke(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let invite = admin.desk.find(id(call)?).await?;
    let invite = admin.desk.revoke(invite).await?;
    admin.audit.record(entry(call, Event::InviteRevoked, &invite));
    shown(admin, invite)
}

pub(super) async fn send(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let invite = admin.desk.find(id(call)?).await?;
    let invite = admin.desk.send(invite).await?;
    admin.audit.record(entry(call, Event::InviteSent, &invite));
    shown(admin, invite)
}

fn entry(call: &Call, event: Event, invite: &Invite) -> crate::observe::audit::Entry {
    call.entry(event)
        .field("invite", crate::observe::audit::Plain::name(&invite.id.to_string()))
        .personal("email", &invite.terms.email.to_string())
        .entitlements(&Entitlements::default(), &invite.terms.entitlements)
}
