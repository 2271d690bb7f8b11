//! The keys that sign upstream tokens: made, published, used and retired in turn, and agreed on by replicas.
//!
//! A key's life, in order: published in the JWKS; [`PUBLISHED_AHEAD`] later active; [`ACTIVE_FOR`] later
//! followed by its successor; [`RETIRED_AFTER`] later gone from the JWKS, long after the last token that it
//! signed has expired. Only the first key of all, and one after so long a standstill that no key is left, is
//! active at once.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::token::LIFETIME;
use crate::model::UnixTime;
use crate::observe::audit::{Audit, Entry, Event, Plain};
use crate::platform::crypto::{Purpose, sha256};
use crate::platform::{KeyRing, Platform, Tasks};
use crate::store::{KeyStore, StoreError, StoredKey};

/// Under which purpose the keys stand in the store.
pub const PURPOSE: &str = "upstream_token";
/// How long a key signs before its successor does.
pub const ACTIVE_FOR: Duration = Duration::from_hours(30 * 24);
/// How long a key is in the JWKS before it signs: longer than any sensible cache of it.
pub const PUBLISHED_AHEAD: Duration = Duration::from_hours(24);
/// How long a key stays in the JWKS after its time to sign. So much more than a token's lifetime, because a
/// key goes on signing where the store cannot take its successor.
pub const RETIRED_AFTER: Duration = Duration::from_hours(7 * 24);
/// For the JWKS answer: an hour, a small part of [`PUBLISHED_AHEAD`].
pub const CACHE_CONTROL: &str = "public, max-age=3600";
/// How often the store is asked; so long may a replica not know of a key that another one made.
const REFRESH: Duration = Duration::from_mins(1);
/// A round is lost only to another replica, whose key the next round finds.
const ROUNDS: u8 = 5;

/// Why there is no token, or no key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the signing key {kid} in the store was sealed by another seal key: put the former keys.seal back; \
         if it is lost, remove the key from the store (DELETE FROM keys WHERE id = '{kid}') and start again"
    )]
    SealedByAnother { kid: String },
    #[error("the signing key {kid} in the store is no P-256 key of this name: remove it from the store")]
    NotThisKey { kid: String },
    #[error("no signing key could be made: the machine's random source failed")]
    NoEntropy,
    #[error("the replicas did not agree on a signing key in {ROUNDS} rounds; it is tried again")]
    NoAgreement,
    #[error("no signing key is in use: all have expired and the store took no new one")]
    NoKeyInUse,
    #[error("the upstream token has {bytes} bytes, at most {limit} are sent: give the person fewer teams")]
    TooLong { bytes: usize, limit: usize },
    #[error("the upstream token could not be signed")]
    Unsignable,
}

/// The signing keys of this replica. Reading takes no lock.
pub struct SigningKeys {
    store: Arc<dyn KeyStore>,
    ring: KeyRing,
    platform: Platform,
    audit: Audit,
    current: ArcSwap<Current>,
}

/// The keys as they were found last.
struct Current {
    /// By the time from which they sign.
    keys: Vec<Arc<SigningKey>>,
    jwks: Arc<Jwks>,
}

/// One key, ready to sign.
pub(super) struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
    x: String,
    y: String,
    /// The JWS header of every token of this key, encoded.
    pub(super) header: String,
    active_at: UnixTime,
    retired_at: UnixTime,
}

/// The public keys as they are served at `/.narthex/jwks.json`, with [`CACHE_CONTROL`].
#[derive(Debug)]
pub struct Jwks {
    /// RFC 7517, 5.
    pub body: Bytes,
    /// Strong; changes with the keys.
    pub etag: HeaderValue,
}

