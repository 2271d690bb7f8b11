//! What sessions that borrow changed in the application, so that it can be put back (PROVISIONING.md L2).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Item;

/// One entitlement, changed for as long as sessions last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// What stood there before; `None`: the account did not hold it.
    pub before: Option<String>,
    /// What narthex put there. Two values while one is being replaced by the other: whichever of them the
    /// application holds after a crash is narthex's.
    pub put: BTreeSet<Option<String>>,
}

/// Every loan of one account. Recorded before it is put into the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Loans(pub BTreeMap<Item, Loan>);

impl Loans {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
