//! A call as one line of JSON: the record, what is computed from it, its numbers under a dial plan, and its messages.
//!
//! For one-off use (`ringfence probe read`, a capture that was uploaded): what goes into the database is an event
//! ([`crate::event`]).
use ringfence_numbers::{DialPlan, Direction, Party};
use serde::Serialize;

use crate::event::TrunkNetworks;
use crate::ladder::{Ladder, LadderMessage};
use crate::record::CallRecord;

/// One line.
#[derive(Debug, Serialize)]
pub struct CallLine<'a> {
    #[serde(flatten)]
    record: &'a CallRecord<'a>,
    post_dial_delay_us: Option<i64>,
    setup_us: Option<i64>,
    duration_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a [LadderMessage]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_left_out: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Numbers {
    /// E.164 digits, 0 for none.
    source: u64,
    source_class: &'static str,
    destination: u64,
    destination_class: &'static str,
    direction: &'static str,
}

impl<'a> CallLine<'a> {
    /// The line of a record.
    pub fn of(
        record: &'a CallRecord<'a>,
        plan: Option<&DialPlan>,
        trunk: &TrunkNetworks,
        ladder: Option<&'a Ladder>,
    ) -> Self {
        Self {
            post_dial_delay_us: record.times.post_dial_delay_us(),
            setup_us: record.times.setup_us(),
            duration_us: record.times.sdt_us(),
            numbers: plan.map(|plan| numbers(record, plan, trunk)),
            messages: ladder.map(|ladder| &ladder.messages[..]),
            messages_left_out: ladder
                .map(|ladder| ladder.left_out)
                .filter(|count| *count > 0),
            record,
        }
    }
}

fn numbers(record: &CallRecord<'_>, plan: &DialPlan, trunk: &TrunkNetworks) -> Numbers {
    let source = plan.normalise(crate::event::source(record));
    let destination = plan.normalise(record.parties.destination.0);
    let side = trunk.side(record.source_address.ip(), record.destination_address.ip());
    Numbers {
        direction: direction(plan, &source, &destination, side).word(),
        source: source.digits(),
        source_class: source.class.word(),
        destination: destination.digits(),
        destination_class: destination.class.word(),
    }
}

/// Trunk side first, then own ranges.
pub fn direction(plan: &DialPlan, source: &Party, destination: &Party, side: u8) -> Direction {
    match side {
        1 => Direction::Inbound,
        2 => Direction::Outbound,
        _ => plan.direction(source, destination),
    }
}
