//! Every way in and every way to the application: TLS, HTTP/2, h2c, sockets; and connections that end early.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::replicas::Replica;
use crate::support::party::client;
use crate::support::ports::free_port;
use crate::support::raw::{Raw, once};
use crate::support::stack::{push, put, table, usual};
use crate::support::{Browser, Parties, Stack};

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap()
}

fn open(config: &mut toml::Table) {
    push(config, "route", table("path = \"/\"\naccess = \"public\""));
}

/// A proxy with TLS, and a browser that trusts it.
async fn with_tls() -> (Stack, Browser, TempDir) {
    let (made, files) = (certificate(), tempfile::tempdir().unwrap());
    let (cert, key) = (files.path().join("tls.crt"), files.path().join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let stack = Stack::with(|config| {
        put(config, "server.tls.certificate", cert.to_str().unwrap());
        put(config, "server.tls.key", key.to_str().unwrap());
    })
    .await;
    (stack, Browser::with(made.cert.pem().as_bytes(), &[]), files)
}

#[tokio::test]
async fn invariant_10_over_tls_a_person_signs_in_with_host_prefixed_secure_cookies() {
    let (stack, browser, _files) = with_tls().await;
    let page = stack.sign_in_at(&browser, "ada", "/echo").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{:?}", page.trail());
    assert!(browser.cookie("__Host-narthex").is_some());
    let seen = page.json()["headers"].to_string();
    assert!(seen.contains(r#"["x-forwarded-proto","https"]"#), "{seen}");
    // HTTP/2 was agreed on, and the application got HTTP/1.1.
    assert_eq!(page.json()["version"], "HTTP/1.1");
}

#[tokio::test]
async fn tls_offers_http2_and_http1() {
    let (stack, _, files) = with_tls().await;
    for (offered, chosen) in [(&b"h2"[..], Some(&b"h2"[..])), (b"http/1.1", Some(b"http/1.1"))] {
        let mut roots = rustls::RootCertStore::empty();
        let file = std::fs::read(files.path().join("tls.crt")).unwrap();
        let cert =
            <rustls_pki_types::CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(&file);
        roots.add(cert.unwrap()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![offered.to_vec()];
        let stream = TcpStream::connect(stack.url.trim_start_matches("https://")).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), chosen);
    }
}

#[tokio::test]
async fn an_application_that_speaks_http2_without_tls_is_reached() {
    let stack = Stack::with(|config| {
        open(config);
        let url = config["upstream"]["url"].as_str().unwrap().replace("http://", "h2c://");
        put(config, "upstream.url", url);
    })
    .await;
    for number in 0..20 {
        let got = once(
            &stack.url,
            format!("POST /echo HTTP/1.1\r\nHost: {}\r\nContent-Length: 2\r\n\r\nhi", &stack.url[7..]),
        )
        .await;
        assert_eq!(
            (got.status, &got.json()["version"], &got.json()["body"]),
            (200, &"HTTP/2.0".into(), &"hi".into()),
            "{number}"
        );
    }
}

/// Joins every connection to the application's own port, by whatever `wrap` does to it.
async fn relay<S: AsyncRead + AsyncWrite + Unpin>(mut near: S, application: SocketAddr) {
    let mut far = TcpStream::connect(application).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

fn application_of(config: &toml::Table) -> SocketAddr {
    config["upstream"]["url"].as_str().unwrap().trim_start_matches("http://").parse().unwrap()
}

#[tokio::test]
async fn an_application_behind_tls_is_reached_if_its_certificate_is_trusted_and_not_otherwise() {
    let (made, stranger) = (certificate(), certificate());
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    for (trusted, status) in [(made.cert.pem(), 200), (stranger.cert.pem(), 502)] {
        std::fs::write(&ca, trusted).unwrap();
        crate::support::crypto_provider();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (listener, acceptor) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
        let port = listener.local_addr().unwrap().port();
        let mut application = None;
        let stack = Stack::with(|config| {
            open(config);
            application = Some(application_of(config));
            put(config, "upstream.url", format!("https://localhost:{port}"));
            put(config, "upstream.ca_file", ca.to_str().unwrap());
        })
        .await;
        let application = application.unwrap();
        stack.parties.tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(relay(stream, application));
                }
            }
        });
        let got = once(&stack.url, format!("GET /echo HTTP/1.1\r\nHost: {}\r\n\r\n", &stack.url[7..])).await;
        assert_eq!(got.status, status, "{}", String::from_utf8_lossy(&got.body));
    }
}

