//! narthex between the demo's identity provider and application, in this process, on free ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use narthex::app::{App, ReloadError, Sockets};
use narthex::config::{self, Purpose, Settings};
use narthex::demo::idp::saml::{SamlBehaviour, SamlKey, ServiceProvider};
use narthex::provision::catalogue;
use tempfile::TempDir;
use toml::{Table, Value};

use super::ports::free_port;
use super::{Browser, Page, Parties};

/// An administrator's, for the admin API.
pub const ADMIN_TOKEN: &str = "administrator-of-the-integration-tests";

/// The whole: provider, application, proxy.
pub struct Stack {
    pub parties: Parties,
    /// Where people go: `http://127.0.0.1:PORT`.
    pub url: String,
    pub health: String,
    /// The admin listener's address.
    admin: String,
    app: Option<App>,
    config: Table,
    folder: TempDir,
}

impl Stack {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With changes to the usual configuration; see [`put`].
    pub async fn with(edit: impl FnOnce(&mut Table)) -> Self {
        Self::between(Parties::start().await, |config, _| edit(config)).await
    }

    /// With the provider on another site and by SAML alone. `edit` changes its `[[idp]]`.
    pub async fn by_saml(edit: impl FnOnce(&mut Table)) -> Self {
        Self::by_saml_of(SamlBehaviour::default(), edit).await
    }

    /// The same with a provider that is like this from the beginning.
    pub async fn by_saml_of(behaviour: SamlBehaviour, edit: impl FnOnce(&mut Table)) -> Self {
        Self::by_saml_administered(behaviour, edit, None).await
    }

    /// The same with a rule for administrators, who come by SAML too.
    pub async fn by_saml_administered(
        behaviour: SamlBehaviour,
        edit: impl FnOnce(&mut Table),
        rule: Option<&str>,
    ) -> Self {
        let parties = Parties::with_idp_at("localhost").await;
        parties.idp.saml().set(behaviour);
        let metadata = parties.idp.saml().entity_id();
        let key = SamlKey::generate("narthex").unwrap();
        let mut idp = table(&format!(
            r#"
id = "demo"
type = "saml"
metadata = {{ url = "{metadata}" }}
email_domains = ["example.com"]
signing_keys = [{{ key = """{}""", certificate = "saml.crt" }}]
"#,
            key.key_pem()
        ));
        edit(&mut idp);
        let stack = Self::between(parties, |config, folder| {
            std::fs::write(folder.join("saml.crt"), key.certificate_pem()).unwrap();
            config.insert("idp".to_owned(), Value::Array(vec![Value::Table(idp)]));
            if let Some(rule) = rule {
                push(config, "admin.rule", table(rule));
            }
        });
        let stack = stack.await;
        let at = |name: &str| stack.at(&format!("/.narthex/saml/demo/{name}"));
        stack.parties.idp.saml().register(ServiceProvider {
            entity_id: at("metadata"),
            acs: at("acs").parse().unwrap(),
            slo: Some(at("slo").parse().unwrap()),
            keys: vec![key.verifying().clone()],
        });
        if rule.is_some() {
            stack.parties.idp.saml().register(ServiceProvider {
                entity_id: stack.admin_page("/saml/demo/metadata"),
                acs: stack.admin_page("/saml/demo/acs").parse().unwrap(),
                slo: None,
                keys: vec![key.verifying().clone()],
            });
        }
        stack
    }

    async fn between(parties: Parties, edit: impl FnOnce(&mut Table, &Path)) -> Self {
        let (public, health, admin) = (listener(), listener(), listener());
        let admin_url = format!("http://{}", admin.local_addr().unwrap());
        let mut url = format!("http://{}", public.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut config = usual(&parties, &url);
        edit(&mut config, folder.path());
        if config["server"].get("tls").is_some() {
            url = url.replace("http://", "https://");
            put(&mut config, "server.public_url", url.clone());
        }
        parties
            .idp
            .register(&format!("{url}/.narthex/oidc/demo/callback"), &format!("{url}/.narthex/logout"));
        if config["admin"].get("rule").is_some() {
            put(&mut config, "admin.public_url", admin_url.clone());
            parties.idp.register(&format!("{admin_url}/oidc/demo/callback"), &admin_url);
        }
        let settings = load(&config, folder.path());
        let health_url = format!("http://{}", health.local_addr().unwrap());
        let sockets =
            Sockets { public: Some(public), health: Some(health), admin: Some(admin), ..Sockets::default() };
        let app = Box::pin(App::start(settings, parties.platform.clone(), sockets)).await.unwrap();
        Self { parties, url, health: health_url, admin: admin_url, app: Some(app), config, folder }
    }

    /// What the proxy runs with.
    pub fn settings(&self) -> Settings {
        load(&self.config, self.folder.path())
    }

    /// `narthex` with these arguments and the proxy's configuration: exit code, standard output and error.
    /// Of a stack that is stopped: the proxy stands still meanwhile, perhaps in the middle of a write.
    pub fn program(&self, arguments: &[&str]) -> (i32, String, String) {
        said(self.command(arguments).output().unwrap())
    }

    /// The same, while proxy, provider and application go on.
    pub async fn program_meanwhile(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments);
        said(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_narthex"));
        program.args(arguments).arg("--config").arg(self.folder.path().join("proxy.toml"));
        program
    }

    /// A file beside the configuration.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file in the folder of the configuration.
    pub fn beside(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A page of the proxy's own or of the application.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A page of the health listener.
    pub fn health_at(&self, path: &str) -> String {
        format!("{}{path}", self.health)
    }

    /// A call of the admin API.
    pub fn admin_at(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.app.as_ref().unwrap().admin_addr())
    }

    /// A page of the admin listener.
    pub fn admin_page(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    /// The name of the proxy's session cookie.
    pub fn session_cookie(&self) -> String {
        format!("narthex-{}", self.url.rsplit(':').next().unwrap())
    }

    /// After the clock was turned: has the proxy look at it now.
    pub fn settle(&self) {
        self.app.as_ref().unwrap().look_at_the_clock();
    }

    /// After something was done at the store by another process: has the proxy notice it now.
    pub async fn notice(&self) {
        self.app.as_ref().unwrap().look_at_the_store().await;
    }

    /// Opens the application and signs in as this person of the demo's.
    pub async fn sign_in(&self, browser: &Browser, login: &str) -> Page {
        self.sign_in_at(browser, login, "/").await
    }

    pub async fn sign_in_at(&self, browser: &Browser, login: &str, path: &str) -> Page {
        let page = browser.visit(&self.at(path)).await;
        if page.url.as_str().starts_with(&self.url) {
            return page;
        }
        page.sign_in_as(browser, login).await
    }

    /// Ends the proxy in an orderly way and starts it again on the same store and address.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// The same with another configuration.
    pub async fn restart_with(&mut self, edit: impl FnOnce(&mut Table)) {
        self.stop().await;
        edit(&mut self.config);
        self.start_again().await;
    }

    /// Takes up another configuration while it runs; one that is refused is not kept.
    pub async fn reload(&mut self, edit: impl FnOnce(&mut Table)) -> Result<(), ReloadError> {
        let mut config = self.config.clone();
        edit(&mut config);
        let settings = load(&config, self.folder.path());
        let outcome = self.app.as_mut().unwrap().reload(Ok(settings)).await;
        if outcome.is_ok() {
            self.config = config;
        }
        outcome
    }

    /// Waits until so many earlier configurations serve something yet.
    pub async fn earlier_in_use(&self, number: usize) {
        let looking = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            while self.app.as_ref().unwrap().earlier_in_use() != number {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looking).await.unwrap();
    }

    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.shut_down().await;
        }
    }

