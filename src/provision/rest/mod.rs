//! The declarative REST connector: a recipe (TOML, one file for one application) describes the operations of
//! an admin API; the engine runs them.
//!
//! A recipe can call only what it declares, below the one configured URL, and follows no redirect. Its
//! templates give values; how a value is encoded is decided by the place that it goes to (`encode`).

pub(in crate::provision) mod account;
pub(in crate::provision) mod auth;
pub(in crate::provision) mod call;
pub(in crate::provision) mod connector;
pub(in crate::provision) mod encode;
pub mod error;
pub(in crate::provision) mod load;
mod load_steps;
mod mask;
mod node;
pub(in crate::provision) mod read;
pub(in crate::provision) mod recipe;
mod run;
pub(in crate::provision) mod schema;
mod text;

#[cfg(test)]
pub(in crate::provision) mod tests;

pub use error::{RecipeError, RecipeFault};
