//! Sign-in by SAML at the running proxy, with the demo's provider on another site: what its answers are worth, and
//! that logout goes both ways.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use narthex::app;
use narthex::demo::idp::Chooser;
use narthex::demo::idp::saml::{Edit, SamlBehaviour, ServiceProvider, Sign};
use narthex::identify::refused::Refused;
use narthex::platform::crypto::sha256;
use serde_json::Value;

use crate::support::html;
use crate::support::stack::{push, put, table};
use crate::support::{Browser, Log, Page, Stack};

/// A page of the proxy's while it sends the browser on by form: takes the way on.
async fn onwards(browser: &Browser, page: Page) -> Page {
    if page.forms().iter().any(|form| form.has("SAMLRequest")) {
        return browser.submit(&page, page.form_with("SAMLRequest")).await;
    }
    page
}

/// The provider's page with its answer for this person, not yet delivered.
async fn answer_at(stack: &Stack, browser: &Browser, login: &str, path: &str) -> Page {
    let page = browser.visit(&stack.at(path)).await;
    let page = onwards(browser, page).await;
    if page.forms().iter().any(|form| form.has("SAMLResponse")) {
        return page;
    }
    page.sign_in_as(browser, login).await
}

async fn answer(stack: &Stack, browser: &Browser, login: &str) -> Page {
    answer_at(stack, browser, login, "/echo/deep?x=1").await
}

/// Sends the provider's answer, as the script on its page does.
async fn deliver(browser: &Browser, page: &Page) -> Page {
    browser.submit(page, page.form_with("SAMLResponse")).await
}

async fn sign_in(stack: &Stack, browser: &Browser, login: &str) -> Page {
    deliver(browser, &answer(stack, browser, login).await).await
}

/// A header as it arrived at the application.
fn header(page: &Page, name: &str) -> Option<String> {
    let seen = page.json();
    let headers = seen["headers"].as_array().unwrap();
    let pair = headers.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))?;
    pair[1].as_str().map(str::to_owned)
}

async fn is_signed_in(stack: &Stack, browser: &Browser) -> bool {
    let session = browser.request(Method::GET, &stack.at("/.narthex/session")).background();
    session.send().await.status == 200
}

/// A plain page with this code in the log under its error id, and nobody is signed in.
async fn assert_refused(stack: &Stack, log: &Log, browser: &Browser, page: &Page, code: &str) -> Value {
    let event = log.of(page);
    assert_eq!(event["code"], code, "{event}");
    assert!(page.status.is_client_error() || page.status.is_server_error(), "{}", page.status);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!is_signed_in(stack, browser).await, "{code}");
    event
}

fn edited(edit: impl Fn(&str) -> String + Send + Sync + 'static) -> SamlBehaviour {
    let edit: Arc<Edit> = Arc::new(edit);
    SamlBehaviour { edit: Some(edit), ..SamlBehaviour::default() }
}

#[tokio::test]
async fn a_deep_link_is_where_a_sign_in_by_saml_lands_with_account_and_identity_headers() {
    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let page = sign_in(&stack, &browser, "bob").await;
    assert_eq!((page.status.as_u16(), page.url.path(), page.url.query()), (200, "/echo/deep", Some("x=1")));
    // A cross-site POST, which has no cookie of ours, and the same-origin GET, which has.
    let steps: Vec<_> = page.hops.iter().map(|hop| (hop.method.as_str(), hop.status.as_u16())).collect();
    assert_eq!(steps, [("POST", 303), ("GET", 303), ("GET", 200)], "{:?}", page.trail());
    for (name, value) in [
        ("x-remote-user", "bob"),
        ("x-remote-email", "bob@example.com"),
        ("x-remote-name", "Bob Example"),
        ("x-remote-role", "admin"),
        ("x-remote-teams", "developers"),
    ] {
        assert_eq!(header(&page, name).as_deref(), Some(value), "{name}");
    }
    let bob = stack.parties.app.user("bob").unwrap();
    assert_eq!((bob.email.as_str(), bob.role.as_str()), ("bob@example.com", "admin"));
    assert_eq!(stack.parties.app.teams_of("bob"), [("developers".to_owned(), "member".to_owned())]);
}

