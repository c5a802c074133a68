//! The compiled policy snapshot and `decide`.
//!
//! Stands at the end of "policy down": a policy version arrives as a document, is compiled into a
//! [`Snapshot`], and `decide(query, now)` answers from it. Pure: no I/O, no clock.
