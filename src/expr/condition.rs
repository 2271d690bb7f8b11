//! An expression that is true or false.

use std::sync::Arc;

use super::typed::{Facts, Flag};
use super::{Context, ExprError, Located, Place, RequestFacts, SessionFacts, check};

/// A compiled condition; cheap to clone.
#[derive(Debug, Clone)]
pub struct Condition {
    source: Arc<str>,
    flag: Arc<Flag>,
    claims: Arc<[String]>,
}

impl Condition {
    /// Compiles and checks `source`: syntax, length, every name known, every type fitting, a boolean at the
    /// end.
    ///
    /// # Errors
    /// As [`super::Template::compile`].
    pub fn compile(source: &str) -> Result<Self, ExprError> {
        Self::compile_located(source).map_err(|located| located.error)
    }

    /// As [`Condition::compile`], with the place of the fault.
    pub fn compile_located(source: &str) -> Result<Self, Located> {
        Self::compile_at(source, Place::Rule)
    }

    /// As [`Condition::compile_located`], for any place.
    pub fn compile_at(source: &str, place: Place) -> Result<Self, Located> {
        let (flag, claims) = check::condition(source, place)?;
        Ok(Self { source: source.into(), flag: Arc::new(flag), claims: claims.into() })
    }

    /// Whether it holds. Only `true` grants.
    ///
    /// # Errors
    /// [`ExprError::Undefined`] where a claim or value is absent and the expression did not ask
    /// `is defined`; [`ExprError::Failed`] otherwise. Errors deny.
    pub fn holds(&self, context: &Context) -> Result<bool, ExprError> {
        self.flag.evaluate(context.facts())
    }

    /// As [`Condition::holds`], on facts that are at hand; copies nothing.
    pub fn holds_for(
        &self,
        session: SessionFacts<'_>,
        request: Option<RequestFacts<'_>>,
    ) -> Result<bool, ExprError> {
        self.flag.evaluate(Facts { session, request })
    }

    /// The identity providers that it compares `idp.id` with, so that a name that nobody has is found at load.
    #[must_use]
    pub fn named_idps(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.flag.named_idps(&mut names);
        names
    }

    /// The names or paths of the claims that it looks at, so that they can be asked for at sign-in.
    #[must_use]
    pub fn claims(&self) -> &[String] {
        &self.claims
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
