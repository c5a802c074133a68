//! IP networks and what stands for the most specific of them: which profile an SBC has, who may ask at all.
//!
//! ```text
//! 10.0.0.0/8 → a, 10.1.0.0/16 → b      compiled      [0.0.0.0 –] [10.0.0.0 a] [10.1.0.0 b] [10.2.0.0 a] [11.0.0.0 –]
//! ```
//! Overlaps are resolved once, so that a look-up is one binary search whatever the nesting.
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR notation; a plain address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: u128,
    /// Of 128.
    length: u8,
}

impl Network {
    /// Whether it is a single address.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.length == 128
    }

    fn last(&self) -> u128 {
        self.first | self.host_bits()
    }

    fn host_bits(&self) -> u128 {
        u128::MAX.checked_shr(self.length.into()).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || {
            format!(
                "{text:?} must be an address or network such as \"192.0.2.0/24\" or \"2001:db8::1\""
            )
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| problem())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse::<u8>().map_err(|_| problem())?,
            None => width,
        };
        if length > width {
            return Err(problem());
        }
        let network = Self {
            first: key(address),
            length: length + (128 - width),
        };
        if network.first & network.host_bits() != 0 {
            return Err(format!("{text:?} has bits set behind the prefix"));
        }
        Ok(network)
    }
}

/// IPv4 addresses are looked up as IPv4-mapped ones (RFC 4291, 2.5.5.2).
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Values by network; the longest prefix counts.
#[derive(Debug, Clone)]
pub struct NetworkMap<T> {
    /// Where each stretch of addresses begins, in order; the first is 0.
    starts: Vec<u128>,
    values: Vec<Option<T>>,
}

impl<T> Default for NetworkMap<T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T: Copy + PartialEq> NetworkMap<T> {
    /// From networks in any order. Of two equal networks the later one counts.
    #[must_use]
    pub fn new(networks: &[(Network, T)]) -> Self {
        if networks.is_empty() {
            return Self::default();
        }
        let mut ordered: Vec<&(Network, T)> = networks.iter().collect();
        // Stable: wide before narrow within one start, so that a sweep meets an outer network first.
        ordered.sort_by_key(|(network, _)| (network.first, network.length));
        let mut map = Self::default();
        map.begin(0, None);
        let mut open: Vec<&(Network, T)> = Vec::new();
        for entry in ordered {
            map.close(&mut open, entry.0.first.checked_sub(1));
            map.begin(entry.0.first, Some(entry.1));
            open.push(entry);
        }
        map.close(&mut open, None);
        map
    }

    /// What stands for this address.
    #[inline]
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<T> {
        if self.starts.is_empty() {
            return None;
        }
        let key = key(address);
        let place = self.starts.partition_point(|&start| start <= key);
        self.values.get(place.checked_sub(1)?).copied().flatten()
    }

    /// Ends the networks that are over at `until` (all of them for `None`), the innermost first.
    fn close(&mut self, open: &mut Vec<&(Network, T)>, until: Option<u128>) {
        while let Some((network, _)) = open.last() {
            let last = network.last();
            if until.is_some_and(|until| last > until) {
                return;
            }
            open.pop();
            if let Some(next) = last.checked_add(1) {
                self.begin(next, open.last().map(|(_, value)| *value));
            }
        }
    }

    fn begin(&mut self, start: u128, value: Option<T>) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_counts() {
        let map = NetworkMap::new(&[
            (network("10.1.0.0/16"), 'b'),
            (network("10.1.2.3"), 'c'),
            (network("10.0.0.0/8"), 'a'),
            (network("2001:db8::/32"), 'd'),
            (network("255.255.255.255/32"), 'e'),
        ]);
        for (address, value) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some('a')),
            ("10.1.0.0", Some('b')),
            ("10.1.2.3", Some('c')),
            ("::ffff:10.1.2.3", Some('c')),
            ("10.1.2.4", Some('b')),
            ("10.2.0.0", Some('a')),
            ("11.0.0.0", None),
            ("2001:db8:ffff::1", Some('d')),
            ("2001:db9::", None),
            ("255.255.255.255", Some('e')),
            ("::", None),
        ] {
            assert_eq!(map.get(address.parse().unwrap()), value, "{address}");
        }
        let everything = NetworkMap::new(&[(network("::/0"), 1), (network("0.0.0.0/0"), 2)]);
        assert_eq!(everything.get("192.0.2.1".parse().unwrap()), Some(2));
        assert_eq!(everything.get("ffff::".parse().unwrap()), Some(1));
        assert_eq!(
            NetworkMap::<u8>::default().get("::1".parse().unwrap()),
            None
        );
    }

    #[test]
    fn refuses_what_is_no_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/-1",
            "host",
            "::1/64",
            "::/129",
            "0.0.0.1/0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!(
            network("192.0.2.1").is_host()
                && network("::1").is_host()
                && !network("::/0").is_host()
        );
    }

    proptest! {
        #[test]
        fn equals_going_through_every_network(
            networks in prop::collection::vec((any::<u8>(), 120_u8..=128, 0_u8..9), 0..12),
            asked in any::<u8>(),
        ) {
            let base = 0x2001_0db8_u128 << 96;
            let networks: Vec<(Network, u8)> = networks
                .into_iter()
                .map(|(low, length, value)| {
                    let mask = u128::MAX << (128 - u32::from(length));
                    (Network { first: (base | u128::from(low)) & mask, length }, value)
                })
                .collect();
            let key = base | u128::from(asked);
            let expected = networks
                .iter()
                .filter(|(network, _)| network.first <= key && key <= network.last())
                .max_by_key(|(network, _)| network.length)
                .map(|(_, value)| *value);
            let address = IpAddr::V6(std::net::Ipv6Addr::from_bits(key));
            prop_assert_eq!(NetworkMap::new(&networks).get(address), expected);
        }
    }
}
