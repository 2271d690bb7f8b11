//! Bytes through the proxy: streaming, framing, trailers, upgrades, failures.

use std::time::Duration;

use http::Method;

use crate::support::raw::{Raw, once};
use crate::support::stack::{push, put, table};
use crate::support::{Browser, Stack};

/// Everything is public: this is about bytes, not about people.
async fn open() -> Stack {
    open_with(|_| {}).await
}

async fn open_with(edit: impl FnOnce(&mut toml::Table)) -> Stack {
    Stack::with(|config| {
        push(config, "route", table("path = \"/\"\naccess = \"public\""));
        edit(config);
    })
    .await
}

fn host(stack: &Stack) -> &str {
    stack.url.trim_start_matches("http://")
}

#[tokio::test]
async fn a_large_upload_streams_and_a_large_download_too() {
    let (stack, browser) = (open().await, Browser::new());
    let body = vec![7; 48 * 1024 * 1024];
    let page = browser.request(Method::POST, &stack.at("/upload")).body(body.clone()).send().await;
    assert_eq!(page.json()["bytes"], body.len());
    let page = browser.visit(&stack.at("/download/50000000")).await;
    assert_eq!(page.bytes.len(), 50_000_000);
    let page = browser.visit(&stack.at("/download/50000000?chunked=yes")).await;
    assert_eq!(page.bytes.len(), 50_000_000);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let stack = open().await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("HEAD /download/12345 HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack))).await;
    let answer = raw.answer(true).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, vec!["12345"]));
    raw.send(format!("GET /download/3 HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack))).await;
    assert_eq!(raw.answer(false).await.body, b"000", "the connection goes on in step");
}

#[tokio::test]
async fn a_request_body_reaches_the_application_with_one_framing() {
    let stack = open().await;
    let got = once(
        &stack.url,
        format!("POST /echo HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\n\r\nhello", host(&stack)),
    )
    .await;
    assert_eq!(got.json()["body"], "hello");
    let got = once(
        &stack.url,
        format!("POST /echo HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", host(&stack)),
    )
    .await;
    assert_eq!(got.json()["body"], "hello");
    assert_eq!(got.header("connection"), ["close"]);
    let got = once(&stack.url, format!("DELETE /echo HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack))).await;
    assert_eq!(
        (got.json()["method"].as_str().unwrap().to_owned(), got.json()["bytes"].as_u64().unwrap()),
        ("DELETE".to_owned(), 0)
    );
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_is_sent() {
    let stack = open().await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!(
        "POST /upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        host(&stack)
    ))
    .await;
    assert_eq!(raw.answer(true).await.status, 100);
    raw.send("body").await;
    assert_eq!(raw.answer(false).await.json()["bytes"], 4);
}

#[tokio::test]
async fn a_refused_upload_is_answered_without_asking_for_the_body() {
    let stack = Stack::start().await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!(
        "POST /upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 400000000\r\nExpect: 100-continue\r\n\r\n",
        host(&stack)
    ))
    .await;
    assert_eq!(raw.answer(false).await.status, 401);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let stack = open().await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!(
        "GET /trailers HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n",
        host(&stack)
    ))
    .await;
    let mut all = Vec::new();
    loop {
        let bytes = raw.bytes().await;
        if bytes.is_empty() {
            break;
        }
        all.extend(bytes);
    }
    let text = String::from_utf8(all).unwrap().to_lowercase();
    assert!(text.contains("x-checksum: 42"), "{text}");

    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!(
        "POST /echo HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, x-remote-user\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nx-remote-user: root\r\n\r\n",
        host(&stack)
    ))
    .await;
    let trailers = raw.answer(false).await.json()["trailers"].to_string();
    assert!(trailers.contains("x-sum") && !trailers.contains("root"), "{trailers}");
}

