//! Sessions and sign-in as a browser lives them.

use std::time::Duration;

use http::Method;

use crate::support::raw::Raw;
use crate::support::stack::{push, put, table};
use crate::support::{Browser, Stack};

fn session_cookie(stack: &Stack) -> String {
    format!("narthex-{}", stack.url.rsplit(':').next().unwrap())
}

/// A stack behind a proxy that says where people come from.
async fn behind_a_proxy(network: &str) -> Stack {
    Stack::with(|config| {
        put(config, "server.trusted_proxies", vec!["127.0.0.1".to_owned()]);
        config.insert("network".to_owned(), table(network).into());
    })
    .await
}

#[tokio::test]
async fn s1_who_comes_from_elsewhere_is_refused_before_anybody_is_asked() {
    let stack = behind_a_proxy("allow = ['192.0.2.0/24', '2001:db8::/32']\ndeny = ['192.0.2.66']").await;
    let browser = Browser::new();
    // What is fetched in the background, whoever comes, is not counted.
    let calls = || stack.parties.idp.calls();
    let heard = || (calls().authorize, calls().token, calls().userinfo, calls().end_session);
    let asked = heard();
    let from = async |address: &str, path: &str| {
        let request = browser.request(Method::GET, &stack.at(path)).header("x-forwarded-for", address);
        request.stay().send().await.status.as_u16()
    };
    for path in
        ["/", "/public", "/.narthex/login", "/.narthex/session", "/.narthex/oidc/corp/callback?state=x"]
    {
        for address in ["198.51.100.1", "192.0.2.66", "fd00::1", "192.0.2.1, 198.51.100.1"] {
            assert_eq!(from(address, path).await, 403, "{address} {path}");
        }
    }
    assert_eq!(heard(), asked, "the identity provider heard nothing of it");
    assert_eq!(
        from("198.51.100.1", "/.narthex/jwks.json").await,
        200,
        "keys are for the application, wherever it is"
    );
    for address in ["192.0.2.1", "2001:db8::1", "198.51.100.1, 192.0.2.1"] {
        assert_eq!(from(address, "/.narthex/login").await, 303, "{address}");
    }
}

#[tokio::test]
async fn s1_a_session_is_worth_nothing_from_elsewhere() {
    let stack = behind_a_proxy("deny = ['198.51.100.0/24']").await;
    let browser = Browser::new();
    stack.sign_in_at(&browser, "ada", "/echo").await;
    let from = async |address: &str| {
        let request = browser.request(Method::GET, &stack.at("/echo")).header("x-forwarded-for", address);
        request.stay().send().await.status.as_u16()
    };
    assert_eq!(
        (from("192.0.2.1").await, from("198.51.100.1").await, from("192.0.2.1").await),
        (200, 403, 200)
    );
}

#[tokio::test]
async fn lesson_36_a_background_request_without_a_session_gets_401_with_json_and_the_login_url() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let page = browser.request(Method::GET, &stack.at("/echo/data?x=1")).background().send().await;
    assert_eq!(page.status, 401);
    assert_eq!(page.header("content-type"), Some("application/problem+json"));
    assert_eq!(page.json()["login_url"], "/.narthex/login?return_to=%2Fecho%2Fdata%3Fx%3D1");
    assert_eq!(page.header("set-cookie"), None);
    let page = browser.request(Method::GET, &stack.at("/echo/data")).stay().send().await;
    assert_eq!(
        (page.status.as_u16(), page.header("location")),
        (303, Some("/.narthex/login?return_to=%2Fecho%2Fdata"))
    );
    assert_eq!(page.header("set-cookie"), None, "only the login page writes state");
}

#[tokio::test]
async fn an_idle_session_ends_and_an_active_one_goes_on_until_its_absolute_end() {
    let stack = Stack::with(|config| {
        put(config, "session.idle_timeout", "10m");
        put(config, "session.max_lifetime", "30m");
    })
    .await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    let status =
        async || browser.request(Method::GET, &stack.at("/echo")).background().send().await.status.as_u16();
    for _ in 0..3 {
        stack.parties.clock.turn(Duration::from_mins(9));
        stack.settle();
        assert_eq!(status().await, 200);
    }
    stack.parties.clock.turn(Duration::from_mins(4));
    stack.settle();
    assert_eq!(status().await, 401, "31 minutes after sign-in");

    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    stack.parties.clock.turn(Duration::from_mins(10));
    stack.settle();
    let page = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(page.status, 401, "idle for ten minutes");
}

