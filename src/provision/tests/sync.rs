//! L3, L4, L7, F8, G1 and G3: what a later sign-in changes of an account.

use serde_json::json;

use super::fake::{Mishap, account};
use super::*;
use crate::config::settings::{Attribute, AttributeSource, SyncRemoves};
use crate::model::{Entitlements, Facet, Item, Source};
use crate::provision::ConnectorError;

fn syncing(facets: &[Facet]) -> Lifecycle {
    Lifecycle { sync: facets.iter().copied().collect(), ..Lifecycle::default() }
}

/// Ada, of whom the provider names no teams unless it is said.
fn ada(changes: Value) -> Identity {
    person("ada", changes)
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn person(name: &str, changes: Value) -> Identity {
    let mut claims = json!({ "teams": [] });
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    super::person(name, claims)
}

fn all() -> World {
    World::living(syncing(&Facet::ALL))
}

impl World {
    fn held(&self) -> Entitlements {
        self.app.account("ada").entitlements
    }

    /// What an administrator does in the application.
    fn by_hand(&self, change: impl FnOnce(&mut Entitlements)) {
        change(&mut self.app.state.lock().unwrap().accounts[0].entitlements);
    }
}

#[tokio::test]
async fn l3_every_facet_is_made_to_match_at_each_sign_in() {
    let world = all();
    world.login(&ada(json!({}))).await.unwrap();
    world
        .login(&ada(json!({ "groups": ["auditors"], "teams": ["public"], "name": "Ada King" })))
        .await
        .unwrap();
    let held = world.held();
    assert_eq!(held.role.as_deref(), Some("reader"));
    assert_eq!(held.teams.into_keys().collect::<Vec<_>>(), ["public"]);
    assert!(held.app_groups.is_empty() && held.permissions.is_empty());
    assert_eq!(world.app.account("ada").profile.display_name.as_deref(), Some("Ada King"));
    // And back.
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.held().role.as_deref(), Some("user"), "the default, where the provider names none");
    assert_eq!(world.held().teams["acme/developers"].as_deref(), Some("maintainer"));
    assert_eq!(provisioned.grant().entitlements, world.held(), "the session carries what the account holds");
}

#[tokio::test]
async fn l3_a_facet_that_is_not_synced_stays() {
    for (facet, kept) in [
        (Facet::Role, "acme/developers builders deploy"),
        (Facet::Teams, "user builders deploy"),
        (Facet::Groups, "user acme/developers deploy"),
        (Facet::Permissions, "user acme/developers builders"),
    ] {
        let others: Vec<Facet> = Facet::ALL.into_iter().filter(|one| *one == facet).collect();
        let world = World::living(syncing(&others));
        world.login(&ada(json!({}))).await.unwrap();
        world.login(&ada(json!({ "groups": ["auditors"], "name": "New" }))).await.unwrap();
        let held = world.held();
        let held: Vec<String> = held
            .role
            .into_iter()
            .filter(|role| role != "reader")
            .chain(held.teams.into_keys())
            .chain(held.app_groups)
            .chain(held.permissions)
            .collect();
        assert_eq!(held.join(" "), kept, "{facet:?}");
        assert_eq!(world.app.account("ada").profile.display_name.as_deref(), Some("ada of Example"));
    }
}

#[tokio::test]
async fn l4_a_sign_in_where_nothing_differs_writes_nothing_and_takes_no_lease() {
    let world = all();
    let process = world.process();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    world.app.forget_calls();
    process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
    assert!(world.app.writes().is_empty());
    assert_eq!(world.app.calls("").len(), 1, "{:?}", world.app.calls(""));
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().revision, 0);
}

#[tokio::test]
async fn l3_what_was_given_by_hand_stays_and_what_narthex_gave_goes() {
    let world = all();
    world.login(&ada(json!({}))).await.unwrap();
    world.by_hand(|held| {
        held.teams.insert("public".to_owned(), None);
        held.app_groups.insert("newcomers".to_owned());
    });
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    let held = world.held();
    assert_eq!(held.teams.into_keys().collect::<Vec<_>>(), ["public"]);
    assert_eq!(held.app_groups.into_iter().collect::<Vec<_>>(), ["newcomers"]);
}

#[tokio::test]
async fn l3_what_was_given_by_hand_and_then_mapped_and_then_not_stays() {
    let world = all();
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    world.by_hand(|held| {
        held.teams.insert("acme/developers".to_owned(), Some("maintainer".to_owned()));
    });
    world.login(&ada(json!({}))).await.unwrap();
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    assert!(world.held().teams.contains_key("acme/developers"));
}

#[tokio::test]
async fn l3_what_narthex_gave_at_a_later_sign_in_is_in_the_ledger_too() {
    let world = all();
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    world.login(&ada(json!({}))).await.unwrap();
    let ledger = world.member(&ada(json!({}))).await.unwrap().ledger;
    assert_eq!(ledger.source(&Item::Team("acme/developers".to_owned())), Some(Source::Sso));
    assert_eq!(ledger.source(&Item::Team("acme/readers".to_owned())), Some(Source::Onboarding));
    assert_eq!(ledger.source(&Item::Role), Some(Source::Default));
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    let held = world.held().teams.into_keys().collect::<Vec<_>>();
    assert_eq!(held, ["acme/readers"], "onboarding is no mapping that ended");
    let ledger = world.member(&ada(json!({}))).await.unwrap().ledger;
    assert_eq!(ledger.source(&Item::Team("acme/developers".to_owned())), None);
}

