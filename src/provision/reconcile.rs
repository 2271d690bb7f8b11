//! Members compared with the application (issue 5, reconciliation): accounts that vanished, what narthex gave and
//! somebody took away, what sessions left borrowed, accounts that nobody claims.
//!
//! The application's accounts are not made to fit the records: under `create_only` what an account holds is its own (L1),
//! under sync the next sign-in sees to it. What is repaired is narthex's side: the record of an account that is gone, the
//! ledger, a loan that nobody gave back.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use crate::config::settings::Mode;
use crate::model::{
    Account, AccountId, AccountState, Facet, IdpId, Item, Ledger, Loans, Member, MemberId, MemberStatus,
};
use crate::observe::audit::{Entry, Event};
use crate::store::lists::MembersLike;
use crate::store::{OnUpdate, Standing};

use super::connector::{Connector, ConnectorError, FindBy};
use super::existing::{is_protected, same_name};
use super::fate::wanted_state;
use super::loans;
use super::provisioner::Core;
use super::settle::REMOVALS_WITHIN;
use super::{ProvisionError, Provisioner};

/// One way in which a member and its account do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// E5: the account is gone, and narthex did not delete it.
    Vanished,
    /// The application gave its id to somebody else's account.
    Anothers { username: String },
    /// G4: somebody deactivated it in the application.
    Deactivated,
    /// narthex deactivated it, and somebody has activated it again.
    ActiveAgain,
    /// narthex gave it, and somebody took it away or exchanged it.
    Lost { item: Item, given: String, held: Option<String>, at_next_login: bool },
    /// L2: lent to a session, and changed in the application since.
    Overridden { item: Item },
    /// L2: lent, and no session is left.
    LeftBorrowed { items: BTreeSet<Item> },
    /// It has another username or e-mail address than when it was last seen.
    Renamed { username: String, email: Option<String> },
    /// No member has this account.
    Unclaimed,
}

impl Drift {
    /// The word for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Anothers { .. } => "anothers",
            Self::Deactivated => "deactivated",
            Self::ActiveAgain => "active_again",
            Self::Lost { .. } => "lost",
            Self::Overridden { .. } => "overridden",
            Self::LeftBorrowed { .. } => "left_borrowed",
            Self::Renamed { .. } => "renamed",
            Self::Unclaimed => "unclaimed",
        }
    }

    /// Whether repairing it changes a record; the others are for people to look at.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        match self {
            Self::Vanished | Self::ActiveAgain | Self::LeftBorrowed { .. } | Self::Renamed { .. } => true,
            Self::Lost { at_next_login, .. } => !at_next_login,
            Self::Anothers { .. } | Self::Deactivated | Self::Overridden { .. } | Self::Unclaimed => false,
        }
    }

    /// What it is, and what becomes of it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Vanished => {
                "the account is gone from the application; the next sign-in goes by provisioning.on_missing"
                    .to_owned()
            }
            Self::Anothers { username } => format!(
                "the application's account of this id is `{username}` by now, with another address; nothing is done \
                 to it: if it is this person's, their next sign-in notes the new names; if not, erase the member"
            ),
            Self::Deactivated => {
                "the account was deactivated in the application, so its person is not let in".to_owned()
            }
            Self::ActiveAgain => {
                "narthex deactivated the account, and it was activated in the application since".to_owned()
            }
            Self::Lost { item, given, held, at_next_login } => {
                let given = if given.is_empty() { String::new() } else { format!(" `{given}`") };
                let held = match held {
                    Some(held) if !held.is_empty() => format!("is `{held}` now"),
                    Some(_) => "is another one now".to_owned(),
                    None => "is not there any more".to_owned(),
                };
                let then = if *at_next_login {
                    "the next sign-in makes it what the identity provider says"
                } else {
                    "the application's word counts, and narthex no longer takes it for its own gift"
                };
                format!("{item}{given}, which narthex gave, {held}; {then}")
            }
            Self::Overridden { item } => {
                format!(
                    "{item} was lent to a session and changed in the application since; that change stays"
                )
            }
            Self::LeftBorrowed { items } => {
                let items: Vec<String> = items.iter().map(Item::to_string).collect();
                format!("{} was lent to a session that is over, and not given back", items.join(", "))
            }
            Self::Renamed { username, .. } => format!("the account is called `{username}` now"),
            Self::Unclaimed => "no member has this account".to_owned(),
        }
    }
}

