//! What a SCIM client keeps with narthex, as the store knows it.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// The resource types that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScimKind {
    User,
    Group,
}

impl ScimKind {
    /// As RFC 7643 names the resource type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

/// One User or Group.
///
/// `id` is made by narthex and says nothing outside: neither it nor `external_id` is ever an id of the application
/// (SECURITY.md 32).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimResource {
    pub id: String,
    pub kind: ScimKind,
    /// Grows with every change.
    pub revision: i64,
    /// JSON: the attributes that clients write, under the names of the schema. A group's members are not among
    /// them; they are links.
    pub body: String,
    /// Folded; of a user only, and no two users have the same.
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    /// The primary e-mail, else the first; its ASCII letters in lower case.
    pub email: Option<String>,
    /// As written.
    pub display_name: Option<String>,
    /// `display_name`, folded.
    pub display_key: Option<String>,
    pub created_at: UnixTime,
    pub modified_at: UnixTime,
}

/// A user in a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScimLink {
    pub group: String,
    pub user: String,
    /// The group's `displayName` as written.
    pub group_name: String,
}
