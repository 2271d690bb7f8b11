//! `[[provisioning.mapping]]`, and the claims that it looks into.

use super::{Meaning, Reported, below};
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{MappingGives, MappingRow};
use crate::expr::{Condition, Place};
use crate::provision::connector::{Features, Kind};

impl Meaning<'_> {
    /// One claim's name or path, or several; none twice, and not none at all.
    pub(super) fn claims(&mut self, written: Option<&raw::ClaimNames>, at: &[Step]) -> Option<Vec<String>> {
        match written? {
            raw::ClaimNames::One(name) => self.name(Some(name), at).map(|name| vec![name]),
            raw::ClaimNames::Several(names) if names.is_empty() => {
                let message = format!("`{}` names no claim", crate::config::document::shown(at));
                self.refuse(at, message, "name at least one, or leave it out");
                None
            }
            raw::ClaimNames::Several(names) => self.names(Some(names), at),
        }
    }

    pub(super) fn mapping(
        &mut self,
        raw: &Raw,
        written: &raw::Provisioning,
        features: Option<&Features>,
    ) -> Option<Vec<MappingRow>> {
        let rows = written.mapping.as_ref()?;
        let ids: Vec<&str> =
            raw.idp.iter().flatten().filter_map(|idp| idp.id().map(String::as_str)).collect();
        let mut mapping = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let at = steps!["provisioning", "mapping", index];
            let group = self.optional_name(row.group.as_ref(), &below(at, "group"));
            let label = self.optional_name(row.label.as_ref(), &below(at, "label"));
            let idp = match &row.idp {
                None => Some(None),
                Some(id) if self.one_of("identity provider", id, &ids, &below(at, "idp")) => {
                    id.parse().ok().map(Some)
                }
                Some(_) => None,
            };
            let when = self.when(row, &ids, &below(at, "when"));
            let said = ["group", "when"].iter().any(|key| self.faulty(&below(at, *key)));
            if row.group.is_none() && row.when.is_none() && !said {
                let message = "a mapping row says for whom it is: `group`, `when`, or both";
                self.refuse(at, message, "name the group, exactly as the claim has it");
                continue;
            }
            let gives = self.gives(row, at, features);
            if let (Ok(group), Ok(label), Some(idp), Ok(when), Some(gives)) = (group, label, idp, when, gives)
            {
                let privileged = row.privileged.unwrap_or(false);
                mapping.push(MappingRow { group, label, idp, when, privileged, gives });
            }
        }
        self.groups_are_named(written);
        (mapping.len() == rows.len()).then_some(mapping)
    }

    fn when(
        &mut self,
        row: &raw::MappingRow,
        ids: &[&str],
        at: &[Step],
    ) -> Result<Option<Condition>, Reported> {
        let Some(source) = &row.when else { return Ok(None) };
        match Condition::compile_at(source, Place::Mapping) {
            Ok(condition) => {
                let mut named = condition.named_idps().into_iter();
                let known = named.all(|id| self.one_of("identity provider", id, ids, at));
                known.then_some(Some(condition)).ok_or(Reported)
            }
            Err(located) => {
                self.refuse_expression(at, source, &located);
                Err(Reported)
            }
        }
    }

    /// Where groups are mapped, something must say which claim holds them.
    fn groups_are_named(&mut self, written: &raw::Provisioning) {
        if written.groups_claim.is_some() || self.faulty(steps!["provisioning", "groups_claim"]) {
            return;
        }
        let row = written.mapping.iter().flatten().position(|row| row.group.is_some());
        let owners = written.owners_groups.as_ref().is_some_and(|groups| !groups.is_empty());
        let at = match row {
            Some(row) => steps!["provisioning", "mapping", row].to_vec(),
            None if owners => steps!["provisioning", "owners_groups"].to_vec(),
            None => return,
        };
        let message = "`provisioning.groups_claim` is missing: nothing says which claim holds the groups";
        let help = "write groups_claim = \"groups\", or what your identity provider calls it";
        self.refuse(&at, message, help);
    }

    fn gives(
        &mut self,
        row: &raw::MappingRow,
        at: &[Step],
        features: Option<&Features>,
    ) -> Option<MappingGives> {
        let keys = ["role", "team", "app_groups", "permission"];
        let given =
            [row.role.is_some(), row.team.is_some(), row.app_groups.is_some(), row.permission.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            if !keys.iter().any(|key| self.faulty(&below(at, *key))) {
                let message =
                    "a mapping row gives exactly one of `role`, `team`, `app_groups` and `permission`";
                self.refuse(at, message, "write one row for each");
            }
            return None;
        }
        if row.team_role.is_some() && row.team.is_none() {
            self.refuse(
                &below(at, "team_role"),
                "`team_role` has no meaning without `team`",
                "name the team, or use role",
            );
            return None;
        }
        let marked = row.privileged.unwrap_or(false);
        if let Some(role) = &row.role {
            let at = below(at, "role");
            let role = self.name(Some(role), &at)?;
            if let Some(features) = features {
                self.has(features.roles, &at, features, "roles")?;
                self.known_role(&role, features, &at)?;
            }
            self.ordinary_or_marked(marked, Kind::Role, &role, features, &at)?;
            return Some(MappingGives::Role(role));
        }
        if let Some(team) = &row.team {
            let (at, at_role) = (below(at, "team"), below(at, "team_role"));
            let team = self.name(Some(team), &at)?;
            let team_role = self.optional_name(row.team_role.as_ref(), &at_role).ok()?;
            if let Some(features) = features {
                self.has(features.teams, &at, features, "teams")?;
                self.has(
                    team_role.is_none() || features.team_roles,
                    &at_role,
                    features,
                    "roles within teams",
                )?;
            }
            self.ordinary_or_marked(marked, Kind::Team, &team, features, &at)?;
            if let Some(role) = &team_role {
                self.ordinary_or_marked(marked, Kind::TeamRole, role, features, &at_role)?;
            }
            return Some(MappingGives::Team { team, team_role });
        }
        if row.app_groups.is_some() {
            let at = below(at, "app_groups");
            let groups = self.names(row.app_groups.as_ref(), &at)?;
            if groups.is_empty() {
                self.refuse(&at, "`app_groups` is empty", "name at least one");
                return None;
            }
            if let Some(features) = features {
                self.has(features.app_groups, &at, features, "application groups")?;
            }
            for (index, group) in groups.iter().enumerate() {
                self.ordinary_or_marked(marked, Kind::AppGroup, group, features, &below(&at, index))?;
            }
            return Some(MappingGives::AppGroups(groups));
        }
        let at = below(at, "permission");
        let permission = self.name(row.permission.as_ref(), &at)?;
        if let Some(features) = features {
            self.has(features.permissions, &at, features, "permissions")?;
        }
        self.ordinary_or_marked(marked, Kind::Permission, &permission, features, &at)?;
        Some(MappingGives::Permission(permission))
    }

    fn has(&mut self, has: bool, at: &[Step], features: &Features, kind: &str) -> Option<()> {
        if !has {
            self.lacks(at, features, kind);
        }
        has.then_some(())
    }

    /// SECURITY: F4. Whoever may write groups at the identity provider must not by that alone be able to make
    /// administrators: what the recipe calls privileged is given where the row says that it is known.
    fn ordinary_or_marked(
        &mut self,
        marked: bool,
        kind: Kind,
        name: &str,
        features: Option<&Features>,
        at: &[Step],
    ) -> Option<()> {
        let Some(features) = features.filter(|features| !marked && features.is_privileged(kind, name)) else {
            return Some(());
        };
        let what = match kind {
            Kind::Role => "role",
            Kind::Team => "team",
            Kind::TeamRole => "role within a team",
            Kind::AppGroup => "application group",
            Kind::Permission => "permission",
        };
        let message = format!("the {what} {name:?} is privileged in {}", features.title);
        self.refuse(at, message, "add privileged = true to say that this row shall give it (F4)");
        None
    }
}
