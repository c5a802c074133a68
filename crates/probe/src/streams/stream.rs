//! One RTP stream: who sends to whom under which SSRC, and how well it arrives.

use super::codec::{self, Codec, Sound};
use super::sequence::{Place, Sequence};
use crate::decode::Flow;
use crate::dialogs::PayloadCodec;
use crate::record::CodecName;
use ringfence_voice_wire::rtp::{self, Header, TelephoneEvent};

/// Payload types told apart within a stream.
const MAX_TYPES: usize = 4;
/// After so many packets the clock of an unannounced codec is told from its timestamps.
const CLOCK_PACKETS: u32 = 25;
/// RTP clocks in use, Hz.
const CLOCKS: [u32; 8] = [8000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000];
/// Packets with sound after which nobody listens any more.
const ENOUGH_SOUND: u8 = 3;

/// State of a stream. What every packet touches stands first.
#[derive(Debug)]
pub struct Stream {
    pub(super) flow: Flow,
    pub(super) ssrc: u32,
    payload_type: u8,
    is_event: bool,
    loud: u8,
    timestamp: u32,
    /// Of the last packet that jitter was measured on, nanoseconds.
    audio_ns: i64,
    pub(super) last_ns: i64,
    ns_per_tick: f64,
    /// RFC 3550, section 6.4.1, in nanoseconds.
    jitter: f64,
    jitter_sum: f64,
    jitter_max: f64,
    jitter_count: u32,
    packets: u32,
    longest_gap_ns: i64,
    pub(super) sequence: Sequence,
    pub(super) first_ns: i64,
    first_timestamp: u32,
    sound: Sound,
    event_timestamp: Option<u32>,
    pub(super) events: u16,
    types: [(u8, u32); MAX_TYPES],
    names: [CodecName; MAX_TYPES],
    is_known_clock: bool,
    pub(super) is_live: bool,
}

/// What a call's announcement says of the stream's payloads.
#[derive(Clone, Copy, Default, Debug)]
pub struct Announcement<'a> {
    /// Payload types.
    pub codecs: &'a [PayloadCodec],
    /// SRTP.
    pub is_encrypted: bool,
}

impl Stream {
    /// Begins with its first packet.
    pub fn new(
        flow: Flow,
        header: Header,
        datagram: &[u8],
        time_ns: i64,
        announced: Announcement<'_>,
    ) -> Self {
        let mut stream = Self {
            flow,
            ssrc: header.ssrc,
            payload_type: header.payload_type,
            is_event: false,
            loud: 0,
            timestamp: header.timestamp,
            audio_ns: time_ns,
            last_ns: time_ns,
            ns_per_tick: 0.0,
            jitter: 0.0,
            jitter_sum: 0.0,
            jitter_max: 0.0,
            jitter_count: 0,
            packets: 0,
            longest_gap_ns: 0,
            sequence: Sequence::new(header.sequence),
            first_ns: time_ns,
            first_timestamp: header.timestamp,
            sound: Sound::Any,
            event_timestamp: None,
            events: 0,
            types: [(header.payload_type, 0); MAX_TYPES],
            names: [CodecName::default(); MAX_TYPES],
            is_known_clock: false,
            is_live: true,
        };
        stream.enter_type(header.payload_type, announced);
        stream.packets = 1;
        if stream.is_event {
            stream.event(header, datagram);
        } else {
            stream.listen(datagram);
        }
        stream
    }

    /// Whether a packet belongs to it.
    #[inline]
    pub fn is(&self, flow: &Flow, ssrc: u32) -> bool {
        self.ssrc == ssrc && self.flow == *flow
    }

    /// Takes a packet; what its number said, for the table to see holes.
    #[inline]
    pub fn take(&mut self, header: Header, datagram: &[u8], time_ns: i64) -> Place {
        let place = self.sequence.take(header.sequence);
        if matches!(place, Place::Duplicate | Place::Suspect) {
            return place;
        }
        self.packets += 1;
        let gap = time_ns - self.last_ns;
        self.last_ns = time_ns;
        if gap > self.longest_gap_ns {
            self.longest_gap_ns = gap;
        }
        if self.is_event {
            self.event(header, datagram);
            return place;
        }
        // RFC 3550, section 6.4.1: D = (Rj − Ri) − (Sj − Si); wrapping, so any start of the timestamps does.
        let arrived = (time_ns - self.audio_ns) as f64;
        let sent = f64::from(header.timestamp.wrapping_sub(self.timestamp) as i32);
        self.audio_ns = time_ns;
        self.timestamp = header.timestamp;
        if place == Place::Restarted {
            return place;
        }
        if self.is_known_clock {
            let difference = sent.mul_add(-self.ns_per_tick, arrived).abs();
            self.jitter += (difference - self.jitter) * (1.0 / 16.0);
            self.jitter_sum += self.jitter;
            self.jitter_count += 1;
            if self.jitter > self.jitter_max {
                self.jitter_max = self.jitter;
            }
        } else if self.packets >= CLOCK_PACKETS {
            self.find_clock();
        }
        if self.loud < ENOUGH_SOUND {
            self.listen(datagram);
        }
        place
    }

