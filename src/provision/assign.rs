//! What an administrator gives to a member's account and takes from it by hand (E4): its role and teams.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::config::settings::Mode;
use crate::model::{Account, ConsoleRole, Entitlements, Facet, IdpId, Item, Items, Member, MemberId, Source};
use crate::store::{OnUpdate, StoreError};

use super::connector::{Connector, Features, Kind};
use super::entitle::configured_as_ordinary;
use super::leases::Lease;
use super::loans::{self, Baseline};
use super::names::{self, Names, Standing};
use super::provisioner::Core;
use super::settlement::settlement;
use super::sync::{self, Durable};
use super::{ProvisionError, Provisioner};

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The application-wide role.
    pub role: Option<String>,
    /// Team to the role within it, where one is named.
    pub add_teams: BTreeMap<String, Option<String>>,
    pub remove_teams: BTreeSet<String>,
    /// Whether the member's sessions end, so that none goes on with what it carried before.
    pub end_sessions: bool,
}

/// What was changed: of the account's own, without what a session borrows.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    pub member: Member,
    pub account: Account,
    pub before: Entitlements,
    pub after: Entitlements,
}

/// Nothing was changed, for this reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AssignError {
    /// L3.
    #[error("L3: {what} of this member cannot be changed by hand: {why}")]
    Synced { what: &'static str, why: &'static str },
    /// M6.
    #[error("M6: provisioning.shadow is on, so nothing is written to the application")]
    Shadow,
    #[error("this member has no account in the application at present: {why}")]
    NoAccount { why: &'static str },
    /// Somebody changed the member meanwhile.
    #[error("somebody changed the member meanwhile; its revision is {revision} now")]
    Changed { revision: u64 },
    #[error("the application has no {what} `{name}`")]
    Unknown { what: &'static str, name: String },
    #[error("`{team}` is to be added and removed")]
    AddedAndRemoved { team: String },
    /// Only who may give what is privileged, and take it.
    #[error(
        "an administrator is needed for {what}, which is privileged, or may be: what the application does not list is \
         ordinary only where the configuration says so"
    )]
    Privileged { what: String },
    #[error("nobody is removed from `{team}`, which is none of provisioning.managed_teams")]
    Unmanaged { team: String },
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}

impl From<StoreError> for AssignError {
    fn from(error: StoreError) -> Self {
        Self::Provision(error.into())
    }
}

impl Assignment {
    /// The names that it mentions, by kind, with the words for the kind.
    fn names(&self) -> Vec<(Kind, &'static str, &str)> {
        let role = self.role.iter().map(|role| (Kind::Role, "role", role.as_str()));
        let added = self.add_teams.keys().map(|team| (Kind::Team, "team", team.as_str()));
        let within = self.add_teams.values().flatten();
        let within = within.map(|role| (Kind::TeamRole, "role in a team", role.as_str()));
        role.chain(added).chain(within).collect()
    }

    /// What is held and would go: the role, and roles in teams, beside the teams that it names.
    fn replaced<'a>(&self, held: &'a Items) -> Vec<(Kind, &'static str, &'a str)> {
        let role = self.role.iter().filter_map(|role| {
            let held = held.get(&Item::Role)?;
            (held != role).then_some((Kind::Role, "role", held.as_str()))
        });
        let exchanged = self.add_teams.iter().filter_map(|(team, role)| Some((team, Some(role.as_ref()?))));
        let removed = self.remove_teams.iter().map(|team| (team, None));
        let within = exchanged.chain(removed).filter_map(|(team, role)| {
            let held = held.get(&Item::Team(team.clone())).filter(|held| !held.is_empty())?;
            (Some(held) != role).then_some((Kind::TeamRole, "role in a team", held.as_str()))
        });
        role.chain(within).collect()
    }

    /// What it touches, with the word for it.
    fn facets(&self) -> impl Iterator<Item = (Facet, &'static str)> {
        let role = self.role.is_some().then_some((Facet::Role, "the role"));
        let touches_teams = !self.add_teams.is_empty() || !self.remove_teams.is_empty();
        role.into_iter().chain(touches_teams.then_some((Facet::Teams, "the teams")))
    }

    /// What the account should durably hold.
    fn durable(&self, baseline: &Items) -> Durable {
        let mut durable = Durable { items: baseline.clone(), given: Vec::new(), removed: BTreeSet::new() };
        let role = self.role.iter().map(|role| (Item::Role, role.clone()));
        let teams = self.add_teams.iter().map(|(team, role)| {
            let item = Item::Team(team.clone());
            // A team that is given without a role leaves the one that is held.
            let held = || baseline.get(&item).cloned().unwrap_or_default();
            let value = role.clone().unwrap_or_else(held);
            (item, value)
        });
        for (item, value) in role.chain(teams) {
            durable.items.insert(item.clone(), value.clone());
            durable.given.push((item, value, Source::Console));
        }
        for team in &self.remove_teams {
            let item = Item::Team(team.clone());
            if durable.items.remove(&item).is_some() {
                durable.removed.insert(item);
            }
        }
        durable
    }
}

