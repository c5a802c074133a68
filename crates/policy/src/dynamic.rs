//! Dynamic entries: what operators and detections put on a policy's dynamic lists, without a policy version.
//!
//! They stand beside the snapshot, not in it: `decide` asks both, each is switched on its own, and one more number never
//! compiles a policy again. Entries name their list; a list that the snapshot does not declare as dynamic is passed over.
//!
//! ```text
//! {"format": 1, "change": 1763840000000000, "lists": {"attackers": {"+12105550100": 1763847200000000, "+1900*": null}}}
//! ```
//! Each pattern has the time at which it ceases to hold, microseconds since 1970 UTC, or null (docs/contracts.md 4).
use std::collections::BTreeMap;
use std::fmt;

use ringfence_numbers::{E164, ExpiringSet, NEVER, Pattern};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess};

use crate::PolicyError;
use crate::snapshot::{Satisfied, Side, Snapshot};

const FORMAT: u32 = 1;
/// Most entries over all dynamic lists: more belongs into the lists of a policy.
pub const DYNAMIC_ENTRIES_MAX: usize = 100_000;

/// Entries of all dynamic lists. Immutable: a change is a new value, switched as a whole.
#[derive(Debug, Default)]
pub struct DynamicEntries {
    change: u64,
    length: usize,
    /// By name; none is empty.
    lists: Vec<(String, ExpiringSet)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntriesDocument {
    format: u32,
    change: u64,
    lists: BTreeMap<String, Entries>,
}

/// Patterns of one list, each with its end.
struct Entries(Vec<(Pattern, i64)>);

impl DynamicEntries {
    /// Reads and compiles a document.
    pub fn from_bytes(document: &[u8]) -> Result<Self, PolicyError> {
        let document = EntriesDocument::parse(document)?;
        if document.format != FORMAT {
            return Err(PolicyError::new(
                "format",
                format!(
                    "{} is not known here; this release reads {FORMAT}",
                    document.format
                ),
            ));
        }
        let length = document.lists.values().map(|entries| entries.0.len()).sum();
        if length > DYNAMIC_ENTRIES_MAX {
            return Err(PolicyError::new(
                "lists",
                format!("hold {length} dynamic entries; expected at most {DYNAMIC_ENTRIES_MAX}"),
            ));
        }
        Ok(Self {
            change: document.change,
            length,
            lists: document
                .lists
                .into_iter()
                .filter(|(_, entries)| !entries.0.is_empty())
                .map(|(name, entries)| (name, entries.0.into_iter().collect()))
                .collect(),
        })
    }

    /// Number of the last change that is in it.
    #[must_use]
    pub const fn change(&self) -> u64 {
        self.change
    }

    /// How many entries it holds, those that have ended too.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Until when the number is on the list, microseconds; [`NEVER`] for always, `None` when it is not, or no more at `now_us`.
    #[must_use]
    pub fn until(&self, list: &str, number: E164, now_us: i64) -> Option<i64> {
        let place = self
            .lists
            .binary_search_by(|(name, _)| name.as_str().cmp(list))
            .ok()?;
        self.lists[place]
            .1
            .until(number)
            .filter(|&until| now_us < until)
    }
}

impl Snapshot {
    /// Whether a rule names a dynamic list: without one, entries change nothing.
    #[inline]
    #[must_use]
    pub fn has_dynamic_lists(&self) -> bool {
        !self.dynamic.is_empty()
    }

    /// Adds the rules that the number satisfies by being on a dynamic list now.
    #[inline]
    pub(crate) fn add_dynamic<'a>(
        &self,
        satisfied: &mut Satisfied<'a>,
        side: &'a Side,
        number: Option<E164>,
        entries: &DynamicEntries,
        now_us: i64,
    ) {
        let Some(number) = number else {
            return;
        };
        for (name, set) in &entries.lists {
            if set.holds(number, now_us)
                && let Ok(place) = self.dynamic.binary_search(name)
            {
                satisfied.add(side.dynamic.row(place));
            }
        }
    }
}

impl EntriesDocument {
    fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        serde_json::from_slice(bytes).map_err(|error| {
            let again = serde_path_to_error::deserialize::<_, Self>(
                &mut serde_json::Deserializer::from_slice(bytes),
            );
            let path = again.err().map(|located| located.path().to_string());
            let field = path.filter(|path| path != "." && path != "?");
            PolicyError::new(
                field.unwrap_or_else(|| "entries".to_owned()),
                error.to_string(),
            )
        })
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Patterns;
        impl<'de> de::Visitor<'de> for Patterns {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("patterns, each with its end in microseconds or null")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some((pattern, until)) = map.next_entry::<Pattern, Option<i64>>()? {
                    entries.push((pattern, until.unwrap_or(NEVER)));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Patterns)
    }
}
