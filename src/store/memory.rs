//! The store in memory: for tests and `memory:`; gone with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    CreationLease, DocumentStore, KeyStore, LoginStore, MemberStore, SessionStore, StoreError, StoredKey,
    TakenLogin,
};
use crate::model::login::{MAX_IN_FLIGHT, MAX_PER_BROWSER};
use crate::model::{
    AccountId, BrowserHash, IdpId, LoginAttempt, Member, MemberId, ReturnTo, SessionHash, SessionRecord,
    StateHash, Subject, UnixTime,
};

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

/// Rows in the order of their recording.
#[derive(Default)]
struct Logins {
    next: u64,
    rows: BTreeMap<u64, LoginRow>,
    by_state: HashMap<StateHash, u64>,
    per_browser: HashMap<BrowserHash, usize>,
    parked: BTreeMap<u64, (StateHash, Vec<u8>, UnixTime)>,
    by_park_id: HashMap<StateHash, u64>,
}

struct LoginRow {
    state: StateHash,
    browser: BrowserHash,
    return_to: ReturnTo,
    expires_at: UnixTime,
    /// `None` once taken: nonce and verifier are of no further use, so they are not kept.
    attempt: Option<LoginAttempt>,
}

impl Logins {
    fn ordinal(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn remove(&mut self, ordinal: u64) {
        let Some(row) = self.rows.remove(&ordinal) else { return };
        self.by_state.remove(&row.state);
        if let Some(count) = self.per_browser.get_mut(&row.browser) {
            *count -= 1;
            if *count == 0 {
                self.per_browser.remove(&row.browser);
            }
        }
    }

    fn first_to_go(&self, browser: &BrowserHash) -> Option<u64> {
        let of_browser = self.rows.iter().filter(|(_, row)| row.browser == *browser);
        of_browser.min_by_key(|(ordinal, row)| (row.attempt.is_some(), **ordinal)).map(|(o, _)| *o)
    }
}

#[async_trait]
impl LoginStore for Memory {
    async fn put_login(&self, attempt: &LoginAttempt) -> Result<(), StoreError> {
        let logins = &mut self.tables().logins;
        if logins.by_state.contains_key(&attempt.state) {
            return Err(StoreError::Conflict { act: "put_login", what: "a login of this state" });
        }
        while logins.per_browser.get(&attempt.browser).copied().unwrap_or(0) >= MAX_PER_BROWSER {
            let Some(ordinal) = logins.first_to_go(&attempt.browser) else { break };
            logins.remove(ordinal);
        }
        while logins.rows.len() >= self.max_in_flight {
            let Some(ordinal) = logins.rows.keys().next().copied() else { break };
            logins.remove(ordinal);
        }
        let ordinal = logins.ordinal();
        logins.by_state.insert(attempt.state, ordinal);
        *logins.per_browser.entry(attempt.browser).or_default() += 1;
        let row = LoginRow {
            state: attempt.state,
            browser: attempt.browser,
            return_to: attempt.return_to.clone(),
            expires_at: attempt.expires_at,
            attempt: Some(attempt.clone()),
        };
        logins.rows.insert(ordinal, row);
        Ok(())
    }

    async fn take_login(
        &self,
        state: &StateHash,
        browser: Option<&BrowserHash>,
        now: UnixTime,
    ) -> Result<TakenLogin, StoreError> {
        let logins = &mut self.tables().logins;
        let row = logins.by_state.get(state).and_then(|ordinal| logins.rows.get_mut(ordinal));
        let Some(row) = row.filter(|row| now < row.expires_at) else { return Ok(TakenLogin::Unknown) };
        if browser != Some(&row.browser) {
            return Ok(TakenLogin::Foreign(row.return_to.clone()));
        }
        Ok(match row.attempt.take() {
            Some(attempt) => TakenLogin::Fresh(Box::new(attempt)),
            None => TakenLogin::Used(row.return_to.clone()),
        })
    }

    async fn park(&self, id: &StateHash, sealed: &[u8], expires_at: UnixTime) -> Result<(), StoreError> {
        let logins = &mut self.tables().logins;
        if logins.by_park_id.contains_key(id) {
            return Err(StoreError::Conflict { act: "park", what: "something parked under this id" });
        }
        while logins.parked.len() >= self.max_in_flight {
            let Some((_, (oldest, _, _))) = logins.parked.pop_first() else { break };
            logins.by_park_id.remove(&oldest);
        }
        let ordinal = logins.ordinal();
        logins.by_park_id.insert(*id, ordinal);
        logins.parked.insert(ordinal, (*id, sealed.to_vec(), expires_at));
        Ok(())
    }

    async fn take_parked(&self, id: &StateHash, now: UnixTime) -> Result<Option<Vec<u8>>, StoreError> {
        let logins = &mut self.tables().logins;
        let taken = logins.by_park_id.remove(id).and_then(|ordinal| logins.parked.remove(&ordinal));
        Ok(taken.and_then(|(_, sealed, expires_at)| (now < expires_at).then_some(sealed)))
    }

    async fn sweep_logins(&self, now: UnixTime) -> Result<u64, StoreError> {
        let logins = &mut self.tables().logins;
        let before = logins.rows.len() + logins.parked.len();
        let expired: Vec<u64> =
            logins.rows.iter().filter(|(_, row)| row.expires_at <= now).map(|(o, _)| *o).collect();
        for ordinal in expired {
            logins.remove(ordinal);
        }
        let Logins { parked, by_park_id, .. } = logins;
        parked.retain(|_, (id, _, expires_at)| {
            let stays = now < *expires_at;
            if !stays {
                by_park_id.remove(id);
            }
            stays
        });
        let went = before - logins.rows.len() - logins.parked.len();
        Ok(u64::try_from(went).unwrap_or(u64::MAX))
    }
}

#[derive(Default)]
struct Sessions {
    next: u64,
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
        let Some(member) = member_of(session) else { return Ok(Vec::new()) };
        sessions.next += 1;
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

    async fn sweep_sessions(&self, now: UnixTime, idle: Duration) -> Result<Vec<SessionHash>, StoreError> {
        let sessions = &mut self.tables().sessions;
        let over =
            |record: &&SessionRecord| record.expires_at <= now || record.last_seen_at < now.before(idle);
        let ended: Vec<SessionHash> = sessions.rows.values().filter(over).map(|record| record.hash).collect();
        for hash in &ended {
            sessions.remove(hash);
        }
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
