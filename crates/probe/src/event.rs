//! A call record becomes the event that the journal keeps (docs/contracts.md 3, `sip.1`).
//!
//! Stands behind [`crate::record`], before the journal. What people search and count by has a field of its own; the rest
//! goes into `details`, a JSON object that leaves out whatever is empty.
use core::net::IpAddr;
use core::str::FromStr;

use ringfence_events::{DETAILS_MAX, MediaSide, NEVER, SipEvent};
use serde::Serialize;

use crate::record::{
    Attestation, CallFlags, CallRecord, CallTimes, CodecName, CorrelatedBy, DestinationOrigin,
    MediaSummary, SourceOrigin, Text,
};

/// Flags of an event beside those of [`CallFlags`], which stay below 1 << 24.
const ANONYMOUS: u32 = 1 << 24;
const ONE_WAY: u32 = 1 << 25;
const SILENT: u32 = 1 << 26;

/// The networks of the trunk: carriers' SBCs, or the outside of the own one.
#[derive(Debug, Clone, Default)]
pub struct TrunkNetworks(Vec<(IpAddr, u8)>);

impl TrunkNetworks {
    /// `192.0.2.0/24`, `2001:db8::/32` or single addresses; the error names the one that is none.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let networks = texts.into_iter().map(|text| {
            network(text).ok_or_else(|| {
                format!("{text:?} is not an address or network such as 192.0.2.0/24")
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// Which end of a call is the trunk: 0 neither or not told, 1 the source, 2 the destination, 3 both.
    pub fn side(&self, source: IpAddr, destination: IpAddr) -> u8 {
        u8::from(self.has(source)) | u8::from(self.has(destination)) << 1
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(network, length)| {
            match (network.to_canonical(), address.to_canonical()) {
                (IpAddr::V4(network), IpAddr::V4(address)) => same_prefix(
                    network.to_bits().into(),
                    address.to_bits().into(),
                    32,
                    length,
                ),
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    same_prefix(network.to_bits(), address.to_bits(), 128, length)
                }
                _ => false,
            }
        })
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address = IpAddr::from_str(address).ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(whole), |length| length.parse().ok())?;
    (length <= whole).then_some((address, length))
}

fn same_prefix(one: u128, other: u128, bits: u32, length: u8) -> bool {
    let rest = bits.saturating_sub(u32::from(length));
    // A shift by all 128 bits would be none.
    one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
}

/// The event of a record; `details` is room that its JSON is written to.
pub fn event_of<'a>(
    record: &'a CallRecord<'a>,
    trunk: &TrunkNetworks,
    details: &'a mut Vec<u8>,
) -> SipEvent<'a> {
    details.clear();
    // Writing into a Vec cannot fail; what is too long is left out whole, as half a JSON object is none.
    if serde_json::to_writer(&mut *details, &Details::of(record)).is_err()
        || details.len() > DETAILS_MAX
    {
        details.clear();
    }
    let times = &record.times;
    let [forward, backward] = &record.media;
    SipEvent {
        time_us: times.start_us,
        correlation: record.correlation_id,
        source_address: record.source_address,
        destination_address: record.destination_address,
        transport: record.transport as u8,
        side: trunk.side(record.source_address.ip(), record.destination_address.ip()),
        result: record.result as u8,
        released_by: record.released_by.map_or(0, |side| side as u8),
        attestation: record.attestation.map_or(0, |found| level(&found)),
        status: record.status,
        cause_q850: record.cause_q850.map_or(0, u16::from),
        flags: flags(record),
        probe_lost: record.counts.lost_by_probe,
        pdd_ms: milliseconds(times.post_dial_delay_us()),
        answer_ms: milliseconds(times.setup_us()),
        duration_ms: milliseconds(duration_us(times)),
        total_ms: milliseconds(Some(times.last_us - times.start_us)).max(0),
        forward: side(forward),
        backward: side(backward),
        call_id: record.call_id.0,
        source_raw: source(record),
        destination_raw: record.parties.destination.0,
        codec: codec(record).as_bytes(),
        user_agent: record.source_agent.0,
        details,
    }
}

/// From the answer to the BYE, or to the last message when no end was seen.
fn duration_us(times: &CallTimes) -> Option<i64> {
    let answer = times.answer_us?;
    Some(times.end_us.unwrap_or(times.last_us).max(answer) - answer)
}

