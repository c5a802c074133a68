//! What is measured in a window: how a call becomes an item, and a window's items become a value.

use serde::Deserialize;

use crate::call::Call;
use crate::counted::Counted;

/// `CallResult::ANSWERED`, and the results of a call that rang or was given up without an answer.
const ANSWERED: u8 = 1;
const BUSY_TO_CANCELLED: std::ops::RangeInclusive<u8> = 2..=4;
/// `Action::TERMINATE`.
const TERMINATE: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Source,
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MeasureSpec {
    /// Calls.
    Count,
    /// Calls a second, over the whole window.
    Rate,
    /// Different numbers of one side.
    Distinct(Side),
    /// Seconds of conversation.
    DurationTotal,
    /// Seconds of conversation of an answered call.
    DurationMean,
    /// Calls that went on at the same moment, of those that ended in the window.
    Concurrency,
    /// Share of answered calls.
    ShareAnswered,
    /// Share of calls that nobody answered: busy, no answer, cancelled.
    ShareUnanswered,
    /// Share of answered calls, of all answered, that lasted no longer than so many milliseconds.
    ShareShort(i32),
    /// Share of queries that were answered with terminate.
    ShareTerminated,
    /// Different numbers of one side that differ by at most so much from another one.
    Adjacent(Side, u64),
    /// Calls, asked for as time passes.
    Silence,
}

/// A call in a window; or several that a crowded window has made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub time_us: i64,
    /// A number, milliseconds, or when the call began.
    pub value: u64,
    /// The source, where it is told.
    pub source: u64,
    pub calls: u32,
    /// Of a share: calls that are meant; of a mean: those that have a duration.
    pub hits: u32,
}

/// Sums over the items of a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub calls: u64,
    pub hits: u64,
    pub value: u64,
    pub counted: Counted,
}

impl MeasureSpec {
    /// None: the call does not count for this measure.
    pub(crate) fn item(self, call: &Call, tells_sources: bool) -> Option<Item> {
        let (value, hits) = match self {
            Self::Count | Self::Rate | Self::Silence => (0, 0),
            Self::Distinct(side) | Self::Adjacent(side, _) => {
                (Some(number(call, side)).filter(|&one| one > 0)?, 0)
            }
            Self::DurationTotal | Self::DurationMean => (u64::try_from(call.duration_ms).ok()?, 1),
            Self::Concurrency => (u64::try_from(call.start_us).ok()?, 0),
            Self::ShareAnswered => (0, u32::from(call.outcome == ANSWERED)),
            Self::ShareUnanswered => (0, u32::from(BUSY_TO_CANCELLED.contains(&call.outcome))),
            Self::ShareShort(most) => {
                if call.outcome != ANSWERED || call.duration_ms < 0 {
                    return None;
                }
                (0, u32::from(call.duration_ms <= most))
            }
            Self::ShareTerminated => (0, u32::from(call.outcome == TERMINATE)),
        };
        let source = if tells_sources { call.source } else { 0 };
        Some(Item {
            time_us: call.time_us,
            value,
            source,
            calls: 1,
            hits,
        })
    }

    /// Whether items hold values that must not be added up.
    pub(crate) const fn keeps_values(self) -> bool {
        matches!(
            self,
            Self::Distinct(_) | Self::Adjacent(..) | Self::Concurrency
        )
    }

    pub(crate) const fn is_counted(self) -> bool {
        matches!(self, Self::Distinct(_) | Self::Adjacent(..))
    }

    pub(crate) const fn gap(self) -> u64 {
        match self {
            Self::Adjacent(_, gap) => gap,
            _ => 0,
        }
    }

    pub(crate) fn add(self, sums: &mut Sums, item: &Item) {
        sums.calls += u64::from(item.calls);
        sums.hits += u64::from(item.hits);
        if self.is_counted() {
            sums.counted.add(item.value, self.gap());
        } else if !self.keeps_values() {
            sums.value += item.value;
        }
    }

    pub(crate) fn remove(self, sums: &mut Sums, item: &Item) {
        sums.calls -= u64::from(item.calls);
        sums.hits -= u64::from(item.hits);
        if self.is_counted() {
            sums.counted.remove(item.value, self.gap());
        } else if !self.keeps_values() {
            sums.value -= item.value;
        }
    }

    /// What a window comes to; `level`: only one of so many powers of two of its numbers is there.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(crate) fn value(self, sums: &Sums, window_us: i64, level: u8) -> f64 {
        let calls = sums.calls as f64;
        match self {
            Self::Count | Self::Silence => calls,
            Self::Rate => calls / (window_us as f64 / 1e6),
            Self::Distinct(_) => (sums.counted.distinct() as f64) * f64::from(1_u32 << level),
            Self::DurationTotal => sums.value as f64 / 1e3,
            Self::DurationMean if sums.hits > 0 => sums.value as f64 / 1e3 / sums.hits as f64,
            Self::ShareAnswered
            | Self::ShareUnanswered
            | Self::ShareShort(_)
            | Self::ShareTerminated
                if sums.calls > 0 =>
            {
                sums.hits as f64 / calls
            }
            Self::Adjacent(..) => f64::from(sums.counted.adjacent()),
            _ => 0.0,
        }
    }
}

const fn number(call: &Call, side: Side) -> u64 {
    match side {
        Side::Source => call.source,
        Side::Destination => call.destination,
    }
}