#[tokio::test]
async fn a_websocket_is_tunnelled_and_another_protocol_too_but_no_version_of_http() {
    let stack = open().await;
    for protocol in ["websocket", "echo"] {
        let mut raw = Raw::connect(&stack.url).await;
        raw.send(format!("GET /upgrade HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host(&stack))).await;
        let answer = raw.answer(true).await;
        assert_eq!((answer.status, answer.header("upgrade")), (101, vec![protocol]));
        raw.send("hello").await;
        assert_eq!(raw.bytes().await, b"hello");
    }
    let answer = once(&stack.url, format!("GET /echo HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", host(&stack))).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.json()["headers"].to_string().to_lowercase().contains("upgrade"));
}

#[tokio::test]
async fn an_application_that_is_down_gives_a_502_with_an_error_id() {
    let (stack, browser) = (open().await, Browser::new());
    stack.parties.app.set_down(true);
    let page = browser.visit(&stack.at("/echo")).await;
    assert_eq!(page.status, 502);
    assert!(page.text().contains("Error id"), "{}", page.text());
    stack.parties.app.set_down(false);
    assert_eq!(browser.visit(&stack.at("/echo")).await.status, 200);
}

#[tokio::test]
async fn an_application_that_does_not_answer_in_time_gives_a_504() {
    let stack = open_with(|config| put(config, "upstream.response_timeout", "1s")).await;
    stack.parties.app.set_slow(Duration::from_secs(30));
    let page = Browser::new().request(Method::GET, &stack.at("/echo")).background().send().await;
    assert_eq!(
        (page.status.as_u16(), page.json()["type"].as_str().unwrap().to_owned()),
        (504, "urn:narthex:problem:upstream_timeout".to_owned())
    );
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_application_may_think() {
    let stack = open_with(|config| put(config, "upstream.response_timeout", "1s")).await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("POST /upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 6\r\n\r\n", host(&stack))).await;
    let mut pause = tokio::time::interval(Duration::from_millis(500));
    for byte in ["a", "b", "c", "d", "e", "f"] {
        pause.tick().await;
        raw.send(byte).await;
    }
    assert_eq!(raw.answer(false).await.json()["bytes"], 6);
}

#[tokio::test]
async fn after_an_upload_of_whatever_length_the_application_has_its_whole_time() {
    let stack = open_with(|config| put(config, "upstream.response_timeout", "5s")).await;
    // From the head on: so two seconds after an upload of four.
    stack.parties.app.set_slow(Duration::from_secs(6));
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("POST /upload HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\n\r\n", host(&stack))).await;
    let mut pause = tokio::time::interval(Duration::from_secs(1));
    for byte in ["a", "b", "c", "d", "e"] {
        pause.tick().await;
        raw.send(byte).await;
    }
    assert_eq!(raw.answer(false).await.status, 200);
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_head_is_cut_off() {
    let stack = open_with(|config| put(config, "server.timeouts.header_read", "1s")).await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send("GET /echo HTTP/1.1\r\nHost:").await;
    let rest = raw.bytes().await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_connection_is_kept_for_its_next_request_longer_than_a_stranger_is_waited_for() {
    let stack = open_with(|config| put(config, "server.timeouts.header_read", "5s")).await;
    let ask = format!("GET /echo HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack));
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(ask.clone()).await;
    assert_eq!(raw.answer(false).await.status, 200);
    tokio::time::sleep(Duration::from_secs(8)).await;
    raw.send(ask).await;
    assert_eq!(raw.answer(false).await.status, 200);
    // Not for ever.
    let stack = open_with(|config| put(config, "server.timeouts.keep_alive", "1s")).await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("GET /echo HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack))).await;
    assert_eq!(raw.answer(false).await.status, 200);
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_http1_share_the_port() {
    let stack = open().await;
    let client = reqwest_like_h2(&stack.url, "/echo").await;
    assert_eq!(client, 200);
    assert_eq!(
        once(&stack.url, format!("GET /echo HTTP/1.1\r\nHost: {}\r\n\r\n", host(&stack))).await.status,
        200
    );
}

async fn reqwest_like_h2(url: &str, path: &str) -> u16 {
    let stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    let serving = tokio::task::spawn(connection);
    let request = http::Request::get(format!("{url}{path}"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let status = sender.send_request(request).await.unwrap().status().as_u16();
    serving.abort();
    status
}

#[tokio::test]
async fn a_shutdown_lets_the_request_in_flight_end_and_takes_no_new_one() {
    let mut stack = open().await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!(
        "GET /events?every=400&count=2 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        host(&stack)
    ))
    .await;
    let url = stack.at("/echo");
    let first = raw.bytes().await;
    assert!(first.starts_with(b"HTTP/1.1 200"));
    let rest = async {
        let mut all = first.clone();
        loop {
            let bytes = raw.bytes().await;
            if bytes.is_empty() {
                return String::from_utf8(all).unwrap();
            }
            all.extend(bytes);
        }
    };
    let (all, ()) = tokio::join!(rest, stack.stop());
    assert!(all.contains("data: 1") && all.ends_with("0\r\n\r\n"), "{all}");
    assert!(
        tokio::net::TcpStream::connect(url.trim_start_matches("http://").split('/').next().unwrap())
            .await
            .is_err()
    );
}
