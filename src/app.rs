//! The composition root: the only place that names concrete store, protocol and connector types.

mod administration;
pub mod audit;
mod cases;
mod changes;
mod housekeeping;
mod invites;
mod members;
mod notify;
mod opened;
mod probes;
mod providers;
pub mod rehearsal;
mod scim;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

pub use self::administration::{Beside, bootstrap, refusal, settings_in_force};
use self::changes::Listeners;
use self::opened::OpenStore;
use self::providers::Providers;
use crate::admin::live::{Live, LiveError};
use crate::authorise::Routes;
use crate::config::Settings;
use crate::config::settings::{Header, SealKey, UpstreamTarget};
use crate::forward::keys::{SigningKeys, TokenError};
use crate::forward::send::{Forwarder, MintToken};
use crate::forward::token::UpstreamToken;
use crate::forward::{Cookies, Firewall, Upstream, UpstreamError};
use crate::identify::Logins;
use crate::identify::cookie::CookieNames;
use crate::identify::csrf::Csrf;
use crate::identify::endpoints::Endpoints;
use crate::identify::saml::UnusableKey;
use crate::identify::session::{LiveSession, RenderHeaders, Sessions};
use crate::identify::throttle::Throttle;
use crate::listen::DataPlane;
use crate::listen::accept::{ListenError, Listening};
use crate::listen::request::{Admission, Frontage, NoAuthority};
use crate::listen::tls::{TlsError, server_config};
use crate::observe::audit::{Audit, AuditWriter, Entry, Event, Plain};
use crate::observe::health::Health;
use crate::pipeline::{Core, Shared};
use crate::platform::keyfile::KeyFileError;
use crate::platform::outbound::OutboundError;
use crate::platform::smtp::MailError;
use crate::platform::{Outbound, Platform, Tasks, keyfile};
use crate::provision::breaker::Breaker;
use crate::provision::connector::Features;
use crate::provision::rehearse::show_headers;
use crate::provision::rest::RecipeError;
use crate::provision::{Connector, Provisioner, Telling, catalogue};
use crate::store::{Store, StoreError};

