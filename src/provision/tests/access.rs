//! E4, E5, E6, G4 and G6: access taken away and given back.

use std::sync::Mutex;

use serde_json::json;

use super::fake::account;
use super::*;
use crate::config::settings::OnMissing;
use crate::model::{AccountState, JobState, Leaving, MemberStatus};

const DAY: Duration = Duration::from_hours(24);

fn leaver(leaver: Leaving) -> World {
    World::living(Lifecycle { leaver, ..Lifecycle::default() })
}

async fn signed_in(world: &World) -> Member {
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.member(&ada(json!({}))).await.unwrap()
}

#[tokio::test]
async fn e4_revoking_ends_the_sessions_at_once_and_the_account_by_a_job() {
    for (how, active) in [(Leaving::Deactivate, Some(false)), (Leaving::Delete, None)] {
        let world = leaver(how);
        let member = signed_in(&world).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let process =
            world.process().ending(Box::new(move |ended| hears.lock().unwrap().extend_from_slice(ended)));
        process.revoke(member.id).await.unwrap();
        assert!(!world.has_session(1).await);
        assert_eq!(*told.lock().unwrap(), [SessionHash([1; 32])], "this process hears of it");
        assert_eq!(world.app.accounts().len(), 1, "the application hears of it from a job");
        world.run_jobs().await;
        assert_eq!(world.app.accounts().first().map(|account| account.active), active);
        assert_eq!(world.jobs().await, []);
    }
}

#[tokio::test]
async fn e4_who_was_revoked_and_not_blocked_may_come_in_again() {
    for how in [Leaving::Deactivate, Leaving::Delete] {
        for job_ran in [true, false] {
            let world = leaver(how);
            let member = signed_in(&world).await;
            world.process().revoke(member.id).await.unwrap();
            if job_ran {
                world.run_jobs().await;
            }
            world.sign_in(&ada(json!({})), 2).await.unwrap();
            world.run_jobs().await;
            assert!(world.app.account("ada").active, "{how:?} {job_ran}");
            assert!(world.has_session(2).await, "the job was overtaken");
            let member = world.member(&ada(json!({}))).await.unwrap();
            assert_eq!((member.account_state, member.leaving), (AccountState::Present, None));
        }
    }
}

#[tokio::test]
async fn g4_only_what_narthex_deactivated_is_reactivated() {
    let world = leaver(Leaving::Deactivate);
    let member = signed_in(&world).await;
    world.process().revoke(member.id).await.unwrap();
    world.run_jobs().await;
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.calls("!reactivate").len(), 1);
    world.app.state.lock().unwrap().accounts[0].active = false;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::AccountDeactivated { .. }), "{error:?}");
    assert_eq!(world.app.calls("!reactivate").len(), 1);
}

#[tokio::test]
async fn g1_the_last_administrators_access_ends_here_and_the_account_waits_for_an_administrator() {
    let world = leaver(Leaving::Deactivate);
    world.sign_in(&ada(json!({ "groups": ["platform-admins"] })), 1).await.unwrap();
    let member = world.member(&ada(json!({}))).await.unwrap();
    world.process().revoke(member.id).await.unwrap();
    world.run_jobs().await;
    assert!(world.app.account("ada").active);
    assert_eq!(world.jobs().await[0].state, JobState::Parked);
    assert!(!world.has_session(1).await);
}

