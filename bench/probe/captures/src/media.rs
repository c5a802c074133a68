//! Calls with two-way audio, disturbed in known ways, with what is true of each stream.

use crate::pcap::{self, ETHERNET};
use crate::random::Random;
use crate::script::{Call, MS, S, Style};
use crate::wire;
use std::collections::{BinaryHeap, HashSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// How a stream is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing but a little jitter.
    Clean,
    /// Half a percent to two lost at random.
    Loss,
    /// Lost in runs.
    Bursts,
    /// Jitter of 12 to 25 ms: packets overtake each other.
    Jitter,
    /// Packets that come twice.
    Copies,
    /// Every so often a packet comes after the next one.
    Order,
}

/// What is true of a stream.
#[derive(Clone, Debug)]
pub struct StreamTruth {
    /// Its call.
    pub call_id: String,
    /// The caller sends it.
    pub is_forward: bool,
    /// SSRC.
    pub ssrc: u32,
    /// Disturbance.
    pub disturbance: Disturbance,
    /// Different packets that arrive.
    pub packets: u32,
    /// Packets that never arrive.
    pub lost: u32,
    /// Packets that arrive again.
    pub duplicates: u32,
    /// Packets that arrive after a later one.
    pub reordered: u32,
    /// Mean of the RFC 3550 jitter, milliseconds.
    pub jitter_mean_ms: f64,
    /// Its maximum.
    pub jitter_max_ms: f64,
}

/// A load of calls with audio.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Calls.
    pub calls: u32,
    /// Calls a second.
    pub rate: f64,
    /// Seconds of audio in each.
    pub seconds: u32,
    /// Seed.
    pub seed: u64,
}

const START_NS: i64 = 1_795_219_200 * S;
/// Octets of audio in a packet: 20 ms of G.711.
const AUDIO: usize = 160;
const TICKS: u32 = 160;

/// A stream while it is written: its packets, in the order of arrival.
struct Stream {
    ends: (SocketAddr, SocketAddr),
    ssrc: u32,
    first_sequence: u16,
    first_timestamp: u32,
    payload_type: u8,
    /// Time and place of each packet that arrives.
    arrivals: std::vec::IntoIter<(i64, u32)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Frame(Vec<u8>),
    Packet { stream: usize, index: u32 },
}

/// Writes the capture; gives packets, calls' truths and streams' truths.
pub fn write(
    out: &mut impl Write,
    load: Load,
) -> io::Result<(u64, Vec<crate::script::Truth>, Vec<StreamTruth>)> {
    out.write_all(&pcap::header(ETHERNET))?;
    let mut random = Random::new(load.seed);
    let mut waiting = BinaryHeap::new();
    let mut streams: Vec<Stream> = Vec::new();
    let (mut calls, mut truths) = (Vec::new(), Vec::new());
    let (mut packets, mut order) = (0_u64, 0_u64);
    let noise: Vec<u8> = (0..65_536)
        .map(|_| 0xd0 ^ (random.bits() as u8 & 0x3f))
        .collect();
    let mut at_ns = START_NS;
    for number in 0..=load.calls {
        at_ns += (random.wait(load.rate) * S as f64) as i64;
        let until_ns = if number == load.calls {
            i64::MAX
        } else {
            at_ns
        };
        while let Some(std::cmp::Reverse((time_ns, _, _))) = waiting.peek()
            && *time_ns < until_ns
        {
            let Some(std::cmp::Reverse((time_ns, _, what))) = waiting.pop() else {
                break;
            };
            let frame = match what {
                What::Frame(frame) => frame,
                What::Packet { stream, index } => {
                    let stream = &mut streams[stream];
                    if let Some((next_ns, next)) = stream.arrivals.next() {
                        order += 1;
                        waiting.push(std::cmp::Reverse((
                            next_ns,
                            order,
                            What::Packet {
                                stream: stream_place(stream),
                                index: next,
                            },
                        )));
                    }
                    stream.frame(index, &noise)
                }
            };
            let length = frame.len() as u32;
            out.write_all(&pcap::record_header(time_ns, length, length))?;
            out.write_all(&frame)?;
            packets += 1;
        }
        if number == load.calls {
            break;
        }
        let call = MediaCall::new(number, at_ns);
        let answer_ns = at_ns + 300 * MS + (random.between(0.5, 6.0) * S as f64) as i64;
        let end_ns = answer_ns + i64::from(load.seconds) * S + 300 * MS;
        for (time_ns, frame) in call.signalling(answer_ns, end_ns) {
            order += 1;
            waiting.push(std::cmp::Reverse((time_ns, order, What::Frame(frame))));
        }
        for is_forward in [true, false] {
            let place = streams.len();
            let (stream, truth) =
                call.stream(place, is_forward, answer_ns, load.seconds, &mut random);
            streams.push(stream);
            truths.push(truth);
            if let Some((time_ns, index)) = streams[place].arrivals.next() {
                order += 1;
                waiting.push(std::cmp::Reverse((
                    time_ns,
                    order,
                    What::Packet {
                        stream: place,
                        index,
                    },
                )));
            }
        }
        let mut truth = call.script.truth();
        (truth.answer_ns, truth.end_ns) = (Some(answer_ns), Some(end_ns));
        calls.push(truth);
    }
    Ok((packets, calls, truths))
}

