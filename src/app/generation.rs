//! Everything that is made from one configuration and goes with it: the providers, sign-in, provisioning, the admin API,
//! what answers on each listener, and the work in the background.
//!
//! When the configuration changes, the next generation is made beside this one, on the same store, as another replica
//! would be; then it takes over, and this one ends what it has begun.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::changes::{self, Listeners};
use super::cores::{Cores, Parts};
use super::identity_headers::render_headers;
use super::notify::Told;
use super::providers::{self, Providers};
use super::{StartError, administration, housekeeping, notify, scim};
use crate::admin::Admin;
use crate::admin::live::Live;
use crate::admin::scim_server::ScimServer;
use crate::config::Settings;
use crate::forward::Cookies;
use crate::forward::keys::SigningKeys;
use crate::identify::Logins;
use crate::identify::cookie::{CONSOLE_PREFIXES, CookieNames};
use crate::identify::csrf::Csrf;
use crate::identify::endpoints::{Endpoints, Hops, Resumes};
use crate::identify::saml::parking::{Parking, Whose};
use crate::identify::session::Sessions;
use crate::identify::session::admitted::{Admits, InForce};
use crate::identify::throttle::Throttle;
use crate::listen::accept::Manners;
use crate::listen::tls::server_config;
use crate::observe::audit::Audit;
use crate::observe::metrics;
use crate::observe::notify::Announcing;
use crate::pipeline::Core;
use crate::platform::{KeyRing, Outbound, Platform, Tasks};
use crate::provision::breaker::Breaker;
use crate::provision::rehearse::show_headers;
use crate::provision::{Connector, Provisioner, Telling, catalogue};
use crate::store::Store;

/// What all generations share.
pub(super) struct Process {
    pub platform: Platform,
    pub store: Arc<dyn Store>,
    pub keys: KeyRing,
    pub audit: Audit,
    /// Whom the audit log's writer tells.
    pub announcing: Announcing,
    /// Where the admin listener is.
    pub admin: IpAddr,
    /// What goes on for as long as the process does.
    pub tasks: Tasks,
    /// Generations that were replaced and in which something goes on yet.
    pub earlier: Arc<AtomicUsize>,
    /// Which sessions go on.
    pub admitted: InForce,
}

/// See the module.
pub(super) struct Generation {
    pub sessions: Arc<Sessions>,
    admits: Arc<Admits>,
    pub live: Arc<Live>,
    pub admin: Arc<Admin>,
    pub cores: Cores,
    pub manners: Manners,
    /// With mode `scim`.
    pub scim: Option<(Arc<ScimServer>, Manners)>,
    provisioner: Arc<Provisioner>,
    told: Told,
    /// Its work in the background.
    tasks: Tasks,
    /// What its sessions need for as long as something streams in one of them.
    watch: Tasks,
}

