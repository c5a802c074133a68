//! The journal of a device: its streams, their writers, their drainers, and one reader. The crate's head
//! has the whole picture.
mod drain;
mod incarnation;
mod progress;
mod reader;
mod recovery;
mod retention;
mod shared;
mod stage;
mod stream;
mod writer;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use reader::{Batch, Reader, StreamStatus};
pub use writer::StreamWriter;

use crate::disk::Disk;
use crate::disk::real::{FolderLock, RealDisk};
use crate::{Config, JournalError};
use drain::Drainer;
use shared::Shared;
use stage::StageFolder;

/// How long [`Journal::close`] waits for a disk before it leaves the rest to the stage.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Below the writers': a drainer that copies and syncs must not make an answer wait, and gets a quarter of a processor that is
/// busy to the last, many times what it needs.
const DRAINER_NICE: i32 = 5;

/// An open journal. Dropping it closes it.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    stage: StageFolder,
    drainers: Mutex<Drainers>,
    lock: Mutex<Option<FolderLock>>,
}

#[derive(Debug, Default)]
struct Drainers {
    /// One end for each running thread; disconnected when the thread has ended.
    running: Vec<Receiver<()>>,
    /// In tests: stepped by hand instead of by threads.
    manual: Option<Vec<Drainer>>,
}

impl Journal {
    /// Open a journal, or make a new one; recover what a crash left. One process at a time.
    pub fn open(config: Config) -> Result<Self, JournalError> {
        config.check()?;
        let disk = RealDisk;
        disk.create_folder(&config.folder)
            .map_err(JournalError::io("make", &config.folder))?;
        let lock_file = config.folder.join("lock");
        let lock = FolderLock::take(&lock_file).map_err(JournalError::io("lock", &lock_file))?;
        let lock = lock.ok_or_else(|| JournalError::Locked(config.folder.clone()))?;
        let (stage, notices) = StageFolder::choose(&config)?;
        let id =
            crate::disk::real::random_id().map_err(JournalError::io("read", "/dev/urandom"))?;
        let journal = Self::open_on(Arc::new(disk), config, stage, id, Drainers::default())?;
        for notice in notices {
            journal.shared.notice(notice);
        }
        *guard(&journal.lock) = Some(lock);
        Ok(journal)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        stage: StageFolder,
        fresh_id: u64,
        drainers: Drainers,
    ) -> Result<Self, JournalError> {
        let shared = recovery::open(disk, config, fresh_id)?;
        let journal = Self {
            shared,
            stage,
            drainers: Mutex::new(drainers),
            lock: Mutex::new(None),
        };
        let mut streams = journal.shared.stream_ids();
        streams.extend(journal.stage.streams(journal.shared.disk.as_ref())?);
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            journal.start(stream)?;
        }
        incarnation::open(&journal.shared, fresh_id)?;
        Ok(journal)
    }

    /// Recover a stream's stage and start its drainer.
    fn start(&self, stream: u32) -> Result<(), JournalError> {
        let mut drainers = guard(&self.drainers);
        if self.shared.is_running(stream) {
            return Ok(());
        }
        let drainer = recovery::start_stream(&self.shared, &self.stage, stream)?;
        if let Some(manual) = &mut drainers.manual {
            manual.push(drainer);
            return Ok(());
        }
        let (ended, watch) = channel();
        std::thread::Builder::new()
            .name(format!("journal-{stream}"))
            .spawn(move || {
                let _ended = ended;
                // Of this thread alone, on Linux; never refused, as it is lower.
                let _ = rustix::process::setpriority_process(None, DRAINER_NICE);
                drainer.run();
            })
            .map_err(JournalError::io(
                "start a thread for",
                &self.shared.config.folder,
            ))?;
        drainers.running.push(watch);
        Ok(())
    }

    /// The writing side of a stream; one at a time. Makes the stream when it is new.
    pub fn writer(&self, stream: u32) -> Result<StreamWriter, JournalError> {
        if self.shared.is_closing() {
            return Err(JournalError::Closed);
        }
        self.start(stream)?;
        let state = self
            .shared
            .stream(stream)
            .ok_or(JournalError::NoStream(stream))?;
        StreamWriter::new(
            Arc::clone(&self.shared.disk),
            state,
            self.shared.config.stage_bytes,
        )
    }

    /// The reading side; as many as wanted.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// The random id, 63 bits, under which the mediation knows this journal; a journal that was set back changes it.
    pub fn journal_id(&self) -> u64 {
        guard(&self.shared.incarnation).journal_id
    }

    /// What recovery and operation found that a person should know, oldest first; emptied by the call.
    pub fn take_notices(&self) -> Vec<String> {
        self.shared.take_notices()
    }

    /// Make everything committed durable and stop. Waits at most ten seconds for the disk; what it cannot
    /// take by then stays in the stage for the next start. Whether all is durable. Idempotent.
    pub fn close(&self) -> bool {
        self.shared.close();
        let mut drainers = guard(&self.drainers);
        let deadline = Instant::now() + CLOSE_WAIT;
        for watch in drainers.running.drain(..) {
            let left = deadline.saturating_duration_since(Instant::now());
            if watch.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                self.shared.notice(
                    "the disk did not answer at close; the rest stays in the stage".to_owned(),
                );
            }
        }
        let durable = self.shared.all_durable();
        self.shared.save_progress();
        *guard(&self.lock) = None;
        durable
    }

    /// Events counted as lost since the journal was opened, all streams.
    pub fn lost(&self) -> u64 {
        self.shared
            .streams()
            .iter()
            .map(|stream| stream.lost.load(Relaxed))
            .sum()
    }

    /// Last durable sequence of a stream, 0 when there is none.
    pub fn durable(&self, stream: u32) -> u64 {
        let base = guard(&self.shared.incarnation).base(stream);
        self.shared
            .stream(stream)
            .map_or(0, |state| state.durable.load(Acquire).saturating_sub(base))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// A mutex's content; a thread that panicked while holding it left nothing half done that matters.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock, microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