#[tokio::test]
async fn the_second_sign_in_finds_the_person_again_and_writes_nothing() {
    let stack = Stack::by_saml(|_| {}).await;
    sign_in(&stack, &Browser::new(), "ada").await;
    stack.parties.app.forget_calls();
    let page = sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!(header(&page, "x-remote-user").as_deref(), Some("ada"));
    assert_eq!(stack.parties.app.writes(), []);
}

#[tokio::test]
async fn an_existing_account_is_taken_over_by_its_address_and_a_role_holds_for_the_session() {
    let stack = Stack::by_saml(|_| {}).await;
    let page = sign_in(&stack, &Browser::new(), "carol").await;
    assert_eq!(header(&page, "x-remote-role").as_deref(), Some("editor"));
    assert_eq!(stack.parties.app.user("carol").unwrap().role, "user");
    let dave = sign_in(&stack, &Browser::new(), "dave").await;
    assert_eq!(dave.status, 403, "{}", dave.text());
}

#[tokio::test]
async fn texts_with_markup_in_them_arrive_as_they_are() {
    let stack = Stack::by_saml(|_| {}).await;
    let name = "Ada <b>&amp; \"Ärger\" ]]>";
    stack.parties.idp.edit("ada", |ada| {
        ada.given_name = name.to_owned();
        ada.groups = Some(vec!["<x>".to_owned(), "engineers".to_owned(), "engineers,support".to_owned()]);
    });
    sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!(stack.parties.app.user("ada").unwrap().name, format!("{name} Example"));
    assert_eq!(stack.parties.app.teams_of("ada"), [("developers".to_owned(), "member".to_owned())]);
}

#[tokio::test]
async fn tabs_that_sign_in_beside_each_other_each_land_on_their_own_page() {
    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let first = browser.visit(&stack.at("/echo/first")).await;
    let second = browser.visit(&stack.at("/echo/second")).await;
    let (first, second) = (first.sign_in_as(&browser, "ada").await, second.sign_in_as(&browser, "ada").await);
    assert_eq!(deliver(&browser, &second).await.url.path(), "/echo/second");
    assert_eq!(deliver(&browser, &first).await.url.path(), "/echo/first");
}

#[tokio::test]
async fn relay_state_may_be_lost_and_must_not_be_another() {
    let (log, stack, browser) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
    let page = answer(&stack, &browser, "ada").await;
    let other = answer_at(&stack, &browser, "ada", "/echo/other").await;
    let other = other.form_with("SAMLResponse").value("RelayState").to_owned();
    for wrong in [&*other, "x", "https://evil.example/"] {
        let form = page.form_with("SAMLResponse").set("RelayState", wrong);
        let refused = browser.submit(&page, form).await;
        assert_refused(&stack, &log, &browser, &refused, "relay_state_mismatch").await;
    }
    let mut form = page.form_with("SAMLResponse");
    form.fields.retain(|(name, _)| name != "RelayState");
    let landed = browser.submit(&page, form).await;
    assert_eq!((landed.url.path(), landed.url.query()), ("/echo/deep", Some("x=1")));
}

#[tokio::test]
async fn a_response_counts_once_and_the_refusal_is_kept_for_who_asks() {
    let (log, stack, browser) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
    let page = answer(&stack, &browser, "ada").await;
    let landed = deliver(&browser, &page).await;
    assert_eq!(landed.url.path(), "/echo/deep");
    let again = deliver(&browser, &page).await;
    assert_eq!(log.code(&again), "assertion_replayed");
    assert!(is_signed_in(&stack, &browser).await, "who is signed in stays so");
    let event = log.of(&again);
    let id = event["error_id"].as_str().unwrap();
    let kept: Refused = app::refusal(&stack.settings(), id).await.unwrap().unwrap();
    assert_eq!((kept.code.as_str(), kept.idp.unwrap().as_str()), ("assertion_replayed", "demo"));
    let thief = Browser::new();
    let stolen = deliver(&thief, &page).await;
    assert_refused(&stack, &log, &thief, &stolen, "assertion_replayed").await;
}

