//! Captures with known truth: hard cases, SIP load, calls with media. Seeded: the same seed gives the same octets.
//!
//! Tests of the probe and its bench read them; nothing here knows how the probe works.
pub mod cases;
mod cases_dialog;
mod cases_frames;
mod cases_syntax;
mod cases_tcp;
pub mod media;
pub mod pcap;
pub mod random;
pub mod script;
pub mod sip;
pub mod wire;
