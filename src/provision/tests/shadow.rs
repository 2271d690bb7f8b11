//! M6: shadow mode.

use proptest::prelude::*;
use serde_json::json;

use super::explain::as_done;
use super::fake::{account, unreachable};
use super::*;
use crate::model::{Account, AccountProfile, Facet, MemberStatus};
use crate::provision::connector::{EntitlementChange, FindBy, Kind};
use crate::provision::explain::Explanation;
use crate::provision::shadow::{Reach, ReadOnly, Report, report};
use crate::provision::{Connector, ConnectorError};
use crate::store::{StandingStore, Update};

fn shadowing() -> Provisioning {
    Provisioning { shadow: true, ..settings() }
}

async fn reported(world: &World) -> Report {
    report(world.store.as_ref()).await.unwrap()
}

#[tokio::test]
async fn m6_a_sign_in_in_shadow_mode_writes_nothing_and_has_no_account() {
    let world = World::with(shadowing());
    let (result, told) = world.told_login(&ada(json!({})), 1).await;
    let provisioned = result.unwrap();
    assert!(provisioned.account().is_none());
    assert_eq!(provisioned.grant().entitlements, crate::model::Entitlements::default());
    assert_eq!((world.app.writes(), world.app.accounts()), (vec![], vec![]));
    assert_eq!(world.member(&ada(json!({}))).await, None);
    assert!(told.rehearsed);
    assert_eq!(told.summary().outcome, "created");
}

#[tokio::test]
async fn m6_the_report_says_who_would_be_created_adopted_and_refused() {
    let world = World::with(shadowing());
    world.app.has(account("1", "bob", "bob@example.com"));
    world.app.has(Account { privileged: true, ..account("2", "root", "eve@example.com") });
    for person in [person("ada", json!({})), person("bob", json!({})), person("eve", json!({}))] {
        world.telling_process().provision(Verified::for_tests(person)).await.unwrap();
    }
    let report = reported(&world).await;
    let of = |index: usize| &report.people[index].summary;
    assert_eq!(of(0).outcome, "created");
    assert_eq!(of(0).gains.len(), 4, "{:?}", of(0).gains);
    assert_eq!((of(1).outcome.as_str(), of(1).username.as_deref()), ("adopted", Some("bob")));
    assert_eq!((of(1).gains.len(), of(1).loses.len()), (0, 0));
    assert_eq!(of(2).outcome, "refused");
    assert_eq!(of(2).refusal.as_ref().unwrap().code, "privileged_account");
    let expected = [("adopted", 1), ("created", 1), ("refused", 1)];
    assert_eq!(report.counts, expected.map(|(outcome, count)| (outcome.to_owned(), count)).into());
    assert_eq!(world.app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn m6_the_latest_sign_in_of_a_person_is_the_one_reported() {
    let mut world = World::with(shadowing());
    let sign_in = async |world: &World| {
        let verified = Verified::for_tests(ada(json!({})));
        world.telling_process().provision(verified).await.unwrap();
        reported(world).await.people
    };
    assert_eq!(sign_in(&world).await[0].summary.gains.len(), 4);
    world.settings.mapping.clear();
    let people = sign_in(&world).await;
    assert_eq!(people.len(), 1);
    assert_eq!(people[0].summary.gains.len(), 3, "{:?}", people[0].summary.gains);
}

#[tokio::test]
async fn m6_f1_holds_in_shadow_mode_and_is_reported() {
    let allowed_email_domains = vec!["example.org".to_owned()];
    let world = World::with(Provisioning { allowed_email_domains, ..shadowing() });
    let (result, told) = world.told_login(&ada(json!({})), 1).await;
    assert!(matches!(result, Err(ProvisionError::EmailDomainNotAllowed { .. })), "{result:?}");
    assert_eq!(told.summary().refusal.unwrap().rule.as_deref(), Some("F1"));
    assert_eq!(reported(&world).await.counts["refused"], 1);
}

#[tokio::test]
async fn m6_a_member_signs_in_to_the_account_as_it_is() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    let before = world.app.accounts();
    world.app.forget_calls();
    world.settings = Provisioning { mapping: Vec::new(), ..shadowing() };
    let (result, told) = world.told_login(&ada(json!({ "role": "reader" })), 1).await;
    let provisioned = result.unwrap();
    assert_eq!(provisioned.account().unwrap().profile.username, "ada");
    assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("reader"));
    assert_eq!((world.app.writes(), world.app.accounts()), (vec![], before));
    assert_eq!(told.summary().outcome, "existing");
}

