//! `narthex demo` itself: two servers, a configuration, the real proxy, and what to try.

use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use askama::Template;
use url::Url;

use super::folder::Folder;
use super::idp::saml::{SamlKey, ServiceProvider};
use super::{DemoApp, DemoError, DemoIdp};
use crate::platform::{Platform, Tasks};

/// What the proxy is started from.
#[derive(Debug)]
pub struct Prepared {
    /// A `proxy.toml` like any other.
    pub config: PathBuf,
    /// Bound to the address that it names as `server.listen`.
    pub public: TcpListener,
    /// Bound to the address that it names as `health.listen`.
    pub health: TcpListener,
    /// Bound to the address that it names as `admin.listen`.
    pub admin: TcpListener,
}

/// The started proxy, by what ends it.
pub struct Running {
    pub shut_down: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The usual port, which is nice to have and may be taken.
const PORT: u16 = 8080;
/// Connections that are still busy after this long are dropped.
const LAST_CALLS: Duration = Duration::from_secs(5);
const RECIPE: &str = include_str!("legacy.toml");

#[derive(Template)]
#[template(path = "demo/proxy.toml", escape = "none")]
struct Config {
    listen: String,
    public_url: String,
    application: String,
    issuer: String,
    client_id: String,
    saml_metadata: String,
    recipe: String,
    health: String,
    admin: String,
}

#[derive(Template)]
#[template(path = "demo/guide.txt", escape = "none")]
struct Guide<'a> {
    url: &'a str,
    issuer: &'a str,
    application: &'a str,
    config: String,
}

/// Runs the demo until `stop` is ready. `port`: where the proxy listens; 8080 or a free one unless said.
/// `start` starts the proxy from its configuration; `temporary` is where the folder with it is made, and
/// `print` gets what to try.
///
/// # Errors
/// [`DemoError`]: what could not be started, and why. Nothing is left behind.
pub async fn run<S>(
    port: Option<u16>,
    platform: &Platform,
    temporary: &Path,
    print: &mut (dyn Write + Send),
    start: S,
    stop: impl Future<Output = ()>,
) -> Result<(), DemoError>
where
    S: AsyncFnOnce(Prepared) -> Result<Running, String>,
{
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let outcome = between(port, platform, temporary, print, start, stop, &tasks).await;
    if tokio::time::timeout(LAST_CALLS, tasks.finish()).await.is_err() {
        tracing::warn!("connections were still busy when the demo ended");
    }
    outcome
}

async fn between<S>(
    port: Option<u16>,
    platform: &Platform,
    temporary: &Path,
    print: &mut (dyn Write + Send),
    start: S,
    stop: impl Future<Output = ()>,
    tasks: &Tasks,
) -> Result<(), DemoError>
where
    S: AsyncFnOnce(Prepared) -> Result<Running, String>,
{
    let public = public(port)?;
    let health = listener(0).map_err(DemoError::Listen)?;
    let admin = listener(0).map_err(DemoError::Listen)?;
    // Another site than the proxy's 127.0.0.1, so that cookies are as they are between two machines.
    let idp = DemoIdp::named("localhost", served()?, platform, tasks)?;
    let app = DemoApp::start(served()?, platform, tasks)?;
    let address = address(&public)?;
    let url = format!("http://{address}");
    idp.register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));

    let key = SamlKey::generate("narthex demo")?;
    let saml = |name: &str| format!("{url}/.narthex/saml/saml/{name}");
    idp.saml().register(ServiceProvider {
        entity_id: saml("metadata"),
        acs: parsed(&saml("acs"))?,
        slo: Some(parsed(&saml("slo"))?),
        keys: vec![key.verifying().clone()],
    });

    let folder = Folder::create(temporary, platform.entropy.as_ref())?;
    folder.write("client_secret", idp.client_secret().expose())?;
    folder.write("api_token", app.api_token().expose())?;
    folder.write("saml_key.pem", key.key_pem())?;
    folder.write("saml_certificate.pem", key.certificate_pem())?;
    let recipe = folder.write("legacy.toml", RECIPE)?;
    let config = Config {
        listen: quoted(&address.to_string()),
        public_url: quoted(&url),
        application: quoted(app.url()),
        issuer: quoted(idp.issuer()),
        client_id: quoted(idp.client_id()),
        saml_metadata: quoted(&idp.saml().entity_id()),
        recipe: quoted(&recipe.to_string_lossy()),
        health: quoted(&self::address(&health)?.to_string()),
        admin: quoted(&self::address(&admin)?.to_string()),
    };
    let config = folder.write("proxy.toml", &rendered(&config)?)?;

    let guide = Guide { url: &url, issuer: idp.issuer(), application: app.url(), config: shown(&config) };
    let guide = rendered(&guide)?;
    let running = start(Prepared { config, public, health, admin }).await.map_err(DemoError::Proxy)?;
    let printed = print.write_all(guide.as_bytes()).and_then(|()| print.flush());
    if printed.is_ok() {
        stop.await;
    }
    running.shut_down.await;
    printed.map_err(DemoError::Print)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn rendered(template: &impl Template) -> Result<String, DemoError> {
    template.render().map_err(|error| DemoError::Print(std::io::Error::other(error.to_string())))
}