/// What became of a drift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: it was only looked, or it is nothing that is repaired.
    Reported,
    Repaired,
    /// G3: too many removals within an hour; it waits.
    Paused,
    /// Somebody works on the member; the next look finds out.
    Busy,
    /// A guard or the application stopped it.
    Failed(String),
}

/// One drift of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `None`: of an account that nobody claims.
    pub member: Option<MemberId>,
    pub account: Option<AccountId>,
    /// As narthex knows it; of an account that nobody claims, as the application does.
    pub username: String,
    pub drift: Drift,
    pub outcome: Outcome,
}

/// Some members that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    pub findings: Vec<Finding>,
    pub members: usize,
    /// The last one that was looked at, where there are more.
    pub next: Option<MemberId>,
}

/// Whether something is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mending {
    Reports,
    Repairs,
}

impl Provisioner {
    /// Looks at the accounts of at most `limit` members after `after`, one after the other: one look-up in the
    /// application for each that has an account, and a second one where something is repaired.
    ///
    /// # Errors
    /// Where the store or the application cannot be asked; what was repaired before stays so.
    pub async fn reconcile(
        &self,
        after: Option<MemberId>,
        limit: usize,
        mending: Mending,
    ) -> Result<Looked, ProvisionError> {
        let core = self.core();
        // M6: in shadow mode nothing is written.
        let mending = if core.settings.shadow { Mending::Reports } else { mending };
        let rows = core.store.list_members(&MembersLike::Everybody, after, limit.saturating_add(1)).await?;
        let mut looked = Looked::default();
        if rows.len() > limit {
            looked.next = rows.get(limit.saturating_sub(1)).map(|row| row.id);
        }
        for row in rows.into_iter().take(limit) {
            looked.findings.extend(core.reconciled(row.id, mending).await?);
            looked.members += 1;
        }
        Ok(looked)
    }

