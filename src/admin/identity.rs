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
    /// As the audit log names them.
    pub name: String,
    pub role: ConsoleRole,
    pub permissions: Vec<Permission>,
}

impl Example for Me {
    fn example() -> Self {
        let role = ConsoleRole::Viewer;
        Self { name: "grafana".to_owned(), role, permissions: Permission::all_of(role) }
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

pub(super) fn me(call: &Call) -> Result<Answer, AdminError> {
    let by = call.by()?;
    let permissions = Permission::all_of(by.role());
    Answer::json(&Me { name: by.name().to_owned(), role: by.role(), permissions })
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