fn syncing(settings: Provisioning) -> Provisioning {
    Provisioning { lifecycle: Lifecycle { sync: Facet::ALL.into(), ..Lifecycle::default() }, ..settings }
}

/// In shadow mode and then for real: the same, and in shadow mode nothing is written.
async fn shadowed_and_real(world: &mut World, identity: &Identity) -> Explanation {
    let before = world.app.accounts();
    world.app.forget_calls();
    world.settings = syncing(shadowing());
    let (result, shadowed) = world.told_login(identity, 1).await;
    assert_eq!(result.unwrap().account().unwrap().profile.username, "ada");
    assert_eq!((world.app.writes(), world.app.accounts()), (vec![], before));
    assert_eq!(reported(world).await.people[0].summary, shadowed.summary());
    world.settings = syncing(settings());
    let (_, real) = world.told_login(identity, 2).await;
    assert_eq!(as_done(shadowed), real);
    real
}

#[tokio::test]
async fn m6_with_sync_the_report_says_who_would_lose_what() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    let identity = ada(json!({ "groups": ["auditors"], "teams": [] }));
    let summary = shadowed_and_real(&mut world, &identity).await.summary();
    assert_eq!(summary.outcome, "existing");
    // The role for the team, the group and the permission.
    assert_eq!((summary.gains.len(), summary.loses.len()), (1, 4), "{summary:?}");
    let held = world.app.account("ada").entitlements;
    assert_eq!((held.role.as_deref(), held.teams.len()), (Some("reader"), 0));
}

#[tokio::test]
async fn m6_with_sync_the_report_knows_that_g1_keeps_the_last_administrator() {
    let mut world = World::new();
    world.login(&ada(json!({ "groups": ["platform-admins", "engineers"] }))).await.unwrap();
    let real = shadowed_and_real(&mut world, &ada(json!({ "groups": [], "teams": [] }))).await;
    assert_eq!(real.plan.operations, []);
    assert_eq!(real.summary().loses, []);
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("admin"));
}

#[tokio::test]
async fn m6_nothing_is_borrowed_and_no_job_runs_in_shadow_mode() {
    let mut world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() });
    world.login(&ada(json!({}))).await.unwrap();
    world.later(Duration::from_mins(1));
    world.app.forget_calls();
    world.settings.shadow = true;
    let (result, told) = world.told_login(&ada(json!({ "role": "reader" })), 1).await;
    let provisioned = result.unwrap();
    assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("user"));
    assert_eq!(told.summary().gains.len(), 1, "{:?}", told.summary());
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    world.process().run_jobs(&tasks);
    tasks.finish().await;
    assert_eq!(world.app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn g6_who_is_blocked_is_kept_out_in_shadow_mode_too() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    let member = world.member(&ada(json!({}))).await.unwrap();
    let blocked = Member { status: MemberStatus::Blocked, ..member };
    world.store.update_member(&blocked, Update::default()).await.unwrap();
    world.settings = shadowing();
    // By another identity with the same e-mail too.
    let other = Identity { subject: Subject::parse("sub-other").unwrap(), ..ada(json!({})) };
    for (number, identity) in [(1, ada(json!({}))), (2, other)] {
        let (result, told) = world.told_login(&identity, number).await;
        assert!(matches!(result, Err(ProvisionError::Blocked)), "{result:?}");
        assert_eq!(told.summary().refusal.unwrap().code, ProvisionError::Blocked.code());
    }
}

