//! `[[idp]]` of type `saml`.

use super::{Meaning, Reported, UrlRule, below};
use crate::config::document::{Step, shown};
use crate::config::raw;
use crate::config::settings::{MetadataFrom, SamlIdp, SamlKey, Server};
use crate::identify::saml::keys::{DecryptionKey, KeyError, SigningKey, trust_anchor};
use crate::model::{IdpId, ReturnTo};

/// SAML Metadata 2.0, 2.2.1: an entity ID is at most this long.
const MAX_ENTITY_ID: usize = 1024;

impl Meaning<'_> {
    pub(super) fn saml(
        &mut self,
        idp: &raw::SamlIdp,
        path: &[Step],
        count: usize,
        server: Option<&Server>,
    ) -> Option<SamlIdp> {
        let at = |key: &str| below(path, key);
        let id = self.idp_id(idp.id.as_ref(), path);
        let label = match &idp.label {
            None => idp.id.clone(),
            label => self.name(label.as_ref(), &at("label")),
        };
        let metadata = self.metadata(idp.metadata.as_ref(), &at("metadata"));
        let idp_entity_id = self.entity_id(idp.idp_entity_id.as_ref(), &at("idp_entity_id"));
        let metadata_certificate = match &idp.metadata_certificate {
            None => Some(None),
            Some(file) => self.metadata_certificate(file, &at("metadata_certificate")).map(Some),
        };
        let entity_id = self.entity_id(idp.entity_id.as_ref(), &at("entity_id"));
        let signs = |key: &[u8], certificate: &[u8]| SigningKey::from_pem(key, certificate).map(drop);
        let signing_keys = self.saml_keys(idp.signing_keys.as_ref(), &at("signing_keys"), signs);
        let decrypts = |key: &[u8], certificate: &[u8]| DecryptionKey::from_pem(key, certificate).map(drop);
        let decryption_keys = self.saml_keys(idp.decryption_keys.as_ref(), &at("decryption_keys"), decrypts);
        let email_domains = self.email_domains(idp.email_domains.as_ref(), &at("email_domains"), count);
        let subject_claim = self.subject(idp.subject.as_ref(), path);
        let clock_skew = self.clock_skew(idp.clock_skew.as_ref(), path);
        let contexts = self.words(idp.requested_authn_context.as_ref(), &at("requested_authn_context"));
        let name_id_format = self.name_id_format(idp.name_id_format.as_ref(), &at("name_id_format"));
        let idp_initiated = self.landing(idp, path);
        self.key_needs(idp, path);
        if idp.metadata_certificate.is_some() && idp.idp_entity_id.is_none() {
            // SECURITY: a federation signs for thousands; whoever answers in the provider's place would choose one.
            let message = "`metadata_certificate` needs `idp_entity_id`: who signs metadata may sign that of others too";
            self.refuse(&at("metadata_certificate"), message, "name the provider that is meant");
        }
        if idp.force_authn? && idp.is_passive? {
            // SAML Core 2.0, 3.4.1.
            let message = "`is_passive` and `force_authn` cannot be met together: to authenticate anew, the provider has to ask";
            self.refuse(&at("is_passive"), message, "leave one of them out");
        }
        if idp.allow_sha1? {
            let message = "`allow_sha1` accepts signatures that can be forged with some effort";
            self.warn(
                &at("allow_sha1"),
                message,
                "have the provider sign with RSA-SHA256, then leave it out",
            );
        }
        let id = id?;
        let entity_id = match entity_id.ok()? {
            Some(entity_id) => entity_id,
            None => server.map(|server| default_entity_id(server, &id))?,
        };
        Some(SamlIdp {
            label: label?,
            metadata: metadata?,
            idp_entity_id: idp_entity_id.ok()?,
            metadata_certificate: metadata_certificate?,
            entity_id,
            signing_keys: signing_keys?,
            decryption_keys: decryption_keys?,
            sign_requests: idp.sign_requests,
            sign_metadata: idp.sign_metadata?,
            request_binding: idp.request_binding,
            name_id_format: name_id_format.ok()?,
            force_authn: idp.force_authn?,
            is_passive: idp.is_passive?,
            requested_authn_context: contexts?,
            authn_context_comparison: idp.authn_context_comparison?,
            assertion_consumer_service_index: idp.assertion_consumer_service_index,
            require_signed: idp.require_signed?,
            want_encrypted: idp.want_encrypted?,
            allow_sha1: idp.allow_sha1?,
            idp_initiated: idp_initiated.ok()?,
            email_domains: email_domains?,
            subject_claim: subject_claim.ok()?,
            clock_skew: clock_skew?,
            id,
        })
    }

    fn metadata_certificate(&mut self, file: &str, at: &[Step]) -> Option<Vec<u8>> {
        let file = self.file(file);
        let pem = self.pem(&file, at)?;
        if !pem.is_empty()
            && let Err(error) = trust_anchor(&pem)
        {
            let message = format!("`{}`: {}: {error}", shown(at), file.display());
            self.refuse(at, message, "it must contain -----BEGIN CERTIFICATE-----");
            return None;
        }
        Some(pem)
    }

    fn metadata(&mut self, written: Option<&raw::MetadataFrom>, path: &[Step]) -> Option<MetadataFrom> {
        match written? {
            raw::MetadataFrom::File(file) => {
                // Read again and again, as from a URL.
                Some(MetadataFrom::File(self.base.join(&file.file)))
            }
            raw::MetadataFrom::Url(url) => {
                let why_https = "keys are read from there: https; http only on loopback";
                let rule = UrlRule { https_off_loopback: true, why_https, query: true };
                self.url(Some(&url.url), &below(path, "url"), rule).map(MetadataFrom::Url)
            }
        }
    }

    /// SAML Core 2.0, 8.3.6: a URI, compared letter by letter.
    fn entity_id(&mut self, text: Option<&String>, path: &[Step]) -> Result<Option<String>, Reported> {
        let Some(text) = self.optional_name(text, path)? else { return Ok(None) };
        if text.len() > MAX_ENTITY_ID || text.contains(char::is_whitespace) {
            let help = "write it exactly as the metadata has it: at most 1024 characters, no blanks";
            self.refuse(path, format!("{text:?} is no entity ID"), help);
            return Err(Reported);
        }
        Ok(Some(text))
    }

    /// Keys with their certificates, each of which `fits` (does not where one is of another kind or pair).
    fn saml_keys(
        &mut self,
        written: Option<&Vec<raw::SamlKey>>,
        path: &[Step],
        fits: impl Fn(&[u8], &[u8]) -> Result<(), KeyError>,
    ) -> Option<Vec<SamlKey>> {
        let written = written?;
        let mut keys = Vec::new();
        for (index, pair) in written.iter().enumerate() {
            let at = below(path, index);
            let key = self.secret(pair.key.as_ref(), &below(&at, "key"));
            let certificate = pair.certificate.as_ref().map(|file| self.file(file));
            let certificate = certificate.and_then(|file| self.pem(&file, &below(&at, "certificate")));
            let Some((key, certificate)) = key.zip(certificate) else { continue };
            // What is absent where it is only checked, is empty.
            let is_here = !key.expose().is_empty() && !certificate.is_empty();
            if is_here && let Err(error) = fits(key.expose().as_bytes(), &certificate) {
                let help = "both in PEM: the private key (PKCS #8), and the certificate that was made for it";
                self.refuse(&at, format!("`{}` cannot be used: {error}", shown(&at)), help);
                continue;
            }
            keys.push(SamlKey { key, certificate });
        }
        (keys.len() == written.len()).then_some(keys)
    }

    /// SAML Core 2.0, 8.3, by the short names that people know, or in full.
    fn name_id_format(&mut self, text: Option<&String>, path: &[Step]) -> Result<Option<String>, Reported> {
        let Some(text) = self.optional_name(text, path)? else { return Ok(None) };
        let known = [
            ("persistent", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"),
            ("transient", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
            ("emailAddress", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
            ("unspecified", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"),
        ];
        if let Some((_, uri)) = known.iter().find(|(short, _)| *short == text) {
            return Ok(Some((*uri).to_owned()));
        }
        if text.starts_with("urn:") {
            return Ok(Some(text));
        }
        let names: Vec<&str> = known.iter().map(|(short, _)| *short).collect();
        self.one_of("NameID format", &text, &names, path);
        Err(Reported)
    }

    fn landing(&mut self, idp: &raw::SamlIdp, path: &[Step]) -> Result<Option<ReturnTo>, Reported> {
        let at = below(path, "landing");
        let allowed = idp.allow_idp_initiated.ok_or(Reported)?;
        let Some(text) = &idp.landing else { return Ok(allowed.then(ReturnTo::root)) };
        let Some(landing) = ReturnTo::parse(text) else {
            let help = "write it like \"/\" or \"/start?x=1\"";
            self.refuse(&at, "`landing` is no path of this application", help);
            return Err(Reported);
        };
        if !allowed {
            let message = "`landing` has no meaning without allow_idp_initiated = true";
            self.refuse(&at, message, "set it, or leave landing out");
            return Err(Reported);
        }
        Ok(Some(landing))
    }

    /// What cannot be done without a key.
    fn key_needs(&mut self, idp: &raw::SamlIdp, path: &[Step]) {
        let none = |keys: Option<&Vec<raw::SamlKey>>| keys.is_some_and(Vec::is_empty);
        let signs = [("sign_requests", idp.sign_requests), ("sign_metadata", idp.sign_metadata)];
        for (key, _) in signs.into_iter().filter(|(_, wanted)| *wanted == Some(true)) {
            if none(idp.signing_keys.as_ref()) && !self.faulty(&below(path, "signing_keys")) {
                let help = "add signing_keys = [{ key = { file = \"…\" }, certificate = \"…\" }]";
                self.refuse(&below(path, key), format!("`{key}` needs a key to sign with"), help);
            }
        }
        if idp.want_encrypted == Some(true)
            && none(idp.decryption_keys.as_ref())
            && !self.faulty(&below(path, "decryption_keys"))
        {
            let help = "add decryption_keys = [{ key = { file = \"…\" }, certificate = \"…\" }]";
            self.refuse(&below(path, "want_encrypted"), "`want_encrypted` needs a key to decrypt with", help);
        }
    }
}

/// Where our metadata is, which is what SAML Metadata 2.0 (4.1.1) recommends as the entity ID.
fn default_entity_id(server: &Server, id: &IdpId) -> String {
    let mut url = server.public_url.clone();
    url.set_path(&format!("{}/saml/{id}/metadata", server.prefix));
    url.into()
}
