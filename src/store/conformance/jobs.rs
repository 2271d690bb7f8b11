//! What every store does with jobs (E2).

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::job::AT_ONCE;
use crate::model::{Claims, Identity, Job, JobState, Member, Subject, Task, UnixTime};
use crate::store::{ClaimedJob, JobOutcome, Store};

const LEASE: Duration = Duration::from_secs(30);

fn settle(number: u8) -> Task {
    Task::Settle { member: Member::for_tests(number, NOW).id, generation: 1 }
}

fn abandoned() -> Task {
    Task::AbandonedCreation {
        idp: "corp".parse().unwrap(),
        subject: Subject::parse("a b").unwrap(),
        username: "ada".to_owned(),
        email: None,
    }
}

async fn claim(store: &Arc<dyn Store>, holder: u64, now: UnixTime) -> Option<ClaimedJob> {
    store.claim_job(holder, now, now.after(LEASE)).await.unwrap()
}

async fn only(store: &Arc<dyn Store>) -> Job {
    let jobs = store.list_jobs(9).await.unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.into_iter().next().unwrap()
}

fn put_off(until: UnixTime, reason: Option<&str>) -> JobOutcome {
    JobOutcome::PutOff { until, reason: reason.map(str::to_owned) }
}

pub(super) async fn e2_a_job_is_claimed_when_it_is_due_and_by_one(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    assert_eq!(claim(store, 1, NOW.before(Duration::from_secs(1))).await, None);
    let claimed = claim(store, 1, NOW).await.unwrap();
    assert_eq!(
        claimed.job,
        Job { task: settle(1), due_at: NOW, tries: 0, state: JobState::Waiting, reason: None }
    );
    assert_eq!(claim(store, 2, NOW).await, None);
    let again = claim(store, 2, NOW.after(LEASE)).await;
    assert_eq!(again.map(|again| again.job.task), Some(settle(1)), "whoever had it died");
}

pub(super) async fn e2_of_a_hundred_claims_at_once_each_job_is_had_once(store: &Arc<dyn Store>) {
    for number in 1..=10 {
        store.put_job(&settle(number), NOW).await.unwrap();
    }
    let claimed = a_hundred_times(store, |store, holder| async move {
        store.claim_job(holder, NOW, NOW.after(LEASE)).await
    })
    .await;
    let mut keys: Vec<String> = claimed.into_iter().flatten().map(|one| one.job.task.key()).collect();
    let had = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!((had, keys.len()), (10, 10));
}

pub(super) async fn e2_the_job_that_is_due_for_longest_is_claimed_first(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    store.put_job(&abandoned(), NOW.before(LEASE)).await.unwrap();
    assert_eq!(claim(store, 1, NOW).await.unwrap().job.task, abandoned());
    assert_eq!(claim(store, 1, NOW).await.unwrap().job.task, settle(1));
    assert_eq!(claim(store, 1, NOW).await, None);
}

pub(super) async fn e2_a_done_job_goes_and_one_that_is_put_off_waits_with_its_tries(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    let claimed = claim(store, 1, NOW).await.unwrap();
    let later = NOW.after(LEASE);
    store.conclude_job(&claimed, &put_off(later, Some("no answer"))).await.unwrap();
    let job = only(store).await;
    assert_eq!((job.due_at, job.tries, job.reason.as_deref()), (later, 1, Some("no answer")));
    assert_eq!(claim(store, 1, NOW).await, None);
    let claimed = claim(store, 1, later).await.unwrap();
    assert_eq!(claimed.job, job);
    // Nothing to do yet is no failure.
    store.conclude_job(&claimed, &put_off(later, None)).await.unwrap();
    let job = only(store).await;
    assert_eq!((job.tries, job.reason), (0, None));
    let claimed = claim(store, 1, later).await.unwrap();
    store.conclude_job(&claimed, &JobOutcome::Done).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap(), []);
}

pub(super) async fn e2_a_parked_job_waits_for_somebody_to_hasten_it(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    let claimed = claim(store, 1, NOW).await.unwrap();
    let parked = JobOutcome::Parked { reason: "owns data".to_owned() };
    store.conclude_job(&claimed, &parked).await.unwrap();
    let job = only(store).await;
    assert_eq!((job.state, job.reason.as_deref(), job.tries), (JobState::Parked, Some("owns data"), 1));
    assert_eq!(claim(store, 1, NOW.after(LEASE * 99)).await, None);
    store.put_job(&settle(2), NOW.after(LEASE)).await.unwrap();
    let order: Vec<Task> = store.list_jobs(9).await.unwrap().into_iter().map(|job| job.task).collect();
    assert_eq!(order, [settle(2), settle(1)], "parked ones come last");
    assert!(store.hasten_job(&settle(1).key()).await.unwrap());
    assert!(!store.hasten_job(&settle(3).key()).await.unwrap());
    let claimed = claim(store, 1, NOW).await.unwrap();
    assert_eq!((claimed.job.task, claimed.job.due_at, claimed.job.tries), (settle(1), AT_ONCE, 0));
}

