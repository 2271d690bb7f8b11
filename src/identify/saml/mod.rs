//! SAML 2.0: messages in and out, and the one gate through which every signed message comes.
//!
//! `xml` reads strictly; `signature` and `encryption` are the gate's two halves, `gate` joins them; what comes out
//! of it is read by `assertion` and judged by `profile`.

pub mod algorithm;
mod canonical;
mod der;
pub mod encryption;
mod form;
pub mod gate;
pub mod keys;
pub mod sign;
pub mod signature;
#[cfg(test)]
mod testing;
pub mod xml;
