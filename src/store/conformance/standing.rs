//! What every store does with members while their accounts are worked on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, AccountState, Claims, Grant, GrantSource, Item, Leaving, Ledger, Loan, Loans,
    Member, MemberStatus, SessionHash, SessionRecord, Source, Subject, Task, UnixTime,
};
use crate::store::{CreationLease, Hold, OnUpdate, Standing, StandingSession, Store, StoreError, Update};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

/// A member of this number, recorded.
pub(super) async fn recorded(store: &Arc<dyn Store>, number: u8) -> Member {
    let subject = Subject::parse(&format!("person {number}")).unwrap();
    let member = Member {
        identities: vec![("corp".parse().unwrap(), subject)],
        email: Some(format!("person{number}@example.com")),
        ..Member::for_tests(number, NOW)
    };
    let (idp, subject) = &member.identities[0];
    let lease = store.begin_creation(idp, subject, 1, NOW, NOW.after(LEASE)).await.unwrap();
    assert_eq!(lease, CreationLease::Acquired { earlier_intent: None });
    assert_eq!(store.finish_creation(&member, 1, None).await.unwrap(), Ok(()));
    member
}

/// A session of `member`.
pub(super) fn session(number: u8, member: &Member, source: GrantSource) -> SessionRecord {
    SessionRecord {
        hash: SessionHash([number; 32]),
        content: SessionContent {
            idp: "corp".parse().unwrap(),
            subject: Subject::parse("ada").unwrap(),
            logout_name: "ada".to_owned(),
            idp_session: None,
            account: Some(SessionAccount {
                member: member.id,
                id: AccountId(format!("account {}", member.id.0.as_bytes()[0])),
                profile: AccountProfile::default(),
            }),
            claims: Claims::default(),
            grant: Grant { source, ..Grant::default() },
            logout_hint: None,
        },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.after(HOUR),
    }
}

async fn held(store: &Arc<dyn Store>, member: &Member, holder: u64, now: UnixTime) -> Option<Standing> {
    match store.hold_member(member.id, holder, now, now.after(LEASE)).await.unwrap() {
        Hold::Held(standing) => Some(*standing),
        Hold::Busy { .. } => None,
    }
}

async fn found(store: &Arc<dyn Store>, member: &Member) -> Member {
    store.find_member_by_id(member.id).await.unwrap().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn conflict(result: Result<crate::store::Updated, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { act: "update_member", .. }))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn gone(result: Result<crate::store::Updated, StoreError>) -> bool {
    matches!(result, Err(StoreError::Gone { act: "update_member", .. }))
}

pub(super) async fn e2_of_a_hundred_at_once_exactly_one_has_the_right_to_work_on_a_member(
    store: &Arc<dyn Store>,
) {
    let id = recorded(store, 1).await.id;
    let holds = a_hundred_times(store, move |store, holder| async move {
        store.hold_member(id, holder, NOW, NOW.after(LEASE)).await
    })
    .await;
    assert_eq!(holds.iter().filter(|hold| matches!(hold, Hold::Held(_))).count(), 1);
    let busy = Hold::Busy { until: NOW.after(LEASE) };
    assert_eq!(holds.iter().filter(|hold| **hold == busy).count(), 99);
}

pub(super) async fn e2_the_right_to_work_on_a_member_runs_out_and_can_be_given_up(store: &Arc<dyn Store>) {
    let (ada, bob) = (recorded(store, 1).await, recorded(store, 2).await);
    assert!(held(store, &ada, 1, NOW).await.is_some());
    assert!(held(store, &bob, 2, NOW).await.is_some(), "another member is not in the way");
    assert!(held(store, &ada, 1, NOW).await.is_some(), "its holder renews it");
    let last = NOW.after(LEASE).before(Duration::from_secs(1));
    assert!(held(store, &ada, 2, last).await.is_none());
    assert!(held(store, &ada, 2, NOW.after(LEASE)).await.is_some());
    store.release_member(ada.id, 1).await.unwrap();
    assert!(held(store, &ada, 3, NOW.after(LEASE)).await.is_none(), "the first holder has it no more");
    store.release_member(ada.id, 2).await.unwrap();
    assert!(held(store, &ada, 3, NOW).await.is_some());
    let nobody = Member::for_tests(9, NOW);
    let refused = store.hold_member(nobody.id, 1, NOW, NOW).await;
    assert!(matches!(refused, Err(StoreError::Gone { act: "hold_member", .. })), "{refused:?}");
}

