//! Quality of a call's audio, as the streams measured it.
use core::net::SocketAddr;

use serde::Serialize;

use super::text::CodecName;

/// Quality of one direction of a call's audio; all zero when no packet of it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct MediaSummary {
    /// Where the stream came from.
    pub from: Option<SocketAddr>,
    /// Where it went.
    pub to: Option<SocketAddr>,
    /// First packet, microseconds since 1970 UTC.
    pub first_us: i64,
    /// Last packet.
    pub last_us: i64,
    /// Packets received, duplicates not counted.
    pub packets: u32,
    /// Packets that never came.
    pub lost: u32,
    /// Packets that came again.
    pub duplicates: u32,
    /// Packets that came after a later one.
    pub reordered: u32,
    /// Runs of loss (RFC 3611).
    pub bursts: u32,
    /// Longest run of loss, packets.
    pub longest_burst: u32,
    /// Mean of the RFC 3550 jitter, microseconds.
    pub jitter_mean_us: u32,
    /// Its maximum, microseconds.
    pub jitter_max_us: u32,
    /// Largest gap between two packets, microseconds.
    pub longest_gap_us: u32,
    /// MOS by the E-model (G.107), 1 to 4.5; 0 without packets.
    pub mos: f32,
    /// Codec of most packets.
    pub codec: CodecName,
    /// Its payload type.
    pub payload_type: u8,
    /// First SSRC.
    pub ssrc: u32,
    /// Times that the SSRC changed.
    pub ssrc_changes: u16,
    /// DTMF events (RFC 4733); which digits is not kept.
    pub dtmf_events: u16,
    /// Nothing but silence was sent.
    pub is_silent: bool,
    /// This direction had packets and the other none.
    pub is_one_way: bool,
    /// The far end's view by RTCP: fraction lost, 1/256.
    pub rtcp_fraction_lost: Option<u8>,
    /// Round trip by RTCP, microseconds.
    pub rtcp_round_trip_us: Option<u32>,
    /// Listening MOS by RTCP-XR, tenths.
    pub xr_mos_tenths: Option<u8>,
    /// Packets that the probe itself lost meanwhile; not in `lost`.
    pub lost_by_probe: u32,
}
