//! RTP streams: found by what the packets say, bound to calls by the addresses that SDP announced.
//!
//! ```text
//! RTP ─► by addresses, ports and SSRC ─► stream: loss, copies, order, jitter, silence
//!                                            │ where it arrives, where it comes from
//! SDP ─► call announces an address ──────────┴─► at the call's end: one summary for each direction
//! ```
//! A packet is looked up and counted without allocation. No payload is kept. A table like this one lives on each capture
//! thread; a call's summary is merged from all of them.

mod codec;
mod quality;
mod reports;
mod sequence;
mod stream;
mod summary;

pub use quality::{from_r, impairment, mos};
pub use summary::Gathered;

use crate::decode::{Endpoint, Flow};
use crate::dialogs::{MediaAnnounced, PayloadCodec};
use crate::record::{CallKey, Side};
use hashbrown::{HashMap, HashTable};
use reports::Reports;
use ringfence_voice_wire::rtcp;
use ringfence_voice_wire::rtp::Header;
use sequence::Place;
use serde::Serialize;
use std::collections::VecDeque;
use stream::{Announcement, Stream};

/// Limits of the streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamsLimits {
    /// Streams at once (default 100,000).
    pub streams: usize,
    /// A stream of no call is over after so long without a packet, nanoseconds (default 60 s).
    pub idle_ns: i64,
}

impl Default for StreamsLimits {
    fn default() -> Self {
        Self {
            streams: 100_000,
            idle_ns: 60_000_000_000,
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize)]
pub struct StreamsCounters {
    /// RTP packets.
    pub rtp: u64,
    /// RTCP packets.
    pub rtcp: u64,
    /// RTCP packets that contradict themselves.
    pub rtcp_malformed: u64,
    /// Streams begun.
    pub streams: u64,
    /// Streams given up for want of room.
    pub evicted: u64,
    /// Packets of streams that there was no room for.
    pub refused: u64,
    /// Streams that belonged to no call.
    pub without_call: u64,
}

impl StreamsCounters {
    /// Adds what another thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.rtp += other.rtp;
        self.rtcp += other.rtcp;
        self.rtcp_malformed += other.rtcp_malformed;
        self.streams += other.streams;
        self.evicted += other.evicted;
        self.refused += other.refused;
        self.without_call += other.without_call;
    }
}

/// Packets that make a stream of no call worth telling; fewer may be any UDP that looks like RTP.
const CONFIRMED_PACKETS: u32 = 10;
/// Addresses of one call at most: re-INVITEs may move its audio, a flood of them may not fill the table.
const MAX_ANNOUNCED: usize = 16;
/// Calls that one address is known to serve at once: the legs of a call have it in common, a flood may not make it a list to be
/// searched. The last ones count; a call's streams are found by its own list of addresses all the same.
const MAX_LISTENERS: usize = 8;
/// Stretches of packets lost by the probe that are remembered.
const MAX_LOSSES: usize = 256;

/// The table of one capture thread.
#[derive(Debug)]
pub struct Streams {
    index: HashTable<u32>,
    slab: Vec<Stream>,
    free: Vec<u32>,
    by_receiver: HashMap<Endpoint, Vec<u32>>,
    by_sender: HashMap<Endpoint, Vec<u32>>,
    calls: HashMap<CallKey, CallMedia>,
    listeners: HashMap<Endpoint, Vec<CallKey>>,
    reports: Reports,
    losses: VecDeque<Loss>,
    sweep: usize,
    swept_ns: i64,
    limits: StreamsLimits,
    key: u64,
    counters: StreamsCounters,
}

#[derive(Debug, Default)]
struct CallMedia {
    announced: Vec<Announced>,
    ended_ns: Option<i64>,
}

#[derive(Debug)]
struct Announced {
    endpoint: Endpoint,
    receiver: Side,
    since_ns: i64,
    codecs: Box<[PayloadCodec]>,
    is_encrypted: bool,
}

/// A stretch of time in which the probe lost packets.
#[derive(Clone, Copy, Debug)]
struct Loss {
    from_ns: i64,
    until_ns: i64,
}

impl Streams {
    /// No streams. `key` is secret and random.
    #[must_use]
    pub fn new(limits: StreamsLimits, key: u64) -> Self {
        Self {
            index: HashTable::new(),
            slab: Vec::new(),
            free: Vec::new(),
            by_receiver: HashMap::new(),
            by_sender: HashMap::new(),
            calls: HashMap::new(),
            listeners: HashMap::new(),
            reports: Reports::default(),
            losses: VecDeque::new(),
            sweep: 0,
            swept_ns: i64::MIN,
            limits,
            key,
            counters: StreamsCounters::default(),
        }
    }

    /// What was counted until now.
    #[must_use]
    pub const fn counters(&self) -> &StreamsCounters {
        &self.counters
    }

