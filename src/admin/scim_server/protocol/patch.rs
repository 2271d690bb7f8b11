//! PATCH (RFC 7644, 3.5.2): operations one after another, all or none.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::Object;
use super::document::{MAX_MEMBERS, complete, conform_extension, conform_one, conform_value, is_primary};
use super::error::ScimError;
use super::filter::PatchPath;
use super::matching::Matcher;
use super::path::{Located, Place, resolve};
use super::schema::{Attribute, Mutability, ResourceType, Returned, Schema};

pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Operations of one request.
const MAX_OPERATIONS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Remove,
    Replace,
}

/// Where an operation's target stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// In `path`: it must be there and may be written.
    ByPath,
    /// As a member of `value`: what may not be written is passed over, as in a PUT.
    InValue,
}

/// What the operations of `request` make of `current`, the attributes that clients write.
///
/// # Errors
/// The first operation that cannot be done; its number is told.
pub fn apply(resource: &ResourceType, current: &Object, request: &Json) -> Result<Object, ScimError> {
    let operations = operations(request)?;
    let mut target = current.clone();
    for (number, operation) in operations.iter().enumerate() {
        one(resource, &mut target, operation).map_err(|error| numbered(error, number + 1))?;
    }
    check(resource, &target)?;
    Ok(target)
}

fn operations(request: &Json) -> Result<&Vec<Json>, ScimError> {
    let syntax = |what: &str| ScimError::InvalidSyntax(what.to_owned());
    let request = request.as_object().ok_or_else(|| syntax("a JSON object is expected"))?;
    let schemas = field(request, "schemas").and_then(Json::as_array).into_iter().flatten();
    if !schemas.filter_map(Json::as_str).any(|urn| urn.eq_ignore_ascii_case(PATCH)) {
        return Err(ScimError::InvalidSyntax(format!("schemas does not name {PATCH}")));
    }
    let operations = field(request, "Operations").and_then(Json::as_array);
    let operations = operations.ok_or_else(|| syntax("Operations is missing"))?;
    if operations.is_empty() {
        return Err(syntax("Operations is empty"));
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(ScimError::InvalidSyntax(format!("there are more than {MAX_OPERATIONS} operations")));
    }
    Ok(operations)
}

