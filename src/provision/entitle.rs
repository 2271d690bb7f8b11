//! What an identity is given, and why (F3, F4, F5, L7): every entitlement with its source and rule.

mod kinds;
mod ordinary;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::ordinary::configured_as_ordinary;
use crate::config::settings::{MappingGives, Provisioning, UnknownRole};
pub use crate::model::Source;
use crate::model::invite::InviteId;
use crate::model::{Entitlements, Identity, Item};

use super::connector::{Features, Kind};
use super::invites::Invited;
use super::names::{Names, Standing};
use super::rows::{Judged, RowOutcome};
use super::sources::Groups;
use super::{ProvisionError, rows, sources};

/// The rule by which it was decided, as PROVISIONING.md numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    F3,
    F4,
    F5,
    F6,
}

/// One entitlement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entitlement {
    Role(String),
    Team { team: String, team_role: Option<String> },
    AppGroup(String),
    Permission(String),
    Owner,
}

impl Entitlement {
    /// With its value, as states of an account are compared.
    #[must_use]
    pub fn item(&self) -> (Item, String) {
        match self {
            Self::Role(role) => (Item::Role, role.clone()),
            Self::Team { team, team_role } => {
                (Item::Team(team.clone()), team_role.clone().unwrap_or_default())
            }
            Self::AppGroup(name) => (Item::AppGroup(name.clone()), String::new()),
            Self::Permission(name) => (Item::Permission(name.clone()), String::new()),
            Self::Owner => (Item::Owner, String::new()),
        }
    }
}

/// What made it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// A value of this claim, itself.
    Claim(String),
    /// The mapping row of this position (from 0), by membership in this group, or by its condition alone.
    Row {
        position: usize,
        group: Option<String>,
    },
    OwnersGroup(String),
    /// The invite of this id.
    Invite(InviteId),
    Onboarding,
    DefaultRole,
}

/// One entitlement that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    pub entitlement: Entitlement,
    pub source: Source,
    pub rule: Rule,
    pub because: Because,
    /// The application's recipe marks it so.
    pub privileged: bool,
}

/// One entitlement that was asked for and not given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub entitlement: Entitlement,
    pub source: Source,
    pub rule: Rule,
    pub because: Because,
    pub why: SkipReason,
}

/// Why it was not given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The application does not have it.
    Absent,
    /// F4: privileged, and asked for by a claim, an unmarked row or a default.
    Privileged,
    /// F4, F6: a claim, or the invite of somebody who may not grant what is privileged, may name only what the
    /// application lists or the configuration names.
    Unlisted,
    /// F5: the claim named a team outside `assignable_teams`.
    NotAssignable,
    /// F5: the row's `when` could not be decided, so the row does not match.
    ConditionFailed { error: String },
}

/// What all sources gave together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitled {
    pub given: Vec<Given>,
    pub skipped: Vec<Skipped>,
    /// F5, `unknown_team = "create"`.
    pub teams_to_create: BTreeSet<String>,
    /// L7: what this identity is mapped to is not wholly known (a groups claim is absent or incomplete, a row's
    /// condition could not be decided), which is not the same as nothing: it takes nothing away.
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
pub enum Strictness<'a> {
    /// A first login: `unknown_role`, `unknown_team` and `default_role` decide, and may refuse. With what it was
    /// invited to.
    FirstLogin(Option<&'a Invited>),
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
    strictness: Strictness<'_>,
) -> Result<Entitled, ProvisionError> {
    let groups = sources::groups(identity, settings);
    let judged = rows::judge(identity, settings, &groups);
    let mut work = Work {
        identity,
        settings,
        features,
        names,
        first_login: matches!(strictness, Strictness::FirstLogin(_)),
        out: Entitled { groups_unknown: !groups.are_known(), ..Entitled::default() },
    };
    work.undecided(&judged);
    let rows: Vec<&Judged<'_>> = judged.iter().filter(|row| row.outcome == RowOutcome::Holds).collect();
    // F4: the invite's role goes first; F5: so do its teams, of two that name one.
    let invited_role = match strictness {
        Strictness::FirstLogin(Some(invited)) => work.invited(invited)?,
        Strictness::FirstLogin(None) | Strictness::LaterLogin => false,
    };
    let sso_role = invited_role || work.role_from_sso(&rows)?;
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

struct Work<'a> {
    identity: &'a Identity,
    settings: &'a Provisioning,
    features: &'a Features,
    names: &'a Names,
    first_login: bool,
    out: Entitled,
}

