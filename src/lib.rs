//! narthex: an identity proxy in front of an application that knows nothing of single sign-on.
//!
//! Two flows:
//!
//! ```text
//! request   listen ──▶ identify ──▶ authorise ──▶ forward
//!           Inbound    Identified   Permitted     Response
//! sign-in   identify (begin … finish) ──▶ provision (resolve ▶ plan ▶ apply) ──▶ Session
//!           LoginAttempt     Verified      Wanted      Plan     Provisioned
//! ```
//!
//! Each stage is a folder. It takes the previous stage's output by value, and that output has private fields
//! and can be made only in its own folder: a request that skipped a stage does not compile.

#![forbid(unsafe_code)]

pub mod config;
pub mod expr;
pub mod forward;
pub mod identify;
pub mod model;
pub mod platform;
pub mod provision;
pub mod store;
