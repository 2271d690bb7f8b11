//! L2, `session_roles = "borrow"`: roles that the application holds for as long as sessions last.

use serde_json::json;

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::model::{Account, Entitlements, GrantSource};
use crate::provision::ConnectorError;
use crate::provision::leases::LANDING;

fn borrowing() -> World {
    World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() })
}

/// Ada, whom the provider gives the role of an auditor for once.
fn auditor() -> Identity {
    ada(json!({ "groups": ["auditors", "engineers"] }))
}

fn held(world: &World) -> Entitlements {
    world.app.account("ada").entitlements
}

fn role(world: &World) -> String {
    held(world).role.unwrap()
}

/// With an account that holds the role `user`, signed out.
async fn at_home() -> World {
    let world = borrowing();
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    assert_eq!(role(&world), "user");
    world
}

#[tokio::test]
async fn l2_a_borrowed_role_is_the_applications_own_until_the_last_session_ends() {
    let world = at_home().await;
    let provisioned = world.sign_in(&auditor(), 2).await.unwrap();
    assert_eq!(provisioned.grant().source, GrantSource::Borrowed);
    assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("reader"));
    assert_eq!(role(&world), "reader");
    world.sign_in(&auditor(), 3).await.unwrap();
    world.sign_out(2).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "reader", "a session is left");
    world.sign_out(3).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn l2_teams_are_borrowed_and_given_back_one_by_one() {
    let world = at_home().await;
    let before = held(&world);
    world.sign_in(&ada(json!({ "groups": [], "teams": ["public", "acme/readers"] })), 2).await.unwrap();
    assert_eq!(held(&world).teams.into_keys().collect::<Vec<_>>(), ["acme/readers", "public"]);
    world.sign_out(2).await;
    world.run_jobs().await;
    assert_eq!(held(&world), before);
}

#[tokio::test]
async fn l2_a_session_with_another_grant_ends_the_older_ones_before_anything_changes() {
    let world = at_home().await;
    world.sign_in(&ada(json!({})), 2).await.unwrap();
    world.app.next("entitle", unreachable(false));
    world.app.next("entitle", unreachable(false));
    world.app.next("entitle", unreachable(false));
    world.login(&auditor()).await.unwrap_err();
    assert_eq!(role(&world), "user");
    assert!(!world.has_session(2).await, "nobody would be elevated by a change that came through late");
    world.sign_in(&auditor(), 3).await.unwrap();
    world.sign_in(&ada(json!({})), 4).await.unwrap();
    assert!(!world.has_session(3).await && world.has_session(4).await);
    assert_eq!(role(&world), "user", "and the newest session's grant is what the application holds");
}

#[tokio::test]
async fn l2_a_session_with_the_same_grant_leaves_the_older_ones() {
    let world = at_home().await;
    world.sign_in(&auditor(), 2).await.unwrap();
    world.app.forget_calls();
    world.sign_in(&auditor(), 3).await.unwrap();
    assert!(world.has_session(2).await);
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn l2_a_grant_that_is_the_baseline_borrows_nothing_and_has_no_job() {
    let world = borrowing();
    let process = world.process();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    world.app.forget_calls();
    let again = process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    assert_eq!(again.grant().source, GrantSource::Baseline);
    assert!(world.app.writes().is_empty());
    assert_eq!(world.jobs().await, []);
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().revision, 0);
}

#[tokio::test]
async fn l2_an_administrators_change_meanwhile_wins() {
    let world = at_home().await;
    world
        .app
        .state
        .lock()
        .unwrap()
        .names
        .entry(crate::provision::connector::Kind::Role)
        .or_default()
        .push(crate::provision::connector::Named { name: "editor".to_owned(), privileged: false });
    world.sign_in(&ada(json!({ "groups": ["auditors"], "teams": ["public"] })), 2).await.unwrap();
    {
        let mut state = world.app.state.lock().unwrap();
        let held = &mut state.accounts[0].entitlements;
        held.role = Some("editor".to_owned());
        held.teams.insert("acme/readers".to_owned(), None);
    }
    world.sign_out(2).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "editor");
    let teams = held(&world).teams.into_keys().collect::<Vec<_>>();
    assert_eq!(teams, ["acme/developers", "acme/readers"], "what was lent goes back beside it");
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
}

#[tokio::test]
async fn l2_the_role_changes_at_the_provider_while_a_session_lives() {
    let world = at_home().await;
    world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
    world.sign_in(&auditor(), 2).await.unwrap();
    world.sign_in(&ada(json!({ "groups": ["platform-admins", "engineers"] })), 3).await.unwrap();
    assert_eq!(role(&world), "admin");
    assert!(!world.has_session(2).await);
    world.sign_out(3).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "user", "what stood before the first loan");
}

