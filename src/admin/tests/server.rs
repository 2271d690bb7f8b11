//! An admin API on the store in memory, and a caller that holds each answer against the OpenAPI document.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower_service::Service;

use super::console::Says;
use super::document::check;
use crate::admin::console::{Answering, Console};
use crate::admin::live::{Live, LiveError};
use crate::admin::{Admin, Parts, openapi};
use crate::config::{self, Purpose, Settings};
use crate::identify::cookie::CookieNames;
use crate::identify::session::Sessions;
use crate::identify::session::admitted::Admits;
use crate::model::{ConsoleRole, IdpId};
use crate::observe::Audit;
use crate::platform::{KeyRing, Platform};
use crate::provision::connector::Features;
use crate::provision::{Connector, Provisioner, catalogue};
use crate::store::Store;
use crate::store::memory::Memory;

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi::document);

const CONFIG: &str = r#"
[server]
public_url = "https://git.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "oidc"
issuer = "https://login.example.com"
client_id = "git"
client_secret = "not to be shown"
email_domains = ["example.com"]
[store]
url = "memory:"
[keys]
seal = "0123456789abcdef0123456789abcdef"
[application]
connector = "gitea"
url = "http://127.0.0.1:9"
credential = { bearer = "nor this" }
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
[admin]
tokens = [
    { name = "vera", role = "viewer", token = "viewer-viewer-viewer-viewer-viewer" },
    { name = "olaf", role = "operator", token = "operator-operator-operator-operator" },
    { name = "anna", role = "administrator", token = "administrator-administrator-administrator" },
]
"#;

pub fn token(role: ConsoleRole) -> String {
    let word = role.as_str();
    match role {
        ConsoleRole::Viewer => [word; 5].join("-"),
        ConsoleRole::Operator => [word; 4].join("-"),
        ConsoleRole::Administrator => [word; 3].join("-"),
    }
}

/// Here, bodies are waited for no longer than this.
const BODY_TIME: Duration = Duration::from_millis(200);

pub struct Server {
    pub router: Router,
    pub admin: Arc<Admin>,
    pub store: Arc<dyn Store>,
    pub live: Arc<Live>,
    /// Whether the identity provider's documents were read.
    pub ready: Arc<AtomicBool>,
    /// The onboarding teams of the settings that the process was last told of.
    pub applied: Arc<Mutex<Vec<String>>>,
    pub audit: Audit,
    pub settings: Settings,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned();
        kind.strip_prefix("urn:narthex:problem:").unwrap().to_owned()
    }
}

fn features(name: &str) -> Option<Features> {
    catalogue::features(name).ok()
}

fn settings(config: &str) -> Settings {
    let path = Path::new("/etc/narthex/proxy.toml");
    match config::load_text(path, config, Purpose::Serve, std::iter::empty(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => panic!("{errors}"),
    }
}

impl Server {
    pub async fn new() -> Self {
        Self::with(str::to_owned).await
    }

    /// With another configuration.
    pub async fn with(edit: impl FnOnce(&str) -> String) -> Self {
        Self::before(edit, None).await
    }

    /// With another configuration, and before this application where one is given.
    pub async fn before(edit: impl FnOnce(&str) -> String, application: Option<Arc<dyn Connector>>) -> Self {
        let settings = settings(&edit(CONFIG));
        let platform = Platform::system();
        let keys = KeyRing::new(&[7; 32]);
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            &keys,
            CookieNames::of(&settings.server.public_url),
            settings.session.clone(),
            Arc::new(ArcSwap::from_pointee(Admits::of(&settings))),
            Box::new(|_| Vec::new()),
            platform.clone(),
        ));
        let outbound = crate::platform::Outbound::new(&[]).unwrap();
        let connector =
            catalogue::connector(settings.application.as_ref().unwrap(), outbound, platform.clone()).unwrap();
        let live = Arc::new(Live::open(&settings, Box::new(features), store.clone()).await.unwrap());
        let (ready, applied) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<String>>>::default());
        let told = applied.clone();
        live.on_change(Box::new(move |settings| {
            *told.lock().unwrap() = settings.onboarding.teams.clone();
        }));
        let is_ready = ready.clone();
        let runtime = tokio::runtime::Handle::current();
        let (audit, _writer) = Audit::start(store.clone(), platform.clone(), runtime);
        let connector = application.unwrap_or(connector);
        let tasks = crate::platform::Tasks::on(tokio::runtime::Handle::current());
        let provisioner =
            Provisioner::new(&settings, Some(connector.clone()), store.clone(), platform.clone(), tasks);
        let parts = Parts {
            store: store.clone(),
            console: settings.admin.console.as_ref().map(|configured| {
                let label = |id: &IdpId| id.to_string();
                let answering = Answering { protocols: vec![Arc::new(Says)], saml: HashMap::new() };
                Console::new(configured, answering, label, store.clone(), &keys, platform.clone())
            }),
            sessions,
            connector: Some(connector),
            provisioner: Arc::new(provisioner),
            live: live.clone(),
            is_ready: Arc::new(move |_| is_ready.load(Ordering::SeqCst)),
            keys,
            audit: audit.clone(),
            platform,
        };
        let admin = Admin::new(&settings, "127.0.0.1".parse().unwrap(), parts);
        let admin = Arc::new(Admin { body_time: BODY_TIME, ..admin });
        Self { router: admin.clone().router(), admin, store, live, ready, applied, audit, settings }
    }

    /// As another replica, or after a restart.
    pub async fn opened_again(&self) -> Result<Live, LiveError> {
        Live::open(&self.settings, Box::new(features), self.store.clone()).await
    }

    /// Sends the request as it is, from loopback.
    pub async fn send(&self, mut request: Request<Body>) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let client: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(client));
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(head.headers["cache-control"], "no-store");
        check(&DOCUMENT, &method, &path, head.status, &head.headers, &text);
        assert!(!text.contains("not to be shown") && !text.contains("nor this"), "{text}");
        Reply { status: head.status, headers: head.headers, text }
    }

    /// One call in the name of `role`.
    pub async fn call(&self, role: ConsoleRole, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_with(role, method, path, body, &[]).await
    }

    /// With further headers.
    pub async fn call_with(
        &self,
        role: ConsoleRole,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "127.0.0.1:9091")
            .header("authorization", format!("Bearer {}", token(role)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(ConsoleRole::Administrator, "GET", path, None).await
    }
}
