//! The probe on live traffic: a thread for each ring, one for all calls.
//!
//! ```text
//! ring 0 ─► thread: decode, TCP, RTP measured in its own table ─┐ SIP messages, in batches,
//! ring 1 ─► thread: the same                                   ─┼─ bounded queue ─► dialog thread ─► Output
//! HEP    ─► threads: unpack                                    ─┘        │  announces, gathers at the call's end
//!                        tables of streams  ◄────────────────────────────┘
//! ```
//! The kernel shares packets by the hash of addresses and ports, so the SIP of a call and its two streams meet different
//! threads. Moving RTP to "its" thread would cost a queue entry for each packet; here RTP stays where it arrives, and the dialog
//! thread, which sees every SIP message, asks all tables for a call's streams when it is over. The tables are locked for
//! some hundred packets at a time; the dialog thread needs them a few times for each call.
//!
//! Nothing here waits for the dialog thread: when its queue is full, messages are dropped and counted.

use super::{Back, EngineConfig, Front, Joined, Media, Output, Statistics};
use crate::decode::{Flow, Frame, LinkType, random_key};
use crate::dialogs::{Arrival, Dialogs, MediaAnnounced};
use crate::record::{self, CallKey};
use crate::source::hep::{HepConfig, HepListener, HepReceiver, HepStatistics};
use crate::source::interface::{InterfaceConfig, InterfaceStatistics, open_rings};
use crate::streams::{Gathered, Streams};
use ringfence_capture_ring::Ring;
use ringfence_voice_wire::hep::{self, Packet};
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Settings of a live probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveConfig {
    /// Limits and times.
    pub engine: EngineConfig,
    /// Interfaces to capture from.
    pub interfaces: Vec<InterfaceConfig>,
    /// HEP listeners.
    pub hep: Vec<HepConfig>,
}

/// What a live probe counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveStatistics {
    /// As for a file, all threads together.
    pub engine: Statistics,
    /// Packets that the probe lost: the kernel's drops of all interfaces.
    pub probe_lost: u64,
    /// SIP messages lost because the dialog thread was behind.
    pub messages_lost: u64,
    /// For each interface, in the order of the settings.
    pub interfaces: Vec<(String, InterfaceStatistics)>,
    /// For each HEP listener: where it listens, what it counted.
    pub hep: Vec<(std::net::SocketAddr, HepStatistics)>,
}

/// Batches that wait for the dialog thread; a batch is what one block of a ring had.
const QUEUE_BATCHES: usize = 1024;
/// A batch goes on its way at so many octets.
const BATCH_OCTETS: usize = 256 << 10;
/// So many packets are measured under one lock.
const PACKETS_A_LOCK: usize = 256;
/// How long a thread waits for packets before it looks around.
const PATIENCE: Duration = Duration::from_millis(100);

/// A probe that runs until it is stopped.
#[derive(Debug)]
pub struct LiveProbe<O> {
    shared: Arc<Shared>,
    calls: Arc<Mutex<Calls<O>>>,
    captures: Vec<JoinHandle<()>>,
    dialogs: Option<JoinHandle<()>>,
    hep: Vec<HepListener>,
}

#[derive(Debug)]
struct Shared {
    is_stopping: AtomicBool,
    shards: Vec<Mutex<Streams>>,
    /// What each capture thread counted until its last block.
    fronts: Vec<Mutex<Statistics>>,
    interfaces: Vec<(String, Mutex<InterfaceStatistics>)>,
    messages_lost: AtomicU64,
    messages_hep: AtomicU64,
}

#[derive(Debug)]
struct Calls<O> {
    dialogs: Dialogs,
    output: O,
}

/// SIP messages on their way to the dialog thread.
#[derive(Debug, Default)]
struct Batch {
    octets: Vec<u8>,
    messages: Vec<(Arrival, Range<usize>)>,
}

