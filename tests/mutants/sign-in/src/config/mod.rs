//! The configuration as meant, without the reading of it.

pub mod raw;
pub mod settings;
pub mod written;
