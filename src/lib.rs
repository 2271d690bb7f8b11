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

pub mod app;
pub mod pipeline;
pub mod problem;

// The stages, in the order of a request.
pub mod listen;

pub mod identify;

pub mod provision;

pub mod authorise;

pub mod forward;

// Beside the flow, on listeners of its own.
pub mod admin;

// What the stages stand on.
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod expr;
pub mod model;
pub mod observe;
pub mod pages;
pub mod platform;
pub mod store;