/// A poisoned lock's data is counters and tables that are sound after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl<O: Output + Send + 'static> LiveProbe<O> {
    /// Opens every source, then begins; any fault is named and nothing runs.
    pub fn start(config: &LiveConfig, output: O) -> io::Result<Self> {
        let mut rings = Vec::new();
        for (index, interface) in config.interfaces.iter().enumerate() {
            rings.extend(open_rings(interface)?.into_iter().map(|ring| (index, ring)));
        }
        // The last table is for what comes by HEP.
        let new_shard = || Mutex::new(Streams::new(config.engine.streams(), random_key()));
        let shared = Arc::new(Shared {
            is_stopping: AtomicBool::new(false),
            shards: (0..=rings.len()).map(|_| new_shard()).collect(),
            fronts: rings.iter().map(|_| Mutex::default()).collect(),
            interfaces: config
                .interfaces
                .iter()
                .map(|one| (one.interface.clone(), Mutex::default()))
                .collect(),
            messages_lost: AtomicU64::new(0),
            messages_hep: AtomicU64::new(0),
        });
        let dialogs = Dialogs::new(config.engine.dialogs(), [random_key(), random_key()]);
        let calls = Arc::new(Mutex::new(Calls { dialogs, output }));
        let (sender, receiver) = sync_channel(QUEUE_BATCHES);
        let mut probe = Self {
            shared,
            calls,
            captures: Vec::new(),
            dialogs: None,
            hep: Vec::new(),
        };
        for hep in &config.hep {
            let shared = Arc::clone(&probe.shared);
            let name = |error: io::Error| {
                io::Error::new(error.kind(), format!("HEP on {}: {error}", hep.listen))
            };
            let queue = HepQueue {
                shared,
                sender: sender.clone(),
            };
            probe
                .hep
                .push(HepListener::start(hep, queue).map_err(name)?);
        }
        let (shared, calls) = (Arc::clone(&probe.shared), Arc::clone(&probe.calls));
        let run = move || run_dialogs(&receiver, &shared, &calls);
        probe.dialogs = Some(
            std::thread::Builder::new()
                .name("probe-dialogs".to_owned())
                .spawn(run)?,
        );
        for (thread, (interface, ring)) in rings.into_iter().enumerate() {
            let capture = Capture {
                ring,
                thread,
                interface,
                front: Front::new(&config.engine),
                shared: Arc::clone(&probe.shared),
                sender: sender.clone(),
                batch: Batch::default(),
                checked_ns: now_ns(),
            };
            let name = format!("probe-{thread}");
            probe.captures.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || capture.run())?,
            );
        }
        Ok(probe)
    }

    /// Stops all threads; every call that is left makes its record.
    pub fn stop(&mut self) {
        self.shared.is_stopping.store(true, Relaxed);
        self.hep.clear();
        for thread in self.captures.drain(..) {
            let _ = thread.join();
        }
        // Its queue has no sender any more: it takes what is left and ends.
        if let Some(thread) = self.dialogs.take() {
            let _ = thread.join();
        }
    }
}

impl<O> LiveProbe<O> {
    /// Looks at the call table (calls in progress) and the output. The dialog thread waits meanwhile, the captures do not.
    pub fn inspect<R>(&self, look: impl FnOnce(&Dialogs, &mut O) -> R) -> R {
        let mut calls = lock(&self.calls);
        let Calls { dialogs, output } = &mut *calls;
        look(dialogs, output)
    }

    /// Where the HEP listeners listen.
    #[must_use]
    pub fn hep_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.hep.iter().map(HepListener::address).collect()
    }

    /// Whether a capture thread has ended before it was told to: its interface is gone.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.captures.iter().any(JoinHandle::is_finished)
    }

    /// What was counted until now.
    #[must_use]
    pub fn statistics(&self) -> LiveStatistics {
        let mut engine = Statistics::default();
        for front in &self.shared.fronts {
            engine.add(&lock(front));
        }
        for shard in &self.shared.shards {
            let shard = lock(shard);
            engine.streams.add(shard.counters());
            engine.streams_now += shard.len();
        }
        engine.traffic.sip_hep = self.shared.messages_hep.load(Relaxed);
        engine.dialogs = *lock(&self.calls).dialogs.counters();
        let interfaces: Vec<_> = self
            .shared
            .interfaces
            .iter()
            .map(|(name, counted)| (name.clone(), *lock(counted)))
            .collect();
        LiveStatistics {
            engine,
            probe_lost: interfaces.iter().map(|(_, counted)| counted.dropped).sum(),
            messages_lost: self.shared.messages_lost.load(Relaxed),
            interfaces,
            hep: self
                .hep
                .iter()
                .map(|listener| (listener.address(), listener.statistics()))
                .collect(),
        }
    }
}

