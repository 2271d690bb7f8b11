//! oidc-provider signs in to Miniflux, behind the program itself: accounts and admins.

use http::Method;
use serde_json::Value;
use toml::Table;

use super::front::{Program, assert_connector_works};
use super::oidc_provider::OidcProvider;
use crate::support::Browser;
use crate::support::party::Party;
use crate::support::recorder::Recorder;

/// The account of this name as the API has it.
async fn user(miniflux: &Party, name: &str) -> Option<Value> {
    let url = format!("{}/users/{name}", miniflux.at("api"));
    let browser = Browser::new();
    let page = browser.request(Method::GET, &url).header("X-Auth-Token", miniflux.at("token")).send().await;
    (page.status == 200).then(|| page.json())
}

fn config(idp: &str, miniflux: &Party, admin: &str) -> Table {
    let source = format!(
        r#"
{idp}
[upstream]
url = "{url}"
[headers]
X-Remote-User = "{{{{ account.username }}}}"
[application]
connector = "miniflux"
url = "{admin}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[provisioning.mapping]]
group = "dba"
role = "admin"
privileged = true
"#,
        url = miniflux.url(),
        token = miniflux.at("token"),
    );
    source.parse().unwrap()
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f10_a_first_login_at_oidc_provider_makes_the_account_in_miniflux_with_admin_rights() {
    let (provider, miniflux) = (OidcProvider::shared().await, Party::start("miniflux").await);
    let admin = Recorder::of(miniflux.url()).await;
    let front = Program::serve(config(&provider.idp("narthex"), &miniflux, &admin.url)).await;

    assert_eq!(user(&miniflux, "ada").await, None);
    let stranger = Browser::new();
    let url = format!("{}/", miniflux.url());
    let page = stranger.request(Method::GET, &url).header("X-Remote-User", "ada").send().await;
    assert_eq!(page.status, 403, "Miniflux refuses whom nobody made");

    for (name, is_admin) in [("ada", true), ("bob", false)] {
        let browser = Browser::new();
        let page = provider.sign_in(name, &browser, &front.at("/")).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/unread"), "{}", page.text());
        let page = browser.visit(&front.at("/settings")).await;
        assert!(page.text().contains(&format!("value=\"{name}\"")), "{}", page.text());
        assert_eq!(user(&miniflux, name).await.unwrap()["is_admin"], is_admin, "{name}");
    }

    // L4
    admin.forget();
    let page = provider.sign_in("ada", &Browser::new(), &front.at("/")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(admin.writes(), Vec::<String>::new(), "a second login writes nothing");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_connector_test_succeeds_with_miniflux() {
    let (provider, miniflux) = (OidcProvider::shared().await, Party::start("miniflux").await);
    assert_connector_works(config(&provider.idp("narthex"), &miniflux, miniflux.url())).await;
}
