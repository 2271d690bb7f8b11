//! SAML 2.0: messages in and out, and the one gate through which every signed message comes.
//!
//! `xml` reads strictly; `signature` and `encryption` are the gate's two halves, `gate` joins them; what comes out
//! of it is read by `assertion` and judged by `profile`.

pub mod assertion;
pub mod attributes;
pub mod instant;
pub mod profile;
pub mod status;
pub mod xml;