    pub async fn start_again(&mut self) {
        let address: std::net::SocketAddr = self.url.trim_start_matches("http://").parse().unwrap();
        let health: std::net::SocketAddr = self.health.trim_start_matches("http://").parse().unwrap();
        let admin: std::net::SocketAddr = self.admin.trim_start_matches("http://").parse().unwrap();
        let sockets = Sockets {
            public: Some(TcpListener::bind(address).unwrap()),
            health: Some(TcpListener::bind(health).unwrap()),
            admin: Some(TcpListener::bind(admin).unwrap()),
            ..Sockets::default()
        };
        let settings = load(&self.config, self.folder.path());
        let started = Box::pin(App::start(settings, self.parties.platform.clone(), sockets)).await;
        self.app = Some(started.unwrap());
    }
}

/// Exit code, standard output and error.
fn said(output: std::process::Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Sets the value at a dotted path, making the tables on the way.
pub fn put(config: &mut Table, path: &str, value: impl Into<Value>) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut table = config;
    for name in parents.split('.').filter(|name| !name.is_empty()) {
        let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().unwrap();
    }
    table.insert(last.to_owned(), value.into());
}

/// Adds an entry to an array of tables.
pub fn push(config: &mut Table, path: &str, entry: Table) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut table = config;
    for name in parents.split('.').filter(|name| !name.is_empty()) {
        let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().unwrap();
    }
    let entries = table.entry(last).or_insert_with(|| Value::Array(Vec::new()));
    entries.as_array_mut().unwrap().push(Value::Table(entry));
}

/// Parses one table of TOML, for [`push`].
pub fn table(source: &str) -> Table {
    source.parse().unwrap()
}

/// At a port that is ours also while the proxy is stopped, until [`Stack::start_again`].
fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap()
}

pub fn load(config: &Table, folder: &Path) -> Settings {
    let path = folder.join("proxy.toml");
    std::fs::write(&path, toml::to_string(config).unwrap()).unwrap();
    // Secrets are written out in it.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let features = |name: &str| catalogue::features(name).ok();
    match config::load(&path, Purpose::Serve, std::iter::empty(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => panic!("{errors}"),
    }
}

/// The usual configuration of a proxy at `url` between these.
pub fn usual(parties: &Parties, url: &str) -> Table {
    let source = format!(
        r#"
[server]
listen = "127.0.0.1:0"
public_url = "{url}"
workers = 2
[server.timeouts]
drain = "2s"
[upstream]
url = "{app}"
[[idp]]
id = "demo"
type = "oidc"
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
email_domains = ["example.com"]
[store]
url = "sqlite:narthex.db"
[headers]
X-Remote-User = "{{{{ account.username }}}}"
X-Remote-Email = "{{{{ account.email }}}}"
X-Remote-Name = "{{{{ account.display_name }}}}"
X-Remote-Role = "{{{{ grant.role }}}}"
X-Remote-Teams = "{{{{ grant.teams | join(',') }}}}"
[upstream_token]
header = "X-Narthex-Token"
[application]
connector = "{recipe}"
url = "{app}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "user"
role_claim = "role"
groups_claim = "groups"
[[provisioning.mapping]]
group = "engineers"
team = "developers"
[[provisioning.mapping]]
group = "platform-admins"
role = "admin"
privileged = true
[admin]
listen = "127.0.0.1:0"
tokens = [{{ name = "test", role = "administrator", token = "{admin_token}" }}]
[health]
listen = "127.0.0.1:0"
"#,
        app = parties.app.url(),
        issuer = parties.idp.issuer(),
        client_id = parties.idp.client_id(),
        client_secret = parties.idp.client_secret().expose(),
        token = parties.app.api_token().expose(),
        admin_token = ADMIN_TOKEN,
        recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/legacy.toml"),
    );
    source.parse().unwrap()
}
