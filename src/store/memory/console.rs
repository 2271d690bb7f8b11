//! People who came to the admin API by an identity provider, and their sessions there, in memory.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;

use super::Memory;
use crate::model::{ConsoleHash, ConsolePerson, ConsoleSession, IdpId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::console::{ConsoleStore, NOTED_EVERY};

#[derive(Default)]
pub(super) struct Console {
    people: HashMap<(IdpId, Subject), ConsolePerson>,
    sessions: BTreeMap<ConsoleHash, ConsoleSession>,
}

fn person(session: &ConsoleSession) -> (&IdpId, &Subject) {
    (&session.person.idp, &session.person.subject)
}

fn lives(session: &ConsoleSession, now: UnixTime, idle: Duration) -> bool {
    now < session.expires_at && now < session.last_seen_at.after(idle)
}

/// The newest first; of one second, by hash.
fn newest_first(sessions: &mut [ConsoleSession]) {
    sessions.sort_by(|a, b| (b.person.signed_in_at, a.hash).cmp(&(a.person.signed_in_at, b.hash)));
}

#[async_trait]
impl ConsoleStore for Memory {
    async fn begin_console_session(&self, session: &ConsoleSession, most: usize) -> Result<(), StoreError> {
        let tables = &mut self.tables().console;
        if tables.sessions.contains_key(&session.hash) {
            return Err(StoreError::Conflict {
                act: "begin_console_session",
                what: "a session of this hash",
            });
        }
        let (idp, subject) = person(session);
        let mut own: Vec<_> =
            tables.sessions.values().filter(|one| person(one) == (idp, subject)).cloned().collect();
        newest_first(&mut own);
        for over in own.iter().skip(most.saturating_sub(1)) {
            tables.sessions.remove(&over.hash);
        }
        tables.people.insert((idp.clone(), subject.clone()), session.person.clone());
        tables.sessions.insert(session.hash, session.clone());
        Ok(())
    }

    async fn use_console_session(
        &self,
        hash: &ConsoleHash,
        now: UnixTime,
        idle: Duration,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        let tables = &mut self.tables().console;
        let Some(session) = tables.sessions.get_mut(hash).filter(|one| lives(one, now, idle)) else {
            return Ok(None);
        };
        if session.last_seen_at.after(NOTED_EVERY) <= now {
            session.last_seen_at = now;
        }
        Ok(Some(session.clone()))
    }

    async fn end_console_session(&self, hash: &ConsoleHash) -> Result<Option<ConsoleSession>, StoreError> {
        Ok(self.tables().console.sessions.remove(hash))
    }

    async fn list_console_sessions(
        &self,
        now: UnixTime,
        idle: Duration,
        limit: usize,
    ) -> Result<Vec<ConsoleSession>, StoreError> {
        let tables = self.tables();
        let living = tables.console.sessions.values().filter(|one| lives(one, now, idle));
        let mut all: Vec<ConsoleSession> = living.cloned().collect();
        newest_first(&mut all);
        all.truncate(limit);
        Ok(all)
    }

    async fn find_console_person(
        &self,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<Option<ConsolePerson>, StoreError> {
        Ok(self.tables().console.people.get(&(idp.clone(), subject.clone())).cloned())
    }

    async fn forget_console_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError> {
        let tables = &mut self.tables().console;
        tables.people.remove(&(idp.clone(), subject.clone()));
        let before = tables.sessions.len();
        tables.sessions.retain(|_, one| person(one) != (idp, subject));
        Ok(u64::try_from(before - tables.sessions.len()).unwrap_or(u64::MAX))
    }

    async fn sweep_console_sessions(&self, now: UnixTime, idle: Duration) -> Result<u64, StoreError> {
        let sessions = &mut self.tables().console.sessions;
        let before = sessions.len();
        sessions.retain(|_, one| lives(one, now, idle));
        Ok(u64::try_from(before - sessions.len()).unwrap_or(u64::MAX))
    }
}
