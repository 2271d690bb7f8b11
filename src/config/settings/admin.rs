//! `[admin]` as meant.

use std::net::SocketAddr;

use url::Url;

use crate::expr::Condition;
use crate::model::{ConsolePerson, ConsoleRole, IdpId, Secret};

/// `[admin]`
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Lower-case names beside loopback's and that of `listen`.
    pub hosts: Vec<String>,
    /// Names are unique.
    pub tokens: Vec<AdminToken>,
    /// Administrators sign in at identity providers.
    pub console: Option<Console>,
}

/// Signing in at the admin API.
#[derive(Debug, Clone)]
pub struct Console {
    /// Without a path.
    pub public_url: Url,
    /// At least one.
    pub rules: Vec<AdminRule>,
}

impl Console {
    /// The role that the rules as they are now give by what this person's latest sign-in was let in by; `None`: that
    /// rule is gone.
    #[must_use]
    pub fn role_of(&self, person: &ConsolePerson) -> Option<ConsoleRole> {
        let stands = |rule: &&AdminRule| rule.idp == person.idp && rule.text() == person.rule;
        self.rules.iter().find(stands).map(|rule| rule.role)
    }
}

/// One of `[[admin.rule]]`.
#[derive(Debug, Clone)]
pub struct AdminRule {
    pub idp: IdpId,
    pub when: Condition,
    pub role: ConsoleRole,
}

impl AdminRule {
    /// The rule as one text: what it gave holds as long as just this stands in the configuration.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} of {} when {}", self.role.as_str(), self.idp, self.when.source())
    }
}

/// One of `[admin] tokens`.
#[derive(Debug, Clone)]
pub struct AdminToken {
    pub name: String,
    pub role: ConsoleRole,
    /// At least 32 characters; empty where it is absent and the configuration is only checked.
    pub token: Secret,
}

/// `[settings] source`: where the provisioning settings come from (PROVISIONING.md M4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsSource {
    Store,
    File,
}
