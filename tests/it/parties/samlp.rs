//! samlp, a SAML identity provider that others wrote and that does wrong on demand.

use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use toml::Table;

use super::front::Front;
use crate::support::party::Party;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Party> = OnceCell::const_new();

/// The proxy with samlp as its provider, and a key that samlp knows.
struct Scene {
    party: &'static Party,
    front: Front,
    certificate: String,
    _files: tempfile::TempDir,
}

impl Scene {
    /// With these keys in the [[idp]] beside the usual ones.
    async fn new(more: &str) -> Self {
        let party = SHARED.get_or_init(|| async { Party::start("samlp").await }).await;
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["sp.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("sp.crt");
        std::fs::write(&file, certificate.pem()).unwrap();
        let keys = format!("[{{ key = {:?}, certificate = '{}' }}]", pair.serialize_pem(), file.display());
        let source = format!(
            r#"
[[idp]]
id = "samlp"
type = "saml"
metadata = {{ url = "{metadata}" }}
signing_keys = {keys}
decryption_keys = {keys}
email_domains = ["example.com"]
{more}
[upstream]
url = "http://127.0.0.1:9"
[provisioning]
unprovisioned = "forward"
"#,
            metadata = party.at("metadata"),
        );
        let config: Table = source.parse().unwrap();
        let front = Front::start(config).await;
        let scene = Self { party, front, certificate: certificate.pem(), _files: files };
        scene.set(json!({})).await;
        let sessions = format!("{}/test/sessions", party.url());
        Browser::new().request(Method::DELETE, &sessions).send().await;
        scene
    }

    /// Sets how samlp answers; what is not named is as usual.
    async fn set(&self, change: Value) {
        let mut settings = json!({
            "user": "ada", "response": {}, "attributes": {}, "replace": [], "otherKey": false, "nameId": null,
            "sp": { "certificate": self.certificate, "verify": false, "slo": self.front.at("/.narthex/saml/samlp/slo") },
        });
        for (key, value) in change.as_object().unwrap() {
            match (settings.get_mut(key), value) {
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
                _ => settings[key] = value.clone(),
            }
        }
        let page =
            Browser::new().request(Method::PUT, self.party.at("settings")).json(&settings).send().await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    async fn sign_in(&self, browser: &Browser) -> Page {
        let page = browser.visit(&self.front.at("/start")).await;
        browser.submit(&page, page.form_with("SAMLResponse")).await
    }

    async fn session(&self, browser: &Browser) -> Option<Value> {
        let url = self.front.at("/.narthex/session");
        let page = browser.request(Method::GET, &url).background().send().await;
        (page.status == 200).then(|| page.json())
    }

    /// The code by which a sign-in is refused now.
    async fn refusal(&self) -> String {
        let browser = Browser::new();
        let page = self.sign_in(&browser).await;
        assert!(self.session(&browser).await.is_none());
        self.front.refusal(&page).await.code
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_signed_assertion_signs_in_and_other_forms_of_signing_too() {
    let scene = Scene::new("sign_requests = true").await;
    for change in [
        json!({ "sp": { "verify": true } }),
        json!({ "response": { "signResponse": true } }),
        json!({ "response": { "signResponse": true, "signAssertion": false } }),
        json!({ "response": { "signatureNamespacePrefix": "ds" } }),
    ] {
        scene.set(change.clone()).await;
        let browser = Browser::new();
        let page = scene.sign_in(&browser).await;
        assert_eq!(page.url.as_str(), scene.front.at("/start"), "{change}: {}", page.text());
        assert_eq!(scene.session(&browser).await.unwrap()["subject"], "id-ada", "{change}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn assertions_that_are_encrypted_in_every_way_that_is_read_sign_in() {
    let scene = Scene::new("want_encrypted = true").await;
    for algorithm in [
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
        "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
        "http://www.w3.org/2009/xmlenc11#aes128-gcm",
        "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    ] {
        let sp = json!({ "encrypt": true });
        scene.set(json!({ "sp": sp, "response": { "encryptionAlgorithm": algorithm } })).await;
        let browser = Browser::new();
        let page = scene.sign_in(&browser).await;
        assert!(scene.session(&browser).await.is_some(), "{algorithm}: {}", page.text());
    }
    scene.set(json!({})).await;
    assert_eq!(scene.refusal().await, "not_encrypted");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn each_fault_of_the_provider_is_refused_by_its_name() {
    let scene = Scene::new("").await;
    for (change, code) in [
        (json!({ "response": { "signAssertion": false } }), "not_signed"),
        (json!({ "response": { "signatureAlgorithm": "rsa-sha1" } }), "sha1_not_allowed"),
        (json!({ "response": { "digestAlgorithm": "sha1" } }), "sha1_not_allowed"),
        (json!({ "otherKey": true }), "not_by_trusted_key"),
        (json!({ "replace": [["id-ada", "id-bob"]] }), "digest_mismatch"),
        (json!({ "response": { "lifetimeInSeconds": -600 } }), "confirmation_expired"),
        (json!({ "response": { "audience": "https://other.example" } }), "audience_mismatch"),
        (json!({ "response": { "issuer": "https://other.example" } }), "response_issuer_mismatch"),
        (json!({ "response": { "recipient": "https://other.example" } }), "recipient_mismatch"),
        (json!({ "response": { "destination": "https://other.example" } }), "destination_mismatch"),
        (json!({ "response": { "inResponseTo": "_another" } }), "request_unknown"),
        (
            json!({ "response": { "nameIdentifierFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient" } }),
            "transient_subject",
        ),
    ] {
        scene.set(change.clone()).await;
        assert_eq!(scene.refusal().await, code, "{change}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_wrong_audience_is_explained_with_what_was_expected_and_what_came() {
    let scene = Scene::new("").await;
    scene.set(json!({ "response": { "audience": "https://other.example" } })).await;
    let page = scene.sign_in(&Browser::new()).await;
    // The person is told none of it.
    assert!(!page.text().contains("other.example"), "{}", page.text());
    let refused = scene.front.refusal(&page).await;
    let own = scene.front.at("/.narthex/saml/samlp/metadata");
    assert!(
        refused.message.contains(&own) && refused.message.contains("https://other.example"),
        "{refused:?}"
    );
    let last = refused.steps.last().unwrap();
    assert!(!last.passed && last.expected.contains(&own) && last.found.contains("other.example"), "{last:?}");
    assert!(refused.steps.iter().rev().skip(1).all(|step| step.passed), "{refused:?}");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn an_answer_that_is_sent_twice_counts_once() {
    let scene = Scene::new("").await;
    let browser = Browser::new();
    let page = browser.visit(&scene.front.at("/start")).await;
    let form = page.form_with("SAMLResponse");
    browser.submit(&page, form.clone()).await;
    assert!(scene.session(&browser).await.is_some());
    let thief = Browser::new();
    let again = thief.submit(&page, form).await;
    assert_eq!(scene.front.refusal(&again).await.code, "assertion_replayed");
    assert!(scene.session(&thief).await.is_none());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn an_answer_that_comes_to_another_browser_signs_in_nobody() {
    let scene = Scene::new("").await;
    let page = Browser::new().visit(&scene.front.at("/start")).await;
    let other = Browser::new();
    let page = other.submit(&page, page.form_with("SAMLResponse")).await;
    assert_eq!(scene.front.refusal(&page).await.code, "answer_from_another_browser");
    assert!(scene.session(&other).await.is_none());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn a_logout_goes_both_ways() {
    let scene = Scene::new("").await;
    let here = Browser::new();
    scene.sign_in(&here).await;
    let page = here.visit(&scene.front.at("/.narthex/logout")).await;
    let mut page = here.submit(&page, page.form_with("csrf_token")).await;
    if page.forms().iter().any(|form| form.has("SAMLResponse")) {
        page = here.submit(&page, page.form_with("SAMLResponse")).await;
    }
    assert!(page.text().contains("You are signed out"), "{:#?} {}", page.trail(), page.text());
    assert!(scene.session(&here).await.is_none());

    let there = Browser::new();
    scene.sign_in(&there).await;
    assert!(scene.session(&there).await.is_some());
    // Begins at samlp, which asks us by POST.
    let page = there.visit(&format!("{}/slo", scene.party.url())).await;
    there.submit(&page, page.form_with("SAMLRequest")).await;
    assert!(scene.session(&there).await.is_none());
}
