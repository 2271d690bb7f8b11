//! The store in memory: for tests and `memory:`; gone with the process.

mod audit;
mod cases;
mod console;
mod feed;
mod invites;
mod jobs;
mod lists;
mod logins;
mod members;
mod outbox;
mod rehearsals;
mod scim;
mod settings;
mod standing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::audit::AuditTables;
use self::console::Console;
use self::feed::Changes;
use self::jobs::Jobs;
use self::logins::Logins;
use self::members::Members;
use self::outbox::Outbox;
use self::rehearsals::Rehearsals;
use self::scim::Scim;
use super::feed::{Changed, session_key};
use super::{DocumentStore, KeyStore, SessionStore, StoreError, StoredKey};
use crate::model::case::{Case, CaseId};
use crate::model::invite::{Invite, InviteId};
use crate::model::login::MAX_IN_FLIGHT;
use crate::model::session::SessionContent;
use crate::model::{IdpId, MemberId, SessionHash, SessionRecord, UnixTime};

/// Everything behind one lock, so that every method is one transaction.
pub struct Memory {
    tables: Mutex<Tables>,
    max_in_flight: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { tables: Mutex::default(), max_in_flight: MAX_IN_FLIGHT }
    }
}

#[derive(Default)]
struct Tables {
    logins: Logins,
    sessions: Sessions,
    members: Members,
    jobs: Jobs,
    /// G3: when, and how many.
    removals: Vec<(UnixTime, u32)>,
    /// Who has them, and until when.
    rights: BTreeMap<String, (u64, UnixTime)>,
    keys: Vec<KeyRow>,
    documents: HashMap<String, (Vec<u8>, UnixTime)>,
    settings: Vec<super::lists::StoredSettings>,
    invites: BTreeMap<InviteId, Invite>,
    cases: BTreeMap<CaseId, Case>,
    rehearsals: Rehearsals,
    audit: AuditTables,
    console: Console,
    outbox: Outbox,
    scim: Scim,
}

impl Memory {
    /// With another limit than [`MAX_IN_FLIGHT`].
    #[cfg(test)]
    pub(super) fn with_max_in_flight(max_in_flight: usize) -> Self {
        Self { max_in_flight, ..Self::default() }
    }

    /// A panic elsewhere leaves the tables as the last whole step left them, so a poisoned lock is taken.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Ends these sessions and makes due what waited for that; gives those that there were.
    fn end(&mut self, hashes: &[SessionHash]) -> Vec<SessionHash> {
        let mut ended = Vec::new();
        let mut members = BTreeSet::new();
        for hash in hashes {
            let Some(record) = self.sessions.remove(hash) else { continue };
            ended.push(*hash);
            members.extend(member_of(&record));
        }
        // Once for each member, as a database does it.
        for member in members {
            self.jobs.hasten_member(member);
        }
        let rows = &self.sessions.rows;
        self.sessions.order.retain(|_, hash| rows.contains_key(hash));
        ended
    }
}

#[derive(Default)]
struct Sessions {
    next: u64,
    /// All sessions in the order of their recording.
    order: BTreeMap<i64, SessionHash>,
    rows: HashMap<SessionHash, SessionRecord>,
    /// A member's sessions in the order of their recording.
    of_member: HashMap<MemberId, BTreeMap<u64, SessionHash>>,
    changes: Changes,
}

impl Sessions {
    fn remove(&mut self, hash: &SessionHash) -> Option<SessionRecord> {
        let record = self.rows.remove(hash)?;
        self.changes.note(Changed::Session, session_key(hash));
        if let Some(member) = member_of(&record)
            && let Some(hashes) = self.of_member.get_mut(&member)
        {
            hashes.retain(|_, one| one != hash);
            if hashes.is_empty() {
                self.of_member.remove(&member);
            }
        }
        Some(record)
    }

    /// A member's sessions in the order of their recording.
    fn of(&self, member: MemberId) -> impl Iterator<Item = &SessionRecord> {
        let hashes = self.of_member.get(&member).into_iter().flat_map(BTreeMap::values);
        hashes.filter_map(|hash| self.rows.get(hash))
    }
}

impl Sessions {
    /// Those of the same identity that have no account either, in the order of their recording.
    fn without_account(&self, of: &SessionContent) -> Vec<SessionHash> {
        let theirs = |record: &&SessionRecord| {
            let content = &record.content;
            content.account.is_none() && content.idp == of.idp && content.subject == of.subject
        };
        let rows = self.order.values().filter_map(|hash| self.rows.get(hash));
        rows.filter(theirs).map(|record| record.hash).collect()
    }
}

fn member_of(record: &SessionRecord) -> Option<MemberId> {
    record.content.account.as_ref().map(|account| account.member)
}