/// narthex cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} ({key}): {reason}")]
    Bind { key: &'static str, address: SocketAddr, reason: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] KeyFileError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    PublicUrl(#[from] NoAuthority),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Settings(#[from] LiveError),
    #[error(transparent)]
    SamlKey(#[from] UnusableKey),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("upstream.ca_file {}: {reason}", path.display())]
    CaFile { path: std::path::PathBuf, reason: String },
}

/// A running narthex.
pub struct App {
    plane: DataPlane,
    /// With mode `scim`.
    scim: Option<DataPlane>,
    health: SocketAddr,
    admin: SocketAddr,
    probes: Health,
    tasks: Tasks,
    sessions: Arc<Sessions>,
    live: Arc<Live>,
    audit: AuditWriter,
    store: OpenStore,
}

/// Sockets that are open already; the others are bound by the configuration.
#[derive(Default)]
pub struct Sockets {
    pub public: Option<TcpListener>,
    pub scim: Option<TcpListener>,
    pub health: Option<TcpListener>,
    pub admin: Option<TcpListener>,
}

impl App {
    /// Starts everything that `settings` asks for, on the current runtime and one thread per worker.
    ///
    /// # Errors
    /// [`StartError`]: whatever an operator has to mend. An identity provider or application that is down is
    /// none of these (SECURITY.md 39).
    #[expect(clippy::too_many_lines, reason = "what stands on what, read from the top to the bottom")]
    pub async fn start(settings: Settings, platform: Platform, sockets: Sockets) -> Result<Self, StartError> {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let public = bind(sockets.public, "server.listen", settings.server.listen)?;
        let health_socket = bind(sockets.health, "health.listen", settings.health.listen)?;
        let admin_socket = bind(sockets.admin, "admin.listen", settings.admin.listen)?;
        let keys = match &settings.keys.seal {
            SealKey::Given(key) => keyfile::given(key)?,
            SealKey::FileOrMake(path) => keyfile::file_or_make(path, platform.entropy.as_ref())?,
        };
        let opened = OpenStore::open(&settings).await?;
        let store = opened.store();
        let outbound = Outbound::new(&settings.outbound.extra_roots)?;
        let (audit, audit_writer) = notify::begin_audit(&settings, &outbound, &store, &platform, &tasks)?;

        let connector = connector(&settings, &platform)?;
        let connector = connector.map(|connector| Breaker::around(connector, platform.clock.clone()));
        let features = connector.as_ref().map(|connector| connector.features().clone()).unwrap_or_default();
        let live = administration::live(&settings, &store).await?;
        let settings = Settings { provisioning: live.now().settings.clone(), ..settings };
        let wanted = providers::wanted(&settings, &features);
        let providers = Providers::start(&settings, &wanted, &outbound, &store, &platform, &tasks)?;
        let names = CookieNames::of(&settings.server.public_url);
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            &keys,
            names.clone(),
            settings.session.clone(),
            render_headers(settings.headers.clone(), audit.clone()),
            platform.clone(),
        ));
        let telling = Telling {
            store: store.clone(),
            headers: show_headers(render_headers(settings.headers.clone(), audit.clone())),
        };
        let (connected, clock) = (connector.clone(), platform.clone());
        let provisioner = Provisioner::new(&settings, connected, store.clone(), clock, tasks.clone());
        let ending = sessions.clone();
        let provisioner = provisioner
            .explaining(telling)
            .auditing(&audit)
            .ending(Box::new(move |ended| ending.forget_ended(ended)));
        provisioner.run_jobs(&tasks);
        let provisioner = Arc::new(provisioner);
        administration::follow(&live, provisioner.clone(), wanted, settings.scim.clone(), features.clone());
        let (admin, administration) = administration::prepare(
            &settings,
            admin_socket,
            crate::admin::Parts {
                store: store.clone(),
                sessions: sessions.clone(),
                connector,
                live: live.clone(),
                provisioner: provisioner.clone(),
                is_ready: providers.is_ready(),
                keys: keys.clone(),
                audit: audit.clone(),
                platform: platform.clone(),
            },
        )?;
        let cookies = Cookies::new(names.prefix(), features.session_cookies.clone());
        let signing_keys = signing_keys(&settings, &store, &keys, &platform, &audit, &tasks).await?;
        let endpoints = Arc::new(Endpoints {
            prefix: settings.server.prefix.clone(),
            public_url: settings.server.public_url.clone(),
            idps: settings.idps.clone(),
            logins: Logins::new(providers.protocols, store.clone(), platform.clone(), &keys),
            saml: providers.saml,
            sessions: sessions.clone(),
            provisioner,
            throttle: Throttle::new(),
            csrf: Csrf::new(&keys),
            keys,
            store: store.clone(),
            platform: platform.clone(),
            audit: audit.clone(),
            cookies: cookies.clone(),
            signing_keys: signing_keys.clone(),
        });
        housekeeping::spawn(&tasks, &sessions, &store, &platform);
        opened.listen(&tasks);
        changes::follow(&tasks, &store, Listeners { sessions: sessions.clone(), live: live.clone() });
        let scim = scim::start(&settings, sockets.scim, &store, &platform, &audit, &tasks)?;

        let plane = data_plane(
            &settings,
            Listening {
                listener: public,
                tls: settings.server.tls.as_ref().map(server_config).transpose()?,
                workers: settings.server.workers,
                header_read: settings.server.timeouts.header_read,
                drain: settings.server.timeouts.drain,
            },
            Parts { cookies, features, sessions: sessions.clone(), endpoints, signing_keys, platform, audit },
            &tasks,
        )?;
        let probes = probes::health(&sessions);
        let health = health_socket.local_addr().map_err(ListenError::Listener)?;
        health_socket.set_nonblocking(true).map_err(ListenError::Listener)?;
        let health_listener =
            tokio::net::TcpListener::from_std(health_socket).map_err(ListenError::Listener)?;
        tasks.spawn(probes.clone().serve(health_listener, tasks.stopping().clone()));
        tasks.spawn(administration.serve(tasks.stopping().clone()));
        probes.set_started();
        tracing::info!(
            listen = %plane.local_addr(), health = %health, %admin, public_url = %settings.server.public_url,
            "narthex is ready"
        );
        Ok(Self {
            plane,
            scim,
            health,
            admin,
            probes,
            tasks,
            sessions,
            audit: audit_writer,
            live,
            store: opened,
        })
    }

    /// Where the public listener is.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.plane.local_addr()
    }

    /// Where the SCIM listener is, with mode `scim`.
    #[must_use]
    pub fn scim_addr(&self) -> Option<SocketAddr> {
        self.scim.as_ref().map(DataPlane::local_addr)
    }

    /// Where the health listener is.
    #[must_use]
    pub fn health_addr(&self) -> SocketAddr {
        self.health
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Ends what has expired now, instead of within a quarter of a second: for whoever turns the clock.
    pub fn look_at_the_clock(&self) {
        self.sessions.tick();
    }

    /// Notices now what was done at the store by others, instead of within a second.
    pub async fn look_at_the_store(&self) {
        if let Err(error) = self.sessions.look_at_all().await {
            tracing::warn!(%error, "the store could not be looked at");
        }
        if let Err(error) = self.live.refresh().await {
            tracing::warn!(%error, "the settings could not be looked at");
        }
    }

    /// Lets requests in flight end, writes what is not written yet, and closes the store.
    pub async fn shut_down(self) {
        self.probes.set_draining();
        self.plane.shut_down().await;
        if let Some(scim) = self.scim {
            scim.shut_down().await;
        }
        if let Err(error) = self.sessions.flush().await {
            tracing::warn!(%error, "the last activity could not be written");
        }
        self.tasks.finish().await;
        self.audit.finish().await;
        self.store.close().await;
    }
}

