//! What the call table counted, for metrics and the summary of a file.
use serde::Serialize;

/// Counters since the start; they only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DialogsCounters {
    /// Octets that were given as a message.
    pub messages: u64,
    /// Of these, no SIP message of a kind that can be used.
    pub malformed: u64,
    /// Messages of calls.
    pub of_calls: u64,
    /// REGISTER requests and their responses.
    pub registrations: u64,
    /// OPTIONS requests and their responses.
    pub options: u64,
    /// SUBSCRIBE, NOTIFY, PUBLISH, MESSAGE and others outside calls.
    pub others: u64,
    /// Messages of a known scanner (sipvicious, friendly-scanner, …), not made calls.
    pub scanners: u64,
    /// Messages of a call that is not known (any more) and that say too little to make a record.
    pub strays: u64,
    /// Calls begun.
    pub calls: u64,
    /// Records made.
    pub records: u64,
    /// Calls dropped for lack of room before anybody had answered: no record.
    pub dropped_unanswered: u64,
    /// Calls given up for lack of room, with a record marked so.
    pub evicted: u64,
    /// Highest number of calls up at once: answered and not hung up.
    pub concurrent_max: u64,
}