#[async_trait]
impl SessionStore for Memory {
    async fn insert_session(
        &self,
        session: &SessionRecord,
        max_per_member: usize,
    ) -> Result<Vec<SessionHash>, StoreError> {
        let act = "insert_session";
        let tables = &mut *self.tables();
        if let Some(account) = &session.content.account
            && !tables.members.fits(account.member, &account.id)
        {
            return Err(StoreError::Gone { act, what: "the account that the session is for" });
        }
        let sessions = &mut tables.sessions;
        if sessions.rows.contains_key(&session.hash) {
            return Err(StoreError::Conflict { act, what: "a session of this hash" });
        }
        if let Some(member) = member_of(session) {
            tables.members.landed(member);
        }
        sessions.rows.insert(session.hash, session.clone());
        sessions.next += 1;
        let ordinal = i64::try_from(sessions.next).unwrap_or(i64::MAX);
        sessions.order.insert(ordinal, session.hash);
        let mut theirs = match member_of(session) {
            None => sessions.without_account(&session.content),
            Some(member) => {
                let hashes = sessions.of_member.entry(member).or_default();
                hashes.insert(sessions.next, session.hash);
                hashes.values().copied().collect()
            }
        };
        theirs.truncate(theirs.len().saturating_sub(max_per_member.max(1)));
        Ok(tables.end(&theirs))
    }

    async fn find_session(&self, hash: &SessionHash) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.tables().sessions.rows.get(hash).cloned())
    }

    async fn touch_sessions(&self, seen: &[(SessionHash, UnixTime)]) -> Result<(), StoreError> {
        let sessions = &mut self.tables().sessions;
        for (hash, at) in seen {
            if let Some(record) = sessions.rows.get_mut(hash) {
                record.last_seen_at = record.last_seen_at.max(*at);
            }
        }
        Ok(())
    }

    async fn sessions_among(&self, hashes: &[SessionHash]) -> Result<Vec<SessionHash>, StoreError> {
        let sessions = &self.tables().sessions;
        Ok(hashes.iter().filter(|hash| sessions.rows.contains_key(hash)).copied().collect())
    }

    async fn end_session(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        let ended = self.tables().end(std::slice::from_ref(hash));
        Ok(!ended.is_empty())
    }

    async fn end_sessions_of(
        &self,
        idp: &IdpId,
        name: &str,
        idp_sessions: &[String],
    ) -> Result<Vec<SessionHash>, StoreError> {
        let tables = &mut *self.tables();
        let is_one = |record: &&SessionRecord| {
            let content = &record.content;
            content.idp == *idp
                && content.logout_name == name
                && (idp_sessions.is_empty()
                    || content.idp_session.as_ref().is_some_and(|session| idp_sessions.contains(session)))
        };
        let ended: Vec<SessionHash> =
            tables.sessions.rows.values().filter(is_one).map(|record| record.hash).collect();
        Ok(tables.end(&ended))
    }

    async fn sweep_sessions(&self, now: UnixTime, idle: Duration) -> Result<Vec<SessionHash>, StoreError> {
        let tables = &mut *self.tables();
        let over =
            |record: &&SessionRecord| record.expires_at <= now || record.last_seen_at < now.before(idle);
        let ended: Vec<SessionHash> =
            tables.sessions.rows.values().filter(over).map(|record| record.hash).collect();
        Ok(tables.end(&ended))
    }
}

struct KeyRow {
    key: StoredKey,
    after: Option<String>,
}

#[async_trait]
impl KeyStore for Memory {
    async fn list_keys(&self, purpose: &str) -> Result<Vec<StoredKey>, StoreError> {
        let tables = self.tables();
        let of_purpose = tables.keys.iter().filter(|row| row.key.purpose == purpose);
        Ok(of_purpose.map(|row| row.key.clone()).collect())
    }

    async fn add_key(&self, key: &StoredKey, after: Option<&str>) -> Result<bool, StoreError> {
        let keys = &mut self.tables().keys;
        let of_purpose = || keys.iter().filter(|row| row.key.purpose == key.purpose);
        let may = match after {
            None => of_purpose().next().is_none(),
            Some(after) => {
                of_purpose().any(|row| row.key.id == after)
                    && !of_purpose().any(|row| row.after.as_deref() == Some(after))
            }
        };
        let added = may && !keys.iter().any(|row| row.key.id == key.id);
        if added {
            keys.push(KeyRow { key: key.clone(), after: after.map(str::to_owned) });
        }
        Ok(added)
    }

    async fn sweep_keys(&self, now: UnixTime) -> Result<u64, StoreError> {
        let keys = &mut self.tables().keys;
        let before = keys.len();
        keys.retain(|row| now < row.key.retired_at);
        Ok(u64::try_from(before - keys.len()).unwrap_or(u64::MAX))
    }
}

#[async_trait]
impl DocumentStore for Memory {
    async fn put_document(&self, name: &str, body: &[u8], fetched_at: UnixTime) -> Result<(), StoreError> {
        self.tables().documents.insert(name.to_owned(), (body.to_vec(), fetched_at));
        Ok(())
    }

    async fn find_document(&self, name: &str) -> Result<Option<(Vec<u8>, UnixTime)>, StoreError> {
        Ok(self.tables().documents.get(name).cloned())
    }
}