fn bind(
    open: Option<TcpListener>,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    match open {
        Some(socket) => Ok(socket),
        None => TcpListener::bind(address).map_err(|reason| StartError::Bind { key, address, reason }),
    }
}

/// The application's connector, as the configuration names it.
pub fn connector(settings: &Settings, platform: &Platform) -> Result<Option<Arc<dyn Connector>>, StartError> {
    let Some(application) = &settings.application else { return Ok(None) };
    let limits = &settings.provisioning;
    let outbound =
        Outbound::within(&settings.outbound.extra_roots, limits.connect_timeout, limits.call_timeout)?;
    Ok(Some(catalogue::connector(application, outbound, platform.clone())?))
}

async fn signing_keys(
    settings: &Settings,
    store: &Arc<dyn Store>,
    keys: &crate::platform::KeyRing,
    platform: &Platform,
    audit: &Audit,
    tasks: &Tasks,
) -> Result<Option<Arc<SigningKeys>>, StartError> {
    if settings.upstream_token.is_none() {
        return Ok(None);
    }
    let keys =
        Arc::new(SigningKeys::open(store.clone(), keys.clone(), platform.clone(), audit.clone()).await?);
    keys.run(tasks);
    Ok(Some(keys))
}

/// Renders `[headers]` for a session, once. A value that is absent, empty or not sendable (CR, LF, NUL and
/// other controls; PROVISIONING.md G5) leaves its header out.
fn render_headers(headers: Vec<Header>, audit: Audit) -> Box<RenderHeaders> {
    Box::new(move |context| {
        let render = |header: &Header| {
            let text = match header.template.render(context) {
                Ok(text) => text?,
                Err(error) => {
                    tracing::warn!(header = %header.name, %error, "an identity header is left out");
                    return None;
                }
            };
            if text.is_empty() {
                return None;
            }
            let value = HeaderValue::from_bytes(text.as_bytes());
            if value.is_err() {
                let name = Plain::name(header.name.as_str());
                audit.record(Entry::new(Event::HeaderValueRefused).field("header", name));
            }
            Some((header.name.clone(), value.ok()?))
        };
        headers.iter().filter_map(render).collect()
    })
}

