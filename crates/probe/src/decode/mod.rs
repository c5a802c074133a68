//! Frames to transport: what lies around UDP and TCP is taken off here, whatever the tap put there.
//!
//! ```text
//! source ─ frame ─► link (Ethernet, VLAN, MPLS, PPPoE, cooked, raw) ─► IP ─┬─► UDP, TCP ─► engine
//!                                 ▲                                        ├─► fragments: kept until whole, then on
//!                                 └──── tunnels (GRE, ERSPAN, VXLAN) ◄─────┘
//! ```
//! Pure: bytes in, packets out through a closure; what can't be read is counted under its cause.

mod flow;
mod ip;
mod link;

pub use flow::{Address, Endpoint, Flow, hash_octets, random_key};
pub use link::LinkType;

use crate::reassembly::fragments::Fragments;

/// A frame as a source gives it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Capture time, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// What the octets begin with.
    pub link: LinkType,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Its length on the wire; more than `data` when the capture cut it.
    pub wire_length: u32,
    /// VLAN id of a tag that was taken off before, 0 for none.
    pub vlan: u16,
}

/// What carries the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A segment.
    Tcp {
        /// Sequence number of the first octet of the payload (of the SYN, with one).
        sequence: u32,
        /// The other direction's next octet, with flag ACK.
        acknowledged: u32,
        /// The flags octet: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
        flags: u8,
    },
}

/// A UDP datagram or TCP segment, whatever it was wrapped in.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Capture time, nanoseconds since 1970 UTC; of the first piece, when it came in fragments.
    pub time_ns: i64,
    /// Innermost addresses and ports.
    pub flow: Flow,
    /// UDP or TCP.
    pub transport: Transport,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Octets of the payload that the capture cut off (snap length).
    pub missing: u32,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
}

/// Why frames ended here, and what passed.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DecodeCounters {
    /// Frames seen.
    pub frames: u64,
    /// UDP datagrams passed on.
    pub udp: u64,
    /// TCP segments passed on.
    pub tcp: u64,
    /// Neither IP nor anything around it that we take off (ARP, LLDP …).
    pub not_ip: u64,
    /// IP with another payload (ICMP, ESP …).
    pub other_protocol: u64,
    /// Too short for its own headers, or headers that contradict themselves.
    pub malformed: u64,
    /// More layers inside one another than anybody has on purpose.
    pub too_deep: u64,
    /// Payload cut by the capture's snap length; passed on all the same.
    pub cut: u64,
}

impl DecodeCounters {
    /// Adds what another thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.udp += other.udp;
        self.tcp += other.tcp;
        self.not_ip += other.not_ip;
        self.other_protocol += other.other_protocol;
        self.malformed += other.malformed;
        self.too_deep += other.too_deep;
        self.cut += other.cut;
    }
}

/// Layers inside one another at most: a tunnel in a tunnel under two tags is eight.
const MAX_DEPTH: u32 = 16;

/// Takes frames apart. Holds the fragments that wait for their rest.
#[derive(Debug)]
pub struct Decoder {
    fragments: Fragments,
    counters: DecodeCounters,
}

impl Decoder {
    /// A decoder that keeps `fragments`.
    #[must_use]
    pub const fn new(fragments: Fragments) -> Self {
        Self {
            fragments,
            counters: DecodeCounters {
                frames: 0,
                udp: 0,
                tcp: 0,
                not_ip: 0,
                other_protocol: 0,
                malformed: 0,
                too_deep: 0,
                cut: 0,
            },
        }
    }

    /// What passed and what did not.
    #[must_use]
    pub const fn counters(&self) -> DecodeCounters {
        self.counters
    }

    /// The fragments that wait.
    #[must_use]
    pub const fn fragments(&self) -> &Fragments {
        &self.fragments
    }

    /// Calls `visit` with the packet inside the frame, if there is one.
    #[inline]
    pub fn decode(&mut self, frame: &Frame<'_>, visit: &mut impl FnMut(Packet<'_>)) {
        self.counters.frames += 1;
        if frame.link == LinkType::Ethernet
            && let Some(packet) = plain_udp(frame)
        {
            self.counters.udp += 1;
            visit(packet);
            return;
        }
        self.link(
            frame.link,
            frame.data,
            &Context {
                time_ns: frame.time_ns,
                depth: 0,
                vlan: frame.vlan,
            },
            visit,
        );
    }

    fn malformed(&mut self) {
        self.counters.malformed += 1;
    }
}

/// What goes down through the layers.
#[derive(Clone, Copy)]
struct Context {
    time_ns: i64,
    depth: u32,
    vlan: u16,
}

impl Context {
    const fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

/// The common case without a branch too many: Ethernet, IPv4 without options, an unfragmented UDP datagram that was
/// captured whole and is no VXLAN. Everything else takes the general way.
#[inline]
fn plain_udp<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    let (head, rest) = frame.data.split_first_chunk::<42>()?;
    let is_plain =
        head[12] == 8 && head[13] == 0 && head[14] == 0x45 && head[20] & 0x3f == 0 && head[21] == 0;
    if !is_plain || head[23] != 17 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([head[38], head[39]]));
    let total = usize::from(u16::from_be_bytes([head[16], head[17]]));
    let destination_port = u16::from_be_bytes([head[36], head[37]]);
    if length < 8 || total != length + 20 || ip::is_vxlan_port(destination_port) {
        return None;
    }
    Some(Packet {
        time_ns: frame.time_ns,
        flow: Flow {
            source: Address::v4([head[26], head[27], head[28], head[29]]),
            destination: Address::v4([head[30], head[31], head[32], head[33]]),
            source_port: u16::from_be_bytes([head[34], head[35]]),
            destination_port,
        },
        transport: Transport::Udp,
        payload: rest.get(..length - 8)?,
        missing: 0,
        vlan: frame.vlan,
    })
}

/// Two octets, big-endian, at `at`.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk::<2>()
        .map(|pair| u16::from_be_bytes(*pair))
}

/// Four octets, big-endian, at `at`.
#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|four| u32::from_be_bytes(*four))
}
