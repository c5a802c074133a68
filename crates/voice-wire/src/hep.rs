//! HEP (Homer Encapsulation Protocol), versions 1, 2 and 3 (EEP): packets that others captured.
//!
//! ```text
//! v3: "HEP3" u16 length │ u16 vendor, u16 type, u16 length, body │ …          all big-endian, unknown chunks are skipped
//! v2: 2, length, family, protocol, ports, addresses, u32 s, u32 µs, u16 id │ payload   times in either byte order
//! v1: 1, length, family, protocol, ports, addresses │ payload
//! ```
//! What a sender says of addresses and times is a claim: who may send is the listener's matter.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a packet carries (chunk 0x000b).
pub mod kind {
    /// SIP.
    pub const SIP: u8 = 1;
    /// RTP.
    pub const RTP: u8 = 4;
    /// RTCP, as JSON or as it was.
    pub const RTCP: u8 = 5;
    /// DNS as JSON.
    pub const DNS: u8 = 53;
    /// Call detail record.
    pub const CDR: u8 = 60;
    /// A log line.
    pub const LOG: u8 = 100;
}

/// A packet that somebody captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// From whom.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// IP protocol: 17 UDP, 6 TCP, 132 SCTP.
    pub protocol: u8,
    /// When, microseconds since 1970 UTC; `None` when the sender does not know.
    pub time_us: Option<i64>,
    /// What it carries.
    pub kind: u8,
    /// Which agent sent it.
    pub capture_id: u32,
    /// Shared key, clear text.
    pub key: &'a [u8],
    /// Ties packets of one call together.
    pub correlation_id: &'a [u8],
    /// VLAN id, 0 for none.
    pub vlan: u16,
    /// The packet's payload.
    pub payload: Payload<'a>,
}

/// A payload as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// As it was.
    Plain(&'a [u8]),
    /// Chunk 0x0010: gzip, zlib or raw deflate, as the sender pleased.
    Compressed(&'a [u8]),
}

/// Why octets are no HEP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HepError {
    /// Neither version.
    #[error("no HEP of version 1, 2 or 3")]
    Unknown,
    /// Lengths contradict each other.
    #[error("a length goes past the end")]
    Length,
    /// No addresses.
    #[error("addresses are missing")]
    Addresses,
    /// No payload.
    #[error("the payload is missing")]
    Payload,
}

/// Octets before the first chunk.
pub const HEADER: usize = 6;
const MAGIC: &[u8; 4] = b"HEP3";
const MAGIC_EEP: &[u8; 4] = b"EEP3";
/// A time of version 2 read in the right byte order is within so many seconds of now: ten years.
const PLAUSIBLE_S: u32 = 315_360_000;

/// Whether octets begin like HEP.
#[must_use]
pub fn is_hep(octets: &[u8]) -> bool {
    octets.starts_with(MAGIC)
        || octets.starts_with(MAGIC_EEP)
        || matches!(octets, [1 | 2, length, 2 | 10, ..] if *length >= 16)
}

/// Length of the version 3 packet at the front of a TCP stream: `None` while its head is not there.
pub fn framed_length(octets: &[u8]) -> Option<Result<usize, HepError>> {
    let head = octets.first_chunk::<HEADER>()?;
    if !head.starts_with(MAGIC) && !head.starts_with(MAGIC_EEP) {
        return Some(Err(HepError::Unknown));
    }
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    Some(if length < HEADER {
        Err(HepError::Length)
    } else {
        Ok(length)
    })
}

/// Reads a packet. `now_s` decides in which byte order the times of version 2 are.
pub fn parse(octets: &[u8], now_s: u32) -> Result<Packet<'_>, HepError> {
    match octets.first() {
        Some(b'H' | b'E') => parse_chunks(octets),
        Some(1 | 2) => parse_fixed(octets, now_s),
        _ => Err(HepError::Unknown),
    }
}

/// What the chunks said until now.
#[derive(Default)]
struct Chunks<'a> {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    ports: [u16; 2],
    protocol: u8,
    kind: u8,
    seconds: u32,
    microseconds: u32,
    capture_id: u32,
    key: &'a [u8],
    correlation_id: &'a [u8],
    vlan: u16,
    payload: Option<Payload<'a>>,
}

fn parse_chunks(octets: &[u8]) -> Result<Packet<'_>, HepError> {
    let length = framed_length(octets).unwrap_or(Err(HepError::Length))?;
    let mut rest = octets.get(HEADER..length).ok_or(HepError::Length)?;
    let mut chunks = Chunks::default();
    while let Some((head, _)) = rest.split_first_chunk::<6>() {
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let body = rest.get(6..length).ok_or(HepError::Length)?;
        // Chunks of vendors have numbers of their own.
        if head[0] == 0 && head[1] == 0 {
            chunks.take(u16::from_be_bytes([head[2], head[3]]), body)?;
        }
        rest = &rest[length..];
    }
    chunks.packet()
}

