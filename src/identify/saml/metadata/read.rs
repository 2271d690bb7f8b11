//! From the bytes of a metadata document to what is believed of one identity provider.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use samael::metadata::{Endpoint, EntityDescriptor, IdpSsoDescriptor};
use url::Url;

use super::select::{self, Around, MAX_DOCUMENT, Selected};
use super::{IdpMetadata, MetadataError, SloEndpoint, SloEndpoints, SsoEndpoints, duration, plain};
use crate::identify::address;
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::instant;
use crate::identify::saml::keys::VerifyingKey;
use crate::identify::saml::request::{POST_BINDING, REDIRECT_BINDING, SOAP_BINDING};
use crate::identify::saml::signature::verify_enveloped;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{DSIG, METADATA, Node, SAMLP, Tree, XmlError};
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// One entity with its logos and descriptions is at most this long.
const MAX_ENTITY: usize = 4 * 1024 * 1024;

/// By what a document is read.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The entity that is meant; without it there must be only one.
    pub entity_id: Option<&'a str>,
    /// Keys of which one must have signed the document or the entity; without any no signature is asked for.
    pub trust_anchor: &'a [VerifyingKey],
    pub policy: AlgorithmPolicy,
    /// The document is ours or comes from loopback, so it may name plain http endpoints there.
    pub plain_loopback: bool,
    pub now: UnixTime,
}

/// What was read, with what to keep of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub metadata: IdpMetadata,
    /// An aggregate of this one entity, as it was verified: says the same when read again without a trust anchor.
    pub copy: Written,
}

/// Reads a metadata document: of one entity, or a federation's aggregate.
///
/// # Errors
/// Where it is no metadata, not signed as it must be, expired, or describes nobody that could sign people in.
pub fn read(bytes: &[u8], expected: &Expected<'_>) -> Result<Read, MetadataError> {
    let text = select::text_of(bytes)?;
    let selected = select::entity(&text, expected.entity_id)?;
    let selected =
        if expected.trust_anchor.is_empty() { selected } else { verified(&text, selected, expected)? };
    let metadata = entity(&selected, expected)?;
    Ok(Read { metadata, copy: copy(&selected)? })
}

/// The entity as the trust anchor signed it, alone or as part of the document.
fn verified(text: &str, selected: Selected, expected: &Expected<'_>) -> Result<Selected, MetadataError> {
    let by_itself = signed(&selected.entity, MAX_ENTITY, expected);
    let in_aggregate = !selected.around.is_empty();
    match by_itself {
        // SECURITY: what the aggregate around it says is not covered; it can only shorten how long this holds.
        Ok(entity) => Ok(Selected { entity, ..selected }),
        Err(MetadataError::NotSigned | MetadataError::Signature(_)) if in_aggregate => {
            let whole = signed(text, MAX_DOCUMENT, expected)?;
            select::entity(&whole, expected.entity_id)
        }
        Err(error) => Err(error),
    }
}

/// The canonical text of `document` that the signature of its outermost element covers.
fn signed(document: &str, limit: usize, expected: &Expected<'_>) -> Result<String, MetadataError> {
    let tree = Tree::parse_metadata(document.as_bytes(), limit)?;
    let root = tree.root()?;
    if root.child(DSIG, "Signature")?.is_none() {
        return Err(MetadataError::NotSigned);
    }
    let signed = verify_enveloped(&tree, root, expected.trust_anchor, expected.policy)?;
    let text = String::from_utf8(signed.bytes().to_vec());
    text.map_err(|_| MetadataError::Xml(XmlError::NotUtf8))
}

/// An aggregate of one, which says what the aggregates around it said.
fn copy(selected: &Selected) -> Result<Written, MetadataError> {
    // Each of them holds, so each is kept.
    let outermost = [("xmlns", Some(METADATA))];
    let mut writer = Writer::new("EntitiesDescriptor", &outermost);
    for Around { valid_until, cache_duration } in &selected.around {
        writer.open(
            "EntitiesDescriptor",
            &[("validUntil", valid_until.as_deref()), ("cacheDuration", cache_duration.as_deref())],
        );
    }
    writer.document(&Written::of(&selected.entity)?);
    Ok(writer.finish())
}

fn entity(selected: &Selected, expected: &Expected<'_>) -> Result<IdpMetadata, MetadataError> {
    let tree = Tree::parse_metadata(selected.entity.as_bytes(), MAX_ENTITY)?;
    let root = tree.root()?;
    let id = root.attribute("entityID").unwrap_or_default();
    // Metadata 2.2.1.
    if id.is_empty() || id.chars().count() > 1024 {
        return Err(MetadataError::EntityIdMalformed);
    }
    let role = role(root, id)?;
    let valid_until = valid_until(selected, root, role)?;
    // Metadata 2.3.1, 2.3.2 and 2.4.1: from then on it must not be used.
    if let Some(until) = valid_until.filter(|until| *until <= expected.now) {
        return Err(MetadataError::Expired { until, now: expected.now });
    }
    let typed = plain::typed(id, role)?;
    let typed = role_of(&typed).ok_or_else(|| MetadataError::RoleMissing(shown(id)))?;
    let url = |element: &'static str, text: &str| {
        let url = address::of_provider(text, expected.plain_loopback);
        url.ok_or_else(|| MetadataError::EndpointNotUsable { element, url: shown(text) })
    };
    Ok(IdpMetadata {
        entity_id: id.to_owned(),
        signing_keys: signing_keys(id, typed)?,
        sso: sso(id, &typed.single_sign_on_services, url)?,
        slo: slo(&typed.single_logout_services, url)?,
        want_authn_requests_signed: typed.want_authn_requests_signed.unwrap_or_default(),
        valid_until,
        cache_duration: cache_duration(selected, root, role),
        name_id_formats: typed.name_id_formats.clone(),
    })
}

