//! What administrators look at.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Memory, Tables, member_of};
use crate::model::invite::{Invite, invited_address};
use crate::model::{
    EmailAddress, IdpId, Member, MemberId, MemberStatus, SessionHash, SessionRecord, Task, UnixTime,
};
use crate::store::StoreError;
use crate::store::lists::{
    Erased, MemberListStore, MemberRow, MembersLike, Owed, SessionListStore, SessionRow, SessionsOf,
};

#[async_trait]
impl SessionListStore for Memory {
    async fn list_sessions(
        &self,
        of: &SessionsOf,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let sessions = &self.tables().sessions;
        let rows = sessions.order.range(..before.unwrap_or(i64::MAX)).rev();
        let rows = rows.filter_map(|(ordinal, hash)| Some((*ordinal, sessions.rows.get(hash)?)));
        let rows = rows.filter(|(_, record)| match of {
            SessionsOf::Everybody => true,
            SessionsOf::Member(member) => member_of(record) == Some(*member),
            SessionsOf::Identity(idp, subject) => {
                (&record.content.idp, &record.content.subject) == (idp, subject)
            }
        });
        let shown = rows.take(limit).map(|(ordinal, record)| SessionRow {
            ordinal,
            hash: record.hash,
            member: member_of(record),
            idp: record.content.idp.clone(),
            subject: record.content.subject.clone(),
            username: record.content.account.as_ref().map(|account| account.profile.username.clone()),
            created_at: record.created_at,
            last_seen_at: record.last_seen_at,
            expires_at: record.expires_at,
        });
        Ok(shown.collect())
    }

    async fn end_sessions_of_member(&self, member: MemberId) -> Result<Vec<SessionHash>, StoreError> {
        let tables = &mut *self.tables();
        let theirs = tables.sessions.rows.values().filter(|record| member_of(record) == Some(member));
        let theirs: Vec<SessionHash> = theirs.map(|record| record.hash).collect();
        Ok(tables.end(&theirs))
    }

    async fn end_sessions_of_idp(&self, idp: &IdpId) -> Result<Vec<SessionHash>, StoreError> {
        let tables = &mut *self.tables();
        let its = tables.sessions.rows.values().filter(|record| record.content.idp == *idp);
        let its: Vec<SessionHash> = its.map(|record| record.hash).collect();
        Ok(tables.end(&its))
    }

    async fn end_all_sessions(&self) -> Result<Vec<SessionHash>, StoreError> {
        let tables = &mut *self.tables();
        let all: Vec<SessionHash> = tables.sessions.rows.keys().copied().collect();
        Ok(tables.end(&all))
    }
}

#[async_trait]
impl MemberListStore for Memory {
    async fn list_members(
        &self,
        like: &MembersLike,
        after: Option<MemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let members = &self.tables().members;
        let matches = |member: &&Member| match like {
            MembersLike::Everybody => true,
            MembersLike::Id(id) => member.id == *id,
            MembersLike::Beginning(text) => {
                let text = text.to_ascii_lowercase();
                let begins = |value: &str| value.to_ascii_lowercase().starts_with(&text);
                begins(&member.username) || member.email.as_deref().is_some_and(begins)
            }
            MembersLike::Account(account) => member.account.as_ref() == Some(account),
            MembersLike::Identity(idp, subject) => {
                member.identities.iter().any(|(i, s)| (i, s) == (idp, subject))
            }
        };
        let mut found: Vec<&Member> = members
            .rows
            .values()
            .map(|row| &row.member)
            .filter(|member| after.is_none_or(|after| member.id > after))
            .filter(matches)
            .collect();
        found.sort_by_key(|member| member.id);
        Ok(found.into_iter().take(limit).map(row).collect())
    }

