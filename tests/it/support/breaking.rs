//! A relay in front of an admin API that breaks connections: what a network, a gateway or a failing application does to
//! a client, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};

use super::raw::{Raw, RawAnswer};

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Nobody listens.
    Refused,
    /// The connection is accepted and reset before a byte was read.
    ResetAtOnce,
    /// The request was read, and reached nobody.
    ResetUnread,
    /// The application did it, and its answer never came.
    ResetDone,
    /// The application did it, and the connection is reset in the middle of the answer.
    ResetMidAnswer,
    /// The application did it; the answer announces more than it holds.
    HalfAnswer,
    /// Nobody did anything, and nobody answers.
    Silent,
    /// The application did it, and nobody answers.
    SilentDone,
    /// Nobody answers; the application does it when it is asked for the next time, just before that.
    Overtaken,
    /// A gateway's login page, with status 200.
    LoginPage,
    /// Done, and answered with JSON that is called a page.
    WrongType,
    /// Done, and answered without any `id`.
    MissingId,
    /// Done, and answered with more than a mebibyte.
    Oversized,
    /// Not done; this status, and `Retry-After` where seconds are given.
    Status(u16, Option<u32>),
    /// The credential ends: this call and all after it are refused with 401.
    Expired,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Often {
    Once,
    UntilMended,
}

/// Relays to one server.
pub struct Breaking {
    pub url: String,
    state: Arc<State>,
}

struct State {
    address: SocketAddr,
    plan: Mutex<Plan>,
    /// The plan changed, or what has been seen.
    changed: Notify,
    listening: watch::Sender<bool>,
}

#[derive(Default)]
struct Plan {
    server: String,
    breaks: Option<(Break, Often)>,
    /// Calls that begin so are broken,
    calls: &'static str,
    /// where they cannot be told apart because no request is read: those after so many calls.
    after: usize,
    seen: Vec<String>,
    /// How often something was broken.
    broken: usize,
    expired: bool,
    overtaken: Option<Vec<u8>>,
}

impl Breaking {
    pub fn start() -> Self {
        // The port stays this relay's while nobody listens on it.
        let reserved = socket();
        reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = reserved.local_addr().unwrap();
        let state = Arc::new(State {
            address,
            plan: Mutex::default(),
            changed: Notify::new(),
            listening: watch::Sender::new(true),
        });
        tokio::spawn(serve(Arc::clone(&state), reserved));
        Self { url: format!("http://{address}"), state }
    }

    pub fn relay_to(&self, server: &str) {
        server.clone_into(&mut self.state.plan.lock().unwrap().server);
    }

    /// Breaks calls that begin so; `after` so many calls where no request is read.
    pub fn breaks(&self, breaks: Break, often: Often, calls: &'static str, after: usize) {
        let mut plan = self.state.plan.lock().unwrap();
        let server = std::mem::take(&mut plan.server);
        *plan = Plan { server, breaks: Some((breaks, often)), calls, after, ..Plan::default() };
        drop(plan);
        self.state.changed.notify_one();
    }

    /// Gives every answer from now on.
    pub fn mend(&self) {
        let mut plan = self.state.plan.lock().unwrap();
        plan.breaks = None;
        plan.expired = false;
        drop(plan);
        self.state.changed.notify_one();
    }

    /// Every request that was read, as "METHOD path", in order.
    pub fn seen(&self) -> Vec<String> {
        self.state.plan.lock().unwrap().seen.clone()
    }
}

impl Plan {
    /// What is due before any request is read.
    fn at_the_door(&self) -> Option<Break> {
        let (breaks, often) = self.breaks?;
        let spent = often == Often::Once && self.broken > 0;
        let at_the_door = matches!(breaks, Break::Refused | Break::ResetAtOnce);
        (at_the_door && !spent && self.seen.len() >= self.after).then_some(breaks)
    }

    /// What is due for this request.
    fn due(&mut self, call: &str) -> Option<Break> {
        if self.expired {
            return Some(Break::Expired);
        }
        let (breaks, often) = self.breaks?;
        let spent = often == Often::Once && self.broken > 0;
        if spent || !call.starts_with(self.calls) || matches!(breaks, Break::Refused | Break::ResetAtOnce) {
            return None;
        }
        self.broken += 1;
        self.expired = breaks == Break::Expired;
        Some(breaks)
    }

    /// Whether connections are kept: not where the next one counts.
    fn keeps_connections(&self) -> bool {
        !matches!(self.breaks, Some((Break::Refused | Break::ResetAtOnce, _)))
    }
}

fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = socket();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

