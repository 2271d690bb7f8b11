//! A member's account brought to where it should be, by whoever has the right to work on it: a sign-in or a job.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::{Mode, SessionRoles};
use crate::model::{
    Account, AccountProfile, AccountState, Entitlements, Grant, GrantSource, Identity, Leaving, Ledger,
    Loans, Member,
};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::{OnUpdate, Standing, StandingSession};

use super::connector::{Connector, ConnectorError, EntitlementChange};
use super::existing::same_name;
use super::fate::is_ephemeral;
use super::faults::fault_point;
use super::grant::grant;
use super::leases::LANDING;
use super::loans::{self, Baseline};
use super::plan::{Operation, Plan, changed, updated};
use super::provisioner::Core;
use super::resolve::Resolved;
use super::settlement::{Settlement, settlement};
use super::sync::{self, Durable, Removals, Wish};
use super::{ProvisionError, measures};

/// G3 counts within this.
pub(super) const REMOVALS_WITHIN: Duration = Duration::from_hours(1);

/// What one sign-in makes of a member's account: all of it pure, so that nothing differs means nothing is written (L4).
#[derive(Debug)]
pub(super) struct Appraisal {
    baseline: Baseline,
    durable: Option<Durable>,
    settlement: Settlement,
    /// What is written to the application, in order.
    pub(super) plan: Plan,
    pub(super) grant: Grant,
}

/// A member's account that was made to fit a sign-in.
pub(super) struct Fitted {
    pub(super) member: Member,
    pub(super) account: Account,
    pub(super) grant: Grant,
    pub(super) done: Plan,
    /// G3: how much waits.
    pub(super) paused: u32,
}

impl Appraisal {
    /// Whether the account and the record of it are as they should be.
    pub(super) fn is_settled(&self, member: &Member) -> bool {
        self.plan.operations.is_empty()
            && self.settlement.before(member).is_none()
            && self.settlement.after(member).is_none()
    }

    pub(super) fn removals(&self) -> u32 {
        let removed = self.durable.as_ref().map_or(0, |durable| durable.removed.len());
        u32::try_from(removed).unwrap_or(u32::MAX)
    }
}

impl Core {
    /// Whether a later sign-in may change the account at all (L1).
    pub(super) fn adjusts(&self) -> bool {
        self.settings.mode == Mode::Jit
            && (self.settings.session_roles == SessionRoles::Borrow || self.syncs())
    }

    /// M5: what one mode made stays as it is in another.
    fn syncs(&self) -> bool {
        self.settings.mode == Mode::Jit && !self.settings.lifecycle.sync.is_empty()
    }

    /// L2, L3.
    pub(super) fn appraise(
        &self,
        identity: &Identity,
        member: &Member,
        account: &Account,
        resolved: &Resolved,
        removals: Removals,
    ) -> Appraisal {
        let settings = &self.settings;
        let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
        let privileged = account.privileged || account.entitlements.owner;
        let wish = Wish { identity, said: &resolved.session, settings, privileged };
        let durable = self.syncs().then(|| sync::durable(&baseline.items, &member.ledger, wish, removals));
        let beneath = durable.as_ref().map_or(&baseline.items, |durable| &durable.items);
        let beneath: Entitlements = beneath.clone().into_iter().collect();
        let grant = grant(&beneath, &resolved.session, settings.session_roles);
        let carried = (grant.source == GrantSource::Borrowed).then_some(&grant.entitlements);
        let settlement = settlement(&account.entitlements, member, &baseline, durable.as_ref(), carried);
        let profile = resolved.profile.as_ref().filter(|_| self.syncs());
        let profile = profile.and_then(|wanted| sync::profile(&account.profile, &wanted.profile, settings));
        let given =
            |team: &String| settlement.changes.iter().any(|change| change.add.teams.contains_key(team));
        let teams = resolved.session.teams_to_create.iter().filter(|team| given(team));
        let changes = settlement.changes.iter().cloned().map(|change| Operation::Entitle(Box::new(change)));
        let operations = teams.cloned().map(Operation::CreateTeam).chain(changes);
        let operations =
            operations.chain(profile.map(|fields| Operation::Update(Box::new(fields)))).collect();
        Appraisal { baseline, durable, settlement, plan: Plan { operations }, grant }
    }

