//! Which mapping rows hold for an identity (F5), and why the others do not.

use serde::{Deserialize, Serialize};

use crate::config::settings::{MappingRow, Provisioning};
use crate::expr::SessionFacts;
use crate::model::{Grant, Identity};

use super::sources::Groups;

/// What was found of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    Holds,
    /// It is for people of another identity provider.
    OtherProvider,
    NotInGroup,
    /// L7: not among the groups that are known, and there may be more.
    GroupUnknown,
    /// `when` is false.
    ConditionFalse,
    /// `when` could not be decided. Errors deny.
    ConditionFailed {
        error: String,
    },
}

/// One row, judged.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// From 0.
    pub position: usize,
    pub row: &'a MappingRow,
    pub outcome: RowOutcome,
}

/// Every row of the mapping, in order.
#[must_use]
pub fn judge<'a>(identity: &Identity, settings: &'a Provisioning, groups: &Groups) -> Vec<Judged<'a>> {
    let rows = settings.mapping.iter().enumerate();
    rows.map(|(position, row)| Judged { position, row, outcome: outcome(identity, row, groups) }).collect()
}

fn outcome(identity: &Identity, row: &MappingRow, groups: &Groups) -> RowOutcome {
    if row.idp.as_ref().is_some_and(|idp| *idp != identity.idp) {
        return RowOutcome::OtherProvider;
    }
    if let Some(group) = &row.group
        && !groups.names.contains(group)
    {
        return if groups.are_known() { RowOutcome::NotInGroup } else { RowOutcome::GroupUnknown };
    }
    let Some(condition) = &row.when else { return RowOutcome::Holds };
    let facts = SessionFacts {
        idp: &identity.idp,
        subject: &identity.subject,
        claims: &identity.claims,
        account: None,
        grant: &Grant::default(),
    };
    match condition.holds_for(facts, None) {
        Ok(true) => RowOutcome::Holds,
        Ok(false) => RowOutcome::ConditionFalse,
        Err(error) => RowOutcome::ConditionFailed { error: error.to_string() },
    }
}
