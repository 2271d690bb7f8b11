//! What a row of the table says of a call.

use futures_util::future::BoxFuture;
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::admin::Admin;
use crate::admin::answer::Answer;
use crate::admin::call::Call;
use crate::admin::error::AdminError;
use crate::admin::permissions::Permission;

/// One call.
pub struct Route {
    pub method: Method,
    /// Below `/api/v1`; parts in braces are the caller's.
    pub path: &'static str,
    /// Its name in generated clients.
    pub operation: &'static str,
    pub access: Access,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    pub takes: Option<Shape>,
    /// The body; `None`: 204 without one.
    pub gives: Option<Gives>,
    /// Changes something that has a version: needs If-Match.
    pub changes_version: bool,
    pub act: Act,
}

/// Does it.
pub type Act = for<'a> fn(&'a Admin, &'a Call) -> BoxFuture<'a, Result<Answer, AdminError>>;

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// What it gives is no secret, or the call brings its own proof.
    Anybody,
    /// Everybody who is somebody.
    Recognised,
    Needs(Permission),
}

/// One parameter of the query.
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    /// A number instead of a text.
    pub number: bool,
}

/// A type's schema and an example of it.
pub struct Shape {
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    pub example: fn() -> Value,
}

/// What comes back.
pub enum Gives {
    /// 200 with JSON.
    Json(Shape),
    /// 200 with JSON and its ETag.
    Versioned(Shape),
    /// 201 with JSON.
    Created(Shape),
    /// 200 with another media type.
    Text(&'static str),
}

impl Gives {
    /// Whether it is JSON with an example.
    #[must_use]
    pub fn has_example(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Versioned(_) | Self::Created(_))
    }
}

/// A type of the API with a typical value, for the document.
pub trait Example {
    fn example() -> Self;
}

/// The shape of `T`.
pub const fn shape<T: JsonSchema + Example + Serialize>() -> Shape {
    Shape {
        schema: |generator| generator.subschema_for::<T>(),
        example: || serde_json::to_value(T::example()).unwrap_or_default(),
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, number: false }
}