impl Generation {
    /// Makes everything that `settings` ask for. It learns what it must know; it does nothing and answers nobody yet.
    ///
    /// # Errors
    /// [`StartError`]; then nothing of it is left.
    pub(super) async fn begin(process: &Process, settings: Settings) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::current();
        let (tasks, watch) = (Tasks::on(runtime.clone()), Tasks::on(runtime));
        let begun = Box::pin(Self::begin_on(process, settings, tasks.clone(), watch.clone())).await;
        if begun.is_err() {
            tasks.finish().await;
            watch.finish().await;
        }
        begun
    }

    async fn begin_on(
        process: &Process,
        settings: Settings,
        tasks: Tasks,
        watch: Tasks,
    ) -> Result<Self, StartError> {
        let Process { platform, store, keys, audit, .. } = process;
        let outbound = Outbound::new(&settings.outbound.extra_roots)?;
        let told = notify::told(&settings, &outbound, process)?;
        let connector = connector(&settings, platform)?;
        let connector = connector.map(|connector| Breaker::around(connector, platform.clock.clone()));
        let features = connector.as_ref().map(|connector| connector.features().clone()).unwrap_or_default();
        let live = administration::live(&settings, store).await?;
        let settings = Settings { provisioning: live.now().settings.clone(), ..settings };
        let wanted = providers::wanted(&settings, &features);
        let with = providers::With { wanted: &wanted, outbound: &outbound, store, platform };
        let providers = Providers::start(&settings, &with, &tasks)?;
        let names = CookieNames::of(&settings.server.public_url);
        let admits = Arc::new(Admits::of(&settings));
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            keys,
            names.clone(),
            settings.session.clone(),
            process.admitted.clone(),
            render_headers(settings.headers.clone(), Some(audit.clone())),
            platform.clone(),
        ));
        let telling = Telling {
            store: store.clone(),
            headers: show_headers(render_headers(settings.headers.clone(), None)),
        };
        let (connected, clock) = (connector.clone(), platform.clone());
        let provisioner = Provisioner::new(&settings, connected, store.clone(), clock, tasks.clone());
        let ending = sessions.clone();
        let provisioner = provisioner
            .explaining(telling)
            .auditing(audit)
            .ending(Box::new(move |ended| ending.forget_ended(ended)));
        let provisioner = Arc::new(provisioner);
        let working = provisioner.clone();
        administration::follow(&live, provisioner.clone(), wanted, settings.scim.clone(), features.clone());
        let admin = Admin::new(
            &settings,
            process.admin,
            crate::admin::Parts {
                store: store.clone(),
                console: providers::console(&settings, keys, &outbound, store, platform, &tasks)?,
                sessions: sessions.clone(),
                connector,
                live: live.clone(),
                provisioner: provisioner.clone(),
                is_ready: providers.is_ready(),
                keys: keys.clone(),
                audit: audit.clone(),
                platform: platform.clone(),
            },
        );
        let theirs = [settings.upstream.session_cookies.as_slice(), &features.session_cookies].concat();
        let cookies = Cookies::new(names.prefix(), theirs, keys).keeping(&CONSOLE_PREFIXES);
        let signing_keys = signing_keys(&settings, process, &tasks).await?;
        let endpoints = Arc::new(Endpoints {
            prefix: settings.server.prefix.clone(),
            public_url: settings.server.public_url.clone(),
            idps: settings.idps.clone(),
            logins: Logins::new(providers.protocols, store.clone(), platform.clone(), keys),
            saml: providers.saml,
            sessions: sessions.clone(),
            provisioner,
            throttle: Throttle::new(),
            hops: Hops::new(settings.server.trusted_proxies.clone()),
            csrf: Csrf::new(keys),
            resumes: Resumes::new(keys, store.clone(), platform.clone()),
            parking: Parking::new(Whose::People, keys, store.clone(), platform.clone()),
            keys: keys.clone(),
            store: store.clone(),
            platform: platform.clone(),
            audit: audit.clone(),
            cookies: cookies.clone(),
            signing_keys: signing_keys.clone(),
        });
        let scim = scim::server(&settings, process, &tasks)?;
        let manners = Manners {
            tls: settings.server.tls.as_ref().map(server_config).transpose()?,
            header_read: settings.server.timeouts.header_read,
            keep_alive: settings.server.timeouts.keep_alive,
            drain: settings.server.timeouts.drain,
        };
        let (platform, audit, cold) = (platform.clone(), audit.clone(), process.tasks.clone());
        let shared = sessions.clone();
        let parts =
            Parts { cookies, features, sessions: shared, endpoints, signing_keys, platform, audit, cold };
        let cores = Cores::new(&settings, parts)?;
        housekeeping::watch(&watch, &sessions);
        changes::follow(&watch, store, Listeners { sessions: sessions.clone(), live: live.clone() });
        let admin = Arc::new(admin);
        let provisioner = working;
        Ok(Self { sessions, admits, live, admin, cores, manners, scim, provisioner, told, tasks, watch })
    }

    /// From now on it acts: sessions go on that it admits, administrators are told of what happens, jobs run, what
    /// expired is dropped. Before, nothing of what its settings say may have had any effect, since they may be refused
    /// yet.
    pub(super) fn go(&mut self, process: &Process) {
        process.admitted.store(self.admits.clone());
        process.announcing.store(self.told.announcer.clone());
        if let Some(courier) = self.told.courier.take() {
            self.tasks.spawn(courier.run(self.tasks.stopping().clone()));
        }
        self.provisioner.run_jobs(&self.tasks);
        housekeeping::sweep(&self.tasks, &self.sessions, process);
    }

    /// Another generation answers from now on; `replaced` is what answered before, and goes when the last of its
    /// requests has ended. What streams in a session goes on, and ends with it; at once, if it is not admitted any more.
    pub(super) fn retire(self, replaced: Vec<Weak<Core>>, process: &Process) {
        /// How often it is looked whether the last stream has ended.
        const LOOK: Duration = Duration::from_secs(1);
        let (stopping, earlier) = (process.tasks.stopping().clone(), process.earlier.clone());
        metrics::earlier_configurations(earlier.fetch_add(1, Ordering::Relaxed) + 1);
        process.tasks.spawn(async move {
            self.tasks.finish().await;
            let answers = || replaced.iter().any(|core| core.strong_count() > 0);
            while answers() || self.sessions.in_use() > 0 || self.sessions.has_untold() {
                if stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                    break;
                }
            }
            self.end_watch().await;
            metrics::earlier_configurations(earlier.fetch_sub(1, Ordering::Relaxed) - 1);
        });
    }

    /// Ends the background work, and writes what is not written yet.
    pub(super) async fn finish(self) {
        self.tasks.finish().await;
        self.end_watch().await;
    }

    async fn end_watch(&self) {
        if let Err(error) = self.sessions.flush().await {
            tracing::warn!(%error, "the last activity could not be written");
        }
        self.watch.finish().await;
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
    process: &Process,
    tasks: &Tasks,
) -> Result<Option<Arc<SigningKeys>>, StartError> {
    if settings.upstream_token.is_none() {
        return Ok(None);
    }
    let Process { store, keys, platform, audit, .. } = process;
    let keys =
        Arc::new(SigningKeys::open(store.clone(), keys.clone(), platform.clone(), audit.clone()).await?);
    keys.run(tasks);
    Ok(Some(keys))
}
