//! `[network]`, and every other list of networks.

use ipnet::{IpNet, Ipv4Net};

use super::Meaning;
use crate::config::document::{Step, shown, steps};
use crate::config::raw::Raw;
use crate::config::settings::Network;

impl Meaning<'_> {
    pub(super) fn network(&mut self, raw: &Raw) -> Option<Network> {
        let network = raw.network.as_ref()?;
        let allow = self.networks(network.allow.as_ref(), steps!["network", "allow"]);
        let deny = self.networks(network.deny.as_ref(), steps!["network", "deny"]);
        Some(Network { allow: allow?, deny: deny? })
    }

    /// The networks of a list, each in its shortest form; all that are wrong are reported.
    fn networks(&mut self, texts: Option<&Vec<String>>, at: &[Step]) -> Option<Vec<IpNet>> {
        let texts = texts?;
        let mut networks = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let mut path = at.to_vec();
            path.push(Step::from(index));
            networks.extend(self.one_network(text, &path));
        }
        (networks.len() == texts.len()).then_some(networks)
    }

    /// A network, or one address.
    pub(super) fn one_network(&mut self, text: &str, at: &[Step]) -> Option<IpNet> {
        // The list, not its member: the place says which.
        let key = shown(at.split_last().map_or(at, |(_, list)| list));
        let parsed = text.parse::<IpNet>().ok();
        let parsed = parsed.or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        let Some(network) = parsed.map(without_mapping) else {
            let help = "write it like \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"";
            self.refuse(at, format!("`{key}`: {text:?} is no network"), help);
            return None;
        };
        if network.addr() != network.network() {
            let message = format!("`{key}`: {text} has bits set behind its prefix");
            let help =
                format!("write \"{}\", or \"{}\" for the one address", network.trunc(), network.addr());
            self.refuse(at, message, help);
            return None;
        }
        Some(network)
    }
}

/// `::ffff:192.0.2.0/120` is 192.0.2.0/24 (RFC 4291, 2.5.5.2): clients are known by their IPv4 addresses.
fn without_mapping(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(addr, prefix)| Ipv4Net::new(addr, prefix).ok()).map_or(network, IpNet::V4)
}
