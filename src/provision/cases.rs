//! An account that is there already: whether this person gets it, joins the member whose it is, or waits for an
//! administrator (F7, F8). The decision is a pure function; what is asked and what was decided stand in the store.

use crate::config::settings::{OnExisting, Provisioning};
use crate::model::case::CASE_LIFETIME;
use crate::model::{
    Account, AccountId, Case, CaseFacts, CaseId, CaseKind, CaseStanding, CaseState, Identity, Member,
    MemberId, MemberStatus, UnixTime,
};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::OpenedCase;

use super::ProvisionError;
use super::existing::{Candidate, MatchedBy, is_protected};
use super::provisioner::Core;
use super::resolve::Wanted;

/// Cases that one identity may have.
///
/// SECURITY: whoever can change their e-mail address or name at the identity provider at will could else have
/// administrators look at every account that there is.
pub const MOST_OF_ONE: usize = 8;

/// An identity and an account that matches.
#[derive(Debug, Clone, Copy)]
pub struct Meeting<'a> {
    pub identity: &'a Identity,
    pub settings: &'a Provisioning,
    pub wanted: &'a Wanted,
    pub candidate: &'a Candidate,
    /// The account whose credential narthex uses.
    pub own: Option<&'a AccountId>,
    /// Whose account it is, where that is somebody else.
    pub holder: Option<&'a Member>,
    /// A provider vouched for this address when that member came last.
    pub vouched: bool,
    /// The identity has a member already, whose own account is gone.
    pub is_member: bool,
    /// What was asked and decided of these two before.
    pub case: Option<&'a Case>,
    pub now: UnixTime,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// F7: the account becomes this person's. `by`: since an administrator decided so.
    Adopt { by: Option<Case> },
    /// F8: the identity becomes one of the member's whose account it is.
    Join { by: Option<Case> },
    /// An administrator decides, knowing this.
    Ask(CaseFacts),
}

/// An account that is there already, and what becomes of it.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) account: Account,
    pub(super) holder: Option<Member>,
    pub(super) verdict: Verdict,
}

/// F7, F8.
///
/// # Errors
/// Where nobody is asked: the account may not be this person's, whoever wants it.
pub fn verdict(meeting: &Meeting<'_>) -> Result<Verdict, ProvisionError> {
    let Meeting { settings, candidate, holder, case, now, .. } = *meeting;
    let account = &candidate.account;
    let username = account.profile.username.clone();
    if holder.is_none() && settings.on_existing == OnExisting::Deny {
        return Err(ProvisionError::ExistingAccount { username });
    }
    if meeting.own == Some(&account.id) {
        return Err(ProvisionError::OwnAccount { username });
    }
    if is_protected(&settings.protected_accounts, &username, account.profile.email.as_deref()) {
        return Err(ProvisionError::ProtectedAccount { username });
    }
    if let Some(member) = holder {
        // G6.
        if member.status == MemberStatus::Blocked {
            return Err(ProvisionError::Blocked);
        }
        // F8: by a verified e-mail only, and nobody is two members.
        if candidate.by == MatchedBy::Username || meeting.is_member {
            return Err(ProvisionError::LinkedToAnotherMember { username });
        }
    }
    let facts = facts(meeting);
    if let Some(case) = case {
        if case.state(now) == CaseState::Denied {
            return Err(ProvisionError::CaseDenied { rule: facts.kind.rule(), username });
        }
        if !account.active {
            return Err(ProvisionError::AccountDeactivated { username });
        }
        if case.admits(&facts, now) {
            let by = Some(case.clone());
            return Ok(if holder.is_some() { Verdict::Join { by } } else { Verdict::Adopt { by } });
        }
    }
    // F7: never automatically.
    if facts.privileged && holder.is_none() && settings.on_existing == OnExisting::Adopt {
        return Err(ProvisionError::PrivilegedAccount { username });
    }
    if !account.active {
        return Err(ProvisionError::AccountDeactivated { username });
    }
    Ok(match facts.kind {
        CaseKind::ExistingAccount if settings.on_existing == OnExisting::Adopt => Verdict::Adopt { by: None },
        // SECURITY: a provider that may speak for an administrator's address is not yet one that administrators come by.
        // Nor is the address that the application has of an account always its person's: who could write another's there
        // would have that person come into an account that two people share.
        CaseKind::SecondIdentity if settings.link_identities && meeting.vouched && !facts.privileged => {
            Verdict::Join { by: None }
        }
        // SECURITY: an address that the same provider gives to another subject is somebody else's by now, or the same
        // person's under a new id; only people can tell.
        CaseKind::ExistingAccount | CaseKind::SecondIdentity | CaseKind::RecycledAddress => {
            Verdict::Ask(facts)
        }
    })
}

