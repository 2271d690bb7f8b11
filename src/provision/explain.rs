//! What a sign-in does, or would do, as one value (X1): each decision, every entitlement with its source and rule,
//! what was left out and why, the plan operation by operation, the session with its headers.
//!
//! `narthex explain`, the record of a real sign-in and the report of shadow mode (M6) are this same value; the stage
//! fills it in with what it decided by, so that what is shown is what runs.

use serde::{Deserialize, Serialize};

use crate::config::settings::Provisioning;
use crate::model::{Account, AccountProfile, Entitlements, Grant, Identity, IdpId, Subject, UnixTime};

use super::ProvisionError;
use super::eligibility::{self, Authority, IdentityEmail};
use super::entitle::{Entitled, Entitlement, promised};
use super::plan::{Operation, Plan, changed, updated};
use super::provisioner::How;
use super::resolve::Wanted;
use super::rows::{self, RowOutcome};
use super::sources::{self, GroupsUnknown};

/// One sign-in, explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub at: UnixTime,
    pub idp: IdpId,
    pub subject: Subject,
    /// F1; `None`: none came, or none that may count.
    pub email: Option<IdentityEmail>,
    pub groups: KnownGroups,
    /// F5: every mapping row, in order.
    pub rows: Vec<ExplainedRow>,
    /// What there was of this person before.
    pub found: Found,
    /// F2 to F5: the account that a first login should end with.
    pub wanted: Option<Wanted>,
    /// L2: what the identity provider gives, for the session.
    pub session: Option<Entitled>,
    /// Every write to the application, in order.
    pub plan: Plan,
    /// G3: how much would have been taken away, and waits.
    #[serde(default)]
    pub paused: u32,
    pub ending: Ending,
    /// Nothing of it was done: it says what a sign-in would do.
    pub rehearsed: bool,
}

/// L7. Names are not kept: the rows tell which of them count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGroups {
    pub known: usize,
    pub unknown: Vec<GroupsUnknown>,
}

/// One mapping row, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRow {
    /// From 0.
    pub position: usize,
    pub group: Option<String>,
    pub label: Option<String>,
    pub when: Option<String>,
    pub gives: Vec<Entitlement>,
    pub outcome: RowOutcome,
}

/// What there was of a person before the sign-in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It did not come to that.
    #[default]
    NotLooked,
    /// Neither member nor account.
    Nothing,
    /// An account that an unfinished attempt of narthex's made (F9).
    Unfinished(Box<Account>),
    /// An account that is no member's (F7).
    Existing(Box<Account>),
    /// A member, with the account.
    Member(Box<Account>),
}

impl Found {
    /// The account, where there was one.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::NotLooked | Self::Nothing => None,
            Self::Unfinished(account) | Self::Existing(account) | Self::Member(account) => Some(account),
        }
    }
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A session with an account.
    Admitted(Box<Admitted>),
    /// M3: a session without.
    WithoutAccount {
        headers: Vec<(String, String)>,
    },
    Refused(Refusal),
}

/// See [`Ending::Admitted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Admitted {
    pub how: How,
    pub profile: AccountProfile,
    /// What the account holds then (the baseline).
    pub holds: Entitlements,
    pub grant: Grant,
    /// What the application gets with every request.
    pub headers: Vec<(String, String)>,
}

/// Why nobody came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`ProvisionError::code`].
    pub code: String,
    /// As PROVISIONING.md numbers it, where one rule decided.
    pub rule: Option<String>,
    pub message: String,
    /// Who has to act.
    pub fault: String,
    /// The same identity may succeed in a while.
    pub retryable: bool,
}

impl From<&ProvisionError> for Refusal {
    fn from(error: &ProvisionError) -> Self {
        let message = error.to_string();
        Self {
            code: error.code().to_owned(),
            rule: rule_of(&message),
            message,
            fault: error.fault().as_str().to_owned(),
            retryable: error.retryable(),
        }
    }
}

/// Every variant's text begins with its rule.
fn rule_of(message: &str) -> Option<String> {
    let (rule, _) = message.split_once(": ")?;
    let mut chars = rule.chars();
    let letter = chars.next()?;
    let numbered = !chars.as_str().is_empty() && chars.all(|c| c.is_ascii_digit());
    (letter.is_ascii_uppercase() && numbered).then(|| rule.to_owned())
}

/// What one sign-in wrote and why, handed on by those who did it.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub found: Found,
    pub wanted: Option<Box<Wanted>>,
    /// Writes that were made, in order.
    pub done: Vec<Operation>,
    /// G3: how much was not taken away, and waits.
    pub paused: u32,
}

impl Story {
    /// A member's, whose account was left as it was.
    #[must_use]
    pub fn of_member(account: &Account) -> Self {
        Self { found: Found::Member(Box::new(account.clone())), ..Self::default() }
    }
}

