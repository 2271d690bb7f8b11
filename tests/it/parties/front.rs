//! The proxy between two parties, in this process.

use std::net::TcpListener;

use narthex::app::{App, Sockets};
use narthex::platform::Platform;
use tempfile::TempDir;
use toml::Table;

use crate::support::stack::{load, put};

/// A proxy with the machine's own clock.
pub struct Front {
    /// Where people go: `http://127.0.0.1:PORT`.
    pub url: String,
    pub folder: TempDir,
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
        Self { url, folder, _app: app }
    }

    /// A page of the application or of the proxy's own.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
