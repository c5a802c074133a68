//! The passive probe: packets of a tap become records of calls.
//!
//! Stands at the start of "facts up". Everything but the sources is pure: bytes, state and the packet's time in, values out.
//!
//! ```text
//! source ─► decode ─► reassembly ─┬─► dialogs (SIP messages → calls) ─┬─► record ─► journal
//!                                 └─► streams (RTP, RTCP → quality) ──┘
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod decode;
pub mod dialogs;
pub mod engine;
pub mod event;
pub mod ladder;
pub mod line;
pub mod reassembly;
pub mod record;
pub mod source;
pub mod streams;
