//! `[notify]` as meant.

use url::Url;

use crate::model::{EmailAddress, Secret};

pub use crate::config::raw::{NotifyEvent, SmtpSecurity};

/// `[notify]`
#[derive(Debug, Clone)]
pub struct Notify {
    /// Not empty only with `smtp`.
    pub administrators: Vec<EmailAddress>,
    pub events: Vec<NotifyEvent>,
    pub smtp: Option<Smtp>,
    pub webhook: Option<Webhook>,
}

/// `notify.smtp`
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    /// `None` only on a loopback host.
    pub security: SmtpSecurity,
    pub credentials: Option<(String, Secret)>,
    pub from: EmailAddress,
}

/// `notify.webhook`
#[derive(Debug, Clone)]
pub struct Webhook {
    /// https, or http on a loopback host.
    pub url: Url,
    /// `whsec_` and base64 of 24 to 64 bytes.
    pub secret: Secret,
}
