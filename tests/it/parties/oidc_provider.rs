//! oidc-provider, a certified library: its sign-in page, its people, its keys.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::party::Party;
use crate::support::{Browser, Page};

static SHARED: OnceCell<OidcProvider> = OnceCell::const_new();

pub struct OidcProvider {
    party: Party,
}

impl OidcProvider {
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::with(&[])).await
    }

    /// One of the test's own; for the environment see tests/parties/README.md.
    pub async fn with(environment: &[(&str, &str)]) -> Self {
        Self { party: Party::start_with("oidc-provider", &[], environment).await }
    }

    /// The [[idp]] table for one of its clients, for people of example.com.
    pub fn idp(&self, client: &str) -> String {
        let authentication = match self.party.ready["clients"][client].as_str() {
            Some(secret) => format!("client_secret = \"{secret}\""),
            None => "client_auth = \"none\"".to_owned(),
        };
        format!(
            r#"
[[idp]]
id = "certified"
type = "oidc"
issuer = "{}"
client_id = "{client}"
{authentication}
scopes = ["openid", "profile", "email", "groups"]
email_domains = ["example.com"]
"#,
            self.party.at("issuer")
        )
    }

    /// A new person, member of these groups.
    pub async fn enrol(&self, name: &str, groups: &[&str]) {
        let claims = json!({
            "email": format!("{name}@example.com"), "email_verified": true, "preferred_username": name,
            "name": format!("{name} Example"), "groups": groups,
        });
        self.change(Method::PUT, &format!("/test/accounts/{name}"), &claims).await;
    }

    /// From now on another key signs, and the old ones are unknown.
    pub async fn rotate_keys(&self) {
        self.change(Method::POST, "/test/rotate-keys?drop=1", &Value::Null).await;
    }

    async fn change(&self, method: Method, path: &str, body: &Value) {
        let url = format!("{}{path}", self.party.url());
        let page = Browser::new().request(method, &url).json(body).send().await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    /// Fills in the sign-in page, which this address must lead to.
    pub async fn sign_in(&self, name: &str, browser: &Browser, url: &str) -> Page {
        let page = browser.visit(url).await;
        let form = page.form_with("username").set("username", name);
        browser.submit(&page, form).await
    }
}
