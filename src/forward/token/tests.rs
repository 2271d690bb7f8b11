//! Tokens and their keys, checked by an independent reader: jsonwebtoken with the published keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;
use crate::forward::keys::{ACTIVE_FOR, CACHE_CONTROL, PUBLISHED_AHEAD, PURPOSE, RETIRED_AFTER};
use crate::model::session::SessionAccount;
use crate::model::{AccountId, AccountProfile, Entitlements, Grant, MemberId, Subject};
use crate::observe::audit::Audit;
use crate::platform::{Clock, KeyRing, Platform, SystemEntropy};
use crate::store::memory::Memory;
use crate::store::{KeyStore, StoreError, StoredKey};

const NOW: UnixTime = UnixTime(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);
const SESSION: SessionHash = SessionHash([5; 32]);

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// A replica with a clock of its own.
struct Replica {
    keys: Arc<SigningKeys>,
    hands: Arc<Hands>,
}

impl Replica {
    async fn try_start(store: &Arc<dyn KeyStore>, seal: u8, now: UnixTime) -> Result<Self, TokenError> {
        let hands = Arc::new(Hands(AtomicI64::new(now.0)));
        let platform = Platform { clock: hands.clone(), entropy: Arc::new(SystemEntropy) };
        let audit = Audit::log_only(platform.clone());
        let keys = SigningKeys::open(Arc::clone(store), KeyRing::new(&[seal; 32]), platform, audit).await?;
        Ok(Self { keys: Arc::new(keys), hands })
    }

    async fn start(store: &Arc<dyn KeyStore>, now: UnixTime) -> Self {
        Self::try_start(store, 1, now).await.unwrap()
    }

    async fn refresh_at(&self, now: UnixTime) {
        self.hands.0.store(now.0, Ordering::SeqCst);
        self.keys.refresh().await.unwrap();
    }

    fn published(&self) -> Vec<String> {
        let set: JwkSet = serde_json::from_slice(&self.keys.jwks().body).unwrap();
        set.keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
    }
}

fn store() -> Arc<dyn KeyStore> {
    Arc::new(Memory::default())
}

fn maker() -> UpstreamToken {
    UpstreamToken::new(&Url::parse("https://git.example.com").unwrap(), "https://audience.example")
}

fn content() -> SessionContent {
    SessionContent {
        idp: "corp".parse().unwrap(),
        subject: Subject::parse("ada-at-corp").unwrap(),
        logout_name: "ada".to_owned(),
        idp_session: Some("idp session".to_owned()),
        account: Some(SessionAccount {
            member: MemberId(uuid::Uuid::from_bytes([3; 16])),
            id: AccountId("17".to_owned()),
            profile: AccountProfile {
                username: "ada".to_owned(),
                email: Some("ada@example.com".to_owned()),
                display_name: Some("Ada Bücher \"L\"".to_owned()),
                attributes: BTreeMap::new(),
            },
        }),
        claims: crate::model::Claims::default(),
        grant: Grant {
            entitlements: Entitlements {
                role: Some("admin".to_owned()),
                teams: BTreeMap::from([
                    ("acme/a".to_owned(), Some("lead".to_owned())),
                    ("acme/b".to_owned(), None),
                ]),
                app_groups: BTreeSet::from(["g".to_owned()]),
                ..Entitlements::default()
            },
            ..Grant::default()
        },
        logout_hint: None,
    }
}