    /// Accounts that no member has, but for the connector's own and the protected ones; `None`: the application's
    /// connector cannot list accounts. They are never touched.
    ///
    /// # Errors
    /// As [`Provisioner::reconcile`].
    pub async fn unclaimed(&self) -> Result<Option<Vec<Finding>>, ProvisionError> {
        let core = self.core();
        let connector = core.guarded()?;
        let deadline = Instant::now() + core.settings.time_budget.saturating_mul(4);
        let calls = core.calls(connector, deadline);
        let all = match calls.patiently(|| connector.find(FindBy::Everybody)).await {
            Ok(all) => all,
            Err(ConnectorError::Unsupported { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let own = connector.own_account().await?.cloned();
        let protected = &core.settings.protected_accounts;
        let mut findings = Vec::new();
        for account in all {
            let Account { id, profile, .. } = account;
            if own.as_ref() == Some(&id)
                || is_protected(protected, &profile.username, profile.email.as_deref())
                || core.store.find_member_by_account(&id).await?.is_some()
            {
                continue;
            }
            findings.push(Finding {
                member: None,
                account: Some(id),
                username: profile.username,
                drift: Drift::Unclaimed,
                outcome: Outcome::Reported,
            });
        }
        Ok(Some(findings))
    }
}

impl Core {
    async fn reconciled(
        self: &Arc<Self>,
        id: MemberId,
        mending: Mending,
    ) -> Result<Vec<Finding>, ProvisionError> {
        let deadline = Instant::now() + self.settings.time_budget;
        let standing = self.store.standing(id, self.platform.clock.now()).await?;
        let Some(standing) = standing.filter(|standing| standing.member.account.is_some()) else {
            return Ok(Vec::new());
        };
        let account = self.in_time(deadline, self.account_of(&standing.member, deadline)).await?;
        let drifts = self.compared(&standing, account.as_ref())?;
        if drifts.is_empty() {
            return Ok(Vec::new());
        }
        let known = standing.member;
        let (drifts, outcome_of) = if mending == Mending::Repairs {
            self.repaired(known.clone(), drifts, deadline).await?
        } else {
            let all = drifts.iter().map(|_| Outcome::Reported).collect();
            (drifts, all)
        };
        let finding = |(drift, outcome)| Finding {
            member: Some(id),
            account: known.account.clone(),
            username: known.username.clone(),
            drift,
            outcome,
        };
        Ok(drifts.into_iter().zip(outcome_of).map(finding).collect())
    }

    fn compared(&self, standing: &Standing, account: Option<&Account>) -> Result<Vec<Drift>, ProvisionError> {
        let features = self.guarded()?.features();
        let case = features.username_case;
        let is_theirs = account.is_none_or(|account| {
            let member = &standing.member;
            same_name(&member.username, &account.profile.username, case)
                || member.email.is_some() && member.email == account.profile.email
        });
        let jit = self.settings.mode == Mode::Jit;
        let synced = if jit { self.settings.lifecycle.sync.clone() } else { BTreeSet::new() };
        Ok(compare(standing, account, is_theirs, &synced, self.platform.clock.now()))
    }

    /// Repairs what can be, from what is there once nobody else works on the member.
    async fn repaired(
        self: &Arc<Self>,
        member: Member,
        seen: Vec<Drift>,
        deadline: Instant,
    ) -> Result<(Vec<Drift>, Vec<Outcome>), ProvisionError> {
        let reported = |seen: Vec<Drift>, outcome: &Outcome| {
            let of = |drift: &Drift| if drift.is_repairable() { outcome.clone() } else { Outcome::Reported };
            let outcomes = seen.iter().map(of).collect();
            (seen, outcomes)
        };
        if !seen.iter().any(Drift::is_repairable) {
            self.note_drifts(&member, &seen, Event::DriftFound);
            return Ok(reported(seen, &Outcome::Reported));
        }
        let Ok(lease) = self.try_hold(member.id).await? else { return Ok(reported(seen, &Outcome::Busy)) };
        let holder = lease.holder;
        let generation = lease.standing.member.generation;
        let work = self.in_time(deadline, self.repair_record(lease.standing, holder, deadline)).await;
        self.release(member.id, holder).await;
        let (drifts, mut outcomes) = work?;
        // What is lent goes back as any job would give it back.
        for (drift, outcome) in drifts.iter().zip(&mut outcomes) {
            if matches!(drift, Drift::LeftBorrowed { .. }) {
                *outcome = match self.settle_now(member.id, generation, deadline).await {
                    Ok(()) => Outcome::Repaired,
                    Err(error) => Outcome::Failed(error.to_string()),
                };
            }
        }
        let done = |wanted: bool| {
            let pairs = drifts.iter().zip(&outcomes);
            let done = pairs.filter(move |(_, outcome)| (**outcome == Outcome::Repaired) == wanted);
            done.map(|(drift, _)| drift.clone()).collect::<Vec<_>>()
        };
        self.note_drifts(&member, &done(true), Event::DriftRepaired);
        self.note_drifts(&member, &done(false), Event::DriftFound);
        Ok((drifts, outcomes))
    }

    /// Everything but what is lent.
    async fn repair_record(
        &self,
        standing: Standing,
        holder: u64,
        deadline: Instant,
    ) -> Result<(Vec<Drift>, Vec<Outcome>), ProvisionError> {
        let account = self.account_of(&standing.member, deadline).await?;
        let drifts = self.compared(&standing, account.as_ref())?;
        let mut member = standing.member;
        let known = member.clone();
        let mut outcomes = Vec::new();
        let mut sessions = OnUpdate::Stay;
        for drift in &drifts {
            outcomes.push(match drift {
                Drift::Vanished if !self.may_remove(&member).await? => Outcome::Paused,
                Drift::Vanished => {
                    member = without_account(member);
                    // Nobody goes on with an account that is not there.
                    sessions = OnUpdate::End;
                    Outcome::Repaired
                }
                Drift::ActiveAgain => {
                    member.account_state = AccountState::Present;
                    Outcome::Repaired
                }
                Drift::Lost { item, at_next_login: false, .. } => {
                    member.ledger.strike(item);
                    Outcome::Repaired
                }
                Drift::Renamed { username, email } => {
                    member.username.clone_from(username);
                    member.email.clone_from(email);
                    Outcome::Repaired
                }
                Drift::LeftBorrowed { .. }
                | Drift::Lost { .. }
                | Drift::Anothers { .. }
                | Drift::Deactivated
                | Drift::Overridden { .. }
                | Drift::Unclaimed => Outcome::Reported,
            });
        }
        if member != known {
            self.update(member, holder, sessions, None).await?;
        }
        Ok((drifts, outcomes))
    }

    /// G3: an application that has lost everybody's account, or says so, is looked at by somebody first.
    async fn may_remove(&self, member: &Member) -> Result<bool, ProvisionError> {
        let (now, max) = (self.platform.clock.now(), self.settings.lifecycle.max_removals);
        let may = self.store.take_removals(1, now, REMOVALS_WITHIN, max).await?;
        if !may {
            self.report_paused(member, "reconcile", 1);
        }
        Ok(may)
    }

    fn note_drifts(&self, member: &Member, drifts: &[Drift], event: Event) {
        for drift in drifts {
            let entry = Entry::new(event).member(member.id).field("drift", drift.kind());
            self.audit.record(entry.personal("what", &drift.text()));
        }
    }
}

/// E5, E3: as if the account had never been; `on_missing` decides at the next sign-in, where narthex had no hand in it.
fn without_account(member: Member) -> Member {
    let account_state = match member.account_state {
        AccountState::Present => AccountState::Present,
        AccountState::Leaving | AccountState::Deactivated | AccountState::Deleted => AccountState::Deleted,
    };
    Member {
        account: None,
        account_state,
        leaving: None,
        ephemeral_until: None,
        borrowed: Loans::default(),
        ledger: Ledger::default(),
        ..member
    }
}

/// What does not fit, of one member: a pure function. `synced`: the facets that sign-ins make to match (L3).
#[must_use]
pub fn compare(
    standing: &Standing,
    account: Option<&Account>,
    is_theirs: bool,
    synced: &BTreeSet<Facet>,
    now: crate::model::UnixTime,
) -> Vec<Drift> {
    let member = &standing.member;
    // What is about to go, a job sees to.
    if member.account_state == AccountState::Leaving || member.account.is_none() {
        return Vec::new();
    }
    let Some(account) = account else { return vec![Drift::Vanished] };
    let profile = &account.profile;
    if !is_theirs {
        return vec![Drift::Anothers { username: profile.username.clone() }];
    }
    let mut drifts = Vec::new();
    match (member.account_state, account.active) {
        (AccountState::Present, false) => drifts.push(Drift::Deactivated),
        (AccountState::Deactivated, true) => drifts.push(Drift::ActiveAgain),
        (AccountState::Present | AccountState::Leaving, true)
        | (AccountState::Deactivated | AccountState::Leaving, false)
        | (AccountState::Deleted, _) => {}
    }
    // SECURITY: G6: a block binds the address that the member had; another one in the application, which the person may
    // have brought about, does not free it.
    let email = if member.status == MemberStatus::Blocked { &member.email } else { &profile.email };
    if member.username != profile.username || member.email != *email {
        drifts.push(Drift::Renamed { username: profile.username.clone(), email: email.clone() });
    }
    let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
    drifts.extend(baseline.overridden.iter().cloned().map(|item| Drift::Overridden { item }));
    let signs_in = member.identities.iter().any(|(idp, _)| *idp != IdpId::scim());
    for (item, entry) in member.ledger.iter() {
        let held = baseline.items.get(item);
        // A team that was given without a role has the one that the application gives by itself; so has whatever an
        // earlier version noted without its value.
        let same = held.is_some_and(|held| entry.value.is_empty() || *held == entry.value);
        // An application whose API shows no role is believed to hold the one that it was given.
        let unseen = *item == Item::Role && held.is_none();
        if same || unseen || baseline.overridden.contains(item) {
            continue;
        }
        drifts.push(Drift::Lost {
            item: item.clone(),
            given: entry.value.clone(),
            held: held.cloned(),
            at_next_login: signs_in && synced.contains(&item.facet()),
        });
    }
    if wanted_state(standing, now).restore {
        drifts.push(Drift::LeftBorrowed { items: member.borrowed.0.keys().cloned().collect() });
    }
    drifts
}