impl Provisioner {
    /// Changes role and teams of the member's account, in the application and in the ledger. What a session borrows
    /// stays with it (L2): where that ends, the account gets what was assigned. `expected`: the revision that the
    /// administrator saw. `by`: what they may do.
    ///
    /// # Errors
    /// [`AssignError`], one variant for each rule. The application's and the guards' refusals (G1, G2) are a
    /// [`ProvisionError::Connector`].
    pub async fn assign(
        &self,
        id: MemberId,
        expected: Option<u64>,
        assignment: &Assignment,
        by: ConsoleRole,
    ) -> Result<Assigned, AssignError> {
        let core = self.core();
        if core.settings.shadow {
            return Err(AssignError::Shadow);
        }
        let deadline = Instant::now() + core.settings.time_budget;
        let lease = core.hold(id, false, deadline).await?;
        let holder = lease.holder;
        let work = core.assigned(lease, expected, assignment, by, deadline);
        let seconds = core.settings.time_budget.as_secs();
        let result = tokio::time::timeout_at(deadline, work).await;
        core.release(id, holder).await;
        result.unwrap_or(Err(AssignError::Provision(ProvisionError::TimeBudget { seconds })))
    }
}

impl Core {
    async fn assigned(
        &self,
        lease: Lease,
        expected: Option<u64>,
        assignment: &Assignment,
        by: ConsoleRole,
        deadline: Instant,
    ) -> Result<Assigned, AssignError> {
        let Lease { holder, standing } = lease;
        let mut member = standing.member;
        if expected.is_some_and(|expected| expected != member.revision) {
            return Err(AssignError::Changed { revision: member.revision });
        }
        for (facet, what) in assignment.facets() {
            if let Some(why) = self.follows_the_provider(&member, facet) {
                return Err(AssignError::Synced { what, why });
            }
        }
        if member.present_account().is_none() || member.leaving.is_some() {
            return Err(AssignError::NoAccount { why: "it was deactivated or deleted, or is about to be" });
        }
        let account = self.account_of(&member, deadline).await?;
        let account = account.ok_or(AssignError::NoAccount { why: "it is gone from there" })?;
        self.is_still_theirs(&member, &account)?;
        let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
        self.may_assign(assignment, &account, &baseline, by, deadline).await?;

        let durable = assignment.durable(&baseline.items);
        let carried = still_borrowed(&account, &member, &durable.items);
        let held = &account.entitlements;
        let settlement = settlement(held, &member, &baseline, Some(&durable), carried.as_ref());
        // Before anything is on record that would then not be so.
        let connector = self.guarded()?;
        for change in &settlement.changes {
            connector.would_allow(&account, change).await.map_err(ProvisionError::from)?;
        }
        let ending = if assignment.end_sessions { OnUpdate::End } else { OnUpdate::Stay };
        let before = settlement.before(&member);
        if before.is_some() || ending == OnUpdate::End {
            let now = self.platform.clock.now();
            let settle_at = (ending == OnUpdate::End && !member.borrowed.is_empty()).then_some(now);
            let before = before.unwrap_or_else(|| member.clone());
            member = self.update(before, holder, ending, settle_at).await?;
        }
        let account = self.change_strictly(account, &settlement.changes, deadline).await?;
        if let Some(after) = settlement.after(&member) {
            member = self.update(after, holder, OnUpdate::Stay, None).await?;
        }
        let before = baseline.items.into_iter().collect();
        Ok(Assigned { member, account, before, after: durable.items.into_iter().collect() })
    }

