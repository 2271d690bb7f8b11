//! `[application]`.

use super::listen::is_private;
use super::{Meaning, Reported, UrlRule, is_loopback};
use crate::config::document::steps;
use crate::config::raw::{self, Raw};
use crate::config::settings::{Application, Credential};
use crate::platform::webhook::WebhookKeys;
use crate::provision::connector::Features;

impl Meaning<'_> {
    /// With what its connector can do, where that is known.
    pub(super) fn application(
        &mut self,
        raw: &Raw,
    ) -> (Result<Option<Application>, Reported>, Option<Features>) {
        let Some(written) = &raw.application else { return (Ok(None), None) };
        let (connector, features) = self.connector(written);
        let url = self.admin_url(written);
        let credential = match &written.credential {
            None => Some(Credential::None),
            Some(credential) => self.credential(credential),
        };
        let credential = credential.filter(|found| self.takes(features.as_ref(), found));
        let application =
            (|| Some(Application { connector: connector?, url: url?, credential: credential? }))();
        (application.map(Some).ok_or(Reported), features)
    }

    fn connector(&mut self, written: &raw::Application) -> (Option<String>, Option<Features>) {
        let at = steps!["application", "connector"];
        let Some(name) = self.name(written.connector.as_ref(), at) else { return (None, None) };
        let is_path = name.contains('/')
            || std::path::Path::new(&name).extension().is_some_and(|extension| extension == "toml");
        let name = if is_path { self.file(&name).display().to_string() } else { name };
        let features = (self.features)(&name);
        if features.is_none() {
            let (message, help) = if is_path {
                (
                    format!("there is no usable recipe at {name}"),
                    "`narthex connector show` with its path says what is wrong with it",
                )
            } else {
                (
                    format!("there is no connector {name:?}"),
                    "`narthex connector list` shows those that are shipped; a recipe of your own is given by its path",
                )
            };
            self.refuse(at, message, help);
            return (None, None);
        }
        (Some(name), features)
    }

    /// Whether the connector takes a credential of this kind.
    fn takes(&mut self, features: Option<&Features>, credential: &Credential) -> bool {
        let Some(features) = features else { return true };
        let kind = match credential {
            Credential::None => "none",
            Credential::Bearer(_) => "bearer",
            Credential::Basic { .. } => "basic",
            Credential::Header { .. } => "header",
            Credential::ClientCredentials { .. } => "oauth2",
            Credential::Login { .. } => "login",
            Credential::Signing(_) => "signing_secret",
        };
        // Only what was not read from a recipe says nothing of it.
        if features.credentials.is_empty() || features.credentials.contains(&kind) {
            return true;
        }
        let known: Vec<String> =
            features.credentials.iter().filter(|key| **key != "none").map(|key| format!("`{key}`")).collect();
        let known = known.join(" or ");
        let help = format!(
            "write credential = {{ {} = … }}; `narthex connector show {}` says more",
            features.credentials.first().unwrap_or(&"bearer"),
            features.name
        );
        if kind == "none" {
            let message =
                format!("`application.credential` is missing, and {} takes {known}", features.title);
            self.refuse(steps!["application"], message, help);
        } else {
            let message = format!(
                "{} does not take a credential of the kind `{kind}`; it takes {known}",
                features.title
            );
            self.refuse(steps!["application", "credential", kind], message, help);
        }
        false
    }

    fn admin_url(&mut self, written: &raw::Application) -> Option<url::Url> {
        let at = steps!["application", "url"];
        let url = self.url(
            written.url.as_ref(),
            at,
            UrlRule { https_off_loopback: false, why_https: "", query: false },
        )?;
        if url.scheme() == "http" && !is_loopback(&url) && !is_private(&url) {
            let message =
                "`application.url` is http on a host that is neither loopback nor on a private network";
            self.refuse(at, message, "the credential is an administrator's: use https");
            return None;
        }
        Some(url)
    }

    fn credential(&mut self, written: &raw::Credential) -> Option<Credential> {
        let at = steps!["application", "credential"];
        let raw::Credential { bearer, basic, header, oauth2, login, signing_secret } = written;
        let kinds = [
            bearer.is_some(),
            basic.is_some(),
            header.is_some(),
            oauth2.is_some(),
            login.is_some(),
            signing_secret.is_some(),
        ];
        if kinds.iter().filter(|one| **one).count() != 1 {
            let faulty = ["bearer", "basic", "header", "oauth2", "login", "signing_secret"]
                .iter()
                .any(|kind| self.faulty(steps!["application", "credential", *kind]));
            if !faulty {
                let help = "write exactly one of bearer, basic, header, oauth2, login and signing_secret";
                self.refuse(at, "`application.credential` must be one kind of credential", help);
            }
            return None;
        }
        if let Some(bearer) = bearer {
            let token = self.secret(Some(bearer), steps!["application", "credential", "bearer"])?;
            return Some(Credential::Bearer(token));
        }
        if let Some(secret) = signing_secret {
            let at = steps!["application", "credential", "signing_secret"];
            let secret = self.secret(Some(secret), at)?;
            // One that `check` could not read is empty, and was told of.
            if !secret.expose().is_empty()
                && let Err(fault) = WebhookKeys::new(&secret)
            {
                let help = "`whsec_` and base64 of 24 bytes or more, or a text of that length";
                self.refuse(at, format!("nothing can be signed with this secret: {fault}"), help);
                return None;
            }
            return Some(Credential::Signing(secret));
        }
        for (kind, written) in [("basic", basic), ("login", login)] {
            let Some(pair) = written else { continue };
            let username =
                self.name(pair.username.as_ref(), steps!["application", "credential", kind, "username"]);
            let password =
                self.secret(pair.password.as_ref(), steps!["application", "credential", kind, "password"]);
            if kind == "basic" && username.as_ref().is_some_and(|name| name.contains(':')) {
                // RFC 7617, 2.
                let at = steps!["application", "credential", "basic", "username"];
                self.refuse(at, "a username for basic authentication has no colon", "use another account");
                return None;
            }
            let (username, password) = (username?, password?);
            return Some(match kind {
                "basic" => Credential::Basic { username, password },
                _ => Credential::Login { username, password },
            });
        }
        if let Some(header) = header {
            let at = steps!["application", "credential", "header", "name"];
            let name = header.name.as_ref().and_then(|name| {
                let parsed = http::HeaderName::from_bytes(name.as_bytes()).ok();
                if parsed.is_none() {
                    self.refuse(at, format!("{name:?} is no header name"), "use letters, digits and hyphens");
                }
                parsed
            });
            let value =
                self.secret(header.value.as_ref(), steps!["application", "credential", "header", "value"]);
            return Some(Credential::Header { name: name?, value: value? });
        }
        let client = oauth2.as_ref()?;
        let at = |key: &str| [steps!["application", "credential", "oauth2"], steps![key]].concat();
        let rule = UrlRule {
            https_off_loopback: true,
            why_https: "a token endpoint is https (RFC 6749, section 3.2); http only on loopback",
            query: false,
        };
        let token_url = self.url(client.token_url.as_ref(), &at("token_url"), rule);
        let client_id = self.name(client.client_id.as_ref(), &at("client_id"));
        let client_secret = self.secret(client.client_secret.as_ref(), &at("client_secret"));
        let scope = self.optional_name(client.scope.as_ref(), &at("scope"));
        Some(Credential::ClientCredentials {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            scope: scope.ok()?,
        })
    }
}
