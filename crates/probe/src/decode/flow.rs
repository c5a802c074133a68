//! Who speaks to whom: addresses and ports as they stand in a packet, hashed without allocation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP address as two words; IPv4 is mapped into `::ffff:0:0/96`, so that one key serves both families.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Address {
    high: u64,
    low: u64,
}

const MAPPED: u64 = 0xffff_0000_0000;

impl Address {
    /// From the four octets of IPv4.
    #[inline]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self {
            high: 0,
            low: MAPPED | u32::from_be_bytes(octets) as u64,
        }
    }

    /// From the sixteen octets of IPv6.
    #[inline]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(octets);
        Self {
            high: (value >> 64) as u64,
            low: value as u64,
        }
    }

    /// As the standard library writes it.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        if self.high == 0 && self.low >> 32 == MAPPED >> 32 {
            IpAddr::V4(Ipv4Addr::from_bits(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(
                (self.high as u128) << 64 | self.low as u128,
            ))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.ip())
    }
}

/// Address and port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// As the standard library writes it.
    #[must_use]
    pub const fn socket_address(self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip().into(),
            port: address.port(),
        }
    }
}

/// One direction between two endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flow {
    /// Sender's address.
    pub source: Address,
    /// Receiver's address.
    pub destination: Address,
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
}

impl Flow {
    /// The sender.
    #[must_use]
    pub const fn sender(&self) -> Endpoint {
        Endpoint {
            address: self.source,
            port: self.source_port,
        }
    }

    /// The receiver.
    #[must_use]
    pub const fn receiver(&self) -> Endpoint {
        Endpoint {
            address: self.destination,
            port: self.destination_port,
        }
    }

    /// The other direction.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }

    /// A keyed hash of the flow and of `extra` (an SSRC, an identification). The key is random for each process:
    /// who sends packets can't aim at one slot of a table.
    #[inline]
    #[must_use]
    pub fn hash(&self, extra: u64, key: u64) -> u64 {
        let ports = u64::from(self.source_port) << 16 | u64::from(self.destination_port);
        let low = fold(
            self.source.low ^ key,
            self.destination.low.rotate_left(32) ^ EVEN_BITS,
        );
        let high = fold(
            self.source.high ^ low,
            self.destination.high.rotate_left(17) ^ (ports | extra << 32) ^ ODD_BITS,
        );
        fold(high ^ key, extra ^ low ^ EVEN_BITS)
    }
}

const EVEN_BITS: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_BITS: u64 = 0xd1b5_4a32_d192_ed03;

/// Both halves of the 128-bit product, folded together.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// A keyed hash of octets: two lanes of sixteen a step, so that the multiplications overlap.
#[inline]
#[must_use]
pub fn hash_octets(octets: &[u8], key: u64) -> u64 {
    let (steps, rest) = octets.as_chunks::<32>();
    let mut lanes = [
        key ^ (octets.len() as u64).wrapping_mul(EVEN_BITS),
        key.rotate_left(29) ^ ODD_BITS,
    ];
    for step in steps {
        lanes = mix(lanes, step);
    }
    let mut last = [0_u8; 32];
    last[..rest.len()].copy_from_slice(rest);
    lanes = mix(lanes, &last);
    fold(lanes[0] ^ EVEN_BITS, lanes[1] ^ key)
}

#[inline]
fn mix(lanes: [u64; 2], step: &[u8; 32]) -> [u64; 2] {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|place| step[at + place]));
    [
        fold(lanes[0] ^ word(0), word(8) ^ ODD_BITS),
        fold(lanes[1] ^ word(16), word(24) ^ EVEN_BITS),
    ]
}

/// A random key for the hashes of this process; should the system give none, a fixed one.
#[must_use]
pub fn random_key() -> u64 {
    getrandom::u64().unwrap_or(EVEN_BITS)
}
