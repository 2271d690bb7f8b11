//! Sessions.

use std::time::Duration;

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, hash, sql};
use crate::model::session::SessionAccount;
use crate::model::session::SessionContent;
use crate::model::{AccountState, IdpId, MemberStatus, SessionHash, SessionRecord, UnixTime};
use crate::store::columns::read_word;
use crate::store::families::{CHANGES, SESSIONS_OF};
use crate::store::feed::session_key;
use crate::store::{SessionStore, StoreError};

#[async_trait]
impl SessionStore for Database {
    async fn insert_session(
        &self,
        session: &SessionRecord,
        max_per_member: usize,
    ) -> Result<Vec<SessionHash>, StoreError> {
        let act = "insert_session";
        // The hint is bytes; in JSON it would be a list of numbers, four times as long.
        let mut content = session.content.clone();
        let hint = content.logout_hint.take();
        let text = serde_json::to_string(&content)
            .map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })?;
        let member = content.account.as_ref().map(|account| account.member.to_string());
        let mut tx = self.write(act, Lasting::Crash).await?;
        // A blank is in no id of a member or provider.
        let person = || format!("{} {}", content.idp, content.subject.as_str());
        self.in_turn(act, &mut tx, SESSIONS_OF, &member.clone().unwrap_or_else(person)).await?;
        if let Some(account) = &content.account {
            self.land(act, &mut tx, account).await?;
        }
        let inserted = sqlx::query(
            "INSERT INTO sessions (hash, member, idp, subject, idp_session, content, logout_hint, \
             created_at, last_seen_at, expires_at, logout_name) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (hash) DO NOTHING",
        )
        .bind(session.hash.0.as_slice())
        .bind(&member)
        .bind(content.idp.as_str())
        .bind(content.subject.as_str())
        .bind(&content.idp_session)
        .bind(text)
        .bind(hint)
        .bind(session.created_at.0)
        .bind(session.last_seen_at.0)
        .bind(session.expires_at.0)
        .bind(&content.logout_name)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "a session of this hash" });
        }
        let ended =
            self.end_beyond(act, &mut tx, (member.as_deref(), &content), max_per_member.max(1)).await?;
        if !ended.is_empty() {
            self.hasten_members(act, &mut tx, member.into_iter()).await?;
        }
        self.commit(act, tx).await?;
        Ok(ended)
    }

    async fn find_session(&self, hash: &SessionHash) -> Result<Option<SessionRecord>, StoreError> {
        let act = "find_session";
        let row: Option<(String, Option<Vec<u8>>, i64, i64, i64)> = sqlx::query_as(
            "SELECT content, logout_hint, created_at, last_seen_at, expires_at FROM sessions WHERE hash = $1",
        )
        .bind(hash.0.as_slice())
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))?;
        let Some((text, logout_hint, created_at, last_seen_at, expires_at)) = row else { return Ok(None) };
        // The error's text names a place, not what stands there.
        let content: SessionContent =
            serde_json::from_str(&text).map_err(|error| StoreError::Unreadable {
                what: "session",
                reason: format!("at column {}: {:?} error", error.column(), error.classify()),
            })?;
        Ok(Some(SessionRecord {
            hash: *hash,
            content: SessionContent { logout_hint, ..content },
            created_at: UnixTime(created_at),
            last_seen_at: UnixTime(last_seen_at),
            expires_at: UnixTime(expires_at),
        }))
    }

    async fn touch_sessions(&self, seen: &[(SessionHash, UnixTime)]) -> Result<(), StoreError> {
        let act = "touch_sessions";
        if seen.is_empty() {
            return Ok(());
        }
        let mut tx = self.write(act, Lasting::Crash).await?;
        self.note_seen(act, &mut tx, seen).await?;
        self.commit(act, tx).await
    }

    async fn sessions_among(&self, hashes: &[SessionHash]) -> Result<Vec<SessionHash>, StoreError> {
        let act = "sessions_among";
        let mut there = Vec::with_capacity(hashes.len());
        for some in hashes.chunks(1000) {
            let keys: Vec<String> = some.iter().map(session_key).collect();
            let keys = serde_json::to_string(&keys)
                .map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })?;
            let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
                "SELECT hash FROM sessions WHERE hash IN (SELECT unhex(value) FROM json_each($1))",
            )
            .bind(keys)
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?;
            there.extend(self::hashes(&rows)?);
        }
        Ok(there)
    }

    async fn end_session(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        let act = "end_session";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let ended: Option<(Option<String>,)> =
            sqlx::query_as("DELETE FROM sessions WHERE hash = $1 RETURNING member")
                .bind(hash.0.as_slice())
                .fetch_optional(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        let found = ended.is_some();
        self.hasten_members(act, &mut tx, ended.into_iter().filter_map(|(member,)| member)).await?;
        self.commit(act, tx).await?;
        Ok(found)
    }

    async fn end_sessions_of(
        &self,
        idp: &IdpId,
        name: &str,
        idp_sessions: &[String],
    ) -> Result<Vec<SessionHash>, StoreError> {
        let act = "end_sessions_of";
        // One list as one parameter; an empty one stands for all.
        let wanted = serde_json::to_string(idp_sessions)
            .map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })?;
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let ended: Vec<Ended> = sqlx::query_as(
            "DELETE FROM sessions WHERE idp = $1 AND logout_name = $2 AND ($3 = '[]' \
             OR idp_session IN (SELECT value FROM json_each($3))) RETURNING hash, member",
        )
        .bind(idp.as_str())
        .bind(name)
        .bind(wanted)
        .fetch_all(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let ended = self.ended(act, &mut tx, ended).await?;
        self.commit(act, tx).await?;
        Ok(ended)
    }

    async fn sweep_sessions(&self, now: UnixTime, idle: Duration) -> Result<Vec<SessionHash>, StoreError> {
        let act = "sweep_sessions";
        // Most sweeps find nothing, and should not wait for those who write.
        let (due,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM (SELECT 1 FROM sessions WHERE expires_at <= $1 OR last_seen_at < $2 LIMIT 1) \
             AS due",
        )
        .bind(now.0)
        .bind(now.before(idle).0)
        .fetch_one(&self.readers)
        .await
        .map_err(self.fails(act))?;
        if due == 0 {
            return Ok(Vec::new());
        }
        let mut tx = self.write(act, Lasting::Crash).await?;
        let ended: Vec<Ended> = sqlx::query_as(
            "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at < $2 RETURNING hash, member",
        )
        .bind(now.0)
        .bind(now.before(idle).0)
        .fetch_all(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let ended = self.ended(act, &mut tx, ended).await?;
        self.commit(act, tx).await?;
        Ok(ended)
    }
}