fn parsed(url: &str) -> Result<Url, DemoError> {
    Url::parse(url).map_err(|error| DemoError::Proxy(format!("{url}: {error}")))
}

/// As a TOML string, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The proxy's listener.
fn public(port: Option<u16>) -> Result<TcpListener, DemoError> {
    match port {
        Some(port) => listener(port).map_err(|reason| DemoError::Port { port, reason }),
        None => listener(PORT).or_else(|_| listener(0)).map_err(DemoError::Listen),
    }
}

fn listener(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// A listener for a server of our own, on a free port.
fn served() -> Result<tokio::net::TcpListener, DemoError> {
    let socket = listener(0).map_err(DemoError::Listen)?;
    socket.set_nonblocking(true).map_err(DemoError::Listen)?;
    tokio::net::TcpListener::from_std(socket).map_err(DemoError::Listen)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, DemoError> {
    listener.local_addr().map_err(DemoError::Listen)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// What the proxy would have been started with.
    #[derive(Default)]
    struct Seen {
        folder: PathBuf,
        config: toml::Table,
        port: u16,
        ended: bool,
    }

    async fn demo(
        port: Option<u16>,
        fails: bool,
    ) -> (Result<(), DemoError>, String, Seen, tempfile::TempDir) {
        let temporary = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut printed = Vec::new();
        let start = async |prepared: Prepared| {
            let text = std::fs::read_to_string(&prepared.config).unwrap();
            let folder = prepared.config.parent().unwrap().to_owned();
            assert_eq!((mode(&folder), mode(&folder.join("client_secret"))), (0o700, 0o600));
            {
                let mut seen = seen.lock().unwrap();
                seen.config = toml::from_str(&text).unwrap();
                seen.port = prepared.public.local_addr().unwrap().port();
                seen.folder = folder;
            }
            if fails {
                return Err("no luck".to_owned());
            }
            let seen = Arc::clone(&seen);
            Ok(Running { shut_down: Box::pin(async move { seen.lock().unwrap().ended = true }) })
        };
        let platform = Platform::system();
        let outcome = run(port, &platform, temporary.path(), &mut printed, start, async {}).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (outcome, String::from_utf8(printed).unwrap(), seen, temporary)
    }

    #[tokio::test]
    async fn the_proxy_gets_a_real_configuration_and_the_person_what_to_try() {
        let (outcome, printed, seen, temporary) = demo(None, false).await;
        outcome.unwrap();
        let url = format!("http://127.0.0.1:{}", seen.port);
        assert_eq!(seen.config["server"]["public_url"].as_str(), Some(&*url));
        assert_eq!(seen.config["headers"]["X-Remote-Role"].as_str(), Some("{{ grant.role }}"));
        assert_eq!(seen.config["upstream"]["url"], seen.config["application"]["url"]);
        let idps = seen.config["idp"].as_array().unwrap();
        let kinds: Vec<_> = idps.iter().map(|idp| idp["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["oidc", "saml"]);
        let metadata = idps[1]["metadata"]["url"].as_str().unwrap();
        assert!(metadata.starts_with("http://localhost:"), "another site than {url}: {metadata}");
        assert!(printed.contains(&url) && printed.contains("curl -H 'X-Remote-User: root'"));
        assert!(seen.ended, "the proxy was shut down");
        assert!(std::fs::read_dir(temporary.path()).unwrap().next().is_none(), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_start_leaves_nothing_behind() {
        let (outcome, printed, seen, temporary) = demo(None, true).await;
        assert!(matches!(outcome, Err(DemoError::Proxy(why)) if why == "no luck"));
        assert!(printed.is_empty() && !seen.folder.exists());
        assert!(std::fs::read_dir(temporary.path()).unwrap().next().is_none());
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
        let taken = listener(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let (outcome, ..) = demo(Some(port), false).await;
        assert!(matches!(outcome, Err(DemoError::Port { port: refused, .. }) if refused == port));
    }

    #[test]
    fn an_odd_path_stays_one_toml_string() {
        let path = "/tmp/a \"b\"\\c\n";
        let table: toml::Table = format!("x = {}", quoted(path)).parse().unwrap();
        assert_eq!(table["x"].as_str(), Some(path));
    }
}
