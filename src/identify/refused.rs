//! How a sign-in was refused, as it is kept for `narthex explain --error`.

use serde::{Deserialize, Serialize};

use super::LoginError;
use super::saml::Step;
use crate::model::{ErrorId, IdpId, UnixTime};
use crate::store::LoginStore;

/// A refused sign-in. Holds nothing personal and no secret: the errors and steps that it is made of have none. Of what a
/// provider says in its own words they have the code alone (`identify::shown::leading_code`).
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

impl Refused {
    /// `idp`: one that is configured.
    #[must_use]
    pub fn of(error: &LoginError, idp: Option<&IdpId>, at: UnixTime) -> Self {
        Self {
            at,
            idp: idp.cloned(),
            code: error.code().to_owned(),
            fault: error.fault().as_str().to_owned(),
            message: error.told_to_the_operator(),
            steps: error.steps().to_vec(),
        }
    }

    /// Keeps it under `id`, if the store can.
    pub async fn keep(&self, store: &(impl LoginStore + ?Sized), id: &ErrorId) {
        let Ok(record) = serde_json::to_string(self) else { return };
        if let Err(error) = store.record_refusal(id, &record).await {
            tracing::warn!(error_id = %id, %error, "the refusal could not be kept for `narthex explain`");
        }
    }
}
