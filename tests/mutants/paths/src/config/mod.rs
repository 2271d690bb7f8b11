//! What routes say, without the rest of the configuration.

pub mod settings;
