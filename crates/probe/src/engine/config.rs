//! The engine's settings, as JSON gives them.

use crate::dialogs::DialogsConfig;
use crate::reassembly::fragments::FragmentLimits;
use crate::reassembly::tcp::TcpLimits;
use crate::streams::StreamsLimits;
use serde::Deserialize;

/// Limits and times of an engine; every field may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Calls held at once (default 200,000).
    pub calls: usize,
    /// How long a finished call is kept for late messages, seconds (default 5).
    pub linger_s: u32,
    /// How long an INVITE may stay without a final response, seconds (default 300).
    pub setup_s: u32,
    /// How long an answered call may stay silent without a BYE, seconds (default 4 hours).
    pub idle_s: u32,
    /// RTP streams held at once on each capture thread (default 100,000).
    pub streams: usize,
    /// A stream of no call is over after so long without a packet, seconds (default 60).
    pub stream_idle_s: u32,
    /// Datagrams waiting for fragments (default 4,096).
    pub fragmented_datagrams: usize,
    /// Directions of TCP connections followed (default 50,000).
    pub tcp_directions: usize,
    /// Octets held for TCP, of all connections (default 32 MiB).
    pub tcp_octets: usize,
    /// The same datagram again within so many microseconds is the tap's doing (default 5,000; 0 leaves all).
    pub duplicate_window_us: i64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        let dialogs = DialogsConfig::default();
        let tcp = TcpLimits::default();
        Self {
            calls: dialogs.calls_max,
            linger_s: dialogs.linger_s,
            setup_s: dialogs.setup_s,
            idle_s: dialogs.idle_s,
            streams: StreamsLimits::default().streams,
            stream_idle_s: 60,
            fragmented_datagrams: FragmentLimits::default().datagrams,
            tcp_directions: tcp.directions,
            tcp_octets: tcp.octets,
            duplicate_window_us: 5000,
        }
    }
}

impl EngineConfig {
    /// Settings of the call table.
    #[must_use]
    pub fn dialogs(&self) -> DialogsConfig {
        DialogsConfig {
            calls_max: self.calls,
            linger_s: self.linger_s,
            setup_s: self.setup_s,
            idle_s: self.idle_s,
            ..DialogsConfig::default()
        }
    }

    pub(crate) fn streams(&self) -> StreamsLimits {
        StreamsLimits {
            streams: self.streams.max(1),
            idle_ns: i64::from(self.stream_idle_s) * 1_000_000_000,
        }
    }

    pub(crate) fn fragments(&self) -> FragmentLimits {
        FragmentLimits {
            datagrams: self.fragmented_datagrams.max(1),
            ..FragmentLimits::default()
        }
    }

    pub(crate) fn tcp(&self) -> TcpLimits {
        TcpLimits {
            directions: self.tcp_directions.max(1),
            octets: self.tcp_octets,
            direction_octets: TcpLimits::default().direction_octets.min(self.tcp_octets),
            ..TcpLimits::default()
        }
    }
}
