//! What a running provisioner goes by, exchanged whole (M4, F6).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Core, OnEnded, Provisioner};
use crate::config::settings::{Console, Provisioning, Scim};
use crate::model::{ConsoleRole, IdpId};
use crate::observe::audit::Audit;
use crate::platform::Platform;
use crate::provision::connector::Connector;
use crate::provision::guard::{Guarded, Terms};
use crate::provision::leases::MARGIN;
use crate::provision::privileges::Privileges;
use crate::provision::push::Pushing;
use crate::provision::shadow::{Reach, ReadOnly};
use crate::provision::{invites, pushed};
use crate::store::Store;

impl Provisioner {
    /// Sees to what SCIM clients push, and recognises their people.
    #[must_use]
    pub fn pushed_by(self, scim: &Scim) -> Self {
        self.core.rcu(|core| {
            let pushing = Some(Pushing::new(scim, &core.settings));
            Core { pushing, ..Core::clone(core) }
        });
        self
    }

    /// Goes by these settings from the next login on (M4); those under way and live sessions are left alone (L5).
    pub fn change(&self, settings: &Provisioning) {
        self.core.rcu(|core| Core::clone(core).with_settings(settings));
    }

    /// Has what is done kept in this log.
    #[must_use]
    pub fn auditing(self, audit: &Audit) -> Self {
        self.core.rcu(|core| Core { audit: audit.clone(), ..Core::clone(core) });
        self
    }

    /// F6: invites of these administrators may be used, as far as their roles go.
    #[must_use]
    pub fn granting(self, administrators: impl IntoIterator<Item = (String, ConsoleRole)>) -> Self {
        let mut grantors = invites::always_grantors();
        grantors.extend(administrators);
        let grantors = Arc::new(grantors);
        self.core.rcu(|core| Core { grantors: grantors.clone(), ..Core::clone(core) });
        self
    }

    /// The same for people who sign in at the admin API.
    #[must_use]
    pub fn granting_people(self, console: Option<Console>) -> Self {
        let console = console.map(Arc::new);
        self.core.rcu(|core| Core { console: console.clone(), ..Core::clone(core) });
        self
    }

    /// A process that dies where `faults` says.
    #[cfg(test)]
    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    pub(in crate::provision) fn dying(self, faults: Arc<crate::provision::faults::Faults>) -> Self {
        self.core.rcu(|core| Core { faults: faults.clone(), ..Core::clone(core) });
        self
    }

    /// Has `told` hear of sessions that end because of their members' accounts. Once; a second time changes nothing.
    #[must_use]
    pub fn ending(self, told: Box<OnEnded>) -> Self {
        // The first one stays.
        let _ = self.core().on_ended.set(told);
        self
    }
}

impl Core {
    /// The same, but for what SCIM clients push: under other settings, and trusting the directory.
    pub(in crate::provision) fn seeing_to_pushes(&self, settings: Provisioning) -> Self {
        let authorities = BTreeMap::from([(IdpId::scim(), pushed::authority())]);
        Self { settings, authorities, pushing: None, ..Self::clone(self) }
    }

    /// The same by other settings.
    fn with_settings(self, settings: &Provisioning) -> Self {
        let connector = if self.settings.shadow == settings.shadow {
            // What the guards know of the application stays known.
            if let Some(connector) = &self.connector {
                connector.go_by(terms(settings));
            }
            self.connector
        } else {
            guarded(self.application.as_ref(), settings, (&self.store, &self.platform))
        };
        let pushing = self.pushing.map(|pushing| Pushing::new(&pushing.scim, settings));
        Self { settings: settings.clone(), connector, pushing, ..self }
    }
}

/// The application behind its guards, as the settings say.
pub(super) fn guarded(
    application: Option<&Arc<dyn Connector>>,
    settings: &Provisioning,
    (store, platform): (&Arc<dyn Store>, &Platform),
) -> Option<Arc<Guarded>> {
    let inner = application?.clone();
    // M6: whatever goes wrong elsewhere, nothing is written.
    let inner = if settings.shadow { Arc::new(ReadOnly::new(inner, Reach::Reads)) } else { inner };
    let privileges = Privileges::new(store.clone(), platform.clone());
    Some(Arc::new(Guarded::new(inner, terms(settings), privileges)))
}

fn terms(settings: &Provisioning) -> Terms {
    Terms { protected: settings.protected_accounts.clone(), lasts: settings.time_budget + MARGIN }
}
