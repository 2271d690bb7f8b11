//! Sign-in at the running proxy: whatever is wrong with an answer ends at a plain page, without a session.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use narthex::demo::idp::{Chooser, Fault};
use narthex::identify::throttle::AT_ONCE;
use serde_json::{Map, Value, json};
use url::Url;

use crate::support::raw::once;
use crate::support::stack::{push, put, table};
use crate::support::{Browser, Log, Page, Parties, Stack};

/// The answer of the provider for this person, not yet delivered.
async fn answer(stack: &Stack, browser: &Browser, login: &str) -> Url {
    let page = browser.visit(&stack.at("/echo/deep")).await;
    page.answer_as(browser, login).await
}

/// The answer with one parameter replaced, or without it.
fn with(answer: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = answer.clone();
    let others: Vec<_> = answer.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(others);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed
}

/// Another character at this place from the end.
fn tampered(text: &str, from_end: usize) -> String {
    let at = text.len() - 1 - from_end;
    let other = if text[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// What spoils an answer.
type Spoil = fn(&Url) -> Url;
/// What spoils a token's claims.
type Edit = fn(&mut Map<String, Value>);

fn set(claims: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    claims.insert(name.to_owned(), value.into());
}

fn moved(claims: &mut Map<String, Value>, name: &str, by: i64) {
    let at = claims.get(name).or_else(|| claims.get("iat")).unwrap().as_i64().unwrap();
    set(claims, name, at + by);
}

/// A plain page, with an error id that the log knows, and nobody is signed in.
fn assert_refused(stack: &Stack, log: &Log, browser: &Browser, page: &Page, status: u16, code: &str) {
    assert_eq!(log.code(page), code, "{}", page.text());
    assert_eq!(page.status.as_u16(), status, "{code}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(browser.cookie(&stack.session_cookie()), None, "{code}");
    assert!(!page.text().contains(code), "what the log says is not for the page: {}", page.text());
}

#[tokio::test]
async fn an_answer_with_one_thing_wrong_is_refused_and_the_untouched_one_is_not() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    let cases: [(Spoil, u16, &str); 13] = [
        (|a| with(a, "state", None), 400, "state_missing"),
        (|a| with(a, "state", Some("")), 400, "state_missing"),
        (|a| with(a, "state", Some("x")), 400, "state_forged"),
        (|a| with(a, "state", Some(&tampered(&parameter(a, "state"), 0))), 400, "state_forged"),
        (|a| with(a, "state", Some(&tampered(&parameter(a, "state"), 30))), 400, "state_forged"),
        (|a| twice(a, "state"), 400, "parameter_twice"),
        (|a| twice(a, "code"), 400, "parameter_twice"),
        (|a| with(a, "code", None), 400, "code_missing"),
        (|a| with(a, "code", Some(&"x".repeat(8193))), 400, "parameter_too_long"),
        (|a| with(a, "code", Some(&tampered(&parameter(a, "code"), 5))), 400, "code_refused"),
        (|a| with(a, "iss", None), 400, "iss_parameter_missing"),
        (|a| with(a, "iss", Some("https://evil.test")), 400, "iss_parameter_mismatch"),
        (|a| with(&with(a, "code", None), "error", Some("access_denied")), 400, "provider_refused"),
    ];
    for (spoil, status, code) in cases {
        let browser = Browser::new();
        let answer = answer(&stack, &browser, "ada").await;
        let page = browser.visit(spoil(&answer).as_str()).await;
        assert_refused(&stack, &log, &browser, &page, status, code);
    }
    assert_eq!(stack.parties.app.calls(), [], "the application never hears of them");
    let browser = Browser::new();
    let page = browser.visit(answer(&stack, &browser, "ada").await.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"));
}

fn parameter(answer: &Url, name: &str) -> String {
    answer.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
}

fn twice(answer: &Url, name: &str) -> Url {
    let mut changed = answer.clone();
    changed.query_pairs_mut().append_pair(name, &parameter(answer, name));
    changed
}

#[tokio::test]
async fn a_token_with_one_thing_wrong_is_refused() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    let edits: [(Edit, u16, &str); 19] = [
        (|c| set(c, "iss", "https://evil.test"), 502, "issuer_mismatch"),
        (|c| drop(c.remove("iss")), 502, "claim_missing"),
        (|c| set(c, "aud", "another-client"), 502, "audience_mismatch"),
        (|c| drop(c.remove("aud")), 502, "claim_missing"),
        (|c| set(c, "aud", json!(["narthex-demo", "another-client"])), 502, "authorized_party_missing"),
        (|c| set(c, "azp", "another-client"), 502, "authorized_party_mismatch"),
        (|c| moved(c, "exp", -100_000), 502, "expired"),
        (|c| drop(c.remove("exp")), 502, "claim_missing"),
        (|c| moved(c, "iat", 3600), 502, "issued_in_future"),
        (|c| moved(c, "iat", -3600), 502, "issued_before_login"),
        (|c| drop(c.remove("iat")), 502, "claim_missing"),
        (|c| moved(c, "nbf", 3600), 502, "not_yet_valid"),
        (|c| set(c, "nonce", "another"), 400, "nonce_mismatch"),
        (|c| drop(c.remove("nonce")), 400, "nonce_missing"),
        (|c| drop(c.remove("sub")), 502, "claim_missing"),
        (|c| set(c, "sub", ""), 502, "subject_malformed"),
        (|c| set(c, "sub", 17), 502, "claim_malformed"),
        (|c| set(c, "sub", "x".repeat(256)), 502, "subject_malformed"),
        (|c| set(c, "at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), 502, "access_token_hash_mismatch"),
    ];
    let mut faults: Vec<(Fault, u16, &str)> =
        edits.into_iter().map(|(edit, status, code)| (Fault::claims(edit), status, code)).collect();
    faults.extend([
        (Fault::Signature, 502, "signature_invalid"),
        (Fault::ForeignKey, 502, "signature_invalid"),
        (Fault::Unsigned, 500, "algorithm_not_allowed"),
        (Fault::Missing, 500, "id_token_missing"),
    ]);
    for (fault, status, code) in faults {
        stack.parties.idp.set_fault(fault);
        let browser = Browser::new();
        let page = browser.visit(answer(&stack, &browser, "ada").await.as_str()).await;
        assert_refused(&stack, &log, &browser, &page, status, code);
    }
    assert_eq!(stack.parties.app.calls(), [], "the application never hears of them");
    stack.parties.idp.set_fault(Fault::None);
    let browser = Browser::new();
    let page = browser.visit(answer(&stack, &browser, "ada").await.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"));
}

#[tokio::test]
async fn a_provider_that_goes_down_in_the_middle_is_a_page_and_signing_in_works_once_it_is_up() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    let answer = answer(&stack, &browser, "ada").await;
    stack.parties.idp.set_down(true);
    let page = browser.visit(answer.as_str()).await;
    assert_refused(&stack, &log, &browser, &page, 502, "token_endpoint_unreachable");
    stack.parties.idp.set_down(false);
    let page = browser.visit(&stack.at("/echo")).await;
    assert_eq!(page.url.path(), "/echo", "the provider still knows who is there");
}

#[tokio::test]
async fn lesson_18_an_answer_that_another_browser_began_signs_nobody_in() {
    let (log, stack, attacker) = (Log::begin(), Stack::start().await, Browser::new());
    let planted = answer(&stack, &attacker, "bob").await;
    let victim = Browser::new();
    let page = victim.visit(planted.as_str()).await;
    assert_refused(&stack, &log, &victim, &page, 400, "answer_from_another_browser");
    // One with a login of its own under way begins again, as itself.
    let victim = Browser::new();
    victim.visit(&stack.at("/")).await;
    let page = victim.visit(planted.as_str()).await;
    assert!(page.url.as_str().starts_with(stack.parties.idp.issuer()), "{:?}", page.trail());
    assert_eq!(victim.cookie(&stack.session_cookie()), None);
    // It is not used up by that.
    assert_eq!(attacker.visit(planted.as_str()).await.url.path(), "/echo/deep");
    assert_eq!(stack.parties.app.user("ada"), None);
}

#[tokio::test]
async fn an_answer_is_good_once_and_coming_twice_does_no_harm_to_who_is_signed_in() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    let used = answer(&stack, &browser, "ada").await;
    browser.visit(used.as_str()).await;
    let session = browser.cookie(&stack.session_cookie());
    assert!(session.is_some());
    let page = browser.visit(used.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"), "a reload of the answer");
    assert_eq!(browser.cookie(&stack.session_cookie()), session);
    browser.jar().remove(&stack.session_cookie());
    let page = browser.visit(used.as_str()).await;
    assert_refused(&stack, &log, &browser, &page, 400, "answer_replayed");
}

#[tokio::test]
async fn an_answer_after_a_quarter_of_an_hour_begins_again_and_still_lands_where_it_should() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let late = answer(&stack, &browser, "ada").await;
    stack.parties.clock.turn(Duration::from_mins(15));
    let page = browser.visit(late.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"), "{:?}", page.trail());
    let asked = page.hops.iter().filter(|hop| hop.url.path() == "/authorize").count();
    assert_eq!(asked, 1, "with a login of its own: {:?}", page.trail());
}

/// A second provider, for zoe@other.test, whose clock shows the same time.
async fn two_providers() -> (Stack, Parties) {
    let second = Parties::start().await;
    second.idp.edit("zoe", |zoe| zoe.email = Some("zoe@other.test".to_owned()));
    let stack = Stack::with(|config| {
        let url = config["server"]["public_url"].as_str().unwrap();
        second
            .idp
            .register(&format!("{url}/.narthex/oidc/other/callback"), &format!("{url}/.narthex/logout"));
        let mut other = table(
            "id = \"other\"\ntype = \"oidc\"\nlabel = \"The <Others>\"\nemail_domains = [\"other.test\"]",
        );
        other.insert("issuer".to_owned(), second.idp.issuer().into());
        other.insert("client_id".to_owned(), second.idp.client_id().into());
        other.insert("client_secret".to_owned(), second.idp.client_secret().expose().into());
        push(config, "idp", other);
    })
    .await;
    (stack, second)
}

#[tokio::test]
async fn several_providers_are_chosen_from_a_list_or_by_e_mail_and_the_way_back_is_kept() {
    let (stack, second) = two_providers().await;
    let page = Browser::new().visit(&stack.at("/echo/deep?x=1")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/.narthex/login"));
    assert!(
        page.text().contains("The &#60;Others&#62;") || page.text().contains("The &lt;Others&gt;"),
        "{}",
        page.text()
    );

    let browser = Browser::new();
    let page = browser.visit(&stack.at("/echo/deep?x=1")).await;
    let page = browser.follow(&page, "/.narthex/login?idp=other&return_to=%2Fecho%2Fdeep%3Fx%3D1").await;
    assert!(page.url.as_str().starts_with(second.idp.issuer()), "{:?}", page.trail());
    let page = page.sign_in_as(&browser, "zoe").await;
    assert_eq!((page.url.path(), page.url.query()), ("/echo/deep", Some("x=1")), "{}", page.text());

    for (email, issuer) in [
        ("zoe@other.test", second.idp.issuer()),
        (" Zoe@OTHER.test ", second.idp.issuer()),
        ("ada@example.com", stack.parties.idp.issuer()),
    ] {
        let browser = Browser::new();
        let page = browser.visit(&stack.at("/echo/deep?x=1")).await;
        let page = browser.submit(&page, page.form_with("email").set("email", email)).await;
        assert!(page.url.as_str().starts_with(issuer), "{email}: {:?}", page.trail());
        let page = page.sign_in_as(&browser, if issuer == second.idp.issuer() { "zoe" } else { "ada" }).await;
        assert_eq!((page.url.path(), page.url.query()), ("/echo/deep", Some("x=1")), "{email}");
    }
    for email in ["eve@evil.test", "eve@sub.other.test", "nonsense", "eve@evil.test@other.test"] {
        let browser = Browser::new();
        let page = browser.visit(&stack.at("/")).await;
        let page = browser.submit(&page, page.form_with("email").set("email", email)).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/.narthex/login"));
        assert!(page.text().contains("No sign-in is set up for this address"), "{email}");
    }
    let page = Browser::new().visit(&stack.at("/.narthex/login?idp=nobody")).await;
    assert_eq!(page.status, 404, "{}", page.text());
}

#[tokio::test]
async fn an_answer_counts_at_the_address_of_the_provider_that_was_asked_and_nowhere_else() {
    let (stack, _second) = two_providers().await;
    let (log, browser) = (Log::begin(), Browser::new());
    let page = browser.visit(&stack.at("/.narthex/login?idp=demo")).await;
    let mut mixed = page.answer_as(&browser, "ada").await;
    mixed.set_path("/.narthex/oidc/other/callback");
    let page = browser.visit(mixed.as_str()).await;
    assert_refused(&stack, &log, &browser, &page, 400, "wrong_provider");
}

#[tokio::test]
async fn f1_one_provider_cannot_vouch_for_the_addresses_of_another() {
    let (stack, second) = two_providers().await;
    let log = Log::begin();
    second.idp.edit("carol", |carol| carol.email = Some("carol@example.com".to_owned()));
    let browser = Browser::new();
    let page = browser.visit(&stack.at("/.narthex/login?idp=other")).await;
    let page = page.sign_in_as(&browser, "carol").await;
    assert_refused(&stack, &log, &browser, &page, 403, "email_outside_authority");
}

#[tokio::test]
async fn lesson_13_no_return_to_leads_away_from_the_application() {
    let stack = Stack::start().await;
    stack.parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
    let (own, first) = (Url::parse(&stack.url).unwrap(), Browser::new());
    for (vector, lands) in [
        ("//evil.test", "/"),
        ("///evil.test", "/"),
        ("/\\evil.test", "/"),
        ("\\\\evil.test", "/"),
        ("\\/evil.test", "/"),
        ("/\t/evil.test", "/"),
        ("/\n/evil.test", "/"),
        ("\t//evil.test", "/"),
        (" //evil.test", "/"),
        ("/.//evil.test", "/"),
        ("/..//evil.test", "/"),
        ("/echo/..//evil.test", "/"),
        ("/%2e//evil.test", "/"),
        ("https://evil.test/", "/"),
        ("https:evil.test", "/"),
        ("http:/evil.test", "/"),
        ("javascript:alert(1)", "/"),
        ("data:text/html,x", "/"),
        ("@evil.test", "/"),
        (".evil.test", "/"),
        ("evil.test", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: evil=1", "/"),
        ("/\u{ff0f}evil.test", "/"),
        ("/echo#//evil.test", "/"),
        ("/echo/ok?next=//evil.test", "/echo/ok"),
        ("/echo/@evil.test", "/echo/@evil.test"),
    ] {
        let mut login = Url::parse(&stack.at("/.narthex/login")).unwrap();
        login.query_pairs_mut().append_pair("return_to", vector);
        let browser = first.stranger();
        for signed_in in [false, true] {
            let page = browser.visit(login.as_str()).await;
            assert_eq!(page.url.origin(), own.origin(), "{vector:?} {:?}", page.trail());
            assert_eq!(
                (page.status.as_u16(), page.url.path()),
                (200, lands),
                "{vector:?}, signed in: {signed_in}"
            );
            assert_eq!(browser.cookie("evil"), None);
            for hop in &page.hops {
                let here = [own.origin(), Url::parse(stack.parties.idp.issuer()).unwrap().origin()];
                assert!(here.contains(&hop.url.origin()), "{vector:?} {:?}", page.trail());
            }
        }
    }
}

#[tokio::test]
async fn lesson_40_a_browser_that_keeps_no_session_is_told_instead_of_being_sent_round() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    stack.parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
    let mut rounds = 0;
    let page = loop {
        let page = browser.visit(&stack.at("/echo")).await;
        if page.status != 200 {
            break page;
        }
        rounds += 1;
        assert!(rounds < 20);
        browser.jar().remove(&stack.session_cookie());
    };
    assert!((3..=5).contains(&rounds), "{rounds}");
    assert_refused(&stack, &log, &browser, &page, 400, "login_loop");
    assert!(page.text().contains("does not keep cookies"), "{}", page.text());
    assert_eq!(browser.visit(&stack.at("/echo")).await.status, 200, "who mends the cause can go on at once");
}

#[tokio::test]
async fn lesson_40_signing_out_and_in_again_is_no_loop_however_quickly() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    for login in ["ada", "bob", "carol", "ada", "bob", "carol", "ada"] {
        stack.parties.idp.set_chooser(Chooser::Always(login.to_owned()));
        assert_eq!(browser.visit(&stack.at("/echo")).await.url.path(), "/echo", "{login}");
        let page = browser.visit(&stack.at("/.narthex/logout")).await;
        let form = page.form_with("csrf_token");
        browser
            .request(Method::POST, form.action.as_str())
            .from(&page.url)
            .form(&form.fields)
            .stay()
            .send()
            .await;
    }
}

#[tokio::test]
async fn background_calls_to_our_own_addresses_are_answered_with_rfc_9457_problems() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let post = Method::POST;
    for (method, path, status, code) in [
        (&Method::GET, "/.narthex/session", 401, "login_needed"),
        (&Method::GET, "/.narthex/oidc/demo/callback", 400, "state_missing"),
        (&Method::GET, "/.narthex/oidc/nobody/callback?state=x", 404, "unknown_provider"),
        (&Method::GET, "/.narthex/login?idp=nobody", 404, "unknown_provider"),
        (&Method::GET, "/.narthex/nope", 404, "not_found"),
        (&post, "/.narthex/login", 405, "method_not_allowed"),
        (&post, "/.narthex/oidc/demo/callback", 405, "method_not_allowed"),
        (&Method::GET, "/.narthex/login/resume", 405, "method_not_allowed"),
        (&Method::DELETE, "/.narthex/logout", 405, "method_not_allowed"),
        (&post, "/.narthex/login/resume", 400, "bad_form"),
    ] {
        let page = browser.request(method.clone(), &stack.at(path)).background().send().await;
        assert_eq!(page.status.as_u16(), status, "{method} {path} {}", page.text());
        assert_eq!(page.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{method} {path}");
        assert_eq!(page.header("allow").is_some(), status == 405, "{method} {path}");
        assert_eq!(page.header("www-authenticate").is_some(), status == 401, "{method} {path}");
        let problem = page.json();
        assert_eq!(problem["type"], format!("urn:narthex:problem:{code}"), "{method} {path}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let login = code.starts_with("state") || code.starts_with("unknown");
        assert_eq!(problem["error_id"].is_string(), login, "{problem}");
    }
    let gone = browser
        .request(post, &stack.at("/.narthex/login/resume"))
        .background()
        .form(&[("resume", "x")])
        .send()
        .await;
    assert_eq!(
        (gone.status.as_u16(), gone.json()["type"].as_str()),
        (410, Some("urn:narthex:problem:nothing_to_resume"))
    );
}

#[tokio::test]
async fn the_session_endpoint_says_who_is_there_until_when_and_how_to_leave() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let page = browser.request(Method::GET, &stack.at("/.narthex/session")).background().send().await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("application/json")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let session = page.json();
    assert_eq!(session["idp"], "demo");
    assert_eq!(session["subject"], stack.parties.idp.person("ada").unwrap().subject);
    assert_eq!(session["account"]["username"], "ada");
    assert_eq!(session["account"]["email"], "ada@example.com");
    assert_eq!((&session["role"], &session["teams"]), (&json!("user"), &json!(["developers"])));
    assert_eq!(session["logout_url"], "/.narthex/logout");
    let cookie = browser.cookie(&stack.session_cookie()).unwrap();
    assert!(!page.text().contains(&cookie[..16]), "no session id in it");
    let token = session["csrf_token"].as_str().unwrap();
    let logout = browser.request(Method::POST, &stack.at("/.narthex/logout"));
    let left = logout.background().form(&[("csrf_token", token)]).stay().send().await;
    assert_eq!(left.status, 303);
    let page = browser.request(Method::GET, &stack.at("/.narthex/session")).background().send().await;
    assert_eq!(page.status, 401);
}

#[tokio::test]
async fn the_upstream_token_verifies_against_the_published_keys_and_says_no_more_than_it_should() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let echo = stack.sign_in_at(&browser, "ada", "/echo").await.json();
    let headers = echo["headers"].as_array().unwrap();
    let tokens: Vec<&str> = headers
        .iter()
        .filter(|pair| pair[0] == "x-narthex-token")
        .map(|pair| pair[1].as_str().unwrap())
        .collect();
    let [token] = tokens.as_slice() else { panic!("{tokens:?}") };
    // Whoever is not signed in can read the keys, and only public parts are in them.
    let published = Browser::new().visit(&stack.at("/.narthex/jwks.json")).await;
    assert_eq!(
        (published.status.as_u16(), published.header("content-type")),
        (200, Some("application/jwk-set+json"))
    );
    for key in published.json()["keys"].as_array().unwrap() {
        let parts: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(
            parts.iter().all(|part| !matches!(*part, "d" | "p" | "q" | "dp" | "dq" | "qi" | "k")),
            "{parts:?}"
        );
    }
    let keys: JwkSet = serde_json::from_slice(&published.bytes).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::ES256);
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut wanted = Validation::new(Algorithm::ES256);
    wanted.set_issuer(&[&stack.url]);
    wanted.set_audience(&[&stack.url]);
    // The tests' clock is not the machine's; both times are looked at below.
    wanted.validate_exp = false;
    let claims = jsonwebtoken::decode::<BTreeMap<String, Value>>(token, &key, &wanted).unwrap().claims;
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    let now = narthex::platform::Clock::now(stack.parties.clock.as_ref()).0;
    assert!(exp - iat <= 60 && iat <= now && now < exp, "{iat} {now} {exp}");
    let ada = stack.parties.app.user("ada").unwrap();
    assert_eq!(claims["sub"], ada.id.to_string());
    assert_eq!((&claims["preferred_username"], &claims["role"]), (&json!("ada"), &json!("user")));
    assert_eq!(claims["teams"], json!(["developers"]));
    let all = serde_json::to_string(&claims).unwrap();
    let cookie = browser.cookie(&stack.session_cookie()).unwrap();
    let id = cookie.as_bytes().windows(12).map(|part| std::str::from_utf8(part).unwrap());
    assert!(id.into_iter().all(|part| !all.contains(part)), "no part of the session id: {all}");
    // One bit of it changed, or for somebody else, and it does not hold.
    assert!(jsonwebtoken::decode::<Value>(tampered(token, 20), &key, &wanted).is_err());
    wanted.set_audience(&["https://another.test"]);
    assert!(jsonwebtoken::decode::<Value>(token, &key, &wanted).is_err());
}

#[tokio::test]
async fn nothing_below_our_prefix_ever_reaches_the_application() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let cookie = format!("{}={}", stack.session_cookie(), browser.cookie(&stack.session_cookie()).unwrap());
    let host = stack.url.trim_start_matches("http://");
    for (path, status) in [
        ("/.narthex", 404),
        ("/.narthex/", 404),
        ("/.narthex/nope", 404),
        ("/.narthex/echo", 404),
        ("/.narthex/login/x", 404),
        ("/.narthex/login/", 404),
        ("/.narthex/oidc", 404),
        ("/.narthex/oidc/demo", 404),
        ("/.narthex/oidc/demo/callback/x", 404),
        ("/.narthex/jwks.json/x", 404),
        ("/.narthex//echo", 404),
        ("//.narthex/nope", 404),
        ("/%2enarthex/nope", 404),
        ("/%2Enarthex", 404),
        ("/.narthex/../echo", 400),
        ("/.narthex/%2e%2e/echo", 400),
        ("/.narthex/..;/echo", 400),
        ("/.narthex%2f..%2fecho", 400),
        ("/.narthex\\..\\echo", 400),
        ("/echo/../.narthex/session", 400),
        ("/.narthex%00/echo", 400),
    ] {
        for cookie in ["", &format!("Cookie: {cookie}\r\n")] {
            for method in ["GET", "PUT"] {
                let request =
                    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}Connection: close\r\n\r\n");
                let answer = once(&stack.url, request).await;
                assert_eq!(answer.status, status, "{method} {path} {}", answer.head);
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(body.contains("urn:narthex:problem:"), "{method} {path}: {body}");
            }
        }
    }
    // As the application sees it, with a parameter at the prefix's own segment.
    for path in ["/.narthex;x/session", "/.narthex;/session"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = once(&stack.url, request).await;
        assert!(!String::from_utf8_lossy(&answer.body).contains("csrf_token"), "{path}: {}", answer.head);
    }
}

