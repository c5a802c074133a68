//! What may lie around SIP over UDP: tags, labels, tunnels, options, fragments.

use crate::cases::{CALLS, Maker, directed};
use crate::pcap::Shot;
use crate::script::{S, Style, sides};
use crate::wire::{self, Ipv4};

/// Two tunnel ends.
const OUTER: ([u8; 4], [u8; 4]) = ([172, 16, 9, 1], [172, 16, 9, 2]);

fn outer(protocol: u8, body: &[u8]) -> Vec<u8> {
    wire::ethernet_ip(&wire::ipv4(
        OUTER.0,
        OUTER.1,
        protocol,
        Ipv4::default(),
        body,
    ))
}

type Wrap = fn(&[u8]) -> Vec<u8>;

/// Wrappings of an IP packet.
const WRAPPINGS: [(&str, Wrap); 11] = [
    ("plain", |ip| wire::ethernet_ip(ip)),
    ("vlan", |ip| wire::ethernet(0x0800, &[0x81, 0, 0, 100], ip)),
    ("qinq", |ip| {
        wire::ethernet(0x0800, &[0x88, 0xa8, 0, 200, 0x81, 0, 0, 100], ip)
    }),
    ("qinq_9100", |ip| {
        wire::ethernet(0x0800, &[0x91, 0, 0, 200, 0x81, 0, 0, 100], ip)
    }),
    ("mpls", |ip| {
        wire::ethernet(
            0x8847,
            &[],
            &[&[0, 0x3e, 0x80, 64, 0, 0x7d, 0x01, 64], ip].concat(),
        )
    }),
    ("pppoe", |ip| {
        let length = (ip.len() as u16 + 2).to_be_bytes();
        wire::ethernet(
            0x8864,
            &[],
            &[&[0x11, 0, 0, 7, length[0], length[1], 0, 0x21], ip].concat(),
        )
    }),
    ("gre", |ip| outer(47, &[&[0, 0, 8, 0], ip].concat())),
    ("ip_in_ip", |ip| outer(4, ip)),
    ("vxlan", |ip| {
        let inner = [[8, 0, 0, 0, 0, 0, 42, 0].as_slice(), &wire::ethernet_ip(ip)].concat();
        outer(
            17,
            &wire::udp((OUTER.0, 50_000).into(), (OUTER.1, 4789).into(), &inner),
        )
    }),
    ("erspan_2", |ip| {
        let head = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0];
        outer(47, &[head.as_slice(), &wire::ethernet_ip(ip)].concat())
    }),
    ("ethernet_trailer", |ip| {
        [wire::ethernet_ip(ip), vec![0xaa; 12]].concat()
    }),
];

pub fn add(maker: &mut Maker) {
    let style = Style::default();
    for (name, wrap) in WRAPPINGS {
        maker.usual(name, &style, |maker, forward, text| {
            vec![wrap(&maker.udp_packet(forward, text, 5060))]
        });
    }
    for port in [5080, 15_060] {
        maker.usual(&format!("port_{port}"), &style, |maker, forward, text| {
            vec![wire::ethernet_ip(&maker.udp_packet(forward, text, port))]
        });
    }
    maker.usual("ip_options", &style, |maker, forward, text| {
        let (source, destination) = directed(([10, 20, 0, 5], [203, 0, 113, 20]), forward);
        let fields = Ipv4 {
            identification: maker.identification(),
            options: &[0x94, 4, 0, 0],
            fragment: 0,
        };
        let datagram = wire::udp((source, 5060).into(), (destination, 5060).into(), text);
        vec![wire::ethernet_ip(&wire::ipv4(
            source,
            destination,
            17,
            fields,
            &datagram,
        ))]
    });
    maker.usual("udp_wrong_checksum", &style, |maker, forward, text| {
        let mut frame = maker.udp_frame(forward, text);
        frame[40..42].copy_from_slice(&[0x12, 0x34]);
        vec![frame]
    });
    add_ipv6(maker);
    add_fragments(maker);
}

fn v6_style() -> Style {
    Style {
        hosts: ("[2001:db8::5]", "[2001:db8:1::20]"),
        ..Style::default()
    }
}