fn mint(replica: &Replica, now: UnixTime) -> String {
    let value = maker().mint(&replica.keys, &SESSION, &content(), now).unwrap();
    value.to_str().unwrap().to_owned()
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// As an application would: the key by its `kid` out of the JWKS, then issuer, audience and signature. The
/// time of day is the test's.
fn verify(token: &str, jwks: &[u8]) -> Result<Value, String> {
    let set: JwkSet = serde_json::from_slice(jwks).unwrap();
    let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    let key = set.find(&header.kid.unwrap()).ok_or("unknown kid")?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.validate_exp = false;
    rules.set_audience(&["https://audience.example"]);
    rules.set_issuer(&["https://git.example.com"]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &rules)
        .map(|data| data.claims)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_token_says_who_it_is_and_verifies_with_the_published_key() {
    let replica = Replica::start(&store(), NOW).await;
    let token = mint(&replica, NOW);
    let claims = verify(&token, &replica.keys.jwks().body).unwrap();
    let sid = claims["sid"].as_str().unwrap().to_owned();
    assert_eq!(
        claims,
        json!({
            "iss": "https://git.example.com", "aud": "https://audience.example", "sub": "17",
            "iat": NOW.0, "exp": NOW.0 + 60, "idp": "corp", "sid": sid,
            "preferred_username": "ada", "email": "ada@example.com", "name": "Ada Bücher \"L\"",
            "role": "admin", "teams": ["acme/a", "acme/b"], "team_roles": { "acme/a": "lead" },
            "groups": ["g"],
        })
    );
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    assert_eq!(header.alg, Algorithm::ES256);
}

#[tokio::test]
async fn a_changed_token_does_not_verify() {
    let replica = Replica::start(&store(), NOW).await;
    let token = mint(&replica, NOW);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = head.split_once('.').unwrap();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(claims.replace("\"sub\":\"17\"", "\"sub\":\"18\""));
    let jwks = replica.keys.jwks();
    assert!(verify(&token, &jwks.body).is_ok());
    assert_eq!(
        verify(&format!("{header}.{forged}.{signature}"), &jwks.body).unwrap_err(),
        "InvalidSignature"
    );
}

#[tokio::test]
async fn another_installations_key_does_not_verify_it() {
    let replica = Replica::start(&store(), NOW).await;
    let other = Replica::start(&store(), NOW).await;
    assert_eq!(verify(&mint(&replica, NOW), &other.keys.jwks().body).unwrap_err(), "unknown kid");
}

#[tokio::test]
async fn a_token_lives_for_at_most_a_minute() {
    let replica = Replica::start(&store(), NOW).await;
    let claims = verify(&mint(&replica, NOW.after(SECOND)), &replica.keys.jwks().body).unwrap();
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!(iat, NOW.0 + 1);
    assert!(exp > iat && exp - iat <= 60, "{iat} {exp}");
}

#[tokio::test]
async fn a_session_without_account_has_a_subject_that_is_no_account() {
    let replica = Replica::start(&store(), NOW).await;
    let content = SessionContent { account: None, grant: Grant::default(), ..content() };
    let value = maker().mint(&replica.keys, &SESSION, &content, NOW).unwrap();
    let claims = verify(value.to_str().unwrap(), &replica.keys.jwks().body).unwrap();
    assert_eq!(claims["sub"], "corp|ada-at-corp");
    for absent in ["preferred_username", "email", "name", "role", "team_roles"] {
        assert!(claims.get(absent).is_none(), "{absent}");
    }
    assert_eq!((&claims["teams"], &claims["groups"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn the_session_is_told_by_a_digest_of_its_own_and_nothing_else() {
    let replica = Replica::start(&store(), NOW).await;
    let sid = |session, now| {
        let value = maker().mint(&replica.keys, &SessionHash(session), &content(), now).unwrap();
        let claims = verify(value.to_str().unwrap(), &replica.keys.jwks().body).unwrap();
        claims["sid"].as_str().unwrap().to_owned()
    };
    let one = sid([5; 32], NOW);
    assert_eq!(one.len(), 32);
    assert_eq!(one, sid([5; 32], NOW.after(SECOND)));
    assert_ne!(one, sid([6; 32], NOW));
    assert!(!one.contains("0505"), "not the hash that the store knows the session by");
}

#[tokio::test]
async fn a_token_never_shows_itself_in_debug() {
    let replica = Replica::start(&store(), NOW).await;
    let value = maker().mint(&replica.keys, &SESSION, &content(), NOW).unwrap();
    assert_eq!(format!("{value:?}"), "Sensitive");
}

#[tokio::test]
async fn a_token_that_no_server_would_take_is_refused() {
    let replica = Replica::start(&store(), NOW).await;
    let mut content = content();
    content.grant.entitlements.app_groups = (0..1000).map(|number| format!("group {number}")).collect();
    let refused = maker().mint(&replica.keys, &SESSION, &content, NOW);
    assert!(matches!(refused, Err(TokenError::TooLong { limit: MAX_BYTES, .. })), "{refused:?}");
}

#[tokio::test]
async fn the_first_key_signs_at_once() {
    let replica = Replica::start(&store(), NOW).await;
    assert_eq!(replica.published(), [kid(&mint(&replica, NOW))]);
}

#[tokio::test]
async fn a_key_is_named_by_its_thumbprint() {
    // RFC 7638, 3.1 gives the way for RSA; the members for EC are in 3.2.
    let replica = Replica::start(&store(), NOW).await;
    let jwks: Value = serde_json::from_slice(&replica.keys.jwks().body).unwrap();
    let key = &jwks["keys"][0];
    let members = json!({ "crv": key["crv"], "kty": key["kty"], "x": key["x"], "y": key["y"] });
    let digest = sha256(serde_json::to_string(&members).unwrap().as_bytes());
    assert_eq!(key["kid"], URL_SAFE_NO_PAD.encode(digest));
    assert_eq!((&key["use"], &key["alg"]), (&json!("sig"), &json!("ES256")));
    assert!(key.get("d").is_none(), "the private part is not published");
}

#[tokio::test]
async fn a_restart_finds_the_same_key() {
    let store = store();
    let before = Replica::start(&store, NOW).await;
    let token = mint(&before, NOW);
    let after = Replica::start(&store, NOW.after(SECOND)).await;
    assert_eq!(after.published(), before.published());
    assert_eq!(after.keys.jwks().etag, before.keys.jwks().etag);
    assert!(verify(&token, &after.keys.jwks().body).is_ok());
}

#[tokio::test]
async fn the_next_key_is_published_a_day_before_it_signs() {
    assert!(PUBLISHED_AHEAD >= Duration::from_hours(1));
    assert_eq!(CACHE_CONTROL, "public, max-age=3600", "well below the time that a key is published ahead");
    let replica = Replica::start(&store(), NOW).await;
    let first = replica.published();
    let etag = replica.keys.jwks().etag.clone();
    let next = NOW.after(ACTIVE_FOR);

    replica.refresh_at(next.before(PUBLISHED_AHEAD).before(SECOND)).await;
    assert_eq!(replica.published(), first, "not a second too early");
    assert_eq!(replica.keys.jwks().etag, etag);

    replica.refresh_at(next.before(PUBLISHED_AHEAD)).await;
    let both = replica.published();
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    assert_ne!(replica.keys.jwks().etag, etag);
    assert_eq!(kid(&mint(&replica, next.before(SECOND))), first[0], "not a second too early");
    assert_eq!(kid(&mint(&replica, next)), both[1], "on time, without asking the store");
}

#[tokio::test]
async fn a_token_signed_just_before_the_rotation_verifies_until_it_expires() {
    let replica = Replica::start(&store(), NOW).await;
    let next = NOW.after(ACTIVE_FOR);
    replica.refresh_at(next.before(PUBLISHED_AHEAD)).await;
    let last = mint(&replica, next.before(SECOND));
    for later in [next, next.after(LIFETIME)] {
        replica.refresh_at(later).await;
        assert_ne!(kid(&mint(&replica, later)), kid(&last));
        assert!(verify(&last, &replica.keys.jwks().body).is_ok());
    }
}

#[tokio::test]
async fn a_retired_key_leaves_the_store_and_the_jwks() {
    let store = store();
    let replica = Replica::start(&store, NOW).await;
    let first = replica.published().remove(0);
    let next = NOW.after(ACTIVE_FOR);
    replica.refresh_at(next.before(PUBLISHED_AHEAD)).await;
    let retired = next.after(RETIRED_AFTER);
    replica.refresh_at(retired.before(SECOND)).await;
    assert!(replica.published().contains(&first));
    replica.refresh_at(retired).await;
    assert!(!replica.published().contains(&first));
    assert!(store.list_keys(PURPOSE).await.unwrap().iter().all(|key| key.id != first));
}

#[tokio::test]
async fn a_year_of_rotation_always_has_a_key_that_was_published_ahead() {
    let replica = Replica::start(&store(), NOW).await;
    let mut now = NOW;
    let mut known = replica.published();
    let mut used = BTreeSet::new();
    for _ in 0..365 {
        now = now.after(Duration::from_hours(24));
        let token = kid(&mint(&replica, now));
        assert!(known.contains(&token), "signed by a key that was not in yesterday's JWKS");
        used.insert(token);
        replica.refresh_at(now).await;
        known = replica.published();
        assert!(known.len() <= 3, "{}", known.len());
    }
    assert_eq!(used.len(), 13);
}

#[tokio::test]
async fn after_a_long_standstill_a_new_key_signs_at_once() {
    let store = store();
    let before = Replica::start(&store, NOW).await;
    let much_later = NOW.after(ACTIVE_FOR * 4);
    let after = Replica::start(&store, much_later).await;
    assert_eq!(after.published(), [kid(&mint(&after, much_later))]);
    assert_ne!(after.published(), before.published());
    let stored = store.list_keys(PURPOSE).await.unwrap();
    assert_eq!(
        stored.iter().map(|key| key.active_at).collect::<Vec<_>>(),
        [much_later],
        "active, not only usable"
    );
}

#[tokio::test]
async fn after_a_short_standstill_the_old_key_signs_until_the_new_one_is_known() {
    let store = store();
    let first = Replica::start(&store, NOW).await.published().remove(0);
    let late = NOW.after(ACTIVE_FOR).after(Duration::from_hours(1));
    let replica = Replica::start(&store, late).await;
    assert_eq!(replica.published().len(), 2);
    assert_eq!(kid(&mint(&replica, late.after(PUBLISHED_AHEAD).before(SECOND))), first);
    assert_ne!(kid(&mint(&replica, late.after(PUBLISHED_AHEAD))), first);
}

#[tokio::test]
async fn a_clock_that_was_set_back_still_finds_a_published_key() {
    let store = store();
    let first = Replica::start(&store, NOW).await;
    let behind = NOW.before(Duration::from_hours(5));
    let second = Replica::start(&store, behind).await;
    assert_eq!(second.published(), first.published());
    assert!(verify(&mint(&second, behind), &first.keys.jwks().body).is_ok());
}

#[tokio::test]
async fn a_replica_whose_keys_have_all_expired_signs_nothing() {
    let replica = Replica::start(&store(), NOW).await;
    let end = NOW.after(ACTIVE_FOR).after(RETIRED_AFTER);
    let last_moment = end.before(LIFETIME).before(SECOND);
    assert!(maker().mint(&replica.keys, &SESSION, &content(), last_moment).is_ok());
    let refused = maker().mint(&replica.keys, &SESSION, &content(), end.before(LIFETIME));
    assert!(matches!(refused, Err(TokenError::NoKeyInUse)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_start_together_agree_on_one_key() {
    let store = store();
    let starting = (0..20).map(|_| Replica::start(&store, NOW));
    let replicas = futures_util::future::join_all(starting).await;
    assert_eq!(store.list_keys(PURPOSE).await.unwrap().len(), 1);
    for replica in &replicas {
        assert_eq!(replica.published(), replicas[0].published());
        assert!(verify(&mint(replica, NOW), &replicas[0].keys.jwks().body).is_ok());
    }
    let due = NOW.after(ACTIVE_FOR).before(PUBLISHED_AHEAD);
    futures_util::future::join_all(replicas.iter().map(|replica| replica.refresh_at(due))).await;
    assert_eq!(store.list_keys(PURPOSE).await.unwrap().len(), 2);
    for replica in &replicas {
        assert_eq!(replica.published(), replicas[0].published());
    }
}

#[tokio::test]
async fn a_key_sealed_by_another_seal_key_is_refused_with_the_remedy() {
    let store = store();
    let kid = Replica::start(&store, NOW).await.published().remove(0);
    let refused = Replica::try_start(&store, 2, NOW).await.map(|_| ());
    assert!(
        matches!(&refused, Err(TokenError::SealedByAnother { kid: found }) if *found == kid),
        "{refused:?}"
    );
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("put the former keys.seal back") && text.contains(&kid), "{text}");
    assert_eq!(store.list_keys(PURPOSE).await.unwrap().len(), 1, "no key was made beside it");
}

#[tokio::test]
async fn a_key_under_another_keys_name_is_refused() {
    let (one, other, both) = (store(), store(), store());
    Replica::start(&one, NOW).await;
    Replica::start(&other, NOW).await;
    let stored = one.list_keys(PURPOSE).await.unwrap().remove(0);
    let name = other.list_keys(PURPOSE).await.unwrap().remove(0).id;
    both.add_key(&StoredKey { id: name, ..stored }, None).await.unwrap();
    let refused = Replica::try_start(&both, 1, NOW).await.map(|_| ());
    assert!(matches!(refused, Err(TokenError::SealedByAnother { .. })), "{refused:?}");
}

/// A store that is away.
struct Away;

#[async_trait::async_trait]
impl KeyStore for Away {
    async fn list_keys(&self, _: &str) -> Result<Vec<StoredKey>, StoreError> {
        Err(StoreError::Unavailable { act: "list_keys", reason: "away".to_owned() })
    }

    async fn add_key(&self, _: &StoredKey, _: Option<&str>) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable { act: "add_key", reason: "away".to_owned() })
    }

    async fn sweep_keys(&self, _: UnixTime) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable { act: "sweep_keys", reason: "away".to_owned() })
    }
}

#[tokio::test]
async fn without_a_store_there_is_no_start() {
    let away: Arc<dyn KeyStore> = Arc::new(Away);
    let refused = Replica::try_start(&away, 1, NOW).await.map(|_| ());
    assert!(matches!(refused, Err(TokenError::Store(StoreError::Unavailable { act: "list_keys", .. }))));
}

#[tokio::test]
async fn the_background_work_ends_with_the_process() {
    let replica = Replica::start(&store(), NOW).await;
    let tasks = crate::platform::Tasks::on(tokio::runtime::Handle::current());
    replica.keys.run(&tasks);
    tasks.finish().await;
}