pub(super) async fn an_update_writes_everything_of_a_member(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let mut ledger = Ledger::default();
    ledger.note(Item::Team("acme/a".to_owned()), "lead".to_owned(), Source::Sso);
    let loan = Loan { before: None, put: BTreeSet::from([Some("admin".to_owned()), None]) };
    let changed = Member {
        account: None,
        account_state: AccountState::Deleted,
        username: "ada2".to_owned(),
        email: None,
        origin: crate::model::Origin::Adopted,
        status: MemberStatus::Blocked,
        ephemeral_until: Some(NOW.after(HOUR)),
        leaving: Some(Leaving::Delete),
        ledger,
        borrowed: Loans([(Item::Role, loan)].into()),
        generation: 2,
        last_login_at: NOW.after(LEASE),
        ..ada.clone()
    };
    let updated = store.update_member(&changed, Update::default()).await.unwrap();
    assert_eq!((updated.revision, updated.ended), (1, Vec::new()));
    assert_eq!(found(store, &ada).await, Member { revision: 1, ..changed });
    assert_eq!(store.find_member_by_account(&ada.account.unwrap()).await.unwrap(), None);
}

pub(super) async fn an_update_from_an_earlier_revision_is_refused(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let first = Member { username: "first".to_owned(), ..ada.clone() };
    store.update_member(&first, Update::default()).await.unwrap();
    let second = Member { username: "second".to_owned(), ..ada.clone() };
    assert!(conflict(store.update_member(&second, Update::default()).await));
    assert_eq!(found(store, &ada).await.username, "first");
    assert!(gone(store.update_member(&Member::for_tests(9, NOW), Update::default()).await));
}

pub(super) async fn of_a_hundred_updates_at_once_exactly_one_is_made(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let made = a_hundred_times(store, move |store, number| {
        let ada = Member { username: format!("{number}"), ..ada.clone() };
        async move { Ok(store.update_member(&ada, Update::default()).await.is_ok()) }
    })
    .await;
    assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
}

pub(super) async fn an_update_needs_the_right_where_it_says_so(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let update = Update { holder: Some(7), ..Update::default() };
    assert!(gone(store.update_member(&ada, update).await));
    held(store, &ada, 8, NOW).await.unwrap();
    assert!(gone(store.update_member(&ada, update).await));
    assert_eq!(found(store, &ada).await.revision, 0);
    held(store, &ada, 7, NOW.after(LEASE)).await.unwrap();
    assert_eq!(store.update_member(&ada, update).await.unwrap().revision, 1);
}

pub(super) async fn an_update_does_not_take_another_members_account(store: &Arc<dyn Store>) {
    let (ada, eve) = (recorded(store, 1).await, recorded(store, 2).await);
    let taking = Member { account: ada.account.clone(), ..eve.clone() };
    assert!(conflict(store.update_member(&taking, Update::default()).await));
    assert_eq!(found(store, &eve).await, eve);
    assert_eq!(store.find_member_by_account(&ada.account.clone().unwrap()).await.unwrap(), Some(ada));
}

