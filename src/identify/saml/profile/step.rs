//! The checks as they were done, in order: what `narthex explain --error` shows of a refused response.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::error::ProfileError;

/// One check. What is personal (NameID, attribute values, addresses) never stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was looked at.
    pub check: Cow<'static, str>,
    /// The paragraph that asks for it.
    pub source: Cow<'static, str>,
    pub expected: String,
    /// Bounded and printable.
    pub found: String,
    pub passed: bool,
}

/// The checks so far.
#[derive(Debug, Default)]
pub(super) struct Trail(pub(super) Vec<Step>);

/// What is looked at, and the paragraph that asks for it.
pub(super) type Rule = (&'static str, &'static str);

impl Trail {
    /// Notes one check and hands its outcome on.
    pub(super) fn step<T>(
        &mut self,
        (check, source): Rule,
        expected: impl Into<String>,
        found: impl Into<String>,
        outcome: Result<T, ProfileError>,
    ) -> Result<T, ProfileError> {
        self.0.push(Step {
            check: check.into(),
            source: source.into(),
            expected: expected.into(),
            found: found.into(),
            passed: outcome.is_ok(),
        });
        outcome
    }
}
