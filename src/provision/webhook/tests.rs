//! The webhook connector against a loopback receiver.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::config::settings::Credential;
use crate::model::{AccountId, AccountProfile, EmailAddress, Entitlements, Secret, UnixTime};
use crate::platform::webhook::WebhookKeys;
use crate::provision::catalogue;
use crate::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy, Kind};
use crate::provision::rest::error::{RecipeError, RecipeFault};
use crate::provision::rest::recipe::Recipe;
use crate::provision::rest::tests::fake::{Fake, Reply, Seen, account};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn recipe() -> String {
    catalogue::source("webhook").unwrap()
}

fn connector(fake: &Fake) -> Arc<dyn Connector> {
    fake.with_recipe(&recipe(), Credential::Signing(Secret::new(SECRET))).unwrap()
}

fn ada() -> Json {
    json!({ "id": 7, "username": "ada", "email": "ada@example.com", "active": true, "role": "user",
            "teams": { "readers": null }, "since": "a word that narthex does not know" })
}

fn event(seen: &Seen) -> String {
    seen.json()["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_is_signed_over_the_bytes_that_are_sent_and_has_an_id_of_its_own() {
    let fake = Fake::start(|_| Reply::json(200, &json!({ "version": "3" }))).await;
    let connector = connector(&fake);
    for _ in 0..2 {
        assert_eq!(connector.check().await.unwrap().version.as_deref(), Some("3"));
    }
    let seen = fake.seen();
    for one in &seen {
        assert_eq!((one.line().as_str(), one.header("content-type")), ("POST ", "application/json"));
        let at = UnixTime(one.header("webhook-timestamp").parse().unwrap());
        let expected =
            WebhookKeys::new(&Secret::new(SECRET)).unwrap().sign(one.header("webhook-id"), at, &one.body);
        assert_eq!(one.header("webhook-signature"), expected);
        assert_eq!(one.json(), json!({ "type": "check", "data": {} }));
        assert_eq!(one.header("authorization"), "");
    }
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn accounts_are_found_and_compared_again() {
    let fake = Fake::start(|_| Reply::json(200, &json!({ "accounts": [ada()] }))).await;
    let connector = connector(&fake);
    let [found] = &connector.find(FindBy::Username("ADA")).await.unwrap()[..] else { panic!() };
    assert_eq!((found.id.0.as_str(), found.active, found.privileged), ("7", true, false));
    assert_eq!(found.entitlements.role.as_deref(), Some("user"));
    assert_eq!(found.entitlements.teams.keys().collect::<Vec<_>>(), ["readers"]);
    // A receiver that answers with somebody else finds nobody.
    assert!(connector.find(FindBy::Id(&AccountId("8".to_owned()))).await.unwrap().is_empty());
    let other = EmailAddress::parse("eve@example.com").unwrap();
    assert!(connector.find(FindBy::Email(&other)).await.unwrap().is_empty());
    assert!(connector.find(FindBy::Privileged).await.unwrap().is_empty());
    let asked: Vec<Json> = fake.seen().iter().map(|seen| seen.json()["data"]["by"].clone()).collect();
    assert_eq!(
        asked,
        [
            json!({ "username": "ADA" }),
            json!({ "id": "8" }),
            json!({ "email": "eve@example.com" }),
            json!({ "privileged": true })
        ]
    );
}

#[tokio::test]
async fn f7_what_the_recipe_or_the_receiver_calls_privileged_is() {
    for (role, said, privileged) in
        [("user", false, false), ("administrator", false, true), ("user", true, true)]
    {
        let fake = Fake::start(move |_| {
            let mut ada = ada();
            (ada["role"], ada["privileged"]) = (json!(role), json!(said));
            Reply::json(200, &json!({ "accounts": [ada] }))
        })
        .await;
        let found = connector(&fake).find(FindBy::Username("ada")).await.unwrap();
        assert_eq!(found[0].privileged, privileged, "{role} {said}");
    }
}

#[tokio::test]
async fn a_life_is_told_in_events() {
    let fake = Fake::start(|seen| match event(seen).as_str() {
        "account.create" => Reply::json(201, &json!({ "account": ada() })),
        "account.delete" => Reply::json(404, &json!({})),
        _ => Reply::empty(204),
    })
    .await;
    let connector = connector(&fake);
    let wanted = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
    let made = connector.create(&wanted, Some("user")).await.unwrap();
    let change = EntitlementChange {
        role: None,
        add: Entitlements { teams: [("writers".to_owned(), None)].into(), ..Entitlements::default() },
        remove: Entitlements { teams: [("readers".to_owned(), None)].into(), ..Entitlements::default() },
    };
    connector.set_entitlements(&made, &change).await.unwrap();
    let renamed = AccountProfile { display_name: Some("Ada".to_owned()), ..AccountProfile::default() };
    connector.update(&made, &renamed).await.unwrap();
    connector.deactivate(&made).await.unwrap();
    connector.reactivate(&made).await.unwrap();
    connector.create_team("new").await.unwrap();
    connector.delete(&made).await.unwrap();
    let told: Vec<Json> = fake.seen().iter().map(Seen::json).collect();
    let id = json!({ "id": "7" });
    assert_eq!(
        told,
        [
            json!({ "type": "account.create", "data": { "account": { "username": "ada" }, "role": "user" } }),
            json!({ "type": "account.set_entitlements", "data": {
                "id": "7", "role": null, "add": { "teams": { "writers": null } }, "remove": { "teams": { "readers": null } },
            } }),
            json!({ "type": "account.update", "data": { "id": "7", "account": { "display_name": "Ada" } } }),
            json!({ "type": "account.deactivate", "data": id }),
            json!({ "type": "account.reactivate", "data": id }),
            json!({ "type": "team.create", "data": { "team": "new" } }),
            json!({ "type": "account.delete", "data": id }),
        ]
    );
}

#[tokio::test]
async fn what_the_recipe_does_not_declare_is_not_sent() {
    let fake = Fake::start(|_| Reply::empty(204)).await;
    let nothing = recipe().replace(r#"can = ["create_team", "deactivate", "delete"]"#, "can = []");
    let connector = fake.with_recipe(&nothing, Credential::Signing(Secret::new(SECRET))).unwrap();
    let ada = account("7", "ada");
    let refused = [
        connector.deactivate(&ada).await,
        connector.reactivate(&ada).await,
        connector.transfer(&ada, &ada).await,
        connector.delete(&ada).await,
        connector.create_team("x").await,
    ];
    for one in refused {
        assert!(matches!(one, Err(ConnectorError::Unsupported { .. })), "{one:?}");
    }
    assert_eq!(connector.list(Kind::Permission).await.unwrap(), None);
    assert_eq!(fake.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a4_each_status_means_what_the_contract_says() {
    for (status, expected) in [
        (401, "Credential"),
        (402, "NoSeats"),
        (404, "NotFound"),
        (409, "Conflict"),
        (422, "Refused"),
        (429, "Busy"),
        (501, "Unsupported"),
        (302, "Unexpected"),
    ] {
        let fake = Fake::start(move |_| Reply::json(status, &json!({ "error": "so it is" }))).await;
        let error = connector(&fake).deactivate(&account("7", "ada")).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a4_an_answer_of_another_form_is_an_error_and_shows_no_secret() {
    let mut inactive = ada();
    inactive.as_object_mut().unwrap().remove("active");
    let mut nameless = ada();
    nameless["id"] = json!("");
    for answer in [json!({}), json!({ "accounts": [inactive] }), json!({ "accounts": [nameless] })] {
        let fake = Fake::start(move |_| Reply::json(200, &answer)).await;
        let error = connector(&fake).find(FindBy::Username("ada")).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unexpected { .. }), "{error:?}");
    }
    let fake = Fake::start(|_| Reply::text(200, "text/html", &format!("<p>{SECRET}</p>"))).await;
    for error in [
        connector(&fake).find(FindBy::Username("ada")).await.unwrap_err(),
        connector(&fake).deactivate(&account("7", "ada")).await.unwrap_err(),
    ] {
        assert!(matches!(error, ConnectorError::Unexpected { .. }), "{error:?}");
        assert!(!error.to_string().contains("MDEyMzQ1"), "{error}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_listed_are_unknown_and_privileged_ones_are_marked() {
    let fake = Fake::start(|_| Reply::json(501, &json!({}))).await;
    assert_eq!(connector(&fake).list(Kind::Team).await.unwrap(), None);
    let fake = Fake::start(|_| {
        let named = |name: &str, privileged: bool| json!({ "name": name, "privileged": privileged });
        Reply::json(
            200,
            &json!({ "names": [named("user", false), named("admin", false), named("boss", true)] }),
        )
    })
    .await;
    let roles = connector(&fake).list(Kind::Role).await.unwrap().unwrap();
    let roles: Vec<(&str, bool)> = roles.iter().map(|role| (role.name.as_str(), role.privileged)).collect();
    assert_eq!(roles, [("user", false), ("admin", true), ("boss", true)]);
}

#[tokio::test]
async fn only_a_secret_that_can_sign_is_taken() {
    let fake = Fake::start(|_| Reply::empty(204)).await;
    let bearer = fake.with_recipe(&recipe(), Credential::Bearer(Secret::new(SECRET)));
    assert!(matches!(bearer, Err(RecipeError::CredentialKind { kind: "bearer", .. })));
    let short = fake.with_recipe(&recipe(), Credential::Signing(Secret::new("short")));
    assert!(matches!(short, Err(RecipeError::SigningSecret { .. })));
}

#[test]
fn a_recipe_that_would_sign_with_something_else_is_refused_at_its_line() {
    for (from, to) in [
        (r#"kinds = ["signing_secret"]"#, r#"kinds = ["bearer"]"#),
        (r#"kinds = ["signing_secret"]"#, r#"kinds = ["signing_secret", "bearer"]"#),
        (r#"kinds = ["role", "teams"]"#, r#"kinds = ["role"]"#),
    ] {
        let broken = recipe().replace(from, to);
        assert_ne!(broken, recipe());
        let Err(RecipeError::At { fault, .. }) = Recipe::parse("mine.toml", &broken) else { panic!("{to}") };
        assert!(matches!(*fault, RecipeFault::Contradiction(_)), "{fault:?}");
    }
}