/// Names in a message are attributes, too: case does not count (RFC 7643, 2.1).
pub(super) fn field<'a>(object: &'a Object, name: &str) -> Option<&'a Json> {
    object.get(name).or_else(|| {
        object.iter().find(|(written, _)| written.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

fn numbered(error: ScimError, number: usize) -> ScimError {
    let told = |what: String| format!("operation {number}: {what}");
    match error {
        ScimError::InvalidFilter(what) => ScimError::InvalidFilter(told(what)),
        ScimError::Mutability(what) => ScimError::Mutability(told(what)),
        ScimError::InvalidSyntax(what) => ScimError::InvalidSyntax(told(what)),
        ScimError::InvalidPath(what) => ScimError::InvalidPath(told(what)),
        ScimError::NoTarget(what) => ScimError::NoTarget(told(what)),
        ScimError::InvalidValue(what) => ScimError::InvalidValue(told(what)),
        other => other,
    }
}

fn one(resource: &ResourceType, target: &mut Object, operation: &Json) -> Result<(), ScimError> {
    let syntax = |what: &str| ScimError::InvalidSyntax(what.to_owned());
    let operation = operation.as_object().ok_or_else(|| syntax("an operation is an object"))?;
    let op = match field(operation, "op").and_then(Json::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("add") => Op::Add,
        Some("remove") => Op::Remove,
        Some("replace") => Op::Replace,
        _ => return Err(syntax("op is one of add, remove and replace")),
    };
    let value = field(operation, "value");
    let path = match field(operation, "path") {
        None | Some(Json::Null) => None,
        Some(Json::String(path)) if path.is_empty() => None,
        Some(Json::String(path)) => Some(path),
        Some(_) => return Err(syntax("path is a string")),
    };
    let change = Change { resource, op, named: Named::ByPath };
    match (path, value) {
        (Some(path), value) => change.at(target, path, value),
        // RFC 7644, 3.5.2.2.
        (None, _) if op == Op::Remove => Err(ScimError::NoTarget("remove needs a path".to_owned())),
        (None, Some(Json::Object(parts))) => Change { named: Named::InValue, ..change }.parts(target, parts),
        (None, _) => Err(ScimError::InvalidValue("without a path, value is an object".to_owned())),
    }
}

/// One operation at work.
#[derive(Clone, Copy)]
struct Change<'a> {
    resource: &'a ResourceType,
    op: Op,
    named: Named,
}

impl Change<'_> {
    /// Without a path: every member of the value is a target. Entra names them by whole paths.
    fn parts(self, target: &mut Object, parts: &Object) -> Result<(), ScimError> {
        for (name, value) in parts {
            let known = PatchPath::parse(name).is_ok_and(|path| resolve(self.resource, &path.path).is_some());
            if known {
                self.at(target, name, Some(value))?;
            }
        }
        Ok(())
    }

    fn at(self, target: &mut Object, path: &str, value: Option<&Json>) -> Result<(), ScimError> {
        let path = PatchPath::parse(path)?;
        if value.is_none() && self.op != Op::Remove {
            return Err(ScimError::InvalidValue("value is missing".to_owned()));
        }
        let value = value.unwrap_or(&Json::Null);
        let place = resolve(self.resource, &path.path).ok_or_else(|| {
            ScimError::InvalidPath(format!("{} has no attribute {:?}", self.resource.schema.name, path.path))
        })?;
        let located = match place {
            Place::Extension(extension) if path.filter.is_none() => {
                return self.extension(target, extension, value);
            }
            Place::Extension(_) => {
                return Err(ScimError::InvalidPath(format!("{} has one value only", path.path)));
            }
            Place::Attribute(located) => located,
        };
        let attribute = located.attribute;
        let sub = match (&path.sub, located.sub) {
            (None, sub) => sub,
            (Some(_), Some(_)) => return Err(ScimError::InvalidPath(format!("{} has no parts", path.path))),
            (Some(name), None) => Some(attribute.sub(name).ok_or_else(|| {
                ScimError::InvalidPath(format!("{} has no sub-attribute {name:?}", attribute.name))
            })?),
        };
        if attribute.is_read_only() || sub.is_some_and(Attribute::is_read_only) || attribute.name == "schemas"
        {
            return match self.named {
                Named::InValue => Ok(()),
                Named::ByPath => {
                    Err(ScimError::Mutability(format!("{} is written by this server only", path.path)))
                }
            };
        }
        let matcher = match &path.filter {
            None => None,
            // RFC 7644, 3.5.2: value selection is for multi-valued attributes.
            Some(_) if !attribute.multi_valued || located.sub.is_some() => {
                return Err(ScimError::InvalidPath(format!("{} has one value only", attribute.name)));
            }
            Some(filter) => Some(Matcher::of_element(filter, attribute)?),
        };
        Self::within(target, located, |object| match matcher {
            Some(matcher) => self.selected(object, attribute, sub, &matcher, value),
            None if attribute.multi_valued => self.several(object, attribute, sub, value),
            None => self.single(object, attribute, sub, value),
        })
    }

    /// Runs `change` on the object that holds the attribute; an extension comes and goes with its attributes.
    fn within(
        target: &mut Object,
        located: Located,
        change: impl FnOnce(&mut Object) -> Result<(), ScimError>,
    ) -> Result<(), ScimError> {
        let Some(extension) = located.extension else { return change(target) };
        let mut object = match target.remove(extension.id) {
            Some(Json::Object(object)) => object,
            _ => Object::new(),
        };
        change(&mut object)?;
        if !object.is_empty() {
            target.insert(extension.id.to_owned(), Json::Object(object));
        }
        Ok(())
    }

    fn extension(
        self,
        target: &mut Object,
        extension: &'static Schema,
        value: &Json,
    ) -> Result<(), ScimError> {
        if self.op == Op::Remove {
            target.shift_remove(extension.id);
            return Ok(());
        }
        // As for a complex attribute: what is named is written, the rest stays.
        let Some(Json::Object(parts)) = conform_extension(extension, value)? else { return Ok(()) };
        let located = |attribute| Located { extension: Some(extension), attribute, sub: None };
        for (name, value) in &parts {
            let Some(attribute) = extension.attribute(name) else { continue };
            Self::within(target, located(attribute), |object| self.single(object, attribute, None, value))?;
        }
        Ok(())
    }

    fn single(
        self,
        object: &mut Object,
        attribute: &'static Attribute,
        sub: Option<&'static Attribute>,
        value: &Json,
    ) -> Result<(), ScimError> {
        if let Some(sub) = sub {
            let mut parts = match object.get(attribute.name) {
                Some(Json::Object(parts)) => parts.clone(),
                _ => Object::new(),
            };
            self.single(&mut parts, sub, None, value)?;
            set(object, attribute, (!parts.is_empty()).then_some(Json::Object(parts)));
            return Ok(());
        }
        if self.op == Op::Remove {
            object.shift_remove(attribute.name);
            return Ok(());
        }
        let new = conform_value(attribute, value)?;
        immutable(attribute, object.get(attribute.name), new.as_ref())?;
        if attribute.returned == Returned::Never {
            return Ok(());
        }
        match (object.get_mut(attribute.name), new, value) {
            // RFC 7644, 3.5.2.1 and 3.5.2.3: the sub-attributes that are named are written, the others stay.
            (Some(Json::Object(old)), Some(Json::Object(new)), Json::Object(written)) => {
                old.extend(new);
                for (name, _) in written.iter().filter(|(_, value)| value.is_null()) {
                    if let Some(sub) = attribute.sub(name) {
                        old.shift_remove(sub.name);
                    }
                }
            }
            (_, new, _) => set(object, attribute, new),
        }
        Ok(())
    }

    /// A multi-valued attribute without a filter.
    fn several(
        self,
        object: &mut Object,
        attribute: &'static Attribute,
        sub: Option<&'static Attribute>,
        value: &Json,
    ) -> Result<(), ScimError> {
        let mut elements = elements(object, attribute);
        match (self.op, sub) {
            // Of every value.
            (_, Some(sub)) => {
                if elements.is_empty() && self.op != Op::Remove {
                    elements.push(Json::Object(Object::new()));
                }
                for element in &mut elements {
                    self.part(element, sub, value)?;
                }
                elements.retain(is_something);
                if conform_one(sub, value)? == Some(Json::Bool(true)) && elements.len() > 1 {
                    let what = format!("{}.primary cannot be true of several values", attribute.name);
                    return Err(ScimError::InvalidValue(what));
                }
            }
            (Op::Add, None) => append(&mut elements, attribute, value)?,
            (Op::Replace, None) => {
                elements = match conform_value(attribute, value)? {
                    Some(Json::Array(new)) => new,
                    _ => Vec::new(),
                }
            }
            (Op::Remove, None) => match value {
                Json::Null => elements.clear(),
                // Entra names the members to remove in value (not in RFC 7644). To take that for all of them
                // would empty the group.
                value => {
                    let gone: HashSet<String> = match conform_value(attribute, value)? {
                        Some(Json::Array(gone)) => gone.iter().map(identity).collect(),
                        _ => HashSet::new(),
                    };
                    elements.retain(|element| !gone.contains(&identity(element)));
                }
            },
        }
        set(object, attribute, (!elements.is_empty()).then_some(Json::Array(elements)));
        Ok(())
    }

    /// The values of a multi-valued attribute that a filter chooses.
    fn selected(
        self,
        object: &mut Object,
        attribute: &'static Attribute,
        sub: Option<&'static Attribute>,
        matcher: &Matcher,
        value: &Json,
    ) -> Result<(), ScimError> {
        let mut elements = elements(object, attribute);
        let chosen: Vec<bool> = elements.iter().map(|element| matcher.matches_element(element)).collect();
        let any = chosen.contains(&true);
        match self.op {
            // What is to be gone and is not there is gone.
            Op::Remove if !any => return Ok(()),
            Op::Remove if sub.is_none() => {
                let mut chosen = chosen.iter();
                elements.retain(|_| chosen.next() != Some(&true));
            }
            // RFC 7644, 3.5.2.3.
            Op::Replace if !any => {
                return Err(ScimError::NoTarget(format!("no value of {} matches", attribute.name)));
            }
            // RFC 7644 is silent; Entra adds emails[type eq "work"].value so.
            Op::Add if !any => {
                let implied = matcher.implied().ok_or_else(|| {
                    ScimError::NoTarget(format!(
                        "no value of {} matches, and the filter does not say what a new one is",
                        attribute.name
                    ))
                })?;
                let mut element = Json::Object(implied);
                self.element(&mut element, attribute, sub, value)?;
                append(&mut elements, attribute, &element)?;
            }
            Op::Add | Op::Replace | Op::Remove => {
                for (element, _) in elements.iter_mut().zip(&chosen).filter(|(_, chosen)| **chosen) {
                    self.element(element, attribute, sub, value)?;
                }
                elements.retain(is_something);
                one_primary(&mut elements, &chosen);
            }
        }
        set(object, attribute, (!elements.is_empty()).then_some(Json::Array(elements)));
        Ok(())
    }

    /// One chosen value, or its sub-attribute.
    fn element(
        self,
        element: &mut Json,
        attribute: &'static Attribute,
        sub: Option<&'static Attribute>,
        value: &Json,
    ) -> Result<(), ScimError> {
        if let Some(sub) = sub {
            return self.part(element, sub, value);
        }
        let Some(new) = conform_one(attribute, value)? else {
            *element = Json::Null;
            return Ok(());
        };
        for sub in attribute.sub_attributes {
            immutable(sub, element.get(sub.name), new.get(sub.name).or(element.get(sub.name)))?;
        }
        match (self.op, element, new) {
            (Op::Add, Json::Object(old), Json::Object(new)) => old.extend(new),
            // RFC 7644, 3.5.2.3: all matching values are replaced.
            (_, element, new) => *element = new,
        }
        Ok(())
    }

    fn part(self, element: &mut Json, sub: &'static Attribute, value: &Json) -> Result<(), ScimError> {
        let Json::Object(parts) = element else { return Ok(()) };
        if self.op == Op::Remove {
            if sub.required || sub.mutability == Mutability::Immutable {
                return Err(ScimError::Mutability(format!("{} cannot be removed", sub.name)));
            }
            parts.shift_remove(sub.name);
            return Ok(());
        }
        let new = conform_value(sub, value)?;
        immutable(sub, parts.get(sub.name), new.as_ref())?;
        set(parts, sub, new);
        Ok(())
    }
}

/// RFC 7644, 3.5.2: an immutable attribute may be given a value once.
fn immutable(attribute: &Attribute, old: Option<&Json>, new: Option<&Json>) -> Result<(), ScimError> {
    if attribute.mutability == Mutability::Immutable && old.is_some() && old != new {
        return Err(ScimError::Mutability(format!("{} cannot be changed", attribute.name)));
    }
    Ok(())
}

fn set(object: &mut Object, attribute: &Attribute, value: Option<Json>) {
    match value {
        Some(value) => {
            object.insert(attribute.name.to_owned(), value);
        }
        None => {
            object.shift_remove(attribute.name);
        }
    }
}

/// Takes the values out; they are put back changed.
fn elements(object: &Object, attribute: &Attribute) -> Vec<Json> {
    object.get(attribute.name).and_then(Json::as_array).cloned().unwrap_or_default()
}

fn is_something(element: &Json) -> bool {
    match element {
        Json::Null => false,
        Json::Object(parts) => !parts.is_empty(),
        _ => true,
    }
}

/// Two values with one identity are one: `value` where there is such a part, else the whole.
fn identity(element: &Json) -> String {
    match element.get("value") {
        Some(Json::String(value)) => value.clone(),
        _ => element.to_string(),
    }
}

/// RFC 7644, 3.5.2.1: values are added unless they are there already.
fn append(elements: &mut Vec<Json>, attribute: &'static Attribute, value: &Json) -> Result<(), ScimError> {
    let Some(Json::Array(new)) = conform_value(attribute, value)? else { return Ok(()) };
    let key = |element: &Json| {
        if attribute.name == "members" { identity(element) } else { element.to_string() }
    };
    let mut there: HashSet<String> = elements.iter().map(key).collect();
    for element in new {
        if !there.insert(key(&element)) {
            continue;
        }
        if is_primary(&element) {
            demote(elements);
        }
        elements.push(element);
    }
    Ok(())
}

/// RFC 7644, 3.5.2: where a value becomes primary, no other is.
fn one_primary(elements: &mut [Json], chosen: &[bool]) {
    let new = elements.iter().zip(chosen).position(|(element, chosen)| *chosen && is_primary(element));
    let Some(new) = new else { return };
    for (_, element) in elements.iter_mut().enumerate().filter(|(at, _)| *at != new) {
        demote(std::slice::from_mut(element));
    }
}

fn demote(elements: &mut [Json]) {
    for element in elements.iter_mut().filter(|element| is_primary(element)) {
        if let Json::Object(parts) = element {
            parts.insert("primary".to_owned(), Json::Bool(false));
        }
    }
}

fn check(resource: &ResourceType, target: &Object) -> Result<(), ScimError> {
    // RFC 7644, 3.5.2.2: a required attribute that is gone is an error of mutability.
    complete(resource, target).map_err(|error| ScimError::Mutability(error.to_string()))?;
    let members = target.get("members").and_then(Json::as_array);
    if members.is_some_and(|members| members.len() > MAX_MEMBERS) {
        return Err(ScimError::InvalidValue(format!("a group has at most {MAX_MEMBERS} members")));
    }
    Ok(())
}
