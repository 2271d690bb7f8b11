//! A sign-in that came as far as provisioning, rule by rule.

use std::fmt::Write as _;

use super::printable;
use crate::model::{Entitlements, GrantSource};
use crate::provision::attributes::AttributeOrigin;
use crate::provision::connector::EntitlementChange;
use crate::provision::entitle::{Because, Entitled, Entitlement, SkipReason, Source};
use crate::provision::explain::{Ending, Explanation, Found};
use crate::provision::plan::Operation;
use crate::provision::rows::RowOutcome;
use crate::provision::sources::GroupsUnknown;

/// The whole as a text for people.
pub(super) fn told(explained: &Explanation) -> String {
    let mut text = String::new();
    let Explanation { at, idp, subject, .. } = explained;
    let tense = if explained.rehearsed { "what a sign-in would do" } else { "what this sign-in did" };
    let _ = writeln!(text, "{at}  {idp}  {}  ({tense})", subject.as_str());
    decisions(explained, &mut text);
    attributes(explained, &mut text);
    entitlements(explained, &mut text);
    rows(explained, &mut text);
    plan(explained, &mut text);
    ending(explained, &mut text);
    printable(&text)
}

fn decisions(explained: &Explanation, text: &mut String) {
    text.push('\n');
    let _ = match &explained.email {
        Some(email) => {
            let worth = if email.verified { "verified" } else { "not verified" };
            writeln!(text, "F1  e-mail {} from the claim `{}`, {worth}", email.address, email.claim)
        }
        None => writeln!(text, "F1  no e-mail address that counts"),
    };
    for unknown in &explained.groups.unknown {
        let what = match unknown {
            GroupsUnknown::NoClaimNamed => "no groups_claim is set, so no groups are known".to_owned(),
            GroupsUnknown::Absent(claim) => {
                format!("the claim `{claim}` did not come: groups are not known, which takes nothing away")
            }
            GroupsUnknown::Overage(claim) => {
                format!("there are more groups than were sent in `{claim}`: they are not known")
            }
        };
        let _ = writeln!(text, "L7  {what}");
    }
    if explained.groups.known > 0 {
        let _ = writeln!(text, "F5  {} groups are known", explained.groups.known);
    }
    let found = match &explained.found {
        Found::NotLooked => return,
        Found::Nothing => "F7  no account is there".to_owned(),
        Found::Unfinished(account) => {
            format!("F9  the account {} is an unfinished one of narthex's own", account.profile.username)
        }
        Found::Existing(account) => format!("F7  the account {} was there before", account.profile.username),
        Found::Member(account) => {
            format!("L1  a member, with the account {}; it is left as it is", account.profile.username)
        }
    };
    let _ = writeln!(text, "{found}");
}

fn attributes(explained: &Explanation, text: &mut String) {
    let Some(wanted) = &explained.wanted else { return };
    let profile = &wanted.profile.profile;
    text.push_str("\nF2  attributes\n");
    for (name, origin) in &wanted.profile.origins {
        let value = match name.as_str() {
            "username" => Some(profile.username.as_str()),
            "email" => profile.email.as_deref(),
            "display_name" => profile.display_name.as_deref(),
            other => profile.attributes.get(other).map(String::as_str),
        };
        let origin = match origin {
            AttributeOrigin::Claim(claim) => format!("claim `{claim}`"),
            AttributeOrigin::Constant => "constant".to_owned(),
            AttributeOrigin::Template => "template".to_owned(),
        };
        let _ = writeln!(text, "      {name:<14} {}  ({origin})", value.unwrap_or_default());
    }
}

