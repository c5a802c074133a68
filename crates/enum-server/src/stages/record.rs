//! Verdict → counters and event.
use std::net::SocketAddr;

use ringfence_events::{EnumEvent, RAW_MAX};
use ringfence_policy::Action;

use super::Transport;
use super::answer::Answered;
use super::decide::Verdict;
use super::identify::{NumberAsked, Subject};
use crate::counters::{Counter, Counters};
use crate::sink::EventSink;
use crate::wire::header::Rcode;
use crate::wire::name;

/// Where and when a query came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) time_us: i64,
    pub(crate) latency_ns: u32,
}

pub(crate) fn count(
    counters: &Counters,
    answered: &Answered,
    subject: &Subject<'_>,
    verdict: &Verdict,
) {
    counters.add(match answered.rcode {
        Rcode::NoError => Counter::Rcode0,
        Rcode::FormErr => Counter::Rcode1,
        Rcode::NxDomain => Counter::Rcode3,
        Rcode::NotImp => Counter::Rcode4,
        Rcode::Refused => Counter::Rcode5,
        Rcode::BadVers => Counter::Rcode16,
    });
    if answered.is_truncated {
        counters.add(Counter::Truncated);
    }
    match subject {
        Subject::Health(_) => counters.add(Counter::HealthChecks),
        Subject::Number(_) => counters.add(match verdict.decision.action {
            Action::None => Counter::None,
            Action::Allow => Counter::Allow,
            Action::Terminate => Counter::Terminate,
            Action::Redirect => Counter::Redirect,
        }),
        _ => {}
    }
}

pub(crate) fn record<S: EventSink>(
    sink: &mut S,
    origin: Origin,
    asked: &NumberAsked<'_>,
    verdict: &Verdict,
    rcode: Rcode,
) {
    let source_raw = asked.source.as_bytes();
    if source_raw.len() > RAW_MAX {
        let mut short = [0; RAW_MAX];
        let source_raw = ringfence_numbers::shortened(source_raw, &mut short);
        record_with(sink, origin, asked, verdict, rcode, source_raw);
    } else {
        record_with(sink, origin, asked, verdict, rcode, source_raw);
    }
}

fn record_with<S: EventSink>(
    sink: &mut S,
    origin: Origin,
    asked: &NumberAsked<'_>,
    verdict: &Verdict,
    rcode: Rcode,
    source_raw: &[u8],
) {
    let decision = &verdict.decision;
    let mut dotted = [0; RAW_MAX];
    let destination_raw = if asked.is_no_number() {
        name::write_dotted(asked.name, &mut dotted)
    } else {
        asked.destination_digits()
    };
    sink.record(&EnumEvent {
        time_us: origin.time_us,
        peer: origin.peer,
        transport: origin.transport as u8,
        source: verdict.source.digits(),
        destination: verdict.destination.digits(),
        target: decision.target.map_or(0, |target| target.get()),
        source_class: verdict.source.class as u8,
        destination_class: verdict.destination.class as u8,
        source_origin: asked.origin as u8,
        direction: verdict.direction as u8,
        action: decision.action as u8,
        reason: decision.reason as u8,
        rcode: rcode as u8,
        rule_id: decision.rule_id,
        policy_version: verdict.policy_version,
        latency_ns: origin.latency_ns,
        source_raw,
        destination_raw,
        monitored: decision.monitored.as_slice(),
    });
}
