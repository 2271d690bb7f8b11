//! Reconciliation: members compared with the application.

use serde_json::json;

use super::fake::{account, unreachable};
use super::*;
use crate::config::settings::OnMissing;
use crate::model::{Account, AccountState, Facet, Item, Leaving};
use crate::provision::reconcile::{Drift, Finding, Mending, Outcome};
use crate::store::StandingStore;

async fn looked(world: &World, mending: Mending) -> Vec<Finding> {
    let looked = world.process().reconcile(None, 99, mending).await.unwrap();
    assert_eq!(looked.next, None);
    looked.findings
}

fn told(findings: &[Finding]) -> Vec<(&str, &'static str, &Outcome)> {
    findings.iter().map(|one| (one.username.as_str(), one.drift.kind(), &one.outcome)).collect()
}

async fn member(world: &World, name: &str) -> Member {
    world.member(&person(name, json!({}))).await.unwrap()
}

#[tokio::test]
async fn what_fits_is_not_told_of() {
    let world = World::new();
    for name in ["ada", "bob"] {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    world.app.forget_calls();
    for mending in [Mending::Reports, Mending::Repairs] {
        let looked = world.process().reconcile(None, 99, mending).await.unwrap();
        assert_eq!((looked.members, looked.findings), (2, Vec::new()));
    }
    assert_eq!(world.app.calls("find").len(), 4, "one look-up for each");
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn e5_a_vanished_account_is_marked_and_the_sign_in_goes_by_on_missing() {
    for on_missing in [OnMissing::Recreate, OnMissing::Deny] {
        let world = World::living(Lifecycle { on_missing, ..Lifecycle::default() });
        world.sign_in(&ada(json!({})), 1).await.unwrap();
        world.app.state.lock().unwrap().accounts.clear();
        let before = member(&world, "ada").await;
        let seen = looked(&world, Mending::Reports).await;
        assert_eq!(told(&seen), [("ada", "vanished", &Outcome::Reported)]);
        assert_eq!(member(&world, "ada").await, before, "it was only looked");
        assert!(world.has_session(1).await);
        let seen = looked(&world, Mending::Repairs).await;
        assert_eq!(told(&seen), [("ada", "vanished", &Outcome::Repaired)]);
        let after = member(&world, "ada").await;
        assert_eq!((after.account, after.account_state), (None, AccountState::Present));
        assert!(!world.has_session(1).await, "nobody goes on with an account that is not there");
        assert_eq!(looked(&world, Mending::Repairs).await, []);
        // The application gives the id to the next one.
        world.app.has(account("id-1", "eve", "eve@example.com"));
        let result = world.login(&ada(json!({}))).await;
        match on_missing {
            OnMissing::Recreate => assert_eq!(result.unwrap().account().unwrap().profile.username, "ada"),
            OnMissing::Deny => {
                assert!(matches!(result, Err(ProvisionError::AccountVanished)), "{result:?}");
            }
        }
    }
}

#[tokio::test]
async fn g3_an_application_that_says_that_all_are_gone_is_believed_for_a_few_only() {
    let world = World::living(Lifecycle { max_removals: 2, ..Lifecycle::default() });
    for name in ["ada", "bob", "eve"] {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    world.app.state.lock().unwrap().accounts.clear();
    let seen = looked(&world, Mending::Repairs).await;
    let outcomes: Vec<&Outcome> = seen.iter().map(|finding| &finding.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Repaired, &Outcome::Repaired, &Outcome::Paused]);
    world.later(Duration::from_hours(1));
    assert_eq!(looked(&world, Mending::Repairs).await[0].outcome, Outcome::Repaired);
}

#[tokio::test]
async fn l1_what_was_taken_or_exchanged_by_hand_stays_and_leaves_the_ledger() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    {
        let held = &mut world.app.state.lock().unwrap().accounts[0].entitlements;
        held.role = Some("reader".to_owned());
        held.teams.clear();
    }
    world.app.forget_calls();
    let seen = looked(&world, Mending::Reports).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    let lost = |item: Item, given: &str, held: Option<&str>| Drift::Lost {
        item,
        given: given.to_owned(),
        held: held.map(str::to_owned),
        at_next_login: false,
    };
    assert_eq!(seen[0].drift, lost(Item::Role, "user", Some("reader")));
    assert_eq!(seen[1].drift, lost(Item::Team("acme/developers".to_owned()), "maintainer", None));
    let seen = looked(&world, Mending::Repairs).await;
    assert!(seen.iter().all(|finding| finding.outcome == Outcome::Repaired), "{seen:?}");
    let after = member(&world, "ada").await;
    assert_eq!((after.ledger.source(&Item::Role), after.ledger.iter().count()), (None, 2));
    assert_eq!(looked(&world, Mending::Repairs).await, []);
    assert!(world.app.writes().is_empty(), "the application's account is its own");
}

#[tokio::test]
async fn l3_what_the_next_sign_in_makes_good_is_left_to_it() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts[0].entitlements.teams.clear();
    world.settings.lifecycle.sync = [Facet::Teams].into();
    let before = member(&world, "ada").await;
    for mending in [Mending::Reports, Mending::Repairs] {
        let seen = looked(&world, mending).await;
        assert_eq!(told(&seen), [("ada", "lost", &Outcome::Reported)]);
    }
    assert_eq!(member(&world, "ada").await, before);
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(looked(&world, Mending::Reports).await, []);
}

