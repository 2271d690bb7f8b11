//! Noticing a proxy in front of us that the configuration does not name.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use ipnet::IpNet;

use crate::model::UnixTime;

/// How long it is not told again.
const QUIET: Duration = Duration::from_hours(1);

/// Knows the proxies that are named, and tells the log of others.
pub struct Hops {
    trusted: Vec<IpNet>,
    /// Seconds since 1970.
    quiet_until: AtomicI64,
}

impl Hops {
    #[must_use]
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, quiet_until: AtomicI64::new(0) }
    }

    /// Looks at a sign-in that came from `peer`: through a proxy that is not named, everybody is one client.
    pub(super) fn notice(&self, peer: IpAddr, headers: &HeaderMap, now: UnixTime) {
        if !headers.contains_key("x-forwarded-for")
            || self.trusted.iter().any(|network| network.contains(&peer))
            || now.0 < self.quiet_until.load(Ordering::Relaxed)
        {
            return;
        }
        self.quiet_until.store(now.after(QUIET).0, Ordering::Relaxed);
        tracing::warn!(
            %peer,
            "a sign-in came with X-Forwarded-For from an address that is not in server.trusted_proxies. If a proxy of \
             yours is there, add it: until then all people behind it count as one client, who may begin few sign-ins for \
             so many, and rules, [network] and the audit log see the proxy's address instead of theirs. If none is, \
             somebody made the header up, and nothing was believed of it"
        );
    }
}
