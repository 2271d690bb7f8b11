//! S5: administrators who sign in at an identity provider.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tower_service::Service;
use url::Url;

use super::Server;
use super::server::{Reply, token};
use crate::admin::console::Console;
use crate::identify::tokens::Tokens;
use crate::identify::{Answer, Departure, IdentityProtocol, LoginError, Logins, Verified};
use crate::model::{
    Claims, ConsoleRole, Identity, IdpId, LoginAttempt, Member, MemberStatus, ReturnTo, Subject, UnixTime,
};
use crate::platform::crypto::Purpose;
use crate::platform::{KeyRing, Platform};
use crate::store::memory::Memory;
use crate::store::{CreationLease, MemberStore, Store, Update};

/// An identity provider that vouches for whomever the code names: the subject, and groups behind a colon.
pub struct Says;

#[async_trait]
impl IdentityProtocol for Says {
    fn id(&self) -> &IdpId {
        static ID: std::sync::LazyLock<IdpId> = std::sync::LazyLock::new(|| "corp".parse().unwrap());
        &ID
    }

    async fn begin(&self, _: &LoginAttempt, state: &str) -> Result<Departure, LoginError> {
        let url = format!("https://login.example.com/authorize?state={state}");
        Ok(Departure::Redirect(url.parse().unwrap()))
    }

    async fn finish(&self, _: LoginAttempt, answer: Answer) -> Result<Verified, LoginError> {
        let Answer::Oidc(answer) = answer else { return Err(LoginError::WrongProtocol) };
        let code = answer.code.unwrap();
        let (name, groups) = code.expose().split_once(':').unwrap_or((code.expose(), ""));
        let mut claims = json!({ "sub": name, "email": format!("{name}@example.com") });
        if !groups.is_empty() {
            claims["groups"] = groups.split(',').collect();
        }
        let Value::Object(claims) = claims else { unreachable!() };
        Ok(Verified::for_tests(Identity {
            idp: self.id().clone(),
            subject: Subject::parse(name).unwrap(),
            claims: Claims::new(claims).unwrap(),
            logout_name: name.to_owned(),
            idp_session: None,
            authenticated_at: None,
            ends_at: None,
        }))
    }

    async fn logout(&self, _: Option<&str>, _: &Url, _: &str) -> Option<Departure> {
        None
    }

    fn ready(&self) -> bool {
        true
    }
}

const RULES: &str = r#"
public_url = "https://admin.example.com"
rule = [
    { when = "'root' in claims.groups", role = "administrator" },
    { when = "'ops' in claims.groups", role = "operator" },
]
"#;

async fn server() -> Server {
    Server::with(|config| format!("{config}{RULES}")).await
}

/// A browser: what it is told to keep, and what it sees.
struct Browser<'a> {
    server: &'a Server,
    jar: Vec<(String, String)>,
}

