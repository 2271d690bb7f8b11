//! What an identity is given, and why (F3, F4, F5, L7): every entitlement with its source and rule.

use std::collections::BTreeSet;

use crate::config::settings::{MappingGives, MappingRow, Provisioning, UnknownRole, UnknownTeam};
use crate::model::{Entitlements, Identity};

use super::ProvisionError;
use super::connector::{Features, Kind};
use super::names::{Names, Standing};

/// Where an entitlement comes from (PROVISIONING.md, ledger).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Sso,
    Onboarding,
    Default,
}

/// The rule by which it was decided, as PROVISIONING.md numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    F3,
    F4,
    F5,
}

/// One entitlement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    Role(String),
    Team { team: String, team_role: Option<String> },
    AppGroup(String),
    Permission(String),
    Owner,
}

/// What made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// A value of this claim, itself.
    Claim(String),
    /// The mapping row of this position (from 0), by membership in this group.
    Row {
        position: usize,
        group: String,
    },
    OwnersGroup(String),
    Onboarding,
    DefaultRole,
}

/// One entitlement that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub entitlement: Entitlement,
    pub source: Source,
    pub rule: Rule,
    pub because: Because,
    /// The application's recipe marks it so.
    pub privileged: bool,
}

/// One entitlement that was asked for and not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub entitlement: Entitlement,
    pub source: Source,
    pub rule: Rule,
    pub because: Because,
    pub why: SkipReason,
}

/// Why it was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The application does not have it.
    Absent,
    /// F4: privileged, and asked for by a claim, an unmarked row or a default.
    Privileged,
    /// F4: a claim may name only roles that the application lists or the configuration names.
    Unlisted,
    /// F5: the claim named a team outside `assignable_teams`.
    NotAssignable,
}

/// What all sources gave together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entitled {
    pub given: Vec<Given>,
    pub skipped: Vec<Skipped>,
    /// F5, `unknown_team = "create"`.
    pub teams_to_create: BTreeSet<String>,
    /// L7: the groups of this identity are not known, which is not the same as none.
    pub groups_unknown: bool,
}

impl Entitled {
    /// As the application would hold them; `source` limits it to one source.
    #[must_use]
    pub fn entitlements(&self, source: Option<Source>) -> Entitlements {
        let mut all = Entitlements::default();
        for given in self.given.iter().filter(|given| source.is_none_or(|source| source == given.source)) {
            match &given.entitlement {
                Entitlement::Role(role) => all.role = Some(role.clone()),
                Entitlement::Team { team, team_role } => {
                    all.teams.insert(team.clone(), team_role.clone());
                }
                Entitlement::AppGroup(group) => {
                    all.app_groups.insert(group.clone());
                }
                Entitlement::Permission(permission) => {
                    all.permissions.insert(permission.clone());
                }
                Entitlement::Owner => all.owner = true,
            }
        }
        all
    }

    /// Whether anything given is privileged.
    #[must_use]
    pub fn privileged(&self) -> bool {
        self.given.iter().any(|given| given.privileged)
    }
}

/// How strictly to take what cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// A first login: `unknown_role`, `unknown_team` and `default_role` decide, and may refuse.
    FirstLogin,
    /// A later one: only what the identity provider gives is of interest, and it refuses nothing (L2).
    LaterLogin,
}

/// F3, F4, F5 and L7 for one identity.
///
/// # Errors
/// The variants of F4 and F5, at a first login only.
pub fn entitled(
    identity: &Identity,
    settings: &Provisioning,
    features: &Features,
    names: &Names,
    strictness: Strictness,
) -> Result<Entitled, ProvisionError> {
    let groups = groups(identity, settings);
    let mut work = Work {
        identity,
        settings,
        features,
        names,
        first_login: strictness == Strictness::FirstLogin,
        out: Entitled { groups_unknown: groups.is_none(), ..Entitled::default() },
    };
    let groups = groups.unwrap_or_default();
    let rows: Vec<(usize, &MappingRow)> = settings
        .mapping
        .iter()
        .enumerate()
        .filter(|(_, row)| row.idp.as_ref().is_none_or(|idp| *idp == identity.idp))
        .filter(|(_, row)| groups.contains(&row.group))
        .collect();
    let sso_role = work.role_from_sso(&rows)?;
    work.owner(&groups);
    work.mapped(&rows)?;
    work.claimed_teams()?;
    if work.first_login {
        work.onboarding()?;
        if !sso_role {
            work.default_role()?;
        }
    }
    Ok(work.out)
}

