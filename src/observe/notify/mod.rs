//! Messages to administrators (PROVISIONING.md S4): written with the audit entry that they tell of, sent later.
//!
//! ```text
//! audit entry ─▶ announce: letters ─▶ outbox in the store ─▶ courier ─▶ mail server, webhook
//! ```
//!
//! A letter stands in the outbox from the moment in which its entry stands in the log, in one transaction; whichever
//! replica comes first sends it. No sign-in waits for any of this.

pub mod announce;
pub mod courier;
#[cfg(test)]
mod tests;
pub mod webhook;

pub use announce::Announcer;
pub use courier::Courier;
pub use webhook::Webhook;

/// Who says at present whom to tell of what; nobody, where nobody wants to know.
pub type Announcing = std::sync::Arc<arc_swap::ArcSwapOption<Announcer>>;
