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
    /// What the configuration says of headers, where it believes some.
    headers: &'static str,
    /// What is made in it first: path and body.
    before: &'static [(&'static str, &'static str)],
    /// Steps of the whole life that it has not.
    skipped: &'static [&'static str],
    /// The credential, as the configuration writes it.
    credential: fn(&Party) -> String,
    /// Where an API is POST alone: which key of an event says what is done, and how words end that change nothing.
    reads: Option<(&'static str, &'static [&'static str])>,
    /// The account of this name: the request for it, and what stands in the answer: (e-mail address, name, role,
    /// groups or permissions).
    ask: fn(&str, &Party) -> (Method, String, Value),
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
    headers: "",
    credential: bearer,
    reads: None,
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
    headers: "",
    credential: bearer,
    reads: None,
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

const ZABBIX: Row = Row {
    name: "zabbix",
    page: "/index_http.php",
    role: "User role",
    admin: "Super admin role",
    mapping: r#"
[[provisioning.mapping]]
group = "readers"
app_groups = ["Guests"]
"#,
    before: &[],
    skipped: &[],
    headers: r#"
[headers]
X-Remote-User = "{{ account.username }}"
"#,
    credential: bearer,
    reads: Some(("method", &[".get", ".version"])),
    ask: |name, _| {
        let params = json!({
            "filter": {"username": [name]}, "output": ["name", "surname"], "selectRole": ["name"],
            "selectUsrgrps": ["name"],
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "user.get", "params": params});
        (Method::POST, "/api_jsonrpc.php".to_owned(), body)
    },
    read: |answer| {
        let user = answer["result"].get(0)?;
        let groups: Vec<Value> =
            user["usrgrps"].as_array()?.iter().map(|group| group["name"].clone()).collect();
        Some(json!([user["name"], user["surname"], user["role"]["name"], groups]))
    },
    ada: || json!(["Ada", "Example", "Super admin role", []]),
    bob: || json!(["Bob", "Example", "User role", ["Guests"]]),
};

/// The receiver of the documentation keeps its accounts in a file.
const WEBHOOK: Row = Row {
    name: "webhook",
    page: "/",
    role: "user",
    admin: "admin",
    mapping: r#"
[[provisioning.mapping]]
group = "readers"
team = "readers"
"#,
    before: &[],
    skipped: &[],
    headers: "",
    credential: |party| format!("{{ signing_secret = \"{}\" }}", party.at("secret")),
    reads: Some(("type", &[".find", ".list", "check"])),
    ask: |name, party| {
        let users = std::fs::read_to_string(party.at("users")).unwrap_or_else(|_| "{}".to_owned());
        let users: Value = serde_json::from_str(&users).unwrap();
        let mut found = users.as_object().unwrap().values().filter(|user| user["username"] == name);
        (Method::GET, String::new(), found.next().cloned().unwrap_or_default())
    },
    read: |user| {
        let teams = user["teams"].as_object()?;
        assert_eq!(user["active"], true, "{user}");
        Some(json!([user["email"], user["display_name"], user["role"], teams.keys().collect::<Vec<_>>()]))
    },
    ada: || json!(["ada@example.com", "Ada Example", "admin", []]),
    bob: || json!(["bob@example.com", "Bob Example", "user", ["readers"]]),
};

fn bearer(party: &Party) -> String {
    format!("{{ bearer = \"{}\" }}", party.at("token"))
}

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
{headers}
[application]
connector = "{name}"
url = "{admin}"
credential = {credential}
[provisioning]
mode = "jit"
default_role = "{role}"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[provisioning.mapping]]
group = "dba"
role = "{privileged}"
privileged = true
{mapping}
"#,
            url = party.url(),
            name = self.name,
            credential = (self.credential)(party),
            headers = self.headers,
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
        if path.is_empty() {
            return (self.row.read)(&body);
        }
        let page = call(&self.party, method, &path, &body).await;
        (self.row.read)(&page.json())
    }

    /// The calls that may have changed something.
    fn writes(&self) -> Vec<String> {
        let Some((key, reads)) = self.row.reads else { return self.admin.writes() };
        let said = self.admin.bodies().into_iter().map(|body| body[key].as_str().unwrap().to_owned());
        said.filter(|word| !reads.iter().any(|end| word.ends_with(end))).collect()
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

        assert_ne!(self.writes(), Vec::<String>::new());

        // L4
        self.admin.forget();
        assert_eq!(self.sign_in("ada").await, 200);
        assert_eq!(self.writes(), Vec::<String>::new(), "a second login writes nothing");
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

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_f10_accounts_live_in_zabbix_which_believes_the_header() {
    let zabbix = ZABBIX.start().await;
    zabbix.assert_first_logins().await;
    let (browser, profile) = (Browser::new(), "/zabbix.php?action=userprofile.edit");
    let page =
        OidcProvider::shared().await.sign_in("bob", &browser, &zabbix.front.at("/index_http.php")).await;
    assert_eq!(page.status, 200, "{:#?}", page.trail());
    let page = browser.visit(&zabbix.front.at(profile)).await;
    assert!(page.text().contains("Bob Example"), "{:#?}\n{}", page.trail(), page.text());
    // Zabbix itself lets in nobody whom narthex did not make.
    let url = |path: &str| format!("{}{path}", zabbix.party.url());
    let eve = Browser::new();
    eve.request(Method::GET, &url("/index_http.php")).header("X-Remote-User", "eve").send().await;
    let page = eve.request(Method::GET, &url(profile)).header("X-Remote-User", "eve").send().await;
    assert!(page.text().contains("You are not logged in"), "{}", page.text());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn x2_f10_accounts_live_behind_a_webhook() {
    WEBHOOK.start().await.assert_first_logins().await;
}
