//! `[network]` as meant.

use std::net::IpAddr;

use ipnet::IpNet;

/// `[network]` (PROVISIONING.md S1).
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Empty: everyone.
    pub allow: Vec<IpNet>,
    /// Goes before `allow`.
    pub deny: Vec<IpNet>,
}

impl Network {
    /// Whether a client of this address is answered. The address is in its canonical form: an IPv4 address is never
    /// written as an IPv6 one.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}
