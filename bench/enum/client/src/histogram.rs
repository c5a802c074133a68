//! Latency histogram: logarithmic with 64 steps in each power of two, so every value is kept within 1.6 %.

const STEPS: u64 = 64;
const BITS: u32 = STEPS.trailing_zeros();

/// Counts of nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; bucket(u64::MAX) + 1],
            total: 0,
            sum: 0,
            largest: 0,
        }
    }
}

impl Histogram {
    /// Count one latency.
    pub fn add(&mut self, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.total += 1;
        self.sum += u128::from(nanoseconds);
        self.largest = self.largest.max(nanoseconds);
    }

    /// The latency that `share` (0 to 1) of all stay at or below, in microseconds; 0 without any.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper_edge(index).min(self.largest) as f64 / 1e3;
            }
        }
        0.0
    }

    /// Mean in microseconds; 0 without any.
    pub fn mean_us(&self) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            self.sum as f64 / self.total as f64 / 1e3
        }
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let exponent = value.ilog2();
    let step = (value >> (exponent - BITS)) & (STEPS - 1);
    ((u64::from(exponent - BITS + 1)) * STEPS + step) as usize
}

/// Largest value that falls into a bucket.
fn upper_edge(index: usize) -> u64 {
    let (group, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if group == 0 {
        return step;
    }
    let width = 1u64 << (group - 1);
    (STEPS + step)
        .saturating_mul(width)
        .saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_edges_meet() {
        for index in 0..2000 {
            assert_eq!(bucket(upper_edge(index)), index);
            assert_eq!(bucket(upper_edge(index) + 1), index + 1);
        }
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.add(value * 10);
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = histogram.quantile_us(share);
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert!((histogram.mean_us() - 500.0).abs() < 0.1);
    }
}