impl<'a> Chunks<'a> {
    fn take(&mut self, kind: u16, body: &'a [u8]) -> Result<(), HepError> {
        match kind {
            0x02 => self.protocol = array::<1>(body)?[0],
            0x03 => self.source = Some(Ipv4Addr::from(array::<4>(body)?).into()),
            0x04 => self.destination = Some(Ipv4Addr::from(array::<4>(body)?).into()),
            0x05 => self.source = Some(Ipv6Addr::from(array::<16>(body)?).into()),
            0x06 => self.destination = Some(Ipv6Addr::from(array::<16>(body)?).into()),
            0x07 => self.ports[0] = u16::from_be_bytes(array(body)?),
            0x08 => self.ports[1] = u16::from_be_bytes(array(body)?),
            0x09 => self.seconds = u32::from_be_bytes(array(body)?),
            0x0a => self.microseconds = u32::from_be_bytes(array(body)?),
            0x0b => self.kind = array::<1>(body)?[0],
            0x0c => self.capture_id = u32::from_be_bytes(array(body)?),
            0x0e => self.key = body,
            0x0f => self.payload = Some(Payload::Plain(body)),
            0x10 => self.payload = Some(Payload::Compressed(body)),
            0x11 => self.correlation_id = body,
            0x12 => self.vlan = u16::from_be_bytes(array(body)?) & 0x0fff,
            _ => {}
        }
        Ok(())
    }

    fn packet(self) -> Result<Packet<'a>, HepError> {
        let (Some(source), Some(destination)) = (self.source, self.destination) else {
            return Err(HepError::Addresses);
        };
        let time_us = i64::from(self.seconds) * 1_000_000 + i64::from(self.microseconds);
        Ok(Packet {
            source: SocketAddr::new(source, self.ports[0]),
            destination: SocketAddr::new(destination, self.ports[1]),
            protocol: self.protocol,
            time_us: (self.seconds != 0).then_some(time_us),
            kind: self.kind,
            capture_id: self.capture_id,
            key: self.key,
            correlation_id: self.correlation_id,
            vlan: self.vlan,
            payload: self.payload.ok_or(HepError::Payload)?,
        })
    }
}

fn array<const N: usize>(body: &[u8]) -> Result<[u8; N], HepError> {
    body.first_chunk::<N>().copied().ok_or(HepError::Length)
}

fn parse_fixed(octets: &[u8], now_s: u32) -> Result<Packet<'_>, HepError> {
    let head = octets.first_chunk::<8>().ok_or(HepError::Length)?;
    let (version, length, family) = (head[0], usize::from(head[1]), head[2]);
    let width = match family {
        2 => 4,
        10 => 16,
        _ => return Err(HepError::Addresses),
    };
    let least = 8 + 2 * width + if version == 2 { 10 } else { 0 };
    let payload = octets.get(length..).ok_or(HepError::Length)?;
    if length < least {
        return Err(HepError::Length);
    }
    let address = |at: usize| -> Result<IpAddr, HepError> {
        let octets = octets.get(at..).ok_or(HepError::Length)?;
        Ok(if width == 4 {
            Ipv4Addr::from(array::<4>(octets)?).into()
        } else {
            Ipv6Addr::from(array::<16>(octets)?).into()
        })
    };
    let (mut time_us, mut capture_id) = (None, 0);
    if version == 2 {
        let tail = octets.get(8 + 2 * width..).ok_or(HepError::Length)?;
        time_us = plausible_time(
            array(tail)?,
            array(tail.get(4..).unwrap_or_default())?,
            now_s,
        );
        capture_id = u32::from(u16::from_be_bytes(array(
            tail.get(8..).unwrap_or_default(),
        )?));
    }
    Ok(Packet {
        source: SocketAddr::new(address(8)?, u16::from_be_bytes([head[4], head[5]])),
        destination: SocketAddr::new(address(8 + width)?, u16::from_be_bytes([head[6], head[7]])),
        protocol: head[3],
        time_us,
        kind: kind::SIP,
        capture_id,
        key: &[],
        correlation_id: &[],
        vlan: 0,
        payload: Payload::Plain(payload),
    })
}

/// Kamailio writes the times of version 2 little-endian, others big-endian: whichever is near now is meant.
fn plausible_time(seconds: [u8; 4], microseconds: [u8; 4], now_s: u32) -> Option<i64> {
    let readings = [
        (
            u32::from_be_bytes(seconds),
            u32::from_be_bytes(microseconds),
        ),
        (
            u32::from_le_bytes(seconds),
            u32::from_le_bytes(microseconds),
        ),
    ];
    let is_near = |(seconds, microseconds): &(u32, u32)| {
        seconds.abs_diff(now_s) < PLAUSIBLE_S && *microseconds < 1_000_000
    };
    let (seconds, microseconds) = readings.into_iter().find(is_near)?;
    Some(i64::from(seconds) * 1_000_000 + i64::from(microseconds))
}

