//! What the probe counted, as one JSON object.

use crate::decode::DecodeCounters;
use crate::dialogs::DialogsCounters;
use crate::reassembly::fragments::FragmentCounters;
use crate::reassembly::tcp::TcpCounters;
use crate::streams::StreamsCounters;
use serde::Serialize;

/// Counters since the start.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Frames and layers.
    pub decode: DecodeCounters,
    /// IP fragments.
    pub fragments: FragmentCounters,
    /// TCP streams.
    pub tcp: TcpCounters,
    /// What the packets carried.
    pub traffic: TrafficCounters,
    /// RTP and RTCP.
    pub streams: StreamsCounters,
    /// RTP streams now.
    pub streams_now: usize,
    /// Calls and other SIP.
    pub dialogs: DialogsCounters,
}

/// What the packets carried.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize)]
pub struct TrafficCounters {
    /// SIP messages over UDP, copies not counted.
    pub sip_udp: u64,
    /// SIP messages over TCP and WebSocket.
    pub sip_tcp: u64,
    /// SIP messages by HEP.
    pub sip_hep: u64,
    /// Copies that a double tap made.
    pub duplicates_removed: u64,
    /// UDP of other kinds.
    pub other_udp: u64,
}

impl TrafficCounters {
    /// Adds what another thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.sip_udp += other.sip_udp;
        self.sip_tcp += other.sip_tcp;
        self.sip_hep += other.sip_hep;
        self.duplicates_removed += other.duplicates_removed;
        self.other_udp += other.other_udp;
    }
}

impl Statistics {
    /// Adds what another capture thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.decode.add(&other.decode);
        self.fragments.add(&other.fragments);
        self.tcp.add(&other.tcp);
        self.traffic.add(&other.traffic);
    }
}
