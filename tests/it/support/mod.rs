//! What the integration tests are written with: a browser, a clock to turn, and the demo's two servers.

pub mod breaking;
pub mod browser;
pub mod cookies;
pub mod html;
pub mod log;
pub mod party;
pub mod ports;
pub mod raw;
pub mod recorder;
pub mod stack;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use narthex::demo::{DemoApp, DemoIdp};
use narthex::model::UnixTime;
use narthex::platform::{Clock, Platform, SystemClock, SystemEntropy, Tasks};
use tokio::net::TcpListener;

pub use browser::{Browser, Page};
pub use log::Log;
pub use stack::Stack;

/// A clock that stands still until a test turns it.
#[derive(Debug)]
pub struct TurnedClock {
    /// With this clock's own time beside it.
    goes: bool,
    turned: AtomicI64,
}

impl TurnedClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { goes: false, turned: AtomicI64::new(2_000_000_000) })
    }

    /// The real time, for whoever has to do with a process that has it too.
    pub fn at_present() -> Arc<Self> {
        Arc::new(Self { goes: true, turned: AtomicI64::new(0) })
    }

    pub fn turn(&self, by: Duration) {
        self.turned.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> UnixTime {
        let began = if self.goes { SystemClock.now().0 } else { 0 };
        UnixTime(began + self.turned.load(Ordering::SeqCst))
    }
}

/// The demo's identity provider and application, each on a free port, with a clock to turn.
pub struct Parties {
    pub idp: DemoIdp,
    pub app: DemoApp,
    pub clock: Arc<TurnedClock>,
    /// The same for a proxy between them.
    pub platform: Platform,
    pub tasks: Tasks,
}

impl Parties {
    pub async fn start() -> Self {
        Self::with_idp_at("127.0.0.1").await
    }

    /// With the provider under this name of loopback. `localhost` is another site than the proxy's 127.0.0.1, so
    /// that the browser keeps back cookies as it does between two machines.
    pub async fn with_idp_at(host: &str) -> Self {
        Self::with_clock(host, TurnedClock::new()).await
    }

    /// For a proxy in another process.
    pub async fn at_present() -> Self {
        Self::with_clock("127.0.0.1", TurnedClock::at_present()).await
    }

    async fn with_clock(host: &str, clock: Arc<TurnedClock>) -> Self {
        crypto_provider();
        let platform = Platform { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy) };
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let idp = DemoIdp::named(host, listener().await, &platform, &tasks).unwrap();
        let app = DemoApp::start(listener().await, &platform, &tasks).unwrap();
        Self { idp, app, clock, platform, tasks }
    }
}

/// A listener on a port of loopback that was free.
pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// rustls wants to be told once which library it uses.
pub fn crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
