//! Where packets come from: a capture file or stream, a live interface, or HEP from others.
//!
//! The only part of the probe that does I/O. A source gives [`Frame`](crate::decode::Frame)s (HEP: messages) and says what it lost.

mod capture;
mod compressed;
pub mod hep;
pub mod interface;
mod pcapng;

pub use capture::{Capture, CaptureNotes};
pub use compressed::open_stream;

use std::io;

/// Why a source can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a capture file.
    #[error(
        "not a capture file: it begins with {0}, pcap and pcapng (plain, gzip or zstd) can be read"
    )]
    NotACapture(String),
}
