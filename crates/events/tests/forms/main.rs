//! Events as the journal's bytes and as Arrow: fixed to the octet, read back, and safe from hostile input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod encoding;
mod sip;
