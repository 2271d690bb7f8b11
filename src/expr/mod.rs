//! The one expression and template language: minijinja's syntax, type-checked when it is loaded and bounded
//! when it runs.
//!
//! minijinja parses; `check` turns its syntax tree into the typed tree of [`typed`], and that is what runs.
//! Running minijinja's own machine was tried and left: there a claim that is a list never equals a text, a
//! claim that is a text is searched for parts of words by `in`, any value counts as true or false, and texts
//! order before numbers, all without a word. A rule that says nothing while it never or always holds is
//! the one thing an access rule must not be; in a typed tree it cannot be written.

pub mod accounts;
pub mod blanks;
mod check;
pub mod condition;
pub mod context;
pub mod docs;
pub mod engine;
mod joined;
pub mod template;
pub mod typed;
pub mod variables;

pub use condition::Condition;
pub use context::{Context, RequestFacts, SessionFacts};
pub use template::Template;
pub use variables::Place;

/// An expression or template that cannot be used, or could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    #[error("{0}")]
    Syntax(String),
    #[error("longer than {limit} bytes")]
    TooLong { limit: usize },
    /// A name that does not stand in [`variables`].
    #[error("there is no {kind} `{name}`{}", nearest.as_ref().map_or_else(|| "; docs/variables.md lists all".to_owned(), |n| format!("; did you mean `{n}`?")))]
    Unknown { kind: &'static str, name: String, nearest: Option<String> },
    /// A variable that has no meaning where it stands.
    #[error("`{name}` cannot be used {place}: {why}")]
    NotHere { name: String, place: &'static str, why: &'static str },
    /// Parts that do not fit, or a check that could never fail or never pass.
    #[error("{what}; {instead}")]
    Mistaken { what: String, instead: String },
    /// Something absent was asked for, at run time.
    #[error("there is no {0}")]
    Undefined(String),
    #[error("{0}")]
    Failed(String),
}

/// An [`ExprError`] found at load, with the bytes of the source that are at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Located {
    pub error: ExprError,
    pub span: std::ops::Range<usize>,
}

/// The candidate nearest to what was written, where one is near enough to have been meant.
#[must_use]
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).clamp(1, 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
