//! What lies below IP: link headers, tags, labels.

use super::{Context, Decoder, Packet, u16_at};

/// What a frame begins with (the numbers are libpcap's LINKTYPE values).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkType {
    /// Ethernet, 1.
    Ethernet,
    /// IP of either version without anything before it, 12, 14, 101, 228, 229.
    RawIp,
    /// Linux "any" device, 113.
    CookedV1,
    /// Linux "any" device since libpcap 1.10, 276.
    CookedV2,
    /// BSD loopback: four octets of address family in either byte order, 0 and 108.
    Loopback,
    /// PPP, 9, and PPP in HDLC framing, 50.
    Ppp,
}

impl LinkType {
    /// From the number in a capture file; `None` for one that carries nothing we read.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::CookedV1),
            276 => Some(Self::CookedV2),
            0 | 108 => Some(Self::Loopback),
            9 | 50 => Some(Self::Ppp),
            _ => None,
        }
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
const MPLS: [u16; 2] = [0x8847, 0x8848];
const PPPOE_SESSION: u16 = 0x8864;
/// The protocol field of GRE for an Ethernet frame, also an EtherType of bridges.
const TRANSPARENT_BRIDGING: u16 = 0x6558;

impl Decoder {
    pub(super) fn link(
        &mut self,
        link: LinkType,
        data: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let context = &context.deeper();
        if context.depth > super::MAX_DEPTH {
            self.counters.too_deep += 1;
            return;
        }
        let next = match link {
            LinkType::Ethernet => u16_at(data, 12).zip(data.get(14..)),
            LinkType::CookedV1 => u16_at(data, 14).zip(data.get(16..)),
            LinkType::CookedV2 => u16_at(data, 0).zip(data.get(20..)),
            LinkType::RawIp => Some((IPV4, data)),
            LinkType::Loopback => Some((IPV4, data.get(4..).unwrap_or_default())),
            LinkType::Ppp => {
                return self.ppp(
                    data.strip_prefix(&[0xff, 0x03]).unwrap_or(data),
                    context,
                    visit,
                );
            }
        };
        match next {
            Some((kind, rest)) => self.ether_type(kind, rest, context, visit),
            None => self.malformed(),
        }
    }

    /// What stands behind an EtherType: tags and labels are taken off until IP is reached.
    pub(super) fn ether_type(
        &mut self,
        mut kind: u16,
        mut data: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let context = &mut { *context };
        for _ in 0..super::MAX_DEPTH {
            match kind {
                IPV4 | IPV6 => return self.ip(data, context, visit),
                tag if TAGS.contains(&tag) => {
                    let (Some(inner), Some(rest)) = (u16_at(data, 2), data.get(4..)) else {
                        return self.malformed();
                    };
                    if context.vlan == 0 {
                        context.vlan = u16_at(data, 0).unwrap_or_default() & 0x0fff;
                    }
                    (kind, data) = (inner, rest);
                }
                label if MPLS.contains(&label) => return self.mpls(data, context, visit),
                PPPOE_SESSION => match data.get(6..) {
                    Some(rest) => return self.ppp(rest, context, visit),
                    None => return self.malformed(),
                },
                TRANSPARENT_BRIDGING => return self.link(LinkType::Ethernet, data, context, visit),
                // IEEE 802.3: a length, then LLC; only SNAP carries IP.
                length if length <= 1500 => match data.strip_prefix(&[0xaa, 0xaa, 3, 0, 0, 0]) {
                    Some(rest) if rest.len() >= 2 => {
                        (kind, data) = (u16::from_be_bytes([rest[0], rest[1]]), &rest[2..]);
                    }
                    _ => break,
                },
                _ => break,
            }
        }
        self.counters.not_ip += 1;
    }

    /// Label stack, then IP, or an Ethernet pseudowire with or without its control word (RFC 4385).
    fn mpls(&mut self, mut data: &[u8], context: &Context, visit: &mut impl FnMut(Packet<'_>)) {
        for _ in 0..super::MAX_DEPTH {
            let Some((label, rest)) = data.split_first_chunk::<4>() else {
                return self.malformed();
            };
            data = rest;
            if label[2] & 1 == 1 {
                return match data.first().map(|first| first >> 4) {
                    Some(4 | 6) => self.ip(data, context, visit),
                    Some(0) if data.len() > 4 => {
                        self.link(LinkType::Ethernet, &data[4..], context, visit)
                    }
                    Some(_) => self.link(LinkType::Ethernet, data, context, visit),
                    None => self.malformed(),
                };
            }
        }
        self.counters.too_deep += 1;
    }

    /// The protocol field, one octet when compressed (RFC 1661, section 6.5).
    fn ppp(&mut self, data: &[u8], context: &Context, visit: &mut impl FnMut(Packet<'_>)) {
        let rest = match data {
            [0x00, 0x21 | 0x57, rest @ ..] | [0x21 | 0x57, rest @ ..] => rest,
            [_, _, ..] => {
                self.counters.not_ip += 1;
                return;
            }
            _ => return self.malformed(),
        };
        self.ip(rest, context, visit);
    }
}
