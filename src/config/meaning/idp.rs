//! `[[idp]]`.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use url::Url;

use super::{Meaning, Reported, UrlRule, below};
use crate::config::document::{Step, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{ClientAuth, Idp, OidcIdp, Server};
use crate::model::IdpId;
use crate::model::email::domain_to_ascii;

/// A larger tolerance would be a longer life for stolen tokens.
const MAX_SKEW: Duration = Duration::from_mins(5);
/// RFC 7518, 3.2: at least as long as the hash.
const MIN_HMAC_SECRET: usize = 32;
/// Microsoft's tenant of personal accounts.
const MICROSOFT_PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

impl Meaning<'_> {
    pub(super) fn idps(&mut self, raw: &Raw, server: Option<&Server>) -> Option<Vec<Idp>> {
        let written = raw.idp.as_ref()?;
        let mut idps: Vec<Idp> = Vec::new();
        let mut taken: Vec<&str> = Vec::new();
        for (index, one) in written.iter().enumerate() {
            if let Some(id) = one.id() {
                if taken.contains(&id.as_str()) {
                    let message = format!("there are two identity providers with the id {id:?}");
                    self.refuse(steps!["idp", index, "id"], message, "give each an id of its own");
                }
                taken.push(id);
            }
            let path = steps!["idp", index];
            idps.extend(match one {
                raw::Idp::Oidc(idp) => {
                    self.oidc(idp, path, written.len()).map(|idp| Idp::Oidc(Box::new(idp)))
                }
                raw::Idp::Saml(idp) => {
                    self.saml(idp, path, written.len(), server).map(|idp| Idp::Saml(Box::new(idp)))
                }
            });
        }
        self.email_authority(raw);
        (idps.len() == written.len()).then_some(idps)
    }

    fn oidc(&mut self, idp: &raw::OidcIdp, path: &[Step], count: usize) -> Option<OidcIdp> {
        let at = |key: &str| below(path, key);
        let id = self.idp_id(idp.id.as_ref(), path);
        let label = match &idp.label {
            None => idp.id.clone(),
            label => self.name(label.as_ref(), &at("label")),
        };
        let issuer = self.issuer(idp.issuer.as_ref(), &at("issuer"));
        let client_id = self.name(idp.client_id.as_ref(), &at("client_id"));
        let client_auth = self.client_auth(idp, path);
        let scopes = self.scopes(idp.scopes.as_ref(), &at("scopes"));
        let email_domains = self.email_domains(idp.email_domains.as_ref(), &at("email_domains"), count);
        let trust_email = idp.trust_email?;
        if let Some(issuer) = issuer.as_ref().filter(|_| trust_email)
            && anybody_can_register(issuer)
        {
            // SECURITY: F1. There, whoever makes an account writes any address into it.
            let message =
                format!("`trust_email` cannot be used with {issuer}: anybody can have an account there");
            self.refuse(
                &at("trust_email"),
                message,
                "use an issuer of your own tenant, or leave trust_email out",
            );
        }
        let subject_claim = self.subject(idp.subject.as_ref(), path);
        let id_token_algorithms = self.algorithms(idp, client_auth.as_ref(), path);
        let clock_skew = self.clock_skew(idp.clock_skew.as_ref(), path);
        let acr_values = self.words(idp.acr_values.as_ref(), &at("acr_values"));
        let max_age = match &idp.max_age {
            None => Some(None),
            written => self.duration_or_zero(written.as_ref(), &at("max_age")).map(Some),
        };
        Some(OidcIdp {
            id: id?,
            label: label?,
            issuer: issuer?,
            issuer_text: idp.issuer.clone()?,
            client_id: client_id?,
            client_auth: client_auth?,
            scopes: scopes?,
            email_domains: email_domains?,
            trust_email,
            subject_claim: subject_claim.ok()?,
            id_token_algorithms: id_token_algorithms?,
            clock_skew: clock_skew?,
            acr_values: acr_values?,
            max_age: max_age?,
        })
    }

    pub(super) fn idp_id(&mut self, id: Option<&String>, path: &[Step]) -> Option<IdpId> {
        let id = id?;
        match id.parse::<IdpId>() {
            // SECURITY: whoever is called so could claim the members that SCIM clients pushed.
            Ok(id) if id == IdpId::scim() => {
                let message = "`id`: \"scim\" is the name under which SCIM clients push people";
                self.refuse(&below(path, "id"), message, "choose another name");
                None
            }
            Ok(id) => Some(id),
            Err(error) => {
                let message = format!("`id`: {id:?}: {error}");
                self.refuse(&below(path, "id"), message, "it stands in URLs that the provider is told");
                None
            }
        }
    }

    /// The claim that is the subject, where one is named.
    pub(super) fn subject(
        &mut self,
        subject: Option<&raw::SubjectClaim>,
        path: &[Step],
    ) -> Result<Option<String>, Reported> {
        match subject {
            None => Ok(None),
            Some(subject) => {
                let claim = self.name(subject.claim.as_ref(), &below(&below(path, "subject"), "claim"));
                claim.map(Some).ok_or(Reported)
            }
        }
    }

    pub(super) fn clock_skew(&mut self, text: Option<&String>, path: &[Step]) -> Option<Duration> {
        let at = below(path, "clock_skew");
        let clock_skew = self.duration_or_zero(text, &at);
        if clock_skew.is_some_and(|skew| skew > MAX_SKEW) {
            let help = "at most 5m; where clocks differ by more, set them";
            self.refuse(&at, "`clock_skew` is too long", help);
        }
        clock_skew
    }

    /// OpenID Connect Discovery 1.0, 3: https, without query and fragment; http on loopback for trying out.
    fn issuer(&mut self, text: Option<&String>, path: &[Step]) -> Option<Url> {
        let why_https = "an issuer is https (OpenID Connect Discovery 1.0, section 3); http only on loopback";
        let url = self.url(text, path, UrlRule { https_off_loopback: true, why_https, query: false })?;
        if url.path().ends_with("/.well-known/openid-configuration") {
            let message = "`issuer` is the discovery document's URL, not the issuer";
            self.refuse(path, message, "leave out /.well-known/openid-configuration");
            return None;
        }
        Some(url)
    }

    fn client_auth(&mut self, idp: &raw::OidcIdp, path: &[Step]) -> Option<ClientAuth> {
        let at = below(path, "client_secret");
        match (idp.client_auth?, &idp.client_secret) {
            (raw::ClientAuth::None, None) => Some(ClientAuth::None),
            (raw::ClientAuth::None, Some(_)) => {
                let message = "`client_secret` has no meaning with client_auth = \"none\"";
                self.refuse(&at, message, "leave one of them out");
                None
            }
            (_, None) => {
                // Where it was written but wrong, that was said.
                if !self.faulty(&at) {
                    let help = "write client_secret = { file = \"…\" }, or client_auth = \"none\" for a public client";
                    self.refuse(path, "this identity provider lacks `client_secret`", help);
                }
                None
            }
            (raw::ClientAuth::ClientSecretBasic, secret) => {
                self.secret(secret.as_ref(), &at).map(ClientAuth::Basic)
            }
            (raw::ClientAuth::ClientSecretPost, secret) => {
                self.secret(secret.as_ref(), &at).map(ClientAuth::Post)
            }
        }
    }

    fn scopes(&mut self, texts: Option<&Vec<String>>, path: &[Step]) -> Option<Vec<String>> {
        let mut scopes = self.words(texts, path)?;
        // OpenID Connect Core 1.0, 3.1.2.1: without it there is no ID token.
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        Some(scopes)
    }

    /// Texts that are sent in a list separated by blanks.
    pub(super) fn words(&mut self, texts: Option<&Vec<String>>, path: &[Step]) -> Option<Vec<String>> {
        let words = self.names(texts, path)?;
        for (index, word) in words.iter().enumerate() {
            if word.contains(char::is_whitespace) {
                self.refuse(
                    &below(path, index),
                    format!("{word:?} has a blank in it"),
                    "write one word per entry",
                );
                return None;
            }
        }
        Some(words)
    }

    pub(super) fn email_domains(
        &mut self,
        texts: Option<&Vec<String>>,
        path: &[Step],
        idps: usize,
    ) -> Option<Vec<String>> {
        let texts = texts?;
        let mut domains = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let at = below(path, index);
            if text == "*" {
                if idps > 1 {
                    let message = "\"*\" lets this identity provider speak for every e-mail address, also for those of the others";
                    self.refuse(&at, message, "name the domains of each identity provider");
                } else if texts.len() > 1 {
                    self.refuse(&at, "\"*\" and further domains", "leave one or the other out");
                } else {
                    domains.push(text.clone());
                }
                continue;
            }
            domains.extend(self.domain(text, &at));
        }
        (domains.len() == texts.len()).then_some(domains)
    }

    /// A domain in its comparable form.
    pub(super) fn domain(&mut self, text: &str, path: &[Step]) -> Option<String> {
        let domain = domain_to_ascii(text);
        if domain.is_none() {
            let help = if text.contains('@') {
                "write what stands behind the @"
            } else {
                "write it like \"example.com\""
            };
            self.refuse(path, format!("{text:?} is no domain"), help);
        }
        domain
    }

    /// F1: as soon as e-mail addresses let somebody in or into an account, it must be said who may vouch for which.
    fn email_authority(&mut self, raw: &Raw) {
        let Some(provisioning) = &raw.provisioning else { return };
        let restricts =
            provisioning.allowed_email_domains.as_ref().is_some_and(|domains| !domains.is_empty());
        let makes = provisioning.mode == Some(raw::Mode::Jit) && raw.application.is_some();
        let adopts = match provisioning.on_existing {
            Some(raw::OnExisting::Adopt | raw::OnExisting::Ask) => makes,
            Some(raw::OnExisting::Deny) | None => false,
        };
        let links = makes && provisioning.link_identities == Some(true);
        let reason = match (restricts, adopts, links) {
            (true, ..) => "provisioning.allowed_email_domains restricts by e-mail address",
            (false, true, _) => {
                "provisioning.on_existing takes over accounts by e-mail address, at once or when an administrator says so"
            }
            (false, false, true) => "provisioning.link_identities links people by e-mail address",
            (false, false, false) => return,
        };
        for (index, idp) in raw.idp.iter().flatten().enumerate() {
            let at = steps!["idp", index];
            if idp.email_domains().is_none_or(Vec::is_empty) && !self.faulty(&below(at, "email_domains")) {
                let help = "name the domains it may speak for, or [\"*\"] where it is the only one and all its addresses are to be trusted";
                let name = idp.id().map_or("this identity provider", String::as_str);
                self.refuse(at, format!("{name} lacks `email_domains`: {reason} (F1)"), help);
            }
        }
    }

    fn algorithms(
        &mut self,
        idp: &raw::OidcIdp,
        client_auth: Option<&ClientAuth>,
        path: &[Step],
    ) -> Option<Vec<Algorithm>> {
        let at = below(path, "id_token_algorithms");
        let Some(written) = &idp.id_token_algorithms else {
            return Some(vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
                Algorithm::ES256,
                Algorithm::ES384,
                Algorithm::EdDSA,
            ]);
        };
        if written.is_empty() && self.faulty(&at) {
            return None;
        }
        if written.is_empty() {
            self.refuse(&at, "`id_token_algorithms` is empty", "name at least one, or leave it out");
            return None;
        }
        let algorithms: Vec<Algorithm> = written.iter().map(|one| algorithm(*one)).collect();
        let symmetric =
            |one: &Algorithm| matches!(one, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
        if algorithms.iter().any(symmetric) {
            if !algorithms.iter().all(symmetric) {
                // SECURITY: with both, a public key could be taken for a shared secret (RFC 8725, 2.1).
                let help = "name either HS256 to HS512 or the others";
                self.refuse(&at, "`id_token_algorithms` mixes shared secrets and public keys", help);
                return None;
            }
            let long_enough = match client_auth {
                Some(ClientAuth::Basic(secret) | ClientAuth::Post(secret)) => {
                    secret.expose().is_empty() || secret.expose().len() >= MIN_HMAC_SECRET
                }
                Some(ClientAuth::None) => false,
                None => true,
            };
            if !long_enough {
                let help = format!("HS256 to HS512 need a client_secret of at least {MIN_HMAC_SECRET} bytes");
                self.refuse(&at, "`id_token_algorithms`: the client secret is too short to sign with", help);
                return None;
            }
        }
        Some(algorithms)
    }

    fn duration_or_zero(&mut self, text: Option<&String>, path: &[Step]) -> Option<Duration> {
        match text.map(String::as_str) {
            Some("0" | "0s") => Some(Duration::ZERO),
            _ => self.duration(text, path),
        }
    }
}

