//! What a client writes, made to fit the schema: names as the schema has them, values of its types (RFC 7643, 2).
//!
//! What narthex does not know is left out, as is what clients may not write; what is of a wrong type is refused.

use serde_json::Value as Json;

use super::Object;
use super::definitions::ENTERPRISE;
use super::error::ScimError;
use super::matching::{flag, folded, time};
use super::schema::{Attribute, Mutability, ResourceType, Returned, Schema, Type};

/// Characters of one string.
const MAX_TEXT: usize = 4096;
/// Values of one attribute, but for a group's members.
const MAX_VALUES: usize = 500;
/// Members of one group.
pub const MAX_MEMBERS: usize = 50_000;

/// A whole resource as a client sends it, with everything required there.
///
/// # Errors
/// [`ScimError::InvalidSyntax`] and [`ScimError::InvalidValue`].
pub fn conform(resource: &ResourceType, written: &Json) -> Result<Object, ScimError> {
    let written = written
        .as_object()
        .ok_or_else(|| ScimError::InvalidSyntax("a JSON object is expected".to_owned()))?;
    schemas(resource, written)?;
    let mut sound = Object::new();
    let mut extended = Vec::new();
    for (name, value) in written {
        if let Some(extension) = resource.extension(name) {
            extended.push((extension, value));
        } else if let Some(attribute) = resource.attribute(name) {
            put(&mut sound, attribute, value)?;
        }
    }
    for (extension, value) in extended {
        if let Some(value) = conform_extension(extension, value)?
            && sound.insert(extension.id.to_owned(), value).is_some()
        {
            return Err(twice(extension.id));
        }
    }
    complete(resource, &sound)?;
    Ok(sound)
}

/// RFC 7643, 3: `schemas` names at least the schema of the resource.
fn schemas(resource: &ResourceType, written: &Object) -> Result<(), ScimError> {
    let named = written.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    let urns = named.and_then(|(_, value)| value.as_array()).into_iter().flatten().filter_map(Json::as_str);
    if urns.into_iter().any(|urn| urn.eq_ignore_ascii_case(resource.schema.id)) {
        return Ok(());
    }
    Err(ScimError::InvalidSyntax(format!("schemas does not name {}", resource.schema.id)))
}

/// Checks that nothing required is absent.
pub(super) fn complete(resource: &ResourceType, sound: &Object) -> Result<(), ScimError> {
    for attribute in resource.schema.attributes.iter().filter(|attribute| attribute.required) {
        let blank =
            sound.get(attribute.name).and_then(Json::as_str).is_none_or(|text| text.trim().is_empty());
        if blank {
            return Err(ScimError::InvalidValue(format!("{} is required", attribute.name)));
        }
    }
    Ok(())
}

fn put(into: &mut Object, attribute: &'static Attribute, value: &Json) -> Result<(), ScimError> {
    // RFC 7644, 3.3: what is read-only is ignored in a request.
    if attribute.is_read_only() || attribute.name == "schemas" {
        return Ok(());
    }
    let Some(value) = conform_value(attribute, value)? else { return Ok(()) };
    // SECURITY: a password that nobody needs is not kept, not even for a moment in the store.
    if attribute.returned == Returned::Never {
        return Ok(());
    }
    if into.insert(attribute.name.to_owned(), value).is_some() {
        return Err(twice(attribute.name));
    }
    Ok(())
}

/// SECURITY: `userName` and `username` in one document are one name twice, and two readers could take either.
fn twice(name: &str) -> ScimError {
    ScimError::InvalidSyntax(format!("{name} is there twice, differing in case only"))
}

/// The attributes of an extension; `None` where none has a value.
pub(super) fn conform_extension(extension: &'static Schema, value: &Json) -> Result<Option<Json>, ScimError> {
    let parts = match value {
        Json::Null => return Ok(None),
        Json::Object(parts) => parts,
        _ => return Err(ScimError::InvalidValue(format!("{} is a complex attribute", extension.id))),
    };
    let mut sound = Object::new();
    for (name, value) in parts {
        if let Some(attribute) = extension.attribute(name) {
            put(&mut sound, attribute, value)?;
        }
    }
    Ok((!sound.is_empty()).then_some(Json::Object(sound)))
}

/// A value of `attribute` as the schema has it; `None` where it is unassigned (RFC 7643, 2.5).
///
/// # Errors
/// [`ScimError::InvalidValue`].
pub fn conform_value(attribute: &'static Attribute, value: &Json) -> Result<Option<Json>, ScimError> {
    if !attribute.multi_valued {
        return conform_one(attribute, value);
    }
    let one = std::slice::from_ref(value);
    let written = match value {
        Json::Array(elements) => elements.as_slice(),
        // Several clients leave the brackets out where there is one value.
        _ => one,
    };
    let most = if attribute.name == "members" { MAX_MEMBERS } else { MAX_VALUES };
    if written.len() > most {
        return Err(ScimError::InvalidValue(format!("{} has more than {most} values", attribute.name)));
    }
    let mut sound = Vec::new();
    for element in written {
        sound.extend(conform_one(attribute, element)?);
    }
    if sound.iter().filter(|element| is_primary(element)).count() > 1 {
        // RFC 7643, 2.4: "true" no more than once.
        return Err(ScimError::InvalidValue(format!("{} has more than one primary value", attribute.name)));
    }
    Ok((!sound.is_empty()).then_some(Json::Array(sound)))
}

