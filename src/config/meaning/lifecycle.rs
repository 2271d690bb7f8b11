//! The keys of `[provisioning]` that say what becomes of accounts after the first sign-in.

use std::collections::BTreeSet;

use super::{Meaning, below};
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{Lifecycle, OnMissing, Store, SyncRemoves};
use crate::model::{Facet, Leaving};
use crate::provision::connector::Features;

impl Meaning<'_> {
    pub(super) fn lifecycle(
        &mut self,
        written: &raw::Provisioning,
        features: Option<&Features>,
    ) -> Option<Lifecycle> {
        let sync = self.sync(written, features);
        let managed_teams = self.managed_teams(written);
        let lifetime = self.duration(
            written.ephemeral_max_lifetime.as_ref(),
            steps!["provisioning", "ephemeral_max_lifetime"],
        );
        let inactive_at = steps!["provisioning", "deactivate_after_inactive"];
        let inactive = written.deactivate_after_inactive.as_ref();
        let deactivate_after_inactive = match inactive {
            None => Some(None),
            Some(_) => self.duration(inactive, inactive_at).map(Some),
        };
        let leaver = self.leaver(written, features);
        let delete = written.delete_at_session_end?;
        if delete && features.is_some_and(|features| !features.can_delete) {
            let at = steps!["provisioning", "delete_at_session_end"];
            self.cannot(at, features, "delete accounts", "leave it out");
        }
        Some(Lifecycle {
            sync: sync?,
            sync_removes: match written.sync_removes? {
                raw::SyncRemoves::Given => SyncRemoves::Given,
                raw::SyncRemoves::All => SyncRemoves::All,
            },
            managed_teams: managed_teams?,
            rename: written.rename?,
            max_removals: written.max_removals?,
            ephemeral: lifetime.map(|lifetime| delete.then_some(lifetime))?,
            leaver: leaver?,
            deactivate_after_inactive: deactivate_after_inactive?,
            on_missing: match written.on_missing? {
                raw::OnMissing::Recreate => OnMissing::Recreate,
                raw::OnMissing::Deny => OnMissing::Deny,
            },
        })
    }

    /// E1, L2: what was begun must be ended after a restart, so it must be known then.
    pub(super) fn durable(&mut self, raw: &Raw, store: Option<&Store>) {
        let (Some(store), Some(written)) = (store, &raw.provisioning) else { return };
        let asks = [
            (written.delete_at_session_end == Some(true), "delete_at_session_end", "E1"),
            (written.session_roles == Some(raw::SessionRoles::Borrow), "session_roles", "L2"),
        ];
        for (asked, key, rule) in asks {
            if asked && !store.durable {
                let message = format!(
                    "`provisioning.{key}` needs a store that outlives a restart of the machine ({rule})"
                );
                let help = "write durable = true in [store] if this SQLite file does (a disk, a persistent \
                            volume), or use PostgreSQL";
                self.refuse(steps!["provisioning", key], message, help);
            }
        }
    }

    fn sync(&mut self, written: &raw::Provisioning, features: Option<&Features>) -> Option<BTreeSet<Facet>> {
        let at = steps!["provisioning", "sync"];
        let facets = match written.sync.as_ref()? {
            raw::Sync::When(raw::SyncWhen::CreateOnly) => return Some(BTreeSet::new()),
            raw::Sync::When(raw::SyncWhen::EveryLogin) => return Some(Facet::ALL.into()),
            raw::Sync::Facets(facets) => facets,
        };
        let facet = |facet: &raw::SyncFacet| match facet {
            raw::SyncFacet::Role => Facet::Role,
            raw::SyncFacet::Teams => Facet::Teams,
            raw::SyncFacet::Groups => Facet::Groups,
            raw::SyncFacet::Permissions => Facet::Permissions,
            raw::SyncFacet::Profile => Facet::Profile,
        };
        let facets: BTreeSet<Facet> = facets.iter().map(facet).collect();
        if let Some(features) = features {
            let lacking = [
                (Facet::Role, features.roles || features.owner, "roles"),
                (Facet::Teams, features.teams, "teams"),
                (Facet::Groups, features.app_groups, "application groups"),
                (Facet::Permissions, features.permissions, "permissions"),
            ];
            for (facet, has, kind) in lacking {
                if facets.contains(&facet) && !has {
                    self.lacks(at, features, kind);
                }
            }
        }
        Some(facets)
    }

    fn managed_teams(&mut self, written: &raw::Provisioning) -> Option<Vec<String>> {
        let at = steps!["provisioning", "managed_teams"];
        let teams = self.names(written.managed_teams.as_ref(), at)?;
        let mut sound = true;
        for (index, team) in teams.iter().enumerate() {
            let stem = team.strip_suffix("/*").unwrap_or(team);
            if team != "*" && (stem.is_empty() || stem.contains('*')) {
                let message = format!("`provisioning.managed_teams`: {team:?} is no such pattern");
                self.refuse(&below(at, index), message, "write a team's whole name, \"prefix/*\", or \"*\"");
                sound = false;
            }
        }
        sound.then_some(teams)
    }

    /// E6.
    fn leaver(&mut self, written: &raw::Provisioning, features: Option<&Features>) -> Option<Leaving> {
        let at = steps!["provisioning", "leaver"];
        let (leaving, can, does) = match written.leaver.as_deref()? {
            "deactivate" => {
                let can = |features: &Features| features.can_deactivate;
                (Leaving::Deactivate, features.is_none_or(can), "deactivate accounts")
            }
            "delete" => {
                let can = |features: &Features| features.can_delete;
                (Leaving::Delete, features.is_none_or(can), "delete accounts")
            }
            text if text.starts_with("transfer:") => {
                let message = "`provisioning.leaver`: no connector can hand over what a person owns";
                self.refuse(at, message, "write \"deactivate\", and hand it over in the application");
                return None;
            }
            text => {
                let message = format!("`provisioning.leaver` cannot be {text:?}");
                self.refuse(at, message, "write \"deactivate\" or \"delete\"");
                return None;
            }
        };
        // The default asks for nothing that is not used.
        if !can && (leaving == Leaving::Delete || written.deactivate_after_inactive.is_some()) {
            self.cannot(at, features, does, "write what it can do: narthex connector show");
            return None;
        }
        Some(leaving)
    }

    fn cannot(&mut self, at: &[Step], features: Option<&Features>, does: &str, help: &str) {
        let title = features.map_or("the application", |features| features.title.as_str());
        self.refuse(at, format!("narthex cannot {does} in {title}"), help);
    }
}
