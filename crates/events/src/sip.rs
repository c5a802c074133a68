//! One SIP call as the probe saw it: one row of dataset `SIP`, and its bytes in the journal.
//!
//! The probe tells what was on the wire: addresses, times, results, media, and the two texts in which the source and the
//! destination stood. What these numbers *are* (E.164, class, direction) is found at ingest by the site's dial plan, so
//! that a plan mended today is used for every call that arrives today, whichever probe saw it.
//!
//! Little-endian, no padding. Format 2 is a SIP call, version 1; fixed by `tests/forms/sip.rs` (version test):
//! ```text
//! format (2) │ transport │ side │ result │ released by │ attestation │ codec's octets     7 octets
//! status u16 │ cause_q850 u16 │ flags u32 │ probe lost u32                                 12
//! time i64 │ correlation u64 │ PDD ms i32 │ answer ms i32 │ duration ms i32 │ total ms i32   32
//! forward: packets u32, lost u32, jitter µs u32, MOS × 100 u16                        14
//! backward: likewise                                                                  14
//! source: family 4 or 6, address in network order, port u16;  destination: likewise
//! octets of: call id u16, source u16, destination u16, user agent u16, details u16
//! then these texts in this order, the codec last
//! ```
//! Every field has one encoding, so bytes → event → bytes is the identity.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{DecodeError, JournalEvent};

/// First byte of a SIP call, version 1.
pub const FORMAT_SIP_1: u8 = 2;
/// Longest call id, source, destination and user agent, octets.
pub const SIP_TEXT_MAX: usize = 255;
/// Longest name of a codec, octets.
pub const CODEC_MAX: usize = 32;
/// Longest details, octets. Longer ones are left out whole: half a JSON object is none.
pub const DETAILS_MAX: usize = 16 << 10;
/// A time that did not come: never rang, never answered.
pub const NEVER: i32 = -1;

const FAMILY_4: u8 = 4;
const FAMILY_6: u8 = 6;

/// What arrived of one direction's audio. All zero: none was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MediaSide {
    /// RTP packets that arrived, duplicates not counted.
    pub packets: u32,
    /// Packets that the network lost.
    pub lost: u32,
    /// Mean interarrival jitter (RFC 3550, 6.4.1), microseconds.
    pub jitter_us: u32,
    /// Mean opinion score by the E-model × 100, 100 to 450; 0 when it cannot be told.
    pub mos_100: u16,
}

/// One SIP call.
///
/// Texts are the peers' and may be hostile; they are cut to [`SIP_TEXT_MAX`] octets when they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipEvent<'a> {
    /// First message of the call, microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    /// The same for all legs of one call; 0 when it is not known.
    pub correlation: u64,
    /// Who sent the first INVITE.
    pub source_address: SocketAddr,
    /// Where it went.
    pub destination_address: SocketAddr,
    /// `ringfence.vocabulary.Transport`: 0 UDP, 1 TCP, 2 TLS, 3 WebSocket, 4 the same over TLS, 5 SCTP.
    pub transport: u8,
    /// Trunk side: 0 unknown, 1 came from the trunk, 2 went to the trunk, 3 both.
    pub side: u8,
    /// `ringfence.vocabulary.CallResult`.
    pub result: u8,
    /// Who ended it: 0 unknown or nobody, 1 source, 2 destination.
    pub released_by: u8,
    /// STIR/SHAKEN: 0 none, 1 A, 2 B, 3 C.
    pub attestation: u8,
    /// Final SIP status of the INVITE that counts, 0 for none.
    pub status: u16,
    /// Q.850 cause of a Reason header, 0 for none.
    pub cause_q850: u16,
    /// Bits: `ringfence.vocabulary.CallFlag`.
    pub flags: u32,
    /// Packets that the probe itself lost while the call went on: doubt what is said of media.
    pub probe_lost: u32,
    /// Post-dial delay: from the INVITE to the first ringing or answer, milliseconds; [`NEVER`].
    pub pdd_ms: i32,
    /// From the INVITE to the answer, milliseconds; [`NEVER`].
    pub answer_ms: i32,
    /// From the answer to the end, milliseconds; [`NEVER`] when it was not answered.
    pub duration_ms: i32,
    /// From the first message to the end, milliseconds.
    pub total_ms: i32,
    /// Audio from the source to the destination.
    pub forward: MediaSide,
    /// Audio from the destination to the source.
    pub backward: MediaSide,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The source as it stood: user part of a URI, or digits.
    pub source_raw: &'a [u8],
    /// The destination as it stood: user part of the first INVITE's Request-URI.
    pub destination_raw: &'a [u8],
    /// Codec of the answer, as SDP names it.
    pub codec: &'a [u8],
    /// User-Agent of the caller.
    pub user_agent: &'a [u8],
    /// A JSON object of what else was seen (identities, KPIs, streams); empty for nothing.
    pub details: &'a [u8],
}

