//! E4: role and teams given and taken by an administrator's hand.

use serde_json::json;

use super::fake::{Fake, Mishap, account};
use super::*;
use crate::model::{Account, ConsoleRole, Facet, Item, Leaving, Source};
use crate::provision::ConnectorError;
use crate::provision::assign::{AssignError, Assigned, Assignment};

const ANNA: ConsoleRole = ConsoleRole::Administrator;
const OLAF: ConsoleRole = ConsoleRole::Operator;

fn role(role: &str) -> Assignment {
    Assignment { role: Some(role.to_owned()), ..Assignment::default() }
}

fn teams(add: &[&str], remove: &[&str]) -> Assignment {
    Assignment {
        add_teams: add.iter().map(|&team| (team.to_owned(), None)).collect(),
        remove_teams: remove.iter().map(|&team| team.to_owned()).collect(),
        ..Assignment::default()
    }
}

async fn assign(world: &World, assignment: Assignment, by: ConsoleRole) -> Result<Assigned, AssignError> {
    let id = world.member(&ada(json!({}))).await.unwrap().id;
    world.process().assign(id, None, &assignment, by).await
}

/// Ada the engineer, signed in: a user, and a maintainer of acme/developers.
async fn signed_in(world: &World) -> Member {
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.member(&ada(json!({}))).await.unwrap()
}

fn held(world: &World) -> (String, Vec<String>) {
    let held = world.app.account("ada").entitlements;
    (held.role.unwrap(), held.teams.into_keys().collect())
}

#[tokio::test]
async fn e4_role_and_teams_change_in_the_application_and_are_the_consoles_in_the_ledger() {
    let world = World::new();
    signed_in(&world).await;
    let assignment =
        Assignment { role: Some("reader".to_owned()), ..teams(&["public"], &["acme/developers"]) };
    let done = assign(&world, assignment.clone(), OLAF).await.unwrap();
    assert_eq!(held(&world), ("reader".to_owned(), vec!["public".to_owned()]));
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member, done.member);
    for item in [Item::Role, Item::Team("public".to_owned())] {
        assert_eq!(member.ledger.source(&item), Some(Source::Console), "{item}");
    }
    assert_eq!(member.ledger.source(&Item::Team("acme/developers".to_owned())), None);
    assert_eq!((done.before.role.as_deref(), done.after.role.as_deref()), (Some("user"), Some("reader")));
    assert!(done.before.teams.contains_key("acme/developers") && done.after.teams.contains_key("public"));
    assert!(world.has_session(1).await, "sessions go on unless they are to end");

    world.app.forget_calls();
    let again = assign(&world, assignment, OLAF).await.unwrap();
    assert_eq!((world.app.writes(), again.member.revision), (Vec::new(), member.revision), "nothing differs");
    world.sign_in(&ada(json!({})), 2).await.unwrap();
    assert_eq!(held(&world), ("reader".to_owned(), vec!["public".to_owned()]), "L1: it stays so");
}

#[tokio::test]
async fn e4_a_team_that_is_held_keeps_its_role_where_none_is_said() {
    let world = World::new();
    signed_in(&world).await;
    assign(&world, teams(&["acme/developers"], &[]), OLAF).await.unwrap();
    let held = world.app.account("ada").entitlements.teams;
    assert_eq!(held["acme/developers"].as_deref(), Some("maintainer"));
    let mut said = Assignment::default();
    said.add_teams.insert("acme/developers".to_owned(), Some("member".to_owned()));
    assign(&world, said, OLAF).await.unwrap();
    let held = world.app.account("ada").entitlements.teams;
    assert_eq!(held["acme/developers"].as_deref(), Some("member"));
}

#[tokio::test]
async fn e4_sessions_end_where_that_is_asked_for() {
    let world = World::new();
    signed_in(&world).await;
    assign(&world, Assignment { end_sessions: true, ..role("reader") }, OLAF).await.unwrap();
    assert!(!world.has_session(1).await);
}

#[tokio::test]
async fn l3_what_sync_decides_is_not_changed_by_hand() {
    let mut world = World::living(Lifecycle { sync: [Facet::Teams].into(), ..Lifecycle::default() });
    signed_in(&world).await;
    let refused = assign(&world, teams(&["public"], &[]), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::Synced { what: "the teams", .. }), "{refused:?}");
    let refused = assign(&world, teams(&[], &["acme/developers"]), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::Synced { .. }), "{refused:?}");
    assign(&world, role("reader"), ANNA).await.unwrap();
    world.settings.mode = Mode::Off;
    assign(&world, teams(&["public"], &[]), ANNA).await.unwrap();
}

