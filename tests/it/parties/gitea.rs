//! Keycloak signs in to Gitea: accounts, admins, teams, as Gitea's own API shows them.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use toml::Table;

use super::front::Front;
use super::keycloak::Keycloak;
use crate::support::party::Party;
use crate::support::recorder::Recorder;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Gitea> = OnceCell::const_new();

/// One Gitea serves all tests; each has people of its own. There is an organisation `acme` with the teams
/// `developers` and `readers`.
struct Gitea {
    party: Party,
}

impl Gitea {
    async fn shared() -> &'static Self {
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
    async fn user(&self, name: &str) -> Option<Value> {
        let page = self.api(Method::GET, &format!("/users/{name}"), None).await;
        (page.status == 200).then(|| page.json())
    }

    /// "org/team" of each team that the account is in, sorted.
    async fn teams_of(&self, name: &str) -> Vec<String> {
        let page = self.api(Method::GET, &format!("/user/teams?sudo={name}"), None).await;
        let teams = page.json();
        let name_of = |team: &Value| {
            format!("{}/{}", team["organization"]["name"].as_str().unwrap(), team["name"].as_str().unwrap())
        };
        let mut teams: Vec<String> = teams.as_array().unwrap().iter().map(name_of).collect();
        teams.sort();
        teams
    }

    /// narthex in front of it; the admin API is reached through the recorder.
    fn config(&self, keycloak: &Keycloak, admin: &Recorder) -> Table {
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
[[provisioning.mapping]]
group = "/engineers"
team = "acme/developers"
[[provisioning.mapping]]
group = "/readers"
team = "acme/readers"
[[provisioning.mapping]]
group = "/admins/dba"
role = "admin"
privileged = true
"#,
            idp = keycloak.idp(),
            url = self.party.url(),
            admin = admin.url,
            token = self.party.at("token"),
        );
        source.parse().unwrap()
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f10_a_first_login_at_keycloak_makes_the_account_in_gitea_with_admin_rights_and_teams() {
    let (keycloak, gitea) = (Keycloak::shared().await, Gitea::shared().await);
    let admin = Recorder::of(gitea.party.url()).await;
    let front = Front::start(gitea.config(keycloak, &admin)).await;

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
    assert_eq!(gitea.user("bob").await.unwrap()["is_admin"], false);
}
