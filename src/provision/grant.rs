//! What one session carries (L2, L7): the account's own entitlements, or the identity provider's for this
//! session only.

use crate::config::settings::SessionRoles;
use crate::model::{Entitlements, Grant, GrantSource};

use super::entitle::{Entitled, Source};

/// L2. A facet of which the identity provider says nothing usable stays the baseline's; so does every
/// facet that comes from groups which are not known (L7).
#[must_use]
pub fn grant(baseline: &Entitlements, session: &Entitled, session_roles: SessionRoles) -> Grant {
    let own = || Grant { entitlements: baseline.clone(), source: GrantSource::Baseline };
    if session_roles == SessionRoles::Off {
        return own();
    }
    let said = session.entitlements(Some(Source::Sso));
    let mut carried = baseline.clone();
    if said.role.is_some() {
        carried.role = said.role;
    }
    if !said.teams.is_empty() {
        carried.teams = said.teams;
    }
    if !said.app_groups.is_empty() {
        carried.app_groups = said.app_groups;
    }
    if !said.permissions.is_empty() {
        carried.permissions = said.permissions;
    }
    carried.owner |= said.owner;
    let source = match session_roles {
        SessionRoles::Borrow => GrantSource::Borrowed,
        SessionRoles::Headers | SessionRoles::Off => GrantSource::Session,
    };
    if carried == *baseline { own() } else { Grant { entitlements: carried, source } }
}