/// What came back of a page.
#[derive(Debug)]
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, jar: Vec::new() }
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn keep(&mut self, name: &str, value: &str) {
        self.jar.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.jar.push((name.to_owned(), value.to_owned()));
        }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
        let jar: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header("host", "admin.example.com");
        if !jar.is_empty() {
            request = request.header("cookie", jar.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }

    async fn visit(&mut self, method: &str, path: &str, body: &str) -> Seen {
        let form = [("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
        let mut request = self.request(method, path, &form, body);
        let client: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(client));
        let response = self.server.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        assert_eq!(head.headers["cache-control"], "no-store");
        for set in head.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.keep(name, value);
        }
        Seen { status: head.status, headers: head.headers, text }
    }

    async fn api(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.server.send(self.request(method, &format!("/api/v1{path}"), headers, "")).await
    }

    /// Begins a sign-in; gives its state.
    async fn begin(&mut self, path: &str) -> String {
        let away = self.visit("GET", path, "").await;
        assert_eq!(away.status, StatusCode::SEE_OTHER, "{away:?}");
        away.location().split_once("state=").unwrap_or_else(|| panic!("{away:?}")).1.to_owned()
    }

    /// The provider says who it is.
    async fn come_back(&mut self, state: &str, code: &str) -> Seen {
        self.visit("GET", &format!("/oidc/corp/callback?state={state}&code={code}"), "").await
    }

    async fn sign_in(&mut self, code: &str) -> Seen {
        let state = self.begin("/login").await;
        self.come_back(&state, code).await
    }

    async fn csrf(&self) -> String {
        let me = self.api("GET", "/me", &[]).await.json();
        me["session"]["csrf_token"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned()
    }
}

const SESSION: &str = "__Host-narthex-admin";

async fn logged(server: &Server, event: &str) -> Vec<Value> {
    server.audit.flush().await.unwrap();
    let page = server.get(&format!("/audit?event={event}")).await.json();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn s5_a_person_signs_in_and_administers_with_the_role_of_the_first_rule_that_holds() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    assert_eq!(ada.visit("GET", "/", "").await.location(), "/login");
    let state = ada.begin("/login?return_to=/api/v1/me").await;
    let back = ada.come_back(&state, "ada:dev,ops").await;
    assert_eq!((back.status, back.location()), (StatusCode::SEE_OTHER, "/api/v1/me"), "{back:?}");
    let me = ada.api("GET", "/me", &[]).await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("corp:ada"), &json!("operator")));
    assert_eq!(me["session"]["label"], "ada@example.com");
    let home = ada.visit("GET", "/", "").await;
    assert!(home.text.contains("ada@example.com") && home.text.contains("operator"), "{home:?}");
    assert_eq!(home.headers["referrer-policy"], "same-origin", "or the form comes with Origin: null");
    // S5: what the role may not is refused, by name.
    assert_eq!(ada.api("GET", "/console-sessions", &[]).await.code(), "not_permitted");
    let refused = logged(&server, "administrator_refused").await;
    assert!(refused[0].to_string().contains("ada@example.com (corp:ada)"), "{refused:?}");
    let begun = logged(&server, "administrator_login").await;
    let begun = begun[0].to_string();
    assert!(begun.contains("(corp:ada)") && begun.contains("operator of corp when"), "{begun}");

    let mut root = Browser::new(&server);
    root.sign_in("eve:ops,root").await;
    assert_eq!(root.api("GET", "/me", &[]).await.json()["role"], "administrator");
}

#[tokio::test]
async fn s5_what_changes_something_needs_the_sessions_own_token_beside_the_cookie() {
    let server = server().await;
    let (mut ada, mut eve) = (Browser::new(&server), Browser::new(&server));
    ada.sign_in("ada:ops").await;
    eve.sign_in("eve:ops").await;
    let (own, other) = (ada.csrf().await, eve.csrf().await);
    for headers in [&[][..], &[("x-narthex-csrf", other.as_str())], &[("x-narthex-csrf", "")]] {
        let reply = ada.api("DELETE", "/sessions", headers).await;
        assert_eq!((reply.status, reply.code().as_str()), (StatusCode::FORBIDDEN, "csrf"), "{headers:?}");
    }
    let foreign = [("x-narthex-csrf", own.as_str()), ("origin", "https://git.example.com")];
    assert_eq!(ada.api("DELETE", "/sessions", &foreign).await.code(), "cross_origin");
    let done = ada.api("DELETE", "/sessions", &[("x-narthex-csrf", &own)]).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    let ended = logged(&server, "sessions_ended").await;
    assert!(ended[0].to_string().contains("ada@example.com (corp:ada)"), "{ended:?}");
}

#[tokio::test]
async fn s5_whom_no_rule_lets_in_gets_a_page_and_no_session() {
    let server = server().await;
    for (code, why) in [("bob:dev", "no_console_role"), ("bob", "rule_undecided")] {
        let mut bob = Browser::new(&server);
        let refused = bob.sign_in(code).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        assert!(refused.text.contains("You cannot be let in"), "{refused:?}");
        // Invariant 11.
        assert!(!refused.text.contains("groups") && !refused.text.contains("ops"), "{refused:?}");
        assert_eq!(bob.cookie(SESSION), None);
        assert_eq!(bob.api("GET", "/me", &[]).await.code(), "token_needed");
        let logged = logged(&server, "administrator_refused").await;
        let found = logged.iter().map(Value::to_string).find(|entry| entry.contains(why));
        assert!(found.is_some_and(|entry| entry.contains("\"bob\"")), "{logged:?}");
    }
}

