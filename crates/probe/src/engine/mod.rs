//! The probe put together: frames in, records of calls out.
//!
//! ```text
//! source ─ frame ─► decode ─┬─ UDP ─► RTP, RTCP ─► streams ─────────────┐ at the call's end
//!                           │      └► SIP (copies removed) ─► dialogs ──┴─► Output::call
//!                           └─ TCP ─► in order ─► SIP ─────────┘
//! ```
//! [`Engine`] does all of it on one thread, driven by the packets' own time: a file gives the same result every time.
//! [`LiveProbe`] has a thread for each ring of an interface and one for the calls.

mod config;
mod live;
mod read;
mod statistics;

pub use config::EngineConfig;
pub use live::{LiveConfig, LiveProbe, LiveStatistics};
pub use read::{Progress, ReadOutcome, read_capture};
pub use statistics::{Statistics, TrafficCounters};

use crate::decode::{Decoder, Flow, Frame, Packet, Transport, random_key};
use crate::dialogs::{Arrival, Dialogs, MediaAnnounced, Sink};
use crate::reassembly::duplicates::Duplicates;
use crate::reassembly::fragments::Fragments;
use crate::reassembly::framing;
use crate::reassembly::tcp::TcpStreams;
use crate::record::{self, CallFlags, CallKey, CallRecord, MediaSummary};
use crate::streams::{Gathered, Streams};

/// Who takes what the probe finds.
pub trait Output {
    /// A call is over; its media is filled in. The record lives for this call only.
    fn call(&mut self, record: &CallRecord<'_>);

    /// A message belongs to a call (for the ladder; to be masked before it is kept).
    fn message(&mut self, _call: CallKey, _arrival: &Arrival, _message: &[u8]) {}

    /// An RTP stream that belonged to no call is over.
    fn stream(&mut self, _stream: &MediaSummary) {}
}

/// How often time is let pass, nanoseconds of capture time.
const TICK_NS: i64 = 1_000_000_000;
/// A clock that runs back by more than this was set: ticks start over.
const CLOCK_SET_NS: i64 = 60_000_000_000;

/// The probe on one thread.
#[derive(Debug)]
pub struct Engine<O> {
    front: Front,
    dialogs: Dialogs,
    streams: Streams,
    output: O,
    ticked_ns: i64,
}

/// Frames to RTP and SIP messages: what each capture thread has of its own.
#[derive(Debug)]
pub(crate) struct Front {
    decoder: Decoder,
    duplicates: Duplicates,
    tcp: TcpStreams,
    traffic: TrafficCounters,
}

impl<O: Output> Engine<O> {
    /// A probe that has seen nothing yet.
    #[must_use]
    pub fn new(config: &EngineConfig, output: O) -> Self {
        Self {
            front: Front::new(config),
            dialogs: Dialogs::new(config.dialogs(), [random_key(), random_key()]),
            streams: Streams::new(config.streams(), random_key()),
            output,
            ticked_ns: i64::MIN,
        }
    }

    /// Takes a frame.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        if frame.time_ns.wrapping_sub(self.ticked_ns) as u64 >= TICK_NS as u64 {
            self.pass_time(frame.time_ns);
        }
        let Self {
            front,
            dialogs,
            streams,
            output,
            ..
        } = self;
        front.frame(
            frame,
            &mut Inline {
                dialogs,
                streams,
                output,
            },
        );
    }

    /// Takes a SIP message that came by itself (HEP).
    pub fn message(&mut self, arrival: &Arrival, message: &[u8]) {
        let time_ns = arrival.time_us.saturating_mul(1000);
        if time_ns.wrapping_sub(self.ticked_ns) as u64 >= TICK_NS as u64 {
            self.pass_time(time_ns);
        }
        let Self {
            dialogs,
            streams,
            output,
            ..
        } = self;
        dialogs.message(
            arrival,
            message,
            &mut Joined {
                media: streams,
                output,
            },
        );
    }

    #[cold]
    fn pass_time(&mut self, now_ns: i64) {
        let is_late =
            now_ns < self.ticked_ns && self.ticked_ns.saturating_sub(now_ns) < CLOCK_SET_NS;
        if is_late {
            return; // packets of several queues are not quite in order
        }
        self.ticked_ns = now_ns;
        let Self {
            dialogs,
            streams,
            output,
            ..
        } = self;
        dialogs.tick(
            now_ns / 1000,
            &mut Joined {
                media: streams,
                output,
            },
        );
        streams.expire(now_ns, |stream| output.stream(stream));
    }

    /// No more packets will come: every call that is left makes its record.
    pub fn finish(&mut self) {
        let Self {
            dialogs,
            streams,
            output,
            ..
        } = self;
        dialogs.finish(&mut Joined {
            media: streams,
            output,
        });
        streams.finish(|stream| output.stream(stream));
    }

    /// The call table: calls in progress, counters.
    pub const fn dialogs(&self) -> &Dialogs {
        &self.dialogs
    }

    /// Who takes what is found.
    pub const fn output(&self) -> &O {
        &self.output
    }

    /// Who takes what is found.
    pub const fn output_mut(&mut self) -> &mut O {
        &mut self.output
    }

    /// Gives the output back.
    pub fn into_output(self) -> O {
        self.output
    }

    /// What was counted until now.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.front.statistics();
        statistics.dialogs = *self.dialogs.counters();
        statistics.streams = *self.streams.counters();
        statistics.streams_now = self.streams.len();
        statistics
    }
}

