//! Durable jobs.

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, sql};
use crate::model::job::AT_ONCE;
use crate::model::{Job, JobState, Task, UnixTime};
use crate::store::columns::{json, read_json, read_word, word};
use crate::store::{ClaimedJob, JobOutcome, JobStore, StoreError};

#[async_trait]
impl JobStore for Database {
    async fn put_job(&self, task: &Task, due_at: UnixTime) -> Result<(), StoreError> {
        let act = "put_job";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        self.put(act, &mut tx, task, due_at).await?;
        self.commit(act, tx).await
    }

    async fn claim_job(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        let act = "claim_job";
        // Most looks find nothing, and should not wait for those who write.
        let due: Option<(String,)> = sqlx::query_as(
            "SELECT key FROM jobs WHERE state = 'waiting' AND due_at <= $1 \
             AND (holder IS NULL OR held_until <= $1) LIMIT 1",
        )
        .bind(now.0)
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))?;
        if due.is_none() {
            return Ok(None);
        }
        let mut tx = self.write(act, Lasting::Crash).await?;
        let row: Option<(String, i64, i64, String, Option<String>, i64)> = sqlx::query_as(
            "UPDATE jobs SET holder = $1, held_until = $2 WHERE key = (SELECT key FROM jobs \
             WHERE state = 'waiting' AND due_at <= $3 AND (holder IS NULL OR held_until <= $3) \
             ORDER BY due_at, key LIMIT 1) AND (holder IS NULL OR held_until <= $3) \
             RETURNING task, due_at, tries, state, reason, ticket",
        )
        .bind(holder.cast_signed())
        .bind(until.0)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let Some((task, due_at, tries, state, reason, ticket)) = row else { return Ok(None) };
        let job = job((task, due_at, tries, state, reason))?;
        self.commit(act, tx).await?;
        Ok(Some(ClaimedJob { job, holder, ticket: ticket.cast_unsigned() }))
    }

    async fn conclude_job(&self, claimed: &ClaimedJob, outcome: &JobOutcome) -> Result<(), StoreError> {
        let act = "conclude_job";
        let key = claimed.job.task.key();
        let mut tx = self.write(act, Lasting::Crash).await?;
        let concluded = match outcome.applied_to(&claimed.job) {
            None => {
                sqlx::query("DELETE FROM jobs WHERE key = $1 AND holder = $2 AND ticket = $3")
                    .bind(&key)
                    .bind(claimed.holder.cast_signed())
                    .bind(claimed.ticket.cast_signed())
                    .execute(&mut *tx)
                    .await
            }
            Some(job) => {
                sqlx::query(
                    "UPDATE jobs SET due_at = $4, tries = $5, state = $6, reason = $7, holder = NULL, \
                     held_until = NULL WHERE key = $1 AND holder = $2 AND ticket = $3",
                )
                .bind(&key)
                .bind(claimed.holder.cast_signed())
                .bind(claimed.ticket.cast_signed())
                .bind(job.due_at.0)
                .bind(i64::from(job.tries))
                .bind(word(act, &job.state)?)
                .bind(job.reason)
                .execute(&mut *tx)
                .await
            }
        };
        if concluded.map_err(self.fails(act))?.rows_affected() == 0 {
            // Put or hastened meanwhile: it is still due.
            sqlx::query("UPDATE jobs SET holder = NULL, held_until = NULL WHERE key = $1 AND holder = $2")
                .bind(&key)
                .bind(claimed.holder.cast_signed())
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn list_jobs(&self, limit: usize) -> Result<Vec<Job>, StoreError> {
        let rows: Vec<JobRow> = sqlx::query_as(
            "SELECT task, due_at, tries, state, reason FROM jobs ORDER BY state DESC, due_at, key LIMIT $1",
        )
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("list_jobs"))?;
        rows.into_iter().map(job).collect()
    }

    async fn hasten_job(&self, key: &str) -> Result<bool, StoreError> {
        let act = "hasten_job";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let hastened = sqlx::query(
            "UPDATE jobs SET due_at = $2, state = 'waiting', tries = 0, ticket = ticket + 1 WHERE key = $1",
        )
        .bind(key)
        .bind(AT_ONCE.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(hastened.rows_affected() > 0)
    }
}

impl Database {
    /// [`JobStore::put_job`] in the transaction of another act.
    pub(super) async fn put(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        task: &Task,
        due_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.put_or(
            act,
            tx,
            task,
            due_at,
            "INSERT INTO jobs (key, task, member, due_at, tries, state, ticket) \
             VALUES ($1, $2, $3, $4, 0, 'waiting', 1) ON CONFLICT (key) DO UPDATE SET task = excluded.task, \
             member = excluded.member, due_at = excluded.due_at, tries = 0, state = 'waiting', reason = NULL, \
             ticket = jobs.ticket + 1",
        )
        .await
    }

    /// As [`Database::put`], unless there is one of its key.
    pub(super) async fn put_if_absent(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        task: &Task,
        due_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.put_or(
            act,
            tx,
            task,
            due_at,
            "INSERT INTO jobs (key, task, member, due_at, tries, state, ticket) \
             VALUES ($1, $2, $3, $4, 0, 'waiting', 1) ON CONFLICT (key) DO NOTHING",
        )
        .await
    }

    async fn put_or(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        task: &Task,
        due_at: UnixTime,
        statement: &'static str,
    ) -> Result<(), StoreError> {
        sqlx::query(statement)
            .bind(task.key())
            .bind(json(act, task)?)
            .bind(task.member().map(|member| member.to_string()))
            .bind(due_at.0)
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        Ok(())
    }

    /// Makes due what waits for the sessions of these members to end.
    pub(super) async fn hasten_members(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        members: impl Iterator<Item = String>,
    ) -> Result<(), StoreError> {
        let members: std::collections::BTreeSet<String> = members.collect();
        for member in members {
            sqlx::query(
                "UPDATE jobs SET due_at = $2, state = 'waiting', tries = 0, ticket = ticket + 1 \
                 WHERE member = $1",
            )
            .bind(member)
            .bind(AT_ONCE.0)
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        }
        Ok(())
    }
}

/// task, due_at, tries, state, reason
type JobRow = (String, i64, i64, String, Option<String>);

fn job((task, due_at, tries, state, reason): JobRow) -> Result<Job, StoreError> {
    let state: JobState = read_word("job", state, "state")?;
    Ok(Job {
        task: read_json("job", &task, "task")?,
        due_at: UnixTime(due_at),
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        state,
        reason,
    })
}
