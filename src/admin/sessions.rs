//! Sessions: who is signed in, and ending it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::answer::{Answer, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::members;
use super::routes::Example;
use crate::identify::session::SessionError;
use crate::model::session::SessionContent;
use crate::model::{IdpId, MemberId, SessionHash, Subject};
use crate::observe::audit::Event;
use crate::store::lists::{SessionRow, SessionsOf};

/// One session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionView {
    /// For ending it; worth nothing as a cookie.
    pub id: String,
    /// Absent: a session without account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    pub idp: String,
    pub subject: String,
    /// The account's username; absent for a session without account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// RFC 3339, UTC, as the other times.
    pub created_at: String,
    /// Written every few seconds.
    pub last_seen_at: String,
    /// It ends then at the latest.
    pub expires_at: String,
}

impl Example for SessionView {
    fn example() -> Self {
        Self {
            id: "5f".repeat(32),
            member: Some("019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned()),
            idp: "corp".to_owned(),
            subject: "248289761001".to_owned(),
            username: Some("ada".to_owned()),
            created_at: "2026-01-31T12:00:00Z".to_owned(),
            last_seen_at: "2026-01-31T12:05:00Z".to_owned(),
            expires_at: "2026-02-01T00:00:00Z".to_owned(),
        }
    }
}

impl Example for super::answer::Page<SessionView> {
    fn example() -> Self {
        Self { items: vec![SessionView::example()], next: Some("NDE".to_owned()) }
    }
}

/// How many ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ended {
    pub sessions: usize,
}

impl Example for Ended {
    fn example() -> Self {
        Self { sessions: 2 }
    }
}

/// A session as it is shown; by the API and by the command line.
#[must_use]
pub fn viewed(row: SessionRow) -> SessionView {
    SessionView {
        id: row.hash.to_hex(),
        member: row.member.map(|member| member.to_string()),
        idp: row.idp.to_string(),
        subject: row.subject.as_str().to_owned(),
        username: row.username,
        created_at: row.created_at.to_string(),
        last_seen_at: row.last_seen_at.to_string(),
        expires_at: row.expires_at.to_string(),
    }
}

pub(super) async fn list(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let identity = identity(call)?;
    let of = match (call.parsed::<uuid::Uuid>("member")?, identity) {
        (None, None) => SessionsOf::Everybody,
        (Some(id), None) => SessionsOf::Member(MemberId(id)),
        (None, Some((idp, subject))) => SessionsOf::Identity(idp, subject),
        (Some(_), Some(_)) => {
            return Err(AdminError::BadRequest("give either member, or idp and subject".to_owned()));
        }
    };
    let rows = admin.store.list_sessions(&of, wanted.after()?, wanted.and_one()).await?;
    Answer::json(&wanted.page(rows, |row| row.ordinal.to_string(), viewed))
}

/// The parameters idp and subject, which come together.
pub(super) fn identity(call: &Call) -> Result<Option<(IdpId, Subject)>, AdminError> {
    match (call.parsed::<IdpId>("idp")?, call.parameter("subject")) {
        (None, None) => Ok(None),
        (Some(idp), Some(text)) => {
            let subject = Subject::parse(text);
            let bad = || AdminError::BadRequest(format!("the parameter subject cannot be {text:?}"));
            Ok(Some((idp, subject.ok_or_else(bad)?)))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(AdminError::BadRequest("idp and subject are given together".to_owned()))
        }
    }
}

pub(super) async fn end(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    const WHAT: &str = "session of this id";
    let text: String = call.part("session", WHAT)?;
    let hash = SessionHash::from_hex(&text).ok_or(AdminError::NoSuch(WHAT))?;
    let found = admin.store.find_session(&hash).await?.ok_or(AdminError::NoSuch(WHAT))?;
    admin.sessions.end(&hash).await.map_err(store_error)?;
    let SessionContent { idp, subject, account, .. } = &found.content;
    let mut entry = call.entry(Event::SessionsEnded).about(idp, subject).field("sessions", 1_usize);
    if let Some(account) = account {
        entry = entry.member(account.member);
    }
    admin.audit.record(entry);
    Ok(Answer::done())
}

pub(super) async fn end_all(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let sessions = admin.sessions.end_all().await.map_err(store_error)?;
    admin.audit.record(call.entry(Event::SessionsEnded).field("sessions", sessions).field("all", true));
    Answer::json(&Ended { sessions })
}

pub(super) async fn end_of_member(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let member = members::named(admin, call).await?;
    let sessions = admin.sessions.end_of_member(member.id).await.map_err(store_error)?;
    admin.audit.record(call.entry(Event::SessionsEnded).member(member.id).field("sessions", sessions));
    Answer::json(&Ended { sessions })
}

pub(super) async fn end_of_idp(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    // It need not be configured any more.
    let idp: IdpId = call.part("idp", "identity provider of this id")?;
    let sessions = admin.sessions.end_of_idp(&idp).await.map_err(store_error)?;
    admin.audit.record(call.entry(Event::SessionsEnded).field("idp", &idp).field("sessions", sessions));
    Answer::json(&Ended { sessions })
}

pub(super) fn store_error(error: SessionError) -> AdminError {
    match error {
        SessionError::Store(error) => error.into(),
        SessionError::NoEntropy(error) => error.into(),
        SessionError::StoreAwayTooLong { since } => {
            AdminError::Conflict(format!("the store has been away since {since}"))
        }
        error @ SessionError::AccountChanged => AdminError::Conflict(error.to_string()),
    }
}
