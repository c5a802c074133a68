//! The probe whole: captures of our own making in, records out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hard_cases;
mod hep;
mod live;
mod media;
