//! SIP messages become calls.
//!
//! Stands between reassembly, which gives whole messages, and the journal, which gets one record for each call.
//! Pure: octets, state and the packet's time in; records out through the [`Sink`].
mod config;
mod counters;
mod feed;

pub use config::DialogsConfig;
pub use counters::DialogsCounters;
pub use feed::{Arrival, MediaAnnounced, PayloadCodec, Sink};

/// The table of calls.
#[derive(Debug)]
pub struct Dialogs {
    counters: DialogsCounters,
}

impl Dialogs {
    /// An empty table. `seed` is secret and random: it keeps a flood of chosen Call-IDs from colliding.
    pub fn new(_config: DialogsConfig, _seed: [u64; 2]) -> Self {
        Self {
            counters: DialogsCounters::default(),
        }
    }

    /// Takes one message, without what stands before or after it in a stream.
    pub fn message(&mut self, _arrival: &Arrival, _message: &[u8], _sink: &mut impl Sink) {
        self.counters.messages += 1;
    }

    /// Lets time pass without a message; needed about once a second when nothing arrives.
    pub fn tick(&mut self, _now_us: i64, _sink: &mut impl Sink) {}

    /// No more messages will come: every call that is left makes its record.
    pub fn finish(&mut self, _sink: &mut impl Sink) {}

    /// What was counted.
    pub const fn counters(&self) -> &DialogsCounters {
        &self.counters
    }
}