    /// Streams now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a datagram if it reads like RTP or RTCP.
    #[inline]
    pub fn datagram(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool {
        let Some(header) = Header::parse(payload) else {
            return self.short(flow, payload, time_ns);
        };
        if rtcp::is_rtcp(payload) {
            return self.rtcp(flow, payload, time_ns);
        }
        self.counters.rtp += 1;
        let hash = flow.hash(u64::from(header.ssrc), self.key);
        let slab = &self.slab;
        let found = self
            .index
            .find(hash, |place| slab[*place as usize].is(flow, header.ssrc));
        let Some(place) = found.copied() else {
            self.begin(flow, header, payload, time_ns, hash);
            return true;
        };
        let place = place as usize;
        if self.slab[place].payload_type() != header.payload_type {
            self.change_type(place, header.payload_type);
        }
        let stream = &mut self.slab[place];
        let before_ns = stream.last_ns;
        if let Place::Ahead(missing) = stream.take(header, payload, time_ns)
            && is_probes_loss(&self.losses, before_ns, time_ns)
        {
            stream.sequence.forgive(missing);
        }
        true
    }

    /// An address where audio of a call is to arrive.
    pub fn announce(&mut self, media: &MediaAnnounced<'_>) {
        if media.address.is_unspecified() {
            return; // hold of the old kind: nothing is to arrive
        }
        let endpoint = Endpoint {
            address: media.address.into(),
            port: media.port,
        };
        let announced = Announced {
            endpoint,
            receiver: media.receiver,
            since_ns: media.time_us.saturating_mul(1000),
            codecs: media.codecs.into(),
            is_encrypted: media.is_encrypted,
        };
        let call = self.calls.entry(media.call).or_default();
        let is_same =
            |known: &Announced| known.endpoint == endpoint && known.receiver == media.receiver;
        match call.announced.iter().position(is_same) {
            Some(place) => {
                let since_ns = call.announced[place].since_ns;
                call.announced[place] = Announced {
                    since_ns,
                    ..announced
                };
            }
            None if call.announced.len() < MAX_ANNOUNCED => call.announced.push(announced),
            None => return,
        }
        let listeners = self.listeners.entry(endpoint).or_default();
        if !listeners.contains(&media.call) {
            if listeners.len() >= MAX_LISTENERS {
                listeners.remove(0);
            }
            listeners.push(media.call);
        }
        self.tell_streams(endpoint);
    }

    /// The call was hung up.
    pub fn end(&mut self, call: CallKey, time_us: i64) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.ended_ns = Some(time_us.saturating_mul(1000));
        }
    }

    /// The kernel dropped packets between two looks: what is missing in that time is the probe's fault.
    pub fn probe_lost(&mut self, from_ns: i64, until_ns: i64) {
        if self.losses.len() >= MAX_LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back(Loss { from_ns, until_ns });
    }

    /// Whether the probe lost packets in a stretch of time.
    #[must_use]
    pub fn has_lost(&self, from_ns: i64, until_ns: i64) -> bool {
        is_probes_loss(&self.losses, from_ns, until_ns)
    }

    /// Lets streams of no call go when they are over; call it about once a second. A part of the table is looked at each
    /// time. `tell` gets what is worth telling.
    pub fn expire(&mut self, now_ns: i64, mut tell: impl FnMut(&crate::record::MediaSummary)) {
        let part = (self.slab.len() / 8).max(1024).min(self.slab.len());
        for _ in 0..part {
            self.sweep = if self.sweep + 1 >= self.slab.len() {
                0
            } else {
                self.sweep + 1
            };
            let stream = &self.slab[self.sweep];
            if stream.is_live
                && now_ns.saturating_sub(stream.last_ns) > self.limits.idle_ns
                && !self.is_listened_to(stream)
            {
                self.without_call(self.sweep as u32, &mut tell);
            }
        }
        if now_ns.saturating_sub(self.swept_ns) > 60_000_000_000 {
            self.swept_ns = now_ns;
            self.reports.expire(now_ns);
        }
    }

    /// The end: every stream of no call is told.
    pub fn finish(&mut self, mut tell: impl FnMut(&crate::record::MediaSummary)) {
        for place in 0..self.slab.len() as u32 {
            if self.slab[place as usize].is_live {
                self.without_call(place, &mut tell);
            }
        }
    }

    fn without_call(&mut self, place: u32, tell: &mut impl FnMut(&crate::record::MediaSummary)) {
        let stream = &self.slab[place as usize];
        if stream.sequence.received() >= CONFIRMED_PACKETS {
            self.counters.without_call += 1;
            tell(&summary::of_stream(
                stream,
                self.reports.of(stream.ssrc, stream.flow.source),
            ));
        }
        self.remove(place);
    }

    /// A datagram too short for RTP may still be RTCP (an empty receiver report has eight octets).
    #[cold]
    fn short(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool {
        rtcp::is_rtcp(payload) && payload.len() >= 8 && self.rtcp(flow, payload, time_ns)
    }

    #[cold]
    fn rtcp(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool {
        self.counters.rtcp += 1;
        let is_sound = self.reports.take(flow, payload, time_ns);
        self.counters.rtcp_malformed += u64::from(!is_sound);
        true
    }

    #[cold]
    fn begin(&mut self, flow: &Flow, header: Header, payload: &[u8], time_ns: i64, hash: u64) {
        if self.index.len() >= self.limits.streams && !self.evict(time_ns) {
            self.counters.refused += 1;
            return;
        }
        self.counters.streams += 1;
        let stream = Stream::new(*flow, header, payload, time_ns, self.announcement(flow));
        let place = match self.free.pop() {
            Some(place) => {
                self.slab[place as usize] = stream;
                place
            }
            None => {
                self.slab.push(stream);
                self.slab.len() as u32 - 1
            }
        };
        let (slab, key) = (&self.slab, self.key);
        self.index.insert_unique(hash, place, |place| {
            let stream = &slab[*place as usize];
            stream.flow.hash(u64::from(stream.ssrc), key)
        });
        self.by_receiver
            .entry(flow.receiver())
            .or_default()
            .push(place);
        self.by_sender.entry(flow.sender()).or_default().push(place);
    }

    /// Makes room: the first stream that nobody's call listens to and that was silent a while, among the next few.
    fn evict(&mut self, now_ns: i64) -> bool {
        for _ in 0..64 {
            self.sweep = if self.sweep + 1 >= self.slab.len() {
                0
            } else {
                self.sweep + 1
            };
            let stream = &self.slab[self.sweep];
            let is_young = now_ns.saturating_sub(stream.last_ns) < 1_000_000_000;
            let is_confirmed = stream.sequence.received() >= CONFIRMED_PACKETS;
            if stream.is_live && !(is_young && is_confirmed) && !self.is_listened_to(stream) {
                self.remove(self.sweep as u32);
                self.counters.evicted += 1;
                return true;
            }
        }
        false
    }

    fn is_listened_to(&self, stream: &Stream) -> bool {
        self.listeners.contains_key(&stream.flow.receiver())
            || self.listeners.contains_key(&stream.flow.sender())
    }

    fn remove(&mut self, place: u32) {
        let stream = &mut self.slab[place as usize];
        stream.is_live = false;
        let (flow, ssrc) = (stream.flow, stream.ssrc);
        let hash = flow.hash(u64::from(ssrc), self.key);
        if let Ok(entry) = self.index.find_entry(hash, |known| *known == place) {
            entry.remove();
        }
        for (map, endpoint) in [
            (&mut self.by_receiver, flow.receiver()),
            (&mut self.by_sender, flow.sender()),
        ] {
            if let Some(places) = map.get_mut(&endpoint) {
                places.retain(|known| *known != place);
                if places.is_empty() {
                    map.remove(&endpoint);
                }
            }
        }
        self.reports.forget(ssrc, flow.source);
        self.free.push(place);
    }

    /// What the call that listens at a flow's receiver announced; else the other side's, by whom the flow is sent.
    fn announcement(&self, flow: &Flow) -> Announcement<'_> {
        [flow.receiver(), flow.sender()]
            .iter()
            .find_map(|endpoint| {
                let call = self.listeners.get(endpoint)?.last()?;
                let announced = self
                    .calls
                    .get(call)?
                    .announced
                    .iter()
                    .find(|known| known.endpoint == *endpoint)?;
                Some(Announcement {
                    codecs: &announced.codecs,
                    is_encrypted: announced.is_encrypted,
                })
            })
            .unwrap_or_default()
    }

    #[cold]
    fn change_type(&mut self, place: usize, payload_type: u8) {
        let Some(stream) = self.slab.get(place) else {
            return;
        };
        let flow = stream.flow;
        let announcement = self.announcement(&flow);
        let (codecs, is_encrypted) = (announcement.codecs.to_vec(), announcement.is_encrypted);
        self.slab[place].enter_type(
            payload_type,
            Announcement {
                codecs: &codecs,
                is_encrypted,
            },
        );
    }

    /// Streams that came before their announcement learn their clock and codec.
    fn tell_streams(&mut self, endpoint: Endpoint) {
        if self.index.is_empty() {
            return;
        }
        let places: Vec<u32> = [&self.by_receiver, &self.by_sender]
            .iter()
            .filter_map(|map| map.get(&endpoint))
            .flatten()
            .copied()
            .collect();
        for place in places {
            let payload_type = self.slab[place as usize].payload_type();
            self.change_type(place as usize, payload_type);
        }
    }
}

fn is_probes_loss(losses: &VecDeque<Loss>, from_ns: i64, until_ns: i64) -> bool {
    losses
        .iter()
        .rev()
        .any(|loss| loss.from_ns <= until_ns && loss.until_ns >= from_ns)
}
