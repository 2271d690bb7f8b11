//! Who may do what (PROVISIONING.md S5): the permissions, and which console role has which. Which call needs which
//! permission stands with the calls, in [`super::routes`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ConsoleRole;

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    #[serde(rename = "security_settings.view")]
    SettingsView,
    #[serde(rename = "security_settings.manage")]
    SettingsManage,
    #[serde(rename = "members.view")]
    MembersView,
    #[serde(rename = "members.manage")]
    MembersManage,
    #[serde(rename = "sessions.manage")]
    SessionsManage,
    #[serde(rename = "audit.view")]
    AuditView,
}

/// THE table: permission, its name, and the least role that has it.
pub const PERMISSIONS: [(Permission, &str, ConsoleRole); 6] = [
    (Permission::SettingsView, "security_settings.view", ConsoleRole::Viewer),
    (Permission::MembersView, "members.view", ConsoleRole::Viewer),
    (Permission::MembersManage, "members.manage", ConsoleRole::Operator),
    (Permission::SessionsManage, "sessions.manage", ConsoleRole::Operator),
    (Permission::AuditView, "audit.view", ConsoleRole::Operator),
    (Permission::SettingsManage, "security_settings.manage", ConsoleRole::Administrator),
];

impl Permission {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        PERMISSIONS.iter().find(|(one, ..)| *one == self).map_or("", |(_, name, _)| name)
    }

    /// Whether `role` has it. What is not in the table nobody has.
    #[must_use]
    pub fn is_of(self, role: ConsoleRole) -> bool {
        PERMISSIONS.iter().any(|(one, _, least)| *one == self && *least <= role)
    }

    /// All that `role` has.
    #[must_use]
    pub fn all_of(role: ConsoleRole) -> Vec<Self> {
        PERMISSIONS.iter().map(|(one, ..)| *one).filter(|one| one.is_of(role)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_a_viewer_changes_nothing_and_only_an_administrator_changes_settings() {
        let names = |role| Permission::all_of(role).into_iter().map(Permission::as_str).collect::<Vec<_>>();
        assert_eq!(names(ConsoleRole::Viewer), ["security_settings.view", "members.view"]);
        assert_eq!(
            names(ConsoleRole::Operator),
            ["security_settings.view", "members.view", "members.manage", "sessions.manage", "audit.view"]
        );
        assert_eq!(names(ConsoleRole::Administrator).len(), PERMISSIONS.len());
    }

    #[test]
    fn s5_a_permission_is_written_as_it_is_named() {
        for (permission, name, _) in PERMISSIONS {
            assert_eq!(serde_json::to_value(permission).unwrap(), name);
            assert_eq!(permission.as_str(), name);
        }
    }
}
