//! Voice protocols on the wire: octets become values.
//!
//! Stands between the probe's packets and its calls: `sip`, `sdp` and `stir` are asked by `probe::dialogs`.
//! Pure: no I/O, no clock; nothing is fetched. Zero-copy: values borrow from the message.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
pub mod hep;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod stir;
