//! oidc-provider signs in to JupyterHub, which refuses whom nobody made: accounts, admins, groups; and what can be
//! asked of any identity provider: new keys, claims at userinfo only, public clients.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use toml::Table;

use super::front::{Front, assert_connector_works};
use super::oidc_provider::OidcProvider;
use crate::support::party::Party;
use crate::support::recorder::Recorder;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Hub> = OnceCell::const_new();

/// One hub serves all tests; each has people of its own. There are the groups `engineers` and `readers`.
struct Hub {
    party: Party,
}

impl Hub {
    async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| async {
                let hub = Self { party: Party::start("jupyterhub").await };
                for group in ["engineers", "readers"] {
                    let page = hub.api(Method::POST, &format!("/groups/{group}")).await;
                    assert_eq!(page.status, 201, "{}", page.text());
                }
                hub
            })
            .await
    }

    async fn api(&self, method: Method, path: &str) -> Page {
        let url = format!("{}{path}", self.party.at("api"));
        let token = format!("token {}", self.party.at("token"));
        Browser::new().request(method, &url).header("authorization", &token).send().await
    }

    /// Of the account: (admin, its groups sorted).
    async fn user(&self, name: &str) -> Option<(bool, Vec<String>)> {
        let page = self.api(Method::GET, &format!("/users/{name}")).await;
        (page.status == 200).then(|| {
            let user = page.json();
            let groups = user["groups"].as_array().unwrap().iter();
            let mut groups: Vec<String> = groups.map(|name| name.as_str().unwrap().to_owned()).collect();
            groups.sort();
            (user["admin"] == true, groups)
        })
    }

    /// What the hub says to a request that carries the header only.
    async fn login_with_header(&self, name: &str) -> u16 {
        let url = format!("{}/hub/login", self.party.url());
        let browser = Browser::new();
        browser.request(Method::GET, &url).header("X-Remote-User", name).stay().send().await.status.as_u16()
    }

    fn config(&self, idp: &str, admin: &str) -> Table {
        let source = format!(
            r#"
{idp}
[upstream]
url = "{url}"
# As in deploy/values/jupyterhub.toml: the login alone is told who it is.
[[route]]
path = "/"
access = "signed_in"
pass_identity = false
[[route]]
path = "/hub/login"
access = "signed_in"
[headers]
X-Remote-User = "{{{{ account.username }}}}"
[application]
connector = "jupyterhub"
url = "{admin}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[provisioning.mapping]]
group = "engineers"
app_groups = ["engineers"]
[[provisioning.mapping]]
group = "readers"
app_groups = ["readers"]
[[provisioning.mapping]]
group = "dba"
role = "admin"
privileged = true
"#,
            url = self.party.url(),
            token = self.party.at("token"),
        );
        source.parse().unwrap()
    }
}