pub(super) async fn e3_an_account_id_that_was_deleted_may_be_the_next_ones(store: &Arc<dyn Store>) {
    let (ada, eve) = (recorded(store, 1).await, recorded(store, 2).await);
    let left = Member { account: None, account_state: AccountState::Deleted, ..ada.clone() };
    store.update_member(&left, Update::default()).await.unwrap();
    let taking = Member { account: ada.account.clone(), ..eve.clone() };
    store.update_member(&taking, Update::default()).await.unwrap();
    let holder = store.find_member_by_account(&ada.account.unwrap()).await.unwrap();
    assert_eq!(holder.map(|member| member.id), Some(eve.id));
}

pub(super) async fn e4_an_update_may_end_all_sessions_of_its_member_and_no_others(store: &Arc<dyn Store>) {
    let (ada, eve) = (recorded(store, 1).await, recorded(store, 2).await);
    for record in [
        session(1, &ada, GrantSource::Baseline),
        session(2, &ada, GrantSource::Baseline),
        session(3, &eve, GrantSource::Baseline),
    ] {
        store.insert_session(&record, 20).await.unwrap();
    }
    let update = Update { sessions: OnUpdate::End, ..Update::default() };
    let ended = store.update_member(&ada, update).await.unwrap().ended;
    assert_eq!(BTreeSet::from_iter(ended), BTreeSet::from([SessionHash([1; 32]), SessionHash([2; 32])]));
    assert!(store.find_session(&SessionHash([3; 32])).await.unwrap().is_some());
    assert!(store.find_session(&SessionHash([1; 32])).await.unwrap().is_none());
}

pub(super) async fn e1_an_account_does_not_go_while_a_session_lives_or_lands(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let at = NOW.after(HOUR);
    let leaving = Member { account_state: AccountState::Leaving, ..ada.clone() };
    let unless = |at| Update { sessions: OnUpdate::MustBeNone { at }, ..Update::default() };
    store.insert_session(&session(1, &ada, GrantSource::Baseline), 20).await.unwrap();
    assert!(conflict(store.update_member(&leaving, unless(at.before(LEASE))).await));
    store.end_session(&SessionHash([1; 32])).await.unwrap();
    held(store, &ada, 1, NOW).await.unwrap();
    let landing = crate::store::Landing { holder: 1, until: at };
    store.record_login(&ada, Some(landing)).await.unwrap();
    assert!(conflict(store.update_member(&leaving, unless(at.before(LEASE))).await));
    assert_eq!(found(store, &ada).await, ada);
    assert!(store.update_member(&leaving, unless(at)).await.is_ok(), "it is over by itself");
}

pub(super) async fn e1_no_session_begins_for_an_account_that_goes_or_is_anothers(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let record = session(1, &ada, GrantSource::Baseline);
    let mut member = ada.clone();
    for unfit in [
        Member { account_state: AccountState::Leaving, ..ada.clone() },
        Member { account_state: AccountState::Deactivated, ..ada.clone() },
        Member { account_state: AccountState::Deleted, account: None, ..ada.clone() },
        Member { account: Some(AccountId("another".to_owned())), ..ada.clone() },
        Member { status: MemberStatus::Blocked, ..ada.clone() },
    ] {
        let unfit = Member { revision: member.revision, ..unfit };
        member.revision = store.update_member(&unfit, Update::default()).await.unwrap().revision;
        let refused = store.insert_session(&record, 20).await;
        assert!(matches!(refused, Err(StoreError::Gone { act: "insert_session", .. })), "{refused:?}");
        assert_eq!(store.find_session(&record.hash).await.unwrap(), None);
    }
    store.update_member(&member, Update::default()).await.unwrap();
    store.insert_session(&record, 20).await.unwrap();
}

