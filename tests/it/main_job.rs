//! The main job: sign in, provision, forward.

use crate::support::stack::put;
use crate::support::{Browser, Stack};

#[tokio::test]
async fn f10_a_first_login_creates_the_account_and_lands_in_the_application_signed_in() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    assert!(stack.parties.app.user("ada").is_none());
    let page = stack.sign_in_at(&browser, "ada", "/echo/deep?x=1").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"));
    assert_eq!(page.url.query(), Some("x=1"));
    let ada = stack.parties.app.user("ada").unwrap();
    assert_eq!(
        (ada.email.as_str(), ada.name.as_str(), ada.role.as_str()),
        ("ada@example.com", "Ada Example", "user")
    );
    assert_eq!(stack.parties.app.teams_of("ada"), [("developers".to_owned(), "member".to_owned())]);
    let front = browser.visit(&stack.at("/")).await;
    assert!(front.text().contains("Ada Example"), "{}", front.text());
}

#[tokio::test]
async fn l4_a_second_login_writes_nothing() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.parties.app.forget_calls();
    let page = stack.sign_in(&Browser::new(), "ada").await;
    assert_eq!(page.status, 200);
    assert_eq!(stack.parties.app.writes(), []);
}

#[tokio::test]
async fn l2_a_role_of_the_provider_holds_for_the_session_and_the_account_stays_as_it_is() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    assert_eq!(stack.parties.app.user("carol").unwrap().role, "user");
    let page = stack.sign_in_at(&browser, "carol", "/echo").await;
    let headers = page.json()["headers"].to_string();
    assert!(headers.to_lowercase().contains(r#""x-remote-role","editor""#), "{headers}");
    assert_eq!(stack.parties.app.user("carol").unwrap().role, "user");
}

#[tokio::test]
async fn f4_a_privileged_role_comes_from_a_mapping_row_only() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let page = stack.sign_in_at(&browser, "bob", "/admin").await;
    assert_eq!(page.status, 200, "{}", page.text());
    stack.parties.idp.edit("ada", |ada| ada.role = Some("admin".to_owned()));
    let page = stack.sign_in_at(&Browser::new(), "ada", "/admin").await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(stack.parties.app.user("ada").unwrap().role, "user");
}

#[tokio::test]
async fn g4_a_deactivated_account_refuses_the_login_and_no_session_begins() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let page = stack.sign_in(&browser, "dave").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("deactivated") && page.text().contains("Error id"), "{}", page.text());
    assert_eq!(
        browser.request(http::Method::GET, &stack.at("/.narthex/session")).background().send().await.status,
        401
    );
}

#[tokio::test]
async fn m3_without_provisioning_a_stranger_is_denied_or_forwarded_without_account() {
    let off = |forward: bool| {
        move |config: &mut toml::Table| {
            config.remove("application");
            config.remove("provisioning");
            put(config, "provisioning.mode", "off");
            put(config, "provisioning.unprovisioned", if forward { "forward" } else { "deny" });
        }
    };
    let stack = Stack::with(off(false)).await;
    let page = stack.sign_in(&Browser::new(), "ada").await;
    assert_eq!(page.status, 403, "{}", page.text());

    let stack = Stack::with(off(true)).await;
    let page = stack.sign_in_at(&Browser::new(), "ada", "/echo").await;
    assert_eq!(page.status, 200);
    assert!(!page.json()["headers"].to_string().to_lowercase().contains("x-remote-user"));
}
