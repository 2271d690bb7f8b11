//! Sessions as administrators see them.

use async_trait::async_trait;
use serde::Deserialize;

use super::{Database, Lasting, hash, sql};
use crate::model::{IdpId, MemberId, SessionHash, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::lists::{SessionListStore, SessionRow, SessionsOf};

/// ordinal, hash, member, idp, subject, content, created_at, last_seen_at, expires_at
type Row = (i64, Vec<u8>, Option<String>, String, String, String, i64, i64, i64);

/// Of the content only what is shown.
#[derive(Deserialize)]
struct Content {
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    profile: Profile,
}

#[derive(Deserialize)]
struct Profile {
    username: String,
}

#[async_trait]
impl SessionListStore for Database {
    async fn list_sessions(
        &self,
        of: &SessionsOf,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let act = "list_sessions";
        let (before, limit) = (before.unwrap_or(i64::MAX), sql(limit));
        let rows: Result<Vec<Row>, sqlx::Error> = match of {
            SessionsOf::Everybody => sqlx::query_as(
                "SELECT ordinal, hash, member, idp, subject, content, created_at, last_seen_at, expires_at \
                     FROM sessions WHERE ordinal < $1 ORDER BY ordinal DESC LIMIT $2",
            )
            .bind(before)
            .bind(limit)
            .fetch_all(&self.readers)
            .await,
            SessionsOf::Member(member) => sqlx::query_as(
                "SELECT ordinal, hash, member, idp, subject, content, created_at, last_seen_at, expires_at \
                     FROM sessions WHERE ordinal < $1 AND member = $3 ORDER BY ordinal DESC LIMIT $2",
            )
            .bind(before)
            .bind(limit)
            .bind(member.to_string())
            .fetch_all(&self.readers)
            .await,
            SessionsOf::Identity(idp, subject) => sqlx::query_as(
                "SELECT ordinal, hash, member, idp, subject, content, created_at, last_seen_at, expires_at \
                     FROM sessions WHERE ordinal < $1 AND idp = $3 AND subject = $4 \
                     ORDER BY ordinal DESC LIMIT $2",
            )
            .bind(before)
            .bind(limit)
            .bind(idp.as_str())
            .bind(subject.as_str())
            .fetch_all(&self.readers)
            .await,
        };
        rows.map_err(self.fails(act))?.into_iter().map(session).collect()
    }

    async fn end_sessions_of_member(&self, member: MemberId) -> Result<Vec<SessionHash>, StoreError> {
        let act = "end_sessions_of_member";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let rows = sqlx::query_as("DELETE FROM sessions WHERE member = $1 RETURNING hash, member")
            .bind(member.to_string())
            .fetch_all(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let hashes = self.ended(act, &mut tx, rows).await?;
        self.commit(act, tx).await?;
        Ok(hashes)
    }

    async fn end_sessions_of_idp(&self, idp: &IdpId) -> Result<Vec<SessionHash>, StoreError> {
        let act = "end_sessions_of_idp";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let rows = sqlx::query_as("DELETE FROM sessions WHERE idp = $1 RETURNING hash, member")
            .bind(idp.as_str())
            .fetch_all(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let hashes = self.ended(act, &mut tx, rows).await?;
        self.commit(act, tx).await?;
        Ok(hashes)
    }

    async fn end_all_sessions(&self) -> Result<Vec<SessionHash>, StoreError> {
        let act = "end_all_sessions";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let rows = sqlx::query_as("DELETE FROM sessions RETURNING hash, member")
            .fetch_all(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let hashes = self.ended(act, &mut tx, rows).await?;
        self.commit(act, tx).await?;
        Ok(hashes)
    }
}

fn session(row: Row) -> Result<SessionRow, StoreError> {
    let (ordinal, bytes, member, idp, subject, content, created_at, last_seen_at, expires_at) = row;
    let member = member.map(|id| id.parse().map(MemberId)).transpose().map_err(|_| unreadable("member"))?;
    // One whose content this version cannot read is shown all the same, to be ended.
    let content = serde_json::from_str::<Content>(&content).ok();
    Ok(SessionRow {
        ordinal,
        hash: SessionHash(hash("session", &bytes)?),
        member,
        idp: idp.parse().map_err(|_| unreadable("identity provider"))?,
        subject: Subject::parse(&subject).ok_or_else(|| unreadable("subject"))?,
        username: content.and_then(|content| content.account).map(|account| account.profile.username),
        created_at: UnixTime(created_at),
        last_seen_at: UnixTime(last_seen_at),
        expires_at: UnixTime(expires_at),
    })
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { what: "session", reason: format!("this version does not know its {column}") }
}
