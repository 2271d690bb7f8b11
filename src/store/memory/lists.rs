//! What administrators look at.

use async_trait::async_trait;

use super::{Memory, member_of};
use crate::model::{EmailAddress, Member, MemberId, SessionHash};
use crate::store::StoreError;
use crate::store::lists::{
    MemberListStore, MemberRow, MembersLike, SessionListStore, SessionRow, SessionsOf,
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
        created_at: member.created_at,
        last_login_at: member.last_login_at,
    }
}
