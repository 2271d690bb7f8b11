//! The provider as a service provider sees it: what it sends goes through narthex's own gate.

use std::sync::LazyLock;

use crate::demo::idp::{Chooser, DemoIdp};
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::assertion::{Assertion, ResponseHead};
use crate::identify::saml::binding::redirect::Redirected;
use crate::identify::saml::gate::{Gate, GateError, RequireSigned};
use crate::identify::saml::metadata::IdpMetadata;
use crate::identify::saml::metadata::read::{Expected, read};
use crate::identify::saml::request::{AnswerAt, MessageId, NameIdPolicy, RequestSettings, authn_request};
use crate::identify::saml::signature::verify_enveloped;
use crate::identify::saml::xml::{SAML, Tree};
use crate::model::UnixTime;
use crate::platform::{Clock, Outbound, Platform, SystemEntropy, Tasks};

use super::super::state::SESSION_LASTS;
use super::message::SCRIPT;
use super::*;
use crate::identify::saml::binding::post::Form;
use crate::identify::saml::binding::redirect::Query;
use crate::identify::saml::binding::{Kind, RelayState};
use crate::platform::crypto::sha256;

const SP: &str = "https://app.example/.narthex/saml/demo/metadata";
const ACS: &str = "https://app.example/.narthex/saml/demo/acs";
const SLO: &str = "https://app.example/.narthex/saml/demo/slo?x=1";
const NOW: UnixTime = UnixTime(2_000_000_000);

static KEY: LazyLock<SamlKey> = LazyLock::new(|| SamlKey::generate("service provider").unwrap());
static STRANGERS_KEY: LazyLock<SamlKey> = LazyLock::new(|| SamlKey::generate("stranger").unwrap());

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> UnixTime {
        NOW
    }
}

struct Party {
    idp: DemoIdp,
    http: Outbound,
    _tasks: Tasks,
}

struct Page {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Page {
    fn location(&self) -> Url {
        let location = self.headers.get("location").unwrap_or_else(|| panic!("{}", self.body));
        Url::parse("http://idp").unwrap().join(location.to_str().unwrap()).unwrap()
    }

    fn cookie(&self) -> String {
        self.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"').unwrap().0.replace("&#43;", "+").replace("&#61;", "="))
    }

    fn action(&self) -> String {
        let (_, rest) = self.body.split_once("form action=\"").unwrap_or_else(|| panic!("{}", self.body));
        rest.split_once('"').unwrap().0.to_owned()
    }