#[tokio::test]
async fn e4_what_is_privileged_is_given_and_taken_by_who_may() {
    let world = World::new();
    world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
    signed_in(&world).await;
    let mut owner = Assignment::default();
    owner.add_teams.insert("public".to_owned(), Some("owner".to_owned()));
    for assignment in [role("admin"), teams(&["acme/owners"], &[]), owner] {
        let refused = assign(&world, assignment.clone(), OLAF).await.unwrap_err();
        assert!(matches!(refused, AssignError::Privileged { .. }), "{refused:?}");
    }
    assert_eq!(held(&world).0, "user");
    assign(&world, role("admin"), ANNA).await.unwrap();
    assert!(world.app.account("ada").privileged);
    let refused = assign(&world, role("user"), OLAF).await.unwrap_err();
    assert!(matches!(refused, AssignError::Privileged { .. }), "{refused:?}");
    assign(&world, role("user"), ANNA).await.unwrap();
    assert!(!world.app.account("ada").privileged);
}

#[tokio::test]
async fn e4_what_the_application_cannot_list_is_given_and_taken_by_who_may_unless_it_is_configured() {
    let mut world = World::new();
    let mut app = Fake::new();
    app.lists_nothing();
    world.app = Arc::new(app);
    world.sign_in(&ada(json!({ "groups": ["auditors", "engineers"] })), 1).await.unwrap();
    let refused = async |assignment: Assignment| {
        let refused = assign(&world, assignment, OLAF).await.unwrap_err();
        assert!(matches!(refused, AssignError::Privileged { .. }), "{refused:?}");
    };
    let in_public = |role: &str| {
        let mut within = Assignment::default();
        within.add_teams.insert("public".to_owned(), Some(role.to_owned()));
        within
    };
    // The configuration names these as ordinary.
    for ordinary in [role("user"), teams(&["public"], &[]), in_public("maintainer"), teams(&[], &["public"])]
    {
        assign(&world, ordinary, OLAF).await.unwrap();
    }
    // Nobody knows what these are; a row that is marked as privileged names `admin`.
    for unlisted in [role("king"), role("admin"), teams(&["secret"], &[]), in_public("chief")] {
        refused(unlisted.clone()).await;
        assign(&world, unlisted, ANNA).await.unwrap();
    }
    // Nor does an operator take them away, by a removal or by another in its place.
    for taking in [role("user"), teams(&[], &["secret"]), in_public("maintainer"), teams(&[], &["public"])] {
        refused(taking.clone()).await;
    }
    assert_eq!(held(&world).0, "admin");
    for taking in [role("user"), teams(&[], &["secret", "public"])] {
        assign(&world, taking, ANNA).await.unwrap();
    }
    assert_eq!(held(&world), ("user".to_owned(), vec!["acme/developers".to_owned()]));
}

#[tokio::test]
async fn g1_the_last_administrator_is_not_demoted_by_hand_either_and_nothing_is_on_record() {
    let world = World::new();
    world.sign_in(&ada(json!({ "groups": ["platform-admins"] })), 1).await.unwrap();
    let before = world.member(&ada(json!({}))).await.unwrap();
    let refused = assign(&world, role("user"), ANNA).await.unwrap_err();
    let guarded = |error: &AssignError, of: &str| {
        matches!(error, AssignError::Provision(ProvisionError::Connector(ConnectorError::Guarded { rule, .. }))
            if *rule == of)
    };
    assert!(guarded(&refused, "G1"), "{refused:?}");
    assert_eq!(held(&world).0, "admin");
    assert_eq!(world.member(&ada(json!({}))).await.unwrap(), before);
}

