//! What is particular to JupyterHub and Miniflux.

use serde_json::{Value as Json, json};

use crate::model::{AccountId, AccountProfile, Entitlements};
use crate::provision::connector::{ConnectorError, EntitlementChange, FindBy, Kind};

use super::fake::{Fake, Reply, account};

fn person(name: &str, admin: bool) -> Json {
    json!({ "kind": "user", "name": name, "admin": admin, "groups": ["readers"], "roles": ["user"] })
}

#[tokio::test]
async fn jupyterhub_accounts_are_asked_for_and_made_in_lower_case() {
    let fake = Fake::start(|_| Reply::json(201, &person("ada", false))).await;
    let connector = fake.connector("jupyterhub");
    let wanted = AccountProfile { username: "Ada".to_owned(), ..AccountProfile::default() };
    let made = connector.create(&wanted, Some("admin")).await.unwrap();
    assert_eq!(made.entitlements.app_groups.iter().collect::<Vec<_>>(), ["readers"]);
    assert_eq!(connector.find(FindBy::Username("Ada")).await.unwrap().len(), 1);
    let seen = fake.seen();
    assert_eq!(
        (seen[0].line().as_str(), seen[0].json()),
        ("POST /hub/api/users/ada", json!({ "admin": true }))
    );
    assert_eq!(seen[1].line(), "GET /hub/api/users/ada");
}

#[tokio::test]
async fn jupyterhub_groups_are_left_with_a_body() {
    let fake = Fake::start(|_| Reply::json(200, &json!({ "name": "eng", "users": [] }))).await;
    let remove = Entitlements { app_groups: ["eng x".to_owned()].into(), ..Entitlements::default() };
    let change = EntitlementChange { remove, ..EntitlementChange::default() };
    fake.connector("jupyterhub").set_entitlements(&account("ada", "ada"), &change).await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen[0].line(), "DELETE /hub/api/groups/eng%20x/users");
    assert_eq!(seen[0].json(), json!({ "users": ["ada"] }));
}

#[tokio::test]
async fn jupyterhub_lists_are_read_page_by_page() {
    let fake = Fake::start(|seen| {
        assert_eq!(seen.header("accept"), "application/jupyterhub-pagination+json");
        let name = if seen.target.contains("offset=0") { "one" } else { "two" };
        Reply::json(200, &json!({ "items": [{ "name": name }], "_pagination": { "total": 2 } }))
    })
    .await;
    let groups = fake.connector("jupyterhub").list(Kind::AppGroup).await.unwrap().unwrap();
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(fake.lines()[1], "GET /hub/api/groups?limit=200&offset=1");
}

#[tokio::test]
async fn miniflux_user_called_like_an_id_is_not_the_user_with_that_id() {
    let fake = Fake::start(|_| {
        Reply::json(
            200,
            &json!([{ "id": 42, "username": "root", "is_admin": true }, { "id": 3, "username": "42", "is_admin": false }]),
        )
    })
    .await;
    let found = fake.connector("miniflux").find(FindBy::Username("42")).await.unwrap();
    assert_eq!(
        found.iter().map(|account| account.id.clone()).collect::<Vec<_>>(),
        [AccountId("3".to_owned())]
    );
    assert_eq!(fake.seen()[0].header("x-auth-token"), "the-admin-token");
}

#[tokio::test]
async fn lesson_32_a_username_in_place_of_an_id_finds_nobody() {
    // Miniflux gives the user called "ada" for /v1/users/ada too.
    let fake =
        Fake::start(|_| Reply::json(200, &json!({ "id": 3, "username": "ada", "is_admin": false }))).await;
    let found = fake.connector("miniflux").find(FindBy::Id(&AccountId("ada".to_owned()))).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn miniflux_says_with_400_that_a_name_is_taken() {
    let fake =
        Fake::start(|_| Reply::json(400, &json!({ "error_message": "This user already exists." }))).await;
    let wanted = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
    let error = fake.connector("miniflux").create(&wanted, Some("user")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Conflict { .. }), "{error}");
    assert_eq!(fake.seen()[0].json()["is_admin"], false);
}
