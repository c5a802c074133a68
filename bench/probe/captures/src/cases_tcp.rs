//! SIP over TCP and WebSocket: however the messages lie in the segments.

use crate::cases::{CALLS, Maker, directed};
use crate::pcap::Shot;
use crate::script::{Call, MS, Style, sides};
use crate::wire;
use std::net::SocketAddr;

/// A connection from the caller's side.
struct Connection {
    ends: (SocketAddr, SocketAddr),
    numbers: [u32; 2],
    shots: Vec<Shot>,
}

const PUSH: u8 = 0x18;

impl Connection {
    fn new(port: u16, at_ns: i64, has_start: bool) -> Self {
        let (mut here, there) = sides(5060, false);
        here.set_port(port);
        // The first direction's numbers wrap within the call.
        let mut connection = Self {
            ends: (here, there),
            numbers: [u32::MAX - 700, u32::from(port) << 12],
            shots: Vec::new(),
        };
        if has_start {
            connection.segment(at_ns, true, 0x02, &[]);
            connection.numbers[0] = connection.numbers[0].wrapping_add(1);
            connection.segment(at_ns + 100_000, false, 0x12, &[]);
            connection.numbers[1] = connection.numbers[1].wrapping_add(1);
            connection.segment(at_ns + 200_000, true, 0x10, &[]);
        }
        connection
    }

    fn frame(&self, is_forward: bool, number: u32, flags: u8, data: &[u8]) -> Vec<u8> {
        let (source, destination) = directed(self.ends, is_forward);
        let acknowledged = self.numbers[usize::from(is_forward)];
        let segment = wire::tcp(source, destination, (number, acknowledged), flags, data);
        wire::ethernet_ip(&wire::ip(source.ip(), destination.ip(), 6, &segment, 0))
    }

    /// The next octets.
    fn segment(&mut self, at_ns: i64, is_forward: bool, flags: u8, data: &[u8]) {
        let side = usize::from(!is_forward);
        let frame = self.frame(is_forward, self.numbers[side], flags, data);
        self.shots.push(Shot::new(at_ns, frame));
        self.skip(is_forward, data.len());
    }

    fn send(&mut self, at_ns: i64, is_forward: bool, data: &[u8]) {
        self.segment(at_ns, is_forward, PUSH, data);
    }

    /// Octets at another place than the next.
    fn send_at(&mut self, at_ns: i64, is_forward: bool, number: u32, data: &[u8]) {
        let frame = self.frame(is_forward, number, PUSH, data);
        self.shots.push(Shot::new(at_ns, frame));
    }

    fn number(&self, is_forward: bool) -> u32 {
        self.numbers[usize::from(!is_forward)]
    }

    fn skip(&mut self, is_forward: bool, octets: usize) {
        let side = usize::from(!is_forward);
        self.numbers[side] = self.numbers[side].wrapping_add(octets as u32);
    }
}

fn each(maker: &mut Maker, name: &str, has_start: bool, write: impl Fn(&mut Connection, &Call)) {
    let style = Style {
        transport: "TCP",
        ..Style::default()
    };
    let (mut shots, mut truths) = (Vec::new(), Vec::new());
    for index in 0..CALLS {
        let call = maker.call(name, index, &style);
        let port = 20_000 + maker.identification();
        let mut connection = Connection::new(port, call.start_ns - MS, has_start);
        write(&mut connection, &call);
        shots.append(&mut connection.shots);
        truths.push(call.truth());
    }
    maker.put(name, shots, truths);
}

/// Each message by its own writing.
fn lines(
    connection: &mut Connection,
    call: &Call,
    write: impl Fn(&mut Connection, i64, bool, &[u8]),
) {
    for line in call.usual() {
        write(
            connection,
            call.start_ns + line.at_ns,
            line.is_forward,
            &line.text,
        );
    }
}

