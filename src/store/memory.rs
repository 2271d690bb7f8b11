//! The store in memory: for tests and `memory:`; gone with the process.

mod audit;
mod invites;
mod lists;
mod logins;
mod rehearsals;
mod scim;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::audit::AuditTables;
use self::logins::Logins;
use self::rehearsals::Rehearsals;
use self::scim::Scim;
use super::{CreationLease, DocumentStore, KeyStore, MemberStore, SessionStore, StoreError, StoredKey};
use crate::model::invite::{Invite, InviteId};
use crate::model::login::MAX_IN_FLIGHT;
use crate::model::{AccountId, IdpId, Member, MemberId, SessionHash, SessionRecord, Subject, UnixTime};

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
    keys: Vec<KeyRow>,
    documents: HashMap<String, (Vec<u8>, UnixTime)>,
    settings: Vec<super::lists::StoredSettings>,
    invites: BTreeMap<InviteId, Invite>,
    rehearsals: Rehearsals,
    audit: AuditTables,
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

#[derive(Default)]
struct Sessions {
    next: u64,
    /// All sessions in the order of their recording.
    order: BTreeMap<i64, SessionHash>,
    rows: HashMap<SessionHash, SessionRecord>,
    /// A member's sessions in the order of their recording.
    of_member: HashMap<MemberId, BTreeMap<u64, SessionHash>>,
}

impl Sessions {
    fn remove(&mut self, hash: &SessionHash) -> bool {
        let Some(record) = self.rows.remove(hash) else { return false };
        if let Some(member) = member_of(&record)
            && let Some(hashes) = self.of_member.get_mut(&member)
        {
            hashes.retain(|_, one| one != hash);
            if hashes.is_empty() {
                self.of_member.remove(&member);
            }
        }
        true
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
        let sessions = &mut self.tables().sessions;
        if sessions.rows.contains_key(&session.hash) {
            return Err(StoreError::Conflict { act: "insert_session", what: "a session of this hash" });
        }
        sessions.rows.insert(session.hash, session.clone());
        sessions.next += 1;
        let ordinal = i64::try_from(sessions.next).unwrap_or(i64::MAX);
        sessions.order.insert(ordinal, session.hash);
        let Some(member) = member_of(session) else { return Ok(Vec::new()) };
        let hashes = sessions.of_member.entry(member).or_default();
        hashes.insert(sessions.next, session.hash);
        let mut ended = Vec::new();
        while hashes.len() > max_per_member.max(1) {
            let Some((_, oldest)) = hashes.pop_first() else { break };
            sessions.rows.remove(&oldest);
            ended.push(oldest);
        }
        Ok(ended)
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

    async fn end_session(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        Ok(self.tables().sessions.remove(hash))
    }

    async fn end_sessions_of(
        &self,
        idp: &IdpId,
        name: &str,
        idp_sessions: &[String],
    ) -> Result<Vec<SessionHash>, StoreError> {
        let sessions = &mut self.tables().sessions;
        let is_one = |record: &&SessionRecord| {
            let content = &record.content;
            content.idp == *idp
                && content.logout_name == name
                && (idp_sessions.is_empty()
                    || content.idp_session.as_ref().is_some_and(|session| idp_sessions.contains(session)))
        };
        let ended: Vec<SessionHash> =
            sessions.rows.values().filter(is_one).map(|record| record.hash).collect();
        for hash in &ended {
            sessions.remove(hash);
        }
        Ok(ended)
    }

    async fn sweep_sessions(&self, now: UnixTime, idle: Duration) -> Result<Vec<SessionHash>, StoreError> {
        let sessions = &mut self.tables().sessions;
        let over =
            |record: &&SessionRecord| record.expires_at <= now || record.last_seen_at < now.before(idle);
        let ended: Vec<SessionHash> = sessions.rows.values().filter(over).map(|record| record.hash).collect();
        for hash in &ended {
            sessions.remove(hash);
        }
        let rows = &sessions.rows;
        sessions.order.retain(|_, hash| rows.contains_key(hash));
        Ok(ended)
    }
}

#[derive(Default)]
struct Members {
    rows: HashMap<MemberId, Member>,
    by_identity: HashMap<(IdpId, Subject), MemberId>,
    by_account: HashMap<AccountId, MemberId>,
    creations: HashMap<(IdpId, Subject), Creation>,
}

/// A member in the making.
#[derive(Default)]
struct Creation {
    /// Who is at it, and until when another may not be.
    lease: Option<(u64, UnixTime)>,
    intent: Option<String>,
}

impl Creation {
    fn is_held_by(&self, holder: u64) -> bool {
        self.lease.is_some_and(|(held_by, _)| held_by == holder)
    }
}

impl Members {
    fn rival_of(&self, member: &Member) -> Option<&Member> {
        let known = member.identities.iter().find_map(|identity| self.by_identity.get(identity));
        let known = known.or_else(|| self.by_account.get(&member.account));
        known.and_then(|id| self.rows.get(id))
    }
}

#[async_trait]
impl MemberStore for Memory {
    async fn find_member(&self, idp: &IdpId, subject: &Subject) -> Result<Option<Member>, StoreError> {
        let members = &self.tables().members;
        let id = members.by_identity.get(&(idp.clone(), subject.clone()));
        Ok(id.and_then(|id| members.rows.get(id)).cloned())
    }