/// hash, member
type Ended = (Vec<u8>, Option<String>);

impl Database {
    /// What ended, with what waited for that made due.
    pub(super) async fn ended(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        rows: Vec<Ended>,
    ) -> Result<Vec<SessionHash>, StoreError> {
        let ended = rows
            .iter()
            .map(|(bytes, _)| hash("session", bytes).map(SessionHash))
            .collect::<Result<_, _>>()?;
        self.hasten_members(act, tx, rows.into_iter().filter_map(|(_, member)| member)).await?;
        Ok(ended)
    }

    /// The account that a session is about to begin with is still the member's, and is waited for no more.
    async fn land(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        of: &SessionAccount,
    ) -> Result<(), StoreError> {
        let id = of.member.to_string();
        let row: Option<(Option<String>, String, String, Option<i64>)> =
            sqlx::query_as("SELECT account, account_state, status, landing_until FROM members WHERE id = $1")
                .bind(&id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        // Erased meanwhile (PROVISIONING.md E6).
        let Some((account, state, status, landing_until)) = row else {
            return Err(StoreError::Gone { act, what: "the account that the session is for" });
        };
        let state: AccountState = read_word("member", state, "account state")?;
        let status: MemberStatus = read_word("member", status, "status")?;
        let fits = account.as_ref() == Some(&of.id.0)
            && state == AccountState::Present
            && status == MemberStatus::Active;
        if !fits {
            return Err(StoreError::Gone { act, what: "the account that the session is for" });
        }
        if landing_until.is_some() {
            sqlx::query("UPDATE members SET landing_until = NULL WHERE id = $1")
                .bind(&id)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        }
        Ok(())
    }

    /// Ends the oldest sessions of the member, or without account of the identity, where there are more than `max`.
    async fn end_beyond(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        (member, content): (Option<&str>, &SessionContent),
        max: usize,
    ) -> Result<Vec<SessionHash>, StoreError> {
        let there: i64 = match member {
            Some(member) => {
                sqlx::query_scalar("SELECT COUNT(*) FROM sessions WHERE member = $1").bind(member)
            }
            None => sqlx::query_scalar(
                "SELECT COUNT(*) FROM sessions WHERE idp = $1 AND subject = $2 AND member IS NULL",
            )
            .bind(content.idp.as_str())
            .bind(content.subject.as_str()),
        }
        .fetch_one(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        if there <= sql(max) {
            return Ok(Vec::new());
        }
        self.in_turn(act, tx, CHANGES, "").await?;
        let ended: Vec<(Vec<u8>,)> = match member {
            Some(member) => sqlx::query_as(
                "DELETE FROM sessions WHERE member = $1 AND ordinal <= (SELECT ordinal FROM sessions \
                 WHERE member = $1 ORDER BY ordinal DESC LIMIT 1 OFFSET $2) RETURNING hash",
            )
            .bind(member),
            None => sqlx::query_as(
                "DELETE FROM sessions WHERE idp = $1 AND subject = $2 AND member IS NULL AND ordinal <= \
                 (SELECT ordinal FROM sessions WHERE idp = $1 AND subject = $2 AND member IS NULL \
                 ORDER BY ordinal DESC LIMIT 1 OFFSET $3) RETURNING hash",
            )
            .bind(content.idp.as_str())
            .bind(content.subject.as_str()),
        }
        .bind(sql(max))
        .fetch_all(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        hashes(&ended)
    }
}

fn hashes(rows: &[(Vec<u8>,)]) -> Result<Vec<SessionHash>, StoreError> {
    rows.iter().map(|(bytes,)| hash("session", bytes).map(SessionHash)).collect()
}