/// L7: the groups, or `None` where they are not known: the claim is absent, or stands elsewhere.
fn groups(identity: &Identity, settings: &Provisioning) -> Option<BTreeSet<String>> {
    let known = settings.groups_claim.as_ref().and_then(|claim| {
        let values = identity.claims.values(claim)?;
        (!overage(identity, claim)).then(|| values.into_iter().collect())
    });
    known.or_else(|| settings.absent_groups_are_none.then(BTreeSet::new))
}

/// L7: markers by which a provider says that there are more groups than it sent: OIDC Core 5.6.2
/// (`_claim_names`), and Microsoft's `hasgroups` and `groups.link` (SAML).
fn overage(identity: &Identity, claim: &str) -> bool {
    let claims = identity.claims.as_map();
    let elsewhere = claims
        .get("_claim_names")
        .and_then(|names| names.as_object())
        .is_some_and(|names| names.contains_key(claim) || names.contains_key("groups"));
    let marked = identity.claims.first("hasgroups").is_some_and(|value| value != "false");
    let linked = claims.keys().any(|name| name.ends_with("groups.link"));
    elsewhere || marked || linked
}

struct Work<'a> {
    identity: &'a Identity,
    settings: &'a Provisioning,
    features: &'a Features,
    names: &'a Names,
    first_login: bool,
    out: Entitled,
}

