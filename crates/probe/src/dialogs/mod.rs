//! SIP messages become calls.
//!
//! Stands between reassembly, which gives whole messages, and the journal, which gets one record for each call.
//! Pure: octets, state and the packet's time in; records out through the [`Sink`].
//!
//! A call is known by its Call-ID and the tag of who called: the same Call-ID with another From tag is another call,
//! an INVITE again (401, 407, 3xx, next trunk) or seen on a further hop is the same one. What is no call (registrations,
//! OPTIONS, scanners) is counted and not kept.
mod build;
mod call;
mod config;
mod correlate;
mod counters;
mod feed;
mod fold;
mod incoming;
mod media;
mod parties;
mod progress;
mod table;
mod texts;
mod wheel;

use core::hash::Hasher as _;

use ringfence_voice_wire::sip::{Header, Method};
use siphasher::sip::SipHasher13;

pub use config::DialogsConfig;
pub use counters::DialogsCounters;
pub use feed::{Arrival, MediaAnnounced, PayloadCodec, Sink};

use call::{Call, NEVER, Phase};
use correlate::Correlator;
use incoming::Incoming;
use table::{Evicted, Table};

use crate::record::{CallFlags, CallKey, CallRecord, Side};

/// The table of calls.
#[derive(Debug)]
pub struct Dialogs {
    config: DialogsConfig,
    seed: [u64; 2],
    table: Table,
    correlator: Correlator,
    counters: DialogsCounters,
    next_key: u64,
    concurrent: u64,
}

impl Dialogs {
    /// An empty table. `seed` is secret and random: it keeps a flood of chosen Call-IDs from colliding.
    pub fn new(config: DialogsConfig, seed: [u64; 2]) -> Self {
        Self {
            config,
            seed,
            table: Table::new(&config),
            correlator: Correlator::new(config.correlation_window_us),
            counters: DialogsCounters::default(),
            next_key: 1,
            concurrent: 0,
        }
    }

    /// Takes one message, without what stands before or after it in a stream.
    pub fn message(&mut self, arrival: &Arrival, message: &[u8], sink: &mut impl Sink) {
        self.counters.messages += 1;
        self.tick(arrival.time_us, sink);
        let Some(incoming) = Incoming::read(arrival, message) else {
            self.counters.malformed += 1;
            return;
        };
        if !self.may_be_of_a_call(&incoming) {
            return;
        }
        let hash = self.hash(incoming.call_id);
        match self.locate(hash, &incoming) {
            Some((slot, side)) => self.update(slot, side, &incoming, message, sink),
            None if may_begin(&incoming) => self.begin(hash, &incoming, message, sink),
            None => self.count_outside(&incoming),
        }
    }

    /// Lets time pass without a message; needed about once a second when nothing arrives.
    #[inline]
    pub fn tick(&mut self, now_us: i64, sink: &mut impl Sink) {
        let second = now_us.div_euclid(1_000_000);
        if self.table.is_behind(second) {
            for call in self.table.due(second, &self.config) {
                self.close(&call, sink);
            }
        }
    }

