//! F7 and F8 through the real proxy: who waits for an administrator, what they see, and what the decision does.

use std::time::Duration;

use http::Method;
use narthex::demo::application::{Lie, LieTo};
use serde_json::{Value, json};

use crate::support::stack::{ADMIN_TOKEN, put};
use crate::support::{Browser, Log, Page, Stack};

async fn call(stack: &Stack, method: Method, path: &str, version: &str, body: Option<Value>) -> Page {
    let caller = Browser::new();
    let request = caller.request(method, &stack.admin_at(path)).background();
    let request =
        request.header("authorization", &format!("Bearer {ADMIN_TOKEN}")).header("if-match", version);
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

async fn sign_in(stack: &Stack, browser: &Browser, login: &str) -> Page {
    stack.sign_in_at(browser, login, "/echo").await
}

fn is_in(page: &Page) -> bool {
    (page.status.as_u16(), page.url.path()) == (200, "/echo")
}

/// The one case that there is.
async fn case(stack: &Stack) -> Value {
    let listed = call(stack, Method::GET, "/cases", "", None).await.json();
    let [case] = listed["items"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    case.clone()
}

#[tokio::test]
async fn f7_a_person_whom_an_administrator_is_asked_about_waits_and_comes_in_once_it_is_decided() {
    let (log, stack) =
        (Log::begin(), Stack::with(|config| put(config, "provisioning.on_existing", "ask")).await);
    let before = stack.parties.app.user("carol").unwrap();
    let browser = Browser::new();
    let page = sign_in(&stack, &browser, "carol").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "waits_for_administrator"));
    assert_eq!(browser.cookie(&stack.session_cookie()), None);
    let waiting = case(&stack).await;
    let id = waiting["id"].as_str().unwrap();
    let told = page.text().split_off(page.text().find("<main>").unwrap());
    assert!(told.contains(id) && told.contains("An administrator has been asked"), "{told}");
    assert!(!told.contains("carol"), "{told}");
    assert_eq!((&waiting["state"], &waiting["username"]), (&json!("waiting"), &json!("carol")));
    // However often, and from wherever.
    assert_eq!(sign_in(&stack, &Browser::new(), "carol").await.status.as_u16(), 403);
    assert_eq!(case(&stack).await["revision"], 1);

    let (code, text, error) =
        stack.program_meanwhile(&["case", "list", "--standing", "waiting", "--json"]).await;
    let listed: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{code} {text} {error}"));
    assert_eq!(listed["id"], waiting["id"]);
    let (code, text, error) = stack.program_meanwhile(&["case", "decide", id, "deny"]).await;
    assert!(
        code == 0 && text.contains("state     denied") && text.contains("by command line"),
        "{text}{error}"
    );
    let page = sign_in(&stack, &browser, "carol").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "case_denied"));
    // The program has the machine's clock; the proxy, which looks whether a decision has lapsed, has the tests'.
    let path = format!("/cases/{id}/decision");
    let linked = call(&stack, Method::PUT, &path, "\"2\"", Some(json!({ "decision": "link" }))).await;
    assert_eq!(linked.json()["state"], "linked");
    let page = sign_in(&stack, &browser, "carol").await;
    assert!(is_in(&page), "{}", page.text());
    assert_eq!(stack.parties.app.user("carol").unwrap(), before);
    assert_eq!(stack.parties.app.writes(), []);
    let (_, text, _) = stack.program_meanwhile(&["member", "list", "--search", "carol", "--json"]).await;
    let member: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(member["origin"], "manual");
    let used = case(&stack).await;
    assert_eq!((&used["state"], &used["led_to"]), (&json!("used"), &member["id"]));
    let (code, _, error) = stack.program_meanwhile(&["case", "decide", id, "deny"]).await;
    assert!(code == 1 && error.contains("a sign-in came in by it already"), "{error}");
}

#[tokio::test]
async fn f8_a_recycled_address_opens_its_former_owners_account_only_where_an_administrator_says_so() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    assert!(is_in(&sign_in(&stack, &Browser::new(), "ada").await));
    stack.parties.idp.edit("ada", |ada| ada.subject = "another-person".to_owned());
    let page = sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "waits_for_administrator"));
    let waiting = case(&stack).await;
    assert_eq!(
        (&waiting["kind"], &waiting["subject"]),
        (&json!("recycled_address"), &json!("another-person"))
    );
    let path = format!("/cases/{}/decision", waiting["id"].as_str().unwrap());
    let denied = call(&stack, Method::PUT, &path, "\"1\"", Some(json!({ "decision": "deny" }))).await;
    assert_eq!(denied.json()["state"], "denied");
    let page = sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "case_denied"));
    let late = call(&stack, Method::PUT, &path, "\"1\"", Some(json!({ "decision": "link" }))).await;
    assert_eq!(late.status.as_u16(), 412);
    let linked = call(&stack, Method::PUT, &path, "\"2\"", Some(json!({ "decision": "link" }))).await;
    assert_eq!(linked.json()["state"], "linked");
    assert!(is_in(&sign_in(&stack, &Browser::new(), "ada").await));
    let member = call(&stack, Method::GET, "/members?search=ada", "", None).await.json();
    assert_eq!(member["items"][0]["identities"].as_array().unwrap().len(), 2, "{member}");
}

#[tokio::test]
async fn a2_with_on_error_admit_a_member_comes_in_while_the_api_is_away_and_nobody_new_does() {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| {
            put(config, "provisioning.on_error", "admit");
            put(config, "provisioning.sync", "every_login");
        })
        .await,
    );
    assert!(is_in(&sign_in(&stack, &Browser::new(), "ada").await));
    let before = stack.parties.app.user("ada").unwrap();
    stack.parties.clock.turn(Duration::from_mins(1));
    stack.parties.app.forget_calls();
    stack.parties.app.set_lie(LieTo::All, Lie::Html);
    let browser = Browser::new();
    let page = sign_in(&stack, &browser, "ada").await;
    assert!(is_in(&page), "{}", page.text());
    let told = browser.visit(&stack.at("/.narthex/session")).await.json();
    assert_eq!((&told["account"]["username"], &told["teams"]), (&json!("ada"), &json!(["developers"])));
    let newcomer = sign_in(&stack, &Browser::new(), "bob").await;
    assert_eq!((newcomer.status.as_u16(), log.code(&newcomer).as_str()), (503, "application_unexpected"));
    // A group that is gone takes a team away, which waits for the application.
    stack.parties.idp.edit("ada", |ada| ada.groups = Some(Vec::new()));
    let less = sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!((less.status.as_u16(), log.code(&less).as_str()), (503, "application_unexpected"));
    assert_eq!(stack.parties.app.user("ada").unwrap(), before);
    assert_eq!(stack.parties.app.writes(), []);
}
