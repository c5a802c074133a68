//! Conversations in, records out: what the call table makes of SIP as it is spoken on the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod answered;
mod forks;
mod limits;
mod media;
mod numbers;
mod properties;
mod refused;
mod scene;