#[tokio::test]
async fn g4_a_deactivated_account_is_refused_in_shadow_mode_too() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts[0].active = false;
    world.settings = shadowing();
    let (result, _) = world.told_login(&ada(json!({})), 1).await;
    assert!(matches!(result, Err(ProvisionError::AccountDeactivated { .. })), "{result:?}");
}

#[tokio::test]
async fn m6_an_application_that_is_down_keeps_nobody_out_who_has_no_account() {
    let world = World::with(shadowing());
    for _ in 0..3 {
        world.app.next("find", unreachable(false));
    }
    let verified = Verified::for_tests(ada(json!({})));
    let provisioned = world.telling_process().provision(verified).await.unwrap();
    assert!(provisioned.account().is_none());
    let report = reported(&world).await;
    assert_eq!(report.people[0].summary.refusal.as_ref().unwrap().code, "application_unreachable");
}

#[tokio::test]
async fn m6_a_read_only_connector_refuses_every_write() {
    let world = World::new();
    let held = account("1", "bob", "bob@example.com");
    world.app.has(held.clone());
    let change = EntitlementChange { role: Some("reader".to_owned()), ..EntitlementChange::default() };
    for reach in [Reach::Reads, Reach::Nothing] {
        let connector = ReadOnly::new(world.app.clone() as Arc<dyn Connector>, reach);
        let profile = AccountProfile { username: "eve".to_owned(), ..AccountProfile::default() };
        let refused = [
            connector.create(&profile, None).await.map(drop),
            connector.update(&held, &profile).await,
            connector.set_entitlements(&held, &change).await,
            connector.create_team("acme/new").await,
            connector.deactivate(&held).await,
            connector.reactivate(&held).await,
            connector.transfer(&held, &held).await,
            connector.delete(&held).await,
        ];
        for result in refused {
            assert!(matches!(result, Err(ConnectorError::Guarded { rule: "M6", .. })), "{result:?}");
        }
        let found = connector.find(FindBy::Username("bob")).await.unwrap();
        assert_eq!(found.len(), usize::from(reach == Reach::Reads));
        assert_eq!(connector.list(Kind::Role).await.unwrap().is_some(), reach == Reach::Reads);
        assert!(connector.check().await.is_ok());
    }
    assert_eq!((world.app.writes(), world.app.accounts()), (vec![], vec![held]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: tries(64), ..ProptestConfig::default() })]

    #[test]
    fn m6_for_real_everything_is_exactly_as_the_report_said(
        people in prop::collection::vec(
            (prop::sample::subsequence(vec!["engineers", "auditors", "platform-admins", "founders"], 0..4), any::<bool>(), any::<bool>()),
            1..8,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::with(shadowing());
            let mut identities = Vec::new();
            for (index, (groups, has_account, verified)) in people.into_iter().enumerate() {
                let name = format!("person{index}");
                if has_account {
                    world.app.has(account(&format!("old-{index}"), &name, &format!("{name}@example.com")));
                }
                identities.push(person(&name, json!({ "groups": groups, "email_verified": verified })));
            }
            let before = world.app.accounts();
            let mut shadowed = Vec::new();
            for (number, identity) in (1..).zip(&identities) {
                shadowed.push(as_done(world.told_login(identity, number).await.1));
            }
            prop_assert_eq!(world.app.accounts(), before);
            prop_assert_eq!(world.app.writes(), Vec::<String>::new());
            let report = reported(&world).await;
            world.settings.shadow = false;
            for ((number, identity), shadowed) in (100..).zip(&identities).zip(shadowed) {
                let (_, told) = world.told_login(identity, number).await;
                prop_assert_eq!(told.summary(), shadowed.summary());
                prop_assert_eq!(told.plan, shadowed.plan.clone());
                let person = report.people.iter().find(|person| person.subject == identity.subject).unwrap();
                prop_assert_eq!(&person.summary, &shadowed.summary());
            }
            Ok(())
        })?;
    }
}