/// The SSRC holds the stream's place: see [`MediaCall::stream`].
const fn stream_place(stream: &Stream) -> usize {
    (stream.ssrc.wrapping_sub(SSRC_BASE)) as usize
}

const SSRC_BASE: u32 = 0x1d00_0000;

struct MediaCall {
    script: Call,
    ends: (Ipv4Addr, Ipv4Addr),
    ports: (u16, u16),
    payload_type: u8,
}

impl MediaCall {
    fn new(number: u32, start_ns: i64) -> Self {
        let ends = (
            Ipv4Addr::new(10, 60, 0, 3 + (number % 4) as u8),
            Ipv4Addr::new(198, 18, 0, 1 + (number % 40) as u8),
        );
        let script = Call::new(
            format!("audio-{number:06}@bench.example"),
            number,
            start_ns,
            Style::default(),
        );
        let port = 12_000 + (number * 4 % 48_000) as u16;
        Self {
            script,
            ends,
            ports: (port, port + 2),
            payload_type: if number.is_multiple_of(3) { 0 } else { 8 },
        }
    }

    fn sdp(&self, of_caller: bool) -> String {
        let (ip, port) = if of_caller {
            (self.ends.0, self.ports.0)
        } else {
            (self.ends.1, self.ports.1)
        };
        let name = if self.payload_type == 8 {
            "PCMA"
        } else {
            "PCMU"
        };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {kind} 101\r\n\
             a=rtpmap:{kind} {name}/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n",
            kind = self.payload_type
        )
    }

    fn signalling(&self, answer_ns: i64, end_ns: i64) -> Vec<(i64, Vec<u8>)> {
        let lines = self.script.usual();
        let times = [
            0,
            5 * MS,
            300 * MS,
            answer_ns - self.script.start_ns,
            answer_ns - self.script.start_ns + 8 * MS,
        ];
        let ends = [end_ns, end_ns + 4 * MS].map(|end_ns| end_ns - self.script.start_ns);
        let ends = times.into_iter().chain(ends).zip(lines);
        ends.map(|(at_ns, line)| {
            let text = self.with_own_sdp(&line.text, line.is_forward);
            let pair = (socket(self.ends.0, 5060), socket(self.ends.1, 5060));
            let (source, destination) = if line.is_forward {
                pair
            } else {
                (pair.1, pair.0)
            };
            (
                self.script.start_ns + at_ns,
                wire::udp_frame(source, destination, &text, 1),
            )
        })
        .collect()
    }

    /// The script's SDP exchanged for this call's.
    fn with_own_sdp(&self, text: &[u8], of_caller: bool) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        if !text.contains("m=audio") {
            return text.into_owned().into_bytes();
        }
        let sdp = self.sdp(of_caller);
        let length = format!("Content-Length: {}", sdp.len());
        let text = text.replace(crate::script::SDP, &sdp);
        text.replace(
            &format!("Content-Length: {}", crate::script::SDP.len()),
            &length,
        )
        .into_bytes()
    }

    fn stream(
        &self,
        place: usize,
        is_forward: bool,
        answer_ns: i64,
        seconds: u32,
        random: &mut Random,
    ) -> (Stream, StreamTruth) {
        let disturbance = match random.below(20) {
            0..12 => Disturbance::Clean,
            12..15 => Disturbance::Loss,
            15..17 => Disturbance::Bursts,
            17 => Disturbance::Jitter,
            18 => Disturbance::Copies,
            _ => Disturbance::Order,
        };
        let count = seconds * 50;
        let start_ns = answer_ns + if is_forward { 20 * MS } else { 10 * MS };
        let arrivals = disturb(disturbance, count, start_ns, random);
        let pair = (
            socket(self.ends.0, self.ports.0),
            socket(self.ends.1, self.ports.1),
        );
        let mut truth = measure(&arrivals, count);
        truth.call_id.clone_from(&self.script.call_id);
        (truth.is_forward, truth.disturbance) = (is_forward, disturbance);
        truth.ssrc = SSRC_BASE + place as u32;
        let stream = Stream {
            ends: if is_forward { pair } else { (pair.1, pair.0) },
            ssrc: truth.ssrc,
            first_sequence: random.bits() as u16,
            first_timestamp: random.bits() as u32,
            payload_type: self.payload_type,
            arrivals: arrivals.into_iter(),
        };
        (stream, truth)
    }
}

