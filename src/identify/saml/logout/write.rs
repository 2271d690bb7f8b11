//! Logout messages of ours, not yet signed: SAML Profiles 4.4.4 wants them signed, whatever the binding.

use url::Url;

use crate::identify::saml::assertion::NameId;
use crate::identify::saml::request::MessageId;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{SAML, SAMLP};
use crate::model::UnixTime;

/// What every code of SAML Core 3.2.2.2 begins with.
const CODES: &str = "urn:oasis:names:tc:SAML:2.0:status:";

/// Why somebody is logged out (Core 3.7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    User,
    Admin,
}

/// Whom to log out, and from what.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub id: &'a MessageId,
    /// Our entity ID.
    pub entity_id: &'a str,
    /// The endpoint of the identity provider that it is sent to.
    pub destination: &'a Url,
    /// As the identity provider sent it at sign-in, qualifiers and all: it is how it knows the person.
    pub name_id: &'a NameId,
    /// The identity provider's sessions; without any all of the person's.
    pub session_indexes: &'a [String],
    pub reason: Option<Reason>,
    pub now: UnixTime,
    /// From when on it is void (Core 3.7.1).
    pub not_on_or_after: UnixTime,
}

/// The LogoutRequest (Core 3.7.1).
#[must_use]
pub fn logout_request(request: &Request<'_>) -> Written {
    let reason = request.reason.map(|reason| match reason {
        Reason::User => "urn:oasis:names:tc:SAML:2.0:logout:user",
        Reason::Admin => "urn:oasis:names:tc:SAML:2.0:logout:admin",
    });
    let mut writer = Writer::new(
        "samlp:LogoutRequest",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(request.id.as_str())),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&request.now.to_string())),
            ("Destination", Some(request.destination.as_str())),
            ("NotOnOrAfter", Some(&request.not_on_or_after.to_string())),
            ("Reason", reason),
        ],
    );
    writer.text("saml:Issuer", &[], request.entity_id);
    let name_id = request.name_id;
    writer.text(
        "saml:NameID",
        &[
            ("Format", name_id.format.as_deref()),
            ("NameQualifier", name_id.name_qualifier.as_deref()),
            ("SPNameQualifier", name_id.sp_name_qualifier.as_deref()),
            ("SPProvidedID", name_id.sp_provided_id.as_deref()),
        ],
        &name_id.value,
    );
    for index in request.session_indexes {
        writer.text("samlp:SessionIndex", &[], index);
    }
    writer.finish()
}

/// What became of a logout that we were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every session is ended, or there was none.
    Complete,
    /// Some could not be ended (Core 3.2.2.2, `PartialLogout`).
    Partial,
    /// The request was wrong.
    Refused,
    /// Something here failed.
    Failed,
}

/// The LogoutResponse (Core 3.7.2). `destination` is the endpoint that it is sent to, none by SOAP.
#[must_use]
pub fn logout_response(
    id: &MessageId,
    entity_id: &str,
    destination: Option<&Url>,
    in_response_to: Option<&str>,
    outcome: Outcome,
    now: UnixTime,
) -> Written {
    let (code, inner) = match outcome {
        Outcome::Complete => ("Success", None),
        Outcome::Partial => ("Success", Some("PartialLogout")),
        Outcome::Refused => ("Requester", None),
        Outcome::Failed => ("Responder", None),
    };
    let mut writer = Writer::new(
        "samlp:LogoutResponse",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(id.as_str())),
            ("InResponseTo", in_response_to),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&now.to_string())),
            ("Destination", destination.map(Url::as_str)),
        ],
    );
    writer.text("saml:Issuer", &[], entity_id);
    writer.open("samlp:Status", &[]);
    let code = format!("{CODES}{code}");
    match inner {
        None => writer.empty("samlp:StatusCode", &[("Value", Some(&code))]),
        Some(inner) => {
            writer.open("samlp:StatusCode", &[("Value", Some(&code))]);
            writer.empty("samlp:StatusCode", &[("Value", Some(&format!("{CODES}{inner}")))]);
        }
    }
    writer.finish()
}
