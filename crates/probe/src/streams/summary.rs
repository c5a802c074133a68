//! A call's media at its end: the streams of each direction, of all capture threads, as one summary.

use super::reports::FarEnd;
use super::sequence::Sums;
use super::stream::Stream;
use super::{CallMedia, Streams, quality};
use crate::record::{CallKey, CodecName, MediaSummary, Side};

/// A stream may begin a little before its announcement was seen, or go on a little after the hang-up.
const SLACK_NS: i64 = 2_000_000_000;

/// What was found of a call's media.
#[derive(Debug, Default)]
pub struct Gathered {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    sender: Side,
    ssrc: u32,
    source: crate::decode::Address,
    summary: MediaSummary,
    jitter_sum: f64,
    jitter_count: u32,
    expected: u32,
}

impl Streams {
    /// Takes the streams of a call that is over out of the table.
    pub fn gather(&mut self, call: CallKey, gathered: &mut Gathered) {
        let Some(media) = self.calls.remove(&call) else {
            return;
        };
        let mut found: Vec<(u32, Side)> = Vec::new();
        let ended_ns = media.ended_ns.unwrap_or(i64::MAX).saturating_add(SLACK_NS);
        // What arrives where a side listens was sent by the other one; behind NAT only the sender's address is as announced.
        let has_streams = !self.index.is_empty();
        for by_receiver in [true, false].into_iter().filter(|_| has_streams) {
            for announced in &media.announced {
                let map = if by_receiver {
                    &self.by_receiver
                } else {
                    &self.by_sender
                };
                let sender = if by_receiver {
                    announced.receiver.other()
                } else {
                    announced.receiver
                };
                for place in map.get(&announced.endpoint).into_iter().flatten() {
                    let stream = &self.slab[*place as usize];
                    let is_in_time = stream.last_ns >= announced.since_ns - SLACK_NS
                        && stream.first_ns <= ended_ns;
                    if is_in_time && !found.iter().any(|(known, _)| known == place) {
                        found.push((*place, sender));
                    }
                }
            }
        }
        self.stop_listening(call, &media);
        for (place, sender) in found {
            let stream = &self.slab[place as usize];
            gathered.parts.push(Part::of(
                stream,
                sender,
                self.reports.of(stream.ssrc, stream.flow.source),
            ));
            if !self.is_listened_to(&self.slab[place as usize]) {
                self.remove(place);
            }
        }
    }

    /// Lets go of a call that makes no record.
    pub fn release(&mut self, call: CallKey) {
        if let Some(media) = self.calls.remove(&call) {
            self.stop_listening(call, &media);
        }
    }

    fn stop_listening(&mut self, call: CallKey, media: &CallMedia) {
        for announced in &media.announced {
            if let Some(listeners) = self.listeners.get_mut(&announced.endpoint) {
                listeners.retain(|listener| *listener != call);
                if listeners.is_empty() {
                    self.listeners.remove(&announced.endpoint);
                }
            }
        }
    }

    /// What another thread's table heard by RTCP of the streams that were gathered.
    pub fn add_reports(&self, gathered: &mut Gathered) {
        for part in &mut gathered.parts {
            if let Some(far) = self.reports.of(part.ssrc, part.source) {
                set_far_end(&mut part.summary, far);
            }
        }
    }
}

impl Gathered {
    /// One summary for what each side sent.
    #[must_use]
    pub fn summaries(mut self) -> [MediaSummary; 2] {
        self.parts.sort_by_key(|part| part.summary.first_us);
        let mut media = [Side::Source, Side::Destination].map(|side| self.side(side));
        let has_packets = media.map(|summary| summary.packets > 0);
        for side in 0..2 {
            media[side].is_one_way = has_packets[side] && !has_packets[1 - side];
        }
        // Each direction's reports measure from the tap to one end; both together are the whole way.
        let trips = media.map(|summary| summary.rtcp_round_trip_us);
        if let [Some(one), Some(other)] = trips {
            for summary in &mut media {
                summary.rtcp_round_trip_us = Some(one + other);
            }
        }
        media
    }