#[tokio::test]
async fn g6_a_blocked_person_comes_in_by_nothing() {
    let world = leaver(Leaving::Deactivate);
    let member = signed_in(&world).await;
    let landing = world.login(&ada(json!({}))).await.unwrap();
    world.process().block(member.id).await.unwrap();
    assert!(!world.has_session(1).await);
    let late = world.begin_session(&landing, 2).await;
    assert!(matches!(late, Err(StoreError::Gone { .. })), "a sign-in that was under way: {late:?}");
    let blocked =
        |result: Result<Provisioned, ProvisionError>| matches!(result, Err(ProvisionError::Blocked));
    assert!(blocked(world.login(&ada(json!({}))).await), "the identity");
    world.run_jobs().await;
    assert!(blocked(world.login(&ada(json!({}))).await), "after the account was deactivated");
    let mut other = ada(json!({ "preferred_username": "ada2", "email": "Ada@example.com" }));
    other.idp = "other".parse().unwrap();
    assert!(blocked(world.login(&other).await), "the e-mail, by another provider");
    world.app.state.lock().unwrap().accounts.clear();
    assert!(blocked(world.login(&ada(json!({}))).await), "a re-creation");
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn g6_the_email_that_the_identity_came_with_is_blocked_though_the_account_has_another() {
    let world = leaver(Leaving::Deactivate);
    // The account keeps the address that it was made with; the person has another one by now.
    signed_in(&world).await;
    world.sign_in(&ada(json!({ "email": "ada.king@example.com" })), 2).await.unwrap();
    let claimed = json!({ "email": "victim@example.com", "email_verified": false });
    world.sign_in(&ada(claimed), 3).await.unwrap();
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.email.as_deref(), Some("ada@example.com"));
    world.process().block(member.id).await.unwrap();
    let by_the_other = |email: &str| {
        let mut other = person("king", json!({ "email": email }));
        other.idp = "other".parse().unwrap();
        other
    };
    for email in ["ada@example.com", "Ada.King@example.com"] {
        let error = world.login(&by_the_other(email)).await.unwrap_err();
        assert!(matches!(error, ProvisionError::Blocked), "{email}: {error:?}");
    }
    world.login(&by_the_other("victim@example.com")).await.unwrap();
}

#[tokio::test]
async fn g6_a_block_counts_that_comes_while_an_account_is_made() {
    for blocks in [true, false] {
        let world = leaver(Leaving::Deactivate);
        signed_in(&world).await;
        world.sign_in(&ada(json!({ "email": "ada.king@example.com" })), 2).await.unwrap();
        let member = world.member(&ada(json!({}))).await.unwrap();
        let mut other = person("king", json!({ "email": "ada.king@example.com" }));
        other.idp = "other".parse().unwrap();
        let block = async {
            while world.app.calls("!create king").is_empty() {
                tokio::task::yield_now().await;
            }
            if blocks {
                world.process().block(member.id).await.unwrap();
            }
        };
        let (result, ()) = tokio::join!(world.login(&other), block);
        assert_eq!(matches!(result, Err(ProvisionError::Blocked)), blocks, "{result:?}");
        assert_eq!(world.member(&other).await.is_none(), blocks);
    }
}

#[tokio::test]
async fn g4_a_sign_in_that_dies_over_the_reactivation_leaves_the_account_as_it_was() {
    use crate::provision::faults::{FaultPoint, Faults};
    for point in [FaultPoint::ReactivationRecorded, FaultPoint::Reactivated] {
        let world = leaver(Leaving::Deactivate);
        let member = signed_in(&world).await;
        world.process().revoke(member.id).await.unwrap();
        world.run_jobs().await;
        let faults = Arc::new(Faults::dying_at(point, 0));
        let process = world.process().dying(faults.clone());
        tokio::select! {
            biased;
            _ = process.provision(Verified::for_tests(ada(json!({})))) => panic!("{point:?} was not reached"),
            () = faults.died() => {}
        }
        world.later(Duration::from_mins(1));
        world.run_jobs().await;
        assert!(!world.app.account("ada").active, "{point:?}");
        assert_eq!(world.member(&ada(json!({}))).await.unwrap().account_state, AccountState::Deactivated);
        world.sign_in(&ada(json!({})), 2).await.unwrap();
        assert!(world.app.account("ada").active);
    }
}

#[tokio::test]
async fn e6_fifty_people_who_stay_signed_in_do_not_hide_the_absent() {
    let world =
        World::living(Lifecycle { deactivate_after_inactive: Some(DAY * 90), ..Lifecycle::default() });
    for number in 0..50_u8 {
        let name = format!("stays{number}");
        let provisioned = world.login(&person(&name, json!({}))).await.unwrap();
        world.begin_session_until(&provisioned, number, DAY * 900).await;
    }
    world.login(&person("ada", json!({}))).await.unwrap();
    world.later(DAY * 91);
    assert_eq!(world.process().retire_absent().await.unwrap(), 1);
    world.run_jobs().await;
    assert!(!world.app.account("ada").active);
}

