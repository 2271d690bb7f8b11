//! The SCIM connector against scim2-server: users, groups, roles, entitlements.

use http::Method;
use serde_json::{Value, json};
use toml::Table;

use super::front::{Front, assert_connector_works};
use super::oidc_provider::OidcProvider;
use crate::support::party::Party;
use crate::support::recorder::Recorder;
use crate::support::{Browser, Page};

struct Scim {
    party: Party,
}

impl Scim {
    /// With the groups `engineers` and `readers`.
    async fn start() -> Self {
        let scim = Self { party: Party::start("scim2-server").await };
        for group in ["engineers", "readers"] {
            let group = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": group,
            });
            let page = scim.api(Method::POST, "/Groups", Some(group)).await;
            assert_eq!(page.status, 201, "{}", page.text());
        }
        scim
    }

    async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Page {
        let url = format!("{}{path}", self.party.at("api"));
        let token = format!("Bearer {}", self.party.at("token"));
        let browser = Browser::new();
        let request = browser.request(method, &url).header("authorization", &token);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    async fn user(&self, name: &str) -> Option<Value> {
        let found = self.api(Method::GET, &format!("/Users?filter=userName%20eq%20%22{name}%22"), None).await;
        found.json()["Resources"].get(0).cloned()
    }

    async fn groups_of(&self, user: &Value) -> Vec<String> {
        let groups = self.api(Method::GET, "/Groups", None).await.json();
        let groups = groups["Resources"].as_array().unwrap().clone();
        let is_member = |group: &&Value| {
            let members = group["members"].as_array();
            members.is_some_and(|members| members.iter().any(|member| member["value"] == user["id"]))
        };
        let name = |group: &Value| group["displayName"].as_str().unwrap().to_owned();
        groups.iter().filter(is_member).map(name).collect()
    }

    fn config(&self, idp: &str, admin: &str) -> Table {
        let source = format!(
            r#"
{idp}
[upstream]
url = "{url}"
[headers]
X-Remote-User = "{{{{ account.username }}}}"
[application]
connector = "scim"
url = "{admin}/v2"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "member"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[provisioning.mapping]]
group = "engineers"
team = "engineers"
[[provisioning.mapping]]
group = "engineers"
permission = "deploy"
[[provisioning.mapping]]
group = "readers"
team = "readers"
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

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f10_a_first_login_at_oidc_provider_makes_the_user_by_scim_with_role_group_and_entitlement() {
    let (provider, scim) = (OidcProvider::shared().await, Scim::start().await);
    let admin = Recorder::of(scim.party.url()).await;
    let front = Front::start(scim.config(&provider.idp("narthex"), &admin.url)).await;
    assert_eq!(scim.user("ada").await, None);

    let browser = Browser::new();
    provider.sign_in("ada", &browser, &front.at("/v2/ServiceProviderConfig")).await;
    let session = browser.request(Method::GET, &front.at("/.narthex/session")).background().send().await;
    assert_eq!(session.status, 200, "{}", session.text());
    let ada = scim.user("ada").await.unwrap();
    assert_eq!(
        (&ada["emails"][0]["value"], &ada["displayName"], &ada["name"]["familyName"], &ada["active"]),
        (&json!("ada@example.com"), &json!("Ada Example"), &json!("Example"), &json!(true))
    );
    assert_eq!(ada["roles"][0]["value"], "admin", "{ada}");
    assert_eq!(ada["entitlements"][0]["value"], "deploy", "{ada}");
    assert_eq!(scim.groups_of(&ada).await, ["engineers"]);

    // L4
    admin.forget();
    provider.sign_in("ada", &Browser::new(), &front.at("/v2/ServiceProviderConfig")).await;
    assert_eq!(admin.writes(), Vec::<String>::new(), "a second login writes nothing");

    provider.sign_in("bob", &Browser::new(), &front.at("/v2/ServiceProviderConfig")).await;
    let bob = scim.user("bob").await.unwrap();
    assert_eq!((&bob["roles"][0]["value"], bob.get("entitlements")), (&json!("member"), None), "{bob}");
    assert_eq!(scim.groups_of(&bob).await, ["readers"]);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_connector_test_succeeds_with_scim2_server() {
    let (provider, scim) = (OidcProvider::shared().await, Scim::start().await);
    assert_connector_works(scim.config(&provider.idp("narthex"), scim.party.url())).await;
}
