//! The DNS ENUM server: an SBC asks, the policy decides, the answer says so, an event records it.
//!
//! Stands where both flows meet: policy comes down into [`Server::install`], each query goes up as an
//! event. `wire` knows the octets, `stages` a query's way, `transport` the sockets; data goes from left to right:
//!
//! ```text
//! transport ─► stages ─► (policy) ─► stages ─► journal, transport
//!               wire                  wire
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod config;
mod counters;
mod installed;
mod notices;
mod server;
mod sink;
mod stages;
mod transport;
pub mod wire;

pub use config::{Config, FailMode, JournalConfig};
pub use counters::{Counter, Counters};
pub use installed::{Installed, Service, Zone};
pub use notices::{Notice, Notices};
pub use server::{Server, StartError};
pub use sink::{EventSink, NoJournal};
pub use stages::{Pipeline, Received, Transport};
