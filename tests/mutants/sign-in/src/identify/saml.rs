//! What the login state machine knows of SAML, without SAML, which has groups of its own.

use crate::model::Fault;

#[derive(Debug)]
pub struct Received;

#[derive(Debug, Clone)]
pub struct Step;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not let through")]
pub struct GateError;

impl GateError {
    pub fn reason(&self) -> &Self {
        self
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum SamlError {
    #[error(transparent)]
    Gate(GateError),
}

impl SamlError {
    pub fn code(&self) -> &'static str {
        "not_let_through"
    }

    pub fn fault(&self) -> Fault {
        Fault::IdentityProvider
    }
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct SamlRefusal {
    pub error: SamlError,
    pub steps: Vec<Step>,
}

impl From<SamlError> for SamlRefusal {
    fn from(error: SamlError) -> Self {
        Self { error, steps: Vec::new() }
    }
}
