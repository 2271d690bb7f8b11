//! Who is told of what, put together from the settings.

use std::sync::Arc;

use tokio::sync::Notify;

use super::StartError;
use crate::config::Settings;
use crate::config::settings::{Smtp, SmtpSecurity};
use crate::observe::Audit;
use crate::observe::notify::{Announcer, Courier, Webhook};
use crate::platform::smtp::{Mailer, Security, Server};
use crate::platform::{Outbound, Platform, Tasks};
use crate::store::Store;

/// What writes and sends notifications.
pub(super) struct Notifying {
    pub(super) announcer: Option<Arc<Announcer>>,
    mailer: Option<Mailer>,
    webhook: Option<Webhook>,
    nudge: Arc<Notify>,
}

impl Notifying {
    /// # Errors
    /// Where TLS for mail cannot be set up.
    pub(super) fn new(settings: &Settings, outbound: &Outbound) -> Result<Self, StartError> {
        let nudge = Arc::new(Notify::new());
        let notify = &settings.notify;
        let mailer = notify.smtp.as_ref().map(|smtp| mailer(smtp, settings)).transpose()?;
        let webhook = notify.webhook.as_ref();
        Ok(Self {
            announcer: Announcer::of(notify, &settings.server.public_url, nudge.clone()).map(Arc::new),
            mailer,
            webhook: webhook.map(|to| Webhook::new(to.url.clone(), to.secret.clone(), outbound.clone())),
            nudge,
        })
    }

    /// Sends from now on, where there is a way to.
    pub(super) fn spawn(self, store: &Arc<dyn Store>, platform: &Platform, audit: &Audit, tasks: &Tasks) {
        if self.mailer.is_none() && self.webhook.is_none() {
            return;
        }
        let Self { mailer, webhook, nudge, .. } = self;
        let courier = Courier::new(store.clone(), mailer, webhook, platform.clone(), audit.clone(), nudge);
        tasks.spawn(courier.run(tasks.stopping().clone()));
    }
}

fn mailer(smtp: &Smtp, settings: &Settings) -> Result<Mailer, StartError> {
    let server = Server {
        host: smtp.host.clone(),
        port: smtp.port,
        security: match smtp.security {
            SmtpSecurity::Starttls => Security::StartTls,
            SmtpSecurity::Tls => Security::Tls,
            SmtpSecurity::None => Security::Plain,
        },
        credentials: smtp.credentials.clone(),
        from: smtp.from.clone(),
        hello: settings.server.public_url.host_str().unwrap_or("localhost").to_owned(),
    };
    Ok(Mailer::new(&server, &settings.outbound.extra_roots)?)
}
