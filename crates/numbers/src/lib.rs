//! E.164 numbers as integers, sets of numbers, and dial-plan normalisation.
//!
//! Stands under both flows: the edge normalises before it matches, ingest uses the same code, so a
//! rule means the same on the wire and in the reports. Pure: no I/O, no clock.
//!
//! ```text
//! raw text ─ uri ─► user part ─ plan ─► Party { number, class } ─ set ─► which lists hold it
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod class;
mod number;
mod pattern;
mod plan;
mod reading;
mod set;
mod uri;

pub use class::{Direction, NumberClass};
pub use number::{DIGITS_MAX, DIGITS_MIN, E164};
pub use pattern::{Pattern, PatternError};
pub use plan::{DialPlan, Party, PlanError, Site, is_withheld};
pub use reading::Reading;
pub use set::{ExpiringSet, NEVER, NumberMap, NumberMapBuilder, NumberSet, SetId};
pub use uri::{ROUTING_PARAMETERS, UriUser, shortened, uri_user, without_escapes};
