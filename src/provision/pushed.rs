//! A user whom a SCIM client pushed, as an identity that the directory vouches for; and who of them it is that signs in
//! (M3). Pure functions.

use serde_json::{Map, Value, json};

use super::ProvisionError;
use super::eligibility::{Authority, IdentityEmail};
use crate::config::settings::{
    MappingGives, MappingRow, Mode, Provisioning, Scim, ScimGroups, ScimMatch, SessionRoles,
};
use crate::model::scim::{ScimLink, ScimResource};
use crate::model::{Claims, Facet, Identity, IdpId, Subject};
use crate::store::ScimWhich;

/// The claims in which the pushed user's groups and role stand.
const GROUPS: &str = "groups";
const ROLE: &str = "role";
/// Users of whom this is the SCIM path get this claim.
const TEXTS: [(&str, &str); 11] = [
    ("preferred_username", "userName"),
    ("name", "displayName"),
    ("given_name", "name.givenName"),
    ("family_name", "name.familyName"),
    ("middle_name", "name.middleName"),
    ("nickname", "nickName"),
    ("profile", "profileUrl"),
    ("locale", "locale"),
    ("zoneinfo", "timezone"),
    ("title", "title"),
    ("external_id", "externalId"),
];

/// What the directory may say of e-mails: whoever holds the token speaks for all of its people.
pub(super) fn authority() -> Authority {
    Authority { domains: vec!["*".to_owned()], trust_email: true }
}

/// How pushes are seen to: as sign-ins of a provider whose word is the account's whole truth (L3), and whose groups and
/// role stand in the claims that [`identity`] makes.
pub(super) fn settings(of: &Provisioning) -> Provisioning {
    let mut settings = of.clone();
    settings.mode = Mode::Jit;
    settings.role_claim = vec![ROLE.to_owned()];
    settings.groups_claim = vec![GROUPS.to_owned()];
    settings.teams_claim = None;
    settings.session_roles = SessionRoles::Off;
    settings.lifecycle.sync = Facet::ALL.into_iter().collect();
    // E1 is of those whom a sign-in made.
    settings.lifecycle.ephemeral = None;
    settings
}

/// The rows by which these groups give what is of their name (`scim.groups`). They mark nothing as privileged: what is,
/// counts as unknown (F4).
pub(super) fn rows(groups: ScimGroups, links: &[ScimLink]) -> Vec<MappingRow> {
    let gives = |name: &str| match groups {
        ScimGroups::Mapping => None,
        ScimGroups::Teams => Some(MappingGives::Team { team: name.to_owned(), team_role: None }),
        ScimGroups::AppGroups => Some(MappingGives::AppGroups(vec![name.to_owned()])),
    };
    let row = |link: &ScimLink| {
        Some(MappingRow {
            group: Some(link.group_name.clone()),
            label: None,
            idp: None,
            when: None,
            privileged: false,
            gives: gives(&link.group_name)?,
        })
    };
    links.iter().filter_map(row).collect()
}

/// Whether the account may be used: only where `active` is true.
pub(super) fn is_active(user: &ScimResource) -> bool {
    body(user).get("active").and_then(Value::as_bool) == Some(true)
}

/// Under which the pushed user is a member.
///
/// SECURITY: lesson 32. The id is of our own making, not `externalId`.
pub(super) fn subject(user: &str) -> Option<Subject> {
    Subject::parse(user)
}

/// The user and its groups.
pub(super) fn identity(user: &ScimResource, links: &[ScimLink]) -> Result<Identity, ProvisionError> {
    let implausible = |what: String| ProvisionError::Implausible { what };
    let body = body(user);
    let mut claims = Map::new();
    for (claim, path) in TEXTS {
        let found = path.split('.').try_fold(&Value::Null, |value, part| match value {
            Value::Null => body.get(part),
            value => value.get(part),
        });
        if let Some(Value::String(text)) = found {
            claims.insert(claim.to_owned(), json!(text));
        }
    }
    if !claims.contains_key("name")
        && let Some(Value::String(name)) = body.get("name").and_then(|name| name.get("formatted"))
    {
        claims.insert("name".to_owned(), json!(name));
    }
    for (claim, attribute) in
        [("email", "emails"), ("phone_number", "phoneNumbers"), ("picture", "photos"), (ROLE, "roles")]
    {
        if let Some(value) = preferred(&body, attribute) {
            claims.insert(claim.to_owned(), json!(value));
        }
    }
    if claims.contains_key("email") {
        claims.insert("email_verified".to_owned(), json!(true));
    }
    let groups: Vec<&str> = links.iter().map(|link| link.group_name.as_str()).collect();
    // There even where it is empty: then it is known that there are none (L7).
    claims.insert(GROUPS.to_owned(), json!(groups));
    let subject = subject(&user.id).ok_or_else(|| implausible(format!("the SCIM id {:?}", user.id)))?;
    Ok(Identity {
        idp: IdpId::scim(),
        logout_name: subject.as_str().to_owned(),
        subject,
        claims: Claims::new(claims).map_err(|error| implausible(error.to_string()))?,
        idp_session: None,
        authenticated_at: None,
        ends_at: None,
    })
}

fn body(user: &ScimResource) -> Map<String, Value> {
    serde_json::from_str(&user.body).unwrap_or_default()
}

/// The primary value, else the first.
fn preferred<'a>(body: &'a Map<String, Value>, attribute: &str) -> Option<&'a str> {
    let elements = body.get(attribute)?.as_array()?;
    let is_primary = |element: &&Value| element.get("primary").and_then(Value::as_bool) == Some(true);
    elements.iter().find(is_primary).or_else(|| elements.first())?.get("value")?.as_str()
}

/// How the user whose person signs in is found (M3); `None`: the identity does not say, or is not of the provider whose
/// people are pushed.
pub(super) fn search(scim: &Scim, identity: &Identity, email: Option<&IdentityEmail>) -> Option<ScimWhich> {
    // SECURITY: F8. What one provider calls a person says nothing of another's.
    if scim.idp.as_ref().is_some_and(|idp| *idp != identity.idp) {
        return None;
    }
    match &scim.matching {
        ScimMatch::ExternalId { claim: None } => {
            Some(ScimWhich::ExternalId(identity.subject.as_str().to_owned()))
        }
        ScimMatch::ExternalId { claim: Some(claim) } => {
            identity.claims.first(claim).map(ScimWhich::ExternalId)
        }
        ScimMatch::UserName { claim } => {
            identity.claims.first(claim).map(|name| ScimWhich::UserName(name.to_lowercase()))
        }
        // F1: only one that the provider may speak for, and verified.
        ScimMatch::Email => email
            .filter(|email| email.verified)
            .map(|email| ScimWhich::Email(email.address.to_string().to_ascii_lowercase())),
    }
    .filter(|which| match which {
        ScimWhich::ExternalId(key) | ScimWhich::UserName(key) | ScimWhich::Email(key) => !key.is_empty(),
        _ => false,
    })
}

/// Whether the found user's name is the one that the provider said, but for the case of ASCII letters.
///
/// SECURITY: the store folds more (the Kelvin sign is a k to it), which is right for keeping names apart and wrong for
/// taking one for another.
pub(super) fn is_named(scim: &Scim, identity: &Identity, user: &ScimResource) -> bool {
    let ScimMatch::UserName { claim } = &scim.matching else { return true };
    let said = identity.claims.first(claim);
    let held = body(user).get("userName").and_then(Value::as_str).map(str::to_owned);
    said.zip(held).is_some_and(|(said, held)| said.eq_ignore_ascii_case(&held))
}
