//! S5: administrators who sign in at the same identity provider as everybody.

use http::Method;
use narthex::demo::idp::saml::SamlBehaviour;
use serde_json::{Value, json};

use crate::support::stack::{push, table};
use crate::support::{Browser, Page, Stack};

const RULE: &str = r#"
when = "'platform-admins' in claims.groups"
role = "administrator"
"#;

async fn stack() -> Stack {
    let stack = Stack::with(|config| push(config, "admin.rule", table(RULE))).await;
    stack.parties.idp.edit("ada", |person| person.groups = Some(vec!["platform-admins".to_owned()]));
    stack.parties.idp.edit("bob", |person| person.groups = Some(vec!["engineers".to_owned()]));
    stack
}

/// Opens the admin API's page and signs in there.
async fn administers(stack: &Stack, browser: &Browser, login: &str) -> Page {
    let page = browser.visit(&stack.admin_page("/")).await;
    if page.url.as_str().starts_with(&stack.admin_page("/")) {
        return page;
    }
    page.sign_in_as(browser, login).await
}

/// As a script of the admin API's own page calls it.
async fn call(stack: &Stack, browser: &Browser, method: Method, path: &str, more: &[(&str, &str)]) -> Page {
    let own = stack.admin_page("/").parse().unwrap();
    let mut request = browser.request(method, &stack.admin_at(path)).from(&own).background();
    for (name, value) in more {
        request = request.header(name, value);
    }
    request.send().await
}

async fn send(
    stack: &Stack,
    browser: &Browser,
    method: Method,
    path: &str,
    csrf: &str,
    body: &Value,
) -> Page {
    let own = stack.admin_page("/").parse().unwrap();
    let request = browser.request(method, &stack.admin_at(path)).from(&own).background();
    let request = request.header("x-narthex-csrf", csrf).header("if-match", "\"0\"");
    request.json(body).send().await
}

/// Of a stack that is stopped: the log is written beside the work.
fn logged(stack: &Stack, event: &str) -> String {
    let (code, out, err) = stack.program(&["audit", "export", "--event", event]);
    assert_eq!(code, 0, "{err}");
    out
}

#[tokio::test]
async fn s5_an_administrator_signs_in_at_the_provider_changes_a_setting_and_the_log_names_them() {
    let (mut stack, browser) = (stack().await, Browser::new());
    let home = administers(&stack, &browser, "ada").await;
    assert_eq!(home.status, 200, "{:#?}", home.trail());
    assert!(
        home.text().contains("ada@example.com") && home.text().contains("administrator"),
        "{}",
        home.text()
    );
    let me = call(&stack, &browser, Method::GET, "/me", &[]).await.json();
    assert!(me["name"].as_str().unwrap().starts_with("demo:"), "{me}");
    let csrf = me["session"]["csrf_token"].as_str().unwrap();

    let before = call(&stack, &browser, Method::GET, "/settings", &[]).await.json();
    let mut wanted = before["given"].clone();
    wanted["default_role"] = json!("editor");
    let proposal = json!({ "provisioning": wanted });
    let refused = send(&stack, &browser, Method::POST, "/settings/preview", "", &proposal).await;
    assert_eq!(refused.json()["type"], "urn:narthex:problem:csrf");
    let preview = send(&stack, &browser, Method::POST, "/settings/preview", csrf, &proposal).await;
    assert_eq!(preview.status, 200, "{}", preview.text());
    let change = json!({ "provisioning": wanted, "confirmation": preview.json()["confirmation"] });
    let changed = send(&stack, &browser, Method::PUT, "/settings", csrf, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    // It is no session of the application's, which does not see its cookie either: cookies know no ports.
    let echo = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(echo.status, 401, "{}", echo.text());
    stack.sign_in(&browser, "ada").await;
    let echo = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(echo.status, 200);
    assert!(!echo.text().contains("narthex-admin"), "{}", echo.text());

    let home = browser.visit(&stack.admin_page("/")).await;
    let out = browser.submit(&home, home.form_with("csrf_token")).await;
    assert_eq!(out.status, 200, "{}", out.text());
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 401);
    let echo = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(echo.status, 200, "signing out there ends nothing here");

    stack.stop().await;
    let name = me["name"].as_str().unwrap();
    for event in ["administrator_login", "settings_changed", "administrator_logout"] {
        let logged = logged(&stack, event);
        assert!(logged.contains(&format!("ada@example.com ({name})")), "{event}: {logged}");
    }
}

