//! How many sign-ins one address may begin: enough for an office, too few to push everybody else's out.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Sign-ins begun per second and address in the long run.
pub const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("50 is not zero");
/// Sign-ins begun at once by one address: a whole site behind one address comes back in the morning.
pub const AT_ONCE: NonZeroU32 = NonZeroU32::new(2000).expect("2000 is not zero");
/// Refusals of one address that are kept per second in the long run.
const KEPT_PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("1 is not zero");
/// Refusals of one address that are kept at once.
const KEPT_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("100 is not zero");

/// Counts by address. Each begun sign-in is a row in the store, and the oldest of too many goes first
/// ([`crate::model::login::MAX_IN_FLIGHT`]): without a limit one client could evict all others. The same with the
/// refusals that are kept for `narthex explain` ([`crate::model::login::MAX_REFUSALS`]).
///
/// SECURITY: the two are counted apart. To be refused anybody can, without any sign-in, and behind a proxy that is not in
/// `server.trusted_proxies` all are one address: it must cost nobody a sign-in.
pub struct Throttle {
    begun: Bucket,
    kept: Bucket,
}

impl Throttle {
    #[must_use]
    pub fn new() -> Self {
        Self { begun: Bucket::new(PER_SECOND, AT_ONCE), kept: Bucket::new(KEPT_PER_SECOND, KEPT_AT_ONCE) }
    }

    /// Whether this client may begin one more.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        self.begun.has_one_for(client)
    }

    /// Whether one more refusal of this client is kept.
    #[must_use]
    pub fn keeps_refusal(&self, client: IpAddr) -> bool {
        self.kept.has_one_for(client)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

struct Bucket {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    asked: AtomicU32,
}

impl Bucket {
    fn new(per_second: NonZeroU32, at_once: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(at_once);
        Self { addresses: RateLimiter::keyed(quota), asked: AtomicU32::new(0) }
    }

    fn has_one_for(&self, client: IpAddr) -> bool {
        // Addresses that have not come for a while are forgotten, every now and then.
        if self.asked.fetch_add(1, Ordering::Relaxed) % 1024 == 1023 {
            self.addresses.retain_recent();
        }
        self.addresses.check_key(&network(client)).is_ok()
    }
}

/// An IPv6 client has a whole /64 to itself.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_9_an_address_has_its_fill_and_others_go_on() {
        let throttle = Throttle::new();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let allowed = (0..AT_ONCE.get() + 500).filter(|_| throttle.allows(one)).count();
        assert!((2000..2500).contains(&allowed), "{allowed}");
        assert!(throttle.allows(other));
    }

    #[test]
    fn invariant_9_refusals_are_kept_up_to_a_bound_and_cost_nobody_a_sign_in() {
        let throttle = Throttle::new();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let kept = (0..AT_ONCE.get() + 500).filter(|_| throttle.keeps_refusal(one)).count();
        assert!((100..1000).contains(&kept), "{kept}");
        assert!(throttle.allows(one) && throttle.keeps_refusal(other));
        let allowed = (0..AT_ONCE.get()).filter(|_| throttle.allows(other)).count();
        assert_eq!(allowed, 2000);
        assert!(throttle.keeps_refusal(other));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let throttle = Throttle::new();
        let client = |last: u32| format!("2001:db8:0:1::{last:x}").parse().unwrap();
        let allowed = (0..AT_ONCE.get() + 500).filter(|last| throttle.allows(client(*last))).count();
        assert!(allowed < 2500, "{allowed}");
        assert!(throttle.allows("2001:db8:0:2::1".parse().unwrap()));
    }
}