#[tokio::test]
async fn lesson_18_a_response_to_another_browsers_request_signs_nobody_in() {
    let (log, stack, attacker) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
    let planted = answer(&stack, &attacker, "bob").await;
    let victim = Browser::new();
    let page = deliver(&victim, &planted).await;
    assert_refused(&stack, &log, &victim, &page, "answer_from_another_browser").await;
    // The way from the POST to the GET, on which the result waits, is no better.
    let planted = answer(&stack, &attacker, "bob").await;
    let form = planted.form_with("SAMLResponse");
    let parked = attacker.request(Method::POST, form.action.as_str()).from(&planted.url).form(&form.fields);
    let parked = parked.stay().send().await.location();
    let victim = Browser::new();
    let page = victim.visit(parked.as_str()).await;
    assert_refused(&stack, &log, &victim, &page, "answer_from_another_browser").await;
    assert_eq!(stack.parties.app.user("bob"), None);
}

#[tokio::test]
async fn what_a_post_brought_waits_for_its_browser_a_minute_and_no_longer() {
    for (seconds, lands) in [(59, true), (60, false)] {
        let (log, stack, browser) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
        let page = answer(&stack, &browser, "ada").await;
        let form = page.form_with("SAMLResponse");
        let posted = browser.request(Method::POST, form.action.as_str()).from(&page.url).form(&form.fields);
        let parked = posted.stay().send().await.location();
        stack.parties.clock.turn(Duration::from_secs(seconds));
        let page = browser.visit(parked.as_str()).await;
        if lands {
            assert_eq!(page.url.path(), "/echo/deep");
            // A reload of what was used up does no harm.
            assert_eq!(browser.visit(parked.as_str()).await.status, 200);
        } else {
            assert_refused(&stack, &log, &browser, &page, "result_gone").await;
        }
    }
}