/// Writes a packet as version 3.
pub fn write(packet: &Packet<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0, 0]);
    let mut chunk = |kind: u16, body: &[u8]| {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&((body.len() + 6) as u16).to_be_bytes());
        out.extend_from_slice(body);
    };
    match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            chunk(0x01, &[2]);
            chunk(0x03, &source.octets());
            chunk(0x04, &destination.octets());
        }
        (source, destination) => {
            let v6 = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            chunk(0x01, &[10]);
            chunk(0x05, &v6(source));
            chunk(0x06, &v6(destination));
        }
    }
    chunk(0x02, &[packet.protocol]);
    chunk(0x07, &packet.source.port().to_be_bytes());
    chunk(0x08, &packet.destination.port().to_be_bytes());
    let time_us = packet.time_us.unwrap_or_default();
    chunk(0x09, &(time_us.div_euclid(1_000_000) as u32).to_be_bytes());
    chunk(0x0a, &(time_us.rem_euclid(1_000_000) as u32).to_be_bytes());
    chunk(0x0b, &[packet.kind]);
    chunk(0x0c, &packet.capture_id.to_be_bytes());
    if !packet.key.is_empty() {
        chunk(0x0e, packet.key);
    }
    if !packet.correlation_id.is_empty() {
        chunk(0x11, packet.correlation_id);
    }
    if packet.vlan != 0 {
        chunk(0x12, &packet.vlan.to_be_bytes());
    }
    match packet.payload {
        Payload::Plain(payload) => chunk(0x0f, payload),
        Payload::Compressed(payload) => chunk(0x10, payload),
    }
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_S: u32 = 1_795_000_000;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            source: "192.0.2.1:5060".parse().unwrap(),
            destination: "198.51.100.2:5080".parse().unwrap(),
            protocol: 17,
            time_us: Some(i64::from(NOW_S) * 1_000_000 + 7),
            kind: kind::SIP,
            capture_id: 2001,
            key: b"secret",
            correlation_id: b"abc",
            vlan: 7,
            payload: Payload::Plain(payload),
        }
    }

    #[test]
    fn version_2_times_are_read_in_the_byte_order_that_gives_a_date_near_now() {
        for is_little in [false, true] {
            let mut octets = vec![
                2, 28, 2, 17, 0x13, 0xc4, 0x13, 0xc4, 10, 0, 0, 1, 10, 0, 0, 2,
            ];
            for value in [NOW_S, 500_000] {
                octets.extend(if is_little {
                    value.to_le_bytes()
                } else {
                    value.to_be_bytes()
                });
            }
            octets.extend([0, 9, 0, 0]);
            octets.extend(b"SIP");
            let read = parse(&octets, NOW_S + 5).unwrap();
            assert_eq!(
                read.time_us,
                Some(i64::from(NOW_S) * 1_000_000 + 500_000),
                "little-endian {is_little}"
            );
            assert_eq!(
                (read.source.port(), read.capture_id, read.payload),
                (5060, 9, Payload::Plain(b"SIP"))
            );
        }
    }

    #[test]
    fn version_1_has_no_time() {
        let octets = [
            &[
                1, 16, 2, 17, 0x13, 0xc4, 0x13, 0xc4, 10, 0, 0, 1, 10, 0, 0, 2,
            ],
            b"BYE".as_slice(),
        ]
        .concat();
        let read = parse(&octets, NOW_S).unwrap();
        assert_eq!((read.time_us, read.payload), (None, Payload::Plain(b"BYE")));
    }

    #[test]
    fn chunks_of_vendors_and_unknown_ones_are_skipped() {
        let mut octets = Vec::new();
        write(&packet(b"x"), &mut octets);
        octets.extend([0, 2, 0, 3, 0, 7, 9]); // Kamailio's own chunk 3 is no address
        octets.extend([0, 0, 0x7f, 0x7f, 0, 6]);
        let length = octets.len() as u16;
        octets[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse(&octets, NOW_S).unwrap(), packet(b"x"));
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        let mut octets = Vec::new();
        write(&packet(b"payload"), &mut octets);
        assert_eq!(
            parse(&octets[..octets.len() - 1], NOW_S),
            Err(HepError::Length)
        );
        assert_eq!(parse(b"HEP3\0\x04", NOW_S), Err(HepError::Length));
        assert_eq!(parse(b"", NOW_S), Err(HepError::Unknown));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(payload in prop::collection::vec(any::<u8>(), 0..2000), is_v6 in any::<bool>()) {
            let mut wanted = packet(&payload);
            if is_v6 {
                wanted.source = "[2001:db8::1]:5060".parse().unwrap();
                wanted.destination = "[2001:db8::2]:5061".parse().unwrap();
            }
            let mut octets = Vec::new();
            write(&wanted, &mut octets);
            prop_assert_eq!(framed_length(&octets), Some(Ok(octets.len())));
            prop_assert_eq!(parse(&octets, NOW_S), Ok(wanted));
        }

        #[test]
        fn never_panics(octets in prop::collection::vec(any::<u8>(), 0..120), form in 0_u8..4) {
            let mut octets = octets;
            match form {
                1 if octets.len() > 6 => octets[..4].copy_from_slice(b"HEP3"),
                2 | 3 if octets.len() > 6 => octets[0] = form - 1,
                _ => {}
            }
            let _ = (parse(&octets, NOW_S), framed_length(&octets), is_hep(&octets));
        }
    }
}
