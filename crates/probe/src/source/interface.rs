//! A live interface through the kernel's ring.

use ringfence_capture_ring::{Fanout, Filter, FilterError, Ring, RingOptions};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Settings of a live capture; `interface` is needed, the rest may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceConfig {
    /// Name of the interface. A bond shows the packets of all its members; a member shows its own.
    pub interface: String,
    /// Memory for packets that wait, for each thread (default 64 MiB).
    #[serde(default = "default_ring_bytes")]
    pub ring_bytes: usize,
    /// Threads that share the interface's packets (default 1, at most 64).
    #[serde(default = "default_threads")]
    pub threads: usize,
    /// Packets to take, as `tcpdump -ddd EXPRESSION` prints it; `null` takes all.
    #[serde(default)]
    pub filter: Option<String>,
    /// See packets that are not for this machine (default true).
    #[serde(default = "default_promiscuous")]
    pub promiscuous: bool,
}

const fn default_ring_bytes() -> usize {
    64 << 20
}

const fn default_threads() -> usize {
    1
}

const fn default_promiscuous() -> bool {
    true
}

/// What the kernel counted for an interface, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InterfaceStatistics {
    /// Packets that passed the filter, dropped ones too.
    pub packets: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub dropped: u64,
    /// Times that the ring was full.
    pub freezes: u64,
}

const MAX_THREADS: usize = 64;
/// Groups of this process: the number is the kernel's key within the network namespace.
static GROUPS: AtomicU16 = AtomicU16::new(0);

/// Opens the rings of an interface, one a thread.
pub fn open_rings(config: &InterfaceConfig) -> io::Result<Vec<Ring>> {
    let filter: Option<Filter> = match &config.filter {
        Some(text) => Some(
            text.parse()
                .map_err(|error: FilterError| io::Error::other(error.to_string()))?,
        ),
        None => None,
    };
    let threads = config.threads.clamp(1, MAX_THREADS);
    let group =
        (std::process::id() as u16).wrapping_add(GROUPS.fetch_add(1, Relaxed).wrapping_mul(251));
    let options = RingOptions {
        interface: config.interface.clone(),
        ring_octets: config.ring_bytes,
        is_promiscuous: config.promiscuous,
        filter,
        fanout: (threads > 1).then_some(Fanout { group }),
        ..RingOptions::default()
    };
    let name = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("interface {}: {error}", config.interface),
        )
    };
    (0..threads)
        .map(|_| Ring::open(&options).map_err(name))
        .collect()
}
