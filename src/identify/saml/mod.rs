//! SAML 2.0: messages in and out, and the one gate through which every signed message comes.
//!
//! `xml` reads strictly; `signature` and `encryption` are the gate's two halves, `gate` joins them; what comes out
//! of it is read by `assertion` and judged by `profile`.

pub mod algorithm;
pub mod assertion;
mod attribute_values;
pub mod attributes;
pub mod binding;
mod canonical;
mod der;
pub mod encryption;
mod form;
pub mod gate;
pub mod instant;
pub mod keys;
pub mod metadata;
pub mod profile;
pub mod request;
pub mod sign;
pub mod signature;
pub mod status;
pub mod writer;
pub mod xml;

#[cfg(test)]
mod testing;