    /// Makes the account what this sign-in wants it to be.
    pub(super) async fn fit(
        &self,
        identity: &Identity,
        (mut member, holder): (Member, u64),
        mut account: Account,
        sessions: &[StandingSession],
        deadline: Instant,
    ) -> Result<Fitted, ProvisionError> {
        let resolved = self.resolved(identity, Some(&member), deadline).await?;
        let mut appraisal = self.appraise(identity, &member, &account, &resolved, Removals::Allowed);
        let now = self.platform.clock.now();
        let (removals, max) = (appraisal.removals(), self.settings.lifecycle.max_removals);
        let mut paused = 0;
        if removals > 0 && !self.store.take_removals(removals, now, REMOVALS_WITHIN, max).await? {
            self.report_paused(&member, "sync", removals);
            paused = removals;
            appraisal = self.appraise(identity, &member, &account, &resolved, Removals::Paused);
        }
        self.report_overridden(&member, &appraisal.baseline);
        let Appraisal { settlement, plan, grant, .. } = appraisal;
        // L2: nobody keeps a session that the new one's role would elevate.
        let borrows = self.settings.session_roles == SessionRoles::Borrow;
        let differs = |session: &StandingSession| session.grant.entitlements != grant.entitlements;
        let ending = if borrows && sessions.iter().any(differs) { OnUpdate::End } else { OnUpdate::Stay };
        let before = settlement.before(&member);
        if before.is_some() || ending == OnUpdate::End {
            let before = before.unwrap_or_else(|| member.clone());
            let settle_at = (!before.borrowed.is_empty()).then(|| now.after(LANDING));
            member = self.update(before, holder, ending, settle_at).await?;
        }
        fault_point!(self, LoansRecorded);
        let held = account.entitlements.clone();
        let (mut done, mut whole) = (Plan::default(), true);
        for operation in plan.operations {
            let before = account.clone();
            account = self.carry_out(&member, account, &operation, deadline).await?;
            // What a guard or the application stopped was not done.
            if before != account || matches!(operation, Operation::CreateTeam(_)) {
                done.operations.push(operation);
            } else {
                whole &= !matches!(operation, Operation::Entitle(_));
            }
        }
        // What a guard kept from going back is still lent, and what it kept from being taken still narthex's.
        if let Some(after) = settlement.after(&member).filter(|_| whole) {
            member = self.update(after, holder, OnUpdate::Stay, None).await?;
        }
        fault_point!(self, ChangesRecorded);
        if !settlement.changes.is_empty() {
            let borrowed = grant.source == GrantSource::Borrowed;
            let event = if borrowed { Event::RoleBorrowed } else { Event::AccountUpdated };
            let entry = Entry::new(event).about(&identity.idp, &identity.subject).member(member.id);
            self.audit.record(entry.account(&account).entitlements(&held, &account.entitlements));
        }
        Ok(Fitted { member, account, grant, done, paused })
    }

    async fn carry_out(
        &self,
        member: &Member,
        account: Account,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Account, ProvisionError> {
        match operation {
            Operation::CreateTeam(team) => {
                self.calls(self.guarded()?, deadline).create_team(team).await?;
                fault_point!(self, TeamMade);
                Ok(account)
            }
            Operation::Entitle(change) => {
                self.change(account, std::slice::from_ref(&**change), Guard::Skips, deadline).await
            }
            Operation::Update(fields) => self.update_profile(member, account, fields, deadline).await,
            // Not among what is planned for an account that is there and active.
            Operation::Create { .. } | Operation::Reactivate => Ok(account),
        }
    }

    /// L2: what was lent goes back, where it is still what narthex put there.
    pub(super) async fn restore(
        &self,
        member: Member,
        holder: u64,
        account: Option<Account>,
        deadline: Instant,
    ) -> Result<Member, ProvisionError> {
        let settlement = match &account {
            None => {
                Settlement { ledger: (member.ledger.clone(), member.ledger.clone()), ..Settlement::default() }
            }
            Some(account) => {
                let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
                self.report_overridden(&member, &baseline);
                settlement(&account.entitlements, &member, &baseline, None, None)
            }
        };
        let mut entry = Entry::new(Event::RoleRestored).member(member.id).field("rule", "L2");
        if let Some(account) = account {
            let before = account.entitlements.clone();
            let now = self.change(account, &settlement.changes, Guard::Stops, deadline).await?;
            entry = entry.account(&now).entitlements(&before, &now.entitlements);
        }
        let Some(after) = settlement.after(&member) else { return Ok(member) };
        let member = self.update(after, holder, OnUpdate::Stay, None).await?;
        fault_point!(self, ChangesRecorded);
        self.audit.record(entry);
        Ok(member)
    }

    /// Entitlements given and taken; the first thing that a guard or the application stops is the error.
    pub(super) async fn change_strictly(
        &self,
        account: Account,
        changes: &[EntitlementChange],
        deadline: Instant,
    ) -> Result<Account, ProvisionError> {
        self.change(account, changes, Guard::Stops, deadline).await
    }

    async fn change(
        &self,
        mut account: Account,
        changes: &[EntitlementChange],
        guard: Guard,
        deadline: Instant,
    ) -> Result<Account, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        for change in changes {
            match calls.patiently(|| connector.set_entitlements(&account, change)).await {
                Ok(()) => account = changed(account, change),
                Err(ConnectorError::Guarded { rule, what, .. }) if guard == Guard::Skips => {
                    let entry = Entry::new(Event::RemovalRefused).account(&account).field("rule", rule);
                    self.audit.record(entry.personal("what", &what));
                }
                Err(error) => return Err(error.into()),
            }
            fault_point!(self, EntitlementsChanged);
        }
        Ok(account)
    }