impl Explanation {
    /// What follows from identity and settings alone.
    #[must_use]
    pub fn begin(identity: &Identity, settings: &Provisioning, authority: &Authority, at: UnixTime) -> Self {
        let groups = sources::groups(identity, settings);
        let rows = rows::judge(identity, settings, &groups).into_iter().map(|judged| ExplainedRow {
            position: judged.position,
            group: judged.row.group.clone(),
            label: judged.row.label.clone(),
            when: judged.row.when.as_ref().map(|condition| condition.source().to_owned()),
            gives: promised(&judged.row.gives),
            outcome: judged.outcome,
        });
        let never = Refusal {
            code: "interrupted".to_owned(),
            rule: None,
            message: "it did not come to an end".to_owned(),
            fault: "narthex".to_owned(),
            retryable: true,
        };
        Self {
            at,
            idp: identity.idp.clone(),
            subject: identity.subject.clone(),
            email: eligibility::admit(identity, settings, authority).ok().flatten(),
            rows: rows.collect(),
            groups: KnownGroups { known: groups.names.len(), unknown: groups.unknown },
            found: Found::default(),
            wanted: None,
            session: None,
            plan: Plan::default(),
            paused: 0,
            ending: Ending::Refused(never),
            rehearsed: false,
        }
    }

    /// Takes over what those who did it tell.
    pub fn tell(&mut self, story: Story) {
        self.found = story.found;
        self.wanted = story.wanted.map(|wanted| *wanted);
        self.plan = Plan { operations: story.done };
        self.paused = story.paused;
    }

    /// What it comes to, for a report.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let before = self.found.account();
        let held = before.map(|account| account.entitlements.clone()).unwrap_or_default();
        let (outcome, profile, holds) = match &self.ending {
            Ending::Admitted(admitted) => (admitted.how.code(), Some(&admitted.profile), &admitted.holds),
            Ending::WithoutAccount { .. } => ("forwarded", None, &held),
            Ending::Refused(_) => ("refused", None, &held),
        };
        let username = profile
            .or_else(|| self.wanted.as_ref().map(|wanted| &wanted.profile.profile))
            .or_else(|| before.map(|account| &account.profile))
            .map(|profile| profile.username.clone());
        Summary {
            outcome: outcome.to_owned(),
            username,
            email: self.email.as_ref().map(|email| email.address.to_string()),
            gains: gains(&held, holds),
            loses: gains(holds, &held),
            refusal: match &self.ending {
                Ending::Refused(refusal) => Some(refusal.clone()),
                Ending::Admitted(_) | Ending::WithoutAccount { .. } => None,
            },
        }
    }
}

/// What a sign-in comes to: who is created, adopted or refused, and who gains or loses what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// [`How::code`], `forwarded` or `refused`.
    pub outcome: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub gains: Vec<Entitlement>,
    pub loses: Vec<Entitlement>,
    pub refusal: Option<Refusal>,
}

/// What `after` has that `before` has not.
fn gains(before: &Entitlements, after: &Entitlements) -> Vec<Entitlement> {
    let mut all = Vec::new();
    if let Some(role) = after.role.as_ref().filter(|role| before.role.as_ref() != Some(role)) {
        all.push(Entitlement::Role(role.clone()));
    }
    for (team, team_role) in &after.teams {
        // A role that nobody asked for is the application's own choice.
        let same = match before.teams.get(team) {
            Some(held) => held == team_role,
            None => false,
        };
        if !same {
            all.push(Entitlement::Team { team: team.clone(), team_role: team_role.clone() });
        }
    }
    all.extend(after.app_groups.difference(&before.app_groups).cloned().map(Entitlement::AppGroup));
    all.extend(after.permissions.difference(&before.permissions).cloned().map(Entitlement::Permission));
    if after.owner && !before.owner {
        all.push(Entitlement::Owner);
    }
    all
}

/// The account as it will be when `plan` was carried out on what was `found`.
#[must_use]
pub fn expected(plan: &Plan, found: Option<&Account>) -> Option<(AccountProfile, Entitlements)> {
    let start = found.cloned();
    let end = plan.operations.iter().fold(start, |account, operation| match operation {
        Operation::CreateTeam(_) => account,
        Operation::Create { profile, role } => Some(Account {
            id: crate::model::AccountId(UNBORN.to_owned()),
            profile: (**profile).clone(),
            active: true,
            privileged: false,
            entitlements: Entitlements { role: role.clone(), ..Entitlements::default() },
        }),
        Operation::Entitle(change) => account.map(|account| changed(account, change)),
        Operation::Update(fields) => account.map(|account| updated(account, fields)),
        Operation::Reactivate => account.map(|account| Account { active: true, ..account }),
    })?;
    Some((end.profile, end.entitlements))
}

/// Stands for what the application or narthex will only know when the account is made.
pub const UNBORN: &str = "(known when it is made)";
