//! The admin API and the command line beside a running proxy.

use http::Method;
use narthex::app;
use serde_json::Value;

use crate::support::stack::ADMIN_TOKEN;
use crate::support::{Browser, Page, Stack};

async fn call(stack: &Stack, method: Method, path: &str) -> Page {
    let caller = Browser::new();
    let request = caller.request(method, &stack.admin_at(path)).background();
    request.header("authorization", &format!("Bearer {ADMIN_TOKEN}")).send().await
}

async fn status(stack: &Stack, browser: &Browser) -> u16 {
    browser.request(Method::GET, &stack.at("/echo")).background().send().await.status.as_u16()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn e4_an_administrator_finds_a_member_and_ends_their_sessions() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let found = call(&stack, Method::GET, "/members?search=ada").await.json();
    let member = found["items"][0]["id"].as_str().unwrap().to_owned();
    let sessions = call(&stack, Method::GET, &format!("/sessions?member={member}")).await.json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(status(&stack, &browser).await, 200);
    let ended = call(&stack, Method::DELETE, &format!("/members/{member}/sessions")).await.json();
    assert_eq!(ended["sessions"], 1);
    assert_eq!(status(&stack, &browser).await, 401);
    assert_eq!(call(&stack, Method::GET, "/status").await.json()["ready"], true);
}

#[tokio::test]
async fn e4_a_session_ended_by_the_command_line_is_over_in_the_running_proxy() {
    let (stack, browser, other) = (Stack::start().await, Browser::new(), Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.sign_in(&other, "bob").await;
    stack.notice().await;
    assert_eq!((status(&stack, &browser).await, status(&stack, &other).await), (200, 200));

    let (code, text, error) = stack.program(&["session", "list", "--json"]);
    assert_eq!(code, 0, "{error}");
    let all = lines(&text);
    assert_eq!(all.len(), 2);
    let one = all.iter().find(|session| session["username"] == "ada").unwrap();
    let (code, text, error) = stack.program(&["session", "revoke", one["id"].as_str().unwrap()]);
    assert_eq!((code, text.as_str()), (0, "1 ended\n"), "{error}");
    stack.notice().await;
    assert_eq!((status(&stack, &browser).await, status(&stack, &other).await), (401, 200));

    let (code, text, _) = stack.program(&["member", "list", "--search", "BO", "--json"]);
    let members = lines(&text);
    assert_eq!((code, members.len()), (0, 1), "{text}");
    let member = members[0]["id"].as_str().unwrap();
    let (code, text, _) = stack.program(&["member", "show", member]);
    assert!(code == 0 && text.contains("username    bob"), "{text}");
    let (code, text, _) = stack.program(&["session", "revoke", "--member", member, "--json"]);
    assert_eq!((code, text.as_str()), (0, "{\"sessions\":1}\n"));
    stack.notice().await;
    assert_eq!(status(&stack, &other).await, 401);
    // Nothing is left to end.
    let (code, ..) = stack.program(&["session", "revoke", "--member", member]);
    assert_eq!(code, 1);
}

#[tokio::test]
async fn s5_the_bootstrap_token_of_the_command_line_opens_the_admin_api() {
    let stack = Stack::start().await;
    let (code, text, error) = stack.program(&["admin", "bootstrap", "--json"]);
    assert_eq!(code, 0, "{error}");
    let printed: Value = serde_json::from_str(&text).unwrap();
    assert!(printed["token"].as_str().unwrap().starts_with("nxb_"), "{printed}");
    // The program has the machine's clock; the proxy has the tests'.
    let token = app::bootstrap(&stack.settings(), &stack.parties.platform).await.unwrap();
    let caller = Browser::new();
    let body = serde_json::json!({ "token": token });
    let request = caller.request(Method::POST, &stack.admin_at("/bootstrap")).background();
    let issued = request.json(&body).send().await;
    assert_eq!(issued.status, 201, "{}", issued.text());
    let bearer = format!("Bearer {}", issued.json()["token"].as_str().unwrap());
    let me = caller.request(Method::GET, &stack.admin_at("/me")).background();
    let me = me.header("authorization", &bearer).send().await.json();
    assert_eq!(me["role"], "administrator");
}
