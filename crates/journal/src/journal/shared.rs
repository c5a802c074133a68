//! What all streams of an open journal share: disk, configuration, sizes, the durable signal, notices.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard;
use super::incarnation::{Agreement, Incarnation};
use super::stream::Stream;
use crate::Config;
use crate::disk::Disk;

/// Most notices kept until someone takes them.
const NOTICES_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub config: Config,
    /// The folder's own id, in all its files; the mediation knows the incarnation's.
    pub journal_id: u64,
    pub incarnation: Mutex<Incarnation>,
    pub agreement: Mutex<Agreement>,
    streams: Mutex<BTreeMap<u32, Arc<Stream>>>,
    /// Streams whose drainer was started.
    running: Mutex<Vec<u32>>,
    /// Counts up whenever a stream has more durable events.
    durable_count: Mutex<u64>,
    durable_signal: Condvar,
    notices: Mutex<Vec<String>>,
    closing: AtomicBool,
    /// Acknowledged sequences that `progress` does not have yet.
    pub progress_stale: AtomicBool,
    pub progress_lock: Mutex<()>,
    /// Segments removed for room or age.
    pub removed: AtomicU64,
}

impl Shared {
    pub fn new(disk: Arc<dyn Disk>, config: Config, journal_id: u64) -> Self {
        Self {
            disk,
            config,
            journal_id,
            incarnation: Mutex::default(),
            agreement: Mutex::default(),
            streams: Mutex::default(),
            running: Mutex::default(),
            durable_count: Mutex::default(),
            durable_signal: Condvar::new(),
            notices: Mutex::default(),
            closing: AtomicBool::new(false),
            progress_stale: AtomicBool::new(false),
            progress_lock: Mutex::default(),
            removed: AtomicU64::new(0),
        }
    }

    pub fn stream_folder(&self, stream: u32) -> PathBuf {
        self.config.folder.join("streams").join(stream.to_string())
    }

    pub fn add(&self, stream: Stream) -> Arc<Stream> {
        let stream = Arc::new(stream);
        guard(&self.streams).insert(stream.id, Arc::clone(&stream));
        stream
    }

    pub fn stream(&self, id: u32) -> Option<Arc<Stream>> {
        guard(&self.streams).get(&id).cloned()
    }

    pub fn streams(&self) -> Vec<Arc<Stream>> {
        guard(&self.streams).values().cloned().collect()
    }

    pub fn stream_ids(&self) -> Vec<u32> {
        guard(&self.streams).keys().copied().collect()
    }

    pub fn is_running(&self, id: u32) -> bool {
        guard(&self.running).contains(&id)
    }

    pub fn set_running(&self, id: u32) {
        guard(&self.running).push(id);
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    pub fn close(&self) {
        self.closing.store(true, Release);
        for stream in self.streams() {
            guard(&stream.handover).closing = true;
            stream.wake.notify_all();
        }
        self.signal_durable();
    }

    pub fn all_durable(&self) -> bool {
        self.streams()
            .iter()
            .all(|stream| stream.durable.load(Acquire) >= guard(&stream.handover).last)
    }

    pub fn notice(&self, text: String) {
        let mut notices = guard(&self.notices);
        // The same trouble at every tick is one notice.
        if notices.len() < NOTICES_MAX && notices.last() != Some(&text) {
            notices.push(text);
        }
    }

    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *guard(&self.notices))
    }

    pub fn signal_durable(&self) {
        *guard(&self.durable_count) += 1;
        self.durable_signal.notify_all();
    }

    /// Wait until the count is beyond `seen`; the count, or `None` after `timeout` or at close.
    pub fn wait_durable(&self, seen: u64, timeout: Duration) -> Option<u64> {
        let deadline = Instant::now() + timeout;
        let mut count = guard(&self.durable_count);
        loop {
            if *count > seen {
                return Some(*count);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_closing() {
                return None;
            }
            count = self
                .durable_signal
                .wait_timeout(count, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn durable_count(&self) -> u64 {
        *guard(&self.durable_count)
    }

    /// Octets of all segments of all streams.
    pub fn bytes(&self) -> u64 {
        let streams = self.streams();
        streams
            .iter()
            .map(|stream| {
                guard(&stream.index)
                    .segments
                    .iter()
                    .map(|one| one.bytes)
                    .sum::<u64>()
            })
            .sum()
    }

    /// Write `progress`; a failure is only a notice, for it is a hint.
    pub fn save_progress(&self) {
        if !self.progress_stale.swap(false, Relaxed) {
            return;
        }
        let _one_at_a_time = guard(&self.progress_lock);
        let acknowledged: Vec<(u32, u64)> = self
            .streams()
            .iter()
            .map(|stream| (stream.id, stream.acknowledged.load(Relaxed)))
            .collect();
        if let Err(error) =
            super::progress::save(self.disk.as_ref(), &self.config.folder, &acknowledged)
        {
            self.progress_stale.store(true, Relaxed);
            self.notice(format!("journal progress cannot be saved: {error}"));
        }
    }
}