impl<O> Drop for LiveProbe<O> {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Relaxed);
        self.hep.clear();
        for thread in self.captures.drain(..).chain(self.dialogs.take()) {
            let _ = thread.join();
        }
    }
}

/// One capture thread.
struct Capture {
    ring: Ring,
    thread: usize,
    interface: usize,
    front: Front,
    shared: Arc<Shared>,
    sender: SyncSender<Batch>,
    batch: Batch,
    checked_ns: i64,
}

impl Capture {
    fn run(mut self) {
        let mut expired_ns = 0;
        while !self.shared.is_stopping.load(Relaxed) {
            self.check_drops();
            match self.ring.next_block(PATIENCE) {
                Ok(Some(block)) => {
                    let shard = &self.shared.shards[self.thread];
                    take_block(
                        block.frames(),
                        shard,
                        &mut self.front,
                        &mut self.batch,
                        &self.shared,
                        &self.sender,
                    );
                }
                Ok(None) => {}
                Err(_) => break, // the interface is gone; `has_failed` tells
            }
            self.batch.send(&self.shared, &self.sender);
            let now_ns = now_ns();
            if now_ns - expired_ns > 1_000_000_000 {
                expired_ns = now_ns;
                lock(&self.shared.shards[self.thread]).expire(now_ns, |_| {});
            }
            *lock(&self.shared.fronts[self.thread]) = self.front.statistics();
        }
    }

    /// Asks the kernel what it dropped before the packets behind the hole are measured: the streams then know whose fault
    /// the hole is.
    fn check_drops(&mut self) {
        let Ok(counted) = self.ring.statistics() else {
            return;
        };
        let now_ns = now_ns();
        if counted.drops > 0 {
            lock(&self.shared.shards[self.thread]).probe_lost(self.checked_ns, now_ns);
        }
        self.checked_ns = now_ns;
        let mut total = lock(&self.shared.interfaces[self.interface].1);
        total.packets += u64::from(counted.packets);
        total.dropped += u64::from(counted.drops);
        total.freezes += u64::from(counted.freezes);
    }
}

fn take_block(
    frames: ringfence_capture_ring::Frames<'_>,
    shard: &Mutex<Streams>,
    front: &mut Front,
    batch: &mut Batch,
    shared: &Shared,
    sender: &SyncSender<Batch>,
) {
    let mut frames = frames.peekable();
    while frames.peek().is_some() {
        let mut streams = lock(shard);
        let mut back = Queued {
            streams: &mut streams,
            batch,
        };
        for frame in frames.by_ref().take(PACKETS_A_LOCK) {
            let frame = Frame {
                time_ns: frame.time_ns,
                link: LinkType::Ethernet,
                data: frame.data,
                wire_length: frame.wire_length,
                vlan: frame.vlan,
            };
            front.frame(&frame, &mut back);
        }
        drop(streams);
        if batch.octets.len() > BATCH_OCTETS {
            batch.send(shared, sender);
        }
    }
}

impl Batch {
    fn push(&mut self, arrival: &Arrival, message: &[u8]) {
        let start = self.octets.len();
        self.octets.extend_from_slice(message);
        self.messages.push((*arrival, start..self.octets.len()));
    }