fn role_of(typed: &EntityDescriptor) -> Option<&IdpSsoDescriptor> {
    typed.idp_sso_descriptors.as_ref()?.first()
}

/// The role of a SAML 2.0 identity provider. Those for older protocols (Metadata 2.4.1,
/// `protocolSupportEnumeration`) are somebody else's.
fn role<'t, 'a>(entity: Node<'t, 'a>, id: &str) -> Result<Node<'t, 'a>, MetadataError> {
    let mut roles = entity.children_named(METADATA, "IDPSSODescriptor").filter(|role| {
        let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
        protocols.split_ascii_whitespace().any(|protocol| protocol == SAMLP)
    });
    match (roles.next(), roles.next()) {
        (Some(role), None) => Ok(role),
        (None, _) => Err(MetadataError::RoleMissing(shown(id))),
        (Some(_), Some(_)) => Err(MetadataError::RoleTwice(shown(id))),
    }
}

/// The earliest of the entity, its role and the aggregates around it.
fn valid_until(
    selected: &Selected,
    entity: Node<'_, '_>,
    role: Node<'_, '_>,
) -> Result<Option<UnixTime>, MetadataError> {
    let own = [entity, role].into_iter().filter_map(|element| element.attribute("validUntil"));
    let around = selected.around.iter().filter_map(|around| around.valid_until.as_deref());
    let mut earliest = None;
    for text in own.chain(around) {
        let until = instant::parse(text).map_err(|_| MetadataError::ValidUntilMalformed(shown(text)))?;
        earliest = Some(earliest.map_or(until, |earliest: UnixTime| earliest.min(until)));
    }
    Ok(earliest)
}

/// The shortest that applies. It is a wish about how often to ask, so one that cannot be read counts as none.
fn cache_duration(selected: &Selected, entity: Node<'_, '_>, role: Node<'_, '_>) -> Option<Duration> {
    let own = [entity, role].into_iter().filter_map(|element| element.attribute("cacheDuration"));
    let around = selected.around.iter().filter_map(|around| around.cache_duration.as_deref());
    own.chain(around).filter_map(duration::parse).min()
}

/// Every key that may sign: Metadata 2.4.1.1 has those without `use` serve for both.
fn signing_keys(id: &str, role: &IdpSsoDescriptor) -> Result<Vec<VerifyingKey>, MetadataError> {
    let mut keys = Vec::new();
    let mut skipped: Option<String> = None;
    let signing =
        role.key_descriptors.iter().filter(|key| matches!(key.key_use.as_deref(), None | Some("signing")));
    for descriptor in signing {
        let certificates = descriptor.key_info.x509_data.as_ref().map(|data| data.certificates.as_slice());
        for certificate in certificates.unwrap_or_default() {
            match key_of(certificate) {
                Ok(key) if keys.contains(&key) => {}
                Ok(key) => keys.push(key),
                Err(reason) => {
                    tracing::warn!(entity = shown(id), reason, "certificate in the metadata is not usable");
                    skipped.get_or_insert(reason);
                }
            }
        }
    }
    if keys.is_empty() {
        return Err(MetadataError::KeyMissing { entity: shown(id), skipped });
    }
    Ok(keys)
}

/// The certificate is a place for a key: neither its dates nor its issuer count (SAML V2.0 Metadata
/// Interoperability Profile, 2.6.1); what vouches for it is the metadata.
fn key_of(certificate: &str) -> Result<VerifyingKey, String> {
    let text: Vec<u8> = certificate.bytes().filter(|byte| !b" \t\r\n".contains(byte)).collect();
    let der = STANDARD.decode(text).map_err(|_| "it is not base64".to_owned())?;
    VerifyingKey::from_certificate(&der).map_err(|error| error.to_string())
}

fn sso(
    id: &str,
    services: &[Endpoint],
    url: impl Fn(&'static str, &str) -> Result<Url, MetadataError>,
) -> Result<SsoEndpoints, MetadataError> {
    let at = |binding: &str| {
        let service = services.iter().find(|service| service.binding == binding);
        service.map(|service| url("SingleSignOnService", &service.location)).transpose()
    };
    let sso = SsoEndpoints { redirect: at(REDIRECT_BINDING)?, post: at(POST_BINDING)? };
    if sso == SsoEndpoints::default() {
        return Err(MetadataError::SsoMissing(shown(id)));
    }
    Ok(sso)
}

fn slo(
    services: &[Endpoint],
    url: impl Fn(&'static str, &str) -> Result<Url, MetadataError>,
) -> Result<SloEndpoints, MetadataError> {
    let at = |binding: &str| -> Result<Option<SloEndpoint>, MetadataError> {
        let Some(service) = services.iter().find(|service| service.binding == binding) else {
            return Ok(None);
        };
        let requests = url("SingleLogoutService", &service.location)?;
        // Metadata 2.2.2.
        let responses = match &service.response_location {
            Some(location) => url("SingleLogoutService", location)?,
            None => requests.clone(),
        };
        Ok(Some(SloEndpoint { requests, responses }))
    };
    Ok(SloEndpoints { redirect: at(REDIRECT_BINDING)?, post: at(POST_BINDING)?, soap: at(SOAP_BINDING)? })
}

#[cfg(test)]
pub(super) mod tests;