#[tokio::test]
async fn g6_a_blocked_persons_email_is_not_forwarded_without_an_account_either() {
    let mut world = leaver(Leaving::Deactivate);
    let member = signed_in(&world).await;
    world.process().block(member.id).await.unwrap();
    (world.settings.mode, world.settings.unprovisioned) = (Mode::Off, Unprovisioned::Forward);
    let mut other = ada(json!({ "email": "Ada@example.com" }));
    other.idp = "other".parse().unwrap();
    let error = world.login(&other).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Blocked), "{error:?}");
    let mut stranger = person("bob", json!({}));
    stranger.idp = "other".parse().unwrap();
    assert!(world.login(&stranger).await.unwrap().account().is_none());
}

#[tokio::test]
async fn g6_whoever_is_unblocked_comes_in_again() {
    let world = leaver(Leaving::Deactivate);
    let member = signed_in(&world).await;
    world.process().block(member.id).await.unwrap();
    world.run_jobs().await;
    world.process().unblock(member.id).await.unwrap();
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().status, MemberStatus::Active);
    world.sign_in(&ada(json!({})), 2).await.unwrap();
    assert!(world.app.account("ada").active);
}

#[tokio::test]
async fn e5_a_vanished_account_refuses_the_sign_in_where_that_is_asked_for() {
    let world = World::living(Lifecycle { on_missing: OnMissing::Deny, ..Lifecycle::default() });
    signed_in(&world).await;
    world.app.state.lock().unwrap().accounts.clear();
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::AccountVanished), "{error:?}");
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn e5_what_narthex_deleted_did_not_vanish() {
    let world = World::living(Lifecycle {
        on_missing: OnMissing::Deny,
        leaver: Leaving::Delete,
        ..Lifecycle::default()
    });
    let member = signed_in(&world).await;
    world.process().revoke(member.id).await.unwrap();
    world.run_jobs().await;
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn e6_people_who_stopped_coming_are_treated_as_leavers() {
    let world =
        World::living(Lifecycle { deactivate_after_inactive: Some(DAY * 90), ..Lifecycle::default() });
    world.login(&person("ada", json!({}))).await.unwrap();
    world.later(DAY * 60);
    world.login(&person("bob", json!({}))).await.unwrap();
    world.later(DAY * 31);
    assert_eq!(world.process().retire_absent().await.unwrap(), 1);
    world.run_jobs().await;
    assert!(!world.app.account("ada").active && world.app.account("bob").active);
    assert_eq!(world.process().retire_absent().await.unwrap(), 0, "once");
    world.login(&person("ada", json!({}))).await.unwrap();
    assert!(world.app.account("ada").active);
}

#[tokio::test]
async fn g3_people_who_stopped_coming_leave_no_faster_than_is_allowed() {
    let world = World::living(Lifecycle {
        deactivate_after_inactive: Some(DAY * 90),
        max_removals: 2,
        ..Lifecycle::default()
    });
    for name in ["ada", "bob", "eve"] {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    world.later(DAY * 91);
    assert_eq!(world.process().retire_absent().await.unwrap(), 2);
    assert_eq!(world.process().retire_absent().await.unwrap(), 0);
    world.later(Duration::from_hours(1));
    assert_eq!(world.process().retire_absent().await.unwrap(), 1);
}

#[tokio::test]
async fn g2_a_protected_account_is_not_touched_when_its_person_is_revoked() {
    let mut world = leaver(Leaving::Delete);
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let member = signed_in(&world).await;
    world.settings.protected_accounts = vec!["ada.l".to_owned()];
    world.process().revoke(member.id).await.unwrap();
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    assert_eq!(world.jobs().await[0].state, JobState::Parked);
}
