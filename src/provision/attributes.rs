//! The account's attributes (F2): where each comes from, what is missing, and how a value is made to fit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::settings::{Attribute, AttributeSource, Provisioning};
use crate::expr::{Context, SessionFacts};
use crate::model::{AccountProfile, EmailAddress, Grant, Identity};

use super::ProvisionError;
use super::connector::{AttributeShape, AttributeSpec, Features};

/// Longer values count as absent; far beyond any real name.
const MAX_VALUE: usize = 1024;

/// Where an attribute's value came from; `explain` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeOrigin {
    Claim(String),
    Constant,
    Template,
}

/// The profile that the account should have, and where each part came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedProfile {
    pub profile: AccountProfile,
    pub origins: BTreeMap<String, AttributeOrigin>,
    /// Whether the username is what the identity provider said, character by character.
    ///
    /// SECURITY: one that had to be made to fit (`admin!` gives `admin`, `a@one.test` and `a@two.test` both
    /// give `a`) may name a new account, but never matches an existing one (F7).
    pub username_as_said: bool,
}

/// F2: every attribute that the connector knows or the configuration adds.
///
/// # Errors
/// [`ProvisionError::AttributesMissing`] with all that are missing at once;
/// [`ProvisionError::AttributeTemplate`] where a required one's template fails.
pub fn profile(
    identity: &Identity,
    settings: &Provisioning,
    features: &Features,
) -> Result<WantedProfile, ProvisionError> {
    let mut wanted = WantedProfile::default();
    let mut missing = Vec::new();
    let mut names: Vec<&String> = features.attributes.keys().chain(settings.attributes.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let spec = features.attributes.get(name);
        let attribute = settings.attributes.get(name);
        if attribute.is_some_and(|attribute| !attribute.enabled) {
            continue;
        }
        // An account without a username is none, whatever the recipe forgot to say.
        let required = attribute
            .and_then(|attribute| attribute.required)
            .unwrap_or_else(|| spec.is_some_and(|spec| spec.required))
            || name == "username";
        let shape = spec.map_or_else(|| shape_by_name(name), |spec| spec.shape);
        match value(identity, attribute, spec, shape) {
            Ok(Some((text, origin, as_said))) => {
                if name == "username" {
                    wanted.username_as_said = as_said;
                }
                place(&mut wanted.profile, name, text);
                wanted.origins.insert(name.clone(), origin);
            }
            Ok(None) if required => missing.push(name.clone()),
            Err(reason) if required => {
                return Err(ProvisionError::AttributeTemplate { attribute: name.clone(), reason });
            }
            Ok(None) | Err(_) => {}
        }
    }
    if missing.is_empty() && wanted.profile.username.is_empty() {
        missing.push("username".to_owned());
    }
    if missing.is_empty() {
        Ok(wanted)
    } else {
        let arrived = identity.claims.as_map().keys().cloned().collect();
        Err(ProvisionError::AttributesMissing { missing, arrived })
    }
}

fn shape_by_name(name: &str) -> AttributeShape {
    match name {
        "username" => AttributeShape::Username,
        "email" => AttributeShape::Email,
        _ => AttributeShape::Text,
    }
}

fn place(profile: &mut AccountProfile, name: &str, text: String) {
    match name {
        "username" => profile.username = text,
        "email" => profile.email = Some(text),
        "display_name" => profile.display_name = Some(text),
        _ => {
            profile.attributes.insert(name.to_owned(), text);
        }
    }
}

/// The first candidate that can be made to fit.
fn value(
    identity: &Identity,
    attribute: Option<&Attribute>,
    spec: Option<&AttributeSpec>,
    shape: AttributeShape,
) -> Result<Option<(String, AttributeOrigin, bool)>, String> {
    let fit = |raw: &str, origin: AttributeOrigin| {
        let text = shaped(raw, shape)?;
        let as_said = match shape {
            // To such an application the two are one name.
            AttributeShape::LowerUsername => text.eq_ignore_ascii_case(raw),
            AttributeShape::Text | AttributeShape::Email | AttributeShape::Username | AttributeShape::Url => {
                text == raw
            }
        };
        Some((text, origin, as_said))
    };
    let from_claim =
        |claim: &String| fit(&identity.claims.first(claim)?, AttributeOrigin::Claim(claim.clone()));
    Ok(match attribute.map(|attribute| &attribute.source) {
        None | Some(AttributeSource::Connector) => {
            spec.and_then(|spec| spec.claims.iter().find_map(from_claim))
        }
        Some(AttributeSource::Claims(claims)) => claims.iter().find_map(from_claim),
        Some(AttributeSource::Constant(text)) => fit(text, AttributeOrigin::Constant),
        Some(AttributeSource::Template(template)) => {
            let context = Context::of_session(SessionFacts {
                idp: &identity.idp,
                subject: &identity.subject,
                claims: &identity.claims,
                account: None,
                grant: &Grant::default(),
            });
            let rendered = template.render(&context).map_err(|error| error.to_string())?;
            rendered.and_then(|text| fit(&text, AttributeOrigin::Template))
        }
    })
}

/// Makes a value fit its shape, always in the same way; `None` where nothing usable remains.
///
/// SECURITY: G5. Control characters never get through, whatever the shape.
#[must_use]
pub fn shaped(text: &str, shape: AttributeShape) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_VALUE || text.chars().any(char::is_control) {
        return None;
    }
    match shape {
        AttributeShape::Text => Some(text.to_owned()),
        AttributeShape::Email => EmailAddress::parse(text).ok().map(|address| address.to_string()),
        AttributeShape::Username => username(text),
        AttributeShape::LowerUsername => username(text).map(|name| name.to_ascii_lowercase()),
        AttributeShape::Url => url::Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            .map(String::from),
    }
}

/// ASCII letters, digits, `.`, `_`, `-`; everything else becomes one `-`; no separator at either end and
/// none twice in a row, so that no application takes it for a path (`..`), an option or a hidden name.
fn username(text: &str) -> Option<String> {
    // Of a whole address the local part, of `DOMAIN\user` the user.
    let text = text.split_once('@').map_or(text, |(local, _)| local);
    let text = text.rsplit_once('\\').map_or(text, |(_, user)| user);
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let separator = !c.is_ascii_alphanumeric();
        if separator && out.chars().next_back().is_none_or(|last| !last.is_ascii_alphanumeric()) {
            continue;
        }
        out.push(c);
    }
    while out.ends_with(['.', '_', '-']) {
        out.pop();
    }
    (!out.is_empty() && out.len() <= 64).then_some(out)
}
