//! The one expression and template language (minijinja): compiled and type-checked at load, bounded when run.

pub mod condition;
pub mod context;
pub mod engine;
pub mod template;
pub mod variables;

pub use condition::Condition;
pub use context::{Context, RequestFacts, SessionFacts};
pub use template::Template;

/// An expression or template that cannot be used, or could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    #[error("{0}")]
    Syntax(String),
    #[error("longer than {limit} bytes")]
    TooLong { limit: usize },
    /// A name that does not stand in [`variables`].
    #[error("there is no variable `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownVariable { name: String, nearest: Option<String> },
    /// Something absent was asked for, at run time.
    #[error("{0}")]
    Undefined(String),
    #[error("{0}")]
    Failed(String),
}