#[tokio::test]
async fn l3_sync_removes_all_takes_what_was_given_by_hand_within_managed_teams() {
    let mut world = all();
    world.settings.lifecycle.sync_removes = SyncRemoves::All;
    world.settings.lifecycle.managed_teams = vec!["acme/*".to_owned()];
    world.login(&ada(json!({}))).await.unwrap();
    world.by_hand(|held| {
        held.teams.insert("public".to_owned(), None);
        held.teams.insert("acme/readers".to_owned(), None);
        held.permissions.insert("sudo".to_owned());
    });
    world.login(&ada(json!({}))).await.unwrap();
    let held = world.held();
    assert_eq!(held.teams.into_keys().collect::<Vec<_>>(), ["acme/developers", "public"]);
    assert_eq!(held.permissions.into_iter().collect::<Vec<_>>(), ["deploy"]);
}

#[tokio::test]
async fn l3_an_adopted_account_is_synced_at_its_first_sign_in() {
    let world = all();
    world.app.has(account("7", "ada", "ada@example.com"));
    world.login(&ada(json!({ "groups": ["auditors", "engineers"] }))).await.unwrap();
    let held = world.held();
    assert_eq!(held.role.as_deref(), Some("reader"));
    assert!(held.teams.contains_key("acme/developers"));
}

#[tokio::test]
async fn l7_unknown_groups_take_nothing_away() {
    let overage = json!({ "_claim_names": { "groups": "src1" } });
    for unknown in [json!({ "groups": null }), overage, json!({ "hasgroups": "true" })] {
        let world = all();
        world.login(&ada(json!({ "groups": ["engineers", "auditors"] }))).await.unwrap();
        let before = world.held();
        world.login(&ada(unknown.clone())).await.unwrap();
        assert_eq!(world.held(), before, "{unknown}");
    }
}

#[tokio::test]
async fn l7_groups_absent_none_takes_an_absent_claim_for_an_empty_one() {
    let mut world = all();
    world.login(&ada(json!({}))).await.unwrap();
    world.settings.absent_groups_are_none = true;
    world.login(&ada(json!({ "groups": null }))).await.unwrap();
    assert!(world.held().teams.is_empty());
}

#[tokio::test]
async fn l7_an_absent_teams_claim_takes_away_no_team_that_it_could_name() {
    let mut world = all();
    world.login(&ada(json!({ "teams": ["public"] }))).await.unwrap();
    world.settings.assignable_teams = vec!["public".to_owned()];
    world.login(&ada(json!({ "teams": null, "groups": [] }))).await.unwrap();
    assert_eq!(world.held().teams.into_keys().collect::<Vec<_>>(), ["public"]);
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    assert!(world.held().teams.is_empty());
}

#[tokio::test]
async fn l3_a_name_that_the_application_does_not_list_just_now_is_not_taken_away() {
    let world = all();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.state.lock().unwrap().names.remove(&crate::provision::connector::Kind::Team);
    world.app.state.lock().unwrap().names.insert(crate::provision::connector::Kind::Team, Vec::new());
    world.login(&ada(json!({}))).await.unwrap();
    assert!(world.held().teams.contains_key("acme/developers"));
}

#[tokio::test]
async fn g1_the_last_administrator_stays_one_and_comes_in() {
    let world = all();
    world.login(&ada(json!({ "groups": ["platform-admins"] }))).await.unwrap();
    assert_eq!(world.held().role.as_deref(), Some("admin"));
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.held().role.as_deref(), Some("admin"), "the demotion is left out");
    assert!(world.held().teams.contains_key("acme/developers"), "and the rest is done");
    let second = crate::model::Account { privileged: true, ..account("9", "root", "root@example.com") };
    world.app.has(second);
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.held().role.as_deref(), Some("user"));
}