fn facts(meeting: &Meeting<'_>) -> CaseFacts {
    let Meeting { identity, wanted, candidate, holder, .. } = *meeting;
    let account = &candidate.account;
    let email = wanted.email.as_ref().filter(|email| email.verified);
    let kind = match holder {
        None => CaseKind::ExistingAccount,
        Some(member) if member.identities.iter().any(|(idp, _)| *idp == identity.idp) => {
            CaseKind::RecycledAddress
        }
        Some(_) => CaseKind::SecondIdentity,
    };
    CaseFacts {
        kind,
        email: email.map(|email| email.address.to_string()),
        username: account.profile.username.clone(),
        account_email: account.profile.email.clone(),
        privileged: account.privileged || account.entitlements.owner,
        member: holder.map(|member| member.id),
    }
}

/// What the person is told who waits; the text for administrators names no case, so that a rehearsal says the same.
pub(super) fn waits(facts: &CaseFacts, case: Option<CaseId>) -> ProvisionError {
    let why = match facts.kind {
        CaseKind::ExistingAccount => "it is there already, and on_existing is \"ask\"",
        CaseKind::RecycledAddress => {
            "it is a member's who comes by the same identity provider under another subject"
        }
        CaseKind::SecondIdentity => "it is a member's who comes by another identity provider",
    };
    let (rule, username) = (facts.kind.rule(), facts.username.clone());
    ProvisionError::WaitsForAdministrator { rule, username, why, case }
}

impl Core {
    /// Has administrators asked, once; gives what the person is told.
    pub(super) async fn ask(
        &self,
        identity: &Identity,
        account: &Account,
        facts: CaseFacts,
    ) -> Result<ProvisionError, ProvisionError> {
        let now = self.platform.clock.now();
        let case = Case {
            id: CaseId(self.platform.entropy.uuid(now)?),
            idp: identity.idp.clone(),
            subject: identity.subject.clone(),
            account: account.id.clone(),
            facts,
            standing: CaseStanding::Waiting,
            decided: None,
            opened_at: now,
            asked_at: now,
            expires_at: Some(now.after(CASE_LIFETIME)),
            led_to: None,
            revision: 1,
        };
        let username = case.facts.username.clone();
        Ok(match self.store.open_case(&case, MOST_OF_ONE).await? {
            OpenedCase::Opened(case) => {
                let mut entry = Entry::new(Event::CaseOpened)
                    .by_person(&case.idp, &case.subject)
                    .about(&case.idp, &case.subject);
                if let Some(member) = case.facts.member {
                    entry = entry.member(member);
                }
                let entry = entry.field("case", Plain::name(&case.id.to_string()));
                let entry = entry.field("rule", case.facts.kind.rule());
                let entry = entry.field("privileged", case.facts.privileged);
                let entry = entry.personal("account", &case.account.0).personal("username", &username);
                self.audit.record(entry.personal("email", case.facts.email.as_deref().unwrap_or_default()));
                waits(&case.facts, Some(case.id))
            }
            OpenedCase::Waiting(case) => waits(&case.facts, Some(case.id)),
            OpenedCase::Decided(case) if case.state(now) == CaseState::Denied => {
                ProvisionError::CaseDenied { rule: case.facts.kind.rule(), username }
            }
            // In this very moment: the next try finds it.
            OpenedCase::Decided(_) => ProvisionError::BusyElsewhere,
            OpenedCase::TooMany => ProvisionError::TooManyCases { username, most: MOST_OF_ONE },
        })
    }

    /// Consumes what an administrator decided, as just that; the same identity may go on after a sign-in that failed
    /// half-way.
    pub(super) async fn claim_case(&self, case: Case) -> Result<Case, ProvisionError> {
        if case.standing == CaseStanding::Used {
            return Ok(case);
        }
        let claimed =
            Case { standing: CaseStanding::Used, revision: case.revision.saturating_add(1), ..case };
        // Reversed this very moment.
        let claims = self.store.change_case(&claimed).await?;
        if claims { Ok(claimed) } else { Err(ProvisionError::BusyElsewhere) }
    }

    /// Notes whom it led to: it lets nobody in any more.
    pub(super) async fn finish_case(&self, case: Case, member: MemberId) {
        let id = case.id;
        let finished = Case { led_to: Some(member), revision: case.revision.saturating_add(1), ..case };
        match self.store.change_case(&finished).await {
            Ok(true) => {}
            // The identity has its member, so nobody looks at the case until that goes.
            Ok(false) => tracing::warn!(case = %id, "a case was changed while a sign-in came in by it"),
            Err(error) => tracing::warn!(%error, case = %id, "it could not be noted whom a case led to"),
        }
    }
}