/// What the cores are made of.
struct Parts {
    cookies: Cookies,
    features: Features,
    sessions: Arc<Sessions>,
    endpoints: Arc<Endpoints>,
    signing_keys: Option<Arc<SigningKeys>>,
    platform: Platform,
    audit: Audit,
}

fn data_plane(
    settings: &Settings,
    listening: Listening,
    parts: Parts,
    cold: &Tasks,
) -> Result<DataPlane, StartError> {
    let admission =
        Admission { network: settings.network.clone(), open_to_all: parts.endpoints.open_to_servers() };
    let server = &settings.server;
    let frontage = Frontage::new(&server.public_url, server.trusted_proxies.clone(), admission)?;
    let token_header = settings.upstream_token.as_ref().map(|token| token.header.as_str());
    let managed = settings
        .headers
        .iter()
        .map(|header| header.name.as_str())
        .chain(token_header)
        .chain(parts.features.trusted_headers.iter().map(String::as_str));
    let firewall =
        Firewall::new(managed, parts.cookies.clone(), frontage.authority().clone(), frontage.scheme());
    let mint = mint(settings, &parts);
    let tls = upstream_tls(settings)?;
    // Checked once here; the cores then make theirs alike.
    Upstream::check(&settings.upstream.target)?;
    let shared = Arc::new(Shared {
        frontage,
        routes: Routes::new(settings.routes.clone()),
        sessions: parts.sessions,
        endpoints: parts.endpoints,
        prefix: settings.server.prefix.clone(),
        application_logout: parts.features.logout_path.clone(),
        entropy: parts.platform.entropy.clone(),
        audit: parts.audit,
        cold: cold.clone(),
    });
    let plane = DataPlane::start(listening, cold, |tasks| {
        let upstream = Upstream::new(
            &settings.upstream.target,
            tls.clone(),
            settings.upstream.connect_timeout,
            settings.upstream.response_timeout,
            tasks.clone(),
        );
        let forwarder = Forwarder::new(upstream, Arc::new(firewall.for_core()), mint.clone(), tasks);
        let seed = u64::from_le_bytes(shared.entropy.bytes().unwrap_or_default());
        Arc::new(Core::new(shared.clone(), forwarder, seed))
    })?;
    Ok(plane)
}

/// What makes a session's upstream token, where one is configured.
fn mint(settings: &Settings, parts: &Parts) -> Option<(HeaderName, Arc<MintToken>)> {
    let token = settings.upstream_token.as_ref()?;
    let keys = parts.signing_keys.clone()?;
    let maker = UpstreamToken::new(&settings.server.public_url, &token.audience);
    let clock = parts.platform.clock.clone();
    let mint = move |session: &LiveSession| match maker.mint(
        &keys,
        session.hash(),
        session.content(),
        clock.now(),
    ) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "an upstream token could not be made; the request does not go on");
            None
        }
    };
    Some((token.header.clone(), Arc::new(mint)))
}

fn upstream_tls(settings: &Settings) -> Result<Option<Arc<rustls::ClientConfig>>, StartError> {
    if !matches!(settings.upstream.target, UpstreamTarget::Https { .. }) {
        return Ok(None);
    }
    let roots = settings
        .upstream
        .ca_file
        .as_ref()
        .map(|path| {
            std::fs::read(path)
                .map_err(|error| StartError::CaFile { path: path.clone(), reason: error.to_string() })
        })
        .transpose()?;
    Ok(Some(crate::platform::outbound::client_tls(roots.as_deref().unwrap_or_default())?))
}
