//! Whole logins: M3, F1 to F10, L1, L4, E5, G4, A4.

use serde_json::json;

use super::fake::{Mishap, account, names, unreachable};
use super::*;
use crate::config::settings::{Attribute, AttributeSource};
use crate::model::{AccountId, GrantSource, Origin};
use crate::provision::ConnectorError;
use crate::provision::connector::Kind;

#[tokio::test]
async fn f10_a_first_login_ends_with_an_account_and_its_entitlements() {
    let world = World::new();
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    let held = world.app.account("ada");
    assert_eq!(held.entitlements.role.as_deref(), Some("user"));
    assert_eq!(held.entitlements.teams["acme/developers"].as_deref(), Some("maintainer"));
    assert!(held.entitlements.app_groups.contains("builders"));
    assert!(held.entitlements.permissions.contains("deploy"));
    assert_eq!(provisioned.account().unwrap().id, held.id);
    assert_eq!(provisioned.grant().entitlements, held.entitlements);
    assert_eq!(provisioned.grant().source, GrantSource::Baseline);
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!((member.account, member.origin, member.generation), (Some(held.id), Origin::Jit, 1));
}

#[tokio::test]
async fn l4_a_second_login_makes_no_write_and_few_calls() {
    let world = World::new();
    let process = world.process();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    world.app.forget_calls();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    assert!(world.app.writes().is_empty());
    assert_eq!(world.app.calls("").len(), 1, "{:?}", world.app.calls(""));
}

#[tokio::test]
async fn l1_a_changed_mapping_does_not_touch_a_member() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.forget_calls();
    let changed =
        ada(json!({ "groups": ["platform-admins"], "email": "ada.new@example.com", "name": "New" }));
    let provisioned = world.login(&changed).await.unwrap();
    assert!(world.app.writes().is_empty());
    let held = world.app.account("ada");
    assert_eq!(held.entitlements.role.as_deref(), Some("user"));
    assert_eq!(held.profile.email.as_deref(), Some("ada@example.com"));
    // L2: for this session only.
    assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("admin"));
    assert_eq!(provisioned.grant().source, GrantSource::Session);
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(provisioned.grant().source, GrantSource::Baseline);
}

#[tokio::test]
async fn f1_is_checked_at_every_login_and_before_the_application_hears_of_it() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.forget_calls();
    world.settings.allowed_email_domains = vec!["elsewhere.test".to_owned()];
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{error:?}");
    assert!(world.app.calls("").is_empty());
}

#[tokio::test]
async fn f2_a_missing_attribute_refuses_before_anything_is_written() {
    let world = World::new();
    let error = world.login(&ada(json!({ "email": null }))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::AttributesMissing { .. }), "{error:?}");
    assert!(world.app.writes().is_empty());
    assert!(world.member(&ada(json!({}))).await.is_none());
}

#[tokio::test]
async fn f2_a_member_comes_in_although_an_attribute_is_missing_now() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    assert!(world.login(&ada(json!({ "email": null, "preferred_username": null }))).await.is_ok());
}

#[tokio::test]
async fn m3_without_provisioning_a_stranger_is_denied_or_forwarded_without_account() {
    let mut world = World::new();
    world.settings.mode = Mode::Off;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::NotProvisioned), "{error:?}");
    world.settings.unprovisioned = Unprovisioned::Forward;
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    assert!(provisioned.account().is_none());
    assert_eq!(provisioned.grant(), &crate::model::Grant::default());
    assert!(world.app.calls("").is_empty());
}

#[tokio::test]
async fn m3_f1_holds_for_those_who_are_forwarded() {
    let mut world = World::new();
    world.settings.mode = Mode::Off;
    world.settings.unprovisioned = Unprovisioned::Forward;
    world.settings.allowed_email_domains = vec!["elsewhere.test".to_owned()];
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{error:?}");
}

#[tokio::test]
async fn m5_a_member_comes_in_with_the_account_after_provisioning_was_turned_off() {
    let mut world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.settings.mode = Mode::Off;
    assert!(world.login(&ada(json!({}))).await.unwrap().account().is_some());
    // And is not made another one.
    world.app.state.lock().unwrap().accounts.clear();
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::AccountVanished), "{error:?}");
    assert!(world.app.accounts().is_empty());
}

#[tokio::test]
async fn f7_an_adopted_account_keeps_its_entitlements() {
    let world = World::new();
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    assert!(world.app.writes().is_empty());
    assert_eq!(provisioned.account().unwrap().profile.username, "ada.l");
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!((member.origin, member.account), (Origin::Adopted, Some(AccountId("7".to_owned()))));
}

#[tokio::test]
async fn f7_the_connector_s_own_account_is_not_adopted() {
    let world = World::new();
    world.app.has(account("7", "ada.l", "ada@example.com"));
    world.app.state.lock().unwrap().own_account = Some(AccountId("7".to_owned()));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::OwnAccount { .. }), "{error:?}");
}

