//! F9: exactly one account, whatever happens at once or in between.

use serde_json::json;
use tokio::task::JoinSet;

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::model::Origin;
use crate::provision::ConnectorError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_a_thousand_simultaneous_first_logins_make_one_create_call() {
    let world = World::new();
    let process = world.process();
    let mut logins = JoinSet::new();
    for _ in 0..1000 {
        let process = process.clone();
        logins.spawn(async move { process.provision(Verified::for_tests(ada(json!({})))).await });
    }
    let mut accounts = std::collections::BTreeSet::new();
    while let Some(login) = logins.join_next().await {
        let provisioned = login.unwrap().unwrap();
        accounts.insert(provisioned.account().unwrap().id.clone());
        assert!(provisioned.grant().entitlements.teams.contains_key("acme/developers"));
    }
    assert_eq!(accounts.len(), 1);
    assert_eq!(world.app.calls("!create ").len(), 1);
    assert_eq!(world.app.calls("!entitle").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_processes_that_share_a_store_make_one_create_call() {
    let world = World::new();
    let mut logins = JoinSet::new();
    for _ in 0..4 {
        let process = world.process();
        for _ in 0..25 {
            let process = process.clone();
            logins.spawn(async move { process.provision(Verified::for_tests(ada(json!({})))).await });
        }
    }
    let mut accounts = std::collections::BTreeSet::new();
    while let Some(login) = logins.join_next().await {
        accounts.insert(login.unwrap().unwrap().account().unwrap().id.clone());
    }
    assert_eq!(accounts.len(), 1);
    assert_eq!(world.app.calls("!create ").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_two_people_who_would_get_the_same_username_get_one_account_between_them() {
    for shared_process in [true, false] {
        let world = World::new();
        let first = person("sam", json!({ "email": "sam.one@example.com" }));
        let mut second = person("sam", json!({ "email": "sam.two@example.com" }));
        second.subject = Subject::parse("another-sam").unwrap();
        let process = world.process();
        let other = if shared_process { process.clone() } else { world.process() };
        let (one, two) = tokio::join!(
            process.provision(Verified::for_tests(first)),
            other.provision(Verified::for_tests(second))
        );
        let taken = |result: &Result<Provisioned, ProvisionError>| {
            matches!(result, Err(ProvisionError::UsernameTaken { .. }))
        };
        assert!(one.is_ok() && taken(&two) || taken(&one) && two.is_ok(), "{one:?} {two:?}");
        assert_eq!(world.app.accounts().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_of_two_people_with_the_same_verified_e_mail_one_waits_for_an_administrator() {
    let world = World::new();
    world.app.has(account("7", "ada", "ada@example.com"));
    let mut other = ada(json!({}));
    other.idp = "other".parse().unwrap();
    let (here, there) = (world.process(), world.process());
    let (one, two) = tokio::join!(
        here.provision(Verified::for_tests(ada(json!({})))),
        there.provision(Verified::for_tests(other))
    );
    let linked = |result: &Result<Provisioned, ProvisionError>| {
        // Who comes at the same moment as the other may be told that the account has just become somebody's.
        let waits = matches!(result, Err(ProvisionError::WaitsForAdministrator { .. }));
        waits || matches!(result, Err(ProvisionError::LinkedToAnotherMember { .. }))
    };
    assert!(one.is_ok() && linked(&two) || linked(&one) && two.is_ok(), "{one:?} {two:?}");
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn f9_a_create_whose_answer_was_lost_is_found_and_taken_as_ours() {
    let world = World::new();
    world.app.next("create", Mishap::AnswerLost);
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.calls("!create ").len(), 1);
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().origin, Origin::Jit);
    assert_eq!(world.app.account("ada").entitlements.teams.len(), 1);
}

#[tokio::test]
async fn f9_a_create_that_the_next_login_finds_is_ours_and_completed() {
    let world = World::new();
    world.app.next("create", Mishap::AnswerLost);
    // While we look for it, the application is gone for good.
    for _ in 0..3 {
        world.app.next("find", Mishap::Error(ConnectorError::NotFound { operation: "find" }));
    }
    let hidden = [unreachable(false), unreachable(false), unreachable(false)];
    for mishap in hidden {
        world.app.next("find", mishap);
    }
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    assert!(world.member(&ada(json!({}))).await.is_none());
    world.login(&ada(json!({}))).await.unwrap();
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.origin, Origin::Jit);
    assert_eq!(world.app.accounts().len(), 1);
    assert_eq!(world.app.account("ada").entitlements.teams.len(), 1);
}

#[tokio::test]
async fn f9_after_a_crash_between_create_and_memberships_the_next_login_completes_them() {
    let world = World::new();
    // Deny: if the half-made account were taken for one that was there before, this would refuse.
    let world = World { settings: Provisioning { on_existing: OnExisting::Deny, ..settings() }, ..world };
    let refused = ConnectorError::Refused { operation: "entitle", status: 422, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Connector(ConnectorError::Refused { .. })), "{error:?}");
    assert!(world.app.account("ada").entitlements.teams.is_empty());
    assert!(world.member(&ada(json!({}))).await.is_none());

    world.app.forget_calls();
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.writes(), ["!entitle id-1"]);
    assert!(provisioned.grant().entitlements.teams.contains_key("acme/developers"));
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().origin, Origin::Jit);
}

/// A sign-in that ends with nobody knowing whether the application made the account, and it did not.
async fn unfinished(world: &World) {
    for _ in 0..3 {
        world.app.next("create", unreachable(true));
    }
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
}

#[tokio::test]
async fn f9_an_account_that_somebody_made_long_after_an_unfinished_sign_in_is_not_ours() {
    for (minutes, ours) in [(14, true), (16, false)] {
        let world = World::new();
        unfinished(&world).await;
        world.app.has(account("7", "ada", "ada@example.com"));
        world.later(Duration::from_mins(minutes));
        world.login(&ada(json!({}))).await.unwrap();
        let member = world.member(&ada(json!({}))).await.unwrap();
        let origin = if ours { Origin::Jit } else { Origin::Adopted };
        assert_eq!(member.origin, origin, "after {minutes} minutes");
        assert_eq!(world.app.writes().contains(&"!entitle 7".to_owned()), ours, "what it holds is its own");
    }
}

#[tokio::test]
async fn f9_nor_is_it_ours_where_it_stands_in_the_way_of_the_next_create() {
    let world =
        World { settings: Provisioning { on_existing: OnExisting::Deny, ..settings() }, ..World::new() };
    unfinished(&world).await;
    world.later(Duration::from_mins(16));
    world.app.has(account("7", "ada", "ada@example.com"));
    // Not seen when looked for, yet there when it is created.
    for _ in 0..2 {
        world.app.next("find", Mishap::Error(ConnectorError::NotFound { operation: "find" }));
    }
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccount { .. }), "{error:?}");
}

