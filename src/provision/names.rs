//! The names that the application has (roles, teams, …): what a login may give, listed once in a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::settings::{MappingGives, Provisioning};

use super::connector::{Connector, ConnectorError, Features, Kind, Named};

/// How long a list is believed.
pub const FRESH: Duration = Duration::from_mins(1);
/// A wanted name that is missing refreshes the lists, but no more often than this: whoever can choose
/// claims must not be able to make every login list everything.
pub const REFRESH_AT_MOST: Duration = Duration::from_secs(5);

/// What the application has, by kind. A kind that is absent cannot be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<Kind, BTreeMap<String, Standing>>);

/// What is known of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Ordinary,
    Privileged,
    /// The application's list does not have it.
    Absent,
    /// The application cannot list this kind.
    Unlisted,
}

impl Names {
    #[must_use]
    pub fn with(mut self, kind: Kind, names: impl IntoIterator<Item = Named>) -> Self {
        let known = self.0.entry(kind).or_default();
        for named in names {
            let standing = if named.privileged { Standing::Privileged } else { Standing::Ordinary };
            known.insert(named.name, standing);
        }
        self
    }

    #[must_use]
    pub fn standing(&self, kind: Kind, name: &str) -> Standing {
        match self.0.get(&kind) {
            None => Standing::Unlisted,
            Some(known) => known.get(name).copied().unwrap_or(Standing::Absent),
        }
    }
}

/// The last lists, shared by all logins.
#[derive(Default)]
pub struct NameCache {
    last: Mutex<Option<Last>>,
}

struct Last {
    listed_at: Instant,
    /// The kinds that were asked for. Of the others nothing is known.
    kinds: BTreeSet<Kind>,
    names: Arc<Names>,
}

impl NameCache {
    /// The last lists, however old.
    pub async fn known(&self) -> Option<Arc<Names>> {
        self.last.lock().await.as_ref().map(|last| last.names.clone())
    }

    /// The last lists, however old, where all these kinds were asked for.
    ///
    /// SECURITY: see [`NameCache::within`].
    pub async fn known_of(&self, kinds: &BTreeSet<Kind>) -> Option<Arc<Names>> {
        let last = self.last.lock().await;
        last.as_ref().filter(|last| kinds.is_subset(&last.kinds)).map(|last| last.names.clone())
    }

    /// The names, listed within `at_most`. Simultaneous callers wait for one listing.
    ///
    /// # Errors
    /// As [`Connector::list`]; nothing stale is used instead, since errors deny.
    pub async fn within(
        &self,
        at_most: Duration,
        connector: &dyn Connector,
        mut kinds: BTreeSet<Kind>,
    ) -> Result<Arc<Names>, ConnectorError> {
        let mut last = self.last.lock().await;
        if let Some(last) = &*last {
            // SECURITY: a kind that was not asked for would pass for one that the application cannot list, and what is
            // privileged in it for ordinary (F4). Logins, invites and pushes share these lists and ask for others.
            if last.listed_at.elapsed() < at_most && kinds.is_subset(&last.kinds) {
                return Ok(last.names.clone());
            }
            kinds.extend(&last.kinds);
        }
        let names = Arc::new(list(connector, &kinds).await?);
        *last = Some(Last { listed_at: Instant::now(), kinds, names: names.clone() });
        Ok(names)
    }
}

async fn list(connector: &dyn Connector, kinds: &BTreeSet<Kind>) -> Result<Names, ConnectorError> {
    let features = connector.features();
    let mut names = Names::default();
    for kind in kinds.iter().copied() {
        let listed = match connector.list(kind).await {
            Ok(listed) => listed,
            Err(ConnectorError::Unsupported { .. }) => None,
            Err(error) => return Err(error),
        };
        match listed {
            Some(listed) => names = names.with(kind, listed),
            None if kind == Kind::Role && !features.fixed_roles.is_empty() => {
                names = names.with(kind, features.fixed_roles.iter().cloned());
            }
            None => {}
        }
    }
    Ok(names)
}

/// The kinds that an identity could be given under these settings; the others are not asked for. An invite can give of
/// any.
#[must_use]
pub fn wanted_kinds(features: &Features, settings: &Provisioning, invited: bool) -> BTreeSet<Kind> {
    let gives = |wanted: fn(&MappingGives) -> bool| settings.mapping.iter().any(|row| wanted(&row.gives));
    let teams = invited
        || settings.teams_claim.is_some()
        || !settings.onboarding.teams.is_empty()
        || gives(|gives| matches!(gives, MappingGives::Team { .. }));
    let app_groups = invited
        || !settings.onboarding.app_groups.is_empty()
        || gives(|gives| matches!(gives, MappingGives::AppGroups(_)));
    let permissions = invited || gives(|gives| matches!(gives, MappingGives::Permission(_)));
    [
        (Kind::Role, features.roles),
        (Kind::Team, features.teams && teams),
        (Kind::TeamRole, features.team_roles && teams),
        (Kind::AppGroup, features.app_groups && app_groups),
        (Kind::Permission, features.permissions && permissions),
    ]
    .into_iter()
    .filter_map(|(kind, wanted)| wanted.then_some(kind))
    .collect()
}
