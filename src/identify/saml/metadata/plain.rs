//! The part of an entity that narthex uses, with samael's types for it.

use samael::metadata::EntityDescriptor;

use super::MetadataError;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{DSIG, METADATA, Node};
use crate::identify::shown::shown;

/// The entity `id` with its one role, by samael's types.
///
/// samael reads names without their namespaces, and refuses as a whole what it does not expect in a part that
/// nobody asks for (an `xs:duration` on a role, a second `X509Data`). So it gets a text of our own writing: this one
/// role, with the elements and attributes that are used.
///
/// # Errors
/// Where what is used has not the form that the schema wants.
pub fn typed(id: &str, role: Node<'_, '_>) -> Result<EntityDescriptor, MetadataError> {
    let typed = plain(id, role)?.as_str().parse::<EntityDescriptor>();
    typed.map_err(|error| MetadataError::NotSchema(shown(&error.to_string())))
}

fn plain(id: &str, role: Node<'_, '_>) -> Result<Written, MetadataError> {
    let mut writer = Writer::new("EntityDescriptor", &[("entityID", Some(id))]);
    writer.open(
        "IDPSSODescriptor",
        &[
            ("protocolSupportEnumeration", role.attribute("protocolSupportEnumeration")),
            ("WantAuthnRequestsSigned", role.attribute("WantAuthnRequestsSigned")),
        ],
    );
    for key in role.children_named(METADATA, "KeyDescriptor") {
        writer.open("KeyDescriptor", &[("use", key.attribute("use"))]);
        writer.open("KeyInfo", &[]);
        let certificates = certificates(key)?;
        if !certificates.is_empty() {
            writer.open("X509Data", &[]);
            for certificate in certificates {
                writer.text("X509Certificate", &[], &certificate);
            }
            writer.close();
        }
        writer.close();
        writer.close();
    }
    endpoints(&mut writer, role, "SingleLogoutService");
    for format in role.children_named(METADATA, "NameIDFormat") {
        writer.text("NameIDFormat", &[], &format.text()?);
    }
    endpoints(&mut writer, role, "SingleSignOnService");
    Ok(writer.finish())
}

/// The first certificate of each X509Data: the one with the key.
///
/// SECURITY: what follows it are those of its issuers (XML Signature 1.1, 4.5.4), whose keys sign certificates and
/// not assertions; a key of the identity provider has a KeyDescriptor of its own (Metadata 2.4.1.1).
fn certificates(key: Node<'_, '_>) -> Result<Vec<String>, MetadataError> {
    let mut certificates = Vec::new();
    for data in key.required(DSIG, "KeyInfo")?.children_named(DSIG, "X509Data") {
        let mut found = data.children_named(DSIG, "X509Certificate");
        if let Some(certificate) = found.next() {
            certificates.push(certificate.text()?);
        }
        if found.next().is_some() {
            tracing::warn!("X509Data with several certificates; the first is taken");
        }
    }
    Ok(certificates)
}

fn endpoints(writer: &mut Writer, role: Node<'_, '_>, name: &'static str) {
    for endpoint in role.children_named(METADATA, name) {
        writer.empty(
            name,
            &[
                ("Binding", endpoint.attribute("Binding")),
                ("Location", endpoint.attribute("Location")),
                ("ResponseLocation", endpoint.attribute("ResponseLocation")),
            ],
        );
    }
}