pub(super) fn is_primary(element: &Json) -> bool {
    element.get("primary").and_then(Json::as_bool) == Some(true)
}

/// One value, or one of several.
pub(super) fn conform_one(attribute: &'static Attribute, value: &Json) -> Result<Option<Json>, ScimError> {
    let wrong = |expected: &str| Err(ScimError::InvalidValue(format!("{} is {expected}", attribute.name)));
    match (attribute.kind, value) {
        (_, Json::Null) => Ok(None),
        (Type::Boolean, value) => match flag(value) {
            Some(flag) => Ok(Some(Json::Bool(flag))),
            None => wrong("true or false"),
        },
        (Type::DateTime, Json::String(text)) if time(text).is_some() => Ok(Some(value.clone())),
        (Type::DateTime, _) => wrong("a date and time with its zone"),
        (Type::String, Json::String(text)) => {
            if text.chars().count() > MAX_TEXT {
                return wrong(&format!("longer than {MAX_TEXT} characters"));
            }
            no_nul(attribute, text)?;
            Ok(Some(value.clone()))
        }
        (Type::Reference | Type::Binary, Json::String(text)) => {
            no_nul(attribute, text)?;
            Ok(Some(value.clone()))
        }
        // SECURITY: a number is no text, so that a numeric externalId is never taken for an id (CVE-2025-41115).
        (Type::String | Type::Reference | Type::Binary, _) => wrong("a string"),
        (Type::Complex, Json::Object(parts)) => conform_parts(attribute, parts),
        // Entra sends the manager's id and roles as bare strings.
        (Type::Complex, Json::String(_)) if attribute.value().is_some() => {
            let mut parts = Object::new();
            parts.insert("value".to_owned(), value.clone());
            conform_parts(attribute, &parts)
        }
        (Type::Complex, _) => wrong("an object"),
    }
}

fn no_nul(attribute: &Attribute, text: &str) -> Result<(), ScimError> {
    if text.contains('\0') {
        return Err(ScimError::InvalidValue(format!("{} holds a NUL", attribute.name)));
    }
    Ok(())
}

fn conform_parts(attribute: &'static Attribute, parts: &Object) -> Result<Option<Json>, ScimError> {
    let mut sound = Object::new();
    for (name, value) in parts {
        if let Some(sub) = attribute.sub(name) {
            put(&mut sound, sub, value)?;
        }
    }
    if sound.is_empty() {
        return Ok(None);
    }
    let missing = attribute.sub_attributes.iter().find(|sub| sub.required && !sound.contains_key(sub.name));
    if let Some(missing) = missing {
        return Err(ScimError::InvalidValue(format!("{}.{} is required", attribute.name, missing.name)));
    }
    Ok(Some(Json::Object(sound)))
}

/// What a PUT makes of what was there (RFC 7644, 3.5.1).
///
/// # Errors
/// [`ScimError::Mutability`] where it changes what is immutable.
pub fn replaced(resource: &ResourceType, current: &Object, mut written: Object) -> Result<Object, ScimError> {
    for attribute in resource.attributes().filter(|one| one.mutability == Mutability::Immutable) {
        match (current.get(attribute.name), written.get(attribute.name)) {
            (Some(old), Some(new)) if old != new => {
                return Err(ScimError::Mutability(format!("{} cannot be changed", attribute.name)));
            }
            (Some(old), None) => {
                written.insert(attribute.name.to_owned(), old.clone());
            }
            _ => {}
        }
    }
    // SECURITY: RFC 7644, 3.5.1 lets the server choose what an omitted attribute becomes. A deactivated account
    // does not become active by being left out.
    if let (Some(active), false) = (current.get("active"), written.contains_key("active")) {
        written.insert("active".to_owned(), active.clone());
    }
    Ok(written)
}

/// What the store finds a resource by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Keys {
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub display_name: Option<String>,
    pub display_key: Option<String>,
}

/// The keys of this resource.
#[must_use]
pub fn keys(sound: &Object) -> Keys {
    let text = |name: &str| sound.get(name).and_then(Json::as_str);
    Keys {
        user_name: text("userName").map(folded),
        external_id: text("externalId").map(str::to_owned),
        // SECURITY: F7. Non-ASCII local parts never match by folding.
        email: preferred(sound, "emails").map(str::to_ascii_lowercase),
        display_name: text("displayName").map(str::to_owned),
        display_key: text("displayName").map(folded),
    }
}

/// The value of a multi-valued attribute that counts where one is wanted: the primary one, else the first.
#[must_use]
pub fn preferred<'a>(sound: &'a Object, attribute: &str) -> Option<&'a str> {
    let elements = sound.get(attribute)?.as_array()?;
    let one = elements.iter().find(|element| is_primary(element)).or_else(|| elements.first())?;
    one.get("value")?.as_str()
}

/// The ids in a group's `members`, each once.
#[must_use]
pub fn members(sound: &Object) -> Vec<String> {
    let elements = sound.get("members").and_then(Json::as_array).into_iter().flatten();
    let ids = elements.filter_map(|element| element.get("value")).filter_map(Json::as_str);
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The `schemas` of a resource that has these attributes.
#[must_use]
pub fn schemas_of(resource: &ResourceType, sound: &Object) -> Json {
    let mut schemas = vec![resource.schema.id];
    if sound.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    Json::from(schemas)
}
