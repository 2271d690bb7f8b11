//! What every store does with sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::standing::recorded;
use super::{NOW, a_hundred_times};
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, Claims, Entitlements, Grant, GrantSource, IdpId, MemberId, SessionHash,
    SessionRecord, Subject,
};
use crate::store::{Store, StoreError};

pub(super) fn hash(number: u8) -> SessionHash {
    SessionHash([number; 32])
}

pub(super) fn account(number: u8) -> SessionAccount {
    SessionAccount {
        member: MemberId(uuid::Uuid::from_bytes([number; 16])),
        id: AccountId(format!("account {number}")),
        profile: AccountProfile {
            username: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
            display_name: Some("Ada \"L\" Bücher".to_owned()),
            attributes: BTreeMap::from([("given_name".to_owned(), "Ada".to_owned())]),
        },
    }
}

pub(super) fn session(number: u8, of: Option<SessionAccount>) -> SessionRecord {
    let claims = json!({ "sub": "ada", "groups": ["b", "a"], "nested": { "deep": [1, null, true] } });
    SessionRecord {
        hash: hash(number),
        content: SessionContent {
            idp: "corp".parse().unwrap(),
            subject: Subject::parse("ada").unwrap(),
            logout_name: "ada".to_owned(),
            idp_session: Some("sid 1".to_owned()),
            account: of,
            claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(),
            grant: Grant {
                entitlements: Entitlements {
                    role: Some("admin".to_owned()),
                    teams: BTreeMap::from([("acme/a".to_owned(), Some("lead".to_owned()))]),
                    app_groups: BTreeSet::from(["g".to_owned()]),
                    permissions: BTreeSet::new(),
                    owner: true,
                },
                source: GrantSource::Session,
            },
            logout_hint: Some(vec![0, 1, 0xff]),
        },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.after(Duration::from_hours(12)),
    }
}

pub(super) async fn a_session_is_found_as_it_was_recorded(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    let record = session(1, Some(account(1)));
    assert_eq!(store.insert_session(&record, 20).await.unwrap(), []);
    assert_eq!(store.find_session(&record.hash).await.unwrap(), Some(record));
}

pub(super) async fn e6_no_session_begins_for_a_member_who_is_not_there(store: &Arc<dyn Store>) {
    let member = recorded(store, 1).await;
    let record = session(2, Some(account(1)));
    assert_eq!(store.insert_session(&session(1, Some(account(1))), 20).await.unwrap(), []);
    store.erase_member(member.id, NOW).await.unwrap().unwrap();
    let refused = store.insert_session(&record, 20).await;
    assert!(matches!(refused, Err(StoreError::Gone { act: "insert_session", .. })), "{refused:?}");
    assert_eq!(store.find_session(&record.hash).await.unwrap(), None);
}

pub(super) async fn a_session_without_account_is_kept_too(store: &Arc<dyn Store>) {
    let mut record = session(1, None);
    record.content.logout_hint = None;
    record.content.idp_session = None;
    store.insert_session(&record, 20).await.unwrap();
    assert_eq!(store.find_session(&record.hash).await.unwrap(), Some(record));
}

pub(super) async fn an_unknown_session_is_absent(store: &Arc<dyn Store>) {
    store.insert_session(&session(1, None), 20).await.unwrap();
    assert_eq!(store.find_session(&hash(2)).await.unwrap(), None);
}

pub(super) async fn a_hash_is_recorded_once(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    recorded(store, 2).await;
    let record = session(1, Some(account(1)));
    store.insert_session(&record, 20).await.unwrap();
    let refused = store.insert_session(&session(1, Some(account(2))), 20).await;
    assert!(matches!(refused, Err(StoreError::Conflict { act: "insert_session", .. })), "{refused:?}");
    assert_eq!(store.find_session(&record.hash).await.unwrap(), Some(record));
}

pub(super) async fn beyond_the_members_limit_exactly_the_oldest_session_ends(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    recorded(store, 2).await;
    store.insert_session(&session(100, Some(account(2))), 3).await.unwrap();
    for number in 1..=3 {
        assert_eq!(store.insert_session(&session(number, Some(account(1))), 3).await.unwrap(), []);
    }
    let ended = store.insert_session(&session(4, Some(account(1))), 3).await.unwrap();
    assert_eq!(ended, [hash(1)]);
    assert_eq!(store.find_session(&hash(1)).await.unwrap(), None);
    for number in [2, 3, 4, 100] {
        assert!(store.find_session(&hash(number)).await.unwrap().is_some(), "{number}");
    }
    let ended = store.insert_session(&session(5, Some(account(1))), 2).await.unwrap();
    assert_eq!(
        BTreeSet::from_iter(ended),
        BTreeSet::from([hash(2), hash(3)]),
        "a lower limit counts at once"
    );
}