pub(super) async fn e1_of_sessions_and_a_deletion_at_once_only_one_side_happens(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    let happened = a_hundred_times(store, move |store, number| {
        let ada = ada.clone();
        async move {
            if number % 2 == 0 {
                let leaving = Member { account_state: AccountState::Leaving, ..ada };
                let update = Update { sessions: OnUpdate::MustBeNone { at: NOW }, ..Update::default() };
                Ok((store.update_member(&leaving, update).await.is_ok(), false))
            } else {
                let record = session(u8::try_from(number).unwrap(), &ada, GrantSource::Baseline);
                Ok((false, store.insert_session(&record, 100).await.is_ok()))
            }
        }
    })
    .await;
    let (left, began) = happened
        .iter()
        .fold((0, 0), |(left, began), one| (left + u32::from(one.0), began + u32::from(one.1)));
    assert!(left == 1 && began == 0 || left == 0 && began == 50, "{left} left, {began} began");
}

pub(super) async fn a_standing_shows_live_sessions_in_order_and_a_session_ends_the_landing(
    store: &Arc<dyn Store>,
) {
    let ada = recorded(store, 1).await;
    held(store, &ada, 1, NOW).await.unwrap();
    let landing = crate::store::Landing { holder: 1, until: NOW.after(LEASE) };
    store.record_login(&ada, Some(landing)).await.unwrap();
    let expired = SessionRecord { expires_at: NOW, ..session(3, &ada, GrantSource::Baseline) };
    for record in [session(2, &ada, GrantSource::Session), session(1, &ada, GrantSource::Borrowed), expired] {
        store.insert_session(&record, 20).await.unwrap();
    }
    let standing = store.standing(ada.id, NOW).await.unwrap().unwrap();
    let live = |source| StandingSession {
        grant: Grant { source, ..Grant::default() },
        created_at: NOW,
        expires_at: NOW.after(HOUR),
    };
    assert_eq!(standing.sessions, [live(GrantSource::Session), live(GrantSource::Borrowed)]);
    assert_eq!(standing.landing_until, None);
    assert_eq!(held(store, &ada, 1, NOW).await.unwrap(), standing);
    assert_eq!(store.standing(Member::for_tests(9, NOW).id, NOW).await.unwrap(), None);
}

pub(super) async fn e2_whatever_ends_a_session_makes_its_members_job_due(store: &Arc<dyn Store>) {
    let (ada, eve) = (recorded(store, 1).await, recorded(store, 2).await);
    let far = NOW.after(HOUR);
    let task = |member: &Member| Task::Settle { member: member.id, generation: 1 };
    let begin = |number| {
        let record = session(number, &ada, GrantSource::Baseline);
        async move { store.insert_session(&record, 1).await.unwrap() }
    };
    let due = || async {
        let jobs = store.list_jobs(9).await.unwrap();
        let due = |member| jobs.iter().find(|job| job.task == task(member)).unwrap().due_at;
        assert_eq!(due(&eve), far, "another member's waits on");
        due(&ada)
    };
    let put = || async {
        store.put_job(&task(&ada), far).await.unwrap();
        store.put_job(&task(&eve), far).await.unwrap();
    };
    put().await;
    begin(1).await;
    assert_eq!(due().await, far, "a beginning ends none");
    begin(2).await;
    assert_eq!(due().await, UnixTime(0), "beyond the limit");
    put().await;
    assert!(!store.end_session(&SessionHash([1; 32])).await.unwrap());
    assert_eq!(due().await, far, "there was none to end");
    assert!(store.end_session(&SessionHash([2; 32])).await.unwrap());
    assert_eq!(due().await, UnixTime(0), "one");
    put().await;
    begin(3).await;
    store.end_sessions_of(&"corp".parse().unwrap(), "ada", &[]).await.unwrap();
    assert_eq!(due().await, UnixTime(0), "by the provider");
    put().await;
    begin(4).await;
    store.sweep_sessions(far, HOUR).await.unwrap();
    assert_eq!(due().await, UnixTime(0), "by time");
}

