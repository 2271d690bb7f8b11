//! `[notify]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// E-mail addresses of those who are told; needs smtp.
    #[schemars(extend("default" = []))]
    pub administrators: Option<Vec<String>>,
    /// What they, and the webhook, are told of (docs/audit.md). More than 30 of one event in an hour are not sent,
    /// unless it is an alarm.
    #[schemars(extend("default" = [
        "jit_enabled", "jit_disabled", "account_created", "job_stuck", "removals_paused", "case_opened", "audit_gap",
    ]))]
    pub events: Option<Vec<NotifyEvent>>,
    /// The mail server, also for invites. Absent: no mail is sent.
    pub smtp: Option<Smtp>,
    /// An address that gets each event as a signed POST (Standard Webhooks). Absent: none.
    pub webhook: Option<Webhook>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    JitEnabled,
    JitDisabled,
    AccountCreated,
    JobStuck,
    RemovalsPaused,
    CaseOpened,
    AuditGap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    Starttls,
    Tls,
    None,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The server's name, which its certificate must have.
    #[schemars(required)]
    pub host: Option<String>,
    /// Absent: 587 with starttls, 465 with tls, 25 with none.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// "starttls": nothing is sent to a server that does not offer it. "tls": from the first byte. "none": only to a
    /// loopback host.
    #[schemars(extend("default" = "starttls"))]
    pub security: Option<SmtpSecurity>,
    /// As whom to sign in there. Absent: without.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<SecretRef>,
    /// The sender's e-mail address.
    #[schemars(required)]
    pub from: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// https, or http on a loopback host.
    #[schemars(required)]
    pub url: Option<String>,
    /// The key of the signatures: whsec_ and the base64 of 24 to 64 random bytes.
    #[schemars(required)]
    pub secret: Option<SecretRef>,
}
