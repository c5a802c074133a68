//! Hard cases: well-formed traffic that tools get wrong, five calls of each kind, and malformed traffic that makes none.

use crate::pcap::Shot;
use crate::script::{Call, Line, S, Style, Truth, sides};
use crate::wire;

/// A kind of hardship.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is.
    pub name: String,
    /// The frames, in the order of their making.
    pub shots: Vec<Shot>,
    /// What must be found.
    pub truths: Vec<Truth>,
}

/// Start of the hard cases: 2026-11-20 in nanoseconds.
pub const START_NS: i64 = 1_795_132_800 * S;
/// Calls of each case.
pub const CALLS: usize = 5;

/// All that are well-formed: seventy-eight.
#[must_use]
pub fn well_formed() -> Vec<Case> {
    let mut maker = Maker {
        number: 0,
        identification: 0,
        cases: Vec::new(),
    };
    crate::cases_frames::add(&mut maker);
    crate::cases_tcp::add(&mut maker);
    crate::cases_syntax::add(&mut maker);
    crate::cases_dialog::add(&mut maker);
    maker.cases
}

/// Writes cases one after the other.
#[derive(Debug)]
pub struct Maker {
    number: u32,
    identification: u16,
    cases: Vec<Case>,
}

impl Maker {
    /// The next call of a case.
    pub fn call(&mut self, name: &str, index: usize, style: &Style) -> Call {
        self.number += 1;
        let start_ns = START_NS + i64::from(self.number) * S / 4;
        Call::new(
            format!("{name}-{index}@hard.example"),
            self.number,
            start_ns,
            style.clone(),
        )
    }

    /// The next identification of an IP packet.
    pub const fn identification(&mut self) -> u16 {
        self.identification = self.identification.wrapping_add(1);
        self.identification
    }

    /// Files a case.
    pub fn put(&mut self, name: &str, shots: Vec<Shot>, truths: Vec<Truth>) {
        self.cases.push(Case {
            name: name.to_owned(),
            shots,
            truths,
        });
    }

    /// Cuts the frames of the case filed last.
    pub fn cut_last(&mut self, length: usize) {
        for shot in self
            .cases
            .last_mut()
            .into_iter()
            .flat_map(|case| &mut case.shots)
        {
            shot.data.truncate(length);
        }
    }

    /// Usual calls whose messages become frames by `frames`: several a message are fifty microseconds apart.
    pub fn usual(
        &mut self,
        name: &str,
        style: &Style,
        frames: impl Fn(&mut Self, bool, &[u8]) -> Vec<Vec<u8>>,
    ) {
        let (mut shots, mut truths) = (Vec::new(), Vec::new());
        for index in 0..CALLS {
            let call = self.call(name, index, style);
            for line in call.usual() {
                for (piece, frame) in frames(self, line.is_forward, &line.text)
                    .into_iter()
                    .enumerate()
                {
                    shots.push(Shot::new(
                        call.start_ns + line.at_ns + piece as i64 * 50_000,
                        frame,
                    ));
                }
            }
            truths.push(call.truth());
        }
        self.put(name, shots, truths);
    }

    /// Calls as `script` tells them, over UDP; `truth` says what differs from the usual call.
    pub fn scripted(
        &mut self,
        name: &str,
        script: impl Fn(&Call) -> Vec<Line>,
        truth: impl Fn(&Call, &mut Truth),
    ) {
        let (mut shots, mut truths) = (Vec::new(), Vec::new());
        for index in 0..CALLS {
            let call = self.call(name, index, &Style::default());
            for line in script(&call) {
                let frame = self.udp_frame(line.is_forward, &line.text);
                shots.push(Shot::new(call.start_ns + line.at_ns, frame));
            }
            let mut expected = call.truth();
            truth(&call, &mut expected);
            truths.push(expected);
        }
        self.put(name, shots, truths);
    }

    /// The usual frame of a message: Ethernet, IPv4, UDP, port 5060.
    pub fn udp_frame(&mut self, is_forward: bool, text: &[u8]) -> Vec<u8> {
        wire::ethernet_ip(&self.udp_packet(is_forward, text, 5060))
    }

    /// The same from IP on, at any port.
    pub fn udp_packet(&mut self, is_forward: bool, text: &[u8], port: u16) -> Vec<u8> {
        let (source, destination) = directed(sides(port, false), is_forward);
        let identification = self.identification();
        wire::ip(
            source.ip(),
            destination.ip(),
            17,
            &wire::udp(source, destination, text),
            identification,
        )
    }
}

/// Sender first.
pub fn directed<T>(pair: (T, T), is_forward: bool) -> (T, T) {
    if is_forward { pair } else { (pair.1, pair.0) }
}

/// Messages that must make no call and break nothing.
#[must_use]
pub fn malformed_messages() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "", "\0\0\0\0", "\r\n\r\n", "INVITE", "INVITE sip:x SIP/2.0", "INVITE sip:x SIP/2.0\r\n\r\n",
        "INVITE sip:x SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCSeq: 1 INVITE\r\n\r\n",
        "SIP/2.0 \r\n\r\n", "SIP/2.0 abc What\r\nCall-ID: no-number\r\n\r\n",
        "SIP/2.0 99999999999 What\r\nCall-ID: large-number\r\nCSeq: 1 INVITE\r\n\r\n",
        "INVITE sip:x SIP/3.0\r\nCall-ID: version\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCSeq: 1 INVITE\r\n\r\n",
        "INVITE sip:x SIP/2.0\r\n: value\r\n:\r\nCall-ID\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
        "INVITE sip:x SIP/2.0\r\nCall-ID: \r\nCSeq: 1 INVITE\r\n\r\n",
    ].iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push((0..=255_u8).cycle().take(1024).collect());
    all.push([b"INVITE sip:x SIP/2.0\r\n".as_slice(), &[b'A'; 1200]].concat());
    all.push([b"INVITE sip:".as_slice(), &[b'x'; 1300]].concat());
    all.push([b"\x80\x08".as_slice(), &[0x55; 170]].concat());
    all
}

/// Frames whose layers contradict themselves.
#[must_use]
pub fn broken_frames() -> Vec<Vec<u8>> {
    let (source, destination) = sides(5060, false);
    let whole = wire::udp_frame(source, destination, b"hello", 1);
    let changed = |at: usize, octets: &[u8]| {
        let mut frame = whole.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    let mut frames: Vec<Vec<u8>> = [0, 10, 14, 20, 34, 38]
        .iter()
        .map(|length| whole[..*length].to_vec())
        .collect();
    frames.extend([
        changed(14, &[0x4f]),
        changed(14, &[0x41]),
        changed(16, &[0, 5]),
        changed(38, &[0xff, 0xff]),
        changed(38, &[0, 3]),
        wire::ethernet(0x8100, &[], &[]),
        wire::ethernet(0x8100, &[], &[0, 100]),
        wire::ethernet(0x86dd, &[], &[]),
        wire::ethernet(0x86dd, &[], &[&[0x60], [0; 39].as_slice()].concat()),
        wire::ethernet_ip(&wire::ip(source.ip(), destination.ip(), 6, &[0; 12], 1)),
        wire::ethernet(0x8847, &[], &[0; 200]),
        wire::ethernet(0x8864, &[], &[0x11, 0, 0]),
    ]);
    frames
}
