//! Logins in flight in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use async_trait::async_trait;

use super::Memory;
use crate::model::login::{MAX_PER_BROWSER, MAX_REFUSALS};
use crate::model::{BrowserHash, ErrorId, LoginAttempt, ReturnTo, StateHash, UnixTime};
use crate::store::{LoginStore, StoreError, TakenLogin};

/// Rows in the order of their recording.
#[derive(Default)]
pub(super) struct Logins {
    next: u64,
    rows: BTreeMap<u64, LoginRow>,
    by_state: HashMap<StateHash, u64>,
    per_browser: HashMap<BrowserHash, usize>,
    parked: BTreeMap<u64, (StateHash, Vec<u8>, UnixTime)>,
    by_park_id: HashMap<StateHash, u64>,
    used: HashMap<[u8; 32], UnixTime>,
    refusals: VecDeque<(String, String)>,
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
        let parked = logins.by_park_id.get(id).copied();
        let parked = parked
            .filter(|ordinal| logins.parked.get(ordinal).is_some_and(|(_, _, expires_at)| now < *expires_at));
        let Some(ordinal) = parked else { return Ok(None) };
        logins.by_park_id.remove(id);
        Ok(logins.parked.remove(&ordinal).map(|(_, sealed, _)| sealed))
    }

    async fn first_use(&self, digest: &[u8; 32], expires_at: UnixTime) -> Result<bool, StoreError> {
        let used = &mut self.tables().logins.used;
        if used.contains_key(digest) {
            return Ok(false);
        }
        used.insert(*digest, expires_at);
        Ok(true)
    }

    async fn record_refusal(&self, id: &ErrorId, record: &str) -> Result<(), StoreError> {
        let refusals = &mut self.tables().logins.refusals;
        if refusals.iter().all(|(known, _)| known != id.as_str()) {
            refusals.push_back((id.as_str().to_owned(), record.to_owned()));
        }
        while refusals.len() > MAX_REFUSALS {
            refusals.pop_front();
        }
        Ok(())
    }

    async fn find_refusal(&self, id: &str) -> Result<Option<String>, StoreError> {
        let refusals = &self.tables().logins.refusals;
        Ok(refusals.iter().find(|(known, _)| known == id).map(|(_, record)| record.clone()))
    }

    async fn sweep_logins(&self, now: UnixTime) -> Result<u64, StoreError> {
        let logins = &mut self.tables().logins;
        let before = logins.rows.len() + logins.parked.len() + logins.used.len();
        logins.used.retain(|_, expires_at| now < *expires_at);
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
        let went = before - logins.rows.len() - logins.parked.len() - logins.used.len();
        Ok(u64::try_from(went).unwrap_or(u64::MAX))
    }
}
