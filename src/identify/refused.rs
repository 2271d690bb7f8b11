//! How a sign-in was refused, as it is kept for `narthex explain --error`.

use serde::{Deserialize, Serialize};

use super::saml::Step;
use crate::model::{IdpId, UnixTime};

/// A refused sign-in. Holds nothing personal and no secret: the errors and steps that it is made of have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub at: UnixTime,
    /// `None` where none is configured under the name that was asked for.
    pub idp: Option<IdpId>,
    /// See [`super::LoginError::code`].
    pub code: String,
    /// Who has to act.
    pub fault: String,
    pub message: String,
    /// The checks in their order up to the one that failed; empty where the protocol keeps none.
    pub steps: Vec<Step>,
}
