//! The configuration as meant, without the reading of it.

pub mod settings;
