//! RTCP (RFC 3550, section 6) and its extended reports (RFC 3611): compound packets one by one.

/// What a packet of a compound says; others are skipped.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Report {
    /// Sender report: when the sender said what it had sent.
    Sender {
        /// Whose stream.
        ssrc: u32,
        /// The middle 32 bits of the NTP time: a report block's `last_sender_report` names it.
        ntp_middle: u32,
        /// Packets sent.
        packets: u32,
    },
    /// A report block of a sender or receiver report: how a stream arrives.
    Block(Block),
    /// VoIP metrics (RFC 3611, section 4.7).
    Voip(VoipMetrics),
    /// BYE: the source has left.
    Bye {
        /// Whose stream.
        ssrc: u32,
    },
}

/// How a stream arrives at the far end (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Who reports.
    pub reporter: u32,
    /// On whose stream.
    pub ssrc: u32,
    /// Lost since the last report, of 256.
    pub fraction_lost: u8,
    /// Lost in all; negative when copies arrive.
    pub lost: i32,
    /// Interarrival jitter, units of the clock.
    pub jitter: u32,
    /// The sender report last received, 0 for none.
    pub last_sender_report: u32,
    /// Since then, 1/65,536 s.
    pub delay: u32,
}

/// VoIP metrics of an extended report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoipMetrics {
    /// On whose stream.
    pub ssrc: u32,
    /// Lost, of 256.
    pub loss_rate: u8,
    /// Discarded by the jitter buffer, of 256.
    pub discard_rate: u8,
    /// Round trip, milliseconds.
    pub round_trip_ms: u16,
    /// R factor, `None` for "unavailable".
    pub r_factor: Option<u8>,
    /// Listening MOS, tenths.
    pub mos_listening_tenths: Option<u8>,
    /// Conversational MOS, tenths.
    pub mos_conversational_tenths: Option<u8>,
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;
const VOIP_METRICS: u8 = 7;

/// Whether a datagram is RTCP and not RTP: its second octet lies where no payload type with marker may (RFC 5761, section 4).
#[inline]
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, _, _, ..] if first >> 6 == 2)
}

/// Calls `visit` with each report of a compound packet; `false` when it contradicts itself, after what was sound.
pub fn parse(mut datagram: &[u8], mut visit: impl FnMut(Report)) -> bool {
    while let Some((head, _)) = datagram.split_first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(packet) = datagram.get(..length) else {
            return false;
        };
        if head[0] >> 6 != 2 {
            return false;
        }
        let count = usize::from(head[0] & 31);
        let is_sound = match head[1] {
            SENDER_REPORT => sender_report(packet, count, &mut visit),
            RECEIVER_REPORT => blocks(packet, 8, count, &mut visit),
            BYE => bye(packet, count, &mut visit),
            EXTENDED_REPORT => extended(packet, &mut visit),
            _ => true,
        };
        if !is_sound {
            return false;
        }
        datagram = &datagram[length..];
    }
    datagram.is_empty()
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet
        .get(at..)?
        .first_chunk::<4>()
        .map(|four| u32::from_be_bytes(*four))
}

fn sender_report(packet: &[u8], count: usize, visit: &mut impl FnMut(Report)) -> bool {
    let (Some(ssrc), Some(seconds), Some(fraction), Some(packets)) = (
        word(packet, 4),
        word(packet, 8),
        word(packet, 12),
        word(packet, 20),
    ) else {
        return false;
    };
    visit(Report::Sender {
        ssrc,
        ntp_middle: seconds << 16 | fraction >> 16,
        packets,
    });
    blocks(packet, 28, count, visit)
}

fn blocks(packet: &[u8], start: usize, count: usize, visit: &mut impl FnMut(Report)) -> bool {
    let Some(reporter) = word(packet, 4) else {
        return false;
    };
    for index in 0..count {
        let at = start + 24 * index;
        let (Some(ssrc), Some(lost), Some(jitter), Some(last), Some(delay)) = (
            word(packet, at),
            word(packet, at + 4),
            word(packet, at + 12),
            word(packet, at + 16),
            word(packet, at + 20),
        ) else {
            return false;
        };
        visit(Report::Block(Block {
            reporter,
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            lost: (lost << 8) as i32 >> 8,
            jitter,
            last_sender_report: last,
            delay,
        }));
    }
    true
}

fn bye(packet: &[u8], count: usize, visit: &mut impl FnMut(Report)) -> bool {
    (0..count).all(|index| {
        word(packet, 4 + 4 * index)
            .map(|ssrc| visit(Report::Bye { ssrc }))
            .is_some()
    })
}

fn extended(packet: &[u8], visit: &mut impl FnMut(Report)) -> bool {
    let Some(mut rest) = packet.get(8..) else {
        return false;
    };
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(block) = rest.get(..length) else {
            return false;
        };
        if head[0] == VOIP_METRICS
            && let Some(metrics) = voip_metrics(block)
        {
            visit(Report::Voip(metrics));
        }
        rest = &rest[length..];
    }
    true
}

fn voip_metrics(block: &[u8]) -> Option<VoipMetrics> {
    let ssrc = word(block, 4)?;
    let body = block.get(8..36)?;
    let known = |value: u8| (value != 127).then_some(value);
    Some(VoipMetrics {
        ssrc,
        loss_rate: body[0],
        discard_rate: body[1],
        round_trip_ms: u16::from_be_bytes([body[8], body[9]]),
        r_factor: known(body[16]),
        mos_listening_tenths: known(body[18]),
        mos_conversational_tenths: known(body[19]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(values: &[u32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect()
    }

    #[test]
    fn reads_a_compound_of_sender_report_description_and_voip_metrics() {
        let mut packet = words(&[0x81c8_000c, 7, 0x1111_2222, 0x3333_4444, 160, 50, 8000]);
        packet.extend(words(&[9, 0x40ff_ffff, 1000, 80, 0x2222_3333, 65_536]));
        packet.extend(words(&[0x81ca_0001, 7]));
        packet.extend(words(&[
            0x80cf_000a,
            7,
            0x0700_0008,
            9,
            0x0503_0000,
            0,
            0x0032_0000,
            0,
            0x5d7f_2a29,
            0,
            0,
        ]));
        let mut seen = Vec::new();
        assert!(parse(&packet, |report| seen.push(report)));
        assert_eq!(
            seen[0],
            Report::Sender {
                ssrc: 7,
                ntp_middle: 0x2222_3333,
                packets: 50
            }
        );
        let Report::Block(block) = seen[1] else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (block.ssrc, block.fraction_lost, block.lost, block.delay),
            (9, 64, -1, 65_536)
        );
        let Report::Voip(metrics) = seen[2] else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (metrics.ssrc, metrics.loss_rate, metrics.round_trip_ms),
            (9, 5, 50)
        );
        assert_eq!(
            (metrics.r_factor, metrics.mos_listening_tenths),
            (Some(0x5d), Some(42))
        );
        assert!(is_rtcp(&packet) && !is_rtcp(&[0x80, 0x88, 0, 0]));
    }

    proptest! {
        #[test]
        fn never_panics(packet in prop::collection::vec(any::<u8>(), 0..300), kind in 198_u8..210, count in any::<u8>()) {
            let mut packet = packet;
            if packet.len() > 3 {
                (packet[0], packet[1], packet[2], packet[3]) = (0x80 | count & 31, kind, 0, count / 4);
            }
            let mut seen = 0;
            parse(&packet, |_| seen += 1);
            prop_assert!(seen <= 400);
        }
    }
}
