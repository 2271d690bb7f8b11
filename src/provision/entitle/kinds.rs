//! Giving one thing after the other: what an invite names (F6), teams, application groups and permissions (F5).

use super::{Because, Entitlement, Rule, SkipReason, Source, Work, rule_of};
use crate::config::settings::{UnknownRole, UnknownTeam};
use crate::provision::ProvisionError;
use crate::provision::connector::Kind;
use crate::provision::invites::Invited;
use crate::provision::names::Standing;

impl Work<'_> {
    /// F6: what the invite gives, as far as the administrator who made it may still give it. `true`: the role, too.
    pub(super) fn invited(&mut self, invited: &Invited) -> Result<bool, ProvisionError> {
        let because = || Because::Invite(invited.id);
        let marked = invited.may_be_privileged();
        let given = &invited.entitlements;
        let mut has_role = false;
        if let Some(role) = given.role.clone().filter(|_| self.features.roles) {
            let why = self.beyond_invite(Kind::Role, &role, marked);
            has_role = why.is_none();
            match why {
                None => {
                    let privileged = self.standing(Kind::Role, &role) == Standing::Privileged;
                    self.give(Entitlement::Role(role), Source::Invite, Rule::F6, because(), privileged);
                }
                Some(_) if self.settings.unknown_role == UnknownRole::Deny => {
                    return Err(ProvisionError::UnknownRole { role });
                }
                Some(why) => self.skip(Entitlement::Role(role), Source::Invite, Rule::F6, because(), why),
            }
        }
        if given.owner && self.features.owner {
            if marked {
                self.give(Entitlement::Owner, Source::Invite, Rule::F6, because(), true);
            } else {
                let why = SkipReason::Privileged;
                self.skip(Entitlement::Owner, Source::Invite, Rule::F6, because(), why);
            }
        }
        for (team, team_role) in &given.teams {
            self.team(team, team_role.as_deref(), Source::Invite, because(), marked)?;
        }
        let groups = given.app_groups.iter().cloned().map(Entitlement::AppGroup);
        for one in groups.chain(given.permissions.iter().cloned().map(Entitlement::Permission)) {
            self.plain(one, Source::Invite, because(), marked);
        }
        Ok(has_role)
    }

    /// F5: the first that names a team decides of it. `marked`: the row may give what is privileged (F4).
    pub(super) fn team(
        &mut self,
        team: &str,
        team_role: Option<&str>,
        source: Source,
        because: Because,
        marked: bool,
    ) -> Result<(), ProvisionError> {
        let rule = rule_of(source);
        let decided = |entitlement: &Entitlement| matches!(entitlement, Entitlement::Team { team: known, .. } if known == team);
        if !self.features.teams || self.out.given.iter().any(|given| decided(&given.entitlement)) {
            return Ok(());
        }
        let team_role = team_role.filter(|_| self.features.team_roles).map(str::to_owned);
        let entitlement = Entitlement::Team { team: team.to_owned(), team_role: team_role.clone() };
        let raw = matches!(because, Because::Claim(_));
        let unlisted = |kind, name: &str| {
            (source == Source::Invite).then(|| self.beyond_invite(kind, name, marked)).flatten()
        };
        let role_refused = team_role.as_ref().and_then(|role| match self.standing(Kind::TeamRole, role) {
            Standing::Ordinary => None,
            Standing::Privileged => (!marked).then_some(SkipReason::Privileged),
            Standing::Absent => Some(SkipReason::Absent),
            // SECURITY: as with roles: a claim cannot name what nothing says to be unprivileged.
            Standing::Unlisted if raw => Some(SkipReason::Unlisted),
            Standing::Unlisted => unlisted(Kind::TeamRole, role),
        });
        let mut create = false;
        let why = role_refused.or_else(|| match self.standing(Kind::Team, team) {
            Standing::Ordinary => None,
            Standing::Unlisted => unlisted(Kind::Team, team),
            Standing::Privileged => (!marked).then_some(SkipReason::Privileged),
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
                let of_role = team_role.as_ref().map(|role| self.standing(Kind::TeamRole, role));
                let known = [Some(self.standing(Kind::Team, team)), of_role];
                let privileged = counts_as_privileged(source, marked, known);
                self.give(entitlement, source, rule, because, privileged);
            }
            Some(_) if self.first_login && self.settings.unknown_team == UnknownTeam::Deny => {
                return Err(ProvisionError::UnknownTeam { team: team.to_owned() });
            }
            Some(why) => self.skip(entitlement, source, rule, because, why),
        }
        Ok(())
    }

    /// An application group or permission: given where the application has it.
    pub(super) fn plain(&mut self, entitlement: Entitlement, source: Source, because: Because, marked: bool) {
        let (kind, has_kind, name) = match &entitlement {
            Entitlement::AppGroup(name) => (Kind::AppGroup, self.features.app_groups, name),
            Entitlement::Permission(name) => (Kind::Permission, self.features.permissions, name),
            Entitlement::Role(_) | Entitlement::Team { .. } | Entitlement::Owner => return,
        };
        if !has_kind || self.out.given.iter().any(|given| given.entitlement == entitlement) {
            return;
        }
        let rule = rule_of(source);
        let why = match self.standing(kind, name) {
            Standing::Unlisted if source == Source::Invite => self.beyond_invite(kind, name, marked),
            Standing::Ordinary | Standing::Unlisted => None,
            Standing::Privileged => (!marked).then_some(SkipReason::Privileged),
            Standing::Absent => Some(SkipReason::Absent),
        };
        match why {
            None => {
                let known = [Some(self.standing(kind, name)), None];
                let privileged = counts_as_privileged(source, marked, known);
                self.give(entitlement, source, rule, because, privileged);
            }
            Some(why) => self.skip(entitlement, source, rule, because, why),
        }
    }
}

/// What an administrator marked as privileged in the mapping counts so even where the recipe does not know; but not
/// everything that an administrator invites to is privileged.
fn counts_as_privileged(source: Source, marked: bool, known: [Option<Standing>; 2]) -> bool {
    match source {
        Source::Invite => known.contains(&Some(Standing::Privileged)),
        Source::Sso | Source::Onboarding | Source::Default | Source::Console | Source::Scim => marked,
    }
}