#[tokio::test]
async fn l2_what_a_session_left_borrowed_is_given_back() {
    let world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() });
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    world.run_jobs().await;
    world.sign_in(&ada(json!({ "groups": ["auditors"] })), 2).await.unwrap();
    assert_eq!(looked(&world, Mending::Reports).await, [], "while the session lives it is as it should be");
    world.sign_out(2).await;
    // Its job is lost, by whatever means.
    let job = world.store.claim_job(1, world.now(), world.now().after(Duration::from_mins(1))).await;
    world.store.conclude_job(&job.unwrap().unwrap(), &crate::store::JobOutcome::Done).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("reader"));
    let seen = looked(&world, Mending::Reports).await;
    assert_eq!(told(&seen), [("ada", "left_borrowed", &Outcome::Reported)]);
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "left_borrowed", &Outcome::Repaired)]);
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("user"));
    assert!(member(&world, "ada").await.borrowed.is_empty());
}

#[tokio::test]
async fn g1_what_a_guard_stops_is_told_of_and_the_rest_goes_on() {
    let world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() });
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    world.sign_in(&ada(json!({ "groups": ["platform-admins"] })), 2).await.unwrap();
    world.sign_out(2).await;
    world.login(&person("bob", json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts.retain(|account| account.profile.username == "ada");
    let seen = looked(&world, Mending::Repairs).await;
    let kinds: Vec<(&str, bool)> =
        seen.iter().map(|one| (one.drift.kind(), matches!(one.outcome, Outcome::Failed(_)))).collect();
    assert_eq!(kinds, [("left_borrowed", true), ("vanished", false)]);
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("admin"));
}

#[tokio::test]
async fn g4_an_account_that_was_activated_again_elsewhere_can_be_revoked_again() {
    let world = World::living(Lifecycle { leaver: Leaving::Deactivate, ..Lifecycle::default() });
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    let id = member(&world, "ada").await.id;
    world.process().revoke(id).await.unwrap();
    world.run_jobs().await;
    world.app.state.lock().unwrap().accounts[0].active = true;
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "active_again", &Outcome::Repaired)]);
    world.process().revoke(id).await.unwrap();
    world.run_jobs().await;
    assert!(!world.app.account("ada").active);
}

#[tokio::test]
async fn g4_an_account_that_was_deactivated_elsewhere_is_only_told_of() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts[0].active = false;
    let before = member(&world, "ada").await;
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "deactivated", &Outcome::Reported)]);
    assert_eq!(member(&world, "ada").await, before);
}

