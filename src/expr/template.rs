//! A text with `{{ expressions }}` in it.

use std::sync::Arc;

use super::blanks::is_blank;
use super::engine::MAX_OUTPUT;
use super::typed::{Facts, Piece};
use super::{Context, ExprError, Located, Place, RequestFacts, SessionFacts, check};

/// A compiled template; cheap to clone.
#[derive(Debug, Clone)]
pub struct Template {
    source: Arc<str>,
    pieces: Arc<[Piece]>,
    claims: Arc<[String]>,
}

impl Template {
    /// Compiles and checks a template for a header: syntax, length, every variable known.
    ///
    /// # Errors
    /// [`ExprError::Syntax`], [`ExprError::TooLong`], [`ExprError::Unknown`], [`ExprError::NotHere`],
    /// [`ExprError::Mistaken`].
    pub fn compile(source: &str) -> Result<Self, ExprError> {
        Self::compile_located(source, Place::Header).map_err(|located| located.error)
    }

    /// As [`Template::compile`], for any place, with the place of the fault.
    pub fn compile_located(source: &str, place: Place) -> Result<Self, Located> {
        let (pieces, claims) = check::template(source, place)?;
        Ok(Self { source: source.into(), pieces: pieces.into(), claims: claims.into() })
    }

    /// The text for `context`; `None` where it asks for something absent (a claim that did not come, the
    /// account of a session without one), so that a header built from it is omitted.
    ///
    /// Blanks at the ends are there only where a value brought them. Those of the template itself go: in
    /// `{{ claims.get('given_name') }} {{ claims.get('family_name') }}` the blank stands between two, not behind one.
    ///
    /// # Errors
    /// [`ExprError::Failed`] where a bound is exceeded or types do not fit.
    pub fn render(&self, context: &Context) -> Result<Option<String>, ExprError> {
        self.render_facts(context.facts())
    }

    /// As [`Template::render`], on facts that are at hand; copies nothing but the result.
    pub fn render_for(&self, session: SessionFacts<'_>) -> Result<Option<String>, ExprError> {
        self.render_facts(Facts { session, request: None::<RequestFacts<'_>> })
    }

    fn render_facts(&self, facts: Facts<'_>) -> Result<Option<String>, ExprError> {
        let mut output = Written::default();
        match Piece::render_all(&self.pieces, facts, &mut output, MAX_OUTPUT) {
            Ok(()) => Ok(Some(output.finish())),
            Err(ExprError::Undefined(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names or paths of the claims that it looks at, so that they can be asked for at sign-in.
    #[must_use]
    pub fn claims(&self) -> &[String] {
        &self.claims
    }

    /// The first variable without which there is no text for a session without account; `None` where there can be one.
    #[must_use]
    pub fn needs_account(&self) -> Option<String> {
        self.pieces.iter().find_map(Piece::needs_account)
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The text of a template while it grows.
#[derive(Debug, Default)]
pub struct Written {
    text: String,
    /// What comes behind this are blanks of the template's own.
    firm: usize,
}

impl Written {
    /// Appends what stands in the template itself.
    pub fn own(&mut self, text: &str) {
        let text = if self.text.is_empty() { text.trim_start_matches(is_blank) } else { text };
        let inked = text.trim_end_matches(is_blank).len();
        if inked > 0 {
            self.firm = self.text.len() + inked;
        }
        self.text.push_str(text);
    }

    /// Appends what an expression gave.
    pub fn value(&mut self, text: &str) {
        self.text.push_str(text);
        if !text.is_empty() {
            self.firm = self.text.len();
        }
    }

    /// Whether it has more bytes.
    #[must_use]
    pub fn exceeds(&self, limit: usize) -> bool {
        self.text.len() > limit
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.firm);
        self.text
    }
}
