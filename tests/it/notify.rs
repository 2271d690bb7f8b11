//! S4: administrators hear of what happens in a running proxy, and nobody waits for that.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use narthex::platform::crypto::hmac_sha256;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::support::stack::{put, table};
use crate::support::{Browser, Stack, free_port};

const KEY: &[u8] = b"01234567890123456789abcdef";

/// A mail server (RFC 5321) that says nothing until it is told to.
struct MailServer {
    port: u16,
    speaks: watch::Sender<bool>,
    /// Somebody waits for its greeting.
    called: mpsc::UnboundedReceiver<()>,
    /// Recipient and text of each mail.
    mails: mpsc::UnboundedReceiver<(String, String)>,
}

impl MailServer {
    async fn silent() -> Self {
        let listener = free_port().await;
        let port = listener.local_addr().unwrap().port();
        let (speaks, may_speak) = watch::channel(false);
        let ((calls, called), (taken, mails)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut may_speak, taken) = (may_speak.clone(), taken.clone());
                let _ = calls.send(());
                tokio::spawn(async move {
                    may_speak.wait_for(|speaks| *speaks).await.unwrap();
                    talk(BufReader::new(stream), &taken).await
                });
            }
        });
        Self { port, speaks, called, mails }
    }
}

async fn talk(
    mut stream: BufReader<TcpStream>,
    taken: &mpsc::UnboundedSender<(String, String)>,
) -> std::io::Result<()> {
    stream.write_all(b"220 localhost\r\n").await?;
    let mut recipient = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.split([' ', ':', '\r']).next().unwrap() {
            "EHLO" => b"250 localhost\r\n",
            "RCPT" => {
                recipient = line.split(['<', '>']).nth(1).unwrap().to_owned();
                b"250 fine\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await? == 0 {
                        return Ok(());
                    }
                }
                let _ = taken.send((recipient.clone(), text));
                b"250 taken\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        };
        stream.write_all(answer).await?;
    }
}

/// A call of the webhook.
struct Call {
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// As the specification of Standard Webhooks has it.
    fn is_signed(&self) -> bool {
        let begins = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [begins.as_bytes(), &self.body].concat();
        self.header("webhook-signature") == format!("v1,{}", STANDARD.encode(hmac_sha256(KEY, &signed)))
    }
}

/// A receiver of webhooks that is down until it is told otherwise.
struct Receiver {
    url: String,
    status: Arc<Mutex<StatusCode>>,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Receiver {
    async fn down() -> Self {
        let listener = free_port().await;
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let status = Arc::new(Mutex::new(StatusCode::SERVICE_UNAVAILABLE));
        let (noted, calls) = mpsc::unbounded_channel();
        let answer = status.clone();
        let receive = move |headers: HeaderMap, body: Bytes| {
            let _ = noted.send(Call { headers, body });
            let status = *answer.lock().unwrap();
            async move { status }
        };
        let router = Router::new().route("/hook", post(receive));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, status, calls }
    }
}

#[tokio::test]
async fn s4_a_created_account_is_told_by_mail_and_signed_webhook_later_where_they_are_down_and_no_login_waits()
 {
    let (mut mail, mut receiver) = (MailServer::silent().await, Receiver::down().await);
    let notify = table(&format!(
        r#"
administrators = ["root@example.com"]
smtp = {{ host = "127.0.0.1", port = {}, security = "none", from = "narthex@example.com" }}
webhook = {{ url = "{}", secret = "whsec_{}" }}
"#,
        mail.port,
        receiver.url,
        STANDARD.encode(KEY)
    ));
    let stack = Stack::with(|config| put(config, "notify", notify)).await;

    // The mail server says nothing, the receiver is down: the sign-in is done all the same.
    let ada = Browser::new();
    let page = stack.sign_in(&ada, "ada").await;
    assert_eq!(page.status, 200, "{:#?}", page.trail());
    let refused = receiver.calls.recv().await.unwrap();
    assert!(refused.is_signed());
    mail.called.recv().await.unwrap();
    mail.mails.try_recv().unwrap_err();

    // They are back, and in time what waits goes out.
    mail.speaks.send(true).unwrap();
    let (to, text) = mail.mails.recv().await.unwrap();
    assert_eq!(to, "root@example.com");
    assert!(text.contains("ada") && text.contains("<narthex@example.com>"), "{text}");
    *receiver.status.lock().unwrap() = StatusCode::NO_CONTENT;
    stack.sign_in(&Browser::new(), "bob").await;
    let bob = receiver.calls.recv().await.unwrap();
    // The round of the first call is over by now: when to call again was noted.
    stack.parties.clock.turn(Duration::from_mins(1));
    stack.sign_in(&Browser::new(), "carol").await;
    let mut calls = [receiver.calls.recv().await.unwrap(), receiver.calls.recv().await.unwrap()];
    let username = |call: &Call| call.json()["data"]["details"]["account"]["username"].to_string();
    calls.sort_by_key(username);
    let [again, carol] = calls;
    assert!([&again, &bob, &carol].into_iter().all(Call::is_signed));
    assert_eq!(again.json()["type"], "account_created");
    assert_eq!([&again, &bob, &carol].map(username), ["\"ada\"", "\"bob\"", "\"carol\""]);
    // The receiver can tell that it is the same, sent anew.
    assert_eq!((again.header("webhook-id"), &again.body), (refused.header("webhook-id"), &refused.body));
    assert_ne!(again.header("webhook-timestamp"), refused.header("webhook-timestamp"));
    assert_ne!(bob.header("webhook-id"), refused.header("webhook-id"));
    let (_, text) = mail.mails.recv().await.unwrap();
    assert!(text.contains("bob"), "{text}");
}