    async fn update_profile(
        &self,
        member: &Member,
        account: Account,
        fields: &AccountProfile,
        deadline: Instant,
    ) -> Result<Account, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        match calls.patiently(|| connector.update(&account, fields)).await {
            Ok(()) => {}
            // A name or e-mail that another account has, or an application that cannot: the person comes in as
            // before.
            Err(
                error @ (ConnectorError::Conflict { .. }
                | ConnectorError::Guarded { .. }
                | ConnectorError::Unsupported { .. }),
            ) => {
                let entry = Entry::new(Event::ProfileKept).member(member.id).account(&account);
                self.audit.record(entry.personal("reason", &error.to_string()));
                return Ok(account);
            }
            Err(error) => return Err(error.into()),
        }
        fault_point!(self, ProfileUpdated);
        let now = updated(account.clone(), fields);
        self.audit.record(Entry::new(Event::AccountUpdated).member(member.id).before(&account).after(&now));
        Ok(now)
    }

    /// E1, E4, E6: the account goes. The decision is on record before the application hears of it, so that no session
    /// begins for an account that is about to go. `None`: a session came in between, and everything stays.
    pub(super) async fn leave(
        &self,
        standing: Standing,
        holder: u64,
        how: Leaving,
        deadline: Instant,
    ) -> Result<Option<Member>, ProvisionError> {
        let now = self.platform.clock.now();
        let mut member = standing.member;
        if member.account_state != AccountState::Leaving {
            let over = member.leaving.is_some() || member.ephemeral_until.is_some_and(|until| until <= now);
            let sessions = if over { OnUpdate::End } else { OnUpdate::MustBeNone { at: now } };
            let leaving = Member { account_state: AccountState::Leaving, ..member };
            member = match self.update(leaving, holder, sessions, None).await {
                Ok(member) => member,
                Err(ProvisionError::BusyElsewhere) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        fault_point!(self, LeavingRecorded);
        let account = self.account_of(&member, deadline).await?;
        fault_point!(self, LeaverFound);
        if let Some(account) = &account {
            self.is_still_theirs(&member, account)?;
        }
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        let gone = Member {
            leaving: None,
            ephemeral_until: None,
            borrowed: Loans::default(),
            ledger: Ledger::default(),
            account: None,
            account_state: AccountState::Deleted,
            ..member.clone()
        };
        let (left, event) = match (how, account) {
            (_, None) => (gone, Event::AccountVanished),
            (Leaving::Delete, Some(account)) => {
                match calls.patiently(|| connector.delete(&account)).await {
                    Ok(()) | Err(ConnectorError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                fault_point!(self, AccountDeleted);
                (gone, Event::AccountDeleted)
            }
            (Leaving::Deactivate, Some(account)) => {
                member = self.restore(member, holder, Some(account.clone()), deadline).await?;
                if account.active {
                    calls.patiently(|| connector.deactivate(&account)).await?;
                }
                fault_point!(self, AccountDeactivated);
                let account_state = AccountState::Deactivated;
                (Member { leaving: None, account_state, ..member.clone() }, Event::AccountDeactivated)
            }
        };
        let account = member.account.clone();
        let left = self.update(left, holder, OnUpdate::Stay, None).await?;
        fault_point!(self, LeftRecorded);
        let mut entry = Entry::new(event).member(left.id).field("generation", left.generation);
        entry = entry.field("ephemeral", is_ephemeral(&member)).personal("username", &left.username);
        if let Some(account) = account {
            entry = entry.personal("id", &account.0);
        }
        self.audit.record(entry);
        Ok(Some(left))
    }

    /// SECURITY: an application that gives a deleted account's id to the next one would have narthex delete that person's.
    pub(super) fn is_still_theirs(&self, member: &Member, account: &Account) -> Result<(), ProvisionError> {
        let features = self.guarded()?.features();
        let same_username = same_name(&member.username, &account.profile.username, features.username_case);
        let same_email = member.email.is_some() && member.email == account.profile.email;
        if same_username || same_email {
            return Ok(());
        }
        let (id, username) = (account.id.clone(), account.profile.username.clone());
        Err(ProvisionError::AccountIsAnothers { id, username })
    }
}

/// What becomes of a change that a guard of narthex's own stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// It is left out, and told of: a sign-in does not fail for it.
    Skips,
    Stops,
}

impl Core {
    /// G3: more than `max_removals` within an hour, so this one waits.
    pub(super) fn report_paused(&self, member: &Member, by: &'static str, removals: u32) {
        measures::removals_paused(by);
        let entry = Entry::new(Event::RemovalsPaused).member(member.id).field("rule", "G3");
        self.audit.record(entry.field("by", by).field("removals", removals));
    }

    /// L2: changed in the application while a session borrowed it; that stays.
    fn report_overridden(&self, member: &Member, baseline: &Baseline) {
        for item in &baseline.overridden {
            let entry = Entry::new(Event::RoleKept).member(member.id).field("rule", "L2");
            self.audit.record(entry.field("entitlement", Plain::name(&item.to_string())));
        }
    }
}