    async fn erase_member(&self, id: MemberId, now: UnixTime) -> Result<Result<Erased, Owed>, StoreError> {
        let act = "erase_member";
        let tables = &mut *self.tables();
        let Some(row) = tables.members.rows.get(&id) else {
            return Err(StoreError::Gone { act, what: "the member" });
        };
        if row.member.status == MemberStatus::Blocked {
            return Err(StoreError::Conflict { act, what: "a block" });
        }
        if let Some((_, until)) = row.lease.filter(|(_, until)| *until > now) {
            return Ok(Err(Owed::Work { until }));
        }
        let member = row.member.clone();
        let identities = member.identities.clone();
        if let Some(owed) = Owed::of(&member) {
            return Ok(Err(owed));
        }
        let of_scim = identities.iter().filter(|(idp, _)| *idp == IdpId::scim());
        let mut pushes = of_scim.map(|(_, subject)| Task::Push { user: subject.as_str().to_owned() });
        if pushes.any(|push| tables.jobs.has(&push.key())) {
            return Ok(Err(Owed::Push));
        }
        let is_theirs = |record: &SessionRecord| {
            let content = &record.content;
            member_of(record) == Some(id)
                || identities.iter().any(|(idp, subject)| (idp, subject) == (&content.idp, &content.subject))
        };
        let theirs = tables.sessions.rows.values().filter(|record| is_theirs(record));
        let theirs: Vec<SessionHash> = theirs.map(|record| record.hash).collect();
        let mut erased = Erased { sessions: tables.end(&theirs), ..Erased::default() };
        erased.emails = tables.addresses_of(&member);
        let before = tables.invites.len();
        tables.invites.retain(|_, invite| !erased.emails.contains(&invited_address(&invite.terms.email)));
        erased.invites = (before - tables.invites.len()) as u64;
        let subjects = identities.iter().flat_map(|(_, subject)| {
            let text = subject.as_str().to_ascii_lowercase();
            [format!("subject: {text}\n"), format!("\"subject\":{}", serde_json::Value::String(text))]
        });
        let told: Vec<String> =
            std::iter::once(id.to_string()).chain(erased.emails.iter().cloned()).chain(subjects).collect();
        erased.letters = tables.outbox.forget(|letter| {
            let body = letter.body.to_ascii_lowercase();
            erased.emails.contains(&letter.recipient.to_ascii_lowercase())
                || told.iter().any(|text| body.contains(text))
        });
        tables.jobs.forget_member(id);
        for (idp, subject) in &identities {
            tables.jobs.remove(&Task::creation_key(idp, subject));
        }
        tables.members.forget(&member);
        Ok(Ok(Erased { identities, ..erased }))
    }

    async fn addresses_of(&self, id: MemberId) -> Result<BTreeSet<String>, StoreError> {
        let tables = self.tables();
        let known = tables.members.rows.get(&id).map(|row| tables.addresses_of(&row.member));
        Ok(known.unwrap_or_default())
    }

    async fn count_members(&self) -> Result<u64, StoreError> {
        Ok(self.tables().members.rows.len() as u64)
    }

    async fn came_with(&self, member: MemberId, email: &EmailAddress) -> Result<bool, StoreError> {
        let members = &self.tables().members;
        let email = email.to_string();
        let same =
            |identity| members.emails.get(identity).is_some_and(|noted| noted.eq_ignore_ascii_case(&email));
        Ok(members.rows.get(&member).is_some_and(|row| row.member.identities.iter().any(same)))
    }
}

impl Tables {
    /// See [`MemberListStore::addresses_of`].
    fn addresses_of(&self, member: &Member) -> BTreeSet<String> {
        let identities = &member.identities;
        let known = identities.iter().filter_map(|identity| self.members.emails.get(identity));
        let known = member.email.iter().chain(known).map(|email| email.to_ascii_lowercase());
        let came_by = |invite: &&Invite| {
            let claimed = invite.claimed.as_ref();
            invite.member == Some(member.id)
                || claimed
                    .is_some_and(|claim| identities.contains(&(claim.idp.clone(), claim.subject.clone())))
        };
        let came_by = self.invites.values().filter(came_by);
        known.chain(came_by.map(|invite| invited_address(&invite.terms.email))).collect()
    }
}

fn row(member: &Member) -> MemberRow {
    MemberRow {
        id: member.id,
        identities: member.identities.clone(),
        account: member.account.clone(),
        username: member.username.clone(),
        email: member.email.clone(),
        origin: member.origin,
        status: member.status,
        generation: member.generation,
        revision: member.revision,
        created_at: member.created_at,
        last_login_at: member.last_login_at,
    }
}