#[tokio::test]
async fn s5_whoever_lost_the_role_loses_all_sessions_with_the_next_sign_in() {
    let server = server().await;
    let (mut one, mut other) = (Browser::new(&server), Browser::new(&server));
    one.sign_in("ada:ops").await;
    other.sign_in("ada:dev").await;
    assert_eq!(one.api("GET", "/me", &[]).await.code(), "token_needed");
}

#[tokio::test]
async fn s5_a_session_lasts_no_longer_than_the_rule_that_gave_it() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    ada.sign_in("ada:ops").await;
    // As after a restart with another configuration.
    let others = Server::with(|config| format!("{config}{}", RULES.replace("'ops'", "'operations'"))).await;
    let keys = KeyRing::new(&[7; 32]);
    let configured = others.settings.admin.console.clone().unwrap();
    let label = |id: &IdpId| id.to_string();
    let console = |configured| {
        Console::new(configured, answering(), label, server.store.clone(), &keys, Platform::system())
    };
    let (head, _) = ada.request("GET", "/", &[], "").into_parts();
    let same = server.settings.admin.console.clone().unwrap();
    assert!(console(&same).recognise(&head).await.unwrap().is_some());
    assert!(console(&configured).recognise(&head).await.unwrap().is_none());
    assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed", "and it does not come back");
}

#[tokio::test]
async fn lesson_18_an_answer_that_another_browser_began_signs_nobody_in() {
    let server = server().await;
    let (mut eve, mut victim) = (Browser::new(&server), Browser::new(&server));
    let state = eve.begin("/login").await;
    let refused = victim.come_back(&state, "eve:root").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(refused.text.contains("began elsewhere"), "{refused:?}");
    assert_eq!(victim.cookie(SESSION), None);
    // With a sign-in of its own under way, the victim begins anew.
    victim.begin("/login").await;
    let again = victim.come_back(&state, "eve:root").await;
    assert_eq!(again.location(), "/login?idp=corp", "{again:?}");
    assert_eq!(victim.cookie(SESSION), None);
    for wrong in ["x", "", &format!("{state}A")] {
        let refused = eve.come_back(wrong, "eve:root").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn s5_a_sign_in_at_the_application_is_none_here_nor_the_other_way_round() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let (keys, platform) = (KeyRing::new(&[7; 32]), Platform::system());
    let idp: IdpId = "corp".parse().unwrap();
    let public = Logins::new(vec![Arc::new(Says)], store.clone(), platform.clone(), &keys);
    let console = Logins::of_console(vec![Arc::new(Says)], store, platform, &keys);
    for (began, comes) in [(&public, &console), (&console, &public)] {
        let begun = began.begin(&idp, ReturnTo::root(), None).await.unwrap();
        let Departure::Redirect(url) = &begun.departure else { panic!() };
        let state = url.query().unwrap().strip_prefix("state=").unwrap();
        let answer = Answer::Oidc(crate::identify::AnswerParameters::default());
        let cookie = begun.set_cookie.as_deref();
        let finished = comes.finish(&idp, Some(state), answer, cookie, false).await;
        assert!(matches!(finished, Err(LoginError::StateForged)), "{finished:?}");
    }
}

#[tokio::test]
async fn s5_a_session_of_the_application_is_none_here() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    let cookie = Tokens::<32>::new(KeyRing::new(&[7; 32]).mac(Purpose::SessionCookie)).issue([3; 32]);
    for name in [SESSION, "__Host-narthex"] {
        ada.keep(name, &cookie);
        assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed", "{name}");
    }
    let mut eve = Browser::new(&server);
    eve.sign_in("eve:ops").await;
    let own = eve.cookie(SESSION).unwrap().to_owned();
    // Its cookie under the application's name is nothing, and a changed one neither.
    ada.keep("__Host-narthex", &own);
    ada.keep(SESSION, &own.to_uppercase());
    assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed");
}