impl Work<'_> {
    /// F5: a row whose condition could not be decided gives nothing, and is told of. L7: nor does it take away.
    fn undecided(&mut self, judged: &[Judged<'_>]) {
        for one in judged {
            let RowOutcome::ConditionFailed { error } = &one.outcome else { continue };
            self.out.groups_unknown = true;
            for entitlement in promised(&one.row.gives) {
                let why = SkipReason::ConditionFailed { error: error.clone() };
                let rule = if matches!(entitlement, Entitlement::Role(_)) { Rule::F4 } else { Rule::F5 };
                self.skip(entitlement, Source::Sso, rule, because(one), why);
            }
        }
    }

    /// F4: the first value of `role_claim`, else the first row that matches. `false`: neither named one
    /// that can be given.
    fn role_from_sso(&mut self, rows: &[&Judged<'_>]) -> Result<bool, ProvisionError> {
        if !self.features.roles {
            return Ok(false);
        }
        let claimed = sources::claimed_role(self.identity, self.settings);
        let claimed = claimed.map(|(claim, role)| (role, Because::Claim(claim), false));
        let wanted = claimed.or_else(|| {
            rows.iter().find_map(|one| match &one.row.gives {
                MappingGives::Role(role) => Some((role.clone(), because(one), one.row.privileged)),
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
                (raw && !self.is_configured_as_ordinary(Kind::Role, &role)).then_some(SkipReason::Unlisted)
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

    fn is_configured_as_ordinary(&self, kind: Kind, name: &str) -> bool {
        configured_as_ordinary(self.settings, kind, name)
    }

    /// F6: why whoever may not grant what is privileged (`marked`: they may) does not give this.
    fn beyond_invite(&self, kind: Kind, name: &str, marked: bool) -> Option<SkipReason> {
        match self.standing(kind, name) {
            Standing::Ordinary => None,
            Standing::Privileged => (!marked).then_some(SkipReason::Privileged),
            Standing::Absent => Some(SkipReason::Absent),
            // SECURITY: as with claims.
            Standing::Unlisted => {
                (!marked && !self.is_configured_as_ordinary(kind, name)).then_some(SkipReason::Unlisted)
            }
        }
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
    fn owner(&mut self, groups: &Groups) {
        let owns = self.out.given.iter().any(|given| given.entitlement == Entitlement::Owner);
        if !self.features.owner || owns {
            return;
        }
        if let Some(group) = self.settings.owners_groups.iter().find(|group| groups.names.contains(*group)) {
            let because = Because::OwnersGroup(group.clone());
            self.give(Entitlement::Owner, Source::Sso, Rule::F5, because, true);
        }
    }

    /// F5: teams, application groups and permissions of the rows, in order.
    fn mapped(&mut self, rows: &[&Judged<'_>]) -> Result<(), ProvisionError> {
        for one in rows {
            let (because, marked) = (because(one), one.row.privileged);
            match &one.row.gives {
                MappingGives::Role(_) => {}
                MappingGives::Team { team, team_role } => {
                    self.team(team, team_role.as_deref(), Source::Sso, because, marked)?;
                }
                MappingGives::AppGroups(_) | MappingGives::Permission(_) => {
                    for entitlement in promised(&one.row.gives) {
                        self.plain(entitlement, Source::Sso, because.clone(), marked);
                    }
                }
            }
        }
        Ok(())
    }

    /// F5: `teams_claim`, within `assignable_teams`.
    fn claimed_teams(&mut self) -> Result<(), ProvisionError> {
        if !self.features.teams {
            return Ok(());
        }
        for (claim, name) in sources::claimed_teams(self.identity, self.settings) {
            let because = Because::Claim(claim);
            let (team, team_role) = match name.split_once("::") {
                Some((team, role)) if self.features.team_roles => (team, Some(role)),
                Some(_) | None => (name.as_str(), None),
            };
            if self.settings.assignable_teams.iter().any(|pattern| assignable(pattern, team)) {
                self.team(team, team_role, Source::Sso, because, false)?;
            } else {
                let entitlement =
                    Entitlement::Team { team: team.to_owned(), team_role: team_role.map(str::to_owned) };
                self.skip(entitlement, Source::Sso, Rule::F5, because, SkipReason::NotAssignable);
            }
        }
        Ok(())
    }

    /// F3: only where nothing else gave anything real; a default role is not counted.
    fn onboarding(&mut self) -> Result<(), ProvisionError> {
        if self.out.given.iter().any(|given| matches!(given.source, Source::Sso | Source::Invite)) {
            return Ok(());
        }
        for team in &self.settings.onboarding.teams {
            self.team(team, None, Source::Onboarding, Because::Onboarding, false)?;
        }
        for group in &self.settings.onboarding.app_groups {
            let group = Entitlement::AppGroup(group.clone());
            self.plain(group, Source::Onboarding, Because::Onboarding, false);
        }
        Ok(())
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

/// What a row would give.
#[must_use]
pub fn promised(gives: &MappingGives) -> Vec<Entitlement> {
    match gives {
        MappingGives::Role(role) => vec![Entitlement::Role(role.clone())],
        MappingGives::Team { team, team_role } => {
            vec![Entitlement::Team { team: team.clone(), team_role: team_role.clone() }]
        }
        MappingGives::AppGroups(groups) => groups.iter().cloned().map(Entitlement::AppGroup).collect(),
        MappingGives::Permission(permission) => vec![Entitlement::Permission(permission.clone())],
    }
}

fn because(one: &Judged<'_>) -> Because {
    Because::Row { position: one.position, group: one.row.group.clone() }
}

fn rule_of(source: Source) -> Rule {
    match source {
        Source::Onboarding => Rule::F3,
        Source::Invite => Rule::F6,
        Source::Sso | Source::Default | Source::Console | Source::Scim => Rule::F5,
    }
}

/// Exact, or everything below a `prefix/`.
pub(super) fn assignable(pattern: &str, team: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(prefix) => team
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|below| !below.is_empty()),
        None => pattern == team,
    }
}