pub fn add(maker: &mut Maker) {
    each(maker, "tcp_one_each", true, |to, call| {
        lines(to, call, Connection::send)
    });
    each(maker, "tcp_midstream", false, |to, call| {
        lines(to, call, Connection::send)
    });
    each(maker, "tcp_split", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            let third = text.len() / 3;
            let cuts = [0, 5, third, 2 * third, text.len() - 2, text.len()];
            for (piece, pair) in cuts.windows(2).enumerate() {
                to.send(
                    at_ns + piece as i64 * 60_000,
                    forward,
                    &text[pair[0]..pair[1]],
                );
            }
        });
    });
    each(maker, "tcp_several_in_one", true, |to, call| {
        let all = call.usual();
        let at = |place: usize| call.start_ns + all[place].at_ns;
        to.send(at(0), true, &all[0].text);
        to.send(
            at(2),
            false,
            &[all[1].text.as_slice(), &all[2].text].concat(),
        );
        to.send(at(3), false, &all[3].text);
        to.send(
            at(5),
            true,
            &[all[4].text.as_slice(), &all[5].text].concat(),
        );
        to.send(at(6), false, &all[6].text);
    });
    each(maker, "tcp_retransmitted", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            let number = to.number(forward);
            to.send(at_ns, forward, text);
            to.send_at(at_ns + 3 * MS, forward, number, text);
        });
    });
    each(maker, "tcp_out_of_order", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            let number = to.number(forward);
            to.send(at_ns, forward, &text[..100]);
            to.send_at(
                at_ns + 50_000,
                forward,
                number.wrapping_add(200),
                &text[200..],
            );
            to.send(at_ns + 90_000, forward, &text[100..200]);
            to.skip(forward, text.len() - 200);
        });
    });
    each(maker, "tcp_overlap", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            let number = to.number(forward);
            to.send(at_ns, forward, &text[..200]);
            to.send_at(
                at_ns + 50_000,
                forward,
                number.wrapping_add(100),
                &text[100..],
            );
            to.skip(forward, text.len() - 200);
        });
    });
    each(maker, "tcp_keep_alive", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            to.send(at_ns - MS / 2, forward, b"\r\n\r\n");
            to.send(at_ns, forward, text);
        });
    });
    each(maker, "tcp_keep_alive_joined", true, |to, call| {
        lines(to, call, |to, at_ns, forward, text| {
            to.send(at_ns, forward, &[b"\r\n\r\n".as_slice(), text].concat());
        });
    });
    each(maker, "tcp_gap", true, |to, call| {
        for (place, line) in call.usual().iter().enumerate() {
            // The front of the 180 was not captured.
            let from = if place == 2 { 100 } else { 0 };
            to.skip(line.is_forward, from);
            to.send(
                call.start_ns + line.at_ns,
                line.is_forward,
                &line.text[from..],
            );
        }
    });
    add_shared(maker);
    each(maker, "websocket", true, write_websocket);
}

/// Five calls on one connection.
fn add_shared(maker: &mut Maker) {
    let style = Style {
        transport: "TCP",
        ..Style::default()
    };
    let name = "tcp_shared";
    let calls: Vec<Call> = (0..CALLS)
        .map(|index| maker.call(name, index, &style))
        .collect();
    let mut all: Vec<(i64, bool, Vec<u8>)> = calls
        .iter()
        .flat_map(|call| {
            call.usual()
                .into_iter()
                .map(|line| (call.start_ns + line.at_ns, line.is_forward, line.text))
        })
        .collect();
    all.sort();
    let mut connection = Connection::new(19_999, calls[0].start_ns - MS, true);
    for (at_ns, forward, text) in all {
        connection.send(at_ns, forward, &text);
    }
    maker.put(
        name,
        connection.shots,
        calls.iter().map(Call::truth).collect(),
    );
}

fn write_websocket(to: &mut Connection, call: &Call) {
    to.send(
        call.start_ns - 600_000,
        true,
        b"GET /sip HTTP/1.1\r\nHost: sip.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    to.send(
        call.start_ns - 300_000,
        false,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
    );
    lines(to, call, |to, at_ns, forward, text| {
        to.send(at_ns, forward, &websocket_frame(forward, text))
    });
}

/// One text frame; a client masks (RFC 6455, section 5.3).
#[must_use]
pub fn websocket_frame(is_masked: bool, text: &[u8]) -> Vec<u8> {
    let bit = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![0x81, bit | 126];
    frame.extend((text.len() as u16).to_be_bytes());
    if is_masked {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        frame.extend(mask);
        frame.extend(
            text.iter()
                .zip(mask.iter().cycle())
                .map(|(octet, mask)| octet ^ mask),
        );
    } else {
        frame.extend(text);
    }
    frame
}
