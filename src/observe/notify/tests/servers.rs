//! A small mail server (RFC 5321, with STARTTLS of RFC 3207) and a receiver of webhooks, for one test each.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::platform::Tasks;

/// What the mail server offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Plain,
    StartTls,
    /// From the first byte.
    Tls,
}

/// One mail as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub tls: bool,
    /// SASL PLAIN, decoded.
    pub login: Option<String>,
    pub from: String,
    pub to: String,
    pub data: String,
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    commands: Vec<String>,
    recipients: Option<&'static str>,
}

/// A mail server on loopback, until the test ends.
pub struct MailServer {
    pub port: u16,
    /// PEM: whom to trust for it.
    pub root: String,
    seen: Arc<Mutex<Seen>>,
    tasks: Tasks,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

impl MailServer {
    pub async fn start(offer: Offer) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            root: made.cert.pem(),
            seen: Arc::default(),
            tasks: Tasks::on(Handle::current()),
        };
        let acceptor = acceptor(&made);
        let (seen, tasks) = (server.seen.clone(), server.tasks.clone());
        let serving = async move {
            let stopping = tasks.stopping().clone();
            while let Some(Ok((stream, _))) = stopping.run_until_cancelled(listener.accept()).await {
                let (seen, acceptor) = (seen.clone(), acceptor.clone());
                tasks.spawn(async move {
                    if offer == Offer::Tls {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        Talk::new(seen, true).serve(BufReader::new(stream), false).await;
                        return;
                    }
                    let mut talk = Talk::new(seen, false);
                    let stream = talk.serve(BufReader::new(stream), offer == Offer::StartTls).await;
                    if let Some(stream) = stream
                        && let Ok(stream) = acceptor.accept(stream.into_inner()).await
                    {
                        talk.tls = true;
                        talk.greeted = true;
                        talk.serve(BufReader::new(stream), false).await;
                    }
                });
            }
        };
        server.tasks.spawn(serving);
        server
    }

    pub fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// Every line that was sent to it, but for the mails' own.
    pub fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub fn answer_recipients_with(&self, answer: &'static str) {
        self.seen.lock().unwrap().recipients = Some(answer);
    }
}

fn acceptor(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Talk {
    seen: Arc<Mutex<Seen>>,
    tls: bool,
    greeted: bool,
    login: Option<String>,
}

impl Talk {
    fn new(seen: Arc<Mutex<Seen>>, tls: bool) -> Self {
        Self { seen, tls, greeted: false, login: None }
    }

    /// Until the other side is done; gives the stream back where it wants TLS on it.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: BufReader<S>,
        starttls: bool,
    ) -> Option<BufReader<S>> {
        if !self.greeted {
            say(&mut stream, "220 localhost").await?;
        }
        let (mut from, mut to) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            self.seen.lock().unwrap().commands.push(line.clone());
            let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" if starttls => say(&mut stream, "250-localhost\r\n250 STARTTLS").await?,
                "EHLO" => say(&mut stream, "250-localhost\r\n250 AUTH PLAIN").await?,
                "STARTTLS" if starttls => {
                    say(&mut stream, "220 go on").await?;
                    return Some(stream);
                }
                "AUTH" => {
                    let encoded = line.rsplit(' ').next().unwrap_or_default();
                    self.login = Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap());
                    say(&mut stream, "235 welcome").await?;
                }
                "MAIL" => {
                    from = address();
                    say(&mut stream, "250 fine").await?;
                }
                "RCPT" => {
                    to = address();
                    let answer = self.seen.lock().unwrap().recipients.unwrap_or("250 fine");
                    say(&mut stream, answer).await?;
                }
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    let mut data = String::new();
                    while !data.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut data).await.ok()? == 0 {
                            return None;
                        }
                    }
                    let (tls, login) = (self.tls, self.login.clone());
                    let received = Received { tls, login, from: from.clone(), to: to.clone(), data };
                    self.seen.lock().unwrap().received.push(received);
                    say(&mut stream, "250 taken").await?;
                }
                "QUIT" => {
                    say(&mut stream, "221 bye").await?;
                    return None;
                }
                _ => say(&mut stream, "250 fine").await?,
            }
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> Option<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Default)]
struct Calls {
    received: Vec<Call>,
    status: u16,
    location: Option<String>,
}

/// A receiver of webhooks on loopback, until the test ends.
pub struct Receiver {
    pub url: Url,
    calls: Arc<Mutex<Calls>>,
    tasks: Tasks,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        let receiver = Self { url, calls: Arc::default(), tasks: Tasks::on(Handle::current()) };
        receiver.answer_with(204);
        let router =
            axum::Router::new().route("/hook", axum::routing::post(take)).with_state(receiver.calls.clone());
        let stop = receiver.tasks.stopping().clone();
        receiver.tasks.spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        });
        receiver
    }

    pub fn received(&self) -> Vec<Call> {
        self.calls.lock().unwrap().received.clone()
    }

    pub fn answer_with(&self, status: u16) {
        self.calls.lock().unwrap().status = status;
    }

    pub fn redirect_to(&self, url: &Url) {
        let mut calls = self.calls.lock().unwrap();
        calls.status = 307;
        calls.location = Some(url.to_string());
    }
}

async fn take(State(calls): State<Arc<Mutex<Calls>>>, headers: HeaderMap, body: String) -> Response {
    let mut calls = calls.lock().unwrap();
    calls.received.push(Call { headers, body });
    let mut response = StatusCode::from_u16(calls.status).unwrap().into_response();
    if let Some(location) = &calls.location {
        response.headers_mut().insert(header::LOCATION, location.parse().unwrap());
    }
    response
}

/// As a receiver's library computes it, on its own.
pub fn signature(secret: &str, signed: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    format!("v1,{}", STANDARD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
}
