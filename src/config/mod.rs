//! Configuration: `proxy.toml` as written (raw) becomes settings as meant; everything wrong is told at once.

pub mod settings;

pub use settings::Settings;