#[tokio::test]
async fn a_refused_sign_in_is_explained_by_its_error_id() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    let answer = answer(&stack, &browser, "ada").await;
    let page = browser.visit(with(&answer, "iss", Some("https://evil.example")).as_str()).await;
    let id = log.of(&page)["error_id"].as_str().unwrap().to_owned();

    let (code, said, complained) = stack.program_meanwhile(&["explain", "--error", &id]).await;
    assert_eq!((code, complained.as_str()), (0, ""));
    assert!(said.contains("demo  iss_parameter_mismatch (to act: client)"), "{said}");
    assert!(said.contains("https://evil.example"), "{said}");
    let (code, said, _) = stack.program_meanwhile(&["explain", "--json", "--error", &id]).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["code"], &told["idp"]), (0, &json!("iss_parameter_mismatch"), &json!("demo")));

    let (code, said, complained) = stack.program_meanwhile(&["explain", "--error", "no-such-id"]).await;
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(complained.contains("no sign-in with the id \"no-such-id\" is kept"), "{complained}");
}

#[tokio::test]
async fn invariant_9_refusals_without_end_cost_nobody_behind_the_same_address_a_sign_in() {
    let (stack, rubbish) = (Stack::start().await, Browser::new());
    // More than one address may begin at once, and than it may begin again meanwhile.
    for _ in 0..AT_ONCE.get() + 1000 {
        let page = rubbish.request(Method::GET, &stack.at("/.narthex/oidc/x/callback")).background();
        assert!(page.send().await.status.is_client_error());
    }
    let person = Browser::new();
    for _ in 0..100 {
        let begun = person.request(Method::GET, &stack.at("/.narthex/login")).stay().send().await;
        assert_eq!(begun.status, 303, "{}", begun.text());
    }
}

