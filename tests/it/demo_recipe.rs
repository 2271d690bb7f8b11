//! The demo's recipe on the demo's application: every operation that it describes, and what it makes of an
//! application that misbehaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use narthex::config::settings::{Application, Credential};
use narthex::demo::application::{Lie, LieTo};
use narthex::model::{AccountProfile, EmailAddress, Entitlements, Secret};
use narthex::platform::Outbound;
use narthex::provision::catalogue;
use narthex::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy, Kind};
use url::Url;

use crate::support::Parties;

fn connector_with(parties: &Parties, token: Secret) -> Arc<dyn Connector> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/legacy.toml");
    let application = Application {
        connector: recipe.to_str().unwrap().to_owned(),
        url: Url::parse(parties.app.url()).unwrap(),
        credential: Credential::Bearer(token),
    };
    let outbound = Outbound::new(&[]).unwrap();
    catalogue::connector(&application, outbound, parties.platform.clone())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn connector(parties: &Parties) -> Arc<dyn Connector> {
    connector_with(parties, parties.app.api_token().clone())
}

fn ada() -> AccountProfile {
    AccountProfile {
        username: "ada".to_owned(),
        email: Some("ada@example.com".to_owned()),
        display_name: Some("Ada Example".to_owned()),
        attributes: BTreeMap::new(),
    }
}

fn team(name: &str, role: &str) -> Entitlements {
    let teams = BTreeMap::from([(name.to_owned(), Some(role.to_owned()))]);
    Entitlements { teams, ..Entitlements::default() }
}

#[tokio::test]
async fn the_api_is_reached_and_says_whose_credential_it_is() {
    let parties = Parties::start().await;
    let checked = connector(&parties).check().await.unwrap();
    assert_eq!(checked.version.as_deref(), Some("4.2.0"));
    assert_eq!(checked.own_account.unwrap().0, "1");
    let refused = connector_with(&parties, Secret::new("nonsense")).check().await;
    assert!(matches!(refused, Err(ConnectorError::Credential { status: 401, .. })), "{refused:?}");
}

