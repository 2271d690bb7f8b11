//! `[notify]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Meaning, Reported, UrlRule, below};
use crate::config::document::{Step, shown, steps};
use crate::config::raw::{self, Raw, SmtpSecurity};
use crate::config::settings::{Notify, Smtp, Webhook};
use crate::model::{EmailAddress, Secret};

/// Standard Webhooks, signature scheme: 192 to 512 bits.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

impl Meaning<'_> {
    pub(super) fn notify(&mut self, raw: &Raw) -> Option<Notify> {
        let notify = raw.notify.as_ref()?;
        let written = notify.administrators.as_deref().unwrap_or_default();
        let mut administrators = Vec::new();
        for (index, text) in written.iter().enumerate() {
            let at = below(steps!["notify", "administrators"], index);
            administrators.extend(self.mail_address(Some(text), &at));
        }
        let complete = administrators.len() == written.len();
        if !administrators.is_empty() && notify.smtp.is_none() && !self.faulty(steps!["notify", "smtp"]) {
            let help = "write [notify.smtp] with host and from, or leave administrators out";
            self.refuse(steps!["notify", "administrators"], "nothing says how mail is sent to them", help);
            return None;
        }
        let smtp = match &notify.smtp {
            None => Ok(None),
            Some(smtp) => self.smtp(smtp).map(Some).ok_or(Reported),
        };
        let webhook = match &notify.webhook {
            None => Ok(None),
            Some(webhook) => self.webhook(webhook).map(Some).ok_or(Reported),
        };
        let events = notify.events.clone()?;
        let (smtp, webhook) = (smtp.ok()?, webhook.ok()?);
        complete.then_some(Notify { administrators, events, smtp, webhook })
    }

    fn smtp(&mut self, smtp: &raw::Smtp) -> Option<Smtp> {
        let host = self.mail_host(smtp.host.as_ref());
        let security = smtp.security?;
        if let Some(host) =
            host.as_ref().filter(|host| security == SmtpSecurity::None && !is_this_machine(host))
        {
            let message = format!("`notify.smtp.security` is none, and {host} is another machine");
            self.refuse(steps!["notify", "smtp", "security"], message, "use \"starttls\" or \"tls\"");
            return None;
        }
        let port = smtp.port.unwrap_or(match security {
            SmtpSecurity::Starttls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::None => 25,
        });
        let credentials = match (&smtp.username, &smtp.password) {
            (None, None) => Some(None),
            (Some(_), Some(password)) => {
                let username = self.name(smtp.username.as_ref(), steps!["notify", "smtp", "username"]);
                let password = self.secret(Some(password), steps!["notify", "smtp", "password"]);
                username.zip(password).map(Some)
            }
            (username, _) => {
                let (is, lacks) =
                    if username.is_some() { ("username", "password") } else { ("password", "username") };
                if !self.faulty(steps!["notify", "smtp", lacks]) {
                    let message = format!("`notify.smtp` has a {is} and no {lacks}");
                    self.refuse(steps!["notify", "smtp", is], message, "write both, or neither");
                }
                None
            }
        };
        let from = self.mail_address(smtp.from.as_ref(), steps!["notify", "smtp", "from"]);
        Some(Smtp { host: host?, port, security, credentials: credentials?, from: from? })
    }

    fn mail_host(&mut self, text: Option<&String>) -> Option<String> {
        let at = steps!["notify", "smtp", "host"];
        let host = self.name(text, at)?;
        let address = host.parse::<std::net::IpAddr>().is_ok();
        if address || crate::model::email::domain_to_ascii(&host).is_some() {
            return Some(host);
        }
        self.refuse(
            at,
            format!("{host:?} is no host name"),
            "write the bare name; the port has a key of its own",
        );
        None
    }

    fn mail_address(&mut self, text: Option<&String>, at: &[Step]) -> Option<EmailAddress> {
        let text = text?;
        let parsed = EmailAddress::parse(text).ok();
        if parsed.is_none() {
            let message = format!("`{}`: {text:?} is not one plain e-mail address", shown(at));
            self.refuse(at, message, "write it like \"root@example.com\", without a name");
        }
        parsed
    }

    fn webhook(&mut self, webhook: &raw::Webhook) -> Option<Webhook> {
        let rule = UrlRule {
            https_off_loopback: true,
            why_https: "it says who got which account: use https",
            query: true,
        };
        let url = self.url(webhook.url.as_ref(), steps!["notify", "webhook", "url"], rule);
        let at = steps!["notify", "webhook", "secret"];
        let secret = self.secret(webhook.secret.as_ref(), at)?;
        if !is_key(&secret) {
            let help = "make one: printf whsec_; head -c 32 /dev/urandom | base64";
            self.refuse(at, "`notify.webhook.secret` is not whsec_ and the base64 of 24 to 64 bytes", help);
            return None;
        }
        Some(Webhook { url: url?, secret })
    }
}

/// An empty one was absent, and reported where that matters.
fn is_key(secret: &Secret) -> bool {
    let text = secret.expose();
    let key = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
    text.is_empty() || key.is_some_and(|key| KEY_BYTES.contains(&key.len()))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
