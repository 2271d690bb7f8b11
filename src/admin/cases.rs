//! Sign-ins that wait for an administrator (PROVISIONING.md F7, F8).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Answer, Page, Version, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::principal::Principal;
use super::routes::Example;
use crate::model::case::{CASE_LIFETIME, Decided, NoSuchStanding};
use crate::model::{Case, CaseId, CaseKind, CaseStanding, CaseState, IdpId, Task, UnixTime};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::Store;

/// What it is called where there is none.
const WHAT: &str = "case of this id";
/// Why a case is not decided on once somebody came in by it.
const USED: &str = "a sign-in came in by it already; revoke or block the member that it led to";

/// One sign-in that waits, or waited.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CaseView {
    pub id: String,
    /// Grows with every decision, and when the person asks anew since something has changed. The ETag is made of it.
    pub revision: i64,
    /// "waiting", "linked" (the next sign-in comes in), "denied", "claimed" (a sign-in has consumed it and is not
    /// finished), "used" or "expired".
    pub state: String,
    /// "existing_account" (it is nobody's), "recycled_address" (it is a member's of the same identity provider, under
    /// another subject) or "second_identity" (it is a member's of another identity provider).
    pub kind: String,
    /// Who asks.
    pub idp: String,
    pub subject: String,
    /// The address that the identity provider vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The application's own id of the account.
    pub account: String,
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_email: Option<String>,
    /// The account may do what the application calls privileged: only an administrator may link it.
    pub privileged: bool,
    /// Whose account it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// RFC 3339, UTC, as the other times.
    pub opened_at: String,
    /// The latest sign-in that asked.
    pub asked_at: String,
    /// It is forgotten then, unless the person asks again; a denial stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// The member whom it led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub led_to: Option<String>,
}

impl Example for CaseView {
    fn example() -> Self {
        Self {
            id: "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned(),
            revision: 1,
            state: "waiting".to_owned(),
            kind: "existing_account".to_owned(),
            idp: "corp".to_owned(),
            subject: "248289761001".to_owned(),
            email: Some("ada@example.com".to_owned()),
            account: "17".to_owned(),
            username: "ada".to_owned(),
            account_email: Some("ada@example.com".to_owned()),
            privileged: false,
            member: None,
            opened_at: "2026-01-31T12:00:00Z".to_owned(),
            asked_at: "2026-01-31T12:05:00Z".to_owned(),
            expires_at: Some("2026-03-02T12:05:00Z".to_owned()),
            decided_by: None,
            decided_at: None,
            led_to: None,
        }
    }
}

impl Example for Page<CaseView> {
    fn example() -> Self {
        Self { items: vec![CaseView::example()], next: None }
    }
}

/// What an administrator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is this person's: the next sign-in comes in, if everything is still as the case says.
    Link,
    /// It is not: this identity does not get this account until that is reversed.
    Deny,
}

impl Decision {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Deny => "deny",
        }
    }
}

/// The body of a decision.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deciding {
    /// "link": it is this person's, and the next sign-in comes in. "deny": it is not, until that is reversed.
    pub decision: Decision,
}

impl Example for Deciding {
    fn example() -> Self {
        Self { decision: Decision::Link }
    }
}

/// A case as it is shown; by the API and by the command line.
#[must_use]
pub fn viewed(case: Case, now: UnixTime) -> CaseView {
    let state = match case.state(now) {
        CaseState::Waiting => "waiting",
        CaseState::Linked => "linked",
        CaseState::Denied => "denied",
        CaseState::Claimed => "claimed",
        CaseState::Used => "used",
        CaseState::Expired => "expired",
    };
    let kind = match case.facts.kind {
        CaseKind::ExistingAccount => "existing_account",
        CaseKind::RecycledAddress => "recycled_address",
        CaseKind::SecondIdentity => "second_identity",
    };
    CaseView {
        id: case.id.to_string(),
        revision: case.revision,
        state: state.to_owned(),
        kind: kind.to_owned(),
        idp: case.idp.to_string(),
        subject: case.subject.as_str().to_owned(),
        email: case.facts.email,
        account: case.account.0,
        username: case.facts.username,
        account_email: case.facts.account_email,
        privileged: case.facts.privileged,
        member: case.facts.member.map(|member| member.to_string()),
        opened_at: case.opened_at.to_string(),
        asked_at: case.asked_at.to_string(),
        expires_at: case.expires_at.map(|end| end.to_string()),
        decided_by: case.decided.as_ref().map(|decided| decided.by.clone()),
        decided_at: case.decided.map(|decided| decided.at.to_string()),
        led_to: case.led_to.map(|member| member.to_string()),
    }
}

/// The case, where it is there.
///
/// # Errors
/// Where it is not, or the store cannot be read.
pub async fn find(store: &dyn Store, id: CaseId) -> Result<Case, AdminError> {
    store.find_case(id).await?.ok_or(AdminError::NoSuch(WHAT))
}

