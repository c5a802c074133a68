//! A query's way through the server, one file a stage. No sockets here: octets in, octets out.
//!
//! ```text
//! octets ─ parse ─► Query ─ identify ─► Subject ─ decide ─► Verdict ─ answer ─► octets
//!                                                              └───── record ─► event
//! ```
mod answer;
mod decide;
mod identify;
mod parse;
mod record;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use self::parse::Query;
use crate::access::Admission;
use crate::counters::{Counter, Counters};
use crate::installed::{Installed, Service, Wording};
use crate::notices::OptionWatch;
use crate::sink::EventSink;
use crate::wire::cookie::{COOKIE, CookieState};
use crate::wire::query_name;
use crate::wire::response::{self, ANSWER_MAX};

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// One datagram.
    Udp = 0,
    /// A connection.
    Tcp = 1,
}

/// When a batch of queries was received.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Wall clock, microseconds since 1970 UTC.
    pub time_us: i64,
    /// For latencies.
    pub instant: Instant,
}

/// All stages with what one thread owns.
#[derive(Debug)]
pub struct Pipeline<S> {
    service: Arc<Service>,
    counters: Arc<Counters>,
    sink: S,
    options: OptionWatch,
}

/// Before a batch is answered: lets the policy look at the numbers that stand in the usual layout.
pub(crate) fn look_ahead<'a>(packets: impl Iterator<Item = &'a [u8]>, policy: &Installed) {
    const MOST: usize = 64;
    let (mut numbers, mut count) = ([0; MOST], 0);
    for (slot, number) in numbers
        .iter_mut()
        .zip(packets.filter_map(query_name::number_in_front))
    {
        *slot = number;
        count += 1;
    }
    // One alone is looked up as fast without.
    if count > 1 {
        policy.snapshot.touch(&numbers[..count]);
    }
}

impl<S: EventSink> Pipeline<S> {
    /// A pipeline for one thread.
    pub fn new(service: Arc<Service>, counters: Arc<Counters>, sink: S) -> Self {
        let options = OptionWatch::new(Arc::clone(&service.notices));
        Self {
            options,
            service,
            counters,
            sink,
        }
    }

    /// The thread's counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether this client is answered at all.
    pub fn lets_in(&self, peer: IpAddr) -> bool {
        self.service.access.admission(peer) != Admission::Refused
    }

    /// Answers one message into `out`; gives the answer's length, 0 for no answer.
    pub fn process(
        &mut self,
        packet: &[u8],
        peer: SocketAddr,
        transport: Transport,
        received: Received,
        policy: Option<&Installed>,
        out: &mut [u8; ANSWER_MAX],
    ) -> usize {
        let client = peer.ip();
        let admission = self.service.access.admission(client);
        if admission == Admission::Refused {
            self.counters.add(Counter::DroppedAcl);
            return 0;
        }
        let profile = policy.and_then(|policy| policy.snapshot.profile_of(client));
        // Who has a profile is an SBC.
        let may_be_limited = admission == Admission::Limited && profile.is_none();
        if may_be_limited
            && !self
                .service
                .access
                .is_within_limit(client, received.time_us)
        {
            self.counters.add(Counter::DroppedLimit);
            return 0;
        }
        let query = match parse::parse(packet) {
            Ok(query) => query,
            Err(dropped) => {
                self.counters.add(dropped);
                return 0;
            }
        };
        self.counters.add(Counter::Queries);
        let limit = match transport {
            Transport::Udp => response::udp_limit(query.edns.as_ref()),
            Transport::Tcp => ANSWER_MAX,
        };
        let (counters, options) = (&self.counters, &mut self.options);
        let subject = identify::identify(&query, &self.service, &mut |code, data: &[u8]| {
            counters.add(Counter::OptionsUnknown);
            options.saw(client, code, data);
        });
        let verdict = decide::decide(&subject, &self.service, policy, received.time_us);
        let answered = answer::answer(
            &query,
            &subject,
            &verdict,
            Wording::new(&self.service, policy, profile),
            self.cookie(&query, client, received),
            limit,
            out,
        );
        self.counters.add(Counter::Answers);
        record::count(&self.counters, &answered, &subject, &verdict);
        let latency_ns = received
            .instant
            .elapsed()
            .as_nanos()
            .min(u128::from(u32::MAX)) as u32;
        self.counters.add_latency(u64::from(latency_ns));
        if let Some(number) = subject.number() {
            let origin = record::Origin {
                peer,
                transport,
                time_us: received.time_us,
                latency_ns,
            };
            record::record(&mut self.sink, origin, number, &verdict, answered.rcode);
        }
        answered.length
    }

    /// The answer's cookie, if the query has one.
    fn cookie(
        &self,
        query: &Query<'_>,
        client: IpAddr,
        received: Received,
    ) -> Option<[u8; COOKIE]> {
        let data = query.edns?.cookie?;
        let now_s = (received.time_us / 1_000_000) as u32;
        let (cookie, state) = self.service.cookies.answer(data, client, now_s);
        match state {
            CookieState::ClientOnly => {}
            CookieState::Valid => self.counters.add(Counter::CookiesValid),
            CookieState::Invalid => self.counters.add(Counter::CookiesInvalid),
        }
        Some(cookie)
    }

    /// Makes the events of the batch safe; before its answers are sent.
    pub fn commit(&mut self) {
        self.sink.commit();
        self.counters.set_events_lost(self.sink.lost());
    }
}