#[tokio::test]
async fn an_account_goes_through_its_whole_life() {
    let parties = Parties::start().await;
    let connector = connector(&parties);
    let email = EmailAddress::parse("ada@example.com").unwrap();
    assert_eq!(connector.find(FindBy::Email(&email)).await.unwrap(), []);
    assert_eq!(connector.find(FindBy::Username("ada")).await.unwrap(), []);

    let account = connector.create(&ada(), Some("editor")).await.unwrap();
    assert_eq!(parties.app.user("ada").unwrap().name, "Ada Example");
    assert_eq!((account.active, account.privileged), (true, false));
    let conflict = connector.create(&ada(), None).await;
    assert!(matches!(conflict, Err(ConnectorError::Conflict { .. })), "{conflict:?}");

    let mut add = team("developers", "lead");
    add.teams.insert("support".to_owned(), None);
    let change = EntitlementChange { add, ..EntitlementChange::default() };
    connector.set_entitlements(&account, &change).await.unwrap();
    let teams = [("developers".to_owned(), "lead".to_owned()), ("support".to_owned(), "member".to_owned())];
    assert_eq!(parties.app.teams_of("ada"), teams);

    for by in [FindBy::Id(&account.id), FindBy::Email(&email), FindBy::Username("ADA")] {
        let found = connector.find(by).await.unwrap();
        let [found] = found.as_slice() else { panic!("{by:?}: {found:?}") };
        assert_eq!((&found.id, found.entitlements.role.as_deref()), (&account.id, Some("editor")));
        assert_eq!(found.entitlements.teams["developers"].as_deref(), Some("lead"));
    }

    let remove = EntitlementChange {
        role: Some("admin".to_owned()),
        remove: team("support", "member"),
        ..EntitlementChange::default()
    };
    connector.set_entitlements(&account, &remove).await.unwrap();
    assert_eq!(parties.app.teams_of("ada").len(), 1);
    let found = connector.find(FindBy::Id(&account.id)).await.unwrap();
    assert!(found[0].privileged, "an administrator's account is never taken over");
    let privileged = connector.find(FindBy::Privileged).await.unwrap();
    let mut names: Vec<_> = privileged.iter().map(|account| account.profile.username.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ada", "root"]);

    let renamed = AccountProfile { display_name: Some("Ada King".to_owned()), ..ada() };
    connector.update(&account, &renamed).await.unwrap();
    assert_eq!(parties.app.user("ada").unwrap().name, "Ada King");
    connector.deactivate(&account).await.unwrap();
    assert!(!parties.app.user("ada").unwrap().active);
    assert!(!connector.find(FindBy::Id(&account.id)).await.unwrap()[0].active);
    connector.reactivate(&account).await.unwrap();
    assert!(parties.app.user("ada").unwrap().active);
    connector.delete(&account).await.unwrap();
    assert_eq!(parties.app.user("ada"), None);
    connector.delete(&account).await.unwrap();
}

#[tokio::test]
async fn names_are_listed_over_all_pages_and_teams_can_be_made() {
    let parties = Parties::start().await;
    let connector = connector(&parties);
    for n in 0..120 {
        parties.app.edit(|directory| directory.create_team(&format!("team {n}")).map(|_| ())).unwrap();
    }
    connector.create_team("brand new").await.unwrap();
    let names = async |kind| {
        let listed = connector.list(kind).await.unwrap().unwrap();
        listed.into_iter().map(|named| named.name).collect::<Vec<_>>()
    };
    let teams = names(Kind::Team).await;
    assert!(teams.len() == 124 && teams.contains(&"brand new".to_owned()), "{}", teams.len());
    assert_eq!(names(Kind::TeamRole).await, ["member", "lead"]);
    let roles = connector.list(Kind::Role).await.unwrap().unwrap();
    let privileged: Vec<_> = roles.iter().filter(|role| role.privileged).map(|role| &*role.name).collect();
    assert_eq!((roles.len(), privileged), (3, vec!["admin"]));
}

#[tokio::test]
async fn a4_an_application_that_lies_is_found_out() {
    let parties = Parties::start().await;
    let connector = connector(&parties);
    let create = LieTo::Calls { method: Method::POST, path: "/api/users".to_owned() };
    let status = |status| Lie::Status { status, message: "no".to_owned(), retry_after: Some(7) };
    let outcome = async |lie: Lie| {
        parties.app.set_lie(create.clone(), lie);
        connector.create(&ada(), None).await.unwrap_err()
    };
    let html = outcome(Lie::Html).await;
    assert!(matches!(html, ConnectorError::Unexpected { status: 200, .. }), "{html:?}");
    let busy = outcome(status(503)).await;
    assert!(
        matches!(busy, ConnectorError::Busy { after: Some(after), .. } if after == Duration::from_secs(7)),
        "{busy:?}"
    );
    let refused = outcome(status(403)).await;
    assert!(matches!(refused, ConnectorError::Credential { status: 403, .. }), "{refused:?}");
    let conflict = outcome(status(409)).await;
    assert!(matches!(conflict, ConnectorError::Conflict { .. }), "{conflict:?}");
    assert_eq!(parties.app.user("ada"), None, "so far nothing was made");

    let lost = outcome(Lie::LoseAnswer).await;
    assert!(matches!(lost, ConnectorError::Unreachable { sent: true, .. }), "{lost:?}");
    assert!(parties.app.user("ada").is_some());
    parties.app.edit(|directory| {
        let id = directory.by_username("ada").unwrap().id;
        directory.delete(id).unwrap();
    });
    let nameless = outcome(Lie::MissingId).await;
    assert!(matches!(nameless, ConnectorError::Unexpected { .. }), "{nameless:?}");
}

#[tokio::test]
async fn an_application_that_is_down_is_unreachable_and_comes_back() {
    let parties = Parties::start().await;
    let connector = connector(&parties);
    parties.app.set_down(true);
    let down = connector.check().await;
    assert!(matches!(down, Err(ConnectorError::Unreachable { .. })), "{down:?}");
    parties.app.set_down(false);
    connector.check().await.unwrap();
}