#[tokio::test]
async fn g2_a_protected_account_is_not_changed_by_hand() {
    let mut world = World::new();
    signed_in(&world).await;
    world.settings.protected_accounts = vec!["ada".to_owned()];
    let refused = assign(&world, role("reader"), ANNA).await.unwrap_err();
    assert!(
        matches!(
            refused,
            AssignError::Provision(ProvisionError::Connector(ConnectorError::Guarded { rule: "G2", .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(held(&world).0, "user");
}

#[tokio::test]
async fn e4_what_cannot_be_is_refused_and_says_why() {
    let mut world = World::new();
    let member = signed_in(&world).await;
    let refused = assign(&world, role("king"), ANNA).await.unwrap_err();
    assert!(matches!(&refused, AssignError::Unknown { what: "role", name } if name == "king"), "{refused:?}");
    let refused = assign(&world, teams(&["nowhere"], &[]), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::Unknown { what: "team", .. }), "{refused:?}");
    let refused = assign(&world, teams(&["public"], &["public"]), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::AddedAndRemoved { .. }), "{refused:?}");
    let refused = world.process().assign(member.id, Some(member.revision + 1), &role("reader"), ANNA).await;
    assert!(
        matches!(refused, Err(AssignError::Changed { revision }) if revision == member.revision),
        "{refused:?}"
    );
    world.process().assign(member.id, Some(member.revision), &role("reader"), ANNA).await.unwrap();
    let nobody = crate::model::MemberId(uuid::Uuid::nil());
    let refused = world.process().assign(nobody, None, &role("reader"), ANNA).await.unwrap_err();
    let gone = matches!(refused, AssignError::Provision(ProvisionError::Store(StoreError::Gone { .. })));
    assert!(gone, "{refused:?}");
    world.settings.lifecycle.managed_teams = vec!["other/*".to_owned()];
    let refused = assign(&world, teams(&[], &["acme/developers"]), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::Unmanaged { .. }), "{refused:?}");
    world.settings.shadow = true;
    let refused = assign(&world, role("user"), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::Shadow), "M6: {refused:?}");
    assert_eq!(held(&world).0, "reader");
}

#[tokio::test]
async fn e4_who_has_no_account_has_no_role_to_be_changed() {
    let mut world = World::living(Lifecycle { leaver: Leaving::Delete, ..Lifecycle::default() });
    let member = signed_in(&world).await;
    world.process().revoke(member.id).await.unwrap();
    let refused = assign(&world, role("reader"), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::NoAccount { .. }), "about to go: {refused:?}");
    world.run_jobs().await;
    let refused = assign(&world, role("reader"), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::NoAccount { .. }), "gone: {refused:?}");
    world = World::new();
    signed_in(&world).await;
    world.app.state.lock().unwrap().accounts.clear();
    let refused = assign(&world, role("reader"), ANNA).await.unwrap_err();
    assert!(matches!(refused, AssignError::NoAccount { .. }), "vanished: {refused:?}");
}

#[tokio::test]
async fn l2_a_borrowed_role_lasts_its_session_and_then_comes_what_was_assigned() {
    let world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() });
    world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
    signed_in(&world).await;
    world.sign_out(1).await;
    world.sign_in(&ada(json!({ "groups": ["auditors"] })), 2).await.unwrap();
    assert_eq!(held(&world).0, "reader", "borrowed");
    let assignment =
        Assignment { role: Some("admin".to_owned()), ..teams(&["public"], &["acme/developers"]) };
    let done = assign(&world, assignment, ANNA).await.unwrap();
    assert_eq!(held(&world), ("reader".to_owned(), vec!["public".to_owned()]), "the session keeps its role");
    assert_eq!((done.before.role.as_deref(), done.after.role.as_deref()), (Some("user"), Some("admin")));
    assert!(world.has_session(2).await);
    world.run_jobs().await;
    assert_eq!(held(&world).0, "reader");
    world.sign_out(2).await;
    world.run_jobs().await;
    assert_eq!(held(&world), ("admin".to_owned(), vec!["public".to_owned()]));
    assert!(world.member(&ada(json!({}))).await.unwrap().borrowed.is_empty());
}

#[tokio::test]
async fn l2_what_is_ended_with_the_assignment_is_given_back_at_once() {
    let world = World::with(Provisioning { session_roles: SessionRoles::Borrow, ..settings() });
    signed_in(&world).await;
    world.sign_in(&ada(json!({ "groups": ["auditors"] })), 2).await.unwrap();
    let assignment = Assignment { end_sessions: true, ..teams(&["public"], &[]) };
    assign(&world, assignment, ANNA).await.unwrap();
    assert!(!world.has_session(2).await);
    world.run_jobs().await;
    assert_eq!(held(&world), ("user".to_owned(), vec!["acme/developers".to_owned(), "public".to_owned()]));
}

#[tokio::test]
async fn e4_an_application_that_refuses_leaves_a_ledger_that_the_next_try_finds() {
    let world = World::new();
    signed_in(&world).await;
    let refused = ConnectorError::Refused { operation: "entitle", status: 422, excerpt: String::new() };
    world.app.next("entitle", Mishap::Error(refused));
    assign(&world, role("reader"), ANNA).await.unwrap_err();
    assert_eq!(held(&world).0, "user");
    assign(&world, role("reader"), ANNA).await.unwrap();
    assert_eq!(held(&world).0, "reader");
}