#[tokio::test]
async fn a_proxy_in_front_that_is_not_named_is_told_of_once_an_hour() {
    let told = |log: &Log| {
        let events = log.events();
        let warned = |event: &&Value| event["level"] == "WARN" && event["peer"] == "127.0.0.1";
        events.iter().filter(warned).map(|event| event["message"].to_string()).collect::<Vec<_>>()
    };
    let begin = async |stack: &Stack, forwarded: Option<&str>| {
        let browser = Browser::new();
        let request = browser.request(Method::GET, &stack.at("/.narthex/login")).stay();
        let request = match forwarded {
            Some(client) => request.header("X-Forwarded-For", client),
            None => request,
        };
        assert_eq!(request.send().await.status, 303);
    };
    let (log, stack) = (Log::begin(), Stack::start().await);
    begin(&stack, None).await;
    assert_eq!(told(&log), [""; 0]);
    for _ in 0..3 {
        begin(&stack, Some("203.0.113.5")).await;
    }
    assert_eq!(told(&log).len(), 1);
    assert!(told(&log)[0].contains("server.trusted_proxies"), "{:?}", told(&log));
    stack.parties.clock.turn(Duration::from_hours(1));
    begin(&stack, Some("203.0.113.5")).await;
    assert_eq!(told(&log).len(), 2);

    let log = Log::begin();
    let stack = Stack::with(|config| put(config, "server.trusted_proxies", vec!["127.0.0.1"])).await;
    begin(&stack, Some("203.0.113.5")).await;
    assert_eq!(told(&log), [""; 0], "{:?}", log.events());
}
