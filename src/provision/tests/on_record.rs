//! A2, `on_error = "admit"`: sessions that start on record, and the job that catches up.

use serde_json::json;

use super::fake::{Mishap, account};
use super::*;
use crate::config::settings::SyncRemoves;
use crate::model::{AccountState, ErrorId, Facet, Leaving, Task};
use crate::provision::ConnectorError;
use crate::provision::explain::{Ending, Explanation};
use crate::provision::provisioner::How;
use crate::store::RehearsalStore;

/// An application that does not answer this time.
pub(super) fn away() -> Mishap {
    Mishap::Error(ConnectorError::LeftAlone { operation: "find", left: Duration::from_secs(9) })
}

fn admitting() -> Provisioning {
    Provisioning { on_error: OnError::Admit, ..settings() }
}

fn syncing() -> Provisioning {
    Provisioning { lifecycle: Lifecycle { sync: Facet::ALL.into(), ..Lifecycle::default() }, ..admitting() }
}

/// A process that Ada has signed in at, some time ago.
async fn known(world: &World, identity: &Identity) -> Provisioner {
    let process = world.process();
    process.provision(Verified::for_tests(identity.clone())).await.unwrap();
    world.later(Duration::from_mins(5));
    world.app.forget_calls();
    process
}

/// A sign-in while the application is away.
async fn signs_in(
    world: &World,
    process: &Provisioner,
    identity: &Identity,
) -> Result<Provisioned, ProvisionError> {
    world.app.next("find", away());
    process.provision(Verified::for_tests(identity.clone())).await
}

fn is_away(result: &Result<Provisioned, ProvisionError>) -> bool {
    matches!(result, Err(ProvisionError::Connector(ConnectorError::LeftAlone { .. })))
}

#[tokio::test]
async fn a2_a_members_session_starts_on_record_while_the_application_is_away() {
    let world = World::with(admitting());
    let process = known(&world, &ada(json!({}))).await;
    let before = world.member(&ada(json!({}))).await.unwrap();
    let provisioned = signs_in(&world, &process, &ada(json!({}))).await.unwrap();
    let account = provisioned.account().unwrap();
    assert_eq!((account.member, &account.id), (before.id, &world.app.account("ada").id));
    assert_eq!(
        (account.profile.username.as_str(), account.profile.email.as_deref()),
        ("ada", Some("ada@example.com"))
    );
    let carried = &provisioned.grant().entitlements;
    assert_eq!(carried, &world.app.account("ada").entitlements);
    world.begin_session(&provisioned, 1).await.unwrap();
    let [job] = <[Job; 1]>::try_from(world.jobs().await).unwrap();
    assert!(matches!(job.task, Task::CatchUp { .. }) && job.due_at > world.now(), "{job:?}");
    let came = world.now();
    world.later(Duration::from_secs(5));
    world.run_jobs().await;
    assert_eq!(world.jobs().await, []);
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().last_login_at, came);
    assert!(world.app.writes().is_empty() && world.has_session(1).await);
}

#[tokio::test]
async fn a2_deny_is_the_default_and_lets_nobody_in() {
    let world = World::new();
    let process = known(&world, &ada(json!({}))).await;
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn a2_who_has_no_account_is_not_admitted() {
    let world = World::with(admitting());
    let process = known(&world, &ada(json!({}))).await;
    assert!(is_away(&signs_in(&world, &process, &person("bob", json!({}))).await), "no member");
    let member = world.member(&ada(json!({}))).await.unwrap();
    process.revoke(member.id).await.unwrap();
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await), "about to be deactivated");
    world.run_jobs().await;
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await), "deactivated");
    process.block(member.id).await.unwrap();
    let blocked = process.provision(Verified::for_tests(ada(json!({})))).await;
    assert!(matches!(blocked, Err(ProvisionError::Blocked)), "{blocked:?}");

    let world = World::with(Provisioning {
        lifecycle: Lifecycle { leaver: Leaving::Delete, ..Lifecycle::default() },
        ..admitting()
    });
    let process = known(&world, &ada(json!({}))).await;
    process.revoke(world.member(&ada(json!({}))).await.unwrap().id).await.unwrap();
    world.run_jobs().await;
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.account_state, AccountState::Deleted);
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await), "deleted");
    assert!(world.jobs().await.is_empty());
}