#[tokio::test]
async fn s5_a_sign_in_gives_a_new_session_and_ends_the_browsers_former_one() {
    let server = server().await;
    let (mut ada, mut thief) = (Browser::new(&server), Browser::new(&server));
    ada.sign_in("eve:ops").await;
    let planted = ada.cookie(SESSION).unwrap().to_owned();
    thief.keep(SESSION, &planted);
    // Signed in, `/login` leads on; an answer that was under way signs in anew all the same.
    let under_way = {
        let mut before = Browser::new(&server);
        let state = before.begin("/login").await;
        before.keep(SESSION, &planted);
        before.come_back(&state, "ada:ops").await;
        before.cookie(SESSION).unwrap().to_owned()
    };
    assert_ne!(under_way, planted);
    assert_eq!(thief.api("GET", "/me", &[]).await.code(), "token_needed");
}

#[tokio::test]
async fn s5_a_wrong_token_is_not_made_good_by_a_session() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    ada.sign_in("ada:ops").await;
    let wrong = ada.api("GET", "/me", &[("authorization", "Bearer wrong")]).await;
    assert_eq!(wrong.code(), "unknown_token");
    let bearer = format!("Bearer {}", token(ConsoleRole::Viewer));
    let viewer = ada.api("GET", "/me", &[("authorization", &bearer)]).await.json();
    assert_eq!((&viewer["name"], viewer.get("session")), (&json!("vera"), None));
}

#[tokio::test]
async fn s5_signing_out_needs_the_token_and_ends_the_session() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    ada.sign_in("ada:ops").await;
    let stolen = ada.cookie(SESSION).unwrap().to_owned();
    assert_eq!(ada.visit("POST", "/logout", "csrf_token=x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.api("GET", "/me", &[]).await.status, StatusCode::OK);
    let form = format!("csrf_token={}", ada.csrf().await);
    let out = ada.visit("POST", "/logout", &form).await;
    assert_eq!(out.status, StatusCode::OK, "{out:?}");
    assert_eq!(ada.cookie(SESSION), None);
    ada.keep(SESSION, &stolen);
    assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed");
    assert_eq!(logged(&server, "administrator_logout").await.len(), 1);
}

#[tokio::test]
async fn s5_administrators_see_who_signed_in_here_and_end_it() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    ada.sign_in("ada:ops").await;
    let listed = server.get("/console-sessions").await.json();
    let one = &listed["items"][0];
    assert_eq!((&one["name"], &one["label"]), (&json!("corp:ada"), &json!("ada@example.com")));
    let path = format!("/console-sessions/{}", one["id"].as_str().unwrap());
    let end = async || server.call(ConsoleRole::Administrator, "DELETE", &path, None).await;
    assert_eq!(end().await.status, StatusCode::NO_CONTENT);
    assert_eq!(end().await.code(), "no_such_thing");
    assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed");
}