fn entitlements(explained: &Explanation, text: &mut String) {
    // The same rows gave both; what only a first login gets (defaults, onboarding) stands in the first.
    let (title, entitled) = match (&explained.wanted, &explained.session) {
        (Some(wanted), _) => ("the account gets", &wanted.entitled),
        (None, Some(session)) => ("the identity provider gives, for this session", session),
        (None, None) => return,
    };
    let _ = writeln!(text, "\n    {title}");
    if entitled.given.is_empty() {
        text.push_str("      nothing\n");
    }
    for given in &entitled.given {
        let marked = if given.privileged { "  [privileged]" } else { "" };
        let because = because(&given.because, given.source);
        let _ = writeln!(text, "      {:?}  {}{marked}  ({because})", given.rule, said(&given.entitlement));
    }
    skipped(entitled, text);
}

fn skipped(entitled: &Entitled, text: &mut String) {
    if entitled.skipped.is_empty() {
        return;
    }
    text.push_str("    and does not get\n");
    for skipped in &entitled.skipped {
        let why = match &skipped.why {
            SkipReason::Absent => "the application does not have it".to_owned(),
            SkipReason::Privileged => {
                "it is privileged, which only a mapping row with privileged = true may give".to_owned()
            }
            SkipReason::Unlisted => {
                "nothing says that it is an ordinary one, and a claim may name only such".to_owned()
            }
            SkipReason::NotAssignable => "it is none of assignable_teams".to_owned(),
            SkipReason::ConditionFailed { error } => format!("its condition could not be decided: {error}"),
        };
        let because = because(&skipped.because, skipped.source);
        let _ =
            writeln!(text, "      {:?}  {}: {why}  ({because})", skipped.rule, said(&skipped.entitlement));
    }
}

fn rows(explained: &Explanation, text: &mut String) {
    let others: Vec<_> = explained.rows.iter().filter(|row| row.outcome != RowOutcome::Holds).collect();
    if others.is_empty() {
        return;
    }
    text.push_str("\nF5  mapping rows that do not count\n");
    for row in others {
        let why = match &row.outcome {
            RowOutcome::Holds => "counts".to_owned(),
            RowOutcome::OtherProvider => "it is for people of another identity provider".to_owned(),
            RowOutcome::NotInGroup => "not in this group".to_owned(),
            RowOutcome::GroupUnknown => "not known to be in this group (L7)".to_owned(),
            RowOutcome::ConditionFalse => "its condition is false".to_owned(),
            RowOutcome::ConditionFailed { error } => format!("its condition could not be decided: {error}"),
        };
        let group = row.group.as_deref().or(row.when.as_deref()).unwrap_or_default();
        let label = row.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
        let gives: Vec<String> = row.gives.iter().map(said).collect();
        let _ =
            writeln!(text, "      mapping[{}] {group}{label} -> {}: {why}", row.position, gives.join(", "));
    }
}

fn plan(explained: &Explanation, text: &mut String) {
    let title = if explained.rehearsed { "plan" } else { "done in the application" };
    let _ = writeln!(text, "\n    {title}");
    if explained.plan.operations.is_empty() {
        text.push_str("      nothing (L4)\n");
    }
    for (index, operation) in explained.plan.operations.iter().enumerate() {
        let what = match operation {
            Operation::CreateTeam(team) => format!("make the team {team}"),
            Operation::Create { profile, role } => {
                let email = profile.email.as_ref().map(|email| format!(" <{email}>")).unwrap_or_default();
                let role = role.as_ref().map(|role| format!(" with the role {role}")).unwrap_or_default();
                format!("create the account {}{email}{role}", profile.username)
            }
            Operation::Entitle(change) => changes(change),
            Operation::Update(fields) => {
                let mut names = vec![fields.username.clone()];
                names.extend(fields.email.clone());
                names.extend(fields.display_name.clone());
                names.extend(fields.attributes.iter().map(|(name, value)| format!("{name} = {value}")));
                format!("update the profile: {}", names.join(", "))
            }
            Operation::Reactivate => "reactivate the account (G4)".to_owned(),
        };
        let _ = writeln!(text, "      {}. {what}", index + 1);
    }
    if explained.paused > 0 {
        let _ = writeln!(
            text,
            "      {} to be taken away {} (max_removals, G3)",
            explained.paused,
            if explained.paused == 1 { "waits" } else { "wait" }
        );
    }
}

