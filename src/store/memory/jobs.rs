//! Durable jobs; as durable as this store is.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Memory;
use crate::model::job::AT_ONCE;
use crate::model::{Job, JobState, MemberId, Task, UnixTime};
use crate::store::{ClaimedJob, JobOutcome, JobStore, StoreError};

#[derive(Default)]
pub(super) struct Jobs(BTreeMap<String, Row>);

struct Row {
    job: Job,
    lease: Option<(u64, UnixTime)>,
    ticket: u64,
}

impl Row {
    fn hasten(&mut self) {
        self.job.due_at = AT_ONCE;
        self.job.state = JobState::Waiting;
        self.job.tries = 0;
        self.ticket += 1;
    }
}

impl Jobs {
    pub(super) fn put(&mut self, task: &Task, due_at: UnixTime) {
        let job = Job { task: task.clone(), due_at, tries: 0, state: JobState::Waiting, reason: None };
        let former = self.0.remove(&task.key());
        let (lease, ticket) = former.map_or((None, 0), |row| (row.lease, row.ticket));
        self.0.insert(task.key(), Row { job, lease, ticket: ticket + 1 });
    }

    pub(super) fn put_if_absent(&mut self, task: &Task, due_at: UnixTime) {
        if !self.0.contains_key(&task.key()) {
            self.put(task, due_at);
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn forget_member(&mut self, member: MemberId) {
        self.0.retain(|_, row| row.job.task.member() != Some(member));
    }

    pub(super) fn hasten_member(&mut self, member: MemberId) {
        for row in self.0.values_mut().filter(|row| row.job.task.member() == Some(member)) {
            row.hasten();
        }
    }
}

#[async_trait]
impl JobStore for Memory {
    async fn put_job(&self, task: &Task, due_at: UnixTime) -> Result<(), StoreError> {
        self.tables().jobs.put(task, due_at);
        Ok(())
    }

    async fn claim_job(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        let jobs = &mut self.tables().jobs;
        let is_due = |(_, row): &(&String, &mut Row)| {
            row.job.state == JobState::Waiting
                && row.job.due_at <= now
                && row.lease.is_none_or(|(_, until)| until <= now)
        };
        let due = jobs.0.iter_mut().filter(is_due).min_by_key(|(key, row)| (row.job.due_at, (*key).clone()));
        let Some((_, row)) = due else { return Ok(None) };
        row.lease = Some((holder, until));
        Ok(Some(ClaimedJob { job: row.job.clone(), holder, ticket: row.ticket }))
    }

    async fn conclude_job(&self, claimed: &ClaimedJob, outcome: &JobOutcome) -> Result<(), StoreError> {
        let jobs = &mut self.tables().jobs;
        let key = claimed.job.task.key();
        let row = jobs.0.get_mut(&key);
        let Some(row) = row.filter(|row| row.lease.is_some_and(|(holder, _)| holder == claimed.holder))
        else {
            return Ok(());
        };
        row.lease = None;
        if row.ticket == claimed.ticket {
            match outcome.applied_to(&claimed.job) {
                Some(job) => row.job = job,
                None => jobs.remove(&key),
            }
        }
        Ok(())
    }

    async fn list_jobs(&self, limit: usize) -> Result<Vec<Job>, StoreError> {
        let tables = self.tables();
        let mut jobs: Vec<(&String, &Job)> = tables.jobs.0.iter().map(|(key, row)| (key, &row.job)).collect();
        jobs.sort_by_key(|(key, job)| (job.state == JobState::Parked, job.due_at, (*key).clone()));
        Ok(jobs.into_iter().take(limit).map(|(_, job)| job.clone()).collect())
    }

    async fn hasten_job(&self, key: &str) -> Result<bool, StoreError> {
        let jobs = &mut self.tables().jobs;
        let row = jobs.0.get_mut(key);
        Ok(row.map(Row::hasten).is_some())
    }
}