pub(super) async fn e2_a_job_that_was_put_or_hastened_meanwhile_stays_due_whatever_the_outcome(
    store: &Arc<dyn Store>,
) {
    let far = NOW.after(LEASE * 99);
    let outcomes = [
        JobOutcome::Done,
        put_off(far, None),
        put_off(far, Some("x")),
        JobOutcome::Parked { reason: "x".to_owned() },
    ];
    for outcome in outcomes {
        for hastened in [true, false] {
            store.put_job(&settle(1), NOW).await.unwrap();
            let claimed = claim(store, 1, NOW).await.unwrap();
            if hastened {
                assert!(store.hasten_job(&settle(1).key()).await.unwrap());
            } else {
                store.put_job(&settle(1), NOW).await.unwrap();
            }
            assert_eq!(claim(store, 2, NOW).await, None, "it is still being worked on");
            store.conclude_job(&claimed, &outcome).await.unwrap();
            let again = claim(store, 2, NOW).await.unwrap();
            assert_eq!(again.job.task, settle(1), "{outcome:?}");
            store.conclude_job(&again, &JobOutcome::Done).await.unwrap();
            assert_eq!(store.list_jobs(9).await.unwrap(), []);
        }
    }
}

pub(super) async fn e2_who_lost_a_job_concludes_nothing(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    let first = claim(store, 1, NOW).await.unwrap();
    let second = claim(store, 2, NOW.after(LEASE)).await.unwrap();
    store.conclude_job(&first, &JobOutcome::Done).await.unwrap();
    assert_eq!(only(store).await, second.job);
    assert_eq!(claim(store, 3, NOW.after(LEASE)).await, None, "the second one still has it");
    store.conclude_job(&second, &JobOutcome::Done).await.unwrap();
    assert_eq!(store.list_jobs(9).await.unwrap(), []);
}

pub(super) async fn e2_there_is_one_job_for_a_key_and_the_last_put_counts(store: &Arc<dyn Store>) {
    store.put_job(&settle(1), NOW).await.unwrap();
    let newer = Task::Settle { member: Member::for_tests(1, NOW).id, generation: 2 };
    store.put_job(&newer, NOW.after(LEASE)).await.unwrap();
    let job = only(store).await;
    assert_eq!((job.task, job.due_at), (newer, NOW.after(LEASE)));
    assert_eq!(store.list_jobs(0).await.unwrap(), []);
}

pub(super) async fn a2_a_job_that_catches_up_keeps_what_the_identity_provider_said(store: &Arc<dyn Store>) {
    let claims =
        serde_json::json!({ "groups": ["a", "b"], "realm": { "roles": [1, null, "x"] }, "name": "Ädä \"'" });
    let serde_json::Value::Object(claims) = claims else { panic!() };
    let catch_up = |name: &str, at: UnixTime| Task::CatchUp {
        member: Member::for_tests(1, NOW).id,
        generation: 3,
        at,
        identity: Box::new(Identity {
            idp: "corp".parse().unwrap(),
            subject: Subject::parse(name).unwrap(),
            claims: Claims::new(claims.clone()).unwrap(),
            logout_name: "ada".to_owned(),
            idp_session: Some("s".to_owned()),
            authenticated_at: Some(NOW),
            ends_at: None,
        }),
    };
    store.put_job(&settle(1), NOW).await.unwrap();
    store.put_job(&catch_up("ada", NOW), NOW.before(LEASE)).await.unwrap();
    let claimed = claim(store, 1, NOW).await.unwrap();
    assert_eq!(claimed.job.task, catch_up("ada", NOW));
    // One for each member, beside the one that settles it; the later sign-in's is what counts.
    store.put_job(&catch_up("ada elsewhere", NOW.after(LEASE)), NOW).await.unwrap();
    store.conclude_job(&claimed, &JobOutcome::Done).await.unwrap();
    let jobs: Vec<Task> = store.list_jobs(9).await.unwrap().into_iter().map(|job| job.task).collect();
    assert!(jobs.contains(&catch_up("ada elsewhere", NOW.after(LEASE))) && jobs.len() == 2, "{jobs:?}");
}