#[tokio::test]
async fn f7_where_the_own_account_cannot_be_told_nothing_is_adopted() {
    let world = World::new();
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let refused = ConnectorError::Credential { operation: "check", status: 401, excerpt: String::new() };
    world.app.next("check", Mishap::Error(refused));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Connector(ConnectorError::Credential { .. })), "{error:?}");
}

#[tokio::test]
async fn f8_a_new_subject_with_a_member_s_e_mail_waits_for_an_administrator() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    let mut recycled = ada(json!({ "preferred_username": "ada2" }));
    recycled.subject = Subject::parse("a new hire").unwrap();
    let error = world.login(&recycled).await.unwrap_err();
    assert!(matches!(error, ProvisionError::WaitsForAdministrator { rule: "F8", .. }), "{error:?}");
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn f7_a_username_that_another_account_has_is_refused_and_not_adopted() {
    let world = World::new();
    world.app.has(account("9", "ada", "another.ada@example.com"));
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::UsernameTaken { .. }), "{error:?}");
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn g2_nobody_becomes_a_protected_account_that_is_not_there_yet() {
    let world = World::new();
    let error = world.login(&ada(json!({ "preferred_username": "Break-Glass" }))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ProtectedAccount { .. }), "{error:?}");
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn g4_a_deactivated_account_refuses_the_login() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts[0].active = false;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::AccountDeactivated { .. }), "{error:?}");
    assert!(!error.retryable());
}

#[tokio::test]
async fn e5_a_vanished_account_is_made_again_with_the_next_generation() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    let before = world.member(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().accounts.clear();
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    let after = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!((after.id, after.generation), (before.id, 2));
    assert_ne!(after.account, before.account);
    assert_eq!(Some(&provisioned.account().unwrap().id), after.account.as_ref());
    world.app.forget_calls();
    world.login(&ada(json!({}))).await.unwrap();
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn e5_an_unreachable_application_is_not_a_vanished_account() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.forget_calls();
    for _ in 0..3 {
        world.app.next("find", unreachable(true));
    }
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn f5_a_missing_team_is_made_before_the_person_joins_it() {
    let mut world = World::new();
    world.settings.unknown_team = UnknownTeam::Create;
    world.login(&ada(json!({ "teams": ["acme/new"] }))).await.unwrap();
    assert!(world.app.account("ada").entitlements.teams.contains_key("acme/new"));
    assert_eq!(world.app.calls("!create_team"), ["!create_team acme/new"]);
}

#[tokio::test]
async fn f4_a_role_that_is_new_in_the_application_is_seen_without_waiting_for_the_cache() {
    let world = World::new();
    let process = world.process();
    process.provision(Verified::for_tests(person("bob", json!({})))).await.unwrap();
    let roles = names(&[("user", false), ("gardener", false)]);
    world.app.state.lock().unwrap().names.insert(Kind::Role, roles);
    // The lists may be as old as `REFRESH_AT_MOST`; a process that has none yet asks at once.
    let gardener = ada(json!({ "role": "gardener" }));
    let provisioned = world.process().provision(Verified::for_tests(gardener)).await.unwrap();
    assert_eq!(provisioned.grant().entitlements.role.as_deref(), Some("gardener"));
}

#[tokio::test]
async fn a_stranger_s_unknown_names_do_not_make_every_login_list_everything() {
    let world = World::new();
    let process = world.process();
    for name in ["bob", "eve", "joe"] {
        let identity = person(name, json!({ "teams": ["acme/none"], "role": "none" }));
        process.provision(Verified::for_tests(identity)).await.unwrap();
    }
    assert_eq!(world.app.calls("list Role").len(), 1);
}

#[tokio::test]
async fn an_identity_provider_that_is_not_configured_speaks_for_nobody() {
    let world = World::new();
    world.app.has(account("7", "ada.l", "ada@example.com"));
    let mut stranger = ada(json!({}));
    stranger.idp = "gone".parse().unwrap();
    let error = world.login(&stranger).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccountUnverifiedEmail { .. }), "{error:?}");
}

#[tokio::test]
async fn f7_an_e_mail_that_a_constant_gives_is_nobody_else_s() {
    let mut world = World::new();
    let template = crate::expr::Template::compile("shared@example.com").unwrap();
    let source = AttributeSource::Template(template);
    let attribute = Attribute { source, required: None, enabled: true };
    world.settings.attributes.insert("email".to_owned(), attribute);
    world.login(&person("bob", json!({}))).await.unwrap();
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccountUnverifiedEmail { .. }), "{error:?}");
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn f1_an_account_s_e_mail_is_within_the_provider_s_authority_wherever_it_comes_from() {
    let mut world = World::new();
    let template = crate::expr::Template::compile("{{ claims.upn }}").unwrap();
    let source = AttributeSource::Template(template);
    let attribute = Attribute { source, required: None, enabled: true };
    world.settings.attributes.insert("email".to_owned(), attribute);
    let error = world.login(&ada(json!({ "upn": "ceo@other.test" }))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailOutsideAuthority { .. }), "{error:?}");
    assert!(world.app.writes().is_empty());
    world.login(&ada(json!({ "upn": "lovelace@example.com" }))).await.unwrap();
}