/// Where a [`Front`] puts what it finds.
pub(crate) trait Back {
    /// A datagram that may be RTP or RTCP; whether it was.
    fn media(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool;
    /// A SIP message.
    fn message(&mut self, arrival: &Arrival, message: &[u8]);
}

impl Front {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            decoder: Decoder::new(Fragments::new(config.fragments())),
            duplicates: Duplicates::new(
                config.duplicate_window_us.saturating_mul(1000),
                random_key(),
            ),
            tcp: TcpStreams::new(config.tcp()),
            traffic: TrafficCounters::default(),
        }
    }

    #[inline]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, back: &mut impl Back) {
        let Self {
            decoder,
            duplicates,
            tcp,
            traffic,
        } = self;
        decoder.decode(frame, &mut |packet| match packet.transport {
            Transport::Udp => {
                if is_media(packet.payload)
                    && back.media(&packet.flow, packet.payload, packet.time_ns)
                {
                    return;
                }
                datagram(&packet, duplicates, traffic, back);
            }
            Transport::Tcp { .. } => tcp.segment(&packet, &mut |message| {
                traffic.sip_tcp += 1;
                let transport = if message.is_websocket {
                    record::Transport::Ws
                } else {
                    record::Transport::Tcp
                };
                let arrival = arrival(
                    &message.flow,
                    message.time_ns,
                    transport,
                    message.vlan,
                    message.is_cut,
                );
                back.message(&arrival, message.octets);
            }),
        });
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            decode: self.decoder.counters(),
            fragments: self.decoder.fragments().counters(),
            tcp: self.tcp.counters(),
            traffic: TrafficCounters {
                duplicates_removed: self.duplicates.removed(),
                ..self.traffic
            },
            ..Statistics::default()
        }
    }
}

/// RTP and RTCP begin with version 2 (RFC 7983 tells them from STUN and DTLS by this too).
#[inline]
fn is_media(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 6 == 2)
}

fn datagram(
    packet: &Packet<'_>,
    duplicates: &mut Duplicates,
    traffic: &mut TrafficCounters,
    back: &mut impl Back,
) {
    if !framing::is_sip(packet.payload) {
        traffic.other_udp += 1;
        return;
    }
    if duplicates.is_copy(packet) {
        return;
    }
    traffic.sip_udp += 1;
    let is_cut = packet.missing > 0;
    let arrival = arrival(
        &packet.flow,
        packet.time_ns,
        record::Transport::Udp,
        packet.vlan,
        is_cut,
    );
    back.message(&arrival, packet.payload);
}

fn arrival(
    flow: &Flow,
    time_ns: i64,
    transport: record::Transport,
    vlan: u16,
    is_truncated: bool,
) -> Arrival {
    Arrival {
        time_us: time_ns / 1000,
        source: flow.sender().socket_address(),
        destination: flow.receiver().socket_address(),
        transport,
        vlan,
        is_truncated,
    }
}

/// Everything on one thread.
struct Inline<'a, O> {
    dialogs: &'a mut Dialogs,
    streams: &'a mut Streams,
    output: &'a mut O,
}

impl<O: Output> Back for Inline<'_, O> {
    #[inline]
    fn media(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool {
        self.streams.datagram(flow, payload, time_ns)
    }

    fn message(&mut self, arrival: &Arrival, message: &[u8]) {
        let mut sink = Joined {
            media: self.streams,
            output: self.output,
        };
        self.dialogs.message(arrival, message, &mut sink);
    }
}

/// Streams of one table, or of the tables of all capture threads.
pub(crate) trait Media {
    fn announce(&mut self, announced: &MediaAnnounced<'_>);
    fn end(&mut self, call: CallKey, time_us: i64);
    fn gather(&mut self, call: CallKey) -> Gathered;
    fn release(&mut self, call: CallKey);
    fn has_lost(&self, from_ns: i64, until_ns: i64) -> bool;
}

impl Media for Streams {
    fn announce(&mut self, announced: &MediaAnnounced<'_>) {
        Self::announce(self, announced);
    }

    fn end(&mut self, call: CallKey, time_us: i64) {
        Self::end(self, call, time_us);
    }

    fn gather(&mut self, call: CallKey) -> Gathered {
        let mut gathered = Gathered::default();
        Self::gather(self, call, &mut gathered);
        gathered
    }

    fn release(&mut self, call: CallKey) {
        Self::release(self, call);
    }

    fn has_lost(&self, from_ns: i64, until_ns: i64) -> bool {
        Self::has_lost(self, from_ns, until_ns)
    }
}

/// Calls and their media come together here.
pub(crate) struct Joined<'a, M, O> {
    pub(crate) media: &'a mut M,
    pub(crate) output: &'a mut O,
}

impl<M: Media, O: Output> Sink for Joined<'_, M, O> {
    fn call(&mut self, record: &mut CallRecord<'_>) {
        record.media = self.media.gather(record.key).summaries();
        record.counts.lost_by_probe = record.media.iter().map(|media| media.lost_by_probe).sum();
        let (from_ns, until_ns) = (
            record.times.start_us.saturating_mul(1000),
            record.times.last_us.saturating_mul(1000),
        );
        if record.counts.lost_by_probe > 0 || self.media.has_lost(from_ns, until_ns) {
            record.flags.set(CallFlags::PROBE_LOST_PACKETS);
        }
        self.output.call(record);
    }

    fn media_announced(&mut self, announced: &MediaAnnounced<'_>) {
        self.media.announce(announced);
    }

    fn media_ended(&mut self, call: CallKey, time_us: i64) {
        self.media.end(call, time_us);
    }

    fn dropped(&mut self, call: CallKey) {
        self.media.release(call);
    }

    fn message(&mut self, call: CallKey, arrival: &Arrival, message: &[u8]) {
        self.output.message(call, arrival, message);
    }
}
