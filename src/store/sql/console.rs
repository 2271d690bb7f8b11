//! People who came to the admin API by an identity provider, and their sessions there.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;

use super::{Database, Lasting, Record, hash, sql};
use crate::model::{ConsoleHash, ConsolePerson, ConsoleSession, IdpId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::columns::{read_word, unknown, word};
use crate::store::console::{ConsoleStore, NOTED_EVERY};

/// What stands before the condition.
macro_rules! sessions_where {
    ($condition:literal) => {
        concat!(
            "SELECT hash, idp, subject, label, email, role, rule, created_at AS signed_in_at, last_seen_at, \
             expires_at \
             FROM console_sessions WHERE ",
            $condition
        )
    };
}

#[async_trait]
impl ConsoleStore for Database {
    async fn begin_console_session(&self, session: &ConsoleSession, most: usize) -> Result<(), StoreError> {
        let act = "begin_console_session";
        let ConsolePerson { idp, subject, label, email, role, rule, signed_in_at } = &session.person;
        let mut tx = self.write(act, Lasting::Crash).await?;
        // First: whoever begins another session of this person waits for this row.
        sqlx::query(
            "INSERT INTO console_people (idp, subject, label, role, rule, signed_in_at, email) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (idp, subject) DO UPDATE \
             SET label = excluded.label, role = excluded.role, rule = excluded.rule, \
             signed_in_at = excluded.signed_in_at, email = excluded.email",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(label)
        .bind(word(act, role)?)
        .bind(rule)
        .bind(signed_in_at.0)
        .bind(email.as_deref())
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        sqlx::query(
            "DELETE FROM console_sessions WHERE hash IN (SELECT hash FROM console_sessions \
             WHERE idp = $1 AND subject = $2 ORDER BY created_at DESC, hash LIMIT 1000000 OFFSET $3)",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(sql(most.saturating_sub(1)))
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let begun = sqlx::query(
            "INSERT INTO console_sessions (hash, idp, subject, label, role, rule, created_at, last_seen_at, \
             expires_at, email) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (hash) DO NOTHING",
        )
        .bind(session.hash.0.as_slice())
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(label)
        .bind(word(act, role)?)
        .bind(rule)
        .bind(signed_in_at.0)
        .bind(session.last_seen_at.0)
        .bind(session.expires_at.0)
        .bind(email.as_deref())
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if begun.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "a session of this hash" });
        }
        self.commit(act, tx).await
    }

    async fn use_console_session(
        &self,
        hash: &ConsoleHash,
        now: UnixTime,
        idle: Duration,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        let act = "use_console_session";
        let found = sqlx::query(sessions_where!("hash = $1 AND expires_at > $2 AND last_seen_at > $3"))
            .bind(hash.0.as_slice())
            .bind(now.0)
            .bind(now.before(idle).0)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?;
        let Some(row) = found else { return Ok(None) };
        let session = self.console_session(act, &row)?;
        if session.last_seen_at.after(NOTED_EVERY) > now {
            return Ok(Some(session));
        }
        // One that ended meanwhile does not come back.
        let mut tx = self.write(act, Lasting::Crash).await?;
        let noted = sqlx::query(
            "UPDATE console_sessions SET last_seen_at = $2 WHERE hash = $1 AND last_seen_at <= $2",
        )
        .bind(hash.0.as_slice())
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        if noted.rows_affected() > 0 {
            return Ok(Some(ConsoleSession { last_seen_at: now, ..session }));
        }
        // Gone, or noted by another use that was later.
        sqlx::query(sessions_where!("hash = $1"))
            .bind(hash.0.as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?
            .map(|row| self.console_session(act, &row))
            .transpose()
    }

    async fn end_console_session(&self, hash: &ConsoleHash) -> Result<Option<ConsoleSession>, StoreError> {
        let act = "end_console_session";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let ended = sqlx::query(
            "DELETE FROM console_sessions WHERE hash = $1 RETURNING hash, idp, subject, label, email, role, rule, \
             created_at AS signed_in_at, last_seen_at, expires_at",
        )
        .bind(hash.0.as_slice())
        .fetch_optional(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        ended.map(|row| self.console_session(act, &row)).transpose()
    }

    async fn list_console_sessions(
        &self,
        now: UnixTime,
        idle: Duration,
        limit: usize,
    ) -> Result<Vec<ConsoleSession>, StoreError> {
        let act = "list_console_sessions";
        sqlx::query(sessions_where!(
            "expires_at > $1 AND last_seen_at > $2 ORDER BY created_at DESC, hash LIMIT $3"
        ))
        .bind(now.0)
        .bind(now.before(idle).0)
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails(act))?
        .iter()
        .map(|row| self.console_session(act, row))
        .collect()
    }

    async fn find_console_person(
        &self,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<Option<ConsolePerson>, StoreError> {
        let act = "find_console_person";
        sqlx::query(
            "SELECT idp, subject, label, email, role, rule, signed_in_at FROM console_people \
             WHERE idp = $1 AND subject = $2",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))?
        .map(|row| self.console_person(act, &row))
        .transpose()
    }

    async fn forget_console_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError> {
        let act = "forget_console_person";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        sqlx::query("DELETE FROM console_people WHERE idp = $1 AND subject = $2")
            .bind(idp.as_str())
            .bind(subject.as_str())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        let ended = sqlx::query("DELETE FROM console_sessions WHERE idp = $1 AND subject = $2")
            .bind(idp.as_str())
            .bind(subject.as_str())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(ended.rows_affected())
    }

    async fn sweep_console_sessions(&self, now: UnixTime, idle: Duration) -> Result<u64, StoreError> {
        let act = "sweep_console_sessions";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let swept = sqlx::query("DELETE FROM console_sessions WHERE expires_at <= $1 OR last_seen_at <= $2")
            .bind(now.0)
            .bind(now.before(idle).0)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(swept.rows_affected())
    }
}

impl Database {
    fn console_session(&self, act: &'static str, row: &Record) -> Result<ConsoleSession, StoreError> {
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(self.fails(act));
        let bytes: Vec<u8> = row.try_get("hash").map_err(self.fails(act))?;
        Ok(ConsoleSession {
            hash: hash("console session", &bytes).map(ConsoleHash)?,
            person: self.console_person(act, row)?,
            last_seen_at: UnixTime(number("last_seen_at")?),
            expires_at: UnixTime(number("expires_at")?),
        })
    }

    fn console_person(&self, act: &'static str, row: &Record) -> Result<ConsolePerson, StoreError> {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(self.fails(act));
        let unknown = |column| move || unknown("console person", column);
        let signed_in_at: i64 = row.try_get("signed_in_at").map_err(self.fails(act))?;
        Ok(ConsolePerson {
            idp: text("idp")?.parse().map_err(|_| unknown("identity provider")())?,
            subject: Subject::parse(&text("subject")?).ok_or_else(unknown("subject"))?,
            label: text("label")?,
            email: row.try_get("email").map_err(self.fails(act))?,
            role: read_word("console person", text("role")?, "role")?,
            rule: text("rule")?,
            signed_in_at: UnixTime(signed_in_at),
        })
    }
}
