//! `EntryHits`: how often numbers fell under each entry of a list, and when last.
//!
//! An entry's tag in the number map is its place; so one look-up finds every entry that holds a number, however many there are.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_ipc::reader::StreamReader;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ringfence_numbers::{E164, NumberMap, NumberMapBuilder, Pattern};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EntryHits>()
}

/// Counts hits of a list's entries.
#[pyclass(frozen, module = "ringfence._native")]
struct EntryHits {
    map: NumberMap,
    /// Earlier calls are not counted for an entry: microseconds since 1970 UTC.
    since: Vec<i64>,
    counts: Mutex<Vec<Count>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    hits: u64,
    last_us: i64,
}

#[pymethods]
impl EntryHits {
    /// `patterns`, each with the time from which it counts.
    #[new]
    fn new(py: Python<'_>, patterns: Vec<(String, i64)>) -> PyResult<Self> {
        py.detach(|| {
            let mut builder = NumberMapBuilder::default();
            builder.reserve(patterns.len());
            let mut since = Vec::with_capacity(patterns.len());
            for (place, (text, from)) in patterns.iter().enumerate() {
                let pattern: Pattern = text
                    .parse()
                    .map_err(|error| PyValueError::new_err(format!("{text:?}: {error}")))?;
                builder.add(pattern, place as u32);
                since.push(*from);
            }
            let counts = Mutex::new(vec![Count::default(); since.len()]);
            Ok(Self {
                map: builder.build(),
                since,
                counts,
            })
        })
    }

    /// Count the calls of an Arrow IPC stream with columns `number` int64 and `time` timestamp(us).
    fn add(&self, py: Python<'_>, stream: &[u8]) -> PyResult<()> {
        let counted = py.detach(|| catch_unwind(AssertUnwindSafe(|| self.count(stream))));
        match counted {
            Ok(counted) => counted.map_err(PyValueError::new_err),
            Err(_) => Err(PyValueError::new_err("not an Arrow IPC stream")),
        }
    }

    /// (place of the entry, hits, time of the last in microseconds) of every entry that has hits.
    fn result(&self) -> Vec<(usize, u64, i64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let with_hits = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| count.hits > 0);
        with_hits
            .map(|(place, count)| (place, count.hits, count.last_us))
            .collect()
    }
}

impl EntryHits {
    fn count(&self, stream: &[u8]) -> Result<(), String> {
        let not_arrow = |error| format!("not an Arrow IPC stream: {error}");
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in StreamReader::try_new(stream, None).map_err(not_arrow)? {
            let batch = batch.map_err(not_arrow)?;
            let numbers = batch
                .column_by_name("number")
                .and_then(|column| column.as_primitive_opt::<Int64Type>())
                .ok_or("column number: must be int64")?;
            let times = batch
                .column_by_name("time")
                .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
                .ok_or("column time: must be a timestamp in microseconds")?;
            for (&number, &time_us) in numbers.values().iter().zip(times.values()) {
                let Some(number) = u64::try_from(number).ok().and_then(E164::new) else {
                    continue;
                };
                self.map.look_up(number, |set| {
                    for &tag in self.map.tags(set) {
                        let place = tag as usize;
                        if time_us >= self.since[place] {
                            counts[place].hits += 1;
                            counts[place].last_us = counts[place].last_us.max(time_us);
                        }
                    }
                });
            }
        }
        Ok(())
    }
}
