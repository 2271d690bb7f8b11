//! What an operator sees: logs, metrics, health, the audit log, notifications.

pub mod audit;
pub mod health;
pub mod log;
pub mod metrics;
pub mod notify;

pub use audit::Audit;
pub use metrics::{login, logout};
