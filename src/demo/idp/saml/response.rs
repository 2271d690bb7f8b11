//! The Response (SAML Core 2.0, 3.3.3) with its Assertion (2.3.3), as the browser profile wants them (Profiles 4.1.4.2).

use std::time::Duration;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::demo::people::Person;
use crate::identify::saml::binding::Kind;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{SAML, SAMLP};
use crate::platform::crypto::sha256;

use super::super::state::{Provider, Session};
use super::message::{message_id, post};
use super::sso::{Asked, Format};
use super::{Failure, SamlBehaviour};

pub(super) const STATUS: &str = "urn:oasis:names:tc:SAML:2.0:status:";
/// SAML Authentication Context 2.0, 3.4.25: nobody is authenticated here, and it is not said otherwise.
pub(super) const CONTEXT_CLASS: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified";
const ATTRIBUTE_URI: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri";
const ATTRIBUTE_BASIC: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// The time that a browser has to deliver an answer.
const LASTS: Duration = Duration::from_mins(5);

/// Claims of OpenID Connect by the attributes that directories have for them (RFC 4519, RFC 2798, eduPerson's
/// eduMember): claim, `Name`, `FriendlyName`. Other claims go under their own names.
const ATTRIBUTES: &[(&str, &str, &str)] = &[
    ("email", "urn:oid:0.9.2342.19200300.100.1.3", "mail"),
    ("given_name", "urn:oid:2.5.4.42", "givenName"),
    ("family_name", "urn:oid:2.5.4.4", "sn"),
    ("name", "urn:oid:2.16.840.1.113730.3.1.241", "displayName"),
    ("preferred_username", "urn:oid:0.9.2342.19200300.100.1.1", "uid"),
    ("groups", "urn:oid:1.3.6.1.4.1.5923.1.5.1.1", "isMemberOf"),
];

/// Under what name a service provider knows somebody, and in which session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Named {
    pub(super) sp: String,
    pub(super) format: &'static str,
    pub(super) name: String,
    pub(super) session_index: String,
}

/// What is answered.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    Yes {
        session: &'a Session,
        person: &'a Person,
        named: &'a Named,
    },
    /// The second-level status code, without its beginning.
    No(&'static str),
}

/// The name of this person for who asked; `None` where there is none of that format.
pub(super) fn named(
    provider: &Provider,
    asked: &Asked,
    session: &Session,
    person: &Person,
) -> Result<Option<Named>, Failure> {
    let name = match asked.format {
        Format::Persistent => Some(persistent(person, &asked.sp)),
        Format::Transient => Some(message_id(provider)?),
        Format::EmailAddress => person.email.clone(),
    };
    Ok(name.map(|name| Named {
        sp: asked.sp.clone(),
        format: asked.format.uri(),
        name,
        session_index: session.sid.clone(),
    }))
}

/// Core 8.3.7: another one for each service provider, always the same, and without meaning.
fn persistent(person: &Person, sp: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(format!("{}\n{sp}", person.subject).as_bytes()))
}

/// Sends the response through the browser.
pub(super) fn answer(provider: &Provider, asked: &Asked, outcome: Outcome<'_>) -> Result<Response, Failure> {
    let behaviour = provider.saml.behaviour();
    let (id, now, key) = (message_id(provider)?, provider.now().to_string(), provider.saml.key()?);
    let mut writer = Writer::new(
        "samlp:Response",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(&id)),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&now)),
            ("Destination", Some(asked.acs.as_str())),
            ("InResponseTo", asked.in_response_to.as_deref()),
        ],
    );
    writer.text("saml:Issuer", &[], &provider.saml.entity_id());
    match outcome {
        Outcome::Yes { session, person, named } => {
            status(&mut writer, "Success", None);
            let assertion = assertion(provider, asked, &behaviour, session, person, named)?;
            let assertion = match &behaviour.edit {
                Some(edit) => Written::of(&edit(assertion.as_str()))?,
                None => assertion,
            };
            let assertion =
                if behaviour.sign.assertion() { assertion.signed(&key.signing)? } else { assertion };
            writer.document(&assertion);
        }
        Outcome::No(code) => status(&mut writer, "Responder", Some(code)),
    }
    let mut response = writer.finish();
    if behaviour.sign.response() {
        response = response.signed(&key.signing)?;
    }
    Ok(post(&asked.acs, Kind::Response, &response, asked.relay_state.as_ref()))
}