    fn side(&self, side: Side) -> MediaSummary {
        let mut parts = self.parts.iter().filter(|part| part.sender == side);
        let Some(first) = parts.next() else {
            return MediaSummary::default();
        };
        let mut sum = first.summary;
        let (mut jitter_sum, mut jitter_count) = (first.jitter_sum, first.jitter_count);
        let mut expected = first.expected;
        let mut most = first.summary.packets;
        let mut ssrc = first.ssrc;
        for part in parts {
            let next = &part.summary;
            sum.last_us = sum.last_us.max(next.last_us);
            sum.packets += next.packets;
            sum.lost += next.lost;
            sum.duplicates += next.duplicates;
            sum.reordered += next.reordered;
            sum.bursts += next.bursts;
            sum.longest_burst = sum.longest_burst.max(next.longest_burst);
            sum.jitter_max_us = sum.jitter_max_us.max(next.jitter_max_us);
            sum.longest_gap_us = sum.longest_gap_us.max(next.longest_gap_us);
            sum.dtmf_events = sum.dtmf_events.saturating_add(next.dtmf_events);
            sum.lost_by_probe += next.lost_by_probe;
            sum.is_silent &= next.is_silent;
            sum.ssrc_changes += u16::from(part.ssrc != ssrc);
            ssrc = part.ssrc;
            sum.rtcp_fraction_lost = sum.rtcp_fraction_lost.max(next.rtcp_fraction_lost);
            sum.rtcp_round_trip_us = next.rtcp_round_trip_us.or(sum.rtcp_round_trip_us);
            sum.xr_mos_tenths = next.xr_mos_tenths.or(sum.xr_mos_tenths);
            if next.packets > most {
                most = next.packets;
                (sum.codec, sum.payload_type) = (next.codec, next.payload_type);
                (sum.from, sum.to) = (next.from, next.to);
            }
            jitter_sum += part.jitter_sum;
            jitter_count += part.jitter_count;
            expected += part.expected;
        }
        sum.jitter_mean_us = (jitter_sum / f64::from(jitter_count.max(1))).round() as u32;
        sum.mos = quality::mos(sum.codec.as_str(), sum.lost, expected);
        sum
    }
}

impl Part {
    fn of(stream: &Stream, sender: Side, far: Option<FarEnd>) -> Self {
        let (mean, _) = stream.jitter_us();
        let summary = of_stream(stream, far);
        Self {
            sender,
            ssrc: stream.ssrc,
            source: stream.flow.source,
            summary,
            jitter_sum: mean * f64::from(stream.jitter_count()),
            jitter_count: stream.jitter_count(),
            expected: summary.packets + summary.lost,
        }
    }
}

/// A stream by itself.
pub(super) fn of_stream(stream: &Stream, far: Option<FarEnd>) -> MediaSummary {
    let Sums {
        received,
        lost,
        duplicates,
        reordered,
        bursts,
        longest_run,
        lost_by_probe,
        ..
    } = stream.sequence.sums();
    let (jitter_mean, jitter_max) = stream.jitter_us();
    let (payload_type, codec, _): (u8, CodecName, u32) = stream.main_codec();
    let mut summary = MediaSummary {
        from: Some(stream.flow.sender().socket_address()),
        to: Some(stream.flow.receiver().socket_address()),
        first_us: stream.first_ns / 1000,
        last_us: stream.last_ns / 1000,
        packets: received,
        lost,
        duplicates,
        reordered,
        bursts,
        longest_burst: longest_run,
        jitter_mean_us: jitter_mean.round() as u32,
        jitter_max_us: jitter_max.round() as u32,
        longest_gap_us: (stream.longest_gap_ns() / 1000).clamp(0, i64::from(u32::MAX)) as u32,
        mos: quality::mos(codec.as_str(), lost, received + lost),
        codec,
        payload_type,
        ssrc: stream.ssrc,
        dtmf_events: stream.events,
        is_silent: stream.is_silent(),
        lost_by_probe,
        ..MediaSummary::default()
    };
    if let Some(far) = far {
        set_far_end(&mut summary, far);
    }
    summary
}

fn set_far_end(summary: &mut MediaSummary, far: FarEnd) {
    summary.rtcp_fraction_lost = far.fraction_lost.or(summary.rtcp_fraction_lost);
    summary.rtcp_round_trip_us = far.round_trip_us.or(summary.rtcp_round_trip_us);
    summary.xr_mos_tenths = far.mos_tenths.or(summary.xr_mos_tenths);
}
