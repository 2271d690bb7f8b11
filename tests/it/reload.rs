//! Another configuration while people are at work: nobody notices, and a broken one changes nothing.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use narthex::app::ReloadError;
use tempfile::TempDir;
use toml::Table;

use crate::support::party::client;
use crate::support::ports::free_port;
use crate::support::raw::Raw;
use crate::support::recorder::Recorder;
use crate::support::stack::{ADMIN_TOKEN, put, table, usual};
use crate::support::{Browser, Parties, Stack};

/// Whatever takes longer fails the test.
const PATIENCE: Duration = Duration::from_mins(1);

fn cookie(stack: &Stack, browser: &Browser) -> String {
    let name = stack.session_cookie();
    format!("{name}={}", browser.cookie(&name).unwrap())
}

/// A connection that stays open.
async fn ask(raw: &mut Raw, stack: &Stack, cookie: &str) -> String {
    let host = stack.url.trim_start_matches("http://");
    raw.send(format!("GET /echo HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n")).await;
    let answer = raw.answer(false).await;
    assert_eq!(answer.status, 200);
    answer.json()["headers"].to_string()
}

#[tokio::test]
async fn another_configuration_holds_on_connections_that_were_open_before() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let (mut raw, cookie) = (Raw::connect(&stack.url).await, cookie(&stack, &browser));
    let before = ask(&mut raw, &stack, &cookie).await;
    assert!(before.contains("x-remote-user") && !before.contains("x-login"), "{before}");
    let renamed = |config: &mut Table| {
        config["headers"] = table("X-Login = \"{{ account.username }}\"").into();
    };
    stack.reload(renamed).await.unwrap();
    let after = ask(&mut raw, &stack, &cookie).await;
    assert!(after.contains(r#"["x-login","ada"]"#) && !after.contains("x-remote-user"), "{after}");
}

#[tokio::test]
async fn a_rule_that_was_added_is_in_force_at_once_and_a_session_goes_on() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let status = async |stack: &Stack| {
        browser.request(Method::GET, &stack.at("/echo")).background().send().await.status.as_u16()
    };
    assert_eq!(status(&stack).await, 200);
    stack.reload(|config| put_routes(config, "path = \"/echo\"\naccess = \"deny\"")).await.unwrap();
    assert_eq!(status(&stack).await, 403);
    stack.reload(|config| drop(config.remove("route"))).await.unwrap();
    assert_eq!(status(&stack).await, 200, "without another sign-in");
}

fn put_routes(config: &mut Table, route: &str) {
    config.insert("route".to_owned(), vec![table(route)].into());
}

#[tokio::test]
async fn streams_go_on_over_a_reload_and_end_with_their_session() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let cookie = cookie(&stack, &browser);
    let host = stack.url.trim_start_matches("http://").to_owned();
    let mut tunnel = Raw::connect(&stack.url).await;
    tunnel
        .send(format!(
            "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: echo\r\nCookie: {cookie}\r\n\r\n"
        ))
        .await;
    assert_eq!(tunnel.answer(true).await.status, 101);
    for round in 0..3 {
        let grown = format!("X-Round-{round} = \"{{{{ account.username }}}}\"");
        stack.reload(|config| config["headers"] = table(&grown).into()).await.unwrap();
        tunnel.send("still there?").await;
        assert_eq!(tunnel.bytes().await, b"still there?", "after {round} reloads");
    }
    // Everything that was replaced ends, but for what still streams.
    stack.earlier_in_use(1).await;
    tunnel.send("and now?").await;
    assert_eq!(tunnel.bytes().await, b"and now?");
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    browser.submit(&page, page.form_with("csrf_token")).await;
    let ended = Instant::now();
    while !tunnel.is_closed().await {}
    assert!(ended.elapsed() < Duration::from_secs(10), "{:?}", ended.elapsed());
    stack.earlier_in_use(0).await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_has_had_no_effect_before() {
    let mut stack = Stack::with(|config| {
        put(config, "store.durable", true);
        put(config, "provisioning.delete_at_session_end", true);
    })
    .await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    stack.parties.app.set_down(true);
    let page = browser.visit(&stack.at("/.narthex/logout")).await;
    browser.submit(&page, page.form_with("csrf_token")).await;
    // A deletion waits, and the file now names another application, and a certificate that is not its key's.
    let another = Recorder::of(stack.parties.app.url()).await;
    bad_certificate(&stack);
    for _ in 0..5 {
        stack.parties.clock.turn(Duration::from_hours(2));
        let refused = stack.reload(|config| {
            put(config, "application.url", another.url.as_str());
            mismatched(config);
        });
        assert!(matches!(refused.await, Err(ReloadError::Start(_))));
    }
    assert_eq!(another.writes(), Vec::<String>::new(), "no job went there");
}

