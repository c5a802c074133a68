//! A fast hash for comparisons inside one call; not for tables that a stranger fills (those use SipHash with a secret seed).
use core::net::{IpAddr, SocketAddr};

/// Mixes octets eight at a time by 128-bit multiplication.
#[inline]
pub(super) fn fold(seed: u64, octets: &[u8]) -> u64 {
    let (chunks, rest) = octets.as_chunks::<8>();
    let mut hash = mix(seed, octets.len() as u64);
    for chunk in chunks {
        hash = mix(hash, u64::from_le_bytes(*chunk));
    }
    let last = rest
        .iter()
        .fold(0, |word, &octet| word << 8 | u64::from(octet));
    mix(hash, last)
}

/// Mixes one more word in.
#[inline]
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    let product =
        u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word ^ 0xd1b5_4a32_d192_ed03);
    product as u64 ^ (product >> 64) as u64
}

/// Mixes an address in.
#[inline]
pub(super) fn mix_ip(hash: u64, ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => mix(hash, u64::from(ip.to_bits())),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            mix(mix(hash, bits as u64), (bits >> 64) as u64)
        }
    }
}

/// Mixes address and port in.
#[inline]
pub(super) fn mix_socket(hash: u64, socket: SocketAddr) -> u64 {
    mix_ip(hash ^ u64::from(socket.port()), socket.ip())
}