impl SigningKeys {
    /// Reads the keys from the store and makes the first one where there is none.
    ///
    /// # Errors
    /// The store's, and keys that this seal key does not open.
    pub async fn open(
        store: Arc<dyn KeyStore>,
        ring: KeyRing,
        platform: Platform,
        audit: Audit,
    ) -> Result<Self, TokenError> {
        let nothing = Current { keys: Vec::new(), jwks: Arc::new(Jwks::of(&[])) };
        let keys = Self { store, ring, platform, audit, current: ArcSwap::from_pointee(nothing) };
        keys.refresh().await?;
        Ok(keys)
    }

    /// Keeps the keys fresh until the process ends. A round that fails is logged; the keys at hand go on.
    pub fn run(self: &Arc<Self>, tasks: &Tasks) {
        let (keys, stopping) = (Arc::clone(self), tasks.stopping().clone());
        tasks.spawn(async move {
            while stopping.run_until_cancelled(tokio::time::sleep(REFRESH)).await.is_some() {
                if let Err(error) = keys.refresh().await {
                    tracing::warn!(%error, "the signing keys could not be refreshed; those at hand stay in use");
                }
            }
        });
    }

    /// Learns of other replicas' keys, makes the next one when its time has come, drops retired ones.
    ///
    /// # Errors
    /// As [`SigningKeys::open`]; the keys at hand are left as they were.
    pub async fn refresh(&self) -> Result<(), TokenError> {
        for _ in 0..ROUNDS {
            let now = self.platform.clock.now();
            let stored = self.store.list_keys(PURPOSE).await?;
            let keys = self.unseal(&stored, now)?;
            let Some(plan) = plan(&stored, now) else {
                self.adopt(keys);
                self.store.sweep_keys(now).await?;
                return Ok(());
            };
            let key = self.make(&plan, now)?;
            if self.store.add_key(&key, plan.after.as_deref()).await? {
                let made = Entry::new(Event::SigningKeyMade).field("kid", Plain::name(&key.id));
                let made = made.field("active_at", key.active_at).field("retired_at", key.retired_at);
                self.audit.record(made);
            }
        }
        Err(TokenError::NoAgreement)
    }

    /// The public keys.
    #[must_use]
    pub fn jwks(&self) -> Arc<Jwks> {
        Arc::clone(&self.current.load().jwks)
    }

    /// The key to sign with at this time: the newest that is active and stays known for as long as the
    /// token counts. Where a clock was set back, none may be active yet; then the oldest of the published.
    pub(super) fn signer(&self, now: UnixTime) -> Option<Arc<SigningKey>> {
        let current = self.current.load();
        let mut usable = current.keys.iter().filter(|key| now.after(LIFETIME) < key.retired_at);
        let first = usable.next()?;
        Some(Arc::clone(usable.rfind(|key| key.active_at <= now).unwrap_or(first)))
    }

    fn unseal(&self, stored: &[StoredKey], now: UnixTime) -> Result<Vec<Arc<SigningKey>>, TokenError> {
        let at_hand = self.current.load();
        let mut keys = Vec::with_capacity(stored.len());
        for one in stored.iter().filter(|one| now < one.retired_at) {
            let known = at_hand.keys.iter().find(|key| key.kid == one.id);
            keys.push(match known {
                Some(key) => Arc::clone(key),
                None => Arc::new(SigningKey::unseal(one, &self.ring)?),
            });
        }
        keys.sort_by(|a, b| (a.active_at, &a.kid).cmp(&(b.active_at, &b.kid)));
        Ok(keys)
    }

    fn adopt(&self, keys: Vec<Arc<SigningKey>>) {
        let kids = |keys: &[Arc<SigningKey>]| keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
        if kids(&self.current.load().keys) != kids(&keys) {
            let jwks = Arc::new(Jwks::of(&keys));
            self.current.store(Arc::new(Current { keys, jwks }));
        }
    }

