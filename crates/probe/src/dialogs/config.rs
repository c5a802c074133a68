//! Limits and times of the call table.

/// Limits and times; the defaults fit a carrier link of 200 calls a second in under 200 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialogsConfig {
    /// Calls held at once. Beyond it the oldest call that nobody has answered with anything gives way (1 to 10,000,000).
    pub calls_max: usize,
    /// How long a call that is over is kept for late messages, seconds (RFC 3261: 64 × T1 is 32 s).
    pub linger_s: u32,
    /// How long an INVITE may stay without any final response, seconds (RFC 3261, timer C is over 180 s).
    pub setup_s: u32,
    /// How long an answered call without a BYE may stay silent on the signalling side, seconds.
    pub idle_s: u32,
    /// Legs with the same numbers are one call when their INVITEs are at most so far apart, microseconds.
    pub correlation_window_us: i64,
}

impl Default for DialogsConfig {
    fn default() -> Self {
        Self {
            calls_max: 200_000,
            linger_s: 5,
            setup_s: 300,
            idle_s: 4 * 3600,
            correlation_window_us: 2_000_000,
        }
    }
}
