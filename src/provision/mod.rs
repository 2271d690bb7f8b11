//! Stage "provision": from a verified identity to an account with its entitlements, and the proof of it.
//!
//! ```text
//! eligibility ─▶ resolve (attributes, entitle) ─▶ plan ─▶ apply ─▶ grant
//! F1             Wanted                           Plan    Account  Provisioned
//! ```
//!
//! `resolve`, `plan` and `grant` are pure; [`provisioner`] puts them in order, [`creation`] sees to it that
//! exactly one account comes of any number of first logins (F9), [`guard`] stands between all of them and
//! the application.

pub mod access;
pub mod apply;
pub mod assign;
pub mod attributes;
pub mod breaker;
pub mod cases;
pub mod catalogue;
pub mod connector;
pub mod creation;
mod deciding;
pub mod eligibility;
pub mod entitle;
pub mod error;
pub mod exchange;
pub mod existing;
pub mod explain;
pub mod fate;
pub mod faults;
pub mod flights;
pub mod grant;
pub mod guard;
pub mod invites;
pub mod jobs;
mod leases;
pub mod loans;
pub mod measures;
pub mod members;
pub mod names;
mod on_record;
pub mod plan;
pub mod privileges;
pub mod provisioned;
pub mod provisioner;
mod push;
mod pushed;
pub mod reconcile;
pub mod rehearse;
pub mod resolve;
pub mod rest;
mod returning;
pub mod rows;
pub mod scim;
mod settle;
pub mod settlement;
pub mod shadow;
pub mod sources;
pub mod sync;
pub mod webhook;

#[cfg(test)]
pub(crate) mod tests;

pub use connector::{Connector, ConnectorError};
pub use error::ProvisionError;
pub use provisioned::Provisioned;
pub use provisioner::Provisioner;
pub use rehearse::Telling;
pub use rest::RecipeError;