#[tokio::test]
async fn f9_a_conflict_without_an_earlier_attempt_of_ours_is_f7() {
    let world =
        World { settings: Provisioning { on_existing: OnExisting::Deny, ..settings() }, ..World::new() };
    // Not seen when looked for, yet there when it is created: somebody was faster.
    let gone = || Mishap::Error(ConnectorError::NotFound { operation: "find" });
    world.app.has(account("7", "ada", "ada@example.com"));
    world.app.next("find", gone());
    world.app.next("find", gone());
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccount { .. }), "{error:?}");
    // And it is not taken for ours the next time either.
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccount { .. }), "{error:?}");
}

#[tokio::test]
async fn f9_a_browser_that_goes_away_leaves_a_whole_account() {
    let world = World::new();
    let process = world.process();
    let login = process.provision(Verified::for_tests(ada(json!({}))));
    // Polled once, so that it has started, and dropped.
    let mut login = Box::pin(login);
    assert!(futures_util::poll!(&mut login).is_pending());
    assert!(futures_util::poll!(&mut login).is_pending());
    drop(login);
    let provisioned = process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    assert_eq!(provisioned.account().unwrap().profile.username, "ada");
    assert_eq!(world.app.calls("!create ").len(), 1);
}

#[tokio::test]
async fn a1_a_hanging_application_ends_with_the_time_budget_and_the_next_login_goes_on() {
    let budget = Duration::from_secs(1);
    let world = World { settings: Provisioning { time_budget: budget, ..settings() }, ..World::new() };
    world.app.next("entitle", Mishap::Hangs);
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::TimeBudget { .. }), "{error:?}");
    let world = World { settings: settings(), ..world };
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.calls("!create ").len(), 1);
    assert_eq!(world.app.account("ada").entitlements.teams.len(), 1);
}

#[tokio::test]
async fn a1_an_idempotent_call_is_made_again_and_a_refusal_is_not() {
    let world = World::new();
    world.app.next("list", unreachable(true));
    world.app.next("entitle", Mishap::Error(ConnectorError::Busy { operation: "entitle", after: None }));
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.calls("!entitle").len(), 2);

    let world = World::new();
    let seats = ConnectorError::NoSeats { operation: "create", excerpt: "10 of 10".to_owned() };
    world.app.next("create", Mishap::Error(seats));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Connector(ConnectorError::NoSeats { .. })), "{error:?}");
    assert_eq!(world.app.calls("!create ").len(), 1);
    assert!(!error.retryable());
}

#[tokio::test]
async fn a1_a_wait_longer_than_the_budget_is_not_waited_for() {
    let world = World::new();
    let after = Some(Duration::from_mins(10));
    world.app.next("find", Mishap::Error(ConnectorError::Busy { operation: "find", after }));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Connector(ConnectorError::Busy { .. })), "{error:?}");
    assert!(error.retryable());
}

#[tokio::test]
async fn a2_refused_is_retryable_and_the_retry_continues() {
    let world = World::new();
    for _ in 0..3 {
        world.app.next("create", unreachable(false));
    }
    let identity = ada(json!({}));
    let error = world.login(&identity).await.unwrap_err();
    assert!(error.retryable());
    assert!(world.app.accounts().is_empty());
    world.login(&identity).await.unwrap();
}
