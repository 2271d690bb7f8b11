//! No forged identity header reaches the application, in any spelling, on any branch (SECURITY.md 1–9).

use narthex::demo::idp::Fault;
use serde_json::json;

use crate::support::raw::{Raw, once};
use crate::support::stack::{push, put, table};
use crate::support::{Browser, Log, Stack};

const EVIL: &str = "mallory-was-here";

/// Spellings of managed names that some application or gateway takes for the name itself.
pub fn forged() -> Vec<String> {
    let managed = [
        "X-Remote-User",
        "X-Remote-Email",
        "X-Remote-Name",
        "X-Remote-Role",
        "X-Remote-Teams",
        "X-Narthex-Token",
        "X-Forwarded-User",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Uri",
        "X-Original-Url",
        "X-Rewrite-Url",
        "X-Real-Ip",
        "Forwarded",
        "X-Forwarded-Groups",
    ];
    let spellings: [fn(&str) -> String; 8] = [
        str::to_owned,
        str::to_lowercase,
        str::to_uppercase,
        |name| name.replace('-', "_"),
        |name| name.replace('-', "."),
        |name| name.replacen('-', "--", 1),
        |name| name.replace('-', ""),
        |name| format!("{name}-"),
    ];
    managed.iter().flat_map(|name| spellings.iter().map(|spell| spell(name))).collect()
}

async fn stack() -> Stack {
    Stack::with(|config| {
        push(config, "route", table("path = \"/echo/public\"\naccess = \"public\""));
        push(config, "route", table("path = \"/upgrade\"\naccess = \"public\""));
    })
    .await
}

fn cookie_of(stack: &Stack, browser: &Browser) -> String {
    let name = format!("narthex-{}", stack.url.rsplit(':').next().unwrap());
    format!("{name}={}", browser.cookie(&name).unwrap())
}

/// A request with one forged header, and what the application got.
async fn sent(stack: &Stack, method: &str, path: &str, cookie: Option<&str>, line: &str) -> String {
    let host = stack.url.trim_start_matches("http://");
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}{line}\r\n\r\n");
    let answer = once(&stack.url, request).await;
    assert_eq!(answer.status, 200, "{line} {}", answer.head);
    answer.json()["headers"].to_string()
}

#[tokio::test]
async fn a_route_that_passes_no_identity_is_guarded_as_others_and_gets_neither_headers_nor_token() {
    const OURS: [&str; 3] = ["x-remote-user", "x-remote-email", "x-narthex-token"];
    let told = |headers: &str| OURS.map(|name| headers.contains(name));
    let stack = Stack::with(|config| {
        for (path, rest) in [
            ("/echo/theirs", "access = \"signed_in\"\npass_identity = false"),
            ("/echo/theirs/ours", "access = \"signed_in\""),
            ("/echo/carol", "allow = \"account.username == 'carol'\"\npass_identity = false"),
            ("/echo/public", "access = \"public\"\npass_identity = false"),
            ("/echo/said", "access = \"signed_in\"\npass_identity = true"),
        ] {
            push(config, "route", table(&format!("path = \"{path}\"\n{rest}")));
        }
    })
    .await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    let cookie = cookie_of(&stack, &browser);
    let sent = async |path: &str, line: &str| sent(&stack, "GET", path, Some(&cookie), line).await;
    for path in ["/echo", "/echo/theirs/ours/x", "/echo/said"] {
        assert_eq!(told(&sent(path, "Accept: */*").await), [true; 3], "{path}");
    }
    for path in ["/echo/theirs", "/echo/theirs/x", "/echo/public", "/echo/theirs/ours2"] {
        let headers = sent(path, "Accept: */*").await;
        assert_eq!(told(&headers), [false; 3], "{path}: {headers}");
    }
    for name in forged() {
        let headers = sent("/echo/theirs", &format!("{name}: {EVIL}")).await;
        assert!(!headers.contains(EVIL), "{name}: {headers}");
    }
    // Guarded as if it passed identity: by whether there is a session, and by whose it is.
    let status = async |browser: &Browser, path: &str| {
        browser.request(http::Method::GET, &stack.at(path)).background().send().await.status.as_u16()
    };
    assert_eq!(status(&Browser::new(), "/echo/theirs").await, 401);
    assert_eq!(status(&browser, "/echo/carol").await, 403);
    assert_eq!(status(&browser, "/echo/Theirs").await, 400, "no other spelling leads to the token");
}

