//! The proxy between two parties: in this process, or the program as people run it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use narthex::app::{self, App, Sockets};
use narthex::config::Settings;
use narthex::identify::refused::Refused;
use narthex::model::UnixTime;
use narthex::platform::{Clock, Platform, SystemClock};
use narthex::provision::catalogue;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use toml::Table;
use tracing_subscriber::EnvFilter;

use crate::support::Page;
use crate::support::party::client;
use crate::support::ports::free_port;
use crate::support::stack::{load, put};

/// One test at a time has the proxy: its limits of time for calls hold here too, and five servers with several
/// sign-ins at once keep a small machine longer than that.
static TURN: Mutex<()> = Mutex::const_new(());

/// The machine's clock, and what a test has put it forward by: the parties have the real time.
#[derive(Debug, Default)]
struct Forward(AtomicI64);

impl Clock for Forward {
    fn now(&self) -> UnixTime {
        UnixTime(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

/// A proxy in this process.
pub struct Front {
    /// Where people go: `http://127.0.0.1:PORT`.
    pub url: String,
    clock: Arc<Forward>,
    settings: Settings,
    _folder: TempDir,
    app: App,
    _turn: MutexGuard<'static, ()>,
}

impl Front {
    /// With this configuration; where it listens is added.
    pub async fn start(mut config: Table) -> Self {
        let turn = TURN.lock().await;
        crate::support::crypto_provider();
        if let Ok(filter) = EnvFilter::try_from_default_env() {
            // With RUST_LOG, what it logs; once for all tests.
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        }
        let (public, health) = (listener(), listener());
        let url = format!("http://{}", public.local_addr().unwrap());
        put(&mut config, "server.public_url", url.as_str());
        put(&mut config, "server.workers", 1);
        put(&mut config, "admin.listen", "127.0.0.1:0");
        put(&mut config, "server.timeouts.drain", "2s");
        let folder = tempfile::tempdir().unwrap();
        let settings = load(&config, folder.path());
        let sockets = Sockets {
            public: Some(public),
            health: Some(health),
            scim: Some(listener()),
            ..Sockets::default()
        };
        let clock = Arc::<Forward>::default();
        let platform = Platform { clock: Arc::clone(&clock) as _, ..Platform::system() };
        let app = App::start(settings.clone(), platform, sockets).await.unwrap();
        Self { url, clock, settings, _folder: folder, app, _turn: turn }
    }

    /// Puts the proxy's clock forward.
    pub fn forward(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// How the sign-in was refused that this page tells of, as `narthex explain` finds it.
    pub async fn refusal(&self, page: &Page) -> Refused {
        let text = page.text();
        let id = text.split("Error id: <code>").nth(1).and_then(|rest| rest.split('<').next());
        let id = id.unwrap_or_else(|| panic!("no error id at {:#?}: {text}", page.trail()));
        app::refusal(&self.settings, id).await.unwrap().unwrap()
    }

    /// Where SCIM clients go, with mode `scim`.
    pub fn scim(&self) -> String {
        format!("http://{}/scim/v2", self.app.scim_addr().unwrap())
    }

    /// A page of the application or of the proxy's own.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// `narthex serve`.
pub struct Program {
    url: String,
    process: Child,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Program {
    /// With this configuration; where it listens is added.
    pub async fn serve(config: Table) -> Self {
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let (path, url, health) = usable(config, folder.path());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_narthex"))
            .args(["serve", "--config"])
            .arg(path)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut program = Self { url, process, folder, _turn: turn };
        let mut pulse = tokio::time::interval(Duration::from_millis(50));
        let http = client();
        while !http.get(format!("{health}/readyz")).send().await.is_ok_and(|page| page.status() == 200) {
            pulse.tick().await;
            let ended = program.process.try_wait().unwrap();
            assert!(ended.is_none(), "narthex serve ended with {ended:?}:\n{}", program.log());
        }
        program
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Program {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the program said")]
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("narthex serve said:\n{}", self.log());
        }
    }
}

/// X2: `narthex connector test` leads a user's whole life in the application, privileged roles included; what it says.
/// X3: the application, where it tells its version, is the one that the recipe calls tested.
pub async fn assert_connector_works(config: Table) -> Value {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, ..) = usable(config, folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(["connector", "test", "--privileged", "--json", "--config"])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
    let life: Value = serde_json::from_str(&said).unwrap();
    if let Some(version) = life["version"].as_str() {
        let features = catalogue::features(life["connector"].as_str().unwrap()).unwrap();
        assert_eq!(features.tested_against.as_deref(), Some(version));
    }
    life
}

/// Writes the configuration with free ports: its path, and where the public and the health listener will be.
fn usable(mut config: Table, folder: &Path) -> (PathBuf, String, String) {
    let (public, health) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    put(&mut config, "server.listen", public.as_str());
    put(&mut config, "server.public_url", format!("http://{public}"));
    put(&mut config, "server.workers", 1);
    put(&mut config, "health.listen", health.as_str());
    let path = folder.join("proxy.toml");
    std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    (path, format!("http://{public}"), format!("http://{health}"))
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
