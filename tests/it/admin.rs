//! The admin API and the command line beside a running proxy.

use http::Method;
use narthex::app;
use serde_json::{Value, json};

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

    let (code, text, error) = stack.program_meanwhile(&["session", "list", "--json"]).await;
    assert_eq!(code, 0, "{error}");
    let all = lines(&text);
    assert_eq!(all.len(), 2);
    let one = all.iter().find(|session| session["username"] == "ada").unwrap();
    let (code, text, error) =
        stack.program_meanwhile(&["session", "revoke", one["id"].as_str().unwrap()]).await;
    assert_eq!((code, text.as_str()), (0, "1 ended\n"), "{error}");
    stack.notice().await;
    assert_eq!((status(&stack, &browser).await, status(&stack, &other).await), (401, 200));

    let (code, text, _) = stack.program_meanwhile(&["member", "list", "--search", "BO", "--json"]).await;
    let members = lines(&text);
    assert_eq!((code, members.len()), (0, 1), "{text}");
    let member = members[0]["id"].as_str().unwrap();
    let (code, text, _) = stack.program_meanwhile(&["member", "show", member]).await;
    assert!(code == 0 && text.contains("username    bob"), "{text}");
    let (code, text, _) = stack.program_meanwhile(&["session", "revoke", "--member", member, "--json"]).await;
    assert_eq!((code, text.as_str()), (0, "{\"sessions\":1}\n"));
    stack.notice().await;
    assert_eq!(status(&stack, &other).await, 401);
    // Nothing is left to end.
    let (code, ..) = stack.program_meanwhile(&["session", "revoke", "--member", member]).await;
    assert_eq!(code, 1);
}

#[tokio::test]
async fn s5_the_bootstrap_token_of_the_command_line_opens_the_admin_api() {
    let stack = Stack::start().await;
    let (code, text, error) = stack.program_meanwhile(&["admin", "bootstrap", "--json"]).await;
    assert_eq!(code, 0, "{error}");
    let printed: Value = serde_json::from_str(&text).unwrap();
    assert!(printed["token"].as_str().unwrap().starts_with("nxb_"), "{printed}");
    // The program has the machine's clock; the proxy has the tests'.
    let token = app::bootstrap(&stack.settings(), &stack.parties.platform).await.unwrap();
    let caller = Browser::new();
    let body = json!({ "token": token });
    let request = caller.request(Method::POST, &stack.admin_at("/bootstrap")).background();
    let issued = request.json(&body).send().await;
    assert_eq!(issued.status, 201, "{}", issued.text());
    let bearer = format!("Bearer {}", issued.json()["token"].as_str().unwrap());
    let me = caller.request(Method::GET, &stack.admin_at("/me")).background();
    let me = me.header("authorization", &bearer).send().await.json();
    assert_eq!(me["role"], "administrator");
}

async fn send(stack: &Stack, method: Method, path: &str, version: &str, body: &Value) -> Page {
    let caller = Browser::new();
    let request = caller.request(method, &stack.admin_at(path)).background().header("if-match", version);
    request.header("authorization", &format!("Bearer {ADMIN_TOKEN}")).json(body).send().await
}

#[tokio::test]
async fn m4_settings_change_in_the_running_proxy_and_hold_after_a_restart() {
    let mut stack = Stack::start().await;
    let before = call(&stack, Method::GET, "/settings").await.json();
    assert_eq!((&before["version"], &before["source"]), (&json!(0), &json!("store")));
    let mut wanted = before["given"].clone();
    wanted["default_role"] = json!("editor");
    let preview =
        send(&stack, Method::POST, "/settings/preview", "", &json!({ "provisioning": wanted })).await;
    assert_eq!(preview.status, 200, "{}", preview.text());
    let preview = preview.json();
    assert_eq!(preview["changes"][0]["key"], "default_role");
    let change = json!({ "provisioning": wanted, "confirmation": preview["confirmation"] });
    let changed = send(&stack, Method::PUT, "/settings", "\"0\"", &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    let browser = Browser::new();
    stack.sign_in(&browser, "carol").await;
    let role = async |stack: &Stack| {
        let echo = browser.request(Method::GET, &stack.at("/echo")).background().send().await.text();
        echo.to_lowercase().contains("editor")
    };
    assert!(role(&stack).await, "the next login goes by it");

    let (code, text, error) = stack.program_meanwhile(&["check", "--store"]).await;
    assert!(code == 1 && text.contains("provisioning.default_role: the file says \"user\""), "{text}{error}");
    let (code, text, _) = stack.program_meanwhile(&["settings", "export"]).await;
    assert!(code == 0 && text.contains("default_role = \"editor\""), "{text}");
    stack.restart().await;
    let after = call(&stack, Method::GET, "/settings").await.json();
    assert_eq!((&after["version"], &after["given"]["default_role"]), (&json!(1), &json!("editor")));
}

#[tokio::test]
async fn f6_whom_an_administrator_invites_comes_in_with_what_was_given() {
    let stack = Stack::start().await;
    let wanted = ["invite", "create", "--email", "zoe@example.com", "--role", "editor", "--json"];
    let (code, text, error) = stack.program_meanwhile(&wanted).await;
    assert_eq!(code, 0, "{text}{error}");
    assert_eq!(lines(&text)[0]["invited_by"], "command line");
    // The program has the machine's clock, the proxy that of the tests: to the proxy that invite has expired.
    let wanted = json!({ "email": "bob@example.com", "role": "editor" });
    let made = send(&stack, Method::POST, "/invites", "", &wanted).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let browser = Browser::new();
    stack.sign_in(&browser, "bob").await;
    let id = made["id"].as_str().unwrap();
    let (code, text, _) = stack.program_meanwhile(&["invite", "show", id]).await;
    assert!(code == 0 && text.contains("used"), "{text}");
    let members = call(&stack, Method::GET, "/members?search=bob").await.json();
    assert_eq!(members["items"][0]["origin"], "invite");
    let (code, ..) = stack.program_meanwhile(&["invite", "revoke", id]).await;
    assert_eq!(code, 1, "it was used");
    let privileged = ["invite", "create", "--email", "x@example.com", "--role", "no such role"];
    assert_eq!(stack.program_meanwhile(&privileged).await.0, 1);
}