fn socket(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(ip, port))
}

/// When which packet arrives.
fn disturb(
    disturbance: Disturbance,
    count: u32,
    start_ns: i64,
    random: &mut Random,
) -> Vec<(i64, u32)> {
    let jitter_ms = match disturbance {
        Disturbance::Clean => 0.15,
        Disturbance::Loss => 2.0,
        Disturbance::Bursts => 5.0,
        Disturbance::Jitter => random.between(12.0, 25.0),
        Disturbance::Copies | Disturbance::Order => 0.5,
    };
    let rate = random.between(0.005, 0.02);
    let mut is_bad = false;
    let mut latest = f64::MIN;
    let mut arrivals: Vec<(i64, u32)> = Vec::with_capacity(count as usize + 32);
    for index in 0..count {
        let mut at_ms = f64::from(index) * 20.0 + random.normal(jitter_ms).abs();
        if disturbance != Disturbance::Jitter {
            at_ms = at_ms.max(latest + 1e-3);
        }
        latest = at_ms;
        let is_edge = index < 3 || index + 3 >= count;
        is_bad = if is_bad {
            random.chance(0.75)
        } else {
            random.chance(rate)
        };
        let is_lost = match disturbance {
            Disturbance::Loss => random.chance(rate),
            Disturbance::Bursts => is_bad,
            _ => false,
        };
        if is_lost && !is_edge {
            continue;
        }
        let at_ns = start_ns + (at_ms * 1e6) as i64;
        arrivals.push((at_ns, index));
        if disturbance == Disturbance::Copies && index > 0 && random.chance(rate) {
            arrivals.push((at_ns + 400_000, index));
        }
    }
    if disturbance == Disturbance::Order {
        for place in (5..arrivals.len().saturating_sub(5)).step_by(97) {
            arrivals[place].0 = arrivals[place + 1].0 + MS;
        }
    }
    arrivals.sort_by_key(|(at_ns, _)| *at_ns);
    arrivals
}

/// Counts in the plainest way there is: sets, and RFC 3550 A.8 word for word.
fn measure(arrivals: &[(i64, u32)], count: u32) -> StreamTruth {
    let mut seen = HashSet::new();
    let (mut duplicates, mut reordered, mut highest) = (0, 0, 0);
    let (mut jitter, mut sum, mut most) = (0.0_f64, 0.0, 0.0_f64);
    let mut last_transit: Option<f64> = None;
    for (at_ns, index) in arrivals {
        if !seen.insert(*index) {
            duplicates += 1;
            continue;
        }
        reordered += u32::from(*index < highest);
        highest = highest.max(*index);
        let transit = (*at_ns - START_NS) as f64 / 1e6 - f64::from(*index) * 20.0;
        if let Some(last) = last_transit {
            jitter += ((transit - last).abs() - jitter) / 16.0;
            sum += jitter;
            most = most.max(jitter);
        }
        last_transit = Some(transit);
    }
    StreamTruth {
        call_id: String::new(),
        is_forward: false,
        ssrc: 0,
        disturbance: Disturbance::Clean,
        packets: seen.len() as u32,
        lost: count - seen.len() as u32,
        duplicates,
        reordered,
        jitter_mean_ms: sum / f64::from(seen.len().max(2) as u32 - 1),
        jitter_max_ms: most,
    }
}

impl Stream {
    fn frame(&self, index: u32, noise: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(12 + AUDIO);
        payload.extend([0x80, self.payload_type | if index == 0 { 0x80 } else { 0 }]);
        payload.extend(self.first_sequence.wrapping_add(index as u16).to_be_bytes());
        payload.extend(
            self.first_timestamp
                .wrapping_add(index.wrapping_mul(TICKS))
                .to_be_bytes(),
        );
        payload.extend(self.ssrc.to_be_bytes());
        let from =
            (self.ssrc.wrapping_mul(7919).wrapping_add(index * 160) % (65_536 - 160)) as usize;
        payload.extend(&noise[from..from + AUDIO]);
        wire::udp_frame(self.ends.0, self.ends.1, &payload, index as u16)
    }
}
