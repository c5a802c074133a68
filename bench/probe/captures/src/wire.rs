//! Frames as they stand on the wire: Ethernet, IP, UDP, TCP, with right checksums.

use std::net::{IpAddr, SocketAddr};

/// One's complement sum of 16-bit words, complemented.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IPv4 packet's fields that cases change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ipv4<'a> {
    /// Identification.
    pub identification: u16,
    /// Flags and offset, as in the header.
    pub fragment: u16,
    /// Options, a multiple of four octets.
    pub options: &'a [u8],
}

/// An IPv4 packet.
#[must_use]
pub fn ipv4(
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    fields: Ipv4<'_>,
    body: &[u8],
) -> Vec<u8> {
    let header = 20 + fields.options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + body.len()) as u16).to_be_bytes());
    packet.extend(fields.identification.to_be_bytes());
    packet.extend(fields.fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(fields.options);
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(body);
    packet
}

/// An IPv6 packet whose extension headers, if any, stand at the front of `body`.
#[must_use]
pub fn ipv6(source: [u8; 16], destination: [u8; 16], next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(body);
    packet
}

/// IP of the family of the addresses.
#[must_use]
pub fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    body: &[u8],
    identification: u16,
) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let fields = Ipv4 {
                identification,
                ..Ipv4::default()
            };
            ipv4(
                source.octets(),
                destination.octets(),
                protocol,
                fields,
                body,
            )
        }
        (source, destination) => ipv6(v6(source), v6(destination), protocol, body),
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A UDP datagram with its checksum.
#[must_use]
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(8 + payload.len());
    datagram.extend(source.port().to_be_bytes());
    datagram.extend(destination.port().to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = checksum(&[
        &octets(source.ip()),
        &octets(destination.ip()),
        &[0, 17],
        &length.to_be_bytes(),
        &datagram,
    ]);
    datagram[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    datagram
}

/// A TCP segment with its checksum.
#[must_use]
pub fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    numbers: (u32, u32),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(source.port().to_be_bytes());
    segment.extend(destination.port().to_be_bytes());
    segment.extend(numbers.0.to_be_bytes());
    segment.extend(numbers.1.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let length = (segment.len() as u16).to_be_bytes();
    let sum = checksum(&[
        &octets(source.ip()),
        &octets(destination.ip()),
        &[0, 6],
        &length,
        &segment,
    ]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// An Ethernet frame; `tags` are the octets between the addresses and the payload's type.
#[must_use]
pub fn ethernet(kind: u16, tags: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(tags);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An Ethernet frame with an IP packet of either version.
#[must_use]
pub fn ethernet_ip(packet: &[u8]) -> Vec<u8> {
    let kind = if packet.first().is_some_and(|first| first >> 4 == 6) {
        0x86dd
    } else {
        0x0800
    };
    ethernet(kind, &[], packet)
}

/// A whole frame with a UDP datagram.
#[must_use]
pub fn udp_frame(
    source: SocketAddr,
    destination: SocketAddr,
    payload: &[u8],
    identification: u16,
) -> Vec<u8> {
    ethernet_ip(&ip(
        source.ip(),
        destination.ip(),
        17,
        &udp(source, destination, payload),
        identification,
    ))
}
