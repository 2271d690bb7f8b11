//! The proxy between two parties: in this process, or the program as people run it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use narthex::app::{App, Sockets};
use narthex::platform::Platform;
use tempfile::TempDir;
use toml::Table;

use crate::support::party::{client, free_port};
use crate::support::stack::{load, put};

/// A proxy in this process, with the machine's own clock.
pub struct Front {
    /// Where people go: `http://127.0.0.1:PORT`.
    pub url: String,
    _folder: TempDir,
    _app: App,
}

impl Front {
    /// With this configuration; where it listens is added.
    pub async fn start(mut config: Table) -> Self {
        crate::support::crypto_provider();
        let (public, health) = (listener(), listener());
        let url = format!("http://{}", public.local_addr().unwrap());
        put(&mut config, "server.public_url", url.as_str());
        put(&mut config, "server.workers", 1);
        put(&mut config, "server.timeouts.drain", "2s");
        let folder = tempfile::tempdir().unwrap();
        let settings = load(&config, folder.path());
        let sockets = Sockets { public: Some(public), health: Some(health) };
        let app = App::start(settings, Platform::system(), sockets).await.unwrap();
        Self { url, _folder: folder, _app: app }
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
}

impl Program {
    /// With this configuration; where it listens is added.
    pub async fn serve(config: Table) -> Self {
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
        let mut program = Self { url, process, folder };
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
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("narthex serve said:\n{}", self.log());
        }
    }
}

/// X2: `narthex connector test` leads a user's whole life in the application, privileged roles included.
pub fn assert_connector_works(config: Table) {
    let folder = tempfile::tempdir().unwrap();
    let (path, ..) = usable(config, folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(["connector", "test", "--privileged", "--config"])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
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
