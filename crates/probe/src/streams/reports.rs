//! What RTCP says of a stream: kept beside the streams, since it travels on other ports and may come on another thread.

use crate::decode::{Address, Flow};
use ringfence_voice_wire::rtcp::{self, Report};
use std::collections::HashMap;

/// The far end's view of a stream.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct FarEnd {
    /// Worst loss that a report gave, of 256.
    pub fraction_lost: Option<u8>,
    /// Tap to receiver and back, microseconds: the last one measured.
    pub round_trip_us: Option<u32>,
    /// Listening MOS of an extended report, tenths.
    pub mos_tenths: Option<u8>,
    sender_report: Option<(u32, i64)>,
    last_ns: i64,
}

/// Sources remembered at most; beyond it, those that were silent longest go.
const MAX_SOURCES: usize = 100_000;
/// A source without RTCP for so long is gone.
const AGE_NS: i64 = 600_000_000_000;
/// A round trip longer than this is a clock that was set.
const MAX_ROUND_TRIP_US: i64 = 30_000_000;

/// Reports by SSRC and the address that sends the stream.
#[derive(Debug, Default)]
pub struct Reports {
    sources: HashMap<(u32, Address), FarEnd>,
    refused: u64,
}

impl Reports {
    /// Takes an RTCP datagram; `false` when it was malformed.
    pub fn take(&mut self, flow: &Flow, datagram: &[u8], time_ns: i64) -> bool {
        rtcp::parse(datagram, |report| match report {
            Report::Sender {
                ssrc, ntp_middle, ..
            } => {
                if let Some(far) = self.source(ssrc, flow.source, time_ns) {
                    far.sender_report = Some((ntp_middle, time_ns));
                }
            }
            Report::Block(block) => {
                if let Some(far) = self.source(block.ssrc, flow.destination, time_ns) {
                    far.block(&block, time_ns);
                }
            }
            Report::Voip(metrics) => {
                if let Some(far) = self.source(metrics.ssrc, flow.destination, time_ns) {
                    far.mos_tenths = metrics.mos_listening_tenths.or(far.mos_tenths);
                }
            }
            Report::Bye { .. } => {}
        })
    }

    /// What is known of a stream.
    #[must_use]
    pub fn of(&self, ssrc: u32, sender: Address) -> Option<FarEnd> {
        self.sources.get(&(ssrc, sender)).copied()
    }

    /// Forgets a stream.
    pub fn forget(&mut self, ssrc: u32, sender: Address) {
        self.sources.remove(&(ssrc, sender));
    }

    /// Forgets whom nobody has heard of for long.
    pub fn expire(&mut self, now_ns: i64) {
        self.sources
            .retain(|_, far| now_ns.saturating_sub(far.last_ns) < AGE_NS);
    }

    fn source(&mut self, ssrc: u32, sender: Address, time_ns: i64) -> Option<&mut FarEnd> {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&(ssrc, sender)) {
            self.refused += 1;
            return None;
        }
        let far = self.sources.entry((ssrc, sender)).or_default();
        far.last_ns = time_ns;
        Some(far)
    }
}

impl FarEnd {
    fn block(&mut self, block: &rtcp::Block, time_ns: i64) {
        self.fraction_lost = self.fraction_lost.max(Some(block.fraction_lost));
        if let Some((ntp_middle, sent_ns)) = self.sender_report
            && ntp_middle == block.last_sender_report
            && ntp_middle != 0
        {
            let held_us = i64::from(block.delay) * 1_000_000 / 65_536;
            let round_trip = (time_ns - sent_ns) / 1000 - held_us;
            if (0..MAX_ROUND_TRIP_US).contains(&round_trip) {
                self.round_trip_us = Some(round_trip as u32);
            }
        }
    }
}