fn algorithm(written: raw::Algorithm) -> Algorithm {
    match written {
        raw::Algorithm::RS256 => Algorithm::RS256,
        raw::Algorithm::RS384 => Algorithm::RS384,
        raw::Algorithm::RS512 => Algorithm::RS512,
        raw::Algorithm::PS256 => Algorithm::PS256,
        raw::Algorithm::PS384 => Algorithm::PS384,
        raw::Algorithm::PS512 => Algorithm::PS512,
        raw::Algorithm::ES256 => Algorithm::ES256,
        raw::Algorithm::ES384 => Algorithm::ES384,
        raw::Algorithm::EdDSA => Algorithm::EdDSA,
        raw::Algorithm::HS256 => Algorithm::HS256,
        raw::Algorithm::HS384 => Algorithm::HS384,
        raw::Algorithm::HS512 => Algorithm::HS512,
    }
}

/// Issuers that serve everybody, not one organisation.
fn anybody_can_register(issuer: &Url) -> bool {
    let tenant = issuer.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    match issuer.host_str().unwrap_or_default() {
        "login.microsoftonline.com"
        | "login.windows.net"
        | "login.microsoftonline.us"
        | "sts.windows.net" => {
            matches!(tenant, "common" | "organizations" | "consumers" | MICROSOFT_PERSONAL)
        }
        "accounts.google.com"
        | "appleid.apple.com"
        | "gitlab.com"
        | "www.facebook.com"
        | "oauth.telegram.org"
        | "slack.com"
        | "www.linkedin.com"
        | "id.twitch.tv"
        | "access.line.me" => true,
        _ => false,
    }
}
