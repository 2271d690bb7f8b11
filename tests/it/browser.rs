//! The tests' own browser, tried on the demo's servers: what it gets wrong would be blamed on the proxy.

use std::time::Duration;

use http::Method;
use narthex::demo::DemoApp;
use narthex::demo::idp::Chooser;
use serde_json::json;
use url::Url;

use crate::support::{Browser, Parties, listener};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An authorization request that comes back to the application's echo page.
fn authorize(parties: &Parties) -> String {
    let callback = format!("{}/echo/callback", parties.app.url());
    parties.idp.register(&callback, &format!("{}/public", parties.app.url()));
    let mut url = Url::parse(&format!("{}/authorize", parties.idp.issuer())).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", parties.idp.client_id())
        .append_pair("redirect_uri", &callback)
        .append_pair("scope", "openid")
        .append_pair("state", "s & \"t\"")
        .append_pair("code_challenge", CHALLENGE)
        .append_pair("code_challenge_method", "S256");
    url.to_string()
}

#[tokio::test]
async fn a_person_signs_in_by_form_once_and_then_silently() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let start = authorize(&parties);
    let page = browser.visit(&start).await;
    assert_eq!(page.status, 200);
    let back = page.sign_in_as(&browser, "ada").await;
    assert_eq!((back.url.path(), &*back.query()["state"]), ("/echo/callback", "s & \"t\""));
    assert_eq!(back.json()["method"], "GET");
    assert_eq!(back.hops.len(), 2, "{:?}", back.trail());
    assert!(back.hops[0].headers.contains_key("set-cookie"));

    let again = browser.visit(&start).await;
    assert_eq!(again.url.path(), "/echo/callback", "without a page in between");
    assert_eq!(Browser::new().visit(&start).await.url.path(), "/authorize", "another browser is asked");
    parties.clock.turn(Duration::from_hours(8));
    let page = browser.visit(&start).await;
    let wrong = browser.submit(&page, page.form_with("person").set("person", "nobody")).await;
    assert_eq!(wrong.status, 400);
    parties.tasks.finish().await;
}

#[tokio::test]
async fn what_is_said_about_a_person_can_be_changed_on_the_page_in_the_middle_of_a_sign_in() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let page = browser.visit(&authorize(&parties)).await;
    let edit = page.forms().into_iter().find(|form| form.action.path() == "/people/ada").unwrap();
    let edit = edit.set("role", "editor").set("groups", "support, engineers");
    let page = browser.submit(&page, edit).await;
    let ada = parties.idp.person("ada").unwrap();
    assert_eq!(ada.role.as_deref(), Some("editor"));
    assert_eq!(ada.groups.unwrap(), ["support", "engineers"]);
    assert_eq!(page.sign_in_as(&browser, "ada").await.url.path(), "/echo/callback");
}

#[tokio::test]
async fn login_hint_may_choose_for_a_test() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    parties.idp.set_chooser(Chooser::LoginHint);
    let start = authorize(&parties);
    assert_eq!(browser.visit(&format!("{start}&login_hint=nobody")).await.url.path(), "/authorize");
    assert_eq!(browser.visit(&format!("{start}&login_hint=bob")).await.url.path(), "/echo/callback");
    assert_eq!(parties.idp.calls().authorize, 2);
}

#[tokio::test]
async fn cookies_do_not_know_ports() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let other = DemoApp::start(listener().await, &parties.platform, &parties.tasks).unwrap();
    browser.visit(&format!("{}/status/200?cookie=a%3Db%3BPath%3D/", other.url())).await;
    assert_eq!(sent(&browser, &parties, Method::GET, other.url()).await, "a=b");
}

/// The cookies that arrived.
async fn sent(browser: &Browser, parties: &Parties, method: Method, from: &str) -> String {
    let page = browser.request(method, &format!("{}/echo/a", parties.app.url()));
    let page = page.from(&Url::parse(from).unwrap()).send().await.json();
    let headers = page["headers"].as_array().unwrap();
    let cookie = headers.iter().find(|pair| pair[0] == "cookie");
    cookie.map(|pair| pair[1].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn cookies_are_kept_and_sent_as_browsers_do() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let set = async |cookie: &str| {
        let mut url = Url::parse(&format!("{}/status/200", parties.app.url())).unwrap();
        url.query_pairs_mut().append_pair("cookie", cookie);
        browser.visit(url.as_str()).await;
    };
    set("lax=1; Path=/; SameSite=Lax").await;
    set("strict=1; Path=/; SameSite=Strict").await;
    set("none=1; Path=/; SameSite=None; Secure").await;
    set("refused=1; Path=/; SameSite=None").await;
    set("__Host-good=1; Path=/; Secure").await;
    set("__Host-bad=1; Path=/").await;
    set("__Host-worse=1; Path=/echo; Secure").await;
    set("foreign=1; Domain=example.com").await;
    set("elsewhere=1; Path=/other").await;
    set("gone=1; Path=/").await;
    set("gone=; Path=/; Max-Age=0").await;
    let own = parties.app.url();
    assert_eq!(sent(&browser, &parties, Method::GET, own).await, "lax=1; strict=1; none=1; __Host-good=1");
    let other = "https://elsewhere.example/";
    assert_eq!(sent(&browser, &parties, Method::GET, other).await, "lax=1; none=1; __Host-good=1");
    assert_eq!(sent(&browser, &parties, Method::POST, other).await, "none=1");
    browser.jar().remove("none");
    browser.jar().put(&Url::parse(own).unwrap(), "planted", "2");
    assert_eq!(browser.cookie("planted").as_deref(), Some("2"));
    assert_eq!(sent(&browser, &parties, Method::POST, other).await, "");
}

#[tokio::test]
async fn navigations_and_background_requests_say_what_they_are() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let echo = format!("{}/echo", parties.app.url());
    let page = browser.visit(&echo).await;
    let said = |seen: &serde_json::Value, name: &str| {
        let headers = seen["headers"].as_array().unwrap().clone();
        headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
    };
    let seen = page.json();
    assert_eq!(said(&seen, "sec-fetch-mode").as_deref(), Some("navigate"));
    assert_eq!(said(&seen, "sec-fetch-site").as_deref(), Some("none"));
    let background =
        browser.request(Method::POST, &echo).from(&page.url).background().json(&json!({ "a": 1 }));
    let seen = background.send().await.json();
    assert_eq!(said(&seen, "sec-fetch-mode").as_deref(), Some("cors"));
    assert_eq!(said(&seen, "sec-fetch-site").as_deref(), Some("same-origin"));
    assert_eq!(said(&seen, "origin").as_deref(), Some(parties.app.url()));
    assert_eq!(seen["body"], r#"{"a":1}"#);
}

#[tokio::test]
async fn redirects_are_followed_step_by_step_or_not_at_all() {
    let (parties, browser) = (Parties::start().await, Browser::new());
    let url = |status: u16| format!("{}/status/{status}?location=/echo", parties.app.url());
    for (status, method) in [(302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
        let page = browser.request(Method::POST, &url(status)).body("x").send().await;
        assert_eq!((page.json()["method"].as_str(), page.hops.len()), (Some(method), 2), "{status}");
    }
    let page = browser.request(Method::GET, &url(302)).stay().send().await;
    assert_eq!((page.status.as_u16(), page.header("location")), (302, Some("/echo")));
    let page = browser.visit(&format!("{}/public", parties.app.url())).await;
    assert_eq!(page.element("message").unwrap().text, "Opening hours");
    assert_eq!(browser.follow(&page, "/echo?a=b").await.json()["query"], "a=b");
}