fn v6_packet(forward: bool, text: &[u8], extend: impl Fn(Vec<u8>) -> (u8, Vec<u8>)) -> Vec<u8> {
    let (source, destination) = directed(sides(5060, true), forward);
    let (next, body) = extend(wire::udp(source, destination, text));
    wire::ethernet_ip(&wire::ip(source.ip(), destination.ip(), next, &body, 0))
}

fn add_ipv6(maker: &mut Maker) {
    maker.usual("ipv6", &v6_style(), |_, forward, text| {
        vec![v6_packet(forward, text, |udp| (17, udp))]
    });
    maker.usual("ipv6_hop_by_hop", &v6_style(), |_, forward, text| {
        vec![v6_packet(forward, text, |udp| {
            (0, [[17, 0, 5, 2, 0, 0, 1, 0].as_slice(), &udp].concat())
        })]
    });
    let big = Style {
        padding: 9,
        ..v6_style()
    };
    maker.usual("fragments_ipv6", &big, |maker, forward, text| {
        let (source, destination) = directed(sides(5060, true), forward);
        let datagram = wire::udp(source, destination, text);
        let identification = u32::from(maker.identification()).to_be_bytes();
        let count = datagram.len().div_ceil(1232);
        let pieces = datagram.chunks(1232).enumerate().map(|(index, piece)| {
            let position = ((index * 1232) as u16 | u16::from(index + 1 < count)).to_be_bytes();
            let head = [&[17, 0], position.as_slice(), &identification].concat();
            wire::ethernet_ip(&wire::ip(
                source.ip(),
                destination.ip(),
                44,
                &[head, piece.to_vec()].concat(),
                0,
            ))
        });
        pieces.collect()
    });
}

/// The fragments of one message.
fn fragments(maker: &mut Maker, forward: bool, text: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (source, destination) = directed(([10, 20, 0, 5], [203, 0, 113, 20]), forward);
    let datagram = wire::udp((source, 5060).into(), (destination, 5060).into(), text);
    let identification = maker.identification();
    let count = datagram.len().div_ceil(size);
    let pieces = datagram.chunks(size).enumerate().map(|(index, piece)| {
        let more = if index + 1 < count { 0x2000 } else { 0 };
        let fields = Ipv4 {
            identification,
            fragment: more | (index * size / 8) as u16,
            options: &[],
        };
        wire::ethernet_ip(&wire::ipv4(source, destination, 17, fields, piece))
    });
    pieces.collect()
}

fn add_fragments(maker: &mut Maker) {
    let big = Style {
        padding: 9,
        ..Style::default()
    };
    maker.usual("fragments_in_order", &big, |maker, forward, text| {
        fragments(maker, forward, text, 1480)
    });
    maker.usual("fragments_reversed", &big, |maker, forward, text| {
        let mut pieces = fragments(maker, forward, text, 1480);
        pieces.reverse();
        pieces
    });
    maker.usual("fragments_repeated", &big, |maker, forward, text| {
        let pieces = fragments(maker, forward, text, 1480);
        [pieces[..1].to_vec(), pieces].concat()
    });
    maker.usual("fragments_tiny", &big, |maker, forward, text| {
        fragments(maker, forward, text, 256)
    });
    maker.usual("fragments_vlan", &big, |maker, forward, text| {
        let tag = |frame: Vec<u8>| [&frame[..12], &[0x81, 0, 0, 100], &frame[12..]].concat();
        fragments(maker, forward, text, 1480)
            .into_iter()
            .map(tag)
            .collect()
    });
    // The last fragment of the answer is lost; half a second later it comes whole.
    let name = "fragments_missing";
    let (mut shots, mut truths) = (Vec::new(), Vec::new());
    for index in 0..CALLS {
        let call = maker.call(name, index, &big);
        for (place, line) in call.usual().into_iter().enumerate() {
            let at_ns = call.start_ns + line.at_ns;
            let mut pieces = fragments(maker, line.is_forward, &line.text, 1480);
            if place == 3 {
                pieces.pop();
                let again = fragments(maker, line.is_forward, &line.text, 1480);
                shots.extend(
                    again
                        .into_iter()
                        .map(|frame| Shot::new(at_ns + S / 2, frame)),
                );
            }
            shots.extend(pieces.into_iter().map(|frame| Shot::new(at_ns, frame)));
        }
        let mut truth = call.truth();
        truth.answer_ns = truth.answer_ns.map(|answer_ns| answer_ns + S / 2);
        truths.push(truth);
    }
    maker.put(name, shots, truths);
}