    fn make(&self, plan: &Plan, now: UnixTime) -> Result<StoredKey, TokenError> {
        // The library draws the key from its own random source; there is no way to hand in another.
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| TokenError::NoEntropy)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| TokenError::NoEntropy)?;
        let id = coordinates(&pair).map(|(x, y)| thumbprint(&x, &y)).ok_or(TokenError::NoEntropy)?;
        let sealed = self
            .ring
            .seal(Purpose::StoredKey, &context(&id), pkcs8.as_ref(), self.platform.entropy.as_ref())
            .map_err(|_| TokenError::NoEntropy)?;
        Ok(StoredKey {
            id,
            purpose: PURPOSE.to_owned(),
            sealed,
            published_at: now,
            active_at: plan.active_at,
            retired_at: plan.active_at.after(ACTIVE_FOR).after(RETIRED_AFTER),
        })
    }
}

/// A key to be made.
struct Plan {
    after: Option<String>,
    active_at: UnixTime,
}

/// What is to be made now, if anything: a key at once where none is left, else the next one in time.
fn plan(stored: &[StoredKey], now: UnixTime) -> Option<Plan> {
    let Some(newest) = stored.iter().max_by_key(|key| (key.active_at, &key.id)) else {
        return Some(Plan { after: None, active_at: now });
    };
    let after = Some(newest.id.clone());
    if newest.retired_at <= now.after(LIFETIME) {
        return Some(Plan { after, active_at: now });
    }
    let next = newest.active_at.after(ACTIVE_FOR);
    let due = next.before(PUBLISHED_AHEAD) <= now;
    due.then(|| Plan { after, active_at: next.max(now.after(PUBLISHED_AHEAD)) })
}

impl SigningKey {
    fn unseal(stored: &StoredKey, ring: &KeyRing) -> Result<Self, TokenError> {
        let kid = stored.id.clone();
        let pkcs8 = ring.open(Purpose::StoredKey, &context(&kid), &stored.sealed);
        let pkcs8 = Zeroizing::new(pkcs8.map_err(|_| TokenError::SealedByAnother { kid: kid.clone() })?);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).ok();
        let whole = pair.and_then(|pair| coordinates(&pair).map(|(x, y)| (pair, x, y)));
        let Some((pair, x, y)) = whole.filter(|(_, x, y)| thumbprint(x, y) == kid) else {
            return Err(TokenError::NotThisKey { kid });
        };
        // RFC 7515, 4.1. The kid is base64url, so nothing in it needs escaping.
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#));
        Ok(Self { kid, pair, x, y, header, active_at: stored.active_at, retired_at: stored.retired_at })
    }

    /// A signature as JWS wants it (RFC 7518, 3.4): R and S, 32 bytes each.
    pub(super) fn sign(&self, message: &[u8]) -> Option<aws_lc_rs::signature::Signature> {
        self.pair.sign(&SystemRandom::new(), message).ok()
    }
}

/// Ties the sealed bytes to their row: a key cannot be passed off under another one's name.
fn context(kid: &str) -> Vec<u8> {
    [PURPOSE.as_bytes(), b"/", kid.as_bytes()].concat()
}

/// The public point's coordinates in base64url (RFC 7518, 6.2.1); the encoding of aws-lc is SEC 1, 2.3.3:
/// 4, then x, then y.
fn coordinates(pair: &EcdsaKeyPair) -> Option<(String, String)> {
    let (kind, point) = pair.public_key().as_ref().split_first()?;
    let (x, y) = point.split_at_checked(32)?;
    (*kind == 4 && y.len() == 32).then(|| (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// RFC 7638, 3: SHA-256 over the required members, in the order of their names, without blanks.
fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(sha256(members.as_bytes()))
}

impl Jwks {
    fn of(keys: &[Arc<SigningKey>]) -> Self {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| {
                let SigningKey { kid, x, y, .. } = key.as_ref();
                format!(
                    r#"{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{kid}","x":"{x}","y":"{y}"}}"#
                )
            })
            .collect();
        let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(body.as_bytes())));
        let etag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: Bytes::from(body), etag }
    }
}
