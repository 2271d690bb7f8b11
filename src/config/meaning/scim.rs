//! `[scim]`.

use super::{Meaning, Reported, UrlRule, below};
use crate::config::Purpose;
use crate::config::document::steps;
use crate::config::raw::{self, Raw};
use crate::config::settings::{Health, Scim, ScimGroups, ScimMatch, Server};
use crate::model::IdpId;

/// Characters of a token: as many as a random one of 18 bytes has in base64.
const MIN_TOKEN: usize = 24;

impl Meaning<'_> {
    /// M1: there with `provisioning.mode = "scim"`, and only then.
    pub(super) fn scim(
        &mut self,
        raw: &Raw,
        server: Option<&Server>,
        health: Option<&Health>,
    ) -> Result<Option<Scim>, Reported> {
        let mode = raw.provisioning.as_ref().and_then(|provisioning| provisioning.mode);
        match (&raw.scim, mode) {
            (None, Some(raw::Mode::Scim)) if self.faulty(steps!["scim"]) => Err(Reported),
            (None, Some(raw::Mode::Scim)) => {
                let message =
                    "provisioning.mode is \"scim\", and there is no [scim] that says who may use it";
                let help = "add [scim] with tokens = [{ file = \"…\" }]";
                self.refuse(steps!["provisioning", "mode"], message, help);
                Err(Reported)
            }
            (None, _) => Ok(None),
            (Some(scim), Some(raw::Mode::Scim)) => {
                self.scim_section(raw, scim, server, health).map(Some).ok_or(Reported)
            }
            (Some(_), None) => Err(Reported),
            (Some(_), Some(raw::Mode::Jit)) => {
                let message =
                    "there is a [scim], but provisioning.mode is \"jit\": the two exclude each other";
                let help = "remove [scim], or write mode = \"scim\"";
                self.refuse(steps!["scim"], message, help);
                Err(Reported)
            }
            (Some(_), Some(raw::Mode::Off)) => {
                let message = "there is a [scim], but provisioning.mode is \"off\"";
                let help = "write mode = \"scim\" in [provisioning], or remove [scim]";
                self.refuse(steps!["scim"], message, help);
                Err(Reported)
            }
        }
    }

    fn scim_section(
        &mut self,
        raw: &Raw,
        scim: &raw::Scim,
        server: Option<&Server>,
        health: Option<&Health>,
    ) -> Option<Scim> {
        let listen = self.address(scim.listen.as_ref(), steps!["scim", "listen"]);
        let taken = [
            ("server.listen", server.map(|server| server.listen)),
            ("health.listen", health.map(|health| health.listen)),
        ];
        if let Some(listen) = listen.filter(|listen| listen.port() != 0)
            && let Some((key, _)) = taken.iter().find(|(_, address)| *address == Some(listen))
        {
            let message = format!("`scim.listen` is {listen}, which `{key}` has already");
            self.refuse(steps!["scim", "listen"], message, "give one of them another port");
            return None;
        }
        let rule = UrlRule { https_off_loopback: false, why_https: "", query: false };
        let public_url = match &scim.public_url {
            None => Some(None),
            Some(_) => self.url(scim.public_url.as_ref(), steps!["scim", "public_url"], rule).map(Some),
        };
        let tls = match &scim.tls {
            None => Some(None),
            Some(tls) => self.tls(tls, "scim").map(Some),
        };
        if let Some(listen) = listen
            && scim.tls.is_none()
            && !listen.ip().is_loopback()
        {
            let message = "`scim.listen` is not on loopback and serves plain HTTP: whoever reads on the way has the token";
            let help = "set [scim.tls], or listen on loopback behind a proxy that serves TLS";
            self.warn(steps!["scim", "listen"], message, help);
        }
        let tokens = self.scim_tokens(scim);
        let matching = self.scim_match(scim);
        let idp = self.scim_idp(raw, scim);
        Some(Scim {
            listen: listen?,
            public_url: public_url?,
            tls: tls?,
            tokens: tokens?,
            groups: match scim.groups? {
                raw::ScimGroups::Mapping => ScimGroups::Mapping,
                raw::ScimGroups::Teams => ScimGroups::Teams,
                raw::ScimGroups::AppGroups => ScimGroups::AppGroups,
            },
            matching: matching?,
            idp: idp.ok()?,
        })
    }

    /// M3.
    fn scim_match(&mut self, scim: &raw::Scim) -> Option<ScimMatch> {
        let at = steps!["scim", "match_claim"];
        let claim = self.optional_name(scim.match_claim.as_ref(), at).ok()?;
        match (scim.matching?, claim) {
            (raw::ScimMatch::ExternalId, claim) => Some(ScimMatch::ExternalId { claim }),
            (raw::ScimMatch::UserName, claim) => {
                let claim = claim.unwrap_or_else(|| "preferred_username".to_owned());
                Some(ScimMatch::UserName { claim })
            }
            (raw::ScimMatch::Email, None) => Some(ScimMatch::Email),
            (raw::ScimMatch::Email, Some(_)) => {
                let message =
                    "`scim.match_claim` has no meaning with match = \"email\": the verified e-mail counts";
                self.refuse(at, message, "leave it out");
                None
            }
        }
    }

    fn scim_idp(&mut self, raw: &Raw, scim: &raw::Scim) -> Result<Option<IdpId>, Reported> {
        let ids: Vec<&str> =
            raw.idp.iter().flatten().filter_map(|idp| idp.id()).map(String::as_str).collect();
        let at = steps!["scim", "idp"];
        let Some(name) = &scim.idp else {
            let by_email = scim.matching == Some(raw::ScimMatch::Email);
            if ids.len() < 2 || by_email {
                return Ok(None);
            }
            // SECURITY: F8. A second provider's people could take the accounts of the first one's by calling
            // themselves so.
            let message =
                "`scim.idp` is missing: there are several [[idp]], and each could call its people anything";
            let help = "name the one whose people the SCIM client pushes, or write match = \"email\"";
            self.refuse(steps!["scim"], message, help);
            return Err(Reported);
        };
        if !self.one_of("identity provider", name, &ids, at) {
            return Err(Reported);
        }
        name.parse().map(Some).map_err(|_| Reported)
    }

    fn scim_tokens(&mut self, scim: &raw::Scim) -> Option<Vec<crate::model::Secret>> {
        let written = scim.tokens.as_ref()?;
        let mut tokens = Vec::new();
        for (index, token) in written.iter().enumerate() {
            let at = below(steps!["scim", "tokens"], index);
            let Some(token) = self.secret(Some(token), &at) else { continue };
            let absent = self.purpose == Purpose::Check && token.expose().is_empty();
            if !absent && token.expose().chars().count() < MIN_TOKEN {
                // SECURITY: whoever guesses it makes accounts.
                let message = format!("`scim.tokens`: a token has fewer than {MIN_TOKEN} characters");
                self.refuse(&at, message, "make one with: openssl rand -base64 32");
                continue;
            }
            tokens.push(token);
        }
        (tokens.len() == written.len()).then_some(tokens)
    }
}
