//! How a connector signs in, and what happens when its token ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use serde_json::json;

use crate::config::settings::Credential;
use crate::model::{Secret, UnixTime};
use crate::platform::{Clock, Platform};
use crate::provision::connector::{ConnectorError, FindBy};
use crate::provision::rest::error::RecipeError;

use super::TOY;
use super::fake::{Fake, Reply, Seen};

/// Gives tokens `t-1`, `t-2`, … for 60 s; accepts the newest only.
fn tokens(given: &AtomicUsize, seen: &Seen, accept: usize) -> Reply {
    match seen.target.as_str() {
        "/token" | "/login" => {
            let token = format!("t-{}", given.fetch_add(1, Ordering::SeqCst) + 1);
            let body =
                json!({ "access_token": token, "token": token, "token_type": "bearer", "expires_in": 60 });
            Reply::json(200, &body)
        }
        _ if seen.header("authorization") == format!("Bearer t-{accept}") => {
            Reply::json(200, &json!({ "version": "1" }))
        }
        _ => Reply::json(401, &json!({ "message": "invalid token" })),
    }
}

fn client(fake: &Fake) -> Credential {
    Credential::ClientCredentials {
        token_url: format!("{}/token", fake.url).parse().unwrap(),
        client_id: "narthex:1".to_owned(),
        client_secret: Secret::new("s/e+c"),
        scope: Some("admin".to_owned()),
    }
}

fn login() -> Credential {
    Credential::Login { username: "narthex".to_owned(), password: Secret::new("p&w") }
}

async fn giving(accept: usize) -> Fake {
    let given = AtomicUsize::new(0);
    Fake::start(move |seen| tokens(&given, seen, accept)).await
}

#[tokio::test]
async fn each_kind_of_credential_is_sent_as_it_should_be() {
    let fake = Fake::start(|_| Reply::json(200, &json!({}))).await;
    for (credential, header, value) in [
        (Credential::Bearer(Secret::new("t0ken")), "authorization", "Bearer t0ken"),
        (
            Credential::Basic { username: "narthex".to_owned(), password: Secret::new("pw") },
            "authorization",
            "Basic bmFydGhleDpwdw==",
        ),
        (Credential::Header { name: "x-key".parse().unwrap(), value: Secret::new("k3y") }, "x-key", "k3y"),
    ] {
        fake.with_recipe(TOY, credential).unwrap().check().await.unwrap();
        assert_eq!(fake.seen().last().unwrap().header(header), value);
    }
    assert_eq!(fake.seen()[0].header("x-asked-by"), "narthex");
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    for (what, path) in [("client credentials", "POST /token"), ("login", "POST /login")] {
        let fake = giving(1).await;
        let credential = if what == "login" { login() } else { client(&fake) };
        let connector = fake.with_recipe(TOY, credential).unwrap();
        connector.check().await.unwrap();
        connector.check().await.unwrap();
        assert_eq!(fake.lines(), [path, "GET /check", "GET /check"], "{what}");
    }
}

#[tokio::test]
async fn client_credentials_are_sent_as_rfc_6749_says() {
    let fake = giving(1).await;
    fake.with_recipe(TOY, client(&fake)).unwrap().check().await.unwrap();
    let token = &fake.seen()[0];
    // 2.3.1: form-encoded, then Basic. `narthex%3A1:s%2Fe%2Bc`
    assert_eq!(token.header("authorization"), "Basic bmFydGhleCUzQTE6cyUyRmUlMkJj");
    assert_eq!(token.body, "grant_type=client_credentials&scope=admin");
}

