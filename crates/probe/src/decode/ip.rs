//! IPv4, IPv6 and what they carry: fragments, tunnels, UDP and TCP.

use super::{Address, Context, Decoder, Flow, LinkType, Packet, Transport, u16_at, u32_at};
use crate::reassembly::fragments::{Fragment, FragmentKey};

/// An IP header as far as what follows needs it.
#[derive(Clone, Copy)]
struct Header {
    source: Address,
    destination: Address,
    /// Octets that the header promises and the capture has not.
    missing: u32,
}

const HOP_BY_HOP: u8 = 0;
const IP_IN_IP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const GRE: u8 = 47;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

/// VXLAN's port (RFC 7348), and the one that Linux used before there was one.
pub(super) const fn is_vxlan_port(port: u16) -> bool {
    port == 4789 || port == 8472
}

impl Decoder {
    pub(super) fn ip(
        &mut self,
        data: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let context = &context.deeper();
        if context.depth > super::MAX_DEPTH {
            self.counters.too_deep += 1;
            return;
        }
        match data.first().map(|first| first >> 4) {
            Some(4) => self.ipv4(data, context, visit),
            Some(6) => self.ipv6(data, context, visit),
            _ => self.malformed(),
        }
    }

    fn ipv4(&mut self, data: &[u8], context: &Context, visit: &mut impl FnMut(Packet<'_>)) {
        let Some((fixed, _)) = data.split_first_chunk::<20>() else {
            return self.malformed();
        };
        let header_length = usize::from(fixed[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        // A total length of 0 is segmentation offload: the frame is all there is.
        let total = if total == 0 { data.len() } else { total };
        if header_length < 20 || total < header_length || data.len() < header_length {
            return self.malformed();
        }
        let body = &data[header_length..total.min(data.len())];
        let header = Header {
            source: Address::v4([fixed[12], fixed[13], fixed[14], fixed[15]]),
            destination: Address::v4([fixed[16], fixed[17], fixed[18], fixed[19]]),
            missing: total.saturating_sub(data.len()) as u32,
        };
        let position = u16::from_be_bytes([fixed[6], fixed[7]]);
        if position & 0x3fff == 0 {
            return self.protocol(fixed[9], &header, body, context, visit);
        }
        let fragment = Fragment {
            offset: usize::from(position & 0x1fff) * 8,
            is_last: position & 0x2000 == 0,
            data: body,
            is_cut: header.missing > 0,
        };
        let identification = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        self.fragment(fixed[9], identification, &header, &fragment, context, visit);
    }

    fn ipv6(&mut self, data: &[u8], context: &Context, visit: &mut impl FnMut(Packet<'_>)) {
        let Some((fixed, rest)) = data.split_first_chunk::<40>() else {
            return self.malformed();
        };
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let length = if length == 0 { rest.len() } else { length };
        let (mut source, mut destination) = ([0; 16], [0; 16]);
        source.copy_from_slice(&fixed[8..24]);
        destination.copy_from_slice(&fixed[24..40]);
        let header = Header {
            source: Address::v6(source),
            destination: Address::v6(destination),
            missing: length.saturating_sub(rest.len()) as u32,
        };
        let mut body = &rest[..length.min(rest.len())];
        let mut next = fixed[6];
        // RFC 8200, section 4: headers one behind the other, each telling its length, the fragment header has none.
        for _ in 0..super::MAX_DEPTH {
            let length = match next {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY => {
                    body.get(1).map(|count| (usize::from(*count) + 1) * 8)
                }
                AUTHENTICATION => body.get(1).map(|count| (usize::from(*count) + 2) * 4),
                FRAGMENT => return self.ipv6_fragment(body, &header, context, visit),
                _ => return self.protocol(next, &header, body, context, visit),
            };
            let (Some(length), Some(first)) = (length, body.first()) else {
                return self.malformed();
            };
            let Some(rest) = body.get(length..) else {
                return self.malformed();
            };
            (next, body) = (*first, rest);
        }
        self.counters.too_deep += 1;
    }

    fn ipv6_fragment(
        &mut self,
        body: &[u8],
        header: &Header,
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let Some((fixed, data)) = body.split_first_chunk::<8>() else {
            return self.malformed();
        };
        let position = u16::from_be_bytes([fixed[2], fixed[3]]);
        let identification = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let fragment = Fragment {
            offset: usize::from(position & 0xfff8),
            is_last: position & 1 == 0,
            data,
            is_cut: header.missing > 0,
        };
        if fragment.offset == 0 && fragment.is_last {
            return self.protocol(fixed[0], header, data, context, visit); // atomic (RFC 6946)
        }
        self.fragment(fixed[0], identification, header, &fragment, context, visit);
    }

    fn fragment(
        &mut self,
        protocol: u8,
        identification: u32,
        header: &Header,
        fragment: &Fragment<'_>,
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let key = FragmentKey {
            source: header.source,
            destination: header.destination,
            identification,
            protocol,
        };
        if let Some(whole) = self.fragments.add(key, fragment, context.time_ns) {
            let context = Context {
                time_ns: whole.first_ns,
                ..context.deeper()
            };
            self.protocol(protocol, header, &whole.data, &context, visit);
        }
    }

    fn protocol(
        &mut self,
        protocol: u8,
        header: &Header,
        body: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        match protocol {
            UDP => self.udp(header, body, context, visit),
            TCP => self.tcp(header, body, context, visit),
            IP_IN_IP | IPV6_IN_IP => self.ip(body, context, visit),
            GRE => self.gre(body, context, visit),
            _ => self.counters.other_protocol += 1,
        }
    }

    fn udp(
        &mut self,
        header: &Header,
        body: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let Some((fixed, rest)) = body.split_first_chunk::<8>() else {
            return self.malformed();
        };
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let wanted = match length {
            0 => rest.len(), // a jumbogram (RFC 2675)
            1..8 => return self.malformed(),
            _ => length - 8,
        };
        let destination_port = u16::from_be_bytes([fixed[2], fixed[3]]);
        let payload = &rest[..wanted.min(rest.len())];
        // VXLAN: flags with only "network identifier valid", reserved octets nought (RFC 7348, section 5).
        if is_vxlan_port(destination_port)
            && let [0x08, 0, 0, 0, _, _, _, 0, inner @ ..] = payload
        {
            return self.link(LinkType::Ethernet, inner, context, visit);
        }
        self.counters.udp += 1;
        let missing = wanted.saturating_sub(rest.len()) as u32;
        self.counters.cut += u64::from(missing > 0);
        visit(Packet {
            time_ns: context.time_ns,
            flow: Flow {
                source: header.source,
                destination: header.destination,
                source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
                destination_port,
            },
            transport: Transport::Udp,
            payload,
            missing,
            vlan: context.vlan,
        });
    }

    fn tcp(
        &mut self,
        header: &Header,
        body: &[u8],
        context: &Context,
        visit: &mut impl FnMut(Packet<'_>),
    ) {
        let Some((fixed, _)) = body.split_first_chunk::<20>() else {
            return self.malformed();
        };
        let offset = usize::from(fixed[12] >> 4) * 4;
        if offset < 20 {
            return self.malformed();
        }
        let Some(payload) = body.get(offset..) else {
            return self.malformed();
        };
        self.counters.tcp += 1;
        self.counters.cut += u64::from(header.missing > 0);
        visit(Packet {
            time_ns: context.time_ns,
            flow: Flow {
                source: header.source,
                destination: header.destination,
                source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
                destination_port: u16::from_be_bytes([fixed[2], fixed[3]]),
            },
            transport: Transport::Tcp {
                sequence: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                acknowledged: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
                flags: fixed[13],
            },
            payload,
            missing: header.missing,
            vlan: context.vlan,
        });
    }

    /// GRE (RFC 2784, 2890) with Ethernet, IP, MPLS or a mirror session inside: ERSPAN type I is GRE without
    /// a sequence number and has no header of its own, type II has eight octets, type III twelve or twenty.
    fn gre(&mut self, data: &[u8], context: &Context, visit: &mut impl FnMut(Packet<'_>)) {
        let (Some(flags), Some(kind)) = (u16_at(data, 0), u16_at(data, 2)) else {
            return self.malformed();
        };
        if flags & 7 != 0 {
            self.counters.other_protocol += 1; // version 1 is PPTP's
            return;
        }
        let has_sequence = flags & 0x1000 != 0;
        let options = [0x8000_u16, 0x2000, 0x1000]
            .iter()
            .filter(|bit| flags & **bit != 0)
            .count();
        let Some(body) = data.get(4 + 4 * options..) else {
            return self.malformed();
        };
        let mirrored = match kind {
            0x88be if has_sequence => body.get(8..),
            0x88be => Some(body),
            0x22eb => {
                let has_subheader = u32_at(body, 8).is_some_and(|word| word & 1 == 1);
                body.get(if has_subheader { 20 } else { 12 }..)
            }
            _ => return self.ether_type(kind, body, context, visit),
        };
        match mirrored {
            Some(inner) => self.link(LinkType::Ethernet, inner, context, visit),
            None => self.malformed(),
        }
    }
}