    fn xml(&self, name: &str) -> Vec<u8> {
        STANDARD.decode(self.field(name).unwrap_or_else(|| panic!("{}", self.body))).unwrap()
    }
}

async fn party() -> Party {
    let platform = Platform { clock: Arc::new(Stopped), entropy: Arc::new(SystemEntropy) };
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let idp = DemoIdp::start(listener, &platform, &tasks).unwrap();
    idp.saml().register(ServiceProvider {
        entity_id: SP.to_owned(),
        acs: Url::parse(ACS).unwrap(),
        slo: Some(Url::parse(SLO).unwrap()),
        keys: vec![KEY.verifying().clone()],
    });
    Party { idp, http: Outbound::new(&[]).unwrap(), _tasks: tasks }
}

fn wish(force_authn: bool, is_passive: bool, format: Option<&str>) -> RequestSettings {
    RequestSettings {
        entity_id: SP.to_owned(),
        answer_at: AnswerAt::Url(Url::parse(ACS).unwrap()),
        force_authn,
        is_passive,
        name_id: Some(NameIdPolicy { format: format.map(str::to_owned), ..NameIdPolicy::default() }),
        authn_context: None,
    }
}

fn usual() -> RequestSettings {
    wish(false, false, None)
}

const ID: &str = "_0101010101010101010101010101010101010101";

impl Party {
    fn at(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.idp.issuer())).unwrap()
    }

    async fn get(&self, url: &Url, cookie: &str) -> Page {
        self.send(self.http.request(http::Method::GET, url.clone()).header("cookie", cookie)).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &[(&str, String)]) -> Page {
        let builder = self.http.request(http::Method::POST, self.at(path));
        self.send(builder.header("cookie", cookie).form(form)).await
    }

    async fn send(&self, builder: reqwest::RequestBuilder) -> Page {
        let answer = self.http.send(builder).await.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        Page { status: answer.status.as_u16(), headers: answer.headers, body }
    }

    fn request(&self, settings: &RequestSettings) -> Written {
        let id = MessageId::parse(ID).unwrap();
        authn_request(settings, &id, &self.at("/saml/sso"), NOW)
    }

    fn asks(&self, settings: &RequestSettings) -> Url {
        let state = RelayState::ours("a <state>").unwrap();
        Query::new(Kind::Request, &self.request(settings), Some(&state)).unwrap().at(&self.at("/saml/sso"))
    }

    async fn choose(&self, page: &Page, login: &str) -> Page {
        let request = page.field("request").unwrap_or_else(|| panic!("{}", page.body));
        self.post("/choose", "", &[("request", request), ("person", login.to_owned())]).await
    }

    async fn sign_in(&self, settings: &RequestSettings, login: &str) -> Page {
        let page = self.get(&self.asks(settings), "").await;
        assert_eq!(page.status, 200, "{}", page.body);
        self.choose(&page, login).await
    }

    async fn metadata(&self) -> IdpMetadata {
        let page = self.get(&self.at("/saml/metadata"), "").await;
        assert_eq!(page.headers["content-type"], "application/samlmetadata+xml");
        let expected = Expected {
            entity_id: Some(&self.idp.saml().entity_id()),
            trust_anchor: &[],
            policy: AlgorithmPolicy::Sha2,
            plain_loopback: true,
            now: NOW,
        };
        read(page.body.as_bytes(), &expected).unwrap().metadata
    }

    async fn open(&self, page: &Page, require_signed: RequireSigned) -> Result<Assertion, GateError> {
        let keys = self.metadata().await.signing_keys;
        let policy = AlgorithmPolicy::Sha2;
        let gate = Gate { keys: &keys, decryption_keys: &[], require_signed, want_encrypted: false, policy };
        let opened = gate.open(&page.xml("SAMLResponse"))?;
        let head = ResponseHead::parse(opened.response().bytes(), 1 << 20).unwrap();
        assert!(head.status.is_success());
        Ok(Assertion::parse(opened.assertion(), 1 << 20).unwrap())
    }
}

fn name_id(assertion: &Assertion) -> String {
    assertion.subject.as_ref().unwrap().name_id.as_ref().unwrap().value.clone()
}

fn values<'a>(assertion: &'a Assertion, name: &str) -> Vec<&'a str> {
    let attributes = assertion.attributes.iter().filter(|attribute| attribute.name == name);
    attributes.flat_map(|attribute| attribute.values.iter().map(AsRef::as_ref)).collect()
}

#[tokio::test]
async fn narthex_reads_its_metadata() {
    let party = party().await;
    let metadata = party.metadata().await;
    assert_eq!(metadata.signing_keys.len(), 1);
    assert_eq!(metadata.sso.redirect, Some(party.at("/saml/sso")));
    assert_eq!(metadata.sso.post, Some(party.at("/saml/sso")));
    assert_eq!(metadata.slo.redirect.unwrap().requests, party.at("/saml/slo"));
    assert_eq!(metadata.slo.post.unwrap().responses, party.at("/saml/slo"));
    assert!(!metadata.want_authn_requests_signed);
    assert_eq!(metadata.name_id_formats, [PERSISTENT, TRANSIENT, EMAIL_ADDRESS]);
    party.idp.saml().rotate_key().unwrap();
    party.idp.saml().set(SamlBehaviour { want_signed_requests: true, ..SamlBehaviour::default() });
    let metadata = party.metadata().await;
    assert_eq!((metadata.signing_keys.len(), metadata.want_authn_requests_signed), (2, true));
}

