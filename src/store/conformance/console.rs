//! What every store does with people at the admin API and their sessions there.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::{ConsoleHash, ConsolePerson, ConsoleRole, ConsoleSession, Subject, UnixTime};
use crate::store::{Store, StoreError};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn later(minutes: u64) -> UnixTime {
    NOW.after(Duration::from_mins(minutes))
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

/// Begun `minutes` after the others, good for three hours.
fn session(number: u8, name: &str, minutes: u64) -> ConsoleSession {
    ConsoleSession {
        hash: ConsoleHash([number; 32]),
        person: ConsolePerson {
            idp: "corp".parse().unwrap(),
            subject: subject(name),
            label: format!("{name} \"of\" corp"),
            email: (name != "bob").then(|| format!("{name}@example.com")),
            role: ConsoleRole::Operator,
            rule: "operator of corp when 'ops' in claims.groups".to_owned(),
            signed_in_at: later(minutes),
        },
        last_seen_at: later(minutes),
        expires_at: later(minutes).after(3 * HOUR),
    }
}

async fn begun(store: &Arc<dyn Store>, session: &ConsoleSession) {
    store.begin_console_session(session, 20).await.unwrap();
}

async fn used(store: &Arc<dyn Store>, number: u8, now: UnixTime) -> Option<ConsoleSession> {
    store.use_console_session(&ConsoleHash([number; 32]), now, HOUR).await.unwrap()
}

async fn listed(store: &Arc<dyn Store>, now: UnixTime, limit: usize) -> Vec<u8> {
    let all = store.list_console_sessions(now, HOUR, limit).await.unwrap();
    all.iter().map(|session| session.hash.0[0]).collect()
}

pub(super) async fn s5_a_session_is_used_as_it_was_begun_until_it_is_idle_or_over(store: &Arc<dyn Store>) {
    let (ada, bob) = (session(1, "ada", 0), session(2, "bob", 0));
    begun(store, &ada).await;
    begun(store, &ConsoleSession { expires_at: later(10), ..bob.clone() }).await;
    assert_eq!(used(store, 1, NOW).await, Some(ada));
    assert_eq!(used(store, 3, NOW).await, None);
    assert!(used(store, 2, later(10).before(Duration::from_secs(1))).await.is_some());
    assert_eq!(used(store, 2, later(10)).await, None, "past its end");
    assert_eq!(used(store, 1, later(60)).await, None, "idle");
    let again = store.begin_console_session(&session(1, "eve", 0), 20).await;
    assert!(matches!(again, Err(StoreError::Conflict { act: "begin_console_session", .. })), "{again:?}");
    assert_eq!(used(store, 1, NOW).await.unwrap().person.subject, subject("ada"));
}

pub(super) async fn s5_a_use_keeps_a_session_from_being_idle(store: &Arc<dyn Store>) {
    begun(store, &session(1, "ada", 0)).await;
    let seen = used(store, 1, NOW.after(MINUTE).before(Duration::from_secs(1))).await.unwrap();
    assert_eq!(seen.last_seen_at, NOW, "noted once a minute");
    assert_eq!(used(store, 1, later(59)).await.unwrap().last_seen_at, later(59));
    assert_eq!(used(store, 1, later(118)).await.unwrap().last_seen_at, later(118));
    assert_eq!(used(store, 1, later(100)).await.unwrap().last_seen_at, later(118), "never backwards");
    assert!(used(store, 1, later(177)).await.is_some());
    assert_eq!(used(store, 1, later(180)).await, None, "past its end all the same");
}

pub(super) async fn s5_an_ended_session_is_gone_and_told_of_once(store: &Arc<dyn Store>) {
    begun(store, &session(1, "ada", 0)).await;
    begun(store, &session(2, "ada", 0)).await;
    let hash = ConsoleHash([1; 32]);
    assert_eq!(store.end_console_session(&hash).await.unwrap(), Some(session(1, "ada", 0)));
    assert_eq!(store.end_console_session(&hash).await.unwrap(), None);
    assert_eq!(used(store, 1, NOW).await, None);
    assert!(used(store, 2, NOW).await.is_some());
}

pub(super) async fn s5_beyond_its_persons_limit_the_oldest_session_ends(store: &Arc<dyn Store>) {
    begun(store, &session(9, "bob", 0)).await;
    for (number, minutes) in [(1, 1), (2, 0), (3, 2)] {
        store.begin_console_session(&session(number, "ada", minutes), 2).await.unwrap();
    }
    assert_eq!(listed(store, later(3), 10).await, [3, 1, 9]);
}

pub(super) async fn s5_of_a_hundred_beginnings_at_once_as_many_sessions_stay_as_may(store: &Arc<dyn Store>) {
    a_hundred_times(store, |store, number| async move {
        let number = u8::try_from(number).unwrap();
        store.begin_console_session(&session(number, "ada", 0), 5).await
    })
    .await;
    assert_eq!(listed(store, NOW, 200).await.len(), 5);
}

pub(super) async fn s5_living_sessions_are_listed_the_newest_first(store: &Arc<dyn Store>) {
    for (number, minutes) in [(1, 0), (2, 30), (3, 20)] {
        begun(store, &session(number, "ada", minutes)).await;
    }
    assert_eq!(listed(store, later(30), 10).await, [2, 3, 1]);
    assert_eq!(listed(store, later(30), 2).await, [2, 3]);
    assert_eq!(listed(store, later(60), 10).await, [2, 3], "one is idle");
}

pub(super) async fn s5_a_person_is_known_by_the_latest_sign_in_until_forgotten(store: &Arc<dyn Store>) {
    let (idp, ada) = ("corp".parse().unwrap(), subject("ada"));
    assert_eq!(store.find_console_person(&idp, &ada).await.unwrap(), None);
    begun(store, &session(1, "ada", 0)).await;
    let mut second = session(2, "ada", 5);
    second.person.role = ConsoleRole::Viewer;
    begun(store, &second).await;
    begun(store, &session(3, "bob", 0)).await;
    assert_eq!(store.find_console_person(&idp, &ada).await.unwrap(), Some(second.person));
    store.end_console_session(&ConsoleHash([2; 32])).await.unwrap();
    assert!(store.find_console_person(&idp, &ada).await.unwrap().is_some(), "not bound to the session");
    assert_eq!(store.forget_console_person(&idp, &ada).await.unwrap(), 1);
    assert_eq!(store.find_console_person(&idp, &ada).await.unwrap(), None);
    assert_eq!(listed(store, later(5), 10).await, [3]);
}

pub(super) async fn s5_a_sweep_drops_what_is_over_or_idle_only(store: &Arc<dyn Store>) {
    begun(store, &session(1, "ada", 0)).await;
    begun(store, &session(2, "ada", 30)).await;
    begun(store, &ConsoleSession { expires_at: later(31), ..session(3, "ada", 30) }).await;
    assert_eq!(store.sweep_console_sessions(later(60), HOUR).await.unwrap(), 2);
    assert_eq!(listed(store, later(60), 10).await, [2]);
    assert_eq!(store.sweep_console_sessions(later(60), HOUR).await.unwrap(), 0);
}
