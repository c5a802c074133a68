//! What goes into [`Dialogs`](super::Dialogs) beside a message's octets, and what comes out.
use core::net::{IpAddr, SocketAddr};

use crate::record::{CallKey, CallRecord, CodecName, Side, Transport};

/// How and when a SIP message arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Capture time of the message's last packet, microseconds since 1970 UTC.
    pub time_us: i64,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// How.
    pub transport: Transport,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// The capture cut it (snap length, a gap in the TCP stream): headers may be missing at the end.
    pub is_truncated: bool,
}

/// One payload type of an announced stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadCodec {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Name as in SDP, or the static name of RFC 3551.
    pub codec: CodecName,
    /// RTP clock, Hz.
    pub clock_rate: u32,
}

/// A side of a call has said where it wants to receive audio; what arrives there was sent by the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAnnounced<'a> {
    /// Whose media.
    pub call: CallKey,
    /// When.
    pub time_us: i64,
    /// Who listens there.
    pub receiver: Side,
    /// The address of `c=`; unspecified (0.0.0.0, ::) means hold of the old kind.
    pub address: IpAddr,
    /// RTP port, never 0.
    pub port: u16,
    /// RTCP port: `a=rtcp`, or port + 1, or the same with `a=rtcp-mux`.
    pub rtcp_port: u16,
    /// Address that sent the SDP: a phone behind NAT announces an address that packets never have.
    pub signalling: IpAddr,
    /// Codecs it accepts, in its order; telephone-event too.
    pub codecs: &'a [PayloadCodec],
    /// SRTP: payloads cannot be looked into.
    pub is_encrypted: bool,
}

/// Where finished calls and their media go. Every method but [`call`](Self::call) may be left out.
pub trait Sink {
    /// A call is over or was given up. The sink fills `record.media` and `record.counts.lost_by_probe` from its streams by `record.key`,
    /// then passes it on. Called once for a key; the record lives for the call of this function only.
    fn call(&mut self, record: &mut CallRecord<'_>);

    /// Audio of a call is to arrive at an address, from now on. Repeated only when something changed.
    fn media_announced(&mut self, _announced: &MediaAnnounced<'_>) {}

    /// The call was hung up: what still arrives is the tail. [`call`](Self::call) follows after the linger time.
    fn media_ended(&mut self, _call: CallKey, _time_us: i64) {}

    /// The call makes no record (it gave way before anybody had answered, or a scanner made it): what was bound to it can go.
    fn dropped(&mut self, _call: CallKey) {}

    /// A message belongs to this call (the ladder keeps it, masked; see `voice_wire::sip::mask`).
    fn message(&mut self, _call: CallKey, _arrival: &Arrival, _message: &[u8]) {}
}