pub(super) async fn the_new_session_never_ends_even_where_its_clock_is_behind(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    store.insert_session(&session(1, Some(account(1))), 1).await.unwrap();
    let behind = NOW.before(Duration::from_hours(1));
    let record = SessionRecord { created_at: behind, last_seen_at: behind, ..session(2, Some(account(1))) };
    assert_eq!(store.insert_session(&record, 1).await.unwrap(), [hash(1)]);
    assert!(store.find_session(&hash(2)).await.unwrap().is_some());
}

pub(super) async fn a_limit_of_none_still_leaves_the_new_session(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    assert_eq!(store.insert_session(&session(1, Some(account(1))), 0).await.unwrap(), []);
    assert!(store.find_session(&hash(1)).await.unwrap().is_some());
}

pub(super) async fn without_account_the_sessions_of_an_identity_are_counted(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    let mut of_other_subject = session(101, None);
    of_other_subject.content.subject = Subject::parse("bob").unwrap();
    let mut of_other_idp = session(102, None);
    of_other_idp.content.idp = "partner".parse().unwrap();
    let of_member = session(103, Some(account(1)));
    for record in [&of_other_subject, &of_other_idp, &of_member] {
        assert_eq!(store.insert_session(record, 3).await.unwrap(), []);
    }
    for number in 1..=3 {
        assert_eq!(store.insert_session(&session(number, None), 3).await.unwrap(), []);
    }
    assert_eq!(store.insert_session(&session(4, None), 3).await.unwrap(), [hash(1)]);
    for number in [2, 3, 4, 101, 102, 103] {
        assert!(store.find_session(&hash(number)).await.unwrap().is_some(), "{number}");
    }
    let ended = store.insert_session(&session(5, None), 2).await.unwrap();
    assert_eq!(BTreeSet::from_iter(ended), BTreeSet::from([hash(2), hash(3)]));
    // Nor do these count for the member whose identity it is.
    assert_eq!(store.insert_session(&session(6, Some(account(1))), 2).await.unwrap(), []);
}

pub(super) async fn of_a_hundred_sessions_without_account_at_once_as_many_stay_as_may(
    store: &Arc<dyn Store>,
) {
    let ended = a_hundred_times(store, |store, number| async move {
        store.insert_session(&session(u8::try_from(number).unwrap(), None), 7).await
    })
    .await;
    let ended: BTreeSet<SessionHash> = ended.into_iter().flatten().collect();
    assert_eq!(ended.len(), 93);
    for hash in ended {
        assert_eq!(store.find_session(&hash).await.unwrap(), None);
    }
}

pub(super) async fn of_a_hundred_sessions_at_once_as_many_stay_as_may(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    let ended = a_hundred_times(store, |store, number| async move {
        let number = u8::try_from(number).unwrap();
        store.insert_session(&session(number, Some(account(1))), 7).await
    })
    .await;
    let ended: Vec<SessionHash> = ended.into_iter().flatten().collect();
    assert_eq!(ended.len(), 93);
    assert_eq!(ended.iter().collect::<BTreeSet<_>>().len(), 93, "each ended once");
    for hash in ended {
        assert_eq!(store.find_session(&hash).await.unwrap(), None);
    }
}

pub(super) async fn activity_never_goes_backwards(store: &Arc<dyn Store>) {
    store.insert_session(&session(1, None), 20).await.unwrap();
    store.insert_session(&session(2, None), 20).await.unwrap();
    let (later, earlier) = (NOW.after(Duration::from_mins(2)), NOW.after(Duration::from_mins(1)));
    store.touch_sessions(&[(hash(1), later), (hash(2), earlier), (hash(1), earlier)]).await.unwrap();
    store.touch_sessions(&[(hash(1), NOW)]).await.unwrap();
    assert_eq!(store.find_session(&hash(1)).await.unwrap().unwrap().last_seen_at, later);
    assert_eq!(store.find_session(&hash(2)).await.unwrap().unwrap().last_seen_at, earlier);
}

