//! Members, and those in the making.

use std::collections::HashMap;

use async_trait::async_trait;

use super::Memory;
use crate::model::{AccountId, AccountState, IdpId, Member, MemberId, MemberStatus, Subject, Task, UnixTime};
use crate::store::{CreationIntent, CreationLease, Intended, Landing, MemberStore, StoreError};

#[derive(Default)]
pub(super) struct Members {
    pub(super) rows: HashMap<MemberId, Row>,
    pub(super) by_identity: HashMap<(IdpId, Subject), MemberId>,
    /// What each came with last.
    pub(super) emails: HashMap<(IdpId, Subject), String>,
    pub(super) by_account: HashMap<AccountId, MemberId>,
    creations: HashMap<(IdpId, Subject), Creation>,
}

/// A member, and who works on it.
pub(super) struct Row {
    pub(super) member: Member,
    pub(super) lease: Option<(u64, UnixTime)>,
    pub(super) landing_until: Option<UnixTime>,
}

impl Row {
    pub(super) fn is_held_by(&self, holder: u64) -> bool {
        self.lease.is_some_and(|(held_by, _)| held_by == holder)
    }
}

/// A member in the making.
#[derive(Default)]
struct Creation {
    /// Who is at it, and until when another may not be.
    lease: Option<(u64, UnixTime)>,
    intent: Option<Intended>,
}

impl Creation {
    fn is_held_by(&self, holder: u64) -> bool {
        self.lease.is_some_and(|(held_by, _)| held_by == holder)
    }
}

impl Members {
    fn rival_of(&self, member: &Member) -> Option<&Member> {
        let known = member.identities.iter().find_map(|identity| self.by_identity.get(identity));
        let by_account = || member.account.as_ref().and_then(|account| self.by_account.get(account));
        known.or_else(by_account).and_then(|id| self.rows.get(id)).map(|row| &row.member)
    }

    /// Makes the identity one of the member's, unless it is anybody's.
    pub(super) fn link(&mut self, id: MemberId, idp: &IdpId, subject: &Subject) -> bool {
        let identity = (idp.clone(), subject.clone());
        let Some(row) = self.rows.get_mut(&id) else { return false };
        if self.by_identity.contains_key(&identity) {
            return false;
        }
        row.member.identities.push(identity.clone());
        self.by_identity.insert(identity, id);
        true
    }

    /// Nothing of the member is kept, nor of a creation of its identities.
    pub(super) fn forget(&mut self, member: &Member) {
        self.rows.remove(&member.id);
        if let Some(account) = &member.account {
            self.by_account.remove(account);
        }
        for identity in &member.identities {
            self.by_identity.remove(identity);
            self.emails.remove(identity);
            self.creations.remove(identity);
        }
    }

    fn found(&self, id: Option<&MemberId>) -> Option<Member> {
        id.and_then(|id| self.rows.get(id)).map(|row| row.member.clone())
    }

    /// Whether a session may begin for this account: not for a member who was erased meanwhile (PROVISIONING.md E6).
    pub(super) fn fits(&self, id: MemberId, account: &AccountId) -> bool {
        self.rows.get(&id).is_some_and(|row| {
            row.member.account.as_ref() == Some(account)
                && row.member.account_state == AccountState::Present
                && row.member.status == MemberStatus::Active
        })
    }

    pub(super) fn landed(&mut self, id: MemberId) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.landing_until = None;
        }
    }
}

#[async_trait]
impl MemberStore for Memory {
    async fn find_member(&self, idp: &IdpId, subject: &Subject) -> Result<Option<Member>, StoreError> {
        let members = &self.tables().members;
        Ok(members.found(members.by_identity.get(&(idp.clone(), subject.clone()))))
    }

    async fn find_member_by_account(&self, account: &AccountId) -> Result<Option<Member>, StoreError> {
        let members = &self.tables().members;
        Ok(members.found(members.by_account.get(account)))
    }

    async fn find_member_by_id(&self, id: MemberId) -> Result<Option<Member>, StoreError> {
        Ok(self.tables().members.found(Some(&id)))
    }