#[tokio::test]
async fn a_person_who_is_chosen_is_asserted_to_who_asked_and_signed_twice() {
    let party = party().await;
    let page = party.sign_in(&usual(), "bob").await;
    assert_eq!((page.status, page.action()), (200, ACS.to_owned()));
    assert_eq!(page.field("RelayState").as_deref(), Some("a &#60;state&#62;"));
    let assertion = party.open(&page, RequireSigned::Both).await.unwrap();
    let xml = String::from_utf8(page.xml("SAMLResponse")).unwrap();
    assert_eq!(xml.matches(&format!("InResponseTo=\"{ID}\"")).count(), 2);
    assert!(xml.contains(&format!("Destination=\"{ACS}\"")) && xml.contains(&format!("Recipient=\"{ACS}\"")));
    assert!(xml.contains(&format!("<saml:Audience>{SP}</saml:Audience>")));
    assert!(xml.contains(&format!("NotOnOrAfter=\"{}\"", UnixTime(NOW.0 + 300))));
    assert!(xml.contains(&format!("SessionNotOnOrAfter=\"{}\"", NOW.after(SESSION_LASTS))));
    assert_eq!(assertion.issuer.value, party.idp.saml().entity_id());
    assert!(assertion.authn_statements[0].session_index.is_some());
    assert_eq!(values(&assertion, "urn:oid:1.3.6.1.4.1.5923.1.5.1.1"), ["engineers", "platform-admins"]);
    assert_eq!(values(&assertion, "urn:oid:0.9.2342.19200300.100.1.3"), ["bob@example.com"]);
    assert_eq!(values(&assertion, "urn:oid:2.5.4.42"), ["Bob"]);
    assert_eq!(values(&assertion, "sub"), <[&str; 0]>::default());
}