pub(super) async fn activity_of_an_unknown_session_is_ignored(store: &Arc<dyn Store>) {
    store.insert_session(&session(1, None), 20).await.unwrap();
    let later = NOW.after(Duration::from_mins(1));
    store.touch_sessions(&[(hash(9), later), (hash(1), later)]).await.unwrap();
    store.touch_sessions(&[]).await.unwrap();
    assert_eq!(store.find_session(&hash(9)).await.unwrap(), None);
    assert_eq!(store.find_session(&hash(1)).await.unwrap().unwrap().last_seen_at, later);
}

pub(super) async fn an_ended_session_is_gone_and_ends_once(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    store.insert_session(&session(1, Some(account(1))), 2).await.unwrap();
    store.insert_session(&session(2, Some(account(1))), 2).await.unwrap();
    assert!(store.end_session(&hash(1)).await.unwrap());
    assert!(!store.end_session(&hash(1)).await.unwrap());
    assert_eq!(store.find_session(&hash(1)).await.unwrap(), None);
    let ended = store.insert_session(&session(3, Some(account(1))), 2).await.unwrap();
    assert_eq!(ended, [], "an ended session counts no more");
}

pub(super) async fn a_sweep_ends_what_is_past_its_end_or_idle_for_too_long(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    let idle = Duration::from_hours(1);
    let second = Duration::from_secs(1);
    let record = |number| session(number, Some(account(1)));
    let expired = SessionRecord { expires_at: NOW, ..record(1) };
    let nearly_expired = SessionRecord { expires_at: NOW.after(second), ..record(2) };
    let idle_for_too_long = SessionRecord { last_seen_at: NOW.before(idle).before(second), ..record(3) };
    let idle_long = SessionRecord { last_seen_at: NOW.before(idle), ..record(4) };
    for one in [&expired, &nearly_expired, &idle_for_too_long, &idle_long] {
        store.insert_session(one, 20).await.unwrap();
    }
    let ended = store.sweep_sessions(NOW, idle).await.unwrap();
    assert_eq!(BTreeSet::from_iter(ended), BTreeSet::from([hash(1), hash(3)]));
    assert_eq!(store.sweep_sessions(NOW, idle).await.unwrap(), []);
    for (number, stays) in [(1, false), (2, true), (3, false), (4, true)] {
        assert_eq!(store.find_session(&hash(number)).await.unwrap().is_some(), stays, "{number}");
    }
}

pub(super) async fn a_provider_ends_the_sessions_that_it_names_and_no_others(store: &Arc<dyn Store>) {
    let keep = usize::MAX >> 8;
    let record = |number: u8, idp: &str, name: &str, idp_session: Option<&str>| {
        let mut record = session(number, None);
        record.content.idp = idp.parse().unwrap();
        record.content.logout_name = name.to_owned();
        record.content.idp_session = idp_session.map(str::to_owned);
        record
    };
    for record in [
        record(1, "corp", "ada", Some("s1")),
        record(2, "corp", "ada", Some("s2")),
        record(3, "corp", "ada", None),
        record(4, "corp", "bob", Some("s1")),
        record(5, "partner", "ada", Some("s1")),
        record(6, "corp", "ada", Some("s3")),
    ] {
        store.insert_session(&record, keep).await.unwrap();
    }
    let corp: IdpId = "corp".parse().unwrap();
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let hashes = |numbers: &[u8]| numbers.iter().map(|n| hash(*n)).collect::<Vec<_>>();

    assert_eq!(store.end_sessions_of(&corp, "ada", &named(&["other"])).await.unwrap(), []);
    assert_eq!(store.end_sessions_of(&corp, "ada", &named(&["s2"])).await.unwrap(), hashes(&[2]));
    let mut ended = store.end_sessions_of(&corp, "ada", &named(&["s1", "s3", "' OR 1=1"])).await.unwrap();
    ended.sort_by_key(|hash| hash.0);
    let mut expected = hashes(&[1, 6]);
    expected.sort_by_key(|hash| hash.0);
    assert_eq!(ended, expected);
    // Without a session named: all of them.
    assert_eq!(store.end_sessions_of(&corp, "ada", &[]).await.unwrap(), hashes(&[3]));
    for number in [4, 5] {
        assert!(store.find_session(&hash(number)).await.unwrap().is_some(), "{number}");
    }
    assert!(store.find_session(&hash(3)).await.unwrap().is_none());
}