pub(super) async fn g3_removals_are_counted_within_their_time_over_all(store: &Arc<dyn Store>) {
    let take = |wanted, now| {
        let store = Arc::clone(store);
        async move { store.take_removals(wanted, now, HOUR, 5).await.unwrap() }
    };
    assert!(take(3, NOW).await);
    assert!(!take(3, NOW).await, "six of five");
    assert!(take(2, NOW.after(LEASE)).await);
    assert!(!take(1, NOW.after(LEASE)).await);
    let counted = |now| {
        let store = Arc::clone(store);
        async move { store.counted_removals(now, HOUR).await.unwrap() }
    };
    assert_eq!(counted(NOW.after(LEASE)).await, 5);
    assert_eq!(counted(NOW.after(HOUR)).await, 2);
    assert!(!take(1, NOW.after(HOUR).before(Duration::from_secs(1))).await);
    assert!(take(3, NOW.after(HOUR)).await, "the first three are an hour old");
    assert!(!take(1, NOW.after(HOUR)).await);
    assert!(!store.take_removals(6, NOW.after(HOUR * 9), HOUR, 5).await.unwrap());
}

pub(super) async fn g3_of_a_hundred_removals_at_once_as_many_are_let_through_as_may(store: &Arc<dyn Store>) {
    let taken = a_hundred_times(store, |store, number| async move {
        store.take_removals(1, UnixTime(NOW.0 + i64::try_from(number % 3).unwrap()), HOUR, 20).await
    })
    .await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 20);
}

pub(super) async fn g1_of_a_hundred_at_once_exactly_one_has_a_right(store: &Arc<dyn Store>) {
    let had = a_hundred_times(store, |store, number| async move {
        store.hold_right("privileges", number, NOW, NOW.after(LEASE)).await
    })
    .await;
    assert_eq!(had.iter().filter(|busy| busy.is_none()).count(), 1);
    assert!(had.iter().flatten().all(|until| *until == NOW.after(LEASE)));
}

pub(super) async fn g1_a_right_runs_out_and_can_be_given_up_and_names_do_not_mix(store: &Arc<dyn Store>) {
    let hold = |name: &'static str, holder, now: UnixTime| {
        let store = Arc::clone(store);
        async move { store.hold_right(name, holder, now, now.after(LEASE)).await.unwrap() }
    };
    assert_eq!(hold("one", 1, NOW).await, None);
    assert_eq!(hold("two", 2, NOW).await, None);
    assert_eq!(hold("one", 2, NOW).await, Some(NOW.after(LEASE)));
    store.release_right("one", 2).await.unwrap();
    assert_eq!(hold("one", 2, NOW).await, Some(NOW.after(LEASE)), "another's is not given up");
    let later = NOW.after(Duration::from_secs(1));
    assert_eq!(hold("one", 1, later).await, None, "renewed");
    assert_eq!(hold("one", 2, NOW.after(LEASE)).await, Some(later.after(LEASE)));
    assert_eq!(hold("one", 2, later.after(LEASE)).await, None, "run out");
    store.release_right("one", 1).await.unwrap();
    assert_eq!(hold("one", 1, later.after(LEASE)).await, Some(later.after(LEASE).after(LEASE)), "lost");
    store.release_right("one", 2).await.unwrap();
    assert_eq!(hold("one", 1, later.after(LEASE)).await, None, "given up");
}

pub(super) async fn e6_the_longest_absent_present_members_are_listed_first(store: &Arc<dyn Store>) {
    let mut numbers = Vec::new();
    for (number, days, state, leaving) in [
        (1, 3, AccountState::Present, None),
        (2, 5, AccountState::Present, None),
        (3, 9, AccountState::Deactivated, None),
        (4, 9, AccountState::Present, Some(Leaving::Delete)),
        (5, 0, AccountState::Present, None),
    ] {
        let member = recorded(store, number).await;
        let member = Member { account_state: state, leaving, ..member };
        store.update_member(&member, Update::default()).await.unwrap();
        let later = NOW.after(Duration::from_hours(24 * (10 - days)));
        store.record_login(&Member { last_login_at: later, ..member }, None).await.unwrap();
        numbers.push(number);
    }
    let before = NOW.after(Duration::from_hours(24 * 9));
    let listed = store.list_inactive(before, NOW, 9).await.unwrap();
    let listed: Vec<u8> = listed.iter().map(|member| member.id.0.as_bytes()[0]).collect();
    assert_eq!(listed, [2, 1]);
    assert_eq!(store.list_inactive(before, NOW, 1).await.unwrap().len(), 1);
}