#[tokio::test]
async fn s5_a_person_whom_no_rule_names_gets_a_clear_page_and_no_session() {
    let (mut stack, browser) = (stack().await, Browser::new());
    // A session of the application is none there.
    stack.sign_in(&browser, "bob").await;
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 401);
    let page = administers(&stack, &browser, "bob").await;
    assert_eq!(page.status, 403, "{:#?}", page.trail());
    assert!(page.text().contains("You cannot be let in"), "{}", page.text());
    assert!(!page.text().contains("platform-admins"), "{}", page.text());
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 401);
    stack.stop().await;
    assert!(logged(&stack, "administrator_refused").contains("no_console_role"));
}

#[tokio::test]
async fn s5_pages_of_the_application_do_nothing_with_an_administrators_session() {
    let (stack, browser) = (stack().await, Browser::new());
    administers(&stack, &browser, "ada").await;
    let csrf = call(&stack, &browser, Method::GET, "/me", &[]).await.json();
    let csrf = csrf["session"]["csrf_token"].as_str().unwrap();
    // The same site at another port: the cookie comes along, and is worth nothing.
    let application = stack.at("/").parse().unwrap();
    let request = browser.request(Method::DELETE, &stack.admin_at("/sessions")).from(&application);
    let refused = request.background().header("x-narthex-csrf", csrf).send().await;
    assert_eq!(refused.json()["type"], "urn:narthex:problem:cross_origin");
    let form = browser.request(Method::POST, &stack.admin_page("/logout")).from(&application);
    let refused = form.form(&[("csrf_token", csrf)]).send().await;
    assert_eq!(refused.status, 403);
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 200);
}

/// The same where the provider answers by a form, which its page's script sends.
async fn by_saml(stack: &Stack, browser: &Browser, login: &str) -> Page {
    let page = administers(stack, browser, login).await;
    browser.submit(&page, page.form_with("SAMLResponse")).await
}

#[tokio::test]
async fn s5_an_administrator_signs_in_by_saml_as_another_service_provider_than_people_do() {
    let rule = "when = \"'platform-admins' in claims.groups\"\nrole = \"viewer\"";
    let stack = Stack::by_saml_administered(SamlBehaviour::default(), |_| {}, Some(rule)).await;
    stack.parties.idp.edit("ada", |person| person.groups = Some(vec!["platform-admins".to_owned()]));
    stack.parties.idp.edit("bob", |person| person.groups = Some(vec!["engineers".to_owned()]));
    let browser = Browser::new();
    let home = by_saml(&stack, &browser, "ada").await;
    assert_eq!(home.status, 200, "{:#?}", home.trail());
    assert!(home.text().contains("viewer"), "{}", home.text());
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 200);
    let metadata = browser.visit(&stack.admin_page("/saml/demo/metadata")).await;
    assert!(metadata.text().contains(&stack.admin_page("/saml/demo/acs")), "{}", metadata.text());
    assert!(!metadata.text().contains("SingleLogoutService"), "{}", metadata.text());

    stack.parties.idp.end_all_sessions();
    let other = Browser::new();
    let page = by_saml(&stack, &other, "bob").await;
    assert_eq!(page.status, 403, "{:#?}", page.trail());
    assert_eq!(call(&stack, &other, Method::GET, "/me", &[]).await.status, 401);
}

#[tokio::test]
async fn s5_what_was_said_to_the_application_s_service_provider_lets_nobody_administer() {
    let rule = "when = \"'platform-admins' in claims.groups\"\nrole = \"administrator\"";
    let stack = Stack::by_saml_administered(SamlBehaviour::default(), |_| {}, Some(rule)).await;
    stack.parties.idp.edit("ada", |person| person.groups = Some(vec!["platform-admins".to_owned()]));
    let browser = Browser::new();
    // The application's consumer verifies a response to ada; its result is brought to the admin API's consumer.
    let page = browser.visit(&stack.at("/echo")).await;
    let page = page.sign_in_as(&browser, "ada").await;
    let form = page.form_with("SAMLResponse");
    let request = browser.request(Method::POST, form.action.as_str()).from(&page.url);
    let answer = request.form(&form.fields).stay().send().await.location();
    let result = answer.query_pairs().find(|(name, _)| name == "result").map(|(_, id)| id.into_owned());
    let result = result.unwrap_or_else(|| panic!("{answer}"));
    let page = browser.visit(&stack.admin_page(&format!("/saml/demo/acs?result={result}"))).await;
    assert_ne!(page.status, 200);
    assert_eq!(call(&stack, &browser, Method::GET, "/me", &[]).await.status, 401);
}
