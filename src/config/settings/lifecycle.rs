//! What becomes of accounts after the first sign-in: the keys of `[provisioning]` that rules L, G3 and E speak of.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{Facet, Leaving};

/// Part of [`super::Provisioning`].
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// (L3) What is made to match at each sign-in; none under `sync = "create_only"` (L1).
    pub sync: BTreeSet<Facet>,
    /// (L3)
    pub sync_removes: SyncRemoves,
    /// (L3) Nobody is removed from another team. Patterns: exact, `prefix/*`, or `*`.
    pub managed_teams: Vec<String>,
    /// (F8) Whether sync renames accounts.
    pub rename: bool,
    /// (G3) In an hour.
    pub max_removals: u32,
    /// (E1) `delete_at_session_end`, with `ephemeral_max_lifetime`.
    pub ephemeral: Option<Duration>,
    /// (E6)
    pub leaver: Leaving,
    /// (E6) Accounts of people who did not sign in for so long are treated as `leaver` says.
    pub deactivate_after_inactive: Option<Duration>,
    /// (E5)
    pub on_missing: OnMissing,
}

/// What sync takes away where the identity provider does not give it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncRemoves {
    /// What it had given.
    Given,
    /// Whatever it does not give.
    All,
}

/// A member's account is not there any more, by nobody's doing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Recreate,
    Deny,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            sync: BTreeSet::new(),
            sync_removes: SyncRemoves::Given,
            managed_teams: vec!["*".to_owned()],
            rename: false,
            max_removals: 20,
            ephemeral: None,
            leaver: Leaving::Deactivate,
            deactivate_after_inactive: None,
            on_missing: OnMissing::Recreate,
        }
    }
}
