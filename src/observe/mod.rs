//! What an operator sees: logs, metrics, health.

pub mod health;
pub mod log;
pub mod metrics;

pub use metrics::{login, logout};