    /// No more messages will come: every call that is left makes its record.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        for call in self.table.drain() {
            self.close(&call, sink);
        }
    }

    /// What was counted.
    pub const fn counters(&self) -> &DialogsCounters {
        &self.counters
    }

    /// Calls that are answered and not hung up.
    pub const fn concurrent(&self) -> u64 {
        self.concurrent
    }

    /// Calls held: those that are set up, those that are up, and those that have just ended.
    pub fn held(&self) -> usize {
        self.table.len()
    }

    /// The live table: calls that are not over, marked `in_progress`, in no order.
    pub fn in_progress(&self) -> impl Iterator<Item = CallRecord<'_>> {
        self.table
            .iter()
            .filter(|call| !matches!(call.phase, Phase::Over | Phase::Refused) && !call.is_scanner)
            .map(|call| {
                let mut record = call.record();
                record.flags.0 &= !CallFlags::END_MISSED.0;
                record.flags.set(CallFlags::IN_PROGRESS);
                record
            })
    }

    #[inline]
    fn hash(&self, call_id: &[u8]) -> u64 {
        let [one, other] = self.seed;
        let mut hasher = SipHasher13::new_with_keys(one, other);
        hasher.write(call_id);
        hasher.finish()
    }

    /// Counts what cannot belong to a call and leaves the rest.
    fn may_be_of_a_call(&mut self, incoming: &Incoming<'_>) -> bool {
        let is_outside = incoming.status.is_none() && incoming.to_tag.is_empty();
        match incoming.method {
            Method::Register => self.counters.registrations += 1,
            Method::Options if is_outside => {
                if parties::is_scanner(incoming.agent()) {
                    self.counters.scanners += 1;
                } else {
                    self.counters.options += 1;
                }
            }
            Method::Subscribe | Method::Publish => self.counters.others += 1,
            Method::Message | Method::Notify | Method::Refer | Method::Info | Method::Other
                if is_outside =>
            {
                self.counters.others += 1;
            }
            _ => return true,
        }
        false
    }

    fn locate(&self, hash: u64, incoming: &Incoming<'_>) -> Option<(u32, Side)> {
        let found = self.table.find(hash, incoming);
        if !incoming.is_initial_invite() {
            return found;
        }
        match found {
            // After an answered call the same Call-ID and tag begin another one.
            Some((slot, _)) => {
                let call = self.table.get(slot)?;
                let is_again = call.moments.answer != NEVER && incoming.cseq > call.invite_cseq;
                found.filter(|_| !is_again || call.flags.has(CallFlags::START_MISSED))
            }
            None => self
                .table
                .find_challenged(hash)
                .map(|slot| (slot, Side::Source)),
        }
    }

    fn begin(&mut self, hash: u64, incoming: &Incoming<'_>, message: &[u8], sink: &mut impl Sink) {
        match self.table.make_room() {
            None => {}
            Some(Evicted::Unanswered(call)) => {
                self.counters.dropped_unanswered += 1;
                sink.dropped(call.key);
            }
            Some(Evicted::Real(mut call)) => {
                call.flags.set(CallFlags::EVICTED);
                self.counters.evicted += 1;
                self.close(&call, sink);
            }
        }
        self.counters.calls += 1;
        let key = CallKey(self.next_key);
        self.next_key += 1;
        let mut call = Call::begin(key, hash, incoming);
        call.read_parties(incoming);
        if incoming.is_initial_invite() {
            call.is_scanner = parties::is_scanner(incoming.agent());
        } else {
            call.flags.set(CallFlags::START_MISSED);
        }
        let slot = self.table.insert(call);
        if let Some(call) = self.table.get_mut(slot) {
            let other = self.correlator.join(call, slot, incoming);
            if let Some(other) = other
                && let Some(leg) = self
                    .table
                    .get_mut(other.slot)
                    .filter(|leg| leg.key == other.key)
            {
                leg.correlated_by = other.by;
            }
        }
        self.update(slot, Side::Source, incoming, message, sink);
    }

    #[inline]
    fn update(
        &mut self,
        slot: u32,
        side: Side,
        incoming: &Incoming<'_>,
        message: &[u8],
        sink: &mut impl Sink,
    ) {
        self.counters.of_calls += 1;
        let Some(call) = self.table.get_mut(slot) else {
            return;
        };
        let (was_up, texts) = (call.is_up(), call.texts.capacity());
        let had_ended = call.moments.end != NEVER;
        if call.take(incoming, side) {
            call.take_sdp(incoming, side, sink);
        }
        sink.message(call.key, incoming.arrival, message);
        let (key, is_up) = (call.key, call.is_up());
        if !had_ended && call.moments.end != NEVER {
            sink.media_ended(key, call.moments.end);
        }
        let growth = call.texts.capacity() - texts;
        let deadline = call.deadline_s(&self.config);
        if is_up && !was_up {
            self.concurrent += 1;
            self.counters.concurrent_max = self.counters.concurrent_max.max(self.concurrent);
        } else if was_up && !is_up {
            self.concurrent -= 1;
        }
        self.table.note_growth(growth);
        self.table.schedule(slot, deadline);
    }

    fn close(&mut self, call: &Call, sink: &mut impl Sink) {
        if call.is_up() {
            self.concurrent -= 1;
        }
        if call.moments.end == NEVER {
            sink.media_ended(call.key, call.moments.last);
        }
        if call.is_scanner && call.moments.answer == NEVER {
            self.counters.scanners += u64::from(call.counts.messages);
            sink.dropped(call.key);
            return;
        }
        self.counters.records += 1;
        sink.call(&mut call.record());
    }

    fn count_outside(&mut self, incoming: &Incoming<'_>) {
        match incoming.method {
            Method::Options => self.counters.options += 1,
            Method::Message | Method::Notify | Method::Refer | Method::Info | Method::Other => {
                self.counters.others += 1
            }
            _ => self.counters.strays += 1,
        }
    }
}

/// Whether a message that belongs to no known call makes one. ACK and responses to requests inside a dialog say too little.
fn may_begin(incoming: &Incoming<'_>) -> bool {
    let has_via = incoming.message.get(Header::Via).is_some();
    has_via
        && match incoming.status {
            None => match incoming.method {
                Method::Invite | Method::Cancel => true,
                Method::Bye | Method::Update | Method::Prack => !incoming.to_tag.is_empty(),
                _ => false,
            },
            Some(status) => incoming.method == Method::Invite && !matches!(status, 401 | 407),
        }
}
