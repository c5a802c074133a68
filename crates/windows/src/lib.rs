//! Sliding windows over calls: what a detection measures, for each key, as calls come in. Pure: no I/O, no clock.
//!
//! ```text
//! calls ─ filter ─► key ─ table ─► timeline (window) ─ measure ─► threshold ─ cool-down ─► Crossing
//! ```
//! A window slides with every call: there is no boundary at which a count begins anew, so nothing passes unseen across
//! one. A call counts at its own time, whatever order calls come in, as long as it is at most [`LATENESS_US`] behind the
//! newest. Memory is bounded: so many keys in all, so many calls for each; what goes beyond is counted in
//! [`Counters`], never silent.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod call;
mod counted;
mod detection;
mod engine;
mod filter;
mod measure;
mod spec;
mod table;
mod timeline;

#[cfg(test)]
mod model_tests;

pub use call::{Call, Dataset};
pub use engine::{Counters, Crossing, Engine};
pub use filter::Key;
pub use spec::SpecError;

/// How far a call may lie behind the newest and still count, microseconds. An edge that was cut off for longer brings
/// calls that no window waits for any more.
pub const LATENESS_US: i64 = 120_000_000;
/// Calls kept for one key exactly; beyond, counts are blurred by a 512th of the window at its old edge, and distinct
/// numbers are a sample of at least half as many (standard error about 3 %).
pub const EXACT_CALLS: usize = 2048;
/// Calls kept over all keys (32 octets each); beyond, keys keep [`TIGHT_CALLS`].
pub const MAX_CALLS: usize = 12_000_000;
/// Calls of one key while [`MAX_CALLS`] is reached.
pub const TIGHT_CALLS: usize = 64;
/// Numbers that one crossing tells of.
pub const MAX_NUMBERS: usize = 1000;
