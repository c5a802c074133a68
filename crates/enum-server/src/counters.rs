//! Counters of the data plane (docs/contracts.md 5). Each thread writes its own; readers add them up.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs)]
pub enum Counter {
    Queries,
    Answers,
    DroppedNotQuery,
    DroppedMalformed,
    DroppedAcl,
    DroppedLimit,
    SendFailed,
    Truncated,
    Rcode0,
    Rcode1,
    Rcode2,
    Rcode3,
    Rcode4,
    Rcode5,
    Rcode16,
    None,
    Allow,
    Terminate,
    Redirect,
    HealthChecks,
    OptionsUnknown,
    CookiesValid,
    CookiesInvalid,
    TcpConnections,
    TcpRefused,
}

const NAMES: [&str; 25] = [
    "queries",
    "answers",
    "dropped_not_query",
    "dropped_malformed",
    "dropped_acl",
    "dropped_limit",
    "send_failed",
    "truncated",
    "rcode_0",
    "rcode_1",
    "rcode_2",
    "rcode_3",
    "rcode_4",
    "rcode_5",
    "rcode_16",
    "none",
    "allow",
    "terminate",
    "redirect",
    "health_checks",
    "options_unknown",
    "cookies_valid",
    "cookies_invalid",
    "tcp_connections",
    "tcp_refused",
];

/// Upper bounds of the latency buckets, microseconds.
const LATENCY_US: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 10_000];

/// The counters of one thread. Only that thread adds, so an addition needs no locked instruction.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    counts: [AtomicU64; NAMES.len()],
    latency: [AtomicU64; LATENCY_US.len() + 1],
    latency_ns: AtomicU64,
    events_lost: AtomicU64,
}

fn raise(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Counters {
    /// Adds one.
    #[inline]
    pub fn add(&self, counter: Counter) {
        self.add_many(counter, 1);
    }

    /// Adds some.
    #[inline]
    pub fn add_many(&self, counter: Counter, count: u64) {
        raise(&self.counts[counter as usize], count);
    }

    /// Adds a latency.
    #[inline]
    pub fn add_latency(&self, ns: u64) {
        let bucket = LATENCY_US
            .iter()
            .position(|&bound| ns <= bound * 1_000)
            .unwrap_or(LATENCY_US.len());
        raise(&self.latency[bucket], 1);
        raise(&self.latency_ns, ns);
    }

    /// Takes over what the sink says it lost.
    pub fn set_events_lost(&self, lost: u64) {
        self.events_lost.store(lost, Relaxed);
    }

    /// All counters by name, added up over threads. `latency_us_le_N` are cumulative.
    pub fn sum<'a>(threads: impl Iterator<Item = &'a Self> + Clone) -> Vec<(String, u64)> {
        let total = |cell: &dyn Fn(&Self) -> &AtomicU64| -> u64 {
            threads
                .clone()
                .map(|counters| cell(counters).load(Relaxed))
                .sum()
        };
        let mut sums: Vec<(String, u64)> = NAMES
            .iter()
            .enumerate()
            .map(|(index, name)| {
                (
                    (*name).to_owned(),
                    total(&|counters| &counters.counts[index]),
                )
            })
            .collect();
        sums.push((
            "events_lost".into(),
            total(&|counters| &counters.events_lost),
        ));
        let mut below = 0;
        for index in 0..=LATENCY_US.len() {
            below += total(&|counters| &counters.latency[index]);
            let bound = LATENCY_US
                .get(index)
                .map_or("inf".to_owned(), u64::to_string);
            sums.push((format!("latency_us_le_{bound}"), below));
        }
        sums.push((
            "latency_us_sum".into(),
            total(&|counters| &counters.latency_ns) / 1_000,
        ));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_threads() {
        let threads = [Counters::default(), Counters::default()];
        threads[0].add(Counter::TcpRefused);
        threads[1].add_many(Counter::TcpRefused, 2);
        threads[1].add_latency(1_500);
        let sums: std::collections::HashMap<_, _> =
            Counters::sum(threads.iter()).into_iter().collect();
        assert_eq!(
            sums["tcp_refused"], 3,
            "the last name stands for the last counter"
        );
        assert_eq!(
            (
                sums["latency_us_le_1"],
                sums["latency_us_le_2"],
                sums["latency_us_le_inf"]
            ),
            (0, 1, 1)
        );
    }
}
