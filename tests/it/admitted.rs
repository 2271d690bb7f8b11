//! Sessions that began under an earlier configuration, and that the one in force does not admit any more.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use toml::Table;

use crate::support::party::client;
use crate::support::raw::Raw;
use crate::support::stack::{ADMIN_TOKEN, put};
use crate::support::{Browser, Stack};

/// The only provider has another id from now on: the one that there was is gone.
fn call_it(config: &mut Table, id: &str) {
    config["idp"][0]["id"] = id.into();
}

async fn status(stack: &Stack, browser: &Browser) -> u16 {
    browser.request(Method::GET, &stack.at("/echo")).background().send().await.status.as_u16()
}

/// Asks for `path`, which streams; its head has come.
async fn stream(stack: &Stack, browser: &Browser, path: &str, headers: &str) -> Raw {
    let (host, name) = (stack.url.trim_start_matches("http://"), stack.session_cookie());
    let cookie = browser.cookie(&name).unwrap();
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Cookie: {name}={cookie}\r\n\r\n"))
        .await;
    let answer = raw.answer(true).await;
    assert!(matches!(answer.status, 101 | 200), "{}", answer.status);
    raw
}

async fn tunnel(stack: &Stack, browser: &Browser) -> Raw {
    let mut tunnel = stream(stack, browser, "/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n").await;
    assert_goes_on(&mut tunnel).await;
    tunnel
}

async fn assert_goes_on(tunnel: &mut Raw) {
    tunnel.send("still there?").await;
    assert_eq!(tunnel.bytes().await, b"still there?");
}

async fn assert_breaks_off(raw: &mut Raw) {
    let since = Instant::now();
    let ending = async { while !raw.is_closed().await {} };
    tokio::time::timeout(Duration::from_secs(20), ending).await.expect("the stream goes on");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

async fn listed(stack: &Stack) -> usize {
    let request = client().get(stack.admin_at("/sessions")).bearer_auth(ADMIN_TOKEN);
    let page: Value = request.send().await.unwrap().json().await.unwrap();
    page["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn sessions_of_a_provider_that_was_taken_out_are_none() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    assert_eq!(status(&stack, &browser).await, 200);
    stack.reload(|config| put(config, "headers.X-Mark", "another")).await.unwrap();
    assert_eq!(status(&stack, &browser).await, 200, "of a provider that is still there");
    stack.reload(|config| call_it(config, "another")).await.unwrap();
    assert_eq!(status(&stack, &browser).await, 401);
    let public = browser.request(Method::GET, &stack.at("/.narthex/session")).background().send().await;
    for told in ["ada@example.com", "\"ada\"", "Ada Example"] {
        assert!(!public.text().contains(told), "{}", public.text());
    }
    assert_eq!(listed(&stack).await, 1, "refused here, not ended for the other replicas");
    stack.reload(|config| call_it(config, "demo")).await.unwrap();
    assert_eq!(status(&stack, &browser).await, 200, "it is put back");
}

#[tokio::test]
async fn sessions_of_a_provider_that_is_gone_after_a_restart_are_none() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.restart_with(|config| call_it(config, "another")).await;
    assert_eq!(status(&stack, &browser).await, 401);
    stack.restart_with(|config| call_it(config, "demo")).await;
    assert_eq!(status(&stack, &browser).await, 200);
}

#[tokio::test]
async fn streams_end_with_the_provider_of_their_session_under_whichever_configuration_they_began() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let mut first = tunnel(&stack, &browser).await;
    stack.reload(|config| put(config, "headers.X-Mark", "second")).await.unwrap();
    let mut second = tunnel(&stack, &browser).await;
    let mut events = stream(&stack, &browser, "/events", "").await;
    stack.reload(|config| put(config, "headers.X-Mark", "third")).await.unwrap();
    let mut third = tunnel(&stack, &browser).await;
    for tunnel in [&mut first, &mut second, &mut third] {
        assert_goes_on(tunnel).await;
    }
    stack.reload(|config| call_it(config, "another")).await.unwrap();
    for stream in [&mut first, &mut second, &mut third, &mut events] {
        assert_breaks_off(stream).await;
    }
    stack.earlier_in_use(0).await;
}

#[tokio::test]
async fn a_shorter_lifetime_holds_for_sessions_that_have_begun_and_for_their_streams() {
    let (mut stack, browser, other) = (Stack::start().await, Browser::new(), Browser::new());
    stack.sign_in(&browser, "ada").await;
    let mut early = tunnel(&stack, &browser).await;
    stack.parties.clock.turn(Duration::from_mins(20));
    stack.settle();
    stack.sign_in(&other, "bob").await;
    let mut late = tunnel(&stack, &other).await;
    let shorter = |config: &mut Table| {
        put(config, "session.idle_timeout", "20m");
        put(config, "session.max_lifetime", "20m");
    };
    stack.reload(shorter).await.unwrap();
    assert_eq!((status(&stack, &browser).await, status(&stack, &other).await), (401, 200));
    assert_breaks_off(&mut early).await;
    assert_goes_on(&mut late).await;
    stack.parties.clock.turn(Duration::from_mins(10));
    stack.settle();
    assert_eq!(status(&stack, &other).await, 200);
    assert_goes_on(&mut late).await;
    stack.parties.clock.turn(Duration::from_mins(10));
    stack.settle();
    assert_eq!(status(&stack, &other).await, 401);
    assert_breaks_off(&mut late).await;
}

#[tokio::test]
async fn all_sessions_of_a_provider_are_ended_for_good_though_it_is_not_configured() {
    let (mut stack, browser, other) = (Stack::start().await, Browser::new(), Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.sign_in(&other, "bob").await;
    stack.reload(|config| call_it(config, "another")).await.unwrap();
    stack.notice().await;
    let (code, ..) = stack.program_meanwhile(&["session", "revoke", "--idp", "another"]).await;
    assert_eq!((code, listed(&stack).await), (1, 2), "they are not of that one");
    let (code, text, error) = stack.program_meanwhile(&["session", "revoke", "--idp", "demo"]).await;
    assert_eq!((code, text.as_str()), (0, "2 ended\n"), "{error}");
    let (code, ..) = stack.program_meanwhile(&["session", "revoke", "--idp", "demo"]).await;
    assert_eq!(code, 1, "nothing is left to end");
    stack.reload(|config| call_it(config, "demo")).await.unwrap();
    assert_eq!((status(&stack, &browser).await, status(&stack, &other).await), (401, 401));

    let another = Browser::new();
    stack.sign_in(&another, "ada").await;
    let mut tunnel = tunnel(&stack, &another).await;
    let request = client().delete(stack.admin_at("/idps/demo/sessions")).bearer_auth(ADMIN_TOKEN);
    let ended: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(ended["sessions"], 1);
    assert_eq!(status(&stack, &another).await, 401);
    assert_breaks_off(&mut tunnel).await;
}
