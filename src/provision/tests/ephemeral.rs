//! E1, E2 and E3: accounts that end with their sessions, and the jobs that see to it.

use serde_json::json;

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::model::{AccountState, JobState, Origin};
use crate::provision::ConnectorError;
use crate::provision::leases::LANDING;
use crate::store::StandingStore as _;

const DAY: Duration = Duration::from_hours(24);

fn lifecycle() -> Lifecycle {
    Lifecycle { ephemeral: Some(DAY), ..Lifecycle::default() }
}

fn ephemeral() -> World {
    World::living(lifecycle())
}

fn refused(status: u16) -> Mishap {
    let excerpt = "owns repositories".to_owned();
    Mishap::Error(ConnectorError::Refused { operation: "delete", status, excerpt })
}

#[tokio::test]
async fn e1_the_account_goes_with_the_last_session_and_not_before() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.sign_in(&ada, 2).await.unwrap();
    world.sign_out(1).await;
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1, "a session is left");
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    let member = world.member(&ada).await.unwrap();
    assert_eq!((member.account, member.account_state), (None, AccountState::Deleted));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn e1_a_session_that_expires_ends_the_account_like_one_that_is_ended() {
    let world = ephemeral();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.later(Duration::from_hours(13));
    world.store.sweep_sessions(world.now(), DAY).await.unwrap();
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e1_a_session_that_expires_unswept_ends_the_account_too() {
    let world = ephemeral();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.later(LANDING);
    world.run_jobs().await;
    world.later(Duration::from_hours(13));
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e1_the_longest_life_ends_account_and_sessions() {
    let world = World::living(Lifecycle { ephemeral: Some(Duration::from_hours(2)), ..lifecycle() });
    let provisioned = world.sign_in(&ada(json!({})), 1).await.unwrap();
    let end = world.now().after(Duration::from_hours(2));
    assert_eq!(provisioned.ends_at(), Some(end), "no session outlives the account");
    world.later(Duration::from_hours(1));
    let later = world.sign_in(&ada(json!({})), 2).await.unwrap();
    assert_eq!(later.ends_at(), Some(end), "it counts from the creation");
    world.later(Duration::from_hours(1));
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e1_an_overdue_account_is_made_anew_at_a_sign_in_that_comes_before_its_job() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.later(DAY);
    world.sign_in(&ada, 2).await.unwrap();
    assert_eq!(world.app.calls("!delete").len(), 1);
    let member = world.member(&ada).await.unwrap();
    assert_eq!((member.generation, member.ephemeral_until), (2, Some(world.now().after(DAY))));
    assert!(!world.has_session(1).await && world.has_session(2).await);
}

#[tokio::test]
async fn e1_an_account_that_was_there_before_is_never_deleted() {
    let world = ephemeral();
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    let member = world.member(&ada).await.unwrap();
    assert_eq!((member.origin, member.ephemeral_until), (Origin::Adopted, None));
    world.sign_out(1).await;
    world.later(DAY * 2);
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn e1_turning_it_on_touches_nobody_who_was_there_before() {
    let mut world = World::new();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.settings.lifecycle = lifecycle();
    world.sign_out(1).await;
    world.sign_in(&ada, 2).await.unwrap();
    world.sign_out(2).await;
    world.later(DAY * 2);
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn e1_turning_it_off_leaves_what_it_began_to_end() {
    let mut world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.settings.lifecycle = Lifecycle::default();
    world.sign_out(1).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    world.sign_in(&ada, 2).await.unwrap();
    assert_eq!(world.member(&ada).await.unwrap().ephemeral_until, None);
}

#[tokio::test]
async fn e1_a_member_that_does_not_end_with_its_sessions_has_no_job_and_no_further_write() {
    let world = World::new();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    assert_eq!(world.jobs().await, []);
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().revision, 0);
}

#[tokio::test]
async fn e1_a_sign_in_that_is_let_through_keeps_the_account_until_its_session_began() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    let second = world.login(&ada).await.unwrap();
    world.sign_out(1).await;
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1, "it is waited for");
    world.begin_session(&second, 2).await.unwrap();
    world.later(LANDING);
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn e1_a_sign_in_whose_session_never_begins_leaves_no_account() {
    let world = ephemeral();
    let late = world.login(&ada(json!({}))).await.unwrap();
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1, "it is waited for");
    world.later(LANDING);
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    let refused = world.begin_session(&late, 1).await;
    assert!(matches!(refused, Err(StoreError::Gone { .. })), "nor a session without one: {refused:?}");
}

#[tokio::test]
async fn e3_the_next_sign_in_makes_the_account_anew() {
    let world = ephemeral();
    let ada = ada(json!({}));
    let first = world.sign_in(&ada, 1).await.unwrap();
    world.sign_out(1).await;
    world.run_jobs().await;
    let second = world.sign_in(&ada, 2).await.unwrap();
    assert_ne!(first.account().unwrap().id, second.account().unwrap().id);
    assert_eq!(first.account().unwrap().member, second.account().unwrap().member);
    let member = world.member(&ada).await.unwrap();
    assert_eq!((member.generation, member.account_state), (2, AccountState::Present));
    assert_eq!(world.app.account("ada").entitlements.teams.len(), 1);
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty(), "and it ends like the first");
}