#[tokio::test]
async fn g6_whoever_is_blocked_administers_no_more() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    ada.sign_in("ada:ops").await;
    let now = UnixTime(1_800_000_000);
    let (idp, subject) = ("corp".parse().unwrap(), Subject::parse("ada").unwrap());
    let store: &dyn Store = server.store.as_ref();
    let member = Member {
        identities: vec![(IdpId::clone(&idp), subject.clone())],
        email: Some("mallory@example.com".to_owned()),
        ..Member::for_tests(1, now)
    };
    let later = now.after(std::time::Duration::from_secs(30));
    let lease = MemberStore::begin_creation(store, &idp, &subject, 1, now, later).await.unwrap();
    assert_eq!(lease, CreationLease::Acquired { earlier_intent: None });
    store.finish_creation(&member, 1, None).await.unwrap().unwrap();
    assert_eq!(ada.api("GET", "/me", &[]).await.status, StatusCode::OK);
    let blocked = Member { status: MemberStatus::Blocked, ..member };
    store.update_member(&blocked, Update::default()).await.unwrap();
    assert_eq!(ada.api("GET", "/me", &[]).await.code(), "token_needed");
    assert_eq!(ada.sign_in("ada:ops").await.status, StatusCode::FORBIDDEN);
    // Another identity with the address is let in no more than this one.
    assert_eq!(ada.sign_in("mallory:ops").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.sign_in("bob:ops").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn g6_a_block_ends_what_its_person_has_at_the_admin_api_by_any_identity() {
    let server = server().await;
    let (mut ada, mut other, mut bob) = (Browser::new(&server), Browser::new(&server), Browser::new(&server));
    ada.sign_in("ada:root").await;
    // Another identity of hers: with the address that the member has.
    other.sign_in("mallory:root").await;
    bob.sign_in("bob:root").await;
    let now = UnixTime(1_800_000_000);
    let (idp, subject): (IdpId, _) = ("corp".parse().unwrap(), Subject::parse("ada").unwrap());
    let store: &dyn Store = server.store.as_ref();
    let member = Member {
        identities: vec![(idp.clone(), subject.clone())],
        email: Some("Mallory@example.com".to_owned()),
        ..Member::for_tests(1, now)
    };
    let later = now.after(std::time::Duration::from_secs(30));
    MemberStore::begin_creation(store, &idp, &subject, 1, now, later).await.unwrap();
    store.finish_creation(&member, 1, None).await.unwrap().unwrap();
    for browser in [&ada, &other, &bob] {
        assert_eq!(browser.api("GET", "/me", &[]).await.status, StatusCode::OK);
    }
    let csrf = other.csrf().await;
    let path = format!("/members/{}", member.id);
    let blocked = server.call(ConsoleRole::Administrator, "POST", &format!("{path}/block"), None).await;
    assert_eq!(blocked.status, StatusCode::OK, "{blocked:?}");
    assert_eq!(store.find_console_person(&idp, &subject).await.unwrap(), None);
    let (at, idle) = (Platform::system().clock.now(), crate::admin::console::IDLE);
    let sessions = store.list_console_sessions(at, idle, 9).await.unwrap();
    let whose = |name: &str| sessions.iter().any(|one| one.person.subject.as_str() == name);
    assert_eq!((whose("ada"), whose("bob")), (false, true), "{sessions:?}");
    let unblocking =
        other.api("POST", &format!("{path}/unblock"), &[("x-narthex-csrf", csrf.as_str())]).await;
    assert_eq!(unblocking.code(), "token_needed");
    for browser in [&ada, &other] {
        assert_eq!(browser.api("GET", "/me", &[]).await.code(), "token_needed");
    }
    assert_eq!(bob.api("GET", "/me", &[]).await.status, StatusCode::OK);
    let found = store.find_member(&idp, &subject).await.unwrap().unwrap();
    assert_eq!(found.status, MemberStatus::Blocked);
}

#[tokio::test]
async fn s5_a_sign_in_begun_by_another_name_goes_on_at_the_public_one() {
    let server = server().await;
    let mut ada = Browser::new(&server);
    let mut request = ada.request("GET", "/login?return_to=/x", &[], "");
    request.headers_mut().insert(header::HOST, "localhost:9091".parse().unwrap());
    request.extensions_mut().insert(ConnectInfo("127.0.0.1:1".parse::<SocketAddr>().unwrap()));
    let response = server.router.clone().call(request).await.unwrap();
    assert_eq!(response.headers()[header::LOCATION], "https://admin.example.com/login?return_to=%2Fx");
    for (open, leads) in [("//evil.example/", "/"), ("https://evil.example/", "/"), ("/x", "/x")] {
        let state = ada.begin(&format!("/login?return_to={open}")).await;
        assert_eq!(ada.come_back(&state, "ada:ops").await.location(), leads, "{open}");
        ada.keep(SESSION, "");
    }
    let mut foreign = ada.request("GET", "/login", &[], "");
    foreign.headers_mut().insert(header::HOST, "rebound.example".parse().unwrap());
    assert_eq!(server.send(foreign).await.code(), "foreign_host");
}

#[tokio::test]
async fn s5_without_rules_there_is_no_signing_in() {
    let server = Server::new().await;
    for path in ["/", "/login", "/oidc/corp/callback?state=x&code=y"] {
        let request = Request::builder().uri(path).header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(server.send(request).await.code(), "not_found", "{path}");
    }
}

fn answering() -> crate::admin::console::Answering {
    crate::admin::console::Answering { protocols: Vec::new(), saml: std::collections::HashMap::new() }
}
