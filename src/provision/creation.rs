//! A first login, from "no member" to a member with a whole account (F7, F9, F10), over all processes.
//!
//! The member is recorded last: until then the intent in the store (the username that is about to be
//! created) is what an interrupted attempt leaves behind. Whoever takes the lease next is told of it, looks
//! for the account of that name, compares it exactly, and goes on where the other stopped.

mod search;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::invite::InviteId;
use crate::model::{Account, AccountId, Case, Identity, IdpId, Member, Origin};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::{CreationIntent, CreationLease, Intended, OnUpdate};

use super::apply::{Calls, TRIES};
use super::cases::{Existing, Verdict};
use super::connector::{Connector, ConnectorError};
use super::explain::{Found, Story};
use super::faults::fault_point;
use super::guard::Guarded;
use super::leases::{FIRST_LOOK, LANDING, LAST_LOOK, MARGIN};
use super::members::Birth;
use super::plan::{Operation, Situation, plan};
use super::provisioner::{Core, How, Settled};
use super::resolve::Wanted;
use super::{ProvisionError, members};

/// E1: how long an unfinished creation is left to the person who may try again.
const UNTIL_CLEANED_UP: Duration = Duration::from_mins(1);

/// How old the intent of an unfinished creation may be, beyond the time budget, for an account of its name to count as
/// ours: as long as a person whose sign-in went wrong can resume it (A2, ten minutes), and half as long again.
///
/// SECURITY: the record has the name, not the account. Without a bound, an account that an administrator makes by hand
/// for the person who could not get in would count as narthex's own weeks later: it would get what it was never meant
/// to have, and be deleted with the session (E1). Beyond the bound it is what it looks like: an account that was there
/// before (F7).
const INTENT_HOLDS: Duration = Duration::from_mins(15);

/// A member whose account is gone, and who has the right to work on it.
type Vanished = (Member, u64);
/// What tells whether another process was faster.
type Former = Option<(Option<AccountId>, u32)>;

/// One attempt.
pub(super) struct Creation<'a> {
    core: &'a Arc<Core>,
    connector: &'a Guarded,
    identity: &'a Identity,
    deadline: Instant,
    holder: u64,
    /// The lease is ours.
    leased: bool,
    /// An account may exist of which no member tells.
    in_doubt: bool,
    /// F6: the invite that was consumed.
    invite: Option<InviteId>,
    /// F7: what an administrator decided, consumed.
    case: Option<Case>,
    /// What was found and done, for `explain`.
    story: Story,
}

/// What became of the call that creates.
enum Born {
    /// By this attempt, or an earlier one of ours.
    Ours(Box<Account>),
    /// It stands in the way.
    Conflict { excerpt: String },
}

