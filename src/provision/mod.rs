//! Stage "provision": from a verified identity to an account with its entitlements, and the proof of it.

pub mod catalogue;
pub mod connector;
pub mod provisioned;
pub mod rest;
pub mod scim;

pub use connector::{Connector, ConnectorError};
pub use provisioned::Provisioned;
pub use rest::RecipeError;
