//! Keycloak by SAML: requests and answers signed and encrypted in their ways, logout from both sides, new keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use toml::Table;

use super::front::Front;
use super::keycloak::{Keycloak, Person};
use crate::support::{Browser, Page};

/// narthex as Keycloak knows it, with a key of its own.
struct Client {
    entity_id: String,
    id: String,
    key: String,
    certificate: String,
    _files: tempfile::TempDir,
}

impl Client {
    /// Makes the client `name`, with these attributes beside the usual ones.
    async fn make(keycloak: &Keycloak, name: &str, attributes: &[(&str, &str)]) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["sp.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let der = STANDARD.encode(certificate.der());
        let entity_id = format!("https://sp.example/{name}");
        let mut all = json!({
            "saml.server.signature": "true",
            "saml.assertion.signature": "false",
            "saml.client.signature": "false",
            "saml.signature.algorithm": "RSA_SHA256",
            "saml.signing.certificate": der,
            "saml.encryption.certificate": der,
            "saml.authnstatement": "true",
            "saml_name_id_format": "persistent",
            "saml_idp_initiated_sso_url_name": name,
        });
        for (key, value) in attributes {
            all[key] = json!(value);
        }
        let mapper = |name: &str, kind: &str, config: Value| {
            let mut config = config;
            config["attribute.nameformat"] = json!("Basic");
            json!({ "name": name, "protocol": "saml", "protocolMapper": kind, "config": config })
        };
        let client = json!({
            "clientId": entity_id, "protocol": "saml", "enabled": true, "frontchannelLogout": true,
            "fullScopeAllowed": true, "redirectUris": ["http://127.0.0.1*"], "attributes": all,
            "protocolMappers": [
                mapper("email", "saml-user-property-mapper", json!({ "user.attribute": "email", "attribute.name": "urn:oid:0.9.2342.19200300.100.1.3", "friendly.name": "mail" })),
                mapper("groups", "saml-group-membership-mapper", json!({ "attribute.name": "groups", "full.path": "true", "single": "true" })),
                mapper("roles", "saml-role-list-mapper", json!({ "attribute.name": "Role", "single": "false" })),
            ],
        });
        let page = keycloak.admin(Method::POST, "/clients", Some(client)).await;
        assert_eq!(page.status, 201, "{}", page.text());
        let id = page.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("sp.crt"), certificate.pem()).unwrap();
        let certificate = files.path().join("sp.crt").display().to_string();
        Self { entity_id, id, key: pair.serialize_pem(), certificate, _files: files }
    }

    /// The proxy for this client, with these keys in its [[idp]] beside the usual ones.
    async fn front(&self, keycloak: &Keycloak, more: &str) -> Front {
        let pair = format!("[{{ key = {:?}, certificate = {:?} }}]", self.key, self.certificate);
        let source = format!(
            r#"
[[idp]]
id = "kc"
type = "saml"
metadata = {{ url = "{metadata}" }}
entity_id = "{entity_id}"
signing_keys = {pair}
decryption_keys = {pair}
{more}
[upstream]
url = "http://127.0.0.1:9"
[provisioning]
unprovisioned = "forward"
"#,
            metadata = keycloak.saml_metadata(),
            entity_id = self.entity_id,
        );
        let config: Table = source.parse().unwrap();
        let front = Front::start(config).await;
        let slo = front.at("/.narthex/saml/kc/slo");
        let acs = front.at("/.narthex/saml/kc/acs");
        self.change(
            keycloak,
            &[
                ("saml_single_logout_service_url_redirect", &slo),
                ("saml_single_logout_service_url_post", &slo),
                ("saml_assertion_consumer_url_post", &acs),
            ],
        )
        .await;
        front
    }

    async fn change(&self, keycloak: &Keycloak, attributes: &[(&str, &str)]) {
        let path = format!("/clients/{}", self.id);
        let mut client = keycloak.admin(Method::GET, &path, None).await.json();
        for (key, value) in attributes {
            client["attributes"][key] = json!(value);
        }
        let page = keycloak.admin(Method::PUT, &path, Some(client)).await;
        assert_eq!(page.status, 204, "{}", page.text());
    }
}

/// Signs in from a page of the application; gives the page that Keycloak's form leads to.
async fn sign_in(front: &Front, browser: &Browser, person: &Person) -> Page {
    let mut page = browser.visit(&front.at("/wiki?page=1")).await;
    // Of the POST binding, as the script on the page does it.
    if page.forms().iter().any(|form| form.has("SAMLRequest")) {
        page = browser.submit(&page, page.form_with("SAMLRequest")).await;
    }
    let page = person.fill_in(browser, &page).await;
    browser.submit(&page, page.form_with("SAMLResponse")).await
}

/// What the proxy knows of this browser, if it is signed in.
async fn session(front: &Front, browser: &Browser) -> Option<Value> {
    let url = front.at("/.narthex/session");
    let page = browser.request(Method::GET, &url).background().send().await;
    (page.status == 200).then(|| page.json())
}

