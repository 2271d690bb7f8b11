//! What a replaced configuration's sessions do, and leave alone.

use super::*;
use crate::model::{Claims, Grant, Subject};
use crate::platform::{Clock, SystemEntropy};
use crate::store::memory::Memory;

const BEGAN: UnixTime = UnixTime(1_800_000_000);
const SESSION: SessionHash = SessionHash([5; 32]);

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

fn sessions(store: &Arc<dyn Store>, now: UnixTime, idle_timeout: Duration) -> Sessions {
    let settings = settings::Session {
        idle_timeout,
        max_lifetime: Duration::from_hours(24),
        max_per_member: 20,
        offline_grace: Duration::from_mins(5),
    };
    let platform =
        Platform { clock: Arc::new(Hands(AtomicI64::new(now.0))), entropy: Arc::new(SystemEntropy) };
    let names = CookieNames::of(&"https://git.example.com/".parse().unwrap());
    let admits = Admits::new(["corp".parse().unwrap()], settings.max_lifetime);
    let in_force = Arc::new(ArcSwap::from_pointee(admits));
    let keys = KeyRing::new(&[7; 32]);
    Sessions::new(store.clone(), &keys, names, settings, in_force, Box::new(|_| Vec::new()), platform)
}

async fn store_with_a_session() -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let record = SessionRecord {
        hash: SESSION,
        content: SessionContent {
            idp: "corp".parse().unwrap(),
            subject: Subject::parse("ada").unwrap(),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account: None,
            claims: Claims::default(),
            grant: Grant::default(),
            logout_hint: None,
        },
        created_at: BEGAN,
        last_seen_at: BEGAN,
        expires_at: BEGAN.after(Duration::from_hours(12)),
    };
    store.insert_session(&record, 20).await.unwrap();
    store
}

#[tokio::test]
async fn what_was_replaced_ends_no_session_by_its_own_times() {
    let store = store_with_a_session().await;
    let now = BEGAN.after(Duration::from_hours(2));
    let [replaced, holds] = [1, 4].map(|hours| sessions(&store, now, Duration::from_hours(hours)));
    replaced.flush().await.unwrap();
    holds.sweep().await.unwrap();
    assert!(store.find_session(&SESSION).await.unwrap().is_some());
    replaced.sweep().await.unwrap();
    assert!(store.find_session(&SESSION).await.unwrap().is_none(), "whose times hold ends it");
}

#[tokio::test]
async fn a_session_that_ended_here_is_told_to_the_store_before_it_is_forgotten() {
    let store = store_with_a_session().await;
    let sessions = sessions(&store, BEGAN, Duration::from_hours(1));
    assert!(!sessions.has_untold());
    // As where the store was away.
    sessions.forget(&SESSION, false);
    assert!(sessions.has_untold() && store.find_session(&SESSION).await.unwrap().is_some());
    sessions.flush().await.unwrap();
    assert!(!sessions.has_untold() && store.find_session(&SESSION).await.unwrap().is_none());
}