/// The number that counts; without one, that the caller hides.
pub(crate) fn source<'a>(record: &CallRecord<'a>) -> &'a [u8] {
    let source = record.parties.source.0;
    if source.is_empty() && record.parties.anonymous {
        b"anonymous"
    } else {
        source
    }
}

/// What the answer chose; without an answer seen, what was heard.
fn codec<'a>(record: &'a CallRecord<'_>) -> &'a str {
    let [forward, backward] = &record.media;
    [&record.codec, &forward.codec, &backward.codec]
        .into_iter()
        .map(CodecName::as_str)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

fn flags(record: &CallRecord<'_>) -> u32 {
    let [forward, backward] = &record.media;
    let mut flags = record.flags.0;
    for (holds, flag) in [
        (record.parties.anonymous, ANONYMOUS),
        (forward.is_one_way || backward.is_one_way, ONE_WAY),
        (forward.is_silent || backward.is_silent, SILENT),
        (
            record.counts.lost_by_probe > 0,
            CallFlags::PROBE_LOST_PACKETS.0,
        ),
    ] {
        if holds {
            flags |= flag;
        }
    }
    flags
}

fn level(attestation: &Attestation<'_>) -> u8 {
    match attestation.level {
        b'A' => 1,
        b'B' => 2,
        b'C' => 3,
        _ => 0,
    }
}

fn side(media: &MediaSummary) -> MediaSide {
    MediaSide {
        packets: media.packets,
        lost: media.lost,
        jitter_us: media.jitter_mean_us,
        // At most 4.5; a conversion from float to integer saturates.
        mos_100: (media.mos * 100.0).round() as u16,
    }
}

/// Rounded; [`NEVER`] for what did not happen.
fn milliseconds(us: Option<i64>) -> i32 {
    us.map_or(NEVER, |us| {
        i32::try_from(us.max(0).saturating_add(500) / 1000).unwrap_or(i32::MAX)
    })
}

/// What has no column of its own.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "is_one")]
    hops: u8,
    #[serde(skip_serializing_if = "is_zero")]
    vlan: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlated_by: Option<CorrelatedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_origin: Option<SourceOrigin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_origin: Option<DestinationOrigin>,
    #[serde(flatten)]
    texts: Texts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation: Option<Attestation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause_sip: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdd_ms: Option<i32>,
    counts: Counts,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    media: Vec<Stream<'a>>,
}

#[derive(Serialize)]
struct Texts<'a> {
    #[serde(skip_serializing_if = "Text::is_empty")]
    source_name: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    from_user: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    from_host: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    to_user: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    request_host: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    asserted: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    preferred: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    remote_party: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    diversion: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    history: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    charge: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    called_party: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    privacy: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    verstat: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    reason: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    session_id: Text<'a>,
    #[serde(skip_serializing_if = "Text::is_empty")]
    destination_agent: Text<'a>,
}

/// Counts that say something when they are not 0.
#[derive(Serialize)]
struct Counts {
    messages: u32,
    #[serde(skip_serializing_if = "is_zero")]
    retransmissions: u16,
    #[serde(skip_serializing_if = "is_zero")]
    reinvites: u16,
    #[serde(skip_serializing_if = "is_zero")]
    challenges: u16,
    #[serde(skip_serializing_if = "is_zero")]
    forks: u16,
    #[serde(skip_serializing_if = "is_zero")]
    redirects: u16,
    #[serde(skip_serializing_if = "is_zero")]
    transfers: u16,
    #[serde(skip_serializing_if = "is_zero")]
    holds: u16,
}

/// A direction's audio beyond what has columns.
#[derive(Serialize)]
struct Stream<'a> {
    direction: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    codec: &'a str,
    duplicates: u32,
    reordered: u32,
    bursts: u32,
    longest_burst: u32,
    jitter_max_us: u32,
    longest_gap_us: u32,
    #[serde(skip_serializing_if = "is_zero")]
    ssrc_changes: u16,
    #[serde(skip_serializing_if = "is_zero")]
    dtmf_events: u16,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    is_silent: bool,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    is_one_way: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtcp_round_trip_us: Option<u32>,
}

