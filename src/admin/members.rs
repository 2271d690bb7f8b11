//! Members: who they are.

pub mod registry;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::registry::{FindingView, MemberChange, Registry, version_of};
use super::Admin;
use super::answer::{Answer, Page, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::routes::Example;
use super::sessions::identity;
use crate::model::{AccountId, MemberId, MemberStatus, Origin, SessionHash};
use crate::provision::reconcile::Mending;
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

impl Example for Page<MemberView> {
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
    shown(named(admin, call).await?)
}

/// With its version.
fn shown(row: MemberRow) -> Result<Answer, AdminError> {
    let version = version_of(row.revision);
    Ok(Answer::json(&viewed(row))?.of_version(version))
}

const WHAT: &str = "member of this id";

fn id(call: &Call) -> Result<MemberId, AdminError> {
    call.part("member", WHAT).map(MemberId)
}

/// The member that the path names.
pub(super) async fn named(admin: &Admin, call: &Call) -> Result<MemberRow, AdminError> {
    let found = admin.store.list_members(&MembersLike::Id(id(call)?), None, 1).await?;
    found.into_iter().next().ok_or(AdminError::NoSuch(WHAT))
}

/// Members, in the hands of whoever calls.
fn registry<'a>(
    admin: &'a Admin,
    call: &'a Call,
    on_ended: &'a (dyn Fn(&[SessionHash]) + Send + Sync),
) -> Result<Registry<'a>, AdminError> {
    Ok(Registry {
        store: &admin.store,
        provisioner: &admin.provisioner,
        audit: &admin.audit,
        by: call.by()?,
        from: Some(call.client),
        on_ended,
    })
}

/// E4.
pub(super) async fn revoke(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    shown(registry(admin, call, &|_| {})?.revoke(id(call)?).await?)
}

/// G6.
pub(super) async fn block(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    shown(registry(admin, call, &|_| {})?.block(id(call)?).await?)
}

/// G6, taken back.
pub(super) async fn unblock(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    shown(registry(admin, call, &|_| {})?.unblock(id(call)?).await?)
}

/// E4.
pub(super) async fn change(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let member = named(admin, call).await?;
    call.expects(&version_of(member.revision))?;
    let change: MemberChange = call.body()?;
    let members = registry(admin, call, &|_| {})?;
    let (row, _) = members.change(member.id, Some(member.revision), change).await?;
    shown(row)
}

/// E6.
pub(super) async fn erase(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let forget = |ended: &[SessionHash]| admin.sessions.forget_ended(ended);
    Answer::json(&registry(admin, call, &forget)?.erase(id(call)?).await?)
}

/// How members are compared with the application.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconciling {
    /// Whether records that do not fit are brought in line; else they are only told of.
    #[serde(default)]
    pub repair: bool,
    /// The `next` of the page before. Absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Members of this page: 1 to 200, 50 unless said. Each is a look-up in the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Example for Reconciling {
    fn example() -> Self {
        Self { repair: false, after: None, limit: Some(50) }
    }
}

pub(super) async fn reconcile(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let Reconciling { repair, after, limit } = call.body()?;
    let wanted = Wanted::from(after.as_deref(), limit)?;
    let after = wanted.after::<uuid::Uuid>()?.map(MemberId);
    let mending = if repair { Mending::Repairs } else { Mending::Reports };
    let members = registry(admin, call, &|_| {})?;
    let looked = members.reconcile(after, wanted.limit, mending).await?;
    let mut items: Vec<FindingView> = looked.findings.iter().map(FindingView::of).collect();
    // With the last page, so that they are looked for once.
    if looked.next.is_none()
        && let Some(unclaimed) = members.unclaimed().await?
    {
        items.extend(unclaimed.iter().map(FindingView::of));
    }
    let next = looked.next.map(|id| Wanted::cursor(&id.to_string()));
    Answer::json(&Page { items, next })
}