/// A certificate, and the key of another.
fn bad_certificate(stack: &Stack) {
    let [one, another] =
        [(), ()].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    stack.file("one.crt", &one.cert.pem());
    write_private(&stack.beside("another.key"), &another.signing_key.serialize_pem());
}

fn mismatched(config: &mut Table) {
    put(config, "server.tls.certificate", "one.crt");
    put(config, "server.tls.key", "another.key");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_followed_changes_nothing_and_is_told() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let ready = async |stack: &Stack| client().get(stack.health_at("/readyz")).send().await.unwrap();
    bad_certificate(&stack);
    let certificates = |config: &mut Table| {
        mismatched(config);
        put_routes(config, "path = \"/echo\"\naccess = \"deny\"");
    };
    let refused = stack.reload(certificates).await.unwrap_err();
    assert!(matches!(refused, ReloadError::Start(_)), "{refused}");
    let refused = stack.reload(|config| put(config, "server.workers", 7)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "server.workers changed, which a restart alone can follow; restart narthex, or change it back"
    );
    let answer = ready(&stack).await;
    assert_eq!(answer.status(), 200, "who can serve is ready");
    let text = answer.text().await.unwrap();
    assert!(
        text.starts_with("ready, but the configuration was changed at ")
            && text.contains("(1 problem, see the log)"),
        "{text}"
    );
    let metrics = client().get(stack.health_at("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("narthex_configuration_reloads_total{outcome=\"refused\"}"), "{metrics}");
    let page = browser.visit(&stack.at("/echo")).await;
    assert_eq!(page.status, 200, "what was there before holds");
    stack.reload(|_| {}).await.unwrap();
    assert_eq!(ready(&stack).await.text().await.unwrap(), "ready\n");
}

/// `narthex serve` on files that are changed under it, ended in the end.
struct Served {
    process: Child,
    url: String,
    health: String,
    folder: TempDir,
    parties: Parties,
    config: Table,
}

impl Served {
    /// As in a pod: `proxy.toml` and a secret in volumes that are replaced by turning a link.
    async fn start() -> Self {
        let (parties, port, health) = (Parties::at_present().await, free_port(), free_port());
        let url = format!("http://127.0.0.1:{port}");
        let folder = tempfile::tempdir().unwrap();
        let mut config = usual(&parties, &url);
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        put(&mut config, "server.listen", listen.to_string());
        put(&mut config, "health.listen", format!("127.0.0.1:{health}"));
        put(&mut config, "admin.listen", format!("127.0.0.1:{}", free_port()));
        put(&mut config, "store.url", format!("sqlite:{}", folder.path().join("narthex.db").display()));
        let tokens = format!(
            "[[tokens]]\nname = \"test\"\nrole = \"administrator\"\ntoken.file = '{}'",
            folder.path().join("secret/token").display()
        );
        config["admin"].as_table_mut().unwrap().insert("tokens".to_owned(), table(&tokens)["tokens"].clone());
        parties
            .idp
            .register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));
        volume(&folder.path().join("secret"), "token", ADMIN_TOKEN);
        volume(&folder.path().join("config"), "proxy.toml", &toml::to_string(&config).unwrap());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_narthex"))
            .args(["serve", "--config"])
            .arg(folder.path().join("config/proxy.toml"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let health = format!("http://127.0.0.1:{health}");
        let served = Self { process, url, health, folder, parties, config };
        served.comes_about("it is ready", async || served.ready().await.as_deref() == Some("ready\n")).await;
        served
    }

    async fn ready(&self) -> Option<String> {
        let answer = client().get(format!("{}/readyz", self.health)).send().await.ok()?;
        answer.text().await.ok()
    }

    async fn comes_about(&self, what: &str, so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while !so().await {
            look.tick().await;
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        }
    }

    /// Replaces the file as a Kubernetes volume does.
    fn write(&self, config: &Table) {
        self.write_text(&toml::to_string(config).unwrap());
    }

    fn write_text(&self, text: &str) {
        volume(&self.folder.path().join("config"), "proxy.toml", text);
    }

    /// Which of the marks that the configuration gives answers say at present.
    async fn mark(&self, browser: &Browser) -> String {
        let page = browser.request(Method::GET, &format!("{}/echo", self.url)).background().send().await;
        assert_eq!(page.status, 200, "{}", page.text());
        let headers = page.json()["headers"].as_array().unwrap().clone();
        let mark = headers.iter().find(|header| header[0] == "x-mark");
        mark.map(|mark| mark[1].as_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn marked(&self, mark: &str) -> Table {
        let mut config = self.config.clone();
        put(&mut config, "headers.X-Mark", mark);
        config
    }

    async fn signed_in(&self) -> Browser {
        let browser = Browser::new();
        let page = browser.visit(&format!("{}/echo", self.url)).await;
        let page = page.sign_in_as(&browser, "ada").await;
        assert_eq!(page.status, 200, "{}", page.text());
        browser
    }
}

impl Drop for Served {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the program said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("narthex said:\n{log}");
        }
    }
}

/// A folder as a Kubernetes volume is: `NAME → ..data/NAME`, `..data → ..VERSION`, and the second link is turned.
fn volume(folder: &Path, name: &str, text: &str) {
    static VERSION: AtomicUsize = AtomicUsize::new(0);
    std::fs::create_dir_all(folder).unwrap();
    let version = format!("..{}", VERSION.fetch_add(1, Ordering::Relaxed));
    std::fs::create_dir(folder.join(&version)).unwrap();
    write_private(&folder.join(&version).join(name), text);
    let link: PathBuf = folder.join("..data_tmp");
    symlink(&version, &link).unwrap();
    std::fs::rename(&link, folder.join("..data")).unwrap();
    if !folder.join(name).exists() {
        symlink(format!("..data/{name}"), folder.join(name)).unwrap();
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn files_that_are_replaced_are_taken_up_and_a_broken_one_is_not() {
    let served = Served::start().await;
    let browser = served.signed_in().await;
    served.write(&served.marked("one"));
    served.comes_about("the first", async || served.mark(&browser).await == "one").await;
    served.write_text("[server]\nlisten = 7\n");
    let refused = async || served.ready().await.is_some_and(|text| text.starts_with("ready, but"));
    served.comes_about("the broken one", refused).await;
    assert_eq!(served.mark(&browser).await, "one");
    served.write(&served.marked("two"));
    served.comes_about("the second", async || served.mark(&browser).await == "two").await;
    served.comes_about("that it says so", async || served.ready().await.unwrap() == "ready\n").await;
}

#[tokio::test]
async fn a_secret_that_is_replaced_holds_and_the_old_one_does_not() {
    const NEXT: &str = "another-administrator-of-the-integration-tests";
    let served = Served::start().await;
    let admin = format!("http://{}/api/v1/members", served.config["admin"]["listen"].as_str().unwrap());
    let status = async |token: &str| {
        client().get(&admin).bearer_auth(token).send().await.map_or(0, |answer| answer.status().as_u16())
    };
    assert_eq!((status(ADMIN_TOKEN).await, status(NEXT).await), (200, 401));
    volume(&served.folder.path().join("secret"), "token", NEXT);
    served.comes_about("the next token", async || status(NEXT).await == 200).await;
    assert_eq!(status(ADMIN_TOKEN).await, 401);
}

/// Asks over and over until told to stop; how many times it was answered.
async fn traffic(served: &Served, browser: &Browser, stop: Arc<AtomicBool>) -> usize {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        served.mark(browser).await;
        answered += 1;
    }
    answered
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn thirty_reloads_in_a_minute_fail_no_request() {
    const MINUTE: Duration = Duration::from_mins(1);
    let served = Served::start().await;
    let browser = served.signed_in().await;
    let accounts = served.parties.app.users().len();
    let stop = Arc::new(AtomicBool::new(false));
    let reloads = async {
        let mut took = Vec::new();
        // Other tests may hold up thirty of them, but hardly three times thirty.
        while took.len() < 3 && took.iter().all(|took| *took >= MINUTE) {
            let (try_, began) = (took.len(), Instant::now());
            for round in 0..30 {
                let mark = format!("try {try_} round {round}");
                served.write(&served.marked(&mark));
                served.comes_about("the next one", async || served.mark(&browser).await == mark).await;
                if round % 10 == 5 {
                    served.write_text("broken =");
                    let refused =
                        async || served.ready().await.is_some_and(|text| text.starts_with("ready, but"));
                    served.comes_about("the broken one", refused).await;
                    assert_eq!(served.mark(&browser).await, mark, "it changed nothing");
                }
            }
            took.push(began.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        took
    };
    let (took, one, two, three) = tokio::join!(
        reloads,
        traffic(&served, &browser, stop.clone()),
        traffic(&served, &browser, stop.clone()),
        traffic(&served, &browser, stop.clone())
    );
    assert!(took.iter().any(|took| *took < MINUTE), "thirty reloads took {took:?}");
    assert!(one > 100 && two > 100 && three > 100, "{one}, {two}, {three} requests were answered");
    assert_eq!(served.parties.app.users().len(), accounts, "nobody was made twice");
}