#[tokio::test]
async fn lesson_39_sessions_survive_a_restart_while_the_provider_is_down() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.parties.idp.set_down(true);
    stack.restart().await;
    let page = browser.visit(&stack.at("/echo")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"));
    let fresh = Browser::new().visit(&stack.health_at("/readyz")).await;
    assert_eq!(fresh.status, 200, "readiness does not hang on a provider");
}

#[tokio::test]
async fn lesson_39_the_proxy_starts_while_the_provider_is_down_and_signs_in_once_it_is_up() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.parties.idp.set_down(true);
    stack.restart().await;
    let page = browser.request(Method::GET, &stack.at("/echo")).stay().send().await;
    assert_eq!(page.status, 303, "it is up and asks for a sign-in");
    stack.parties.idp.set_down(false);
    let page = stack.sign_in_at(&browser, "ada", "/echo").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"));
}

#[tokio::test]
async fn logout_needs_the_sessions_token_ends_the_session_and_the_providers_too() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let page = browser
        .request(Method::POST, &stack.at("/.narthex/logout"))
        .form(&[("csrf_token", "wrong")])
        .send()
        .await;
    assert_eq!(page.status, 403);
    assert_eq!(browser.visit(&stack.at("/echo")).await.url.path(), "/echo", "still signed in");
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    assert!(page.text().contains("Sign out?"));
    let page = browser.submit(&page, page.form_with("csrf_token")).await;
    let page = if page.url.as_str().starts_with(&stack.url) {
        page
    } else {
        browser.submit(&page, page.forms().remove(0)).await
    };
    assert!(page.text().contains("signed out"), "{}", page.text());
    let page = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(page.status, 401);
}

#[tokio::test]
async fn lesson_18_a_login_gives_a_fresh_id_and_ends_what_was_there() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let name = session_cookie(&stack);
    stack.sign_in(&browser, "ada").await;
    let first = browser.cookie(&name).unwrap();
    browser.jar().clear();
    browser.visit(&stack.at("/.narthex/session")).await;
    stack.sign_in(&browser, "bob").await;
    let second = browser.cookie(&name).unwrap();
    assert_ne!(first, second);
    assert_eq!((first.len(), second.len()), (64, 64));
}

#[tokio::test]
async fn a_forged_session_cookie_is_nobodys() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let name = session_cookie(&stack);
    let value = browser.cookie(&name).unwrap();
    let host = stack.url.trim_start_matches("http://");
    for forged in [
        format!("A{}", &value[1..]),
        "A".repeat(64),
        value[..63].to_owned(),
        format!("{value}A"),
        String::new(),
    ] {
        if forged == value {
            continue;
        }
        let mut raw = Raw::connect(&stack.url).await;
        raw.send(format!("GET /echo HTTP/1.1\r\nHost: {host}\r\nCookie: {name}={forged}\r\n\r\n")).await;
        assert_eq!(raw.answer(false).await.status, 401, "{forged}");
    }
}