/// Decides on the case as it was read; for the API and the command line alike. A decision may be reversed until it was
/// used.
///
/// # Errors
/// What may not be decided, or not by this administrator; [`AdminError::VersionChanged`] where somebody was faster.
pub async fn decide(
    store: &dyn Store,
    by: &Principal,
    case: Case,
    decision: Decision,
    now: UnixTime,
) -> Result<Case, AdminError> {
    let conflict = |text: &str| Err(AdminError::Conflict(text.to_owned()));
    match (case.state(now), decision) {
        // Only that it is used is not on record yet.
        (CaseState::Claimed, Decision::Deny) if is_in(store, &case).await? => return conflict(USED),
        (CaseState::Waiting | CaseState::Linked | CaseState::Denied | CaseState::Claimed, _) => {}
        (CaseState::Used, _) => return conflict(USED),
        (CaseState::Expired, _) => {
            return conflict("it has ended; the person's next sign-in asks anew");
        }
    }
    // F6's principle: nobody gives what they may not give.
    if decision == Decision::Link && case.facts.privileged && !by.role().may_grant_privileged() {
        return Err(AdminError::BeyondGrant { what: format!("the account {}", case.facts.username) });
    }
    let (standing, expires_at) = match decision {
        Decision::Link => (CaseStanding::Linked, Some(now.after(CASE_LIFETIME))),
        Decision::Deny => (CaseStanding::Denied, None),
    };
    let decided = Case {
        standing,
        decided: Some(Decided { by: by.name().to_owned(), at: now }),
        expires_at,
        revision: case.revision.saturating_add(1),
        ..case
    };
    if !store.change_case(&decided).await? {
        return Err(changed_meanwhile(store, decided.id).await);
    }
    if decision == Decision::Link && decided.idp == IdpId::scim() {
        // E2: nobody signs in to have it tried again.
        let task = Task::Push { user: decided.subject.as_str().to_owned() };
        store.hasten_job(&task.key()).await?;
    }
    Ok(decided)
}

/// Whether the person has the account that the case is about.
async fn is_in(store: &dyn Store, case: &Case) -> Result<bool, AdminError> {
    let member = store.find_member(&case.idp, &case.subject).await?;
    Ok(member.is_some_and(|member| member.account.as_ref() == Some(&case.account)))
}

/// Forgets the case as it was read: the person's next sign-in asks anew.
///
/// # Errors
/// [`AdminError::VersionChanged`] where somebody was faster.
pub async fn withdraw(store: &dyn Store, case: &Case) -> Result<(), AdminError> {
    if store.drop_case(case.id, case.revision).await? {
        return Ok(());
    }
    Err(changed_meanwhile(store, case.id).await)
}

async fn changed_meanwhile(store: &dyn Store, id: CaseId) -> AdminError {
    match find(store, id).await {
        Ok(now) => AdminError::VersionChanged { current: Version(now.revision).tag() },
        Err(error) => error,
    }
}

/// An entry of the audit log on it; `decision`: `link`, `deny` or `withdraw`.
pub fn note(entry: Entry, case: &Case, decision: &'static str) -> Entry {
    let mut entry = entry.about(&case.idp, &case.subject);
    if let Some(member) = case.facts.member {
        entry = entry.member(member);
    }
    entry
        .field("case", Plain::name(&case.id.to_string()))
        .field("decision", decision)
        .field("rule", case.facts.kind.rule())
        .field("privileged", case.facts.privileged)
        .personal("account", &case.account.0)
        .personal("username", &case.facts.username)
}

fn shown(case: Case, now: UnixTime) -> Result<Answer, AdminError> {
    let version = Version(case.revision);
    Ok(Answer::json(&viewed(case, now))?.of_version(version))
}

async fn named(admin: &Admin, call: &Call) -> Result<Case, AdminError> {
    find(admin.store.as_ref(), call.part("case", WHAT).map(CaseId)?).await
}

pub(super) async fn list(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let standing = call.parameter("standing").map(str::parse::<CaseStanding>).transpose();
    let standing = standing.map_err(|error: NoSuchStanding| AdminError::BadRequest(error.to_string()))?;
    let before = wanted.after::<uuid::Uuid>()?.map(CaseId);
    let rows = admin.store.list_cases(standing, before, wanted.and_one()).await?;
    let now = admin.platform.clock.now();
    Answer::json(&wanted.page(rows, |row| row.id.to_string(), |row| viewed(row, now)))
}

pub(super) async fn show(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    shown(named(admin, call).await?, admin.platform.clock.now())
}

pub(super) async fn put_decision(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let Deciding { decision } = call.body()?;
    let case = named(admin, call).await?;
    call.expects(&Version(case.revision))?;
    let now = admin.platform.clock.now();
    let case = decide(admin.store.as_ref(), call.by()?, case, decision, now).await?;
    admin.audit.record(note(call.entry(Event::CaseDecided), &case, decision.as_str()));
    shown(case, now)
}

pub(super) async fn remove(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let case = named(admin, call).await?;
    withdraw(admin.store.as_ref(), &case).await?;
    admin.audit.record(note(call.entry(Event::CaseDecided), &case, "withdraw"));
    Ok(Answer::done())
}