#[tokio::test]
async fn a_person_has_one_name_for_each_service_provider_and_none_with_a_meaning() {
    let party = party().await;
    let ada = name_id(&party.open(&party.sign_in(&usual(), "ada").await, RequireSigned::Both).await.unwrap());
    let again = party.open(&party.sign_in(&usual(), "ada").await, RequireSigned::Both).await.unwrap();
    let bob = party.open(&party.sign_in(&usual(), "bob").await, RequireSigned::Both).await.unwrap();
    assert_eq!(ada, name_id(&again));
    assert!(ada != name_id(&bob) && !ada.contains("ada"), "{ada}");
    let mut other = usual();
    other.entity_id = "https://other.example/".to_owned();
    party.idp.saml().register(ServiceProvider {
        entity_id: other.entity_id.clone(),
        acs: Url::parse(ACS).unwrap(),
        slo: None,
        keys: vec![],
    });
    let elsewhere = party.open(&party.sign_in(&other, "ada").await, RequireSigned::Both).await.unwrap();
    assert_ne!(ada, name_id(&elsewhere));
    let by_mail = party.sign_in(&wish(false, false, Some(EMAIL_ADDRESS)), "ada").await;
    assert_eq!(name_id(&party.open(&by_mail, RequireSigned::Both).await.unwrap()), "ada@example.com");
    let mut names = Vec::new();
    for _ in 0..2 {
        let page = party.sign_in(&wish(false, false, Some(TRANSIENT)), "ada").await;
        names.push(name_id(&party.open(&page, RequireSigned::Both).await.unwrap()));
    }
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn whoever_is_signed_in_is_not_asked_again_unless_that_is_asked_for() {
    let party = party().await;
    let silent = party.get(&party.asks(&wish(false, true, None)), "").await;
    assert!(String::from_utf8(silent.xml("SAMLResponse")).unwrap().contains("status:NoPassive"));
    let cookie = party.sign_in(&usual(), "ada").await.cookie();
    for settings in [usual(), wish(false, true, None)] {
        let page = party.get(&party.asks(&settings), &cookie).await;
        assert!(page.field("SAMLResponse").is_some(), "{}", page.body);
    }
    let page = party.get(&party.asks(&wish(true, false, None)), &cookie).await;
    assert!(page.body.contains("Who are you?"), "{}", page.body);
    party.idp.set_chooser(Chooser::Always("carol".to_owned()));
    let page = party.get(&party.asks(&usual()), "").await;
    let carol = party.open(&page, RequireSigned::Both).await.unwrap();
    assert_eq!(values(&carol, "urn:oid:0.9.2342.19200300.100.1.1"), ["carol"]);
    assert_eq!(values(&carol, "role"), ["editor"]);
}

#[tokio::test]
async fn a_request_in_a_form_goes_on_with_a_get_which_has_the_cookies() {
    let party = party().await;
    let cookie = party.sign_in(&usual(), "ada").await.cookie();
    let form = Form::new(party.at("/saml/sso"), Kind::Request, &party.request(&usual()), None);
    let page = party.post("/saml/sso", "", &form.fields).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let next = page.location();
    let answer = party.get(&party.at(&format!("{}?{}", next.path(), next.query().unwrap())), &cookie).await;
    party.open(&answer, RequireSigned::Both).await.unwrap();
    let twice = party.get(&party.at(&format!("{}?{}", next.path(), next.query().unwrap())), &cookie).await;
    assert_eq!(twice.status, 400);
}

#[tokio::test]
async fn a_request_with_one_thing_wrong_gets_no_response() {
    let party = party().await;
    let good = party.request(&usual()).into_string();
    for (from, to, why) in [
        (SP, "https://nobody.example/", "is known here"),
        (ACS, "https://evil.example/acs", "are not sent to"),
        ("/saml/sso", "/saml/other", "meant for another address"),
        ("Version=\"2.0\"", "Version=\"1.1\"", "not of SAML 2.0"),
        ("HTTP-POST", "HTTP-Artifact", "HTTP-POST only"),
        ("AuthnRequest", "LogoutRequest", "only an AuthnRequest"),
        (ID, "1", "has no ID"),
    ] {
        assert!(good.contains(from), "{from}");
        let message = Written::of(&good.replace(from, to)).unwrap();
        let query = Query::new(Kind::Request, &message, None).unwrap();
        let page = party.get(&query.at(&party.at("/saml/sso")), "").await;
        assert_eq!((page.status, page.body.contains(why)), (400, true), "{to}: {}", page.body);
    }
    let odd = party.get(&party.asks(&wish(false, false, Some("urn:odd"))), "").await;
    assert!(String::from_utf8(odd.xml("SAMLResponse")).unwrap().contains("InvalidNameIDPolicy"));
}

#[tokio::test]
async fn a_signature_on_a_request_must_hold_and_may_be_wanted() {
    let party = party().await;
    let query = || Query::new(Kind::Request, &party.request(&usual()), None).unwrap();
    let here = party.at("/saml/sso");
    let by = |key: &SamlKey| query().signed(key.signing()).unwrap().at(&here);
    assert_eq!(party.get(&by(&STRANGERS_KEY), "").await.status, 400);
    assert_eq!(party.get(&by(&KEY), "").await.status, 200);
    party.idp.saml().set(SamlBehaviour { want_signed_requests: true, ..SamlBehaviour::default() });
    assert_eq!(party.get(&by(&KEY), "").await.status, 200);
    assert_eq!(party.get(&query().at(&here), "").await.status, 400);
    for (key, status) in [(&KEY, 303), (&STRANGERS_KEY, 400)] {
        let request = party.request(&usual()).signed(key.signing()).unwrap();
        let form = Form::new(here.clone(), Kind::Request, &request, None);
        assert_eq!(party.post("/saml/sso", "", &form.fields).await.status, status);
    }
}

#[tokio::test]
async fn a_sign_in_that_begins_here_answers_no_request() {
    let party = party().await;
    let start = Url::parse(&party.idp.saml().start_at(SP)).unwrap();
    let page = party.choose(&party.get(&start, "").await, "ada").await;
    party.open(&page, RequireSigned::Both).await.unwrap();
    assert!(!String::from_utf8(page.xml("SAMLResponse")).unwrap().contains("InResponseTo"));
    assert_eq!(page.field("RelayState"), None);
    let home = party.get(&party.at("/"), "").await;
    assert!(home.body.contains("/saml/start?sp="), "{}", home.body);
    assert_eq!(party.get(&party.at("/saml/start?sp=x"), "").await.status, 400);
}

#[tokio::test]
async fn what_tests_want_wrong_is_wrong() {
    let party = party().await;
    let with = async |behaviour: SamlBehaviour, require_signed| {
        party.idp.saml().set(behaviour);
        party.open(&party.sign_in(&usual(), "ada").await, require_signed).await
    };
    let usual = SamlBehaviour::default;
    for (sign, require_signed) in [
        (Sign::Response, RequireSigned::Response),
        (Sign::Assertion, RequireSigned::Assertion),
        (Sign::Both, RequireSigned::Both),
    ] {
        with(SamlBehaviour { sign, ..usual() }, require_signed).await.unwrap();
    }
    for sign in [Sign::Response, Sign::Assertion] {
        with(SamlBehaviour { sign, ..usual() }, RequireSigned::Both).await.unwrap_err();
    }
    with(SamlBehaviour { sign: Sign::Nothing, ..usual() }, RequireSigned::Either).await.unwrap_err();
    with(SamlBehaviour { foreign_key: true, ..usual() }, RequireSigned::Either).await.unwrap_err();
    let edit: Arc<Edit> = Arc::new(|xml: &str| xml.replace("Ada", "Eve"));
    let eve = with(SamlBehaviour { edit: Some(edit), ..usual() }, RequireSigned::Both).await.unwrap();
    assert_eq!(values(&eve, "urn:oid:2.5.4.42"), ["Eve"]);
}

#[tokio::test]
async fn the_page_that_sends_itself_may_run_its_one_script_and_no_other() {
    let party = party().await;
    let page = party.sign_in(&usual(), "ada").await;
    assert!(page.body.contains(&format!("<script>{SCRIPT}</script>")), "{}", page.body);
    let digest = STANDARD.encode(sha256(SCRIPT.as_bytes()));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("script-src 'sha256-{digest}';")), "{policy}");
}