/// Core 3.2.2.
pub(super) fn status(writer: &mut Writer, first: &str, second: Option<&str>) {
    writer.open("samlp:Status", &[]);
    writer.open("samlp:StatusCode", &[("Value", Some(&format!("{STATUS}{first}")))]);
    if let Some(second) = second {
        writer.empty("samlp:StatusCode", &[("Value", Some(&format!("{STATUS}{second}")))]);
    }
    writer.close();
    writer.close();
}

fn assertion(
    provider: &Provider,
    asked: &Asked,
    behaviour: &SamlBehaviour,
    session: &Session,
    person: &Person,
    named: &Named,
) -> Result<Written, Failure> {
    let issuer = provider.saml.entity_id();
    let (id, now) = (message_id(provider)?, provider.now());
    let (now, until) = (now.to_string(), now.after(LASTS).to_string());
    let mut writer = Writer::new(
        "saml:Assertion",
        &[
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(&id)),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&now)),
        ],
    );
    writer.text("saml:Issuer", &[], &issuer);

    writer.open("saml:Subject", &[]);
    // Core 8.3.7: a persistent one is of the two of them.
    let of_both = named.format == super::PERSISTENT;
    writer.text(
        "saml:NameID",
        &[
            ("Format", Some(named.format)),
            ("NameQualifier", of_both.then_some(&*issuer)),
            ("SPNameQualifier", of_both.then_some(&*asked.sp)),
        ],
        &named.name,
    );
    writer.open("saml:SubjectConfirmation", &[("Method", Some(BEARER))]);
    writer.empty(
        "saml:SubjectConfirmationData",
        &[
            ("InResponseTo", asked.in_response_to.as_deref()),
            ("Recipient", Some(asked.acs.as_str())),
            ("NotOnOrAfter", Some(&until)),
        ],
    );
    writer.close();
    writer.close();

    writer.open("saml:Conditions", &[("NotBefore", Some(&now)), ("NotOnOrAfter", Some(&until))]);
    writer.open("saml:AudienceRestriction", &[]);
    writer.text("saml:Audience", &[], behaviour.audience.as_deref().unwrap_or(&asked.sp));
    writer.close();
    writer.close();

    writer.open(
        "saml:AuthnStatement",
        &[
            ("AuthnInstant", Some(&session.auth_time.to_string())),
            ("SessionIndex", Some(&named.session_index)),
            ("SessionNotOnOrAfter", Some(&session.auth_time.after(behaviour.session_lasts).to_string())),
        ],
    );
    writer.open("saml:AuthnContext", &[]);
    writer.text("saml:AuthnContextClassRef", &[], CONTEXT_CLASS);
    writer.close();
    writer.close();

    attributes(&mut writer, person);
    Ok(writer.finish())
}

/// What OpenID Connect would say of the person, as attributes with all their values.
fn attributes(writer: &mut Writer, person: &Person) {
    let claims = person.claims("profile email");
    let mut said =
        claims.iter().filter(|(claim, _)| !matches!(claim.as_str(), "sub" | "email_verified")).peekable();
    // Core 2.7.3: an AttributeStatement without attribute is none.
    if said.peek().is_none() {
        return;
    }
    writer.open("saml:AttributeStatement", &[]);
    for (claim, value) in said {
        let known = ATTRIBUTES.iter().find(|(known, ..)| known == claim);
        let (name, friendly, format) = match known {
            Some((_, name, friendly)) => (*name, *friendly, ATTRIBUTE_URI),
            None => (claim.as_str(), claim.as_str(), ATTRIBUTE_BASIC),
        };
        writer.open(
            "saml:Attribute",
            &[("Name", Some(name)), ("NameFormat", Some(format)), ("FriendlyName", Some(friendly))],
        );
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writer.text("saml:AttributeValue", &[], &text);
        }
        writer.close();
    }
    writer.close();
}