impl Work<'_> {
    /// F4: the first value of `role_claim`, else the first row that matches. `false`: neither named one
    /// that can be given.
    fn role_from_sso(&mut self, rows: &[(usize, &MappingRow)]) -> Result<bool, ProvisionError> {
        if !self.features.roles {
            return Ok(false);
        }
        let claim = self.settings.role_claim.as_ref();
        let claimed = claim.and_then(|claim| {
            let value = self.identity.claims.first(claim)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (value.to_owned(), Because::Claim(claim.clone()), false))
        });
        let wanted = claimed.or_else(|| {
            rows.iter().find_map(|(position, row)| match &row.gives {
                MappingGives::Role { role, privileged } => {
                    let because = Because::Row { position: *position, group: row.group.clone() };
                    Some((role.clone(), because, *privileged))
                }
                MappingGives::Team { .. } | MappingGives::AppGroups(_) | MappingGives::Permission(_) => None,
            })
        });
        let Some((role, because, may_be_privileged)) = wanted else { return Ok(false) };
        let raw = matches!(because, Because::Claim(_));
        let why = match self.standing(Kind::Role, &role) {
            Standing::Ordinary => None,
            Standing::Privileged => (!may_be_privileged).then_some(SkipReason::Privileged),
            Standing::Absent => Some(SkipReason::Absent),
            // SECURITY: where the application cannot tell privileged roles from others, a claim may name
            // only what the configuration names as an ordinary one.
            Standing::Unlisted => {
                (raw && !self.configured_as_ordinary(&role)).then_some(SkipReason::Unlisted)
            }
        };
        let Some(why) = why else {
            // What an administrator marked as privileged counts so even where the recipe does not know.
            let privileged = may_be_privileged;
            self.give(Entitlement::Role(role), Source::Sso, Rule::F4, because, privileged);
            return Ok(true);
        };
        if self.first_login && self.settings.unknown_role == UnknownRole::Deny {
            return Err(ProvisionError::UnknownRole { role });
        }
        self.skip(Entitlement::Role(role), Source::Sso, Rule::F4, because, why);
        Ok(false)
    }

    /// What is known of a name: from the application's list, and where that does not have it (or there is
    /// none) from the recipe, which may call it privileged all the same.
    fn standing(&self, kind: Kind, name: &str) -> Standing {
        match self.names.standing(kind, name) {
            Standing::Unlisted | Standing::Absent if self.features.is_privileged(kind, name) => {
                Standing::Privileged
            }
            known => known,
        }
    }

    /// The default role, or one that an unmarked row gives.
    fn configured_as_ordinary(&self, role: &str) -> bool {
        let by_row = |row: &MappingRow| match &row.gives {
            MappingGives::Role { role: named, privileged } => named == role && !privileged,
            MappingGives::Team { .. } | MappingGives::AppGroups(_) | MappingGives::Permission(_) => false,
        };
        self.settings.default_role.as_deref() == Some(role) || self.settings.mapping.iter().any(by_row)
    }

    fn default_role(&mut self) -> Result<(), ProvisionError> {
        if !self.features.roles {
            return Ok(());
        }
        let role = self.settings.default_role.clone().ok_or(ProvisionError::NoDefaultRole)?;
        let reason = match self.standing(Kind::Role, &role) {
            Standing::Ordinary | Standing::Unlisted => {
                self.give(Entitlement::Role(role), Source::Default, Rule::F4, Because::DefaultRole, false);
                return Ok(());
            }
            // F4: nothing privileged but from a row that says so, or owners_groups.
            Standing::Privileged => "it is privileged; map it with `privileged = true`",
            Standing::Absent => "the application does not have it",
        };
        Err(ProvisionError::DefaultRoleUnusable { role, reason })
    }

    /// F5: `owners_groups`.
    fn owner(&mut self, groups: &BTreeSet<String>) {
        if !self.features.owner {
            return;
        }
        if let Some(group) = self.settings.owners_groups.iter().find(|group| groups.contains(*group)) {
            let because = Because::OwnersGroup(group.clone());
            self.give(Entitlement::Owner, Source::Sso, Rule::F5, because, true);
        }
    }

    /// F5: teams, application groups and permissions of the rows, in order.
    fn mapped(&mut self, rows: &[(usize, &MappingRow)]) -> Result<(), ProvisionError> {
        for (position, row) in rows {
            let because = Because::Row { position: *position, group: row.group.clone() };
            match &row.gives {
                MappingGives::Role { .. } => {}
                MappingGives::Team { team, team_role } => {
                    self.team(team, team_role.as_deref(), Source::Sso, Rule::F5, because)?;
                }
                MappingGives::AppGroups(app_groups) => {
                    for group in app_groups {
                        self.plain(Entitlement::AppGroup(group.clone()), Source::Sso, because.clone());
                    }
                }
                MappingGives::Permission(permission) => {
                    self.plain(Entitlement::Permission(permission.clone()), Source::Sso, because);
                }
            }
        }
        Ok(())
    }

    /// F5: `teams_claim`, within `assignable_teams`.
    fn claimed_teams(&mut self) -> Result<(), ProvisionError> {
        let Some(teams_claim) = self.settings.teams_claim.as_ref().filter(|_| self.features.teams) else {
            return Ok(());
        };
        let values = self.identity.claims.values(&teams_claim.claim).unwrap_or_default();
        let because = Because::Claim(teams_claim.claim.clone());
        let separator = teams_claim.separator.as_deref().filter(|separator| !separator.is_empty());
        let named = values.iter().flat_map(|value| match separator {
            Some(separator) => value.split(separator).collect(),
            None => vec![value.as_str()],
        });
        for name in named.map(str::trim).filter(|name| !name.is_empty()) {
            let (team, team_role) = match name.split_once("::") {
                Some((team, role)) if self.features.team_roles => (team, Some(role)),
                Some(_) | None => (name, None),
            };
            if self.settings.assignable_teams.iter().any(|pattern| assignable(pattern, team)) {
                self.team(team, team_role, Source::Sso, Rule::F5, because.clone())?;
            } else {
                let entitlement =
                    Entitlement::Team { team: team.to_owned(), team_role: team_role.map(str::to_owned) };
                let why = SkipReason::NotAssignable;
                self.skip(entitlement, Source::Sso, Rule::F5, because.clone(), why);
            }
        }
        Ok(())
    }

    /// F3: only where nothing else gave anything real; a default role is not counted.
    fn onboarding(&mut self) -> Result<(), ProvisionError> {
        if self.out.given.iter().any(|given| given.source == Source::Sso) {
            return Ok(());
        }
        for team in &self.settings.onboarding.teams {
            self.team(team, None, Source::Onboarding, Rule::F3, Because::Onboarding)?;
        }
        for group in &self.settings.onboarding.app_groups {
            self.plain(Entitlement::AppGroup(group.clone()), Source::Onboarding, Because::Onboarding);
        }
        Ok(())
    }

    /// F5: the first that names a team decides of it.
    fn team(
        &mut self,
        team: &str,
        team_role: Option<&str>,
        source: Source,
        rule: Rule,
        because: Because,
    ) -> Result<(), ProvisionError> {
        let decided = |entitlement: &Entitlement| matches!(entitlement, Entitlement::Team { team: known, .. } if known == team);
        if !self.features.teams || self.out.given.iter().any(|given| decided(&given.entitlement)) {
            return Ok(());
        }
        let team_role = team_role.filter(|_| self.features.team_roles).map(str::to_owned);
        let entitlement = Entitlement::Team { team: team.to_owned(), team_role: team_role.clone() };
        let raw = matches!(because, Because::Claim(_));
        let role_refused = team_role.as_ref().and_then(|role| match self.standing(Kind::TeamRole, role) {
            Standing::Ordinary => None,
            Standing::Privileged => Some(SkipReason::Privileged),
            Standing::Absent => Some(SkipReason::Absent),
            // SECURITY: as with roles: a claim cannot name what nothing says to be unprivileged.
            Standing::Unlisted => raw.then_some(SkipReason::Unlisted),
        });
        let mut create = false;
        let why = role_refused.or_else(|| match self.standing(Kind::Team, team) {
            Standing::Ordinary | Standing::Unlisted => None,
            Standing::Privileged => Some(SkipReason::Privileged),
            Standing::Absent => {
                create = self.settings.unknown_team == UnknownTeam::Create && self.features.can_create_team;
                (!create).then_some(SkipReason::Absent)
            }
        });
        match why {
            None => {
                if create {
                    self.out.teams_to_create.insert(team.to_owned());
                }
                self.give(entitlement, source, rule, because, false);
            }
            Some(_) if self.first_login && self.settings.unknown_team == UnknownTeam::Deny => {
                return Err(ProvisionError::UnknownTeam { team: team.to_owned() });
            }
            Some(why) => self.skip(entitlement, source, rule, because, why),
        }
        Ok(())
    }

    /// An application group or permission: given where the application has it.
    fn plain(&mut self, entitlement: Entitlement, source: Source, because: Because) {
        let (kind, has_kind, name) = match &entitlement {
            Entitlement::AppGroup(name) => (Kind::AppGroup, self.features.app_groups, name),
            Entitlement::Permission(name) => (Kind::Permission, self.features.permissions, name),
            Entitlement::Role(_) | Entitlement::Team { .. } | Entitlement::Owner => return,
        };
        if !has_kind || self.out.given.iter().any(|given| given.entitlement == entitlement) {
            return;
        }
        let rule = if source == Source::Onboarding { Rule::F3 } else { Rule::F5 };
        match self.standing(kind, name) {
            Standing::Ordinary | Standing::Unlisted => self.give(entitlement, source, rule, because, false),
            Standing::Privileged => self.skip(entitlement, source, rule, because, SkipReason::Privileged),
            Standing::Absent => self.skip(entitlement, source, rule, because, SkipReason::Absent),
        }
    }

    fn give(
        &mut self,
        entitlement: Entitlement,
        source: Source,
        rule: Rule,
        because: Because,
        privileged: bool,
    ) {
        self.out.given.push(Given { entitlement, source, rule, because, privileged });
    }

    fn skip(
        &mut self,
        entitlement: Entitlement,
        source: Source,
        rule: Rule,
        because: Because,
        why: SkipReason,
    ) {
        self.out.skipped.push(Skipped { entitlement, source, rule, because, why });
    }
}

/// Exact, or everything below a `prefix/`.
fn assignable(pattern: &str, team: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(prefix) => team
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|below| !below.is_empty()),
        None => pattern == team,
    }
}
