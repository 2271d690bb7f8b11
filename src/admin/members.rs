//! Members: who they are.

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::answer::{Answer, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::routes::Example;
use super::sessions::identity;
use crate::model::{AccountId, MemberId, MemberStatus, Origin};
use crate::observe::audit::Event;
use crate::provision::ProvisionError;
use crate::store::lists::{MemberRow, MembersLike};

/// One member.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MemberView {
    pub id: String,
    /// The application's own id of the account; absent once narthex deleted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account's username when it was last seen.
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How the member came to be: "jit", "adopted", …
    pub origin: String,
    /// "active", …
    pub status: String,
    /// Grows with every re-creation of the account.
    pub generation: u32,
    /// RFC 3339, UTC, as the other times.
    pub created_at: String,
    pub last_login_at: String,
    pub identities: Vec<IdentityView>,
}

/// Who the member is at one identity provider.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IdentityView {
    pub idp: String,
    pub subject: String,
}

impl Example for MemberView {
    fn example() -> Self {
        Self {
            id: "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned(),
            account: Some("17".to_owned()),
            username: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
            origin: "jit".to_owned(),
            status: "active".to_owned(),
            generation: 1,
            created_at: "2026-01-31T12:00:00Z".to_owned(),
            last_login_at: "2026-02-28T08:00:00Z".to_owned(),
            identities: vec![IdentityView { idp: "corp".to_owned(), subject: "248289761001".to_owned() }],
        }
    }
}

impl Example for super::answer::Page<MemberView> {
    fn example() -> Self {
        Self { items: vec![MemberView::example()], next: None }
    }
}

/// A member as it is shown; by the API and by the command line.
#[must_use]
pub fn viewed(row: MemberRow) -> MemberView {
    let identities = row.identities.into_iter();
    MemberView {
        id: row.id.to_string(),
        account: row.account.map(|account| account.0),
        username: row.username,
        email: row.email,
        origin: word(row.origin),
        status: status_word(row.status),
        generation: row.generation,
        created_at: row.created_at.to_string(),
        last_login_at: row.last_login_at.to_string(),
        identities: identities
            .map(|(idp, subject)| IdentityView { idp: idp.to_string(), subject: subject.as_str().to_owned() })
            .collect(),
    }
}

/// By the names that serde gives them, as in the store.
fn word(origin: Origin) -> String {
    named_by_serde(&origin)
}

fn status_word(status: MemberStatus) -> String {
    named_by_serde(&status)
}

fn named_by_serde(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

pub(super) async fn list(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let search = call.parameter("search").map(|text| MembersLike::Beginning(text.trim().to_owned()));
    let account = call.parameter("account").map(|id| MembersLike::Account(AccountId(id.to_owned())));
    let identity = identity(call)?.map(|(idp, subject)| MembersLike::Identity(idp, subject));
    let mut said = [search, account, identity].into_iter().flatten();
    let like = said.next().unwrap_or(MembersLike::Everybody);
    if said.next().is_some() {
        let text = "give one of search, account, and idp with subject".to_owned();
        return Err(AdminError::BadRequest(text));
    }
    let after = wanted.after::<uuid::Uuid>()?.map(MemberId);
    let rows = admin.store.list_members(&like, after, wanted.and_one()).await?;
    Answer::json(&wanted.page(rows, |row| row.id.to_string(), viewed))
}

pub(super) async fn show(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    Answer::json(&viewed(named(admin, call).await?))
}

/// The member that the path names.
pub(super) async fn named(admin: &Admin, call: &Call) -> Result<MemberRow, AdminError> {
    const WHAT: &str = "member of this id";
    let id = MemberId(call.part("member", WHAT)?);
    let found = admin.store.list_members(&MembersLike::Id(id), None, 1).await?;
    found.into_iter().next().ok_or(AdminError::NoSuch(WHAT))
}

/// E4.
pub(super) async fn revoke(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let member = named(admin, call).await?;
    admin.provisioner.revoke(member.id).await.map_err(refused)?;
    admin.audit.record(call.entry(Event::AccessRevoked).member(member.id));
    show(admin, call).await
}

/// G6.
pub(super) async fn block(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let member = named(admin, call).await?;
    admin.provisioner.block(member.id).await.map_err(refused)?;
    admin.audit.record(call.entry(Event::MemberBlocked).member(member.id));
    show(admin, call).await
}

/// G6, taken back.
pub(super) async fn unblock(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let member = named(admin, call).await?;
    admin.provisioner.unblock(member.id).await.map_err(refused)?;
    admin.audit.record(call.entry(Event::MemberUnblocked).member(member.id));
    show(admin, call).await
}

fn refused(error: ProvisionError) -> AdminError {
    match error {
        ProvisionError::Store(error) => error.into(),
        other => AdminError::Conflict(other.to_string()),
    }
}
