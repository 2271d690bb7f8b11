//! SCIM 2.0 without I/O: what a document means (RFC 7643) and what an operation makes of it (RFC 7644).
//!
//! One table of attributes (`definitions.rs`) says for each its type, case rule, mutability and when it is returned;
//! documents, filters, paths, projections and `/Schemas` all follow it. Everything that a client sends has a limit
//! here or is within the body's.

pub mod bulk;
pub mod definitions;
pub mod discovery;
pub mod document;
pub mod error;
pub mod filter;
pub mod matching;
pub mod patch;
pub mod path;
pub mod projection;
pub mod query;
pub mod schema;
pub mod sorting;
#[cfg(test)]
mod tests;
pub mod version;

use serde_json::{Map, Value as Json};

/// A resource, or a part of one.
pub type Object = Map<String, Json>;