#[tokio::test]
async fn g5_a_name_with_a_blank_at_an_end_does_not_arrive_as_the_one_without() {
    let log = Log::begin();
    let stack = Stack::with(|config| {
        config.remove("application");
        config.remove("provisioning");
        put(config, "provisioning.mode", "off");
        put(config, "provisioning.unprovisioned", "forward");
        put(config, "headers.X-Remote-User", "{{ claims.preferred_username }}");
        put(config, "headers.X-Remote-Teams", "{{ claims.groups | join(',') }}");
    })
    .await;
    let arrived = async |name: &str, group: &str| {
        let (name, group) = (name.to_owned(), group.to_owned());
        stack.parties.idp.set_fault(Fault::claims(move |claims| {
            claims.insert("preferred_username".to_owned(), json!(name));
            claims.insert("groups".to_owned(), json!(["users", group]));
        }));
        let page = stack.sign_in_at(&Browser::new(), "ada", "/echo").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let headers = page.json()["headers"].as_array().unwrap().clone();
        ["x-remote-user", "x-remote-teams"].map(|name| {
            let found = headers.iter().find(|pair| pair[0] == name);
            found.map(|pair| pair[1].as_str().unwrap().to_owned())
        })
    };
    let there = |name: &str| Some(name.to_owned());
    assert_eq!(arrived("admin", "ops").await, [there("admin"), there("users,ops")]);
    let refused = || log.events().iter().filter(|event| event["event"] == "header_value_refused").count();
    for (before, name) in ["admin ", " admin", "\tadmin", "admin\t", "admin\u{a0}"].into_iter().enumerate() {
        assert_eq!(refused(), before);
        assert_eq!(arrived(name, name).await, [None, None], "{name:?}");
        assert_eq!(refused(), before + 1, "{name:?}");
    }
}

