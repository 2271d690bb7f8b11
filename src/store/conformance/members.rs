//! What every store does with members and those in the making.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::{AccountId, IdpId, Job, JobState, Member, Origin, Subject, Task, UnixTime};
use crate::store::{CreationIntent, CreationLease, Hold, Intended, Landing, Store, StoreError};

const LEASE: Duration = Duration::from_secs(30);

fn idp() -> IdpId {
    "corp".parse().unwrap()
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

/// The only identity of `name`, with the account of this number.
fn member(name: &str, number: u8) -> Member {
    Member {
        identities: vec![(idp(), subject(name))],
        username: name.to_owned(),
        email: Some(format!("{name}@example.com")),
        ..Member::for_tests(number, NOW)
    }
}

async fn begin(store: &Arc<dyn Store>, name: &str, holder: u64, now: UnixTime) -> CreationLease {
    store.begin_creation(&idp(), &subject(name), holder, now, now.after(LEASE)).await.unwrap()
}

async fn intend(store: &Arc<dyn Store>, name: &str, holder: u64, username: &str) -> bool {
    let intent =
        CreationIntent { username: username.to_owned(), email: None, intended_at: NOW, clean_up_at: None };
    store.intend_creation(&idp(), &subject(name), holder, &intent).await.unwrap()
}

async fn find(store: &Arc<dyn Store>, name: &str) -> Option<Member> {
    store.find_member(&idp(), &subject(name)).await.unwrap()
}

async fn make(store: &Arc<dyn Store>, one: &Member) {
    let (idp, subject) = &one.identities[0];
    let lease = store.begin_creation(idp, subject, 1, NOW, NOW.after(LEASE)).await.unwrap();
    assert_eq!(lease, acquired(None));
    assert_eq!(store.finish_creation(one, 1, None).await.unwrap(), Ok(()));
}

fn acquired(earlier_intent: Option<&str>) -> CreationLease {
    let intended = |username: &str| Intended { username: username.to_owned(), at: NOW };
    CreationLease::Acquired { earlier_intent: earlier_intent.map(intended) }
}

pub(super) async fn f9_a_finished_member_is_found_by_each_identity_and_by_account(store: &Arc<dyn Store>) {
    let partner: IdpId = "partner".parse().unwrap();
    let mut ada = Member { origin: Origin::Adopted, email: None, ..member("ada", 1) };
    ada.identities.push((partner.clone(), subject("a-17")));
    make(store, &ada).await;
    assert_eq!(find(store, "ada").await.as_ref(), Some(&ada));
    assert_eq!(store.find_member(&partner, &subject("a-17")).await.unwrap().as_ref(), Some(&ada));
    assert_eq!(
        store.find_member_by_account(ada.account.as_ref().unwrap()).await.unwrap().as_ref(),
        Some(&ada)
    );
    assert_eq!(find(store, "bob").await, None);
    assert_eq!(store.find_member_by_account(&AccountId("ada".to_owned())).await.unwrap(), None);
}

pub(super) async fn f9_of_a_hundred_beginnings_at_once_exactly_one_may_create(store: &Arc<dyn Store>) {
    let leases = a_hundred_times(store, |store, holder| async move {
        store.begin_creation(&idp(), &subject("ada"), holder, NOW, NOW.after(LEASE)).await
    })
    .await;
    assert_eq!(leases.iter().filter(|one| **one == acquired(None)).count(), 1);
    let busy = CreationLease::Busy { until: NOW.after(LEASE) };
    assert_eq!(leases.iter().filter(|one| **one == busy).count(), 99);
}

pub(super) async fn f9_another_holder_is_told_until_when_to_wait(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    let last_moment = NOW.after(LEASE).before(Duration::from_secs(1));
    let busy = CreationLease::Busy { until: NOW.after(LEASE) };
    assert_eq!(begin(store, "ada", 2, last_moment).await, busy);
    assert_eq!(begin(store, "bob", 2, NOW).await, acquired(None), "another person is not in the way");
}

pub(super) async fn f9_the_holder_may_renew_its_lease(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    let later = NOW.after(Duration::from_secs(20));
    assert_eq!(begin(store, "ada", 1, later).await, acquired(Some("ada")));
    let busy = CreationLease::Busy { until: later.after(LEASE) };
    assert_eq!(begin(store, "ada", 2, NOW.after(LEASE)).await, busy);
}

pub(super) async fn f9_an_expired_lease_passes_on_with_the_earlier_intent(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    assert!(intend(store, "ada", 1, "ada").await);
    assert_eq!(begin(store, "ada", 2, NOW.after(LEASE)).await, acquired(Some("ada")));
    assert!(!intend(store, "ada", 1, "late").await, "the first holder has lost it");
    assert!(intend(store, "ada", 2, "ada2").await);
}

pub(super) async fn f9_only_the_holder_may_intend(store: &Arc<dyn Store>) {
    assert!(!intend(store, "ada", 1, "ada").await, "nobody has begun");
    begin(store, "ada", 1, NOW).await;
    assert!(!intend(store, "ada", 2, "eve").await);
    assert_eq!(begin(store, "ada", 1, NOW).await, acquired(None));
}

pub(super) async fn f9_a_holder_that_lost_its_lease_writes_nothing(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    begin(store, "ada", u64::MAX, NOW.after(LEASE)).await;
    let refused = store.finish_creation(&member("ada", 1), 1, None).await;
    assert!(matches!(refused, Err(StoreError::Gone { act: "finish_creation", .. })), "{refused:?}");
    assert_eq!(find(store, "ada").await, None);
    assert_eq!(store.find_member_by_account(member("ada", 1).account.as_ref().unwrap()).await.unwrap(), None);
    assert!(intend(store, "ada", u64::MAX, "ada").await, "the second holder still has it");
    assert_eq!(store.finish_creation(&member("ada", 1), u64::MAX, None).await.unwrap(), Ok(()));
}

pub(super) async fn f9_giving_up_with_the_outcome_unknown_keeps_the_intent(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    store.abandon_creation(&idp(), &subject("ada"), 1, true).await.unwrap();
    assert!(!intend(store, "ada", 1, "late").await, "it was given up");
    assert_eq!(begin(store, "ada", 2, NOW).await, acquired(Some("ada")));
}

pub(super) async fn f9_giving_up_with_the_outcome_known_forgets_the_intent(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    store.abandon_creation(&idp(), &subject("ada"), 1, false).await.unwrap();
    assert_eq!(begin(store, "ada", 2, NOW).await, acquired(None));
}

pub(super) async fn f9_an_intent_is_as_old_as_when_it_was_recorded_last(store: &Arc<dyn Store>) {
    for (holder, at) in [(1, NOW), (2, NOW.after(LEASE)), (3, NOW.after(LEASE * 9))] {
        let lease = begin(store, "ada", holder, at).await;
        if holder > 1 {
            let intended = Intended { username: "ada".to_owned(), at: at_of(holder - 1) };
            assert_eq!(lease, CreationLease::Acquired { earlier_intent: Some(intended) });
        }
        let intent = CreationIntent {
            username: "ada".to_owned(),
            email: None,
            intended_at: at_of(holder),
            clean_up_at: None,
        };
        assert!(store.intend_creation(&idp(), &subject("ada"), holder, &intent).await.unwrap());
        store.abandon_creation(&idp(), &subject("ada"), holder, true).await.unwrap();
    }
}

fn at_of(holder: u64) -> UnixTime {
    UnixTime(NOW.0 + i64::try_from(holder).unwrap() * 1_000)
}

pub(super) async fn f9_another_holder_cannot_give_up_a_lease(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    for keep_intent in [true, false] {
        store.abandon_creation(&idp(), &subject("ada"), 2, keep_intent).await.unwrap();
    }
    store.abandon_creation(&idp(), &subject("bob"), 2, true).await.unwrap();
    assert_eq!(begin(store, "ada", 2, NOW).await, CreationLease::Busy { until: NOW.after(LEASE) });
    assert_eq!(begin(store, "ada", 1, NOW).await, acquired(Some("ada")));
}

pub(super) async fn f9_a_finished_creation_leaves_neither_lease_nor_intent(store: &Arc<dyn Store>) {
    begin(store, "ada", 1, NOW).await;
    intend(store, "ada", 1, "ada").await;
    assert_eq!(store.finish_creation(&member("ada", 1), 1, None).await.unwrap(), Ok(()));
    assert_eq!(begin(store, "ada", 2, NOW).await, acquired(None));
}

pub(super) async fn f9_an_identity_that_is_a_member_already_stays_that_member(store: &Arc<dyn Store>) {
    let first = member("ada", 1);
    make(store, &first).await;
    begin(store, "ada", 2, NOW).await;
    let second = Member { identities: first.identities.clone(), ..member("other", 2) };
    assert_eq!(store.finish_creation(&second, 2, None).await.unwrap(), Err(first.clone()));
    assert_eq!(find(store, "ada").await, Some(first));
    assert_eq!(store.find_member_by_account(second.account.as_ref().unwrap()).await.unwrap(), None);
}

pub(super) async fn f9_an_account_of_another_member_is_not_given_twice(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    make(store, &ada).await;
    begin(store, "eve", 2, NOW).await;
    let eve = Member { account: ada.account.clone(), ..member("eve", 2) };
    assert_eq!(store.finish_creation(&eve, 2, None).await.unwrap(), Err(ada.clone()));
    assert_eq!(find(store, "eve").await, None);
    assert_eq!(store.find_member_by_account(ada.account.as_ref().unwrap()).await.unwrap(), Some(ada));
}

pub(super) async fn f9_a_member_id_is_used_once(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    make(store, &ada).await;
    begin(store, "eve", 2, NOW).await;
    let eve = Member { id: ada.id, ..member("eve", 2) };
    let refused = store.finish_creation(&eve, 2, None).await;
    assert!(matches!(refused, Err(StoreError::Conflict { act: "finish_creation", .. })), "{refused:?}");
    assert_eq!(find(store, "eve").await, None);
    assert_eq!(find(store, "ada").await, Some(ada));
}

pub(super) async fn a_login_updates_names_and_time(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    make(store, &ada).await;
    let later = Member {
        username: "ada2".to_owned(),
        email: None,
        last_login_at: NOW.after(LEASE),
        // What a login does not tell is not written.
        account: Some(AccountId("other".to_owned())),
        ..ada.clone()
    };
    store.record_login(&later, None).await.unwrap();
    assert_eq!(find(store, "ada").await, Some(Member { account: ada.account, ..later }));
}

pub(super) async fn a_login_of_an_earlier_generation_updates_the_time_only(store: &Arc<dyn Store>) {
    let ada = Member { generation: 2, ..member("ada", 1) };
    make(store, &ada).await;
    let stale = Member {
        username: "old".to_owned(),
        email: None,
        generation: 1,
        last_login_at: NOW.after(LEASE),
        ..ada.clone()
    };
    store.record_login(&stale, None).await.unwrap();
    assert_eq!(find(store, "ada").await, Some(Member { last_login_at: NOW.after(LEASE), ..ada }));
}

pub(super) async fn a_logins_time_never_goes_backwards(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    make(store, &ada).await;
    store.record_login(&Member { last_login_at: NOW.before(LEASE), ..ada.clone() }, None).await.unwrap();
    assert_eq!(find(store, "ada").await, Some(ada));
}

pub(super) async fn a_login_of_no_member_is_refused(store: &Arc<dyn Store>) {
    make(store, &member("ada", 1)).await;
    let refused = store.record_login(&member("eve", 2), None).await;
    assert!(matches!(refused, Err(StoreError::Gone { act: "record_login", .. })), "{refused:?}");
    assert_eq!(find(store, "eve").await, None);
}

pub(super) async fn e2_an_intent_carries_the_job_that_cleans_up_after_it(store: &Arc<dyn Store>) {
    let due = NOW.after(LEASE);
    let intent = CreationIntent {
        username: "ada".to_owned(),
        email: Some("ada@example.com".to_owned()),
        intended_at: NOW,
        clean_up_at: Some(due),
    };
    let job = Job {
        task: Task::AbandonedCreation {
            idp: idp(),
            subject: subject("ada"),
            username: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
        },
        due_at: due,
        tries: 0,
        state: JobState::Waiting,
        reason: None,
    };
    assert!(!store.intend_creation(&idp(), &subject("ada"), 1, &intent).await.unwrap());
    assert_eq!(store.list_jobs(9).await.unwrap(), [], "nobody had the right to");
    begin(store, "ada", 1, NOW).await;
    assert!(store.intend_creation(&idp(), &subject("ada"), 1, &intent).await.unwrap());
    store.abandon_creation(&idp(), &subject("ada"), 1, true).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap(), std::slice::from_ref(&job), "the outcome is not known");
    begin(store, "ada", 2, NOW).await;
    store.abandon_creation(&idp(), &subject("ada"), 1, false).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap(), [job], "another one has it");
    store.abandon_creation(&idp(), &subject("ada"), 2, false).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap(), []);
    begin(store, "ada", 3, NOW).await;
    assert!(store.intend_creation(&idp(), &subject("ada"), 3, &intent).await.unwrap());
    assert_eq!(store.finish_creation(&member("ada", 1), 3, None).await.unwrap(), Ok(()));
    assert_eq!(store.list_jobs(9).await.unwrap(), [], "a finished one needs none");
}

