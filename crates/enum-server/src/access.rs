//! Who may ask, and how often (docs/contracts.md 5: `allow_from`, `client_limit_qps`).
//!
//! A query from elsewhere is dropped without an answer. An SBC is never limited: an answer that it misses takes this
//! server out of its service for half a minute. SBCs are the policy's `clients`, and single addresses in `allow_from`.
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use ringfence_policy::{Network, NetworkMap};

/// What a packet's sender may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Nothing.
    Refused,
    /// Ask as often as the limit lets it.
    Limited,
    /// Ask as often as it likes.
    Free,
}

/// The configured access list and limit; shared by all threads.
#[derive(Debug)]
pub(crate) struct Access {
    networks: NetworkMap<bool>,
    limiter: Option<Limiter>,
}

impl Access {
    /// `limit_qps` 0: no limit.
    pub(crate) fn new(allow_from: &[Network], limit_qps: u32) -> Self {
        let networks: Vec<(Network, bool)> = allow_from
            .iter()
            .map(|&network| (network, network.is_host()))
            .collect();
        Self {
            networks: NetworkMap::new(&networks),
            limiter: (limit_qps > 0).then(|| Limiter::new(limit_qps)),
        }
    }

    /// Loopback is always let in.
    #[inline]
    pub(crate) fn admission(&self, peer: IpAddr) -> Admission {
        match self.networks.get(peer) {
            Some(true) => Admission::Free,
            Some(false) => Admission::Limited,
            None if peer.to_canonical().is_loopback() => Admission::Limited,
            None => Admission::Refused,
        }
    }

    /// Counts one query of a client that is no SBC; whether it is within the limit. `now_us`: wall clock or any other.
    #[inline]
    pub(crate) fn is_within_limit(&self, peer: IpAddr, now_us: i64) -> bool {
        self.limiter
            .as_ref()
            .is_none_or(|limiter| limiter.take(peer, now_us))
    }
}

/// Clients remembered: a table of sets, so that finding one and making room for one look at few places.
const SETS: usize = 256;
const WAYS: usize = 16;
const SECOND_US: i64 = 1_000_000;

/// A token bucket for each client, one second's worth deep. Kept as the time at which the bucket is full again
/// (GCRA, ITU-T I.371): a client whose time is past is as good as forgotten, so it makes room first.
#[derive(Debug)]
struct Limiter {
    interval_us: f64,
    sets: Vec<Mutex<[Bucket; WAYS]>>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    client: u128,
    full_at_us: f64,
}

const EMPTY: Bucket = Bucket {
    client: 0,
    full_at_us: f64::MIN,
};

impl Limiter {
    fn new(limit_qps: u32) -> Self {
        Self {
            interval_us: SECOND_US as f64 / f64::from(limit_qps),
            sets: std::iter::repeat_with(|| Mutex::new([EMPTY; WAYS]))
                .take(SETS)
                .collect(),
            hasher: RandomState::new(),
        }
    }

    fn take(&self, peer: IpAddr, now_us: i64) -> bool {
        let client = client_of(peer);
        let place = self.hasher.hash_one(client) as usize % SETS;
        let mut set = self.sets[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = now_us as f64;
        let bucket = find(&mut set, client);
        // A clock that was set back must not shut a client out for longer than the bucket is deep.
        // Half a query of grace makes up for rounding.
        let latest = now + SECOND_US as f64 + self.interval_us / 2.0;
        let full_at = bucket.full_at_us.clamp(now, latest);
        let after = full_at + self.interval_us;
        let fits = after <= latest;
        bucket.full_at_us = if fits { after } else { full_at };
        fits
    }
}

/// The client's bucket, or that of whoever's is full the longest.
fn find(set: &mut [Bucket; WAYS], client: u128) -> &mut Bucket {
    let known = set.iter().position(|bucket| bucket.client == client);
    let place = known.unwrap_or_else(|| {
        let by_time = |&a: &usize, &b: &usize| set[a].full_at_us.total_cmp(&set[b].full_at_us);
        let place = (0..WAYS).min_by(by_time).unwrap_or(0);
        set[place] = Bucket { client, ..EMPTY };
        place
    });
    &mut set[place]
}

/// A client is an IPv4 address or an IPv6 /64: a host has a whole one to choose addresses from.
fn client_of(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv6Addr::LOCALHOST.to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn lets_in_loopback_and_what_is_listed() {
        let networks =
            ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let access = Access::new(&networks, 0);
        for (peer, admission) in [
            ("127.0.0.1", Admission::Limited),
            ("127.9.9.9", Admission::Limited),
            ("::1", Admission::Limited),
            ("192.0.2.1", Admission::Limited),
            ("192.0.2.7", Admission::Free),
            ("::ffff:192.0.2.7", Admission::Free),
            ("192.0.3.1", Admission::Refused),
            ("2001:db8::1", Admission::Limited),
            ("2001:db9::1", Admission::Refused),
        ] {
            assert_eq!(access.admission(address(peer)), admission, "{peer}");
        }
    }

    #[test]
    fn a_client_has_one_seconds_worth_and_then_its_rate() {
        let access = Access::new(&[], 10);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let within = |peer, count: usize, now_us| {
            (0..count)
                .filter(|_| access.is_within_limit(peer, now_us))
                .count()
        };
        assert_eq!(within(one, 100, 0), 10);
        assert_eq!(within(other, 5, 0), 5, "each client its own");
        assert_eq!(within(one, 100, 500_000), 5);
        assert_eq!(
            within(one, 100, 10_000_000),
            10,
            "never more than a second's worth"
        );
        assert_eq!(within(one, 100, 0), 0, "the clock was set back");
        assert_eq!(within(one, 100, 1_000_000), 10);
    }

    #[test]
    fn hosts_of_one_ipv6_network_share_their_limit() {
        let access = Access::new(&[], 1);
        assert!(access.is_within_limit(address("2001:db8::1"), 0));
        assert!(!access.is_within_limit(address("2001:db8::2"), 0));
        assert!(access.is_within_limit(address("2001:db8:0:1::1"), 0));
    }

    #[test]
    fn a_busy_client_stays_known_while_many_others_come_and_go() {
        let access = Access::new(&[], 2);
        let busy = address("192.0.2.1");
        let mut passed = 0;
        for index in 0..200_000_u32 {
            let now = i64::from(index) * 10;
            passed += usize::from(access.is_within_limit(busy, now));
            access.is_within_limit(IpAddr::V4((0x0A00_0000 + index).into()), now);
        }
        // Two seconds of time: the bucket and two seconds' tokens.
        assert!(passed <= 6, "{passed}");
    }
}
