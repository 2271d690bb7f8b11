//! Who is told of what, put together from the settings.

use std::sync::Arc;

use tokio::sync::Notify;

use super::StartError;
use super::generation::Process;
use crate::config::Settings;
use crate::config::settings::{Smtp, SmtpSecurity};
use crate::observe::notify::{Announcer, Courier, Webhook};
use crate::platform::Outbound;
use crate::platform::smtp::{Mailer, Security, Server};

/// Who says what is put into the outbox, and who sends it.
pub(super) struct Told {
    pub announcer: Option<Arc<Announcer>>,
    pub courier: Option<Courier>,
}

/// Puts together what the settings say.
///
/// # Errors
/// Where TLS for mail cannot be set up.
pub(super) fn told(settings: &Settings, outbound: &Outbound, process: &Process) -> Result<Told, StartError> {
    let notify = &settings.notify;
    let nudge = Arc::new(Notify::new());
    let mailer = notify.smtp.as_ref().map(|smtp| mailer(smtp, settings)).transpose()?;
    let webhook = notify.webhook.as_ref();
    let webhook = webhook.map(|to| Webhook::new(to.url.clone(), to.secret.clone(), outbound.clone()));
    let announcer = Announcer::of(notify, &settings.server.public_url, nudge.clone()).map(Arc::new);
    let courier = (mailer.is_some() || webhook.is_some()).then(|| {
        let Process { store, platform, audit, .. } = process;
        Courier::new(store.clone(), mailer, webhook, platform.clone(), audit.clone(), nudge)
    });
    Ok(Told { announcer, courier })
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
