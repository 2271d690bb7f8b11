//! Two replicas on one PostgreSQL, each the program as people run it: what one does holds at the other, also when one
//! is killed or the database is away.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::{Method, StatusCode};
use narthex::demo::application::{Lie, LieTo};
use narthex::demo::idp::Chooser;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use toml::Table;

use crate::support::party::{Party, client};
use crate::support::ports::free_port;
use crate::support::raw::Raw;
use crate::support::recorder::Recorder;
use crate::support::stack::{ADMIN_TOKEN, put, usual};
use crate::support::{Browser, Page, Parties};

/// Whatever takes longer fails the test. Several processes share a small machine with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at another process.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A fresh schema on the server that these tests share.
pub(crate) async fn database() -> String {
    static SERVER: OnceCell<Party> = OnceCell::const_new();
    static SCHEMAS: AtomicU32 = AtomicU32::new(1);
    let server = SERVER.get_or_init(|| Party::start("postgres")).await.url();
    let name = format!("replicas_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).await.unwrap();
    format!("{server}?options=-csearch_path%3D{name}")
}

/// SIGUSR1 stops the server of this party, SIGUSR2 starts it again.
fn signal(party: &Party, name: &str) {
    let kill = Command::new("kill").arg(format!("-{name}")).arg(party.ready["pid"].to_string()).status();
    assert!(kill.unwrap().success(), "the party is not there");
}

/// `narthex serve`, killed in the end.
pub(crate) struct Replica {
    process: Child,
    address: SocketAddr,
    health: String,
    /// `http://HOST:PORT/api/v1` of its admin API.
    admin: String,
    folder: TempDir,
}

impl Replica {
    pub(crate) fn spawn(mut config: Table, address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let health = format!("127.0.0.1:{}", free_port());
        put(&mut config, "server.listen", address.to_string());
        put(&mut config, "health.listen", health.as_str());
        let admin = format!("127.0.0.1:{}", free_port());
        put(&mut config, "admin.listen", admin.as_str());
        std::fs::write(folder.path().join("proxy.toml"), toml::to_string(&config).unwrap()).unwrap();
        let process = serve(folder.path());
        Self {
            process,
            address,
            health: format!("http://{health}"),
            admin: format!("http://{admin}/api/v1"),
            folder,
        }
    }

    /// Starts again after it was killed.
    pub(crate) async fn start_again(&mut self) {
        self.process = serve(self.folder.path());
        self.is_ready().await;
    }

    /// Stands still, as under a debugger or on a machine that swaps, until [`Replica::goes_on`].
    pub(crate) fn stands_still(&self) {
        self.signal("STOP");
    }

    pub(crate) fn goes_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(kill.unwrap().success(), "the replica is not there");
    }

    /// A call of its admin API: status and answer.
    pub(crate) async fn ask(&self, method: Method, path: &str, version: &str, body: &Value) -> (u16, Value) {
        let request = client().request(method, format!("{}{path}", self.admin)).bearer_auth(ADMIN_TOKEN);
        let answer = request.header("if-match", version).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn is_ready(&mut self) {
        self.answers("/readyz", StatusCode::OK).await;
    }

    /// Waits until the health listener answers so.
    async fn answers(&mut self, path: &str, expected: StatusCode) {
        let (http, began, mut pulse) = (client(), Instant::now(), tokio::time::interval(LOOK));
        loop {
            pulse.tick().await;
            let answer = http.get(format!("{}{path}", self.health)).send().await;
            if answer.is_ok_and(|answer| answer.status() == expected) {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "narthex serve ended with {ended:?}");
            assert!(began.elapsed() < PATIENCE, "{path} never answered {expected}");
        }
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        client().get(format!("{}/metrics", self.health)).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until it ends by itself: its exit code, and what it said.
    pub(crate) async fn ends(&mut self) -> (Option<i32>, String) {
        let (http, began, mut pulse) = (client(), Instant::now(), tokio::time::interval(LOOK));
        loop {
            pulse.tick().await;
            if let Some(ended) = self.process.try_wait().unwrap() {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
                return (ended.code(), log);
            }
            let answer = http.get(format!("{}/readyz", self.health)).send().await;
            assert!(!answer.is_ok_and(|answer| answer.status() == 200), "it does not end, but is ready");
            assert!(began.elapsed() < PATIENCE, "it never ended");
        }
    }

    /// `narthex` with these arguments and this configuration, while it runs: exit code, standard output and error.
    pub(crate) async fn program(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.output(arguments).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The same, where standard output is no text.
    pub(crate) async fn output(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_narthex"));
        program.args(arguments).arg("--config").arg(self.folder.path().join("proxy.toml"));
        // The provider and the application are in this process.
        tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The person's browser, sent here by the balancer.
    pub(crate) fn browser(&self, of: &Browser) -> Browser {
        of.by_way_of(&[("localhost", self.address)])
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn serve(folder: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(["serve", "--config"])
        .arg(folder.join("proxy.toml"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Replica {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the program said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("the replica at {} said:\n{log}", self.address);
        }
    }
}

/// Two replicas of one place, which a balancer could send each request to.
pub(crate) struct Two {
    pub(crate) parties: Parties,
    /// In front of the application's admin API.
    admin: Recorder,
    /// Where people go: `http://localhost:PORT`.
    url: String,
    pub(crate) a: Replica,
    pub(crate) b: Replica,
}

impl Two {
    pub(crate) async fn start(database: &str, edit: impl FnOnce(&mut Table)) -> Self {
        let (parties, port) = (Parties::at_present().await, free_port());
        let admin = Recorder::of(parties.app.url()).await;
        let url = format!("http://localhost:{port}");
        let mut config = usual(&parties, &url);
        put(&mut config, "server.workers", 1);
        put(&mut config, "application.url", admin.url.as_str());
        put(&mut config, "store.url", database);
        put(&mut config, "keys.seal", "the same key for both of the replicas");
        put(&mut config, "provisioning.time_budget", "60s");
        edit(&mut config);
        parties
            .idp
            .register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));
        parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
        // Both at once: one of them makes the tables.
        let mut a = Replica::spawn(config.clone(), SocketAddr::from(([127, 0, 0, 1], port)));
        let mut b = Replica::spawn(config, SocketAddr::from(([127, 0, 0, 2], port)));
        a.is_ready().await;
        b.is_ready().await;
        Self { parties, admin, url, a, b }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn cookie(&self, of: &Browser) -> String {
        let name = format!("narthex-{}", self.url.rsplit(':').next().unwrap());
        format!("{name}={}", of.cookie(&name).unwrap())
    }

    /// Signs in and ends up in the application.
    pub(crate) async fn sign_in(&self, browser: &Browser) {
        let page = browser.visit(&self.at("/echo")).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{:#?}", page.trail());
    }

    /// The status of a request in the background, with this session's cookie: also one that a browser has forgotten.
    pub(crate) async fn status(&self, replica: &Replica, cookie: &str) -> u16 {
        let browser = replica.browser(&Browser::new());
        let request = browser.request(Method::GET, &self.at("/echo")).background();
        request.header("cookie", cookie).send().await.status.as_u16()
    }

    /// An open stream of this session's at this replica.
    async fn stream(&self, replica: &Replica, cookie: &str) -> Raw {
        let mut events = Raw::connect(&format!("http://{}", replica.address)).await;
        let host = self.url.trim_start_matches("http://");
        events
            .send(format!("GET /events?every=60000 HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"))
            .await;
        assert!(String::from_utf8(events.bytes().await).unwrap().starts_with("HTTP/1.1 200"));
        events
    }

    /// Asks for the page to sign out, and presses its button at the moment that is returned.
    pub(crate) async fn sign_out(&self, browser: &Browser) -> (Instant, Page) {
        let page = browser.visit(&self.at("/.narthex/logout")).await;
        let token = page.form_with("csrf_token").value("csrf_token").to_owned();
        let before = Instant::now();
        let request = browser.request(Method::POST, &self.at("/.narthex/logout"));
        (before, request.form(&[("csrf_token", token.as_str())]).stay().send().await)
    }

    pub(crate) fn accounts_of_ada(&self) -> usize {
        self.parties.app.users().iter().filter(|user| user.email == "ada@example.com").count()
    }

    /// How often this was asked of the application, answered or not.
    fn calls(&self, method: &Method, path: &str) -> usize {
        let call = format!("{method} {path}");
        self.admin.writes().iter().filter(|written| written.starts_with(&call)).count()
    }
}

/// What other tests do on a small machine may hold up one try, but hardly three.
pub(crate) async fn within_a_second(mut one_try: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 {
        took.push(one_try().await);
        if took.iter().any(|took| *took < Duration::from_secs(1)) {
            return;
        }
    }
    panic!("{took:?}");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn lesson_38_a_session_holds_at_both_replicas_and_ends_at_both_within_a_second() {
    let two = Two::start(&database().await, |config| put(config, "session.max_per_member", 2)).await;
    within_a_second(async || {
        let person = two.a.browser(&Browser::new());
        two.sign_in(&person).await;
        let cookie = two.cookie(&person);
        assert_eq!(two.status(&two.b, &cookie).await, 200, "the other replica never saw the sign-in");
        let mut stream = two.stream(&two.b, &cookie).await;
        let (before, _) = two.sign_out(&person).await;
        while !stream.is_closed().await {}
        let took = before.elapsed();
        assert_eq!(two.status(&two.b, &cookie).await, 401);
        took
    })
    .await;

    // The same where it is the oldest of too many (two may be).
    within_a_second(async || {
        let person = two.b.browser(&Browser::new());
        two.sign_in(&person).await;
        let cookie = two.cookie(&person);
        let mut stream = two.stream(&two.b, &cookie).await;
        two.sign_in(&two.a.browser(&Browser::new())).await;
        assert_eq!(two.status(&two.b, &cookie).await, 200);
        two.sign_in(&two.a.browser(&Browser::new())).await;
        let before = Instant::now();
        while !stream.is_closed().await {}
        let took = before.elapsed();
        assert_eq!(two.status(&two.b, &cookie).await, 401);
        took
    })
    .await;
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f9_fifty_first_logins_of_one_person_at_two_replicas_make_one_account_and_all_get_in() {
    let two = Two::start(&database().await, |config| put(config, "session.max_per_member", 100)).await;
    let two = &two;
    // Everybody has an answer of the provider in hand,
    let ready = futures_util::stream::iter((0..50).map(|number| async move {
        let replica = if number % 2 == 0 { &two.a } else { &two.b };
        let browser = replica.browser(&Browser::new());
        let page = browser.request(Method::GET, &two.at("/.narthex/login")).stay().send().await;
        let page = browser.request(Method::GET, page.location().as_str()).stay().send().await;
        (browser, page.location())
    }));
    let ready: Vec<_> = ready.buffer_unordered(10).collect().await;
    // and the application is slow to create the account, so that the others come while it does.
    let create = LieTo::Calls { method: Method::POST, path: "/api/users".to_owned() };
    two.parties.app.set_lie(create, Lie::Late(Duration::from_secs(2)));
    two.admin.forget();
    let all = ready.into_iter().map(|(browser, answer)| async move {
        browser.request(Method::GET, answer.as_str()).stay().send().await
    });
    for page in futures_util::future::join_all(all).await {
        assert_eq!((page.status.as_u16(), page.header("location")), (303, Some("/")), "{}", page.text());
    }
    assert_eq!((two.calls(&Method::POST, "/api/users"), two.accounts_of_ada()), (1, 1));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn f9_what_a_killed_replica_left_half_done_the_other_finishes_with_one_account() {
    // Before the account is there, and after.
    for (method, path) in [(Method::POST, "/api/users"), (Method::PUT, "/api/teams")] {
        let mut two =
            Two::start(&database().await, |config| put(config, "provisioning.time_budget", "5s")).await;
        let call = LieTo::Calls { method: method.clone(), path: path.to_owned() };
        two.parties.app.set_lie(call, Lie::Late(Duration::from_mins(1)));
        let killed = two.a.browser(&Browser::new());
        let url = two.at("/echo");
        let login = tokio::spawn(async move { killed.visit(&url).await });
        let (began, mut pulse) = (Instant::now(), tokio::time::interval(LOOK));
        while two.calls(&method, path) == 0 {
            pulse.tick().await;
            assert!(began.elapsed() < PATIENCE, "{path} was never called");
        }
        two.a.kill();
        assert!(login.await.is_err(), "the replica was killed before it answered");
        let made = two.accounts_of_ada();
        two.parties.app.stop_lying();
        // The person tries again, until nobody has to be waited for any more.
        let (person, began) = (two.b.browser(&Browser::new()), Instant::now());
        loop {
            let page = person.visit(&two.at("/echo")).await;
            if page.status == 200 {
                break;
            }
            assert_eq!(page.status, 503, "{}", page.text());
            assert!(began.elapsed() < PATIENCE, "{}", page.text());
        }
        assert_eq!((two.accounts_of_ada(), two.calls(&Method::POST, "/api/users")), (1, 2 - made), "{path}");
        assert_eq!(two.parties.app.teams_of("ada"), [("developers".to_owned(), "member".to_owned())]);
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn lesson_38_what_ended_while_postgresql_was_away_does_not_live_on_when_it_is_back() {
    let server = Party::start("postgres").await;
    let mut two = Two::start(server.url(), |_| {}).await;
    let (stays, leaves) = (two.a.browser(&Browser::new()), two.a.browser(&Browser::new()));
    for person in [&stays, &leaves] {
        two.sign_in(person).await;
    }
    let (stay, leave) = (two.cookie(&stays), two.cookie(&leaves));
    let mut stays_on = two.stream(&two.b, &stay).await;
    let mut stream = two.stream(&two.b, &leave).await;

    signal(&server, "USR1");
    let unready = StatusCode::SERVICE_UNAVAILABLE;
    two.a.answers("/readyz", unready).await;
    two.b.answers("/readyz", unready).await;
    two.b.answers("/healthz", StatusCode::OK).await;
    for replica in [&two.a, &two.b] {
        assert_eq!(two.status(replica, &stay).await, 200, "sessions in memory go on");
    }
    two.sign_out(&leaves).await;
    assert_eq!(two.status(&two.a, &leave).await, 401, "where it was asked for it holds at once");
    assert_eq!(two.status(&two.b, &leave).await, 200, "the other cannot know");

    signal(&server, "USR2");
    while !stream.is_closed().await {}
    assert_eq!(two.status(&two.b, &leave).await, 401);
    two.a.is_ready().await;
    two.b.is_ready().await;
    for replica in [&two.a, &two.b] {
        assert_eq!(two.status(replica, &stay).await, 200);
    }
    two.sign_out(&stays).await;
    while !stays_on.is_closed().await {}
    // As quickly as before.
    within_a_second(async || {
        let person = two.a.browser(&Browser::new());
        two.sign_in(&person).await;
        let mut stream = two.stream(&two.b, &two.cookie(&person)).await;
        let (before, _) = two.sign_out(&person).await;
        while !stream.is_closed().await {}
        before.elapsed()
    })
    .await;
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn past_the_grace_without_postgresql_nothing_goes_on_and_when_it_is_back_sessions_do() {
    let server = Party::start("postgres").await;
    let mut two = Two::start(server.url(), |config| put(config, "session.offline_grace", "2s")).await;
    let person = two.a.browser(&Browser::new());
    two.sign_in(&person).await;
    let cookie = two.cookie(&person);
    let mut stream = two.stream(&two.b, &cookie).await;
    signal(&server, "USR1");
    while !stream.is_closed().await {}
    assert_eq!(two.status(&two.b, &cookie).await, 503);
    signal(&server, "USR2");
    two.a.is_ready().await;
    two.b.is_ready().await;
    for replica in [&two.a, &two.b] {
        assert_eq!(two.status(replica, &cookie).await, 200);
    }
}