#[tokio::test]
async fn the_login_call_is_form_encoded_and_carries_no_credential() {
    let fake = giving(1).await;
    fake.with_recipe(TOY, login()).unwrap().check().await.unwrap();
    let call = &fake.seen()[0];
    assert_eq!((call.body.as_str(), call.header("authorization")), ("password=p%26w&user=narthex", ""));
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_once_and_the_call_made_again() {
    for what in ["client credentials", "login"] {
        let fake = giving(2).await;
        let credential = if what == "login" { login() } else { client(&fake) };
        let connector = fake.with_recipe(TOY, credential).unwrap();
        connector.check().await.unwrap();
        assert_eq!(fake.lines().len(), 4, "{what}: {:?}", fake.lines());
        let fake = giving(9).await;
        let credential = if what == "login" { login() } else { client(&fake) };
        let connector = fake.with_recipe(TOY, credential).unwrap();
        let error = connector.check().await.unwrap_err();
        assert!(matches!(error, ConnectorError::Credential { status: 401, .. }), "{error}");
        assert_eq!(fake.lines().len(), 4);
    }
}

#[tokio::test]
async fn a_fixed_credential_is_not_tried_twice() {
    let fake = giving(1).await;
    let connector = fake.with_recipe(TOY, Credential::Bearer(Secret::new("old"))).unwrap();
    assert!(matches!(connector.check().await, Err(ConnectorError::Credential { .. })));
    assert_eq!(fake.lines().len(), 1);
}

#[derive(Clone)]
struct Turned(Arc<AtomicI64>);

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_token_is_fetched_anew_before_it_ends() {
    let fake = Fake::start(|seen| match seen.target.as_str() {
        "/token" => {
            Reply::json(200, &json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 60 }))
        }
        _ => Reply::json(200, &json!({})),
    })
    .await;
    let clock = Turned(Arc::new(AtomicI64::new(1000)));
    let platform = Platform { clock: Arc::new(clock.clone()), ..Platform::system() };
    let connector = fake.on(TOY, client(&fake), platform).unwrap();
    let fetched = |fake: &Fake| fake.lines().iter().filter(|line| line.ends_with("/token")).count();
    connector.check().await.unwrap();
    clock.0.store(1029, Ordering::SeqCst);
    connector.check().await.unwrap();
    assert_eq!(fetched(&fake), 1);
    clock.0.store(1030, Ordering::SeqCst);
    connector.check().await.unwrap();
    assert_eq!(fetched(&fake), 2);
}

#[tokio::test]
async fn many_calls_at_once_fetch_one_token() {
    let fake = giving(1).await;
    let connector = fake.with_recipe(TOY, client(&fake)).unwrap();
    let calls = (0..20).map(|_| connector.check());
    for done in futures_util::future::join_all(calls).await {
        done.unwrap();
    }
    assert_eq!(fake.lines().iter().filter(|line| line.ends_with("/token")).count(), 1);
}

#[tokio::test]
async fn a_token_answer_that_is_none_is_refused_and_shows_nothing() {
    for (status, body, credential) in [
        (400, json!({ "error": "invalid_client", "error_description": "secret s/e+c is wrong" }), true),
        (200, json!({ "access_token": "leaked-token", "token_type": "mac" }), false),
        (200, json!({ "token_type": "bearer", "refresh_token": "leaked-token" }), false),
    ] {
        let fake = Fake::start(move |_| Reply::json(status, &body)).await;
        let error =
            fake.with_recipe(TOY, client(&fake)).unwrap().find(FindBy::Username("x")).await.unwrap_err();
        assert_eq!(matches!(error, ConnectorError::Credential { .. }), credential, "{error}");
        assert_eq!(matches!(error, ConnectorError::Unexpected { .. }), !credential, "{error}");
        let text = format!("{error:?}");
        assert!(!text.contains("leaked-token") && !text.contains("s/e+c"), "{text}");
    }
}

#[tokio::test]
async fn a_credential_that_the_recipe_does_not_take_or_that_cannot_be_sent_is_refused() {
    let fake = giving(1).await;
    let refused = fake.with_recipe(TOY, Credential::None).err().unwrap();
    assert!(matches!(refused, RecipeError::CredentialKind { kind: "none", .. }), "{refused}");
    for token in ["a\nb", "a\r\nX-Admin: 1", "tökén"] {
        let refused = fake.with_recipe(TOY, Credential::Bearer(Secret::new(token))).err().unwrap();
        assert!(matches!(refused, RecipeError::CredentialUnsendable { .. }), "{refused}");
        assert!(!format!("{refused:?}").contains(token));
    }
}
