//! Applications that believe no header, so that people sign in there by themselves: one row each. A row leads a
//! throw-away account through a whole life (X2), then lets people sign in to narthex in front of the application,
//! and looks at what became of their accounts in its own API.

use http::Method;
use serde_json::{Value, json};
use toml::Table;

use super::front::{Front, assert_connector_works};
use super::oidc_provider::OidcProvider;
use crate::support::party::Party;
use crate::support::recorder::Recorder;
use crate::support::{Browser, Page};

/// One application: what its party and its connector are called, and how to ask it.
struct Row {
    name: &'static str,
    /// A page that it shows to anybody.
    page: &'static str,
    role: &'static str,
    admin: &'static str,
    /// Rows of the mapping beside that of `admin`.
    mapping: &'static str,
    /// What is made in it first: path and body.
    before: &'static [(&'static str, &'static str)],
    /// Steps of the whole life that it has not.
    skipped: &'static [&'static str],
    /// The request for the account of this name.
    ask: fn(&str, &Party) -> (Method, String, Value),
    /// The account in that answer: (e-mail address, name, role, groups or permissions).
    read: fn(&Value) -> Option<Value>,
    /// What the accounts of ada and bob look like then.
    ada: fn() -> Value,
    bob: fn() -> Value,
}

const SYNAPSE: Row = Row {
    name: "synapse",
    page: "/health",
    role: "user",
    admin: "admin",
    mapping: "",
    before: &[],
    skipped: &["delete the account"],
    ask: |name, party| {
        let path = format!("/_synapse/admin/v2/users/@{name}:{}", party.at("server_name"));
        (Method::GET, path, Value::Null)
    },
    read: |answer| {
        answer.get("name")?;
        Some(json!([answer["threepids"][0]["address"], answer["displayname"], answer["admin"], null]))
    },
    ada: || json!(["ada@example.com", "Ada Example", true, null]),
    bob: || json!(["bob@example.com", "Bob Example", false, null]),
};

const DIRECTUS: Row = Row {
    name: "directus",
    page: "/server/ping",
    role: "Editor",
    admin: "Administrator",
    mapping: r#"
[[provisioning.mapping]]
group = "readers"
permission = "Translators"
"#,
    before: &[
        ("/policies", r#"{"name": "Translators", "app_access": true}"#),
        (
            "/roles",
            r#"{"name": "Editor", "policies": {"create": [{"policy": {"name": "Editing", "app_access": true}}], "update": [], "delete": []}}"#,
        ),
    ],
    skipped: &[],
    ask: |name, _| {
        let fields = "fields=email,last_name,role.name,policies.policy.name,status";
        let path = format!("/users?filter[email][_eq]={name}@example.com&{fields}");
        (Method::GET, path, Value::Null)
    },
    read: |answer| {
        let user = answer["data"].get(0)?;
        assert_eq!(user["status"], "active", "{user}");
        let policies = user["policies"].as_array()?.iter().map(|held| held["policy"]["name"].clone());
        let policies: Vec<Value> = policies.collect();
        Some(json!([user["email"], user["last_name"], user["role"]["name"], policies]))
    },
    ada: || json!(["ada@example.com", "Example", "Administrator", []]),
    bob: || json!(["bob@example.com", "Example", "Editor", ["Translators"]]),
};

/// A row's application, and narthex in front of it.
struct Started {
    row: &'static Row,
    party: Party,
    front: Front,
    admin: Recorder,
}

impl Row {
    fn config(&self, idp: &str, party: &Party, admin: &str) -> Table {
        let source = format!(
            r#"
{idp}
[upstream]
url = "{url}"
[application]
connector = "{name}"
url = "{admin}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "{role}"
groups_claim = "groups"
time_budget = "60s"
[[provisioning.mapping]]
group = "dba"
role = "{privileged}"
privileged = true
{mapping}
"#,
            url = party.url(),
            name = self.name,
            token = party.at("token"),
            role = self.role,
            privileged = self.admin,
            mapping = self.mapping,
        );
        source.parse().unwrap()
    }

    /// The whole life of a throw-away account, and then narthex in front.
    async fn start(&'static self) -> Started {
        let (provider, party) = (OidcProvider::shared().await, Party::start(self.name).await);
        for (path, body) in self.before {
            let body: Value = serde_json::from_str(body).unwrap();
            let page = call(&party, Method::POST, path, &body).await;
            assert_eq!(page.status, 200, "{}", page.text());
        }
        let idp = provider.idp("narthex");
        let life = assert_connector_works(self.config(&idp, &party, party.url())).await;
        let steps = life["steps"].as_array().unwrap().iter();
        let skipped = steps.filter(|step| step["outcome"] == "skipped").map(|step| step["step"].clone());
        assert_eq!(skipped.collect::<Vec<_>>(), self.skipped);
        let admin = Recorder::of(party.url()).await;
        let front = Front::start(self.config(&idp, &party, &admin.url)).await;
        Started { row: self, party, front, admin }
    }
}

impl Started {
    /// What the application says of the account of this name.
    async fn account(&self, name: &str) -> Option<Value> {
        let (method, path, body) = (self.row.ask)(name, &self.party);
        let page = call(&self.party, method, &path, &body).await;
        (self.row.read)(&page.json())
    }

    /// Signs in; the status of the session then.
    async fn sign_in(&self, name: &str) -> u16 {
        let browser = Browser::new();
        OidcProvider::shared().await.sign_in(name, &browser, &self.front.at(self.row.page)).await;
        let session = self.front.at("/.narthex/session");
        browser.request(Method::GET, &session).background().send().await.status.as_u16()
    }

    async fn assert_first_logins(&self) {
        assert_eq!(self.account("ada").await, None);
        assert_eq!(self.sign_in("ada").await, 200);
        assert_eq!(self.account("ada").await, Some((self.row.ada)()));
        assert_eq!(self.sign_in("bob").await, 200);
        assert_eq!(self.account("bob").await, Some((self.row.bob)()));

        // L4. What an API does by POST alone is told apart by the recipe's tests.
        self.admin.forget();
        assert_eq!(self.sign_in("ada").await, 200);
        assert_eq!(self.admin.writes(), Vec::<String>::new(), "a second login writes nothing");
    }
}

async fn call(party: &Party, method: Method, path: &str, body: &Value) -> Page {
    let url = format!("{}{path}", party.url());
    let browser = Browser::new();
    let token = format!("Bearer {}", party.at("token"));
    let request = browser.request(method, &url).header("authorization", &token).background();
    if body.is_null() { request.send().await } else { request.json(body).send().await }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_f10_accounts_live_in_synapse() {
    SYNAPSE.start().await.assert_first_logins().await;
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_f10_accounts_live_in_directus_until_no_seats_are_left() {
    let directus = DIRECTUS.start().await;
    directus.assert_first_logins().await;
    // A4: without a licence, three may sign in: the administrator, ada, bob.
    OidcProvider::shared().await.enrol("dora", &["readers"]).await;
    assert_eq!(directus.sign_in("dora").await, 401);
    assert_eq!(directus.account("dora").await, None);
}
