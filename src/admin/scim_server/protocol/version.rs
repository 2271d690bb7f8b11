//! Entity tags and conditional requests (RFC 7644, 3.14; RFC 9110, 13.1).

use super::error::ScimError;

/// A resource's version: weak, since two answers may differ in what was asked for.
///
/// It covers what is written through the resource. The `groups` of a user are not: they are written through the
/// groups, and a client that changes a person does not fail because the person joined one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub i64);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "W/\"{}\"", self.0)
    }
}

/// What a request wants of the version that there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    pub if_match: Option<Tags>,
    pub if_none_match: Option<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    Any,
    These(Vec<String>),
}

impl Tags {
    /// Reads the value of `If-Match` or `If-None-Match`, or the `version` of a bulk operation.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let opaque = |tag: &str| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned()
        };
        Self::These(text.split(',').map(opaque).collect())
    }

    /// RFC 7644 knows weak tags only, so they are compared weakly for writes, too (RFC 9110, 8.8.3.2).
    fn hold(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.contains(&version.0.to_string()),
        }
    }
}

impl Condition {
    /// Whether a reader has this version already.
    #[must_use]
    pub fn is_known(&self, version: Version) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| tags.hold(version))
    }

    /// Whether a writer may write over this version.
    ///
    /// # Errors
    /// [`ScimError::VersionMismatch`].
    pub fn permits(&self, version: Version) -> Result<(), ScimError> {
        let matches = self.if_match.as_ref().is_none_or(|tags| tags.hold(version));
        if matches && !self.is_known(version) { Ok(()) } else { Err(ScimError::VersionMismatch) }
    }
}
