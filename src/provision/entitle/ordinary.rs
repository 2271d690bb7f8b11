//! Names that the configuration itself gives to anybody: they are ordinary ones even where the application cannot tell.

use crate::config::settings::{MappingGives, Provisioning};
use crate::provision::connector::Kind;

use super::assignable;

/// Whether an administrator wrote `name` into the settings as something that is not privileged: as default or
/// onboarding, as a team that claims may name, or in a mapping row that is not marked as privileged.
///
/// SECURITY: where the application cannot list what it has, nobody but the configuration says which of it is harmless;
/// whoever may not grant what is privileged may give only that (F4, F6).
#[must_use]
pub fn configured_as_ordinary(settings: &Provisioning, kind: Kind, name: &str) -> bool {
    let by_default = match kind {
        Kind::Role => settings.default_role.as_deref() == Some(name),
        Kind::Team => {
            settings.onboarding.teams.iter().any(|team| team == name)
                || settings.assignable_teams.iter().any(|pattern| assignable(pattern, name))
        }
        Kind::AppGroup => settings.onboarding.app_groups.iter().any(|group| group == name),
        Kind::TeamRole | Kind::Permission => false,
    };
    let by_row = |gives: &MappingGives| match (kind, gives) {
        (Kind::Role, MappingGives::Role(role)) => role == name,
        (Kind::Team, MappingGives::Team { team, .. }) => team == name,
        (Kind::TeamRole, MappingGives::Team { team_role, .. }) => team_role.as_deref() == Some(name),
        (Kind::AppGroup, MappingGives::AppGroups(groups)) => groups.iter().any(|group| group == name),
        (Kind::Permission, MappingGives::Permission(permission)) => permission == name,
        (
            _,
            MappingGives::Role(_)
            | MappingGives::Team { .. }
            | MappingGives::AppGroups(_)
            | MappingGives::Permission(_),
        ) => false,
    };
    by_default || settings.mapping.iter().any(|row| !row.privileged && by_row(&row.gives))
}
