//! What can go wrong with a journal, and whose fault it is.
use std::io;
use std::path::PathBuf;

/// Why the journal refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A setting that cannot work; the operator's fault.
    #[error("journal {field} must be {right}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What it accepts.
        right: &'static str,
    },
    /// The disk refused.
    #[error("journal cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another handle, has the journal open.
    #[error("journal {path} is open in another process", path = .0.display())]
    Locked(PathBuf),
    /// A file that belongs to another journal.
    #[error("{path} belongs to journal {found}, not {expected}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The journal it names.
        found: u64,
        /// This journal.
        expected: u64,
    },
    /// A file of a version this program does not know.
    #[error("{path} has journal format {version}; this program reads format {known}", path = path.display(), known = crate::segment::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// A stream that has a writer already.
    #[error("stream {0} has a writer already")]
    WriterTaken(u32),
    /// A stream that the journal does not have.
    #[error("journal has no stream {0}")]
    NoStream(u32),
    /// The journal was closed.
    #[error("journal is closed")]
    Closed,
    /// An acknowledgement of what was never uploaded.
    #[error("stream {stream}: {sequence} acknowledged, but only {durable} is durable")]
    AcknowledgedTooFar {
        /// The stream.
        stream: u32,
        /// What was acknowledged.
        sequence: u64,
        /// The last durable sequence.
        durable: u64,
    },
    /// A sound record that is not an event of this version.
    #[error("stream {stream}, sequence {sequence}: {source}")]
    Event {
        /// The stream.
        stream: u32,
        /// The record's sequence.
        sequence: u64,
        /// What the decoder said.
        source: ringfence_events::DecodeError,
    },
    /// Arrow could not be written.
    #[error("events cannot be written as Arrow: {0}")]
    Arrow(String),
}

impl JournalError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
