//! The provider as a client sees it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use url::Url;

use super::*;
use crate::model::UnixTime;
use crate::platform::crypto::sha256;
use crate::platform::{Clock, Outbound, SystemEntropy};

const REDIRECT: &str = "http://127.0.0.1:1/.narthex/oidc/demo/callback";
const AFTER_LOGOUT: &str = "http://127.0.0.1:1/";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A clock that a test turns.
struct Turned(Mutex<i64>);

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime(*self.0.lock().unwrap())
    }
}

struct Party {
    idp: DemoIdp,
    http: Outbound,
    clock: Arc<Turned>,
    tasks: Tasks,
}

async fn party() -> Party {
    let clock = Arc::new(Turned(Mutex::new(2_000_000_000)));
    let platform = Platform { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy) };
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let idp = DemoIdp::start(listener, &platform, &tasks).unwrap();
    idp.register(REDIRECT, AFTER_LOGOUT);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Party { idp, http: Outbound::new(&[]).unwrap(), clock, tasks }
}

/// A good authorization request.
fn request() -> Vec<(&'static str, String)> {
    let challenge = keys::encode(&sha256(VERIFIER.as_bytes()));
    [
        ("response_type", "code"),
        ("client_id", "narthex-demo"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile email"),
        ("state", "some state"),
        ("nonce", "some nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn with(
    mut fields: Vec<(&'static str, String)>,
    name: &'static str,
    value: Option<&str>,
) -> Vec<(&'static str, String)> {
    fields.retain(|(known, _)| *known != name);
    fields.extend(value.map(|value| (name, value.to_owned())));
    fields
}

struct Page {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Page {
    fn location(&self) -> Url {
        Url::parse(self.headers[header::LOCATION].to_str().unwrap()).unwrap()
    }

    fn redirected(&self) -> HashMap<String, String> {
        self.location().query_pairs().into_owned().collect()
    }

    fn cookie(&self) -> String {
        self.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn hidden_request(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"request\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Party {
    async fn fetch(&self, method: &str, path: &str, cookie: &str, form: &[(&str, String)]) -> Page {
        let url = Url::parse(&format!("{}{path}", self.idp.issuer())).unwrap();
        let mut builder = self.http.request(method.parse().unwrap(), url);
        builder = if method == "GET" { builder.query(form) } else { builder.form(form) };
        if !cookie.is_empty() {
            builder = builder.header("cookie", cookie);
        }
        self.send(builder).await
    }

    async fn send(&self, builder: reqwest::RequestBuilder) -> Page {
        let answer = self.http.send(builder).await.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        Page { status: answer.status.as_u16(), headers: answer.headers, body }
    }

    async fn choose(&self, login: &str) -> Page {
        let page = self.fetch("GET", "/authorize", "", &request()).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let form = [("request", page.hidden_request()), ("person", login.to_owned())];
        self.fetch("POST", "/choose", "", &form).await
    }

    async fn code(&self) -> String {
        self.choose("ada").await.redirected()["code"].clone()
    }

    fn redemption(&self, code: &str) -> Vec<(&'static str, String)> {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
            ("client_id", self.idp.client_id().to_owned()),
            ("client_secret", self.idp.client_secret().expose().to_owned()),
        ]
    }

    async fn redeem(&self, code: &str) -> Page {
        self.fetch("POST", "/token", "", &self.redemption(code)).await
    }

    async fn userinfo(&self, token: &str) -> Page {
        let url = Url::parse(&format!("{}/userinfo", self.idp.issuer())).unwrap();
        self.send(self.http.request(http::Method::GET, url).bearer_auth(token)).await
    }

    /// Checks the signature against the published keys, by another implementation than the one that signs.
    async fn verified(&self, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
        let set: JwkSet = serde_json::from_str(&self.fetch("GET", "/jwks", "", &[]).await.body).unwrap();
        let header = jsonwebtoken::decode_header(token)?;
        let jwk = set.find(&header.kid.unwrap()).expect("the key is published");
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[self.idp.client_id()]);
        validation.validate_exp = false;
        Ok(jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk)?, &validation)?.claims)
    }
}

fn error_of(page: &Page) -> String {
    page.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_who_is_chosen_gets_an_id_token_and_userinfo() {
    let party = party().await;
    let answer = party.choose("bob").await;
    let parameters = answer.redirected();
    assert_eq!(
        (answer.status, &*parameters["state"], &*parameters["iss"]),
        (303, "some state", party.idp.issuer())
    );

    let tokens = party.redeem(&parameters["code"]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let (tokens, headers) = (tokens.json(), tokens.headers);
    assert_eq!(headers["cache-control"], "no-store");
    let access_token = tokens["access_token"].as_str().unwrap();
    let claims = party.verified(tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["iss"], party.idp.issuer());
    assert_eq!(claims["nonce"], "some nonce");
    assert_eq!(claims["at_hash"], keys::encode(&sha256(access_token.as_bytes())[..16]));
    assert_eq!(
        (claims["auth_time"].as_i64(), claims["iat"].as_i64()),
        (Some(2_000_000_000), Some(2_000_000_000))
    );
    assert_eq!(claims["email"], "bob@example.com");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["groups"], json!(["engineers", "platform-admins"]));
    assert!(claims["sid"].is_string());

    let userinfo = party.userinfo(access_token).await.json();
    assert_eq!((&userinfo["sub"], &userinfo["name"]), (&claims["sub"], &json!("Bob Example")));
    party.tasks.finish().await;
}

#[tokio::test]
async fn rs256_tokens_verify_and_a_rotated_key_stays_published_until_it_is_forgotten() {
    let party = party().await;
    let first = party.redeem(&party.code().await).await.json()["id_token"].as_str().unwrap().to_owned();
    party.idp.rotate_keys(Algorithm::Rs256, false).unwrap();
    let second = party.redeem(&party.code().await).await.json()["id_token"].as_str().unwrap().to_owned();
    assert!(party.verified(&first).await.is_ok() && party.verified(&second).await.is_ok());
    party.idp.rotate_keys(Algorithm::Es256, true).unwrap();
    let published = party.fetch("GET", "/jwks", "", &[]).await.json();
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_login_of_the_browser_is_silent_until_asked_otherwise() {
    let party = party().await;
    let cookie = party.choose("ada").await.cookie();
    let again = party.fetch("GET", "/authorize", &cookie, &request()).await;
    assert_eq!(again.status, 303);
    let asked = party.fetch("GET", "/authorize", &cookie, &with(request(), "prompt", Some("login"))).await;
    assert_eq!(asked.status, 200);
    *party.clock.0.lock().unwrap() += 61;
    let recent = party.fetch("GET", "/authorize", &cookie, &with(request(), "max_age", Some("61"))).await;
    assert_eq!(recent.status, 303);
    let old = party.fetch("GET", "/authorize", &cookie, &with(request(), "max_age", Some("60"))).await;
    assert_eq!(old.status, 200);
    party.idp.end_all_sessions();
    assert_eq!(party.fetch("GET", "/authorize", &cookie, &request()).await.status, 200);
}

#[tokio::test]
async fn prompt_none_without_a_session_is_answered_with_login_required() {
    let party = party().await;
    let answer = party.fetch("GET", "/authorize", "", &with(request(), "prompt", Some("none"))).await;
    assert_eq!(answer.redirected()["error"], "login_required");
}

#[tokio::test]
async fn a_redirect_uri_that_differs_in_anything_is_refused_without_a_redirect() {
    let party = party().await;
    for uri in [
        "http://127.0.0.1:1/.narthex/oidc/demo/callback/",
        "http://127.0.0.1:1/.narthex/oidc/demo/callback?x=1",
        "http://127.0.0.1:1/.narthex/oidc/demo/Callback",
        "http://127.0.0.1:2/.narthex/oidc/demo/callback",
        "HTTP://127.0.0.1:1/.narthex/oidc/demo/callback",
        "http://127.0.0.1:1/.narthex/oidc/demo/../demo/callback",
    ] {
        let answer = party.fetch("GET", "/authorize", "", &with(request(), "redirect_uri", Some(uri))).await;
        assert_eq!((answer.status, answer.headers.get("location")), (400, None), "{uri}");
    }
    for name in ["redirect_uri", "client_id"] {
        let answer = party.fetch("GET", "/authorize", "", &with(request(), name, None)).await;
        assert_eq!((answer.status, answer.headers.get("location")), (400, None), "{name}");
    }
}

#[tokio::test]
async fn an_authorization_request_with_one_thing_wrong_is_refused_by_redirect() {
    let party = party().await;
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "invalid_request"),
        ("scope", Some("profile"), "invalid_scope"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("prompt", Some("none login"), "invalid_request"),
        ("max_age", Some("soon"), "invalid_request"),
        ("request", Some("x.y.z"), "request_not_supported"),
        ("request_uri", Some("https://a.example/"), "request_uri_not_supported"),
    ] {
        let answer = party.fetch("GET", "/authorize", "", &with(request(), name, value)).await;
        let parameters = answer.redirected();
        assert_eq!((&*parameters["error"], &*parameters["state"]), (error, "some state"), "{name} {value:?}");
    }
    let mut twice = request();
    twice.push(("state", "another".to_owned()));
    assert_eq!(party.fetch("GET", "/authorize", "", &twice).await.status, 400);
}

#[tokio::test]
async fn a_code_verifier_that_does_not_fit_is_refused() {
    let party = party().await;
    for verifier in [None, Some("short"), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK")] {
        let form = with(party.redemption(&party.code().await), "code_verifier", verifier);
        let answer = party.fetch("POST", "/token", "", &form).await;
        assert_eq!((answer.status, error_of(&answer)), (400, "invalid_grant".to_owned()), "{verifier:?}");
    }
}

#[tokio::test]
async fn a_code_works_once_and_its_second_use_ends_the_tokens_of_the_first() {
    let party = party().await;
    let code = party.code().await;
    let token = party.redeem(&code).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(party.userinfo(&token).await.status, 200);
    let second = party.redeem(&code).await;
    assert_eq!((second.status, error_of(&second)), (400, "invalid_grant".to_owned()));
    assert_eq!(party.userinfo(&token).await.status, 401);
    assert_eq!(party.idp.calls().token, 2);
}

#[tokio::test]
async fn a_code_ends_after_a_minute() {
    let party = party().await;
    let (in_time, late) = (party.code().await, party.code().await);
    *party.clock.0.lock().unwrap() += 59;
    assert_eq!(party.redeem(&in_time).await.status, 200);
    *party.clock.0.lock().unwrap() += 1;
    assert_eq!(error_of(&party.redeem(&late).await), "invalid_grant");
}

#[tokio::test]
async fn a_redemption_with_one_thing_wrong_is_refused() {
    let party = party().await;
    for (name, value, status, error) in [
        ("redirect_uri", Some("http://127.0.0.1:1/"), 400, "invalid_grant"),
        ("redirect_uri", None, 400, "invalid_grant"),
        ("code", Some("nonsense"), 400, "invalid_grant"),
        ("code", None, 400, "invalid_request"),
        ("grant_type", Some("password"), 400, "unsupported_grant_type"),
        ("grant_type", None, 400, "invalid_request"),
        ("client_secret", Some("nonsense"), 401, "invalid_client"),
        ("client_secret", None, 401, "invalid_client"),
        ("client_id", Some("another"), 401, "invalid_client"),
    ] {
        let form = with(party.redemption(&party.code().await), name, value);
        let answer = party.fetch("POST", "/token", "", &form).await;
        assert_eq!((answer.status, &*error_of(&answer)), (status, error), "{name} {value:?}");
    }
}

#[tokio::test]
async fn the_client_may_use_the_authorization_header_and_nothing_beside_it() {
    let party = party().await;
    let form = with(party.redemption(&party.code().await), "client_secret", None);
    let url = || Url::parse(&format!("{}/token", party.idp.issuer())).unwrap();
    let basic =
        |secret: &str| format!("Basic {}", STANDARD.encode(format!("{}:{secret}", party.idp.client_id())));
    let secret = party.idp.client_secret().expose();
    let post = |form: &[(&str, String)], secret: &str| {
        party.http.request(http::Method::POST, url()).form(form).header("authorization", basic(secret))
    };
    let wrong = party.send(post(&form, "nonsense")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let both = party.send(post(&party.redemption("x"), secret)).await;
    assert_eq!((both.status, error_of(&both)), (400, "invalid_request".to_owned()));
    assert_eq!(party.send(post(&form, secret)).await.status, 200);
}

#[tokio::test]
async fn a_forged_sign_in_form_of_another_site_is_refused() {
    let party = party().await;
    let page = party.fetch("GET", "/authorize", "", &request()).await;
    let form = [("request", page.hidden_request()), ("person", "ada".to_owned())];
    let url = || Url::parse(&format!("{}/choose", party.idp.issuer())).unwrap();
    let post =
        |site| party.http.request(http::Method::POST, url()).form(&form).header("sec-fetch-site", site);
    assert_eq!(party.send(post("cross-site")).await.status, 403);
    assert_eq!(party.send(post("same-origin")).await.status, 303);
    assert_eq!(party.send(post("same-origin")).await.status, 400, "the sign-in was used");
}

#[tokio::test]
async fn claims_that_are_changed_show_in_the_next_login() {
    let party = party().await;
    party.idp.edit("erin", |person| {
        person.email_verified = None;
        person.groups = None;
        person.role = Some("editor".to_owned());
        person.claims.insert("department".into(), "sales".into());
        person.claims.insert("family_name".into(), Value::Null);
    });
    party.idp.set_chooser(Chooser::Always("erin".to_owned()));
    let code = party.fetch("GET", "/authorize", "", &request()).await.redirected()["code"].clone();
    let token = party.redeem(&code).await.json()["id_token"].as_str().unwrap().to_owned();
    let claims = party.verified(&token).await.unwrap();
    assert_eq!((&claims["role"], &claims["department"]), (&json!("editor"), &json!("sales")));
    for absent in ["email_verified", "groups", "family_name"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn faults_are_what_they_say() {
    let party = party().await;
    let token = async || party.redeem(&party.code().await).await.json()["id_token"].clone();
    for fault in [Fault::Signature, Fault::ForeignKey, Fault::Unsigned] {
        party.idp.set_fault(fault.clone());
        assert!(party.verified(token().await.as_str().unwrap()).await.is_err(), "{fault:?}");
    }
    party.idp.set_fault(Fault::Missing);
    assert_eq!(token().await, Value::Null);
    party.idp.set_fault(Fault::claims(|claims| {
        claims.insert("nonce".into(), "another".into());
    }));
    assert_eq!(party.verified(token().await.as_str().unwrap()).await.unwrap()["nonce"], "another");
    party.idp.set_fault(Fault::None);
    party.idp.set_thin_id_tokens(true);
    assert_eq!(party.verified(token().await.as_str().unwrap()).await.unwrap().get("email"), None);
}

#[tokio::test]
async fn while_it_is_down_nothing_is_answered() {
    let party = party().await;
    let url = || Url::parse(&format!("{}/jwks", party.idp.issuer())).unwrap();
    party.idp.set_down(true);
    assert!(party.http.send(party.http.request(http::Method::GET, url())).await.is_err());
    party.idp.set_down(false);
    assert_eq!(party.fetch("GET", "/jwks", "", &[]).await.status, 200);
}

#[tokio::test]
async fn logout_ends_the_session_that_the_hint_names_and_goes_back_where_registered() {
    let party = party().await;
    let signed_in = party.choose("ada").await;
    let cookie = signed_in.cookie();
    let token =
        party.redeem(&signed_in.redirected()["code"]).await.json()["id_token"].as_str().unwrap().to_owned();
    let logout = || {
        vec![
            ("id_token_hint", token.clone()),
            ("post_logout_redirect_uri", AFTER_LOGOUT.to_owned()),
            ("state", "bye".to_owned()),
        ]
    };
    let pieces: Vec<_> = token.split('.').collect();
    let claims = json!({ "aud": party.idp.client_id(), "sid": "another" }).to_string();
    let altered = format!("{}.{}.{}", pieces[0], keys::encode(claims.as_bytes()), pieces[2]);
    for (name, value) in [
        ("post_logout_redirect_uri", "http://127.0.0.1:1/elsewhere"),
        ("id_token_hint", "e30.e30.AAAA"),
        ("id_token_hint", &altered),
        ("client_id", "another"),
    ] {
        let answer = party.fetch("GET", "/end_session", &cookie, &with(logout(), name, Some(value))).await;
        assert_eq!((answer.status, answer.headers.get("location")), (400, None), "{name}");
    }
    // Nothing says who asks: the person is asked instead.
    let unhinted = party.fetch("GET", "/end_session", &cookie, &[]).await;
    assert!(unhinted.status == 200 && unhinted.body.contains("Sign out here too?"));
    assert_eq!(party.fetch("GET", "/authorize", &cookie, &request()).await.status, 303, "still signed in");

    let answer = party.fetch("GET", "/end_session", &cookie, &logout()).await;
    assert_eq!(answer.location().as_str(), "http://127.0.0.1:1/?state=bye");
    assert_eq!(party.fetch("GET", "/authorize", &cookie, &request()).await.status, 200, "asked again");
}

#[tokio::test]
async fn the_person_may_confirm_a_logout_that_nothing_else_vouches_for() {
    let party = party().await;
    let cookie = party.choose("ada").await.cookie();
    let confirmed = [("confirmed", "yes".to_owned())];
    let by_link = party.fetch("GET", "/end_session", &cookie, &confirmed).await;
    assert!(by_link.body.contains("Sign out here too?"), "a link does not confirm");
    assert!(party.fetch("POST", "/end_session", &cookie, &confirmed).await.body.contains("Signed out"));
    assert_eq!(party.fetch("GET", "/authorize", &cookie, &request()).await.status, 200);
}