#[tokio::test]
async fn an_account_that_is_somebody_elses_by_now_is_only_told_of_and_a_new_name_is_noted() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts[0].profile.username = "ada.king".to_owned();
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "renamed", &Outcome::Repaired)]);
    assert_eq!(member(&world, "ada").await.username, "ada.king");
    world.app.state.lock().unwrap().accounts = vec![account("id-1", "eve", "eve@example.com")];
    let before = member(&world, "ada").await;
    world.app.forget_calls();
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada.king", "anothers", &Outcome::Reported)]);
    assert_eq!(member(&world, "ada").await, before);
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn g6_the_address_that_a_block_binds_is_not_exchanged_in_the_application() {
    for blocked in [false, true] {
        let world = World::new();
        world.sign_in(&ada(json!({})), 1).await.unwrap();
        let id = member(&world, "ada").await.id;
        if blocked {
            world.process().block(id).await.unwrap();
            world.run_jobs().await;
        }
        world.app.state.lock().unwrap().accounts[0].profile.username = "ada.king".to_owned();
        let seen = looked(&world, Mending::Repairs).await;
        assert!(told(&seen).contains(&("ada", "renamed", &Outcome::Repaired)), "{seen:?}");
        world.app.state.lock().unwrap().accounts[0].profile.email = Some("king@example.com".to_owned());
        looked(&world, Mending::Repairs).await;
        let after = member(&world, "ada").await;
        let email = if blocked { "ada@example.com" } else { "king@example.com" };
        assert_eq!((after.username.as_str(), after.email.as_deref()), ("ada.king", Some(email)));
        assert_eq!(world.store.is_blocked_email("ada@example.com").await.unwrap(), blocked);
        let again = looked(&world, Mending::Repairs).await;
        assert!(again.iter().all(|finding| finding.drift.kind() != "renamed"), "{again:?}");
    }
}

#[tokio::test]
async fn accounts_that_nobody_claims_are_told_of_and_left_alone() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.has(account("7", "old", "old@example.com"));
    world.app.has(Account { active: false, ..account("8", "older", "older@example.com") });
    world.app.has(account("9", "break-glass", "root@example.com"));
    world.app.has(account("10", "bot", "bot@example.com"));
    world.app.state.lock().unwrap().own_account = Some(crate::model::AccountId("10".to_owned()));
    world.app.forget_calls();
    let unclaimed = world.process().unclaimed().await.unwrap().unwrap();
    assert_eq!(
        told(&unclaimed),
        [("old", "unclaimed", &Outcome::Reported), ("older", "unclaimed", &Outcome::Reported)]
    );
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn members_are_looked_at_page_by_page_and_each_once() {
    let world = World::new();
    for name in ["ada", "bob", "eve", "joe", "kim"] {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    world.app.state.lock().unwrap().accounts.clear();
    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let looked = world.process().reconcile(after, 2, Mending::Reports).await.unwrap();
        seen.extend(looked.findings.into_iter().map(|finding| finding.username));
        pages += 1;
        match looked.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    seen.sort();
    assert_eq!((pages, seen), (3, ["ada", "bob", "eve", "joe", "kim"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn whom_somebody_works_on_is_left_for_the_next_look() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts.clear();
    let id = member(&world, "ada").await.id;
    world.store.hold_member(id, 7, world.now(), world.now().after(Duration::from_secs(20))).await.unwrap();
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "vanished", &Outcome::Busy)]);
    assert!(member(&world, "ada").await.account.is_some());
}

#[tokio::test]
async fn m6_shadow_mode_repairs_nothing() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts.clear();
    world.settings.shadow = true;
    let seen = looked(&world, Mending::Repairs).await;
    assert_eq!(told(&seen), [("ada", "vanished", &Outcome::Reported)]);
    assert!(member(&world, "ada").await.account.is_some());
}

#[tokio::test]
async fn an_application_that_cannot_be_asked_ends_the_look() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    for _ in 0..3 {
        world.app.next("find", unreachable(false));
    }
    let error = world.process().reconcile(None, 9, Mending::Repairs).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    assert!(member(&world, "ada").await.account.is_some(), "not reached is not gone");
}
