//! What an administrator of narthex may do (PROVISIONING.md S5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The console roles; each may what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRole {
    Viewer,
    Operator,
    Administrator,
}

impl ConsoleRole {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Administrator];

    /// Whether an administrator of this role may give what the application marks as privileged (PROVISIONING.md F6).
    #[must_use]
    pub fn may_grant_privileged(self) -> bool {
        match self {
            Self::Viewer | Self::Operator => false,
            Self::Administrator => true,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}
