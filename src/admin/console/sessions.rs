//! Sessions at the admin API: who administers just now, and ending it.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::Admin;
use super::super::answer::{Answer, Page};
use super::super::call::Call;
use super::super::error::AdminError;
use super::super::routes::Example;
use super::IDLE;
use crate::model::{ConsoleHash, ConsoleRole, ConsoleSession};
use crate::observe::audit::Event;

/// More are not shown: the oldest are left out.
const SHOWN: usize = 200;

/// A session of somebody who signed in at the admin API.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConsoleSessionView {
    /// For ending it; worth nothing as a cookie.
    pub id: String,
    /// As the audit log names them: the identity provider, a colon, the subject there.
    pub name: String,
    /// What the identity provider calls them.
    pub label: String,
    pub role: ConsoleRole,
    /// The rule of the configuration that gave the role.
    pub rule: String,
    /// RFC 3339, UTC, as the other times.
    pub signed_in_at: String,
    /// Written once a minute.
    pub last_seen_at: String,
    /// It ends then at the latest.
    pub expires_at: String,
}

impl Example for ConsoleSessionView {
    fn example() -> Self {
        Self {
            id: "5f".repeat(32),
            name: "corp:248289761001".to_owned(),
            label: "ada@example.com".to_owned(),
            role: ConsoleRole::Operator,
            rule: "operator of corp when 'ops' in claims.groups".to_owned(),
            signed_in_at: "2026-01-31T12:00:00Z".to_owned(),
            last_seen_at: "2026-01-31T12:05:00Z".to_owned(),
            expires_at: "2026-01-31T20:00:00Z".to_owned(),
        }
    }
}

impl Example for Page<ConsoleSessionView> {
    fn example() -> Self {
        Self { items: vec![ConsoleSessionView::example()], next: None }
    }
}

fn viewed(session: ConsoleSession) -> ConsoleSessionView {
    ConsoleSessionView {
        id: session.hash.to_hex(),
        name: session.person.name(),
        label: session.person.label,
        role: session.person.role,
        rule: session.person.rule,
        signed_in_at: session.person.signed_in_at.to_string(),
        last_seen_at: session.last_seen_at.to_string(),
        expires_at: session.expires_at.to_string(),
    }
}

/// # Errors
/// Where the store cannot be asked.
pub async fn list(admin: &Admin) -> Result<Answer, AdminError> {
    let now = admin.platform.clock.now();
    let all = admin.store.list_console_sessions(now, IDLE, SHOWN).await?;
    Answer::json(&Page { items: all.into_iter().map(viewed).collect(), next: None })
}

/// # Errors
/// [`AdminError::NoSuch`]
pub async fn end(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    const WHAT: &str = "session of this id at the admin API";
    let text: String = call.part("session", WHAT)?;
    let hash = ConsoleHash::from_hex(&text).ok_or(AdminError::NoSuch(WHAT))?;
    let ended = admin.store.end_console_session(&hash).await?.ok_or(AdminError::NoSuch(WHAT))?;
    let entry = call.entry(Event::AdministratorLogout).about(&ended.person.idp, &ended.person.subject);
    admin.audit.record(entry);
    Ok(Answer::done())
}
