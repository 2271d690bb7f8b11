//! Stage "provision": from a verified identity to an account with its entitlements, and the proof of it.

pub mod connector;
pub mod provisioned;

pub use connector::{Connector, ConnectorError};
pub use provisioned::Provisioned;
