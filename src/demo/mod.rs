//! `narthex demo`: an identity provider and a legacy application on loopback, with the real proxy between
//! them. Both serve the integration tests as well.
//!
//! ```text
//! browser ──▶ narthex ──▶ application     believes X-Remote-User, knows nothing of single sign-on
//!    │           ├──────▶ its admin API   accounts, roles, teams
//!    └──────▶ provider ◀──┘               OpenID Connect
//! ```

pub mod application;
mod expiring;
mod folder;
pub mod idp;
pub mod people;
pub mod run;
mod server;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::platform::entropy::NoEntropy;

pub use application::DemoApp;
pub use idp::DemoIdp;
pub use people::Person;
pub use run::{Prepared, Running, run};
pub use server::Switches;

/// The demo could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the demo cannot listen on loopback: {0}")]
    Listen(std::io::Error),
    /// SECURITY: the demo's provider lets anybody be anyone.
    #[error("the demo listens on loopback only, not on {address}")]
    NotLoopback { address: SocketAddr },
    #[error("port {port} of 127.0.0.1 cannot be listened on: {reason}; choose another with --port, or none")]
    Port { port: u16, reason: std::io::Error },
    #[error("{} cannot be written: {reason}", path.display())]
    Folder { path: PathBuf, reason: std::io::Error },
    #[error("what to try cannot be printed: {0}")]
    Print(std::io::Error),
    #[error("the proxy between the demo's servers cannot be started: {0}")]
    Proxy(String),
    #[error(transparent)]
    Key(#[from] idp::KeyFailure),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}