/// A logout request of the service provider for this assertion.
fn logout_request(party: &Party, assertion: &Assertion, index: Option<&str>) -> Written {
    let mut writer = Writer::new(
        "p:LogoutRequest",
        &[
            ("xmlns:p", Some(SAMLP)),
            ("xmlns:a", Some(SAML)),
            ("ID", Some("_logout")),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&NOW.to_string())),
            ("Destination", Some(party.at("/saml/slo").as_str())),
            ("NotOnOrAfter", Some(&UnixTime(NOW.0 + 1).to_string())),
        ],
    );
    writer.text("a:Issuer", &[], SP);
    writer.text("a:NameID", &[], &name_id(assertion));
    if let Some(index) = index {
        writer.text("p:SessionIndex", &[], index);
    }
    writer.finish()
}

async fn is_known(party: &Party, cookie: &str) -> bool {
    let page = party.get(&party.asks(&usual()), cookie).await;
    page.field("SAMLResponse").is_some()
}

#[tokio::test]
async fn a_service_provider_ends_the_session_it_names_and_hears_of_it() {
    let party = party().await;
    let (first, second) = (party.sign_in(&usual(), "ada").await, party.sign_in(&usual(), "ada").await);
    let assertion = party.open(&first, RequireSigned::Both).await.unwrap();
    let index = assertion.authn_statements[0].session_index.clone();
    let request = logout_request(&party, &assertion, index.as_deref());
    let state = RelayState::ours("my state").unwrap();
    let query = || Query::new(Kind::Request, &request, Some(&state)).unwrap();
    let here = party.at("/saml/slo");
    assert_eq!(party.get(&query().at(&here), "").await.status, 400, "it is not signed");
    let forged = query().signed(STRANGERS_KEY.signing()).unwrap();
    assert_eq!(party.get(&forged.at(&here), "").await.status, 400);
    let late = request.as_str().replace(&UnixTime(NOW.0 + 1).to_string(), &NOW.to_string());
    let late = Query::new(Kind::Request, &Written::of(&late).unwrap(), None).unwrap();
    let late = late.signed(KEY.signing()).unwrap();
    assert_eq!(party.get(&late.at(&here), "").await.status, 400);
    assert!(is_known(&party, &first.cookie()).await);

    let page = party.get(&query().signed(KEY.signing()).unwrap().at(&here), "").await;
    let back = page.location();
    assert!(back.as_str().starts_with(&format!("{SLO}&SAMLResponse=")), "{back}");
    let answer = Redirected::read(back.query().unwrap()).unwrap();
    assert_eq!(answer.relay_state.unwrap().as_str(), "my state");
    answer.signature.unwrap().verify(&party.metadata().await.signing_keys, AlgorithmPolicy::Sha2).unwrap();
    let xml = String::from_utf8(answer.message).unwrap();
    assert!(xml.contains("InResponseTo=\"_logout\"") && xml.contains("status:Success"), "{xml}");
    assert!(!is_known(&party, &first.cookie()).await);
    assert!(is_known(&party, &second.cookie()).await, "the other session was not named");

    let all = logout_request(&party, &assertion, None).signed(KEY.signing()).unwrap();
    let page = party.post("/saml/slo", "", &Form::new(here, Kind::Request, &all, None).fields).await;
    assert_eq!(page.action(), SLO, "by the binding that the request came by");
    let xml = page.xml("SAMLResponse");
    let tree = Tree::parse(&xml, 1 << 16).unwrap();
    let keys = party.metadata().await.signing_keys;
    verify_enveloped(&tree, tree.root().unwrap(), &keys, AlgorithmPolicy::Sha2).unwrap();
    assert!(!is_known(&party, &second.cookie()).await, "without an index all of them are meant");
}