pub(super) async fn e6_members_with_a_live_session_do_not_stand_before_the_absent(store: &Arc<dyn Store>) {
    let (ada, bob, eve) = (recorded(store, 1).await, recorded(store, 2).await, recorded(store, 3).await);
    for (member, hours) in [(&ada, 1), (&bob, 2), (&eve, 3)] {
        let last_login_at = NOW.after(Duration::from_hours(hours));
        store.record_login(&Member { last_login_at, ..member.clone() }, None).await.unwrap();
    }
    let now = NOW.after(Duration::from_hours(9));
    let live = SessionRecord { expires_at: now.after(HOUR), ..session(1, &ada, GrantSource::Baseline) };
    let over = SessionRecord { expires_at: now, ..session(2, &bob, GrantSource::Baseline) };
    for record in [live, over] {
        store.insert_session(&record, 20).await.unwrap();
    }
    held(store, &eve, 1, now).await.unwrap();
    let landing = crate::store::Landing { holder: 1, until: now.after(HOUR) };
    store.record_login(&Member { last_login_at: NOW, ..eve.clone() }, Some(landing)).await.unwrap();
    let listed = store.list_inactive(now, now, 1).await.unwrap();
    assert_eq!(listed.iter().map(|member| member.id).collect::<Vec<_>>(), [bob.id]);
    assert_eq!(store.list_inactive(now, now, 9).await.unwrap().len(), 1);
    let later = now.after(HOUR);
    assert_eq!(store.list_inactive(later, later, 9).await.unwrap().len(), 3);
}

pub(super) async fn g6_the_email_that_an_identity_came_with_last_is_blocked_with_its_member(
    store: &Arc<dyn Store>,
) {
    let ada = recorded(store, 1).await;
    recorded(store, 2).await;
    let (idp, subject) = ada.identities[0].clone();
    let address = |text: &str| crate::model::EmailAddress::parse(text).unwrap();
    let note = |text: &'static str| {
        let (idp, subject) = (idp.clone(), subject.clone());
        async move { store.note_email(&idp, &subject, &address(text)).await.unwrap() }
    };
    note("former@example.com").await;
    note("Ada@work.example").await;
    let nobody = Subject::parse("nobody").unwrap();
    store.note_email(&idp, &nobody, &address("nobody@example.com")).await.unwrap();
    assert!(!store.is_blocked_email("ada@work.example").await.unwrap());
    let blocked = Member { status: MemberStatus::Blocked, ..ada };
    store.update_member(&blocked, Update::default()).await.unwrap();
    for (email, is) in [
        ("ada@WORK.example", true),
        ("person1@example.com", true),
        ("former@example.com", false),
        ("nobody@example.com", false),
        ("person2@example.com", false),
    ] {
        assert_eq!(store.is_blocked_email(email).await.unwrap(), is, "{email}");
    }
    // A sign-in that was under way does not take the block off.
    note("new@example.com").await;
    assert!(store.is_blocked_email("ada@work.example").await.unwrap());
}

pub(super) async fn g6_a_blocked_members_email_is_known_whatever_its_case(store: &Arc<dyn Store>) {
    let ada = recorded(store, 1).await;
    recorded(store, 2).await;
    assert!(!store.is_blocked_email("person1@example.com").await.unwrap());
    let blocked = Member { status: MemberStatus::Blocked, ..ada };
    store.update_member(&blocked, Update::default()).await.unwrap();
    assert!(store.is_blocked_email("Person1@EXAMPLE.com").await.unwrap());
    assert!(!store.is_blocked_email("person2@example.com").await.unwrap());
}
