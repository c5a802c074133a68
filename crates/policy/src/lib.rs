//! The compiled policy snapshot and `decide`.
//!
//! Stands at the end of "policy down": a policy version arrives as a document, is compiled into a
//! [`Snapshot`], and `decide(query, now)` answers from it. Pure: no I/O, no clock.
//!
//! ```text
//! bytes ─ document ─► Document ─ compile ─► Snapshot ─ decide(call, now, rates, entries) ─► Decision
//! bytes ─ Contents ─────────────────┘          ├────── explain(source, destination, now, entries) ─► Explanation
//!                                              └────── Replay: calls as rows hold them ─► the decisions they would get
//! bytes ─ DynamicEntries ───────────────────────────────────────────────────┘
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answers;
mod bits;
mod bulk;
mod compile;
mod content;
mod decide;
mod decision;
mod document;
mod dynamic;
mod error;
mod explain;
mod network;
mod rate;
mod recorded;
mod schedule;
mod snapshot;

pub use answers::{Answers, REGEXP_MAX, Template, Values};
pub use bulk::{Fault, Format, Limits, ListReader, Listed, ListedEntry, NOTE_MAX};
pub use content::{Contents, contents_named};
pub use decision::{Action, Decision, MONITORED_MAX, Monitored, Reason};
pub use document::{
    Client, Document, List, Matcher, Mode, NoOpinion, Rate, RateKey, Rule, RuleDirection, Schedule,
};
pub use dynamic::{DYNAMIC_ENTRIES_MAX, DynamicEntries};
pub use error::PolicyError;
pub use explain::{Asker, Condition, Explanation, RuleVerdict, Verdict};
pub use network::{Network, NetworkMap};
pub use rate::RateCounters;
pub use recorded::{RecordedCall, Replay};
pub use snapshot::{Call, ProfileId, Snapshot};
