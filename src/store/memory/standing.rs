//! Members while their accounts are worked on.

use std::time::Duration;

use async_trait::async_trait;

use super::{Memory, Tables};
use crate::model::{
    AccountState, EmailAddress, IdpId, Member, MemberId, MemberStatus, SessionHash, Subject, Task, UnixTime,
};
use crate::store::{
    GuardStore, Hold, OnUpdate, Standing, StandingSession, StandingStore, StoreError, Update, Updated,
};

const MEMBER: &str = "the member";

impl Tables {
    fn standing(&self, id: MemberId, now: UnixTime) -> Option<Standing> {
        let row = self.members.rows.get(&id)?;
        let live = self.sessions.of(id).filter(|session| session.expires_at > now);
        let sessions = live.map(|session| StandingSession {
            grant: session.content.grant.clone(),
            created_at: session.created_at,
            expires_at: session.expires_at,
        });
        Some(Standing {
            member: row.member.clone(),
            sessions: sessions.collect(),
            landing_until: row.landing_until.filter(|until| *until > now),
        })
    }
}

#[async_trait]
impl StandingStore for Memory {
    async fn hold_member(
        &self,
        id: MemberId,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Hold, StoreError> {
        let tables = &mut *self.tables();
        let gone = StoreError::Gone { act: "hold_member", what: MEMBER };
        let row = tables.members.rows.get_mut(&id).ok_or_else(|| gone.clone())?;
        if let Some((held_by, until)) = row.lease
            && held_by != holder
            && now < until
        {
            return Ok(Hold::Busy { until });
        }
        row.lease = Some((holder, until));
        tables.standing(id, now).map(Box::new).map(Hold::Held).ok_or(gone)
    }

    async fn release_member(&self, id: MemberId, holder: u64) -> Result<(), StoreError> {
        let row = &mut self.tables().members.rows;
        if let Some(row) = row.get_mut(&id).filter(|row| row.is_held_by(holder)) {
            row.lease = None;
        }
        Ok(())
    }

    async fn standing(&self, id: MemberId, now: UnixTime) -> Result<Option<Standing>, StoreError> {
        Ok(self.tables().standing(id, now))
    }

    async fn update_member(&self, member: &Member, update: Update) -> Result<Updated, StoreError> {
        let act = "update_member";
        let tables = &mut *self.tables();
        let row = tables.members.rows.get(&member.id).ok_or(StoreError::Gone { act, what: MEMBER })?;
        if update.holder.is_some_and(|holder| !row.is_held_by(holder)) {
            return Err(StoreError::Gone { act, what: "the right to work on this member" });
        }
        if row.member.revision != member.revision {
            return Err(StoreError::Conflict { act, what: "a later update of this member" });
        }
        let rival = member.account.as_ref().and_then(|account| tables.members.by_account.get(account));
        if rival.is_some_and(|id| *id != member.id) {
            return Err(StoreError::Conflict { act, what: "another member with this account" });
        }
        if let OnUpdate::MustBeNone { at } = update.sessions
            && let Some(standing) = tables.standing(member.id, at)
            && (!standing.sessions.is_empty() || standing.landing_until.is_some())
        {
            return Err(StoreError::Conflict { act, what: "a live session of this member" });
        }
        let ended = match update.sessions {
            OnUpdate::End => {
                let all: Vec<SessionHash> = tables.sessions.of(member.id).map(|one| one.hash).collect();
                for hash in &all {
                    tables.sessions.remove(hash);
                }
                all
            }
            OnUpdate::Stay | OnUpdate::MustBeNone { .. } => Vec::new(),
        };
        let revision = member.revision + 1;
        if let Some(row) = tables.members.rows.get_mut(&member.id) {
            if let Some(account) = &row.member.account {
                tables.members.by_account.remove(account);
            }
            if let Some(account) = &member.account {
                tables.members.by_account.insert(account.clone(), member.id);
            }
            row.member = Member {
                identities: row.member.identities.clone(),
                created_at: row.member.created_at,
                last_login_at: row.member.last_login_at.max(member.last_login_at),
                revision,
                ..member.clone()
            };
        }
        if let Some(due_at) = update.settle_at {
            tables.jobs.put(&Task::Settle { member: member.id, generation: member.generation }, due_at);
        }
        Ok(Updated { revision, ended })
    }

    async fn list_inactive(
        &self,
        before: UnixTime,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let tables = self.tables();
        let mut inactive: Vec<Member> = tables
            .members
            .rows
            .values()
            .filter(|row| row.landing_until.is_none_or(|until| until <= now))
            .map(|row| &row.member)
            .filter(|member| tables.sessions.of(member.id).all(|session| session.expires_at <= now))
            .filter(|member| {
                member.account_state == AccountState::Present
                    && member.account.is_some()
                    && member.leaving.is_none()
                    && member.last_login_at < before
            })
            .cloned()
            .collect();
        inactive.sort_by_key(|member| (member.last_login_at, member.id.to_string()));
        inactive.truncate(limit);
        Ok(inactive)
    }

    async fn is_blocked_email(&self, email: &str) -> Result<bool, StoreError> {
        let members = &self.tables().members;
        let same = |held: &String| held.eq_ignore_ascii_case(email);
        let came_with =
            |member: &Member| member.identities.iter().any(|one| members.emails.get(one).is_some_and(same));
        Ok(members.rows.values().map(|row| &row.member).any(|member| {
            member.status == MemberStatus::Blocked
                && (member.email.as_ref().is_some_and(same) || came_with(member))
        }))
    }

    async fn note_email(
        &self,
        idp: &IdpId,
        subject: &Subject,
        email: &EmailAddress,
    ) -> Result<(), StoreError> {
        let members = &mut self.tables().members;
        let identity = (idp.clone(), subject.clone());
        let known = members.by_identity.get(&identity).and_then(|id| members.rows.get(id));
        let Some(row) = known else { return Ok(()) };
        if row.member.status != MemberStatus::Blocked || !members.emails.contains_key(&identity) {
            members.emails.insert(identity, email.to_string());
        }
        Ok(())
    }
}

#[async_trait]
impl GuardStore for Memory {
    async fn take_removals(
        &self,
        wanted: u32,
        now: UnixTime,
        within: Duration,
        max: u32,
    ) -> Result<bool, StoreError> {
        let removals = &mut self.tables().removals;
        removals.retain(|(at, _)| *at > now.before(within));
        let counted = removals.iter().fold(0_u32, |sum, (_, removed)| sum.saturating_add(*removed));
        let may = counted.saturating_add(wanted) <= max;
        if may {
            removals.push((now, wanted));
        }
        Ok(may)
    }

    async fn counted_removals(&self, now: UnixTime, within: Duration) -> Result<u32, StoreError> {
        let tables = self.tables();
        let counted = tables.removals.iter().filter(|(at, _)| *at > now.before(within));
        Ok(counted.fold(0, |sum, (_, removed)| sum.saturating_add(*removed)))
    }

    async fn hold_right(
        &self,
        name: &str,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError> {
        let rights = &mut self.tables().rights;
        if let Some((held_by, until)) = rights.get(name)
            && *held_by != holder
            && now < *until
        {
            return Ok(Some(*until));
        }
        rights.insert(name.to_owned(), (holder, until));
        Ok(None)
    }

    async fn release_right(&self, name: &str, holder: u64) -> Result<(), StoreError> {
        self.tables().rights.retain(|held, (held_by, _)| held != name || *held_by != holder);
        Ok(())
    }
}
