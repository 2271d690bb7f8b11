//! What becomes of accounts after the first sign-in, on the running proxy: L2, E1, E2, E3.

use std::time::Duration;

use toml::Table;

use crate::support::stack::put;
use crate::support::{Browser, Page, Stack};

/// The usual configuration on a store that lasts.
async fn lasting(edit: impl FnOnce(&mut Table)) -> Stack {
    Stack::with(|config| {
        put(config, "store.url", "sqlite:narthex.db");
        put(config, "store.durable", true);
        edit(config);
    })
    .await
}

async fn ephemeral() -> Stack {
    lasting(|config| put(config, "provisioning.delete_at_session_end", true)).await
}

async fn sign_in(stack: &Stack, browser: &Browser, login: &str) -> Page {
    stack.parties.idp.end_all_sessions();
    let page = stack.sign_in_at(browser, login, "/echo").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{}", page.text());
    page
}

async fn sign_out(stack: &Stack, browser: &Browser) {
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    browser.submit(&page, page.form_with("csrf_token")).await;
}

/// Looks until it is so. The clock goes on meanwhile, so that what waits for a while is due.
async fn comes_about(stack: &Stack, so: impl Fn() -> bool) {
    let looking = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !so() {
            stack.parties.clock.turn(Duration::from_secs(1));
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.unwrap();
}

#[tokio::test]
async fn e1_the_account_goes_when_its_person_signs_out_and_e3_comes_back_with_the_next_sign_in() {
    let (stack, browser) = (ephemeral().await, Browser::new());
    let there = || stack.parties.app.user("ada").is_some();
    sign_in(&stack, &browser, "ada").await;
    assert!(there());
    sign_out(&stack, &browser).await;
    comes_about(&stack, || !there()).await;
    sign_in(&stack, &browser, "ada").await;
    assert!(there());
}

#[tokio::test]
async fn e1_a_session_that_expires_takes_the_account_with_it() {
    let (stack, browser) = (ephemeral().await, Browser::new());
    sign_in(&stack, &browser, "ada").await;
    stack.parties.clock.turn(Duration::from_hours(2));
    comes_about(&stack, || stack.parties.app.user("ada").is_none()).await;
}

#[tokio::test]
async fn e2_a_deletion_outlives_an_application_that_is_down_and_a_restart_of_the_proxy() {
    let (mut stack, browser) = (ephemeral().await, Browser::new());
    sign_in(&stack, &browser, "ada").await;
    stack.parties.app.set_down(true);
    sign_out(&stack, &browser).await;
    stack.restart().await;
    assert!(stack.parties.app.user("ada").is_some());
    stack.parties.app.set_down(false);
    comes_about(&stack, || stack.parties.app.user("ada").is_none()).await;
}

#[tokio::test]
async fn l2_a_borrowed_role_goes_back_when_its_person_signs_out() {
    let stack = lasting(|config| put(config, "provisioning.session_roles", "borrow")).await;
    let browser = Browser::new();
    let role = || stack.parties.app.user("ada").unwrap().role;
    sign_in(&stack, &browser, "ada").await;
    let before = role();
    sign_out(&stack, &browser).await;
    stack.parties.idp.edit("ada", |ada| ada.role = Some("editor".to_owned()));
    assert_ne!(before, "editor");
    sign_in(&stack, &browser, "ada").await;
    assert_eq!(role(), "editor");
    sign_out(&stack, &browser).await;
    comes_about(&stack, || role() == before).await;
}
