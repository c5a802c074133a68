#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
//! Durable event journal of a device: what a data-plane thread records is never lost to a crash of the
//! process, and at most [`Config::sync`] of it to a power cut.
//!
//! Stands between the ENUM server's threads and the uplink in "facts up". Layers, each knowing only those
//! to its left: [`frame`] (checksummed bytes) → [`segment`] (files of frames) → [`journal`] (streams, stage,
//! recovery); the disk is behind [`disk::Disk`], so that tests can break it.
//!
//! ```text
//!  worker thread                       drainer thread (one a stream)                reader (uplink)
//!  record ─► batch of frames
//!  commit ─► one write() to the stage  (tmpfs: survives kill -9, never waits for a disk)
//!         └► hand-over, in memory ───► append to a segment, fdatasync every sync_ms
//!                                      └► durable ── condvar ─────────────────────► read(stream, first)
//!            stage file emptied   ◄────┘                                             └► upload ─► acknowledge
//! ```
//!
//! # Files
//! ```text
//! <folder>/lock                              held while a process has the journal open
//! <folder>/identity                          journal_id, random, 63 bit
//! <folder>/progress                          acknowledged sequence of each stream (hint; may lag)
//! <folder>/incarnation                       id and bases under which the mediation knows it; only once it was set back
//! <folder>/unconfirmed                       what was here at the first start since the mediation agreed
//! <folder>/streams/<stream>/<first>.segment  header, then frames; <first> is the first sequence, 20 digits
//! <stage>/<hash of folder>/<stream>-{0,1}    header, then the same frames; two files alternate
//! ```
//! A *stream* belongs to one data-plane thread and numbers its events from 1 without gaps. An event is
//! *committed* when the stage has it, *durable* when a segment has it and was synced. Only durable events are
//! ever read, so a power cut cannot give an uploaded sequence to another event.
//!
//! # Recovery: what `open` may find
//! | Found | Means | Done |
//! |---|---|---|
//! | stage frames that continue the last segment | the process was killed | handed to the drainer again; nothing is lost |
//! | stage frames that the segments have too | killed between sync and emptying the stage | skipped |
//! | end of a stage file is not a frame | killed inside `write()`; that batch was never committed | cut |
//! | stage missing or of another journal | power cut, or the machine was copied | started empty |
//! | stage frames beyond a hole | the disk lost what it had promised, or the process was killed while the stage had no room | kept, in a segment of their own; the hole is reported |
//! | the mediation holds more than was ever read here | the folder was set back: copied, restored, rolled back | a new incarnation, see `journal/incarnation.rs` |
//! | `incarnation` damaged | damaged disk | a new incarnation with all that is not acknowledged |
//! | end of the last segment is not a frame, or is one behind a bad one that was never synced | power cut | cut |
//! | bad bytes in a segment, later frames prove they were durable | the disk is damaged | reported, sequences are a hole |
//! | last segment has no frame | power cut just after it was made | removed, the one before it is the last |
//! | a segment's end overlaps the next one's begin | a sync failed and its frames were written again | the next one counts |
//! | `progress` missing or torn | it is only a hint | 0, the mediation tells |
//! | `identity` missing, segments there | damaged disk | taken from the segments |
//! | segment of another journal or a newer format | operator's mistake | refused, nothing is changed |
//!
//! # When the disk is full, hung or broken
//! A failed append or sync abandons the segment file at its durable length (after a failed fdatasync the
//! kernel may have dropped the pages, so it is never retried on the same file) and writes everything that is
//! not durable again into a new one at the next tick. Without space the oldest *acknowledged* segments go first.
//! If that does not help, the stage fills; then events are counted as lost and a `lost` frame is
//! written when space returns. A worker never waits.
//!
//! # When the stage has no room
//! The stage's file system may be small (a container's `/dev/shm`) or filled by others while the disk is well. A batch
//! that the stage cannot take is handed to the drainer alone, which is woken at once instead of at its tick and
//! appends and syncs it. Nothing is lost and no answer waits; but a kill of the process takes what the drainer had not
//! appended yet: milliseconds, the duration of a sync. At most half of `stage_bytes` waits so; what is beyond is lost. A
//! notice says when it begins and when it ends: the drainer makes the stage's files anew as soon as there is room.
pub mod disk;
pub mod frame;
pub mod journal;
pub mod segment;

mod config;
mod error;

pub use config::Config;
pub use error::JournalError;
pub use journal::{Batch, Journal, Reader, StreamStatus, StreamWriter};