async fn sign_out(front: &Front, browser: &Browser) -> Page {
    let page = browser.visit(&front.at("/.narthex/logout")).await;
    let mut page = browser.submit(&page, page.form_with("csrf_token")).await;
    // Of the POST binding, as the scripts on the pages do it: there and back.
    for message in ["SAMLRequest", "SAMLResponse"] {
        if page.forms().iter().any(|form| form.has(message)) {
            page = browser.submit(&page, page.form_with(message)).await;
        }
    }
    page
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn sign_in_by_saml_leads_back_to_the_page_and_the_same_person_is_the_same_subject() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(keycloak, "plain", &[]).await;
    let front = client.front(keycloak, "sign_requests = false").await;
    let browser = Browser::new();
    let page = sign_in(&front, &browser, &keycloak.person("ada")).await;
    assert_eq!(page.url.as_str(), front.at("/wiki?page=1"));
    let first = session(&front, &browser).await.unwrap();
    assert_eq!((&first["idp"], &first["account"]), (&json!("kc"), &Value::Null));

    let again = Browser::new();
    sign_in(&front, &again, &keycloak.person("ada")).await;
    assert_eq!(session(&front, &again).await.unwrap()["subject"], first["subject"]);
    let other = Browser::new();
    sign_in(&front, &other, &keycloak.person("bob")).await;
    assert_ne!(session(&front, &other).await.unwrap()["subject"], first["subject"]);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn signed_requests_by_post_and_encrypted_assertions_signed_twice() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(
        keycloak,
        "strict",
        &[
            ("saml.client.signature", "true"),
            ("saml.assertion.signature", "true"),
            ("saml.encrypt", "true"),
            ("saml.force.post.binding", "true"),
        ],
    )
    .await;
    let strict =
        "request_binding = \"post\"\nsign_requests = true\nwant_encrypted = true\nrequire_signed = \"both\"";
    let front = client.front(keycloak, strict).await;
    let browser = Browser::new();
    sign_in(&front, &browser, &keycloak.person("ada")).await;
    assert!(session(&front, &browser).await.is_some());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn an_unencrypted_assertion_is_refused_where_encryption_is_wanted() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(keycloak, "unencrypted", &[]).await;
    let front = client.front(keycloak, "want_encrypted = true").await;
    let browser = Browser::new();
    let page = sign_in(&front, &browser, &keycloak.person("ada")).await;
    assert_eq!(page.status, 500, "{}", page.text());
    assert!(page.text().contains("Sign-in is not set up rightly"));
    assert!(session(&front, &browser).await.is_none());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_logout_here_ends_the_session_at_keycloak_too() {
    let keycloak = Keycloak::shared().await;
    for (name, binding) in [("logout-redirect", "false"), ("logout-post", "true")] {
        let client = Client::make(
            keycloak,
            name,
            &[("saml.client.signature", "true"), ("saml.force.post.binding", binding)],
        )
        .await;
        let front = client.front(keycloak, "sign_requests = true").await;
        let person = keycloak.enrol(name, &format!("{name}@example.com"), &[]).await;
        let browser = Browser::new();
        sign_in(&front, &browser, &person).await;
        assert_eq!(keycloak.sessions_of(&person).await, 1);
        let page = sign_out(&front, &browser).await;
        assert!(page.text().contains("You are signed out"), "{:#?} {}", page.trail(), page.text());
        assert!(!page.text().contains("Not everywhere"), "{}", page.text());
        assert_eq!(keycloak.sessions_of(&person).await, 0);
        assert!(session(&front, &browser).await.is_none());
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_logout_by_keycloaks_administrator_ends_the_session_here() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(keycloak, "ended", &[]).await;
    let front = client.front(keycloak, "").await;
    let (ada, other) = (Browser::new(), Browser::new());
    let person = keycloak.enrol("ended", "ended@example.com", &[]).await;
    sign_in(&front, &ada, &person).await;
    sign_in(&front, &other, &keycloak.person("bob")).await;
    // By POST from server to server.
    let mut known = keycloak.admin(Method::GET, &format!("/clients/{}", client.id), None).await.json();
    known["frontchannelLogout"] = json!(false);
    let page = keycloak.admin(Method::PUT, &format!("/clients/{}", client.id), Some(known)).await;
    assert_eq!(page.status, 204, "{}", page.text());
    keycloak.log_out(&person).await;
    assert!(session(&front, &ada).await.is_none());
    assert!(session(&front, &other).await.is_some());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_sign_in_that_begins_at_keycloak_is_refused_unless_it_is_allowed() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(keycloak, "begun-there", &[]).await;
    let start = keycloak.saml_start("begun-there");
    let begin = async |front: &Front, browser: &Browser| {
        let page = keycloak.person("ada").sign_in(browser, &start).await;
        let form = page.form_with("SAMLResponse");
        assert!(form.action.as_str().starts_with(&front.url), "{}", form.action);
        browser.submit(&page, form).await
    };
    {
        let front = client.front(keycloak, "").await;
        let browser = Browser::new();
        let page = begin(&front, &browser).await;
        assert!(page.status.is_client_error() || page.status.is_server_error(), "{}", page.text());
        assert!(session(&front, &browser).await.is_none());
    }
    let front = client.front(keycloak, "allow_idp_initiated = true\nlanding = \"/landing\"").await;
    let browser = Browser::new();
    let page = begin(&front, &browser).await;
    assert_eq!(page.url.as_str(), front.at("/landing"));
    assert!(session(&front, &browser).await.is_some());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_new_key_of_keycloak_is_taken_while_running() {
    let keycloak = Keycloak::shared().await;
    let client = Client::make(keycloak, "rollover", &[]).await;
    let front = client.front(keycloak, "clock_skew = \"5m\"").await;
    sign_in(&front, &Browser::new(), &keycloak.person("ada")).await;
    let added = keycloak.add_key("a newer key").await;
    // The metadata is asked for again, but not within a minute of the last time.
    front.forward(90);
    let browser = Browser::new();
    sign_in(&front, &browser, &keycloak.person("ada")).await;
    let signed_in = session(&front, &browser).await;
    keycloak.remove_key(&added).await;
    assert!(signed_in.is_some());
}