async fn serve(state: Arc<State>, _reserved: TcpSocket) {
    let mut listener = Some(listen(state.address));
    loop {
        let at_the_door = state.plan.lock().unwrap().at_the_door();
        if at_the_door == Some(Break::Refused) {
            listener = None;
            state.listening.send_replace(false);
        }
        let Some(listening) = &listener else {
            state.changed.notified().await;
            if state.plan.lock().unwrap().at_the_door() != Some(Break::Refused) {
                listener = Some(listen(state.address));
                state.listening.send_replace(true);
            }
            continue;
        };
        let stream = tokio::select! {
            accepted = listening.accept() => accepted.unwrap().0,
            () = state.changed.notified() => continue,
        };
        let mut plan = state.plan.lock().unwrap();
        if plan.at_the_door() == Some(Break::ResetAtOnce) {
            plan.broken += 1;
            reset(stream);
        } else {
            tokio::spawn(connection(Arc::clone(&state), stream));
        }
    }
}

async fn connection(state: Arc<State>, mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while let Some((call, request)) = request(&mut stream, &mut buffer).await {
        let (server, due, before) = {
            let mut plan = state.plan.lock().unwrap();
            let due = plan.due(&call);
            let again = call.starts_with(plan.calls);
            plan.seen.push(call);
            let before = if again { plan.overtaken.take() } else { None };
            if due == Some(Break::Overtaken) {
                plan.overtaken = Some(request.clone());
            }
            (plan.server.clone(), due, before)
        };
        if let Some(overtaken) = before {
            done(&server, &overtaken).await;
        }
        let answer = match due {
            None => bytes(&done(&server, &request).await),
            Some(Break::Refused | Break::ResetAtOnce | Break::ResetUnread) => return reset(stream),
            Some(Break::ResetDone) => {
                done(&server, &request).await;
                return reset(stream);
            }
            Some(Break::ResetMidAnswer) => {
                let answer = bytes(&done(&server, &request).await);
                stream.write_all(&answer[..answer.len() / 2]).await.unwrap();
                return reset(stream);
            }
            Some(Break::HalfAnswer) => {
                let body = done(&server, &request).await.body;
                let head = head(200, "application/json", body.len() + 64);
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                return;
            }
            Some(Break::Silent | Break::Overtaken) => return until_closed(stream).await,
            Some(Break::SilentDone) => {
                done(&server, &request).await;
                return until_closed(stream).await;
            }
            Some(Break::LoginPage) => {
                let page = "<!doctype html><title>Log in</title><form><input name=password></form>";
                [head(200, "text/html", page.len()).as_bytes(), page.as_bytes()].concat()
            }
            Some(Break::WrongType) => {
                let body = done(&server, &request).await.body;
                [head(200, "text/html", body.len()).as_bytes(), &body].concat()
            }
            Some(Break::MissingId) => {
                let body = done(&server, &request).await.body;
                json(200, &without_ids(serde_json::from_slice(&body).unwrap()))
            }
            Some(Break::Oversized) => {
                done(&server, &request).await;
                json(200, &serde_json::json!({ "id": 1, "padding": "x".repeat(1024 * 1024) }))
            }
            Some(Break::Status(status, after)) => {
                let mut answer =
                    String::from_utf8(json(status, &serde_json::json!({ "message": "no" }))).unwrap();
                if let Some(seconds) = after {
                    answer = answer.replacen("\r\n", &format!("\r\nRetry-After: {seconds}\r\n"), 1);
                }
                answer.into_bytes()
            }
            Some(Break::Expired) => json(401, &serde_json::json!({ "message": "the token has expired" })),
        };
        let (keeps, closing) = {
            let plan = state.plan.lock().unwrap();
            (plan.keeps_connections(), plan.at_the_door() == Some(Break::Refused))
        };
        if keeps {
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            continue;
        }
        if closing {
            // Nobody listens by the time that the client knows that it may go on.
            state.changed.notify_one();
            state.listening.subscribe().wait_for(|listening| !listening).await.unwrap();
        }
        let answer = String::from_utf8(answer).unwrap().replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
}

/// The next request, whole, with its "METHOD path".
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(|value| value.trim().parse().unwrap())
            });
            let whole = end + 4 + length.unwrap_or(0_usize);
            if buffer.len() >= whole {
                let call = head.lines().next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
                return Some((call, buffer.drain(..whole).collect()));
            }
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// What the server itself answers.
async fn done(server: &str, request: &[u8]) -> RawAnswer {
    let mut raw = Raw::connect(server).await;
    raw.send(request).await;
    raw.answer(false).await
}

fn bytes(answer: &RawAnswer) -> Vec<u8> {
    [answer.head.as_bytes(), &answer.body].concat()
}

fn head(status: u16, content_type: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} So\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
}

fn json(status: u16, value: &Value) -> Vec<u8> {
    let body = value.to_string();
    [head(status, "application/json", body.len()), body].concat().into_bytes()
}

fn without_ids(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| name != "id");
            Value::Object(kept.map(|(name, value)| (name, without_ids(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_ids).collect()),
        value => value,
    }
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Says nothing until the other side has gone.
async fn until_closed(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    let whole = tokio::time::timeout(Duration::from_mins(1), async {
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    });
    whole.await.expect("nobody gave up waiting");
}