impl JournalEvent for SipEvent<'_> {
    fn time_us(&self) -> i64 {
        self.time_us
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let codec = cut(self.codec, CODEC_MAX);
        out.extend_from_slice(&[
            FORMAT_SIP_1,
            self.transport,
            self.side,
            self.result,
            self.released_by,
            self.attestation,
            codec.len() as u8,
        ]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.cause_q850.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.probe_lost.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(&self.correlation.to_le_bytes());
        for milliseconds in [self.pdd_ms, self.answer_ms, self.duration_ms, self.total_ms] {
            out.extend_from_slice(&milliseconds.to_le_bytes());
        }
        for side in [self.forward, self.backward] {
            for count in [side.packets, side.lost, side.jitter_us] {
                out.extend_from_slice(&count.to_le_bytes());
            }
            out.extend_from_slice(&side.mos_100.to_le_bytes());
        }
        write_address(out, self.source_address);
        write_address(out, self.destination_address);
        let details = if self.details.len() > DETAILS_MAX {
            &[]
        } else {
            self.details
        };
        let texts = [
            cut(self.call_id, SIP_TEXT_MAX),
            cut(self.source_raw, SIP_TEXT_MAX),
            cut(self.destination_raw, SIP_TEXT_MAX),
            cut(self.user_agent, SIP_TEXT_MAX),
            details,
        ];
        for text in texts {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        }
        for text in texts {
            out.extend_from_slice(text);
        }
        out.extend_from_slice(codec);
    }
}

impl<'a> SipEvent<'a> {
    /// Read exactly one call from `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest(bytes);
        let event = read(&mut rest).ok_or(DecodeError::Length {
            expected: bytes.len() + 1,
            actual: bytes.len(),
        })??;
        if !rest.0.is_empty() {
            return Err(DecodeError::Length {
                expected: bytes.len() - rest.0.len(),
                actual: bytes.len(),
            });
        }
        Ok(event)
    }
}

/// `None`: the bytes end too soon.
fn read<'a>(rest: &mut Rest<'a>) -> Option<Result<SipEvent<'a>, DecodeError>> {
    let [format] = rest.take()?;
    if format != FORMAT_SIP_1 {
        return Some(Err(DecodeError::Format(format)));
    }
    let [
        transport,
        side,
        result,
        released_by,
        attestation,
        codec_octets,
    ] = rest.take()?;
    let status = u16::from_le_bytes(rest.take()?);
    let cause_q850 = u16::from_le_bytes(rest.take()?);
    let flags = u32::from_le_bytes(rest.take()?);
    let probe_lost = u32::from_le_bytes(rest.take()?);
    let time_us = i64::from_le_bytes(rest.take()?);
    let correlation = u64::from_le_bytes(rest.take()?);
    let mut times = [0i32; 4];
    for time in &mut times {
        *time = i32::from_le_bytes(rest.take()?);
    }
    let [pdd_ms, answer_ms, duration_ms, total_ms] = times;
    let forward = read_side(rest)?;
    let backward = read_side(rest)?;
    let source_address = match read_address(rest)? {
        Ok(address) => address,
        Err(error) => return Some(Err(error)),
    };
    let destination_address = match read_address(rest)? {
        Ok(address) => address,
        Err(error) => return Some(Err(error)),
    };
    let mut octets = [0usize; 5];
    for count in &mut octets {
        *count = usize::from(u16::from_le_bytes(rest.take()?));
    }
    let codec_octets = usize::from(codec_octets);
    if octets[..4].iter().any(|&count| count > SIP_TEXT_MAX)
        || octets[4] > DETAILS_MAX
        || codec_octets > CODEC_MAX
    {
        return Some(Err(DecodeError::Limit));
    }
    Some(Ok(SipEvent {
        time_us,
        correlation,
        source_address,
        destination_address,
        transport,
        side,
        result,
        released_by,
        attestation,
        status,
        cause_q850,
        flags,
        probe_lost,
        pdd_ms,
        answer_ms,
        duration_ms,
        total_ms,
        forward,
        backward,
        call_id: rest.text(octets[0])?,
        source_raw: rest.text(octets[1])?,
        destination_raw: rest.text(octets[2])?,
        user_agent: rest.text(octets[3])?,
        details: rest.text(octets[4])?,
        codec: rest.text(codec_octets)?,
    }))
}

fn read_side(rest: &mut Rest<'_>) -> Option<MediaSide> {
    Some(MediaSide {
        packets: u32::from_le_bytes(rest.take()?),
        lost: u32::from_le_bytes(rest.take()?),
        jitter_us: u32::from_le_bytes(rest.take()?),
        mos_100: u16::from_le_bytes(rest.take()?),
    })
}

fn read_address(rest: &mut Rest<'_>) -> Option<Result<SocketAddr, DecodeError>> {
    let [family] = rest.take()?;
    let ip: IpAddr = match family {
        FAMILY_4 => Ipv4Addr::from(rest.take::<4>()?).into(),
        FAMILY_6 => Ipv6Addr::from(rest.take::<16>()?).into(),
        other => return Some(Err(DecodeError::Family(other))),
    };
    Some(Ok(SocketAddr::new(ip, u16::from_le_bytes(rest.take()?))))
}

fn write_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(FAMILY_4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(FAMILY_6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_le_bytes());
}

fn cut(text: &[u8], octets: usize) -> &[u8] {
    &text[..text.len().min(octets)]
}

/// The bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn text(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(octets)?;
        self.0 = tail;
        Some(head)
    }
}
