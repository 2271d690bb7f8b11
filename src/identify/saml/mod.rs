//! SAML 2.0: messages in and out, and the one gate through which every signed message comes.
//!
//! `xml` reads strictly; `signature` and `encryption` are the gate's two halves, `gate` joins them; what comes out
//! of it is read by `assertion` and judged by `profile`. `provider` puts the steps in their order.

pub mod algorithm;
pub mod assertion;
pub mod attributes;
pub mod binding;
mod canonical;
mod der;
pub mod encryption;
pub mod error;
mod form;
pub mod gate;
pub mod hint;
pub mod instant;
pub mod keys;
mod lexical;
pub mod logout;
pub mod metadata;
pub mod parking;
pub mod profile;
pub mod provider;
pub mod received;
pub mod request;
pub mod sign;
pub mod signature;
pub mod single_logout;
pub mod status;
pub mod writer;
pub mod xml;

#[cfg(test)]
mod testing;

pub use error::{SamlError, SamlRefusal};
pub use profile::Step;
pub use provider::{Addresses, Saml, UnusableKey};
pub use received::Received;