#[tokio::test]
async fn e2_an_account_that_is_gone_already_is_a_deletion_that_succeeded() {
    for by_answer in [true, false] {
        let world = ephemeral();
        world.sign_in(&ada(json!({})), 1).await.unwrap();
        if by_answer {
            world.app.next("delete", Mishap::Error(ConnectorError::NotFound { operation: "delete" }));
        } else {
            world.app.state.lock().unwrap().accounts.clear();
        }
        world.sign_out(1).await;
        world.run_jobs().await;
        assert_eq!(world.jobs().await, []);
        assert_eq!(world.member(&ada(json!({}))).await.unwrap().account_state, AccountState::Deleted);
    }
}

#[tokio::test]
async fn e2_a_failed_deletion_is_tried_again_with_growing_delays_until_it_succeeds() {
    let world = ephemeral();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    let mut delays = Vec::new();
    for _ in 0..6 {
        for _ in 0..3 {
            world.app.next("delete", refused(503));
        }
        world.run_jobs().await;
        let jobs = world.jobs().await;
        assert_eq!(jobs[0].state, JobState::Waiting);
        assert!(jobs[0].reason.as_ref().unwrap().contains("503"));
        let delay = jobs[0].due_at.since(world.now());
        delays.push(delay);
        world.later(delay);
    }
    assert!(delays.windows(2).all(|two| two[0] < two[1]), "{delays:?}");
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn e2_an_answer_that_was_lost_is_no_second_deletion_of_somebody_else() {
    let world = ephemeral();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    for mishap in [Mishap::AnswerLost, unreachable(false), unreachable(false)] {
        world.app.next("delete", mishap);
    }
    world.run_jobs().await;
    // Meanwhile the application gives the id to the next one.
    world.app.has(account("id-1", "bob", "bob@example.com"));
    world.later(Duration::from_mins(1));
    world.run_jobs().await;
    assert_eq!(world.app.account("bob").profile.username, "bob");
    assert_eq!(world.jobs().await[0].state, JobState::Parked);
}

#[tokio::test]
async fn e2_a_permanent_refusal_parks_the_job_and_an_administrator_hastens_it() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.sign_out(1).await;
    world.app.next("delete", refused(422));
    world.run_jobs().await;
    let jobs = world.jobs().await;
    assert_eq!(jobs[0].state, JobState::Parked);
    assert!(jobs[0].reason.as_ref().unwrap().contains("owns repositories"), "{jobs:?}");
    world.later(DAY * 9);
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    assert!(world.store.hasten_job(&jobs[0].task.key()).await.unwrap());
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e2_who_signs_in_while_the_deletion_is_parked_has_the_account_again() {
    let world = ephemeral();
    let ada = ada(json!({}));
    let first = world.sign_in(&ada, 1).await.unwrap();
    world.sign_out(1).await;
    world.app.next("delete", refused(422));
    world.run_jobs().await;
    assert_eq!(world.member(&ada).await.unwrap().account_state, AccountState::Leaving);
    let second = world.sign_in(&ada, 2).await.unwrap();
    assert_eq!(first.account().unwrap().id, second.account().unwrap().id);
    assert_eq!(world.member(&ada).await.unwrap().account_state, AccountState::Present);
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty(), "the end of that session tries again");
}

#[tokio::test]
async fn e2_a_job_that_a_newer_session_overtook_does_nothing() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.sign_out(1).await;
    assert_eq!(world.jobs().await[0].due_at, UnixTime(0), "it is due");
    world.sign_in(&ada, 2).await.unwrap();
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    assert_eq!(world.jobs().await.len(), 1, "it waits for that session's end");
}