#[tokio::test]
async fn an_application_on_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut application = None;
    let stack = Stack::with(|config| {
        open(config);
        application = Some(application_of(config));
        put(config, "upstream.url", format!("unix:{}", path.display()));
    })
    .await;
    let application = application.unwrap();
    stack.parties.tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, application));
        }
    });
    let got = once(&stack.url, format!("GET /echo HTTP/1.1\r\nHost: {}\r\n\r\n", &stack.url[7..])).await;
    assert_eq!(got.status, 200);
    let host = got.json()["headers"].to_string();
    assert!(host.contains(&format!(r#"["host","{}"]"#, &stack.url[7..])), "{host}");
}

/// An application of our own making: `behave` gets each connection with its number.
async fn application<F, R>(behave: F) -> (Stack, Arc<AtomicUsize>)
where
    F: Fn(TcpStream, usize) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stack = Stack::with(|config| {
        open(config);
        put(config, "server.workers", 1);
        put(config, "upstream.url", format!("http://{address}"));
    })
    .await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    stack.parties.tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, counted.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (stack, connections)
}

/// Reads one request's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_safe_request_on_a_connection_that_the_application_closed_is_sent_once_more_and_a_post_is_not() {
    let (stack, connections) = application(|mut stream, _| async move {
        // One answer per connection, and the next request finds it closed.
        if head(&mut stream).await.is_empty() {
            return;
        }
        stream.write_all(OK).await.unwrap();
        head(&mut stream).await;
    })
    .await;
    let host = &stack.url[7..];
    let mut raw = Raw::connect(&stack.url).await;
    for _ in 0..3 {
        raw.send(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(raw.answer(false).await.status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
    raw.send(format!("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx")).await;
    assert_eq!(raw.answer(false).await.status, 502, "nobody knows whether it took effect");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_whose_upload_is_not_over_serves_nobody_else() {
    let (stack, connections) = application(|mut stream, _| async move {
        // Answers at once, body or no body.
        while !head(&mut stream).await.is_empty() {
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let host = &stack.url[7..];
    let mut slow = Raw::connect(&stack.url).await;
    slow.send(format!("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nonly this")).await;
    assert_eq!(slow.answer(false).await.status, 200);
    let got = once(&stack.url, format!("GET /b HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!(got.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the second has a connection of its own");
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_to_the_application() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (stack, _) = application(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            head(&mut stream).await;
            tell.send("asked").unwrap();
            // Never answers; waits for the other side to close.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            tell.send("gone").unwrap();
        }
    })
    .await;
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("GET /a HTTP/1.1\r\nHost: {}\r\n\r\n", &stack.url[7..])).await;
    assert_eq!(told.recv().await, Some("asked"));
    tokio::time::timeout(Duration::from_millis(200), told.recv()).await.expect_err("the client is there yet");
    drop(raw);
    let gone = tokio::time::timeout(Duration::from_secs(30), told.recv()).await;
    assert_eq!(gone.expect("the application is not told"), Some("gone"));
}

#[tokio::test]
async fn lesson_8_a_forged_header_does_not_reach_the_application_on_its_way_to_an_error_either() {
    for status in ["404 Not Found", "500 Internal Server Error", "204 No Content"] {
        let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
        let (stack, _) = application(move |mut stream, _| {
            let told = told.clone();
            async move {
                told.send(head(&mut stream).await).unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                // Where the proxy has gone there is nobody to answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        for method in ["GET", "OPTIONS", "DELETE"] {
            let forged: String =
                crate::firewall::forged().iter().map(|name| format!("{name}: evil\r\n")).take(90).collect();
            let mut raw = Raw::connect(&stack.url).await;
            raw.send(format!("{method} /a HTTP/1.1\r\nHost: {}\r\n{forged}\r\n", &stack.url[7..])).await;
            assert_eq!(raw.answer(true).await.status.to_string(), status[..3]);
            let seen = heads.recv().await.unwrap();
            assert!(!seen.contains("evil"), "{method} {seen}");
        }
    }
}

#[tokio::test]
async fn lesson_38_an_answer_that_comes_after_the_session_ended_is_not_shown() {
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = go.clone();
    let (stack, _) = application(move |mut stream, _| {
        let (told, gate) = (told.clone(), gate.clone());
        async move {
            let slow = head(&mut stream).await.starts_with("GET /slow");
            if slow {
                told.send(()).unwrap();
                gate.notified().await;
            }
            let _ = stream.write_all(OK).await;
        }
    })
    .await;
    let browser = Browser::new();
    browser.visit(&stack.at("/.narthex/login")).await.sign_in_as(&browser, "ada").await;
    let name = stack.session_cookie();
    let cookie = format!("{name}={}", browser.cookie(&name).unwrap());
    let mut raw = Raw::connect(&stack.url).await;
    raw.send(format!("GET /slow HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", &stack.url[7..])).await;
    heads.recv().await.unwrap();
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    browser.submit(&page, page.form_with("csrf_token")).await;
    go.notify_one();
    let answer = raw.answer(false).await;
    assert_eq!(answer.status, 401, "{}", answer.head);
    assert_eq!(answer.json()["login_url"], "/.narthex/login");
}

#[tokio::test]
async fn a_login_of_the_connection_itself_passes_in_neither_direction() {
    let (stack, _) = application(|mut stream, _| async move {
        let seen = head(&mut stream).await.to_lowercase().matches("authorization").count();
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nWWW-Authenticate: Basic realm=\"x\"\r\nX-Seen: {seen}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        head(&mut stream).await;
    })
    .await;
    for (scheme, seen) in [("NTLM TlRMTVNT", "0"), ("Negotiate YII", "0"), ("Basic YTpi", "1")] {
        let got = once(
            &stack.url,
            format!("GET /a HTTP/1.1\r\nHost: {}\r\nAuthorization: {scheme}\r\n\r\n", &stack.url[7..]),
        )
        .await;
        assert_eq!(
            (got.header("x-seen"), got.header("www-authenticate")),
            (vec![seen], vec!["Basic realm=\"x\""])
        );
    }
}

#[tokio::test]
async fn a_process_counts_from_its_first_request_on() {
    // A process of its own: in this one others have been before.
    let (parties, port) = (Parties::at_present().await, free_port());
    let (url, folder) = (format!("http://localhost:{port}"), tempfile::tempdir().unwrap());
    let mut config = usual(&parties, &url);
    put(&mut config, "store.url", format!("sqlite:{}", folder.path().join("narthex.db").display()));
    push(&mut config, "route", table("path = \"/echo\"\naccess = \"public\""));
    let mut narthex = Replica::spawn(config, SocketAddr::from(([127, 0, 0, 1], port)));
    narthex.is_ready().await;
    let metrics = narthex.metrics().await;
    for zero in [
        "narthex_requests_total{class=\"anonymous\"} 0",
        "narthex_stripped_headers_total{spelling=\"alias\"} 0",
    ] {
        assert!(metrics.contains(zero), "{zero}\n{metrics}");
    }
    let answer = client().get(format!("{url}/echo")).header("X_Remote_User", "root").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let metrics = narthex.metrics().await;
    for one in [
        "narthex_requests_total{class=\"anonymous\"} 1",
        "narthex_stripped_headers_total{spelling=\"alias\"} 1",
    ] {
        assert!(metrics.contains(one), "{one}\n{metrics}");
    }
}

#[tokio::test]
async fn what_happens_is_counted_and_no_identity_is_a_label() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    browser.request(http::Method::GET, &stack.at("/echo")).header("X_Remote_User", "root").send().await;
    let text = Browser::new().visit(&stack.health_at("/metrics")).await.text();
    for part in [
        "narthex_logins_total{idp=\"demo\",outcome=\"signed_in\"}",
        "narthex_provisioning_total{outcome=",
        "narthex_provisioning_seconds_bucket{outcome=",
        "narthex_requests_total{class=\"signed_in\"}",
        "narthex_stripped_headers_total{spelling=\"alias\"}",
        "narthex_sessions_in_memory",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for secret in ["ada", "Example", "example.com", &browser.cookie(&stack.session_cookie()).unwrap()] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
    for (path, says) in [("/healthz", "alive"), ("/readyz", "ready"), ("/startupz", "started")] {
        let page = Browser::new().visit(&stack.health_at(path)).await;
        assert_eq!((page.status.as_u16(), page.text().trim()), (200, says));
    }
}

#[tokio::test]
async fn a_trace_goes_on_through_the_proxy() {
    let stack = Stack::with(open).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {}\r\nTraceparent: {parent}\r\nTracestate: a=b\r\nX-Request-Id: forged\r\n\r\n",
        &stack.url[7..]
    );
    let seen = once(&stack.url, request).await.json()["headers"].to_string();
    assert!(
        seen.contains("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !seen.contains("00f067aa0ba902b7"),
        "{seen}"
    );
    assert!(seen.contains("a=b") && !seen.contains("forged"), "{seen}");
}

#[tokio::test]
async fn a_rule_is_an_expression_over_claims_and_errors_deny() {
    let stack = Stack::with(|config| {
        push(config, "route", table("path = \"/echo/builders\"\nallow = \"'engineers' in claims.groups\""));
        push(config, "route", table("path = \"/echo/broken\"\nallow = \"claims.nowhere == 'x'\""));
        push(config, "route", table("path = \"/echo/closed\"\naccess = \"deny\""));
    })
    .await;
    let (ada, carol) = (Browser::new(), Browser::new());
    stack.sign_in(&ada, "ada").await;
    stack.parties.idp.end_all_sessions();
    stack.sign_in(&carol, "carol").await;
    for (who, path, status) in [
        (&ada, "/echo/builders", 200),
        (&ada, "/echo/builders/deep", 200),
        (&carol, "/echo/builders", 403),
        (&ada, "/echo/broken", 403),
        (&ada, "/echo/closed", 403),
        (&carol, "/echo", 200),
        (&carol, "/echo/Builders", 400),
        (&carol, "/echo/builders;x=1", 400),
    ] {
        assert_eq!(who.visit(&stack.at(path)).await.status, status, "{path}");
    }
}
