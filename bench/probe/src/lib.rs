//! Captures with known truth, for the probe's bench and tests.