#[tokio::test]
async fn e2_a_job_of_an_earlier_generation_does_nothing_to_the_next() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    let old = world.jobs().await.remove(0).task;
    world.sign_out(1).await;
    world.run_jobs().await;
    let again = world.login(&ada).await.unwrap();
    world.begin_session(&again, 2).await.unwrap();
    world.store.put_job(&old, UnixTime(0)).await.unwrap();
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty(), "and loses nothing of the next one's end");
}

#[tokio::test]
async fn e2_a_job_leaves_a_member_whom_somebody_works_on_alone() {
    let world = ephemeral();
    let ada = ada(json!({}));
    world.sign_in(&ada, 1).await.unwrap();
    world.sign_out(1).await;
    let id = world.member(&ada).await.unwrap().id;
    let until = world.now().after(Duration::from_secs(20));
    world.store.hold_member(id, 7, world.now(), until).await.unwrap();
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    world.store.release_member(id, 7).await.unwrap();
    world.later(Duration::from_secs(1));
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e1_the_person_of_an_unfinished_creation_who_does_not_come_back_leaves_no_account() {
    let world = ephemeral();
    let refused = ConnectorError::Refused { operation: "entitle", status: 422, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    world.login(&ada(json!({}))).await.unwrap_err();
    assert_eq!(world.app.accounts().len(), 1);
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1, "they may come back");
    world.later(Duration::from_mins(5));
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn e1_an_unfinished_creation_that_is_finished_later_is_not_cleaned_up() {
    let world = ephemeral();
    let refused = ConnectorError::Refused { operation: "entitle", status: 422, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    world.login(&ada(json!({}))).await.unwrap_err();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.later(Duration::from_mins(5));
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn e1_what_somebody_made_long_after_an_unfinished_sign_in_waits_for_an_administrator() {
    for (minutes, parked) in [(14, false), (16, true)] {
        let world = ephemeral();
        for _ in 0..3 {
            world.app.next("create", unreachable(true));
        }
        world.login(&ada(json!({}))).await.unwrap_err();
        world.later(Duration::from_mins(minutes));
        world.app.has(account("9", "ada", "ada@example.com"));
        world.run_jobs().await;
        assert_eq!(world.app.accounts().len(), usize::from(parked), "after {minutes} minutes");
        let jobs = world.jobs().await;
        assert_eq!(jobs.iter().any(|job| job.state == JobState::Parked), parked, "{jobs:?}");
        if parked {
            assert!(jobs[0].reason.as_ref().unwrap().contains("too long ago"), "{jobs:?}");
            world.sign_in(&ada(json!({})), 1).await.unwrap();
            assert_eq!(world.member(&ada(json!({}))).await.unwrap().origin, Origin::Adopted);
            assert_eq!(world.jobs().await, [], "the sign-in has answered it");
        }
    }
}

#[tokio::test]
async fn e1_an_account_without_email_is_never_deleted_for_its_name() {
    let world = ephemeral();
    for _ in 0..3 {
        world.app.next("create", unreachable(true));
    }
    world.login(&ada(json!({}))).await.unwrap_err();
    let mut nameless = account("9", "ada", "x@example.com");
    nameless.profile.email = None;
    world.app.has(nameless);
    world.later(Duration::from_mins(5));
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    let jobs = world.jobs().await;
    assert_eq!(jobs[0].state, JobState::Parked);
    assert!(jobs[0].reason.as_ref().unwrap().contains("no e-mail"), "{jobs:?}");
}

#[tokio::test]
async fn e1_what_is_cleaned_up_is_only_what_the_intent_describes() {
    for (username, email, privileged) in [
        ("ada", "other@example.com", false),
        ("ada", "ada@example.com", true),
        ("ada2", "ada@example.com", false),
    ] {
        let world = ephemeral();
        for _ in 0..3 {
            world.app.next("create", unreachable(true));
        }
        world.login(&ada(json!({}))).await.unwrap_err();
        // It never was made; somebody else's account came since.
        world.app.has(crate::model::Account { privileged, ..account("9", username, email) });
        world.later(Duration::from_mins(5));
        world.run_jobs().await;
        assert_eq!(world.app.accounts().len(), 1, "{username} {email}");
        assert!(world.app.calls("!delete").is_empty());
    }
}