#[tokio::test]
async fn invariant_9_an_id_that_was_not_given_out_here_never_reaches_the_store() {
    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stack.beside("narthex.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    // As long as those that are ours, and there, should it be looked for.
    let (result, resume) = ("r".repeat(64), "s".repeat(64));
    for id in [&result, &resume] {
        sqlx::query("INSERT INTO parked (id, sealed, expires_at) VALUES ($1, x'00', 9000000000)")
            .bind(sha256(id.as_bytes()).as_slice())
            .execute(&pool)
            .await
            .unwrap();
    }
    // A browser with a login cookie of ours.
    browser.visit(&stack.at("/echo")).await;
    let page = browser.visit(&stack.at(&format!("/.narthex/saml/demo/acs?result={result}"))).await;
    assert_ne!(page.status, 200);
    let tried =
        browser.request(Method::POST, &stack.at("/.narthex/login/resume")).form(&[("resume", resume)]);
    assert_eq!(tried.send().await.status, 410);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM parked").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 2);
    pool.close().await;
}

#[tokio::test]
async fn a_sign_in_that_begins_at_the_provider_is_refused_unless_that_is_allowed() {
    let log = Log::begin();
    for allowed in [false, true] {
        let stack = Stack::by_saml(|idp| {
            if allowed {
                put(idp, "allow_idp_initiated", true);
                put(idp, "landing", "/echo/landing");
            }
        })
        .await;
        let browser = Browser::new();
        let start = stack.parties.idp.saml().start_at(&stack.at("/.narthex/saml/demo/metadata"));
        let page = browser.visit(&format!("{start}&relay_state=https%3A%2F%2Fevil.example%2F")).await;
        let page = page.sign_in_as(&browser, "ada").await;
        let landed = deliver(&browser, &page).await;
        if allowed {
            assert_eq!((landed.status.as_u16(), landed.url.path()), (200, "/echo/landing"));
            assert_eq!(header(&landed, "x-remote-user").as_deref(), Some("ada"));
            assert_eq!(log.code(&deliver(&browser, &page).await), "assertion_replayed");
        } else {
            assert_refused(&stack, &log, &browser, &landed, "unsolicited").await;
        }
    }
}

#[tokio::test]
async fn an_answer_with_one_thing_wrong_is_refused_by_its_name_and_the_untouched_one_is_not() {
    let (log, stack) = (Log::begin(), Stack::by_saml(|_| {}).await);
    let usual = SamlBehaviour::default;
    let cases: Vec<(SamlBehaviour, &str)> = vec![
        (SamlBehaviour { sign: Sign::Nothing, ..usual() }, "not_signed"),
        (SamlBehaviour { foreign_key: true, ..usual() }, "not_by_trusted_key"),
        (SamlBehaviour { audience: Some("https://other.example".into()), ..usual() }, "audience_mismatch"),
        (SamlBehaviour { session_lasts: Duration::ZERO, ..usual() }, "session_over"),
        (edited(|xml| xml.replace("/acs\"", "/other\"")), "recipient_mismatch"),
        (edited(|xml| xml.replace("cm:bearer", "cm:holder-of-key")), "bearer_missing"),
        (edited(|xml| xml.replace("InResponseTo=\"_", "InResponseTo=\"_x")), "in_response_to_differs"),
        (
            edited(|xml| xml.replace("saml:AudienceRestriction>", "saml:ProxyRestriction>")),
            "audience_missing",
        ),
        (
            edited(|xml| xml.replace("/saml/metadata</saml:Issuer>", "/other</saml:Issuer>")),
            "issuer_mismatch",
        ),
    ];
    for (behaviour, code) in cases {
        stack.parties.idp.saml().set(behaviour);
        let browser = Browser::new();
        let page = sign_in(&stack, &browser, "ada").await;
        assert_refused(&stack, &log, &browser, &page, code).await;
    }
    assert_eq!(stack.parties.app.calls(), [], "the application never hears of them");
    for sign in [Sign::Response, Sign::Assertion, Sign::Both] {
        stack.parties.idp.saml().set(SamlBehaviour { sign, ..usual() });
        assert_eq!(sign_in(&stack, &Browser::new(), "ada").await.status, 200, "{sign:?}");
    }
}

#[tokio::test]
async fn a_wrong_audience_is_told_with_what_was_expected_and_every_check_before_it() {
    let (log, stack, browser) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
    let audience = Some("https://other.example/sp".to_owned());
    stack.parties.idp.saml().set(SamlBehaviour { audience, ..SamlBehaviour::default() });
    let page = sign_in(&stack, &browser, "ada").await;
    let event = assert_refused(&stack, &log, &browser, &page, "audience_mismatch").await;
    let (wanted, sent) = (stack.at("/.narthex/saml/demo/metadata"), "https://other.example/sp");
    let said = event["error"].as_str().unwrap();
    assert!(said.contains(&wanted) && said.contains(sent), "{said}");
    let id = event["error_id"].as_str().unwrap();
    let kept = app::refusal(&stack.settings(), id).await.unwrap().unwrap();
    let (last, before) = kept.steps.split_last().unwrap();
    assert!(before.len() > 5 && before.iter().all(|step| step.passed), "{before:?}");
    assert!(!last.passed && last.expected.contains(&wanted) && last.found.contains(sent), "{last:?}");
    assert!(!page.text().contains(sent), "what the record says is not for the page");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_refused() {
    let (log, stack, browser) = (Log::begin(), Stack::by_saml(|_| {}).await, Browser::new());
    let page = answer(&stack, &browser, "ada").await;
    stack.parties.clock.turn(Duration::from_mins(6));
    let refused = deliver(&browser, &page).await;
    assert_refused(&stack, &log, &browser, &refused, "confirmation_expired").await;
}

#[tokio::test]
async fn a_request_goes_by_form_where_that_is_wanted_and_signed_where_the_provider_asks() {
    let stack = Stack::by_saml(|idp| put(idp, "request_binding", "post")).await;
    let page = sign_in(&stack, &Browser::new(), "ada").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"));
    drop(stack);
    for binding in ["post", "redirect"] {
        let wants = || SamlBehaviour { want_signed_requests: true, ..SamlBehaviour::default() };
        let unsigned = Stack::by_saml_of(wants(), |idp| {
            put(idp, "request_binding", binding);
            put(idp, "sign_requests", false);
        });
        let unsigned = unsigned.await;
        let signed = Stack::by_saml_of(wants(), |idp| put(idp, "request_binding", binding)).await;
        let browser = Browser::new();
        let page = browser.visit(&unsigned.at("/echo")).await;
        let page = onwards(&browser, page).await;
        assert!(page.status == 400 && page.text().contains("the request is not signed"), "{}", page.text());
        let page = sign_in(&signed, &Browser::new(), "ada").await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"), "{binding}");
    }
}

#[tokio::test]
async fn the_provider_is_asked_anew_or_silently_as_configured() {
    let (log, stack, browser) =
        (Log::begin(), Stack::by_saml(|idp| put(idp, "is_passive", true)).await, Browser::new());
    let page = browser.visit(&stack.at("/echo")).await;
    let refused = deliver(&browser, &page).await;
    let event = assert_refused(&stack, &log, &browser, &refused, "status_not_success").await;
    assert!(event["error"].as_str().unwrap().contains("NoPassive"), "{event}");

    let (stack, browser) = (Stack::by_saml(|idp| put(idp, "force_authn", true)).await, Browser::new());
    for _ in 0..2 {
        let page = browser.visit(&stack.at("/echo/deep?x=1")).await;
        let landed = deliver(&browser, &page.sign_in_as(&browser, "ada").await).await;
        assert_eq!(landed.status, 200);
        browser.jar().remove(&stack.session_cookie());
    }
}

#[tokio::test]
async fn the_session_ends_when_the_providers_does() {
    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let session_lasts = Duration::from_mins(10);
    stack.parties.idp.saml().set(SamlBehaviour { session_lasts, ..SamlBehaviour::default() });
    sign_in(&stack, &browser, "ada").await;
    stack.parties.clock.turn(Duration::from_secs(599));
    stack.settle();
    assert!(is_signed_in(&stack, &browser).await);
    stack.parties.clock.turn(Duration::from_secs(1));
    stack.settle();
    assert!(!is_signed_in(&stack, &browser).await);
}

#[tokio::test]
async fn f8_a_name_that_changes_every_time_is_nobody_unless_a_claim_says_who_it_is() {
    let log = Log::begin();
    let stack = Stack::by_saml(|idp| {
        put(idp, "name_id_format", "transient");
        put(idp, "subject.claim", "email");
    })
    .await;
    sign_in(&stack, &Browser::new(), "ada").await;
    stack.parties.app.forget_calls();
    assert_eq!(sign_in(&stack, &Browser::new(), "ada").await.status, 200);
    assert_eq!(stack.parties.app.writes(), [], "the same person as before");

    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
    let persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    stack.parties.idp.saml().set(edited(move |xml| xml.replace(persistent, transient)));
    let page = sign_in(&stack, &browser, "ada").await;
    assert_refused(&stack, &log, &browser, &page, "transient_subject").await;
}

#[tokio::test]
async fn f1_an_address_outside_the_providers_domains_takes_over_no_account() {
    let (stack, browser) =
        (Stack::by_saml(|idp| put(idp, "email_domains", vec!["partner.example"])).await, Browser::new());
    let page = sign_in(&stack, &browser, "carol").await;
    assert!(page.status.is_client_error() || page.status.is_server_error(), "{}", page.text());
    assert!(!is_signed_in(&stack, &browser).await);
    assert_eq!(stack.parties.app.writes(), []);
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_believed_at_the_first_answer_that_it_signed() {
    let stack = Stack::by_saml(|_| {}).await;
    sign_in(&stack, &Browser::new(), "ada").await;
    stack.parties.idp.saml().rotate_key().unwrap();
    // Metadata is not read again more often than every minute, since anybody's message can ask for it.
    stack.parties.clock.turn(Duration::from_mins(1));
    assert_eq!(sign_in(&stack, &Browser::new(), "ada").await.status, 200);
}

#[tokio::test]
async fn a_restart_needs_no_provider_once_its_metadata_was_read() {
    let (mut stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    let page = answer(&stack, &browser, "ada").await;
    stack.parties.idp.set_down(true);
    stack.restart().await;
    assert_eq!(deliver(&browser, &page).await.url.path(), "/echo/deep");
}

/// Signs out at the proxy's own page, and follows to the provider and back.
async fn sign_out(stack: &Stack, browser: &Browser) -> Page {
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    let mut page = browser.submit(&page, page.form_with("csrf_token")).await;
    for message in ["SAMLRequest", "SAMLResponse"] {
        if page.forms().iter().any(|form| form.has(message)) {
            page = browser.submit(&page, page.form_with(message)).await;
        }
    }
    page
}

#[tokio::test]
async fn signing_out_here_ends_the_providers_session_too() {
    let (stack, browser) = (Stack::by_saml(|_| {}).await, Browser::new());
    sign_in(&stack, &browser, "ada").await;
    let page = sign_out(&stack, &browser).await;
    assert!(page.url.as_str().starts_with(&stack.url), "{:?}", page.trail());
    assert!(page.text().contains("You are signed out"), "{}", page.text());
    assert!(page.hops.iter().any(|hop| hop.url.path() == "/saml/slo"), "{:?}", page.trail());
    assert!(!is_signed_in(&stack, &browser).await);
    let page = browser.visit(&stack.at("/echo")).await;
    assert!(page.text().contains("Who are you?"), "the provider asks anew: {}", page.text());
}

#[tokio::test]
async fn signing_out_at_the_provider_ends_the_sessions_here_by_either_binding() {
    let stack = Stack::by_saml(|_| {}).await;
    for logout_by_post in [false, true] {
        stack.parties.idp.saml().set(SamlBehaviour { logout_by_post, ..SamlBehaviour::default() });
        let (browser, other) = (Browser::new(), Browser::new());
        sign_in(&stack, &browser, "ada").await;
        sign_in(&stack, &other, "ada").await;
        let home = browser.visit(stack.parties.idp.issuer()).await;
        let form = home.forms().into_iter().find(|form| form.action.path() == "/sign_out").unwrap();
        let mut page = browser.submit(&home, form).await;
        for message in ["SAMLRequest", "SAMLResponse"] {
            if page.forms().iter().any(|form| form.has(message)) {
                page = browser.submit(&page, page.form_with(message)).await;
            }
        }
        let told = page.text();
        assert!(told.contains("Signed out</span> at") && !told.contains("Not signed out"), "{told}");
        assert!(!is_signed_in(&stack, &browser).await, "{logout_by_post}");
        assert!(is_signed_in(&stack, &other).await, "only the session that was named");
    }
}

#[tokio::test]
async fn a_logout_that_another_browser_carries_leaves_that_browser_signed_in() {
    let stack = Stack::by_saml(|_| {}).await;
    let (attacker, victim) = (Browser::new(), Browser::new());
    sign_in(&stack, &attacker, "ada").await;
    sign_in(&stack, &victim, "bob").await;
    let home = attacker.visit(stack.parties.idp.issuer()).await;
    let form = home.forms().into_iter().find(|form| form.action.path() == "/sign_out").unwrap();
    let request = attacker.request(Method::POST, form.action.as_str()).from(&home.url).form(&form.fields);
    let logout = request.stay().send().await.location();
    assert!(logout.query().unwrap().contains("SAMLRequest="), "{logout}");
    victim.visit(logout.as_str()).await;
    assert!(!is_signed_in(&stack, &attacker).await, "the logout counts");
    assert!(is_signed_in(&stack, &victim).await, "for who is named in it");
}

#[tokio::test]
async fn with_two_providers_the_person_chooses_and_each_identity_has_its_own_account() {
    let chooser = Chooser::Always("ada".to_owned());
    let stack = Stack::with(|config| {
        let oidc = config["idp"].as_array().unwrap()[0].clone();
        let issuer = oidc["issuer"].as_str().unwrap().to_owned();
        let saml = table(&format!(
            "id = \"saml\"\ntype = \"saml\"\nlabel = \"By SAML\"\nemail_domains = [\"example.com\"]\n\
             metadata = {{ url = \"{issuer}/saml/metadata\" }}"
        ));
        push(config, "idp", saml);
    })
    .await;
    let at = |name: &str| stack.at(&format!("/.narthex/saml/saml/{name}"));
    stack.parties.idp.saml().register(ServiceProvider {
        entity_id: at("metadata"),
        acs: at("acs").parse().unwrap(),
        slo: None,
        keys: vec![],
    });
    stack.parties.idp.set_chooser(chooser);
    let browser = Browser::new();
    let page = browser.visit(&stack.at("/echo/deep")).await;
    assert!(page.text().contains("By SAML"), "{}", page.text());
    let tags = html::tags(&page.text());
    let href = |idp: &str| {
        let mut found = tags.iter().filter_map(|tag| tag.at("href"));
        found.find(|href| href.contains(&format!("idp={idp}"))).unwrap().to_owned()
    };
    let landed = deliver(&browser, &browser.follow(&page, &href("saml")).await).await;
    assert_eq!((landed.status.as_u16(), landed.url.path()), (200, "/echo/deep"), "{}", landed.text());

    // F8: an account is one identity's; the other protocol's waits for an administrator, unless link_identities is on.
    let other = Browser::new();
    let page = other.visit(&stack.at("/echo/deep")).await;
    let refused = other.follow(&page, &href("demo")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!is_signed_in(&stack, &other).await);
}
