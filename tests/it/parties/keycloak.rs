//! Keycloak: its realm's people, its sign-in page, its admin API. One serves all tests.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::party::Party;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Keycloak> = OnceCell::const_new();

pub struct Keycloak {
    party: Party,
}

/// Somebody who can sign in.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub password: String,
}

impl Keycloak {
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| async { Self { party: Party::start("keycloak").await } }).await
    }

    /// One of the realm's own people.
    pub fn person(&self, name: &str) -> Person {
        Person { name: name.to_owned(), password: self.party.at(&format!("users.{name}")).to_owned() }
    }

    /// The [[idp]] table, for people of example.com.
    pub fn idp(&self) -> String {
        format!(
            r#"
[[idp]]
id = "keycloak"
type = "oidc"
issuer = "{}"
client_id = "narthex"
client_secret = "{}"
email_domains = ["example.com"]
"#,
            self.party.at("issuer"),
            self.party.at("clients.narthex")
        )
    }

    /// A new person of this test's own, member of these groups.
    pub async fn enrol(&self, name: &str, email: &str, groups: &[&str]) -> Person {
        let password = format!("the password of {name}");
        let person = json!({
            "username": name, "enabled": true, "email": email, "emailVerified": true,
            "firstName": name, "lastName": "Example", "groups": groups,
            "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        let page = self.admin(Method::POST, "/users", Some(person)).await;
        assert_eq!(page.status, 201, "{}", page.text());
        Person { name: name.to_owned(), password }
    }

    /// Where its SAML metadata is.
    pub fn saml_metadata(&self) -> String {
        format!("{}/protocol/saml/descriptor", self.party.at("issuer"))
    }

    /// Where a sign-in by SAML to the client of this name begins there.
    pub fn saml_start(&self, name: &str) -> String {
        format!("{}/protocol/saml/clients/{name}", self.party.at("issuer"))
    }

    /// Ends all sessions of this person, as an administrator does.
    pub async fn log_out(&self, person: &Person) {
        let page =
            self.admin(Method::POST, &format!("/users/{}/logout", self.id_of(person).await), None).await;
        assert_eq!(page.status, 204, "{}", page.text());
    }

    /// Adds a signing key that goes before the others; gives its id.
    pub async fn add_key(&self, name: &str) -> String {
        let key = json!({
            "name": name, "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "config": { "priority": ["1000"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"], "keySize": ["2048"] },
        });
        let page = self.admin(Method::POST, "/components", Some(key)).await;
        assert_eq!(page.status, 201, "{}", page.text());
        page.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }

    pub async fn remove_key(&self, id: &str) {
        let page = self.admin(Method::DELETE, &format!("/components/{id}"), None).await;
        assert_eq!(page.status, 204, "{}", page.text());
    }

    /// The sessions that the person has there.
    pub async fn sessions_of(&self, person: &Person) -> usize {
        let id = self.id_of(person).await;
        let sessions = self.admin(Method::GET, &format!("/users/{id}/sessions"), None).await;
        sessions.json().as_array().unwrap().len()
    }

    async fn id_of(&self, person: &Person) -> String {
        let path = format!("/users?exact=true&username={}", person.name);
        self.admin(Method::GET, &path, None).await.json()[0]["id"].as_str().unwrap().to_owned()
    }

    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Page {
        let browser = Browser::new();
        let grant = [
            ("grant_type", "password"),
            ("client_id", self.party.at("admin_client")),
            ("username", self.party.at("admin")),
            ("password", self.party.at("password")),
        ];
        let token = browser.request(Method::POST, self.party.at("admin_token_url")).form(&grant).send().await;
        let token = format!("Bearer {}", token.json()["access_token"].as_str().unwrap());
        let url = format!("{}{path}", self.party.at("admin_api"));
        let request = browser.request(method, &url).header("authorization", &token);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }
}

impl Person {
    /// Fills in Keycloak's sign-in page, which this address must lead to.
    pub async fn sign_in(&self, browser: &Browser, url: &str) -> Page {
        let page = browser.visit(url).await;
        self.fill_in(browser, &page).await
    }

    pub async fn fill_in(&self, browser: &Browser, page: &Page) -> Page {
        let form = page.form_with("password").set("username", &self.name).set("password", &self.password);
        browser.submit(page, form).await
    }
}
