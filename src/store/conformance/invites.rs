//! What every store does with invites.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::invite::{Invite, InviteId, InviteState, InviteTerms};
use crate::model::{EmailAddress, Entitlements, IdpId, MemberId, Subject, UnixTime};
use crate::store::invites::MAX_USABLE;
use crate::store::{Store, StoreError};

fn id(number: u8) -> InviteId {
    InviteId(uuid::Uuid::from_bytes([number; 16]))
}

fn idp(name: &str) -> IdpId {
    name.parse().unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn invite(number: u8, address: &str, only: Option<&str>) -> Invite {
    let teams = [("acme/a".to_owned(), Some("lead".to_owned()))].into();
    Invite {
        id: id(number),
        terms: InviteTerms {
            email: email(address),
            idp: only.map(idp),
            entitlements: Entitlements { role: Some("editor".to_owned()), teams, ..Entitlements::default() },
            cloned_from: Some("Ada \"L\"".to_owned()),
        },
        invited_by: "anna".to_owned(),
        changed_by: Vec::new(),
        created_at: NOW,
        expires_at: NOW.after(Duration::from_hours(1)),
        revision: 1,
        claimed: None,
        member: None,
        revoked_at: None,
        sends: 1,
        sent_at: Some(NOW),
    }
}

async fn usable(
    store: &Arc<dyn Store>,
    address: &str,
    provider: &str,
    name: &str,
    now: UnixTime,
) -> Option<u8> {
    let found = all_usable(store, address, provider, name, now).await;
    assert!(found.len() < 2, "{found:?}");
    found.first().copied()
}

async fn all_usable(
    store: &Arc<dyn Store>,
    address: &str,
    provider: &str,
    name: &str,
    now: UnixTime,
) -> Vec<u8> {
    let found = store.usable_invites(&email(address), &idp(provider), &subject(name), now).await.unwrap();
    found.iter().map(|invite| invite.id.0.as_bytes()[0]).collect()
}

async fn claim(store: &Arc<dyn Store>, number: u8, revision: i64, name: &str, now: UnixTime) -> bool {
    store.claim_invite(id(number), revision, (&idp("corp"), &subject(name)), now).await.unwrap()
}

pub(super) async fn f6_an_invite_is_found_and_listed_as_it_was_added(store: &Arc<dyn Store>) {
    for number in [1, 3, 2] {
        store.add_invite(&invite(number, "ada@example.com", Some("corp"))).await.unwrap();
    }
    assert_eq!(store.find_invite(id(2)).await.unwrap(), Some(invite(2, "ada@example.com", Some("corp"))));
    assert_eq!(store.find_invite(id(9)).await.unwrap(), None);
    let listed = async |before, limit| {
        let all = store.list_invites(before, limit).await.unwrap();
        all.iter().map(|invite| invite.id.0.as_bytes()[0]).collect::<Vec<u8>>()
    };
    assert_eq!(listed(None, 2).await, [3, 2]);
    assert_eq!(listed(Some(id(2)), 2).await, [1]);
    let again = store.add_invite(&invite(2, "x@example.com", None)).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

pub(super) async fn f6_an_invite_is_for_its_address_its_provider_and_its_time(store: &Arc<dyn Store>) {
    store.add_invite(&invite(1, "Ada@Example.com", Some("corp"))).await.unwrap();
    store.add_invite(&invite(2, "ädel@example.com", None)).await.unwrap();
    assert_eq!(usable(store, "ada@example.com", "corp", "s", NOW).await, Some(1));
    assert_eq!(usable(store, "ada@example.com", "partner", "s", NOW).await, None);
    assert_eq!(usable(store, "adb@example.com", "corp", "s", NOW).await, None);
    assert_eq!(usable(store, "ada@example.com", "corp", "s", NOW.after(Duration::from_hours(1))).await, None);
    assert_eq!(usable(store, "ädel@example.com", "partner", "s", NOW).await, Some(2));
    assert_eq!(usable(store, "Ädel@example.com", "partner", "s", NOW).await, None, "not folded beyond ASCII");
}

pub(super) async fn f6_of_several_invites_the_claimed_come_first_and_then_the_oldest(store: &Arc<dyn Store>) {
    for (number, only) in [(4, None), (2, Some("corp")), (3, Some("partner")), (1, None)] {
        store.add_invite(&invite(number, "ada@example.com", only)).await.unwrap();
    }
    store.add_invite(&invite(5, "bob@example.com", None)).await.unwrap();
    assert_eq!(all_usable(store, "ada@example.com", "corp", "ada", NOW).await, [1, 2, 4]);
    assert!(claim(store, 4, 1, "ada", NOW).await);
    assert_eq!(all_usable(store, "ada@example.com", "corp", "ada", NOW).await, [4, 1, 2]);
    assert_eq!(all_usable(store, "ada@example.com", "corp", "mallory", NOW).await, [1, 2]);
    for number in 6..=u8::try_from(MAX_USABLE).unwrap() + 5 {
        store.add_invite(&invite(number, "ada@example.com", None)).await.unwrap();
    }
    let bounded = all_usable(store, "ada@example.com", "corp", "ada", NOW).await;
    assert_eq!((bounded.len(), bounded[0]), (MAX_USABLE, 4));
}

pub(super) async fn f6_an_invite_is_consumed_once_and_its_identity_may_try_again(store: &Arc<dyn Store>) {
    store.add_invite(&invite(1, "ada@example.com", None)).await.unwrap();
    let late = NOW.after(Duration::from_hours(2));
    assert!(!claim(store, 1, 1, "ada", late).await, "expired");
    assert!(!claim(store, 1, 2, "ada", NOW).await, "another revision");
    assert!(claim(store, 1, 1, "ada", NOW).await);
    assert!(!claim(store, 1, 1, "mallory", NOW).await);
    assert_eq!(usable(store, "ada@example.com", "corp", "mallory", NOW).await, None);
    assert_eq!(usable(store, "ada@example.com", "corp", "ada", late).await, Some(1));
    assert!(claim(store, 1, 1, "ada", late).await);
    let member = MemberId(uuid::Uuid::from_bytes([7; 16]));
    store.finish_invite(id(1), member).await.unwrap();
    assert!(!claim(store, 1, 1, "ada", NOW).await);
    let used = store.find_invite(id(1)).await.unwrap().unwrap();
    assert_eq!((used.member, used.state(NOW)), (Some(member), InviteState::Used));
    assert_eq!(used.claimed.unwrap().subject, subject("ada"));
}

pub(super) async fn f6_of_a_hundred_identities_at_once_one_consumes_the_invite(store: &Arc<dyn Store>) {
    store.add_invite(&invite(1, "ada@example.com", None)).await.unwrap();
    let claims = |store: Arc<dyn Store>, number: u64| async move {
        let (idp, subject) = (idp("corp"), subject(&number.to_string()));
        store.claim_invite(id(1), 1, (&idp, &subject), NOW).await
    };
    assert_eq!(a_hundred_times(store, claims).await.into_iter().filter(|won| *won).count(), 1);
}

pub(super) async fn f6_an_invite_is_changed_and_revoked_until_it_is_used(store: &Arc<dyn Store>) {
    store.add_invite(&invite(1, "ada@example.com", None)).await.unwrap();
    let changed_by = vec!["olaf".to_owned(), "vera: \"v\"".to_owned()];
    let changed =
        Invite { revision: 2, sends: 2, changed_by, ..invite(1, "grace@example.com", Some("corp")) };
    assert!(store.change_invite(&changed).await.unwrap());
    assert!(!store.change_invite(&changed).await.unwrap(), "an old revision");
    assert_eq!(store.find_invite(id(1)).await.unwrap(), Some(changed.clone()));
    assert_eq!(usable(store, "ada@example.com", "corp", "s", NOW).await, None);
    assert_eq!(usable(store, "grace@example.com", "corp", "s", NOW).await, Some(1));
    let revoked = Invite { revision: 3, revoked_at: Some(NOW), ..changed.clone() };
    assert!(store.change_invite(&revoked).await.unwrap());
    assert_eq!(usable(store, "grace@example.com", "corp", "s", NOW).await, None);
    assert!(!claim(store, 1, 3, "s", NOW).await);
    assert!(!store.change_invite(&Invite { revision: 4, ..changed }).await.unwrap(), "it stays revoked");

    store.add_invite(&invite(2, "bob@example.com", None)).await.unwrap();
    assert!(claim(store, 2, 1, "bob", NOW).await);
    store.finish_invite(id(2), MemberId(uuid::Uuid::from_bytes([7; 16]))).await.unwrap();
    let late = Invite { revision: 2, ..invite(2, "x@example.com", None) };
    assert!(!store.change_invite(&late).await.unwrap(), "it was used");
}