impl<'a> Details<'a> {
    fn of(record: &'a CallRecord<'a>) -> Self {
        let parties = &record.parties;
        let counts = &record.counts;
        let heard = ["forward", "backward"].into_iter().zip(&record.media);
        Self {
            hops: record.hops,
            vlan: record.vlan,
            correlated_by: Some(record.correlated_by).filter(|by| *by != CorrelatedBy::None),
            source_origin: Some(parties.source_origin).filter(|from| *from != SourceOrigin::None),
            destination_origin: Some(parties.destination_origin)
                .filter(|from| *from != DestinationOrigin::None),
            texts: Texts {
                source_name: parties.source_name,
                from_user: parties.from_user,
                from_host: parties.from_host,
                to_user: parties.to_user,
                request_host: parties.request_host,
                asserted: parties.asserted,
                preferred: parties.preferred,
                remote_party: parties.remote_party,
                diversion: parties.diversion,
                history: parties.history,
                charge: parties.charge,
                called_party: parties.called_party,
                privacy: parties.privacy,
                verstat: record.verstat,
                reason: record.reason,
                session_id: record.session_id,
                destination_agent: record.destination_agent,
            },
            attestation: record.attestation,
            cause_sip: record.cause_sip,
            sdd_ms: record.times.sdd_us().map(|us| milliseconds(Some(us))),
            counts: Counts {
                messages: counts.messages,
                retransmissions: counts.retransmissions,
                reinvites: counts.reinvites,
                challenges: counts.challenges,
                forks: counts.forks,
                redirects: counts.redirects,
                transfers: counts.transfers,
                holds: counts.holds,
            },
            media: heard
                .filter(|(_, media)| media.packets > 0)
                .map(|(direction, media)| stream(direction, media))
                .collect(),
        }
    }
}

fn stream<'a>(direction: &'static str, media: &'a MediaSummary) -> Stream<'a> {
    Stream {
        direction,
        codec: media.codec.as_str(),
        duplicates: media.duplicates,
        reordered: media.reordered,
        bursts: media.bursts,
        longest_burst: media.longest_burst,
        jitter_max_us: media.jitter_max_us,
        longest_gap_us: media.longest_gap_us,
        ssrc_changes: media.ssrc_changes,
        dtmf_events: media.dtmf_events,
        is_silent: media.is_silent,
        is_one_way: media.is_one_way,
        rtcp_round_trip_us: media.rtcp_round_trip_us,
    }
}

fn is_one(value: &u8) -> bool {
    *value == 1
}

fn is_zero(value: &u16) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(networks: &[&str], source: &str, destination: &str) -> u8 {
        let trunk = TrunkNetworks::parse(networks.iter().copied()).unwrap();
        trunk.side(source.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn the_trunk_is_told_by_network_of_either_family() {
        let networks = ["192.0.2.0/25", "2001:db8::/32", "198.51.100.7"];
        assert_eq!(side(&networks, "192.0.2.127", "10.0.0.1"), 1);
        assert_eq!(side(&networks, "192.0.2.128", "198.51.100.7"), 2);
        assert_eq!(side(&networks, "2001:db8:ffff::1", "::ffff:192.0.2.1"), 3);
        assert_eq!(side(&networks, "2001:db9::1", "10.0.0.1"), 0);
        assert_eq!(side(&["0.0.0.0/0"], "10.0.0.1", "::1"), 1);
        assert_eq!(side(&["::/0"], "10.0.0.1", "::1"), 2);
        assert_eq!(side(&[], "10.0.0.1", "10.0.0.2"), 0);
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "192.0.2.0/33",
            "::/129",
            "192.0.2",
            "example.org",
            "192.0.2.0/-1",
        ] {
            let error = TrunkNetworks::parse([text]).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn times_are_rounded_and_bounded() {
        assert_eq!(milliseconds(None), NEVER);
        assert_eq!(milliseconds(Some(1_499)), 1);
        assert_eq!(milliseconds(Some(1_500)), 2);
        assert_eq!(milliseconds(Some(-5)), 0);
        assert_eq!(milliseconds(Some(i64::MAX - 500)), i32::MAX);
        assert_eq!(milliseconds(Some(i64::MAX)), i32::MAX);
    }
}
