//! Contents of lists: entries that travel beside the document, named in it by their hash (docs/contracts.md 4).
//!
//! ```text
//! ringfence-list 1
//! +12105550100
//! +1900* 1763847200000000
//! ```
//! One pattern a line; where one has an end, microseconds since 1970 UTC stand behind it. Entries without end become part
//! of the snapshot's number map. One with an end goes into its list's [`ExpiringSet`], which is asked with the time of the
//! call: nothing has to happen for it to end. Whether the bytes have the hash they are named by is checked by who
//! fetched or stored them.
use std::collections::{BTreeMap, BTreeSet};

use ringfence_numbers::{E164, ExpiringSet, Pattern};
use serde::Deserialize;

use crate::PolicyError;
use crate::snapshot::{Satisfied, Side, Snapshot};

const HEAD: &[u8] = b"ringfence-list 1\n";

/// Contents at hand, by hash.
#[derive(Debug, Default)]
pub struct Contents<'a>(BTreeMap<&'a str, &'a [u8]>);

/// Hashes of the contents that a document names, each once, without compiling it.
pub fn contents_named(document: &[u8]) -> Result<Vec<String>, PolicyError> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        lists: BTreeMap<String, NamedList>,
    }
    #[derive(Deserialize)]
    struct NamedList {
        content: Option<String>,
    }
    let document: Named = serde_json::from_slice(document)
        .map_err(|error| PolicyError::new("policy", error.to_string()))?;
    let mut named = BTreeSet::new();
    for (name, list) in document.lists {
        if let Some(hash) = list.content {
            if !is_hash(&hash) {
                let field = format!("lists.{name}.content");
                return Err(PolicyError::new(field, NO_HASH));
            }
            named.insert(hash);
        }
    }
    Ok(named.into_iter().collect())
}

const NO_HASH: &str = "must be a SHA-256: 64 digits 0-9, a-f";

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Contents<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(contents: I) -> Self {
        Self(contents.into_iter().collect())
    }
}

impl Contents<'_> {
    /// Goes through a content's entries; an error names the list, and the line.
    pub(crate) fn entries(
        &self,
        list: &str,
        hash: &str,
        mut found: impl FnMut(Pattern, Option<i64>),
    ) -> Result<(), PolicyError> {
        let fault = |problem| PolicyError::new(format!("lists.{list}.content"), problem);
        if !is_hash(hash) {
            return Err(fault(NO_HASH.to_owned()));
        }
        let bytes = self
            .0
            .get(hash)
            .ok_or_else(|| fault(format!("{hash:?} is not at hand")))?;
        let body = bytes.strip_prefix(HEAD).ok_or_else(|| {
            fault("is not a content that this release reads: \"ringfence-list 1\"".to_owned())
        })?;
        let Some(body) = body.strip_suffix(b"\n") else {
            return match body.is_empty() {
                true => Ok(()),
                false => Err(fault("ends within a line".to_owned())),
            };
        };
        for (place, line) in body.split(|&octet| octet == b'\n').enumerate() {
            let (pattern, end) =
                entry(line).map_err(|problem| fault(format!("line {}: {problem}", place + 2)))?;
            found(pattern, end);
        }
        Ok(())
    }
}

fn entry(line: &[u8]) -> Result<(Pattern, Option<i64>), String> {
    let text = str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let (pattern, end) = match text.split_once(' ') {
        None => (text, None),
        Some((pattern, end)) => {
            let end: i64 = end
                .parse()
                .map_err(|_| format!("{end:?} is not a time in microseconds"))?;
            (pattern, Some(end))
        }
    };
    let parsed = pattern
        .parse()
        .map_err(|error| format!("{pattern:?}: {error}"))?;
    Ok((parsed, end))
}

/// The entries of one list that have an end.
#[derive(Debug)]
pub(crate) struct Expiring {
    /// The list.
    pub(crate) tag: usize,
    pub(crate) set: ExpiringSet,
}

impl Snapshot {
    /// Adds the rules that the number satisfies by an entry whose end has not come at `now_us`.
    #[inline]
    pub(crate) fn add_expiring<'a>(
        &self,
        satisfied: &mut Satisfied<'a>,
        side: &'a Side,
        number: Option<E164>,
        now_us: i64,
    ) {
        let Some(number) = number else {
            return;
        };
        for (place, list) in self.expiring.iter().enumerate() {
            if list.set.holds(number, now_us) {
                satisfied.add(side.expiring.row(place));
            }
        }
    }

    /// Until when the number is on the list by an entry that has an end; `None` when it is not, or no more.
    pub(crate) fn expiring_until(&self, tag: usize, number: E164, now_us: i64) -> Option<i64> {
        let place = self.expiring.binary_search_by_key(&tag, |list| list.tag);
        let until = self.expiring[place.ok()?].set.until(number)?;
        (now_us < until).then_some(until)
    }
}