#[tokio::test]
async fn g3_further_removals_within_an_hour_wait_and_nobody_is_refused_for_it() {
    let mut world = all();
    world.settings.lifecycle.max_removals = 4;
    let people = ["ada", "bob", "eve"];
    for name in people {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    // Three things each are not mapped any more: a team, an application group, a permission.
    for name in people {
        world.login(&person(name, json!({ "groups": ["auditors"] }))).await.unwrap();
        assert_eq!(
            world.app.account(name).entitlements.role.as_deref(),
            Some("reader"),
            "what is given is given"
        );
    }
    let with_team = |name: &&str| !world.app.account(name).entitlements.teams.is_empty();
    assert_eq!(people.iter().filter(|name| with_team(name)).count(), 2);
    world.later(Duration::from_hours(1));
    world.login(&person("bob", json!({ "groups": ["auditors"] }))).await.unwrap();
    assert_eq!(people.iter().filter(|name| with_team(name)).count(), 1);
}

#[tokio::test]
async fn g3_x1_what_waits_is_foreseen_and_told() {
    let mut world = all();
    for name in ["ada", "bob"] {
        world.login(&person(name, json!({}))).await.unwrap();
    }
    world.settings.lifecycle.max_removals = 4;
    let auditor = |name| person(name, json!({ "groups": ["auditors"] }));
    for (number, (name, waits)) in [("ada", 0), ("bob", 3)].into_iter().enumerate() {
        let rehearsed = world.telling_process().rehearse(&auditor(name)).await;
        let (result, told) = world.told_login(&auditor(name), u64::try_from(number).unwrap()).await;
        result.unwrap();
        assert_eq!((rehearsed.paused, told.paused), (waits, waits), "{name}");
        assert_eq!(explain::as_done(rehearsed), told, "{name}");
    }
}

#[tokio::test]
async fn g3_an_administrator_is_not_demoted_beyond_the_limit() {
    let mut world = all();
    world.app.has(crate::model::Account { privileged: true, ..account("9", "root", "root@example.com") });
    world.settings.lifecycle.max_removals = 0;
    world.login(&ada(json!({ "groups": ["platform-admins"] }))).await.unwrap();
    world.login(&ada(json!({ "groups": ["auditors"] }))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("admin"));
    world.settings.lifecycle.max_removals = 1;
    world.login(&ada(json!({ "groups": ["auditors"] }))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("reader"));
}

#[tokio::test]
async fn f8_a_username_changes_only_with_rename() {
    let mut world = World::living(syncing(&[Facet::Profile]));
    world.login(&ada(json!({}))).await.unwrap();
    let renamed = ada(json!({ "preferred_username": "lovelace", "email": "lovelace@example.com" }));
    world.login(&renamed).await.unwrap();
    assert_eq!(world.app.account("ada").profile.email.as_deref(), Some("lovelace@example.com"));
    world.settings.lifecycle.rename = true;
    let provisioned = world.login(&renamed).await.unwrap();
    assert_eq!(world.app.accounts()[0].profile.username, "lovelace");
    assert_eq!(provisioned.account().unwrap().profile.username, "lovelace", "the headers name it so at once");
    assert_eq!(world.member(&renamed).await.unwrap().username, "lovelace");
}

#[tokio::test]
async fn f8_a_name_or_email_that_another_account_has_refuses_nobody() {
    let world = World::living(syncing(&[Facet::Profile]));
    world.login(&ada(json!({}))).await.unwrap();
    let taken = ConnectorError::Conflict { operation: "update", excerpt: "taken".to_owned() };
    world.app.next("update", Mishap::Error(taken));
    let provisioned = world.login(&ada(json!({ "email": "root@example.com" }))).await.unwrap();
    assert_eq!(provisioned.account().unwrap().profile.email.as_deref(), Some("ada@example.com"));
}

#[tokio::test]
async fn f1_a_profile_is_synced_within_the_providers_authority_only() {
    let mut world = World::living(syncing(&[Facet::Profile]));
    let template = crate::expr::Template::compile("{{ claims.upn }}").unwrap();
    let source = AttributeSource::Template(template);
    world.settings.attributes.insert("email".to_owned(), Attribute { source, required: None, enabled: true });
    let email = || world.app.account("ada").profile.email.unwrap();
    world.login(&ada(json!({ "upn": "lovelace@example.com" }))).await.unwrap();
    world.login(&ada(json!({ "upn": "ceo@other.test" }))).await.unwrap();
    assert_eq!(email(), "lovelace@example.com");
    world.login(&ada(json!({ "upn": "king@example.com" }))).await.unwrap();
    assert_eq!(email(), "king@example.com");
}

#[tokio::test]
async fn l3_a_failed_change_refuses_the_sign_in_and_the_next_one_makes_it() {
    let world = all();
    world.login(&ada(json!({}))).await.unwrap();
    let refused = ConnectorError::Refused { operation: "entitle", status: 422, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    let auditor = ada(json!({ "groups": ["auditors"] }));
    let error = world.login(&auditor).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Connector(ConnectorError::Refused { .. })), "{error:?}");
    world.login(&auditor).await.unwrap();
    assert_eq!(world.held().role.as_deref(), Some("reader"));
    assert!(world.held().teams.is_empty());
}

#[tokio::test]
async fn l3_a_missing_team_is_made_at_a_later_sign_in_too() {
    let mut world = all();
    world.settings.unknown_team = UnknownTeam::Create;
    world.login(&ada(json!({}))).await.unwrap();
    world.login(&ada(json!({ "teams": ["acme/new"] }))).await.unwrap();
    assert!(world.held().teams.contains_key("acme/new"));
}

#[tokio::test]
async fn m5_with_mode_off_nothing_is_synced() {
    let mut world = all();
    world.login(&ada(json!({}))).await.unwrap();
    world.settings.mode = Mode::Off;
    world.app.forget_calls();
    world.login(&ada(json!({ "groups": ["auditors"] }))).await.unwrap();
    assert!(world.app.writes().is_empty());
}