pub(super) async fn e1_a_member_that_lands_is_recorded_with_the_job_that_settles_it(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    begin(store, "ada", 1, NOW).await;
    let landing = NOW.after(LEASE);
    assert_eq!(store.finish_creation(&ada, 1, Some(landing)).await.unwrap(), Ok(()));
    let jobs = store.list_jobs(9).await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].task, Task::Settle { member: ada.id, generation: 1 });
    assert_eq!(jobs[0].due_at, landing);
    let standing = store.standing(ada.id, NOW).await.unwrap().unwrap();
    assert_eq!((standing.member, standing.landing_until), (ada.clone(), Some(landing)));
    let standing = store.standing(ada.id, landing).await.unwrap().unwrap();
    assert_eq!(standing.landing_until, None, "it is over");
}

pub(super) async fn e1_a_login_that_lands_needs_the_right_and_gives_it_up(store: &Arc<dyn Store>) {
    let ada = member("ada", 1);
    make(store, &ada).await;
    let landing = Landing { holder: 7, until: NOW.after(LEASE) };
    let refused =
        store.record_login(&Member { username: "x".to_owned(), ..ada.clone() }, Some(landing)).await;
    assert!(matches!(refused, Err(StoreError::Gone { act: "record_login", .. })), "{refused:?}");
    assert_eq!(find(store, "ada").await.as_ref(), Some(&ada), "nothing was written");
    assert_eq!(store.list_jobs(9).await.unwrap(), []);
    store.hold_member(ada.id, 7, NOW, NOW.after(LEASE)).await.unwrap();
    store.record_login(&ada, Some(landing)).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap()[0].due_at, landing.until);
    let held = store.hold_member(ada.id, 8, NOW, NOW.after(LEASE)).await.unwrap();
    let Hold::Held(standing) = held else { panic!("{held:?}") };
    assert_eq!(standing.landing_until, Some(landing.until));
    // A job that is there already stays as it is.
    let landing = Landing { holder: 8, until: NOW };
    store.record_login(&ada, Some(landing)).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap()[0].due_at, NOW.after(LEASE));
}

pub(super) async fn identities_of_two_providers_do_not_mix(store: &Arc<dyn Store>) {
    make(store, &member("ada", 1)).await;
    let partner: IdpId = "partner".parse().unwrap();
    assert_eq!(store.find_member(&partner, &subject("ada")).await.unwrap(), None);
    let lease = store.begin_creation(&partner, &subject("ada"), 2, NOW, NOW.after(LEASE)).await.unwrap();
    assert_eq!(lease, acquired(None));
}
