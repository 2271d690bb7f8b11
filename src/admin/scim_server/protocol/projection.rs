//! `attributes` and `excludedAttributes` (RFC 7644, 3.9) with the schema's `returned` (RFC 7643, 7).

use serde_json::Value as Json;

use super::Object;
use super::error::ScimError;
use super::path::{Located, Place, resolve};
use super::schema::{Attribute, ResourceType, Returned, Schema};

/// Names in one request.
const MAX_NAMES: usize = 200;

/// What a client wants of resources, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub attributes: Vec<String>,
    pub excluded: Vec<String>,
}

/// What of a resource of one type is returned.
#[derive(Debug)]
pub struct Projection {
    resource: &'static ResourceType,
    which: Which,
}

#[derive(Debug)]
enum Which {
    Default,
    Only(Vec<Place>),
    Without(Vec<Place>),
}

impl Wanted {
    /// # Errors
    /// [`ScimError::InvalidValue`]: both at once (RFC 7644, 3.9), or too many names.
    pub fn checked(self) -> Result<Self, ScimError> {
        if !self.attributes.is_empty() && !self.excluded.is_empty() {
            let what = "attributes and excludedAttributes exclude each other; give one of them";
            return Err(ScimError::InvalidValue(what.to_owned()));
        }
        if self.attributes.len().max(self.excluded.len()) > MAX_NAMES {
            return Err(ScimError::InvalidValue(format!("more than {MAX_NAMES} attributes are named")));
        }
        Ok(self)
    }

    /// Names that the type does not have are passed over.
    #[must_use]
    pub fn of(&self, resource: &'static ResourceType) -> Projection {
        let places = |names: &[String]| names.iter().filter_map(|name| resolve(resource, name)).collect();
        let which = if !self.attributes.is_empty() {
            Which::Only(places(&self.attributes))
        } else if self.excluded.is_empty() {
            Which::Default
        } else {
            Which::Without(places(&self.excluded))
        };
        Projection { resource, which }
    }

    /// Whether anything was asked for.
    #[must_use]
    pub fn is_stated(&self) -> bool {
        !self.attributes.is_empty() || !self.excluded.is_empty()
    }
}

impl Projection {
    /// Whether this top-level attribute is returned if it has a value, so that it need not be looked up else.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.resource.attribute(name).is_some_and(|attribute| self.kept(None, attribute) != Kept::Nothing)
    }

    /// The resource with what is wanted of it.
    #[must_use]
    pub fn apply(&self, resource: Object) -> Object {
        let mut shown = Object::new();
        for (name, value) in resource {
            if let Some(extension) = self.resource.extension(&name) {
                let Json::Object(parts) = value else { continue };
                let mut kept = Object::new();
                for (name, value) in parts {
                    self.show(Some(extension), extension.attribute(&name), value, &mut kept);
                }
                if !kept.is_empty() {
                    shown.insert(name, Json::Object(kept));
                }
            } else {
                self.show(None, self.resource.attribute(&name), value, &mut shown);
            }
        }
        shown
    }

    fn show(
        &self,
        extension: Option<&'static Schema>,
        attribute: Option<&'static Attribute>,
        value: Json,
        into: &mut Object,
    ) {
        let Some(attribute) = attribute else { return };
        let value = match self.kept(extension, attribute) {
            Kept::Nothing => return,
            Kept::Whole => value,
            Kept::Parts(parts) => only(value, &|name| parts.contains(&name)),
            Kept::Without(parts) => only(value, &|name| !parts.contains(&name)),
        };
        if !matches!(&value, Json::Object(parts) if parts.is_empty()) {
            into.insert(attribute.name.to_owned(), value);
        }
    }

    fn kept(&self, extension: Option<&'static Schema>, attribute: &'static Attribute) -> Kept {
        let named = |places: &[Place]| {
            let mut parts = Vec::new();
            for place in places {
                match place {
                    Place::Extension(schema) if extension.is_some_and(|own| own.id == schema.id) => {
                        return Naming::Whole;
                    }
                    Place::Attribute(Located { extension: of, attribute: named, sub })
                        if named.name == attribute.name
                            && of.map(|schema| schema.id) == extension.map(|schema| schema.id) =>
                    {
                        match sub {
                            None => return Naming::Whole,
                            Some(sub) => parts.push(sub.name),
                        }
                    }
                    Place::Extension(_) | Place::Attribute(_) => {}
                }
            }
            if parts.is_empty() { Naming::Not } else { Naming::Parts(parts) }
        };
        match (attribute.returned, &self.which) {
            (Returned::Always, _) | (Returned::Default, Which::Default) => Kept::Whole,
            (Returned::Never, _) | (Returned::Request, Which::Default | Which::Without(_)) => Kept::Nothing,
            (Returned::Default | Returned::Request, Which::Only(places)) => match named(places) {
                Naming::Not => Kept::Nothing,
                Naming::Whole => Kept::Whole,
                Naming::Parts(parts) => Kept::Parts(parts),
            },
            (Returned::Default, Which::Without(places)) => match named(places) {
                Naming::Not => Kept::Whole,
                Naming::Whole => Kept::Nothing,
                Naming::Parts(parts) => Kept::Without(parts),
            },
        }
    }
}

enum Naming {
    Not,
    Whole,
    Parts(Vec<&'static str>),
}

#[derive(PartialEq, Eq)]
enum Kept {
    Nothing,
    Whole,
    Parts(Vec<&'static str>),
    Without(Vec<&'static str>),
}

fn only(value: Json, keep: &dyn Fn(&str) -> bool) -> Json {
    match value {
        Json::Array(elements) => {
            Json::Array(elements.into_iter().map(|element| only(element, keep)).collect())
        }
        Json::Object(parts) => Json::Object(parts.into_iter().filter(|(name, _)| keep(name)).collect()),
        other => other,
    }
}
