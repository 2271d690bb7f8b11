//! Who am I, and the way in for the first administrator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::Answer;
use super::call::Call;
use super::error::AdminError;
use super::permissions::Permission;
use super::principal::{self, SESSION};
use super::routes::Example;
use crate::model::ConsoleRole;
use crate::observe::audit::{Actor, Event};

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    /// A token's name, or the identity provider, a colon, and the subject there.
    pub name: String,
    pub role: ConsoleRole,
    pub permissions: Vec<Permission>,
    /// Of somebody who signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<MySession>,
}

/// The session of who asks, where they signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MySession {
    /// What the identity provider calls them.
    pub label: String,
    /// For the header X-Narthex-CSRF of whatever changes something.
    pub csrf_token: String,
    /// RFC 3339, UTC. It ends then at the latest, and after an hour without use.
    pub ends_at: String,
}

impl Example for Me {
    fn example() -> Self {
        let role = ConsoleRole::Viewer;
        let session = MySession {
            label: "ada@example.com".to_owned(),
            csrf_token: "1u0t9s8rXlRZkYhJ0r8vCw".to_owned(),
            ends_at: "2026-01-31T20:00:00Z".to_owned(),
        };
        let name = "corp:248289761001".to_owned();
        Self { name, role, permissions: Permission::all_of(role), session: Some(session) }
    }
}

/// A bootstrap token.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// As `narthex admin bootstrap` printed it.
    pub token: String,
}

impl Example for Bootstrap {
    fn example() -> Self {
        Self { token: "nxb_XlRZkYhJ0r8vC3s2d1QmZ0p7u6t5y4x3w2v1u0t9s8r".to_owned() }
    }
}

/// A token for a while.
#[derive(Serialize, JsonSchema)]
pub struct IssuedToken {
    /// For `Authorization: Bearer`.
    pub token: String,
    pub role: ConsoleRole,
    /// RFC 3339, UTC.
    pub expires_at: String,
}

impl Example for IssuedToken {
    fn example() -> Self {
        Self {
            token: "nxa_eyJuYW1lIjoi….1u0t9s8rXlRZkYhJ0r8vCw".to_owned(),
            role: ConsoleRole::Administrator,
            expires_at: "2026-01-31T13:00:00Z".to_owned(),
        }
    }
}

pub(super) fn me(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let by = call.by()?;
    let permissions = Permission::all_of(by.role());
    let session = by.session().zip(admin.console.as_ref()).map(|(session, console)| MySession {
        label: session.person.label.clone(),
        csrf_token: console.csrf(&session.hash),
        ends_at: session.expires_at.to_string(),
    });
    Answer::json(&Me { name: by.name().to_owned(), role: by.role(), permissions, session })
}

pub(super) async fn bootstrap(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let Bootstrap { token } = call.body()?;
    let now = admin.platform.clock.now();
    if !principal::use_bootstrap(admin.store.as_ref(), &token, now).await? {
        return Err(admin.principals.failed(call.client));
    }
    let (role, until) = (ConsoleRole::Administrator, now.after(SESSION));
    let token = admin.principals.issue("bootstrap", role, until).ok_or(AdminError::UnknownToken)?;
    let entry = call.entry(Event::TokenMade).by(Actor::CommandLine);
    admin.audit.record(entry.field("token", "bootstrap").field("until", until));
    Ok(Answer::json(&IssuedToken { token, role, expires_at: until.to_string() })?.created())
}
