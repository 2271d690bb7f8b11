//! `[provisioning]`.

use super::{Meaning, Reported, below};
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{
    Mode, OnError, OnExisting, Onboarding, Provisioning, SessionRoles, TeamsClaim, UnknownRole, UnknownTeam,
    Unprovisioned,
};
use crate::provision::connector::{Features, Kind};

impl Meaning<'_> {
    pub(super) fn provisioning(&mut self, raw: &Raw, features: Option<&Features>) -> Option<Provisioning> {
        let written = raw.provisioning.as_ref()?;
        let mode = match written.mode? {
            raw::Mode::Off => Mode::Off,
            raw::Mode::Jit => Mode::Jit,
            raw::Mode::Scim => Mode::Scim,
        };
        self.mode(raw, mode, written);
        let claim = |this: &mut Self, names: &Option<raw::ClaimNames>, key: &str| match names {
            None => Ok(Vec::new()),
            Some(_) => this.claims(names.as_ref(), steps!["provisioning", key]).ok_or(Reported),
        };
        let default_role = self.default_role(written, mode, features);
        let role_claim = claim(self, &written.role_claim, "role_claim");
        let groups_claim = claim(self, &written.groups_claim, "groups_claim");
        let teams_claim = self.teams_claim(written);
        let assignable_teams = self.assignable_teams(written);
        let mapping = self.mapping(raw, written, features);
        let owners_groups =
            self.names(written.owners_groups.as_ref(), steps!["provisioning", "owners_groups"]);
        let onboarding = self.onboarding(written);
        let attributes = self.attributes(written, features);
        let allowed = self.allowed_email_domains(written);
        let protected =
            self.names(written.protected_accounts.as_ref(), steps!["provisioning", "protected_accounts"]);
        let lifecycle = self.lifecycle(written, features);
        let time_budget = self.duration(written.time_budget.as_ref(), steps!["provisioning", "time_budget"]);
        let call_timeout =
            self.duration(written.call_timeout.as_ref(), steps!["provisioning", "call_timeout"]);
        let connect_timeout =
            self.duration(written.connect_timeout.as_ref(), steps!["provisioning", "connect_timeout"]);
        if let Some(features) = features {
            self.kinds(written, features);
        }
        if allowed.is_some() {
            self.dead_settings(raw, written);
        }
        Some(Provisioning {
            mode,
            shadow: written.shadow?,
            unprovisioned: match written.unprovisioned? {
                raw::Unprovisioned::Deny => Unprovisioned::Deny,
                raw::Unprovisioned::Forward => Unprovisioned::Forward,
            },
            default_role: default_role.ok()?,
            role_claim: role_claim.ok()?,
            groups_claim: groups_claim.ok()?,
            teams_claim: teams_claim.ok()?,
            assignable_teams: assignable_teams?,
            mapping: mapping?,
            owners_groups: owners_groups?,
            unknown_role: match written.unknown_role? {
                raw::UnknownRole::Default => UnknownRole::Default,
                raw::UnknownRole::Deny => UnknownRole::Deny,
            },
            unknown_team: match written.unknown_team? {
                raw::UnknownTeam::Skip => UnknownTeam::Skip,
                raw::UnknownTeam::Deny => UnknownTeam::Deny,
                raw::UnknownTeam::Create => UnknownTeam::Create,
            },
            onboarding: onboarding?,
            invite_allow_external: written.invite.as_ref()?.allow_external?,
            attributes: attributes?,
            allowed_email_domains: allowed?,
            on_existing: match written.on_existing? {
                raw::OnExisting::Adopt => OnExisting::Adopt,
                raw::OnExisting::Deny => OnExisting::Deny,
                raw::OnExisting::Ask => OnExisting::Ask,
            },
            on_error: match written.on_error? {
                raw::OnError::Deny => OnError::Deny,
                raw::OnError::Admit => OnError::Admit,
            },
            link_identities: written.link_identities?,
            match_username: written.match_username?,
            protected_accounts: protected?,
            session_roles: match written.session_roles? {
                raw::SessionRoles::Headers => SessionRoles::Headers,
                raw::SessionRoles::Borrow => SessionRoles::Borrow,
                raw::SessionRoles::Off => SessionRoles::Off,
            },
            lifecycle: lifecycle?,
            absent_groups_are_none: written.groups_absent? == raw::GroupsAbsent::None,
            time_budget: time_budget?,
            call_timeout: call_timeout?,
            connect_timeout: connect_timeout?,
        })
    }

    fn mode(&mut self, raw: &Raw, mode: Mode, written: &raw::Provisioning) {
        // SECURITY: a username is no proof (OIDC Core 5.7): one provider's people could take the accounts of
        // another's by calling themselves so.
        if written.match_username == Some(true) && raw.idp.as_ref().is_some_and(|idps| idps.len() > 1) {
            self.refuse(
                steps!["provisioning", "match_username"],
                "match_username needs a single [[idp]]: people of one could take accounts of another's by name",
                "leave it out, and let accounts be matched by verified e-mail",
            );
        }
        let at = steps!["provisioning", "mode"];
        if mode == Mode::Jit && raw.application.is_none() && !self.faulty(steps!["application"]) {
            let help = "add [application] with connector, url and credential, or write mode = \"off\"";
            self.refuse(at, "mode \"jit\" needs an [application] to make accounts in", help);
        }
        if written.on_error == Some(raw::OnError::Admit) {
            let at = steps!["provisioning", "on_error"];
            let help = "leave on_error out, or the other";
            if written.session_roles == Some(raw::SessionRoles::Borrow) {
                let message = "`on_error = \"admit\"` admits nobody: with session_roles = \"borrow\" the application must be reached at each sign-in (A2)";
                self.warn(at, message, help);
            } else if written.sync_removes == Some(raw::SyncRemoves::All) {
                let message = "`on_error = \"admit\"` admits nobody whose roles or teams are synced: with sync_removes = \"all\" any sign-in could take something away (A2)";
                self.warn(at, message, help);
            }
        }
        if mode == Mode::Off && written.shadow == Some(true) {
            let help = "write mode = \"jit\" to have sign-ins planned, or leave shadow out";
            self.warn(
                steps!["provisioning", "shadow"],
                "`shadow` has nothing to show: provisioning.mode is \"off\"",
                help,
            );
        }
        if mode == Mode::Scim && raw.application.is_none() && !self.faulty(steps!["application"]) {
            let help = "add [application] with connector, url and credential, or write mode = \"off\"";
            self.refuse(at, "mode \"scim\" needs an [application] to push accounts to", help);
        }
        if mode == Mode::Off && !self.faulty(at) {
            if raw.application.is_some() {
                let help = "write mode = \"jit\" in [provisioning] to have accounts made at the first login";
                self.warn(
                    steps!["application"],
                    "there is an [application], but provisioning.mode is \"off\"",
                    help,
                );
            } else if written.unprovisioned == Some(raw::Unprovisioned::Deny) {
                let message =
                    "provisioning.mode is \"off\" and unprovisioned is \"deny\": nobody new comes in";
                let help = "write unprovisioned = \"forward\" for sessions without accounts, or mode = \"jit\" with an [application]";
                self.warn(steps!["provisioning"], message, help);
            }
        }
    }

    fn default_role(
        &mut self,
        written: &raw::Provisioning,
        mode: Mode,
        features: Option<&Features>,
    ) -> Result<Option<String>, Reported> {
        let at = steps!["provisioning", "default_role"];
        let role = self.optional_name(written.default_role.as_ref(), at)?;
        let Some(features) = features else { return Ok(role) };
        let Some(name) = &role else {
            if mode != Mode::Off && features.roles && !self.faulty(at) {
                let names: Vec<&str> = features.fixed_roles.iter().map(|role| role.name.as_str()).collect();
                let help = if names.is_empty() {
                    "name the role of people who are given no other".to_owned()
                } else {
                    format!("name the role of people who are given no other; there is {}", names.join(", "))
                };
                let message =
                    format!("`provisioning.default_role` is missing, and {} has roles (F4)", features.title);
                self.refuse(steps!["provisioning"], message, help);
                return Err(Reported);
            }
            return Ok(role);
        };
        if !features.roles {
            self.lacks(at, features, "roles");
            return Err(Reported);
        }
        self.known_role(name, features, at).ok_or(Reported)?;
        if features.is_privileged(Kind::Role, name) {
            // SECURITY: F4. Whoever signs in first would be an administrator.
            let message =
                format!("`provisioning.default_role`: {name:?} is privileged, and would be everybody's");
            self.refuse(
                at,
                message,
                "name another, and give this one by a mapping row with privileged = true",
            );
            return Err(Reported);
        }
        Ok(role)
    }

    /// Where the connector knows all roles, the role must be one of them.
    pub(super) fn known_role(&mut self, name: &str, features: &Features, at: &[Step]) -> Option<()> {
        let names: Vec<&str> = features.fixed_roles.iter().map(|role| role.name.as_str()).collect();
        (names.is_empty() || self.one_of("role", name, &names, at)).then_some(())
    }

    pub(super) fn lacks(&mut self, at: &[Step], features: &Features, kind: &str) {
        let message = format!("{} has no {kind}", features.title);
        self.refuse(
            at,
            message,
            format!("leave this out; `narthex connector show {}` says what it has", features.name),
        );
    }

    fn teams_claim(&mut self, written: &raw::Provisioning) -> Result<Option<TeamsClaim>, Reported> {
        let Some(claim) = &written.teams_claim else { return Ok(None) };
        let names = self.claims(claim.claim.as_ref(), steps!["provisioning", "teams_claim", "claim"]);
        let at = steps!["provisioning", "teams_claim", "separator"];
        if claim.separator.as_ref().is_some_and(String::is_empty) {
            self.refuse(at, "`separator` is empty", "write the character between two teams, or leave it out");
            return Err(Reported);
        }
        if written.assignable_teams.as_ref().is_some_and(Vec::is_empty) {
            let help = "name the teams in assignable_teams: exact, or \"prefix/*\"";
            let message = "`teams_claim` gives nothing: `assignable_teams` allows no team";
            self.warn(steps!["provisioning", "teams_claim"], message, help);
        }
        let claim = TeamsClaim { claim: names.ok_or(Reported)?, separator: claim.separator.clone() };
        Ok(Some(claim))
    }

    fn assignable_teams(&mut self, written: &raw::Provisioning) -> Option<Vec<String>> {
        let at = steps!["provisioning", "assignable_teams"];
        let teams = self.names(written.assignable_teams.as_ref(), at)?;
        let mut sound = true;
        for (index, team) in teams.iter().enumerate() {
            let stem = team.strip_suffix("/*").unwrap_or(team);
            if stem.is_empty() || stem.contains('*') {
                let message = format!("`provisioning.assignable_teams`: {team:?} is no such pattern");
                self.refuse(&below(at, index), message, "write a team's whole name, or \"prefix/*\"");
                sound = false;
            }
        }
        sound.then_some(teams)
    }

    fn onboarding(&mut self, written: &raw::Provisioning) -> Option<Onboarding> {
        let onboarding = written.onboarding.as_ref()?;
        let teams = self.names(onboarding.teams.as_ref(), steps!["provisioning", "onboarding", "teams"]);
        let app_groups =
            self.names(onboarding.app_groups.as_ref(), steps!["provisioning", "onboarding", "app_groups"]);
        Some(Onboarding { teams: teams?, app_groups: app_groups? })
    }

    /// Settings for kinds of entitlements that the application does not have.
    fn kinds(&mut self, written: &raw::Provisioning, features: &Features) {
        let onboarding = written.onboarding.as_ref();
        let filled = |list: Option<&Vec<String>>| list.is_some_and(|list| !list.is_empty());
        let checks: [(bool, bool, &[&str], &str); 6] = [
            (written.role_claim.is_some(), features.roles, &["role_claim"], "roles"),
            (written.teams_claim.is_some(), features.teams, &["teams_claim"], "teams"),
            (filled(written.assignable_teams.as_ref()), features.teams, &["assignable_teams"], "teams"),
            (filled(written.owners_groups.as_ref()), features.owner, &["owners_groups"], "owner"),
            (
                filled(onboarding.and_then(|onboarding| onboarding.teams.as_ref())),
                features.teams,
                &["onboarding", "teams"],
                "teams",
            ),
            (
                filled(onboarding.and_then(|onboarding| onboarding.app_groups.as_ref())),
                features.app_groups,
                &["onboarding", "app_groups"],
                "application groups",
            ),
        ];
        for (used, has, keys, kind) in checks {
            if used && !has {
                let mut at = steps!["provisioning"].to_vec();
                at.extend(keys.iter().map(|key| Step::from(*key)));
                self.lacks(&at, features, kind);
            }
        }
        // SECURITY: F4. What everybody gets who was given nothing else may not be privileged.
        for (key, kind, names) in [
            ("teams", Kind::Team, onboarding.and_then(|onboarding| onboarding.teams.as_ref())),
            ("app_groups", Kind::AppGroup, onboarding.and_then(|onboarding| onboarding.app_groups.as_ref())),
        ] {
            for (index, name) in names.into_iter().flatten().enumerate() {
                if features.is_privileged(kind, name) {
                    let message = format!(
                        "{name:?} is privileged in {}, and would be every newcomer's",
                        features.title
                    );
                    let help = "give it by a mapping row with privileged = true (F4)";
                    self.refuse(steps!["provisioning", "onboarding", key, index], message, help);
                }
            }
        }
        if written.unknown_team == Some(raw::UnknownTeam::Create) && !features.can_create_team {
            let message = format!("narthex cannot make teams in {}", features.title);
            self.refuse(steps!["provisioning", "unknown_team"], message, "write \"skip\" or \"deny\"");
        }
    }

    fn allowed_email_domains(&mut self, written: &raw::Provisioning) -> Option<Vec<String>> {
        let texts = written.allowed_email_domains.as_ref()?;
        let mut domains = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let at = steps!["provisioning", "allowed_email_domains", index];
            let (stars, bare) = match text.strip_prefix("*.") {
                Some(bare) => ("*.", bare),
                None => ("", text.as_str()),
            };
            if text == "*" {
                self.refuse(
                    at,
                    "\"*\" restricts nothing",
                    "leave allowed_email_domains out to let any domain in",
                );
                continue;
            }
            domains.extend(self.domain(bare, at).map(|domain| format!("{stars}{domain}")));
        }
        (domains.len() == texts.len()).then_some(domains)
    }

    /// What can never have an effect.
    fn dead_settings(&mut self, raw: &Raw, written: &raw::Provisioning) {
        let vouched = raw.idp.iter().flatten().filter_map(raw::Idp::email_domains).flatten();
        let vouched: Vec<&str> = vouched.map(String::as_str).collect();
        if vouched.is_empty() || vouched.contains(&"*") {
            return;
        }
        for (index, allowed) in written.allowed_email_domains.iter().flatten().enumerate() {
            let reachable = match allowed.strip_prefix("*.") {
                Some(parent) => vouched.iter().any(|domain| {
                    domain
                        .to_lowercase()
                        .strip_suffix(&parent.to_lowercase())
                        .is_some_and(|rest| rest.ends_with('.'))
                }),
                None => vouched.iter().any(|domain| domain.eq_ignore_ascii_case(allowed)),
            };
            if !reachable {
                let message =
                    format!("nobody comes in by {allowed:?}: no identity provider's email_domains has it");
                let at = steps!["provisioning", "allowed_email_domains", index];
                self.warn(at, message, "add the domain to the identity provider that may speak for it");
            }
        }
    }
}
