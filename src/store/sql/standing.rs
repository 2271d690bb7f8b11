//! Members while their accounts are worked on.

use std::time::Duration;

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, hash, sql};
use crate::model::{EmailAddress, Grant, IdpId, Member, MemberId, SessionHash, Subject, Task, UnixTime};
use crate::store::columns::{json, read_json, word};
use crate::store::{
    GuardStore, Hold, OnUpdate, Standing, StandingSession, StandingStore, StoreError, Update, Updated,
};

const MEMBER: &str = "the member";
const RIGHT: &str = "the right to work on this member";

#[async_trait]
impl StandingStore for Database {
    async fn hold_member(
        &self,
        id: MemberId,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Hold, StoreError> {
        let act = "hold_member";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let held = sqlx::query(
            "UPDATE members SET holder = $2, held_until = $3 \
             WHERE id = $1 AND (holder IS NULL OR holder = $2 OR held_until <= $4)",
        )
        .bind(id.to_string())
        .bind(holder.cast_signed())
        .bind(until.0)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if held.rows_affected() > 0 {
            let standing = self.standing_of(act, &mut tx, id, now).await?;
            let standing = standing.ok_or(StoreError::Gone { act, what: MEMBER })?;
            self.commit(act, tx).await?;
            return Ok(Hold::Held(Box::new(standing)));
        }
        let busy: Option<(Option<i64>,)> = sqlx::query_as("SELECT held_until FROM members WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let (until,) = busy.ok_or(StoreError::Gone { act, what: MEMBER })?;
        Ok(Hold::Busy { until: until.map_or(now, UnixTime) })
    }

    async fn release_member(&self, id: MemberId, holder: u64) -> Result<(), StoreError> {
        let act = "release_member";
        let mut tx = self.write(act, Lasting::Crash).await?;
        sqlx::query("UPDATE members SET holder = NULL, held_until = NULL WHERE id = $1 AND holder = $2")
            .bind(id.to_string())
            .bind(holder.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }

    async fn standing(&self, id: MemberId, now: UnixTime) -> Result<Option<Standing>, StoreError> {
        let act = "standing";
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        self.standing_of(act, &mut tx, id, now).await
    }

    async fn update_member(&self, member: &Member, update: Update) -> Result<Updated, StoreError> {
        let act = "update_member";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        self.write_member(act, &mut tx, member, update.holder).await?;
        // After the member's row: who begins a session for it waits for that row.
        let ended = match update.sessions {
            OnUpdate::Stay => Vec::new(),
            OnUpdate::End => self.end_all_sessions(act, &mut tx, member.id).await?,
            OnUpdate::MustBeNone { at } => {
                self.has_no_session(act, &mut tx, member.id, at).await?;
                Vec::new()
            }
        };
        if let Some(due_at) = update.settle_at {
            let task = Task::Settle { member: member.id, generation: member.generation };
            self.put(act, &mut tx, &task, due_at).await?;
        }
        self.commit(act, tx).await?;
        Ok(Updated { revision: member.revision.saturating_add(1), ended })
    }

    async fn list_inactive(
        &self,
        before: UnixTime,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let act = "list_inactive";
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM members WHERE account_state = 'present' AND account IS NOT NULL AND leaving IS NULL \
             AND last_login_at < $1 AND (landing_until IS NULL OR landing_until <= $2) \
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.member = members.id AND expires_at > $2) \
             ORDER BY last_login_at, id LIMIT $3",
        )
        .bind(before.0)
        .bind(now.0)
        .bind(sql(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let mut members = Vec::with_capacity(ids.len());
        for (id,) in ids {
            members.extend(self.member_of_id(act, &mut tx, &id).await?);
        }
        Ok(members)
    }

    async fn is_blocked_email(&self, email: &str) -> Result<bool, StoreError> {
        let found: Option<(String,)> = sqlx::query_as(
            // By the address, of which there are few, and not by the members who are blocked, of whom there may be many.
            "SELECT id FROM members WHERE email_folded = $1 AND status = 'blocked' UNION ALL \
             SELECT m.id FROM identities i JOIN members m ON m.id = i.member \
             WHERE i.email_folded = $1 AND m.status = 'blocked' LIMIT 1",
        )
        .bind(email.to_ascii_lowercase())
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails("is_blocked_email"))?;
        Ok(found.is_some())
    }

    async fn note_email(
        &self,
        idp: &IdpId,
        subject: &Subject,
        email: &EmailAddress,
    ) -> Result<(), StoreError> {
        let act = "note_email";
        let email = email.to_string();
        // Mostly it is noted already: a look is cheaper than a write.
        let noted: Option<(Option<String>,)> =
            sqlx::query_as("SELECT email FROM identities WHERE idp = $1 AND subject = $2")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .fetch_optional(&self.readers)
                .await
                .map_err(self.fails(act))?;
        if noted.is_none_or(|(noted,)| noted.as_ref() == Some(&email)) {
            return Ok(());
        }
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        sqlx::query(
            "UPDATE identities SET email = $3 WHERE idp = $1 AND subject = $2 AND (email IS NULL OR NOT EXISTS \
             (SELECT 1 FROM members WHERE members.id = identities.member AND status = 'blocked'))",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(email)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }
}

#[async_trait]
impl GuardStore for Database {
    async fn take_removals(
        &self,
        wanted: u32,
        now: UnixTime,
        within: Duration,
        max: u32,
    ) -> Result<bool, StoreError> {
        let act = "take_removals";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        // Whoever comes at the same time waits for this row.
        sqlx::query(
            "INSERT INTO removals (at, removed) VALUES (0, 0) ON CONFLICT (at) DO UPDATE SET removed = 0",
        )
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let long_ago = now.before(within).0;
        sqlx::query("DELETE FROM removals WHERE at > 0 AND at <= $1")
            .bind(long_ago)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let counts: Vec<(i64,)> = sqlx::query_as("SELECT removed FROM removals WHERE at > $1 AND at > 0")
            .bind(long_ago)
            .fetch_all(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let counted: i64 = counts.iter().map(|(removed,)| removed).sum();
        if counted.saturating_add(i64::from(wanted)) > i64::from(max) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO removals (at, removed) VALUES ($1, $2) \
             ON CONFLICT (at) DO UPDATE SET removed = removals.removed + excluded.removed",
        )
        .bind(now.0)
        .bind(i64::from(wanted))
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(true)
    }

    async fn counted_removals(&self, now: UnixTime, within: Duration) -> Result<u32, StoreError> {
        let counts: Vec<(i64,)> = sqlx::query_as("SELECT removed FROM removals WHERE at > $1 AND at > 0")
            .bind(now.before(within).0)
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails("counted_removals"))?;
        let counted: i64 = counts.iter().map(|(removed,)| removed).sum();
        Ok(u32::try_from(counted).unwrap_or(u32::MAX))
    }

    async fn hold_right(
        &self,
        name: &str,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError> {
        let act = "hold_right";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let held = sqlx::query(
            "INSERT INTO rights (name, holder, held_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
             SET holder = excluded.holder, held_until = excluded.held_until \
             WHERE rights.holder = excluded.holder OR rights.held_until <= $4",
        )
        .bind(name)
        .bind(holder.cast_signed())
        .bind(until.0)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if held.rows_affected() > 0 {
            self.commit(act, tx).await?;
            return Ok(None);
        }
        let until: Option<(i64,)> = sqlx::query_as("SELECT held_until FROM rights WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        // Given up in between: it can be asked for again at once.
        Ok(Some(until.map_or(now, |(until,)| UnixTime(until))))
    }

    async fn release_right(&self, name: &str, holder: u64) -> Result<(), StoreError> {
        let act = "release_right";
        let mut tx = self.write(act, Lasting::Crash).await?;
        sqlx::query("DELETE FROM rights WHERE name = $1 AND holder = $2")
            .bind(name)
            .bind(holder.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }
}

impl Database {
    async fn standing_of(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        id: MemberId,
        now: UnixTime,
    ) -> Result<Option<Standing>, StoreError> {
        let id = id.to_string();
        let Some(member) = self.member_of_id(act, tx, &id).await? else { return Ok(None) };
        let (landing_until,): (Option<i64>,) =
            sqlx::query_as("SELECT landing_until FROM members WHERE id = $1")
                .bind(&id)
                .fetch_one(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT content, created_at, expires_at FROM sessions WHERE member = $1 AND expires_at > $2 \
             ORDER BY ordinal",
        )
        .bind(&id)
        .bind(now.0)
        .fetch_all(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        let mut sessions = Vec::with_capacity(rows.len());
        for (content, created_at, expires_at) in rows {
            let Granted { grant } = read_json("session", &content, "grant")?;
            let (created_at, expires_at) = (UnixTime(created_at), UnixTime(expires_at));
            sessions.push(StandingSession { grant, created_at, expires_at });
        }
        let landing_until = landing_until.map(UnixTime).filter(|until| *until > now);
        Ok(Some(Standing { member, sessions, landing_until }))
    }

    async fn write_member(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: &Member,
        holder: Option<u64>,
    ) -> Result<(), StoreError> {
        let now: Option<(Option<i64>, i64)> =
            sqlx::query_as("SELECT holder, revision FROM members WHERE id = $1")
                .bind(member.id.to_string())
                .fetch_optional(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        let (held_by, revision) = now.ok_or(StoreError::Gone { act, what: MEMBER })?;
        if holder.is_some_and(|holder| held_by != Some(holder.cast_signed())) {
            return Err(StoreError::Gone { act, what: RIGHT });
        }
        if revision != member.revision.cast_signed() {
            return Err(StoreError::Conflict { act, what: "a later update of this member" });
        }
        sqlx::query(
            "UPDATE members SET account = $2, account_state = $3, username = $4, email = $5, origin = $6, \
             status = $7, ephemeral_until = $8, leaving = $9, ledger = $10, borrowed = $11, generation = $12, \
             last_login_at = CASE WHEN last_login_at < $13 THEN $13 ELSE last_login_at END, \
             revision = revision + 1 WHERE id = $1",
        )
        .bind(member.id.to_string())
        .bind(member.account.as_ref().map(|account| account.0.as_str()))
        .bind(word(act, &member.account_state)?)
        .bind(&member.username)
        .bind(&member.email)
        .bind(word(act, &member.origin)?)
        .bind(word(act, &member.status)?)
        .bind(member.ephemeral_until.map(|until| until.0))
        .bind(member.leaving.map(|leaving| word(act, &leaving)).transpose()?)
        .bind(json(act, &member.ledger)?)
        .bind(json(act, &member.borrowed)?)
        .bind(i64::from(member.generation))
        .bind(member.last_login_at.0)
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(|error| match error.as_database_error() {
            Some(refused) if refused.is_unique_violation() => {
                StoreError::Conflict { act, what: "another member with this account" }
            }
            Some(_) | None => self.failed(act, &error),
        })
    }

    pub(super) async fn end_all_sessions(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: MemberId,
    ) -> Result<Vec<SessionHash>, StoreError> {
        let ended: Vec<(Vec<u8>,)> = sqlx::query_as("DELETE FROM sessions WHERE member = $1 RETURNING hash")
            .bind(member.to_string())
            .fetch_all(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        ended.iter().map(|(bytes,)| hash("session", bytes).map(SessionHash)).collect()
    }

    async fn has_no_session(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: MemberId,
        at: UnixTime,
    ) -> Result<(), StoreError> {
        let found: Option<(String,)> = sqlx::query_as(
            "SELECT member FROM sessions WHERE member = $1 AND expires_at > $2 \
             UNION ALL SELECT id FROM members WHERE id = $1 AND landing_until > $2 LIMIT 1",
        )
        .bind(member.to_string())
        .bind(at.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        match found {
            None => Ok(()),
            Some(_) => Err(StoreError::Conflict { act, what: "a live session of this member" }),
        }
    }
}

/// What a session's content says of its grant.
#[derive(serde::Deserialize)]
struct Granted {
    grant: Grant,
}