impl<'a> Creation<'a> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        identity: &'a Identity,
        deadline: Instant,
    ) -> Result<Self, ProvisionError> {
        let holder = u64::from_be_bytes(core.platform.entropy.bytes()?);
        let connector = core.guarded()?;
        Ok(Self {
            core,
            connector,
            identity,
            deadline,
            holder,
            leased: false,
            in_doubt: false,
            invite: None,
            case: None,
            story: Story::default(),
        })
    }

    /// Until the person has a member with a whole account.
    pub(super) async fn run(self) -> Result<Settled, ProvisionError> {
        self.until_whole(None).await
    }

    /// Until the member, whose account is gone and whom `holder` has the right to work on, has another.
    pub(super) async fn again(self, member: Member, holder: u64) -> Result<Settled, ProvisionError> {
        self.until_whole(Some((member, holder))).await
    }

    async fn until_whole(mut self, vanished: Option<Vanished>) -> Result<Settled, ProvisionError> {
        let core = self.core;
        let result = core.in_time(self.deadline, Box::pin(self.attempt(vanished))).await;
        if self.leased {
            let Identity { idp, subject, .. } = self.identity;
            let keep_intent = result.is_err() && self.in_doubt;
            let gave_up = core.store.abandon_creation(idp, subject, self.holder, keep_intent).await;
            // The lease ends by itself; what was achieved is not taken back for that.
            if let Err(error) = gave_up {
                tracing::warn!(%error, "a creation lease could not be given up and runs out by itself");
            }
            fault_point!(core, CreationReleased);
        }
        result
    }

    async fn attempt(&mut self, vanished: Option<Vanished>) -> Result<Settled, ProvisionError> {
        let former = vanished.as_ref().map(|(member, _)| (member.account.clone(), member.generation));
        let Some(earlier_intent) = self.lease(former.clone()).await? else {
            return self.of_the_winner().await;
        };
        // What another process did between our first look and the lease.
        let Identity { idp, subject, .. } = self.identity;
        let member = self.core.store.find_member(idp, subject).await?;
        let now = member.as_ref().map(|member| (member.account.clone(), member.generation));
        if now != former {
            return self.of_the_winner().await;
        }
        fault_point!(self.core, CreationLeased);
        self.in_doubt = earlier_intent.is_some();
        self.create(vanished, earlier_intent).await
    }

    /// Takes the lease and gives the intent that it carries; `None`: another process did it meanwhile.
    async fn lease(&mut self, former: Former) -> Result<Option<Option<Intended>>, ProvisionError> {
        let Identity { idp, subject, .. } = self.identity;
        let store = &self.core.store;
        let mut look = FIRST_LOOK;
        loop {
            let now = self.core.platform.clock.now();
            let until = now.after(self.core.settings.time_budget + MARGIN);
            match store.begin_creation(idp, subject, self.holder, now, until).await? {
                CreationLease::Acquired { earlier_intent } => {
                    self.leased = true;
                    return Ok(Some(earlier_intent));
                }
                CreationLease::Busy { .. } => {}
            }
            if Instant::now() + look >= self.deadline {
                return Err(ProvisionError::BusyElsewhere);
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(LAST_LOOK);
            let member = store.find_member(idp, subject).await?;
            if member.map(|member| (member.account, member.generation)) != former {
                return Ok(None);
            }
        }
    }

    async fn of_the_winner(&self) -> Result<Settled, ProvisionError> {
        let Identity { idp, subject, .. } = self.identity;
        let member = self.core.store.find_member(idp, subject).await?;
        let member = member.ok_or(ProvisionError::BusyElsewhere)?;
        self.core.returning(member, self.identity, self.deadline).await
    }

    async fn create(
        &mut self,
        vanished: Option<Vanished>,
        earlier_intent: Option<Intended>,
    ) -> Result<Settled, ProvisionError> {
        let core = self.core;
        let earlier_intent = earlier_intent.filter(|intended| core.still_holds(intended));
        let resolved = core.resolved(self.identity, None, self.deadline).await?;
        let wanted = resolved.wanted.ok_or(ProvisionError::Interrupted)?;
        core.report_skipped(self.identity, &wanted.entitled.skipped);
        let profile = &wanted.profile.profile;
        core.not_protected(&wanted)?;
        self.story.wanted = Some(Box::new(wanted.clone()));
        let verified = wanted.email.as_ref().map(|email| email.address.to_string());
        self.is_admitted(&wanted).await?;
        let names: Vec<&str> = std::iter::once(profile.username.as_str())
            .chain(profile.email.as_deref())
            .chain(verified.as_deref())
            .collect();
        let _these_names_are_ours = core.name_locks.hold(&names).await;
        // F6: before anything that the invite gives is written.
        if let Some((id, revision)) = resolved.invited {
            core.claim_invite(self.identity, id, revision).await?;
            self.invite = Some(id);
        }

        if let Some(intended) = &earlier_intent
            && let Some(account) = self.ours(&intended.username, &wanted).await?
        {
            self.story.found = Found::Unfinished(Box::new(account.clone()));
            let account = self.complete(account, &wanted).await?;
            return self.finish(vanished, account, &wanted, How::Completed).await;
        }
        if let Some(existing) = self.existing(&wanted, vanished.is_some()).await? {
            return self.meet(vanished, existing, &wanted).await;
        }
        // F9: recorded after "not found" and before the call, so that a crash between them is known of.
        let Identity { idp, subject, .. } = self.identity;
        let clean_up_after = core.settings.time_budget + MARGIN + UNTIL_CLEANED_UP;
        let intent = CreationIntent {
            username: profile.username.clone(),
            email: profile.email.clone(),
            intended_at: core.platform.clock.now(),
            clean_up_at: core
                .settings
                .lifecycle
                .ephemeral
                .map(|_| core.platform.clock.now().after(clean_up_after)),
        };
        if !core.store.intend_creation(idp, subject, self.holder, &intent).await? {
            self.leased = false;
            return Err(ProvisionError::BusyElsewhere);
        }
        fault_point!(core, CreationIntended);
        self.in_doubt = true;
        self.story.found = Found::Nothing;
        let earlier = earlier_intent.is_some_and(|intended| intended.username == profile.username);
        match self.bear(&wanted, earlier).await? {
            Born::Ours(account) => {
                self.story.done.extend(creation(&wanted));
                fault_point!(core, AccountCreated);
                let account = self.complete(*account, &wanted).await?;
                let how = if vanished.is_some() { How::Recreated } else { How::Created };
                self.finish(vanished, account, &wanted, how).await
            }
            Born::Conflict { excerpt } => match self.existing(&wanted, vanished.is_some()).await? {
                Some(existing) => self.meet(vanished, existing, &wanted).await,
                None => Err(ProvisionError::UnexplainedConflict { excerpt }),
            },
        }
    }

    /// G6, at the beginning, and right before the person is on record: a block that came meanwhile counts.
    async fn is_admitted(&self, wanted: &Wanted) -> Result<(), ProvisionError> {
        let of_account = wanted.profile.profile.email.as_deref();
        self.core.email_is_admitted(self.identity, of_account).await?;
        let verified = wanted.email.as_ref().map(|email| email.address.to_string());
        self.core.email_is_admitted(self.identity, verified.as_deref()).await
    }

    /// Creates, exactly once: after any try whose outcome is not known it looks before it tries again.
    async fn bear(&mut self, wanted: &Wanted, earlier: bool) -> Result<Born, ProvisionError> {
        let profile = &wanted.profile.profile;
        let calls = self.calls();
        let role = creation(wanted).and_then(|operation| match operation {
            Operation::Create { role, .. } => role,
            Operation::CreateTeam(_)
            | Operation::Entitle(_)
            | Operation::Update(_)
            | Operation::Reactivate => None,
        });
        let mut may_be_ours = earlier;
        for tried in 1..=TRIES {
            let error = match self.connector.create(profile, role.as_deref()).await {
                Ok(account) => return plausible(account, wanted).map(Box::new).map(Born::Ours),
                Err(error) => error,
            };
            match &error {
                ConnectorError::Conflict { excerpt, .. } => {
                    // F9: a conflict that meets our own intent is our own create that timed out.
                    if may_be_ours && let Some(account) = self.ours(&profile.username, wanted).await? {
                        return Ok(Born::Ours(Box::new(account)));
                    }
                    self.in_doubt = false;
                    return Ok(Born::Conflict { excerpt: excerpt.clone() });
                }
                ConnectorError::Unreachable { sent: true, .. }
                | ConnectorError::Busy { .. }
                | ConnectorError::Unexpected { .. } => may_be_ours = true,
                ConnectorError::Refused { status, .. } if *status >= 500 => may_be_ours = true,
                // Nothing took effect.
                ConnectorError::Unreachable { sent: false, .. }
                | ConnectorError::NotFound { .. }
                | ConnectorError::NoSeats { .. }
                | ConnectorError::Credential { .. }
                | ConnectorError::Refused { .. }
                | ConnectorError::Unsendable { .. }
                | ConnectorError::Guarded { .. }
                | ConnectorError::Undecided { .. }
                | ConnectorError::LeftAlone { .. }
                | ConnectorError::Unsupported { .. } => {}
            }
            self.in_doubt = may_be_ours;
            let Some(pause) = calls.pause_after(&error, tried) else { return Err(error.into()) };
            tokio::time::sleep(pause).await;
            if may_be_ours && let Some(account) = self.ours(&profile.username, wanted).await? {
                return Ok(Born::Ours(Box::new(account)));
            }
        }
        Err(ProvisionError::Interrupted)
    }

    /// The roles, teams and so on that the account lacks yet (F10).
    async fn complete(&mut self, account: Account, wanted: &Wanted) -> Result<Account, ProvisionError> {
        let plan = plan(wanted, Situation::Ours(&account));
        let account = self.calls().complete(account, &plan).await?;
        self.story.done.extend(plan.operations);
        fault_point!(self.core, AccountCompleted);
        Ok(account)
    }

    /// F7, F8: an account that is there already.
    async fn meet(
        &mut self,
        vanished: Option<Vanished>,
        existing: Existing,
        wanted: &Wanted,
    ) -> Result<Settled, ProvisionError> {
        let Existing { account, holder, verdict } = existing;
        let core = self.core;
        let by = match verdict {
            Verdict::Ask(facts) => return Err(core.ask(self.identity, &account, facts).await?),
            Verdict::Adopt { by } | Verdict::Join { by } => by,
        };
        if let Some(case) = by {
            self.case = Some(core.claim_case(case).await?);
            fault_point!(core, CaseClaimed);
        }
        match holder {
            None => {
                self.story.found = Found::Existing(Box::new(account.clone()));
                self.finish(vanished, account, wanted, How::Adopted).await
            }
            Some(member) => {
                self.is_admitted(wanted).await?;
                self.join(member, account).await
            }
        }
    }

    /// F8: a further identity of a member; whatever its account needs is done as at any sign-in.
    async fn join(&mut self, member: Member, account: Account) -> Result<Settled, ProvisionError> {
        let core = self.core;
        let Identity { idp, subject, .. } = self.identity;
        if core.store.link_identity(member.id, idp, subject).await? {
            let mut entry = Entry::new(Event::MemberLinked).by_person(idp, subject).member(member.id);
            if let Some(case) = &self.case {
                entry = entry.field("case", Plain::name(&case.id.to_string()));
            }
            core.audit.record(entry.field("rule", "F8"));
        }
        fault_point!(core, IdentityLinked);
        // Another sign-in of the same person may have been faster, or the member is gone.
        let linked = core.store.find_member(idp, subject).await?.filter(|linked| linked.id == member.id);
        let linked = linked.ok_or(ProvisionError::BusyElsewhere)?;
        if let Some(case) = self.case.take() {
            core.finish_case(case, linked.id).await;
        }
        if let Some(id) = self.invite {
            core.finish_invite(self.identity, id, linked.id).await;
        }
        self.in_doubt = false;
        let mut story = std::mem::take(&mut self.story);
        story.found = Found::Member(Box::new(account));
        let fitted = core.returning(linked, self.identity, self.deadline).await?;
        story.done.extend(fitted.story.done);
        Ok(Settled { how: How::Linked, story, ..fitted })
    }

    /// Records the member; the last step, so that whoever finds a member finds a whole account.
    async fn finish(
        &mut self,
        vanished: Option<Vanished>,
        account: Account,
        wanted: &Wanted,
        how: How,
    ) -> Result<Settled, ProvisionError> {
        let core = self.core;
        if !account.active {
            return Err(ProvisionError::AccountDeactivated { username: account.profile.username });
        }
        self.is_admitted(wanted).await?;
        let now = core.platform.clock.now();
        let adopted = how == How::Adopted;
        let birth = Birth {
            account: &account,
            origin: match self.invite {
                _ if adopted && self.case.is_some() => Origin::Manual,
                _ if adopted => Origin::Adopted,
                Some(_) => Origin::Invite,
                None if self.identity.idp == IdpId::scim() => Origin::Scim,
                None => Origin::Jit,
            },
            entitled: (!adopted).then_some(&wanted.entitled),
            // E1: only what was made while it is on.
            ephemeral_until: core
                .settings
                .lifecycle
                .ephemeral
                .filter(|_| !adopted && self.invite.is_none())
                .map(|life| now.after(life)),
            now,
        };
        let landing_until = birth.ephemeral_until.map(|_| now.after(LANDING));
        let member = if let Some((member, holder)) = vanished {
            let member = members::with_new_account(member, &birth);
            // Sessions of the account that is gone.
            let member = core.update(member, holder, OnUpdate::End, landing_until).await?;
            fault_point!(core, AccountRenewed);
            member
        } else {
            let id = core.platform.entropy.member_id(now)?;
            let member = members::first(id, self.identity, &birth);
            match core.store.finish_creation(&member, self.holder, landing_until).await? {
                Ok(()) => self.leased = false,
                Err(other) if self.is_this_person(&other) && other.account.as_ref() == Some(&account.id) => {
                    return core.returning(other, self.identity, self.deadline).await;
                }
                Err(_) => {
                    self.in_doubt = false;
                    let username = account.profile.username;
                    return Err(ProvisionError::LinkedToAnotherMember { username });
                }
            }
            fault_point!(core, MemberRecorded);
            member
        };
        if let Some(id) = self.invite {
            core.finish_invite(self.identity, id, member.id).await;
        }
        let case = self.case.take();
        let event = match how {
            How::Created | How::Existing => Event::AccountCreated,
            How::Completed => Event::AccountCompleted,
            How::Adopted if case.is_some() => Event::MemberLinked,
            How::Adopted => Event::AccountAdopted,
            How::Linked | How::OnRecord => Event::MemberLinked,
            How::Recreated => Event::AccountRecreated,
        };
        let mut entry = Entry::new(event).about(&self.identity.idp, &self.identity.subject).member(member.id);
        if let Some(case) = case {
            entry = entry.field("case", Plain::name(&case.id.to_string()));
            core.finish_case(case, member.id).await;
        }
        core.audit.record(entry.after(&account).field("generation", member.generation));
        let story = std::mem::take(&mut self.story);
        Ok(Settled { member, account, grant: None, how, story })
    }

    fn is_this_person(&self, member: &Member) -> bool {
        let Identity { idp, subject, .. } = self.identity;
        member.identities.iter().any(|(known, of)| known == idp && of == subject)
    }

    fn calls(&self) -> Calls<'a> {
        self.core.calls(self.connector, self.deadline)
    }
}

impl Core {
    /// F9: whether what was intended then may still be what is found now.
    pub(super) fn still_holds(&self, intended: &Intended) -> bool {
        self.platform.clock.now() < intended.at.after(self.settings.time_budget + INTENT_HOLDS)
    }
}

/// The write that makes the account.
fn creation(wanted: &Wanted) -> Option<Operation> {
    let mut operations = plan(wanted, Situation::Absent).operations.into_iter();
    operations.find(|operation| matches!(operation, Operation::Create { .. }))
}

/// A4: what was created is what was asked for.
fn plausible(account: Account, wanted: &Wanted) -> Result<Account, ProvisionError> {
    let asked = &wanted.profile.profile.username;
    let got = &account.profile.username;
    if account.id.0.is_empty() {
        let what = format!("it created `{asked}` and gave no id");
        return Err(ProvisionError::Implausible { what });
    }
    // An application may fold the case of what it is given, but no more.
    if !got.eq_ignore_ascii_case(asked) {
        let what = format!("it was asked to create `{asked}` and gave `{got}`");
        return Err(ProvisionError::Implausible { what });
    }
    Ok(account)
}