#[tokio::test]
async fn lesson_38_a_stream_and_an_upgrade_end_with_their_session() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let name = session_cookie(&stack);
    let cookie = format!("{name}={}", browser.cookie(&name).unwrap());
    let host = stack.url.trim_start_matches("http://");
    let mut events = Raw::connect(&stack.url).await;
    events
        .send(format!("GET /events?every=60000 HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"))
        .await;
    let mut tunnel = Raw::connect(&stack.url).await;
    tunnel.send(format!("GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: echo\r\nCookie: {cookie}\r\n\r\n")).await;
    assert_eq!(tunnel.answer(true).await.status, 101);
    assert!(String::from_utf8(events.bytes().await).unwrap().starts_with("HTTP/1.1 200"));
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    let before = std::time::Instant::now();
    browser
        .request(Method::POST, &stack.at("/.narthex/logout"))
        .form(&[("csrf_token", page.form_with("csrf_token").value("csrf_token"))])
        .stay()
        .send()
        .await;
    while !events.is_closed().await {}
    while !tunnel.is_closed().await {}
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[tokio::test]
async fn lesson_35_fifty_tabs_and_five_hundred_background_requests_on_an_expired_session() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.parties.idp.set_chooser(narthex::demo::idp::Chooser::LoginHint);
    let tabs = (0..50).map(|tab| {
        let (stack, browser) = (&stack, &browser);
        async move { browser.visit(&stack.at(&format!("/echo/tab/{tab}"))).await }
    });
    let background = (0..500).map(|_| {
        let (stack, browser) = (&stack, &browser);
        async move { browser.request(Method::GET, &stack.at("/echo")).background().send().await }
    });
    let (tabs, background) =
        tokio::join!(futures_util::future::join_all(tabs), futures_util::future::join_all(background));
    assert!(background.iter().all(|page| page.status == 401 || page.status == 200));
    // A person signs in in the first tab; the others then go on one after the other.
    for (number, tab) in tabs.iter().enumerate() {
        let page = if tab.url.as_str().starts_with(&stack.url) {
            browser.visit(tab.url.as_str()).await
        } else {
            tab.sign_in_as(&browser, "ada").await
        };
        assert_eq!(
            (page.status.as_u16(), page.url.path()),
            (200, format!("/echo/tab/{number}").as_str()),
            "{:?}",
            page.trail()
        );
    }
    let cookies: usize = browser.jar().bytes();
    assert!(cookies < 1024, "{cookies} bytes of cookies");
}

#[tokio::test]
async fn e7_the_applications_own_session_ends_with_ours_and_when_another_person_signs_in() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.parties.app.set_cookie_wins(true);
    let page = stack.sign_in(&browser, "ada").await;
    assert!(page.text().contains("Ada"), "{}", page.text());
    assert_eq!(browser.jar().names("legacy_session").len(), 1);
    // The application's logout ends ours.
    let page = browser.request(Method::POST, &stack.at("/signout")).stay().send().await;
    assert!(page.status.is_redirection() || page.status.is_success());
    assert_eq!(browser.request(Method::GET, &stack.at("/echo")).background().send().await.status, 401);
    assert_eq!(browser.jar().names("legacy_session"), Vec::<String>::new());
}

#[tokio::test]
async fn e7_without_a_connector_the_configuration_says_which_cookies_are_the_applications_own_session() {
    let header_only = |cookies: bool| {
        move |config: &mut toml::Table| {
            config.remove("application");
            config.remove("provisioning");
            put(config, "provisioning.mode", "off");
            put(config, "provisioning.unprovisioned", "forward");
            put(config, "headers.X-Remote-User", "{{ claims.preferred_username }}");
            push(config, "route", table("path = \"/whoami\"\naccess = \"public\""));
            if cookies {
                put(config, "upstream.session_cookies", vec!["legacy_session".to_owned()]);
                put(config, "upstream.logout_path", "/signout");
            }
        }
    };
    for cookies in [true, false] {
        let (stack, browser) = (Stack::with(header_only(cookies)).await, Browser::new());
        let who = async || {
            let page = browser.visit(&stack.at("/whoami")).await.text();
            page.trim().strip_prefix("The application thinks you are: ").unwrap().to_owned()
        };
        stack.parties.app.set_cookie_wins(true);
        // Carol has an account there.
        stack.sign_in(&browser, "carol").await;
        assert_eq!(who().await, "carol");
        browser.jar().forget(&session_cookie(&stack));
        // The application believes its own cookie before any header, and before its absence.
        assert_eq!(who().await, if cookies { "nobody" } else { "carol" });
        stack.parties.idp.end_all_sessions();
        stack.sign_in(&browser, "bob").await;
        assert_eq!(who().await, if cookies { "bob" } else { "carol" });
        browser.request(Method::POST, &stack.at("/signout")).stay().send().await;
        let after = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
        assert_eq!(after.status, if cookies { 401 } else { 200 });
    }
}