    /// L3: why the identity provider, and not an administrator, decides on this facet; `None`: it does not.
    fn follows_the_provider(&self, member: &Member, facet: Facet) -> Option<&'static str> {
        let pushed = member.identities.iter().any(|(idp, _)| *idp == IdpId::scim());
        let signs_in = member.identities.iter().any(|(idp, _)| *idp != IdpId::scim());
        match self.settings.mode {
            Mode::Jit if signs_in && self.settings.lifecycle.sync.contains(&facet) => Some(
                "each sign-in makes it what the identity provider says (provisioning.sync); change it there, or take \
                 it out of provisioning.sync",
            ),
            Mode::Scim if pushed => {
                Some("the SCIM client says what it is, and would change it back; change it there")
            }
            Mode::Off | Mode::Jit | Mode::Scim => None,
        }
    }

    /// Whether all that is named is there, and `by` may do it.
    async fn may_assign(
        &self,
        assignment: &Assignment,
        account: &Account,
        baseline: &Baseline,
        by: ConsoleRole,
        deadline: Instant,
    ) -> Result<(), AssignError> {
        let features = self.guarded()?.features();
        let asked = assignment.names();
        let has = |kind| match kind {
            Kind::Role => features.roles,
            Kind::Team => features.teams,
            Kind::TeamRole => features.team_roles,
            Kind::AppGroup | Kind::Permission => false,
        };
        if let Some((_, what, name)) = asked.iter().find(|(kind, ..)| !has(*kind)) {
            return Err(AssignError::Unknown { what, name: (*name).to_owned() });
        }
        let mut kinds: BTreeSet<Kind> = asked.iter().map(|(kind, ..)| *kind).collect();
        let replaced = assignment.replaced(&baseline.items);
        kinds.extend(replaced.iter().map(|(kind, ..)| *kind).filter(|kind| has(*kind)));
        if !assignment.remove_teams.is_empty() {
            kinds.insert(Kind::Team);
        }
        let names = self.names_within(names::REFRESH_AT_MOST, &kinds, deadline).await?;
        let mut privileged = None;
        for (kind, what, name) in asked {
            let standing = standing(&names, features, kind, name);
            if standing == Standing::Absent {
                return Err(AssignError::Unknown { what, name: name.to_owned() });
            }
            if self.counts_as_privileged(standing, kind, name) {
                privileged = Some(format!("the {what} `{name}`"));
            }
        }
        for team in &assignment.remove_teams {
            if assignment.add_teams.contains_key(team) {
                return Err(AssignError::AddedAndRemoved { team: team.clone() });
            }
            if !sync::is_managed(&self.settings.lifecycle.managed_teams, team) {
                return Err(AssignError::Unmanaged { team: team.clone() });
            }
            let standing = standing(&names, features, Kind::Team, team);
            if self.counts_as_privileged(standing, Kind::Team, team) {
                privileged = Some(format!("the team `{team}`"));
            }
        }
        // SECURITY: whoever may not make administrators may not unmake them either.
        for (kind, what, name) in replaced.iter().filter(|(kind, ..)| has(*kind)) {
            let standing = standing(&names, features, *kind, name);
            if self.counts_as_privileged(standing, *kind, name) {
                privileged = Some(format!("the {what} `{name}`, which would be taken"));
            }
        }
        let other_role =
            assignment.role.is_some() && assignment.role.as_ref() != baseline.items.get(&Item::Role);
        if other_role && (account.privileged || account.entitlements.owner) {
            privileged = Some("the present role of this account".to_owned());
        }
        match privileged {
            Some(what) if !by.may_grant_privileged() => Err(AssignError::Privileged { what }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether only who may grant what is privileged gives and takes what stands so.
    fn counts_as_privileged(&self, standing: Standing, kind: Kind, name: &str) -> bool {
        match standing {
            Standing::Privileged => true,
            // SECURITY: what the application cannot list may be anything, unless the configuration names it as
            // ordinary; as with claims (F4) and invites (F6).
            Standing::Unlisted => !configured_as_ordinary(&self.settings, kind, name),
            Standing::Ordinary | Standing::Absent => false,
        }
    }
}

/// What is known of a name; where the application does not list it, from the recipe.
fn standing(names: &Names, features: &Features, kind: Kind, name: &str) -> Standing {
    match names.standing(kind, name) {
        Standing::Unlisted | Standing::Absent if features.is_privileged(kind, name) => Standing::Privileged,
        known => known,
    }
}

/// What the account holds while its sessions go on with what they borrowed (L2); `None`: nothing is lent.
fn still_borrowed(account: &Account, member: &Member, beneath: &Items) -> Option<Entitlements> {
    if member.borrowed.is_empty() {
        return None;
    }
    let held = account.entitlements.items();
    let mut carried = beneath.clone();
    for (item, loan) in &member.borrowed.0 {
        let now = held.get(item);
        if !loans::is_ours(item, loan, now) {
            continue;
        }
        match now {
            Some(value) => carried.insert(item.clone(), value.clone()),
            None => carried.remove(item),
        };
    }
    Some(carried.into_iter().collect())
}