/// The service provider's answer to a logout request of this provider.
fn logout_response(party: &Party, request: &[u8], status: &str) -> Written {
    let tree = Tree::parse(request, 1 << 16).unwrap();
    let mut writer = Writer::new(
        "p:LogoutResponse",
        &[
            ("xmlns:p", Some(SAMLP)),
            ("xmlns:a", Some(SAML)),
            ("ID", Some("_answer")),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&NOW.to_string())),
            ("Destination", Some(party.at("/saml/slo").as_str())),
            ("InResponseTo", tree.root().unwrap().attribute("ID")),
        ],
    );
    writer.text("a:Issuer", &[], SP);
    writer.open("p:Status", &[]);
    writer.empty("p:StatusCode", &[("Value", Some(&format!("urn:oasis:names:tc:SAML:2.0:status:{status}")))]);
    writer.finish()
}

#[tokio::test]
async fn signing_out_here_tells_the_service_provider_and_then_how_it_went() {
    let party = party().await;
    for (status, shown) in [("Success", ">Signed out</span> at"), ("Responder", "Not signed out")] {
        let signed_in = party.sign_in(&usual(), "ada").await;
        let assertion = party.open(&signed_in, RequireSigned::Both).await.unwrap();
        let page = party.post("/sign_out", &signed_in.cookie(), &[]).await;
        let out = page.location();
        assert!(!is_known(&party, &signed_in.cookie()).await);
        let request = Redirected::read(out.query().unwrap()).unwrap();
        let keys = party.metadata().await.signing_keys;
        request.signature.unwrap().verify(&keys, AlgorithmPolicy::Sha2).unwrap();
        let xml = String::from_utf8(request.message.clone()).unwrap();
        assert!(xml.contains(&name_id(&assertion)), "{xml}");
        assert!(xml.contains(assertion.authn_statements[0].session_index.as_deref().unwrap()), "{xml}");

        let answer = logout_response(&party, &request.message, status);
        let relay_state = request.relay_state;
        let query = || Query::new(Kind::Response, &answer, relay_state.as_ref()).unwrap();
        let here = party.at("/saml/slo");
        assert_eq!(party.get(&query().at(&here), "").await.status, 400, "it is not signed");
        let good = query().signed(KEY.signing()).unwrap().at(&here);
        let page = party.get(&good, "").await;
        assert_eq!((page.status, page.body.contains(shown)), (200, true), "{}", page.body);
        assert_eq!(party.get(&good, "").await.status, 400, "it waits for one answer");
    }
    let page = party.post("/sign_out", "", &[]).await;
    assert!(page.body.contains("Signed out") && !page.body.contains("id=\"told\""), "{}", page.body);
}