    async fn find_member_by_account(&self, account: &AccountId) -> Result<Option<Member>, StoreError> {
        let members = &self.tables().members;
        Ok(members.by_account.get(account).and_then(|id| members.rows.get(id)).cloned())
    }

    async fn begin_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<CreationLease, StoreError> {
        let members = &mut self.tables().members;
        let creation = members.creations.entry((idp.clone(), subject.clone())).or_default();
        match creation.lease {
            Some((held_by, until)) if held_by != holder && now < until => Ok(CreationLease::Busy { until }),
            Some(_) | None => {
                creation.lease = Some((holder, until));
                Ok(CreationLease::Acquired { earlier_intent: creation.intent.clone() })
            }
        }
    }

    async fn intend_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        username: &str,
    ) -> Result<bool, StoreError> {
        let members = &mut self.tables().members;
        let creation = members.creations.get_mut(&(idp.clone(), subject.clone()));
        let Some(creation) = creation.filter(|creation| creation.is_held_by(holder)) else {
            return Ok(false);
        };
        creation.intent = Some(username.to_owned());
        Ok(true)
    }

    async fn finish_creation(&self, member: &Member, holder: u64) -> Result<Result<(), Member>, StoreError> {
        let members = &mut self.tables().members;
        if let Some(rival) = members.rival_of(member) {
            return Ok(Err(rival.clone()));
        }
        let holds = |identity| members.creations.get(identity).is_some_and(|one| one.is_held_by(holder));
        if !member.identities.iter().any(holds) {
            return Err(StoreError::Gone { act: "finish_creation", what: "the right to create this member" });
        }
        if members.rows.contains_key(&member.id) {
            return Err(StoreError::Conflict { act: "finish_creation", what: "a member of this id" });
        }
        for identity in &member.identities {
            members.creations.remove(identity);
            members.by_identity.insert(identity.clone(), member.id);
        }
        members.by_account.insert(member.account.clone(), member.id);
        members.rows.insert(member.id, member.clone());
        Ok(Ok(()))
    }

    async fn abandon_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        keep_intent: bool,
    ) -> Result<(), StoreError> {
        let members = &mut self.tables().members;
        let identity = (idp.clone(), subject.clone());
        let Some(creation) = members.creations.get_mut(&identity).filter(|one| one.is_held_by(holder)) else {
            return Ok(());
        };
        if keep_intent && creation.intent.is_some() {
            creation.lease = None;
        } else {
            members.creations.remove(&identity);
        }
        Ok(())
    }

    async fn record_login(&self, member: &Member) -> Result<(), StoreError> {
        let members = &mut self.tables().members;
        let Some(row) = members.rows.get_mut(&member.id) else {
            return Err(StoreError::Gone { act: "record_login", what: "the member" });
        };
        if member.generation >= row.generation {
            if members.by_account.get(&member.account).is_some_and(|id| *id != member.id) {
                return Err(StoreError::Conflict {
                    act: "record_login",
                    what: "another member with this account",
                });
            }
            members.by_account.remove(&row.account);
            members.by_account.insert(member.account.clone(), member.id);
            row.account = member.account.clone();
            row.generation = member.generation;
            row.username.clone_from(&member.username);
            row.email.clone_from(&member.email);
        }
        row.last_login_at = row.last_login_at.max(member.last_login_at);
        Ok(())
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