#[tokio::test]
async fn a2_the_job_does_what_the_sign_in_would_have_done() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    let more = ada(json!({ "name": "Ada King", "teams": ["public"] }));
    let provisioned = signs_in(&world, &process, &more).await.unwrap();
    assert!(provisioned.grant().entitlements.teams.contains_key("public"), "in the session at once");
    assert!(world.app.writes().is_empty());
    world.later(Duration::from_secs(5));
    world.run_jobs().await;
    let held = world.app.account("ada");
    assert_eq!(held.profile.display_name.as_deref(), Some("Ada King"));
    assert!(held.entitlements.teams.contains_key("public"));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn a2_where_only_the_write_fails_the_session_starts_and_the_job_writes() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    world.app.next("entitle", away());
    let more = ada(json!({ "teams": ["public"] }));
    process.provision(Verified::for_tests(more)).await.unwrap();
    assert!(!world.app.account("ada").entitlements.teams.contains_key("public"));
    world.later(Duration::from_secs(5));
    world.run_jobs().await;
    assert!(world.app.account("ada").entitlements.teams.contains_key("public"));
}

#[tokio::test]
async fn a2_nobody_is_admitted_whose_sign_in_could_take_something_away() {
    for (what, claims) in [
        ("a group that is gone", json!({ "groups": ["everyone"] })),
        ("another role", json!({ "role": "reader" })),
        ("a team's role that may be another", json!({ "teams": ["public::maintainer"] })),
    ] {
        let world = World::with(syncing());
        let process = known(&world, &ada(json!({}))).await;
        let refused = signs_in(&world, &process, &ada(claims)).await;
        assert!(is_away(&refused), "{what}: {refused:?}");
        assert_eq!(world.jobs().await, [], "{what}");
        signs_in(&world, &process, &ada(json!({}))).await.unwrap();
    }
    // What was given by hand is on no record.
    let mut world = World::with(syncing());
    world.settings.lifecycle.sync_removes = SyncRemoves::All;
    let process = known(&world, &ada(json!({}))).await;
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await));
    // Nor is the role of an account that was there before.
    let world = World::with(syncing());
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let process = world.process();
    process.provision(Verified::for_tests(ada(json!({ "groups": [] })))).await.unwrap();
    world.later(Duration::from_mins(5));
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await));
}

#[tokio::test]
async fn a2_nobody_is_admitted_who_would_have_to_borrow() {
    let world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..admitting() });
    let process = known(&world, &ada(json!({}))).await;
    assert!(is_away(&signs_in(&world, &process, &ada(json!({}))).await));
}

#[tokio::test]
async fn f4_a_process_that_has_not_seen_the_applications_names_admits_nobody() {
    let world = World::with(admitting());
    known(&world, &ada(json!({}))).await;
    let newcomer = world.process();
    assert!(is_away(&signs_in(&world, &newcomer, &ada(json!({}))).await));
}

#[tokio::test]
async fn a2_what_the_application_refuses_for_good_is_refused() {
    let world = World::with(admitting());
    let process = known(&world, &ada(json!({}))).await;
    let refused = ConnectorError::Credential { operation: "find", status: 401, excerpt: String::new() };
    world.app.next("find", Mishap::Error(refused));
    let result = process.provision(Verified::for_tests(ada(json!({})))).await;
    assert!(
        matches!(result, Err(ProvisionError::Connector(ConnectorError::Credential { .. }))),
        "{result:?}"
    );
    world.app.state.lock().unwrap().accounts[0].active = false;
    let result = process.provision(Verified::for_tests(ada(json!({})))).await;
    assert!(matches!(result, Err(ProvisionError::AccountDeactivated { .. })), "{result:?}");
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn e2_a_job_that_a_later_sign_in_overtook_does_nothing() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    signs_in(&world, &process, &ada(json!({ "name": "Ada King" }))).await.unwrap();
    world.later(Duration::from_secs(1));
    process.provision(Verified::for_tests(ada(json!({ "name": "Ada Byron" })))).await.unwrap();
    world.app.forget_calls();
    world.later(Duration::from_secs(9));
    world.run_jobs().await;
    assert!(world.app.calls("").is_empty(), "{:?}", world.app.calls(""));
    assert_eq!(world.app.account("ada").profile.display_name.as_deref(), Some("Ada Byron"));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn e2_of_two_sign_ins_on_record_the_later_one_is_caught_up_with() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    for name in ["Ada King", "Ada Lovelace"] {
        world.later(Duration::from_secs(1));
        signs_in(&world, &process, &ada(json!({ "name": name }))).await.unwrap();
    }
    assert_eq!(world.jobs().await.len(), 1);
    world.later(Duration::from_secs(9));
    world.run_jobs().await;
    assert_eq!(world.app.account("ada").profile.display_name.as_deref(), Some("Ada Lovelace"));
}

