//! A SCIM 2.0 client (RFC 7643, RFC 7644) as a [`Connector`](super::Connector).
//!
//! Users are accounts, `roles` and `entitlements` are role and permissions, Groups are teams or application
//! groups. Asks for nothing optional: no bulk, no sorting, no ETags.

mod client;
mod connector;
mod filter;
mod resource;

#[cfg(test)]
mod tests;

pub(super) use connector::ScimConnector;