    async fn begin_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<CreationLease, StoreError> {
        let members = &mut self.tables().members;
        let creation = members.creations.entry((idp.clone(), subject.clone())).or_default();
        match creation.lease {
            Some((held_by, until)) if held_by != holder && now < until => Ok(CreationLease::Busy { until }),
            Some(_) | None => {
                creation.lease = Some((holder, until));
                Ok(CreationLease::Acquired { earlier_intent: creation.intent.clone() })
            }
        }
    }

    async fn intend_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        intent: &CreationIntent,
    ) -> Result<bool, StoreError> {
        let tables = &mut *self.tables();
        let creation = tables.members.creations.get_mut(&(idp.clone(), subject.clone()));
        let Some(creation) = creation.filter(|creation| creation.is_held_by(holder)) else {
            return Ok(false);
        };
        creation.intent = Some(Intended { username: intent.username.clone(), at: intent.intended_at });
        if let Some(due_at) = intent.clean_up_at {
            let task = Task::AbandonedCreation {
                idp: idp.clone(),
                subject: subject.clone(),
                username: intent.username.clone(),
                email: intent.email.clone(),
            };
            tables.jobs.put(&task, due_at);
        }
        Ok(true)
    }

    async fn finish_creation(
        &self,
        member: &Member,
        holder: u64,
        landing_until: Option<UnixTime>,
    ) -> Result<Result<(), Member>, StoreError> {
        let act = "finish_creation";
        let tables = &mut *self.tables();
        let members = &mut tables.members;
        if let Some(rival) = members.rival_of(member) {
            return Ok(Err(rival.clone()));
        }
        let holds = |identity| members.creations.get(identity).is_some_and(|one| one.is_held_by(holder));
        if !member.identities.iter().any(holds) {
            return Err(StoreError::Gone { act, what: "the right to create this member" });
        }
        if members.rows.contains_key(&member.id) {
            return Err(StoreError::Conflict { act, what: "a member of this id" });
        }
        for identity in &member.identities {
            members.creations.remove(identity);
            members.by_identity.insert(identity.clone(), member.id);
            tables.jobs.remove(&Task::creation_key(&identity.0, &identity.1));
        }
        if let Some(account) = &member.account {
            members.by_account.insert(account.clone(), member.id);
        }
        members.rows.insert(member.id, Row { member: member.clone(), lease: None, landing_until });
        if let Some(due_at) = landing_until {
            let task = Task::Settle { member: member.id, generation: member.generation };
            tables.jobs.put(&task, due_at);
        }
        Ok(Ok(()))
    }

    async fn abandon_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        keep_intent: bool,
    ) -> Result<(), StoreError> {
        let tables = &mut *self.tables();
        let identity = (idp.clone(), subject.clone());
        let creation = tables.members.creations.get_mut(&identity);
        let Some(creation) = creation.filter(|one| one.is_held_by(holder)) else { return Ok(()) };
        if keep_intent && creation.intent.is_some() {
            creation.lease = None;
        } else {
            tables.members.creations.remove(&identity);
        }
        if !keep_intent {
            tables.jobs.remove(&Task::creation_key(idp, subject));
        }
        Ok(())
    }

    async fn record_login(&self, member: &Member, landing: Option<Landing>) -> Result<(), StoreError> {
        let act = "record_login";
        let tables = &mut *self.tables();
        let Some(row) = tables.members.rows.get_mut(&member.id) else {
            return Err(StoreError::Gone { act, what: "the member" });
        };
        if let Some(Landing { holder, until }) = landing {
            if !row.is_held_by(holder) {
                return Err(StoreError::Gone { act, what: "the right to work on this member" });
            }
            row.lease = None;
            row.landing_until = Some(until);
            let task = Task::Settle { member: member.id, generation: member.generation };
            tables.jobs.put_if_absent(&task, until);
        }
        let known = &mut row.member;
        if member.generation >= known.generation {
            known.username.clone_from(&member.username);
            known.email.clone_from(&member.email);
        }
        known.last_login_at = known.last_login_at.max(member.last_login_at);
        Ok(())
    }
}
