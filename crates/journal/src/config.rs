//! What a journal needs to know; defaults and limits as `ringfence.settings` documents them.
use std::path::PathBuf;
use std::time::Duration;

use crate::JournalError;

/// Configuration of one journal.
#[derive(Debug, Clone)]
pub struct Config {
    /// The journal's folder; made when missing.
    pub folder: PathBuf,
    /// Size at which a new segment starts, octets (64 KiB to 1 GiB).
    pub segment_bytes: u64,
    /// Bound of all segments of all streams, octets (at least 1 MiB).
    pub max_bytes: u64,
    /// How long acknowledged segments are kept.
    pub keep: Duration,
    /// Interval of fdatasync: the most that a power cut can take (1 ms to 10 s).
    pub sync: Duration,
    /// Folder in memory for the stage; `None`: `/dev/shm/ringfence-<uid>`, or the journal's folder without one.
    pub stage: Option<PathBuf>,
    /// Bound of the stage of each stream, octets (at least 1 MiB).
    pub stage_bytes: u64,
}

impl Config {
    /// Defaults for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            segment_bytes: 16 << 20,
            max_bytes: 4 << 30,
            keep: Duration::from_secs(72 * 3600),
            sync: Duration::from_millis(250),
            stage: None,
            stage_bytes: 64 << 20,
        }
    }

    /// Refuse what could not work, naming the field.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let wrong =
            |field: &'static str, right: &'static str| Err(JournalError::Config { field, right });
        if !(64 << 10..=1 << 30).contains(&self.segment_bytes) {
            return wrong("segment_bytes", "64 KiB to 1 GiB");
        }
        if self.max_bytes < 1 << 20 {
            return wrong("max_bytes", "at least 1 MiB");
        }
        if self.sync < Duration::from_millis(1) || self.sync > Duration::from_secs(10) {
            return wrong("sync_ms", "1 to 10000");
        }
        if !(1 << 20..=4 << 30).contains(&self.stage_bytes) {
            return wrong("stage_bytes", "1 MiB to 4 GiB");
        }
        Ok(())
    }
}
