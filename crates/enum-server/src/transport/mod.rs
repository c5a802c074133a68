//! The only sockets: UDP in batches, one thread a socket; TCP on one thread for all listeners.
mod local_address;
pub mod tcp;
pub mod udp;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::stages::Received;

/// Both clocks, read once for a batch.
pub(crate) fn now() -> Received {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Received {
        time_us: since.as_micros() as i64,
        instant: Instant::now(),
    }
}
