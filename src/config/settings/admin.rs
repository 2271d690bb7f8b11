//! `[admin]` as meant.

use std::net::SocketAddr;

use crate::model::{ConsoleRole, Secret};

/// `[admin]`
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Lower-case names beside loopback's and that of `listen`.
    pub hosts: Vec<String>,
    /// Names are unique.
    pub tokens: Vec<AdminToken>,
}

/// One of `[admin] tokens`.
#[derive(Debug, Clone)]
pub struct AdminToken {
    pub name: String,
    pub role: ConsoleRole,
    /// At least 32 characters; empty where it is absent and the configuration is only checked.
    pub token: Secret,
}

/// `[settings] source`: where the provisioning settings come from (PROVISIONING.md M4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsSource {
    Store,
    File,
}