/// The hub's home page, as somebody signed in.
fn assert_home_of(name: &str, page: &Page) {
    assert_eq!(
        (page.status.as_u16(), page.url.path()),
        (200, "/hub/home"),
        "{:#?}\n{}",
        page.trail(),
        page.text()
    );
    assert!(page.text().contains(&format!("user: \"{name}\"")), "{}", page.text());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f10_a_first_login_at_oidc_provider_makes_the_account_in_jupyterhub_with_admin_rights_and_groups() {
    let (provider, hub) = (OidcProvider::shared().await, Hub::shared().await);
    let admin = Recorder::of(hub.party.url()).await;
    let front = Front::start(hub.config(&provider.idp("narthex"), &admin.url)).await;

    assert_eq!(hub.user("ada").await, None);
    assert_eq!(hub.login_with_header("ada").await, 403, "the hub refuses whom nobody made");
    let page = provider.sign_in("ada", &Browser::new(), &front.at("/hub/home")).await;
    assert_home_of("ada", &page);
    assert_eq!(hub.user("ada").await, Some((true, vec!["engineers".to_owned()])));

    // L4
    admin.forget();
    assert_home_of("ada", &provider.sign_in("ada", &Browser::new(), &front.at("/hub/home")).await);
    assert_eq!(admin.writes(), Vec::<String>::new(), "a second login writes nothing");

    assert_home_of("bob", &provider.sign_in("bob", &Browser::new(), &front.at("/hub/home")).await);
    assert_eq!(hub.user("bob").await, Some((false, vec!["readers".to_owned()])));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn new_keys_of_the_provider_are_taken_up_while_running() {
    let (provider, hub) = (OidcProvider::with(&[]).await, Hub::shared().await);
    for name in ["rosa", "rita"] {
        provider.enrol(name, &["engineers"]).await;
    }
    let front = Front::start(hub.config(&provider.idp("narthex"), hub.party.url())).await;
    assert_home_of("rosa", &provider.sign_in("rosa", &Browser::new(), &front.at("/hub/home")).await);
    provider.rotate_keys().await;
    // Unknown keys are not looked up more often than every ten seconds.
    front.forward(11);
    assert_home_of("rita", &provider.sign_in("rita", &Browser::new(), &front.at("/hub/home")).await);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn claims_that_only_userinfo_has_make_the_account_too() {
    let (provider, hub) = (OidcProvider::with(&[("USERINFO_ONLY", "1")]).await, Hub::shared().await);
    provider.enrol("uma", &["readers"]).await;
    let front = Front::start(hub.config(&provider.idp("narthex"), hub.party.url())).await;
    assert_home_of("uma", &provider.sign_in("uma", &Browser::new(), &front.at("/hub/home")).await);
    assert_eq!(hub.user("uma").await, Some((false, vec!["readers".to_owned()])));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_public_client_signs_in_with_pkce_alone() {
    let (provider, hub) = (OidcProvider::shared().await, Hub::shared().await);
    provider.enrol("pia", &["engineers"]).await;
    let front = Front::start(hub.config(&provider.idp("narthex-public"), hub.party.url())).await;
    assert_home_of("pia", &provider.sign_in("pia", &Browser::new(), &front.at("/hub/home")).await);
    assert_eq!(hub.user("pia").await, Some((false, vec!["engineers".to_owned()])));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_client_that_posts_its_secret_signs_in() {
    let (provider, hub) = (OidcProvider::shared().await, Hub::shared().await);
    provider.enrol("paul", &["readers"]).await;
    let idp = format!("{}client_auth = \"client_secret_post\"\n", provider.idp("narthex-post"));
    let front = Front::start(hub.config(&idp, hub.party.url())).await;
    assert_home_of("paul", &provider.sign_in("paul", &Browser::new(), &front.at("/hub/home")).await);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e7_whoever_comes_next_in_the_same_browser_is_not_taken_for_the_last() {
    let (provider, hub) = (OidcProvider::shared().await, Hub::shared().await);
    for name in ["nell", "nora"] {
        provider.enrol(name, &[]).await;
    }
    let front = Front::start(hub.config(&provider.idp("narthex"), hub.party.url())).await;
    let browser = Browser::new();
    assert_home_of("nell", &provider.sign_in("nell", &browser, &front.at("/hub/home")).await);
    let page = browser.visit(&front.at("/.narthex/logout")).await;
    let page = browser.submit(&page, page.form_with("csrf_token")).await;
    let form = page.form_with("xsrf").set("logout", "yes");
    let page = browser.submit(&page, form).await;
    assert!(page.text().contains("signed out"), "{}", page.text());
    assert_eq!(page.url.origin().ascii_serialization(), front.url, "the provider leads back");
    assert_home_of("nora", &provider.sign_in("nora", &browser, &front.at("/hub/home")).await);
    let users = hub.api(Method::GET, "/users").await.json();
    let mine = |user: &&Value| ["nell", "nora"].map(|name| json!(name)).contains(&user["name"]);
    assert_eq!(users.as_array().unwrap().iter().filter(mine).count(), 2);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_connector_test_succeeds_with_jupyterhub() {
    let (provider, hub) = (OidcProvider::shared().await, Hub::shared().await);
    assert_connector_works(hub.config(&provider.idp("narthex"), hub.party.url())).await;
}