#[tokio::test]
async fn e7_the_applications_own_session_never_greets_another_person_nor_outlives_ours() {
    let stack = Stack::with(|config| {
        push(config, "route", table("path = \"/whoami\"\naccess = \"public\""));
    })
    .await;
    let browser = Browser::new();
    stack.parties.app.set_cookie_wins(true);
    stack.sign_in(&browser, "ada").await;
    assert!(browser.visit(&stack.at("/whoami")).await.text().contains("ada"));
    // Ada's session of ours is gone without the browser being told; the application's cookies are all there.
    let name = session_cookie(&stack);
    browser.jar().forget(&name);
    let nobody = browser.visit(&stack.at("/whoami")).await.text();
    assert!(!nobody.contains("ada"), "{nobody}");
    stack.parties.idp.end_all_sessions();
    stack.sign_in(&browser, "bob").await;
    let bob = browser.visit(&stack.at("/whoami")).await.text();
    assert!(bob.contains("bob") && !bob.contains("ada"), "{bob}");
}

/// Who sends this Cookie line, as the server at `url` says on a page for everybody.
async fn heard(url: &str, cookie: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut raw = Raw::connect(url).await;
    raw.send(format!("GET /whoami HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n")).await;
    let answer = raw.answer(false).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    String::from_utf8(answer.body).unwrap().trim_end().rsplit_once(' ').unwrap().1.to_owned()
}

/// The application's own session as this browser has it, and the value that the application knows it by: what stands
/// behind the seal.
fn applications(browser: &Browser) -> (String, String) {
    let [name] = <[String; 1]>::try_from(browser.jar().names("legacy_session")).unwrap();
    let value = browser.cookie(&name).unwrap();
    (format!("{name}={value}"), value[22..].to_owned())
}

#[tokio::test]
async fn e7_a_value_of_the_applications_session_is_worth_nothing_to_who_notes_it() {
    let stack = Stack::with(|config| {
        push(config, "route", table("path = \"/whoami\"\naccess = \"public\""));
    })
    .await;
    stack.parties.app.set_cookie_wins(true);
    let ours = |browser: &Browser| {
        let name = session_cookie(&stack);
        format!("{name}={}", browser.cookie(&name).unwrap())
    };
    let (ada, bob) = (Browser::new(), Browser::new());
    stack.sign_in(&ada, "ada").await;
    let (cookie, value) = applications(&ada);
    let (url, app) = (stack.url.as_str(), stack.parties.app.url());
    for spelling in ["legacy_session=", "legacy_session =", "a=1, legacy_session="] {
        assert_eq!(heard(app, &format!("{spelling}{value}")).await, "ada", "the application knows her by it");
    }
    assert_eq!(heard(url, &format!("{}; {cookie}", ours(&ada))).await, "ada");
    stack.sign_in(&bob, "bob").await;
    let (bobs, _) = applications(&bob);
    assert_eq!(heard(url, &format!("{}; {bobs}", ours(&bob))).await, "bob");
    let (bobs, sealed) = (bobs.split_once('=').unwrap().0, cookie.split_once('=').unwrap().1);
    for value in [value.as_str(), sealed] {
        for name in [
            bobs,
            "legacy_session.anonymous",
            "legacy_session",
            "legacy_session ",
            "a=1, legacy_session",
            "Legacy_Session",
            "legacy%5Fsession",
        ] {
            let forged = format!("{name}={value}");
            assert_eq!(heard(url, &format!("{}; {forged}", ours(&bob))).await, "bob", "{forged}");
            assert_eq!(heard(url, &forged).await, "nobody", "{forged}");
        }
    }
    // After her logout, by whatever way she comes.
    let page = ada.visit(&stack.at("/.narthex/logout")).await;
    let form = page.form_with("csrf_token");
    ada.submit(&page, form).await;
    assert_eq!(
        heard(app, &format!("legacy_session={value}")).await,
        "ada",
        "the application was told nothing"
    );
    for name in [cookie.split_once('=').unwrap().0, "legacy_session.anonymous"] {
        for value in [value.as_str(), sealed] {
            assert_eq!(heard(url, &format!("{name}={value}")).await, "nobody", "{name}");
        }
    }
}
