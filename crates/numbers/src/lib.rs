//! E.164 numbers as integers, sets of numbers, and dial-plan normalisation.
//!
//! Stands under both flows: the edge normalises before it matches, ingest uses the same code, so a
//! rule means the same on the wire and in the reports. Pure: no I/O, no clock.