    /// The payload type that packets have now.
    #[inline]
    pub const fn payload_type(&self) -> u8 {
        self.payload_type
    }

    /// Another payload type begins (or an announcement came late): its clock, and how it tells silence.
    #[cold]
    pub fn enter_type(&mut self, payload_type: u8, announced: Announcement<'_>) {
        self.settle_type();
        let Codec {
            name,
            clock_rate,
            sound,
            is_event,
        } = codec::of_payload_type(payload_type, announced.codecs, announced.is_encrypted);
        if let Some(place) = self
            .types
            .iter()
            .position(|(known, _)| *known == payload_type)
        {
            self.names[place] = name;
        } else if let Some(place) = self.types.iter().skip(1).position(|(_, count)| *count == 0) {
            self.types[place + 1] = (payload_type, 0);
            self.names[place + 1] = name;
        }
        self.payload_type = payload_type;
        self.is_event = is_event;
        if is_event {
            return;
        }
        self.sound = sound;
        self.is_known_clock = clock_rate > 0;
        if clock_rate > 0 {
            self.ns_per_tick = 1e9 / f64::from(clock_rate);
        }
    }

    /// Books the packets since the last change on the type that they had.
    fn settle_type(&mut self) {
        let count = std::mem::take(&mut self.packets);
        let kind = self.payload_type;
        if let Some(entry) = self.types.iter_mut().find(|(known, _)| *known == kind) {
            entry.1 += count;
        }
    }

    #[cold]
    fn find_clock(&mut self) {
        let ticks = f64::from(self.timestamp.wrapping_sub(self.first_timestamp));
        let seconds = (self.audio_ns - self.first_ns) as f64 / 1e9;
        if seconds < 0.2 {
            return;
        }
        let measured = ticks / seconds;
        let nearest = CLOCKS.into_iter().min_by(|one, other| {
            (f64::from(*one) / measured)
                .ln()
                .abs()
                .total_cmp(&(f64::from(*other) / measured).ln().abs())
        });
        self.ns_per_tick = 1e9 / f64::from(nearest.unwrap_or(8000));
        self.is_known_clock = true;
    }

    /// A key is counted once, however many packets its event takes; which key it was is not looked at.
    #[cold]
    fn event(&mut self, header: Header, datagram: &[u8]) {
        let Some(event) = TelephoneEvent::parse(rtp::payload(datagram)) else {
            return;
        };
        if event.is_dtmf && self.event_timestamp != Some(header.timestamp) {
            self.event_timestamp = Some(header.timestamp);
            self.events = self.events.saturating_add(1);
        }
    }

    fn listen(&mut self, datagram: &[u8]) {
        self.loud += u8::from(self.sound.is_in(rtp::payload(datagram)));
    }

    /// Mean and maximum of the jitter, microseconds.
    pub fn jitter_us(&self) -> (f64, f64) {
        (
            self.jitter_sum / f64::from(self.jitter_count.max(1)) / 1e3,
            self.jitter_max / 1e3,
        )
    }

    /// How many values the mean is of.
    pub const fn jitter_count(&self) -> u32 {
        self.jitter_count
    }

    /// The longest time without a packet, nanoseconds.
    pub const fn longest_gap_ns(&self) -> i64 {
        self.longest_gap_ns
    }

    /// Payload type, name and packets of the codec that most packets had, events left out.
    pub fn main_codec(&self) -> (u8, CodecName, u32) {
        let counts = self
            .types
            .iter()
            .zip(&self.names)
            .map(|((kind, count), name)| {
                let now = if *kind == self.payload_type {
                    self.packets
                } else {
                    0
                };
                let is_audio = !name.as_str().eq_ignore_ascii_case("telephone-event");
                (*kind, *name, (count + now) * u32::from(is_audio))
            });
        // The first of equals: places that were never used repeat the first type.
        counts
            .rev()
            .max_by_key(|(_, _, count)| *count)
            .unwrap_or_default()
    }

    /// No packet had sound in it.
    pub const fn is_silent(&self) -> bool {
        self.loud == 0
    }
}