#[tokio::test]
async fn e2_a_job_for_whom_access_was_taken_away_does_nothing() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    signs_in(&world, &process, &ada(json!({ "name": "Ada King" }))).await.unwrap();
    process.revoke(world.member(&ada(json!({}))).await.unwrap().id).await.unwrap();
    world.later(Duration::from_secs(9));
    world.run_jobs().await;
    let held = world.app.account("ada");
    assert!(!held.active && held.profile.display_name.as_deref() != Some("Ada King"));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn a2_the_job_waits_until_the_application_is_back() {
    let world = World::with(syncing());
    let process = known(&world, &ada(json!({}))).await;
    signs_in(&world, &process, &ada(json!({ "name": "Ada King" }))).await.unwrap();
    for _ in 0..3 {
        world.later(Duration::from_mins(2));
        world.app.next("find", away());
        assert!(world.process().run_due_job().await.unwrap());
        assert_eq!(world.jobs().await.len(), 1);
    }
    world.later(Duration::from_mins(2));
    world.run_jobs().await;
    assert_eq!(world.app.account("ada").profile.display_name.as_deref(), Some("Ada King"));
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn g4_sessions_on_record_end_where_the_account_turns_out_to_be_deactivated_or_gone() {
    for gone in [false, true] {
        let world = World::with(admitting());
        let process = known(&world, &ada(json!({}))).await;
        let provisioned = signs_in(&world, &process, &ada(json!({}))).await.unwrap();
        world.begin_session(&provisioned, 1).await.unwrap();
        if gone {
            world.app.state.lock().unwrap().accounts.clear();
        } else {
            world.app.state.lock().unwrap().accounts[0].active = false;
        }
        world.later(Duration::from_secs(9));
        world.run_jobs().await;
        assert!(!world.has_session(1).await);
        assert_eq!(world.jobs().await, []);
        assert!(world.app.writes().is_empty(), "nobody is activated or made by a job");
    }
}

#[tokio::test]
async fn l2_a_session_on_record_ends_where_it_carries_what_was_taken_away_in_the_application() {
    for (world, syncs) in [(World::with(admitting()), false), (World::with(syncing()), true)] {
        for (what, role, team, stays) in [
            ("nothing was", "user", true, true),
            ("the provider gives the team to the session", "user", false, true),
            ("the role was", "reader", true, false),
        ] {
            let identity = person(&format!("p{}", world.app.accounts().len()), json!({}));
            let process = known(&world, &identity).await;
            let session = u8::try_from(world.app.accounts().len()).unwrap();
            {
                let mut state = world.app.state.lock().unwrap();
                let held = &mut state.accounts.last_mut().unwrap().entitlements;
                held.role = Some(role.to_owned());
                held.app_groups.insert("by hand".to_owned());
                if !team {
                    held.teams.clear();
                }
            }
            let provisioned = signs_in(&world, &process, &identity).await.unwrap();
            assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("user"), "{what}");
            world.begin_session(&provisioned, session).await.unwrap();
            world.later(Duration::from_secs(9));
            world.run_jobs().await;
            let made_good = world.app.accounts().last().unwrap().entitlements.role.as_deref() == Some("user");
            assert_eq!(world.has_session(session).await, stays || syncs, "{what} {syncs}");
            assert_eq!(made_good, stays || syncs, "{what} {syncs}: L3 gives the role back");
            assert_eq!(world.jobs().await, [], "{what}");
        }
    }
}

#[tokio::test]
async fn e1_an_ephemeral_account_lives_as_long_as_a_session_on_record() {
    let mut world = World::with(admitting());
    world.settings.lifecycle.ephemeral = Some(Duration::from_hours(24));
    let process = world.process();
    let first = process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    world.begin_session(&first, 1).await.unwrap();
    world.later(Duration::from_mins(5));
    let second = signs_in(&world, &process, &ada(json!({}))).await.unwrap();
    // Between the two.
    world.sign_out(1).await;
    world.run_jobs().await;
    world.begin_session(&second, 2).await.unwrap();
    world.later(Duration::from_mins(1));
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn x1_explain_says_that_a_sign_in_is_on_record_and_that_is_what_it_is() {
    let world = World::with(admitting());
    let process = world.telling_process();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    world.later(Duration::from_mins(5));
    world.app.next("find", away());
    let rehearsed = process.rehearse(&ada(json!({}))).await;
    assert_eq!(world.jobs().await, []);
    world.app.next("find", away());
    let id = ErrorId::from_random([7; 8]);
    process.provision_as(Verified::for_tests(ada(json!({}))), &id).await.unwrap();
    let record = world.store.find_told(id.as_str()).await.unwrap().unwrap();
    let told: Explanation = serde_json::from_str(&record).unwrap();
    let Ending::Admitted(admitted) = &told.ending else { panic!("{:?}", told.ending) };
    assert_eq!(admitted.how, How::OnRecord);
    assert_eq!(explain::as_done(rehearsed), told);
}