    /// Hands over what there is; what finds no room is counted as lost.
    fn send(&mut self, shared: &Shared, sender: &SyncSender<Self>) {
        if self.messages.is_empty() {
            return;
        }
        let count = self.messages.len() as u64;
        if sender.try_send(std::mem::take(self)).is_err() {
            shared.messages_lost.fetch_add(count, Relaxed);
        }
    }
}

/// RTP to the thread's own table, SIP into the batch.
struct Queued<'a> {
    streams: &'a mut Streams,
    batch: &'a mut Batch,
}

impl Back for Queued<'_> {
    #[inline]
    fn media(&mut self, flow: &Flow, payload: &[u8], time_ns: i64) -> bool {
        self.streams.datagram(flow, payload, time_ns)
    }

    fn message(&mut self, arrival: &Arrival, message: &[u8]) {
        self.batch.push(arrival, message);
    }
}

/// What comes by HEP, on its way to the dialog thread.
#[derive(Clone)]
struct HepQueue {
    shared: Arc<Shared>,
    sender: SyncSender<Batch>,
}

impl HepReceiver for HepQueue {
    fn packet(&mut self, packet: &Packet<'_>, payload: &[u8], time_us: i64) {
        if packet.kind == hep::kind::SIP {
            self.shared.messages_hep.fetch_add(1, Relaxed);
            let transport = match packet.protocol {
                6 => record::Transport::Tcp,
                132 => record::Transport::Sctp,
                _ => record::Transport::Udp,
            };
            let arrival = Arrival {
                time_us,
                source: packet.source,
                destination: packet.destination,
                transport,
                vlan: packet.vlan,
                is_truncated: false,
            };
            let mut batch = Batch::default();
            batch.push(&arrival, payload);
            batch.send(&self.shared, &self.sender);
        } else if let Some(shard) = self.shared.shards.last() {
            let flow = Flow {
                source: packet.source.ip().into(),
                destination: packet.destination.ip().into(),
                source_port: packet.source.port(),
                destination_port: packet.destination.port(),
            };
            lock(shard).datagram(&flow, payload, time_us.saturating_mul(1000));
        }
    }
}

/// All tables as one.
struct Shards<'a>(&'a [Mutex<Streams>]);

impl Media for Shards<'_> {
    fn announce(&mut self, announced: &MediaAnnounced<'_>) {
        for shard in self.0 {
            lock(shard).announce(announced);
        }
    }

    fn end(&mut self, call: CallKey, time_us: i64) {
        for shard in self.0 {
            lock(shard).end(call, time_us);
        }
    }

    fn gather(&mut self, call: CallKey) -> Gathered {
        let mut gathered = Gathered::default();
        for shard in self.0 {
            lock(shard).gather(call, &mut gathered);
        }
        if self.0.len() > 1 {
            for shard in self.0 {
                lock(shard).add_reports(&mut gathered);
            }
        }
        gathered
    }

    fn release(&mut self, call: CallKey) {
        for shard in self.0 {
            lock(shard).release(call);
        }
    }

    fn has_lost(&self, from_ns: i64, until_ns: i64) -> bool {
        self.0
            .iter()
            .any(|shard| lock(shard).has_lost(from_ns, until_ns))
    }
}

fn run_dialogs<O: Output>(receiver: &Receiver<Batch>, shared: &Shared, calls: &Mutex<Calls<O>>) {
    let mut ticked_ns = 0;
    loop {
        let received = receiver.recv_timeout(PATIENCE);
        let mut calls = lock(calls);
        let Calls { dialogs, output } = &mut *calls;
        let mut sink = Joined {
            media: &mut Shards(&shared.shards),
            output,
        };
        match received {
            Ok(batch) => {
                for (arrival, place) in &batch.messages {
                    dialogs.message(arrival, &batch.octets[place.clone()], &mut sink);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                dialogs.finish(&mut sink);
                return;
            }
        }
        let now_ns = now_ns();
        if now_ns - ticked_ns > 1_000_000_000 {
            ticked_ns = now_ns;
            dialogs.tick(now_ns / 1000, &mut sink);
        }
    }
}
