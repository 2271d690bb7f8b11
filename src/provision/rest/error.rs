//! What can be wrong with a recipe, and where.

use std::ops::Range;

use crate::platform::webhook::BadWebhookSecret;

/// A recipe, or the configuration of a connector, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Something in the recipe file; lines and columns count from 1.
    #[error("{file}:{line}:{column}: {fault}")]
    At { file: String, line: usize, column: usize, fault: Box<RecipeFault> },
    #[error("the recipe {file} cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("the recipe {file} is larger than {limit} bytes")]
    TooLarge { file: String, limit: usize },
    /// Neither a shipped recipe nor a path.
    #[error("there is no connector `{name}`{}; shipped are {known}, and a path to a recipe of your own contains a `/` or ends in `.toml`", did_you_mean(nearest.as_deref()))]
    UnknownConnector { name: String, nearest: Option<String>, known: String },
    /// The credential is of a kind that this application does not take.
    #[error("{connector} does not take a credential of the kind `{kind}`; it takes {known}")]
    CredentialKind { connector: String, kind: &'static str, known: String },
    /// The credential cannot stand in a header.
    #[error(
        "the credential of {connector} contains characters that cannot be sent in a header (a line break at the end of its file?)"
    )]
    CredentialUnsendable { connector: String },
    #[error("nothing can be signed with the signing_secret of {connector}: {fault}")]
    SigningSecret { connector: String, fault: BadWebhookSecret },
    #[error(
        "the URL of {connector}'s admin API must be http or https with a host, without user, query and fragment"
    )]
    Url { connector: String },
}

/// One fault in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeFault {
    #[error("not valid TOML: {0}")]
    Syntax(String),
    #[error("unknown key `{key}`{}", did_you_mean(nearest.as_deref()))]
    UnknownKey { key: String, nearest: Option<String> },
    #[error("`{0}` is missing")]
    MissingKey(String),
    #[error("`{key}` must be {expected}")]
    WrongType { key: String, expected: &'static str },
    #[error("`{key}` cannot be `{value}`{}; it is one of {known}", did_you_mean(nearest.as_deref()))]
    UnknownValue { key: String, value: String, nearest: Option<String>, known: String },
    #[error("not a valid expression: {0}")]
    Expression(String),
    #[error("there is no variable `{name}` here{}", did_you_mean(nearest.as_deref()))]
    UnknownVariable { name: String, nearest: Option<String> },
    #[error("not a valid JSONPath: {0}")]
    JsonPath(String),
    #[error("not a request that a recipe may make: {0}")]
    Request(String),
    #[error("{feature} needs the operation `{operation}`")]
    MissingOperation { operation: &'static str, feature: String },
    #[error("{0}")]
    Contradiction(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The text that a recipe is read from, so that a fault can be given its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'i> {
    pub(super) file: &'i str,
    pub(super) text: &'i str,
}

impl Source<'_> {
    pub(super) fn fault(&self, span: &Range<usize>, fault: RecipeFault) -> RecipeError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        RecipeError::At { file: self.file.to_owned(), line, column, fault: Box::new(fault) }
    }
}

/// The known name that `name` was probably meant to be.
pub(in crate::provision) fn nearest<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}