#[tokio::test]
async fn l2_a_sign_in_whose_session_never_begins_leaves_nothing_borrowed() {
    let world = at_home().await;
    world.login(&auditor()).await.unwrap();
    assert_eq!(role(&world), "reader");
    world.later(LANDING);
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
}

#[tokio::test]
async fn l2_an_expired_session_gives_back_what_it_borrowed() {
    let world = at_home().await;
    world.sign_in(&auditor(), 2).await.unwrap();
    world.later(Duration::from_hours(13));
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
}

#[tokio::test]
async fn l2_a_restoration_that_fails_is_tried_again() {
    let world = at_home().await;
    world.sign_in(&auditor(), 2).await.unwrap();
    world.sign_out(2).await;
    for _ in 0..3 {
        world.app.next("entitle", unreachable(true));
    }
    world.run_jobs().await;
    assert_eq!(role(&world), "reader");
    world.later(Duration::from_secs(10));
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
}

#[tokio::test]
async fn l2_an_answer_that_was_lost_is_a_loan_all_the_same() {
    let world = at_home().await;
    for _ in 0..3 {
        world.app.next("entitle", Mishap::AnswerLost);
    }
    world.login(&auditor()).await.unwrap_err();
    assert_eq!(role(&world), "reader");
    world.later(LANDING);
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
}

#[tokio::test]
async fn g1_a_borrowed_role_that_is_the_last_administrators_waits_for_an_administrator() {
    let world = at_home().await;
    world.sign_in(&ada(json!({ "groups": ["platform-admins"] })), 2).await.unwrap();
    assert_eq!(role(&world), "admin");
    world.sign_out(2).await;
    world.run_jobs().await;
    let jobs = world.jobs().await;
    assert_eq!((role(&world).as_str(), jobs[0].state), ("admin", crate::model::JobState::Parked));
    world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
    assert!(world.store.hasten_job(&jobs[0].task.key()).await.unwrap());
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
}

#[tokio::test]
async fn g1_a_sign_in_that_cannot_give_back_leaves_the_loan_on_record() {
    let world = at_home().await;
    world.sign_in(&ada(json!({ "groups": ["platform-admins"] })), 2).await.unwrap();
    world.sign_in(&ada(json!({})), 3).await.unwrap();
    assert_eq!(role(&world), "admin", "the last administrator");
    assert!(!world.member(&auditor()).await.unwrap().borrowed.is_empty());
    world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
    world.sign_out(3).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
}

#[tokio::test]
async fn l2_turning_it_off_gives_back_what_is_borrowed() {
    let mut world = at_home().await;
    world.sign_in(&auditor(), 2).await.unwrap();
    world.settings.session_roles = SessionRoles::Headers;
    world.sign_out(2).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
    world.settings.session_roles = SessionRoles::Borrow;
    world.sign_in(&auditor(), 3).await.unwrap();
    world.settings.session_roles = SessionRoles::Headers;
    let provisioned = world.sign_in(&auditor(), 4).await.unwrap();
    assert_eq!(role(&world), "user", "a sign-in that does not borrow gives back too");
    assert_eq!(provisioned.grant().source, GrantSource::Session);
}

#[tokio::test]
async fn l2_an_account_that_vanished_owes_nothing() {
    let world = at_home().await;
    world.sign_in(&auditor(), 2).await.unwrap();
    world.app.state.lock().unwrap().accounts.clear();
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test]
async fn l2_an_adopted_account_borrows_at_its_first_sign_in() {
    let world = borrowing();
    world.app.has(account("7", "ada", "ada@example.com"));
    let provisioned = world.sign_in(&auditor(), 1).await.unwrap();
    assert_eq!((role(&world).as_str(), provisioned.grant().source), ("reader", GrantSource::Borrowed));
    world.sign_out(1).await;
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
    assert!(held(&world).teams.is_empty());
}

#[tokio::test]
async fn l2_an_ephemeral_account_that_borrowed_goes_whole() {
    let mut world = borrowing();
    world.settings.lifecycle.ephemeral = Some(Duration::from_hours(24));
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_in(&auditor(), 2).await.unwrap();
    assert_eq!(role(&world), "reader");
    world.sign_out(2).await;
    world.run_jobs().await;
    assert!(world.app.accounts().is_empty());
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
}

#[tokio::test]
async fn l2_a_refused_change_leaves_a_record_and_no_session() {
    let world = at_home().await;
    let refused = ConnectorError::Refused { operation: "entitle", status: 403, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    world.login(&auditor()).await.unwrap_err();
    world.later(LANDING);
    world.run_jobs().await;
    assert_eq!(role(&world), "user");
    assert!(world.member(&auditor()).await.unwrap().borrowed.is_empty());
}
