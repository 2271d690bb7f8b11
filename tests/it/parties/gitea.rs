//! Keycloak signs in to Gitea: accounts, admins, teams, as Gitea's own API shows them.

use futures_util::future::join_all;
use http::Method;
use narthex::config::settings::{Application, Credential};
use narthex::model::Secret;
use narthex::platform::{Outbound, Platform};
use narthex::provision::catalogue;
use narthex::provision::connector::{ConnectorError, FindBy};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use toml::{Table, Value as Toml};

use super::front::{Front, assert_connector_works};
use super::keycloak::Keycloak;
use crate::support::party::Party;
use crate::support::recorder::Recorder;
use crate::support::stack::put;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Gitea> = OnceCell::const_new();

/// One Gitea serves all tests; each has people of its own. There is an organisation `acme` with the teams
/// `developers` and `readers`.
pub struct Gitea {
    party: Party,
}

impl Gitea {
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| async {
                let gitea = Self { party: Party::start("gitea").await };
                gitea.post("/orgs", json!({"username": "acme"})).await;
                for team in ["developers", "readers"] {
                    let team = json!({"name": team, "permission": "read", "units": ["repo.code"]});
                    gitea.post("/orgs/acme/teams", team).await;
                }
                gitea
            })
            .await
    }

    async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Page {
        let url = format!("{}{path}", self.party.at("api"));
        let token = format!("token {}", self.party.at("token"));
        let browser = Browser::new();
        let request = browser.request(method, &url).header("authorization", &token).background();
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    async fn post(&self, path: &str, body: Value) {
        let page = self.api(Method::POST, path, Some(body)).await;
        assert_eq!(page.status, 201, "{}", page.text());
    }

    /// The account of this name as the API has it.
    pub async fn user(&self, name: &str) -> Option<Value> {
        let page = self.api(Method::GET, &format!("/users/{name}"), None).await;
        (page.status == 200).then(|| page.json())
    }

    /// "org/team" of each team that the account is in, sorted.
    pub async fn teams_of(&self, name: &str) -> Vec<String> {
        let page = self.api(Method::GET, &format!("/user/teams?sudo={name}"), None).await;
        let teams = page.json();
        let name_of = |team: &Value| {
            format!("{}/{}", team["organization"]["name"].as_str().unwrap(), team["name"].as_str().unwrap())
        };
        let mut teams: Vec<String> = teams.as_array().unwrap().iter().map(name_of).collect();
        teams.sort();
        teams
    }

    /// Where it is, and a credential for its admin API.
    pub fn reach(&self) -> (&str, &str) {
        (self.party.url(), self.party.at("token"))
    }

    /// narthex in front of it; the admin API is reached through the recorder.
    fn config(&self, keycloak: &Keycloak, admin: &str) -> Table {
        let source = format!(
            r#"
{idp}
[upstream]
url = "{url}"
[headers]
X-WEBAUTH-USER = "{{{{ account.username }}}}"
X-WEBAUTH-EMAIL = "{{{{ account.email }}}}"
X-WEBAUTH-FULLNAME = "{{{{ account.display_name }}}}"
[application]
connector = "gitea"
url = "{admin}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[provisioning.mapping]]
group = "/engineers"
team = "acme/developers"
[[provisioning.mapping]]
group = "/readers"
team = "acme/readers"
[[provisioning.mapping]]
group = "/readers"
role = "restricted"
[[provisioning.mapping]]
group = "/admins/dba"
role = "admin"
privileged = true
"#,
            idp = keycloak.idp(),
            url = self.party.url(),
            token = self.party.at("narthex_token"),
        );
        source.parse().unwrap()
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f10_a_first_login_at_keycloak_makes_the_account_in_gitea_with_admin_rights_and_teams() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let admin = Recorder::of(gitea.party.url()).await;
    let front = Front::start(gitea.config(keycloak, &admin.url)).await;

    assert_eq!(gitea.user("ada").await, None);
    let settings = format!("{}/user/settings", gitea.party.url());
    let stranger = Browser::new();
    let page = stranger.request(Method::GET, &settings).header("X-WEBAUTH-USER", "ada").send().await;
    assert_eq!(page.status, 401, "the header alone signs in nobody");

    let page = keycloak.person("ada").sign_in(&Browser::new(), &front.at("/user/settings")).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, front.at("/user/settings").as_str()));
    assert!(page.text().contains("Ada Example"), "{}", page.text());

    let ada = gitea.user("ada").await.unwrap();
    assert_eq!(
        (&ada["login"], &ada["email"], &ada["full_name"], &ada["is_admin"], &ada["prohibit_login"]),
        (&json!("ada"), &json!("ada@example.com"), &json!("Ada Example"), &json!(true), &json!(false))
    );
    assert_eq!(gitea.teams_of("ada").await, ["acme/developers"]);

    // L4
    admin.forget();
    let page = keycloak.person("ada").sign_in(&Browser::new(), &front.at("/user/settings")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(admin.writes(), Vec::<String>::new(), "a second login writes nothing");

    let page = keycloak.person("bob").sign_in(&Browser::new(), &front.at("/user/settings")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(gitea.teams_of("bob").await, ["acme/readers"]);
    let bob = gitea.user("bob").await.unwrap();
    assert_eq!((&bob["is_admin"], &bob["restricted"]), (&json!(false), &json!(true)));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f1_somebody_of_another_domain_is_refused_and_gets_no_account() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let admin = Recorder::of(gitea.party.url()).await;
    let mut config = gitea.config(keycloak, &admin.url);
    put(&mut config, "provisioning.allowed_email_domains", vec![Toml::from("example.com")]);
    let front = Front::start(config).await;
    let browser = Browser::new();
    let page = keycloak.person("mallory").sign_in(&browser, &front.at("/user/settings")).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!((gitea.user("mallory").await, admin.writes()), (None, vec![]));
    assert_no_session(&browser, &front).await;

    let page = keycloak.person("carol").sign_in(&Browser::new(), &front.at("/user/settings")).await;
    assert_eq!(page.status, 403, "an address that Keycloak did not verify: {}", page.text());
    assert_eq!((gitea.user("carol").await, admin.writes()), (None, vec![]));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f7_an_address_that_is_not_verified_takes_over_no_account() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let before = json!({
        "username": "caroline", "email": "carol@example.com", "full_name": "Caroline",
        "password": "a long and winding password", "must_change_password": false,
    });
    gitea.post("/admin/users", before).await;
    let front = Front::start(gitea.config(keycloak, gitea.party.url())).await;
    let browser = Browser::new();
    let page = keycloak.person("carol").sign_in(&browser, &front.at("/user/settings")).await;
    assert!(page.status.is_client_error(), "{} {}", page.status, page.text());
    assert_no_session(&browser, &front).await;
    let caroline = gitea.user("caroline").await.unwrap();
    assert_eq!(
        (&caroline["email"], &caroline["full_name"]),
        (&json!("carol@example.com"), &json!("Caroline"))
    );
    assert_eq!(gitea.user("carol").await, None);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f7_a_verified_address_takes_over_the_account_that_has_it_as_it_is() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let before = json!({
        "username": "old-edward", "email": "eddy@example.com", "full_name": "Old Ed",
        "password": "a long and winding password", "must_change_password": false,
    });
    gitea.post("/admin/users", before).await;
    let eddy = keycloak.enrol("eddy", "eddy@example.com", &["/engineers"]).await;
    let front = Front::start(gitea.config(keycloak, gitea.party.url())).await;
    let page = eddy.sign_in(&Browser::new(), &front.at("/user/settings")).await;
    assert!(page.status == 200 && page.text().contains("old-edward"), "{}", page.text());
    assert_eq!(gitea.user("eddy").await, None);
    assert_eq!(gitea.teams_of("old-edward").await, Vec::<String>::new(), "its entitlements stay");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn logout_ends_the_session_at_keycloak_too() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let lena = keycloak.enrol("lena", "lena@example.com", &[]).await;
    let front = Front::start(gitea.config(keycloak, gitea.party.url())).await;
    let browser = Browser::new();
    let page = lena.sign_in(&browser, &front.at("/user/settings")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(keycloak.sessions_of(&lena).await, 1);
    let page = browser.visit(&front.at("/.narthex/logout")).await;
    let page = browser.submit(&page, page.form_with("csrf_token")).await;
    assert_eq!(page.url.origin().ascii_serialization(), front.url, "{:#?}", page.trail());
    assert!(page.text().contains("signed out"), "{}", page.text());
    assert_eq!(keycloak.sessions_of(&lena).await, 0);
    assert_no_session(&browser, &front).await;
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f9_twenty_first_logins_at_once_make_one_account() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let twyla = keycloak.enrol("twyla", "twyla@example.com", &["/engineers"]).await;
    let admin = Recorder::of(gitea.party.url()).await;
    let front = Front::start(gitea.config(keycloak, &admin.url)).await;
    let url = front.at("/user/settings");
    // All stand at the sign-in page before the first goes on.
    let at_the_door = join_all((0..20).map(|_| async {
        let browser = Browser::new();
        let page = browser.visit(&url).await;
        (browser, page)
    }));
    let pages = join_all(at_the_door.await.into_iter().map(|(browser, page)| {
        let twyla = &twyla;
        async move { twyla.fill_in(&browser, &page).await }
    }));
    for page in pages.await {
        assert_eq!(page.status, 200, "{:#?}\n{}", page.trail(), page.text());
        assert!(
            page.text().contains("twyla@example.com") || page.text().contains("twyla"),
            "{}",
            page.text()
        );
    }
    let creations = admin.writes().into_iter().filter(|call| call == "POST /api/v1/admin/users");
    assert_eq!(creations.count(), 1);
    assert_eq!(gitea.teams_of("twyla").await, ["acme/developers"]);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn forged_identity_headers_stay_without_effect() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let frida = keycloak.enrol("frida", "frida@example.com", &[]).await;
    let front = Front::start(gitea.config(keycloak, gitea.party.url())).await;
    let browser = Browser::new();
    frida.sign_in(&browser, &front.at("/user/settings")).await;
    let forgeries = [
        ("X-WEBAUTH-USER", "gitea_admin"),
        ("x-webauth-user", "gitea_admin"),
        ("X_WEBAUTH_USER", "gitea_admin"),
        ("X-WEBAUTH-EMAIL", "gitea_admin@example.com"),
        ("X_WEBAUTH_EMAIL", "gitea_admin@example.com"),
        ("X-WEBAUTH-FULLNAME", "gitea_admin"),
    ];
    for (name, value) in forgeries {
        // Without Gitea's own cookies, so that it has to look at the headers.
        let jar = browser.jar().all().to_vec();
        for cookie in jar.iter().filter(|cookie| cookie.name.contains("gitea")) {
            browser.jar().remove(&cookie.name);
        }
        let url = front.at("/user/settings");
        let page = browser.request(Method::GET, &url).header(name, value).send().await;
        assert_eq!(page.status, 200, "{name}: {}", page.text());
        assert!(
            page.text().contains("frida") && !page.text().contains("gitea_admin"),
            "{name}: {}",
            page.text()
        );
        let stranger = Browser::new().request(Method::GET, &url).header(name, value).stay().send().await;
        assert_eq!(stranger.status, 303, "{name}: {}", stranger.text());
        assert!(stranger.header("location").unwrap().contains("/.narthex/"), "{:?}", stranger.headers);
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e6_what_somebody_owns_is_handed_over_whole_and_then_they_can_go() {
    let gitea = Gitea::shared().await;
    for name in ["leah", "heidi"] {
        let user = json!({
            "username": name, "email": format!("{name}@example.com"), "must_change_password": false,
            "password": "a long and winding password",
        });
        gitea.post("/admin/users", user).await;
    }
    for (name, private) in [("thesis", false), ("diary", true)] {
        gitea.post("/admin/users/leah/repos", json!({"name": name, "private": private})).await;
    }
    let application = Application {
        connector: "gitea".to_owned(),
        url: gitea.party.url().parse().unwrap(),
        credential: Credential::Bearer(Secret::new(gitea.party.at("narthex_token"))),
    };
    let outbound = Outbound::new(b"").unwrap();
    let connector = catalogue::connector(&application, outbound, Platform::system()).unwrap();
    let leah = connector.find(FindBy::Username("leah")).await.unwrap().remove(0);
    let heidi = connector.find(FindBy::Username("heidi")).await.unwrap().remove(0);
    let kept = connector.delete(&leah).await;
    assert!(matches!(kept, Err(ConnectorError::Refused { .. })), "{kept:?}");
    for _ in 0..2 {
        connector.transfer(&leah, &heidi).await.unwrap();
    }
    for name in ["thesis", "diary"] {
        let page = gitea.api(Method::GET, &format!("/repos/heidi/{name}"), None).await;
        assert_eq!((page.status.as_u16(), &page.json()["owner"]["login"]), (200, &json!("heidi")), "{name}");
    }
    connector.delete(&leah).await.unwrap();
    assert_eq!(gitea.user("leah").await, None);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_connector_test_succeeds_with_gitea() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    assert_connector_works(gitea.config(keycloak, gitea.party.url())).await;
}

async fn assert_no_session(browser: &Browser, front: &Front) {
    let url = front.at("/.narthex/session");
    let page = browser.request(Method::GET, &url).background().send().await;
    assert_eq!(page.status, 401, "{}", page.text());
}