fn changes(change: &EntitlementChange) -> String {
    let mut parts = Vec::new();
    if let Some(role) = &change.role {
        parts.push(format!("set the role {role}"));
    }
    for (verb, which) in [("give", &change.add), ("take", &change.remove)] {
        if *which != Entitlements::default() {
            parts.push(format!("{verb} {}", held(which)));
        }
    }
    parts.join("; ")
}

fn ending(explained: &Explanation, text: &mut String) {
    let headers = match &explained.ending {
        Ending::Admitted(admitted) => {
            let source = match admitted.grant.source {
                GrantSource::Baseline => "the account's own",
                GrantSource::Session => "the identity provider's, for this session only (L2)",
                GrantSource::Borrowed => {
                    "the identity provider's, in the application too while the session lasts (L2)"
                }
            };
            let carried = held(&admitted.grant.entitlements);
            let _ = writeln!(text, "\n    the session carries  {carried}  ({source})");
            Some(&admitted.headers)
        }
        Ending::WithoutAccount { headers } => Some(headers),
        Ending::Refused(_) => None,
    };
    if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
        text.push_str("    headers\n");
        for (name, value) in headers {
            let _ = writeln!(text, "      {name}: {value}");
        }
    }
    let _ = match &explained.ending {
        Ending::Admitted(admitted) => {
            writeln!(text, "\n=>  comes in, account {}: {}", admitted.how.code(), admitted.profile.username)
        }
        Ending::WithoutAccount { .. } => writeln!(text, "\n=>  comes in without account (M3)"),
        Ending::Refused(refusal) => {
            writeln!(
                text,
                "\n=>  refused: {} (to act: {})\n    {}",
                refusal.code, refusal.fault, refusal.message
            )
        }
    };
}

fn because(because: &Because, source: Source) -> String {
    let why = match because {
        Because::Claim(claim) => format!("claim `{claim}`"),
        Because::Row { position, group: Some(group) } => format!("mapping[{position}], group {group}"),
        Because::Row { position, group: None } => format!("mapping[{position}], by its condition"),
        Because::OwnersGroup(group) => format!("owners_groups, group {group}"),
        Because::Invite(id) => format!("invite {id}"),
        Because::Onboarding => return "onboarding".to_owned(),
        Because::DefaultRole => return "default_role".to_owned(),
    };
    match source {
        Source::Invite => format!("invite: {why}"),
        Source::Sso => format!("sso: {why}"),
        Source::Onboarding | Source::Default => why,
        Source::Console => format!("console: {why}"),
        Source::Scim => format!("scim: {why}"),
    }
}

/// One entitlement in words.
pub(in crate::cli) fn said(entitlement: &Entitlement) -> String {
    match entitlement {
        Entitlement::Role(role) => format!("role {role}"),
        Entitlement::Team { team, team_role: None } => format!("team {team}"),
        Entitlement::Team { team, team_role: Some(role) } => format!("team {team} as {role}"),
        Entitlement::AppGroup(group) => format!("group {group}"),
        Entitlement::Permission(permission) => format!("permission {permission}"),
        Entitlement::Owner => "ownership".to_owned(),
    }
}

fn held(entitlements: &Entitlements) -> String {
    let mut all: Vec<Entitlement> = entitlements.role.iter().cloned().map(Entitlement::Role).collect();
    let team = |(team, role): (&String, &Option<String>)| Entitlement::Team {
        team: team.clone(),
        team_role: role.clone(),
    };
    all.extend(entitlements.teams.iter().map(team));
    all.extend(entitlements.app_groups.iter().cloned().map(Entitlement::AppGroup));
    all.extend(entitlements.permissions.iter().cloned().map(Entitlement::Permission));
    if entitlements.owner {
        all.push(Entitlement::Owner);
    }
    let all: Vec<String> = all.iter().map(said).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}