#[tokio::test]
async fn lessons_1_2_5_8_no_spelling_of_a_managed_header_passes_on_any_branch() {
    let (stack, browser) = (stack().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let cookie = cookie_of(&stack, &browser);
    for name in forged() {
        let line = format!("{name}: {EVIL}");
        for (method, path, cookie) in [
            ("GET", "/echo", Some(cookie.as_str())),
            ("OPTIONS", "/echo", Some(&cookie)),
            ("POST", "/echo", Some(&cookie)),
            ("GET", "/echo/public", None),
            ("OPTIONS", "/echo/public", None),
            ("GET", "/echo/public", Some(&cookie)),
            ("GET", "/echo/public", Some("narthex-1=x")),
        ] {
            let got = sent(&stack, method, path, cookie, &line).await;
            assert!(!got.contains(EVIL), "{method} {path} {line}: {got}");
        }
    }
}

#[tokio::test]
async fn lesson_9_the_identity_header_is_there_once_and_is_ours() {
    let (stack, browser) = (stack().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let line = "X-Remote-User: root\r\nx-remote-user: root\r\nX-Remote-User: ada";
    let got = sent(&stack, "GET", "/echo", Some(&cookie_of(&stack, &browser)), line).await.to_lowercase();
    assert_eq!(got.matches("x-remote-user").count(), 1, "{got}");
    assert!(got.contains(r#""x-remote-user","ada""#) && !got.contains("\"root\""), "{got}");
}

#[tokio::test]
async fn lesson_6_connection_cannot_take_our_headers_away() {
    let (stack, browser) = (stack().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let line = "Connection: keep-alive, X-Remote-User, X-Forwarded-For, X-Narthex-Token, Host, x-custom\r\nX-Custom: gone";
    let got = sent(&stack, "GET", "/echo", Some(&cookie_of(&stack, &browser)), line).await.to_lowercase();
    for name in ["x-remote-user", "x-forwarded-for", "x-narthex-token", "host"] {
        assert!(got.contains(&format!("[\"{name}\"")), "{name} {got}");
    }
    assert!(!got.contains("x-custom"), "{got}");
}

#[tokio::test]
async fn lessons_3_and_11_neither_headers_nor_query_take_part_in_the_decision() {
    let (stack, host) = {
        let stack = stack().await;
        let host = stack.url.trim_start_matches("http://").to_owned();
        (stack, host)
    };
    for lines in [
        "X-Forwarded-Uri: /echo/public",
        "X-Original-Url: /echo/public",
        "X-Rewrite-Url: /echo/public",
        "X-Forwarded-For: 127.0.0.1",
        "User-Agent: GoogleHC/1.0",
        "User-Agent: kube-probe/1.30",
        "X-Remote-User: ada",
    ] {
        for target in ["/echo", "/echo?/echo/public", "/echo?path=/echo/public"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n\r\n");
            assert_eq!(once(&stack.url, request).await.status, 401, "{target} {lines}");
        }
    }
}

#[tokio::test]
async fn lesson_8_an_upgrade_passes_the_same_firewall() {
    let (stack, browser) = (stack().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let host = stack.url.trim_start_matches("http://");
    for (cookie, who) in [(Some(cookie_of(&stack, &browser)), "ada"), (None, "")] {
        let mut raw = Raw::connect(&stack.url).await;
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let forged: String = forged().iter().map(|name| format!("{name}: {EVIL}\r\n")).take(60).collect();
        raw.send(format!(
            "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: echo\r\n{cookie}{forged}\r\n"
        ))
        .await;
        let answer = raw.answer(true).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert!(!answer.head.contains(EVIL));
        if !who.is_empty() {
            assert!(answer.head.to_lowercase().contains(&format!("x-seen-user: {who}")), "{}", answer.head);
        }
        raw.send("ping").await;
        assert_eq!(raw.bytes().await, b"ping");
    }
}

#[tokio::test]
async fn invariant_4_ambiguous_paths_never_reach_the_application() {
    let stack = stack().await;
    let host = stack.url.trim_start_matches("http://");
    for path in [
        "/echo/public/../secret",
        "/echo/public/%2e%2e/secret",
        "/echo/public%2fx",
        "/echo/public/%5c..",
        "/echo/public/..;/x",
        "/echo/public%00",
        "/echo/public/%c0%af",
        "/echo/public\\x",
        "/echo/public;x/../y",
        "/echo;x/public",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(once(&stack.url, request).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn lesson_18_a_request_for_another_host_is_misdirected() {
    let stack = stack().await;
    let request = "GET /echo/public HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    assert_eq!(once(&stack.url, request).await.status, 421);
}

#[tokio::test]
async fn invariant_7_doubtful_framing_is_refused_and_the_connection_not_believed_again() {
    let stack = stack().await;
    let host = stack.url.trim_start_matches("http://");
    let next = format!("GET /echo/public HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for head in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length : 5",
        "X-Folded: a\r\n b",
        "Content-Length: +5",
    ] {
        let mut raw = Raw::connect(&stack.url).await;
        raw.send(format!("POST /echo/public HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n0\r\n\r\n{next}"))
            .await;
        let answer = raw.answer(false).await;
        assert_eq!(answer.status, 400, "{head}: {}", answer.head);
        assert!(raw.is_closed().await, "{head}");
    }
    for head in ["Transfer-Encoding: chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked"] {
        let mut raw = Raw::connect(&stack.url).await;
        raw.send(format!(
            "POST /echo/public HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n3\r\nabc\r\n0\r\n\r\n{next}"
        ))
        .await;
        let answer = raw.answer(false).await;
        assert!(answer.status == 200 || answer.status == 400, "{}", answer.head);
        if answer.status == 200 {
            assert_eq!(answer.json()["body"], "abc");
            assert!(
                !answer.json()["headers"]
                    .to_string()
                    .to_lowercase()
                    .contains("\"content-length\",\"3\",\"transfer")
            );
        }
        assert!(raw.is_closed().await, "{head}: what follows a chunked request is not believed");
    }
}

#[tokio::test]
async fn our_cookies_do_not_reach_the_application_and_it_cannot_set_them() {
    let (stack, browser) = (stack().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let cookie = cookie_of(&stack, &browser);
    let got = sent(&stack, "GET", "/echo", Some(&format!("a=1; {cookie}; b=2")), "X: y").await;
    assert!(got.contains("a=1; b=2") && !got.contains(&cookie), "{got}");
    let name = cookie.split('=').next().unwrap();
    let page = browser.visit(&stack.at(&format!("/status/200?cookie={name}%3Dforged%3BPath%3D/"))).await;
    assert_eq!(page.header("set-cookie"), None, "{:?}", page.headers);
    let page = browser.visit(&stack.at("/status/200?cookie=its_own%3D1%3BPath%3D/")).await;
    assert!(page.header("set-cookie").unwrap().starts_with("its_own=1"));
}
